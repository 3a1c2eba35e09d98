//! The .xz container around LZMA2 streams.
//!
//! Owns: stream and block headers, integrity checks, concatenated streams. In: stored bytes. Out:
//! plain bytes. Never: a dictionary above its cap, recursion over hostile input, or a read after an
//! error.
//!
//! Source: "The .xz File Format" version 1.1.0. The container is parsed here and not by the LZMA
//! crate, because with the crate the file alone decides how much memory the dictionary takes (up to
//! 4 GiB).

use std::io::{self, BufRead, Read};

use lzma_rust2::Lzma2Reader;
use sha2::{Digest, Sha256};

/// Largest dictionary: that of `xz -9`.
pub(super) const DICTIONARY_MAX: u64 = 64 << 20;

/// Dictionaries are cleared before use, so many empty blocks could cost much work for few bytes.
/// The sum of dictionary sizes may reach this, and more in proportion to the bytes decoded.
const CLEARED_FREE: u64 = 4 << 30;
const CLEARED_PER_BYTE: u64 = 1_024;

/// Maximum bytes decoded at once.
const READ_MAX: usize = 1_024;

const MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
const FILTER_LZMA2: u64 = 0x21;

/// Decodes one or more concatenated .xz streams.
pub(super) struct Xz<R: BufRead> {
    state: State<R>,
    check: Check,
    dictionary_max: u64,
    cleared: u64,
    yielded: u64,
}

enum State<R: BufRead> {
    /// Between streams; the number of streams decoded so far.
    Outside(Counted<R>),
    /// In a stream, before a block or the index.
    Inside(Counted<R>),
    Block(Box<Lzma2Reader<Counted<R>>>),
    /// At the end, or after an error.
    Over(Option<Counted<R>>),
}

impl<R: BufRead> Xz<R> {
    /// A block with a dictionary above `dictionary_max` is refused.
    pub(super) fn new(inner: R, dictionary_max: u64) -> Xz<R> {
        let (state, check) = (State::Outside(Counted { inner, count: 0 }), Check::None(0));
        let dictionary_max = dictionary_max.min(DICTIONARY_MAX);
        Xz { state, check, dictionary_max, cleared: 0, yielded: 0 }
    }

    /// The underlying reader.
    pub(super) fn inner(&self) -> Option<&R> {
        match &self.state {
            State::Outside(c) | State::Inside(c) | State::Over(Some(c)) => Some(&c.inner),
            State::Block(lzma) => Some(&lzma.inner().inner),
            State::Over(None) => None,
        }
    }

    /// Returns the underlying reader.
    pub(super) fn into_inner(self) -> Option<R> {
        match self.state {
            State::Outside(c) | State::Inside(c) | State::Over(Some(c)) => Some(c.inner),
            State::Block(lzma) => Some((*lzma).into_inner().inner),
            State::Over(None) => None,
        }
    }

    fn start_stream(&mut self, from: &mut Counted<R>) -> io::Result<bool> {
        let Some(mut magic) = next_stream(from)? else { return Ok(false) };
        from.read_exact(magic.get_mut(1..).unwrap_or_default())?;
        let [zero, kind] = from.array::<2>()?;
        let crc = u32::from_le_bytes(from.array()?);
        if magic != MAGIC || zero != 0 || crc != Crc32::of(&[zero, kind]) {
            return Err(bad("xz: a broken stream header"));
        }
        self.check = Check::new(kind)?;
        Ok(true)
    }

    /// The dictionary size of the next block, or `None` if the stream's index starts.
    fn start_block(&mut self, from: &mut Counted<R>) -> io::Result<Option<u32>> {
        from.count = 0;
        let [size] = from.array::<1>()?;
        if size == 0 {
            return Ok(None);
        }
        let mut header = vec![0; (usize::from(size) + 1) * 4];
        if let Some((first, rest)) = header.split_first_mut() {
            *first = size;
            from.read_exact(rest)?;
        }
        let dictionary = u64::from(dictionary_of(&header)?);
        if dictionary > self.dictionary_max {
            let why = format!("xz: a dictionary over {} MiB", self.dictionary_max >> 20);
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        self.cleared = self.cleared.saturating_add(dictionary);
        if self.cleared > CLEARED_FREE.saturating_add(self.yielded.saturating_mul(CLEARED_PER_BYTE))
        {
            return Err(bad("xz: many blocks that hold next to nothing"));
        }
        self.check = self.check.restart();
        from.count = 0;
        Ok(Some(dictionary as u32))
    }

    fn end_block(&mut self, from: &mut Counted<R>) -> io::Result<()> {
        from.skip_padding()?;
        let mut stored = vec![0; self.check.len()];
        from.read_exact(&mut stored)?;
        match self.check.matches(&stored) {
            true => Ok(()),
            false => Err(bad("xz: an integrity check failed")),
        }
    }

    /// One step; `Some(n)` when `n` bytes were written or at the end.
    fn turn(&mut self, out: &mut [u8]) -> io::Result<Option<usize>> {
        match std::mem::replace(&mut self.state, State::Over(None)) {
            State::Over(inner) => {
                self.state = State::Over(inner);
                Ok(Some(0))
            }
            State::Outside(mut from) => {
                let started = self.start_stream(&mut from);
                self.state = match started {
                    Ok(true) => State::Inside(from),
                    _ => State::Over(Some(from)),
                };
                started.map(|_| None)
            }
            State::Inside(mut from) => {
                let block = self.start_block(&mut from);
                let ended = matches!(block, Ok(None)).then(|| end_stream(&mut from));
                self.state = match (&block, &ended) {
                    (Ok(Some(dictionary)), _) => {
                        State::Block(Box::new(Lzma2Reader::new(from, *dictionary, None)))
                    }
                    (_, Some(Ok(()))) => State::Outside(from),
                    _ => State::Over(Some(from)),
                };
                ended.unwrap_or(Ok(())).and(block).map(|_| None)
            }
            State::Block(lzma) => self.turn_block(lzma, out),
        }
    }

    fn turn_block(
        &mut self,
        mut lzma: Box<Lzma2Reader<Counted<R>>>,
        out: &mut [u8],
    ) -> io::Result<Option<usize>> {
        // On an error the LZMA crate discards what it decoded in the same call, so keep that small.
        let space = out.len().min(READ_MAX);
        match lzma.read(out.get_mut(..space).unwrap_or_default()) {
            Ok(0) => {
                let mut from = (*lzma).into_inner();
                let ended = self.end_block(&mut from);
                self.state = match ended {
                    Ok(()) => State::Inside(from),
                    Err(_) => State::Over(Some(from)),
                };
                ended.map(|()| None)
            }
            Ok(n) => {
                self.yielded = self.yielded.saturating_add(n as u64);
                self.check.update(out.get(..n).unwrap_or_default());
                self.state = State::Block(lzma);
                Ok(Some(n))
            }
            Err(e) => {
                self.state = State::Over(Some((*lzma).into_inner()));
                Err(e)
            }
        }
    }
}

impl<R: BufRead> Read for Xz<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(n) = self.turn(out)? {
                return Ok(n);
            }
        }
    }
}

/// Skips stream padding (section 2.2); the buffer holds the first byte behind it.
fn next_stream<R: BufRead>(from: &mut Counted<R>) -> io::Result<Option<[u8; 6]>> {
    loop {
        let mut byte = [0];
        if from.read(&mut byte)? == 0 {
            return Ok(None);
        }
        let [first] = byte;
        if first != 0 {
            return Ok(Some([first, 0, 0, 0, 0, 0]));
        }
    }
}

/// Reads the index and the footer (sections 4 and 2.1.2) behind the index indicator.
fn end_stream<R: BufRead>(from: &mut Counted<R>) -> io::Result<()> {
    let records = from.varint()?;
    for _ in 0..records {
        from.varint()?;
        from.varint()?;
    }
    from.skip_padding()?;
    let [_crc_of_index @ .., y, z] = from.array::<16>()?;
    match [y, z] == *b"YZ" {
        true => Ok(()),
        false => Err(bad("xz: a broken stream footer")),
    }
}

/// The dictionary size in a block header (section 3.1).
pub(super) fn dictionary_of(header: &[u8]) -> io::Result<u32> {
    let (body, crc) = header.split_last_chunk::<4>().ok_or_else(|| bad("xz: a short header"))?;
    if Crc32::of(body) != u32::from_le_bytes(*crc) {
        return Err(bad("xz: a broken block header"));
    }
    let mut rest = Counted { inner: body, count: 0 };
    let [_size, flags] = rest.array::<2>()?;
    for present in [0x40, 0x80] {
        if flags & present != 0 {
            rest.varint()?;
        }
    }
    if flags & 0x3f != 0 || rest.varint()? != FILTER_LZMA2 || rest.varint()? != 1 {
        let what = "xz: a filter other than LZMA2";
        return Err(io::Error::new(io::ErrorKind::Unsupported, what));
    }
    // Section 5.3.1: two bits of mantissa, the rest is the exponent.
    match rest.array::<1>()? {
        [40] => Ok(u32::MAX),
        [bits @ 0..=39] => Ok((2 | u32::from(bits & 1)) << (bits / 2 + 11)),
        _ => Err(bad("xz: a dictionary size that does not exist")),
    }
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Counts bytes, to know how much padding follows.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: BufRead> Counted<R> {
    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// A variable-length integer (section 1.2): at most nine bytes of seven bits.
    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in 0..9 {
            let [byte] = self.array::<1>()?;
            value |= u64::from(byte & 0x7f) << (shift * 7);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(bad("xz: an integer of more than nine bytes"))
    }

    fn skip_padding(&mut self) -> io::Result<()> {
        while !self.count.is_multiple_of(4) {
            if self.array::<1>()? != [0] {
                return Err(bad("xz: padding that is not zero"));
            }
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.inner.fill_buf()?;
        let n = available.len().min(out.len());
        let (to, from) = (out.get_mut(..n), available.get(..n));
        if let (Some(to), Some(from)) = (to, from) {
            to.copy_from_slice(from);
        }
        self.inner.consume(n);
        self.count = self.count.saturating_add(n as u64);
        Ok(n)
    }
}

/// The integrity check of a block (section 2.1.1.2). Unassigned types are skipped.
enum Check {
    None(usize),
    Crc32(Crc32),
    Crc64(Crc64),
    Sha256(Box<Sha256>),
}

impl Check {
    fn new(kind: u8) -> io::Result<Check> {
        match kind {
            0 => Ok(Check::None(0)),
            1 => Ok(Check::Crc32(Crc32(u32::MAX))),
            4 => Ok(Check::Crc64(Crc64(u64::MAX))),
            10 => Ok(Check::Sha256(Box::default())),
            2..=3 => Ok(Check::None(4)),
            5..=6 => Ok(Check::None(8)),
            7..=9 => Ok(Check::None(16)),
            11..=12 => Ok(Check::None(32)),
            13..=15 => Ok(Check::None(64)),
            _ => Err(bad("xz: a check that does not exist")),
        }
    }

    fn restart(&self) -> Check {
        match self {
            Check::None(len) => Check::None(*len),
            Check::Crc32(_) => Check::Crc32(Crc32(u32::MAX)),
            Check::Crc64(_) => Check::Crc64(Crc64(u64::MAX)),
            Check::Sha256(_) => Check::Sha256(Box::default()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Check::None(len) => *len,
            Check::Crc32(_) => 4,
            Check::Crc64(_) => 8,
            Check::Sha256(_) => 32,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Check::None(_) => {}
            Check::Crc32(crc) => crc.update(bytes),
            Check::Crc64(crc) => crc.update(bytes),
            Check::Sha256(hash) => hash.update(bytes),
        }
    }

    fn matches(&self, stored: &[u8]) -> bool {
        match self {
            Check::None(_) => true,
            Check::Crc32(crc) => stored == (!crc.0).to_le_bytes(),
            Check::Crc64(crc) => stored == (!crc.0).to_le_bytes(),
            Check::Sha256(hash) => stored == hash.clone().finalize().as_slice(),
        }
    }
}

/// CRC-32 of IEEE 802.3, reflected.
struct Crc32(u32);

impl Crc32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let (mut rest, mut byte) = (table.as_mut_slice(), 0);
        while let Some((row, more)) = rest.split_first_mut() {
            *row = remainder(byte, 0xedb8_8320) as u32;
            (rest, byte) = (more, byte + 1);
        }
        table
    };

    fn of(bytes: &[u8]) -> u32 {
        let mut crc = Crc32(u32::MAX);
        crc.update(bytes);
        !crc.0
    }

    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let row = usize::from(self.0 as u8 ^ byte);
            self.0 = Self::TABLE.get(row).copied().unwrap_or(0) ^ (self.0 >> 8);
        }
    }
}

/// CRC-64 of ECMA-182, reflected.
struct Crc64(u64);

impl Crc64 {
    const TABLE: [u64; 256] = {
        let mut table = [0; 256];
        let (mut rest, mut byte) = (table.as_mut_slice(), 0);
        while let Some((row, more)) = rest.split_first_mut() {
            *row = remainder(byte, 0xc96c_5795_d787_0f42);
            (rest, byte) = (more, byte + 1);
        }
        table
    };

    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let row = usize::from(self.0 as u8 ^ byte);
            self.0 = Self::TABLE.get(row).copied().unwrap_or(0) ^ (self.0 >> 8);
        }
    }
}

const fn remainder(byte: u64, polynomial: u64) -> u64 {
    let mut value = byte;
    let mut bit = 0;
    while bit < 8 {
        value = if value & 1 == 1 { (value >> 1) ^ polynomial } else { value >> 1 };
        bit += 1;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_values_of_the_catalogue() {
        // "123456789": the check values of CRC-32/ISO-HDLC and CRC-64/XZ in the reveng catalogue.
        assert_eq!(Crc32::of(b"123456789"), 0xcbf4_3926);
        let mut crc = Crc64(u64::MAX);
        crc.update(b"123456789");
        assert_eq!(!crc.0, 0x995d_c9bb_df19_39fa);
    }

    #[test]
    fn a_header_that_asks_for_four_gigabytes_is_refused() {
        let mut header = vec![2, 0, 0x21, 1, 40, 0, 0, 0];
        header.extend(Crc32::of(&header).to_le_bytes());
        assert_eq!(dictionary_of(&header).unwrap(), u32::MAX);
        let mut stream = Vec::from(MAGIC);
        stream.extend([0, 0]);
        stream.extend(Crc32::of(&[0, 0]).to_le_bytes());
        stream.extend(header);
        let mut out = [0; 16];
        let error = Xz::new(&stream[..], DICTIONARY_MAX).read(&mut out).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }
}
