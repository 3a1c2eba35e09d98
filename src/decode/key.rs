//! The session key of a packet, its table hash and its shard.
//!
//! Owns: canonical order and the two hashes. In: both ends as the packet names them. Out: `FlowKey`,
//! 32 bits for table slots, a shard number. Never: reads bytes of a frame.
//!
//! Why two hashes. The shard decides which sessions compete for the same slots at the cap of a table, so
//! it shows in results: it must be the same on every run, hence a fixed constant. The slot hash decides
//! where in a table a session lies, which no result shows: it must not be predictable by whoever sends
//! the packets (they could make every lookup collide), hence a secret per run. Knowing the shard
//! function, a sender can fill one shard; that costs the other sessions of that shard their slots, which
//! the eviction counter shows, and never time.

use std::hash::Hasher;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

use crate::model::Addr;
use crate::model::FlowKey;
use crate::model::Transport;

/// Logical shards a run is divided in, whatever the number of workers.
pub const SHARDS: u8 = 16;

/// Bits of a shard number.
const SHARD_BITS: u32 = SHARDS.trailing_zeros();

/// Fractional parts of the square roots of 2, 3, 5 and 7, the first made odd (nothing up the sleeve).
const FIXED: [u64; 4] =
    [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1];

/// What a packet says of its two ends, before they are put in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// Sender's address.
    pub src: Addr,
    /// Receiver's address.
    pub dst: Addr,
    /// Sender's port, or the ICMP type.
    pub src_port: u16,
    /// Receiver's port, or the ICMP counterpart's type, or the ICMP code where `one_way`.
    pub dst_port: u16,
    /// An ICMP message that no other message answers: kept in the order sent.
    pub one_way: bool,
}

/// What separates sessions beside their ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Domain {
    /// VLAN id where it is part of the key, else 0.
    pub scope: u32,
    /// Capture point.
    pub point: u16,
    /// IANA protocol.
    pub transport: Transport,
    /// 4 or 6.
    pub version: u8,
}

/// Puts two ends in canonical order: the numerically lower (address, port) is `a`. Also says whether
/// the sender is `b`.
///
/// A one-way ICMP message keeps its sender as `a`, as Community ID v1 does: its "ports" are a type and a
/// code of one message, so messages of two senders are two sessions. In every case the five-tuple of the
/// key in the order a, b is what Community ID v1 hashes.
#[inline(always)]
pub(super) fn canonical(ends: &Ends, domain: Domain) -> (FlowKey, bool) {
    let (src, dst) = (ends.src.to_bits(), ends.dst.to_bits());
    let upper_src = (src > dst) | ((src == dst) & (ends.src_port > ends.dst_port));
    let from_b = upper_src & !ends.one_way;
    // Swapped by mask: half of all packets run either way, so a branch would be guessed wrong often.
    let mask = u128::from(from_b).wrapping_neg();
    let swap = (src ^ dst) & mask;
    let (a, b) = (Addr((src ^ swap).to_be_bytes()), Addr((dst ^ swap).to_be_bytes()));
    let swap = (ends.src_port ^ ends.dst_port) & mask as u16;
    let (a_port, b_port) = (ends.src_port ^ swap, ends.dst_port ^ swap);
    let Domain { scope, point, transport, version } = domain;
    (FlowKey { a, b, scope, a_port, b_port, point, transport, version }, from_b)
}

/// Hashes keys for table slots with a secret of the run.
#[derive(Clone)]
pub(super) struct KeyHasher {
    seed: u64,
    shared: SharedSeed,
}

impl std::fmt::Debug for KeyHasher {
    /// Keeps the secret out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHasher")
    }
}

impl KeyHasher {
    /// From the run's secret.
    pub(super) fn new(seed: u64) -> KeyHasher {
        KeyHasher { seed, shared: SharedSeed::from_u64(seed.rotate_left(32) ^ FIXED[0]) }
    }

    /// The slot hash of a key.
    #[inline(always)]
    pub(super) fn hash(&self, key: &FlowKey) -> u32 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write_u128(u128::from_le_bytes(key.a.0));
        hasher.write_u128(u128::from_le_bytes(key.b.0));
        let (low, high) = tail(key);
        hasher.write_u128(u128::from(low) | (u128::from(high) << 64));
        let wide = hasher.finish();
        (wide ^ (wide >> 32)) as u32
    }
}

/// The shard of a key: 0 to [`SHARDS`] - 1, the same on every run and machine.
#[inline(always)]
pub fn shard(key: &FlowKey) -> u8 {
    let [k0, k1, k2, k3] = FIXED;
    let (a_low, a_high) = halves(key.a);
    let (b_low, b_high) = halves(key.b);
    let (low, high) = tail(key);
    let nets = fold(a_high ^ k0, b_high ^ k1);
    let hosts = fold(a_low ^ k2, b_low.rotate_left(24) ^ k3);
    let all = fold(nets ^ hosts.rotate_left(17) ^ low, k0 ^ high);
    (all >> (64 - SHARD_BITS)) as u8
}

/// Everything of a key but its addresses, in two words.
#[inline(always)]
fn tail(key: &FlowKey) -> (u64, u64) {
    let ports = (u64::from(key.a_port) << 16) | u64::from(key.b_port);
    let rest =
        (u64::from(key.point) << 16) | (u64::from(key.transport.0) << 8) | u64::from(key.version);
    ((u64::from(key.scope) << 32) | ports, rest)
}

/// An address as (low, high) words.
#[inline(always)]
fn halves(addr: Addr) -> (u64, u64) {
    let bits = u128::from_le_bytes(addr.0);
    ((bits >> 64) as u64, bits as u64)
}

/// The 128-bit product folded to its middle: every input bit reaches the upper bits of the result.
#[inline(always)]
const fn fold(x: u64, y: u64) -> u64 {
    let full = (x as u128).wrapping_mul(y as u128);
    (full as u64) ^ ((full >> 64) as u64)
}
