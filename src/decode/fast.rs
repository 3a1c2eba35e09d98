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

/// Decodes `frame` if it is plain.
#[inline(always)]
pub(super) fn decode(
    config: &DecodeConfig,
    hasher: &KeyHasher,
    frame: &Frame<'_>,
    point: u16,
) -> Option<Decoded> {
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
    let network = match ether_type {
        0x0800 => ipv4(rest, at)?,
        0x86dd => ipv6(rest, at)?,
        _ => return None,
    };
    let segment = transport::read(network.transport, frame.bytes, network.span).ok()?;
    let udp = network.transport == Transport::UDP;
    if udp && (is_tunnel_port(segment.src_port) || is_tunnel_port(segment.dst_port)) {
        return None;
    }
    let packet = transport::packet((config, hasher), &outer, &network, &segment).ok()?;
    outer.path.ident = network.ident;
    Some(Decoded { packet, path: outer.path })
}

/// RFC 791 section 3.1: version 4, five words, not a fragment, TCP or UDP.
#[inline(always)]
fn ipv4(bytes: &[u8], at: usize) -> Option<Network> {
    let head = bytes.first_chunk::<20>()?;
    let [first, _, l0, l1, i0, i1, f0, f1, ttl, protocol, _, _, ends @ ..] = *head;
    let [s0, s1, s2, s3, d0, d1, d2, d3] = ends;
    let total = usize::from(u16::from_be_bytes([l0, l1]));
    // Bits 2 to 15 of the fragment word: more fragments, and the offset.
    let fragment = u16::from_be_bytes([f0, f1]) & 0x3fff;
    if first != 0x45 || fragment != 0 || total < 20 || !is_plain(protocol) {
        return None;
    }
    let end = at + bytes.len().min(total);
    Some(Network {
        src: mapped([s0, s1, s2, s3]),
        dst: mapped([d0, d1, d2, d3]),
        version: 4,
        transport: Transport(protocol),
        ttl,
        ident: Ident::v4(u16::from_be_bytes([i0, i1]), u16::from_be_bytes([f0, f1])),
        span: Span { at: at + 20, end, wire_end: at + total },
    })
}

/// `Addr::v4` as one number. An address written byte by byte and read back whole would stall on
/// store forwarding.
#[inline(always)]
fn mapped(bytes: [u8; 4]) -> Addr {
    Addr((0xffff_0000_0000 | u128::from(u32::from_be_bytes(bytes))).to_be_bytes())
}

/// RFC 8200 section 3: TCP or UDP directly behind the fixed header, with a stated length.
#[inline(always)]
fn ipv6(bytes: &[u8], at: usize) -> Option<Network> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let (src, rest) = rest.split_first_chunk::<16>()?;
    let (dst, rest) = rest.split_first_chunk::<16>()?;
    let [first, f1, f2, f3, l0, l1, next, hops] = *head;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if first >> 4 != 6 || length == 0 || !is_plain(next) {
        return None;
    }
    let at = at + 40;
    Some(Network {
        src: Addr::v6(*src),
        dst: Addr::v6(*dst),
        version: 6,
        transport: Transport(next),
        ttl: hops,
        ident: Ident::v6(u32::from_be_bytes([0, f1, f2, f3])),
        span: Span { at, end: at + rest.len().min(length), wire_end: at + length },
    })
}

/// TCP or UDP.
#[inline(always)]
const fn is_plain(protocol: u8) -> bool {
    matches!(Transport(protocol), Transport::TCP | Transport::UDP)
}
