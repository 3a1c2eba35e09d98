//! Hashes of lists that came before: the clients of a network offer the same few lists again and
//! again, and writing one out and hashing it costs far more than comparing it.
//!
//! Owns: a table of a thread. In: a list. Out: its hash, as if it had been computed. Never: grows,
//! or takes a list for another one: lists are compared whole.

use std::cell::RefCell;

/// Places of the table; a power of two. Lists whose places are equal replace each other.
const PLACES: usize = 256;

/// Values of the longest list that is kept, so that all take 128 KiB at most.
pub(super) const VALUES_MAX: usize = 256;

/// Bytes of a hash that are kept: what JA4 shows of one.
pub(super) type Short = [u8; 6];

/// The places.
type Table = [Option<Known>; PLACES];

/// A list, and its hash.
#[derive(Debug)]
struct Known {
    values: Box<[u16]>,
    hash: Short,
}

thread_local! {
    static KNOWN: RefCell<Table> = const { RefCell::new([const { None }; PLACES]) };
}

/// The hash of a list: the one of before, or what `compute` says.
pub(super) fn of(values: &[u16], compute: impl FnOnce() -> Short) -> Short {
    if values.len() > VALUES_MAX {
        return compute();
    }
    KNOWN.with_borrow_mut(|known| {
        let Some(place) = known.get_mut(place(values)) else { return compute() };
        match place {
            Some(known) if *known.values == *values => known.hash,
            _ => {
                let hash = compute();
                *place = Some(Known { values: values.into(), hash });
                hash
            }
        }
    })
}

/// Where a list is kept.
fn place(values: &[u16]) -> usize {
    let mix = |all: u64, value: &u16| {
        (all ^ u64::from(*value)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
    };
    values.iter().fold(values.len() as u64, mix) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_computed_once_and_never_taken_for_another() {
        let hash = |n: u16| [n as u8, (n >> 8) as u8, 0, 0, 0, 0];
        assert_eq!(of(&[1, 2, 3], || hash(1)), hash(1));
        assert_eq!(of(&[1, 2, 3], || unreachable!()), hash(1));
        // More lists than places, each twice, and the prefix of each.
        for n in 0..2_000 {
            assert_eq!(of(&[n, 7, 9], || hash(n)), hash(n));
            assert_eq!(of(&[n, 7], || hash(n + 5_000)), hash(n + 5_000));
            assert_eq!(of(&[n, 7, 9], || hash(n)), hash(n));
        }
        let long = vec![7; VALUES_MAX + 1];
        assert_eq!([of(&long, || hash(8)), of(&long, || hash(9))], [hash(8), hash(9)]);
    }
}
