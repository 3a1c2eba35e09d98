//! SMB over TCP: its version, and the security token of a session setup (MS-SMB2
//! sections 2.1, 2.2.1, 2.2.5 and 2.2.6; MS-CIFS section 2.2.3; MS-SMB section 2.2.4.6).
//!
//! Owns: the header, and the place of a security token. In: the start of a message. Out: views.
//! Never: reads the token: SPNEGO, NTLM or Kerberos.

use crate::wire::{Reader, WireError};

/// Bytes of the header of SMB 2 and 3.
const HEADER_2: usize = 64;
/// Bytes of the header of SMB 1.
const HEADER_1: usize = 32;
/// Bytes of the prefix that gives the length over TCP.
const PREFIX: usize = 4;
/// SESSION_SETUP of SMB 2.
const SETUP_2: u16 = 1;
/// SMB_COM_SESSION_SETUP_ANDX of SMB 1.
const SETUP_1: u8 = 0x73;

/// Which header a message begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// SMB 1.
    One,
    /// SMB 2 or 3.
    Two,
    /// SMB 3, encrypted or compressed.
    Hidden,
}

/// Reads the prefix and the first four bytes of a message.
///
/// # Errors
/// `NotThis` if it is not SMB, `NeedMore` while it is incomplete.
pub fn version(bytes: &[u8]) -> Result<Version, WireError> {
    let mut r = Reader::new(bytes);
    if r.u8()? != 0 {
        return Err(WireError::NotThis);
    }
    let length = r.u24()? as usize;
    let (version, least) = match r.array()? {
        [0xff, b'S', b'M', b'B'] => (Version::One, HEADER_1),
        [0xfe, b'S', b'M', b'B'] => (Version::Two, HEADER_2),
        [0xfc | 0xfd, b'S', b'M', b'B'] => (Version::Hidden, 16),
        _ => return Err(WireError::NotThis),
    };
    if length < least { Err(WireError::NotThis) } else { Ok(version) }
}

/// The security token (SPNEGO or NTLM) of a session setup, request or response, as far as it was
/// received. `None` for any other message.
pub fn token(bytes: &[u8]) -> Option<&[u8]> {
    let version = version(bytes).ok()?;
    let message = bytes.get(PREFIX..)?;
    match version {
        Version::One => token_1(message).ok().flatten(),
        Version::Two => token_2(message).ok().flatten(),
        Version::Hidden => None,
    }
}

fn token_2(message: &[u8]) -> Result<Option<&[u8]>, WireError> {
    let mut r = Reader::new(message);
    let header = r.take(HEADER_2)?;
    let mut fields = Reader::new(header);
    fields.skip(12)?;
    let command = little(&mut fields)?;
    fields.skip(2)?;
    let answers = fields.u8()? & 1 == 1;
    if command != SETUP_2 {
        return Ok(None);
    }
    // Structure sizes of the request and the response.
    let expected = if answers { 9 } else { 25 };
    if little(&mut r)? != expected {
        return Ok(None);
    }
    r.skip(if answers { 2 } else { 10 })?;
    let (offset, length) = (usize::from(little(&mut r)?), usize::from(little(&mut r)?));
    Ok(cut(message, offset, length))
}

fn token_1(message: &[u8]) -> Result<Option<&[u8]>, WireError> {
    let mut r = Reader::new(message);
    let header = r.take(HEADER_1)?;
    let words = r.u8()?;
    let mut parameters = r.sub(2 * usize::from(words))?;
    // Extended security has 12 words in the request and 4 in the response.
    let skip = match (header.get(4), words) {
        (Some(&SETUP_1), 12) => 14,
        (Some(&SETUP_1), 4) => 6,
        _ => return Ok(None),
    };
    parameters.skip(skip)?;
    let length = usize::from(little(&mut parameters)?);
    r.skip(2)?;
    Ok(cut(r.rest(), 0, length))
}

fn little(r: &mut Reader<'_>) -> Result<u16, WireError> {
    r.array().map(u16::from_le_bytes)
}

/// Bytes of a buffer that may continue in the next segment.
fn cut(bytes: &[u8], offset: usize, length: usize) -> Option<&[u8]> {
    let from = bytes.get(offset..)?;
    let token = from.get(..length).unwrap_or(from);
    (!token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        [&(message.len() as u32).to_be_bytes()[..], message].concat()
    }

    fn setup_2(answers: bool, token: &[u8]) -> Vec<u8> {
        let mut header = vec![0; HEADER_2];
        header[..4].copy_from_slice(b"\xfeSMB");
        header[12] = 1;
        header[16] = u8::from(answers);
        let mut body = if answers { vec![9, 0, 0, 0] } else { vec![25; 12] };
        if !answers {
            body[1] = 0;
        }
        let offset = (HEADER_2 + body.len() + 4 + if answers { 0 } else { 8 }) as u16;
        body.extend(offset.to_le_bytes());
        body.extend((token.len() as u16).to_le_bytes());
        if !answers {
            body.extend([0; 8]);
        }
        framed(&[&header, &body, token].concat())
    }

    #[test]
    fn versions_are_recognised_by_their_protocol_ids() {
        assert_eq!(version(&setup_2(false, b"t")), Ok(Version::Two));
        assert_eq!(version(b"\0\0\0\x20\xffSMB"), Ok(Version::One));
        assert_eq!(version(b"\0\0\0\x40\xfdSMB"), Ok(Version::Hidden));
        assert_eq!(version(b"\0\0\0\x1f\xffSMB"), Err(WireError::NotThis));
        assert_eq!(version(b"\0\0\0\x20\xffSMC"), Err(WireError::NotThis));
        assert_eq!(version(b"\0\0\0\x20\xffSM"), Err(WireError::NeedMore(1)));
    }

    #[test]
    fn tokens_of_a_session_setup_are_found() {
        assert_eq!(token(&setup_2(false, b"NTLMSSP")), Some(&b"NTLMSSP"[..]));
        assert_eq!(token(&setup_2(true, b"NTLMSSP")), Some(&b"NTLMSSP"[..]));
        let mut other = setup_2(false, b"NTLMSSP");
        other[PREFIX + 12] = 0;
        assert_eq!(token(&other), None, "not a session setup");
        let mut old = vec![0; HEADER_1];
        old[..5].copy_from_slice(b"\xffSMB\x73");
        old.push(12);
        let mut words = [0; 24];
        words[14] = 3;
        old.extend(words);
        old.extend([5, 0]);
        old.extend(b"tokxx");
        assert_eq!(token(&framed(&old)), Some(&b"tok"[..]));
    }

    proptest! {
        #[test]
        fn never_panics(answers: bool, at in 0usize..120, value: u8, cut in 0usize..120) {
            let mut bytes = setup_2(answers, b"NTLMSSP\0more");
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            bytes.truncate(cut);
            if let Some(found) = token(&bytes) {
                prop_assert!(found.len() <= bytes.len());
            }
        }
    }
}
