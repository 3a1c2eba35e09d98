//! Up to 64 packets for one worker, the blocks that hold their bytes, and the content of a
//! watermark.
//!
//! Owns: the packets; a handle of each block. In: packets. Out: packets with their blocks.
//! Never: outgrows its caps.

use crate::model::Packet;

/// Packets per batch: enough to spread the cost of a queue operation to 1-2 ns each, few enough
/// that a batch (6 KiB) stays in the L1 cache.
pub const PACKETS: usize = 64;

/// Blocks per batch. One file needs one or two; a merge of many files interleaves theirs.
pub const BLOCKS: usize = 8;

/// Packets on their way to a worker. `B` is a shared block handle, `N` one of what all workers
/// learn at a watermark.
#[derive(Debug)]
pub struct Batch<B, N> {
    /// Places, of which the first so many are taken: a packet is copied into its own at once.
    packets: Box<[Packet]>,
    /// For each packet, the index of its block.
    homes: Box<[u8]>,
    len: usize,
    blocks: Vec<B>,
    /// The run's clock when the batch was sent: everything before this second has been dispatched.
    pub clock: u32,
    /// A watermark: every worker gets one at the same point of the input, and hands on what ended
    /// before `clock`.
    pub mark: bool,
    /// With a watermark: the number of watermarks before it in the same second. What packets ended
    /// since the last one is handed on as well.
    pub part: u32,
    /// With a watermark: what every worker knows from here on, if that has changed.
    pub news: Option<N>,
    /// Whether this is the last batch.
    pub last: bool,
}

impl<B, N> Batch<B, N> {
    /// An empty batch with its full capacity allocated.
    pub fn new() -> Batch<B, N> {
        Batch {
            packets: vec![Packet::default(); PACKETS].into(),
            homes: vec![0; PACKETS].into(),
            len: 0,
            blocks: Vec::with_capacity(BLOCKS),
            clock: 0,
            mark: false,
            part: 0,
            news: None,
            last: false,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there is no room for another packet.
    pub fn is_full(&self) -> bool {
        self.len >= PACKETS
    }

    /// Adds a packet whose frame is in `block`, unless there is no room for either: then it returns
    /// false, and the caller must send the batch first.
    #[must_use]
    #[inline(always)]
    pub fn push(&mut self, packet: &Packet, block: &B) -> bool
    where
        B: Clone + SameBlock,
    {
        let (place, home) = (self.packets.get_mut(self.len), self.homes.get_mut(self.len));
        let (Some(place), Some(home)) = (place, home) else { return false };
        let at = match self.blocks.iter().rposition(|held| held.is_same_block(block)) {
            Some(at) => at,
            None if self.blocks.len() < BLOCKS => {
                self.blocks.push(block.clone());
                self.blocks.len() - 1
            }
            None => return false,
        };
        (*place, *home) = (*packet, at as u8);
        self.len += 1;
        true
    }

    /// The packets alone.
    pub fn packets(&self) -> &[Packet] {
        self.packets.get(..self.len).unwrap_or_default()
    }

    /// The packets, each with its block.
    pub fn iter(&self) -> impl Iterator<Item = (&Packet, &B)> {
        let homes = self.homes.iter();
        self.packets()
            .iter()
            .zip(homes)
            .filter_map(|(packet, home)| Some((packet, self.blocks.get(usize::from(*home))?)))
    }

    /// Drops packets and block handles; keeps the capacity.
    pub fn clear(&mut self) {
        self.len = 0;
        self.blocks.clear();
        self.news = None;
        self.mark = false;
        self.last = false;
    }
}

impl<B, N> Default for Batch<B, N> {
    fn default() -> Batch<B, N> {
        Batch::new()
    }
}

/// Whether two handles refer to the same block.
pub trait SameBlock {
    /// True for handles of one block.
    fn is_same_block(&self, other: &Self) -> bool;
}

impl<T> SameBlock for std::sync::Arc<T> {
    fn is_same_block(&self, other: &Self) -> bool {
        std::sync::Arc::ptr_eq(self, other)
    }
}
