//! Payload of a session on its way from the session stage to its observers.
//!
//! Owns: the types for both ends, a segment, and whether more is wanted. In: a packet's payload.
//! Out: a view of it. Never: a copy.

use crate::model::{Nanos, Transport};

/// Which end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Started the session.
    Initiator,
    /// Answered it.
    Responder,
}

impl Peer {
    /// The other end.
    pub const fn other(self) -> Peer {
        match self {
            Peer::Initiator => Peer::Responder,
            Peer::Responder => Peer::Initiator,
        }
    }
}

/// The next bytes of a TCP direction, one datagram, or the first payload of another transport.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The bytes.
    pub payload: &'a [u8],
    /// Their sender.
    pub from: Peer,
    /// Time of the packet that made them deliverable.
    pub time: Nanos,
    /// IANA protocol.
    pub transport: Transport,
    /// Initiator's and responder's port.
    pub ports: (u16, u16),
    /// Bytes before these are lost for good.
    pub gap: bool,
    /// TCP: times of the SYN-ACK and of the initiator's ACK, if they give a leg.
    pub opened: Option<(Nanos, Nanos)>,
    /// TCP: retransmissions, early segments and gaps of the session so far: if two segments differ
    /// here, there was a problem in between.
    pub troubles: u32,
    /// TCP: sequence number behind the last byte, and the acknowledgement number: what the sender
    /// had received when it sent this.
    pub numbers: (u32, u32),
}

impl<'a> Segment<'a> {
    /// A segment with only these values: no problems, no handshake, time zero.
    pub const fn plain(from: Peer, transport: Transport, payload: &'a [u8]) -> Segment<'a> {
        Segment {
            payload,
            from,
            time: Nanos::ZERO,
            transport,
            ports: (0, 0),
            gap: false,
            opened: None,
            troubles: 0,
            numbers: (0, 0),
        }
    }
}

/// Whether a listener wants more of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Keep delivering.
    More,
    /// Stop: nothing is delivered or buffered any more.
    Done,
}
