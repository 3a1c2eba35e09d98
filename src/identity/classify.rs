//! Which packets may bind a name or holder to an address.
//!
//! Owns: their ports. In: a packet and its payload. Out: whether it may bind an address. Never:
//! parses more than it takes to tell a session setup from file data.

use crate::model::{Frame, LinkType, Packet, PacketFlags, Transport};

/// DNS (RFC 1035).
pub(super) const DNS: u16 = 53;
/// SMB 2 SESSION_SETUP ([MS-SMB2] 2.2.5) and SMB 1 SESSION_SETUP_ANDX ([MS-CIFS] 2.2.4.53).
const SETUP: (u8, u8) = (1, 0x73);

/// Whether a packet may bind an address. Fragments are ignored, and so are address spaces that only
/// their VLAN distinguishes.
#[inline(always)]
pub fn has_identity_data(packet: &Packet, frame: &[u8]) -> bool {
    let barred = PacketFlags::DUPLICATE | PacketFlags::FRAGMENT | PacketFlags::FRAGMENT_LATER;
    let (low, high) = if packet.key.a_port < packet.key.b_port {
        (packet.key.a_port, packet.key.b_port)
    } else {
        (packet.key.b_port, packet.key.a_port)
    };
    let may = match packet.key.transport {
        Transport::UDP => is_udp(low) || is_local_name(high) || is_local_name(low),
        Transport::TCP => low == 88 || (is_smb(low) && is_setup(packet.payload(frame))),
        _ => false,
    };
    may && packet.payload_len > 0 && packet.key.scope == 0 && packet.flags.0 & barred == 0
}

/// EtherType of EAPOL (IEEE 802.1X) and of ARP (RFC 826).
const EAPOL: [u8; 2] = [0x88, 0x8e];
pub(super) const ARP: [u8; 2] = [8, 6];

/// The offset of a message of EAPOL or ARP in a frame without IP, behind at most one tag.
pub fn link_message_offset(frame: &Frame<'_>) -> Option<u16> {
    let ether_type = |at| frame.bytes.get(at..at + 2);
    let is_it = |kind: &[u8]| kind == EAPOL || kind == ARP;
    match ether_type(12) {
        _ if frame.link != LinkType::ETHERNET => None,
        Some(kind) if is_it(kind) => Some(14),
        Some([0x81, 0]) if ether_type(16).is_some_and(is_it) => Some(18),
        _ => None,
    }
}

/// DNS; DHCP for IPv4 (RFC 2131) and IPv6 (RFC 8415); Kerberos (RFC 4120); NetBIOS names (RFC
/// 1002); RADIUS accounting (RFC 2866) and its port before that was assigned.
const fn is_udp(low: u16) -> bool {
    matches!(low, DNS | 67 | 68 | 88 | 137 | 546 | 547 | 1646 | 1813)
}

/// Multicast DNS (RFC 6762) and LLMNR (RFC 4795).
const fn is_local_name(port: u16) -> bool {
    matches!(port, 5353 | 5355)
}

/// SMB over NetBIOS and over TCP.
pub(super) const fn is_smb(port: u16) -> bool {
    matches!(port, 139 | 445)
}

/// Whether a segment starts with a session setup, behind four bytes of length.
fn is_setup(payload: &[u8]) -> bool {
    match payload.get(4..) {
        Some([0xfe, b'S', b'M', b'B', head @ ..]) => head.get(8) == Some(&SETUP.0),
        Some([0xff, b'S', b'M', b'B', command, ..]) => *command == SETUP.1,
        _ => false,
    }
}
