//! NTLM messages ([MS-NLMP] section 2.2.1), as HTTP, SMB, LDAP, RDP and others carry them.
//!
//! Owns: user, domain and workstation names. In: bytes from the signature on.
//! Out: a view into them. Never: keeps a response or a key.

use std::fmt::{self, Write};

use crate::wire::{Fault, Reader, WireError};

/// The signature of every message.
const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";
/// NTLMSSP_NEGOTIATE_UNICODE ([MS-NLMP] section 2.2.2.5).
const UNICODE: u32 = 0x0000_0001;
/// NTLMSSP_NEGOTIATE_OEM_DOMAIN_SUPPLIED, _WORKSTATION_SUPPLIED.
const DOMAIN_SUPPLIED: u32 = 0x0000_1000;
const WORKSTATION_SUPPLIED: u32 = 0x0000_2000;
/// Bytes searched for the signature: SPNEGO puts a few dozen before it.
const SEARCHED_BYTES: usize = 512;
/// Pairs of a target's information: ten kinds exist ([MS-NLMP] section 2.2.2.1).
const PAIRS_MAX: usize = 16;
/// Characters written of one name.
const TEXT_CHARS_MAX: usize = 255;

/// A raw name: UTF-16LE, or in the OEM code page, of which only ASCII is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    bytes: &'a [u8],
    is_unicode: bool,
}

impl Text<'_> {
    /// Whether it is empty.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// At most 255 characters; invalid and control characters become U+FFFD.
impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clean = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        if self.is_unicode {
            let mut r = Reader::new(self.bytes);
            let units = std::iter::from_fn(|| r.array().ok().map(u16::from_le_bytes));
            let chars =
                char::decode_utf16(units).map(|c| clean(c.unwrap_or(char::REPLACEMENT_CHARACTER)));
            return chars.take(TEXT_CHARS_MAX).try_for_each(|c| f.write_char(c));
        }
        let of = |b: &u8| if b.is_ascii() { clean(char::from(*b)) } else { '\u{fffd}' };
        self.bytes.iter().map(of).take(TEXT_CHARS_MAX).try_for_each(|c| f.write_char(c))
    }
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NtlmMessage<'a> {
    /// Type 1, NEGOTIATE; newer clients leave both names out.
    Negotiate {
        /// Its domain.
        domain: Option<Text<'a>>,
        /// Its own name.
        workstation: Option<Text<'a>>,
    },
    /// Type 2, CHALLENGE.
    Challenge {
        /// The server's domain or own name.
        target: Text<'a>,
        /// Names of the server.
        server: Target<'a>,
    },
    /// Type 3, AUTHENTICATE.
    Authenticate {
        /// Domain of the user.
        domain: Text<'a>,
        /// The user; empty for an anonymous session.
        user: Text<'a>,
        /// The client's own name.
        workstation: Text<'a>,
    },
}

/// A server's names (AV_PAIR, [MS-NLMP] section 2.2.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target<'a> {
    /// NetBIOS name of the server.
    pub computer: Option<Text<'a>>,
    /// NetBIOS name of its domain.
    pub domain: Option<Text<'a>>,
    /// DNS name of the server.
    pub dns_computer: Option<Text<'a>>,
    /// DNS name of its domain.
    pub dns_domain: Option<Text<'a>>,
}

impl<'a> NtlmMessage<'a> {
    /// Reads the message at the start of `bytes`; bytes after it are ignored.
    ///
    /// # Errors `NotThis` without signature or with another type; `Malformed` if a name is outside
    /// the bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<NtlmMessage<'a>, WireError> {
        let mut r = Reader::new(bytes);
        if r.take(SIGNATURE.len()).ok() != Some(SIGNATURE) {
            return Err(WireError::NotThis);
        }
        let cut = |_| WireError::Malformed(Fault::Truncated, "NTLM header");
        match r.array().map(u32::from_le_bytes).map_err(cut)? {
            1 => negotiate(bytes, r).map_err(cut),
            2 => challenge(bytes, r).map_err(cut),
            3 => authenticate(bytes, r).map_err(cut),
            _ => Err(WireError::NotThis),
        }
    }

    /// The bytes from the first signature on, within the first 512: SPNEGO, SMB and others wrap it.
    pub fn locate(bytes: &'a [u8]) -> Option<&'a [u8]> {
        let head = bytes.get(..SEARCHED_BYTES).unwrap_or(bytes);
        #[cfg(test)]
        crate::wire::reader::visited::note(head.len());
        let at = head.windows(SIGNATURE.len()).position(|window| window == SIGNATURE)?;
        bytes.get(at..)
    }
}

fn negotiate<'a>(whole: &'a [u8], mut r: Reader<'a>) -> Result<NtlmMessage<'a>, WireError> {
    let flags = u32::from_le_bytes(r.array()?);
    // Both are in the OEM code page whatever the flags say, and absent in the oldest form.
    let mut supplied = |flag| match flags & flag {
        0 => r.skip(8).map(|()| None),
        _ => field(whole, &mut r, 0).map(Some),
    };
    let domain = supplied(DOMAIN_SUPPLIED).unwrap_or(None);
    let workstation = supplied(WORKSTATION_SUPPLIED).unwrap_or(None);
    Ok(NtlmMessage::Negotiate { domain, workstation })
}

fn challenge<'a>(whole: &'a [u8], mut r: Reader<'a>) -> Result<NtlmMessage<'a>, WireError> {
    let mut target_at = r.sub(8)?;
    let flags = u32::from_le_bytes(r.array()?);
    let target = field(whole, &mut target_at, flags)?;
    // The challenge and reserved octets; older servers end here.
    r.skip(16)?;
    let mut server = Target::default();
    if let Ok(info) = field(whole, &mut r, UNICODE) {
        let mut pairs = Reader::new(info.bytes);
        for _ in 0..PAIRS_MAX {
            let Ok((kind, value)) = pair(&mut pairs) else { break };
            let slot = match kind {
                0 => break,
                1 => &mut server.computer,
                2 => &mut server.domain,
                3 => &mut server.dns_computer,
                4 => &mut server.dns_domain,
                _ => continue,
            };
            *slot = Some(Text { bytes: value, is_unicode: true });
        }
    }
    Ok(NtlmMessage::Challenge { target, server })
}

fn pair<'a>(r: &mut Reader<'a>) -> Result<(u16, &'a [u8]), WireError> {
    let kind = u16::from_le_bytes(r.array()?);
    let length = u16::from_le_bytes(r.array()?);
    Ok((kind, r.take(usize::from(length))?))
}

fn authenticate<'a>(whole: &'a [u8], mut r: Reader<'a>) -> Result<NtlmMessage<'a>, WireError> {
    // Both responses.
    r.skip(16)?;
    let mut names = r.sub(24)?;
    // The session key; the oldest form has no flags and is OEM.
    let flags = r.skip(8).and_then(|()| r.array()).map_or(0, u32::from_le_bytes);
    let domain = field(whole, &mut names, flags)?;
    let user = field(whole, &mut names, flags)?;
    let workstation = field(whole, &mut names, flags)?;
    Ok(NtlmMessage::Authenticate { domain, user, workstation })
}

/// Length, room and offset of a name ([MS-NLMP] section 2.2.1.1).
fn field<'a>(whole: &'a [u8], r: &mut Reader<'a>, flags: u32) -> Result<Text<'a>, WireError> {
    let length = usize::from(u16::from_le_bytes(r.array()?));
    let _room = r.u16()?;
    let offset = u32::from_le_bytes(r.array()?) as usize;
    let bytes = match length {
        0 => &[][..],
        _ => Reader::new(whole.get(offset..).unwrap_or_default()).take(length)?,
    };
    Ok(Text { bytes, is_unicode: flags & UNICODE != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    fn at(length: usize, offset: usize) -> Vec<u8> {
        let length = (length as u16).to_le_bytes();
        [&length[..], &length, &(offset as u32).to_le_bytes()].concat()
    }

    fn authenticate(flags: u32, names: [&[u8]; 3]) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend([0; 16]);
        let mut offset = 64;
        for name in names {
            out.extend(at(name.len(), offset));
            offset += name.len();
        }
        out.extend([0; 8]);
        out.extend(flags.to_le_bytes());
        out.extend(names.concat());
        out
    }

    #[test]
    fn an_authenticate_message_has_user_domain_and_device() {
        let names = [utf16("EXAMPLE"), utf16("änn"), utf16("LAPTOP-7")];
        let bytes = authenticate(UNICODE, [&names[0], &names[1], &names[2]]);
        let wrapped = [&[0x60, 0x48, 6, 6][..], &bytes].concat();
        let found = NtlmMessage::locate(&wrapped).unwrap();
        let NtlmMessage::Authenticate { domain, user, workstation } =
            NtlmMessage::parse(found).unwrap()
        else {
            panic!("type 3")
        };
        let shown = [domain, user, workstation].map(|text| text.to_string());
        assert_eq!(shown, ["EXAMPLE", "änn", "LAPTOP-7"]);
        let bytes = authenticate(0, [b"D", b"a\x01\xe4", b""]);
        let Ok(NtlmMessage::Authenticate { user, workstation, .. }) = NtlmMessage::parse(&bytes)
        else {
            panic!("type 3")
        };
        assert_eq!(user.to_string(), "a\u{fffd}\u{fffd}");
        assert!(workstation.is_empty());
    }

    #[test]
    fn a_challenge_has_the_names_of_the_server() {
        let (target, computer) = (utf16("EXAMPLE"), utf16("SRV"));
        let dns = utf16("srv.example.com");
        let pair = |kind: u8, value: &[u8]| [&[kind, 0, value.len() as u8, 0][..], value].concat();
        let info = [pair(1, &computer), pair(3, &dns), pair(0, &[])].concat();
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend(2u32.to_le_bytes());
        bytes.extend(at(target.len(), 48));
        bytes.extend(UNICODE.to_le_bytes());
        bytes.extend([0; 16]);
        bytes.extend(at(info.len(), 48 + target.len()));
        bytes.extend([target, info].concat());
        let Ok(NtlmMessage::Challenge { target, server }) = NtlmMessage::parse(&bytes) else {
            panic!("type 2")
        };
        assert_eq!(target.to_string(), "EXAMPLE");
        assert_eq!(server.computer.unwrap().to_string(), "SRV");
        assert_eq!(server.dns_computer.unwrap().to_string(), "srv.example.com");
        assert_eq!(server.domain, None);
    }

    #[test]
    fn a_negotiate_message_may_have_names() {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(WORKSTATION_SUPPLIED.to_le_bytes());
        assert_eq!(
            NtlmMessage::parse(&bytes),
            Ok(NtlmMessage::Negotiate { domain: None, workstation: None })
        );
        bytes.extend([at(0, 0), at(3, 32), b"PC1".to_vec()].concat());
        let Ok(NtlmMessage::Negotiate { domain: None, workstation: Some(own) }) =
            NtlmMessage::parse(&bytes)
        else {
            panic!("type 1")
        };
        assert_eq!(own.to_string(), "PC1");
    }

    #[test]
    fn names_outside_are_refused() {
        let mut bytes = authenticate(UNICODE, [b"", b"\xe4\0", b""]);
        assert!(NtlmMessage::parse(&bytes).is_ok());
        bytes[36] = 0xff;
        assert_eq!(
            NtlmMessage::parse(&bytes),
            Err(WireError::Malformed(Fault::Truncated, "NTLM header"))
        );
        assert_eq!(NtlmMessage::parse(b"NTLMSSP\0\x09\0\0\0"), Err(WireError::NotThis));
        assert_eq!(NtlmMessage::parse(b"NTLM"), Err(WireError::NotThis));
    }

    proptest! {
        #[test]
        fn never_panics(tail in proptest::collection::vec(any::<u8>(), 0..120), kind in 0u32..5) {
            let _ = NtlmMessage::locate(&tail);
            let bytes = [&SIGNATURE[..], &kind.to_le_bytes(), &tail].concat();
            if let Ok(NtlmMessage::Authenticate { user, .. }) = NtlmMessage::parse(&bytes) {
                prop_assert!(user.to_string().chars().count() <= TEXT_CHARS_MAX);
            }
        }
    }
}
