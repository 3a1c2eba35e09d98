//! Sums that tell control from a screen: sizes and rates of messages of both sides.
//!
//! Owns: sums, and two small histograms of each side. In: packets of one session. Out:
//! [`InteractionSums`]. Never: grows, allocates, or keeps payload.
//!
//! Over TCP a message ends with PSH (RFC 9293 section 3.9.1.2) or a segment shorter than the
//! longest of its side. In sessions with STUN the first byte tells media from DTLS (RFC 7983), also
//! within ChannelData of TURN (RFC 8656 section 12.4).

use crate::model::interaction::{InteractionSums, SideSums};
use crate::model::{Nanos, Peer, TcpFlags};
use crate::session::lasting::bulk::Bulk;
use crate::session::lasting::{PacketObserver, Passed};
use crate::wire::multiplexed::{Content, Multiplexed};

/// Larger messages are hardly input: of the control bytes of AnyDesk, RDP and VNC at most 35 % are
/// in those.
const BIG: u32 = 250;
/// A data channel's acknowledgements are shorter: SCTP's SACK of 16 bytes and its common header of
/// 12 (RFC 9260 section 3.3.4), in a DTLS record with up to 37 bytes of its own (RFC 6347 section
/// 4.1, GCM or CBC).
const SACK_MAX: u32 = 60;
/// Half a second without input is a pause.
const PAUSE_MS: u32 = 500;
/// Sizes: four buckets an octave from 8 to 512 bytes, one below, one above.
const SIZES: usize = 26;
/// Rates: one bucket each up to 16 a second, then two an octave up to 128.
const RATES: usize = 22;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It may carry input.
    Input,
    /// Media, checks, or acknowledgements.
    Other,
}

/// A histogram that halves itself rather than overflow: recent messages count for more then.
#[derive(Clone, Copy, Debug)]
struct Histogram<const N: usize>([u16; N]);

impl<const N: usize> Histogram<N> {
    fn add(&mut self, bucket: usize) {
        let Some(count) = self.0.get_mut(bucket) else { return };
        *count += 1;
        if *count == u16::MAX {
            self.0.iter_mut().for_each(|count| *count /= 2);
        }
    }

    /// The bucket below which this many of a hundred lie.
    fn quantile(&self, percent: u64) -> Option<usize> {
        let total: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        let mut left = (total * percent).div_ceil(100).max(1);
        self.0.iter().position(|count| {
            let here = u64::from(*count);
            let found = here >= left;
            left = left.saturating_sub(here);
            found
        })
    }
}

/// The bucket of a size.
const fn size_bucket(size: u32) -> usize {
    if size < 8 {
        return 0;
    }
    if size >= 512 {
        return SIZES - 1;
    }
    let octave = size.ilog2();
    let quarter = ((size - (1 << octave)) * 4) >> octave;
    (1 + (octave - 3) * 4 + quarter) as usize
}

/// The middle of a bucket of sizes.
const fn size_of_bucket(bucket: usize) -> u32 {
    if bucket == 0 {
        return 4;
    }
    if bucket >= SIZES - 1 {
        return 512;
    }
    let (octave, quarter) = ((bucket as u32 - 1) / 4 + 3, (bucket as u32 - 1) % 4);
    let step = (1u32 << octave) / 4;
    (1 << octave) + quarter * step + step / 2
}

/// The bucket of a rate, at least 1.
const fn rate_bucket(rate: u32) -> usize {
    if rate <= 16 {
        return rate.saturating_sub(1) as usize;
    }
    if rate >= 128 {
        return RATES - 1;
    }
    let octave = rate.ilog2();
    let half = ((rate - (1 << octave)) * 2) >> octave;
    (16 + (octave - 4) * 2 + half - 1) as usize
}

/// The lower end of a bucket of rates.
const fn rate_of_bucket(bucket: usize) -> u32 {
    if bucket < 16 {
        return bucket as u32 + 1;
    }
    let over = bucket as u32 - 15;
    let octave = over / 2 + 4;
    (1 << octave) + (over % 2) * (1 << octave) / 2
}

/// One side.
#[derive(Clone, Copy, Debug)]
struct Side {
    bytes: u64,
    input_bytes: u64,
    big_bytes: u64,
    inputs: u32,
    messages: u32,
    /// Bytes of a message over TCP that has not ended.
    pending: u32,
    /// The second of the latest input, and how many it has so far.
    second: u32,
    in_second: u32,
    active: u32,
    pauses: u32,
    repeats: u32,
    /// When the latest input came, in milliseconds after the first message.
    latest_ms: u32,
    /// A size, and by how many messages it outnumbers all others (Boyer and Moore, MJRTY).
    majority: (u16, u32),
    /// Its longest segment.
    longest: u16,
    sizes: Histogram<SIZES>,
    rates: Histogram<RATES>,
}

impl Side {
    const NONE: Side = Side {
        bytes: 0,
        input_bytes: 0,
        big_bytes: 0,
        inputs: 0,
        messages: 0,
        pending: 0,
        second: 0,
        in_second: 0,
        active: 0,
        pauses: 0,
        repeats: 0,
        latest_ms: 0,
        majority: (0, 0),
        longest: 0,
        sizes: Histogram([0; SIZES]),
        rates: Histogram([0; RATES]),
    };

    /// Adds an input message of a size, so many milliseconds after the first message.
    fn input(&mut self, size: u32, at_ms: u32) {
        self.input_bytes += u64::from(size);
        if size > BIG {
            self.big_bytes += u64::from(size);
        }
        self.sizes.add(size_bucket(size));
        self.note_majority(u16::try_from(size).unwrap_or(u16::MAX));
        if self.inputs > 0 && at_ms >= self.latest_ms.saturating_add(PAUSE_MS) {
            self.pauses = self.pauses.saturating_add(1);
        }
        self.inputs = self.inputs.saturating_add(1);
        self.latest_ms = self.latest_ms.max(at_ms);
        let second = at_ms / 1_000;
        // What comes out of order counts in the second that is open.
        if self.in_second > 0 && second > self.second {
            self.rates.add(rate_bucket(self.in_second));
            self.in_second = 0;
        }
        if self.in_second == 0 {
            self.active = self.active.saturating_add(1);
            self.second = second;
        }
        self.in_second = self.in_second.saturating_add(1);
    }

    fn note_majority(&mut self, size: u16) {
        match &mut self.majority {
            (known, lead) if *known == size => *lead = lead.saturating_add(1),
            (known, lead @ 0) => (*known, *lead) = (size, 1),
            (_, lead) => *lead -= 1,
        }
    }

    fn sums(&self) -> SideSums {
        let mut rates = self.rates;
        if self.in_second > 0 {
            rates.add(rate_bucket(self.in_second));
        }
        let lead = f64::from(self.majority.1) / f64::from(self.inputs.max(1));
        SideSums {
            bytes: self.bytes,
            input_bytes: self.input_bytes,
            big_bytes: self.big_bytes,
            inputs: self.inputs,
            messages: self.messages,
            median_bytes: self.sizes.quantile(50).map_or(0, size_of_bucket),
            p90_pps: rates.quantile(90).map_or(0, rate_of_bucket),
            active_s: self.active,
            pauses: self.pauses,
            repeats: self.repeats,
            one_size: if self.inputs == 0 { 0.0 } else { (1.0 + lead) / 2.0 },
        }
    }
}

/// Sums of both sides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InteractionObserver {
    initiator: Side,
    responder: Side,
    /// The time of the first message, in milliseconds.
    first_ms: Option<u64>,
    /// The latest, after that.
    latest_ms: u32,
    /// Who sent the latest message.
    from: Option<Peer>,
    /// STUN was seen: first bytes tell what a datagram is.
    real_time: bool,
}

impl InteractionObserver {
    pub(super) const NONE: InteractionObserver = InteractionObserver {
        initiator: Side::NONE,
        responder: Side::NONE,
        first_ms: None,
        latest_ms: 0,
        from: None,
        real_time: false,
    };

    /// The sums, once messages passed.
    pub(crate) fn result(&self) -> Option<InteractionSums> {
        self.first_ms?;
        Some(InteractionSums {
            initiator: self.initiator.sums(),
            responder: self.responder.sums(),
            span_ms: self.latest_ms.into(),
            real_time: self.real_time,
        })
    }

    /// Whether a segment ends a message over TCP.
    #[inline]
    pub(super) const fn ends(passed: &Passed<'_>, longest: u16) -> bool {
        passed.flags.has(TcpFlags::PSH) || passed.payload < longest as u32
    }

    /// Whether a side has sent a power of two of messages, `least` or more, and less than the
    /// other one.
    pub(super) const fn is_shown_to(&self, side: Peer, least: u32) -> bool {
        let (own, other) = match side {
            Peer::Initiator => (&self.initiator, &self.responder),
            Peer::Responder => (&self.responder, &self.initiator),
        };
        own.inputs >= least && own.inputs.is_power_of_two() && own.bytes <= other.bytes
    }

    /// The longest segment of a side.
    pub(super) const fn longest(&self, side: Peer) -> u16 {
        match side {
            Peer::Initiator => self.initiator.longest,
            Peer::Responder => self.responder.longest,
        }
    }

    const fn side(&mut self, side: Peer) -> &mut Side {
        match side {
            Peer::Initiator => &mut self.initiator,
            Peer::Responder => &mut self.responder,
        }
    }

    /// Milliseconds since the first message.
    fn note_time(&mut self, time: Nanos) -> u32 {
        let ms = time.0 / 1_000_000;
        let first = *self.first_ms.get_or_insert(ms);
        let at = u32::try_from(ms.saturating_sub(first)).unwrap_or(u32::MAX);
        self.latest_ms = self.latest_ms.max(at);
        at
    }

    /// What a datagram is. Before STUN was seen anything may be input.
    fn kind(&mut self, content: &Content<'_>) -> Kind {
        use Multiplexed::{Data, Handshake, Media, Stun};
        match content.kind {
            Stun => {
                self.real_time = true;
                Kind::Other
            }
            Handshake | Data if self.real_time && content.size <= SACK_MAX => Kind::Other,
            Media if self.real_time => Kind::Other,
            _ => Kind::Input,
        }
    }
}

impl PacketObserver for InteractionObserver {
    fn see(&mut self, passed: &Passed<'_>, content: &Content<'_>) {
        let Some(time) = passed.time else { return };
        let (channel, length) = (content.in_channel, content.size);
        let mut kind = Kind::Input;
        if channel || !passed.tcp || content.kind == Multiplexed::Stun {
            kind = self.kind(content);
        }
        let (at, before) = (self.note_time(time), self.from);
        let side = self.side(passed.from);
        side.bytes += u64::from(passed.payload);
        let mut size = length;
        if passed.tcp && !channel {
            let segment = u16::try_from(length).unwrap_or(u16::MAX);
            side.longest = side.longest.max(segment);
            side.pending = side.pending.saturating_add(length);
            if !InteractionObserver::ends(passed, side.longest) {
                return;
            }
            size = std::mem::take(&mut side.pending);
        }
        side.messages = side.messages.saturating_add(1);
        if kind == Kind::Input {
            let again = before == Some(passed.from);
            side.repeats += u32::from(again);
            side.input(size, at);
            self.from = Some(passed.from);
        }
    }

    /// None of them ends its message.
    fn add(&mut self, bulk: &Bulk) {
        self.note_time(bulk.last);
        let side = self.side(bulk.from);
        let bytes = u32::try_from(bulk.bytes).unwrap_or(u32::MAX);
        side.bytes += bulk.bytes;
        side.pending = side.pending.saturating_add(bytes);
    }

    fn turn(&mut self) {
        std::mem::swap(&mut self.initiator, &mut self.responder);
        self.from = self.from.map(Peer::other);
    }
}

#[cfg(test)]
#[path = "interaction_tests.rs"]
mod tests;
