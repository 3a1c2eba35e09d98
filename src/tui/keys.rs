//! Keys out of the bytes that a terminal sends.
//!
//! Owns: the sequences of xterm, tmux, screen and the Linux console. In: bytes that came together.
//! Out: keys. Never: characters of a sequence that is not known taken as typed.

use super::view::Key;

const ESCAPE: u8 = 0x1b;

/// Whether bytes end with the beginning of a sequence, or with Escape.
pub(super) fn is_begun(bytes: &[u8]) -> bool {
    matches!(bytes, [.., ESCAPE] | [.., ESCAPE, b'[' | b'O'])
}

/// The keys.
pub(super) fn of(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while !bytes.is_empty() {
        let (key, rest) = next(bytes);
        keys.extend(key);
        bytes = rest;
    }
    keys
}

/// The next key, if it is one that is known, and the bytes after it.
fn next(bytes: &[u8]) -> (Option<Key>, &[u8]) {
    match bytes {
        // ECMA-48 5.4: parameters, then one byte that says what it is.
        [ESCAPE, b'[', rest @ ..] => {
            let end = rest.iter().position(|byte| (0x40..=0x7e).contains(byte));
            let (sequence, rest) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            (sequence_key(sequence), rest)
        }
        [ESCAPE, b'O', byte, rest @ ..] => (sequence_key(&[*byte]), rest),
        [ESCAPE, rest @ ..] => (Some(Key::Escape), rest),
        [0x03 | 0x04, rest @ ..] => (Some(Key::Interrupt), rest),
        [b'\t', rest @ ..] => (Some(Key::Next), rest),
        [b'\r' | b'\n', rest @ ..] => (Some(Key::Enter), rest),
        [0x08 | 0x7f, rest @ ..] => (Some(Key::Backspace), rest),
        [byte, rest @ ..] if *byte < 0x20 => (None, rest),
        _ => character(bytes),
    }
}

/// A character of up to four bytes; a byte that begins none is passed over.
fn character(bytes: &[u8]) -> (Option<Key>, &[u8]) {
    let whole = (1..=4).find_map(|len| {
        let (character, rest) = bytes.split_at_checked(len)?;
        let c = std::str::from_utf8(character).ok()?.chars().next()?;
        Some((Some(Key::Char(c)), rest))
    });
    whole.unwrap_or((None, bytes.get(1..).unwrap_or_default()))
}

fn sequence_key(sequence: &[u8]) -> Option<Key> {
    Some(match sequence {
        [.., b'A'] => Key::Up,
        [.., b'B'] => Key::Down,
        [.., b'C'] => Key::Next,
        [.., b'D'] | b"Z" => Key::Before,
        [.., b'H'] | b"1~" | b"7~" => Key::Home,
        [.., b'F'] | b"4~" | b"8~" => Key::End,
        b"5~" => Key::PageUp,
        b"6~" => Key::PageDown,
        b"M" => Key::Enter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_each_kind_of_terminal_are_known() {
        let keys = of(b"\x1b[A\x1bOB\x1b[1;5C\x1b[D\x1b[Z\t\r\x7f\x08\x03");
        use Key::{Backspace, Before, Down, Enter, Interrupt, Next, Up};
        let want = [Up, Down, Next, Before, Before, Next, Enter, Backspace, Backspace, Interrupt];
        assert_eq!(keys, want);
        let keys = of(b"\x1b[H\x1b[1~\x1bOH\x1b[F\x1b[4~\x1b[5~\x1b[6~");
        use Key::{End, Home, PageDown, PageUp};
        assert_eq!(keys, [Home, Home, Home, End, End, PageUp, PageDown]);
        assert_eq!(of("aé東".as_bytes()), ['a', 'é', '東'].map(Key::Char));
    }

    #[test]
    fn escape_alone_is_a_key_and_what_is_not_known_is_none() {
        assert_eq!(of(b"\x1b"), [Key::Escape]);
        assert_eq!(of(b"\x1b\x1b"), [Key::Escape, Key::Escape]);
        assert_eq!(of(b"\x1b\x1b[A"), [Key::Escape, Key::Up]);
        assert_eq!(
            of(b"\x1b[200~q\x1b[24;5~\x1bq\x1a"),
            [Key::Char('q'), Key::Escape, Key::Char('q')]
        );
        assert!(is_begun(b"q\x1b") && is_begun(b"\x1b[") && !is_begun(b"\x1b[A"));
    }

    #[test]
    fn any_bytes_end() {
        for a in 0..=255_u8 {
            for b in 0..=255 {
                of(&[a, b]);
                of(&[ESCAPE, b'[', a, b]);
                of(&[0xf0, a, b]);
            }
        }
    }
}
