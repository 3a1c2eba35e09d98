//! How far away the other end of a session is, where its transport alone does not tell.
//!
//! Owns: which measurement tells, and what is subtracted. In: a record. Out: a [`ControllerLeg`].
//! Never: a leg without its own round trips, or a judgement.

use crate::model::latency::Exchange;
use crate::model::record::StunFacts;
use crate::model::remote_control::Checks;
use crate::model::{Peer, Record};

/// How far away the other end of a session is, where its transport alone does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControllerLeg {
    /// The lowest round trip between sensor and that end, in ns.
    pub whole_ns: u64,
    /// The part of it behind the session's own address, in ns; absent where the end itself has
    /// that address.
    pub hidden_ns: Option<u64>,
    /// Round trips that it comes from.
    pub samples: u32,
    /// How it was measured: `stun`, `replies`, `turns`, `handshake`.
    pub method: &'static str,
}

/// So much later than the transport's own round trip a reply has to come, at least.
const REPLY_BEHIND_NS: u64 = 10_000_000;

impl Record {
    /// The leg to who is at, or behind, one of its ends.
    pub fn controller_leg(&self, remote: Peer) -> Option<ControllerLeg> {
        let others = || {
            // Who answers can be late, never early.
            let all = [self.by_replies(remote), self.by_turns(remote), self.by_handshake(remote)];
            all.into_iter().flatten().min_by_key(|leg| leg.whole_ns)
        };
        self.through_relay(remote).or_else(|| self.by_checks(remote)).or_else(others)
    }

    fn checks(&self) -> Option<&Checks> {
        self.interaction.as_deref().map(|seen| &seen.checks)
    }

    /// What goes through the relay and comes back, less the way to it.
    pub fn through_relay(&self, remote: Peer) -> Option<ControllerLeg> {
        let by_initiator = remote == Peer::Initiator;
        let whole = self.checks()?.inner(remote);
        let asked = self.checks()?.outer(remote);
        let asked = (asked.samples > 0).then_some(u64::from(asked.min_us) * 1_000);
        let turns = self.facts.turns.as_deref();
        let udp = turns.and_then(|turns| turns.over_udp(by_initiator));
        let leg = if by_initiator { &self.near } else { &self.far };
        let udp = udp.map(|turn| turn.round_trip_ns);
        let to_relay = asked.into_iter().chain(udp).chain(leg.transport_ns()).min()?;
        let whole_ns = u64::from(whole.min_us) * 1_000;
        (whole.samples > 0).then(|| ControllerLeg {
            whole_ns,
            hidden_ns: Some(whole_ns.saturating_sub(to_relay)),
            samples: whole.samples,
            method: "stun",
        })
    }

    /// Both ends check the path to each other (RFC 7675): nothing stands between.
    fn by_checks(&self, remote: Peer) -> Option<ControllerLeg> {
        let relayed = self.facts.stun().is_some_and(StunFacts::is_relayed);
        let (whole, own) = (self.checks()?.outer(remote), self.checks()?.outer(remote.other()));
        (!relayed && whole.samples > 0 && own.samples > 0).then(|| ControllerLeg {
            whole_ns: u64::from(whole.min_us) * 1_000,
            hidden_ns: None,
            samples: whole.samples,
            method: "stun",
        })
    }

    /// What a viewer sends when it gets ours.
    fn by_replies(&self, remote: Peer) -> Option<ControllerLeg> {
        let reply = self.interaction.as_deref()?.reply?;
        self.behind(remote, (u64::from(reply.us) * 1_000, reply.samples), "replies")
    }

    /// Each answer of a handshake inside the session waits for the message before.
    fn by_turns(&self, remote: Peer) -> Option<ControllerLeg> {
        let chain = self.facts.turns.as_deref()?.chain.filter(|_| remote == Peer::Responder)?;
        self.behind(remote, (chain.round_trip_ns, chain.turns), "turns")
    }

    /// What only the program at the other end can answer, less the way to the session's own
    /// address. A relay may send something of its own as soon as it gets ours: what comes hardly
    /// later than its acknowledgement tells nothing.
    fn behind(
        &self,
        remote: Peer,
        (whole_ns, samples): (u64, u32),
        method: &'static str,
    ) -> Option<ControllerLeg> {
        let leg = if remote == Peer::Initiator { &self.near } else { &self.far };
        let transport = leg.transport_ns()?;
        let hidden = whole_ns.saturating_sub(transport);
        let apart = hidden >= REPLY_BEHIND_NS.max(transport / 3);
        let hidden_ns = Some(hidden);
        apart.then_some(ControllerLeg { whole_ns, hidden_ns, samples, method })
    }

    /// Who opens the session answers the server's first messages; a relay only passes them on. A
    /// slow client looks the same, by as much as it is slow.
    fn by_handshake(&self, remote: Peer) -> Option<ControllerLeg> {
        if remote != Peer::Initiator {
            return None;
        }
        let turns = self.facts.turns.as_deref()?;
        let kinds = [Exchange::Tls, Exchange::TlsResumed, Exchange::Rdp];
        let gaps = kinds.iter().filter_map(|kind| turns.gap(*kind, true, &self.near));
        let over_udp = turns.gap_over_udp(Exchange::Dtls);
        let (gaps, transport) = match over_udp {
            Some(gap) => (vec![gap], turns.near?.round_trip_ns),
            None => (gaps.collect(), self.near.transport_ns()?),
        };
        let hidden = *gaps.iter().min()?;
        let (whole_ns, hidden_ns) = (transport.saturating_add(hidden), Some(hidden));
        let samples = gaps.len() as u32;
        Some(ControllerLeg { whole_ns, hidden_ns, samples, method: "handshake" })
    }
}
