//! Whether what a tunnel carries can have been written by a stranger.
//!
//! Owns: the rule. In: packets in tunnels, with the ends of the tunnels. Out: yes or no. Never:
//! drops a packet.
//!
//! Most tunnels know no authentication: one host outside can send a whole session, both of its
//! directions, in datagrams to any address behind the sensor. A packet that comes out of a tunnel
//! from outside and claims to be sent by a home host is therefore believed only where the tunnel
//! is seen to be one: the other side of the session runs through it the other way. Mirrored
//! traffic (ERSPAN, VXLAN, TZSP) comes in both directions from one switch; that switch has to be in
//! a home network.

use crate::decode::Decoder;
use crate::model::record::{Layer, Wrapping};
use crate::model::{Addr, Packet, PacketFlags};

/// Whether the packet claims a home address and comes out of a tunnel from outside.
fn claims_home(packet: &Packet, layers: &[Layer], is_home: impl Fn(Addr) -> bool) -> bool {
    let from_b = packet.flags.has(PacketFlags::FROM_B);
    let source = if from_b { packet.key.b } else { packet.key.a };
    layers.first().is_some_and(|outer| !is_home(outer.source) && is_home(source))
}

/// The same of a packet whose tunnels are not known yet.
pub(super) fn speaks_for_home(
    decoder: &Decoder,
    packet: &Packet,
    frame: &[u8],
    is_home: impl Fn(Addr) -> bool,
) -> bool {
    packet.flags.has(PacketFlags::TUNNELLED)
        && decoder
            .wrapping_of(packet, frame)
            .is_some_and(|(_, wrapping)| claims_home(packet, &wrapping.layers, is_home))
}

/// Notes whether the first packet of a session can have been written by a stranger.
pub(super) fn begin(wrapping: &mut Wrapping, packet: &Packet, is_home: impl Fn(Addr) -> bool) {
    wrapping.unproven = claims_home(packet, &wrapping.layers, is_home);
}

/// Looks at the first packet that answers: `first` is the wrapping of the session, if it has one.
/// Returns the wrapping of the session from now on, where it changes.
pub(super) fn answer(
    first: Option<&Wrapping>,
    second: Wrapping,
    packet: &Packet,
    is_home: impl Fn(Addr) -> bool,
) -> Option<Wrapping> {
    let claims = claims_home(packet, &second.layers, is_home);
    let Some(first) = first else {
        // It began outside of any tunnel.
        return claims.then_some(Wrapping { unproven: true, ..second });
    };
    let reversed = match (first.layers.first(), second.layers.first()) {
        (Some(there), Some(back)) => {
            (there.source, there.destination) == (back.destination, back.source)
        }
        _ => false,
    };
    let unproven = (first.unproven || claims) && !reversed;
    (unproven != first.unproven).then(|| Wrapping { unproven, ..first.clone() })
}
