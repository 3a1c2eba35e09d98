//! Files and standard output.
//!
//! Owns: the file, when it is begun anew. In: messages. Out: lines. Never: a line that was
//! confirmed before the system had it on disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::forward::{Failure, Message, Refused, Target};

/// Lines are synced to disk this often.
const SYNC_EACH: Duration = Duration::from_secs(1);

/// The lines are about people: other users of the system may not read them.
const FILE_MODE: u32 = 0o640;

/// A file that is appended to.
pub(super) struct FileTarget {
    path: PathBuf,
    rotate_bytes: Option<u64>,
    keep: usize,
    file: Option<(File, u64)>,
    sent: u64,
    synced: (Duration, u64),
}

impl FileTarget {
    pub(super) fn new(path: &Path, rotate_bytes: Option<u64>, keep: usize) -> FileTarget {
        let synced = (Duration::ZERO, 0);
        FileTarget { path: path.to_path_buf(), rotate_bytes, keep, file: None, sent: 0, synced }
    }

    fn fail(&mut self, cause: &io::Error) -> Failure {
        (self.file, self.sent, self.synced.1) = (None, 0, 0);
        Failure::new(format!("{}: {cause}", self.path.display()))
    }

    /// The file, opened again if somebody has moved it.
    fn open(&mut self) -> io::Result<(File, u64)> {
        let is_there = |file: &File| -> io::Result<bool> {
            let (there, own) = (fs::metadata(&self.path), file.metadata()?);
            Ok(there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())))
        };
        if let Some((file, bytes)) = self.file.take() {
            if self.rotate_bytes.is_some_and(|most| bytes >= most) {
                file.sync_data()?;
                self.rotate()?;
            } else if is_there(&file)? {
                return Ok((file, bytes));
            }
        }
        let mut options = File::options();
        options.append(true).create(true).mode(FILE_MODE);
        let mut file = options.open(&self.path)?;
        let bytes = file.metadata()?.len();
        end_line(&self.path, &mut file, bytes)?;
        Ok((file, bytes))
    }

    /// `path.1` is the latest finished file.
    fn rotate(&self) -> io::Result<()> {
        let numbered = |n: usize| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{n}"));
            PathBuf::from(name)
        };
        for n in (1..self.keep).rev() {
            match fs::rename(numbered(n), numbered(n + 1)) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
                _ => {}
            }
        }
        if self.keep == 0 {
            fs::remove_file(&self.path)
        } else {
            fs::rename(&self.path, numbered(1))
        }
    }

    fn write(&mut self, messages: &[Message<'_>]) -> io::Result<()> {
        let mut lines = Vec::new();
        for message in messages {
            lines.extend_from_slice(message.text);
            lines.push(b'\n');
        }
        let (mut file, bytes) = self.open()?;
        file.write_all(&lines)?;
        self.file = Some((file, bytes + lines.len() as u64));
        Ok(())
    }
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
        let (at, synced) = self.synced;
        if synced < self.sent && now.saturating_sub(at) >= SYNC_EACH {
            self.finish()?;
            self.synced.0 = now;
        }
        Ok(self.synced.1)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let synced = self.file.as_ref().map_or(Ok(()), |(file, _)| file.sync_data());
        synced.map_err(|cause| self.fail(&cause))?;
        self.synced.1 = self.sent;
        Ok(())
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
        let mut lines = Vec::new();
        for message in messages {
            lines.extend_from_slice(message.text);
            lines.push(b'\n');
        }
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
