//! Up to 64 packets for one worker, the blocks that hold their bytes, and what every worker is told
//! between them.
//!
//! Owns: the packets; a share of each block and of each binding. In: packets. Out: packets with
//! their block, bindings with the place where they stand.
//! Never: outgrows its caps.

use std::sync::Arc;

use crate::model::Binding;
use crate::model::Packet;

/// Packets in a batch: enough that a queue operation costs each of them a nanosecond or two, few
/// enough that a batch (6 KiB) stays in the first-level cache.
pub const PACKETS: usize = 64;

/// Blocks in a batch. One file needs one or two; a merge of many files interleaves theirs.
pub const BLOCKS: usize = 8;

/// Bindings in a batch: one packet's take one place, and few packets have any.
pub const BINDINGS: usize = 16;

/// What one packet said of who is behind addresses.
pub type Said = Arc<[Binding]>;

/// Packets on their way to a worker. `B` is a shared handle of a block.
#[derive(Debug)]
pub struct Batch<B> {
    packets: Vec<Packet>,
    /// For each, which of the blocks holds its frame.
    homes: Vec<u8>,
    blocks: Vec<B>,
    /// Each with the number of packets that stand before it.
    said: Vec<(u8, Said)>,
    /// The run's clock when the batch was sent: everything before this second has been dispatched.
    pub clock: u32,
    /// Every worker gets a batch with this mark at the same point of the input: what is over before
    /// `clock` is to be handed on.
    pub mark: bool,
    /// With a mark: how many came before it in that second. What packets ended since the last one
    /// is to be handed on, too.
    pub part: u32,
    /// Nothing follows.
    pub last: bool,
}

impl<B> Batch<B> {
    /// An empty batch with room for its caps.
    pub fn new() -> Batch<B> {
        Batch {
            packets: Vec::with_capacity(PACKETS),
            homes: Vec::with_capacity(PACKETS),
            blocks: Vec::with_capacity(BLOCKS),
            said: Vec::new(),
            clock: 0,
            mark: false,
            part: 0,
            last: false,
        }
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty() && self.said.is_empty()
    }

    /// Whether no further packet fits.
    pub fn is_full(&self) -> bool {
        self.packets.len() >= PACKETS
    }

    /// Adds a packet whose frame lies in `block`. The caller has made room with
    /// [`Batch::has_room_for`].
    #[inline(always)]
    pub fn push(&mut self, packet: Packet, block: &B)
    where
        B: Clone + Same,
    {
        let held = self.blocks.iter().rposition(|held| held.same(block));
        let at = held.unwrap_or_else(|| {
            self.blocks.push(block.clone());
            self.blocks.len() - 1
        });
        self.packets.push(packet);
        self.homes.push(at as u8);
    }

    /// Whether a packet in `block` still fits.
    pub fn has_room_for(&self, block: &B) -> bool
    where
        B: Same,
    {
        !self.is_full()
            && (self.blocks.len() < BLOCKS || self.blocks.iter().any(|held| held.same(block)))
    }

    /// Whether further bindings fit.
    pub fn has_room_to_say(&self) -> bool {
        self.said.len() < BINDINGS
    }

    /// Adds what was said behind the packets so far.
    pub fn say(&mut self, said: Said) {
        self.said.push((self.packets.len() as u8, said));
    }

    /// What is said, each with the number of packets that stand before it.
    pub fn said(&self) -> impl Iterator<Item = (usize, &Said)> {
        self.said.iter().map(|(before, said)| (usize::from(*before), said))
    }

    /// The packets, each with its block.
    pub fn iter(&self) -> impl Iterator<Item = (&Packet, &B)> {
        let homes = self.homes.iter();
        self.packets
            .iter()
            .zip(homes)
            .filter_map(|(packet, home)| Some((packet, self.blocks.get(usize::from(*home))?)))
    }

    /// Lets go of packets and blocks, keeps the room.
    pub fn clear(&mut self) {
        self.packets.clear();
        self.homes.clear();
        self.blocks.clear();
        self.said.clear();
        self.mark = false;
        self.last = false;
    }
}

impl<B> Default for Batch<B> {
    fn default() -> Batch<B> {
        Batch::new()
    }
}

/// Whether two handles are of the same block.
pub trait Same {
    /// True for handles of one block.
    fn same(&self, other: &Self) -> bool;
}

impl<T> Same for std::sync::Arc<T> {
    fn same(&self, other: &Self) -> bool {
        std::sync::Arc::ptr_eq(self, other)
    }
}
