//! bzip2 with any number of concatenated streams.
//!
//! Owns: the step from one stream to the next, and the limit on nearly empty streams. In: stored
//! bytes. Out: plain bytes. Never: takes more time for a file of empty streams than its size
//! warrants.
//!
//! Parallel compressors write one stream per block of 100 kB and more. Setting up a stream takes as
//! long as unpacking thousands of bytes, and an empty stream has 14 bytes: a file full of them
//! would cost a thousand times as much as its size suggests.

use std::io::{self, BufRead, Read};

use bzip2::bufread::BzDecoder;

/// The first streams may be of any size.
const STREAMS_FREE: u64 = 1_024;

/// Beyond that, streams must hold this many bytes on average.
const STREAM_BYTES_MIN: u64 = 16_384;

/// All streams of an input, one after the other.
pub(super) struct Bz<R> {
    /// `None` only after an error.
    stream: Option<BzDecoder<R>>,
    streams: u64,
    unpacked: u64,
}

impl<R: BufRead> Bz<R> {
    pub(super) fn new(input: R) -> Bz<R> {
        Bz { stream: Some(BzDecoder::new(input)), streams: 1, unpacked: 0 }
    }

    /// The underlying input.
    pub(super) fn inner(&self) -> Option<&R> {
        self.stream.as_ref().map(BzDecoder::get_ref)
    }

    /// Returns the underlying input.
    pub(super) fn into_inner(self) -> Option<R> {
        self.stream.map(BzDecoder::into_inner)
    }
}

impl<R: BufRead> Read for Bz<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(stream) = &mut self.stream else { return Ok(0) };
            let got = stream.read(out)?;
            if got > 0 || out.is_empty() {
                self.unpacked = self.unpacked.saturating_add(got as u64);
                return Ok(got);
            }
            if stream.get_mut().fill_buf()?.is_empty() {
                return Ok(0);
            }
            let least = self.streams.saturating_mul(STREAM_BYTES_MIN);
            if self.streams >= STREAMS_FREE && self.unpacked < least {
                let why = format!("its first {} streams hold next to nothing", self.streams);
                return Err(io::Error::new(io::ErrorKind::QuotaExceeded, why));
            }
            self.streams = self.streams.saturating_add(1);
            let input = self.stream.take().map(BzDecoder::into_inner);
            self.stream = input.map(BzDecoder::new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bzip2::Compression;
    use bzip2::bufread::BzEncoder;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        BzEncoder::new(bytes, Compression::fast()).read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn consecutive_streams_are_read_as_one() {
        let all = [packed(b"abc"), packed(b""), packed(b"def")].concat();
        let mut out = Vec::new();
        Bz::new(&all[..]).read_to_end(&mut out).unwrap();
        assert_eq!(out, b"abcdef");
        let mut cut = Bz::new(&all[..all.len() - 1]);
        assert_eq!(cut.read_to_end(&mut out).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_file_of_empty_streams_is_refused_before_it_costs_much() {
        let all = [packed(b"abc"), packed(b"").repeat(100_000)].concat();
        let mut bz = Bz::new(&all[..]);
        let mut out = Vec::new();
        let error = bz.read_to_end(&mut out).unwrap_err();
        assert_eq!((error.kind(), &*out), (io::ErrorKind::QuotaExceeded, &b"abc"[..]));
        assert!(error.to_string().contains("first 1024 streams"), "{error}");
        assert!(bz.into_inner().unwrap().len() > all.len() - 20_000);
    }

    #[test]
    fn many_streams_of_some_size_are_sound() {
        let one = packed(&vec![7; STREAM_BYTES_MIN as usize]);
        let mut out = Vec::new();
        Bz::new(&one.repeat(1_100)[..]).read_to_end(&mut out).unwrap();
        assert_eq!(out.len(), 1_100 * STREAM_BYTES_MIN as usize);
    }
}
