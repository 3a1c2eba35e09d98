//! Every prefix of all lists, in little memory, found in few steps.
//!
//! Owns: the prefixes of list files, and the index over them. In: prefixes with the number of what
//! they say, once. Out: those that contain an address, longest first. Never: changes after it was
//! built, allocates in a lookup.
//!
//! A feed may have ten million prefixes: an IPv4 prefix takes 12 bytes while lists are read, and 16
//! in the index. A table of the first bits of addresses says where to look, so that a search passes
//! a few neighbours and not the logarithm of all of them through the memory.

use crate::enrich::lpm::{Prefix, PrefixSet};
use crate::model::Addr;

/// Prefixes as they are read, each with a number of its own list.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PrefixLines {
    /// First address, length and number.
    v4: Vec<(u32, u8, u32)>,
    v6: Vec<(Prefix, u32)>,
}

impl PrefixLines {
    /// Room for so many prefixes of IPv4.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.v4.reserve_exact(more);
    }

    /// Adds a prefix.
    pub(crate) fn push(&mut self, prefix: Prefix, number: u32) {
        match prefix.v4() {
            Some((first, length)) => self.v4.push((first, length, number)),
            None => self.v6.push((prefix, number)),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Sorts them and removes repetitions. Gives a prefix that has more than `most` numbers, if
    /// there is one: a lookup visits all of them.
    pub(crate) fn settle(&mut self, most: usize) -> Option<Prefix> {
        self.v4.sort_unstable();
        self.v4.dedup();
        self.v6.sort_unstable();
        self.v6.dedup();
        let (v4, v6) = (self.v4.windows(most + 1), self.v6.windows(most + 1));
        let ends4 = v4.filter_map(|all| all.first().zip(all.last()));
        let mut too_many = ends4.filter(|(a, b)| (a.0, a.1) == (b.0, b.1));
        let ends6 = v6.filter_map(|all| all.first().zip(all.last()));
        let mut too_many6 = ends6.filter(|(a, b)| a.0 == b.0);
        let found4 = too_many.next().map(|((first, length, _), _)| Prefix::of_v4(*first, *length));
        found4.or_else(|| too_many6.next().map(|((prefix, _), _)| *prefix))
    }

    /// Takes in those of another list, whose numbers begin at `base`.
    pub(crate) fn append(&mut self, mut other: PrefixLines, base: u32) {
        other.v4.iter_mut().for_each(|(.., number)| *number = number.saturating_add(base));
        other.v6.iter_mut().for_each(|(_, number)| *number = number.saturating_add(base));
        if self.v4.is_empty() {
            self.v4 = other.v4;
        } else {
            self.v4.append(&mut other.v4);
        }
        self.v6.append(&mut other.v6);
    }
}

#[derive(Clone, Copy, Debug)]
struct Node {
    first: u32,
    last: u32,
    /// Index + 1 of the next wider prefix around it, or of an equal one before it; 0 if none.
    parent: u32,
    number: u32,
}

/// The index.
#[derive(Clone, Debug)]
pub(crate) struct PrefixIndex {
    nodes: Vec<Node>,
    /// For each value of an address' first bits: how many nodes begin before those bits do.
    table: Vec<u32>,
    /// How far to shift an address for its place in the table.
    shift: u32,
    v6: PrefixSet<u32>,
}

impl Default for PrefixIndex {
    fn default() -> PrefixIndex {
        PrefixIndex::build(PrefixLines::default())
    }
}

/// Most bits of the table: 16 MiB.
const TABLE_BITS_MAX: u32 = 22;

impl PrefixIndex {
    /// Builds the index. Equal prefixes are all kept; a lookup gives the greatest number first.
    pub(crate) fn build(lines: PrefixLines) -> PrefixIndex {
        let PrefixLines { mut v4, v6 } = lines;
        v4.sort_unstable();
        let mut nodes: Vec<Node> = Vec::with_capacity(v4.len());
        let mut open: Vec<(u32, u32)> = Vec::new();
        for (first, length, number) in v4 {
            let last = first | u32::MAX.checked_shr(length.into()).unwrap_or(0);
            while open.last().is_some_and(|(_, end)| *end < first) {
                open.pop();
            }
            let parent = open.last().map_or(0, |(index, _)| *index);
            nodes.push(Node { first, last, parent, number });
            open.push((u32::try_from(nodes.len()).unwrap_or(u32::MAX), last));
        }
        // About two nodes for each place of the table.
        let bits = (usize::BITS - nodes.len().leading_zeros()).saturating_sub(1);
        let bits = bits.clamp(1, TABLE_BITS_MAX);
        let shift = 32 - bits;
        let mut table = vec![0u32; (1usize << bits) + 1];
        for node in &nodes {
            if let Some(count) = table.get_mut((node.first >> shift) as usize + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for count in &mut table {
            sum += *count;
            *count = sum;
        }
        PrefixIndex { nodes, table, shift, v6: PrefixSet::build(v6) }
    }

    /// The number of every prefix that contains the address, longest first, with the prefix.
    pub(crate) fn matches(&self, addr: Addr) -> impl Iterator<Item = (Prefix, u32)> {
        let v4 = addr.to_v4().map(u32::from);
        let mut next = v4.map_or(0, |bits| self.position(bits));
        let of_v4 = std::iter::from_fn(move || {
            loop {
                let node = self.nodes.get(next.checked_sub(1)?)?;
                next = node.parent as usize;
                if v4.is_some_and(|bits| bits <= node.last) {
                    let length = (node.last - node.first).leading_zeros() as u8;
                    return Some((Prefix::of_v4(node.first, length), node.number));
                }
            }
        });
        // Prefixes of IPv6 may hold the addresses of IPv4, as ::/0 does.
        let of_v6 = self.v6.matches_with_prefix(addr).map(|(prefix, number)| (prefix, *number));
        of_v4.chain(of_v6)
    }

    /// How many nodes begin at the address or before it.
    fn position(&self, bits: u32) -> usize {
        let place = (bits >> self.shift) as usize;
        let of = |place: usize| self.table.get(place).map_or(0, |count| *count as usize);
        let (from, to) = (of(place), of(place + 1));
        let near = self.nodes.get(from..to).unwrap_or_default();
        from + near.partition_point(|node| node.first <= bits)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    fn index(texts: &[&str]) -> PrefixIndex {
        let mut lines = PrefixLines::default();
        for (number, text) in (0..).zip(texts) {
            lines.push(Prefix::parse(text).unwrap(), number);
        }
        PrefixIndex::build(lines)
    }

    fn found(index: &PrefixIndex, ip: &str) -> Vec<(String, u32)> {
        let addr = Addr::from(ip.parse::<IpAddr>().unwrap());
        index.matches(addr).map(|(prefix, number)| (prefix.to_string(), number)).collect()
    }

    #[test]
    fn the_longest_comes_first_and_says_how_it_is_written() {
        let all = index(&["0.0.0.0/0", "10.0.0.0/8", "10.1.2.3", "::/0", "2001:db8::/32"]);
        let owned = |all: &[(&str, u32)]| {
            all.iter().map(|(text, n)| ((*text).to_owned(), *n)).collect::<Vec<_>>()
        };
        let want = [("10.1.2.3", 2), ("10.0.0.0/8", 1), ("0.0.0.0/0", 0), ("::/0", 3)];
        assert_eq!(found(&all, "10.1.2.3"), owned(&want));
        assert_eq!(found(&all, "255.255.255.255"), owned(&[("0.0.0.0/0", 0), ("::/0", 3)]));
        assert_eq!(found(&all, "2001:db8::1"), owned(&[("2001:db8::/32", 4), ("::/0", 3)]));
        assert!(found(&index(&[]), "10.1.2.3").is_empty());
    }

    #[test]
    fn repetitions_are_one_and_too_many_of_one_are_told() {
        let mut lines = PrefixLines::default();
        let prefix = Prefix::parse("10.0.0.0/8").unwrap();
        (0..3).for_each(|_| lines.push(prefix, 7));
        assert_eq!((lines.settle(1), lines.len()), (None, 1));
        lines.push(prefix, 8);
        assert_eq!(lines.settle(1), Some(prefix));
        let mut lines = PrefixLines::default();
        let prefix = Prefix::parse("2001:db8::/32").unwrap();
        (0..3).for_each(|number| lines.push(prefix, number));
        assert_eq!((lines.settle(2), lines.settle(3)), (Some(prefix), None));
    }

    proptest! {
        #[test]
        fn agrees_with_a_scan_of_all_prefixes(
            raw in prop::collection::vec((any::<u32>(), 0u8..=32), 0..80),
            probes in prop::collection::vec(any::<u32>(), 1..40),
        ) {
            // Few distinct high bits, so that prefixes nest often.
            let of = |bits: u32| bits & 0xc003_00ff;
            let mut lines = PrefixLines::default();
            let mut all = Vec::new();
            for (number, (bits, length)) in (0u32..).zip(&raw) {
                let mask = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
                let prefix = Prefix::of_v4(of(*bits) & mask, *length);
                lines.push(prefix, number);
                all.push((prefix, number));
            }
            let index = PrefixIndex::build(lines);
            for probe in probes.iter().map(|bits| of(*bits)) {
                let addr = Addr::from(IpAddr::from(std::net::Ipv4Addr::from(probe)));
                let mut want: Vec<(u8, u32)> = all
                    .iter()
                    .filter(|(prefix, _)| prefix.contains(addr))
                    .map(|(prefix, number)| (prefix.length(), *number))
                    .collect();
                want.sort_unstable();
                want.reverse();
                let have: Vec<(u8, u32)> =
                    index.matches(addr).map(|(prefix, n)| (prefix.length(), n)).collect();
                prop_assert_eq!(have, want);
            }
        }
    }
}
