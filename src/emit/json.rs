//! JSON strings.
//!
//! Owns: their escapes (RFC 8259 section 7, and what is never shown raw). In: text. Out: bytes.
//! Never: structure.

use crate::emit::text;
use crate::model::escape::is_unsafe;

/// A JSON string with its quotes (RFC 8259 section 7).
pub fn put_string(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    put_text(out, value);
}

/// The inside of a JSON string and the quote that ends it.
pub fn put_text(out: &mut Vec<u8>, value: &str) {
    let start = out.len();
    if copy_plain(out, value.as_bytes()) {
        out.push(b'"');
        return;
    }
    out.truncate(start);
    for c in value.chars() {
        put_escaped(out, c);
    }
    out.push(b'"');
}

/// Copies eight bytes at a time; returns whether all of them are ASCII that needs no escape.
fn copy_plain(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hits = 0;
    for word in words {
        hits |= escape_bits(u64::from_le_bytes(*word));
        out.extend_from_slice(word);
    }
    match bytes.last_chunk::<8>() {
        Some(_) if rest.is_empty() => {}
        Some(last) => {
            // The last eight bytes overlap bytes that were already copied.
            out.truncate(out.len() + rest.len() - 8);
            hits |= escape_bits(u64::from_le_bytes(*last));
            out.extend_from_slice(last);
        }
        None => {
            for b in rest {
                hits |= u64::from(matches!(b, 0..0x20 | b'"' | b'\\' | 0x7f..));
                out.push(*b);
            }
        }
    }
    hits == 0
}

/// Non-zero where one of the eight bytes may need an escape (borrows can only add marks above a
/// true one).
fn escape_bits(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero_byte = |w: u64| w.wrapping_sub(ONES) & !w;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zero_byte(word ^ (ONES * b'"' as u64));
    let backslash = zero_byte(word ^ (ONES * b'\\' as u64));
    let delete = zero_byte(word ^ (ONES * 0x7f));
    // Bytes beyond ASCII are checked character by character.
    (control | quote | backslash | delete | word) & HIGH
}

fn put_escaped(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        c if is_unsafe(c) => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(b"\\u");
                text::put_hex(out, unit.to_be_bytes());
            }
        }
        c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_ascii_byte_reads_back_from_every_position_of_a_word() {
        for b in 0..0x80u8 {
            for (len, at) in (1..18).flat_map(|len| (0..len).map(move |at| (len, at))) {
                let mut text = "x".repeat(len);
                text.replace_range(at..=at, char::from(b).encode_utf8(&mut [0; 4]));
                let mut out = Vec::new();
                put_string(&mut out, &text);
                assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
            }
        }
    }

    proptest! {
        #[test]
        fn any_string_reads_back(text: String, unsafe_one in 0u32..0x800, at in 0usize..20) {
            let mut text = text;
            let at = text.char_indices().map(|(i, _)| i).nth(at).unwrap_or(text.len());
            text.insert(at, char::from_u32(unsafe_one + 0x1f80 * (unsafe_one & 1)).unwrap_or('x'));
            let mut out = Vec::new();
            put_string(&mut out, &text);
            let json = std::str::from_utf8(&out).unwrap();
            prop_assert!(!json.chars().any(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<String>(json).unwrap(), text);
        }
    }
}
