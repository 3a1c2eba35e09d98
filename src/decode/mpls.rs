//! MPLS: a label stack, and the guess at what it carries.
//!
//! Owns: RFC 3032 label entries and the RFC 4385 control word. In: a walk at a label. Out: IP or
//! Ethernet. Never: label tables; the stack does not say what follows, so the bytes must.

use crate::decode::Reject;
use crate::decode::ip;
use crate::decode::walk::Next;
use crate::decode::walk::Walk;

/// Most labels of one stack.
const LABELS_MAX: usize = 16;

/// Skips a label stack and guesses its payload.
pub(super) fn labels(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    walk.nest()?;
    for _ in 0..LABELS_MAX {
        // RFC 3032 section 2.1: the lowest bit of the third byte ends the stack.
        let [l0, l1, third, _] = walk.take::<4>()?;
        let label = u32::from_be_bytes([0, l0, l1, third]) >> 4;
        walk.outer.path.mpls_label.get_or_insert(label);
        if third & 1 == 1 {
            return payload(walk);
        }
    }
    Err(Reject::Depth)
}

/// An IP header where one fits; Ethernet behind a control word; Ethernet; in this order of
/// likelihood.
fn payload(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    let rest = walk.rest();
    if ip::plausible(rest) {
        return Ok(Next::Ip);
    }
    // RFC 4385 section 3: a first nibble of 0 marks the control word.
    let behind_word = rest.get(4..).unwrap_or_default();
    if rest.first().is_some_and(|first| first >> 4 == 0) && carries_known(behind_word) {
        walk.skip(4)?;
        return Ok(Next::Ethernet);
    }
    if carries_known(rest) {
        return Ok(Next::Ethernet);
    }
    Err(Reject::NotIp)
}

/// Whether this reads as an Ethernet header with an EtherType that leads to IP.
pub(super) fn carries_known(bytes: &[u8]) -> bool {
    let Some([.., t0, t1]) = bytes.first_chunk::<14>() else { return false };
    match u16::from_be_bytes([*t0, *t1]) {
        0x0800 | 0x86dd => bytes.get(14..).is_some_and(ip::plausible),
        0x8100 | 0x88a8 | 0x9100 | 0x8847 | 0x8864 => true,
        _ => false,
    }
}
