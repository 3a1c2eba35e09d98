//! What the sizes of one direction's datagrams tell of the path that they take.
//!
//! Owns: the longest datagram, and the search of a sender for the path MTU. In: lengths and times.
//! Out: what certainly passed, and what did not. Never: grows, or takes a pause of the sender for
//! a loss.
//!
//! A sender that searches sends a longer datagram than usual, and uses that length from then on if
//! it was acknowledged (RFC 8899; RFC 9000 section 14.3). So a length that it fills several
//! datagrams in a row with has passed: no probe is sent more than three times. A longer one has not
//! if the sender still uses the shorter one a while later.

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

/// Sizes of the datagrams of one direction, with UDP headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// The longest, and the fingerprint of its payload.
    longest: u16,
    print: u16,
    /// The longest that filled several in a row; of fragmented datagrams, the longest first
    /// fragment.
    passed: u16,
    /// The shortest of the longer ones.
    above: u16,
    /// The last one; in its upper bits [`Sizes::RUN`] and the flags.
    last: u16,
    /// When one of more than `passed` was sent last.
    probed: u16,
}

impl Sizes {
    const LENGTH: u16 = 0x07ff;
    /// How many of the last length came in a row.
    const RUN: u16 = 0x3800;
    const RUN_AT: u32 = 11;
    /// A longer one did not pass.
    const FAILED: u16 = 0x4000;
    /// There were fragments.
    const FRAGMENTS: u16 = 0x8000;

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

    /// Notes a datagram that is not short; without a time only whether it is the longest.
    pub(crate) fn note(&mut self, payload_wire: u32, payload: &[u8], time: Option<Nanos>) {
        let bytes = payload_wire.saturating_add(8);
        if bytes > u32::from(self.longest)
            && let Ok(bytes) = u16::try_from(bytes)
            && let Some(print) = LongDatagram::print_of(payload)
        {
            (self.longest, self.print) = (bytes, print);
        }
        if bytes <= LONGEST
            && self.last & Sizes::FRAGMENTS == 0
            && let Some(time) = time
        {
            self.search(bytes as u16, tick(time));
        }
    }

    /// Notes the first fragment of a datagram.
    pub(crate) fn note_fragment(&mut self, payload_wire: u32) {
        let bytes = payload_wire.saturating_add(8);
        if !(LONG - 64..=LONGEST).contains(&bytes) {
            return;
        }
        if self.last & Sizes::FRAGMENTS == 0 {
            (self.passed, self.above, self.last) = (0, 0, Sizes::FRAGMENTS);
        }
        self.passed = self.passed.max(bytes as u16);
    }

    fn search(&mut self, bytes: u16, now: u16) {
        let again = bytes == self.last & Sizes::LENGTH;
        let run = (self.last & Sizes::RUN) >> Sizes::RUN_AT;
        let run = if again { (run + 1).min(RUN) } else { 1 };
        let mut failed = self.last & Sizes::FAILED;
        if bytes > self.passed {
            failed = 0;
            self.probed = now;
            self.above = if self.above == 0 { bytes } else { bytes.min(self.above) };
            if run == RUN {
                self.passed = bytes;
                // Of what was sent before, the longest is known.
                self.above = if self.longest > bytes { self.longest } else { 0 };
            }
        } else if bytes == self.passed
            && run == RUN
            && self.above > 0
            && now.wrapping_sub(self.probed) >= DECIDED
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
    pub(crate) const fn path(self, version: u8) -> Option<PathMtu> {
        let header = if version == 6 { 40 } else { 20 };
        if self.last & Sizes::FRAGMENTS != 0 {
            // All but the last have a multiple of eight bytes; IPv6 has a header for it.
            let at_least = self.passed + header + if version == 6 { 8 } else { 0 };
            return Some(PathMtu { at_least, below: at_least + 8, fragments: true });
        }
        if self.passed == 0 || self.last & Sizes::FAILED == 0 {
            return None;
        }
        let (at_least, below) = (self.passed + header, self.above + header);
        Some(PathMtu { at_least, below, fragments: false })
    }
}

/// A time in units of 2^24 ns, about a sixtieth of a second. It wraps around after 18 minutes.
const fn tick(time: Nanos) -> u16 {
    (time.0 >> 24) as u16
}

#[cfg(test)]
#[path = "sizes_tests.rs"]
mod tests;
