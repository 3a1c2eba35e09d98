//! Protocols over UDP that one datagram identifies beyond doubt.
//!
//! Owns: on which ports each is expected, and how much of a datagram has to fit. In: a datagram and
//! its ports. Out: the protocol. Never: keeps anything: identities are read by the identity stage.

use std::net::Ipv4Addr;

use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe};
use crate::model::protocol::Protocol;
use crate::wire::{Fault, Reader, WireError, dhcp, dhcp6, kerberos, radius};

/// Flags, length, two numbers, two sequence numbers.
const L2TP_HEADER_BYTES: usize = 12;
/// L2TP's port (RFC 2661 section 8.1).
const PORT_L2TP: u16 = 1701;
/// Tailscale's disco messages begin so: "TS", then the six-byte character's first four (Tailscale,
/// package disco, constant Magic).
const DISCO: &[u8] = b"TS\xf0\x9f\x92\xac";
/// Magic, sender's key, nonce, and a box of at least a tag and a message's head.
const DISCO_BYTES_MIN: usize = 6 + 32 + 24 + 16 + 2;
/// A resolver's answers begin so (DNSCrypt version 2 protocol specification, section 11).
const DNSCRYPT_ANSWER: &[u8] = b"r6fnvWj8";
/// Magic, nonce, and a box of a tag and a padded message.
const DNSCRYPT_BYTES_MIN: usize = 8 + 24 + 16 + 64;

/// Protocols that are told by a datagram, and followed no further.
#[derive(Debug, Default)]
pub struct UdpSignatures;

impl Parser for UdpSignatures {
    type State = ();

    /// What does not parse is none of them.
    const PROTOCOL: Option<Protocol> = None;

    /// Also where the datagram before it looked like something else.
    fn claims(_bytes: &[u8], _look: &Look<'_, ()>) -> bool {
        true
    }

    fn probe(_bytes: &[u8], _look: &Look<'_, ()>) -> Probe {
        Probe::No
    }

    fn feed(_: &mut (), bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        let Some(told) = tell(bytes, context.ports) else { return ParseResult::NotMine };
        context.facts().protocol = Some(told);
        // Those that are told by their port are followed for faults.
        match FOLLOWED.contains(&told) {
            true => ParseResult::Used(bytes.len()),
            false => ParseResult::Done,
        }
    }
}

/// Protocols whose messages are checked one by one.
const FOLLOWED: [Protocol; 4] =
    [Protocol::Dhcp, Protocol::Dhcpv6, Protocol::Kerberos, Protocol::Radius];

/// How a datagram that is of no protocol contradicts the one of its port, where it begins like it.
pub fn fault(bytes: &[u8], ports: (u16, u16)) -> Option<(Protocol, Fault)> {
    let of = |protocol, why| match why {
        Some(WireError::Malformed(fault, _)) => Some((protocol, fault)),
        _ => None,
    };
    let by = |port| match port {
        67 | 68 => of(Protocol::Dhcp, dhcp::DhcpMessage::parse(bytes).err()),
        88 => of(Protocol::Kerberos, kerberos::KerberosMessage::parse(bytes).err()),
        546 | 547 => of(Protocol::Dhcpv6, dhcp6::Dhcp6Message::parse(bytes).err()),
        1645 | 1646 | 1812 | 1813 | 3799 => {
            of(Protocol::Radius, radius::Packet::parse(bytes).err())
        }
        _ => None,
    };
    by(ports.1).or_else(|| by(ports.0))
}

/// The protocol of a datagram, whatever the other side sends.
pub fn tell(bytes: &[u8], ports: (u16, u16)) -> Option<Protocol> {
    by_port(bytes, ports.1).or_else(|| by_port(bytes, ports.0)).or_else(|| by_magic(bytes))
}

fn by_port(bytes: &[u8], port: u16) -> Option<Protocol> {
    match port {
        67 | 68 => dhcp::DhcpMessage::parse(bytes).ok().map(|_| Protocol::Dhcp),
        88 => kerberos::KerberosMessage::parse(bytes).ok().map(|_| Protocol::Kerberos),
        546 | 547 => dhcp6::Dhcp6Message::parse(bytes).ok().map(|_| Protocol::Dhcpv6),
        1645 | 1646 | 1812 | 1813 | 3799 => is_radius(bytes).then_some(Protocol::Radius),
        PORT_L2TP => is_l2tp(bytes).ok().map(|()| Protocol::L2tp),
        3_478..=3_481 | 5_349 | 5_350 => is_channel_data(bytes).then_some(Protocol::Stun),
        _ => None,
    }
}

fn by_magic(bytes: &[u8]) -> Option<Protocol> {
    match bytes {
        [b'T', b'S', 0xf0, ..] => is_disco(bytes).then_some(Protocol::Tailscale),
        [b'r', b'6', ..] if bytes.starts_with(DNSCRYPT_ANSWER) => {
            (bytes.len() >= DNSCRYPT_BYTES_MIN).then_some(Protocol::Dnscrypt)
        }
        [0 | 1, 1 | 2 | 0x11 | 0x12, ..] if is_classic_stun(bytes) => Some(Protocol::Stun),
        [b'I', b'P', b'=', rest @ ..] => is_nat_answer(rest).then_some(Protocol::Softether),
        // Cipher and verb of a HELLO, far from the start.
        _ if bytes.get(27) == Some(&1) => {
            is_zerotier_hello(bytes).ok().map(|()| Protocol::Zerotier)
        }
        _ => None,
    }
}

/// A message by which Tailscale's ends find each other: between WireGuard's packets too.
pub fn is_disco(bytes: &[u8]) -> bool {
    bytes.starts_with(DISCO) && bytes.len() >= DISCO_BYTES_MIN
}

/// A length that is the datagram's, and something in it.
fn is_radius(bytes: &[u8]) -> bool {
    let length = bytes.get(2..4).and_then(|two| two.first_chunk()).copied();
    length.is_some_and(|two| usize::from(u16::from_be_bytes(two)) == bytes.len())
        && radius::Packet::parse(bytes).is_ok()
}

/// A control message of version 2 or 3 (RFC 2661 section 3.1, RFC 3931 sections 3.2.1 and 4.1.2.1):
/// bits T, L and S, its length, and as first attribute its type; or nothing behind the header. One
/// whose attributes contradict each other is one too, where its header does not: on this port
/// nothing else begins with bits T and L and one of these versions.
fn is_l2tp(bytes: &[u8]) -> Result<(), WireError> {
    let mut r = Reader::new(bytes);
    let [high, version] = r.array()?;
    let length = usize::from(r.u16()?);
    let numbers = r.sub(8)?;
    if high & 0xc0 != 0xc0 || !matches!(version, 2 | 3) || length < L2TP_HEADER_BYTES {
        return Err(WireError::NotThis);
    }
    if high != 0xc8 || length != bytes.len() {
        // A tunnel or a session has a number.
        let has_number = numbers.rest().iter().take(4).any(|b| *b != 0);
        return if has_number { Ok(()) } else { Err(WireError::NotThis) };
    }
    if r.is_empty() {
        // An acknowledgement: of a tunnel that has a number.
        let has_number = numbers.rest().iter().take(2).any(|b| *b != 0);
        return if has_number { Ok(()) } else { Err(WireError::NotThis) };
    }
    Ok(())
}

/// STUN before its magic cookie (RFC 3489 section 11.1): a request or an answer of its two methods,
/// and attributes that fill what the length says, which is what is here.
fn is_classic_stun(bytes: &[u8]) -> bool {
    const HEADER_BYTES: usize = 20;
    let mut r = Reader::new(bytes);
    let (Ok(_), Ok(length), Ok(id)) = (r.u16(), r.u16(), r.array::<16>()) else { return false };
    // What has the cookie has an observer of its own.
    let is_newer = id.starts_with(&[0x21, 0x12, 0xa4, 0x42]);
    if is_newer || usize::from(length) + HEADER_BYTES != bytes.len() || !length.is_multiple_of(4) {
        return false;
    }
    while !r.is_empty() {
        let (Ok(_), Ok(_)) = (r.u16(), r.sub_u16()) else { return false };
    }
    true
}

/// What a relay carries under a channel number (RFC 8656 section 12.4: 0x4000 to 0x4fff), its
/// length that of the datagram, padded or not.
fn is_channel_data(bytes: &[u8]) -> bool {
    let mut r = Reader::new(bytes);
    let (Ok(number), Ok(length)) = (r.u16(), r.u16()) else { return false };
    let length = usize::from(length);
    let fits = r.left() == length || r.left() == length.next_multiple_of(4);
    (0x4000..=0x4fff).contains(&number) && length > 0 && fits
}

/// What SoftEther's NAT traversal server answers: the asker's own address and port as text
/// (SoftEther VPN, UDP of its dynamic DNS and NAT-T client).
fn is_nat_answer(rest: &[u8]) -> bool {
    let told = || {
        let (address, port) = std::str::from_utf8(rest).ok()?.split_once(",PORT=")?;
        address.parse::<Ipv4Addr>().ok().zip(port.parse::<u16>().ok())
    };
    told().is_some()
}

/// A ZeroTier HELLO (ZeroTier protocol, VL1 packet format and verb HELLO): cipher suite 0, the
/// verb, and the sender's identity, whose address is the packet's source.
fn is_zerotier_hello(bytes: &[u8]) -> Result<(), WireError> {
    let mut r = Reader::new(bytes);
    r.skip(8)?;
    let _destination: [u8; 5] = r.array()?;
    let source: [u8; 5] = r.array()?;
    // Hops in the low three bits, the cipher above them.
    let is_clear = r.u8()? & 0x38 == 0;
    r.skip(8)?;
    let is_hello = r.u8()? & 0x1f == 1;
    let version = r.u8()?;
    // Release and time.
    r.skip(4 + 8)?;
    let identity: [u8; 5] = r.array()?;
    // Type 0 is a key pair of 64 bytes without its private half.
    let is_public = r.u8()? == 0;
    r.skip(64)?;
    let has_no_private = r.u8()? == 0;
    let known = (1..=32).contains(&version) && !matches!(source, [0 | 0xff, ..]);
    if is_clear && is_hello && known && is_public && has_no_private && identity == source {
        Ok(())
    } else {
        Err(WireError::NotThis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIGH: u16 = 50_000;

    #[test]
    fn a_magic_number_alone_is_not_enough() {
        let disco = [DISCO, &[7; 74]].concat();
        assert_eq!(tell(&disco, (41_641, 41_641)), Some(Protocol::Tailscale));
        assert_eq!(tell(&disco[..79], (41_641, 41_641)), None);
        let answer = [DNSCRYPT_ANSWER, &[7; 104]].concat();
        assert_eq!(tell(&answer, (HIGH, 443)), Some(Protocol::Dnscrypt));
        assert_eq!(tell(&answer[..100], (HIGH, 443)), None);
        let nat = |text: &str| tell(text.as_bytes(), (HIGH, 5_004));
        assert_eq!(nat("IP=192.0.2.7,PORT=51381"), Some(Protocol::Softether));
        assert_eq!(nat("IP=192.0.2.7,PORT=513810"), None);
        assert_eq!(nat("IP=192.0.2,PORT=51381"), None);
    }

    #[test]
    fn l2tp_is_recognised_by_a_control_message() {
        let message = |version: u8, length: u8, rest: &[u8]| {
            [&[0xc8, version, 0, length, 0, 9, 0, 0, 0, 0, 0, 0][..], rest].concat()
        };
        let first = [0x80, 8, 0, 0, 0, 0, 0, 1];
        let told = |bytes: &[u8], port| tell(bytes, (HIGH, port));
        assert_eq!(told(&message(2, 20, &first), 1_701), Some(Protocol::L2tp));
        assert_eq!(told(&message(3, 20, &first), 1_701), Some(Protocol::L2tp));
        assert_eq!(told(&message(2, 12, &[]), 1_701), Some(Protocol::L2tp));
        let unnumbered = [0xc8, 2, 0, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 8, 0, 0, 0, 0, 0, 1];
        assert_eq!(told(&unnumbered, 1_701), None, "neither its length nor a tunnel");
        assert_eq!(told(&message(4, 20, &first), 1_701), None);
        assert_eq!(told(&message(2, 20, &first), 1_702), None);
        // Attributes out of order, and a message without a sequence bit that says it is longer.
        let odd = message(2, 20, &[0x80, 8, 0, 0, 0, 0, 0, 99]);
        assert_eq!(told(&odd, 1_701), Some(Protocol::L2tp));
        let bad = [0xf0, 2, 2, 2, 2, 0x30, 8, 8, 8, 8, 0, 0, 0, 0, 0xee, 0x23, 5, 0x30];
        assert_eq!(told(&bad, 1_701), Some(Protocol::L2tp));
        assert_eq!(told(&[&[0x40][..], &bad[1..]].concat(), 1_701), None, "data, not control");
        assert_eq!(told(&bad, 1_702), None);
    }

    #[test]
    fn stun_without_a_cookie_is_filled_by_its_attributes() {
        let message = |kind: [u8; 2], length: u8, rest: &[u8]| {
            [&kind[..], &[0, length], &[7; 16], rest].concat()
        };
        let told = |bytes: &[u8]| tell(bytes, (HIGH, 8_801));
        let change = [0, 3, 0, 4, 0, 0, 0, 6];
        assert_eq!(told(&message([0, 1], 8, &change)), Some(Protocol::Stun));
        assert_eq!(told(&message([0, 1], 0, &[])), Some(Protocol::Stun));
        assert_eq!(told(&message([1, 1], 8, &change)), Some(Protocol::Stun));
        // Zoom answers with the type of a request for a shared secret.
        let answer = [1, 3, 0, 8, 0, 1, 0xff, 0x75, 0x50, 0xb4, 0xdc, 0xef];
        assert_eq!(told(&message([0, 2], 12, &answer)), Some(Protocol::Stun));
        assert_eq!(told(&message([0, 1], 8, &change[..6])), None, "longer than it is");
        assert_eq!(told(&message([0, 1], 8, &[0, 3, 0, 9, 0, 0, 0, 6])), None, "an attribute is");
        assert_eq!(told(&message([0, 7], 8, &change)), None);
    }

    #[test]
    fn a_turn_channel_is_recognised_on_its_port() {
        let data = [&[0x40, 1, 0, 5][..], b"media", &[0; 3]].concat();
        assert_eq!(tell(&data, (HIGH, 3_478)), Some(Protocol::Stun));
        assert_eq!(tell(&data[..9], (HIGH, 3_478)), Some(Protocol::Stun), "not padded");
        assert_eq!(tell(&data[..8], (HIGH, 3_478)), None);
        assert_eq!(tell(&data, (HIGH, 3_477)), None);
        assert_eq!(tell(&[&[0x50][..], &data[1..]].concat(), (HIGH, 3_478)), None);
    }

    #[test]
    fn a_zerotier_hello_names_its_sender_twice() {
        let source = [0x89, 1, 2, 3, 4];
        let mut hello = [&[9; 8][..], &[0x62; 5], &source, &[0], &[9; 8], &[1, 13]].concat();
        hello.extend([1, 14, 0, 0, 0, 0, 1, 0x90, 0, 0, 0, 0]);
        hello.extend([&source[..], &[0], &[5; 64], &[0]].concat());
        assert_eq!(tell(&hello, (9_993, HIGH)), Some(Protocol::Zerotier));
        for at in [13, 18, 27, 28, 41, 46, 111] {
            let mut other = hello.clone();
            other[at] ^= 0x3e;
            assert_eq!(tell(&other, (9_993, HIGH)), None, "{at}");
        }
    }

    /// Each begins like the protocol of its port and is at fault behind that.
    #[test]
    fn faults_are_told_by_port() {
        let dhcp =
            [&[1, 1, 6, 0][..], &[7; 232], &[99, 130, 83, 99, 53, 1, 3, 12, 9, b'x']].concat();
        let dhcp6 = [&[1, 0, 0, 7, 0, 1, 0, 4][..], &[0, 3, 0, 1], &[0, 3, 0, 40, 1]].concat();
        let radius = [&[4, 7, 0, 25][..], &[9; 16], &[1, 9, b'a', b'n', b'n']].concat();
        let kerberos = [0x6a, 0x82, 1, 0, 0x30, 0x81, 0xfc, 0xa1, 3, 2, 1, 5];
        for (bytes, port, protocol, kind) in [
            (&dhcp[..], 67, Protocol::Dhcp, Fault::Truncated),
            (&dhcp6, 547, Protocol::Dhcpv6, Fault::Truncated),
            (&radius, 1_813, Protocol::Radius, Fault::Length),
            (&radius[..22], 1_812, Protocol::Radius, Fault::Truncated),
            (&kerberos, 88, Protocol::Kerberos, Fault::Truncated),
        ] {
            assert_eq!(fault(bytes, (HIGH, port)), Some((protocol, kind)), "{protocol:?}");
            assert_eq!(fault(bytes, (port, HIGH)), Some((protocol, kind)), "{protocol:?}");
            assert_eq!(tell(bytes, (HIGH, port)), None, "{protocol:?}");
            assert_eq!(fault(bytes, (HIGH, HIGH)), None, "elsewhere");
            assert_eq!(fault(&[0xff; 300], (HIGH, port)), None, "nothing like it");
        }
    }

    #[test]
    fn radius_fills_its_datagram() {
        let packet = [&[1, 7, 0, 25][..], &[9; 16], &[1, 5, b'a', b'n', b'n']].concat();
        assert_eq!(tell(&packet, (HIGH, 1_812)), Some(Protocol::Radius));
        assert_eq!(tell(&packet, (HIGH, 1_811)), None);
        assert_eq!(tell(&[&packet[..], &[0]].concat(), (HIGH, 1_812)), None);
    }
}
