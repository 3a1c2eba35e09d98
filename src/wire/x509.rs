//! Names and dates of an X.509 certificate (RFC 5280 section 4.1).
//!
//! Owns: their position. In: one certificate in DER. Out: views of issuer, subject, validity and
//! alternative names. Never: keys, signatures, or validation.

use crate::wire::der::{
    BIT_STRING, BOOLEAN, Der, Element, GENERALIZED_TIME, INTEGER, OCTET_STRING, OID, SEQUENCE, SET,
    UTC_TIME, context, context_constructed,
};
use crate::wire::{Fault, WireError};

/// commonName, 2.5.4.3 (RFC 5280 appendix A.1).
pub const COMMON_NAME: &[u8] = &[0x55, 4, 3];
/// organizationName, 2.5.4.10.
pub const ORGANIZATION: &[u8] = &[0x55, 4, 10];
/// subjectAltName, 2.5.29.17.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 29, 17];
/// Parts of a name, and extensions, that are looked at: real ones have fewer than ten of either
/// and twenty.
const PARTS_MAX: usize = 32;

/// The fields of a certificate that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// Issuer.
    pub issuer: Name<'a>,
    /// Subject.
    pub subject: Name<'a>,
    /// Start of its validity.
    pub not_before: Option<Moment>,
    /// End of its validity.
    pub not_after: Option<Moment>,
    alternatives: &'a [u8],
}

/// A distinguished name: parts in the order of the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a>(&'a [u8]);

/// One part of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its type: an object identifier as it is written in DER.
    pub oid: &'a [u8],
    /// Its value: a string of one of several kinds, by tag.
    pub value: Element<'a>,
    /// Part of a multi-valued RDN, together with the part before it.
    pub joined: bool,
}

/// A subject alternative name (RFC 5280 section 4.2.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alternative<'a> {
    /// A DNS name, a mail address or a URI.
    Text(&'a [u8]),
    /// An address of 4 or 16 bytes.
    Ip(&'a [u8]),
}

/// A moment in UTC: `2026-01-31T23:59:59Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment([u8; 20]);

impl Moment {
    /// The text of RFC 3339.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl<'a> Certificate<'a> {
    /// Reads the certificate at the start of `bytes`.
    ///
    /// # Errors
    /// `Malformed` where it contradicts RFC 5280, `NeedMore` where it is not whole.
    pub fn parse(bytes: &'a [u8]) -> Result<Certificate<'a>, WireError> {
        let mut body = Der::new(bytes).enter(SEQUENCE)?.enter(SEQUENCE)?;
        body.optional(context_constructed(0))?;
        body.tagged(INTEGER)?;
        body.tagged(SEQUENCE)?;
        let issuer = Name(body.tagged(SEQUENCE)?.contents);
        let mut validity = body.enter(SEQUENCE)?;
        let not_before = moment(&validity.element()?)?;
        let not_after = moment(&validity.element()?)?;
        let subject = Name(body.tagged(SEQUENCE)?.contents);
        body.tagged(SEQUENCE)?;
        let alternatives = alternatives(body)?;
        Ok(Certificate { issuer, subject, not_before, not_after, alternatives })
    }

    /// The subject alternative names, up to a cap.
    pub fn alternatives(&self) -> impl Iterator<Item = Alternative<'a>> + use<'a> {
        let mut names = Der::new(self.alternatives);
        std::iter::from_fn(move || names.element().ok()).filter_map(|name| match name.tag {
            tag if [context(1), context(2), context(6)].contains(&tag) => {
                Some(Alternative::Text(name.contents))
            }
            tag if tag == context(7) && matches!(name.contents.len(), 4 | 16) => {
                Some(Alternative::Ip(name.contents))
            }
            _ => None,
        })
    }
}

/// The fields after the key: two obsolete unique ids, then the extensions.
fn alternatives(mut body: Der<'_>) -> Result<&[u8], WireError> {
    for tag in [context(1), context(2)] {
        body.optional(tag)?;
    }
    let Some(wrapped) = body.optional(context_constructed(3))? else { return Ok(&[]) };
    let mut extensions = wrapped.open().enter(SEQUENCE)?;
    for _ in 0..PARTS_MAX {
        if extensions.is_empty() {
            break;
        }
        let mut extension = extensions.enter(SEQUENCE)?;
        let oid = extension.tagged(OID)?.contents;
        extension.optional(BOOLEAN)?;
        let value = extension.tagged(OCTET_STRING)?;
        if oid == ALTERNATIVE_NAMES {
            return Ok(value.open().tagged(SEQUENCE)?.contents);
        }
    }
    Ok(&[])
}

impl<'a> Name<'a> {
    /// Its parts, up to the first malformed one.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let mut sets = Der::new(self.0);
        let mut set = Der::new(&[]);
        let mut joined = false;
        let all = std::iter::from_fn(move || {
            if set.is_empty() {
                set = sets.enter(SET).ok()?;
                joined = false;
            }
            let mut pair = set.enter(SEQUENCE).ok()?;
            let oid = pair.tagged(OID).ok()?.contents;
            let value = pair.element().ok().filter(|value| value.tag != BIT_STRING)?;
            let attribute = Attribute { oid, value, joined };
            joined = true;
            Some(attribute)
        });
        all.take(PARTS_MAX)
    }
}

/// UTCTime or GeneralizedTime in the only form that RFC 5280 sections 4.1.2.5.1 and 4.1.2.5.2
/// allow: with seconds, in UTC. `None` for an impossible date, which Elasticsearch would reject.
fn moment(element: &Element<'_>) -> Result<Option<Moment>, WireError> {
    const WHY: WireError = WireError::Malformed(Fault::Value, "date of a certificate");
    let (century, digits): (Option<&[u8]>, &[u8]) = match (element.tag, element.contents) {
        (UTC_TIME, [tens, _, ..]) if *tens >= b'5' => (Some(b"19"), element.contents),
        (UTC_TIME, _) => (Some(b"20"), element.contents),
        (GENERALIZED_TIME, _) => (None, element.contents),
        _ => return Err(WHY),
    };
    let mut text = *b"....-..-..T..:..:..Z";
    let mut from = century.unwrap_or_default().iter().chain(digits);
    for slot in text.iter_mut().filter(|slot| **slot == b'.') {
        *slot = *from.next().filter(|digit| digit.is_ascii_digit()).ok_or(WHY)?;
    }
    match (from.next(), from.next()) {
        (Some(b'Z'), None) => Ok(exists(&text).then_some(Moment(text))),
        _ => Err(WHY),
    }
}

/// Whether this is a possible date and time, `YYYY-MM-DDThh:mm:ssZ` in digits.
fn exists(text: &[u8; 20]) -> bool {
    let number = |from: usize, digits: usize| {
        let digits = text.iter().skip(from).take(digits);
        digits.fold(0u32, |sum, digit| sum * 10 + u32::from(digit.wrapping_sub(b'0')))
    };
    let (year, month, day) = (number(0, 4), number(5, 2), number(8, 2));
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day) && number(11, 2) < 24 && number(14, 2) < 60 && number(17, 2) < 60
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An element of DER.
    pub(crate) fn element(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
        let contents = contents.concat();
        let length = contents.len() as u16;
        let head = match length {
            0..0x80 => vec![tag, length as u8],
            _ => [&[tag, 0x82][..], &length.to_be_bytes()].concat(),
        };
        [head, contents].concat()
    }

    fn part(last: u8, tag: u8, text: &[u8]) -> Vec<u8> {
        let oid = element(OID, &[&[0x55, 4, last]]);
        element(SET, &[&element(SEQUENCE, &[&oid, &element(tag, &[text])])])
    }

    /// A certificate for `device.example`, of an odd issuer.
    pub(crate) fn certificate(names: &[&[u8]]) -> Vec<u8> {
        let issuer = element(
            SEQUENCE,
            &[
                &part(6, 0x13, b"DE"),
                &part(10, 0x0c, "Größe, \"GmbH\"".as_bytes()),
                &part(3, 0x1e, &[0, b'C', 0, b'A']),
            ],
        );
        let subject =
            element(SEQUENCE, &[&part(10, 0x13, b"Org"), &part(3, 0x0c, b"device.example")]);
        let dates = element(
            SEQUENCE,
            &[
                &element(UTC_TIME, &[b"260131235959Z"]),
                &element(GENERALIZED_TIME, &[b"20601231000000Z"]),
            ],
        );
        let names = element(SEQUENCE, names);
        let extension = element(
            SEQUENCE,
            &[&element(OID, &[ALTERNATIVE_NAMES]), &element(OCTET_STRING, &[&names])],
        );
        let extensions = element(0xa3, &[&element(SEQUENCE, &[&extension])]);
        let algorithm = element(SEQUENCE, &[&element(OID, &[&[1, 2, 3]])]);
        let body = element(
            SEQUENCE,
            &[
                &element(0xa0, &[&element(INTEGER, &[&[2]])]),
                &element(INTEGER, &[&[7]]),
                &algorithm,
                &issuer,
                &dates,
                &subject,
                &element(SEQUENCE, &[&algorithm]),
                &extensions,
            ],
        );
        element(SEQUENCE, &[&body, &algorithm, &element(BIT_STRING, &[&[0]])])
    }

    #[test]
    fn names_and_dates_of_a_certificate_are_read() {
        let alternatives: [&[u8]; 3] = [b"\x82\x01a", &[0x87, 4, 10, 0, 0, 1], &[0xa4, 2, 0x30, 0]];
        let bytes = certificate(&alternatives);
        let read = Certificate::parse(&bytes).unwrap();
        assert_eq!(read.not_before.unwrap().as_str(), "2026-01-31T23:59:59Z");
        assert_eq!(read.not_after.unwrap().as_str(), "2060-12-31T00:00:00Z");
        let subject: Vec<_> =
            read.subject.attributes().map(|a| (a.oid, a.value.contents)).collect();
        let expected: [(&[u8], &[u8]); 2] =
            [(ORGANIZATION, b"Org"), (COMMON_NAME, b"device.example")];
        assert_eq!(subject, expected);
        assert_eq!(read.issuer.attributes().count(), 3);
        let names: Vec<_> = read.alternatives().collect();
        assert_eq!(names, [Alternative::Text(b"a"), Alternative::Ip(&[10, 0, 0, 1])]);
    }

    #[test]
    fn dates_in_another_form_are_refused() {
        let read = |tag, contents: &[u8]| moment(&Element { tag, contents });
        let text = |contents| read(UTC_TIME, contents).unwrap().map(|m| m.as_str().to_owned());
        assert_eq!(text(b"500101000000Z").unwrap(), "1950-01-01T00:00:00Z");
        assert_eq!(text(b"240229000000Z").unwrap(), "2024-02-29T00:00:00Z");
        for nowhere in [b"991399000000Z", b"230229000000Z", b"240229240000Z", b"240400000060Z"] {
            assert_eq!(text(nowhere), None);
        }
        for bad in [&b"5001010000Z"[..], b"500101000000", b"500101000000+0100", b"50010100000xZ"] {
            assert!(read(UTC_TIME, bad).is_err(), "{bad:?}");
        }
        assert!(read(INTEGER, b"500101000000Z").is_err());
    }

    proptest! {
        #[test]
        fn a_damaged_certificate_never_panics(at in 0usize..260, value: u8, cut in 0usize..300) {
            let mut bytes = certificate(&[b"\x82\x01a"]);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            bytes.truncate(cut);
            if let Ok(read) = Certificate::parse(&bytes) {
                prop_assert!(read.subject.attributes().count() <= PARTS_MAX);
                prop_assert!(read.alternatives().count() <= bytes.len());
            }
        }
    }
}
