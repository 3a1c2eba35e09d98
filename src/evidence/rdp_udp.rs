//! TLS and DTLS inside RDP over UDP (MS-RDPEUDP, MS-RDPEUDP2).
//!
//! Owns: where in a datagram a hello begins. In: datagrams of a session that began with RDP's SYN.
//! Out: what TLS's own observers make of it. Never: puts datagrams together: a hello fits one, for
//! both sizes agreed on are above 1,100 bytes.

use crate::evidence::dtls::DtlsState;
use crate::evidence::parse_result::ParseResult;
use crate::evidence::tls::observe_tls;
use crate::model::Peer;
use crate::model::record::Facts;

/// The headers before the payload: 8 bytes, up to three more of version 1 (MS-RDPEUDP section
/// 2.2.2), or those of version 2 that a prefix byte is exchanged into (MS-RDPEUDP2 section 2.2.1).
/// An acknowledgement vector may lengthen either.
const HEADERS: std::ops::Range<usize> = 4..72;

/// Looks at a datagram: whether a hello of this direction has been found.
pub fn observe(bytes: &[u8], role: Peer, dtls: &mut DtlsState, facts: &mut Facts) -> bool {
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
