//! Numbers, times and addresses as text, without allocation.
//!
//! Owns: the digits. In: values. Out: bytes appended to a buffer. Never: JSON structure.
//!
//! Each function runs several times per session; the standard library's formatting would cost more
//! than the rest of the line.

use std::io::Write;

use crate::model::time::civil_from_days;
use crate::model::{Addr, Nanos};

const PAIRS: [[u8; 2]; 100] = pairs();
const HEX_LOWER: [[u8; 2]; 256] = hex_pairs(b"0123456789abcdef");
const HEX_UPPER: [[u8; 2]; 256] = hex_pairs(b"0123456789ABCDEF");
/// RFC 4648 section 4.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[allow(clippy::indexing_slicing, reason = "in a constant: a wrong index does not build")]
const fn pairs() -> [[u8; 2]; 100] {
    let mut table = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        table[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    table
}

#[allow(clippy::indexing_slicing, reason = "in a constant: a wrong index does not build")]
const fn hex_pairs(digits: &[u8; 16]) -> [[u8; 2]; 256] {
    let mut table = [[b'0'; 2]; 256];
    let mut n = 0;
    while n < 256 {
        table[n] = [digits[n >> 4], digits[n & 15]];
        n += 1;
    }
    table
}

/// `n` modulo 100 as two digits.
#[inline]
fn pair(n: u64) -> [u8; 2] {
    PAIRS.get((n % 100) as usize).copied().unwrap_or_default()
}

/// A decimal number. Appends arrays of known length, which the compiler turns into single moves.
pub fn put_u64(out: &mut Vec<u8>, n: u64) {
    match n {
        0..10 => out.push(b'0' + n as u8),
        10..100 => out.extend_from_slice(&pair(n)),
        100..1_000 => {
            let [a, b] = pair(n);
            out.extend_from_slice(&[b'0' + (n / 100) as u8, a, b]);
        }
        1_000..10_000 => put_four(out, n),
        _ => {
            put_u64(out, n / 10_000);
            put_four(out, n);
        }
    }
}

/// `n` modulo 10,000 as four digits.
#[inline]
fn put_four(out: &mut Vec<u8>, n: u64) {
    let ([a, b], [c, d]) = (pair(n / 100), pair(n));
    out.extend_from_slice(&[a, b, c, d]);
}

/// Nanoseconds as microseconds with three decimals: `491.000`, `190.902`. Always with a fraction,
/// because some databases derive the type of a field from its first value.
pub fn put_micros(out: &mut Vec<u8>, ns: u64) {
    put_u64(out, ns / 1_000);
    let ([_, a], [b, c]) = (pair(ns % 1_000 / 100), pair(ns % 100));
    out.extend_from_slice(&[b'.', a, b, c]);
}

/// `.` and `value` (below 10,000) as four decimal places with trailing zeros cut, all but one.
#[inline]
fn put_fraction(out: &mut Vec<u8>, value: u64) {
    let ([a, b], [c, d]) = (pair(value / 100), pair(value));
    out.extend_from_slice(&[b'.', a, b, c, d]);
    let least = out.len() - 3;
    while out.len() > least && out.last() == Some(&b'0') {
        out.pop();
    }
}

/// The shortest decimal that reads back as the same number, always with a fraction or an exponent,
/// because some databases derive the type of a field from its first value. `value` must be finite.
///
/// Fast path for coordinates and distances with up to four decimals: if `n / 10^4` is exactly the
/// number, its at most 15 digits are the shortest form, since no two such decimals share a double.
pub fn put_f64(out: &mut Vec<u8>, value: f64) {
    let scaled = value * 1e4;
    if scaled.abs() < 1e15 {
        let whole = (scaled + 0.5_f64.copysign(scaled)) as i64;
        if whole as f64 / 1e4 == value {
            if whole < 0 {
                out.push(b'-');
            }
            put_u64(out, whole.unsigned_abs() / 10_000);
            return put_fraction(out, whole.unsigned_abs() % 10_000);
        }
    }
    // Writing to memory cannot fail.
    let _ = write!(out, "{value:?}");
}

/// Bytes in lower-case hexadecimal.
#[inline]
pub fn put_hex<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    let text = bytes.map(|b| HEX_LOWER.get(usize::from(b)).copied().unwrap_or_default());
    out.extend_from_slice(text.as_flattened());
}

/// Bytes in padded base64 (RFC 4648 section 4).
pub fn put_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |n: u32| BASE64.get((n & 63) as usize).copied().unwrap_or(b'=');
    let (triples, rest) = bytes.as_chunks::<3>();
    for [a, b, c] in triples {
        let n = u32::from_be_bytes([0, *a, *b, *c]);
        out.extend_from_slice(&[digit(n >> 18), digit(n >> 12), digit(n >> 6), digit(n)]);
    }
    match *rest {
        [a] => {
            let n = u32::from_be_bytes([0, a, 0, 0]);
            out.extend_from_slice(&[digit(n >> 18), digit(n >> 12), b'=', b'=']);
        }
        [a, b] => {
            let n = u32::from_be_bytes([0, a, b, 0]);
            out.extend_from_slice(&[digit(n >> 18), digit(n >> 12), digit(n >> 6), b'=']);
        }
        _ => {}
    }
}

/// A link-layer address as in ECS: upper case, hyphens (RFC 7042 section 2.1).
pub fn put_mac(out: &mut Vec<u8>, mac: [u8; 6]) {
    let digits = |b: u8| HEX_UPPER.get(usize::from(b)).copied().unwrap_or_default();
    let text = mac.map(digits).map(|[high, low]| [high, low, b'-']);
    out.extend_from_slice(text.as_flattened());
    out.pop();
}

/// An address: dotted IPv4, or IPv6 as in RFC 5952.
pub fn put_addr(out: &mut Vec<u8>, addr: Addr) {
    match addr.0 {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => {
            for octet in [a, b, c, d] {
                put_octet(out, octet);
            }
            out.pop();
        }
        bytes => put_v6(out, bytes),
    }
}

/// Followed by a dot.
#[inline]
fn put_octet(out: &mut Vec<u8>, octet: u8) {
    let [tens, ones] = pair(u64::from(octet));
    match octet {
        0..=9 => out.extend_from_slice(&[ones, b'.']),
        10..=99 => out.extend_from_slice(&[tens, ones, b'.']),
        _ => out.extend_from_slice(&[b'0' + octet / 100, tens, ones, b'.']),
    }
}

fn put_v6(out: &mut Vec<u8>, bytes: [u8; 16]) {
    let (groups, _) = bytes.as_chunks::<2>();
    let (skip_from, skip_to) = longest_zero_run(groups);
    for (i, group) in groups.iter().enumerate() {
        if i == skip_from && skip_to > skip_from {
            out.extend_from_slice(b"::");
        }
        if (skip_from..skip_to).contains(&i) {
            continue;
        }
        if i > 0 && i != skip_to {
            out.push(b':');
        }
        put_group(out, u16::from_be_bytes(*group));
    }
}

/// RFC 5952 section 4.2: the first longest run of at least two zero groups, as a half-open range;
/// `(9, 9)` if there is none.
fn longest_zero_run(groups: &[[u8; 2]]) -> (usize, usize) {
    let (mut best, mut start) = ((9, 9), 0);
    for (i, group) in groups.iter().enumerate() {
        if *group != [0, 0] {
            start = i + 1;
        } else if i + 1 - start >= 2 && i + 1 - start > best.1 - best.0 {
            best = (start, i + 1);
        }
    }
    best
}

fn put_group(out: &mut Vec<u8>, group: u16) {
    let mut started = false;
    for shift in [12, 8, 4, 0] {
        let digit = (group >> shift & 15) as u8;
        started |= digit > 0 || shift == 0;
        if started {
            out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        }
    }
}

/// Writes times. Caches the text of the last two seconds written, since the times of one record
/// mostly share them.
#[derive(Debug)]
pub struct TimeCache {
    last: (u64, [u8; 21]),
    other: (u64, [u8; 21]),
}

impl TimeCache {
    /// With an empty cache.
    pub const fn new() -> TimeCache {
        TimeCache { last: (u64::MAX, [0; 21]), other: (u64::MAX, [0; 21]) }
    }

    /// RFC 3339 in UTC with nine digits of fraction, as `Nanos` displays itself, between quotes.
    #[inline]
    pub fn put_quoted(&mut self, out: &mut Vec<u8>, time: Nanos) {
        let second = time.as_secs();
        if second != self.last.0 {
            std::mem::swap(&mut self.last, &mut self.other);
            if second != self.last.0 {
                self.last = (second, second_text(second));
            }
        }
        let nanos = time.0 % 1_000_000_000;
        let [a, b] = pair(nanos / 10_000_000);
        let [c, d] = pair(nanos / 100_000);
        let [e, f] = pair(nanos / 1_000);
        let [g, h] = pair(nanos / 10);
        out.extend_from_slice(&self.last.1);
        out.extend_from_slice(&[a, b, c, d, e, f, g, h, b'0' + (nanos % 10) as u8, b'Z', b'"']);
    }
}

/// `"2026-11-22T10:00:00.`
fn second_text(second: u64) -> [u8; 21] {
    let (year, month, day) = civil_from_days(second / 86_400);
    let of_day = second % 86_400;
    let ([c1, c2], [y1, y2]) = (pair(year / 100), pair(year));
    let ([m1, m2], [d1, d2]) = (pair(month), pair(day));
    let ([h1, h2], [i1, i2]) = (pair(of_day / 3_600), pair(of_day / 60 % 60));
    let [s1, s2] = pair(of_day % 60);
    [
        b'"', c1, c2, y1, y2, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1, s2,
        b'.',
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv6Addr;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn microseconds_keep_their_nanoseconds() {
        for (ns, want) in [
            (0, "0.000"),
            (7, "0.007"),
            (491_000, "491.000"),
            (190_902, "190.902"),
            (190_900, "190.900"),
            (1_050, "1.050"),
            (u64::MAX, "18446744073709551.615"),
        ] {
            assert_eq!(text(|o| put_micros(o, ns)), want);
        }
    }

    #[test]
    fn base64_as_in_rfc4648_section_10() {
        for (plain, want) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(text(|o| put_base64(o, plain.as_bytes())), want);
        }
    }

    #[test]
    fn addresses_as_in_rfc5952() {
        for want in [
            "192.0.2.1",
            "255.10.9.0",
            "::",
            "::1",
            "1::",
            "2001:db8::1",
            "2001:db8:0:1:1:1:1:1",
            "2001:0:0:1::1",
            "2001:db8::1:0:0:1",
            "ff02::fb",
        ] {
            let ip: std::net::IpAddr = want.parse().unwrap();
            assert_eq!(text(|o| put_addr(o, Addr::from(ip))), want);
        }
        assert_eq!(text(|o| put_mac(o, [0, 0, 0x5e, 0, 0x53, 0xaf])), "00-00-5E-00-53-AF");
        assert_eq!(text(|o| put_hex(o, [0, 0x0f, 0xa5])), "000fa5");
    }

    #[test]
    fn floats_short_and_long() {
        for (value, want) in [
            (47.6, "47.6"),
            (-122.3321, "-122.3321"),
            (0.0, "0.0"),
            (-0.5, "-0.5"),
            (5.0, "5.0"),
            (-1_234.0, "-1234.0"),
            (1e18, "1e18"),
            (2.5e-7, "2.5e-7"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(text(|o| put_f64(o, value)), want);
        }
    }

    proptest! {
        #[test]
        fn integers_agree_with_the_standard_library(n: u64, small in 0u64..200_000) {
            prop_assert_eq!(text(|o| put_u64(o, n)), n.to_string());
            prop_assert_eq!(text(|o| put_u64(o, small)), small.to_string());
        }

        #[test]
        fn moments_agree_with_their_display(a: u64, step in 0u64..3_000_000_000) {
            let mut moments = TimeCache::new();
            for time in [Nanos(a), Nanos(a).plus(Nanos(step))] {
                prop_assert_eq!(text(|o| moments.put_quoted(o, time)), format!("\"{time}\""));
            }
        }

        #[test]
        fn ipv6_agrees_with_the_standard_library(groups in prop::array::uniform8(0u16..3)) {
            let ip = Ipv6Addr::from(groups);
            prop_assert_eq!(text(|o| put_v6(o, ip.octets())), ip.to_string());
        }

        #[test]
        fn floats_read_back(value in -20_000.0f64..20_000.0, n in -2_000_000i64..2_000_000) {
            let back: f64 = text(|o| put_f64(o, value)).parse().unwrap();
            prop_assert_eq!(back.to_bits(), value.to_bits());
            let short = n as f64 / 1e4;
            prop_assert_eq!(text(|o| put_f64(o, short)), format!("{short:?}"));
        }
    }
}
