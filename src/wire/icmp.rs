//! Which ICMP messages answer each other.
//!
//! Owns: the pairs of types. In: a type. Out: its counterpart, or none.
//! Never: matches a message to its answer (sessions do).

/// The ICMP type that answers, or is answered by, `kind` (RFC 792, RFC 950, RFC 1256; the pairs of
/// Community ID v1).
pub const fn counterpart(kind: u8) -> Option<u8> {
    Some(match kind {
        0 => 8,
        8 => 0,
        9 => 10,
        10 => 9,
        13 => 14,
        14 => 13,
        15 => 16,
        16 => 15,
        17 => 18,
        18 => 17,
        _ => return None,
    })
}

/// The same for ICMPv6 (RFC 4443, RFC 4861, RFC 4620; the pairs of Community ID v1).
pub const fn counterpart_v6(kind: u8) -> Option<u8> {
    Some(match kind {
        128 => 129,
        129 => 128,
        130 => 131,
        131 => 130,
        133 => 134,
        134 => 133,
        135 => 136,
        136 => 135,
        139 => 140,
        140 => 139,
        144 => 145,
        145 => 144,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_answered_by_its_question() {
        for kind in 0..=255 {
            for pair in [counterpart, counterpart_v6] {
                assert!(pair(kind).is_none_or(|answer| pair(answer) == Some(kind)), "{kind}");
            }
        }
        assert_eq!((counterpart(8), counterpart_v6(128)), (Some(0), Some(129)));
    }
}
