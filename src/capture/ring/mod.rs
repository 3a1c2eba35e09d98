//! A packet ring (`AF_PACKET`, `TPACKET_V3`) on one interface: frames are read where the kernel
//! wrote them.
//!
//! Owns: the socket, the position in the ring. In: an interface and options. Out: frames in kernel
//! order, in blocks that return to the kernel when the last reader drops them.
//! Never: copies a frame, allocates per packet (one handle per block), or blocks unless told to
//! wait.

#[allow(unsafe_code, reason = "memory shared with the kernel; each block has its proof")]
mod map;
#[allow(unsafe_code, reason = "system calls; each block has its proof")]
pub(super) mod sys;
mod walk;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::capture::FrameMeta;
use crate::capture::block::Block;
use crate::capture::filter::Instruction;
use crate::capture::interfaces::link_of;
use crate::capture::live_options::LiveOptions;
pub(super) use crate::capture::ring::map::Lent;
use crate::capture::ring::map::{Geometry, Map};
use crate::model::{Grain, LinkType, Trust};

/// Bytes per block: many times a 64 KiB frame (the largest GRO frame), and at full speed about a
/// millisecond of traffic.
const BLOCK_BYTES: usize = 1 << 20;
/// Fewest blocks with which the kernel can fill one while another is read.
const BLOCKS_MIN: usize = 4;
/// The kernel releases a block after this time even if it is not full.
pub(super) const RETIRE_MS: u32 = 40;
/// Needed only for the set-up arithmetic: frames of a V3 ring have no fixed size.
const FRAME_BYTES: usize = 2048;

/// Counts since the last call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RingStats {
    /// Frames dropped for lack of room.
    pub(super) drops: u64,
    /// Times the ring was full.
    pub(super) freezes: u64,
}

/// One ring.
pub(super) struct Ring {
    socket: OwnedFd,
    map: Arc<Map>,
    link: LinkType,
    loopback: bool,
    wants_hardware: bool,
    file: u16,
    /// The current block.
    block: Option<Arc<Block>>,
    /// Offset of its next header.
    at: usize,
    /// Packets left in it.
    left: u32,
    /// Index of the next block.
    index: usize,
    blocks: usize,
    pub(super) software_stamps: u64,
    pub(super) outgoing: u64,
    pub(super) tags: u64,
}

impl Ring {
    /// Opens a ring on interface `name` with the index it has now.
    pub(super) fn open(
        name: &str,
        file: u16,
        options: &LiveOptions,
        filter: Option<&[Instruction]>,
    ) -> io::Result<Ring> {
        let gone = || io::Error::from_raw_os_error(libc::ENODEV);
        let socket = sys::packet_socket()?;
        let index = sys::index_of(socket.as_fd(), name).ok_or_else(gone)?;
        let hardware = sys::hardware_type(socket.as_fd(), name)?;
        let link = link_of(hardware).ok_or_else(|| {
            io::Error::other(format!("its frames are of hardware type {hardware}, not known here"))
        })?;
        let blocks = (options.ring_bytes / BLOCK_BYTES).max(BLOCKS_MIN);
        let geometry = Geometry { block_bytes: BLOCK_BYTES, blocks };
        set_up(socket.as_fd(), geometry)?;
        if options.hardware_stamps {
            sys::stamp_in_hardware(socket.as_fd(), name).map_err(no_hardware)?;
            let raw = libc::SOF_TIMESTAMPING_RAW_HARDWARE;
            sys::set(socket.as_fd(), libc::PACKET_TIMESTAMP, &raw)?;
        }
        let map = Map::new(socket.as_fd(), geometry)?;
        let everything = [Instruction::accept(options.snaplen)];
        sys::attach(socket.as_fd(), filter.unwrap_or(&everything))?;
        let loopback = hardware == libc::ARPHRD_LOOPBACK;
        if loopback {
            // Older kernels do not have this option; then outgoing frames are skipped one by one.
            let _ = sys::set(socket.as_fd(), libc::PACKET_IGNORE_OUTGOING, &1i32);
        }
        sys::bind(socket.as_fd(), index)?;
        join(socket.as_fd(), index, options)?;
        let wants_hardware = options.hardware_stamps;
        Ok(Ring {
            socket,
            map,
            link,
            loopback,
            wants_hardware,
            file,
            block: None,
            at: 0,
            left: 0,
            index: 0,
            blocks,
            software_stamps: 0,
            outgoing: 0,
            tags: 0,
        })
    }

    /// Moves the ring to a recreated interface of the same name. It needs neither a new socket nor
    /// the privilege to open one.
    pub(super) fn follow(&self, index: u32, options: &LiveOptions) -> io::Result<()> {
        sys::bind(self.socket.as_fd(), index)?;
        join(self.socket.as_fd(), index, &LiveOptions { fanout: None, ..options.clone() })
    }

    /// The next frame of the current block; its bytes are in [`Ring::block`].
    #[inline]
    pub(super) fn step(&mut self) -> Option<FrameMeta> {
        let block = self.block.as_ref()?;
        while self.left > 0 {
            let slot = walk::read(block.bytes(), self.at)?;
            self.left -= 1;
            self.at = slot.next.unwrap_or(usize::MAX);
            // Every frame on the loopback interface appears twice, outgoing and incoming.
            if self.loopback && slot.kind == libc::PACKET_OUTGOING {
                self.outgoing += 1;
                continue;
            }
            let stamped = slot.status & libc::TP_STATUS_TS_RAW_HARDWARE != 0;
            self.software_stamps += u64::from(self.wants_hardware && !stamped);
            return Some(FrameMeta {
                time: slot.time,
                link: self.link,
                at: slot.at as u32,
                captured: slot.captured,
                wire_len: slot.wire_len,
                // The tap numbers frames.
                number: 0,
                interface: 0,
                grain: Grain::default(),
                trust: Trust::Believed,
            });
        }
        None
    }

    /// Drops the current block and takes the next one if the kernel has released it.
    pub(super) fn refill(&mut self) -> bool {
        self.block = None;
        let Some(mut lent) = self.map.take(self.index) else { return false };
        self.index = (self.index + 1) % self.blocks;
        (self.at, self.left) = (lent.first, lent.packets);
        // Before the block is shared.
        self.tags += u64::from(walk::put_tags_back(lent.bytes_mut(), self.at, self.left));
        self.block = Some(Block::ring(lent, self.file));
        true
    }

    /// The current block.
    pub(super) fn block(&self) -> Option<&Arc<Block>> {
        self.block.as_ref()
    }

    /// Whether the next block is available.
    pub(super) fn has_block(&self) -> bool {
        self.map.is_ready(self.index)
    }

    /// Whether somebody still reads blocks of this ring. While the block before the kernel's own is
    /// lent, poll(2) returns at once, so waiting would not wait.
    pub(super) fn has_lent_blocks(&self) -> bool {
        self.map.lent() > 0
    }

    /// Drops and freezes since the last call.
    pub(super) fn stats(&self) -> RingStats {
        let [_, drops, freezes] = sys::statistics(self.socket.as_fd()).unwrap_or_default();
        RingStats { drops: u64::from(drops), freezes: u64::from(freezes) }
    }

    /// The pending socket error, such as "interface went down".
    pub(super) fn take_error(&self) -> Option<io::Error> {
        sys::pending_error(self.socket.as_fd())
    }

    /// Stops receiving; what is in the ring can still be read.
    pub(super) fn shut(&self) -> io::Result<()> {
        sys::attach(self.socket.as_fd(), &[Instruction::REFUSE])
    }

    /// The socket, for poll(2).
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sets version, headroom for a tag before each frame, and ring memory.
fn set_up(socket: BorrowedFd<'_>, geometry: Geometry) -> io::Result<()> {
    sys::set(socket, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as i32))?;
    sys::set(socket, libc::PACKET_RESERVE, &(walk::TAG as u32))?;
    let frames = geometry.blocks * (geometry.block_bytes / FRAME_BYTES);
    let request = libc::tpacket_req3 {
        tp_block_size: geometry.block_bytes as u32,
        tp_block_nr: geometry.blocks as u32,
        tp_frame_size: FRAME_BYTES as u32,
        tp_frame_nr: frames as u32,
        tp_retire_blk_tov: RETIRE_MS,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    sys::set(socket, libc::PACKET_RX_RING, &request)
}

/// Sets promiscuous mode, for the life of the socket, and the fanout group.
fn join(socket: BorrowedFd<'_>, index: u32, options: &LiveOptions) -> io::Result<()> {
    if options.promiscuous {
        let wish = libc::packet_mreq {
            mr_ifindex: index as i32,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        sys::set(socket, libc::PACKET_ADD_MEMBERSHIP, &wish)?;
    }
    if let Some(group) = options.fanout {
        // The kernel's flow hash is the same for both directions.
        let word = u32::from(group) | libc::PACKET_FANOUT_HASH << 16;
        sys::set(socket, libc::PACKET_FANOUT, &word)?;
    }
    Ok(())
}

fn no_hardware(e: io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("it does not stamp frames in hardware ({e})"))
}
