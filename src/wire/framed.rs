//! Records in a file that is appended to: length, checksum, content.
//!
//! Owns: the form of a record: the content's length (4 bytes), its CRC-32 as in gzip (4 bytes, RFC
//! 1952 section 8), the content; numbers in network order. In: contents, or bytes. Out: the other.
//! Never: a record that was not written whole.

use flate2::Crc;

use crate::wire::Reader;

/// Bytes before the content.
pub const HEAD: usize = 8;

/// What bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed<'a> {
    /// A whole record: its content.
    Whole(&'a [u8]),
    /// A record whose checksum is another, and that reaches to here.
    Damaged(usize),
    /// The beginning of a record, or nothing.
    Incomplete,
}

/// Appends a record. Its content is given in parts.
pub fn put(parts: &[&[u8]], out: &mut Vec<u8>) {
    let mut crc = Crc::new();
    parts.iter().for_each(|part| crc.update(part));
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.extend((length as u32).to_be_bytes());
    out.extend(crc.sum().to_be_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// What `bytes` begin with.
pub fn first(bytes: &[u8]) -> Framed<'_> {
    let mut reader = Reader::new(bytes);
    let (Ok(length), Ok(sum)) = (reader.u32(), reader.u32()) else { return Framed::Incomplete };
    let Ok(content) = reader.take(length as usize) else { return Framed::Incomplete };
    let mut crc = Crc::new();
    crc.update(content);
    if crc.sum() == sum { Framed::Whole(content) } else { Framed::Damaged(HEAD + content.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written_or_not_at_all() {
        let mut file = Vec::new();
        put(&[b"one", b" record"], &mut file);
        let end = file.len();
        put(&[], &mut file);
        assert_eq!(first(&file), Framed::Whole(b"one record"));
        assert_eq!(first(&file[end..]), Framed::Whole(b""));
        for cut in 0..end {
            assert_eq!(first(&file[..cut]), Framed::Incomplete, "{cut}");
        }
        file[HEAD] ^= 1;
        assert_eq!(first(&file), Framed::Damaged(end));
    }
}
