//! One interface through libpcap: the backend where our own ring is not available.
//!
//! Owns: the handle. In: an interface and options. Out: frames, copied once into a pooled block.
//! Never: blocks.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use pcap::{Active, Capture, Precision};

use crate::capture::FrameMeta;
use crate::capture::block::{Block, BlockPool};
use crate::capture::live_options::LiveOptions;
use crate::model::{Grain, LinkType, Nanos, Trust};

/// Maximum frames per block, so that a flood of small ones does not delay others.
const FRAMES: usize = 4_096;
/// libpcap delivers frames after this time even if its buffer is not full.
const TIMEOUT_MS: i32 = 40;

/// An interface read through libpcap.
pub(super) struct PcapTap {
    capture: Capture<Active>,
    link: LinkType,
    snaplen: usize,
    file: u16,
    pool: Arc<BlockPool>,
    block: Option<Arc<Block>>,
    frames: Vec<FrameMeta>,
    at: usize,
    failed: bool,
    /// libpcap's drop counter at the last call.
    dropped: u32,
}

impl PcapTap {
    /// Opens interface `name`. `pool` must give buffers of several times the snap length.
    pub(super) fn open(
        name: &str,
        file: u16,
        options: &LiveOptions,
        pool: &Arc<BlockPool>,
    ) -> io::Result<PcapTap> {
        let size = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let inactive = Capture::from_device(name).map_err(refused)?;
        let inactive = inactive
            .promisc(options.promiscuous)
            .snaplen(size(options.snaplen as usize))
            .buffer_size(size(options.ring_bytes))
            .timeout(TIMEOUT_MS)
            .precision(Precision::Nano);
        let mut capture = inactive.open().and_then(Capture::setnonblock).map_err(refused)?;
        if let Some(expression) = &options.filter {
            capture.filter(expression, true).map_err(refused)?;
        }
        let link = match capture.get_datalink().0 {
            12 => LinkType::RAW,
            other => LinkType(u16::try_from(other).unwrap_or(u16::MAX)),
        };
        Ok(PcapTap {
            capture,
            link,
            snaplen: options.snaplen as usize,
            file,
            pool: Arc::clone(pool),
            block: None,
            frames: Vec::with_capacity(FRAMES),
            at: 0,
            failed: false,
            dropped: 0,
        })
    }

    /// The next frame of the current block.
    #[inline]
    pub(super) fn step(&mut self) -> Option<FrameMeta> {
        let meta = self.frames.get(self.at).copied()?;
        self.at += 1;
        Some(meta)
    }

    /// Fills a block with available frames.
    pub(super) fn refill(&mut self) -> bool {
        self.block = None;
        self.frames.clear();
        self.at = 0;
        if self.failed {
            return false;
        }
        let mut buffer = self.pool.take(2 * self.snaplen);
        let mut filled = 0;
        while self.frames.len() < FRAMES && buffer.len() - filled >= self.snaplen {
            let packet = match self.capture.next_packet() {
                Ok(packet) => packet,
                Err(pcap::Error::TimeoutExpired) => break,
                Err(_) => {
                    self.failed = true;
                    break;
                }
            };
            let room = buffer.get_mut(filled..).and_then(|room| room.get_mut(..packet.data.len()));
            let Some(room) = room else { break };
            room.copy_from_slice(packet.data);
            // With nanosecond precision, `tv_usec` holds nanoseconds.
            let (sec, nsec) = (packet.header.ts.tv_sec as u64, packet.header.ts.tv_usec as u64);
            self.frames.push(FrameMeta {
                time: Nanos::from_secs(sec).plus(Nanos(nsec)),
                link: self.link,
                at: filled as u32,
                captured: packet.data.len() as u32,
                wire_len: packet.header.len.max(packet.data.len() as u32),
                number: 0,
                interface: 0,
                grain: Grain::default(),
                trust: Trust::Believed,
            });
            filled += packet.data.len();
        }
        self.block = Some(Block::freeze(buffer, filled, self.file, &self.pool));
        !self.frames.is_empty()
    }

    /// The current block.
    pub(super) fn block(&self) -> Option<&Arc<Block>> {
        self.block.as_ref()
    }

    /// Whether the handle is unusable.
    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    /// Frames dropped in libpcap's ring since the last call.
    pub(super) fn drops(&mut self) -> u64 {
        let Ok(stats) = self.capture.stats() else { return 0 };
        let before = std::mem::replace(&mut self.dropped, stats.dropped);
        // The counter has 32 bits and wraps around.
        u64::from(stats.dropped.wrapping_sub(before))
    }

    /// The descriptor to poll.
    pub(super) fn fd(&self) -> i32 {
        self.capture.as_raw_fd()
    }
}

fn refused(e: pcap::Error) -> io::Error {
    match e {
        pcap::Error::PcapError(text) => io::Error::other(text),
        other => io::Error::other(other.to_string()),
    }
}
