//! Classifies a segment of an opening by its first bytes.
//!
//! Owns: the patterns that delimit a turn. In: the payload of one segment. Out: yes or no. Never: a
//! full parse (the observers do that), or state.

/// Length of a TLS 1.3 record that holds Finished and no more: header 4, verify data of 32 or 48
/// bytes, content type 1, tag 16 (RFC 8446 sections 4.4.4 and 5.2); tag 8 with AES-128-CCM-8.
const FINISHED_RECORDS: [u16; 4] = [53, 69, 45, 61];

/// A handshake record (RFC 8446 section 5.1) that begins with a message of this type.
fn begins_message(bytes: &[u8], kind: u8) -> bool {
    matches!(bytes, [0x16, 3, _, _, _, found, ..] if *found == kind)
}

/// RFC 8446 section 4: client_hello is 1.
pub(super) fn is_client_hello(bytes: &[u8]) -> bool {
    begins_message(bytes, 1)
}

/// RFC 8446 section 4: server_hello is 2.
pub(super) fn is_server_hello(bytes: &[u8]) -> bool {
    begins_message(bytes, 2)
}

/// An alert record.
pub(super) fn is_alert(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15, 3, ..])
}

/// An application data record.
pub(super) fn is_application_data(bytes: &[u8]) -> bool {
    matches!(bytes, [0x17, 3, ..])
}

/// TLS 1.2: NewSessionTicket or ChangeCipherSpec, with which the server ends the handshake
/// (RFC 5246 section 7.3, RFC 5077 section 3.3).
pub(super) fn ends_handshake(bytes: &[u8]) -> bool {
    begins_message(bytes, 4) || matches!(bytes, [0x14, 3, _, 0, 1, 1, ..])
}

/// Whether the client's second flight starts with a certificate: in clear up to TLS 1.2
/// (certificate is 11; RFC 5246 section 7.4.6); in TLS 1.3 its first protected record is then
/// longer than a Finished.
pub(super) fn sends_certificate(bytes: &[u8]) -> bool {
    let protected = match bytes {
        [0x14, 3, _, 0, 1, 1, rest @ ..] => rest,
        all => all,
    };
    match protected {
        [0x17, 3, _, high, low, ..] => {
            !FINISHED_RECORDS.contains(&u16::from_be_bytes([*high, *low]))
        }
        _ => begins_message(bytes, 11),
    }
}

/// TPKT with an X.224 connection request (MS-RDPBCGR section 2.2.1.1).
pub(super) fn is_rdp_request(bytes: &[u8]) -> bool {
    matches!(bytes, [3, 0, _, _, _, 0xe0, ..])
}

/// An SSH packet with this message number at the start (RFC 4253 section 6).
fn begins_packet(bytes: &[u8], number: u8) -> bool {
    matches!(bytes, [0, 0, _, _, _, found, ..] if *found == number)
}

/// KEXINIT (20), alone or after the identification string in one segment.
pub(super) fn has_kexinit(bytes: &[u8]) -> bool {
    if !bytes.starts_with(b"SSH-") {
        return begins_packet(bytes, 20);
    }
    let end = bytes.iter().take(256).position(|b| *b == b'\n');
    end.and_then(|end| bytes.get(end + 1..)).is_some_and(|rest| begins_packet(rest, 20))
}

/// NEWKEYS (21): with the padding that fills a block of 8, as no cipher runs yet.
pub(super) fn is_newkeys(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0, 0, 0, 12, 10, 21])
}
