//! The encapsulation of a session's first packet: tunnels, inner tags, labels.
//!
//! Owns: nothing. In: a packet and its frame's bytes (more bytes may follow). Out: the
//! encapsulation, outermost first.
//! Never: runs for every packet: a session's first stands for all.

use crate::decode::key::KeyHasher;
use crate::decode::{DecodeConfig, general, link};
use crate::model::record::Wrapping;
use crate::model::{Frame, LinkType, Packet, PacketFlags};

/// Link types other than Ethernet. A packet does not carry its frame's link type; only the right
/// one leads to the same transport header of the same session.
const OTHERS: [LinkType; 11] = [
    LinkType::RAW,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::PPP,
    LinkType::C_HDLC,
    LinkType::IEEE802_11,
    LinkType::IEEE802_11_RADIOTAP,
    LinkType::NFLOG,
    link::PRISM,
];

/// The outermost VLAN id, and the rest.
type Found = (Option<u16>, Wrapping);

/// Decodes the frame of `packet` again.
pub(super) fn of(config: &DecodeConfig, packet: &Packet, bytes: &[u8]) -> Option<Found> {
    let links: &[LinkType] = match packet.flags.has(PacketFlags::ETHERNET) {
        true => &[LinkType::ETHERNET],
        false => &OTHERS,
    };
    let length = usize::try_from(packet.wire_len).unwrap_or(bytes.len());
    let bytes = bytes.get(..length).unwrap_or(bytes);
    links.iter().find_map(|link| through(config, packet, bytes, *link))
}

fn through(config: &DecodeConfig, packet: &Packet, bytes: &[u8], link: LinkType) -> Option<Found> {
    let frame = Frame { time: packet.time, link, wire_len: packet.wire_len, bytes };
    let mut layers = Vec::new();
    // The key's hash is unused here, so any secret will do.
    let decoded = general::trace(config, &KeyHasher::new(0), &frame, &mut layers).ok()?;
    let found = &decoded.packet;
    let ends = (found.key.a, found.key.b);
    if found.l4_at != packet.l4_at || ends != (packet.key.a, packet.key.b) {
        return None;
    }
    let wrapping = Wrapping {
        layers,
        inner_vlan: decoded.path.inner_vlan,
        mpls_label: decoded.path.mpls_label,
        unproven: false,
    };
    Some((decoded.path.vlan, wrapping))
}
