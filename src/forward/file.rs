//! Files and standard output.
//!
//! Owns: the file, when it is begun anew. In: messages. Out: lines. Never: a line that was
//! confirmed before the system had it on disk, unless the sink says so.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::forward::{Failure, Message, Refused, Target};
use crate::model::sink::{Rotate, Sync};

/// The lines are about people: other users of the system may not read them.
const FILE_MODE: u32 = 0o640;

/// How hard finished files are compressed: the library's own choice.
const ZSTD_LEVEL: i32 = 0;

/// A file that is appended to.
pub(super) struct FileTarget {
    path: PathBuf,
    rotate: Rotate,
    keep: usize,
    zstd: bool,
    sync: Sync,
    file: Option<(File, u64)>,
    sent: u64,
    synced: (Duration, u64),
    /// The sync under way, and the messages that it covers.
    syncing: Option<(JoinHandle<io::Result<()>>, u64)>,
    /// Why a finished file stays as it is.
    remark: Option<String>,
}

impl FileTarget {
    pub(super) fn new(
        path: &Path,
        (rotate, keep, zstd): (Rotate, usize, bool),
        sync: Sync,
    ) -> FileTarget {
        FileTarget {
            path: path.to_path_buf(),
            rotate,
            keep,
            zstd,
            sync,
            file: None,
            sent: 0,
            synced: (Duration::ZERO, 0),
            syncing: None,
            remark: None,
        }
    }

    fn fail(&mut self, cause: &io::Error) -> Failure {
        (self.file, self.syncing, self.sent, self.synced.1) = (None, None, 0, 0);
        Failure::new(format!("{}: {cause}", self.path.display()))
    }

    /// The file, opened again if somebody has moved it, or begun anew.
    fn open(&mut self) -> io::Result<(File, u64)> {
        if let Some((file, bytes)) = self.file.take() {
            let own = file.metadata()?;
            let is_there = fs::metadata(&self.path)
                .is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino()));
            if is_there && !self.is_full(&own, bytes) {
                return Ok((file, bytes));
            }
            // Later syncs are of the next file.
            file.sync_data()?;
            if is_there {
                self.begin_anew()?;
            }
        }
        // Including what a process that was killed has left.
        for number in (1..=self.keep).filter(|_| self.zstd) {
            // It is tried again with the next file: lines do not wait for it.
            if let Err(cause) = self.pack(number) {
                let plain = self.finished(number, false);
                self.remark = Some(format!("{}: not compressed: {cause}", plain.display()));
            }
        }
        let mut options = File::options();
        options.append(true).create(true).mode(FILE_MODE);
        let mut file = options.open(&self.path)?;
        let bytes = file.metadata()?.len();
        end_line(&self.path, &mut file, bytes)?;
        Ok((file, bytes))
    }

    /// Whether a file is large or old enough. Its age is from its creation to its last line; where
    /// the file system keeps no creation, files are begun anew by size only.
    fn is_full(&self, own: &Metadata, bytes: u64) -> bool {
        let age = || own.modified().ok()?.duration_since(own.created().ok()?).ok();
        self.rotate.bytes.is_some_and(|most| bytes >= most)
            || self.rotate.age.is_some_and(|most| bytes > 0 && age() >= Some(most))
    }

    /// A finished file, compressed or not: number 1 is the latest.
    fn finished(&self, number: usize, is_packed: bool) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}{}", if is_packed { ".zst" } else { "" }));
        PathBuf::from(name)
    }

    /// Moves the finished files on by one; the oldest goes.
    fn begin_anew(&self) -> io::Result<()> {
        let moved = |from: &Path, to: &Path| match fs::rename(from, to) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
            _ => Ok(()),
        };
        let removed = |path: &Path| match fs::remove_file(path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
            _ => Ok(()),
        };
        if self.keep == 0 {
            return removed(&self.path);
        }
        for is_packed in [false, true] {
            removed(&self.finished(self.keep, is_packed))?;
            for n in (1..self.keep).rev() {
                moved(&self.finished(n, is_packed), &self.finished(n + 1, is_packed))?;
            }
        }
        fs::rename(&self.path, self.finished(1, false))
    }

    /// Compresses a finished file, if it is not. The plain file goes when the other is on disk.
    fn pack(&self, number: usize) -> io::Result<()> {
        let (plain, packed) = (self.finished(number, false), self.finished(number, true));
        let mut input = match File::open(&plain) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let mut part = packed.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let done = compress(&mut input, &part).and_then(|()| fs::rename(&part, &packed));
        if done.is_err() {
            // Half of it only takes room.
            let _ = fs::remove_file(&part);
        }
        done.and_then(|()| fs::remove_file(&plain))
    }

    /// Begins to sync what was written; lines go on being written meanwhile.
    fn begin_sync(&mut self) -> io::Result<()> {
        let Some((file, _)) = &self.file else { return Ok(()) };
        let file = file.try_clone()?;
        let thread = thread::Builder::new().name("sync".to_owned());
        self.syncing = Some((thread.spawn(move || file.sync_data())?, self.sent));
        Ok(())
    }

    /// Waits for the sync under way.
    fn end_sync(&mut self) -> io::Result<()> {
        let Some((thread, sent)) = self.syncing.take() else { return Ok(()) };
        let failed = |_| Err(io::Error::other("the thread that syncs it failed"));
        thread.join().unwrap_or_else(failed)?;
        self.synced.1 = sent;
        Ok(())
    }

    fn write(&mut self, messages: &[Message<'_>]) -> io::Result<()> {
        let lines = lines_of(messages);
        let (mut file, bytes) = self.open()?;
        file.write_all(&lines)?;
        self.file = Some((file, bytes + lines.len() as u64));
        Ok(())
    }
}

/// A line of each message.
fn lines_of(messages: &[Message<'_>]) -> Vec<u8> {
    let bytes = messages.iter().map(|message| message.text.len() + 1).sum();
    let mut lines = Vec::with_capacity(bytes);
    for message in messages {
        lines.extend_from_slice(message.text);
        lines.push(b'\n');
    }
    lines
}

/// Writes a file compressed, and to disk.
fn compress(input: &mut File, to: &Path) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(FILE_MODE);
    let mut encoder = zstd::Encoder::new(options.open(to)?, ZSTD_LEVEL)?;
    io::copy(input, &mut encoder)?;
    encoder.finish()?.sync_data()
}

/// Ends a line that a process which was killed has begun.
fn end_line(path: &Path, file: &mut File, bytes: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let mut last = [b'\n'];
    if let Some(at) = bytes.checked_sub(1) {
        File::open(path)?.read_exact_at(&mut last, at)?;
    }
    if last == [b'\n'] { Ok(()) } else { file.write_all(b"\n") }
}

impl Target for FileTarget {
    fn check(&mut self) -> Result<String, Failure> {
        let opened = self.open().map_err(|cause| self.fail(&cause))?;
        self.file = Some(opened);
        Ok(format!("appends to {}", self.path.display()))
    }

    fn send(&mut self, messages: &[Message<'_>], _now: Duration) -> Result<Vec<Refused>, Failure> {
        self.write(messages).map_err(|cause| self.fail(&cause))?;
        self.sent += messages.len() as u64;
        Ok(Vec::new())
    }

    fn confirmed(&mut self, now: Duration) -> Result<u64, Failure> {
        let each = match self.sync {
            Sync::Never => return Ok(self.sent),
            Sync::Always if self.synced.1 < self.sent => return self.finish().map(|()| self.sent),
            Sync::Always => return Ok(self.sent),
            Sync::Each(span) => span,
        };
        if self.syncing.as_ref().is_some_and(|(thread, _)| thread.is_finished()) {
            self.end_sync().map_err(|cause| self.fail(&cause))?;
        }
        let (at, synced) = self.synced;
        let is_due = synced < self.sent && now.saturating_sub(at) >= each;
        if is_due && self.syncing.is_none() {
            self.begin_sync().map_err(|cause| self.fail(&cause))?;
            self.synced.0 = now;
        }
        Ok(self.synced.1)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let ended = self.end_sync();
        let file = self.file.as_ref();
        let synced = ended.and_then(|()| file.map_or(Ok(()), |(file, _)| file.sync_data()));
        synced.map_err(|cause| self.fail(&cause))?;
        self.synced.1 = self.sent;
        Ok(())
    }

    fn remark(&mut self) -> Option<String> {
        self.remark.take()
    }
}

/// Standard output.
#[derive(Default)]
pub(super) struct StdoutTarget {
    sent: u64,
}

impl Target for StdoutTarget {
    fn check(&mut self) -> Result<String, Failure> {
        Ok("writes to standard output".to_owned())
    }

    fn send(&mut self, messages: &[Message<'_>], _now: Duration) -> Result<Vec<Refused>, Failure> {
        let lines = lines_of(messages);
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&lines).and_then(|()| stdout.flush());
        written.map_err(|cause| {
            self.sent = 0;
            Failure::new(format!("standard output: {cause}"))
        })?;
        self.sent += messages.len() as u64;
        Ok(Vec::new())
    }

    fn confirmed(&mut self, _now: Duration) -> Result<u64, Failure> {
        Ok(self.sent)
    }
}
