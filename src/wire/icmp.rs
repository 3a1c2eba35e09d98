//! Which ICMP messages answer each other, and the datagram that an error repeats.
//!
//! Owns: the pairs of types, and the layout of errors. In: a type; bytes behind the ICMP header.
//! Out: its counterpart, or none; the datagram. Never: matches a message to its answer (sessions
//! do).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::{Reader, WireError};

/// The ICMP type that answers, or is answered by, `kind` (RFC 792, RFC 950, RFC 1256; the pairs of
/// Community ID v1).
pub const fn counterpart(kind: u8) -> Option<u8> {
    Some(match kind {
        0 => 8,
        8 => 0,
        9 => 10,
        10 => 9,
        13 => 14,
        14 => 13,
        15 => 16,
        16 => 15,
        17 => 18,
        18 => 17,
        _ => return None,
    })
}

/// The same for ICMPv6 (RFC 4443, RFC 4861, RFC 4620; the pairs of Community ID v1).
pub const fn counterpart_v6(kind: u8) -> Option<u8> {
    Some(match kind {
        128 => 129,
        129 => 128,
        130 => 131,
        131 => 130,
        133 => 134,
        134 => 133,
        135 => 136,
        136 => 135,
        139 => 140,
        140 => 139,
        144 => 145,
        145 => 144,
        _ => return None,
    })
}

/// Whether a message says that a packet was too long for the next link: fragmentation needed (RFC
/// 1191 section 4), Packet Too Big (RFC 4443 section 3.2).
pub const fn is_too_big(version: u8, kind: u8, code: u8) -> bool {
    matches!((version, kind, code), (4, 3, 4) | (6, 2, 0))
}

/// The beginning of a UDP datagram that an error repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted<'a> {
    /// Sender and receiver.
    pub ends: (IpAddr, IpAddr),
    /// Their ports.
    pub ports: (u16, u16),
    /// UDP length: header and payload.
    pub bytes: u16,
    /// As much of the payload as is repeated.
    pub payload: &'a [u8],
}

/// Parses the packet that an error repeats: none but UDP, no later fragment, no extension headers.
pub fn quoted_udp(bytes: &[u8]) -> Result<Quoted<'_>, WireError> {
    const UDP: u8 = 17;
    const NOT_UDP: WireError = WireError::NotThis;
    let mut r = Reader::new(bytes);
    let first = r.u8()?;
    let ends = if first >> 4 == 4 {
        r.skip(5)?;
        let fragment = r.u16()? & 0x1fff;
        r.skip(1)?;
        let protocol = r.u8()?;
        r.skip(2)?;
        let ends: (IpAddr, IpAddr) =
            (Ipv4Addr::from(r.array::<4>()?).into(), Ipv4Addr::from(r.array::<4>()?).into());
        r.skip((usize::from(first & 0xf) * 4).saturating_sub(20))?;
        if fragment != 0 || protocol != UDP {
            return Err(NOT_UDP);
        }
        ends
    } else {
        r.skip(5)?;
        let protocol = r.u8()?;
        r.skip(1)?;
        if first >> 4 != 6 || protocol != UDP {
            return Err(NOT_UDP);
        }
        (Ipv6Addr::from(r.array::<16>()?).into(), Ipv6Addr::from(r.array::<16>()?).into())
    };
    let ports = (r.u16()?, r.u16()?);
    let bytes = r.u16()?;
    r.skip(2)?;
    Ok(Quoted { ends, ports, bytes, payload: r.rest() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IPv4 with four bytes of options.
    const QUOTE: [u8; 36] = [
        0x46, 0, 5, 0xd4, 0, 1, 0x40, 0, 52, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7, 1, 1, 1, 1,
        0x04, 0xaa, 0xd0, 0x2a, 5, 0xc0, 0, 0, 9, 8, 7, 6,
    ];

    #[test]
    fn an_error_repeats_its_datagram() {
        let quoted = quoted_udp(&QUOTE).unwrap();
        let ends = ["192.0.2.1", "198.51.100.7"].map(|ip| ip.parse().unwrap());
        assert_eq!(quoted.ends, (ends[0], ends[1]));
        assert_eq!((quoted.ports, quoted.bytes), ((1_194, 53_290), 1_472));
        assert_eq!(quoted.payload, [9, 8, 7, 6]);
        let mut six = vec![0x60, 0, 0, 0, 5, 0xc0, 17, 64];
        six.extend([&[1; 16][..], &[2; 16], &QUOTE[24..]].concat());
        let quoted = quoted_udp(&six).unwrap();
        assert_eq!(quoted.ends, ([1; 16].into(), [2; 16].into()));
        assert_eq!((quoted.ports, quoted.bytes), ((1_194, 53_290), 1_472));
        let but = |at: usize, byte: u8| {
            let mut other = QUOTE;
            other[at] = byte;
            quoted_udp(&other).map(|quoted| quoted.bytes)
        };
        assert!(but(9, 6).is_err() && but(7, 1).is_err() && but(0, 0x56).is_err());
        for end in 0..32 {
            assert!(quoted_udp(&QUOTE[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn two_messages_say_too_big() {
        assert!(is_too_big(4, 3, 4) && is_too_big(6, 2, 0));
        assert!(!is_too_big(4, 3, 3) && !is_too_big(6, 3, 4) && !is_too_big(4, 2, 0));
    }

    proptest::proptest! {
        #[test]
        fn quotes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            let _parsed = quoted_udp(&bytes);
        }
    }

    #[test]
    fn an_answer_is_answered_by_its_question() {
        for kind in 0..=255 {
            for pair in [counterpart, counterpart_v6] {
                assert!(pair(kind).is_none_or(|answer| pair(answer) == Some(kind)), "{kind}");
            }
        }
        assert_eq!((counterpart(8), counterpart_v6(128)), (Some(0), Some(129)));
    }
}
