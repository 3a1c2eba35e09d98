//! Marks duplicate packets: a mirror port that sees both directions sends everything twice.
//!
//! Owns: a fixed-size table of recent packets, and duplicate statistics. In: packets in reading
//! order, their frames. Out: the duplicate flag of a packet, counts and time skews. Never: drops a
//! packet (its session counts the duplicate), grows, or marks a packet that may be a
//! retransmission.
//!
//! Two packets are the same if the innermost IP identification, the transport header, the length
//! and the first payload bytes are equal. Fields that routers and switches rewrite (time to live,
//! IP checksum, traffic class, link layer, tags, tunnels) are ignored. The first one counts as the
//! original.
//!
//! If the sender numbers its packets (IP identification), a retransmission has another number, and
//! the whole window applies. If it does not (IPv6, IPv4 with identification 0), a duplicate must
//! differ in an ignored field or arrive within a tenth of the window. A bare ACK that differs in
//! nothing is never marked, because receivers repeat those within microseconds (RFC 5681 section
//! 3.2).
//!
//! Cap: `SETS` x `WAYS` packets, 128 KiB, which fits in an L2 cache and holds several windows at a
//! million packets a second. A full set evicts its oldest entry; if that is younger than the
//! window, the eviction is counted, since its duplicate would go unnoticed.

use crate::model::duplicates::Apart;
use crate::model::{
    CopyPoint, CopyReport, Counter, Counters, Ident, Nanos, Packet, PacketFlags, TcpFlags,
    Transport,
};

/// Sets of the table; a power of two.
const SETS: usize = 2_048;

/// Packets per set: one cache line.
const WAYS: usize = 4;

/// Bits of a set index.
const SET_BITS: u32 = SETS.trailing_zeros();

/// The fraction of the window (1/n) that applies to a packet without number or difference.
const IN_DOUBT_FRACTION: u64 = 10;

/// Capture points with statistics of their own; duplicates at others count in the totals only.
pub const POINTS_MAX: usize = 64;

/// The table's clock ticks every 64 ns. Its 40 bits wrap around after 19 hours; entries rarely live
/// that long.
const TICK_BITS: u32 = 6;
const TICKS: u64 = (1 << 40) - 1;

/// Low bits of an entry's first word: a hash of the link-layer addresses. The rest is the
/// fingerprint.
const MAC_BITS: u64 = (1 << 14) - 1;

/// Keeps the hop counts inside and around a tunnel apart in one byte.
const TTL_STRIDE: u8 = 37;

/// One recent packet: fingerprint and link-layer hash; then ticks (40 bits), VLAN (12), time to
/// live (8), whether it was tunnelled.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    print: u64,
    facts: u64,
}

/// Newest first.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Set([Entry; WAYS]);

/// What the comparison needs beside the packet itself.
#[derive(Clone, Copy, Debug)]
pub struct FrameContext<'a> {
    /// The frame's captured bytes.
    pub frame: &'a [u8],
    /// The identification in its IP header.
    pub ident: Ident,
    /// Outermost VLAN, 0 without a tag.
    pub vlan: u16,
    /// Time to live of the IP header around a tunnel, 0 without a tunnel.
    pub outer_ttl: u8,
}

/// Finds duplicates. One per reading thread.
#[derive(Debug)]
pub struct Duplicates {
    sets: Box<[Set]>,
    secret: [u64; 4],
    window: Nanos,
    points: Vec<CopyPoint>,
    /// Packets per capture point, by index.
    packets: Vec<u64>,
}

impl Duplicates {
    /// An empty table. `secret` keeps senders from forging fingerprint collisions; it never affects
    /// results.
    pub fn new(window: Nanos, secret: [u64; 4]) -> Duplicates {
        let sets = vec![Set::default(); SETS].into_boxed_slice();
        Duplicates { sets, secret, window, points: Vec::new(), packets: Vec::new() }
    }

    /// Sets [`PacketFlags::DUPLICATE`] if the packet was seen a moment ago, else remembers it.
    #[inline(always)]
    pub fn mark(
        &mut self,
        packet: &mut Packet,
        context: &FrameContext<'_>,
        counters: &mut Counters,
    ) {
        self.count(packet.key.point);
        let (print, set) = fingerprint(packet, context, &self.secret);
        let entry = Entry::new(print, packet, context);
        let Some(Set(ways)) = self.sets.get_mut(set) else { return };
        let same = |known: &Entry| (known.print ^ entry.print) & !MAC_BITS == 0;
        let Some(at) = ways.iter().position(same) else {
            // The oldest entry is evicted.
            let [a, b, c, gone] = *ways;
            *ways = [entry, a, b, c];
            if gone.print != 0 && gone.since(&entry) <= self.window {
                counters.bump(Counter::CopiesForgotten);
            }
            return;
        };
        self.judge((packet, context), entry, (set, at), counters);
    }

    /// Judges a packet with the fingerprint of an earlier one.
    #[cold]
    fn judge(
        &mut self,
        (packet, context): (&mut Packet, &FrameContext<'_>),
        entry: Entry,
        (set, at): (usize, usize),
        counters: &mut Counters,
    ) {
        let Some(Set(ways)) = self.sets.get_mut(set) else { return };
        let first = ways.get(at).copied().unwrap_or_default();
        let (skew, apart) = (first.since(&entry), first.apart(&entry));
        if skew > self.window {
            move_to_front(ways, at, entry);
            return;
        }
        if !is_certain(packet, context.ident, apart) && is_original(packet, skew, self.window) {
            move_to_front(ways, at, entry);
            counters.bump(Counter::CopiesDoubtful);
            return;
        }
        packet.flags.0 |= PacketFlags::DUPLICATE;
        counters.bump(Counter::Duplicates);
        self.note(packet.key.point, apart, (first.vlan(), entry.vlan()), skew);
    }

    #[inline(always)]
    fn count(&mut self, point: u16) {
        match self.packets.get_mut(usize::from(point)) {
            Some(packets) => *packets += 1,
            None => self.count_first(point),
        }
    }

    /// There are at most 65,536 points.
    #[cold]
    fn count_first(&mut self, point: u16) {
        self.packets.resize(usize::from(point) + 1, 0);
        if let Some(packets) = self.packets.last_mut() {
            *packets = 1;
        }
    }

    fn note(&mut self, point: u16, apart: Apart, vlans: (u16, u16), skew: Nanos) {
        let room = self.points.len() < POINTS_MAX;
        match self.points.iter_mut().find(|known| known.point == point) {
            Some(known) => known.observe(apart, vlans, skew),
            None if room => {
                let mut fresh = CopyPoint::new(point);
                fresh.observe(apart, vlans, skew);
                self.points.push(fresh);
            }
            None => {}
        }
    }

    /// The statistics.
    pub fn finish(mut self) -> CopyReport {
        for point in &mut self.points {
            point.frames = self.packets.get(usize::from(point.point)).copied().unwrap_or(0);
        }
        let mut report = CopyReport { window: self.window, points: self.points };
        report.finish();
        report
    }
}

/// Moves an entry to the front, replacing the one at `at`.
fn move_to_front(ways: &mut [Entry; WAYS], at: usize, entry: Entry) {
    if let Some(upto) = ways.get_mut(..=at) {
        upto.rotate_right(1);
    }
    if let Some(first) = ways.first_mut() {
        *first = entry;
    }
}

/// Whether an equal fingerprint means the same packet for any skew within the window.
#[inline(always)]
fn is_certain(packet: &Packet, ident: Ident, apart: Apart) -> bool {
    // A SYN is retransmitted after a second (RFC 6298 section 2.1), never within the window.
    ident.names_the_packet() || !apart.is_nothing() || packet.tcp_flags.any(TcpFlags::SYN)
}

/// Whether a packet with neither number nor difference counts as an original.
fn is_original(packet: &Packet, skew: Nanos, window: Nanos) -> bool {
    let is_repeated_ack = packet.payload_wire() == 0
        && !packet.tcp_flags.any(TcpFlags::FIN | TcpFlags::RST)
        && packet.key.transport == Transport::TCP;
    is_repeated_ack || skew.0 > window.0 / IN_DOUBT_FRACTION
}

impl Entry {
    #[inline(always)]
    fn new(print: u64, packet: &Packet, context: &FrameContext<'_>) -> Entry {
        let ticks = (packet.time.0 >> TICK_BITS) & TICKS;
        let tunnelled = u64::from(packet.flags.has(PacketFlags::TUNNELLED));
        let vlan = u64::from(context.vlan & 0x0fff);
        let mac = if packet.flags.has(PacketFlags::ETHERNET) { mac(context.frame) } else { 0 };
        // Both headers that a router may have decremented.
        let ttl = packet.ttl.wrapping_add(context.outer_ttl.wrapping_mul(TTL_STRIDE));
        Entry {
            print: print & !MAC_BITS | mac & MAC_BITS,
            facts: ticks << 24 | vlan << 12 | u64::from(ttl) << 4 | tunnelled,
        }
    }

    /// Time between two entries, in either order: files merged by time may step back.
    #[inline(always)]
    const fn since(&self, other: &Entry) -> Nanos {
        let ahead = (other.facts >> 24).wrapping_sub(self.facts >> 24) & TICKS;
        let behind = (TICKS + 1 - ahead) & TICKS;
        Nanos((if ahead < behind { ahead } else { behind }) << TICK_BITS)
    }

    const fn vlan(&self) -> u16 {
        (self.facts >> 12 & 0x0fff) as u16
    }

    fn apart(&self, other: &Entry) -> Apart {
        let differs = self.facts ^ other.facts;
        let bit = |differs: u64, bit: u8| if differs == 0 { 0 } else { bit };
        // A tunnelled packet has a second header that may be decremented.
        let ttl = if differs & 1 == 0 { differs >> 4 & 0xff } else { 0 };
        Apart::new(
            bit(ttl, Apart::TTL)
                | bit((self.print ^ other.print) & MAC_BITS, Apart::MAC)
                | bit(differs >> 12 & 0x0fff, Apart::VLAN)
                | bit(differs & 1, Apart::TUNNEL),
        )
    }
}

/// Both link-layer addresses, hashed to few bits.
#[inline(always)]
fn mac(frame: &[u8]) -> u64 {
    let Some([a, b]) = frame.first_chunk::<16>().map(halves) else { return 0 };
    // The upper half of the second word is behind the addresses.
    let b = b & 0xffff_ffff;
    (a ^ b.rotate_left(32) ^ a.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50
}

/// The fingerprint of a packet, and its set.
///
/// The set is a fixed function of the packet, because evictions from a full set are visible in
/// results. The fingerprint is keyed: a sender who could make two packets collide could hide the
/// second.
#[inline(always)]
fn fingerprint(packet: &Packet, context: &FrameContext<'_>, secret: &[u64; 4]) -> (u64, usize) {
    let bytes = transport_bytes(packet, context.frame);
    let ([w0, w1, w2, w3], last) = (first_words(bytes), last_word(packet, bytes));
    let ident = context.ident.to_bits();
    let length = u64::from(packet.payload_wire()) << 8 | u64::from(packet.flags.0 & KIND);
    let [s0, s1, s2, s3] = *secret;
    let head = fold(w0 ^ s0, w1 ^ s1);
    let rest = fold(w2 ^ last ^ s2, w3 ^ last.rotate_left(32) ^ s3);
    let key = u64::from(packet.hash) << 32 ^ length;
    let print = fold(head ^ ident ^ s2, rest ^ key ^ s1);
    let words = w0 ^ w1.rotate_left(23) ^ w2.rotate_left(11) ^ w3.rotate_left(47);
    let fixed = words ^ ident.rotate_left(41) ^ last.rotate_left(31);
    let set = fixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SET_BITS);
    // Never equal to that of an empty entry.
    (print | 1 << 63, set as usize)
}

/// The flags that a packet shares with its duplicates.
const KIND: u8 = PacketFlags::FROM_B | PacketFlags::FRAGMENT | PacketFlags::FRAGMENT_LATER;

/// The captured bytes of transport header and payload, without the frame's padding.
///
/// Duplicates of a truncated packet may hold more or fewer bytes, since tags and tunnels use up the
/// snap length. So of a truncated packet only the header that has a checksum over everything is
/// compared, and everything where there is no such checksum.
#[inline(always)]
fn transport_bytes<'a>(packet: &Packet, frame: &'a [u8]) -> &'a [u8] {
    let bytes = frame.get(usize::from(packet.l4_at)..).unwrap_or_default();
    let held = usize::from(packet.l4_len) + packet.payload_len as usize;
    let bytes = bytes.get(..held).unwrap_or(bytes);
    if packet.flags.has(PacketFlags::TRUNCATED) { checked_part(packet, bytes) } else { bytes }
}

#[cold]
fn checked_part<'a>(packet: &Packet, bytes: &'a [u8]) -> &'a [u8] {
    let has_header = !packet.flags.has(PacketFlags::FRAGMENT_LATER);
    let part = match packet.key.transport {
        Transport::TCP if has_header => bytes.get(..20),
        // RFC 768: a checksum of zero means none.
        Transport::UDP if has_header && bytes.get(6..8) != Some(&[0, 0]) => bytes.get(..8),
        _ => None,
    };
    part.unwrap_or(bytes)
}

/// The first 32 bytes: a TCP header with timestamps, or a header and the start of the payload. For
/// less than that the start and the end, which overlap; the fingerprint includes the length.
#[inline(always)]
fn first_words(bytes: &[u8]) -> [u64; 4] {
    if let Some((a, b)) = bytes.split_first_chunk::<16>() {
        let [w0, w1] = halves(a);
        let rest = b.first_chunk::<16>().or_else(|| bytes.last_chunk::<16>());
        let [w2, w3] = rest.map_or([0; 2], halves);
        return [w0, w1, w2, w3];
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return [u64::from_le_bytes(*first), u64::from_le_bytes(*last), 0, 0];
    }
    let word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    [word, 0, 0, 0]
}

/// The last eight bytes of anything but TCP: datagrams without a usable checksum that start alike
/// (QUIC, WireGuard, media) end differently.
#[inline(always)]
fn last_word(packet: &Packet, bytes: &[u8]) -> u64 {
    if packet.key.transport == Transport::TCP {
        return 0;
    }
    bytes.last_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word))
}

#[inline(always)]
fn halves(bytes: &[u8; 16]) -> [u64; 2] {
    let all = u128::from_le_bytes(*bytes);
    [all as u64, (all >> 64) as u64]
}

/// The 128-bit product, folded to 64 bits.
#[inline(always)]
const fn fold(x: u64, y: u64) -> u64 {
    let full = (x as u128).wrapping_mul(y as u128);
    (full as u64) ^ ((full >> 64) as u64)
}

#[cfg(test)]
#[path = "duplicates_tests.rs"]
mod tests;
