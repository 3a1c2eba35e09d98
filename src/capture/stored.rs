//! The stored bytes of an input: counted, hashed while reading, with errors remembered.
//!
//! Owns: the open file or stream. In: read(2). Out: the same bytes. Never: interpretation.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use sha2::{Digest, Sha256};

use crate::capture::inputs::InputSpec;
use crate::capture::sniff::{Container, container_of};
use crate::capture::windows::{Denied, HEAD_BYTES, Window, Windows};
use crate::capture::{Interrupt, ReadOptions};

/// Whether to hash the stored bytes of a file while reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashPolicy {
    /// No hash.
    Never,
    /// Hash files up to this many bytes.
    UpTo(u64),
    /// Hash every file.
    Always,
}

/// Read size for decompressors.
const READ_BYTES: usize = 65_536;

/// An open input. Plain files are read directly into the caller's buffer; decompressors use the
/// small buffer of the [`BufRead`] side. The two must not be mixed after the first bytes were
/// peeked.
pub(super) struct Stored {
    inner: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    at: usize,
    len: usize,
    read: u64,
    size: Option<u64>,
    hash: Hash,
    failure: Option<String>,
    ended: bool,
    /// The descriptor to poll before each read, unless the input is a regular file.
    stream: Option<OwnedFd>,
    interrupt: Interrupt,
    interrupted: bool,
}

enum Hash {
    Running(Box<Sha256>, u64),
    Off(String),
}

impl Stored {
    /// Opens the input. The error is the system's.
    pub(super) fn open(spec: &InputSpec, options: &ReadOptions) -> io::Result<Stored> {
        let policy = options.hash;
        if let Some(bytes) = spec.embedded_bytes() {
            return Ok(Stored::new(Box::new(bytes), Some(bytes.len() as u64), policy));
        }
        let interrupt = options.interrupt.clone();
        if spec.is_stdin() {
            // Not through the standard library's buffer, which cannot be polled.
            let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
            return Stored::stream(file, policy, interrupt);
        }
        // Non-blocking: a pipe without a writer yet is waited for like an empty one.
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&spec.path)?;
        let meta = file.metadata()?;
        if meta.is_dir() {
            return Err(io::Error::other("is a directory that could not be listed"));
        }
        if !meta.is_file() {
            return Stored::stream(file, policy, interrupt);
        }
        Ok(Stored { interrupt, ..Stored::new(Box::new(file), Some(meta.len()), policy) })
    }

    /// A pipe or device: each read is preceded by a poll that can be interrupted.
    fn stream(file: File, policy: HashPolicy, interrupt: Interrupt) -> io::Result<Stored> {
        let stream = Some(file.as_fd().try_clone_to_owned()?);
        Ok(Stored { stream, interrupt, ..Stored::new(Box::new(file), None, policy) })
    }

    /// Wraps any reader; `size` is its length in bytes, if known.
    pub(super) fn new(
        inner: Box<dyn Read + Send>,
        size: Option<u64>,
        policy: HashPolicy,
    ) -> Stored {
        let hash = match (policy, size) {
            (HashPolicy::Never, _) => Hash::Off("not asked for".to_owned()),
            (HashPolicy::UpTo(limit), Some(size)) if size > limit => Hash::Off(too_large(limit)),
            (HashPolicy::UpTo(limit), _) => Hash::Running(Box::new(Sha256::new()), limit),
            (HashPolicy::Always, _) => Hash::Running(Box::new(Sha256::new()), u64::MAX),
        };
        Stored {
            inner,
            buffer: Vec::new(),
            at: 0,
            len: 0,
            read: 0,
            size,
            hash,
            failure: None,
            ended: false,
            stream: None,
            interrupt: Interrupt::default(),
            interrupted: false,
        }
    }

    /// Whether reading was stopped early, or is to be.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted
            || match self.stream {
                Some(_) => self.interrupt.ends_streams(),
                None => self.interrupt.is_requested(),
            }
    }

    /// What stops the reading of a file; none of a pipe or a device.
    pub(super) fn interrupt_of_file(&self) -> Option<Interrupt> {
        (self.stream.is_none() && self.size.is_some()).then(|| self.interrupt.clone())
    }

    /// Bytes read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// The size, or if unknown the bytes read.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.size.map_or(self.read, |size| size.max(self.read))
    }

    /// The system's message for a failed read.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// The first `n` bytes (fewer if the input is shorter), without consuming them.
    pub(super) fn peek(&mut self, n: usize) -> &[u8] {
        if self.buffer.is_empty() {
            self.buffer = vec![0; READ_BYTES];
        }
        while self.len < n {
            let mut buffer = std::mem::take(&mut self.buffer);
            let got = match buffer.get_mut(self.len..n) {
                Some(space) => self.read_inner(space).unwrap_or(0),
                None => 0,
            };
            self.buffer = buffer;
            if got == 0 {
                break;
            }
            self.len += got;
        }
        self.buffer.get(self.at..self.len).unwrap_or_default()
    }

    /// Adds the share of `windows` that is needed to unpack this.
    pub(super) fn with_window(mut self, windows: &Windows) -> Result<(Stored, Window), Denied> {
        // Do not wait for more bytes than needed: a pipe may not hold them yet.
        let packed = container_of(self.peek(6)) != Container::Plain;
        let window = windows.take(self.peek(if packed { HEAD_BYTES } else { 6 }))?;
        Ok((self, window))
    }

    /// Reads the rest of a file so that the hash covers all of it; returns the size, the hash, or
    /// why there is none. The rest of a pipe or device may be endless and is not read.
    pub(super) fn finish(mut self) -> (u64, Option<String>, Option<String>) {
        let mut scratch = vec![0; READ_BYTES];
        while matches!(self.hash, Hash::Running(..)) && self.has_more() && self.stream.is_none() {
            let _more = self.read_inner(&mut scratch);
        }
        let bytes = self.stored_bytes();
        match self.hash {
            _ if self.failure.is_some() => {
                (bytes, None, Some("the file could not be read to its end".to_owned()))
            }
            Hash::Running(..) if !self.ended => {
                (bytes, None, Some("it was not read to its end".to_owned()))
            }
            Hash::Running(hash, _) => {
                let hex = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
                (bytes, Some(hex), None)
            }
            Hash::Off(note) => (bytes, None, Some(note)),
        }
    }

    fn has_more(&self) -> bool {
        !self.ended && self.failure.is_none() && !self.interrupted
    }

    fn read_inner(&mut self, space: &mut [u8]) -> io::Result<usize> {
        if !self.has_more() || space.is_empty() {
            return Ok(0);
        }
        let got = loop {
            let goes_on = match &self.stream {
                Some(stream) => self.interrupt.wait(stream.as_fd()),
                None => !self.interrupt.is_requested(),
            };
            if !goes_on {
                self.interrupted = true;
                return Ok(0);
            }
            match self.inner.read(space) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && self.stream.is_some() => {}
                other => break other,
            }
        };
        match &got {
            Ok(0) => self.ended = true,
            Ok(n) => {
                self.read = self.read.saturating_add(*n as u64);
                self.update(space.get(..*n).unwrap_or_default());
            }
            Err(e) => self.failure = Some(e.to_string()),
        }
        got
    }

    fn update(&mut self, bytes: &[u8]) {
        match &mut self.hash {
            Hash::Running(_, limit) if self.read > *limit => {
                self.hash = Hash::Off(too_large(*limit));
            }
            Hash::Running(hash, _) => hash.update(bytes),
            Hash::Off(_) => {}
        }
    }
}

fn too_large(limit: u64) -> String {
    format!("larger than {limit} bytes, the limit for hashing")
}

impl Read for Stored {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        if self.at < self.len {
            let peeked = self.buffer.get(self.at..self.len).unwrap_or_default();
            let n = peeked.len().min(space.len());
            for (to, from) in space.iter_mut().zip(peeked) {
                *to = *from;
            }
            self.at += n;
            return Ok(n);
        }
        self.read_inner(space)
    }
}

impl BufRead for Stored {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.len {
            let mut buffer = std::mem::take(&mut self.buffer);
            if buffer.is_empty() {
                buffer = vec![0; READ_BYTES];
            }
            let got = self.read_inner(&mut buffer);
            self.buffer = buffer;
            self.at = 0;
            self.len = 0;
            self.len = got?;
        }
        Ok(self.buffer.get(self.at..self.len).unwrap_or_default())
    }

    fn consume(&mut self, n: usize) {
        self.at = self.at.saturating_add(n).min(self.len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2 appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn stored(bytes: &'static [u8], policy: HashPolicy) -> Stored {
        Stored::new(Box::new(bytes), None, policy)
    }

    #[test]
    fn the_hash_covers_the_whole_file() {
        let mut s = stored(b"abc", HashPolicy::Always);
        assert_eq!(s.peek(2), b"ab");
        let mut one = [0];
        assert_eq!(s.read(&mut one).unwrap(), 1);
        assert_eq!(s.finish(), (3, Some(ABC.to_owned()), None));
    }

    #[test]
    fn a_file_over_the_hash_limit_is_noted() {
        let (bytes, hash, note) = stored(b"abc", HashPolicy::UpTo(3)).finish();
        assert_eq!((bytes, hash.as_deref(), note), (3, Some(ABC), None));
        let (_, hash, note) = stored(b"abcd", HashPolicy::UpTo(3)).finish();
        assert_eq!((hash, note.unwrap().contains("3 bytes")), (None, true));
    }

    #[test]
    fn peeked_bytes_are_read_again_by_either_side() {
        let mut s = stored(b"abcdef", HashPolicy::Never);
        assert_eq!(s.peek(4), b"abcd");
        assert_eq!(s.fill_buf().unwrap(), b"abcd");
        s.consume(4);
        let mut rest = Vec::new();
        s.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"ef");
    }
}
