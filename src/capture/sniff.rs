//! Recognises file types by their first bytes, never by name.
//!
//! Owns: magic numbers of containers. In: the first bytes. Out: a type. Never: I/O.

/// The compression of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    /// None: these are the capture's own bytes.
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878, also with a skippable frame first.
    Zstd,
    /// The .xz file format 1.1.
    Xz,
    /// bzip2, block sizes 1 to 9.
    Bzip2,
}

/// The container that starts with these bytes.
pub(super) fn container_of(head: &[u8]) -> Container {
    match head {
        [0x1f, 0x8b, 8, ..] => Container::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Container::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Container::Xz,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Container::Bzip2,
        _ => Container::Plain,
    }
}

/// A name for a file that is not a supported capture, for the reason in its report.
pub(super) fn describe(head: &[u8]) -> String {
    const TAR_MAGIC_AT: usize = 257;
    let known = match head {
        // POSIX.1-2001 pax interchange format, and the older GNU format.
        _ if head.get(TAR_MAGIC_AT..).is_some_and(|rest| rest.starts_with(b"ustar")) => {
            Some("a tar archive: unpack it first")
        }
        [0x04, 0x22, 0x4d, 0x18, ..] => Some("LZ4 data"),
        [b's', b'n', b'o', b'o', b'p', 0, ..] => Some("a snoop capture"),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Some("a zip archive: unpack it first"),
        [b'7', b'z', 0xbc, 0xaf, ..] => Some("a 7z archive: unpack it first"),
        [b'R', b'a', b'r', b'!', ..] => Some("a RAR archive: unpack it first"),
        [0x1f, 0x8b, 8, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0xfd, b'7', b'z', ..] => {
            Some("compressed twice")
        }
        _ => None,
    };
    match known {
        Some(name) => format!("not a pcap or pcapng file: {name}"),
        None => {
            let hex: Vec<String> = head.iter().take(4).map(|b| format!("{b:02x}")).collect();
            format!("not a pcap or pcapng file: it begins with {}", hex.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_recognised_by_their_magic() {
        assert_eq!(container_of(b"BZh91AY&"), Container::Bzip2);
        assert_eq!(container_of(b"BZh0"), Container::Plain);
        assert_eq!(container_of(&[0x1f, 0x8b, 8, 0]), Container::Gzip);
        assert_eq!(container_of(&[0x5a, 0x2a, 0x4d, 0x18]), Container::Zstd);
        assert_eq!(container_of(b"\xfd7zXZ\0"), Container::Xz);
        assert_eq!(container_of(&[0x1f]), Container::Plain);
    }

    #[test]
    fn an_archive_is_named_by_its_format() {
        let mut tar = b"captures/a.pcap".to_vec();
        tar.resize(257, 0);
        tar.extend(b"ustar\x0000");
        for (head, want) in [
            (&tar[..], "a tar archive: unpack it first"),
            (b"PK\x03\x04\x14\0", "a zip archive: unpack it first"),
            (b"PK\x05\x06\0\0", "a zip archive: unpack it first"),
            (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
        ] {
            assert_eq!(describe(head), format!("not a pcap or pcapng file: {want}"));
        }
    }
}
