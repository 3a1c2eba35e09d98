//! The session key of a packet, its table hash and its shard.
//!
//! Owns: canonical order and the two hashes. In: both ends as the packet names them. Out:
//! `FlowKey`, 32 bits for table slots, a shard number. Never: reads bytes of a frame.
//!
//! Why two hashes. The shard decides which sessions compete for slots when a table is full, so it
//! affects results and must be the same on every run: it uses a fixed constant. The slot hash
//! decides where in a table a session lies, which affects no result, and must be unpredictable to
//! senders (they could make every lookup collide): it uses a secret per run. A sender who knows the
//! shard function can fill one shard. That evicts other sessions of the shard, which the eviction
//! counter shows, but never costs time.

use crate::model::{Addr, FlowKey, Transport};

/// Shards of a run, whatever the number of workers.
pub const SHARDS: u8 = 64;

/// Bits of a shard number.
const SHARD_BITS: u32 = SHARDS.trailing_zeros();

/// Fractional parts of the square roots of 2, 3, 5 and 7, the first made odd (nothing-up-my-sleeve
/// numbers).
const FIXED: [u64; 4] =
    [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1];

/// The two ends in the packet's order.
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
    /// An ICMP message that has no reply type: its ends keep the packet's order.
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

/// Puts two ends in canonical order: the numerically lower (address, port) is `a`. Also returns
/// whether the sender is `b`.
///
/// A one-way ICMP message keeps its sender as `a`, as Community ID v1 does: its "ports" are a type
/// and a code of one message, so messages of two senders are two sessions. In every case the
/// five-tuple of the key in the order a, b is what Community ID v1 hashes.
#[inline(always)]
pub(super) fn canonical(ends: &Ends, domain: Domain) -> (FlowKey, bool) {
    let (src, dst) = (ends.src.to_bits(), ends.dst.to_bits());
    let upper_src = (src > dst) | ((src == dst) & (ends.src_port > ends.dst_port));
    let from_b = upper_src & !ends.one_way;
    // Swapped by mask: packets go either way equally often, so a branch would be mispredicted.
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
    secret: [u64; 4],
}

impl std::fmt::Debug for KeyHasher {
    /// Keeps the secret out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHasher")
    }
}

impl KeyHasher {
    /// From the run's secret, spread over four words.
    pub(super) fn new(seed: u64) -> KeyHasher {
        let mut state = seed;
        KeyHasher { secret: [(); 4].map(|()| splitmix(&mut state)) }
    }

    /// The slot hash of a key. Each address is mixed with the secret first.
    #[inline(always)]
    pub(super) fn hash(&self, key: &FlowKey) -> u32 {
        let [s0, s1, s2, s3] = self.secret;
        let (a_low, a_high) = halves(key.a);
        let (b_low, b_high) = halves(key.b);
        let (low, high) = tail(key);
        let a = fold(a_low ^ s0, a_high ^ s1);
        let b = fold(b_low ^ s2, b_high ^ s3);
        let all = fold(a ^ low ^ s3, b.rotate_left(32) ^ high ^ s0);
        (all ^ (all >> 32)) as u32
    }
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): one step.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
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
    // Two parts of the product: a difference in one input bit may miss one of them.
    ((all >> (64 - SHARD_BITS)) ^ (all >> 28)) as u8 & (SHARDS - 1)
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
    let bits = addr.to_bits();
    (bits as u64, (bits >> 64) as u64)
}

/// The 128-bit product, folded to 64 bits: every input bit reaches the upper bits of the result.
#[inline(always)]
const fn fold(x: u64, y: u64) -> u64 {
    let full = (x as u128).wrapping_mul(y as u128);
    (full as u64) ^ ((full >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(n: u64) -> FlowKey {
        let [.., b0, b1, b2] = n.to_be_bytes();
        let (src, dst) = (Addr::v4([10, b0, b1, b2]), Addr::v4([192, 0, 2, 1]));
        let ends =
            Ends { src, dst, src_port: 50_000 + n as u16 % 100, dst_port: 443, one_way: false };
        let domain = Domain { scope: 0, point: 0, transport: Transport::TCP, version: 4 };
        canonical(&ends, domain).0
    }

    fn ends(src: u128, dst: u128, src_port: u16, dst_port: u16) -> Ends {
        let (src, dst) = (Addr(src.to_be_bytes()), Addr(dst.to_be_bytes()));
        Ends { src, dst, src_port, dst_port, one_way: false }
    }

    proptest! {
        #[test]
        fn both_directions_share_a_key(
            src in any::<u128>(), dst in any::<u128>(), same in any::<bool>(),
            src_port in any::<u16>(), dst_port in any::<u16>(),
        ) {
            let dst = if same { src } else { dst };
            let domain = Domain { scope: 7, point: 2, transport: Transport::UDP, version: 6 };
            let (there, from_b) = canonical(&ends(src, dst, src_port, dst_port), domain);
            let (back, back_from_b) = canonical(&ends(dst, src, dst_port, src_port), domain);
            prop_assert_eq!(there, back);
            prop_assert!((there.a, there.a_port) <= (there.b, there.b_port));
            let one_end = (src, src_port) == (dst, dst_port);
            prop_assert_eq!(from_b != back_from_b, !one_end);
            prop_assert!(shard(&there) < SHARDS);
        }
    }

    #[test]
    fn a_one_way_message_keeps_its_sender_first() {
        let domain = Domain { scope: 0, point: 0, transport: Transport::ICMP, version: 4 };
        let message = Ends { one_way: true, ..ends(9, 2, 3, 1) };
        let (key, from_b) = canonical(&message, domain);
        assert_eq!((key.a.to_bits(), key.a_port, key.b_port, from_b), (9, 3, 1, false));
    }

    #[test]
    fn shards_do_not_depend_on_the_run_and_slots_do() {
        // Pinned: a change here changes which sessions are evicted at the cap.
        let shards: Vec<u8> = (0..8).map(|n| shard(&key(n))).collect();
        assert_eq!(shards, [46, 1, 56, 62, 9, 41, 44, 44]);
        let (one, two) = (KeyHasher::new(1), KeyHasher::new(2));
        assert!((0..100).any(|n| one.hash(&key(n)) != two.hash(&key(n))));
        assert!((0..100).all(|n| one.hash(&key(n)) == KeyHasher::new(1).hash(&key(n))));
    }

    #[test]
    fn keys_spread_over_shards_and_slots() {
        let hasher = KeyHasher::new(3);
        let (mut by_shard, mut by_low, mut by_high) = ([0_u32; 64], [0_u32; 64], [0_u32; 64]);
        for n in 0..64_000 {
            let key = key(n);
            by_shard[usize::from(shard(&key))] += 1;
            by_low[hasher.hash(&key) as usize & 63] += 1;
            by_high[(hasher.hash(&key) >> 26) as usize] += 1;
        }
        for counts in [by_shard, by_low, by_high] {
            assert!(counts.iter().all(|n| (800..1200).contains(n)), "{counts:?}");
        }
    }

    #[test]
    fn every_field_of_the_key_reaches_both_hashes() {
        let hasher = KeyHasher::new(3);
        let base = key(5);
        let changed = [
            FlowKey { scope: 1, ..base },
            FlowKey { a_port: base.a_port ^ 1, ..base },
            FlowKey { b_port: base.b_port ^ 1, ..base },
            FlowKey { point: 1, ..base },
            FlowKey { transport: Transport::UDP, ..base },
            FlowKey { version: 6, ..base },
            FlowKey { a: Addr(1_u128.to_be_bytes()), ..base },
            FlowKey { b: Addr(1_u128.to_be_bytes()), ..base },
        ];
        for other in changed {
            assert_ne!(hasher.hash(&other), hasher.hash(&base));
        }
        // A shard has few values: over many keys, changing any field must usually change the shard.
        for field in 0..8 {
            let moved = (0..200).filter(|n| {
                let (mut one, two) = (key(*n), key(*n));
                match field {
                    0 => one.scope ^= 1,
                    1 => one.a_port ^= 1,
                    2 => one.b_port ^= 1,
                    3 => one.point ^= 1,
                    4 => one.transport.0 ^= 1,
                    5 => one.version ^= 2,
                    6 => one.a = Addr((one.a.to_bits() ^ 1).to_be_bytes()),
                    _ => one.b = Addr((one.b.to_bits() ^ 1 << 70).to_be_bytes()),
                }
                shard(&one) != shard(&two)
            });
            let moved = moved.count();
            assert!(moved > 150, "field {field} moved {moved} of 200 shards");
        }
    }
}
