//! SOCKS: what the client offers and asks for, what the server grants.
//!
//! Owns: how far the dialogue has come. In: the bytes at hand of one direction. Out: the protocol,
//! and how many bytes to step over: what is relayed begins behind. Never: follows that.

use std::net::SocketAddr;

use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe};
use crate::evidence::text::shown;
use crate::model::app_facts::Socks as SocksFacts;
use crate::model::record::{Facts, Protocol};
use crate::model::{Heap, Peer};
use crate::wire::socks::{self, Hello, Host, Target};
use crate::wire::{Reader, WireError};

/// A host name has at most 253 characters.
const NAME_BYTES_MAX: usize = 253;
/// Bytes that may have to wait: a SOCKS user name and password.
const HELD_MAX: usize = 513;

/// The client's offer, and which side it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Nothing,
    /// Version 5, and the methods by number: bit 15 stands for all private ones.
    Offered(Peer, u16),
    /// Version 4: the request, and whether a user id was given.
    Asked(Peer, (Box<str>, bool)),
    /// Both sides agree: the client's log-in and request, the server's replies.
    Agreed(Peer),
    /// The server has replied: relayed data follow.
    Over,
}

/// What is known of a session's SOCKS.
#[derive(Debug, Default)]
pub struct Socks {
    stage: Stage,
}

impl Heap for Socks {
    fn heap(&self) -> usize {
        match &self.stage {
            Stage::Asked(_, (target, _)) => target.heap(),
            _ => 0,
        }
    }
}

impl Parser for Socks {
    type State = Socks;

    const PROTOCOL: Option<Protocol> = Some(Protocol::Socks);
    const HELD_MAX: usize = HELD_MAX;

    /// A comparison of one byte for nearly all streams.
    fn probe(bytes: &[u8], look: &Look<'_, Socks>) -> Probe {
        match bytes {
            [0 | 1 | 4 | 5, ..] => {}
            _ => return Probe::No,
        }
        let stage = look.state.map(|known| &known.stage);
        if stage == Some(&Stage::Over) {
            return Probe::No;
        }
        match bytes {
            [4 | 5] => Probe::Short,
            [5, 1..=8, ..] | [4, 1 | 2, ..] => Probe::Fits,
            [0 | 1 | 5, ..] if stage.is_some_and(|stage| *stage != Stage::Nothing) => Probe::Fits,
            _ => Probe::No,
        }
    }

    fn feed(state: &mut Socks, bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        match state.observe(bytes, context.from, context.facts()) {
            Ok(size) => ParseResult::Preamble(size, 0),
            Err(WireError::NeedMore(missing)) => ParseResult::NeedMore(missing),
            Err(_) => ParseResult::NotMine,
        }
    }

    fn is_live(state: &Socks) -> bool {
        !matches!(state.stage, Stage::Nothing | Stage::Over)
    }
}

impl Socks {
    fn observe(&mut self, bytes: &[u8], role: Peer, facts: &mut Facts) -> Result<usize, WireError> {
        match self.stage {
            Stage::Agreed(client) if client == role => match bytes {
                [1, ..] => {
                    let size = socks::password(bytes)?;
                    socks_facts(facts, 5).user = true;
                    Ok(size)
                }
                _ => {
                    let asked = socks::request(bytes)?;
                    socks_facts(facts, 5).target = Some(target(&asked.target));
                    Ok(asked.size)
                }
            },
            Stage::Agreed(_) => match bytes {
                // A log-in's status (RFC 1929 section 2).
                [1, _] => Ok(2),
                _ => {
                    let reply = socks::request(bytes)?;
                    socks_facts(facts, 5).granted = Some(reply.code == 0);
                    self.stage = Stage::Over;
                    Ok(reply.size)
                }
            },
            Stage::Offered(client, methods) if client != role => {
                let mut r = Reader::new(bytes);
                let chosen = (r.u8()?, r.u8()?);
                let known = chosen.0 == 5 && (chosen.1 == 0xff || methods & bit(chosen.1) != 0);
                if !known || !(r.is_empty() || socks::request(r.rest()).is_ok()) {
                    return Err(WireError::NotThis);
                }
                self.agree(client, facts);
                if chosen.1 == 0xff {
                    socks_facts(facts, 5).granted = Some(false);
                }
                Ok(2)
            }
            Stage::Asked(client, ref asked) if client != role && socks::is_reply_4(bytes) => {
                let socks = socks_facts(facts, 4);
                (socks.target, socks.user) = (Some(asked.0.clone()), asked.1);
                socks.granted = Some(bytes.get(1) == Some(&0x5a));
                self.agree(client, facts);
                self.stage = Stage::Over;
                Ok(bytes.len().min(socks::REPLY_4_BYTES))
            }
            Stage::Offered(..) | Stage::Asked(..) | Stage::Over => Err(WireError::NotThis),
            // Relayed data may be SOCKS too: the outer one is the session's.
            Stage::Nothing if facts.socks().is_some_and(|socks| socks.granted.is_some()) => {
                Err(WireError::NotThis)
            }
            Stage::Nothing => self.begin(bytes, role),
        }
    }

    /// A client's first message; only its continuation may follow.
    fn begin(&mut self, bytes: &[u8], role: Peer) -> Result<usize, WireError> {
        let (hello, size) = socks::hello(bytes)?;
        let (_, rest) = bytes.split_at_checked(size).unwrap_or((bytes, &[]));
        let alone = rest.is_empty()
            || socks::request(rest).is_ok_and(|asked| asked.size == rest.len())
            || socks::password(rest).is_ok();
        if !alone {
            return Err(WireError::NotThis);
        }
        self.stage = match hello {
            Hello::Methods(methods) => {
                Stage::Offered(role, methods.iter().fold(0, |all, method| all | bit(*method)))
            }
            Hello::Request4(asked, user) => Stage::Asked(role, (target(&asked), user)),
        };
        Ok(size)
    }

    fn agree(&mut self, client: Peer, facts: &mut Facts) {
        let version = if let Stage::Asked(..) = self.stage { 4 } else { 5 };
        socks_facts(facts, version);
        self.stage = Stage::Agreed(client);
        facts.protocol.get_or_insert(Protocol::Socks);
    }
}

fn bit(method: u8) -> u16 {
    1 << method.min(15)
}

fn socks_facts(facts: &mut Facts, version: u8) -> &mut SocksFacts {
    let socks = facts.rare_mut().socks.get_or_insert_default();
    socks.version = version;
    socks
}

/// Host and port as text; an IPv6 address in brackets.
fn target(target: &Target<'_>) -> Box<str> {
    match target.host {
        Host::Ip(ip) => SocketAddr::new(ip, target.port).to_string().into(),
        Host::Name(name) => format!("{}:{}", shown(name, NAME_BYTES_MAX), target.port).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Peer::{Initiator, Responder};

    fn tell(pieces: &[(Peer, &[u8])]) -> (Option<Protocol>, Vec<Result<usize, WireError>>) {
        let (mut known, mut facts) = (Socks::default(), Facts::default());
        let read =
            pieces.iter().map(|(role, bytes)| known.observe(bytes, *role, &mut facts)).collect();
        (facts.protocol, read)
    }

    #[test]
    fn socks_5_is_recognised_by_both_sides() {
        let whole: [(Peer, &[u8]); 6] = [
            (Initiator, &[5, 2, 0, 2]),
            (Responder, &[5, 2]),
            (Initiator, b"\x01\x02me\x03you"),
            (Responder, &[1, 0]),
            (Initiator, &[5, 1, 0, 1, 1, 2, 3, 4, 0, 80]),
            (Responder, &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
        ];
        let (protocol, read) = tell(&whole);
        assert_eq!(protocol, Some(Protocol::Socks));
        assert_eq!(read, [4, 2, 8, 2, 10, 10].map(Ok));
        assert_eq!(tell(&whole[..1]).0, None, "one side alone");
        let refused: [(Peer, &[u8]); 2] = [whole[0], (Responder, &[5, 0xff])];
        assert_eq!(tell(&refused).0, Some(Protocol::Socks));
        let other: [(Peer, &[u8]); 2] = [whole[0], (Responder, &[5, 3])];
        assert_eq!(tell(&other).0, None, "a method that was not offered");
        assert_eq!(tell(&whole[1..]).0, None, "without a greeting");
    }

    #[test]
    fn socks_4_is_recognised_by_its_reply() {
        let ask: (Peer, &[u8]) = (Initiator, b"\x04\x01\x00\x50\x0a\0\0\x01me\0");
        assert_eq!(tell(&[ask]).0, None);
        let granted: (Peer, &[u8]) = (Responder, &[0, 0x5a, 0, 80, 10, 0, 0, 1]);
        assert_eq!(tell(&[ask, granted]).0, Some(Protocol::Socks));
        assert_eq!(tell(&[ask, (Responder, &[0, 0x5a, 0])]).0, None);
    }

    #[test]
    fn the_target_of_socks_is_kept() {
        let (mut known, mut facts) = (Socks::default(), Facts::default());
        let pieces: [(Peer, &[u8]); 6] = [
            (Initiator, &[5, 2, 0, 2]),
            (Responder, &[5, 2]),
            (Initiator, b"\x01\x02me\x03you"),
            (Responder, &[1, 0]),
            (Initiator, b"\x05\x01\0\x03\x09a.example\x01\xbb"),
            (Responder, &[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]),
        ];
        for (role, bytes) in pieces {
            known.observe(bytes, role, &mut facts).unwrap();
        }
        let socks = facts.socks().cloned().unwrap();
        assert_eq!(socks.target.as_deref(), Some("a.example:443"));
        assert_eq!((socks.version, socks.user, socks.granted), (5, true, Some(false)));
        let (mut known, mut facts) = (Socks::default(), Facts::default());
        known.observe(b"\x04\x01\x00\x50\x0a\0\0\x01\0", Initiator, &mut facts).unwrap();
        assert_eq!(facts.socks(), None, "not before it is agreed");
        let both = [&[0, 0x5a, 0, 80, 10, 0, 0, 1][..], b"SSH-"].concat();
        let read = known.observe(&both, Responder, &mut facts);
        assert_eq!(read, Ok(8), "what is relayed stands behind");
        let socks = facts.socks().cloned().unwrap();
        assert_eq!(socks.target.as_deref(), Some("10.0.0.1:80"));
        assert_eq!((socks.version, socks.user, socks.granted), (4, false, Some(true)));
    }

    #[test]
    fn most_streams_are_refused_by_a_byte() {
        let look = Look { from: Initiator, ports: (0, 0), facts: None, state: None };
        for bytes in [&b"GET "[..], b"SSH-", b"\x16\x03", b"\x00\x20", b"RSET"] {
            assert_eq!(Socks::probe(bytes, &look), Probe::No);
        }
        assert_eq!(Socks::probe(b"\x05", &look), Probe::Short);
    }
}
