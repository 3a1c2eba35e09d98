//! gzip, any number of members in sequence (RFC 1952 section 2.2).
//!
//! Owns: the change from one member to the next, and a limit on members with next to no content.
//! In: stored bytes. Out: plain bytes. Never: spends more time on a file of empty members than its
//! size justifies.
//!
//! Setting up a member takes as long as decompressing about a thousand bytes, and an empty one has
//! 20 bytes: 40 MB of them took 7 s.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// This many members may have any size.
const MEMBERS_FREE: u64 = 65_536;

/// Beyond that, members must hold this many bytes on average. Block compressors write members of
/// some 64 KiB.
const MEMBER_BYTES_MIN: u64 = 1_024;

/// All members of an input.
pub(super) struct Gz<R> {
    /// None after an error only.
    member: Option<GzDecoder<R>>,
    members: u64,
    unpacked: u64,
}

impl<R: BufRead> Gz<R> {
    pub(super) fn new(input: R) -> Gz<R> {
        Gz { member: Some(GzDecoder::new(input)), members: 1, unpacked: 0 }
    }

    /// The input.
    pub(super) fn inner(&self) -> Option<&R> {
        self.member.as_ref().map(GzDecoder::get_ref)
    }

    /// Returns the input.
    pub(super) fn into_inner(self) -> Option<R> {
        self.member.map(GzDecoder::into_inner)
    }
}

impl<R: BufRead> Read for Gz<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(member) = &mut self.member else { return Ok(0) };
            let got = member.read(out)?;
            if got > 0 || out.is_empty() {
                self.unpacked = self.unpacked.saturating_add(got as u64);
                return Ok(got);
            }
            if member.get_mut().fill_buf()?.is_empty() {
                return Ok(0);
            }
            let least = self.members.saturating_mul(MEMBER_BYTES_MIN);
            if self.members >= MEMBERS_FREE && self.unpacked < least {
                let why = format!("its first {} members hold next to nothing", self.members);
                return Err(io::Error::new(io::ErrorKind::QuotaExceeded, why));
            }
            self.members = self.members.saturating_add(1);
            let input = self.member.take().map(GzDecoder::into_inner);
            self.member = input.map(GzDecoder::new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::bufread::GzEncoder;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        GzEncoder::new(bytes, Compression::fast()).read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn consecutive_members_are_read_as_one() {
        let all = [packed(b"abc"), packed(b""), packed(b"def")].concat();
        let mut out = Vec::new();
        Gz::new(&all[..]).read_to_end(&mut out).unwrap();
        assert_eq!(out, b"abcdef");
        let mut cut = Gz::new(&all[..all.len() - 1]);
        assert_eq!(cut.read_to_end(&mut out).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let mut header = Gz::new(&all[..30]);
        assert_eq!(header.read_to_end(&mut out).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_file_of_empty_members_is_refused_before_it_costs_much() {
        let all = [packed(b"abc"), packed(b"").repeat(100_000)].concat();
        let mut gz = Gz::new(&all[..]);
        let mut out = Vec::new();
        let error = gz.read_to_end(&mut out).unwrap_err();
        assert_eq!((error.kind(), &*out), (io::ErrorKind::QuotaExceeded, &b"abc"[..]));
        assert!(gz.into_inner().unwrap().len() > 600_000, "{error}");
    }
}
