//! The pcapng format: sections of blocks, several interfaces each with its own clock resolution.
//!
//! Owns: the current section's byte order and interfaces (capped at 65,535). In: bytes at a block's
//! start. Out: [`Step`]. Never: I/O.
//!
//! Source: draft-ietf-opsawg-pcapng, section numbers below are of revision 02.

use crate::capture::block::MAX_FRAME;
use crate::capture::drops::{Drops, ReportedLosses};
use crate::capture::pcap::normal_link;
use crate::capture::step::{MAX_NEED, Order, RawFrame, Step};
use crate::model::{Grain, LinkType, Nanos};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET_OBSOLETE: u32 = 2;
const PACKET_SIMPLE: u32 = 3;
const STATISTICS: u32 = 5;
const PACKET_ENHANCED: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const OPTION_COMMENT: u16 = 1;
const OPTION_TSRESOL: u16 = 9;
const OPTION_TSOFFSET: u16 = 14;

/// Frames carry the interface number in 16 bits.
const MAX_INTERFACES: usize = 65_535;

/// How one unit of an interface's clock becomes nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution {
    /// Units of this many nanoseconds.
    Times(u64),
    /// This many units make a nanosecond.
    Over(u64),
    /// Units of 2^-n seconds.
    Binary(u8),
}

impl Resolution {
    /// From the value of if_tsresol (section 4.2): the high bit tells powers of 2 from powers of
    /// 10.
    fn of(option: u8) -> Resolution {
        let exponent = option & 0x7f;
        match (option & 0x80 != 0, exponent) {
            (true, n) => Resolution::Binary(n),
            (false, n @ 0..=9) => Resolution::Times(10u64.pow(9 - u32::from(n))),
            // From 10^-29 s on, all 2^64 units together are less than a nanosecond.
            (false, n) => match 10u64.checked_pow(u32::from(n) - 9) {
                Some(units) => Resolution::Over(units),
                None => Resolution::Times(0),
            },
        }
    }

    /// The interval between two adjacent readings.
    #[inline]
    fn grain(self) -> Grain {
        match self {
            Resolution::Times(0) => Grain::USELESS,
            Resolution::Times(n) => Grain::of(n),
            Resolution::Over(_) => Grain::default(),
            Resolution::Binary(n) => Grain::of(1_000_000_000 >> n.min(63)),
        }
    }

    #[inline]
    fn nanos(self, units: u64) -> Option<u64> {
        match self {
            Resolution::Times(n) => units.checked_mul(n),
            Resolution::Over(n) => Some(units / n),
            // 2^64 * 10^9 < 2^94 and the shift is at most 127: nothing is lost.
            Resolution::Binary(n) => u64::try_from((u128::from(units) * 1_000_000_000) >> n).ok(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SectionInterface {
    link: LinkType,
    /// 0 means no limit.
    snap_len: u32,
    resolution: Resolution,
    offset_secs: i64,
    /// The losses reported for it.
    losses: ReportedLosses,
}

impl SectionInterface {
    #[inline]
    fn time(&self, high: u32, low: u32) -> Option<Nanos> {
        let nanos = self.resolution.nanos(u64::from(high) << 32 | u64::from(low))?;
        if self.offset_secs == 0 {
            return Some(Nanos(nanos));
        }
        let moved = i128::from(nanos) + i128::from(self.offset_secs) * 1_000_000_000;
        u64::try_from(moved).ok().map(Nanos)
    }
}

/// The reader's state in a pcapng file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<SectionInterface>,
    /// Simple packets carry no time; they get the time of the frame before.
    last: Nanos,
    /// Frames whose time cannot be expressed in nanoseconds since 1970; treated like simple
    /// packets.
    untimed: u64,
    /// Blocks whose lengths break the format's rules but which were read.
    odd: u64,
    /// Losses reported in earlier sections.
    lost: Drops,
}

/// Whether a file with this start is a pcapng file.
pub(super) fn is_pcapng(magic: [u8; 4]) -> bool {
    u32::from_le_bytes(magic) == SECTION
}

impl Pcapng {
    /// The state before the first section header, which sets the byte order.
    pub(super) fn new() -> Pcapng {
        let (order, lost) = (Order::Little, Drops::default());
        Pcapng { order, interfaces: Vec::new(), last: Nanos::ZERO, untimed: 0, odd: 0, lost }
    }

    /// The losses reported so far.
    pub(super) fn drops(&self) -> Drops {
        let mut drops = self.lost;
        self.interfaces.iter().for_each(|interface| drops.add(interface.losses));
        drops
    }

    /// Frames that got the time of the frame before, because theirs was impossible.
    pub(super) fn untimed(&self) -> u64 {
        self.untimed
    }

    /// Blocks that were read although their lengths break the format's rules.
    pub(super) fn odd(&self) -> u64 {
        self.odd
    }

    /// Classifies the block at the start of `rest`. A section or interface block takes effect here,
    /// so [`Step::Skip`] is returned only once all of it is present.
    #[inline]
    pub(super) fn step(&mut self, rest: &[u8]) -> Step {
        let Some(head) = rest.first_chunk::<12>() else { return Step::NeedMore(12) };
        let kind = self.order.word(head, 0);
        if kind == SECTION {
            // The type is the same in both byte orders; the third word shows which one this section
            // uses.
            let Some(order) = byte_order(head) else {
                return Step::Malformed("a section header without its byte order magic");
            };
            self.order = order;
        }
        let len = self.order.word(head, 1);
        if len < 12 {
            return Step::Malformed("a block length below 12");
        }
        if !is_known(kind) && len.is_multiple_of(4) {
            return Step::Skip(u64::from(len));
        }
        let whole = match self.whole(rest, len) {
            Ok(whole) => whole,
            Err(stop) => return stop,
        };
        let body = rest.get(8..(whole as usize - 4).min(rest.len())).unwrap_or_default();
        self.read(kind, body, whole)
    }

    /// Reads the body of a block of `len` bytes.
    #[inline]
    fn read(&mut self, kind: u32, body: &[u8], len: u32) -> Step {
        match kind {
            PACKET_ENHANCED => self.enhanced(body, len),
            SECTION => self.section(body, len),
            INTERFACE => self.interface(body, len),
            PACKET_SIMPLE => self.simple(body, len),
            STATISTICS => self.statistics(body, len),
            PACKET_OBSOLETE => self.obsolete(body, len),
            _ => Step::Skip(u64::from(len)),
        }
    }

    /// Requires the whole block, and compares its two lengths. A block too long to buffer is
    /// refused; blocks of the known types need not be that long.
    #[inline]
    fn whole(&mut self, rest: &[u8], len: u32) -> Result<u32, Step> {
        let whole = len as usize;
        if whole > MAX_NEED {
            return Err(Step::Malformed("a block longer than any packet"));
        }
        let Some(block) = rest.get(..whole) else { return Err(Step::NeedMore(whole)) };
        let trailer = block.last_chunk().map_or(0, |b| self.order.u32(*b));
        if trailer == len && len.is_multiple_of(4) { Ok(len) } else { self.odd_lengths(rest, len) }
    }

    /// A block with wrong lengths. A length must be a multiple of 4 (section 3.1). If it is not,
    /// the padding is either missing, or present but not counted, as the second length tells. If
    /// the second length of a packet block is something else, the packet's own length decides.
    #[cold]
    fn odd_lengths(&mut self, rest: &[u8], len: u32) -> Result<u32, Step> {
        let padded = len.next_multiple_of(4);
        let order = self.order;
        let ends_with_it = |whole: u32| {
            let block = rest.get(..whole as usize);
            block.and_then(|block| block.last_chunk()).is_some_and(|b| order.u32(*b) == len)
        };
        let whole = if ends_with_it(len) {
            len
        } else if rest.len() < padded as usize {
            return Err(Step::NeedMore(padded as usize));
        } else if ends_with_it(padded) {
            padded
        } else if len == padded && self.holds_its_packet(rest, len) {
            len
        } else {
            return Err(Step::Malformed("the two lengths of a block differ"));
        };
        self.odd = self.odd.saturating_add(1);
        Ok(whole)
    }

    /// Whether a block contains a packet that fills it, or leaves room for well-formed options.
    fn holds_its_packet(&self, rest: &[u8], len: u32) -> bool {
        let kind = self.order.word(rest, 0);
        if !matches!(kind, PACKET_ENHANCED | PACKET_OBSOLETE) {
            return false;
        }
        let captured = self.order.word(rest, 5) as usize;
        let Some(behind) = captured.checked_next_multiple_of(4).map(|n| n.saturating_add(28))
        else {
            return false;
        };
        let Some(mut options) = rest.get(behind..(len as usize).saturating_sub(4)) else {
            return false;
        };
        while let Some((_, _, next)) = self.option(options) {
            options = next;
        }
        options.is_empty() || options == [0; 4]
    }

    fn section(&mut self, body: &[u8], len: u32) -> Step {
        // Byte order magic, versions and section length: section 4.1.
        if body.len() < 16 {
            return Step::Malformed("a section header shorter than its fixed part");
        }
        let major = body.get(4..).and_then(|b| b.first_chunk()).map_or(0, |b| self.order.u16(*b));
        if major != 1 {
            return Step::Malformed("a section of a version of the format other than 1");
        }
        self.lost = self.drops();
        self.interfaces.clear();
        Step::Skip(u64::from(len))
    }

    fn interface(&mut self, body: &[u8], len: u32) -> Step {
        let Some((fixed, mut options)) = body.split_first_chunk::<8>() else {
            return Step::Malformed("an interface description shorter than its fixed part");
        };
        if self.interfaces.len() >= MAX_INTERFACES {
            return Step::Malformed("more than 65,535 interfaces in one section");
        }
        let [a, b, ..] = *fixed;
        let mut interface = SectionInterface {
            link: normal_link(self.order.u16([a, b])),
            snap_len: self.order.word(fixed, 1),
            resolution: Resolution::Times(1_000),
            offset_secs: 0,
            losses: ReportedLosses::default(),
        };
        while let Some((code, value, next)) = self.option(options) {
            match (code, value) {
                (OPTION_TSRESOL, [n, ..]) => interface.resolution = Resolution::of(*n),
                (OPTION_TSOFFSET, value) => {
                    if let Some(bytes) = value.first_chunk() {
                        interface.offset_secs = self.order.u64(*bytes).cast_signed();
                    }
                }
                _ => {}
            }
            options = next;
        }
        self.interfaces.push(interface);
        Step::Skip(u64::from(len))
    }

    /// Losses of an interface (section 4.6). A malformed block here does not reject the file.
    fn statistics(&mut self, body: &[u8], len: u32) -> Step {
        if let Some((fixed, options)) = body.split_first_chunk::<12>() {
            self.report_losses(self.order.word(fixed, 0), options, ReportedLosses::statistics);
        }
        Step::Skip(u64::from(len))
    }

    /// Passes the options of a block to the interface's loss counters.
    #[cold]
    fn report_losses(
        &mut self,
        number: u32,
        mut options: &[u8],
        take: fn(&mut ReportedLosses, Order, u16, &[u8]),
    ) {
        let Some(known) = self.interfaces.get(number as usize) else { return };
        let mut losses = known.losses;
        while let Some((code, value, next)) = self.option(options) {
            take(&mut losses, self.order, code, value);
            options = next;
        }
        if let Some(known) = self.interfaces.get_mut(number as usize) {
            known.losses = losses;
        }
    }

    /// One option: code, value, rest. `None` at the end or if the lengths are inconsistent.
    fn option<'a>(&self, bytes: &'a [u8]) -> Option<(u16, &'a [u8], &'a [u8])> {
        let ([a, b, c, d], rest) = bytes.split_first_chunk::<4>()?;
        let (code, len) = (self.order.u16([*a, *b]), usize::from(self.order.u16([*c, *d])));
        if code == 0 {
            return None;
        }
        let value = rest.get(..len)?;
        Some((code, value, rest.get(len.next_multiple_of(4)..).unwrap_or_default()))
    }

    #[inline]
    fn enhanced(&mut self, body: &[u8], len: u32) -> Step {
        let Some((fixed, data)) = body.split_first_chunk::<20>() else {
            return Step::Malformed("a packet block shorter than its fixed part");
        };
        let order = self.order;
        let word = |n| order.word(fixed, n);
        let lengths = Lengths { captured: word(3), wire: word(4), present: data.len() };
        let step = self.frame(word(0), (word(1), word(2)), lengths, (28, len));
        let options = data.get((word(3) as usize).next_multiple_of(4)..);
        if let (Step::Frame(..), Some(options @ [_, ..])) = (&step, options) {
            self.report_losses(word(0), options, ReportedLosses::packet);
        }
        step
    }

    fn obsolete(&mut self, body: &[u8], len: u32) -> Step {
        let Some((fixed, data)) = body.split_first_chunk::<20>() else {
            return Step::Malformed("a packet block shorter than its fixed part");
        };
        let ([a, b, c, d, ..], order) = (*fixed, self.order);
        let word = |n| order.word(fixed, n);
        let lengths = Lengths { captured: word(3), wire: word(4), present: data.len() };
        let (stamp, number) = ((word(1), word(2)), u32::from(self.order.u16([a, b])));
        if let Some(interface) = self.interfaces.get_mut(number as usize) {
            interface.losses.count(self.order.u16([c, d]));
        }
        self.frame(number, stamp, lengths, (28, len))
    }

    #[inline]
    fn frame(
        &mut self,
        number: u32,
        stamp: (u32, u32),
        lengths: Lengths,
        (at, len): (u32, u32),
    ) -> Step {
        if lengths.captured as usize > lengths.present || lengths.captured as usize > MAX_FRAME {
            return Step::Malformed("a packet claims more bytes than its block holds");
        }
        let Some(interface) = self.interfaces.get(number as usize) else {
            return Step::BadFrame(
                "packets of an interface the section never described",
                len.into(),
            );
        };
        let own = interface.time(stamp.0, stamp.1);
        self.untimed = self.untimed.saturating_add(u64::from(own.is_none()));
        self.last = own.unwrap_or(self.last);
        let frame = RawFrame {
            time: self.last,
            link: interface.link,
            at,
            captured: lengths.captured,
            wire_len: lengths.wire.max(lengths.captured),
            interface: number as u16,
            grain: interface.resolution.grain(),
            timed: own.is_some(),
        };
        Step::Frame(frame, len.into())
    }

    fn simple(&self, body: &[u8], len: u32) -> Step {
        let Some((fixed, data)) = body.split_first_chunk::<4>() else {
            return Step::Malformed("a packet block shorter than its fixed part");
        };
        let Some(interface) = self.interfaces.first() else {
            return Step::BadFrame(
                "packets of an interface the section never described",
                len.into(),
            );
        };
        let wire_len = self.order.u32(*fixed);
        let snap_len = if interface.snap_len == 0 { u32::MAX } else { interface.snap_len };
        // Section 4.4: the captured length is the smaller of the original length and the snap
        // length.
        let captured = wire_len.min(snap_len);
        if captured as usize > data.len() || captured as usize > MAX_FRAME {
            return Step::Malformed("a packet claims more bytes than its block holds");
        }
        let frame = RawFrame {
            time: self.last,
            link: interface.link,
            at: 12,
            captured,
            wire_len,
            interface: 0,
            grain: Grain::USELESS,
            timed: false,
        };
        Step::Frame(frame, len.into())
    }
}

/// The comments (opt_comment, section 3.5) of the packet whose data begins at `at`, if an enhanced
/// packet block holds it.
pub(super) fn comments(bytes: &[u8], at: usize, captured: usize) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let Some(block) = at.checked_sub(28).and_then(|start| bytes.get(start..)) else { return found };
    let Some(head) = block.first_chunk::<12>() else { return found };
    let orders = [Order::Little, Order::Big];
    let Some(order) = orders.into_iter().find(|o| o.word(head, 0) == PACKET_ENHANCED) else {
        return found;
    };
    let end = (order.word(head, 1) as usize).saturating_sub(4);
    let reader = Pcapng { order, ..Pcapng::new() };
    let begin = captured.next_multiple_of(4).saturating_add(28);
    let mut options = block.get(begin..end).unwrap_or_default();
    while let Some((code, value, next)) = reader.option(options) {
        if code == OPTION_COMMENT {
            found.push(value);
        }
        options = next;
    }
    found
}

#[derive(Clone, Copy)]
struct Lengths {
    captured: u32,
    wire: u32,
    present: usize,
}

#[inline]
fn is_known(kind: u32) -> bool {
    let rare = || matches!(kind, STATISTICS | PACKET_SIMPLE | PACKET_OBSOLETE);
    matches!(kind, PACKET_ENHANCED | SECTION | INTERFACE) || rare()
}

fn byte_order(head: &[u8; 12]) -> Option<Order> {
    [Order::Little, Order::Big].into_iter().find(|o| o.word(head, 2) == BYTE_ORDER_MAGIC)
}

#[cfg(test)]
#[path = "pcapng_tests.rs"]
mod tests;
