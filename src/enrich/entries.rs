//! A worker's cache of the entries of prefixes, so that a prefix is written as text once.
//!
//! Owns: a fixed table of entries. In: prefixes that contain an address, and what they say. Out:
//! entries of lists. Never: grows past its constant (direct-mapped: a newer prefix replaces the
//! slot's), shares with other workers.

use crate::enrich::lists::{Entry, Lists};
use crate::enrich::lpm::Prefix;
use crate::model::Addr;

/// Entries cached per worker; 112 bytes each.
const SLOTS: usize = 1_024;

pub(crate) struct Entries {
    slots: Vec<Option<(Prefix, u32, Entry)>>,
}

impl Entries {
    pub(crate) fn new() -> Entries {
        Entries { slots: std::iter::repeat_with(|| None).take(SLOTS).collect() }
    }

    /// Calls `each` with the entries whose prefix contains the address, as [`Lists::by_address`]
    /// gives them.
    pub(crate) fn of(&mut self, lists: &Lists, addr: Addr, mut each: impl FnMut(&Entry)) {
        for (prefix, number) in lists.prefixes_of(addr) {
            let Some(slot) = self.slots.get_mut(place(prefix, number)) else { continue };
            if !matches!(slot, Some((of, said, _)) if *of == prefix && *said == number) {
                *slot = lists.entry_of(prefix, number).map(|entry| (prefix, number, entry));
            }
            if let Some((.., entry)) = slot {
                each(entry);
            }
        }
    }
}

fn place(prefix: Prefix, number: u32) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let bits = prefix.bits();
    let folded = (bits >> 64) as u64 ^ bits as u64 ^ u64::from(number) << 32;
    let hash = (folded ^ u64::from(prefix.length())).wrapping_mul(ODD);
    (hash >> 48) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_cached_entry_is_that_of_the_lists() {
        let text = "# name: own\n# kind: prefix\n# source: s\n# date: 2026-11-01\n# licence: l\n\
                    10.0.0.0/8\n10.1.0.0/16 vpn:a\n10.1.2.3\n::/0 b\n2001:db8::/32 c\n";
        let lists = Lists::from_text(Path::new("own.txt"), text).unwrap();
        let mut entries = Entries::new();
        // More addresses than slots, twice.
        let v4 = (0..2_000u32).map(|n| Addr::from(std::net::Ipv4Addr::from(0x0a01_0000 + n)));
        let v6 = (0..2_000u128).map(|n| Addr((0x2001_0db8 << 96 | n).to_be_bytes()));
        let all: Vec<Addr> = v4.chain(v6).collect();
        for addr in all.iter().chain(&all).copied() {
            let mut cached = Vec::new();
            entries.of(&lists, addr, |entry| cached.push(entry.clone()));
            assert_eq!(cached, lists.by_address(addr).collect::<Vec<Entry>>(), "{addr}");
        }
    }
}
