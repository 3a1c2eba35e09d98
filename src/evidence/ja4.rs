//! JA4, the TLS client fingerprint: 36 characters that survive shuffled extensions (published by
//! FoxIO under BSD 3-Clause, <https://github.com/FoxIO-LLC/ja4>).
//!
//! Owns: the three parts `a_b_c`. In: a ClientHello and what carried it. Out: the text. Never:
//! another format of that family.

use sha2::Sha256;

use crate::evidence::hashed::Hashed;
use crate::evidence::known_hashes::{self, Short};
use crate::wire::tls::{ClientHello, extension, is_grease};

/// Characters of a JA4.
pub const JA4_CHARS: usize = 36;
/// Values of a list that are sorted on the stack: several times what real hellos have. A longer
/// list is sorted on the heap; the hello bounds its length.
const INLINE_MAX: usize = 256;
/// The hash of an empty list.
const EMPTY: &str = "000000000000";
/// The maximum of two digits.
const COUNT_MAX: usize = 99;

/// What carried the ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// TLS over TCP.
    Tcp,
    /// QUIC.
    Quic,
    /// DTLS.
    Dtls,
}

impl Carrier {
    const fn letter(self) -> char {
        match self {
            Carrier::Tcp => 't',
            Carrier::Quic => 'q',
            Carrier::Dtls => 'd',
        }
    }
}

/// Extensions that one program sends at times: those of a resumption (RFC 8446 sections 4.2.10 and
/// 4.2.11), and padding (RFC 7685), which depends on the length of the rest.
const AT_TIMES: [u16; 3] = [extension::PADDING, extension::PRE_SHARED_KEY, extension::EARLY_DATA];

/// JA4 of a ClientHello.
pub fn ja4(hello: &ClientHello<'_>, carrier: Carrier) -> Box<str> {
    text(hello, carrier, &[], None)
}

/// JA4 of the ClientHello that the same program sends if it neither resumes a session nor pads;
/// `None` if this is one. `ja4` is that of the hello as it is: the part of the cipher suites is the
/// same.
pub fn ja4_unresumed(hello: &ClientHello<'_>, carrier: Carrier, ja4: &str) -> Option<Box<str>> {
    let at_times = AT_TIMES.iter().any(|number| hello.extensions.has(*number));
    at_times.then(|| text(hello, carrier, &AT_TIMES, ja4.split('_').nth(1)))
}

fn text(
    hello: &ClientHello<'_>,
    carrier: Carrier,
    without: &[u16],
    suites_hash: Option<&str>,
) -> Box<str> {
    let mut out = String::with_capacity(JA4_CHARS);
    let suites = hello.cipher_suites().filter(|v| !is_grease(*v));
    let numbers = hello.extensions.map(|e| e.number);
    let numbers = numbers.filter(|v| !is_grease(*v) && !without.contains(v));
    out.push(carrier.letter());
    out.push_str(version(hello.version_highest()));
    out.push(if hello.extensions.has(extension::SERVER_NAME) { 'd' } else { 'i' });
    push_count(&mut out, suites.clone().count());
    push_count(&mut out, numbers.clone().count());
    push_alpn(&mut out, hello.alpn().next().unwrap_or_default());
    out.push('_');
    match suites_hash {
        Some(known) => out.push_str(known),
        None => push_hash(&mut out, suites, std::iter::empty()),
    }
    out.push('_');
    let hashed = numbers.filter(|v| !matches!(*v, extension::SERVER_NAME | extension::ALPN));
    push_hash(&mut out, hashed, hello.signature_algorithms().filter(|v| !is_grease(*v)));
    out.into_boxed_str()
}

const fn version(version: u16) -> &'static str {
    match version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        0xfeff => "d1",
        0xfefd => "d2",
        0xfefc => "d3",
        _ => "00",
    }
}

fn push_count(out: &mut String, count: usize) {
    let count = count.min(COUNT_MAX) as u8;
    out.push(char::from(b'0' + count / 10));
    out.push(char::from(b'0' + count % 10));
}

/// First and last character of the first ALPN name; where either is not an ASCII letter or digit,
/// first and last of its hexadecimal form.
fn push_alpn(out: &mut String, name: &[u8]) {
    let (Some(&first), Some(&last)) = (name.first(), name.last()) else {
        out.push_str("00");
        return;
    };
    let ends = if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        [first, last]
    } else {
        [hex(first >> 4), hex(last & 0xf)]
    };
    out.extend(ends.map(char::from));
}

/// The first twelve hexadecimal digits of the SHA-256 of the sorted values, with `tail` in its own
/// order behind an underscore.
fn push_hash(
    out: &mut String,
    sorted: impl Iterator<Item = u16> + Clone,
    tail: impl Iterator<Item = u16> + Clone,
) {
    let count = sorted.clone().count();
    if count == 0 {
        out.push_str(EMPTY);
        return;
    }
    let whole = count + tail.clone().count();
    let mut inline = [0; INLINE_MAX];
    let mut spilled = vec![];
    // One place is for the number of those that are sorted.
    let list = match inline.get_mut(..=whole) {
        Some(list) => list,
        None => {
            spilled.resize(whole + 1, 0);
            &mut spilled
        }
    };
    let lead = std::iter::once(count as u16);
    list.iter_mut().zip(lead.chain(sorted).chain(tail)).for_each(|(slot, value)| *slot = value);
    if let Some(sorted) = list.get_mut(1..=count) {
        sorted.sort_unstable();
    }
    let hash = known_hashes::of(list, || {
        let values = list.get(1..).unwrap_or_default();
        let (sorted, tail) = values.split_at_checked(count).unwrap_or((values, &[]));
        hash(sorted, tail)
    });
    for byte in hash {
        out.push(char::from(hex(byte >> 4)));
        out.push(char::from(hex(byte & 0xf)));
    }
}

/// The start of the hash of values as text: four hexadecimal digits each, with commas between, and
/// an underscore before the tail.
fn hash(sorted: &[u16], tail: &[u16]) -> Short {
    let mut text = Hashed::<Sha256>::new();
    for (lead, values) in [(None, sorted), (Some(b'_'), tail)] {
        let mut lead = lead;
        for value in values {
            if let Some(lead) = lead {
                text.put([lead]);
            }
            text.put([12, 8, 4, 0].map(|shift| hex((value >> shift) as u8 & 0xf)));
            lead = Some(b',');
        }
    }
    let whole: [u8; 32] = text.finish().into();
    whole.first_chunk().copied().unwrap_or_default()
}

/// One lower-case hexadecimal digit of a value below 16.
const fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

#[cfg(test)]
#[path = "ja4_tests.rs"]
mod tests;
