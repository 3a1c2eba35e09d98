//! RustDesk's messages to and from its rendezvous server: registration, and those that name the
//! other end of a connection.
//!
//! Owns: the frame over TCP, the few fields that matter, the reversible form of an address. In: one
//! datagram, or the first bytes of a stream. Out: views, an address. Never: decrypts, or believes
//! an address whose own time does not fit.
//!
//! Facts from the published sources of RustDesk (hbb_common: rendezvous.proto, bytes_codec.rs,
//! `AddrMangle`), read in November 2026. The encoding is that of Protocol Buffers.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::model::Nanos;
use crate::wire::{Reader, WireError};

/// The server's port, over UDP and TCP.
pub const PORT: u16 = 21_116;

/// Numbers of the messages.
const REGISTER_PEER: u64 = 6;
const REGISTER_PEER_RESPONSE: u64 = 7;
const PUNCH_HOLE: u64 = 9;
const PUNCH_HOLE_SENT: u64 = 10;
const FETCH_LOCAL_ADDRESS: u64 = 12;
const LOCAL_ADDRESS: u64 = 13;
const REQUEST_RELAY: u64 = 18;
const RELAY_RESPONSE: u64 = 19;

/// Identifiers have digits, or letters where they were chosen.
const ID_BYTES: std::ops::RangeInclusive<usize> = 6..=32;
/// Bytes of an address of version 4: 33 bits and 49 more.
const ADDRESS_BYTES: std::ops::RangeInclusive<usize> = 9..=11;
/// The address was written by the server when it was sent. Clocks differ; its time wraps every 72
/// minutes, so that 3 % of arbitrary values fit.
const SKEW_MAX_US: u32 = 60_000_000;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A host announces that it can be controlled.
    Register,
    /// The server answers that.
    Registered,
    /// The server tells that host who wants to control it: an address, not yet decoded.
    FromServer(&'a [u8]),
    /// The host answers, and repeats that address.
    ToServer(&'a [u8]),
}

/// Reads a datagram, or a message without its frame.
///
/// # Errors
/// `NotThis` if it is none of those.
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, WireError> {
    let mut r = Reader::new(bytes);
    let (number, mut body) = sub_message(&mut r)?;
    if !r.is_empty() {
        return Err(WireError::NotThis);
    }
    let wanted = match number {
        REGISTER_PEER => {
            let id = field(&mut body, 1)?;
            let is_id = ID_BYTES.contains(&id.len()) && id.iter().all(is_id_byte);
            return if is_id { Ok(Message::Register) } else { Err(WireError::NotThis) };
        }
        REGISTER_PEER_RESPONSE => return answer(body),
        REQUEST_RELAY => 3,
        PUNCH_HOLE | PUNCH_HOLE_SENT | FETCH_LOCAL_ADDRESS | LOCAL_ADDRESS | RELAY_RESPONSE => 1,
        _ => return Err(WireError::NotThis),
    };
    let address = field(&mut body, wanted)?;
    Ok(match number {
        PUNCH_HOLE | FETCH_LOCAL_ADDRESS | REQUEST_RELAY => Message::FromServer(address),
        _ => Message::ToServer(address),
    })
}

/// The answer to a registration is empty, or asks for a key in field 2.
fn answer(mut body: Reader<'_>) -> Result<Message<'static>, WireError> {
    let is_answer = body.is_empty() || (varint(&mut body)?, varint(&mut body)?) == (0x10, 1);
    if is_answer && body.is_empty() { Ok(Message::Registered) } else { Err(WireError::NotThis) }
}

const fn is_id_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'-'
}

/// The message in the first frame of a stream: its length is in one to four bytes, the lowest two
/// bits of which say in how many.
///
/// # Errors
/// `NeedMore` if it is not whole yet.
pub fn frame(bytes: &[u8]) -> Result<&[u8], WireError> {
    let mut r = Reader::new(bytes);
    let first = r.u8()?;
    let mut length = u32::from(first);
    for place in 1..=u32::from(first & 3) {
        length |= u32::from(r.u8()?) << (8 * place);
    }
    r.take(length as usize >> 2)
}

/// The next field of bytes, and its number.
fn sub_message<'a>(r: &mut Reader<'a>) -> Result<(u64, Reader<'a>), WireError> {
    let key = varint(r)?;
    let length = varint(r)?;
    let bytes = r.take(usize::try_from(length).map_err(|_| WireError::NotThis)?)?;
    if key & 7 == 2 { Ok((key >> 3, Reader::new(bytes))) } else { Err(WireError::NotThis) }
}

/// The field of bytes with a number; fields come in order.
fn field<'a>(r: &mut Reader<'a>, number: u64) -> Result<&'a [u8], WireError> {
    while !r.is_empty() {
        let key = varint(r)?;
        match (key >> 3, key & 7) {
            (_, 0) => {
                varint(r)?;
            }
            (found, 2) => {
                let length = usize::try_from(varint(r)?).map_err(|_| WireError::NotThis)?;
                let bytes = r.take(length)?;
                if found == number {
                    return Ok(bytes);
                }
            }
            _ => break,
        }
    }
    Err(WireError::NotThis)
}

/// A number of seven bits a byte, the lowest first.
fn varint(r: &mut Reader<'_>) -> Result<u64, WireError> {
    let mut value = 0;
    for place in 0..5 {
        let byte = r.u8()?;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(WireError::NotThis)
}

/// Decodes an address, if the time in it fits that of its packet. Version 6 has no time in it: it
/// is not decoded.
pub fn address(bytes: &[u8], time: Nanos) -> Option<SocketAddrV4> {
    // Zeros at the end are cut.
    if !ADDRESS_BYTES.contains(&bytes.len()) || bytes.last() == Some(&0) {
        return None;
    }
    let value = bytes.iter().rev().fold(0, |value, byte| value << 8 | u128::from(*byte));
    let stamp = (value >> 17) as u32;
    let now = (time.0 / 1_000) as u32;
    let skew = now.wrapping_sub(stamp).min(stamp.wrapping_sub(now));
    let ip = (value >> 49).checked_sub(stamp.into()).and_then(|ip| u32::try_from(ip).ok())?;
    let port = (value & 0x1_ffff).checked_sub(u128::from(stamp & 0xffff))?;
    let port = u16::try_from(port).ok().filter(|port| *port > 0)?;
    let ip = Ipv4Addr::from(ip.to_le_bytes());
    let is_host = !ip.is_unspecified() && !ip.is_broadcast() && !ip.is_multicast();
    (skew <= SKEW_MAX_US && is_host).then(|| SocketAddrV4::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Nanos = Nanos(1_795_829_453_835_808_000);

    fn encode(ip: Ipv4Addr, port: u16, us: u64) -> Vec<u8> {
        let (ip, stamp) = (u32::from_le_bytes(ip.octets()), us as u32);
        let (ip, stamp) = (u128::from(ip), u128::from(stamp));
        let value = (ip + stamp) << 49 | stamp << 17 | (u128::from(port) + (stamp & 0xffff));
        let mut bytes = value.to_le_bytes().to_vec();
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        bytes
    }

    fn bytes_field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat()
    }

    /// A message by its key, one or two bytes.
    fn whole(key: &[u8], body: &[u8]) -> Vec<u8> {
        [key, &[body.len() as u8], body].concat()
    }

    #[test]
    fn a_registration_is_recognised() {
        let id = b"\x0a\x09123456789";
        assert_eq!(parse(&whole(&[0x32], id)), Ok(Message::Register));
        let serial = [&id[..], &[0x10, 7]].concat();
        assert_eq!(parse(&whole(&[0x32], &serial)), Ok(Message::Register));
        for wrong in [&b"\x0a\x02ab"[..], b"\x0a\x0912345\x00789", b"\x12\x09123456789"] {
            assert!(parse(&whole(&[0x32], wrong)).is_err(), "{wrong:?}");
        }
        for body in [&b""[..], b"\x10\x01"] {
            assert_eq!(parse(&whole(&[0x3a], body)), Ok(Message::Registered));
        }
        for wrong in [&b"\x10"[..], b"\x10\x01\x00", b"\x12\x01"] {
            assert!(parse(&whole(&[0x3a], wrong)).is_err(), "{wrong:?}");
        }
        let tail = [&whole(&[0x32], id)[..], &[0]].concat();
        assert!(parse(&tail).is_err());
    }

    #[test]
    fn messages_that_name_the_other_end_are_read() {
        let address = [7; 10];
        let first = bytes_field(1, &address);
        let relay = [bytes_field(1, b"id"), bytes_field(2, b"uuid"), bytes_field(3, &address)];
        for key in [[0x4a].as_slice(), &[0x62]] {
            assert_eq!(parse(&whole(key, &first)), Ok(Message::FromServer(&address)));
        }
        let asked = whole(&[0x92, 1], &relay.concat());
        assert_eq!(parse(&asked), Ok(Message::FromServer(&address)));
        for key in [[0x52].as_slice(), &[0x6a], &[0x9a, 1]] {
            let bytes = whole(key, &first);
            assert_eq!(parse(&bytes), Ok(Message::ToServer(&address)));
            let framed = [&[(bytes.len() as u8) << 2][..], &bytes].concat();
            assert_eq!(frame(&framed), Ok(&bytes[..]));
            assert!(matches!(frame(&framed[..9]), Err(WireError::NeedMore(_))));
        }
        let long = [&[1, 4][..], &[9; 256]].concat();
        assert_eq!(frame(&long), Ok(&[9; 256][..]));
    }

    #[test]
    fn an_address_counts_only_at_its_time() {
        let ip = Ipv4Addr::new(203, 0, 113, 77);
        let us = NOW.0 / 1_000;
        let want = Some(SocketAddrV4::new(ip, 51_820));
        for off in [0, 59_000_000] {
            assert_eq!(address(&encode(ip, 51_820, us - off), NOW), want);
            assert_eq!(address(&encode(ip, 51_820, us + off), NOW), want);
        }
        for off in [61_000_000, 3_600_000_000] {
            assert_eq!(address(&encode(ip, 51_820, us - off), NOW), None);
            assert_eq!(address(&encode(ip, 51_820, us + off), NOW), None);
        }
        assert_eq!(address(&encode(Ipv4Addr::UNSPECIFIED, 1, us), NOW), None);
        assert_eq!(address(&encode(ip, 0, us), NOW), None);
        let padded = [&encode(ip, 51_820, us)[..], &[0]].concat();
        assert_eq!(address(&padded, NOW), None);
    }

    proptest! {
        #[test]
        fn every_address_comes_back(ip: [u8; 4], port in 1u16.., us: u64) {
            let ip = Ipv4Addr::from(ip);
            prop_assume!(!ip.is_unspecified() && !ip.is_broadcast() && !ip.is_multicast());
            let us = us % (u64::MAX / 1_000);
            let encoded = encode(ip, port, us);
            prop_assume!(ADDRESS_BYTES.contains(&encoded.len()));
            let want = Some(SocketAddrV4::new(ip, port));
            prop_assert_eq!(address(&encoded, Nanos(us * 1_000)), want);
        }

        #[test]
        fn never_panics(bytes: Vec<u8>, time: u64) {
            let _ = parse(&bytes);
            let _ = frame(&bytes);
            let _ = address(&bytes, Nanos(time));
        }
    }
}
