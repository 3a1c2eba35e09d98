//! A network small enough to read: client, link, sensor, link, server, and what goes wrong on it.
//!
//! Owns: time, links, the mirror port. In: a [`World`]. Out: every frame the sensor saw, each with
//! the round trip it truly closes. Never: a wall clock, or chance that a seed does not repeat.
//!
//! ```text
//!   client ──near link── sensor ──far link── server
//! ```
//!
//! The truth travels with the packets. A packet that answers another at once knows when that other
//! passed the sensor; when it passes the sensor itself, the time between is a full round trip of
//! one leg ([`Seen::echo`]). Time for which a host held an answer back is taken off.

pub mod datagrams;
pub mod frame;
mod host;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use host::Host;

/// Microseconds and milliseconds in ns.
pub const US: u64 = 1_000;
pub const MS: u64 = 1_000_000;

/// When the simulated world begins, in ns since 1970.
pub const START: u64 = 1_700_000_000_000_000_000;

/// Numbers that look random and are the same on every run (xorshift64*, Vigna 2016).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % end.max(1)
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }
}

/// One link, the same both ways. Chances are per mille of packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    /// One way, in ns.
    pub delay: u64,
    /// Up to this much more, in ns, for each packet.
    pub jitter: u64,
    pub lost: u64,
    pub doubled: u64,
    /// Overtaken: up to 50 ms late.
    pub late: u64,
}

/// What the mirror port does to what passes. Chances are per mille of packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mirror {
    pub missed: u64,
    /// Copied a second time, 1 to 900 us later.
    pub doubled: u64,
    /// Written after its successor, with its own time, as a card with several queues does: within
    /// a millisecond, and never after one of the same sender and connection.
    pub swapped: u64,
    /// Seen only from this end, where it is one.
    pub only: Option<Side>,
    /// The capture begins so long after the world, in ns.
    pub from: u64,
    /// Accompanied by one that somebody forged without seeing the connection.
    pub forged: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// Everything that decides what happens.
#[derive(Clone, Copy, Debug, Default)]
pub struct World {
    pub seed: u64,
    pub near: Link,
    pub far: Link,
    pub mirror: Mirror,
    pub connections: u16,
    /// Requests of each connection, each answered.
    pub requests: u32,
    /// Whether both ends write timestamps.
    pub stamps: bool,
    /// How long a host waits for something to send along with an acknowledgement of data, in ns.
    pub hold: u64,
    /// How long client and server think before they write, in ns, at most.
    pub thought: u64,
}

/// What a segment answers: when that passed the sensor, and how long the answer was held back.
#[derive(Clone, Copy, Debug)]
pub struct Cause {
    pub passed: u64,
    pub held: u64,
}

/// A TCP segment under way.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub connection: u16,
    pub from: Side,
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
    pub len: u16,
    /// RFC 7323 timestamps: value, echo.
    pub stamps: Option<(u32, u32)>,
    pub cause: Option<Cause>,
    /// When it passed the sensor.
    pub passed: u64,
}

/// A frame as the sensor saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// ns since 1970.
    pub at: u64,
    pub segment: Segment,
    /// The full round trip that its passing closes, in ns: the far leg for one from the server, the
    /// near leg for one from the client.
    pub echo: Option<u64>,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    AtSensor(Segment),
    AtHost(Segment),
    Timer { connection: u16, side: Side, serial: u32 },
}

/// What a host wants done.
#[derive(Debug, Default)]
struct Wishes {
    send: Vec<Segment>,
    /// A timer: in how many ns, with which serial number.
    timers: Vec<(u64, u32)>,
}

struct Running {
    world: World,
    dice: Dice,
    now: u64,
    count: u64,
    /// (time, order of making) of each event to come, soonest first; then the event.
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: std::collections::HashMap<u64, Event>,
    seen: Vec<Seen>,
}

impl World {
    /// Lets the world run to its end. Frames stand in the order in which the capture holds them.
    pub fn run(&self) -> Vec<Seen> {
        let mut run = Running {
            world: *self,
            dice: Dice::new(self.seed),
            now: START,
            count: 0,
            queue: BinaryHeap::new(),
            events: std::collections::HashMap::new(),
            seen: Vec::new(),
        };
        let mut hosts = Vec::new();
        for connection in 0..self.connections {
            for side in [Side::Client, Side::Server] {
                hosts.push(Host::new(connection, side, self, &mut run.dice));
            }
            let begins = START + run.dice.below(200 * MS);
            run.put(begins, Event::Timer { connection, side: Side::Client, serial: 0 });
        }
        while let Some(event) = run.next() {
            let (connection, side) = match event {
                Event::AtSensor(segment) => {
                    run.pass(segment);
                    continue;
                }
                Event::AtHost(segment) => (segment.connection, segment.from.other()),
                Event::Timer { connection, side, .. } => (connection, side),
            };
            let host = &mut hosts[usize::from(connection) * 2 + usize::from(side == Side::Server)];
            let wishes = match event {
                Event::AtHost(segment) => host.hear(run.now, &segment, &mut run.dice),
                Event::Timer { serial, .. } => host.wake(run.now, serial, &mut run.dice),
                Event::AtSensor(_) => unreachable!("handled above"),
            };
            for segment in wishes.send {
                run.carry(run.now, segment);
            }
            for (after, serial) in wishes.timers {
                run.put(run.now + after, Event::Timer { connection, side, serial });
            }
        }
        run.captured()
    }
}

impl Side {
    pub fn other(self) -> Side {
        if self == Side::Client { Side::Server } else { Side::Client }
    }
}

impl Running {
    fn put(&mut self, at: u64, event: Event) {
        self.count += 1;
        self.queue.push(Reverse((at, self.count)));
        self.events.insert(self.count, event);
    }

    fn next(&mut self) -> Option<Event> {
        let Reverse((at, n)) = self.queue.pop()?;
        self.now = at;
        self.events.remove(&n)
    }

    /// Over the link between `segment`'s sender and the sensor.
    fn carry(&mut self, at: u64, segment: Segment) {
        let link = if segment.from == Side::Client { self.world.near } else { self.world.far };
        for arrival in self.arrivals(link, at) {
            self.put(arrival, Event::AtSensor(segment));
        }
    }

    /// When copies of a packet arrive at the other end of a link: none, one or two.
    fn arrivals(&mut self, link: Link, at: u64) -> Vec<u64> {
        let copies = if self.dice.chance(link.doubled) { 2 } else { 1 };
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            let late = if self.dice.chance(link.late) { self.dice.below(50 * MS) } else { 0 };
            let jitter = self.dice.below(link.jitter + 1);
            if !self.dice.chance(link.lost) {
                arrivals.push(at + link.delay + jitter + late);
            }
        }
        arrivals
    }

    /// Past the sensor, then over the other link.
    fn pass(&mut self, segment: Segment) {
        let passed = Segment { passed: self.now, ..segment };
        let echo = segment.cause.map(|cause| self.now - cause.passed - cause.held);
        self.mirror(passed, echo);
        let link = if segment.from == Side::Client { self.world.far } else { self.world.near };
        for arrival in self.arrivals(link, self.now) {
            self.put(arrival, Event::AtHost(passed));
        }
    }

    fn mirror(&mut self, segment: Segment, echo: Option<u64>) {
        let mirror = self.world.mirror;
        if self.dice.chance(mirror.forged) {
            let forged = self.forge(segment);
            self.write(self.now, forged, None);
        }
        if self.dice.chance(mirror.missed) || mirror.only.is_some_and(|side| side != segment.from) {
            return;
        }
        self.write(self.now, segment, echo);
        if self.dice.chance(mirror.doubled) {
            let later = US + self.dice.below(900) * US;
            self.write(self.now + later, segment, None);
        }
    }

    fn write(&mut self, at: u64, segment: Segment, echo: Option<u64>) {
        if self.now >= START + self.world.mirror.from {
            self.seen.push(Seen { at, segment, echo, bytes: frame::bytes(&segment) });
        }
    }

    /// Addresses and ports are known to the forger, sequence numbers are not.
    fn forge(&mut self, like: Segment) -> Segment {
        const FLAGS: [u8; 7] = [0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14];
        let flags = FLAGS[self.dice.below(7) as usize];
        let from = if self.dice.chance(500) { Side::Client } else { Side::Server };
        let (seq, ack) = (self.dice.below(1 << 32) as u32, self.dice.below(1 << 32) as u32);
        let len = if flags == 0x18 { 32 } else { 0 };
        Segment { from, flags, seq, ack, len, cause: None, ..like }
    }

    /// The frames in the order of the file.
    fn captured(mut self) -> Vec<Seen> {
        self.seen.sort_by_key(|seen| seen.at);
        let mut at = 1;
        while at < self.seen.len() {
            let flow = |seen: &Seen| (seen.segment.connection, seen.segment.from);
            let queues = flow(&self.seen[at - 1]) != flow(&self.seen[at]);
            let queues = queues && self.seen[at].at - self.seen[at - 1].at < MS;
            if queues && self.dice.chance(self.world.mirror.swapped) {
                self.seen.swap(at - 1, at);
                at += 1;
            }
            at += 1;
        }
        self.seen
    }
}
