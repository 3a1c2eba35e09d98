//! A server's certificate as text.
//!
//! Owns: the text form of names, and the caps. In: one certificate in DER. Out: [`Certificate`].
//! Never: verifies it.

use std::fmt::Write;
use std::net::IpAddr;

use crate::evidence::text::shown;
use crate::model::app_facts::Certificate;
use crate::wire::WireError;
use crate::wire::der::{BMP_STRING, Element, TELETEX_STRING, UNIVERSAL_STRING};
use crate::wire::x509::{self, Alternative, COMMON_NAME, Name, ORGANIZATION};

/// Alternative names kept: a device has fewer, a hosting certificate up to hundreds.
const ALTERNATIVES_MAX: usize = 8;
/// Longest alternative name or part of a name kept: a DNS name has at most 253 characters; RFC 5280
/// appendix A.1 allows 64 of most parts.
const PART_BYTES_MAX: usize = 255;
/// Longest name kept.
const NAME_BYTES_MAX: usize = 1024;

/// What most names take.
const NAME_BYTES_USUAL: usize = 128;

/// Short names of types: RFC 4514 section 3, and three that are common (RFC 5280 appendix A.1).
const TYPES: [(&[u8], &str); 12] = [
    (COMMON_NAME, "CN"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (ORGANIZATION, "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 4], "SN"),
    // 0.9.2342.19200300.100.1.25 and .1 (RFC 4519 sections 2.4 and 2.39).
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    // 1.2.840.113549.1.9.1 (RFC 2985 section 5.2.1).
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
];

/// Reads a certificate.
///
/// # Errors
/// Those of [`x509::Certificate::parse`].
pub fn certificate(bytes: &[u8]) -> Result<Certificate, WireError> {
    let read = x509::Certificate::parse(bytes)?;
    let names = read.alternatives().take(ALTERNATIVES_MAX).filter_map(alternative);
    Ok(Certificate {
        subject: name(&read.subject),
        issuer: name(&read.issuer),
        common_name: last(&read.subject, COMMON_NAME),
        organization: last(&read.subject, ORGANIZATION),
        issuer_common_name: last(&read.issuer, COMMON_NAME),
        alternative_names: names.collect(),
        not_before: date(read.not_before),
        not_after: date(read.not_after),
    })
}

/// Empty if the date does not exist.
fn date(moment: Option<x509::Moment>) -> Box<str> {
    moment.as_ref().map_or("", x509::Moment::as_str).into()
}

fn alternative(alternative: Alternative<'_>) -> Option<Box<str>> {
    match alternative {
        Alternative::Text(text) => Some(shown(text, PART_BYTES_MAX)),
        Alternative::Ip(bytes) => {
            let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let ip = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()?;
            Some(ip.to_string().into())
        }
    }
}

fn last(name: &Name<'_>, oid: &[u8]) -> Option<Box<str>> {
    let part = name.attributes().filter(|part| part.oid == oid).last()?;
    Some(text(&part.value))
}

/// The most specific part first, as RFC 4514 section 2.1 requires.
fn name(name: &Name<'_>) -> Box<str> {
    let parts: Vec<_> = name.attributes().collect();
    let mut out = String::with_capacity(NAME_BYTES_USUAL);
    // Parts of one set keep their order; sets are reversed.
    for set in parts.chunk_by(|_, next| next.joined).rev() {
        for part in set {
            if !out.is_empty() {
                out.push(if part.joined { '+' } else { ',' });
            }
            put_type(&mut out, part.oid);
            out.push('=');
            put_escaped(&mut out, &text(&part.value));
        }
        if out.len() >= NAME_BYTES_MAX {
            break;
        }
    }
    out.truncate(out.floor_char_boundary(NAME_BYTES_MAX));
    out.into()
}

/// A short name, else the numbers with dots (RFC 4514 section 2.3).
fn put_type(out: &mut String, oid: &[u8]) {
    match TYPES.iter().find(|(known, _)| *known == oid) {
        Some((_, word)) => out.push_str(word),
        None => put_oid(out, oid),
    }
}

/// The numbers of an object identifier (X.690 section 8.19); one over 32 bits wraps around.
fn put_oid(out: &mut String, oid: &[u8]) {
    let mut number: u32 = 0;
    let mut first = true;
    for byte in oid.iter().take(PART_BYTES_MAX / 4) {
        number = (number << 7) | u32::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        let written = if first {
            let top = (number / 40).min(2);
            write!(out, "{top}.{}", number - top * 40)
        } else {
            write!(out, ".{number}")
        };
        debug_assert!(written.is_ok(), "a String takes everything");
        (number, first) = (0, false);
    }
}

/// A value, decoded by its string type.
fn text(value: &Element<'_>) -> Box<str> {
    let bytes = value.contents.get(..4 * PART_BYTES_MAX).unwrap_or(value.contents);
    match value.tag {
        BMP_STRING => {
            let units = bytes.as_chunks::<2>().0.iter().map(|unit| u16::from_be_bytes(*unit));
            let wide = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
            shown(wide.collect::<String>().as_bytes(), PART_BYTES_MAX)
        }
        UNIVERSAL_STRING => {
            let units = bytes.as_chunks::<4>().0.iter().map(|unit| u32::from_be_bytes(*unit));
            let wide = units.map(|c| char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER));
            shown(wide.collect::<String>().as_bytes(), PART_BYTES_MAX)
        }
        // In practice it contains Latin-1.
        TELETEX_STRING if std::str::from_utf8(bytes).is_err() => {
            let latin: String = bytes.iter().map(|byte| char::from(*byte)).collect();
            shown(latin.as_bytes(), PART_BYTES_MAX)
        }
        _ => shown(bytes, PART_BYTES_MAX),
    }
}

/// RFC 4514 section 2.4.
fn put_escaped(out: &mut String, value: &str) {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if value.bytes().all(word) {
        return out.push_str(value);
    }
    let last = value.char_indices().last().map_or(0, |(at, _)| at);
    for (at, c) in value.char_indices() {
        let edge = c == ' ' && (at == 0 || at == last) || c == '#' && at == 0;
        if edge || matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::x509::tests::certificate as made;

    #[test]
    fn names_are_written_as_in_rfc_4514() {
        let names: [&[u8]; 2] = [b"\x82\x0edevice.example", &[0x87, 4, 10, 0, 0, 1]];
        let read = certificate(&made(&names)).unwrap();
        assert_eq!(&*read.subject, "CN=device.example,O=Org");
        assert_eq!(&*read.issuer, "CN=CA,O=Größe\\, \\\"GmbH\\\",C=DE");
        assert_eq!(read.issuer_common_name.as_deref(), Some("CA"));
        assert_eq!(read.organization.as_deref(), Some("Org"));
        assert_eq!(read.alternative_names, ["device.example".into(), "10.0.0.1".into()]);
        assert!(!read.is_self_issued());
    }

    #[test]
    fn a_giant_list_of_names_is_cut() {
        let many = vec![&b"\x82\x01a"[..]; 4000];
        assert_eq!(certificate(&made(&many)).unwrap().alternative_names.len(), ALTERNATIVES_MAX);
    }

    #[test]
    fn unknown_types_are_shown_by_number() {
        let mut out = String::new();
        put_type(&mut out, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]);
        assert_eq!(out, "1.2.840.113549");
    }
}
