//! Many clients of each class, and how many of them the estimate flags.
//!
//! Owns: how each class answers. In: a fixed sequence of random numbers. Out: assertions, and a
//! table on the console. Never: the laws of the estimate: answers are drawn from others.

use super::*;
use crate::model::Nanos;
use crate::model::lag::Lag;
use crate::model::latency::{Turn, Turns};

const CLIENTS: u64 = 400;
const SESSIONS: [u64; 5] = [1, 2, 4, 8, 16];
const LEG: f64 = 30.0;

/// Random numbers (Steele, Lea and Flood, OOPSLA 2014: `SplitMix64`).
struct Draw(u64);

impl Draw {
    /// Uniform, from 0 to 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.share()
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.share()).ln()
    }

    fn happens(&mut self, share: f64) -> bool {
        self.share() < share
    }

    /// A pause of a person or a page: 20 ms to 5 s, uniform in the logarithm.
    fn pause(&mut self) -> f64 {
        (self.between(20f64.ln(), 5_000f64.ln())).exp()
    }
}

/// A kind of client.
#[derive(Clone, Copy)]
struct Class {
    /// Its leg behind the address, in ms; 0 for none.
    hidden: (f64, f64),
    /// Computing before its first data, as a share of that before a handshake's answer.
    hello: (f64, f64),
    /// The proxy waits for it before the first data.
    commanded: bool,
    /// The proxy has Nagle's algorithm: some answers take the leg twice.
    nagle: bool,
    /// Computing before each full handshake's answer, in ms, and its spread.
    computing: (f64, f64),
    /// By how much its computing varies, as a share of itself.
    scatter: f64,
    /// It computes as long if it resumes.
    always: bool,
    /// Share of answers that a busy system delays, and by how much at the mean.
    busy: (f64, f64),
    /// Share of sessions that resume.
    resumes: f64,
    /// Share of later turns that wait for a page or a person.
    pauses: f64,
}

const DIRECT: Class = Class {
    hidden: (0.0, 0.0),
    hello: (0.0, 0.7),
    commanded: false,
    nagle: false,
    computing: (1.0, 2.0),
    scatter: 0.15,
    always: false,
    busy: (0.1, 40.0),
    resumes: 0.4,
    pauses: 0.5,
};
const BUSY: Class = Class { busy: (0.6, 80.0), ..DIRECT };
/// As clients that emulate another processor.
const SLOW: Class = Class { computing: (40.0, 160.0), busy: (0.3, 20.0), ..DIRECT };
/// A slow client whose user reads each page.
const SLOW_READER: Class = Class { pauses: 0.9, ..SLOW };
/// One that is slow in each handshake, resumed or not.
const SLOW_ALWAYS: Class = Class { always: true, pauses: 0.8, ..SLOW };
/// Those whose first data take about as long as their handshakes, and as evenly or unevenly as
/// emulated clients do.
const SLOW_EVENLY: Class = Class { hello: (0.7, 1.4), scatter: 0.3, ..SLOW };
const SLOW_EVENLY_ALWAYS: Class = Class { hello: (0.7, 1.4), scatter: 0.3, ..SLOW_ALWAYS };
const COMMANDED_READER: Class = Class { pauses: 0.9, ..COMMANDED };
const RELAYED: Class = Class { hidden: (60.0, 400.0), ..DIRECT };
const COMMANDED: Class = Class { commanded: true, ..RELAYED };
const NAGLE: Class = Class { nagle: true, ..COMMANDED };
const RELAYED_BUSY: Class = Class { busy: (0.5, 80.0), ..RELAYED };
const RELAYED_SLOW: Class = Class { computing: (40.0, 160.0), ..RELAYED };

impl Class {
    /// Exchanges of so many sessions of one client.
    fn sessions(&self, draw: &mut Draw, count: u64) -> Gathered {
        let hidden = draw.between(self.hidden.0, self.hidden.1);
        let computing = draw.between(self.computing.0, self.computing.1);
        let jitter = draw.between(0.0, 8.0);
        let hello = computing * draw.between(self.hello.0, self.hello.1);
        let mut gathered = Gathered::new();
        for salt in 0..count {
            let path = LEG + draw.exponential(jitter.max(0.1));
            let resumed = salt > 0 && draw.happens(self.resumes);
            let mut turns = Turns::default();
            let first = self.answer(draw, if self.commanded { hidden } else { 0.0 }, hello);
            push(&mut turns, Exchange::FirstData, path, first);
            let kind = if resumed { Exchange::TlsResumed } else { Exchange::Tls };
            let lag =
                self.answer(draw, hidden, if resumed && !self.always { 0.0 } else { computing });
            push(&mut turns, kind, path, lag);
            turns.lags.add(true, ns(path + lag), Lag::of(ns(lag)));
            for _ in 0..(draw.share() * 4.0) as u64 {
                let lag = match draw.share() {
                    share if share < self.pauses => hidden + draw.pause(),
                    // Data that were in flight already.
                    share if share > 0.9 && hidden > 0.0 => hidden * draw.share(),
                    _ => self.answer(draw, hidden, 0.0),
                };
                turns.lags.add(true, ns(path + lag), Lag::of(ns(lag)));
            }
            gathered.add(&turns, Some(ns(path).0), salt);
        }
        gathered
    }

    fn answer(&self, draw: &mut Draw, hidden: f64, computing: f64) -> f64 {
        let busy = if draw.happens(self.busy.0) { draw.exponential(self.busy.1) } else { 0.0 };
        let twice = if self.nagle && draw.happens(0.3) { hidden } else { 0.0 };
        let scatter = draw.exponential(self.scatter * computing + 1.0);
        hidden + twice + computing + scatter + busy
    }

    /// The share that is flagged after so many sessions.
    fn flagged(&self, sessions: u64) -> f64 {
        let mut draw = Draw(sessions);
        let legs = (0..CLIENTS).filter_map(|_| estimate(&self.sessions(&mut draw, sessions)));
        legs.filter(is_there).count() as f64 / CLIENTS as f64
    }
}

fn ns(ms: f64) -> Nanos {
    Nanos((ms * 1e6) as u64)
}

fn push(turns: &mut Turns, exchange: Exchange, path: f64, lag: f64) {
    let mut turn = Turn::new(exchange, true, ns(path + lag).0);
    turn.lag = Lag::of(ns(lag));
    turns.turns.push(turn);
}

#[test]
fn few_direct_clients_and_nearly_all_relayed_ones_are_flagged() {
    let classes = [
        ("direct", DIRECT, 0.0, 0.01),
        ("direct, busy", BUSY, 0.0, 0.01),
        ("direct, slow", SLOW, 0.0, 0.02),
        ("direct, slow, reads", SLOW_READER, 0.0, 0.04),
        ("direct, always slow", SLOW_ALWAYS, 0.0, 0.08),
        ("direct, evenly slow", SLOW_EVENLY, 0.0, 0.03),
        ("direct, evenly always slow", SLOW_EVENLY_ALWAYS, 0.0, 0.16),
        ("relayed", RELAYED, 0.9, 1.0),
        ("commanded", COMMANDED, 0.97, 1.0),
        ("commanded, reads", COMMANDED_READER, 0.9, 1.0),
        ("commanded, Nagle", NAGLE, 0.95, 1.0),
        ("relayed, busy", RELAYED_BUSY, 0.75, 1.0),
        ("relayed, slow", RELAYED_SLOW, 0.4, 1.0),
    ];
    let mut wrong = Vec::new();
    for (name, class, least, most) in classes {
        let shares = SESSIONS.map(|sessions| class.flagged(sessions));
        println!("{name:26} {shares:.3?}");
        // From four sessions on.
        if shares[2..].iter().any(|share| !(least..=most).contains(share)) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// As many slow clients as the model expects, a tenth, of all kinds, and a quarter busy ones.
#[test]
fn of_all_direct_clients_one_in_a_hundred_is_flagged() {
    let slow = [SLOW, SLOW_READER, SLOW_ALWAYS, SLOW_EVENLY, SLOW_EVENLY_ALWAYS];
    for sessions in SESSIONS {
        let of_slow = slow.map(|class| class.flagged(sessions)).iter().sum::<f64>() / 5.0;
        let others = 0.65 * DIRECT.flagged(sessions) + 0.25 * BUSY.flagged(sessions);
        let share = others + 0.1 * of_slow;
        println!("{sessions:2} sessions: {share:.4}");
        assert!(share <= 0.0105, "{sessions}: {share}");
    }
}
