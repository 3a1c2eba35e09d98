//! One decoded packet: a small `Copy` value that crosses threads; its bytes stay in their block.
//!
//! Owns: offsets and facts. In: decode. Out: dispatch and session. Never: a reference or a copy of
//! bytes.

use crate::model::{FlowKey, Frame, Nanos, Stamp};

/// TCP flag bits (RFC 9293 section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement field is significant.
    pub const ACK: u8 = 0x10;

    /// Whether every bit of `mask` is set.
    pub const fn has(self, mask: u8) -> bool {
        self.0 & mask == mask
    }

    /// Whether any bit of `mask` is set.
    pub const fn any(self, mask: u8) -> bool {
        self.0 & mask != 0
    }
}

/// The direction of a packet, relative to its key's canonical order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heading {
    /// Sent by side `a` (the lower endpoint).
    AToB,
    /// Sent by side `b`.
    BToA,
}

/// Facts about one packet that fit a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketFlags(pub u8);

impl PacketFlags {
    /// Sent by side `b`.
    pub const FROM_B: u8 = 0x01;
    /// The capture holds fewer bytes than the IP header promised.
    pub const TRUNCATED: u8 = 0x02;
    /// First fragment of a fragmented datagram (ports are known, the payload is partial).
    pub const FRAGMENT: u8 = 0x04;
    /// A later fragment (no ports of its own).
    pub const FRAGMENT_LATER: u8 = 0x08;
    /// Found inside at least one tunnel.
    pub const TUNNELLED: u8 = 0x10;
    /// Has a VLAN tag or an MPLS label anywhere in the frame.
    pub const TAGGED: u8 = 0x20;
    /// The frame begins with an Ethernet header (so that addresses can be read at its start).
    pub const ETHERNET: u8 = 0x40;
    /// A duplicate of a recent packet: it is counted with its session and otherwise ignored.
    pub const DUPLICATE: u8 = 0x80;

    /// Whether the bit is set.
    pub const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

/// One decoded packet, 96 bytes, `Copy`.
///
/// `frame_at`, `number`, `wire_len`, `clock` and `stamp` are filled by the reader
/// loop; everything else by decode.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packet {
    /// Its timestamp.
    pub time: Nanos,
    /// Canonical session key.
    pub key: FlowKey,
    /// The run's clock in whole seconds, which never steps back: timers use it, so that a capture
    /// whose time steps back cannot rewind them.
    pub clock: u32,
    /// Length of the frame on the wire.
    pub wire_len: u32,
    /// Keyed hash of `key`, for table slots.
    pub hash: u32,
    /// Offset of the frame in its block.
    pub frame_at: u32,
    /// Ordinal of the frame in its file, from 1 (saturating).
    pub number: u32,
    /// Captured bytes of transport payload.
    pub payload_len: u32,
    /// Bytes of transport payload that the wire carried but the capture does not hold.
    pub payload_missing: u32,
    /// TCP sequence number.
    pub seq: u32,
    /// TCP acknowledgement number.
    pub ack: u32,
    /// Offset of the transport header in the frame.
    pub l4_at: u16,
    /// Length of the transport header in bytes (0 if there is none).
    pub l4_len: u8,
    /// TCP flags.
    pub tcp_flags: TcpFlags,
    /// IP time to live or hop limit.
    pub ttl: u8,
    /// See [`PacketFlags`].
    pub flags: PacketFlags,
    /// Logical shard, a function of the key alone: the same at any worker count.
    pub shard: u8,
    /// The trust in `time`, and the granularity of its clock.
    pub stamp: Stamp,
}

impl Packet {
    /// The payload of a frame without IP, from an offset on. Its key belongs to no session: version
    /// 0.
    pub fn of_link(frame: &Frame<'_>, at: u16) -> Packet {
        Packet {
            time: frame.time,
            key: FlowKey::default(),
            clock: 0,
            wire_len: frame.wire_len,
            hash: 0,
            frame_at: 0,
            number: 0,
            payload_len: frame.bytes.len().saturating_sub(usize::from(at)) as u32,
            payload_missing: 0,
            seq: 0,
            ack: 0,
            l4_at: at,
            l4_len: 0,
            tcp_flags: TcpFlags::default(),
            ttl: 0,
            flags: PacketFlags(PacketFlags::ETHERNET),
            shard: 0,
            stamp: Stamp::PLAIN,
        }
    }

    /// Its direction.
    pub const fn heading(&self) -> Heading {
        if self.flags.has(PacketFlags::FROM_B) { Heading::BToA } else { Heading::AToB }
    }

    /// The VLAN id if a single 802.1Q tag is all there is between the frame's Ethernet header and
    /// its IP packet; only decode knows the position of other tags and labels.
    pub fn only_tag(&self, frame: &[u8]) -> Option<u16> {
        let plain = PacketFlags::ETHERNET | PacketFlags::TAGGED;
        if self.flags.0 & (plain | PacketFlags::TUNNELLED) != plain {
            return None;
        }
        match frame.get(12..18) {
            Some(&[0x81, 0x00, v0, v1, 0x08, 0x00] | &[0x81, 0x00, v0, v1, 0x86, 0xdd]) => {
                Some(u16::from_be_bytes([v0, v1]) & 0x0fff)
            }
            _ => None,
        }
    }

    /// Bytes of transport payload on the wire (captured or not).
    pub const fn payload_wire(&self) -> u32 {
        self.payload_len.saturating_add(self.payload_missing)
    }

    /// Sequence number of the first payload byte: a SYN takes one number itself (RFC 9293 section
    /// 3.4).
    pub const fn first_byte(&self) -> u32 {
        if self.tcp_flags.has(TcpFlags::SYN) { self.seq.wrapping_add(1) } else { self.seq }
    }

    /// The captured transport payload, given the frame's bytes from its start.
    pub fn payload<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        let start = usize::from(self.l4_at) + usize::from(self.l4_len);
        let rest = frame.get(start..).unwrap_or_default();
        rest.get(..self.payload_len as usize).unwrap_or(rest)
    }

    /// The transport header, given the frame's bytes from its start.
    pub fn l4_header<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        let start = usize::from(self.l4_at);
        frame.get(start..start + usize::from(self.l4_len)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_stays_within_its_budget() {
        assert_eq!(std::mem::size_of::<Packet>(), 96);
    }
}
