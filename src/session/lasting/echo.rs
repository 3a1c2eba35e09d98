//! How long echoes of keystrokes take behind the acknowledgement of the same keystrokes.
//!
//! Owns: one keystroke that waits for its echo, a histogram of lags. In: packets of one session
//! over TCP. Out: [`Echo`]. Never: grows, or takes an echo that carries the acknowledgement itself.
//!
//! The server's own system acknowledges a keystroke, whoever has to echo it. Where the session goes
//! on to another host, the echo comes from there: it is late by the rest of the way (Yung,
//! "Detecting Long Connection Chains of Interactive Terminal Sessions", 2002). Only a keystroke
//! after a silence counts, since the next answer is then its own, and only the initiator's.

use crate::model::interaction::Echo;
use crate::model::{Nanos, Peer};
use crate::session::lasting::bulk::Bulk;
use crate::session::lasting::{PacketObserver, Passed};
use crate::wire::multiplexed::Content;

/// The largest keystroke, and the largest echo: what a command prints is neither.
const SMALL: u32 = 260;
/// Silence of both sides before a keystroke.
const SILENCE_NS: u64 = 250_000_000;
/// Four classes of lags an octave, from 2 ms to 4 s.
const CLASSES: usize = 44;
const FIRST_OCTAVE: u32 = 21;

/// The observer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EchoObserver {
    /// The time of the keystroke that waits; 0 if none does.
    asked: Nanos,
    /// The latest payload of either side.
    latest: Nanos,
    /// Packets of the responder before its echo.
    packets: u32,
    /// Echoes behind a separate acknowledgement, and those that carried it.
    apart: u16,
    together: u16,
    lags: [u8; CLASSES],
}

impl EchoObserver {
    pub(super) const NONE: EchoObserver = EchoObserver {
        asked: Nanos(0),
        latest: Nanos(0),
        packets: 0,
        apart: 0,
        together: 0,
        lags: [0; CLASSES],
    };

    /// The median, once there is one.
    pub(crate) fn result(&self) -> Option<Echo> {
        let all: u32 = self.lags.iter().map(|n| u32::from(*n)).sum();
        let mut below = 0;
        for (class, n) in self.lags.iter().enumerate() {
            let n = u32::from(*n);
            if n > 0 && (below + n) * 2 >= all {
                let part = (f64::from(all) / 2.0 - f64::from(below)) / f64::from(n);
                let (from, to) = (lower(class), lower(class + 1));
                let median_ns = from + ((to - from) as f64 * part) as u64;
                let (samples, together) = (self.apart.into(), self.together.into());
                return Some(Echo { median_ns, samples, together });
            }
            below += n;
        }
        None
    }

    fn echoed(&mut self, lag: u64, packets: u32) {
        // With the echo itself two: the other one acknowledged the keystroke.
        if packets.wrapping_sub(self.packets) < 2 {
            self.together = self.together.saturating_add(1);
            return;
        }
        let Some(count) = class(lag).and_then(|class| self.lags.get_mut(class)) else { return };
        *count += 1;
        if *count == u8::MAX {
            self.lags.iter_mut().for_each(|count| *count /= 2);
        }
        self.apart = self.apart.saturating_add(1);
    }
}

/// The class of a lag; none of a longer one. All below the first one are in it.
fn class(lag: u64) -> Option<usize> {
    let octave = lag.max(1).ilog2().max(FIRST_OCTAVE);
    let quarter = (lag >> (octave - 2)) & 3;
    let class = (octave - FIRST_OCTAVE) as usize * 4 + quarter as usize;
    (class < CLASSES).then_some(class)
}

/// Where a class begins.
const fn lower(class: usize) -> u64 {
    let (octave, quarter) = (class as u32 / 4 + FIRST_OCTAVE, class as u64 % 4);
    if class == 0 { 0 } else { (4 + quarter) << (octave - 2) }
}

impl PacketObserver for EchoObserver {
    fn see(&mut self, passed: &Passed<'_>, _: &Content<'_>) {
        let Some(time) = passed.time.filter(|_| passed.tcp) else { return };
        let asked = std::mem::take(&mut self.asked);
        let silent = time.0.saturating_sub(self.latest.0) >= SILENCE_NS;
        self.latest = self.latest.max(time);
        let small = passed.payload <= SMALL;
        match passed.from {
            Peer::Initiator if asked != Nanos(0) => self.asked = asked,
            Peer::Initiator if silent && small => {
                (self.asked, self.packets) = (time, passed.answers);
            }
            Peer::Responder if asked != Nanos(0) && small => {
                self.echoed(time.0.saturating_sub(asked.0), passed.answers);
            }
            _ => {}
        }
    }

    /// None of them is a keystroke or an echo.
    fn add(&mut self, bulk: &Bulk) {
        self.latest = self.latest.max(bulk.last);
        self.asked = Nanos(0);
    }

    /// What was counted is of the other side.
    fn turn(&mut self) {
        *self = EchoObserver { latest: self.latest, ..EchoObserver::NONE };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TcpFlags;

    /// Packets of the responder so far, and the observer.
    struct Bench(u32, EchoObserver);

    impl Bench {
        fn see(&mut self, from: Peer, ms: u64, payload: u32) {
            self.0 += u32::from(from == Peer::Responder);
            let (time, flags) = (Some(Nanos(ms * 1_000_000)), TcpFlags(TcpFlags::PSH));
            let passed =
                Passed { from, time, tcp: true, payload, bytes: &[], flags, answers: self.0 };
            self.1.see(&passed, &Content::of(&[], payload));
        }

        /// A keystroke and its echo.
        fn pair(&mut self, at: u64, acknowledged: bool, lag: u64) {
            self.see(Peer::Initiator, at, 36);
            self.0 += u32::from(acknowledged);
            self.see(Peer::Responder, at + lag, 36);
        }
    }

    fn bench() -> Bench {
        Bench(7, EchoObserver::NONE)
    }

    #[test]
    fn the_median_is_of_echoes_behind_a_separate_acknowledgement() {
        let mut seen = bench();
        for n in 0..100 {
            seen.pair(1_000 + n * 1_000, true, 140 + n % 21);
            seen.pair(1_500 + n * 1_000, false, 30);
        }
        let echo = seen.1.result().unwrap();
        assert_eq!((echo.samples, echo.together), (100, 100));
        let ms = echo.median_ns as f64 / 1e6;
        assert!((135.0..168.0).contains(&ms), "{ms}");
        seen.1.turn();
        assert_eq!(seen.1.result(), None);
    }

    #[test]
    fn a_key_while_something_passes_and_what_a_command_prints_do_not_count() {
        let mut seen = bench();
        // Without silence before it.
        seen.see(Peer::Responder, 1_000, 100);
        seen.pair(1_100, true, 50);
        // A large answer, then a small one that belongs to nothing.
        seen.see(Peer::Initiator, 3_000, 36);
        seen.0 += 1;
        seen.see(Peer::Responder, 3_050, 900);
        seen.see(Peer::Responder, 3_060, 36);
        // A paste; a datagram has no acknowledgement.
        seen.see(Peer::Initiator, 5_000, 900);
        seen.see(Peer::Responder, 5_050, 36);
        assert_eq!(seen.1.result(), None);
        // The second key of two in transit waits for nothing of its own.
        seen.see(Peer::Initiator, 7_000, 36);
        seen.see(Peer::Initiator, 7_100, 36);
        seen.0 += 1;
        seen.see(Peer::Responder, 7_200, 36);
        seen.see(Peer::Responder, 7_300, 36);
        let echo = seen.1.result().unwrap();
        assert_eq!(echo.samples, 1);
        assert!((176..=224).contains(&(echo.median_ns / 1_000_000)), "{echo:?}");
    }

    #[test]
    fn classes_hold_their_own_lower_end() {
        for at in 0..CLASSES {
            assert_eq!(class(lower(at)), Some(at));
            assert_eq!(class(lower(at + 1) - 1), Some(at));
        }
        assert_eq!(class(lower(CLASSES)), None);
        assert_eq!(class(0), Some(0));
    }
}
