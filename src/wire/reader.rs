//! The only way to read untrusted bytes: each read gives a value or an error.
//!
//! Owns: a cursor over a slice. In: bytes. Out: integers and sub-slices.
//! Never: panics, indexes, or reads past the end.

pub use crate::model::parse_errors::Fault;

/// Why bytes could not be read as what they claimed to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// Not this protocol at all.
    NotThis,
    /// More bytes are needed than are here; a stream may deliver them yet. Holds how many at least
    /// are missing.
    NeedMore(usize),
    /// The bytes contradict the specification: how, and in what.
    Malformed(Fault, &'static str),
}

impl WireError {
    /// The kind of fault, if no more bytes follow.
    pub const fn fault(self) -> Fault {
        match self {
            WireError::NotThis => Fault::Value,
            WireError::NeedMore(_) => Fault::Truncated,
            WireError::Malformed(fault, _) => fault,
        }
    }
}

/// A cursor over untrusted bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// Counts bytes that were taken, for tests that bound what a message costs.
#[cfg(test)]
pub(crate) mod visited {
    use std::cell::Cell;

    thread_local! {
        static BYTES: Cell<u64> = const { Cell::new(0) };
    }

    /// Adds bytes that were read.
    pub(crate) fn note(bytes: usize) {
        BYTES.set(BYTES.get() + bytes as u64);
    }

    /// The number of bytes since the last call, on this thread.
    pub(crate) fn take() -> u64 {
        BYTES.replace(0)
    }
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// The bytes not read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Number of bytes left.
    pub const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes the next `n` bytes.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        match self.rest.split_at_checked(n) {
            Some((head, tail)) => {
                self.rest = tail;
                #[cfg(test)]
                visited::note(n);
                Ok(head)
            }
            None => Err(WireError::NeedMore(n - self.rest.len())),
        }
    }

    /// Takes the next `N` bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, tail)) => {
                self.rest = tail;
                #[cfg(test)]
                visited::note(N);
                Ok(*head)
            }
            None => Err(WireError::NeedMore(N - self.rest.len())),
        }
    }

    /// Skips `n` bytes.
    pub fn skip(&mut self, n: usize) -> Result<(), WireError> {
        self.take(n).map(|_| ())
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[b]| b)
    }

    /// Two bytes, network order.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Three bytes, network order.
    #[inline]
    pub fn u24(&mut self) -> Result<u32, WireError> {
        self.array::<3>().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// Four bytes, network order.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes, network order.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A sub-reader over the next `n` bytes: bounds a nested structure.
    pub fn sub(&mut self, n: usize) -> Result<Reader<'a>, WireError> {
        self.take(n).map(Reader::new)
    }

    /// A sub-reader whose length is the next byte (TLS `<0..2^8-1>`).
    pub fn sub_u8(&mut self) -> Result<Reader<'a>, WireError> {
        let n = self.u8()?;
        self.sub(usize::from(n))
    }

    /// A sub-reader whose length is the next two bytes (TLS `<0..2^16-1>`).
    pub fn sub_u16(&mut self) -> Result<Reader<'a>, WireError> {
        let n = self.u16()?;
        self.sub(usize::from(n))
    }

    /// A sub-reader whose length is the next four bytes (SSH `string`).
    pub fn sub_u32(&mut self) -> Result<Reader<'a>, WireError> {
        let n = self.u32()?;
        self.sub(n as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_network_order_and_gives_the_missing_bytes() {
        let mut r = Reader::new(&[1, 2, 3, 4, 5]);
        assert_eq!(r.u16(), Ok(0x0102));
        assert_eq!(r.u24(), Ok(0x03_0405));
        assert_eq!(r.u32(), Err(WireError::NeedMore(4)));
        assert!(r.is_empty());
    }

    #[test]
    fn a_failed_read_takes_nothing() {
        let mut r = Reader::new(&[9, 9]);
        assert_eq!(r.take(3), Err(WireError::NeedMore(1)));
        assert_eq!(r.left(), 2);
    }

    #[test]
    fn a_sub_reader_cannot_leave_its_bounds() {
        let mut r = Reader::new(&[2, 7, 8, 9]);
        let mut inner = r.sub_u8().unwrap();
        assert_eq!(inner.u16(), Ok(0x0708));
        assert_eq!(inner.u8(), Err(WireError::NeedMore(1)));
        assert_eq!(r.rest(), &[9]);
    }
}
