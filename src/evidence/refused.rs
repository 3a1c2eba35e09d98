//! Datagrams that somebody on the way refused to pass on, because the next link is too small.
//!
//! Owns: what an ICMP error proves. In: its message. Out: [`Refused`]. Never: believes it: whoever
//! compares it with what was sent does.

use crate::model::facts::{LongDatagram, Refused};
use crate::model::{Peer, Segment, Transport};
use crate::wire::icmp;

/// The datagram that a message refuses, if that is what it says. Its sender is the initiator of
/// such a session, and type and code are its ports.
pub fn tell(segment: &Segment<'_>) -> Option<Refused> {
    let version = match segment.transport {
        Transport::ICMP => 4,
        Transport::ICMP6 => 6,
        _ => return None,
    };
    let (kind, code) = segment.ports;
    let (kind, code) = (u8::try_from(kind).ok()?, u8::try_from(code).ok()?);
    if segment.from != Peer::Initiator || !icmp::is_too_big(version, kind, code) {
        return None;
    }
    let quoted = icmp::quoted_udp(segment.payload).ok()?;
    let print = LongDatagram::print_of(quoted.payload)?;
    let datagram = LongDatagram { bytes: quoted.bytes, print, ports: quoted.ports };
    let (from, to) = (quoted.ends.0.into(), quoted.ends.1.into());
    Some(Refused { from, to, datagram })
}
