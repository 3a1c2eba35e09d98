//! The first message of each side of RDP: a TPKT with an X.224 connection request or confirm
//! (RFC 1006 section 6, X.224 sections 13.3 and 13.4, MS-RDPBCGR sections 2.2.1.1 and 2.2.1.2).
//!
//! Owns: their fields. In: the start of a stream's bytes. Out: size, and whether it is certainly
//! RDP. Never: reads what follows.

use crate::wire::{Reader, WireError};

/// RDP's port.
pub const PORT: u16 = 3389;
/// X.224 code of a connection request, and of a confirm.
const REQUEST: u8 = 0xe0;
const CONFIRM: u8 = 0xd0;
/// A request's fixed part: length, code, two references, class.
const FIXED_BYTES: usize = 7;
/// The prefix of a cookie or routing token.
const COOKIE: &[u8] = b"Cookie: ";
/// Size of a negotiation request, response or failure.
const NEGOTIATION_BYTES: u16 = 8;

/// One of the two messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening<'a> {
    /// Sent by the server.
    pub confirm: bool,
    /// A cookie or a negotiation proves RDP; without one, other protocols look the same.
    pub certain: bool,
    /// The name in a cookie `mstshash`.
    pub cookie: Option<&'a [u8]>,
    /// Security protocols requested, or the one chosen, as bits.
    pub protocols: Option<u32>,
    /// Its size.
    pub size: usize,
}

/// Reads the first message of a stream.
///
/// # Errors
/// `NotThis` if a field is invalid, `NeedMore` if it is incomplete.
pub fn opening(bytes: &[u8]) -> Result<Opening<'_>, WireError> {
    let mut r = Reader::new(bytes);
    if r.u8()? != 3 || r.u8()? != 0 {
        return Err(WireError::NotThis);
    }
    let size = usize::from(r.u16()?);
    let indicated = usize::from(r.u8()?);
    // The length indicator counts what follows it: the header of a TPKT has 4 bytes before it.
    if indicated + 5 != size || indicated + 1 < FIXED_BYTES {
        return Err(WireError::NotThis);
    }
    let confirm = match r.u8()? {
        REQUEST => false,
        CONFIRM => true,
        _ => return Err(WireError::NotThis),
    };
    let mut rest = r.sub(indicated - 1)?;
    rest.skip(5)?;
    let (cookie, negotiation) = cookie(rest.rest());
    let (has_negotiation, protocols) = protocols(negotiation, confirm);
    // A cookie or routing token, then a negotiation; either may be missing.
    let certain = has_negotiation || !confirm && rest.rest().starts_with(COOKIE);
    Ok(Opening { confirm, certain, cookie, protocols, size })
}

/// Splits off a cookie or routing token; gives the name in the cookie.
fn cookie(variable: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let end = variable.windows(2).position(|pair| pair == b"\r\n");
    match end
        .filter(|_| variable.starts_with(COOKIE))
        .and_then(|end| variable.split_at_checked(end))
    {
        Some((line, rest)) => {
            let name = line.get(COOKIE.len()..).and_then(|value| value.strip_prefix(b"mstshash="));
            (name, rest.get(2..).unwrap_or_default())
        }
        None => (None, variable),
    }
}

/// Whether this is a negotiation request, response or failure, and the protocols that one of the
/// first two names.
fn protocols(negotiation: &[u8], confirm: bool) -> (bool, Option<u32>) {
    let mut r = Reader::new(negotiation);
    let (Ok(kind), Ok(_flags), Ok([low, high]), Ok(bits)) = (r.u8(), r.u8(), r.array(), r.array())
    else {
        return (false, None);
    };
    let known = if confirm { matches!(kind, 2 | 3) } else { kind == 1 };
    let valid = known && u16::from_le_bytes([low, high]) == NEGOTIATION_BYTES;
    (valid, (valid && kind != 3).then(|| u32::from_le_bytes(bits)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(code: u8, variable: &[u8]) -> Vec<u8> {
        let indicated = 6 + variable.len();
        let mut out = vec![3, 0, 0, indicated as u8 + 5, indicated as u8, code, 0, 0, 0, 0, 0];
        out.extend(variable);
        out
    }

    #[test]
    fn cookies_and_negotiations_are_certain() {
        let cases: [(u8, &[u8], bool); 5] = [
            (REQUEST, b"Cookie: mstshash=me\r\n\x01\0\x08\0\x03\0\0\0", true),
            (REQUEST, &[1, 0, 8, 0, 3, 0, 0, 0], true),
            (REQUEST, &[], false),
            (CONFIRM, &[2, 0x1f, 8, 0, 2, 0, 0, 0], true),
            (CONFIRM, &[0xc1, 2, 1, 0], false),
        ];
        for (code, variable, certain) in cases {
            let bytes = message(code, variable);
            let opening = opening(&bytes).unwrap();
            assert_eq!((opening.confirm, opening.certain), (code == CONFIRM, certain));
            assert_eq!(opening.size, bytes.len());
        }
    }

    #[test]
    fn cookies_name_and_negotiations_choose() {
        let asks = message(REQUEST, b"Cookie: mstshash=me\r\n\x01\0\x08\0\x03\0\0\0");
        let read = opening(&asks).unwrap();
        assert_eq!((read.cookie, read.protocols), (Some(&b"me"[..]), Some(3)));
        let routed = message(REQUEST, b"Cookie: msts=1.2.3\r\n");
        assert_eq!(opening(&routed).unwrap().cookie, None);
        let chosen = message(CONFIRM, &[2, 0x1f, 8, 0, 2, 0, 0, 0]);
        assert_eq!(opening(&chosen).unwrap().protocols, Some(2));
        let refused = message(CONFIRM, &[3, 0, 8, 0, 5, 0, 0, 0]);
        let read = opening(&refused).unwrap();
        assert_eq!((read.certain, read.protocols), (true, None));
    }

    #[test]
    fn what_contradicts_it_is_something_else() {
        let good = message(REQUEST, &[]);
        for (at, value) in [(0, 2), (1, 1), (3, 12), (4, 7), (5, 0xf0)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(opening(&bad), Err(WireError::NotThis), "{at}");
        }
        assert!(matches!(opening(&good[..8]), Err(WireError::NeedMore(_))));
    }

    proptest! {
        #[test]
        fn never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 6..60)) {
            let size = bytes.len();
            bytes[..6].copy_from_slice(&[3, 0, 0, size as u8, size as u8 - 5, REQUEST]);
            if let Ok(opening) = opening(&bytes) {
                prop_assert_eq!(opening.size, size);
            }
        }
    }
}
