//! SSH in clear: the identification string and the first binary packet (RFC 4253 sections 4.2, 6,
//! 7.1).
//!
//! Owns: where the string ends, where a packet ends, the ten name-lists. In: one direction's bytes.
//! Out: views that borrow from them. Never: anything after NEWKEYS.

use crate::wire::{Fault, Reader, WireError};

/// Longest identification string, CR and LF included (RFC 4253 section 4.2).
pub const IDENTIFICATION_MAX: usize = 255;
/// Longest packet an implementation must be able to process (RFC 4253 section 6.1).
pub const PACKET_MAX: usize = 35_000;
/// Message number of KEXINIT (RFC 4250 section 4.1.2).
pub const MSG_KEXINIT: u8 = 20;
/// Highest number of the transport layer's generic messages (DISCONNECT, IGNORE, ... 1 to 19).
pub const MSG_GENERIC_LAST: u8 = 19;

/// The identification string and the bytes it took with its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identification<'a> {
    /// `SSH-2.0-OpenSSH_9.6` without CR and LF.
    pub text: &'a [u8],
    /// Bytes used, line end included.
    pub used: usize,
}

impl Identification<'_> {
    /// Whether the sender supports version 2: `2.0`, or `1.99` (RFC 4253 section 5.1).
    pub fn speaks_v2(&self) -> bool {
        self.text.starts_with(b"SSH-2.") || self.text.starts_with(b"SSH-1.99")
    }
}

/// Reads an identification string at the start of `bytes`.
pub fn identification(bytes: &[u8]) -> Result<Identification<'_>, WireError> {
    let magic = b"SSH-";
    let head = bytes.get(..magic.len()).unwrap_or(bytes);
    if !magic.starts_with(head) {
        return Err(WireError::NotThis);
    }
    let window = bytes.get(..IDENTIFICATION_MAX).unwrap_or(bytes);
    #[cfg(test)]
    crate::wire::reader::visited::note(window.len());
    match window.iter().position(|b| *b == b'\n') {
        Some(end) => {
            let line = window.get(..end).unwrap_or_default();
            let text = line.strip_suffix(b"\r").unwrap_or(line);
            if text.iter().any(|b| *b < 0x20 || *b == 0x7f) {
                return Err(WireError::Malformed(
                    Fault::Value,
                    "control character in identification",
                ));
            }
            Ok(Identification { text, used: end + 1 })
        }
        None if bytes.len() < IDENTIFICATION_MAX => Err(WireError::NeedMore(1)),
        None => Err(WireError::Malformed(Fault::OverCap, "identification too long")),
    }
}

/// A server may send other lines first (RFC 4253 section 4.2): where `SSH-` begins a later line.
pub fn identification_after_lines(bytes: &[u8]) -> Option<usize> {
    #[cfg(test)]
    crate::wire::reader::visited::note(bytes.len());
    bytes.windows(5).position(|w| w == b"\nSSH-").map(|at| at + 1)
}

/// One unencrypted binary packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainPacket<'a> {
    /// Payload: message number first.
    pub payload: &'a [u8],
    /// Bytes used.
    pub used: usize,
}

/// Reads a binary packet before encryption starts (RFC 4253 section 6).
pub fn plain_packet(bytes: &[u8]) -> Result<PlainPacket<'_>, WireError> {
    let mut r = Reader::new(bytes);
    let length = r.u32()? as usize;
    if !(2..=PACKET_MAX).contains(&length) {
        return Err(WireError::Malformed(Fault::Length, "packet length"));
    }
    let mut body = r.sub(length)?;
    let padding = usize::from(body.u8()?);
    let Some(payload) = body.left().checked_sub(padding) else {
        return Err(WireError::Malformed(Fault::Length, "padding length"));
    };
    Ok(PlainPacket { payload: body.take(payload)?, used: 4 + length })
}

/// The name-lists of a KEXINIT that HASSH reads (RFC 4253 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KexInit<'a> {
    /// kex_algorithms.
    pub kex: &'a [u8],
    /// encryption_algorithms, client to server and back.
    pub encryption: [&'a [u8]; 2],
    /// mac_algorithms, client to server and back.
    pub mac: [&'a [u8]; 2],
    /// compression_algorithms, client to server and back.
    pub compression: [&'a [u8]; 2],
}

impl<'a> KexInit<'a> {
    /// Reads the payload of a KEXINIT, message number included.
    pub fn parse(payload: &'a [u8]) -> Result<KexInit<'a>, WireError> {
        Self::read(payload).map_err(|why| match why {
            // The packet is complete: a missing field is an error.
            WireError::NeedMore(_) => WireError::Malformed(Fault::Truncated, "KEXINIT cut"),
            other => other,
        })
    }

    fn read(payload: &'a [u8]) -> Result<KexInit<'a>, WireError> {
        let mut r = Reader::new(payload);
        if r.u8()? != MSG_KEXINIT {
            return Err(WireError::NotThis);
        }
        r.skip(16)?;
        let mut list = || r.sub_u32().map(|list| list.rest());
        let kex = list()?;
        let _host_keys = list()?;
        let encryption = [list()?, list()?];
        let mac = [list()?, list()?];
        let compression = [list()?, list()?];
        Ok(KexInit { kex, encryption, mac, compression })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_identification_ends_at_its_line() {
        let id = identification(b"SSH-2.0-OpenSSH_9.6p1 Debian\r\n\0\0").unwrap();
        assert_eq!((id.text, id.used), (&b"SSH-2.0-OpenSSH_9.6p1 Debian"[..], 30));
        assert!(id.speaks_v2());
        let bare = identification(b"SSH-1.5-1.2.26\n").unwrap();
        assert_eq!((bare.text, bare.used, bare.speaks_v2()), (&b"SSH-1.5-1.2.26"[..], 15, false));
        assert_eq!(identification(b"SS"), Err(WireError::NeedMore(1)));
        assert_eq!(identification(b"SMTP"), Err(WireError::NotThis));
    }

    #[test]
    fn an_identification_has_a_longest_length() {
        let mut long = b"SSH-2.0-".to_vec();
        long.resize(254, b'x');
        assert_eq!(identification(&long), Err(WireError::NeedMore(1)));
        long.push(b'x');
        assert_eq!(
            identification(&long),
            Err(WireError::Malformed(Fault::OverCap, "identification too long"))
        );
    }

    #[test]
    fn lines_may_precede_the_identification() {
        assert_eq!(identification_after_lines(b"Hello\r\nSSH-2.0-x\r\n"), Some(7));
        assert_eq!(identification_after_lines(b"Hello SSH-2.0"), None);
    }

    #[test]
    fn a_packet_is_its_length_padding_and_payload() {
        let bytes = [0, 0, 0, 6, 3, 20, 7, 0, 0, 0, 99];
        assert_eq!(plain_packet(&bytes), Ok(PlainPacket { payload: &[20, 7], used: 10 }));
        assert_eq!(plain_packet(&bytes[..9]), Err(WireError::NeedMore(1)));
        let lying = [0, 0, 0, 2, 9, 20];
        assert_eq!(
            plain_packet(&lying),
            Err(WireError::Malformed(Fault::Length, "padding length"))
        );
        let huge = [0xff, 0, 0, 0, 4, 20];
        assert_eq!(plain_packet(&huge), Err(WireError::Malformed(Fault::Length, "packet length")));
    }

    #[test]
    fn a_list_longer_than_its_packet_is_malformed() {
        let mut payload = vec![20u8; 17];
        payload.extend([0, 0, 1, 0, b'a']);
        assert_eq!(
            KexInit::parse(&payload),
            Err(WireError::Malformed(Fault::Truncated, "KEXINIT cut"))
        );
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = identification(&bytes);
            let _ = identification_after_lines(&bytes);
            let _ = KexInit::parse(&bytes);
            if let Ok(packet) = plain_packet(&bytes) {
                prop_assert!(packet.used <= bytes.len());
            }
        }
    }
}
