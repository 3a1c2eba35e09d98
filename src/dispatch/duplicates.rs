//! Tells a copy from a packet: a mirror port that sees both directions sends everything twice.
//!
//! Owns: a table of what passed a moment ago, fixed in size, and what was found. In: packets in the
//! order read, their frames. Out: the copy bit in a packet, counts and skews. Never: drops a packet
//! (its session counts the copy), grows, or calls a packet a copy where it may have been sent
//! again.
//!
//! Two packets are the same when the innermost IP identification, the transport header, the length
//! and the first payload bytes are: what routers and switches rewrite (time to live, IP checksum,
//! traffic class, link layer, tags, tunnels) is left out. The first one wins.
//!
//! Where the sender numbers its packets, sending again takes another number, and the whole window
//! holds. Where it does not (IPv6, IPv4 with identification 0) a copy must differ in what was left
//! out, or come within a tenth of the window; a bare ACK that differs in nothing is always kept,
//! for receivers repeat those within microseconds (RFC 5681 section 3.2).
//!
//! Cap: `SETS` x `WAYS` packets, 128 KiB, so that the table stays in a second-level cache. At a
//! million packets a second it holds several windows. In a full set the oldest is forgotten; if it
//! was younger than the window, that is counted: a copy of it would pass as a packet.

use crate::model::CopyPoint;
use crate::model::CopyReport;
use crate::model::Counter;
use crate::model::Counters;
use crate::model::Ident;
use crate::model::Nanos;
use crate::model::Packet;
use crate::model::PacketFlags;
use crate::model::TcpFlags;
use crate::model::Transport;
use crate::model::duplicates::Apart;

/// Sets of the table; a power of two.
const SETS: usize = 2_048;

/// Packets in a set: one cache line.
const WAYS: usize = 4;

/// Bits of a set's number.
const SET_BITS: u32 = SETS.trailing_zeros();

/// The part of the window in which a packet without number or difference may be a copy.
const IN_DOUBT: u64 = 10;

/// Capture points whose copies are kept apart; copies at further ones only count in the totals.
pub const POINTS_MAX: usize = 64;

/// A tick of the table's clock is 64 ns: 40 bits of them come round after 19 hours, when hardly
/// anything is left of what was there.
const TICK_BITS: u32 = 6;
const TICKS: u64 = (1 << 40) - 1;

/// Low bits of an entry's first word: a hash of the link-layer addresses. The rest is the print.
const MAC_BITS: u64 = (1 << 14) - 1;

/// Keeps hops inside and around a tunnel apart in one byte.
const TTL_STRIDE: u8 = 37;

/// One packet that passed: print and link-layer hash; then ticks (40 bits), VLAN (12), time to live
/// (8), whether it came through a tunnel.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    print: u64,
    facts: u64,
}

/// Newest first.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Set([Entry; WAYS]);

/// What is known of a packet beside itself.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// The frame's captured bytes.
    pub frame: &'a [u8],
    /// What its IP header calls it.
    pub ident: Ident,
    /// Outermost VLAN, 0 without a tag.
    pub vlan: u16,
    /// Time to live around a tunnel, 0 where there is none.
    pub outer_ttl: u8,
}

/// Finds copies. One for each thread that reads.
#[derive(Debug)]
pub struct Duplicates {
    sets: Box<[Set]>,
    secret: [u64; 4],
    window: Nanos,
    points: Vec<CopyPoint>,
    /// Packets of each capture point, by number.
    packets: Vec<u64>,
}

impl Duplicates {
    /// An empty table. `secret` keeps senders from making prints collide; no result shows it.
    pub fn new(window: Nanos, secret: [u64; 4]) -> Duplicates {
        let sets = vec![Set::default(); SETS].into_boxed_slice();
        Duplicates { sets, secret, window, points: Vec::new(), packets: Vec::new() }
    }

    /// Sets [`PacketFlags::DUPLICATE`] where the packet passed a moment ago, else remembers it.
    #[inline(always)]
    pub fn mark(&mut self, packet: &mut Packet, passing: &Passing<'_>, counters: &mut Counters) {
        self.count(packet.key.point);
        let (print, set) = print(packet, passing, &self.secret);
        let entry = Entry::new(print, packet, passing);
        let Some(Set(ways)) = self.sets.get_mut(set) else { return };
        let same = |known: &Entry| (known.print ^ entry.print) & !MAC_BITS == 0;
        let Some(at) = ways.iter().position(same) else {
            // The oldest goes.
            let [a, b, c, gone] = *ways;
            *ways = [entry, a, b, c];
            if gone.print != 0 && gone.since(&entry) <= self.window {
                counters.bump(Counter::CopiesForgotten);
            }
            return;
        };
        self.judge((packet, passing), entry, (set, at), counters);
    }

    /// A packet with the print of one that passed.
    #[cold]
    fn judge(
        &mut self,
        (packet, passing): (&mut Packet, &Passing<'_>),
        entry: Entry,
        (set, at): (usize, usize),
        counters: &mut Counters,
    ) {
        let Some(Set(ways)) = self.sets.get_mut(set) else { return };
        let first = ways.get(at).copied().unwrap_or_default();
        let (skew, apart) = (first.since(&entry), first.apart(&entry));
        if skew > self.window {
            renew(ways, at, entry);
            return;
        }
        if !certain(packet, passing.ident, apart) && in_doubt(packet, skew, self.window) {
            renew(ways, at, entry);
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

    /// There are 65,536 points at most.
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

    /// What was found.
    pub fn finish(mut self) -> CopyReport {
        for point in &mut self.points {
            point.frames = self.packets.get(usize::from(point.point)).copied().unwrap_or(0);
        }
        let mut report = CopyReport { window: self.window, points: self.points };
        report.finish();
        report
    }
}

/// Puts an entry first, in place of the one at `at`.
fn renew(ways: &mut [Entry; WAYS], at: usize, entry: Entry) {
    if let Some(upto) = ways.get_mut(..=at) {
        upto.rotate_right(1);
    }
    if let Some(first) = ways.first_mut() {
        *first = entry;
    }
}

/// Whether the same print means the same packet, whatever the skew within the window.
#[inline(always)]
fn certain(packet: &Packet, ident: Ident, apart: Apart) -> bool {
    // A SYN is sent again after a second (RFC 6298 section 2.1), never within the window.
    ident.names_the_packet() || !apart.is_nothing() || packet.tcp_flags.any(TcpFlags::SYN)
}

/// Whether a packet with neither number nor difference is to be kept.
fn in_doubt(packet: &Packet, skew: Nanos, window: Nanos) -> bool {
    let says_nothing_new = packet.payload_wire() == 0
        && !packet.tcp_flags.any(TcpFlags::FIN | TcpFlags::RST)
        && packet.key.transport == Transport::TCP;
    says_nothing_new || skew.0 > window.0 / IN_DOUBT
}

impl Entry {
    #[inline(always)]
    fn new(print: u64, packet: &Packet, passing: &Passing<'_>) -> Entry {
        let ticks = (packet.time.0 >> TICK_BITS) & TICKS;
        let tunnelled = u64::from(packet.flags.has(PacketFlags::TUNNELLED));
        let vlan = u64::from(passing.vlan & 0x0fff);
        let mac = if packet.flags.has(PacketFlags::ETHERNET) { mac(passing.frame) } else { 0 };
        // Of both headers that a router may have counted down.
        let ttl = packet.ttl.wrapping_add(passing.outer_ttl.wrapping_mul(TTL_STRIDE));
        Entry {
            print: print & !MAC_BITS | mac & MAC_BITS,
            facts: ticks << 24 | vlan << 12 | u64::from(ttl) << 4 | tunnelled,
        }
    }

    /// Time between two entries, whichever came first: files merged by time may step back.
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
        // Beside a tunnel there is another header to count down.
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
    // The upper half of the second word is no address any more.
    let b = b & 0xffff_ffff;
    (a ^ b.rotate_left(32) ^ a.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50
}

/// The print of a packet, and its set.
///
/// The set is a fixed function of the packet, for what a full set forgets shows in results. The
/// print is keyed: who could make two packets collide could hide the second.
#[inline(always)]
fn print(packet: &Packet, passing: &Passing<'_>, secret: &[u64; 4]) -> (u64, usize) {
    let bytes = transport_bytes(packet, passing.frame);
    let ([w0, w1, w2, w3], last) = (first_words(bytes), last_word(packet, bytes));
    let ident = passing.ident.to_bits();
    let length = u64::from(packet.payload_wire()) << 8 | u64::from(packet.flags.0 & KIND);
    let [s0, s1, s2, s3] = *secret;
    let head = fold(w0 ^ s0, w1 ^ s1);
    let rest = fold(w2 ^ last ^ s2, w3 ^ last.rotate_left(32) ^ s3);
    let key = u64::from(packet.hash) << 32 ^ length;
    let print = fold(head ^ ident ^ s2, rest ^ key ^ s1);
    let words = w0 ^ w1.rotate_left(23) ^ w2.rotate_left(11) ^ w3.rotate_left(47);
    let fixed = words ^ ident.rotate_left(41) ^ last.rotate_left(31);
    let set = fixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SET_BITS);
    // Never that of an empty entry.
    (print | 1 << 63, set as usize)
}

/// The facts of a packet that a copy shares.
const KIND: u8 = PacketFlags::FROM_B | PacketFlags::FRAGMENT | PacketFlags::FRAGMENT_LATER;

/// What was captured of transport header and payload, without the frame's padding.
///
/// Of a packet that was cut, copies may hold more or less, as tags and tunnels take their place:
/// only what has a checksum of the whole is looked at, and the rest where there is none.
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
        // RFC 768: a checksum of zero is none.
        Transport::UDP if has_header && bytes.get(6..8) != Some(&[0, 0]) => bytes.get(..8),
        _ => None,
    };
    part.unwrap_or(bytes)
}

/// The first 32 bytes: a TCP header with its time stamps, or a header and the payload's beginning.
/// Of less, beginning and end, which overlap; the print knows the length.
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

/// The last eight bytes of what is not TCP: datagrams without a good checksum that begin alike
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

/// The 128-bit product folded to its middle.
#[inline(always)]
const fn fold(x: u64, y: u64) -> u64 {
    let full = (x as u128).wrapping_mul(y as u128);
    (full as u64) ^ ((full >> 64) as u64)
}

#[cfg(test)]
#[path = "duplicates_tests.rs"]
mod tests;
