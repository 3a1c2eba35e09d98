//! Several interfaces as one sequence of frames in time order.
//!
//! Owns: a tap per interface, and which one is next. In: interfaces and options. Out: frames merged
//! by time, counts, messages about the state of an interface.
//! Never: a clock of its own (time comes from packets, or from the caller), or an end: an interface
//! that goes away is waited for.

use std::os::fd::RawFd;
use std::sync::Arc;

use crate::capture::FrameMeta;
use crate::capture::block::{Block, BlockPool};
pub use crate::capture::live_options::{Backend, LiveOptions, RING_BYTES_DEFAULT, SNAPLEN_DEFAULT};
use crate::capture::tap::Tap;
use crate::model::{Counters, Error, Nanos};

/// A frame is held until no other interface can still deliver an earlier one. The kernel keeps a
/// frame for about 40 ms at most, and this allows for twice that.
const HOLD: Nanos = Nanos::from_millis(100);

/// Frame time, then interface.
type Key = (Nanos, u16);

const NO_LIMIT: Key = (Nanos(u64::MAX), u16::MAX);

/// The largest credible lead of a frame's timestamp over the sensor's time: cards' clocks differ.
const LEAD_MAX: Nanos = Nanos::from_secs(60);

/// The time used to order a frame among those of other interfaces.
const fn place(time: Nanos, latest_credible: Nanos) -> Nanos {
    if time.0 > latest_credible.0 { Nanos::ZERO } else { time }
}

/// The result of [`LiveSource::advance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// Frames are available.
    pub ready: bool,
    /// A block was dropped here: workers may still hold it, and the kernel waits for it.
    pub block_dropped: bool,
}

/// Several interfaces as one sequence of frames.
pub struct LiveSource {
    taps: Vec<Tap>,
    /// The next frame of each tap.
    heads: Vec<Option<FrameMeta>>,
    current: usize,
    /// The current tap may continue while its frames come before this.
    limit: Key,
    /// Timestamps later than this are not credible; the merge does not wait for such a time.
    latest_credible: Nanos,
    /// Poll entries, kept so that a wait need not allocate.
    waits: Vec<libc::pollfd>,
}

impl LiveSource {
    /// Opens a tap on each interface.
    ///
    /// # Errors
    /// One for each interface that cannot be captured on.
    pub fn open(
        names: &[String],
        options: &LiveOptions,
        pool: &Arc<BlockPool>,
    ) -> Result<LiveSource, Vec<Error>> {
        let mut taps = Vec::with_capacity(names.len());
        let mut errors = Vec::new();
        for (file, name) in (0..=u16::MAX).zip(names) {
            match Tap::open(name, file, options, pool) {
                Ok(tap) => taps.push(tap),
                Err(e) => errors.push(e),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let heads = vec![None; taps.len()];
        let waits = Vec::with_capacity(taps.len());
        let (limit, latest_credible) = (NO_LIMIT, Nanos(u64::MAX));
        Ok(LiveSource { taps, heads, current: 0, limit, latest_credible, waits })
    }

    /// The next available frame and the index of its interface. Its bytes are in
    /// [`LiveSource::block`] until [`LiveSource::advance`]. On `None` call `advance`.
    #[inline]
    // Not an Iterator: the caller borrows the block between two calls.
    #[allow(clippy::should_implement_trait, reason = "the block is borrowed between two calls")]
    pub fn next(&mut self) -> Option<(u16, FrameMeta)> {
        let head = self.heads.get_mut(self.current)?;
        let file = self.current as u16;
        let latest_credible = self.latest_credible;
        let meta = (*head).filter(|meta| (place(meta.time, latest_credible), file) < self.limit)?;
        *head = self.taps.get_mut(self.current)?.step();
        Some((file, meta))
    }

    /// Takes new blocks from the kernel, and picks the interface with the next frame. `now` is the
    /// sensor's time, as far as the caller knows it.
    pub fn advance(&mut self, now: Nanos) -> Advance {
        let mut block_dropped = false;
        let mut first = NO_LIMIT;
        let mut second = NO_LIMIT;
        let quiet = (now.since(HOLD), u16::MAX);
        // Time is unknown before the first packets.
        self.latest_credible = if now > Nanos::ZERO { now.plus(LEAD_MAX) } else { Nanos(u64::MAX) };
        let latest_credible = self.latest_credible;
        for ((file, tap), head) in (0u16..).zip(&mut self.taps).zip(&mut self.heads) {
            // A block may contain nothing but frames that are ignored.
            while head.is_none() {
                block_dropped |= tap.block().is_some();
                if !tap.refill() {
                    break;
                }
                *head = tap.step();
            }
            let key = head.map_or(quiet, |meta| (place(meta.time, latest_credible), file));
            if head.is_some() && key < first {
                second = second.min(first);
                first = key;
            } else {
                second = second.min(key);
            }
        }
        self.current = usize::from(first.1);
        self.limit = second;
        Advance { ready: first < second, block_dropped }
    }

    /// The block with the frame that `next` returned last, given that frame's interface.
    #[inline]
    pub fn block(&self, file: u16) -> Option<&Arc<Block>> {
        self.taps.get(usize::from(file))?.block()
    }

    /// Waits for frames, for at most `millis`.
    pub fn wait(&mut self, millis: u32) {
        Tap::wait(&mut self.taps, &mut self.waits, millis);
    }

    /// Whether the kernel has released a block that was not taken yet. Makes no system call. Always
    /// false for libpcap, which cannot be asked without a read.
    pub fn has_block(&self) -> bool {
        self.taps.iter().any(Tap::has_block)
    }

    /// Whether there is an unread frame.
    pub fn has_frames(&self) -> bool {
        self.heads.iter().any(Option::is_some) || self.has_block()
    }

    /// Maintains the interfaces, about once a second: reads the kernel's counters, notes interfaces
    /// that went down, reopens those that are back. Returns messages for the user.
    pub fn maintain(&mut self, counters: &mut Counters) -> Vec<String> {
        let mut messages = Vec::new();
        for (tap, head) in self.taps.iter_mut().zip(&mut self.heads) {
            while head.is_none() && tap.refill() {
                *head = tap.step();
            }
            messages.extend(tap.maintain(head.is_none(), counters));
        }
        messages
    }

    /// Stops receiving; frames already received can still be read.
    pub fn shut(&mut self) {
        self.taps.iter_mut().for_each(Tap::shut);
    }

    /// The open sockets, through which frames could be sent.
    pub fn sockets(&self) -> Vec<RawFd> {
        self.taps.iter().flat_map(Tap::sockets).collect()
    }

    /// Stops, but leaves the sockets open for the life of the process: a confined process may not
    /// write to their descriptor numbers, so a file that reused one could not be written.
    pub fn leave_open(self) {
        std::mem::forget(self);
    }

    /// Each interface, with its counters.
    pub fn taps(&self) -> impl Iterator<Item = &Tap> {
        self.taps.iter()
    }
}
