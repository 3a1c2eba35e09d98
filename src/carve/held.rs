//! Frames of fragments whose session is not known yet.
//!
//! Owns: copies of such frames, oldest dropped first at a cap in bytes. In: frames, the datagram
//! each is part of. Out: the frames of a datagram. Never: a decision whose they are.

use std::collections::VecDeque;

use crate::capture::FrameMeta;
use crate::decode::fragments::FragmentId;

/// As many bytes as the decoder holds.
const BYTES: usize = 1 << 20;

/// Datagrams remembered as wanted, for copies of their fragments.
const WANTED: usize = 1_024;

/// A frame that waits.
pub(super) struct HeldFrame {
    pub(super) file: u16,
    pub(super) meta: FrameMeta,
    pub(super) bytes: Vec<u8>,
    pub(super) comments: Vec<Vec<u8>>,
    id: FragmentId,
}

/// Frames that wait.
#[derive(Default)]
pub(super) struct Held {
    frames: VecDeque<HeldFrame>,
    bytes: usize,
    /// By which slices.
    wanted: VecDeque<(FragmentId, Vec<usize>)>,
}

impl Held {
    /// Keeps a frame.
    pub(super) fn add(
        &mut self,
        id: FragmentId,
        (file, meta): (u16, FrameMeta),
        bytes: &[u8],
        comments: Vec<Vec<u8>>,
    ) {
        let frame = HeldFrame { file, meta, bytes: bytes.to_vec(), comments, id };
        self.bytes += frame.heap();
        self.frames.push_back(frame);
        while self.bytes > BYTES {
            let Some(oldest) = self.frames.pop_front() else { return };
            self.gone(&oldest);
        }
    }

    /// The slices that want the datagram, as far as it was whole already.
    pub(super) fn takers(&self, id: &FragmentId) -> &[usize] {
        let known = self.wanted.iter().rev().find(|(known, _)| known == id);
        known.map_or(&[], |(_, takers)| takers)
    }

    /// The frames of a datagram that became whole, wanted by these slices or none.
    pub(super) fn take(&mut self, id: &FragmentId, takers: Vec<usize>) -> Vec<HeldFrame> {
        self.wanted.push_back((*id, takers));
        if self.wanted.len() > WANTED {
            self.wanted.pop_front();
        }
        let all = std::mem::take(&mut self.frames);
        let (of_it, rest): (VecDeque<_>, VecDeque<_>) =
            all.into_iter().partition(|frame| frame.id == *id);
        self.frames = rest;
        of_it.iter().for_each(|frame| self.gone(frame));
        of_it.into()
    }

    fn gone(&mut self, frame: &HeldFrame) {
        self.bytes = self.bytes.saturating_sub(frame.heap());
    }
}

impl HeldFrame {
    /// Bytes that it takes.
    fn heap(&self) -> usize {
        let comments = self.comments.iter().map(|one| one.len() + size_of::<Vec<u8>>());
        size_of::<HeldFrame>() + self.bytes.len() + comments.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Addr, Grain, LinkType, Nanos, Trust};

    #[test]
    fn comments_count_in_the_bound() {
        let addr = Addr::from(std::net::IpAddr::from([192, 0, 2, 1]));
        let meta = FrameMeta {
            time: Nanos(0),
            link: LinkType(1),
            at: 0,
            captured: 100,
            wire_len: 100,
            number: 1,
            interface: 0,
            grain: Grain::default(),
            trust: Trust::Believed,
        };
        let mut held = Held::default();
        for id in 0..64 {
            let id = FragmentId {
                src: addr,
                dst: addr,
                id,
                scope: 0,
                point: 0,
                protocol: 17,
                version: 4,
            };
            held.add(id, (0, meta), &[0; 100], vec![vec![b'x'; 65_000]; 2]);
        }
        // Without the comments all 64 would be within a mebibyte.
        assert!((4..10).contains(&held.frames.len()), "{}", held.frames.len());
        assert!(held.bytes <= BYTES);
    }
}
