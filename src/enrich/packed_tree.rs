//! The search tree of an embedded database, packed in frames that are unpacked on demand.
//!
//! Owns: the index of frames, the unpacked ones. In: the bytes that `geo/pack.py` made, which says
//! how. Out: the two records of a node, as the file had them. Never: the data behind the tree.
//!
//! The tree is in depth-first order: most children follow their parent, and neighbours have the
//! same data. So a code of few bytes a node is as short as compression by a library, and unpacks a
//! frame in a fraction of the time, which counts where each packet comes from another address.

use std::iter::repeat_with;
use std::sync::OnceLock;

/// How the packed form begins.
const MARK: &[u8] = b"LHGEO1";

/// Nodes of each frame but the last.
const FRAME_NODES: u32 = 128;

/// Distances between nodes are modulo this.
const RANGE: u32 = 1 << 23;

/// Offsets that a frame repeats by their place.
const RECENT: usize = 9;

/// The two records of a node: a node below the number of nodes, no data, or beyond it a place in
/// the data.
type Node = [u32; 2];

/// The tree.
pub(super) struct PackedTree {
    packed: &'static [u8],
    /// Where each frame begins in `packed`; behind them, where the last ends.
    starts: Vec<u32>,
    /// The frames that were needed so far.
    plain: Vec<OnceLock<Box<[Node]>>>,
    nodes: u32,
}

/// The frame of the node before: most nodes are in it, too.
pub(super) type Held<'f> = Option<(u32, &'f [Node])>;

impl PackedTree {
    /// The tree, and the bytes of the file behind it.
    pub(super) fn open(packed: &'static [u8]) -> Option<(PackedTree, &'static [u8])> {
        let (nodes, rest) = packed.strip_prefix(MARK)?.split_first_chunk::<4>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let (nodes, count) = (u32::from_be_bytes(*nodes), u32::from_be_bytes(*count));
        if nodes >= RANGE || count != nodes.div_ceil(FRAME_NODES) {
            return None;
        }
        let (lengths, frames) = rest.split_at_checked(count as usize * 2)?;
        let mut starts = Vec::with_capacity(count as usize + 1);
        let mut end = 0u32;
        starts.push(end);
        for length in lengths.as_chunks::<2>().0 {
            end = end.checked_add(u16::from_be_bytes(*length).into())?;
            starts.push(end);
        }
        let (packed, behind) = frames.split_at_checked(end as usize)?;
        let plain = repeat_with(OnceLock::new).take(count as usize).collect();
        Some((PackedTree { packed, starts, plain, nodes }, behind))
    }

    /// How many nodes it has.
    pub(super) const fn nodes(&self) -> u32 {
        self.nodes
    }

    /// Frames unpacked so far, and all frames.
    pub(super) fn frames_unpacked(&self) -> (usize, usize) {
        (self.plain.iter().filter(|plain| plain.get().is_some()).count(), self.plain.len())
    }

    /// A record of a node.
    pub(super) fn record<'f>(&'f self, node: u32, bit: usize, held: &mut Held<'f>) -> Option<u32> {
        let index = node / FRAME_NODES;
        let frame = match *held {
            Some((same, frame)) if same == index => frame,
            _ => self.frame(index)?,
        };
        *held = Some((index, frame));
        frame.get((node % FRAME_NODES) as usize)?.get(bit).copied()
    }

    fn frame(&self, index: u32) -> Option<&[Node]> {
        let plain = self.plain.get(index as usize)?.get_or_init(|| {
            let first = index * FRAME_NODES;
            let size = FRAME_NODES.min(self.nodes.saturating_sub(first));
            let at = |index: u32| self.starts.get(index as usize).map_or(0, |at| *at as usize);
            let packed = self.packed.get(at(index)..at(index + 1)).unwrap_or_default();
            let frame = Unpacking { packed, nodes: self.nodes, recent: [0; RECENT] };
            frame.nodes(first, size).unwrap_or_default().into()
        });
        (!plain.is_empty()).then_some(plain)
    }
}

/// A frame that is being unpacked.
struct Unpacking {
    packed: &'static [u8],
    nodes: u32,
    /// The latest offsets that were written out, the latest first.
    recent: [u32; RECENT],
}

impl Unpacking {
    fn nodes(mut self, first: u32, size: u32) -> Option<Vec<Node>> {
        let mut all = Vec::with_capacity(size as usize);
        for node in first..first + size {
            let [codes] = self.take()?;
            let left = self.record(codes & 15, node)?;
            all.push([left, self.record(codes >> 4, node)?]);
        }
        self.packed.is_empty().then_some(all)
    }

    fn record(&mut self, code: u8, node: u32) -> Option<u32> {
        let further = match code {
            0 => 0,
            1 => self.take().map(|[low]| u32::from(low) + 1)?,
            2 => self.take().map(u16::from_be_bytes)?.into(),
            3 => self.take().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))?,
            4 => return Some(self.nodes),
            5 => return self.take().map(u16::from_be_bytes).map(|offset| self.note(offset.into())),
            6 => {
                let [a, b, c] = self.take()?;
                return Some(self.note(u32::from_be_bytes([0, a, b, c])));
            }
            place => return Some(self.nodes + self.recent.get(usize::from(place - 7))?),
        };
        Some((node + 1).wrapping_add(further) % RANGE)
    }

    fn note(&mut self, offset: u32) -> u32 {
        self.recent.copy_within(..RECENT - 1, 1);
        if let Some(latest) = self.recent.first_mut() {
            *latest = offset;
        }
        self.nodes + offset
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.packed.split_first_chunk::<N>()?;
        self.packed = rest;
        Some(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_the_packer_says() {
        let packed: &[u8] = &[
            0x40, // the next node; no data
            0x21, 0x04, 0x01, 0x00, // 5 further; 256 further
            0x65, 0x00, 0x10, 0x01, 0x00, 0x00, // data at 16 and 65,536
            0x87, // the latest, and the one before
            0x73, 0x7f, 0xff, 0xfe, // back by two; the latest
        ];
        let frame = || Unpacking { packed, nodes: 1_000, recent: [0; RECENT] };
        let want = [[11, 1_000], [17, 268], [1_016, 66_536], [66_536, 1_016], [13, 66_536]];
        assert_eq!(frame().nodes(10, 5).unwrap(), want);
        assert!(frame().nodes(10, 4).is_none(), "something is left");
        assert!(frame().nodes(10, 6).is_none(), "it is cut short");
    }
}
