//! WireGuard: its handshake, told by sizes and indices.
//!
//! Owns: the indices seen last. In: one datagram. Out: the protocol, and the round trips of its
//! handshake: a response, and the first transport message, which the initiator owes at once.
//! Never: tells from a transport message alone.

use crate::evidence::legs::Kind;
use crate::evidence::legs::Legs;
use crate::evidence::legs::Moment;
use crate::evidence::step::Role;
use crate::model::latency::Exchange;
use crate::model::record::Protocol;
use crate::wire::wireguard;
use crate::wire::wireguard::INITIATION_BYTES;
use crate::wire::wireguard::INITIATION_LONG_BYTES;
use crate::wire::wireguard::Message;

/// The first transport message is a reflex like the response: without something to send, the
/// initiator confirms the keys with an empty one (WireGuard whitepaper section 6.5).
const REFLEX: (Kind, Exchange) = (Kind::Reflex, Exchange::Wireguard);
/// Keys of transport messages, apart from those of handshakes.
const TRANSPORT: u64 = 1 << 32;
/// A counter beyond this is no counter: at a million packets a second it takes 12 days, and keys
/// last three minutes (section 6.1).
const COUNTER_MAX: u64 = 1 << 40;

/// What is known of a session's WireGuard.
#[derive(Debug, Default)]
pub struct Wireguard {
    initiation: Option<(Role, u32)>,
    transport: Option<(Role, u32, u64)>,
}

/// Whether a datagram may begin or go on with WireGuard: a few comparisons.
pub fn may_be(datagram: &[u8]) -> bool {
    match datagram {
        // Some services put a client's number into the reserved bytes; the response has to fit.
        [1, ..] if datagram.len() == INITIATION_BYTES => true,
        [1, 0, 0, 0, ..] => datagram.len() == INITIATION_LONG_BYTES,
        [2..=4, 0, 0, 0, ..] => wireguard::parse(datagram).is_ok(),
        _ => false,
    }
}

impl Wireguard {
    /// Looks at one datagram; false once the handshake is over.
    pub fn follow(&mut self, datagram: &[u8], legs: &mut Legs, at: &mut Moment<'_>) -> bool {
        let Ok(packet) = wireguard::parse(datagram) else { return true };
        let fits = match packet.message {
            Message::Initiation { sender } => {
                self.initiation = Some((at.role, sender));
                legs.ask(u64::from(sender), 0, at);
                // Another size is told by the response, which has to name the sender.
                packet.is_plain() && datagram.len() == INITIATION_BYTES
            }
            Message::Response { sender, receiver } => {
                let asked = self
                    .initiation
                    .is_some_and(|(role, index)| role != at.role && index == receiver);
                if asked {
                    legs.answer(u64::from(receiver), REFLEX, at);
                    legs.ask(TRANSPORT | u64::from(sender), 0, at);
                }
                asked
            }
            Message::Cookie { receiver } => legs.answer(u64::from(receiver), REFLEX, at),
            Message::Transport { receiver, counter } => {
                if legs.answer(TRANSPORT | u64::from(receiver), REFLEX, at) {
                    return false;
                }
                let before = self.transport.replace((at.role, receiver, counter));
                packet.is_plain()
                    && before.is_some_and(|(role, index, last)| {
                        (role, index) == (at.role, receiver) && counter > last
                    })
                    && counter < COUNTER_MAX
            }
        };
        if fits {
            at.facts.protocol.get_or_insert(Protocol::Wireguard);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Nanos;
    use crate::model::record::Facts;
    use Role::Initiator;
    use Role::Responder;

    fn message(kind: u8, words: &[u32], size: usize) -> Vec<u8> {
        let mut out = vec![kind, 0, 0, 0];
        out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        out.resize(size, 7);
        out
    }

    fn tell(events: &[(Vec<u8>, Role, u64)]) -> Facts {
        let (mut state, mut legs) = (Wireguard::default(), Legs::default());
        let mut facts = Facts::default();
        for (bytes, role, time) in events {
            assert!(may_be(bytes));
            let mut at = Moment { role: *role, time: Nanos(*time), facts: &mut facts };
            state.follow(bytes, &mut legs, &mut at);
        }
        facts
    }

    #[test]
    fn a_handshake_gives_both_legs() {
        let facts = tell(&[
            (message(1, &[10], 148), Initiator, 100),
            (message(2, &[20, 10], 92), Responder, 150),
            (message(4, &[20, 0, 0], 32), Initiator, 157),
        ]);
        assert_eq!(facts.protocol, Some(Protocol::Wireguard));
        let turns = facts.turns.unwrap();
        assert_eq!(turns.far.map(|t| t.round_trip_ns), Some(50));
        assert_eq!(turns.near.map(|t| t.round_trip_ns), Some(7));
    }

    #[test]
    fn a_numbered_client_is_told_by_the_response_only() {
        let mut first = message(1, &[10], 148);
        first[1] = 0x5a;
        assert_eq!(tell(&[(first.clone(), Initiator, 100)]).protocol, None);
        let other = (message(2, &[20, 11], 92), Responder, 150);
        assert_eq!(tell(&[(first.clone(), Initiator, 100), other]).protocol, None);
        let fits = (message(2, &[20, 10], 92), Responder, 150);
        let facts = tell(&[(first, Initiator, 100), fits]);
        assert_eq!(facts.protocol, Some(Protocol::Wireguard));
    }

    #[test]
    fn a_longer_handshake_is_told_by_the_response() {
        let long = (message(1, &[10], 204), Initiator, 100);
        assert_eq!(tell(std::slice::from_ref(&long)).protocol, None);
        let other = (message(2, &[20, 11], 100), Responder, 150);
        assert_eq!(tell(&[long.clone(), other]).protocol, None);
        let facts = tell(&[long, (message(2, &[20, 10], 100), Responder, 150)]);
        assert_eq!(facts.protocol, Some(Protocol::Wireguard));
    }

    #[test]
    fn transport_messages_have_to_count_up() {
        let transport = |counter| message(4, &[20, counter, 0], 48);
        let up = tell(&[(transport(1), Initiator, 1), (transport(2), Initiator, 2)]);
        assert_eq!(up.protocol, Some(Protocol::Wireguard));
        let same = tell(&[(transport(2), Initiator, 1), (transport(2), Initiator, 2)]);
        assert_eq!(same.protocol, None);
        assert_eq!(tell(&[(transport(1), Initiator, 1)]).protocol, None);
    }
}
