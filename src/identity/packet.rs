//! The parts of a packet that identity reads.
//!
//! Owns: the view of one packet by direction. In: a packet and its frame. Out: sender, receiver,
//! ports and payload. Never: reads the payload.

use crate::identity::authentications::Client;
use crate::model::{Addr, Heading, Nanos, Packet, PacketFlags, Place};

/// The parts of a packet that this stage reads.
#[derive(Clone, Copy)]
pub struct IdentityPacket<'a> {
    pub point: u16,
    pub from: Addr,
    pub to: Addr,
    pub ports: (u16, u16),
    pub payload: &'a [u8],
    /// The sender's link-layer address, if the frame did not cross a router.
    pub mac: Option<[u8; 6]>,
    pub time: Nanos,
    /// Whether the sender, and whether the receiver, is a home address.
    pub is_home: bool,
    pub for_home: bool,
}

impl<'a> IdentityPacket<'a> {
    /// Reads the parts of a packet.
    pub fn of(
        packet: &Packet,
        frame: &'a [u8],
        is_home: impl Fn(Addr) -> bool,
    ) -> IdentityPacket<'a> {
        let key = &packet.key;
        let (a, b) = ((key.a, key.a_port), (key.b, key.b_port));
        let (from, to) = match packet.heading() {
            Heading::AToB => (a, b),
            Heading::BToA => (b, a),
        };
        let plain =
            packet.flags.has(PacketFlags::ETHERNET) && !packet.flags.has(PacketFlags::TUNNELLED);
        let is_local = plain && frame.first().is_some_and(|octet| octet & 1 == 1);
        let mac = frame.get(6..12).and_then(|mac| mac.try_into().ok()).filter(|_| is_local);
        let (point, payload, time) = (key.point, packet.payload(frame), packet.time);
        let (ports, is_home, for_home) = ((from.1, to.1), is_home(from.0), is_home(to.0));
        IdentityPacket {
            point,
            from: from.0,
            to: to.0,
            ports,
            payload,
            mac,
            time,
            is_home,
            for_home,
        }
    }

    /// An address, at this packet's observation point.
    pub const fn place(&self, addr: Addr) -> Place {
        (self.point, addr)
    }

    /// Client and server of a question.
    pub const fn asking(&self) -> Client {
        (self.place(self.from), self.ports.0, self.to)
    }

    /// Client and server of an answer.
    pub const fn asked(&self) -> Client {
        (self.place(self.to), self.ports.1, self.from)
    }
}
