//! Turns of OpenVPN over TCP: its packets stand in the stream, each behind its length.
//!
//! Owns: how far the opening has come. In: segments, which start with a packet, because both sides
//! write one at a time. Out: turns. Never: a turn of packets that a relay answers, or a full parse.

use super::{Beside, Phase, Watch};
use crate::model::Segment;
use crate::model::latency::Exchange;
use crate::wire::openvpn;

/// The client's part of the TLS stream that carries its wrapped key (OpenVPN's wire protocol:
/// opcodes are the upper five bits of a packet's first byte).
const CONTROL_WITH_KEY: u8 = 11;

/// How far OpenVPN's opening has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenvpnStep {
    /// The client's reset was sent.
    Reset,
    /// The server's reset: the client goes on with its ClientHello.
    Answered,
    /// The client did.
    Hello,
    /// The server's flight has started: the client needs all of it to go on.
    ServerFlight,
}

/// The opcode of the packet that a segment starts with.
fn opcode(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [0..=5, _, first, ..] => Some(openvpn::opcode(*first).0),
        _ => None,
    }
}

/// Whether a segment is a client's reset and no more.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let [high, low, ..] = bytes else { return false };
    let whole = bytes.len() == 2 + usize::from(u16::from_be_bytes([*high, *low]));
    whole && matches!(opcode(bytes), Some(openvpn::RESET_CLIENT | openvpn::RESET_CLIENT_3))
}

/// Whether a segment starts with a part of the TLS stream.
pub(super) fn controls(bytes: &[u8]) -> bool {
    matches!(opcode(bytes), Some(openvpn::CONTROL | CONTROL_WITH_KEY))
}

/// Whether a segment starts with what follows a reset.
pub(super) fn goes_on(bytes: &[u8]) -> bool {
    opcode(bytes) == Some(openvpn::ACK) || controls(bytes)
}

impl OpenvpnStep {
    /// The step after a segment of the server; none if it does not fit. A second reset leaves open
    /// which of them the client answers.
    pub(super) fn behind(self, bytes: &[u8]) -> Option<OpenvpnStep> {
        let resets = opcode(bytes) == Some(openvpn::RESET_SERVER);
        match self {
            OpenvpnStep::Reset => resets.then_some(OpenvpnStep::Answered),
            OpenvpnStep::Answered => None,
            OpenvpnStep::Hello if controls(bytes) => Some(OpenvpnStep::ServerFlight),
            step => Some(step),
        }
    }
}

impl Watch {
    /// OpenVPN's own packets of the client: a relay of the stream does not make them.
    pub(super) fn observe_openvpn_client(
        &mut self,
        step: OpenvpnStep,
        segment: &Segment<'_>,
        beside: &mut Beside<'_>,
    ) {
        match (step, self.last.1.get()) {
            (OpenvpnStep::Answered, _) if goes_on(segment.payload) => {
                self.answer(Exchange::Openvpn, segment, beside);
                self.phase = Phase::Openvpn(OpenvpnStep::Hello);
            }
            // Before it, the client acknowledges single packets of the flight.
            (OpenvpnStep::ServerFlight, Some(flight)) if controls(segment.payload) => {
                self.turn(Exchange::TlsCertificate, flight, segment, beside);
                self.phase = Phase::Over;
            }
            _ => {}
        }
    }
}
