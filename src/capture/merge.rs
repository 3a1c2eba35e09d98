//! Many files as one sequence of frames in packet time order.
//!
//! Owns: the open files, the next frame of each, the order of files. In: inputs. Out: frames,
//! merged; at the end one report per input. Never: an order that depends on how the inputs were
//! named or listed (unless two are equal in first packet time and size), or more than `max_open`
//! open files.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::capture::ReadOptions;
use crate::capture::block::{Block, BlockPool};
use crate::capture::chronology::{self, Chronology};
use crate::capture::inputs::InputSpec;
use crate::capture::report::FileReport;
use crate::capture::source::{FileSource, FrameMeta};
use crate::capture::stored::Stored;
use crate::capture::windows::{Denied, Window};
use crate::model::Nanos;

/// Up to this many inputs stay open after the probe. More are closed and reopened when they are
/// due, so that they do not each hold a block meanwhile.
const KEEP_OPEN: usize = 32;

/// Block size of the probe, if the file is closed after it.
const PROBE_BYTES: usize = 16_384;

/// Frames probed, so that one false timestamp cannot decide where a file starts.
const PROBE_FRAMES: usize = 16;

/// The merge order: time, then file.
type Key = (Nanos, u16);

const NO_LIMIT: Key = (Nanos(u64::MAX), u16::MAX);

/// Many files as one sequence of frames in packet time order.
pub struct MergedSource {
    pool: Arc<BlockPool>,
    options: ReadOptions,
    /// By file index; the index follows (first packet time, stored size, path).
    inputs: Vec<Input>,
    /// Files not opened yet, earliest first.
    closed: VecDeque<Key>,
    /// The next frame of every open file but the current one.
    heads: BinaryHeap<Reverse<Head>>,
    current: Option<u16>,
    /// The current file may continue while its frames come before this.
    limit: Key,
    clock: Nanos,
    open: usize,
    late: u64,
    refused: u64,
    reports: Vec<FileReport>,
    bytes_done: u64,
    bytes_total: u64,
}

struct Input {
    spec: InputSpec,
    source: Option<Box<Chronology>>,
}

#[derive(PartialEq, Eq)]
struct Head {
    key: Key,
    meta: FrameMeta,
}

impl Ord for Head {
    fn cmp(&self, other: &Head) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Settings of the first pass over the inputs.
struct Probing {
    /// Inputs stay open after it.
    keep: bool,
    pool: Arc<BlockPool>,
    found: Vec<Probed>,
}

/// The result of probing an input.
struct Probed {
    spec: InputSpec,
    size: u64,
    first: FrameMeta,
    source: Option<Box<Chronology>>,
}

impl MergedSource {
    /// Probes the first packets of every input and orders the inputs. An input without a packet is
    /// reported and dropped. Inputs with packets beyond 65,536 have no index and must not be passed
    /// ([`crate::capture::expand_inputs`] refuses them).
    pub fn open(
        specs: Vec<InputSpec>,
        pool: &Arc<BlockPool>,
        options: ReadOptions,
    ) -> MergedSource {
        let mut merged = MergedSource {
            pool: Arc::clone(pool),
            options: ReadOptions { max_open: options.max_open.max(1), ..options },
            inputs: Vec::new(),
            closed: VecDeque::new(),
            heads: BinaryHeap::new(),
            current: None,
            limit: NO_LIMIT,
            clock: Nanos::ZERO,
            open: 0,
            late: 0,
            refused: 0,
            reports: Vec::new(),
            bytes_done: 0,
            bytes_total: specs.iter().map(InputSpec::size).fold(0, u64::saturating_add),
        };
        let keep = specs.len() <= KEEP_OPEN.min(merged.options.max_open);
        let keep = keep && merged.options.cut.is_none();
        let pool = if keep { Arc::clone(pool) } else { BlockPool::new(PROBE_BYTES, 1) };
        let mut probing = Probing { keep, pool, found: Vec::with_capacity(specs.len()) };
        for spec in specs {
            merged.probe(spec, &mut probing);
        }
        merged.admit_all(probing);
        merged
    }

    /// Adds inputs that were not there before, in the order of [`MergedSource::open`] behind the
    /// others. One that begins before what was read already is read all the same, and counted as
    /// late.
    pub fn add(&mut self, specs: Vec<InputSpec>) {
        let bytes = specs.iter().map(InputSpec::size).fold(0, u64::saturating_add);
        self.bytes_total = self.bytes_total.saturating_add(bytes);
        let pool = BlockPool::new(PROBE_BYTES, 1);
        let mut probing = Probing { keep: false, pool, found: Vec::with_capacity(specs.len()) };
        for spec in specs {
            self.probe(spec, &mut probing);
        }
        self.admit_all(probing);
        self.closed.make_contiguous().sort_unstable();
    }

    /// Inputs with packets so far: the next one gets this index.
    pub fn sources(&self) -> usize {
        self.inputs.len()
    }

    /// All inputs so far, with those of which nothing could be read.
    pub fn inputs(&self) -> usize {
        let open = self.inputs.iter().filter(|input| input.source.is_some()).count();
        self.reports.len() + self.closed.len() + open
    }

    fn admit_all(&mut self, probing: Probing) {
        let mut probed = probing.found;
        probed.sort_by(|a, b| {
            let path = a.spec.path.as_os_str().cmp(b.spec.path.as_os_str());
            (a.first.time, a.size).cmp(&(b.first.time, b.size)).then(path)
        });
        let next = u16::try_from(self.inputs.len()).unwrap_or(u16::MAX);
        for (file, input) in (next..=u16::MAX).zip(probed) {
            self.admit(file, input);
        }
    }

    fn probe(&mut self, spec: InputSpec, probing: &mut Probing) {
        if let Some(first) = spec.same_as() {
            return self.report(FileReport::duplicate(&spec.path, first));
        }
        let mut opened = open(&spec, &self.options);
        if matches!(opened, Err(Refusal::Now(_))) {
            let released = probing.release();
            if released > 0 {
                self.lower(released);
                opened = open(&spec, &self.options);
            }
        }
        let stored = match opened {
            Ok(stored) => stored,
            Err(Refusal::Now(report) | Refusal::Ever(report)) => return self.report(*report),
        };
        // A pipe can be read only once.
        let keep = probing.keep || spec.is_stream();
        let pool = if keep { &self.pool } else { &probing.pool };
        let window = if keep { chronology::WINDOW } else { PROBE_FRAMES };
        let mut source = match FileSource::unpacking(&spec.path, stored, 0, pool) {
            Ok(source) => {
                let source = source.with_ratio(self.options.max_ratio);
                let source = if keep { source.ahead(&self.options.threads) } else { source };
                Chronology::new(source, window)
            }
            Err(report) => return self.report(*report),
        };
        let Some(first) = source.next_frame() else { return self.report(source.verdict()) };
        let size = spec.size();
        let source = keep.then(|| Box::new(source));
        probing.found.push(Probed { spec, size, first, source });
    }

    /// There are no descriptors left, or no memory to unpack one file more: from now on, keep at
    /// most `open` files open.
    fn lower(&mut self, open: usize) {
        self.options.max_open = open.max(1);
        self.refused = self.refused.saturating_add(1);
    }

    fn admit(&mut self, file: u16, mut input: Probed) {
        let key = (input.first.time, file);
        if let Some(cut) = &self.options.cut {
            cut.admit(file, input.first.time);
        }
        match &mut input.source {
            Some(source) => {
                source.set_file(file);
                self.open += 1;
                self.heads.push(Reverse(Head { key, meta: input.first }));
            }
            None => self.closed.push_back(key),
        }
        self.inputs.push(Input { spec: input.spec, source: input.source });
    }

    /// The next frame in time order, and the index of its file. Its bytes are in
    /// [`MergedSource::block`] until the next call. `None` at the end of all files.
    // Not an Iterator: the caller borrows the block between two calls.
    #[allow(clippy::should_implement_trait, reason = "the block is borrowed between two calls")]
    pub fn next(&mut self) -> Option<(u16, FrameMeta)> {
        let mut meta = FrameMeta::default();
        self.next_into(&mut meta).map(|file| (file, meta))
    }

    /// The same into a place that is used again for every frame.
    #[inline(always)]
    pub fn next_into(&mut self, meta: &mut FrameMeta) -> Option<u16> {
        if let Some(file) = self.current {
            let mut is_there = false;
            if let Some(input) = self.inputs.get_mut(usize::from(file))
                && let Some(source) = &mut input.source
            {
                is_there = source.next_into(meta);
            }
            if is_there && (meta.time, file) < self.limit {
                self.clock = self.clock.max(meta.time);
                return Some(file);
            }
            self.suspend(file, is_there.then_some(*meta));
        }
        let (file, next) = self.switch()?;
        *meta = next;
        Some(file)
    }

    #[cold]
    fn suspend(&mut self, file: u16, frame: Option<FrameMeta>) {
        self.current = None;
        match frame {
            Some(meta) => self.heads.push(Reverse(Head { key: (meta.time, file), meta })),
            None => self.close(file),
        }
    }

    #[inline(never)]
    fn switch(&mut self) -> Option<(u16, FrameMeta)> {
        self.open_due();
        let Reverse(head) = self.heads.pop()?;
        let (time, file) = head.key;
        self.clock = self.clock.max(time);
        self.current = Some(file);
        let next_open = self.heads.peek().map_or(NO_LIMIT, |Reverse(h)| h.key);
        let next_closed = match self.closed.front() {
            Some(key) if self.open < self.options.max_open => *key,
            _ => NO_LIMIT,
        };
        self.limit = next_open.min(next_closed);
        Some((file, head.meta))
    }

    /// Opens every closed file whose first packet is due, within the limit of open files.
    fn open_due(&mut self) {
        while self.open < self.options.max_open {
            let due = self.heads.peek().map_or(NO_LIMIT, |Reverse(h)| h.key);
            match self.closed.front() {
                Some((first, file)) if (*first, *file) < due || self.heads.is_empty() => {
                    let (first, file) = (*first, *file);
                    if self.ends_before(file) {
                        return;
                    }
                    self.closed.pop_front();
                    if !self.open_file(file) {
                        // It is opened when another file is closed.
                        self.closed.push_front((first, file));
                        self.lower(self.open);
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    /// Whether the set of files ends before this one.
    fn ends_before(&self, file: u16) -> bool {
        let cut = self.options.cut.as_ref().filter(|_| self.open == 0);
        cut.is_some_and(|cut| cut.ends_before(file, self.bytes_done))
    }

    /// Opens a closed file, or reports why not. False if no descriptor or memory is available and
    /// one will be later.
    fn open_file(&mut self, file: u16) -> bool {
        let Some(input) = self.inputs.get(usize::from(file)) else { return true };
        let path = &input.spec.path;
        let source = match open(&input.spec, &self.options) {
            Ok(stored) => FileSource::unpacking(path, stored, file, &self.pool),
            Err(Refusal::Now(_)) if self.open > 0 => return false,
            Err(Refusal::Now(report) | Refusal::Ever(report)) => Err(report),
        };
        let mut source = match source {
            Ok(source) => {
                let source = source.with_ratio(self.options.max_ratio);
                let source = source.ahead(&self.options.threads);
                Box::new(Chronology::new(source, chronology::WINDOW))
            }
            Err(report) => {
                self.report(*report);
                return true;
            }
        };
        let Some(meta) = source.next_frame() else {
            self.report(source.verdict());
            return true;
        };
        if let Some(input) = self.inputs.get_mut(usize::from(file)) {
            input.source = Some(source);
        }
        self.open += 1;
        self.late = self.late.saturating_add(u64::from(meta.time < self.clock));
        self.heads.push(Reverse(Head { key: (meta.time, file), meta }));
        true
    }

    fn close(&mut self, file: u16) {
        let source = self.inputs.get_mut(usize::from(file)).and_then(|i| i.source.take());
        if let Some(source) = source {
            self.open = self.open.saturating_sub(1);
            let report = source.verdict();
            self.report(report);
        }
    }

    fn report(&mut self, report: FileReport) {
        self.bytes_done = self.bytes_done.saturating_add(report.bytes);
        self.reports.push(report);
    }

    /// The block with the frame that `next` returned last, given that frame's file.
    #[inline]
    pub fn block(&self, file: u16) -> Option<&Arc<Block>> {
        self.inputs.get(usize::from(file))?.source.as_ref().map(|source| source.block())
    }

    /// The comments that a pcapng file has on the frame that `next` returned last.
    pub fn comments(&self, file: u16, meta: &FrameMeta) -> Vec<&[u8]> {
        let source = self.inputs.get(usize::from(file)).and_then(|input| input.source.as_ref());
        source.map_or_else(Vec::new, |source| source.comments(meta))
    }

    /// The path of a file index.
    pub fn path(&self, file: u16) -> Option<&Path> {
        self.inputs.get(usize::from(file)).map(|input| input.spec.path.as_path())
    }

    /// The earliest start time of the open files.
    pub fn begun(&self) -> Option<Nanos> {
        self.inputs.iter().filter_map(|input| input.source.as_ref()?.begun()).min()
    }

    /// Stored bytes read so far, for a progress bar.
    pub fn bytes_read(&self) -> u64 {
        let open = self.inputs.iter().filter_map(|i| i.source.as_ref()).map(|s| s.bytes_read());
        open.fold(self.bytes_done, u64::saturating_add)
    }

    /// Stored bytes of all inputs whose size is known.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    /// Files opened later than their first packet was due, because too many overlap in time.
    pub fn files_late(&self) -> u64 {
        self.late
    }

    /// How often another file could not be opened for lack of descriptors or memory; the limit was
    /// lowered each time.
    pub fn opens_refused(&self) -> u64 {
        self.refused
    }

    /// Ends reading: one report per input, sorted by path.
    pub fn finish(mut self) -> Vec<FileReport> {
        for file in (0..=u16::MAX).take(self.inputs.len()) {
            self.close(file);
        }
        if self.options.cut.as_ref().is_some_and(|cut| cut.next().is_some()) {
            // They are the next set's.
            self.closed.clear();
        }
        while let Some((_, file)) = self.closed.pop_front() {
            // No other file is open, so it is either opened or reported.
            self.open_file(file);
            self.close(file);
        }
        self.reports.sort_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
        self.reports
    }
}

impl Probing {
    /// Closes files that need not stay open; returns how many.
    fn release(&mut self) -> usize {
        self.keep = false;
        let held = self.found.iter_mut().filter(|probed| !probed.spec.is_stream());
        held.filter_map(|probed| probed.source.take()).count()
    }
}

/// Why an input cannot be opened, and its report if it never will be.
enum Refusal {
    /// Other open files have what it takes.
    Now(Box<FileReport>),
    /// Anything else.
    Ever(Box<FileReport>),
}

/// Opens an input and takes the memory to unpack it.
fn open(spec: &InputSpec, options: &ReadOptions) -> Result<(Stored, Window), Refusal> {
    let stored = Stored::open(spec, options).map_err(|e| {
        let report = Box::new(FileReport::unreadable(&spec.path, e.to_string()));
        if no_more_files(&e) { Refusal::Now(report) } else { Refusal::Ever(report) }
    })?;
    stored.with_window(&options.windows).map_err(|denied| {
        let report = Box::new(FileReport::denied(&spec.path, denied));
        if denied == Denied::Now { Refusal::Now(report) } else { Refusal::Ever(report) }
    })
}

/// Whether the process or the system has no descriptor left: EMFILE and ENFILE, which are 24 and 23
/// on Linux, the BSDs and macOS.
fn no_more_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}
