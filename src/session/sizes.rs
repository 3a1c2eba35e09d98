//! What the sizes of one direction's datagrams tell of the path that they take.
//!
//! Owns: the longest datagram; of a responder, the search of a sender for the path MTU; of an
//! initiator, its fragments. In: lengths and times.
//! Out: what certainly passed, and what did not. Never: grows, takes a pause of the sender for a
//! loss, or believes one packet.
//!
//! A sender that searches sends a longer datagram than usual, and uses that length from then on if
//! it was acknowledged (RFC 8899; RFC 9000 section 14.3). So a length that it fills several
//! datagrams in a row with has passed: no probe is sent more than three times. A longer one has not
//! if the sender still uses the shorter one a while later. Programs that send datagrams of one
//! length fill longer ones never, whatever passes: so the length must have grown.

use crate::model::Nanos;
use crate::model::facts::{LongDatagram, PathMtu};

/// Every link carries IP packets of 1,280 bytes (RFC 8200 section 5), so a longer UDP datagram.
const LONG: u32 = 1_280 - 20;
/// Longer ones than Ethernet carries are sent in fragments.
const LONGEST: u32 = 1_500 - 20;
/// So many datagrams of one length in a row are no probes: of those there are three at most (RFC
/// 8899 section 5.1.2).
const RUN: u16 = 4;
/// A probe is answered, or given up, within this time, in units of [`tick`]: 3 s, several of the
/// longest round trips.
const DECIDED: u16 = 180;
/// More than this many units ago is before: a time that was set back.
const BEFORE: u16 = 0x8000;
/// So many fragmented datagrams tell something: anybody can send one in the name of another.
const PROOF: u16 = 3;
/// They must be this far apart, in units of [`slow_tick`]: 60 s.
const APART: u16 = 56;

/// Sizes of the datagrams of one direction, with UDP headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// The longest, and the fingerprint of its payload.
    longest: u16,
    print: u16,
    /// The longest that filled several in a row, and [`Sizes::GREW`]; of fragmented datagrams, the
    /// first fragment.
    passed: u16,
    /// The shortest of the longer ones; beside fragments, the second longest datagram.
    above: u16,
    /// The last one; in its upper bits [`Sizes::RUN`] and the flags. Beside fragments, the third
    /// longest.
    last: u16,
    /// When one of more than `passed` was sent last; when the last fragments were counted.
    probed: u16,
}

impl Sizes {
    const LENGTH: u16 = 0x07ff;
    /// How many of the last length came in a row; how many more fragments agree than differ.
    const RUN: u16 = 0x3800;
    const RUN_AT: u32 = 11;
    /// The most that [`Sizes::RUN`] holds.
    const RUN_MAX: u16 = 7;
    /// A longer one did not pass; of fragments, that there were enough.
    const FAILED: u16 = 0x4000;
    /// The direction is an initiator's: its fragments are counted, and no search.
    const FRAGMENTS: u16 = 0x8000;
    /// In `passed`: something shorter filled several in a row before.
    const GREW: u16 = 0x8000;

    /// From three words of memory.
    pub(crate) const fn of([longest, passed, last]: [u32; 3]) -> Sizes {
        Sizes {
            longest: (longest >> 16) as u16,
            print: longest as u16,
            passed: (passed >> 16) as u16,
            above: passed as u16,
            last: (last >> 16) as u16,
            probed: last as u16,
        }
    }

    /// The same as three words.
    pub(crate) const fn words(self) -> [u32; 3] {
        const fn word(high: u16, low: u16) -> u32 {
            (high as u32) << 16 | low as u32
        }
        let Sizes { longest, print, passed, above, last, probed } = self;
        [word(longest, print), word(passed, above), word(last, probed)]
    }

    /// Whether a datagram of so much payload tells nothing.
    pub(crate) const fn is_short(payload_wire: u32) -> bool {
        payload_wire.saturating_add(8) <= LONG
    }

    /// Notes a responder's datagram that is not short; without a time only whether it is the
    /// longest.
    pub(crate) fn note(&mut self, payload_wire: u32, payload: &[u8], time: Option<Nanos>) {
        let bytes = payload_wire.saturating_add(8);
        self.note_longest(bytes, payload);
        if self.last & Sizes::FRAGMENTS != 0 {
            // The ends were taken for each other before.
            (self.passed, self.above, self.last, self.probed) = (0, 0, 0, 0);
        }
        if bytes <= LONGEST
            && let Some(time) = time
        {
            self.search(bytes as u16, tick(time));
        }
    }

    /// Notes an initiator's datagram that is not short and came whole: the three longest are kept.
    pub(crate) fn note_whole(&mut self, payload_wire: u32, payload: &[u8]) {
        self.expect_fragments();
        let bytes = payload_wire.saturating_add(8);
        let before = self.longest;
        let mut next = bytes.min(u32::from(Sizes::LENGTH)) as u16;
        if self.note_longest(bytes, payload) {
            next = before.min(Sizes::LENGTH);
        }
        let third = self.last & Sizes::LENGTH;
        let third = if next > self.above { self.above } else { third.max(next) };
        self.above = self.above.max(next);
        self.last = self.last & !Sizes::LENGTH | third;
    }

    /// Notes the first fragment of an initiator's datagram that is complete.
    ///
    /// Somebody else may have sent it. So it counts if another of the same length came a minute
    /// before, and each of another length takes one away.
    pub(crate) fn note_fragment(&mut self, payload_wire: u32, time: Nanos) {
        let bytes = payload_wire.saturating_add(8);
        // Shorter ones cannot be compared with what came whole.
        if !(LONG + 1..=LONGEST).contains(&bytes) {
            return;
        }
        self.expect_fragments();
        let now = slow_tick(time);
        let count = (self.last & Sizes::RUN) >> Sizes::RUN_AT;
        if count > 0 && !(APART..BEFORE).contains(&now.wrapping_sub(self.probed)) {
            return;
        }
        self.probed = now;
        let mut enough = self.last & Sizes::FAILED;
        let count = match count {
            0 => {
                self.passed = bytes as u16;
                1
            }
            _ if self.passed == bytes as u16 => (count + 1).min(Sizes::RUN_MAX),
            _ => count - 1,
        };
        if count == 0 {
            enough = 0;
        } else if count >= PROOF {
            enough = Sizes::FAILED;
        }
        let kept = self.last & (Sizes::LENGTH | Sizes::FRAGMENTS);
        self.last = kept | count << Sizes::RUN_AT | enough;
    }

    fn expect_fragments(&mut self) {
        if self.last & Sizes::FRAGMENTS == 0 {
            (self.passed, self.above, self.last, self.probed) = (0, 0, Sizes::FRAGMENTS, 0);
        }
    }

    /// Whether the datagram is the longest so far.
    fn note_longest(&mut self, bytes: u32, payload: &[u8]) -> bool {
        if bytes > u32::from(self.longest)
            && let Ok(bytes) = u16::try_from(bytes)
            && let Some(print) = LongDatagram::print_of(payload)
        {
            (self.longest, self.print) = (bytes, print);
            return true;
        }
        false
    }

    fn search(&mut self, bytes: u16, now: u16) {
        let again = bytes == self.last & Sizes::LENGTH;
        let run = (self.last & Sizes::RUN) >> Sizes::RUN_AT;
        let run = if again { (run + 1).min(RUN) } else { 1 };
        let mut failed = self.last & Sizes::FAILED;
        let passed = self.passed & Sizes::LENGTH;
        if bytes > passed {
            failed = 0;
            self.probed = now;
            self.above = if self.above == 0 { bytes } else { bytes.min(self.above) };
            if run == RUN {
                self.passed = bytes | if passed > 0 { Sizes::GREW } else { 0 };
                // Of what was sent before, the longest is known; beyond Ethernet nothing is told.
                let fits = self.longest > bytes && u32::from(self.longest) <= LONGEST;
                self.above = if fits { self.longest } else { 0 };
            }
        } else if bytes == passed
            && run == RUN
            && self.above > 0
            && (DECIDED..BEFORE).contains(&now.wrapping_sub(self.probed))
        {
            failed = Sizes::FAILED;
        }
        self.last = bytes | run << Sizes::RUN_AT | failed;
    }

    /// UDP length and fingerprint of the longest datagram, if not every link carries that.
    pub(crate) fn longest(self) -> Option<(u16, u16)> {
        (self.longest > 0).then_some((self.longest, self.print))
    }

    /// What the path carries, by a version of IP. It is about probes only if the sender probes.
    pub(crate) fn path(self, version: u8) -> Option<PathMtu> {
        let header = if version == 6 { 40 } else { 20 };
        let passed = self.passed & Sizes::LENGTH;
        if passed == 0 || self.last & Sizes::FAILED == 0 {
            return None;
        }
        if self.last & Sizes::FRAGMENTS != 0 {
            // All but the last have a multiple of eight bytes; IPv6 has a header for it.
            let header = if version == 6 { header + 8 } else { header };
            let at_least = passed.saturating_add(header);
            let path = PathMtu { at_least, below: at_least.saturating_add(8), fragments: true };
            // A link that carries longer ones whole did not cut these. Three, for the same reason.
            let refuted = self.last & Sizes::LENGTH >= passed.saturating_add(8);
            return (!refuted).then_some(path);
        }
        let path = PathMtu {
            at_least: passed.saturating_add(header),
            below: self.above.saturating_add(header),
            fragments: false,
        };
        (self.passed & Sizes::GREW != 0).then_some(path)
    }
}

/// A time in units of 2^24 ns, about a sixtieth of a second. It wraps around after 18 minutes.
const fn tick(time: Nanos) -> u16 {
    (time.0 >> 24) as u16
}

/// A time in units of 2^30 ns, about a second. It wraps around after 19 hours.
const fn slow_tick(time: Nanos) -> u16 {
    (time.0 >> 30) as u16
}

#[cfg(test)]
#[path = "sizes_tests.rs"]
mod tests;
