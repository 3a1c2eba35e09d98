//! How long something took, as a histogram whose parts are added without a lock or an allocation.
//!
//! Owns: the edges of the buckets. In: nanoseconds. Out: cumulative counts. Never: a clock.

/// Edges are powers of four, from a microsecond to 17 seconds, and one beyond.
const BUCKETS: usize = 14;

/// The first edge: 2^10 ns.
const FIRST_BITS: u32 = 10;

/// Times that were measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    counts: [u64; BUCKETS],
    nanoseconds: u64,
}

impl Spread {
    /// Adds a time.
    pub fn add(&mut self, nanoseconds: u64) {
        // Of a time just below an edge all bits fit below it.
        let bits = u64::BITS - nanoseconds.leading_zeros();
        let at = (bits.saturating_sub(FIRST_BITS) as usize).div_ceil(2).min(BUCKETS - 1);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.nanoseconds = self.nanoseconds.saturating_add(nanoseconds);
    }

    /// Adds another thread's.
    pub fn merge(&mut self, other: &Spread) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.nanoseconds = self.nanoseconds.saturating_add(other.nanoseconds);
    }

    /// For each bucket its upper edge in seconds, and how many times are below; the last has none.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<f64>, u64)> + '_ {
        let mut sum = 0;
        self.counts.iter().enumerate().map(move |(at, count)| {
            sum += count;
            let edge = (1_u64 << (FIRST_BITS as usize + 2 * at)) as f64 / 1e9;
            ((at + 1 < BUCKETS).then_some(edge), sum)
        })
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    pub fn seconds(&self) -> f64 {
        self.nanoseconds as f64 / 1e9
    }
}
