//! TLS and DTLS inside RDP over UDP (MS-RDPEUDP, MS-RDPEUDP2).
//!
//! Owns: where in a datagram a hello starts. In: datagrams of a session that started with RDP's
//! SYN.
//! Out: the results of TLS's own observers. Never: joins datagrams: a hello fits into one, because
//! both negotiated sizes are above 1,100 bytes.

use crate::evidence::dtls::DtlsState;
use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe};
use crate::evidence::tls::observe_tls;
use crate::model::protocol::Protocol;
use crate::model::record::Facts;
use crate::model::{Heap, Peer};
use crate::wire::{Reader, WireError};

/// RDP's port, also over UDP (MS-RDPEUDP section 1.9).
const PORT: u16 = 3389;

/// The headers before the payload: 8 bytes, up to three more of version 1 (MS-RDPEUDP section
/// 2.2.2), or those of version 2 that a prefix byte is exchanged into (MS-RDPEUDP2 section 2.2.1).
/// An acknowledgement vector may lengthen either.
const HEADERS: std::ops::Range<usize> = 4..72;

/// RDP over UDP.
#[derive(Debug, Default)]
pub struct RdpUdp {
    dtls: DtlsState,
}

impl Heap for RdpUdp {
    fn heap(&self) -> usize {
        self.dtls.heap()
    }
}

impl Parser for RdpUdp {
    type State = RdpUdp;

    const PROTOCOL: Option<Protocol> = Some(Protocol::Rdp);

    fn claims(bytes: &[u8], look: &Look<'_, RdpUdp>) -> bool {
        let on_port = look.ports.0 == PORT || look.ports.1 == PORT;
        let told = look.facts.is_some_and(|facts| facts.protocol == Some(Protocol::Rdp));
        told || on_port && is_rdp_syn(bytes).is_ok()
    }

    fn probe(_bytes: &[u8], _look: &Look<'_, RdpUdp>) -> Probe {
        Probe::No
    }

    fn feed(state: &mut RdpUdp, bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        let from = context.from;
        let facts = context.facts();
        // Also where the datagram before it looked like something else.
        facts.protocol = Some(Protocol::Rdp);
        match observe(bytes, from, &mut state.dtls, facts) {
            true => ParseResult::Done,
            false => ParseResult::Used(bytes.len()),
        }
    }
}

/// Examines a datagram: whether a hello of this direction has been found.
fn observe(bytes: &[u8], role: Peer, dtls: &mut DtlsState, facts: &mut Facts) -> bool {
    // A header of neither is a record of a handshake whose first message is a hello.
    for at in HEADERS {
        let rest = bytes.get(at..).unwrap_or_default();
        let step = match rest {
            [22, 3, 0..=4, _, _, 1 | 2, 0, ..] => observe_tls(rest, role, facts),
            [22, 0xfe, 0xfd | 0xff, 0, 0, ..] => dtls.observe(rest, role, facts),
            [] => return false,
            _ => continue,
        };
        if matches!(step, ParseResult::Done | ParseResult::Used(_)) {
            return true;
        }
    }
    false
}

/// The SYN that begins RDP over UDP (MS-RDPEUDP sections 2.2.2.1, 2.2.2.5 and 3.1.5.1.1): nothing
/// acknowledged, both sizes of what fits a datagram within their bounds, zeros to that size.
fn is_rdp_syn(bytes: &[u8]) -> Result<(), WireError> {
    const SIZES: std::ops::RangeInclusive<u16> = 1_132..=1_232;
    const SYN: u16 = 0x0001;
    /// ACK, DATA, FEC: none goes with the first SYN.
    const NOT_FIRST: u16 = 0x0004 | 0x0008 | 0x0010;
    let mut r = Reader::new(bytes);
    let (acknowledged, _window, flags) = (r.u32()?, r.u16()?, r.u16()?);
    let (_first, up, down) = (r.u32()?, r.u16()?, r.u16()?);
    let padding = r.rest().iter().rev();
    let is_padded = r.left() >= 128 && padding.take(64).all(|b| *b == 0);
    let fits = acknowledged == u32::MAX && flags & SYN != 0 && flags & NOT_FIRST == 0;
    if fits && SIZES.contains(&up) && SIZES.contains(&down) && is_padded {
        Ok(())
    } else {
        Err(WireError::NotThis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rdp_over_udp_begins_with_a_padded_syn() {
        let syn = |flags: u16, up: u16| {
            let mut out = vec![0xff, 0xff, 0xff, 0xff, 0, 0x40];
            out.extend(flags.to_be_bytes());
            out.extend([1, 2, 3, 4]);
            out.extend(up.to_be_bytes());
            out.extend(1_232u16.to_be_bytes());
            out.resize(1_232, 0);
            out
        };
        let told = |bytes: &[u8]| is_rdp_syn(bytes).is_ok();
        assert!(told(&syn(0x1801, 1_232)));
        assert!(told(&syn(0x0001, 1_132)));
        assert!(!told(&syn(0x0005, 1_232)));
        assert!(!told(&syn(0x0001, 1_500)));
        assert!(!told(&syn(0x0001, 1_232)[..64]));
        let mut noise = syn(0x0001, 1_232);
        noise[1_231] = 1;
        assert!(!told(&noise));
    }
}
