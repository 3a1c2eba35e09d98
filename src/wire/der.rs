//! DER and definite-length BER: tags, lengths and what lies inside (ITU-T X.690).
//!
//! Owns: one element at a time. In: bytes. Out: a tag and its contents, for a nested reader.
//! Never: indefinite lengths, tag numbers over 30, recursion: callers bound the depth.

use crate::wire::{Fault, Reader, WireError};

/// BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// INTEGER.
pub const INTEGER: u8 = 0x02;
/// BIT STRING.
pub const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// OBJECT IDENTIFIER.
pub const OID: u8 = 0x06;
/// ENUMERATED.
pub const ENUMERATED: u8 = 0x0a;
/// UTF8String.
pub const UTF8_STRING: u8 = 0x0c;
/// SEQUENCE and SEQUENCE OF, constructed.
pub const SEQUENCE: u8 = 0x30;
/// SET and SET OF, constructed.
pub const SET: u8 = 0x31;
/// PrintableString.
pub const PRINTABLE_STRING: u8 = 0x13;
/// TeletexString.
pub const TELETEX_STRING: u8 = 0x14;
/// IA5String.
pub const IA5_STRING: u8 = 0x16;
/// UTCTime.
pub const UTC_TIME: u8 = 0x17;
/// GeneralizedTime.
pub const GENERALIZED_TIME: u8 = 0x18;
/// GeneralString, in which Kerberos writes names.
pub const GENERAL_STRING: u8 = 0x1b;
/// UniversalString: four bytes a character.
pub const UNIVERSAL_STRING: u8 = 0x1c;
/// BMPString: two bytes a character.
pub const BMP_STRING: u8 = 0x1e;

/// The low five bits of a tag whose number follows in further bytes.
const LONG_TAG: u8 = 0x1f;

/// The tag `[n]`, primitive; `n` is at most 30.
pub const fn context(n: u8) -> u8 {
    0x80 | (n & LONG_TAG)
}

/// The tag `[n]`, constructed.
pub const fn context_constructed(n: u8) -> u8 {
    0xa0 | (n & LONG_TAG)
}

/// The tag `[APPLICATION n]`, constructed.
pub const fn application(n: u8) -> u8 {
    0x60 | (n & LONG_TAG)
}

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Class, form and number in one byte.
    pub tag: u8,
    /// The contents.
    pub contents: &'a [u8],
}

impl<'a> Element<'a> {
    /// A reader of the contents.
    pub const fn open(&self) -> Der<'a> {
        Der::new(self.contents)
    }
}

/// A cursor over consecutive elements.
#[derive(Clone, Copy, Debug)]
pub struct Der<'a> {
    reader: Reader<'a>,
}

impl<'a> Der<'a> {
    /// Reads from the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Der<'a> {
        Der { reader: Reader::new(bytes) }
    }

    /// The bytes not read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.reader.is_empty()
    }

    /// The tag of the next element, without reading it.
    pub fn peek(&self) -> Option<u8> {
        self.reader.rest().first().copied()
    }

    /// Takes the next element.
    ///
    /// # Errors
    /// `NeedMore` if it is incomplete; `Malformed` for a tag number over 30, an indefinite
    /// length and one of more than four bytes.
    pub fn element(&mut self) -> Result<Element<'a>, WireError> {
        let mut reader = self.reader;
        let (tag, length) = header(&mut reader)?;
        let contents = reader.take(length)?;
        self.reader = reader;
        Ok(Element { tag, contents })
    }

    /// Takes the next element if it has this tag.
    ///
    /// # Errors
    /// As [`Der::element`]; `Malformed` for another tag, which is then not consumed.
    pub fn tagged(&mut self, tag: u8) -> Result<Element<'a>, WireError> {
        match self.peek() {
            Some(found) if found != tag => {
                Err(WireError::Malformed(Fault::Value, "another DER tag"))
            }
            _ => self.element(),
        }
    }

    /// Takes the next element if it has this tag, and reads on inside.
    ///
    /// # Errors
    /// As [`Der::tagged`].
    pub fn enter(&mut self, tag: u8) -> Result<Der<'a>, WireError> {
        self.tagged(tag).map(|element| element.open())
    }

    /// Takes the next element if it is there and has this tag: an OPTIONAL field.
    ///
    /// # Errors
    /// As [`Der::element`].
    pub fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, WireError> {
        if self.peek() == Some(tag) { self.element().map(Some) } else { Ok(None) }
    }

    /// Takes an INTEGER that is not negative and fits 32 bits.
    ///
    /// # Errors
    /// As [`Der::tagged`]; `Malformed` for any other number.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        unsigned(self.tagged(INTEGER)?.contents)
    }
}

/// Reads tag and length of an element whose contents may be incomplete.
///
/// # Errors
/// As [`Der::element`].
pub fn header(reader: &mut Reader<'_>) -> Result<(u8, usize), WireError> {
    let tag = reader.u8()?;
    if tag & LONG_TAG == LONG_TAG {
        return Err(WireError::Malformed(Fault::Value, "DER tag number over 30"));
    }
    let length = match reader.u8()? {
        short @ 0..=0x7f => usize::from(short),
        0x81 => usize::from(reader.u8()?),
        0x82 => usize::from(reader.u16()?),
        0x83 => reader.u24()? as usize,
        0x84 => reader.u32()? as usize,
        0x80 => return Err(WireError::Malformed(Fault::Length, "indefinite DER length")),
        _ => return Err(WireError::Malformed(Fault::Length, "DER length of more than four bytes")),
    };
    Ok((tag, length))
}

/// The value of an INTEGER or ENUMERATED that is not negative and fits 32 bits.
fn unsigned(contents: &[u8]) -> Result<u32, WireError> {
    match contents {
        [] => Err(WireError::Malformed(Fault::Length, "empty DER integer")),
        [first, ..] if *first >= 0x80 => {
            Err(WireError::Malformed(Fault::Value, "negative DER integer"))
        }
        [0, rest @ ..] if rest.len() == 4 => Ok(fold(rest)),
        all if all.len() <= 4 => Ok(fold(all)),
        _ => Err(WireError::Malformed(Fault::Length, "DER integer over 32 bits")),
    }
}

fn fold(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::any;
    use proptest::proptest;

    #[test]
    fn reads_consecutive_and_nested_elements() {
        let bytes = [0x30, 6, 0x02, 1, 5, 0x0c, 1, b'a', 0x04, 0x81, 1, 9];
        let mut outer = Der::new(&bytes);
        let mut inner = outer.enter(SEQUENCE).unwrap();
        assert_eq!(inner.u32(), Ok(5));
        assert_eq!(inner.optional(OID), Ok(None));
        assert_eq!(inner.tagged(UTF8_STRING).unwrap().contents, b"a");
        assert!(inner.is_empty());
        let last = outer.element().unwrap();
        assert_eq!((last.tag, last.contents), (OCTET_STRING, &[9][..]));
    }

    #[test]
    fn integers_that_do_not_fit_are_refused() {
        let value = |contents: &[u8]| unsigned(contents);
        assert_eq!(value(&[0, 0xff, 0xff, 0xff, 0xff]), Ok(u32::MAX));
        assert_eq!(value(&[1, 0]), Ok(256));
        assert!(value(&[]).is_err() && value(&[0x80]).is_err());
        assert!(value(&[1, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn an_incomplete_element_needs_more_and_an_indefinite_length_is_malformed() {
        assert_eq!(Der::new(&[0x30, 0x82, 1]).element(), Err(WireError::NeedMore(1)));
        assert_eq!(Der::new(&[0x30, 3, 1]).element(), Err(WireError::NeedMore(2)));
        assert!(matches!(Der::new(&[0x30, 0x80, 0, 0]).element(), Err(WireError::Malformed(..))));
        assert!(matches!(Der::new(&[0x30, 0x85, 0, 0]).element(), Err(WireError::Malformed(..))));
        assert!(matches!(Der::new(&[0x1f, 1, 0]).element(), Err(WireError::Malformed(..))));
        let mut other = Der::new(&[0x02, 1, 7]);
        assert!(other.tagged(SEQUENCE).is_err());
        assert_eq!(other.u32(), Ok(7), "a refused element stays");
    }

    proptest! {
        #[test]
        fn any_bytes_give_elements_that_lie_inside(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut der = Der::new(&bytes);
            let mut used = 0;
            while let Ok(element) = der.element() {
                used += element.contents.len() + 2;
                assert!(used <= bytes.len());
            }
        }
    }
}
