//! Converts bytes that should be text.
//!
//! Owns: one rule for all. In: bytes and a cap. Out: a string that is safe to keep.
//! Never: keeps control characters or more than the cap.

/// At most `bytes_max` bytes as UTF-8; invalid UTF-8 and control characters become U+FFFD.
pub fn shown(bytes: &[u8], bytes_max: usize) -> Box<str> {
    let cut = bytes.get(..bytes_max).unwrap_or(bytes);
    // Nearly all of it is plain; looks at every byte, so that several are compared at once.
    if cut.iter().fold(true, |plain, byte| plain & matches!(byte, 0x20..=0x7e))
        && let Ok(text) = str::from_utf8(cut)
    {
        return text.into();
    }
    let text = String::from_utf8_lossy(cut);
    if text.chars().any(char::is_control) {
        text.replace(char::is_control, "\u{fffd}").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_text_and_marks_the_rest() {
        assert_eq!(&*shown("Grüße".as_bytes(), 99), "Grüße");
        assert_eq!(&*shown(b"a\x00b\xff", 99), "a\u{fffd}b\u{fffd}");
        assert_eq!(&*shown(b"abcdef", 3), "abc");
    }
}
