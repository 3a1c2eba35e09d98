//! Blocks: immutable buffers of captured bytes, shared by reference count, recycled by a bounded
//! pool.
//!
//! Owns: the buffers. In: bytes filled by a reader that owns its buffer alone. Out: `Arc<Block>`.
//! Never: a change to a block that has been handed out, or more idle buffers than the pool's cap.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::capture::ring::Lent;

/// Longest frame in a capture file: MAXIMUM_SNAPLEN of libpcap (`pcap-int.h`), 256 KiB.
pub const MAX_FRAME: usize = 262_144;

/// Default size of a block. One read(2) fills it. Measured on 1.3 M packets of 224 bytes: from 128
/// KiB to 1 MiB the cost per packet differs by less than the noise, 64 KiB costs a tenth more. 256
/// KiB stays inside a core's L2 cache and is the longest frame.
pub const BLOCK_BYTES: usize = 262_144;

/// An immutable run of captured bytes. When the last reference is dropped, a pooled buffer returns
/// to the pool and a ring's block to the kernel.
#[derive(Debug)]
pub struct Block {
    memory: Memory,
    file: u16,
}

#[derive(Debug)]
enum Memory {
    Buffer { buffer: Vec<u8>, len: usize, pool: Arc<BlockPool> },
    Ring(Lent),
}

impl Block {
    /// The first `len` bytes of `buffer`, as bytes of input file `file`.
    pub(super) fn freeze(
        buffer: Vec<u8>,
        len: usize,
        file: u16,
        pool: &Arc<BlockPool>,
    ) -> Arc<Block> {
        let len = len.min(buffer.len());
        let memory = Memory::Buffer { buffer, len, pool: Arc::clone(pool) };
        Arc::new(Block { memory, file })
    }

    /// A block for a frame that was put together from others; its buffer is freed with it.
    pub fn of_frame(bytes: Vec<u8>, file: u16) -> Arc<Block> {
        let len = bytes.len();
        Block::freeze(bytes, len, file, &BlockPool::new(BLOCK_BYTES, 1))
    }

    /// A block of a kernel ring, as bytes of interface `file`.
    pub(super) fn ring(lent: Lent, file: u16) -> Arc<Block> {
        Arc::new(Block { memory: Memory::Ring(lent), file })
    }

    /// The captured bytes; offsets in [`crate::capture::FrameMeta`] count from their start.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match &self.memory {
            Memory::Buffer { buffer, len, .. } => buffer.get(..*len).unwrap_or_default(),
            Memory::Ring(lent) => lent.bytes(),
        }
    }

    /// Index of the input file or interface the bytes came from.
    #[inline]
    pub fn file(&self) -> u16 {
        self.file
    }

    /// Sets the final file index, before the block is shared.
    pub(super) fn set_file(&mut self, file: u16) {
        self.file = file;
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Memory::Buffer { buffer, pool, .. } = &mut self.memory {
            pool.put(std::mem::take(buffer));
        }
    }
}

/// Recycles block buffers. Bounded: buffers over the cap are freed.
#[derive(Debug)]
pub struct BlockPool {
    block_bytes: usize,
    idle: ArrayQueue<Vec<u8>>,
}

impl BlockPool {
    /// A pool of buffers of `block_bytes` bytes (at least 1) that keeps at most `max_idle` unused
    /// ones.
    pub fn new(block_bytes: usize, max_idle: usize) -> Arc<BlockPool> {
        let idle = ArrayQueue::new(max_idle.max(1));
        Arc::new(BlockPool { block_bytes: block_bytes.max(1), idle })
    }

    /// Size of a regular buffer, in bytes.
    pub fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// The number of unused buffers.
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// A buffer of at least `need` bytes. Its content is arbitrary.
    pub(super) fn take(&self, need: usize) -> Vec<u8> {
        if need > self.block_bytes {
            return vec![0; need];
        }
        self.idle.pop().unwrap_or_else(|| vec![0; self.block_bytes])
    }

    fn put(&self, buffer: Vec<u8>) {
        // A buffer grown for one oversize frame is freed, so that one odd file cannot raise the
        // pool's size.
        if buffer.len() == self.block_bytes {
            let _full = self.idle.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reference_returns_the_buffer() {
        let pool = BlockPool::new(64, 2);
        let block = Block::freeze(pool.take(10), 10, 7, &pool);
        let other = Arc::clone(&block);
        drop(block);
        assert_eq!((pool.idle(), other.bytes().len(), other.file()), (0, 10, 7));
        drop(other);
        assert_eq!(pool.idle(), 1);
    }

    #[test]
    fn a_full_pool_and_an_oversize_buffer_free_instead_of_growing() {
        let pool = BlockPool::new(8, 1);
        let blocks: Vec<_> =
            [8, 8, 9].map(|n| Block::freeze(pool.take(n), n, 0, &pool)).into_iter().collect();
        assert_eq!(blocks.last().map(|b| b.bytes().len()), Some(9));
        drop(blocks);
        assert_eq!(pool.idle(), 1);
        assert_eq!(pool.take(8).len(), 8);
        assert_eq!(pool.idle(), 0);
    }
}
