//! The fragments of one datagram, put together (RFC 791 section 3.2, RFC 8200 section 4.5).
//!
//! Owns: their bytes. In: fragments in any order. Out: the whole. Never: anything of a datagram
//! whose fragments overlap (RFC 5722), since two receivers might read it differently.

/// Longest datagram: the length fields of IP have 16 bits.
const LONGEST: u32 = 65_535;

/// The effect of a fragment on its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Others are missing.
    More,
    /// All are there.
    Complete,
    /// It contradicts the others: none is read.
    Clash,
}

/// The fragments of one datagram so far.
#[derive(Debug, Default)]
pub struct Pieces {
    /// Where the data ends, once the last fragment has arrived.
    end: Option<u32>,
    /// Bytes received.
    present: u32,
    /// Offset and length of each piece, by offset.
    pieces: Vec<(u32, u32)>,
    bytes: Vec<u8>,
    /// They contradict each other. They are kept so that no later one starts the datagram anew.
    void: bool,
}

impl Pieces {
    /// Bytes held.
    pub fn cost(&self) -> usize {
        self.bytes.capacity() + self.pieces.capacity() * size_of::<(u32, u32)>()
    }

    /// Whether its fragments contradict each other.
    pub const fn is_void(&self) -> bool {
        self.void
    }

    /// The bytes; those that are missing are zero.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Whether this fragment is an exact copy of one that was added.
    pub fn has(&self, offset: u32, data: &[u8], more: bool) -> bool {
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let end = offset.saturating_add(len);
        let at = self.pieces.partition_point(|(of, _)| *of < offset);
        self.pieces.get(at) == Some(&(offset, len))
            && self.range(offset, end) == Some(data)
            && more == (self.end != Some(end))
    }

    /// The bytes before the first gap.
    pub fn into_beginning(mut self) -> Vec<u8> {
        let whole = |end, (offset, len): &(u32, u32)| if *offset == end { end + len } else { end };
        self.bytes.truncate(self.pieces.iter().fold(0, whole) as usize);
        self.bytes
    }

    /// Adds a fragment; `more` if others follow behind it. An exact copy of an earlier one has no
    /// effect (RFC 8200 section 4.5).
    pub fn add(&mut self, offset: u32, data: &[u8], more: bool) -> Fit {
        if self.void {
            return Fit::More;
        }
        if self.has(offset, data, more) {
            return Fit::More;
        }
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let end = offset.saturating_add(len);
        let at = self.pieces.partition_point(|(of, _)| *of < offset);
        if self.clashes(at, (offset, len), more) {
            *self = Pieces { void: true, ..Pieces::default() };
            return Fit::Clash;
        }
        if !more {
            self.end = Some(end);
        }
        self.pieces.insert(at, (offset, len));
        self.present += len;
        self.write(offset, end, data);
        if self.end == Some(self.present) { Fit::Complete } else { Fit::More }
    }

    /// Whether a fragment to be inserted at this place of the list overlaps another, reaches beyond
    /// the end, or has a length that no sender uses (RFC 8200 section 4.5).
    fn clashes(&self, at: usize, (offset, len): (u32, u32), more: bool) -> bool {
        let end = offset.saturating_add(len);
        let before = at.checked_sub(1).and_then(|at| self.pieces.get(at));
        let overlap = before.is_some_and(|(of, len)| of + len > offset)
            || self.pieces.get(at).is_some_and(|(of, _)| *of < end);
        let last = self.pieces.last().map_or(0, |(of, len)| of + len);
        let beyond = match self.end {
            Some(known) => !more || end > known,
            None => !more && end < last,
        };
        overlap || beyond || len == 0 || end > LONGEST || (more && len % 8 != 0)
    }

    fn range(&self, from: u32, to: u32) -> Option<&[u8]> {
        self.bytes.get(from as usize..to as usize)
    }

    fn write(&mut self, from: u32, to: u32, data: &[u8]) {
        let (held, needed) = (self.bytes.len(), to as usize);
        if needed > self.bytes.capacity() {
            // Doubled, but never beyond the longest datagram: its owner has room for that.
            let room = (2 * held).clamp(needed, needed.max(LONGEST as usize));
            self.bytes.reserve_exact(room - held);
        }
        if needed > held {
            self.bytes.resize(needed, 0);
        }
        if let Some(place) = self.bytes.get_mut(from as usize..to as usize)
            && place.len() == data.len()
        {
            place.copy_from_slice(data);
        }
    }
}
