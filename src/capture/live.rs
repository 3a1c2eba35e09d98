//! Several interfaces as one run of frames, in the order of time.
//!
//! Owns: a tap on each interface, and whose frame is next. In: interfaces and options. Out: frames
//! merged by time, counts, sentences about what happened to an interface.
//! Never: a clock of its own (time comes from packets, or from the caller), or an end: an interface
//! that goes away is waited for.

use std::os::fd::RawFd;
use std::sync::Arc;

use crate::capture::FrameMeta;
use crate::capture::block::Block;
use crate::capture::block::BlockPool;
use crate::capture::tap::Tap;
use crate::model::Counters;
use crate::model::Error;
use crate::model::Nanos;

/// What reads the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// Our own ring, shared with the kernel. Linux only.
    #[default]
    Ring,
    /// libpcap: one copy a frame, any system.
    Pcap,
}

/// How frames are captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveOptions {
    /// What reads them.
    pub backend: Backend,
    /// Bytes kept of each frame.
    pub snaplen: u32,
    /// Bytes of each interface's ring.
    pub ring_bytes: usize,
    /// Whether frames for other stations are wanted.
    pub promiscuous: bool,
    /// Whether the card's clock shall stamp the frames. Refused where it cannot.
    pub hardware_stamps: bool,
    /// Share each interface's frames, by flow, with other processes that name the same group.
    pub fanout: Option<u16>,
    /// BPF expression: only frames that match leave the kernel.
    pub filter: Option<String>,
}

/// Longest frame: libpcap's limit, four times what GRO puts together.
pub const SNAPLEN_DEFAULT: u32 = 262_144;
/// A quarter of a second at 2 Gbit/s.
pub const RING_BYTES_DEFAULT: usize = 64 << 20;

impl Default for LiveOptions {
    fn default() -> LiveOptions {
        LiveOptions {
            backend: Backend::Ring,
            snaplen: SNAPLEN_DEFAULT,
            ring_bytes: RING_BYTES_DEFAULT,
            promiscuous: true,
            hardware_stamps: false,
            fanout: None,
            filter: None,
        }
    }
}

/// A frame of one interface is held back until no other interface can still bring an earlier one:
/// the kernel keeps a frame to itself for some 40 ms at most, and this allows for twice that.
const HOLD: Nanos = Nanos::from_millis(100);

/// Frame time, then interface.
type Key = (Nanos, u16);

const NO_LIMIT: Key = (Nanos(u64::MAX), u16::MAX);

/// A frame may be dated so far ahead of the time at which the sensor looks: cards' clocks differ.
const STRAY: Nanos = Nanos::from_secs(60);

/// Where a frame stands among those of the other interfaces.
const fn place(time: Nanos, stray: Nanos) -> Nanos {
    if time.0 > stray.0 { Nanos::ZERO } else { time }
}

/// What [`LiveSource::advance`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Frames follow.
    pub ready: bool,
    /// A block was let go: whoever still needs it has it, and the kernel waits for it.
    pub let_go: bool,
}

/// Several interfaces as one run of frames.
pub struct LiveSource {
    taps: Vec<Tap>,
    /// The next frame of each tap.
    heads: Vec<Option<FrameMeta>>,
    current: usize,
    /// The present tap may go on while its frames come before this.
    limit: Key,
    /// A frame dated later than this is from no such time: nobody waits for that time to come.
    stray: Nanos,
    /// What the last wait waited for; kept so that the next need not allocate.
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
        let (limit, stray) = (NO_LIMIT, Nanos(u64::MAX));
        Ok(LiveSource { taps, heads, current: 0, limit, stray, waits })
    }

    /// The next frame that is there, and the index of its interface. Its bytes are in
    /// [`LiveSource::block`] until [`LiveSource::advance`]. `None`: see what `advance` finds.
    #[inline]
    // Not an Iterator: the caller borrows the block between two calls.
    #[allow(clippy::should_implement_trait, reason = "the block is borrowed between two calls")]
    pub fn next(&mut self) -> Option<(u16, FrameMeta)> {
        let head = self.heads.get_mut(self.current)?;
        let file = self.current as u16;
        let stray = self.stray;
        let meta = (*head).filter(|meta| (place(meta.time, stray), file) < self.limit)?;
        *head = self.taps.get_mut(self.current)?.step();
        Some((file, meta))
    }

    /// Takes the blocks that have come, and picks the interface whose frame is next. `now` is the
    /// time at which the sensor looks, as far as the caller knows.
    pub fn advance(&mut self, now: Nanos) -> Turn {
        let mut let_go = false;
        let mut first = NO_LIMIT;
        let mut second = NO_LIMIT;
        let quiet = (now.since(HOLD), u16::MAX);
        // Before the first packets told it, no time is known.
        self.stray = if now > Nanos::ZERO { now.plus(STRAY) } else { Nanos(u64::MAX) };
        let stray = self.stray;
        for ((file, tap), head) in (0u16..).zip(&mut self.taps).zip(&mut self.heads) {
            // A block may hold nothing but frames that are left out.
            while head.is_none() {
                let_go |= tap.block().is_some();
                if !tap.refill() {
                    break;
                }
                *head = tap.step();
            }
            let key = head.map_or(quiet, |meta| (place(meta.time, stray), file));
            if head.is_some() && key < first {
                second = second.min(first);
                first = key;
            } else {
                second = second.min(key);
            }
        }
        self.current = usize::from(first.1);
        self.limit = second;
        Turn { ready: first < second, let_go }
    }

    /// The block with the frame that `next` returned last, given that frame's interface.
    #[inline]
    pub fn block(&self, file: u16) -> Option<&Arc<Block>> {
        self.taps.get(usize::from(file))?.block()
    }

    /// Waits until frames may have come, or for `millis`.
    pub fn wait(&mut self, millis: u32) {
        Tap::wait(&mut self.taps, &mut self.waits, millis);
    }

    /// Whether the kernel has given a block that nobody has taken. Looks only, by no system call.
    /// Always false of what libpcap reads: it cannot be asked without being called.
    pub fn has_come(&self) -> bool {
        self.taps.iter().any(Tap::has_come)
    }

    /// Whether a frame is there that nobody has read.
    pub fn holds_some(&self) -> bool {
        self.heads.iter().any(Option::is_some) || self.has_come()
    }

    /// Looks after the interfaces: reads what the kernel has counted, notes which went down, opens
    /// again what has come back. Called about once a second. What is worth telling comes back.
    pub fn look_after(&mut self, counters: &mut Counters) -> Vec<String> {
        let mut told = Vec::new();
        for (tap, head) in self.taps.iter_mut().zip(&mut self.heads) {
            while head.is_none() && tap.refill() {
                *head = tap.step();
            }
            told.extend(tap.look_after(head.is_none(), counters));
        }
        told
    }

    /// Receives nothing more; what has been received can still be read.
    pub fn shut(&mut self) {
        self.taps.iter_mut().for_each(Tap::shut);
    }

    /// The sockets that are open, by which frames could be sent.
    pub fn sockets(&self) -> Vec<RawFd> {
        self.taps.iter().flat_map(Tap::sockets).collect()
    }

    /// Ends, and leaves the sockets open for as long as the process lives: once it is confined
    /// nothing may be written to their numbers, and a file that got one could not be written.
    pub fn leave_open(self) {
        std::mem::forget(self);
    }

    /// Each interface, with what was counted for it.
    pub fn taps(&self) -> impl Iterator<Item = &Tap> {
        self.taps.iter()
    }
}
