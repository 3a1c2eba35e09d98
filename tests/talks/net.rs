//! Two programs, a link to either side of the sensor, and what the sensor sees of their talk.
//!
//! Owns: time, links and frames. In: programs that hear bytes and wish to send some. Out: frames,
//! and what the program's observers make of them. Never: knows a protocol, or a wall clock.
//!
//! ```text
//!   client ──near link── sensor ──far link── server
//! ```

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;

use longhaul::decode::DecodeConfig;
use longhaul::decode::Decoder;
use longhaul::evidence::Observers;
use longhaul::model::Counter;
use longhaul::model::Counters;
use longhaul::model::Frame;
use longhaul::model::Interest;
use longhaul::model::LinkType;
use longhaul::model::Nanos;
use longhaul::model::Peer;
use longhaul::model::Record;
use longhaul::model::Segment;
use longhaul::session::Arrival;
use longhaul::session::Finished;
use longhaul::session::Listener;
use longhaul::session::Shard;
use longhaul::session::Timeouts;

pub const MS: u64 = 1_000_000;

/// When the simulated world begins, in ns since 1970.
const START: u64 = 1_700_000_000_000_000_000;

/// Numbers that look random and are the same on every run (xorshift64*, Vigna 2016).
pub struct Dice(u64);

impl Dice {
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

/// One link, the same both ways: ns, and chances per mille.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    pub delay: u64,
    /// Up to this much more for each packet.
    pub jitter: u64,
    pub lost: u64,
    pub doubled: u64,
    /// Overtaken: up to 40 ms late.
    pub late: u64,
}

impl Link {
    /// The longest that a packet is under way.
    pub const fn longest(&self) -> u64 {
        self.delay + self.jitter + 40 * MS
    }
}

/// Between both ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    pub seed: u64,
    pub near: Link,
    pub far: Link,
    /// Nothing overtakes anything, as TCP's own recovery is not part of this.
    pub in_order: bool,
}

/// What a program wishes: packets to send now, timers that come back with their number.
#[derive(Default)]
pub struct Wishes {
    pub send: Vec<Vec<u8>>,
    pub timers: Vec<(u64, u32)>,
}

/// A program at one end. Packets are the frame's payload from the transport header on.
pub trait Program {
    fn wake(&mut self, timer: u32, dice: &mut Dice) -> Wishes;
    fn hear(&mut self, packet: &[u8], dice: &mut Dice) -> Wishes;
}

enum Event {
    AtSensor(bool, Vec<u8>),
    AtHost(bool, Vec<u8>),
    Timer(bool, u32),
}

struct Running {
    path: Path,
    dice: Dice,
    now: u64,
    count: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    /// When the last packet of each way arrived: client's near, far, server's far, near.
    last: [u64; 4],
    frames: Vec<(u64, Vec<u8>)>,
}

/// Lets both talk; timer 0 of each comes first.
pub fn talk(path: Path, protocol: u8, ends: [&mut dyn Program; 2]) -> Vec<(u64, Vec<u8>)> {
    let [client, server] = ends;
    let dice = Dice(path.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut run = Running {
        path,
        dice,
        now: START,
        count: 0,
        queue: BinaryHeap::new(),
        events: BTreeMap::new(),
        last: [0; 4],
        frames: Vec::new(),
    };
    for of_client in [true, false] {
        run.put(START, Event::Timer(of_client, 0));
    }
    while let Some(Reverse((at, n))) = run.queue.pop() {
        run.now = at;
        let (of_client, wishes) = match run.events.remove(&n).unwrap() {
            Event::AtSensor(from_client, packet) => {
                run.frames.push((at, frame(protocol, from_client, &packet)));
                run.carry(from_client, packet, true);
                continue;
            }
            Event::AtHost(true, packet) => (false, server.hear(&packet, &mut run.dice)),
            Event::AtHost(false, packet) => (true, client.hear(&packet, &mut run.dice)),
            Event::Timer(true, timer) => (true, client.wake(timer, &mut run.dice)),
            Event::Timer(false, timer) => (false, server.wake(timer, &mut run.dice)),
        };
        for packet in wishes.send {
            run.carry(of_client, packet, false);
        }
        for (after, timer) in wishes.timers {
            run.put(at + after, Event::Timer(of_client, timer));
        }
    }
    run.frames
}

impl Running {
    fn put(&mut self, at: u64, event: Event) {
        self.count += 1;
        self.queue.push(Reverse((at, self.count)));
        self.events.insert(self.count, event);
    }

    /// Over one of both links: to the sensor, or behind it.
    fn carry(&mut self, from_client: bool, packet: Vec<u8>, passed: bool) {
        let link = if from_client == passed { self.path.far } else { self.path.near };
        let way = usize::from(!from_client) * 2 + usize::from(passed);
        for _ in 0..1 + u32::from(self.dice.chance(link.doubled)) {
            let late = if self.dice.chance(link.late) { self.dice.below(40 * MS) } else { 0 };
            let mut at = self.now + link.delay + self.dice.below(link.jitter + 1) + late;
            if self.path.in_order {
                at = at.max(self.last[way] + 1);
                self.last[way] = at;
            }
            if !self.dice.chance(link.lost) {
                let packet = packet.clone();
                self.put(
                    at,
                    match passed {
                        true => Event::AtHost(from_client, packet),
                        false => Event::AtSensor(from_client, packet),
                    },
                );
            }
        }
    }
}

/// Ethernet and IPv4 around a packet; checksums are left out.
fn frame(protocol: u8, from_client: bool, packet: &[u8]) -> Vec<u8> {
    let ends = [[198, 51, 100, 7], [10, 9, 0, 1]];
    let from = usize::from(!from_client);
    let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    out.extend((20 + packet.len() as u16).to_be_bytes());
    out.extend([0, 0, 0x40, 0, 60, protocol, 0, 0]);
    out.extend(ends[from]);
    out.extend(ends[1 - from]);
    out.extend(packet);
    out
}

/// What the observers found, without the program's last look over the turns.
#[derive(Default)]
struct TestListener {
    records: Vec<Record>,
    counters: Counters,
}

impl Listener<Observers> for TestListener {
    fn deliver(&mut self, extra: &mut Option<Box<Observers>>, one: &Segment<'_>) -> Interest {
        extra.get_or_insert_default().observe(one, &mut self.counters)
    }

    fn acknowledged(
        &mut self,
        extra: &mut Option<Box<Observers>>,
        from: Peer,
        (ack, time): (u32, Nanos),
    ) {
        if let Some(observers) = extra {
            observers.acknowledged(from, ack, time);
        }
    }

    fn finish(&mut self, finished: Finished<Observers>) {
        let facts = finished.extra.map(|extra| extra.into_facts()).unwrap_or_default();
        self.records.push(Record { facts, ..finished.record });
    }

    fn count(&mut self, _counter: Counter, _n: u64) {}
}

/// The sessions of these frames, and how many turns were left out because the answer did not
/// acknowledge the question.
pub fn follow(frames: &[(u64, Vec<u8>)]) -> (Vec<Record>, u64) {
    let mut decoder = Decoder::new(DecodeConfig::default());
    let mut shard = Shard::new(64, Timeouts::default());
    let mut ear = TestListener::default();
    for (n, (at, bytes)) in frames.iter().enumerate() {
        let wire_len = bytes.len() as u32;
        let frame = Frame { time: Nanos(*at), link: LinkType::ETHERNET, wire_len, bytes };
        let mut packet = decoder.decode_frame(&frame, 0).unwrap().packet;
        packet.clock = (at / 1_000_000_000) as u32;
        packet.number = n as u32 + 1;
        packet.wire_len = wire_len;
        let hint = shard.locate(&packet);
        shard.touch(Arrival { packet: &packet, frame: bytes, file: 0 }, hint, &mut ear);
    }
    shard.drain(u32::MAX, &mut ear);
    (ear.records, ear.counters.get(Counter::TurnsSplitFlight))
}

/// A TCP segment between a client and a server of RFB, with its sequence and acknowledgement
/// numbers.
pub fn segment(server: bool, (next, expected): (u32, u32), flags: u8, payload: &[u8]) -> Vec<u8> {
    let ports: [u16; 2] = if server { [5_900, 40_000] } else { [40_000, 5_900] };
    let mut out: Vec<u8> = ports.into_iter().flat_map(u16::to_be_bytes).collect();
    out.extend(next.to_be_bytes());
    out.extend(expected.to_be_bytes());
    out.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    out.extend(payload);
    out
}
