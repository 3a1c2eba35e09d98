//! OpenVPN's packets in a stream, as far as turns need them: which kind stands first in a segment.
//!
//! Each packet has its length before it; both sides write one at a time, so that segments of an
//! opening start with one.

use super::OpenvpnStep;
use crate::wire::openvpn;

/// The client's part of the TLS stream that carries its wrapped key (OpenVPN's wire protocol:
/// opcodes are the upper five bits of a packet's first byte).
const CONTROL_WITH_KEY: u8 = 11;

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
