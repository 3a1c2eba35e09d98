//! The side of a spool that is read, sent and acknowledged.
//!
//! Owns: the place in each lane, the number of lines acknowledged. In: segments that another
//! process may be writing. Out: batches of lines, findings first. Never: removes a segment before
//! all of it is acknowledged, or passes over a line that is whole.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::model::{Error, EventKind, Level};
use crate::sinks::files::Lock;
use crate::sinks::spool::segment::{self, Found, HEAD, Tags};
use crate::sinks::spool::{ACKNOWLEDGED, Lane, acknowledged, failed, segments};

/// Bytes read from a segment at once; a line may take more.
const READ_BYTES: usize = 256 * 1024;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: EventKind,
    /// Its level; that of sessions and endpoints is informational.
    pub level: Level,
    /// Where it is in the batch.
    place: Range<usize>,
}

/// Lines of a lane that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Their lane.
    pub lane: Lane,
    /// The lines.
    pub items: Vec<Item>,
    /// What [`Reader::acknowledge`] takes once the receiver has them: the number behind the last.
    pub end: u64,
    /// The part of the segment that they are in.
    text: Vec<u8>,
}

impl Batch {
    /// One of its lines: ECS JSON, without the end of line.
    pub fn line(&self, item: &Item) -> &[u8] {
        self.text.get(item.place.clone()).unwrap_or_default()
    }
}

/// A spool that this process reads.
#[derive(Debug)]
pub struct Reader {
    _lock: Lock,
    lanes: [Place; 2],
    /// Bytes that were no line: damaged, or cut by a process that was killed.
    pub damaged: u64,
}

/// A place in a lane.
#[derive(Debug)]
struct Place {
    lane: Lane,
    dir: PathBuf,
    /// The segment that is read: the number of its first line, and the file.
    open: Option<(u64, File)>,
    /// The place of the next record in it, and the number of its line.
    at: u64,
    next: u64,
    acknowledged: u64,
    /// Behind the last line that was handed out; up to `next` there is none.
    handed: u64,
    /// Segments before this number were counted, if they were never written.
    seen: u64,
}

impl Reader {
    /// Opens a spool that exists.
    ///
    /// Errors: another process reads it; it cannot be read.
    pub fn open(dir: &Path) -> Result<Reader, Error> {
        let [findings, records] = Lane::ALL.map(|lane| Place::new(lane, dir));
        let lock = Lock::take(&findings.dir).map_err(|e| {
            Error::new(format!("spool {}", dir.display()), e.cause)
                .help("another process sends what is in it: wait until that has ended")
        })?;
        Ok(Reader { _lock: lock, lanes: [findings, records], damaged: 0 })
    }

    /// The next lines, some findings before any record; none if all were read.
    pub fn next(&mut self, items: usize, bytes: usize) -> Result<Option<Batch>, Error> {
        for place in &mut self.lanes {
            let batch = place.next(items, bytes, &mut self.damaged);
            if let Some(batch) = batch.map_err(|cause| failed(&place.dir, &cause))? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// The receiver has all lines before this number.
    pub fn acknowledge(&mut self, lane: Lane, end: u64) -> Result<(), Error> {
        let place = self.place(lane);
        place.acknowledge(end).map_err(|cause| failed(&place.dir, &cause))
    }

    /// What was read but not acknowledged is read again.
    pub fn rewind(&mut self) {
        for place in &mut self.lanes {
            (place.open, place.next) = (None, place.acknowledged);
            place.handed = place.acknowledged;
        }
    }

    /// Lines that are not acknowledged, as far as they are written.
    pub fn waiting(&self) -> Result<u64, Error> {
        let waits = |place: &Place| -> io::Result<u64> {
            let Some((first, path)) = segments(&place.dir)?.pop() else { return Ok(0) };
            let end = first + segment::count(&fs::read(path)?).0;
            Ok(end.saturating_sub(place.acknowledged.max(place.oldest()?)))
        };
        let told = |place| waits(place).map_err(|cause| failed(&place.dir, &cause));
        self.lanes.iter().map(told).sum()
    }

    fn place(&mut self, lane: Lane) -> &mut Place {
        let [findings, records] = &mut self.lanes;
        match lane {
            Lane::Findings => findings,
            Lane::Records => records,
        }
    }
}

impl Place {
    fn new(lane: Lane, spool: &Path) -> Place {
        let dir = spool.join(lane.name());
        let next = acknowledged(&dir);
        Place { lane, dir, open: None, at: 0, next, acknowledged: next, handed: next, seen: 0 }
    }

    /// The first line that is still there.
    fn oldest(&self) -> io::Result<u64> {
        Ok(segments(&self.dir)?.first().map_or(0, |(first, _)| *first))
    }

    fn next(&mut self, items: usize, bytes: usize, damaged: &mut u64) -> io::Result<Option<Batch>> {
        let (lane, end) = (self.lane, self.next);
        let mut batch = Batch { lane, items: Vec::new(), end, text: Vec::new() };
        loop {
            if self.open.is_none() && !self.begin(damaged)? {
                return Ok(None);
            }
            let Some((first, file)) = &self.open else { return Ok(None) };
            let text = read_some(file, self.at, bytes.max(READ_BYTES))?;
            let mut taken = 0;
            let mut size = 0;
            let mut rest = Found::Incomplete;
            while batch.items.len() < items && size < bytes {
                rest = segment::first(text.get(taken..).unwrap_or_default());
                let Found::Line(Tags { kind, level }, line, length) = rest else { break };
                (taken, size) = (taken + length, size + line.len());
                batch.items.push(Item { kind, level, place: taken - line.len()..taken });
            }
            (self.at, self.next) = (self.at + taken as u64, self.next + batch.items.len() as u64);
            if !batch.items.is_empty() {
                (batch.end, batch.text, self.handed) = (self.next, text, self.next);
                return Ok(Some(batch));
            }
            // The writer is at this segment, unless there is another: then what is left here was
            // never written whole.
            let Some((next, _)) = segments(&self.dir)?.into_iter().find(|(n, _)| n > first) else {
                return Ok(None);
            };
            let length = file.metadata()?.len();
            if matches!(rest, Found::Incomplete) && length > self.at + text.len() as u64 {
                continue;
            }
            *damaged += length.saturating_sub(self.at);
            (self.open, self.next) = (None, next.max(self.next));
        }
    }

    /// Opens the segment of the next line, at its place. Whether there is one.
    fn begin(&mut self, damaged: &mut u64) -> io::Result<bool> {
        let all = segments(&self.dir)?;
        // Segments that the writer removed at its cap are passed over.
        let mut at = all.partition_point(|(first, _)| *first <= self.next).saturating_sub(1);
        loop {
            let Some((first, path)) = all.get(at) else { return Ok(false) };
            let file = match File::open(path) {
                Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(false),
                opened => opened?,
            };
            let mut head = Vec::with_capacity(HEAD.len());
            (&file).take(HEAD.len() as u64).read_to_end(&mut head)?;
            if segment::is_unwritten(&head) {
                if *first >= self.seen {
                    *damaged += file.metadata()?.len();
                    self.seen = first + 1;
                }
                // The last one is the writer's to begin.
                at += 1;
                let Some((next, _)) = all.get(at) else { return Ok(false) };
                self.next = self.next.max(*next);
                self.acknowledge(self.acknowledged)?;
                continue;
            }
            if head != *HEAD {
                let what = "it is of another version: send it with the version that wrote it";
                return Err(io::Error::new(ErrorKind::InvalidData, what));
            }
            self.at = HEAD.len() as u64;
            let skip = self.next.saturating_sub(*first);
            self.next = self.next.max(*first);
            self.open = Some((*first, file));
            self.skip(skip)?;
            return Ok(true);
        }
    }

    /// Passes over lines that are acknowledged.
    fn skip(&mut self, mut lines: u64) -> io::Result<()> {
        let Some((_, file)) = &self.open else { return Ok(()) };
        while lines > 0 {
            let text = read_some(file, self.at, READ_BYTES)?;
            let mut taken = 0;
            while lines > 0
                && let Found::Line(_, _, length) =
                    segment::first(text.get(taken..).unwrap_or_default())
            {
                (taken, lines) = (taken + length, lines - 1);
            }
            if taken == 0 {
                // Its end: the next segment begins with a later number.
                break;
            }
            self.at += taken as u64;
        }
        Ok(())
    }

    fn acknowledge(&mut self, end: u64) -> io::Result<()> {
        // Lines that are lost wait no more once those before them are acknowledged.
        let end = if end >= self.handed { end.max(self.next) } else { end };
        if end <= self.acknowledged {
            return Ok(());
        }
        let path = self.dir.join(ACKNOWLEDGED);
        let written = path.with_extension("new");
        fs::write(&written, format!("{end}\n"))?;
        fs::rename(&written, &path)?;
        self.acknowledged = end;
        let all = segments(&self.dir)?;
        for pair in all.windows(2) {
            let [(_, path), (next, _)] = pair else { break };
            if *next > end {
                break;
            }
            match fs::remove_file(path) {
                Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Up to so many bytes of a file from a place on; more if its first record is longer.
fn read_some(mut file: &File, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut text = Vec::with_capacity(bytes);
    let mut most = bytes;
    loop {
        let more = most - text.len();
        let is_all = file.take(more as u64).read_to_end(&mut text)? < more;
        let is_most = text.len() >= segment::LINE_BYTES_MAX + READ_BYTES;
        if is_all || is_most || !matches!(segment::first(&text), Found::Incomplete) {
            return Ok(text);
        }
        most = text.len() * 2;
    }
}
