//! Prefixes, and longest-prefix matching.
//!
//! Owns: prefix syntax, an immutable sorted set. In: prefixes with values, once. Out: every value
//! whose prefix contains an address, longest first. Never: changes after it was built, allocates in
//! a lookup.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::Addr;

/// An IPv4 or IPv6 prefix on the 128-bit form of [`Addr`]: an IPv4 /24 is stored as /120.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    bits: u128,
    len: u8,
}

impl Prefix {
    /// Parses `192.0.2.0/24`, `2001:db8::/32` or a bare address. Host bits must be zero.
    pub fn parse(text: &str) -> Result<Prefix, String> {
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let ip: IpAddr =
            address.parse().map_err(|_| format!("`{address}` is not an IPv4 or IPv6 address"))?;
        let width: u8 = if ip.is_ipv4() { 32 } else { 128 };
        let len = match len {
            None => width,
            Some(len) => len
                .parse::<u8>()
                .ok()
                .filter(|len| *len <= width && !text.contains("/+"))
                .ok_or_else(|| format!("`/{len}` is not a prefix length from 0 to {width}"))?,
        };
        let bits = Addr::from(ip).to_bits();
        let prefix = Prefix::new(bits, len + (128 - width));
        if prefix.bits != bits {
            return Err(format!("`{text}` has host bits set behind /{len}"));
        }
        Ok(prefix)
    }

    /// The form that most entries of long lists have, `192.0.2.0/24` or `192.0.2.1` and nothing
    /// else, in one pass. Whatever else there may be is left to [`Prefix::parse`].
    pub fn parse_plain_v4(text: &[u8]) -> Option<Prefix> {
        let (mut address, mut octets, mut octet, mut digits) = (0u32, 0u8, 0u32, 0u8);
        let mut bytes = text.iter();
        let length = loop {
            match bytes.next() {
                // No octet begins with a zero but 0.
                Some(digit @ b'0'..=b'9') if digits < 3 && (digits == 0 || octet > 0) => {
                    octet = octet * 10 + u32::from(digit - b'0');
                    digits += 1;
                }
                end @ (Some(b'.' | b'/') | None) if digits > 0 && octet <= 255 => {
                    address = address << 8 | octet;
                    octets += 1;
                    match (end, octets) {
                        (Some(b'.'), 1..4) => (octet, digits) = (0, 0),
                        (Some(b'/'), 4) => break plain_length(bytes.as_slice())?,
                        (None, 4) => break 32,
                        _ => return None,
                    }
                }
                _ => return None,
            }
        };
        let host = u32::MAX.checked_shr(length.into()).unwrap_or(0);
        (address & host == 0).then(|| Prefix::of_v4(address, length))
    }

    /// The prefix of `len` bits (0 to 128) that contains the address.
    pub const fn new(bits: u128, len: u8) -> Prefix {
        let len = if len > 128 { 128 } else { len };
        Prefix { bits: bits & mask(len), len }
    }

    /// Of IPv4: its first address and its length, 0 to 32.
    pub const fn v4(self) -> Option<(u32, u8)> {
        match (self.bits >> 32, self.len.checked_sub(96)) {
            (0xffff, Some(length)) => Some((self.bits as u32, length)),
            _ => None,
        }
    }

    /// The prefix of IPv4 with that first address and length.
    pub const fn of_v4(first: u32, length: u8) -> Prefix {
        Prefix::new(0xffff << 32 | first as u128, length.saturating_add(96))
    }

    /// Its length, 0 to 128.
    pub const fn length(self) -> u8 {
        self.len
    }

    /// Whether it contains the address.
    pub const fn contains(self, addr: Addr) -> bool {
        addr.to_bits() & mask(self.len) == self.bits
    }

    /// Whether it holds every address that the other holds.
    pub const fn contains_all(self, other: Prefix) -> bool {
        self.len <= other.len && other.bits & mask(self.len) == self.bits
    }

    const fn last(self) -> u128 {
        self.bits | !mask(self.len)
    }
}

/// As lists write it: a single address without its length.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.v4() {
            Some((first, 32)) => write!(f, "{}", Ipv4Addr::from(first)),
            Some((first, length)) => write!(f, "{}/{length}", Ipv4Addr::from(first)),
            None if self.len == 128 => write!(f, "{}", Ipv6Addr::from(self.bits)),
            None => write!(f, "{}/{}", Ipv6Addr::from(self.bits), self.len),
        }
    }
}

const fn mask(len: u8) -> u128 {
    match 128u32.checked_sub(len as u32) {
        Some(128) | None => 0,
        Some(shift) => u128::MAX << shift,
    }
}

#[derive(Clone, Debug)]
struct Node<T> {
    first: u128,
    last: u128,
    /// Index + 1 of the next wider prefix that encloses this one (or an equal one before it), 0 if
    /// none.
    parent: u32,
    value: T,
}

/// An immutable set of prefixes. Prefixes nest or are disjoint, so those that contain an address
/// are one node, found by binary search on the first address, and its chain of enclosing nodes.
#[derive(Clone, Debug)]
pub struct PrefixSet<T> {
    nodes: Vec<Node<T>>,
}

impl<T> Default for PrefixSet<T> {
    fn default() -> PrefixSet<T> {
        PrefixSet { nodes: Vec::new() }
    }
}

impl<T> PrefixSet<T> {
    /// Builds the set. Equal prefixes are all kept; a lookup returns the later one first.
    pub fn build(mut entries: Vec<(Prefix, T)>) -> PrefixSet<T> {
        entries.sort_by_key(|(prefix, _)| *prefix);
        let mut nodes: Vec<Node<T>> = Vec::with_capacity(entries.len());
        let mut open: Vec<(u32, u128)> = Vec::new();
        for (prefix, value) in entries {
            while open.last().is_some_and(|(_, last)| *last < prefix.bits) {
                open.pop();
            }
            let parent = open.last().map_or(0, |(index, _)| *index);
            let node = Node { first: prefix.bits, last: prefix.last(), parent, value };
            nodes.push(node);
            open.push((u32::try_from(nodes.len()).unwrap_or(u32::MAX), prefix.last()));
        }
        PrefixSet { nodes }
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Every value whose prefix contains the address, longest prefix first.
    pub fn matches(&self, addr: Addr) -> impl Iterator<Item = &T> {
        self.matches_with_prefix(addr).map(|(_, value)| value)
    }

    /// The same with the prefixes.
    pub fn matches_with_prefix(&self, addr: Addr) -> impl Iterator<Item = (Prefix, &T)> {
        let bits = addr.to_bits();
        let mut next = self.nodes.partition_point(|node| node.first <= bits);
        std::iter::from_fn(move || {
            loop {
                let node = self.nodes.get(next.checked_sub(1)?)?;
                next = node.parent as usize;
                if bits <= node.last {
                    let len = (node.last - node.first).leading_zeros() as u8;
                    return Some((Prefix::new(node.first, len), &node.value));
                }
            }
        })
    }

    /// The value of the longest prefix that contains the address.
    pub fn longest(&self, addr: Addr) -> Option<&T> {
        self.matches(addr).next()
    }
}

/// A prefix length of IPv4.
fn plain_length(text: &[u8]) -> Option<u8> {
    let length = match text {
        [one @ b'0'..=b'9'] => one - b'0',
        [ten @ b'1'..=b'3', one @ b'0'..=b'9'] => (ten - b'0') * 10 + (one - b'0'),
        _ => return None,
    };
    (length <= 32).then_some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addr(text: &str) -> Addr {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn prefix_text_is_read_or_refused_with_the_reason() {
        assert!(Prefix::parse("10.0.0.0/8").unwrap().contains(addr("10.255.0.1")));
        assert!(!Prefix::parse("10.0.0.0/8").unwrap().contains(addr("11.0.0.0")));
        assert!(Prefix::parse("::/0").unwrap().contains(addr("10.0.0.1")));
        assert!(!Prefix::parse("0.0.0.0/0").unwrap().contains(addr("2001:db8::1")));
        assert!(Prefix::parse("192.0.2.7").unwrap().contains(addr("192.0.2.7")));
        for bad in ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0", "::/129"] {
            assert!(Prefix::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn all_enclosing_prefixes_match_longest_first() {
        let texts = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.2.0.0/16", "10.1.0.0/16"];
        let entries = texts.iter().enumerate().map(|(i, t)| (Prefix::parse(t).unwrap(), i));
        let set = PrefixSet::build(entries.collect());
        let found = |ip| set.matches(addr(ip)).copied().collect::<Vec<_>>();
        assert_eq!(found("10.1.2.3"), [2, 4, 1, 0]);
        assert_eq!(found("10.1.3.3"), [4, 1, 0]);
        assert_eq!(found("10.200.0.1"), [0]);
        assert!(found("11.0.0.1").is_empty());
        assert!(found("::a01:203").is_empty());
    }

    #[test]
    fn the_plain_form_is_read_as_the_whole_grammar_reads_it() {
        for text in [
            "10.0.0.1",
            "10.0.0.0/8",
            "0.0.0.0/0",
            "255.255.255.255/32",
            "1.2.3.0/24",
            "1.2.3.4/24",
            "01.2.3.4",
            "1.2.3",
            "1.2.3.4.5",
            "256.1.1.1",
            "1.2.3.4/33",
            "1.2.3.4/+8",
            "1.2.3.4/",
            "1.2.3.0/08",
            "1.2.3.4 ",
            "",
            "::1",
            "1.2.3.4/032",
            "1..2.3",
            "1.2.3.1000",
            ".1.2.3.4",
            "1.2.3.4x",
        ] {
            let plain = Prefix::parse_plain_v4(text.as_bytes());
            assert!(plain.is_none() || plain == Prefix::parse(text).ok(), "{text}: {plain:?}");
        }
        assert!(Prefix::parse_plain_v4(b"198.51.100.0/24").is_some());
        assert!(Prefix::parse_plain_v4(b"198.51.100.7").is_some());
    }

    proptest! {
        #[test]
        fn each_plain_prefix_is_read(bits in any::<u32>(), length in 0u8..=32) {
            let prefix = Prefix::of_v4(bits, length);
            let text = format!("{}/{length}", std::net::Ipv4Addr::from(prefix.bits as u32));
            prop_assert_eq!(Prefix::parse_plain_v4(text.as_bytes()), Some(prefix));
        }

        #[test]
        fn agrees_with_a_scan_of_all_prefixes(
            raw in prop::collection::vec((any::<u8>(), any::<u16>(), 100u8..=128), 0..60),
            probes in prop::collection::vec((any::<u8>(), any::<u16>()), 1..40),
        ) {
            // Few distinct high bits, so that prefixes nest often.
            let wide = |high: u8, low: u16| {
                0xffff_0000_0000u128 | u128::from(high & 3) << 24 | u128::from(low & 0x3ff)
            };
            let entries: Vec<(Prefix, usize)> = raw
                .iter()
                .enumerate()
                .map(|(i, (high, low, len))| (Prefix::new(wide(*high, *low), *len), i))
                .collect();
            let set = PrefixSet::build(entries.clone());
            for (high, low) in probes {
                let probe = Addr(wide(high, low).to_be_bytes());
                let mut oracle: Vec<(u8, usize)> = entries
                    .iter()
                    .filter(|(prefix, _)| prefix.contains(probe))
                    .map(|(prefix, i)| (prefix.len, *i))
                    .collect();
                oracle.sort_unstable();
                oracle.reverse();
                let expected: Vec<usize> = oracle.into_iter().map(|(_, i)| i).collect();
                prop_assert_eq!(set.matches(probe).copied().collect::<Vec<_>>(), expected);
            }
        }
    }
}
