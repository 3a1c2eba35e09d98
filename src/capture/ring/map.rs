//! The memory shared between kernel and process: each block belongs to one of them at a time.
//!
//! Owns: the mapping; which blocks are lent. In: a socket with a ring. Out: [`Lent`] blocks.
//! Never: a reference into a block owned by the kernel, or two owners of one block.
//!
//! A block's status word says who owns it (`Documentation/networking/packet_mmap.rst`): the kernel
//! fills a block and stores `TP_STATUS_USER`; dropping the last handle of the block stores
//! `TP_STATUS_KERNEL`. Until then the kernel neither writes to the block nor skips it: a full ring
//! drops frames and counts them.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// `struct tpacket_block_desc` with its `tpacket_hdr_v1`, in bytes.
const HEAD: usize = 48;
/// Offset of `block_status` in it; number of packets, first offset and length follow.
const STATUS: usize = 8;

/// Size and number of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes per block: a power of two, a multiple of the page size.
    pub(super) block_bytes: usize,
    /// Number of blocks.
    pub(super) blocks: usize,
}

/// A mapped ring.
#[derive(Debug)]
pub(super) struct Map {
    base: NonNull<u8>,
    geometry: Geometry,
    /// Blocks held by this process.
    lent: Box<[AtomicBool]>,
    count: AtomicUsize,
}

// SAFETY: the mapping is not tied to a thread; `lent` and the status words say who may access a
// block.
unsafe impl Send for Map {}
// SAFETY: as above; shared access is through atomics, or through a `Lent` with exclusive access to
// its block.
unsafe impl Sync for Map {}

impl Map {
    /// Maps the ring that was set up on the socket with this geometry.
    pub(super) fn new(socket: BorrowedFd<'_>, geometry: Geometry) -> io::Result<Arc<Map>> {
        let len = geometry.block_bytes * geometry.blocks;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let fd = socket.as_raw_fd();
        // SAFETY: a new mapping at an address chosen by the kernel touches no memory in use.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), len, access, libc::MAP_SHARED, fd, 0) };
        let base = NonNull::new(base.cast::<u8>()).filter(|_| base != libc::MAP_FAILED);
        let base = base.ok_or_else(io::Error::last_os_error)?;
        let lent = (0..geometry.blocks).map(|_| AtomicBool::new(false)).collect();
        Ok(Arc::new(Map { base, geometry, lent, count: AtomicUsize::new(0) }))
    }

    /// The number of lent blocks.
    pub(super) fn lent(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether the kernel has released block `index` and nobody holds it.
    pub(super) fn is_ready(&self, index: usize) -> bool {
        let held = self.lent.get(index).is_none_or(|held| held.load(Ordering::Acquire));
        !held && self.status(index).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// Takes block `index` if the kernel has released it and nobody holds it.
    pub(super) fn take(self: &Arc<Map>, index: usize) -> Option<Lent> {
        let held = self.lent.get(index)?;
        if !self.is_ready(index) {
            return None;
        }
        // Only the ring's reader takes blocks, so nothing changed since the check.
        held.store(true, Ordering::Release);
        self.count.fetch_add(1, Ordering::AcqRel);
        let word = |at: usize| {
            // SAFETY: inside the head of a block of this mapping (`index` was found in `lent`),
            // aligned to 4, and the kernel has released the block: nobody writes to it.
            unsafe { self.at(index).add(at).cast::<u32>().read() }
        };
        let [packets, first, len] = [word(STATUS + 4), word(STATUS + 8), word(STATUS + 12)];
        let len = (len as usize).clamp(HEAD, self.geometry.block_bytes) - HEAD;
        let first = (first as usize).saturating_sub(HEAD);
        Some(Lent { map: Arc::clone(self), index, len, first, packets })
    }

    /// Start of block `index`, which must exist.
    fn at(&self, index: usize) -> NonNull<u8> {
        let offset = index.min(self.geometry.blocks - 1) * self.geometry.block_bytes;
        // SAFETY: at most the start of the last block, inside the mapping.
        unsafe { self.base.add(offset) }
    }

    fn status(&self, index: usize) -> &AtomicU32 {
        let word = self.at(index).as_ptr().wrapping_add(STATUS).cast::<u32>();
        // SAFETY: aligned to 4, inside the mapping, which lives as long as `self`; the word is only
        // ever accessed atomically, here and by the kernel.
        unsafe { AtomicU32::from_ptr(word) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        let len = self.geometry.block_bytes * self.geometry.blocks;
        // SAFETY: the mapping made in `new`; every `Lent` holds an `Arc` of this, so none is left.
        unsafe { libc::munmap(self.base.as_ptr().cast(), len) };
    }
}

/// A block of the ring, owned by us until this is dropped.
#[derive(Debug)]
pub(in crate::capture) struct Lent {
    map: Arc<Map>,
    index: usize,
    len: usize,
    /// Offset of the first packet's header in [`Lent::bytes`].
    pub(super) first: usize,
    /// How many packets it holds.
    pub(super) packets: u32,
}

impl Lent {
    /// The bytes that the kernel wrote behind the block's head.
    #[inline]
    pub(in crate::capture) fn bytes(&self) -> &[u8] {
        let start = self.map.at(self.index).as_ptr().wrapping_add(HEAD);
        // SAFETY: `len` bytes behind the head lie in this block (clamped in `take`); the block is
        // ours until `self` is dropped, and `bytes_mut` needs `self` alone.
        unsafe { std::slice::from_raw_parts(start, self.len) }
    }

    /// The same, mutable, before the block is shared.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        let start = self.map.at(self.index).as_ptr().wrapping_add(HEAD);
        // SAFETY: as in `bytes`; `&mut self` is the only handle, for `Lent` cannot be cloned.
        unsafe { std::slice::from_raw_parts_mut(start, self.len) }
    }
}

impl Drop for Lent {
    /// Returns the block to the kernel; all reads from it happened before.
    fn drop(&mut self) {
        self.map.status(self.index).store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.map.count.fetch_sub(1, Ordering::AcqRel);
        // Last: from here on the reader may take the kernel's next contents.
        if let Some(held) = self.map.lent.get(self.index) {
            held.store(false, Ordering::Release);
        }
    }
}
