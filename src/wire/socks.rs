//! SOCKS messages (version 5: RFC 1928, RFC 1929; versions 4 and 4A: Ying-Da Lee, "SOCKS: A
//! protocol for TCP proxy across firewalls", and "SOCKS 4A").
//!
//! Owns: sizes and fields. In: the start of a stream's bytes. Out: the size of a message.
//! Never: state, or what is relayed.

use std::net::IpAddr;

use crate::wire::{Reader, WireError};

/// Methods of a greeting that one byte can name.
const METHODS_MAX: u8 = 8;
/// Longest name: a domain name has at most 255 bytes, a user id of version 4 is shorter.
const NAME_MAX: usize = 255;

/// A client's first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello<'a> {
    /// Version 5: the methods offered.
    Methods(&'a [u8]),
    /// Version 4 or 4A: CONNECT or BIND, and whether a user id was given.
    Request4(Target<'a>, bool),
}

/// A requested host and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The host.
    pub host: Host<'a>,
    /// The port.
    pub port: u16,
}

/// A host in one of three forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// An address.
    Ip(IpAddr),
    /// A name.
    Name(&'a [u8]),
}

/// A request or a reply of version 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message5<'a> {
    /// A command, or a reply's code: 0 is success.
    pub code: u8,
    /// The requested target, or the address that the proxy is bound to.
    pub target: Target<'a>,
    /// Its size.
    pub size: usize,
}

/// Reads a client's first message; gives its size.
///
/// # Errors
/// `NotThis` if a field is invalid, `NeedMore` if it is incomplete.
pub fn hello(bytes: &[u8]) -> Result<(Hello<'_>, usize), WireError> {
    let mut r = Reader::new(bytes);
    let hello = match r.u8()? {
        5 => {
            let count = r.u8()?;
            if !(1..=METHODS_MAX).contains(&count) {
                return Err(WireError::NotThis);
            }
            let methods = r.take(usize::from(count))?;
            // Methods that IANA has given, and private ones (RFC 1928 section 3).
            if !methods.iter().all(|method| matches!(method, 0..=9 | 0x80..=0xfe)) {
                return Err(WireError::NotThis);
            }
            Hello::Methods(methods)
        }
        4 => {
            let command = r.u8()?;
            let port = r.u16()?;
            let ip = r.u32()?;
            if !matches!(command, 1 | 2) || port == 0 || ip == 0 {
                return Err(WireError::NotThis);
            }
            let user = !text(&mut r)?.is_empty();
            // Version 4A: an address 0.0.0.x says that a name follows.
            let host = match ip {
                0..256 => Host::Name(text(&mut r)?),
                _ => Host::Ip(IpAddr::from(ip.to_be_bytes())),
            };
            if host == Host::Name(&[]) {
                return Err(WireError::NotThis);
            }
            Hello::Request4(Target { host, port }, user)
        }
        _ => return Err(WireError::NotThis),
    };
    Ok((hello, bytes.len() - r.left()))
}

/// Printable text that ends with a zero.
fn text<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], WireError> {
    let start = r.rest();
    for length in 0..=NAME_MAX {
        match r.u8()? {
            0 => return Ok(start.get(..length).unwrap_or_default()),
            0x20..=0x7e | 0x80..=0xff => {}
            _ => return Err(WireError::NotThis),
        }
    }
    Err(WireError::NotThis)
}

/// Reads a request or a reply of version 5.
///
/// # Errors
/// `NotThis` if a field is invalid, `NeedMore` if it is incomplete.
pub fn request(bytes: &[u8]) -> Result<Message5<'_>, WireError> {
    let mut r = Reader::new(bytes);
    let (version, code) = (r.u8()?, r.u8()?);
    if version != 5 || code > 9 || r.u8()? != 0 {
        return Err(WireError::NotThis);
    }
    let host = match r.u8()? {
        1 => Host::Ip(IpAddr::from(r.array::<4>()?)),
        3 => Host::Name(r.sub_u8()?.rest()),
        4 => Host::Ip(IpAddr::from(r.array::<16>()?)),
        _ => return Err(WireError::NotThis),
    };
    let target = Target { host, port: r.u16()? };
    Ok(Message5 { code, target, size: bytes.len() - r.left() })
}

/// Size of a user name and password (RFC 1929 section 2).
///
/// # Errors
/// `NotThis` if a field is invalid, `NeedMore` if it is incomplete.
pub fn password(bytes: &[u8]) -> Result<usize, WireError> {
    let mut r = Reader::new(bytes);
    if r.u8()? != 1 {
        return Err(WireError::NotThis);
    }
    r.sub_u8()?;
    r.sub_u8()?;
    Ok(bytes.len() - r.left())
}

/// Size of a reply of version 4.
pub const REPLY_4_BYTES: usize = 8;

/// Whether bytes begin with a reply of version 4: 0, a code, port and address.
pub const fn is_reply_4(bytes: &[u8]) -> bool {
    matches!(bytes, [0, 0x5a..=0x5d, _, _, _, _, _, _, ..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn greetings_offer_methods() {
        assert_eq!(hello(&[5, 2, 0, 2]), Ok((Hello::Methods(&[0, 2]), 4)));
        assert_eq!(hello(&[5, 2, 0]), Err(WireError::NeedMore(1)));
        for bad in [&[5, 0][..], &[5, 9], &[5, 1, 0x40], &[6, 1, 0]] {
            assert_eq!(hello(bad), Err(WireError::NotThis), "{bad:?}");
        }
    }

    #[test]
    fn version_4_ends_its_texts_with_zero() {
        let host = Host::Ip(IpAddr::from([10, 0, 0, 1]));
        let asks = Hello::Request4(Target { host, port: 80 }, true);
        assert_eq!(hello(b"\x04\x01\x00\x50\x0a\0\0\x01me\0"), Ok((asks, 11)));
        let named = b"\x04\x01\x00\x50\0\0\0\x01me\0a.example\0";
        let host = Host::Name(b"a.example");
        let asks = Hello::Request4(Target { host, port: 80 }, true);
        assert_eq!(hello(named), Ok((asks, named.len())));
        assert!(matches!(hello(&named[..12]), Err(WireError::NeedMore(_))));
        assert_eq!(hello(b"\x04\x01\x00\x50\x0a\0\0\x01m\x01e"), Err(WireError::NotThis));
        assert_eq!(hello(b"\x04\x03\x00\x50\x0a\0\0\x01\0"), Err(WireError::NotThis));
        assert!(is_reply_4(&[0, 0x5a, 0, 80, 1, 2, 3, 4]) && !is_reply_4(&[0, 0x5a, 0, 80]));
    }

    #[test]
    fn requests_have_three_kinds_of_address() {
        let target = Target { host: Host::Ip(IpAddr::from([1, 2, 3, 4])), port: 80 };
        let asks = Message5 { code: 1, target, size: 10 };
        assert_eq!(request(&[5, 1, 0, 1, 1, 2, 3, 4, 0, 80]), Ok(asks));
        let asks =
            Message5 { target: Target { host: Host::Name(b"a"), port: 80 }, size: 8, code: 1 };
        assert_eq!(request(b"\x05\x01\0\x03\x01a\0\x50rest"), Ok(asks));
        assert_eq!(request(&[5, 0, 0, 4, 0, 0, 0, 0, 0]), Err(WireError::NeedMore(11)));
        assert_eq!(request(&[5, 1, 1, 1]), Err(WireError::NotThis));
        assert_eq!(password(b"\x01\x02me\x03you!"), Ok(8));
        assert_eq!(password(b"\x05"), Err(WireError::NotThis));
    }

    proptest! {
        #[test]
        fn never_takes_more(mut bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
            for first in [1, 4, 5] {
                bytes[0] = first;
                let asked = request(&bytes).map(|asked| asked.size);
                let sizes = [hello(&bytes).map(|(_, n)| n), asked, password(&bytes)];
                for size in sizes.into_iter().flatten() {
                    prop_assert!(size <= bytes.len());
                }
            }
        }
    }
}
