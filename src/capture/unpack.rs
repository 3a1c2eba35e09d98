//! Decompression: stored bytes in, the capture's own bytes out, streaming and with bounded memory.
//!
//! Owns: the choice of decompressor and its limits. In: [`Stored`]. Out: plain bytes.
//! Never: file names, a second level of compression, or a read after an error.

use std::io::{self, Read};

use crate::capture::bz2::Bz;
use crate::capture::gz::Gz;
use crate::capture::report::Verdict;
use crate::capture::sniff::{Container, container_of};
use crate::capture::stored::Stored;
use crate::capture::xz::Xz;

/// Largest window of a zstd frame: 128 MiB, the default limit of zstd itself.
pub(super) const ZSTD_WINDOW_MAX: u64 = 128 << 20;

/// Reported if zstd refuses a frame because of its window.
const OVER_WINDOW: &str =
    "a zstd frame with a window over 128 MiB, or larger than that of the file's first frame";

/// The capture's own bytes.
pub(super) enum Unpacked {
    Plain(Stored),
    Gzip(Box<Gz<Stored>>),
    Zstd(Box<zstd::Decoder<'static, Stored>>),
    Xz(Box<Xz<Stored>>),
    Bzip2(Box<Bz<Stored>>),
}

impl Unpacked {
    /// Chooses the decompressor by the first bytes. `window` limits how far back it may look.
    pub(super) fn new(mut stored: Stored, window: u64) -> io::Result<Unpacked> {
        Ok(match container_of(stored.peek(6)) {
            Container::Plain => Unpacked::Plain(stored),
            Container::Gzip => Unpacked::Gzip(Box::new(Gz::new(stored))),
            Container::Bzip2 => Unpacked::Bzip2(Box::new(Bz::new(stored))),
            Container::Xz => Unpacked::Xz(Box::new(Xz::new(stored, window))),
            Container::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(stored)?;
                decoder.window_log_max(window.clamp(1 << 10, ZSTD_WINDOW_MAX).ilog2())?;
                Unpacked::Zstd(Box::new(decoder))
            }
        })
    }

    /// The underlying stored bytes.
    pub(super) fn stored(&self) -> Option<&Stored> {
        match self {
            Unpacked::Plain(stored) => Some(stored),
            Unpacked::Gzip(d) => d.inner(),
            Unpacked::Zstd(d) => Some(d.get_ref()),
            Unpacked::Xz(d) => d.inner(),
            Unpacked::Bzip2(d) => d.inner(),
        }
    }

    /// Returns the underlying stored bytes, to be hashed to their end.
    pub(super) fn into_stored(self) -> Option<Stored> {
        match self {
            Unpacked::Plain(stored) => Some(stored),
            Unpacked::Gzip(d) => d.into_inner(),
            Unpacked::Zstd(d) => Some(d.finish()),
            Unpacked::Xz(d) => d.into_inner(),
            Unpacked::Bzip2(d) => d.into_inner(),
        }
    }

    /// Whether the input is compressed.
    pub(super) fn is_packed(&self) -> bool {
        !matches!(self, Unpacked::Plain(_))
    }

    /// The verdict for an error of `read`.
    pub(super) fn judge(&self, error: &io::Error) -> (Verdict, String) {
        if let Some(failure) = self.stored().and_then(Stored::failure) {
            return (Verdict::Unreadable, failure.to_owned());
        }
        let text = error.to_string();
        // The zstd library has no error code of its own for a window over the limit.
        let over_limit = text.contains("too much memory");
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                (Verdict::Truncated, "the compressed stream ends early".to_owned())
            }
            io::ErrorKind::Unsupported => (Verdict::Unsupported, text),
            io::ErrorKind::QuotaExceeded => (Verdict::Refused, text),
            _ if over_limit => (Verdict::Unsupported, OVER_WINDOW.to_owned()),
            _ => (Verdict::Malformed, format!("the compressed stream is corrupt: {text}")),
        }
    }
}

impl Read for Unpacked {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Unpacked::Plain(stored) => stored.read(out),
            Unpacked::Gzip(d) => d.read(out),
            Unpacked::Zstd(d) => d.read(out),
            Unpacked::Xz(d) => d.read(out),
            Unpacked::Bzip2(d) => d.read(out),
        }
    }
}
