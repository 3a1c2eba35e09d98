//! ARP for IPv4 on Ethernet (RFC 826).
//!
//! Owns: the packet's fields. In: what is behind EtherType 0x0806. Out: sender and operation.
//! Never: looks at the target, or accepts other kinds of addresses.

use std::net::Ipv4Addr;

use crate::wire::{Reader, WireError};

/// Hardware type Ethernet, protocol type IPv4, and the lengths of their addresses.
const ETHERNET: u16 = 1;
const IPV4: u16 = 0x0800;
const LENGTHS: [u8; 2] = [6, 4];
/// Operation of a request.
const REQUEST: u16 = 1;

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpPacket {
    /// It asks for an address; otherwise it answers.
    pub request: bool,
    /// The sender's hardware address, as the packet gives it.
    pub sender: [u8; 6],
    /// The sender's address; 0.0.0.0 in a probe (RFC 5227 section 2.1.1).
    pub sender_ip: Ipv4Addr,
}

impl ArpPacket {
    /// Reads a packet; padding behind it is left.
    ///
    /// # Errors
    /// `NotThis` for other kinds of addresses; `NeedMore` where it is cut.
    pub fn parse(bytes: &[u8]) -> Result<ArpPacket, WireError> {
        let mut r = Reader::new(bytes);
        let kinds = (r.u16()?, r.u16()?, [r.u8()?, r.u8()?]);
        if kinds != (ETHERNET, IPV4, LENGTHS) {
            return Err(WireError::NotThis);
        }
        let request = r.u16()? == REQUEST;
        let sender = r.array()?;
        Ok(ArpPacket { request, sender, sender_ip: Ipv4Addr::from(r.u32()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A probe as a client sends it before it uses an address it was granted.
    const PROBE: [u8; 28] = [
        0, 1, 8, 0, 6, 4, 0, 1, 0xdc, 0xa6, 0x32, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0,
        77,
    ];

    #[test]
    fn a_probe_is_read() {
        let packet = ArpPacket::parse(&PROBE).unwrap();
        let wanted = ArpPacket {
            request: true,
            sender: [0xdc, 0xa6, 0x32, 1, 2, 3],
            sender_ip: Ipv4Addr::UNSPECIFIED,
        };
        assert_eq!(packet, wanted);
        assert_eq!(ArpPacket::parse(&[&PROBE[..], &[0; 18]].concat()), Ok(packet), "padded");
    }

    #[test]
    fn other_kinds_and_cut_ones_are_not() {
        for at in [1, 2, 4, 5] {
            let mut other = PROBE;
            other[at] ^= 2;
            assert_eq!(ArpPacket::parse(&other), Err(WireError::NotThis));
        }
        for cut in 0..18 {
            assert!(ArpPacket::parse(&PROBE[..cut]).is_err(), "{cut}");
        }
        let mut reply = PROBE;
        reply[7] = 2;
        assert!(!ArpPacket::parse(&reply).unwrap().request);
    }
}
