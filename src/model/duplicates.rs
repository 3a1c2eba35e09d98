//! Duplicate packets of a mirror port: what distinguishes packets, and statistics of duplicates.
//!
//! Owns: the types of duplicate removal. In: IP header fields, one duplicate at a time. Out: counts
//! and skews for run.json and the summary. Never: decides what is a duplicate (the dispatch stage
//! does).

use crate::model::Nanos;

/// The longest skew that is resolved: far beyond any window.
const LONGEST_NS: u64 = 1_000_000_000;

/// Significant digits of a skew.
const DIGITS: u8 = 2;

/// Pairs of VLANs counted separately at one capture point; duplicates of others are only counted.
pub const VLAN_PAIRS_MAX: usize = 16;

/// The fields of an IP header that distinguish a packet from its neighbours, beside addresses and
/// lengths.
///
/// Fields that routers rewrite are left out: time to live, header checksum, and the traffic class
/// (DSCP is remarked at borders, ECN by any queue: RFC 2474, RFC 3168).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ident(u64);

impl Ident {
    /// Set if the sender gave this very packet a number of its own.
    const NAMED: u64 = 1 << 63;

    /// RFC 791: identification, and the word of flags and fragment offset. RFC 6864 allows 0 in a
    /// datagram that may not be fragmented.
    #[inline(always)]
    pub const fn v4(id: u16, fragment: u16) -> Ident {
        let named = if id == 0 { 0 } else { Ident::NAMED };
        Ident(named | (id as u64) << 16 | fragment as u64)
    }

    /// RFC 8200: no identification; the flow label belongs to the flow (RFC 6437), but some senders
    /// change it for retransmissions.
    #[inline(always)]
    pub const fn v6(flow_label: u32) -> Ident {
        Ident(1 << 62 | (flow_label & 0x000f_ffff) as u64)
    }

    /// RFC 8200 section 4.5: identification and offset of a fragment header.
    pub const fn v6_fragment(id: u32, offset: u16) -> Ident {
        Ident(Ident::NAMED | 1 << 62 | (id as u64) << 16 | offset as u64)
    }

    /// Whether another packet of the same sender would have another value.
    #[inline(always)]
    pub const fn names_the_packet(self) -> bool {
        self.0 & Ident::NAMED != 0
    }

    /// For hashing.
    #[inline(always)]
    pub const fn to_bits(self) -> u64 {
        self.0
    }
}

/// The fields in which a duplicate differs from the original.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Apart(u8);

impl Apart {
    /// Another time to live: there is a router between the two capture places.
    pub const TTL: u8 = 1;
    /// Other link-layer addresses.
    pub const MAC: u8 = 2;
    /// Another VLAN tag, or only one of them is tagged.
    pub const VLAN: u8 = 4;
    /// One of the two was tunnelled (ERSPAN and the like).
    pub const TUNNEL: u8 = 8;

    /// From single bits.
    pub const fn new(bits: u8) -> Apart {
        Apart(bits)
    }

    /// Whether `bit` differs.
    pub const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// Whether nothing but the time differs: one port is mirrored twice.
    pub const fn is_nothing(self) -> bool {
        self.0 == 0
    }
}

/// Duplicates found at one capture point.
#[derive(Clone, Debug, Default)]
pub struct CopyPoint {
    /// The point's number.
    pub point: u16,
    /// Frames decoded there.
    pub frames: u64,
    /// The number of duplicates.
    pub copies: u64,
    /// Duplicates with another time to live.
    pub ttl: u64,
    /// Duplicates with other link-layer addresses.
    pub mac: u64,
    /// Duplicates with another VLAN tag.
    pub vlan: u64,
    /// Duplicates of which one was tunnelled.
    pub tunnel: u64,
    /// Duplicates that differ in nothing.
    pub identical: u64,
    /// VLANs of the original and of the duplicate (0 is none), and their count; once finished, most
    /// frequent first.
    pub vlans: Vec<((u16, u16), u64)>,
    longest: Nanos,
    skew: Option<hdrhistogram::Histogram<u64>>,
}

impl CopyPoint {
    /// An empty record.
    pub fn new(point: u16) -> CopyPoint {
        CopyPoint { point, ..CopyPoint::default() }
    }

    /// Counts one duplicate: what differs, VLANs of both, time since the original.
    pub fn observe(&mut self, apart: Apart, vlans: (u16, u16), skew: Nanos) {
        self.copies += 1;
        self.ttl += u64::from(apart.has(Apart::TTL));
        self.mac += u64::from(apart.has(Apart::MAC));
        self.vlan += u64::from(apart.has(Apart::VLAN));
        self.tunnel += u64::from(apart.has(Apart::TUNNEL));
        self.identical += u64::from(apart.is_nothing());
        self.add_vlans(vlans, 1);
        self.longest = self.longest.max(skew);
        if let Some(skews) = self.skews() {
            skews.saturating_record(skew.0);
        }
    }

    /// Adds the counts of another thread at the same point; the order does not matter.
    pub fn merge(&mut self, other: &CopyPoint) {
        self.frames += other.frames;
        self.copies += other.copies;
        self.ttl += other.ttl;
        self.mac += other.mac;
        self.vlan += other.vlan;
        self.tunnel += other.tunnel;
        self.identical += other.identical;
        other.vlans.iter().for_each(|(pair, n)| self.add_vlans(*pair, *n));
        self.longest = self.longest.max(other.longest);
        if let (Some(mine), Some(theirs)) = (self.skews(), &other.skew) {
            // Both have the same bounds, so every value of one fits into the other.
            let _ = mine.add(theirs);
        }
    }

    /// Duplicates among all frames, 0 to 1.
    pub fn share(&self) -> f64 {
        if self.frames == 0 { 0.0 } else { self.copies as f64 / self.frames as f64 }
    }

    /// The skew below which `share` (0 to 1) of the duplicates lie, in ns, within 1 %.
    pub fn skew_ns(&self, share: f64) -> Option<u64> {
        let skews = self.skew.as_ref().filter(|skews| !skews.is_empty())?;
        Some(skews.value_at_quantile(share).min(self.longest.0))
    }

    /// The longest time between a packet and its duplicate.
    pub const fn longest(&self) -> Nanos {
        self.longest
    }

    fn skews(&mut self) -> Option<&mut hdrhistogram::Histogram<u64>> {
        if self.skew.is_none() {
            self.skew = hdrhistogram::Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).ok();
        }
        self.skew.as_mut()
    }

    fn add_vlans(&mut self, pair: (u16, u16), n: u64) {
        let room = self.vlans.len() < VLAN_PAIRS_MAX;
        match self.vlans.iter_mut().find(|(known, _)| *known == pair) {
            Some((_, count)) => *count += n,
            None if room => self.vlans.push((pair, n)),
            None => {}
        }
    }
}

/// Duplicate removal in a run.
#[derive(Clone, Debug, Default)]
pub struct CopyReport {
    /// Longest time between a packet and its duplicate; zero if removal was off.
    pub window: Nanos,
    /// Points with duplicates, by number. Points beyond the cap count in the totals only.
    pub points: Vec<CopyPoint>,
}

impl CopyReport {
    /// Brings points and their VLANs into output order.
    pub fn finish(&mut self) {
        self.points.sort_by_key(|point| point.point);
        for point in &mut self.points {
            point.vlans.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identification_of_zero_names_no_packet() {
        assert!(Ident::v4(7, 0x4000).names_the_packet());
        assert!(!Ident::v4(0, 0x4000).names_the_packet());
        assert!(!Ident::v6(7).names_the_packet());
        assert!(Ident::v6_fragment(0, 185).names_the_packet());
        assert_ne!(Ident::v4(7, 0x2000), Ident::v4(7, 0x2001));
    }

    #[test]
    fn two_halves_add_up_to_the_whole_in_any_order() {
        let (mut whole, mut odd, mut even) =
            (CopyPoint::new(3), CopyPoint::new(3), CopyPoint::new(3));
        for n in 1..=1_000u64 {
            let (apart, vlans) = (Apart::new((n % 16) as u8), ((n % 3) as u16, 20));
            let skew = Nanos(n * 900);
            whole.observe(apart, vlans, skew);
            if n % 2 == 1 { &mut odd } else { &mut even }.observe(apart, vlans, skew);
        }
        let told = |mut point: CopyPoint| {
            point.frames = 4_000;
            let mut report = CopyReport { window: Nanos(1), points: vec![point] };
            report.finish();
            let point = &report.points[0];
            let skews = [0.05, 0.5, 0.95].map(|share| point.skew_ns(share));
            let counts = (point.copies, point.ttl, point.mac, point.vlan, point.tunnel);
            (skews, counts, point.identical, point.vlans.clone(), point.longest())
        };
        let (mut one, mut two) = (odd.clone(), even.clone());
        one.merge(&even);
        two.merge(&odd);
        assert_eq!(told(one), told(whole.clone()));
        assert_eq!(told(two), told(whole.clone()));
        let median = whole.skew_ns(0.5).unwrap() as f64;
        assert!((median - 450_000.0).abs() < 4_500.0, "{median}");
        assert_eq!((whole.copies, whole.identical, whole.ttl), (1_000, 62, 500));
    }
}
