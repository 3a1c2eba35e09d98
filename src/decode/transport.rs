//! Transport headers: ports, TCP numbers, payload offsets.
//!
//! Owns: TCP, UDP, SCTP and ICMP fixed headers, and the ICMP pairs. In: the bytes behind the IP
//! header. Out: the transport fields of a `Packet`. Never: TCP options or payload.

use crate::decode::key::{self, Domain, Ends, KeyHasher};
use crate::decode::{DecodeConfig, Path, Reject};
use crate::model::{Addr, Frame, Ident, Nanos, Packet, PacketFlags, TcpFlags, Transport};
use crate::wire::icmp;

/// A range of the frame: `at <= end <= captured length`, `end <= wire_end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Start offset in the frame.
    pub at: usize,
    /// End of its captured bytes.
    pub end: usize,
    /// Its end on the wire.
    pub wire_end: usize,
}

impl Span {
    /// Nothing.
    pub(super) const NONE: Span = Span { at: 0, end: 0, wire_end: 0 };

    /// Its captured bytes.
    #[inline(always)]
    pub(super) fn of<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        frame.get(self.at..self.end).unwrap_or_default()
    }

    /// Its length on the wire.
    #[inline(always)]
    pub(super) const fn wire_len(&self) -> usize {
        self.wire_end.saturating_sub(self.at)
    }
}

/// The fields of an IP header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    /// Sender.
    pub src: Addr,
    /// Receiver.
    pub dst: Addr,
    /// 4 or 6.
    pub version: u8,
    /// Protocol behind the last extension header.
    pub transport: Transport,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// Identification.
    pub ident: Ident,
    /// The bytes behind the IP header and its extensions.
    pub span: Span,
}

/// The fields of a transport header.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Segment {
    pub src_port: u16,
    pub dst_port: u16,
    pub one_way: bool,
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub header_len: usize,
    pub payload_len: usize,
    pub payload_missing: usize,
}

/// Reads the transport header at the start of `span`.
#[inline(always)]
pub(super) fn read(transport: Transport, bytes: &[u8], span: Span) -> Result<Segment, Reject> {
    let bytes = span.of(bytes);
    let wire = span.wire_len();
    match transport {
        Transport::TCP => read_tcp(bytes, wire),
        Transport::UDP => read_udp(bytes, wire),
        Transport::SCTP => read_sctp(bytes, wire),
        Transport::ICMP | Transport::ICMP6 => read_icmp(transport, bytes, wire),
        _ => Ok(Segment::default().with_payload(0, bytes.len(), wire)),
    }
}

/// RFC 9293 section 3.1. Options may be truncated by the snap length: the fixed header is enough to
/// follow a session, and a truncated SYN still gives its round trip.
#[inline(always)]
fn read_tcp(bytes: &[u8], wire: usize) -> Result<Segment, Reject> {
    let Some(head) = bytes.first_chunk::<20>() else {
        return Err(cut("TCP header longer than its packet", 20, wire));
    };
    let [p0, p1, p2, p3, s0, s1, s2, s3, a0, a1, a2, a3, offset, flags, ..] = *head;
    let header = usize::from(offset >> 4) * 4;
    if header < 20 {
        return Err(Reject::Malformed("TCP data offset below 5"));
    }
    if header > wire {
        return Err(Reject::Malformed("TCP data offset beyond its packet"));
    }
    let segment = Segment {
        src_port: u16::from_be_bytes([p0, p1]),
        dst_port: u16::from_be_bytes([p2, p3]),
        seq: u32::from_be_bytes([s0, s1, s2, s3]),
        ack: u32::from_be_bytes([a0, a1, a2, a3]),
        flags,
        ..Segment::default()
    };
    Ok(segment.with_payload(header, bytes.len(), wire))
}

/// RFC 768. Length 0 means "the rest" (RFC 2675 section 4, and segments that the NIC has yet to
/// split). A length beyond the packet belongs to a fragmented or damaged datagram, whose ports are
/// still valid.
#[inline(always)]
fn read_udp(bytes: &[u8], wire: usize) -> Result<Segment, Reject> {
    let Some(head) = bytes.first_chunk::<8>() else {
        return Err(cut("UDP header longer than its packet", 8, wire));
    };
    let [p0, p1, p2, p3, l0, l1, _, _] = *head;
    let wire = match usize::from(u16::from_be_bytes([l0, l1])) {
        0 => wire,
        1..8 => return Err(Reject::Malformed("UDP length below 8")),
        length => length.min(wire),
    };
    let segment = Segment {
        src_port: u16::from_be_bytes([p0, p1]),
        dst_port: u16::from_be_bytes([p2, p3]),
        ..Segment::default()
    };
    Ok(segment.with_payload(8, bytes.len(), wire))
}

/// RFC 9260 section 3.1: the common header.
fn read_sctp(bytes: &[u8], wire: usize) -> Result<Segment, Reject> {
    let Some([p0, p1, p2, p3, ..]) = bytes.first_chunk::<12>().copied() else {
        return Err(cut("SCTP header longer than its packet", 12, wire));
    };
    let segment = Segment {
        src_port: u16::from_be_bytes([p0, p1]),
        dst_port: u16::from_be_bytes([p2, p3]),
        ..Segment::default()
    };
    Ok(segment.with_payload(12, bytes.len(), wire))
}

/// RFC 792, RFC 4443: type and code take the place of ports as in Community ID v1.
fn read_icmp(transport: Transport, bytes: &[u8], wire: usize) -> Result<Segment, Reject> {
    let Some([kind, code, ..]) = bytes.first_chunk::<4>().copied() else {
        return Err(cut("ICMP header longer than its packet", 4, wire));
    };
    let counterpart = match transport {
        Transport::ICMP => icmp::counterpart(kind),
        _ => icmp::counterpart_v6(kind),
    };
    let segment = Segment {
        src_port: u16::from(kind),
        dst_port: u16::from(counterpart.unwrap_or(code)),
        one_way: counterpart.is_none(),
        ..Segment::default()
    };
    Ok(segment.with_payload(wire.min(8), bytes.len(), wire))
}

/// A missing header: truncated by the capture, or never sent.
#[cold]
const fn cut(reason: &'static str, needed: usize, wire: usize) -> Reject {
    if wire < needed { Reject::Malformed(reason) } else { Reject::Short }
}

impl Segment {
    /// Fills in the lengths, given those of the header, the captured packet and the packet on the
    /// wire.
    #[inline(always)]
    fn with_payload(mut self, header: usize, captured: usize, wire: usize) -> Segment {
        let payload_wire = wire.saturating_sub(header);
        self.header_len = header.min(captured);
        self.payload_len = captured.saturating_sub(header).min(payload_wire);
        self.payload_missing = payload_wire - self.payload_len;
        self
    }
}

/// The fields of a packet that come from its frame and the headers before IP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outer {
    /// Time of capture.
    pub time: Nanos,
    /// Capture point.
    pub point: u16,
    /// `PacketFlags` known so far.
    pub flags: u8,
    /// The encapsulation so far.
    pub path: Path,
}

impl Outer {
    /// The facts of the frame itself.
    #[inline(always)]
    pub(super) fn of(frame: &Frame<'_>, point: u16) -> Outer {
        Outer { time: frame.time, point, flags: 0, path: Path::default() }
    }

    /// What separates sessions of equal addresses, if configured. A VLAN id has 12 bits and a
    /// network identifier 24: together they are mixed into the word.
    #[inline(always)]
    pub(super) fn scope(&self, config: &DecodeConfig) -> u32 {
        let vlan = if config.vlan_in_key { u32::from(self.path.vlan.unwrap_or(0)) } else { 0 };
        match self.path.tunnel {
            Some(kind) if config.vni_in_key && kind.has_network_id() => {
                self.path.tunnel_id ^ vlan.rotate_right(12)
            }
            _ => vlan,
        }
    }
}

/// The offset of a transport header, as a packet stores it.
#[inline(always)]
pub(super) fn offset(at: usize) -> Result<u16, Reject> {
    u16::try_from(at).map_err(|_| Reject::Malformed("transport header beyond 65535 bytes"))
}

/// Builds a packet: writes all of its fields but those that the reader fills.
#[inline(always)]
pub(super) fn fill(
    (config, hasher): (&DecodeConfig, &KeyHasher),
    outer: &Outer,
    (network, segment): (&Network, &Segment),
    packet: &mut Packet,
) -> Result<(), Reject> {
    // In the order in which they are known, so that few wait for their place.
    packet.l4_at = offset(network.span.at)?;
    packet.l4_len = segment.header_len as u8;
    packet.payload_len = segment.payload_len as u32;
    packet.payload_missing = segment.payload_missing as u32;
    packet.seq = segment.seq;
    packet.ack = segment.ack;
    packet.tcp_flags = TcpFlags(segment.flags);
    packet.ttl = network.ttl;
    packet.time = outer.time;
    let ends = Ends {
        src: network.src,
        dst: network.dst,
        src_port: segment.src_port,
        dst_port: segment.dst_port,
        one_way: segment.one_way,
    };
    let domain = Domain {
        scope: outer.scope(config),
        point: outer.point,
        transport: network.transport,
        version: network.version,
    };
    let (key, from_b) = key::canonical(&ends, domain);
    let mut flags = outer.flags;
    if from_b {
        flags |= PacketFlags::FROM_B;
    }
    if network.span.wire_end > network.span.end {
        flags |= PacketFlags::TRUNCATED;
    }
    packet.flags = PacketFlags(flags);
    packet.key = key;
    packet.hash = hasher.hash(&key);
    packet.shard = key::shard(&key);
    Ok(())
}
