//! The side of a spool that is written.
//!
//! Owns: the segment in progress of each lane, the size of the spool. In: lines. Out: segments.
//! Policy at the cap: the oldest segments of records go, then those of findings; what had not been
//! acknowledged is counted. Never: a line half written: after a failure the segment is cut to its
//! last whole line; an alert that leaves its queue before the disk was asked to keep it.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::event::SessionLine;
use crate::model::{Counter, Counters, Error, Event, EventKind, Format, Level};
use crate::sinks::files::Lock;
use crate::sinks::spool::segment::{self, HEAD, LINE_BYTES_MAX, Tags};
use crate::sinks::spool::{Ends, Lane, acknowledged, failed, segments};
use crate::sinks::{Queue, Sink, SpanEnd, Tell};

/// Bytes written at once.
const PENDING_BYTES: usize = 128 * 1024;

/// A segment is an eighth of the spool, up to this.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;
const SEGMENTS: u64 = 8;

/// The lines are about people: other users of the system may not read them.
const DIR_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;

/// A spool that this process writes.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    _lock: Lock,
    lanes: [Written; 2],
    cap: u64,
    /// Bytes of all segments, as far as is known: the reader removes some.
    bytes: u64,
    dropped: u64,
    ends: Arc<Ends>,
}

/// A lane.
#[derive(Debug)]
struct Written {
    lane: Lane,
    dir: PathBuf,
    file: Option<File>,
    /// The number of the next line, without those in `pending`.
    next: u64,
    /// Bytes of the segment in progress.
    bytes: u64,
    /// Records that are not written yet, and their number.
    pending: Vec<u8>,
    lines: u64,
    /// Why something written is not known to be on disk.
    unsynced: Option<io::Error>,
}

impl Spool {
    /// Opens a spool of at most `cap` bytes, created if missing. Segments are created when there
    /// is something to write.
    ///
    /// Errors: another process writes to it; it is of another version; it cannot be created.
    pub fn open(dir: &Path, cap: u64) -> Result<Spool, Error> {
        let lanes = Lane::ALL.map(|lane| dir.join(lane.name()));
        for dir in &lanes {
            let made = DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir);
            made.map_err(|cause| {
                failed(dir, &cause).help("choose a directory that can be created and written to")
            })?;
        }
        let lock = Lock::take(dir).map_err(|e| {
            Error::new(format!("spool {}", dir.display()), e.cause)
                .help("give each sink of each run a spool of its own")
        })?;
        let [findings, records] = lanes;
        let lanes =
            [Written::open(Lane::Findings, findings)?, Written::open(Lane::Records, records)?];
        let ends = Arc::new(Ends::new(lanes.each_ref().map(|lane| lane.next)));
        let (dir_of, bytes, dropped) = (dir.to_path_buf(), 0, 0);
        let mut spool = Spool { dir: dir_of, _lock: lock, lanes, cap, bytes, dropped, ends };
        spool.bytes = spool.recount().map_err(|cause| failed(dir, &cause))?;
        Ok(spool)
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// How far it is written, for whoever watches it.
    pub fn ends(&self) -> Arc<Ends> {
        Arc::clone(&self.ends)
    }

    fn lane(&mut self, lane: Lane) -> &mut Written {
        let [findings, records] = &mut self.lanes;
        match lane {
            Lane::Findings => findings,
            Lane::Records => records,
        }
    }

    /// Adds a line. It is written with others, or by [`Spool::flush`]. Returns whether lines were
    /// written.
    ///
    /// Errors: of writing; the lines of this lane that waited are lost, and their number is told.
    pub fn add(&mut self, kind: EventKind, level: Level, line: &[u8]) -> Result<bool, Lost> {
        let lane = Lane::of(kind);
        if line.len() > LINE_BYTES_MAX {
            let cause = io::Error::new(ErrorKind::InvalidData, "a line of more than 16 MiB");
            return Err(Lost { lines: 1, cause });
        }
        let written = self.lane(lane);
        segment::put(Tags { kind, level }, line, &mut written.pending);
        written.lines += 1;
        if written.pending.len() < PENDING_BYTES { Ok(false) } else { self.flush(lane) }
    }

    /// Writes the lines of a lane that wait. Returns whether there were any.
    ///
    /// Errors: as [`Spool::add`].
    pub fn flush(&mut self, lane: Lane) -> Result<bool, Lost> {
        let most = (self.cap / SEGMENTS).clamp(HEAD.len() as u64, SEGMENT_BYTES_MAX);
        let written = self.lane(lane);
        let bytes = written.pending.len() as u64;
        if bytes == 0 {
            return Ok(false);
        }
        let result = written.write(most);
        written.pending.clear();
        let lines = std::mem::take(&mut written.lines);
        let next = written.next;
        self.ends.set(lane, next);
        result.map_err(|cause| Lost { lines, cause })?;
        self.bytes += bytes;
        if self.bytes > self.cap {
            // What cannot be removed now is tried again with the next lines.
            let _ = self.make_room(most);
        }
        Ok(true)
    }

    /// Lines of both lanes, ever.
    pub fn written(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.next).sum()
    }

    /// Waits until the findings that were written are on disk.
    ///
    /// Errors: they may not be; none is lost unless the power fails.
    pub fn sync(&mut self) -> io::Result<()> {
        let written = self.lane(Lane::Findings);
        let synced = written.file.as_ref().map_or(Ok(()), File::sync_data);
        written.unsynced.take().map_or(synced, Err)
    }

    /// Lines that were removed unacknowledged at the cap since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Bytes of all segments.
    fn recount(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for lane in &self.lanes {
            // A segment that is gone by now was removed by the reader.
            let sizes = segments(&lane.dir)?;
            bytes += sizes
                .iter()
                .filter_map(|(_, path)| Some(fs::metadata(path).ok()?.len()))
                .sum::<u64>();
        }
        Ok(bytes)
    }

    /// Removes the oldest segments until one more has room.
    #[cold]
    fn make_room(&mut self, segment: u64) -> io::Result<()> {
        self.bytes = self.recount()?;
        for lane in [Lane::Records, Lane::Findings] {
            let dir = self.lane(lane).dir.clone();
            let all = segments(&dir)?;
            for pair in all.windows(2) {
                if self.bytes + segment <= self.cap {
                    return Ok(());
                }
                let [(first, path), (next, _)] = pair else { break };
                let bytes = fs::metadata(path).map_or(0, |meta| meta.len());
                let unsent = next.saturating_sub(acknowledged(&dir).max(*first));
                match fs::remove_file(path) {
                    Ok(()) => self.dropped += unsent,
                    Err(cause) if cause.kind() == ErrorKind::NotFound => {}
                    Err(cause) => return Err(cause),
                }
                self.bytes = self.bytes.saturating_sub(bytes);
            }
        }
        Ok(())
    }
}

/// Lines that could not be written.
#[derive(Debug)]
pub struct Lost {
    /// How many.
    pub lines: u64,
    /// Why.
    pub cause: io::Error,
}

impl Written {
    /// Continues behind the last line of a lane, in a new segment.
    fn open(lane: Lane, dir: PathBuf) -> Result<Written, Error> {
        let words = |cause: &io::Error| failed(&dir, cause);
        let mut next = acknowledged(&dir);
        if let Some((first, path)) = segments(&dir).map_err(|e| words(&e))?.pop() {
            let bytes = fs::read(&path).map_err(|e| failed(&path, &e))?;
            if !segment::is_unwritten(&bytes) && !bytes.starts_with(HEAD) {
                let error = Error::new(format!("spool {}", path.display()), "of another version");
                return Err(error.help("send it with the version that wrote it, or remove it"));
            }
            next = next.max(first + segment::count(&bytes).0);
        }
        let (bytes, pending, lines) = (0, Vec::new(), 0);
        Ok(Written { lane, dir, file: None, next, bytes, pending, lines, unsynced: None })
    }

    fn write(&mut self, most: u64) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) if self.bytes < most => file,
            full => {
                // Records are not synced: what is sent and removed within seconds never costs the
                // disk a write.
                if let Some(full) = full.filter(|_| self.lane == Lane::Findings) {
                    self.unsynced = full.sync_data().err().or(self.unsynced.take());
                }
                self.begin()?
            }
        };
        if let Err(cause) = file.write_all(&self.pending) {
            // What fits no longer is cut; if that fails too, another segment is begun, and the
            // reader leaves out what is not whole.
            let end = self.bytes;
            if file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).is_ok() {
                self.file = Some(file);
            }
            return Err(cause);
        }
        self.bytes += self.pending.len() as u64;
        self.next += self.lines;
        self.file = Some(file);
        Ok(())
    }

    /// Begins a segment. One of that name holds no whole line.
    fn begin(&mut self) -> io::Result<File> {
        let path = self.dir.join(segment::name_of(self.next));
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(FILE_MODE);
        let mut file = options.custom_flags(libc::O_NOFOLLOW).open(path)?;
        file.write_all(HEAD)?;
        if self.lane == Lane::Findings {
            // Its name: `Spool::sync` is for what is in it.
            let named = File::open(&self.dir).and_then(|dir| dir.sync_all());
            self.unsynced = named.err().or(self.unsynced.take());
        }
        self.bytes = HEAD.len() as u64;
        Ok(file)
    }
}

/// The events that a sink takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Of these kinds.
    pub kinds: Vec<EventKind>,
    /// Alerts and incidents of this level or above.
    pub level: Level,
}

/// A sink whose events wait in a spool for the process that sends them.
pub struct SpoolSink {
    name: String,
    spool: Spool,
    wanted: Wanted,
    format: Arc<dyn Format>,
    tell: Tell,
    /// It cannot be written now, and that was reported.
    failing: bool,
    /// It cannot be synced now, and that was reported.
    unsynced: bool,
    lost: u64,
    written: u64,
}

impl SpoolSink {
    /// A sink of this name.
    pub fn new(
        name: String,
        spool: Spool,
        wanted: Wanted,
        format: Arc<dyn Format>,
        tell: Tell,
    ) -> SpoolSink {
        let (failing, unsynced, lost, written) = (false, false, 0, 0);
        SpoolSink { name, spool, wanted, format, tell, failing, unsynced, lost, written }
    }

    /// A failure is over once lines were written: those that only wait tell nothing.
    fn settle(&mut self, result: Result<bool, Lost>) {
        match result {
            Ok(written) => self.failing &= !written,
            Err(Lost { lines, cause }) => {
                self.lost += lines;
                if !std::mem::replace(&mut self.failing, true) {
                    let dir = self.spool.dir().display();
                    (self.tell)(&format!(
                        "sink {}: spool {dir}: {cause}; sessions and endpoints are counted as \
                         lost, alerts wait",
                        self.name
                    ));
                }
            }
        }
    }

    /// Once alerts are gone from the queue nothing else repeats them after a power failure. Where
    /// the disk cannot be waited for they go on all the same: kept, they would be sent each second.
    fn sync(&mut self) {
        let Err(cause) = self.spool.sync() else { return self.unsynced = false };
        if !std::mem::replace(&mut self.unsynced, true) {
            let dir = self.spool.dir().display();
            (self.tell)(&format!(
                "sink {}: spool {dir}: syncing: {cause}; a power failure can lose alerts that wait",
                self.name
            ));
        }
    }

    /// Writes the queued events of a kind; they stay queued if that fails.
    fn write_findings(&mut self, kind: EventKind, queue: &mut Queue) {
        let (mut line, mut count, mut passed) = (Vec::new(), 0, 0);
        for event in queue.of(kind) {
            count += 1;
            let level = match event {
                Event::Alert(alert) => alert.level,
                Event::Incident(incident) => incident.level,
                _ => Level::Informational,
            };
            if kind != EventKind::Health && level < self.wanted.level {
                continue;
            }
            line.clear();
            self.format.render(&event, &mut line);
            passed += 1;
            if let Err(lost) = self.spool.add(kind, level, &line) {
                // All of them are still queued.
                self.settle(Err(Lost { lines: 0, ..lost }));
                return;
            }
        }
        let result = self.spool.flush(Lane::of(kind)).map_err(|lost| Lost { lines: 0, ..lost });
        let is_written = result.is_ok();
        self.settle(result);
        if is_written {
            self.written += passed;
            if kind != EventKind::Health && passed > 0 {
                self.sync();
            }
            queue.acknowledge(kind, count);
        }
    }
}

impl Sink for SpoolSink {
    fn wants(&self, kind: EventKind) -> bool {
        self.wanted.kinds.contains(&kind)
    }

    fn session(&mut self, line: &SessionLine<'_>) -> Result<bool, Error> {
        let kind = if line.is_update { EventKind::SessionUpdate } else { EventKind::SessionEnd };
        let result = self.spool.add(kind, Level::Informational, line.line);
        self.written += 1;
        let is_taken = result.is_ok();
        self.settle(result);
        Ok(is_taken)
    }

    fn drain(&mut self, queue: &mut Queue) -> Result<(), Error> {
        for kind in [EventKind::Alert, EventKind::Incident, EventKind::Health] {
            if queue.of(kind).next().is_some() {
                self.write_findings(kind, queue);
            }
        }
        let result = self.spool.flush(Lane::Records);
        self.settle(result);
        Ok(())
    }

    fn end_span(&mut self, end: &SpanEnd<'_>, queue: &mut Queue) -> Result<(), Error> {
        if self.wants(EventKind::Endpoint) {
            let mut line = Vec::new();
            for row in end.endpoints.rows() {
                line.clear();
                self.format.render(&Event::Endpoint(&row), &mut line);
                let result = self.spool.add(EventKind::Endpoint, Level::Informational, &line);
                self.written += 1;
                self.settle(result);
            }
        }
        self.drain(queue)?;
        if end.is_last {
            self.lost += queue.clear();
        }
        Ok(())
    }

    fn count(&mut self, counters: &mut Counters) {
        let lost = std::mem::take(&mut self.lost);
        let dropped = self.spool.take_dropped();
        counters.add(Counter::SpoolDropped, lost + dropped);
        counters.add(Counter::Spooled, std::mem::take(&mut self.written).saturating_sub(lost));
    }
}
