//! One input file as a sequence of frames.
//!
//! Owns: the cursor in the current block, the partial record at its end, the facts about the file
//! so far.
//! In: stored bytes. Out: [`FrameMeta`] one by one, the block of each, and a [`FileReport`].
//! Never: changes a block after its first frame was returned, or allocates per frame.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::capture::ahead::{Input, Threads};
use crate::capture::block::{Block, BlockPool};
use crate::capture::drops::Drops;
use crate::capture::inputs::InputSpec;
use crate::capture::pcap::{self, Pcap};
use crate::capture::pcapng::{self, Pcapng};
use crate::capture::report::{FileReport, Verdict};
use crate::capture::step::{MAX_NEED, RawFrame, Step};
use crate::capture::stored::{HashPolicy, Stored};
use crate::capture::unpack::Unpacked;
use crate::capture::windows::{Window, Windows};
use crate::capture::{RATIO_FLOOR_BYTES, ReadOptions, sniff};
use crate::model::{Frame, Grain, LinkType, Nanos, Trust};

/// The location of a frame, and the fields of its record header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameMeta {
    /// Its timestamp.
    pub time: Nanos,
    /// Its link type.
    pub link: LinkType,
    /// Offset of the frame's bytes in its block.
    pub at: u32,
    /// Captured bytes.
    pub captured: u32,
    /// Bytes on the wire; never less than `captured`.
    pub wire_len: u32,
    /// Ordinal in its file, from 1 (saturating).
    pub number: u32,
    /// The capture interface within the file's section.
    pub interface: u16,
    /// The granularity of its clock.
    pub grain: Grain,
    /// The trust in `time`.
    pub trust: Trust,
}

impl FrameMeta {
    /// The frame itself, from the block that holds it.
    #[inline]
    pub fn frame<'a>(&self, block: &'a Block) -> Frame<'a> {
        let rest = block.bytes().get(self.at as usize..).unwrap_or_default();
        let bytes = rest.get(..self.captured as usize).unwrap_or(rest);
        Frame { time: self.time, link: self.link, wire_len: self.wire_len, bytes }
    }
}

enum Format {
    Pcap(Pcap),
    Pcapng(Box<Pcapng>),
}

/// One input file as a sequence of frames.
pub struct FileSource {
    path: PathBuf,
    /// Memory of its decompressor, given back with it.
    _window: Window,
    feed: BlockFiller,
    format: Format,
    number: u32,
    packets: u64,
    malformed: u64,
    malformed_reason: &'static str,
    first: Nanos,
    last: Nanos,
}

impl FileSource {
    /// Opens an input and reads its file header. The error is the report of an input that yields no
    /// frames: unreadable, unsupported, empty, or with a broken header.
    pub fn open(
        spec: &InputSpec,
        file_index: u16,
        pool: &Arc<BlockPool>,
        options: &ReadOptions,
    ) -> Result<FileSource, Box<FileReport>> {
        let path = &spec.path;
        let stored = Stored::open(spec, options)
            .map_err(|e| Box::new(FileReport::unreadable(path, e.to_string())))?;
        let opened = stored.with_window(&options.windows);
        let opened = opened.map_err(|denied| Box::new(FileReport::denied(path, denied)))?;
        FileSource::unpacking(path, opened, file_index, pool)
            .map(|source| source.with_ratio(options.max_ratio))
    }

    /// Reads bytes in memory as if they were the file `path`. The error is as for
    /// [`FileSource::open`].
    pub fn from_bytes(
        path: &Path,
        bytes: Vec<u8>,
        pool: &Arc<BlockPool>,
    ) -> Result<FileSource, Box<FileReport>> {
        let size = bytes.len() as u64;
        let reader = Box::new(std::io::Cursor::new(bytes));
        let stored = Stored::new(reader, Some(size), HashPolicy::Never);
        FileSource::from_stored(path, stored, 0, pool)
    }

    /// Reads stored bytes, whatever memory it takes to unpack them.
    pub(super) fn from_stored(
        path: &Path,
        stored: Stored,
        file_index: u16,
        pool: &Arc<BlockPool>,
    ) -> Result<FileSource, Box<FileReport>> {
        match stored.with_window(&Windows::default()) {
            Ok(opened) => FileSource::unpacking(path, opened, file_index, pool),
            Err(denied) => Err(Box::new(FileReport::denied(path, denied))),
        }
    }

    /// The same with no more memory than its share.
    pub(super) fn unpacking(
        path: &Path,
        (stored, window): (Stored, Window),
        file_index: u16,
        pool: &Arc<BlockPool>,
    ) -> Result<FileSource, Box<FileReport>> {
        let input = match Unpacked::new(stored, window.bytes()) {
            Ok(input) => input,
            Err(e) => return Err(Box::new(FileReport::unreadable(path, e.to_string()))),
        };
        let mut source = FileSource {
            path: path.to_path_buf(),
            _window: window,
            feed: BlockFiller::new(input, file_index, pool),
            format: Format::Pcapng(Box::new(Pcapng::new())),
            number: 0,
            packets: 0,
            malformed: 0,
            malformed_reason: "",
            first: Nanos(u64::MAX),
            last: Nanos::ZERO,
        };
        match source.read_header() {
            Ok(()) => Ok(source),
            Err((verdict, reason)) => {
                source.feed.stop.get_or_insert((verdict, reason));
                Err(Box::new(source.verdict()))
            }
        }
    }

    /// Lets a thread unpack ahead of need, if it is packed and one is free.
    pub(super) fn ahead(mut self, threads: &Threads) -> FileSource {
        self.feed.input = self.feed.input.go_ahead(threads);
        self
    }

    /// Limits the unpacked size, as a multiple of the stored size.
    pub(super) fn with_ratio(mut self, max_ratio: u64) -> FileSource {
        self.feed.max_ratio = max_ratio;
        self
    }

    fn read_header(&mut self) -> Result<(), (Verdict, String)> {
        self.feed.need(4);
        let Some(magic) = self.feed.rest().first_chunk::<4>().copied() else {
            return Err(match self.feed.rest().is_empty() {
                true => (Verdict::Empty, "no bytes".to_owned()),
                false => (Verdict::Unsupported, "too short for a capture file".to_owned()),
            });
        };
        if pcapng::is_pcapng(magic) {
            return Ok(());
        }
        let Some(order) = pcap::order_of(magic) else {
            return Err((Verdict::Unsupported, sniff::describe(self.feed.rest())));
        };
        let len = pcap::header_len(magic, order);
        if !self.feed.need(len) {
            return Err((Verdict::Truncated, "ends inside the file header".to_owned()));
        }
        let header = Pcap::new(self.feed.rest(), order);
        self.format = Format::Pcap(header.map_err(|why| (Verdict::Malformed, why.to_owned()))?);
        self.feed.advance(len as u64);
        Ok(())
    }

    /// The next frame, or `None` at the end of the readable part. Its bytes are in
    /// [`FileSource::block`].
    pub fn next_frame(&mut self) -> Option<FrameMeta> {
        let mut meta = FrameMeta::default();
        self.next_into(&mut meta).then_some(meta)
    }

    /// The same into a place that is used again for every frame; returns whether there is one.
    #[inline(always)]
    pub(super) fn next_into(&mut self, meta: &mut FrameMeta) -> bool {
        if let Format::Pcap(format) = &self.format
            && let Some((raw, len)) = format.frame(self.feed.rest())
        {
            let record_at = self.feed.at;
            self.feed.at += len;
            self.count(raw, record_at, meta);
            return true;
        }
        match self.next_step() {
            Some((raw, record_at)) => {
                self.count(raw, record_at, meta);
                true
            }
            None => false,
        }
    }

    /// The next frame, record by record, and where its record begins.
    #[inline(never)]
    fn next_step(&mut self) -> Option<(RawFrame, usize)> {
        loop {
            let rest = self.feed.rest();
            let step = match &mut self.format {
                Format::Pcap(format) => format.step(rest),
                Format::Pcapng(format) => format.step(rest),
            };
            match step {
                Step::Frame(raw, len) => {
                    let record_at = self.feed.at;
                    self.feed.at += len as usize;
                    return Some((raw, record_at));
                }
                other => {
                    if !self.handle(other) {
                        return None;
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn count(&mut self, raw: RawFrame, record_at: usize, meta: &mut FrameMeta) {
        self.number = self.number.saturating_add(1);
        self.packets += 1;
        self.first = self.first.min(raw.time);
        self.last = self.last.max(raw.time);
        *meta = FrameMeta {
            time: raw.time,
            link: raw.link,
            at: record_at as u32 + raw.at,
            captured: raw.captured,
            wire_len: raw.wire_len,
            number: self.number,
            interface: raw.interface,
            grain: raw.grain,
            trust: if raw.timed { Trust::Believed } else { Trust::Absent },
        };
    }

    /// Handles a step that is not a frame. False at the end.
    #[cold]
    fn handle(&mut self, step: Step) -> bool {
        match step {
            Step::Frame(_, len) | Step::Skip(len) => self.feed.advance(len),
            Step::BadFrame(why, len) => {
                self.number = self.number.saturating_add(1);
                self.malformed = self.malformed.saturating_add(1);
                self.malformed_reason = why;
                self.feed.advance(len);
            }
            Step::NeedMore(n) => {
                if self.feed.need(n) {
                    return true;
                }
                if self.feed.skip > 0 || !self.feed.rest().is_empty() {
                    let why = format!("ends inside a record, after packet {}", self.number);
                    self.feed.stop.get_or_insert((Verdict::Truncated, why));
                }
                return false;
            }
            Step::Malformed(why) => {
                let why = format!("{why} (after packet {})", self.number);
                self.feed.stop.get_or_insert((Verdict::Malformed, why));
                return false;
            }
        }
        true
    }

    /// The block of the frame returned last.
    #[inline]
    pub fn block(&self) -> &Arc<Block> {
        &self.feed.block
    }

    /// The comments of a frame of this file, from the block that holds it.
    pub(super) fn comments<'b>(&self, meta: &FrameMeta, block: &'b Block) -> Vec<&'b [u8]> {
        match &self.format {
            Format::Pcap(_) => Vec::new(),
            Format::Pcapng(_) => {
                pcapng::comments(block.bytes(), meta.at as usize, meta.captured as usize)
            }
        }
    }

    /// Stored bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.feed.input.bytes_read()
    }

    /// Sets the final file index, before any block is shared.
    pub(super) fn set_file(&mut self, file_index: u16) {
        self.feed.file = file_index;
        if let Some(block) = Arc::get_mut(&mut self.feed.block) {
            block.set_file(file_index);
        }
    }

    /// Why a file that was read to its end is not `ok`.
    fn file_problem(&self) -> Option<(Verdict, String)> {
        let untimed = match &self.format {
            Format::Pcap(_) => 0,
            Format::Pcapng(format) => format.untimed(),
        };
        if self.malformed > 0 {
            return Some((
                Verdict::Malformed,
                format!("{} {}", self.malformed, self.malformed_reason),
            ));
        }
        if let Format::Pcapng(format) = &self.format
            && format.odd() > 0
        {
            let why = "blocks whose lengths break the rules of the format, read all the same";
            return Some((Verdict::Malformed, format!("{} {why}", format.odd())));
        }
        if untimed > 0 {
            let why = "packets outside 1970 to 2554, given the time of the packet before";
            return Some((Verdict::Malformed, format!("{untimed} {why}")));
        }
        (self.packets == 0).then(|| (Verdict::Empty, "no packets".to_owned()))
    }

    /// Ends reading and returns the report. If a hash is wanted, the rest of the stored bytes is
    /// read for it.
    pub fn verdict(mut self) -> FileReport {
        let (verdict, reason) = match self.feed.stop.take().or_else(|| self.file_problem()) {
            Some((verdict @ (Verdict::Refused | Verdict::Interrupted), reason)) => {
                (verdict, Some(format!("{reason}, after packet {}", self.number)))
            }
            Some((verdict, reason)) => (verdict, Some(reason)),
            None => (Verdict::Ok, None),
        };
        let packets_dropped = match &self.format {
            Format::Pcap(_) => Drops::default(),
            Format::Pcapng(format) => format.drops(),
        };
        let (bytes, sha256, sha256_note) = self.feed.input.finish();
        FileReport {
            path: self.path,
            bytes,
            sha256,
            sha256_note,
            packets: self.packets,
            packets_malformed: self.malformed,
            packets_dropped,
            first: (self.packets > 0).then_some(self.first),
            last: (self.packets > 0).then_some(self.last),
            verdict,
            reason,
        }
    }
}

/// Fills blocks from the input. A block is filled while its buffer is not shared, then frozen, then
/// read.
struct BlockFiller {
    input: Input,
    pool: Arc<BlockPool>,
    file: u16,
    block: Arc<Block>,
    at: usize,
    /// Bytes still to skip beyond the current block.
    skip: u64,
    ended: bool,
    stop: Option<(Verdict, String)>,
    /// Bytes unpacked so far.
    unpacked: u64,
    max_ratio: u64,
}

impl BlockFiller {
    fn new(input: Unpacked, file: u16, pool: &Arc<BlockPool>) -> BlockFiller {
        let input = Input::Here(Box::new(input));
        let block = Block::freeze(Vec::new(), 0, file, pool);
        let pool = Arc::clone(pool);
        let (max_ratio, unpacked) = (u64::MAX, 0);
        let (at, skip, ended, stop) = (0, 0, false, None);
        BlockFiller { input, pool, file, block, at, skip, ended, stop, unpacked, max_ratio }
    }

    #[inline]
    fn rest(&self) -> &[u8] {
        self.block.bytes().get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, len: u64) {
        let here = (self.rest().len() as u64).min(len);
        self.at += here as usize;
        self.skip = len - here;
    }

    /// Makes at least `n` bytes available at the cursor, in a new block if needed; false if the
    /// input has fewer.
    fn need(&mut self, n: usize) -> bool {
        if self.rest().len() < n && !self.ended {
            self.refill(n.min(MAX_NEED));
        }
        self.rest().len() >= n
    }

    fn refill(&mut self, n: usize) {
        let mut buffer = self.pool.take(n);
        while self.skip > 0 && !self.ended {
            let want = usize::try_from(self.skip).unwrap_or(usize::MAX).min(buffer.len());
            let got = self.read(buffer.get_mut(..want).unwrap_or_default());
            self.skip -= got as u64;
        }
        let tail = self.rest();
        let mut filled = tail.len();
        if let Some(start) = buffer.get_mut(..filled) {
            start.copy_from_slice(tail);
        }
        while filled < buffer.len() && !self.ended {
            filled += self.read(buffer.get_mut(filled..).unwrap_or_default());
        }
        self.block = Block::freeze(buffer, filled, self.file, &self.pool);
        self.at = 0;
    }

    /// Reads some bytes; 0 at the end or after an error.
    fn read(&mut self, space: &mut [u8]) -> usize {
        let why = match self.input.read(space) {
            Ok(n) => {
                self.unpacked = self.unpacked.saturating_add(n as u64);
                match self.over_ratio() {
                    None => return n,
                    refused => refused,
                }
            }
            Err(end) => end,
        };
        if let Some(why) = why {
            self.stop.get_or_insert(why);
        }
        self.ended = true;
        0
    }

    fn over_ratio(&self) -> Option<(Verdict, String)> {
        if self.unpacked <= RATIO_FLOOR_BYTES || !self.input.is_packed() {
            return None;
        }
        let stored = self.input.stored_bytes();
        let (unpacked, ratio) = (self.unpacked, self.max_ratio);
        (unpacked > stored.saturating_mul(ratio)).then(|| {
            let why = format!(
                "it unpacks to over {ratio} times its {stored} bytes (--max-ratio), as files made \
                 to exhaust their reader do"
            );
            (Verdict::Refused, why)
        })
    }
}
