//! Unpacked bytes of an input: read here, or ahead of need by a thread of their own.
//!
//! Decompression and the hash of the stored bytes take longer than everything else that the reader
//! does, and nothing in them depends on what other files hold.
//!
//! Owns: the thread of a file, chunks on their way, how many such threads there may be. In: an
//! opened input. Out: the same bytes in the same order, and the same end. Never: more than
//! [`FILE_BYTES`] ahead of who reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use crate::capture::Interrupt;
use crate::capture::report::Verdict;
use crate::capture::stored::Stored;
use crate::capture::unpack::Unpacked;

/// Bytes of a chunk: it stays in the second-level cache until it is read.
const CHUNK: usize = 256 * 1024;

/// Chunks that wait.
const DEPTH: usize = 4;

/// Most bytes that one file takes: those that wait, one that is filled and one that is read.
pub const FILE_BYTES: usize = (DEPTH + 2) * CHUNK;

/// The end of an input: nothing, or why it ended early.
pub(super) type End = Option<(Verdict, String)>;

/// Bytes of the stored input, its hash, or why there is none.
pub(super) type Hashed = (u64, Option<String>, Option<String>);

/// How many files may be read ahead at once. Clones share the number.
#[derive(Clone, Debug, Default)]
pub struct Threads(Arc<AtomicUsize>);

impl Threads {
    /// So many.
    pub fn new(most: usize) -> Threads {
        Threads(Arc::new(AtomicUsize::new(most)))
    }

    fn take(&self) -> Option<Permit> {
        let less = |free: usize| free.checked_sub(1);
        let taken = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        taken.is_ok().then(|| Permit(Arc::clone(&self.0)))
    }
}

/// One of them; given back when dropped.
struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// An opened input.
pub(super) enum Input {
    Here(Box<Unpacked>),
    Ahead(Box<Ahead>),
}

/// An input that a thread reads.
pub(super) struct Ahead {
    chunks: Receiver<Chunk>,
    empties: Sender<Vec<u8>>,
    chunk: Chunk,
    at: usize,
    interrupt: Interrupt,
    thread: JoinHandle<Option<Box<Unpacked>>>,
    _permit: Permit,
}

/// Bytes in order.
struct Chunk {
    bytes: Vec<u8>,
    len: usize,
    /// Stored bytes read when it was full, and of the whole input.
    read: u64,
    stored: u64,
    /// Nothing comes behind it.
    end: Option<End>,
}

impl Input {
    /// Bytes from here on come from a thread, if they are packed and a thread is free.
    pub(super) fn go_ahead(self, threads: &Threads) -> Input {
        let Input::Here(unpacked) = self else { return self };
        let interrupt = unpacked.stored().and_then(Stored::interrupt_of_file);
        let (Some(interrupt), true) = (interrupt, unpacked.is_packed()) else {
            return Input::Here(unpacked);
        };
        match threads.take() {
            Some(permit) => Ahead::begin(unpacked, interrupt, permit),
            None => Input::Here(unpacked),
        }
    }

    /// Reads some bytes into `space`, at least one; or says how the input has ended.
    pub(super) fn read(&mut self, space: &mut [u8]) -> Result<usize, End> {
        match self {
            Input::Here(unpacked) => read(unpacked, space),
            Input::Ahead(ahead) => ahead.read(space),
        }
    }

    /// Stored bytes read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        match self {
            Input::Here(unpacked) => unpacked.stored().map_or(0, Stored::bytes_read),
            Input::Ahead(ahead) => ahead.chunk.read,
        }
    }

    /// The size of the input, or if unknown the bytes read.
    pub(super) fn stored_bytes(&self) -> u64 {
        match self {
            Input::Here(unpacked) => unpacked.stored().map_or(0, Stored::stored_bytes),
            Input::Ahead(ahead) => ahead.chunk.stored,
        }
    }

    /// Whether it is compressed.
    pub(super) fn is_packed(&self) -> bool {
        match self {
            Input::Here(unpacked) => unpacked.is_packed(),
            Input::Ahead(_) => true,
        }
    }

    /// Ends reading; the rest of the stored bytes is read if a hash is wanted.
    pub(super) fn finish(self) -> Hashed {
        let unpacked = match self {
            Input::Here(unpacked) => Some(*unpacked),
            Input::Ahead(ahead) => ahead.stop(),
        };
        let gone = || (0, None, Some("the stream could not be recovered".to_owned()));
        unpacked.and_then(Unpacked::into_stored).map_or_else(gone, Stored::finish)
    }
}

/// Reads some bytes, at least one, or says how the input has ended.
fn read(input: &mut Unpacked, space: &mut [u8]) -> Result<usize, End> {
    let read = std::io::Read::read(input, space);
    // A decompressor reports an early end of its input as an error.
    if input.stored().is_some_and(Stored::is_interrupted) {
        return Err(interrupted());
    }
    match read {
        Ok(n) if n > 0 => Ok(n),
        Ok(_) => Err(None),
        Err(e) => Err(Some(input.judge(&e))),
    }
}

fn interrupted() -> End {
    Some((Verdict::Interrupted, "the run was told to end".to_owned()))
}

impl Ahead {
    fn begin(input: Box<Unpacked>, interrupt: Interrupt, permit: Permit) -> Input {
        let (out, chunks) = sync_channel(DEPTH);
        let (empties, back) = channel();
        // The thread gets the input once it runs: without a thread it is read here.
        let (give, given) = channel::<Box<Unpacked>>();
        let work = move || {
            let mut input = given.recv().ok()?;
            fill(&mut input, &out, &back);
            Some(input)
        };
        let named = thread::Builder::new().name("unpack".to_owned());
        let Ok(thread) = named.spawn(work) else { return Input::Here(input) };
        let (read, stored) =
            input.stored().map_or((0, 0), |of| (of.bytes_read(), of.stored_bytes()));
        if let Err(back) = give.send(input) {
            return Input::Here(back.0);
        }
        let chunk = Chunk { bytes: Vec::new(), len: 0, read, stored, end: None };
        Input::Ahead(Box::new(Ahead {
            chunks,
            empties,
            chunk,
            at: 0,
            interrupt,
            thread,
            _permit: permit,
        }))
    }

    fn read(&mut self, space: &mut [u8]) -> Result<usize, End> {
        if self.interrupt.is_requested() {
            return Err(interrupted());
        }
        while self.at >= self.chunk.len {
            if let Some(end) = self.chunk.end.take() {
                return Err(end);
            }
            let gone = || Some((Verdict::Unreadable, "the thread that unpacks it is gone".into()));
            let next = self.chunks.recv().map_err(|_| gone())?;
            let used = std::mem::replace(&mut self.chunk, next);
            // A thread that has ended needs none.
            let _ = self.empties.send(used.bytes);
            self.at = 0;
        }
        let rest = self.chunk.bytes.get(self.at..self.chunk.len).unwrap_or_default();
        let n = rest.len().min(space.len());
        if let (Some(space), Some(rest)) = (space.get_mut(..n), rest.get(..n)) {
            space.copy_from_slice(rest);
        }
        self.at += n;
        Ok(n)
    }

    /// Stops the thread; gives the input as far as it was read.
    fn stop(self) -> Option<Unpacked> {
        let Ahead { chunks, thread, .. } = self;
        drop(chunks);
        thread.join().ok().flatten().map(|input| *input)
    }
}

/// Fills chunks until the input ends or nobody takes them.
fn fill(input: &mut Unpacked, out: &SyncSender<Chunk>, empties: &Receiver<Vec<u8>>) {
    loop {
        let mut bytes = empties.try_recv().unwrap_or_default();
        bytes.resize(CHUNK, 0);
        let (mut len, mut end) = (0, None);
        while len < CHUNK && end.is_none() {
            match read(input, bytes.get_mut(len..).unwrap_or_default()) {
                Ok(n) => len += n,
                Err(why) => end = Some(why),
            }
        }
        let (read, stored) =
            input.stored().map_or((0, 0), |of| (of.bytes_read(), of.stored_bytes()));
        let is_last = end.is_some();
        if out.send(Chunk { bytes, len, read, stored, end }).is_err() || is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use super::*;
    use crate::capture::testkit::{Sample, pcap};
    use crate::capture::{BlockPool, FileReport, HashPolicy, InputSpec, MergedSource, ReadOptions};

    type Frames = Vec<(u64, Vec<u8>)>;

    /// Frames and reports with so many threads.
    fn read(paths: &[&Path], most: usize) -> (Frames, Vec<FileReport>) {
        let threads = Threads::new(most);
        let hash = HashPolicy::Always;
        let options =
            ReadOptions { hash, threads: threads.clone(), max_ratio: 50, ..Default::default() };
        let inputs = paths.iter().map(|path| InputSpec::new(*path)).collect();
        let mut source = MergedSource::open(inputs, &BlockPool::new(65_536, 2), options);
        let mut frames = Vec::new();
        while let Some((file, meta)) = source.next() {
            let block = source.block(file).unwrap();
            frames.push((meta.time.0, meta.frame(block).bytes.to_vec()));
        }
        let reports = source.finish();
        assert_eq!(threads.0.load(Ordering::Acquire), most, "every thread is given back");
        (frames, reports)
    }

    #[test]
    fn a_thread_changes_no_byte_no_verdict_and_no_hash() {
        let folder = tempfile::tempdir().unwrap();
        let packets = |from: u32| -> Vec<Sample> {
            let bytes = |n: u32| n.to_le_bytes().repeat(200);
            (0..5_000).map(|n| (from + n, 0, bytes(n.wrapping_mul(2_654_435_761)))).collect()
        };
        let gzip = |bytes: &[u8]| {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        };
        let first = gzip(&pcap(&packets(1)));
        let cut = first[..first.len() / 2].to_vec();
        let mut bad = zstd::encode_all(&pcap(&packets(2_000))[..], 1).unwrap();
        let middle = bad.len() / 2;
        bad[middle] ^= 0x55;
        let behind = [gzip(&pcap(&packets(4_000))), vec![7; 70_000]].concat();
        let files =
            [first, cut, bad, behind, pcap(&packets(3_000)), gzip(b""), gzip(b"no capture")];
        let paths: Vec<_> = (0..files.len()).map(|n| folder.path().join(n.to_string())).collect();
        paths.iter().zip(files).for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
        let paths: Vec<&Path> = paths.iter().map(|path| path.as_path()).collect();
        let want = read(&paths, 0);
        assert!(want.0.len() > 12_000, "{}", want.0.len());
        for threads in [1, 2, 16] {
            let have = read(&paths, threads);
            assert!(have.0 == want.0, "{threads}: other frames");
            assert_eq!(format!("{:?}", have.1), format!("{:?}", want.1), "{threads}");
        }
    }

    #[test]
    fn who_stops_early_waits_for_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let packets: Vec<Sample> = (0..4_000).map(|n| (n, 0, vec![7; 4_000])).collect();
        std::fs::write(&path, zstd::encode_all(&pcap(&packets)[..], 1).unwrap()).unwrap();
        let threads = Threads::new(1);
        let options = ReadOptions { threads: threads.clone(), ..ReadOptions::default() };
        let pool = BlockPool::new(65_536, 2);
        let mut source = MergedSource::open(vec![InputSpec::new(&path)], &pool, options);
        assert!(source.next().is_some());
        assert_eq!(threads.0.load(Ordering::Acquire), 0);
        let reports = source.finish();
        assert_eq!((reports.len(), reports[0].sha256.is_some()), (1, true));
        assert_eq!(threads.0.load(Ordering::Acquire), 1);
    }
}
