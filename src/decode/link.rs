//! Link layers and encapsulations that are not tunnels: LLC, PPP, PPPoE, loopback, NFLOG.
//!
//! Owns: the steps from a link type or EtherType towards IP. In: a walk. Out: the type of the next
//! header.
//! Never: IP headers, tunnels between IP hosts.

use crate::decode::walk::{Next, Walk};
use crate::decode::{Reject, mpls, tags, tunnel, wlan};
use crate::model::{LinkType, PacketFlags};

/// Raw IP as some systems number it in files (the `DLT_RAW` of their kernels).
const RAW_BSD: LinkType = LinkType(12);
/// The same on OpenBSD.
const RAW_OPENBSD: LinkType = LinkType(14);
/// 802.11 behind a Prism header.
pub(super) const PRISM: LinkType = LinkType(119);

/// Reads the link header of a frame.
pub(super) fn first(walk: &mut Walk<'_>, link: LinkType) -> Result<Next, Reject> {
    match link {
        LinkType::ETHERNET => {
            walk.outer.flags |= PacketFlags::ETHERNET;
            Ok(Next::Ethernet)
        }
        LinkType::LINUX_SLL => {
            walk.skip(14)?;
            cooked(walk.take_u16()?)
        }
        LinkType::LINUX_SLL2 => {
            let protocol = walk.take_u16()?;
            walk.skip(18)?;
            cooked(protocol)
        }
        LinkType::RAW | RAW_BSD | RAW_OPENBSD | LinkType::IPV4 | LinkType::IPV6 => Ok(Next::Ip),
        LinkType::NULL | LinkType::LOOP => loopback(walk),
        LinkType::PPP | LinkType::C_HDLC => serial(walk),
        LinkType::IEEE802_11 => Ok(Next::Wlan),
        LinkType::IEEE802_11_RADIOTAP => wlan::radiotap(walk),
        PRISM => wlan::prism(walk),
        LinkType::NFLOG => nflog(walk),
        _ => Err(Reject::Link),
    }
}

/// Reads one header; for everything but IP.
pub(super) fn descend(walk: &mut Walk<'_>, next: Next) -> Result<Next, Reject> {
    match next {
        Next::Ethernet => ethernet(walk),
        Next::EtherType(ether_type) => next_header(walk, ether_type),
        Next::Llc => llc(walk),
        Next::Ppp => ppp(walk),
        Next::Mpls => mpls::labels(walk),
        Next::Wlan => wlan::header(walk),
        Next::Ip => Ok(Next::Ip),
    }
}

/// IEEE 802.3 clause 3: a value up to 1500 is a length and LLC follows.
fn ethernet(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    walk.skip(12)?;
    type_or_length(walk)
}

/// The field behind the addresses, or behind a tag.
pub(super) fn type_or_length(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    match walk.take_u16()? {
        length @ 0..=1500 => {
            walk.bound(usize::from(length));
            Ok(Next::Llc)
        }
        1501..=1535 => Err(Reject::NotIp),
        ether_type => Ok(Next::EtherType(ether_type)),
    }
}

/// The header that an EtherType announces.
fn next_header(walk: &mut Walk<'_>, ether_type: u16) -> Result<Next, Reject> {
    match ether_type {
        0x0800 | 0x86dd => Ok(Next::Ip),
        0x8847 | 0x8848 => Ok(Next::Mpls),
        0x8864 => pppoe(walk),
        // Transparent Ethernet bridging (in GRE and Geneve).
        0x6558 => Ok(Next::Ethernet),
        0x894f => tunnel::service_header(walk),
        0x880b => Ok(Next::Ppp),
        _ => match tags::pass(walk, ether_type)? {
            Some(next) => Ok(next),
            None if tags::hides_ip(walk) => Err(Reject::HiddenIp),
            None => Err(Reject::NotIp),
        },
    }
}

/// IEEE 802.2, and SNAP of IEEE 802 clause 9.
fn llc(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    match walk.take::<3>()? {
        [0xaa, 0xaa, 0x03] => {
            walk.skip(3)?;
            Ok(Next::EtherType(walk.take_u16()?))
        }
        // SAP 6 is IP.
        [0x06, 0x06, 0x03] => Ok(Next::Ip),
        _ => Err(Reject::NotIp),
    }
}

/// RFC 2516 section 4: version 1, type 1, code 0 is a session's data.
fn pppoe(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    walk.nest()?;
    let [version_type, code, _, _, l0, l1] = walk.take::<6>()?;
    if version_type != 0x11 || code != 0 {
        return Err(Reject::NotIp);
    }
    walk.bound(usize::from(u16::from_be_bytes([l0, l1])));
    Ok(Next::Ppp)
}

/// RFC 1661 section 2: an odd first byte is a compressed protocol field of one byte (section 6.5).
fn ppp(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    let [first] = walk.take::<1>()?;
    let protocol = match first & 1 {
        1 => u16::from(first),
        _ => u16::from_be_bytes([first, walk.take::<1>().map(|[second]| second)?]),
    };
    match protocol {
        0x0021 | 0x0057 => Ok(Next::Ip),
        0x0281 | 0x0283 => Ok(Next::Mpls),
        // RFC 3518: bridged frame; flags and MAC type, then Ethernet.
        0x0031 => {
            walk.skip(2)?;
            Ok(Next::Ethernet)
        }
        _ => Err(Reject::NotIp),
    }
}

/// RFC 1662 section 3.1: address and control may be absent.
pub(super) fn address_and_control(walk: &mut Walk<'_>) {
    if walk.rest().starts_with(&[0xff, 0x03]) {
        walk.span.at += 2;
    }
}

/// PPP and Cisco HDLC share their link types in practice; the first byte tells them apart. Cisco's
/// (RFC 1547 section 4.3.1): unicast or broadcast address, a zero byte, an EtherType.
fn serial(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    if let Some([0x0f | 0x8f, 0x00]) = walk.rest().first_chunk::<2>() {
        walk.skip(2)?;
        return Ok(Next::EtherType(walk.take_u16()?));
    }
    address_and_control(walk);
    Ok(Next::Ppp)
}

/// The protocol field of Linux cooked captures: an EtherType, or a small number of Linux's own.
fn cooked(protocol: u16) -> Result<Next, Reject> {
    match protocol {
        0x0004 => Ok(Next::Llc),
        0..=1535 => Err(Reject::NotIp),
        ether_type => Ok(Next::EtherType(ether_type)),
    }
}

/// An address family in either byte order; each BSD has its own number for IPv6, and so has Linux.
/// Some tools leave an EtherType in the second half.
fn loopback(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    let word = walk.take::<4>()?;
    let family = u32::from_le_bytes(word).min(u32::from_be_bytes(word));
    match (family, word) {
        (2 | 10 | 24 | 28 | 30, _) | (_, [_, _, 0x08, 0x00] | [_, _, 0x86, 0xdd]) => Ok(Next::Ip),
        _ => Err(Reject::NotIp),
    }
}

/// Linux NFLOG: family, version, resource, then attributes in the byte order of the capturing host.
fn nflog(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    let [family, version, _, _] = walk.take::<4>()?;
    if version != 0 || !matches!(family, 2 | 10) {
        return Err(Reject::NotIp);
    }
    // The first attribute tells the byte order: read the wrong way, its length exceeds the frame.
    let little = match walk.rest().first_chunk::<2>() {
        Some(length) => usize::from(u16::from_le_bytes(*length)) <= walk.rest().len(),
        None => return Err(Reject::Short),
    };
    let number = if little { u16::from_le_bytes } else { u16::from_be_bytes };
    loop {
        let (length, kind) = (number(walk.take()?), number(walk.take()?));
        let Some(value) = usize::from(length).checked_sub(4) else {
            return Err(Reject::Malformed("NFLOG attribute shorter than its header"));
        };
        // NFULA_PAYLOAD, without the two flag bits of a netlink attribute type.
        if kind & 0x3fff == 9 {
            walk.bound(value);
            return Ok(Next::Ip);
        }
        walk.skip(value.next_multiple_of(4))?;
    }
}
