//! One captured frame, borrowed from the block that holds its bytes.
//!
//! Owns: nothing (a view). In: capture. Out: decode. Never: protocol knowledge beyond the link
//! type.

use crate::model::Nanos;

/// A `LINKTYPE_` number of the tcpdump group's registry (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback, host byte order family word.
    pub const NULL: LinkType = LinkType(0);
    /// Ethernet.
    pub const ETHERNET: LinkType = LinkType(1);
    /// PPP.
    pub const PPP: LinkType = LinkType(9);
    /// Raw IP (the file-format number).
    pub const RAW: LinkType = LinkType(101);
    /// Cisco HDLC / PPP over serial.
    pub const C_HDLC: LinkType = LinkType(104);
    /// 802.11 without radio header.
    pub const IEEE802_11: LinkType = LinkType(105);
    /// OpenBSD loopback, network byte order family word.
    pub const LOOP: LinkType = LinkType(108);
    /// Linux cooked capture v1.
    pub const LINUX_SLL: LinkType = LinkType(113);
    /// 802.11 behind a radiotap header.
    pub const IEEE802_11_RADIOTAP: LinkType = LinkType(127);
    /// Raw IPv4.
    pub const IPV4: LinkType = LinkType(228);
    /// Raw IPv6.
    pub const IPV6: LinkType = LinkType(229);
    /// Linux NFLOG.
    pub const NFLOG: LinkType = LinkType(239);
    /// Linux cooked capture v2.
    pub const LINUX_SLL2: LinkType = LinkType(276);
}

/// One frame as captured. `bytes` may be shorter than `wire_len` because of a snap length.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its timestamp.
    pub time: Nanos,
    /// The header that `bytes` starts with.
    pub link: LinkType,
    /// Length on the wire, in bytes.
    pub wire_len: u32,
    /// The captured bytes.
    pub bytes: &'a [u8],
}
