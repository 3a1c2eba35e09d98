//! The classic pcap format: one file header, then records of one link type.
//!
//! Owns: its header variants. In: bytes at a record's start. Out: [`Step`].
//! Never: I/O or state between records.
//!
//! Source: draft-ietf-opsawg-pcap; the variants are those of libpcap's `sf-pcap.c`.

use crate::capture::block::MAX_FRAME;
use crate::capture::step::{Order, RawFrame, Step};
use crate::model::{Grain, LinkType, Nanos};

const MAGIC_MICROS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOS: u32 = 0xa1b2_3c4d;
/// Alexey Kuznetsov's patched libpcap: eight more bytes in each record header.
const MAGIC_MODIFIED: u32 = 0xa1b2_cd34;
/// IXIA hardware and software captures: four more bytes in the file header. The hardware counts
/// nanoseconds (Wireshark's issue 14073).
const MAGIC_IXIA_HW: u32 = 0x1c00_01ac;
const MAGIC_IXIA_SW: u32 = 0x1c00_01ab;

const FILE_HEADER: usize = 24;

/// The facts of the file header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pcap {
    order: Order,
    /// Nanoseconds in one unit of the fraction field.
    unit: u32,
    header: u32,
    modified: bool,
    link: LinkType,
    /// Old writers (before 2.4) stored the two lengths in the opposite order.
    lengths_may_swap: bool,
}

/// The byte order of a pcap file that starts with `magic`; `None` if it is no pcap file.
pub(super) fn order_of(magic: [u8; 4]) -> Option<Order> {
    [Order::Little, Order::Big].into_iter().find(|order| {
        matches!(
            order.u32(magic),
            MAGIC_MICROS | MAGIC_NANOS | MAGIC_MODIFIED | MAGIC_IXIA_HW | MAGIC_IXIA_SW
        )
    })
}

/// Length of the file header that starts with `magic`, in bytes.
pub(super) fn header_len(magic: [u8; 4], order: Order) -> usize {
    match order.u32(magic) {
        MAGIC_IXIA_HW | MAGIC_IXIA_SW => FILE_HEADER + 4,
        _ => FILE_HEADER,
    }
}

impl Pcap {
    /// Parses the file header; `bytes` holds all of it. `Err` names the fault.
    pub(super) fn new(bytes: &[u8], order: Order) -> Result<Pcap, &'static str> {
        let magic = order.word(bytes, 0);
        let major = bytes.get(4..).and_then(|b| b.first_chunk()).map_or(0, |b| order.u16(*b));
        let minor = bytes.get(6..).and_then(|b| b.first_chunk()).map_or(0, |b| order.u16(*b));
        // DG/UX wrote 543.
        if major != 2 && major != 543 {
            return Err("the file header names a version of the format other than 2");
        }
        // The link type is the low 16 bits; class and FCS length above it are not needed.
        let link = order.word(bytes, 5) as u16;
        let modified = magic == MAGIC_MODIFIED;
        Ok(Pcap {
            order,
            unit: if matches!(magic, MAGIC_NANOS | MAGIC_IXIA_HW) { 1 } else { 1_000 },
            header: if modified { 24 } else { 16 },
            modified,
            link: normal_link(link),
            lengths_may_swap: major == 543 || minor < 4,
        })
    }

    /// The frame at the start of `rest` and the length of its record, where nothing about it is
    /// unusual; [`Pcap::step`] says the same of it, and what any other is.
    #[inline(always)]
    pub(super) fn frame(&self, rest: &[u8]) -> Option<(RawFrame, usize)> {
        let [secs, fraction, captured, wire_len] = *rest.first_chunk::<16>()?.as_chunks::<4>().0
        else {
            return None;
        };
        let word = |bytes| self.order.u32(bytes);
        let (captured, wire_len) = (word(captured), word(wire_len));
        let len = 16 + captured as usize;
        let usual = captured <= wire_len && captured as usize <= MAX_FRAME && !self.modified;
        if !usual || rest.len() < len {
            return None;
        }
        let time = u64::from(word(secs)) * 1_000_000_000
            + u64::from(word(fraction)) * u64::from(self.unit);
        let (time, link) = (Nanos(time), self.link);
        let (interface, grain) = (0, Grain::default());
        let frame =
            RawFrame { time, link, at: 16, captured, wire_len, interface, grain, timed: true };
        Some((frame, len))
    }

    /// Classifies the record at the start of `rest`.
    pub(super) fn step(&self, rest: &[u8]) -> Step {
        let Some(head) = rest.first_chunk::<16>() else {
            return Step::NeedMore(self.header as usize);
        };
        let secs = self.order.word(head, 0);
        let fraction = self.order.word(head, 1);
        let mut captured = self.order.word(head, 2);
        let mut wire_len = self.order.word(head, 3);
        if captured > wire_len {
            (captured, wire_len) = self.settle_lengths(captured, wire_len);
        }
        if captured as usize > MAX_FRAME {
            return Step::Malformed("a record claims more bytes than any capture can hold");
        }
        let len = self.header + captured;
        if rest.len() < len as usize {
            return Step::NeedMore(len as usize);
        }
        // At most 2^32 s + 2^32 us: far below 2^64 ns.
        let time = u64::from(secs) * 1_000_000_000 + u64::from(fraction) * u64::from(self.unit);
        let frame = RawFrame {
            time: Nanos(time),
            link: self.link,
            at: self.header,
            captured,
            wire_len,
            interface: if self.modified { self.interface(rest) } else { 0 },
            grain: Grain::default(),
            timed: true,
        };
        Step::Frame(frame, u64::from(len))
    }

    #[cold]
    fn settle_lengths(&self, captured: u32, wire_len: u32) -> (u32, u32) {
        if self.lengths_may_swap { (wire_len, captured) } else { (captured, captured) }
    }

    #[cold]
    fn interface(&self, rest: &[u8]) -> u16 {
        u16::try_from(self.order.word(rest, 4)).unwrap_or(u16::MAX)
    }
}

/// Files written with a kernel's own number for raw IP (DLT_RAW: 12, on OpenBSD 14) mean
/// LINKTYPE_RAW.
pub(super) fn normal_link(link: u16) -> LinkType {
    match link {
        12 | 14 => LinkType::RAW,
        other => LinkType(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is taken for usual is what the general way says.
        #[test]
        fn a_usual_record_is_read_like_any_other(
            magic in 0usize..3, big in any::<bool>(), captured in 0u32..40, more in 0u32..9,
            short in any::<bool>(), cut in 0usize..64, times in any::<[u32; 2]>(),
        ) {
            let order = if big { Order::Big } else { Order::Little };
            let w = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
            let magic = [MAGIC_MICROS, MAGIC_NANOS, MAGIC_MODIFIED][magic];
            let pcap = Pcap::new(&header(magic, order, 1), order).unwrap();
            let wire = if short { captured.saturating_sub(more) } else { captured + more };
            let mut record = [w(times[0]), w(times[1]), w(captured), w(wire)].concat();
            record.extend([7; 64]);
            record.truncate(cut);
            let usual = pcap.frame(&record);
            let step = pcap.step(&record);
            prop_assert!(usual.is_none_or(|(frame, len)| step == Step::Frame(frame, len as u64)));
            let whole = cut >= 16 + captured as usize && wire >= captured;
            prop_assert_eq!(usual.is_some(), whole && magic != MAGIC_MODIFIED);
        }
    }

    fn header(magic: u32, order: Order, link: u32) -> Vec<u8> {
        let w = |n: u32| match order {
            Order::Little => n.to_le_bytes(),
            Order::Big => n.to_be_bytes(),
        };
        let version = match order {
            Order::Little => [2, 0, 4, 0],
            Order::Big => [0, 2, 0, 4],
        };
        [w(magic), version, w(0), w(0), w(65_535), w(link)].concat()
    }

    #[test]
    fn the_link_field_is_masked_and_raw_is_normalised() {
        let with_fcs = Pcap::new(&header(MAGIC_MICROS, Order::Big, 0x2400_0001), Order::Big);
        assert_eq!(with_fcs.unwrap().link, LinkType::ETHERNET);
        for raw in [12, 14, 101] {
            let p = Pcap::new(&header(MAGIC_NANOS, Order::Little, raw), Order::Little).unwrap();
            assert_eq!((p.link, p.unit), (LinkType::RAW, 1));
        }
    }

    #[test]
    fn a_big_endian_record_reads_to_the_nanosecond() {
        let p = Pcap::new(&header(MAGIC_NANOS, Order::Big, 1), Order::Big).unwrap();
        let record =
            [[0, 0, 0, 3], [0, 0, 0, 9], [0, 0, 0, 2], [0, 0, 0, 60], [7, 7, 0, 0]].concat();
        let Step::Frame(frame, len) = p.step(&record) else { panic!("no frame") };
        assert_eq!((frame.time, len), (Nanos(3_000_000_009), 18));
        assert_eq!((frame.at, frame.captured, frame.wire_len), (16, 2, 60));
        assert_eq!(p.step(&record[..17]), Step::NeedMore(18));
        assert_eq!(p.step(&record[..3]), Step::NeedMore(16));
    }

    #[test]
    fn lengths_of_old_writers_are_exchanged_and_impossible_ones_refused() {
        let mut old = header(MAGIC_MICROS, Order::Little, 1);
        old[6] = 2;
        let p = Pcap::new(&old, Order::Little).unwrap();
        let record = [[0; 4], [0; 4], [60, 0, 0, 0], [2, 0, 0, 0], [7, 7, 0, 0]].concat();
        let Step::Frame(frame, _) = p.step(&record) else { panic!("no frame") };
        assert_eq!((frame.captured, frame.wire_len), (2, 60));
        let record = [[0; 4], [0; 4], [1, 0, 4, 0], [1, 0, 4, 0]].concat();
        assert!(matches!(p.step(&record), Step::Malformed(_)));
    }

    #[test]
    fn every_magic_is_known_in_both_orders() {
        for magic in [MAGIC_MICROS, MAGIC_NANOS, MAGIC_MODIFIED, MAGIC_IXIA_HW, MAGIC_IXIA_SW] {
            assert_eq!(order_of(magic.to_le_bytes()), Some(Order::Little));
            assert_eq!(order_of(magic.to_be_bytes()), Some(Order::Big));
        }
        assert_eq!(order_of(*b"\x0a\x0d\x0d\x0a"), None);
        assert_eq!(header_len(MAGIC_IXIA_HW.to_be_bytes(), Order::Big), 28);
        for (magic, unit) in [
            (MAGIC_MICROS, 1_000),
            (MAGIC_NANOS, 1),
            (MAGIC_MODIFIED, 1_000),
            (MAGIC_IXIA_HW, 1),
            (MAGIC_IXIA_SW, 1_000),
        ] {
            let p = Pcap::new(&header(magic, Order::Little, 1), Order::Little).unwrap();
            assert_eq!(p.unit, unit, "{magic:x}");
        }
    }
}
