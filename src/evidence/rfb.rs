//! The opening of RFB (VNC): versions, then security types.
//!
//! Owns: which side is the server, and what was offered. In: the available bytes of one direction.
//! Out: version and security type. Never: follows the log-in.

use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe};
use crate::model::record::{Facts, Protocol};
use crate::model::{Heap, Peer};
use crate::wire::{Reader, WireError};

/// A version message: `RFB 003.008` and a newline (RFC 6143 section 7.1.1).
const VERSION_BYTES: usize = 12;
/// Security types that one message offers: a dozen exist.
const TYPES_MAX: u8 = 32;

/// The state of an opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Nothing,
    /// The server, which sends first, has sent its version.
    Served(Peer),
    /// Both have; the server sends its security types. From 3.7 on the client chooses.
    Agreed(Peer, bool),
    /// The types offered, as bits; 127 for that and all above.
    Offered(Peer, u128),
    Over,
}

/// The opening of a session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rfb {
    stage: Stage,
}

impl Heap for Rfb {
    fn heap(&self) -> usize {
        0
    }
}

impl Parser for Rfb {
    type State = Rfb;

    const PROTOCOL: Option<Protocol> = Some(Protocol::Rfb);

    fn probe(bytes: &[u8], look: &Look<'_, Rfb>) -> Probe {
        match look.state {
            Some(known) if known.listens(look.from) => Probe::Fits,
            _ => Probe::starts(bytes, b"RFB "),
        }
    }

    fn feed(state: &mut Rfb, bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        let from = context.from;
        let read = match state.listens(from) {
            true => state.observe_security(bytes, from, context.facts()),
            false => state.observe_version(bytes, from, context.facts()),
        };
        match read {
            Ok(size) => ParseResult::Preamble(size, 0),
            Err(WireError::NeedMore(missing)) => ParseResult::NeedMore(missing),
            Err(_) => ParseResult::NotMine,
        }
    }

    fn is_live(state: &Rfb) -> bool {
        state.stage != Stage::Nothing
    }
}

impl Rfb {
    /// Whether the next bytes of this side are about security.
    fn listens(&self, role: Peer) -> bool {
        match self.stage {
            Stage::Agreed(server, _) => role == server,
            Stage::Offered(server, _) => role != server,
            Stage::Nothing | Stage::Served(_) | Stage::Over => false,
        }
    }

    /// Reads a version message.
    fn observe_version(
        &mut self,
        bytes: &[u8],
        role: Peer,
        facts: &mut Facts,
    ) -> Result<usize, WireError> {
        let mut r = Reader::new(bytes);
        let [b'R', b'F', b'B', b' ', major @ .., b'\n'] = r.array::<VERSION_BYTES>()? else {
            return Err(WireError::NotThis);
        };
        let [a, b, c, b'.', d, e, f] = major else { return Err(WireError::NotThis) };
        let version = (number([a, b, c])?, number([d, e, f])?);
        facts.protocol.get_or_insert(Protocol::Rfb);
        // The client answers with the version that both use, which may be lower.
        let rfb = facts.rare_mut().app_facts.get_or_insert_default().rfb.get_or_insert_default();
        rfb.version = version;
        self.stage = match self.stage {
            Stage::Nothing => Stage::Served(role),
            Stage::Served(server) if server != role => Stage::Agreed(server, version >= (3, 7)),
            other => other,
        };
        Ok(VERSION_BYTES)
    }

    /// Reads what a side says of security (RFC 6143 section 7.1.2).
    fn observe_security(
        &mut self,
        bytes: &[u8],
        role: Peer,
        facts: &mut Facts,
    ) -> Result<usize, WireError> {
        let before = self.stage;
        let mut r = Reader::new(bytes);
        let chosen = match before {
            Stage::Agreed(server, true) if server == role => {
                let count = r.u8()?;
                let types = r.take(usize::from(count.min(TYPES_MAX)))?;
                let bits = types.iter().fold(0, |all, kind| all | 1 << (*kind).min(127));
                // None at all: a reason for the refusal follows.
                self.stage = if count == 0 { Stage::Over } else { Stage::Offered(server, bits) };
                None
            }
            Stage::Agreed(server, false) if server == role => {
                let kind = r.u32()?;
                self.stage = Stage::Over;
                Some(kind)
            }
            Stage::Offered(server, bits) if server != role => {
                let kind = r.u8()?;
                self.stage = Stage::Over;
                (bits >> kind.min(127) & 1 == 1).then_some(u32::from(kind))
            }
            _ => return Err(WireError::NotThis),
        };
        if let Some(kind) = chosen {
            let rfb =
                facts.rare_mut().app_facts.get_or_insert_default().rfb.get_or_insert_default();
            rfb.security = Some(kind);
        }
        Ok(bytes.len() - r.left())
    }
}

fn number(digits: [u8; 3]) -> Result<u16, WireError> {
    digits.iter().try_fold(0, |sum, digit| match digit {
        b'0'..=b'9' => Ok(sum * 10 + u16::from(digit - b'0')),
        _ => Err(WireError::NotThis),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Peer::{Initiator, Responder};

    fn opening(client: &[u8], says: &[u8], chooses: &[u8]) -> (Facts, Rfb) {
        let (mut rfb, mut facts) = (Rfb::default(), Facts::default());
        assert_eq!(rfb.observe_version(b"RFB 003.889\n", Responder, &mut facts), Ok(12));
        assert_eq!(rfb.observe_version(client, Initiator, &mut facts), Ok(12));
        assert!(rfb.listens(Responder) && !rfb.listens(Initiator));
        assert_eq!(rfb.observe_security(says, Responder, &mut facts), Ok(says.len()));
        if rfb.listens(Initiator) {
            assert_eq!(rfb.observe_security(chooses, Initiator, &mut facts), Ok(1));
        }
        (facts, rfb)
    }

    #[test]
    fn the_clients_choice_must_be_one_of_the_offers() {
        let rfb = |facts: Facts| facts.app_facts().cloned().unwrap().rfb.unwrap();
        let (facts, _) = opening(b"RFB 003.008\n", &[3, 2, 30, 130], &[30]);
        assert_eq!((rfb(facts.clone()).version, rfb(facts).security), ((3, 8), Some(30)));
        let (facts, state) = opening(b"RFB 003.008\n", &[1, 2], &[1]);
        assert_eq!(rfb(facts).security, None, "it was not offered");
        assert!(!state.listens(Initiator) && !state.listens(Responder));
        let (facts, _) = opening(b"RFB 003.003\n", &[0, 0, 0, 2], &[]);
        assert_eq!(rfb(facts).security, Some(2));
    }

    #[test]
    fn versions_are_digits() {
        let (mut rfb, mut facts) = (Rfb::default(), Facts::default());
        for bad in [&b"RFB 00x.008\n"[..], b"RFB 003:008\n", b"RFX 003.008\n"] {
            assert_eq!(rfb.observe_version(bad, Responder, &mut facts), Err(WireError::NotThis));
        }
        let short = rfb.observe_version(b"RFB 003.00", Responder, &mut facts);
        assert_eq!(short, Err(WireError::NeedMore(2)));
        assert_eq!(facts, Facts::default());
    }
}
