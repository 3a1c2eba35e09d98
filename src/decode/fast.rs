//! The fast path: plain frames in a few dozen lines.
//!
//! Owns: nothing. In: a frame. Out: a packet, or `None` if the frame is not plain.
//! Never: rejects a frame; the general path handles whatever it declines.
//!
//! Each header is taken as a fixed-size chunk, so its fields need no further bounds checks.

use crate::decode::key::KeyHasher;
use crate::decode::transport::{self, Network, Outer, Span};
use crate::decode::udp_tunnel::is_tunnel_port;
use crate::decode::{DecodeConfig, Decoded};
use crate::model::{Addr, Frame, Ident, LinkType, PacketFlags, Transport};

/// Decodes a frame at a capture point if it is plain; `None` if it is not.
#[inline(always)]
pub(super) fn decode(
    config: &DecodeConfig,
    hasher: &KeyHasher,
    (frame, point): (&Frame<'_>, u16),
    into: &mut Decoded,
) -> Option<()> {
    if frame.link != LinkType::ETHERNET {
        return None;
    }
    let mut outer = Outer::of(frame, point);
    outer.flags = PacketFlags::ETHERNET;
    outer.path.fast_path = true;
    let ([.., t0, t1], mut rest) = frame.bytes.split_first_chunk::<14>()?;
    let mut ether_type = u16::from_be_bytes([*t0, *t1]);
    let mut at = 14;
    if ether_type == 0x8100 {
        let ([v0, v1, t0, t1], behind) = rest.split_first_chunk::<4>()?;
        ether_type = u16::from_be_bytes([*t0, *t1]);
        outer.path.vlan = Some(u16::from_be_bytes([*v0, *v1]) & 0x0fff);
        outer.flags |= PacketFlags::TAGGED;
        (rest, at) = (behind, 18);
    }
    // The rest is compiled for each version: of IPv4 most of an address is known.
    match ether_type {
        0x0800 => behind_ip((config, hasher), (frame, outer), &ipv4(rest, at)?, into),
        0x86dd => behind_ip((config, hasher), (frame, outer), &ipv6(rest, at)?, into),
        _ => None,
    }
}

/// The transport header, and the packet.
#[inline(always)]
fn behind_ip(
    known: (&DecodeConfig, &KeyHasher),
    (frame, mut outer): (&Frame<'_>, Outer),
    network: &Network,
    into: &mut Decoded,
) -> Option<()> {
    let segment = transport::read(network.transport, frame.bytes, network.span).ok()?;
    if network.transport == Transport::UDP && may_be_tunnel(segment.src_port, segment.dst_port) {
        return None;
    }
    transport::fill(known, &outer, (network, &segment), &mut into.packet).ok()?;
    outer.path.ident = network.ident;
    into.path = outer.path;
    Some(())
}

/// IPv4 with TCP or UDP directly behind the header.
#[inline(always)]
fn ipv4(bytes: &[u8], at: usize) -> Option<Network> {
    let (network, total) = header_v4(bytes.first_chunk()?)?;
    let span = Span { at: at + 20, end: at + bytes.len().min(total), wire_end: at + total };
    is_plain(network.transport).then_some(Network { span, ..network })
}

/// RFC 791 section 3.1: version 4, five words, not a fragment, with a stated length. Returns that
/// too, and leaves the span empty.
#[inline(always)]
pub(super) fn header_v4(head: &[u8; 20]) -> Option<(Network, usize)> {
    let [first, _, l0, l1, i0, i1, f0, f1, ttl, protocol, _, _, ends @ ..] = *head;
    let [s0, s1, s2, s3, d0, d1, d2, d3] = ends;
    let total = usize::from(u16::from_be_bytes([l0, l1]));
    // Bits 2 to 15 of the fragment word: more fragments, and the offset.
    let fragment = u16::from_be_bytes([f0, f1]) & 0x3fff;
    if first != 0x45 || fragment != 0 || total < 20 {
        return None;
    }
    let network = Network {
        src: mapped([s0, s1, s2, s3]),
        dst: mapped([d0, d1, d2, d3]),
        version: 4,
        transport: Transport(protocol),
        ttl,
        ident: Ident::v4(u16::from_be_bytes([i0, i1]), u16::from_be_bytes([f0, f1])),
        span: Span::NONE,
    };
    Some((network, total))
}

/// Whether one of its ports may mean a tunnel; not inlined, since most packets have no use for it.
#[inline(never)]
const fn may_be_tunnel(src_port: u16, dst_port: u16) -> bool {
    is_tunnel_port(src_port) || is_tunnel_port(dst_port)
}

/// `Addr::v4` as one number. An address written byte by byte and read back whole would stall on
/// store forwarding.
#[inline(always)]
fn mapped(bytes: [u8; 4]) -> Addr {
    Addr((0xffff_0000_0000 | u128::from(u32::from_be_bytes(bytes))).to_be_bytes())
}

/// IPv6 with TCP or UDP directly behind the header.
#[inline(always)]
fn ipv6(bytes: &[u8], at: usize) -> Option<Network> {
    let (network, total) = header_v6(bytes.first_chunk()?)?;
    let span = Span { at: at + 40, end: at + bytes.len().min(total), wire_end: at + total };
    is_plain(network.transport).then_some(Network { span, ..network })
}

/// RFC 8200 section 3: version 6 with a stated length. Returns that of the whole packet too, and
/// leaves the span empty.
#[inline(always)]
pub(super) fn header_v6(head: &[u8; 40]) -> Option<(Network, usize)> {
    let (head, addresses) = head.split_first_chunk::<8>()?;
    let (src, dst) = addresses.split_first_chunk::<16>()?;
    let [first, f1, f2, f3, l0, l1, next, hops] = *head;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if first >> 4 != 6 || length == 0 {
        return None;
    }
    let network = Network {
        src: Addr::v6(*src),
        dst: Addr::v6(*dst.first_chunk()?),
        version: 6,
        transport: Transport(next),
        ttl: hops,
        ident: Ident::v6(u32::from_be_bytes([0, f1, f2, f3])),
        span: Span::NONE,
    };
    Some((network, 40 + length))
}

/// TCP or UDP.
#[inline(always)]
const fn is_plain(transport: Transport) -> bool {
    matches!(transport, Transport::TCP | Transport::UDP)
}
