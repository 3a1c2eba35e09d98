//! Round trips of a whole record: what its clock can resolve, and the transport's lowest.
//!
//! Owns: the choice among the legs and exchanges of one session. In: a record whose legs and facts
//! are filled. Out: nanoseconds, or nothing. Never: measures.

use crate::model::facts::Facts;
use crate::model::lag::Lag;
use crate::model::latency::{Exchange, Turn};
use crate::model::record::Direction;
use crate::model::{Grain, Nanos, Record, Transport};

impl Facts {
    /// The lowest round trip of an exchange over UDP, and its kind: to the initiator, or to the
    /// responder.
    pub fn over_udp(&self, by_initiator: bool) -> Option<Turn> {
        let asked = self.dns.as_ref().and_then(|dns| dns.round_trip_ns).filter(|_| !by_initiator);
        let dns = asked.map(|ns| Turn::new(Exchange::Dns, by_initiator, ns));
        dns.or_else(|| self.turns.as_ref()?.over_udp(by_initiator))
    }

    /// The word for the exchange behind the responder's leg, else the initiator's.
    pub fn method_over_udp(&self) -> Option<&'static str> {
        let turn = self.over_udp(false).or_else(|| self.over_udp(true))?;
        Some(turn.exchange.as_str())
    }
}

impl Record {
    /// Removes values that the packets' clock cannot resolve: a span within its granularity says
    /// nothing about a distance.
    pub fn settle_clock(&mut self) {
        let grain = self.grain;
        let resolved = |ns: u64| grain.resolves(Nanos(ns));
        for leg in [&mut self.near, &mut self.far] {
            leg.handshake_ns = leg.handshake_ns.filter(|ns| resolved(*ns));
            leg.in_session = leg.in_session.filter(|trips| resolved(trips.min_ns));
        }
        if let Some(turns) = &mut self.facts.turns {
            turns.turns.retain(|turn| resolved(turn.round_trip_ns));
            // A fine clock also tells that two packets came together.
            let shows = |ns: u64| grain == Grain::default() || resolved(ns);
            turns.lags.retain(shows);
            for turn in &mut turns.turns {
                turn.lag = if turn.lag.ns().is_some_and(shows) { turn.lag } else { Lag::NONE };
            }
            turns.near = turns.near.filter(|turn| resolved(turn.round_trip_ns));
            turns.far = turns.far.filter(|turn| resolved(turn.round_trip_ns));
        }
        if let Some(dns) = &mut self.facts.dns {
            dns.round_trip_ns = dns.round_trip_ns.filter(|ns| resolved(*ns));
        }
    }

    /// Doubts who began it, where that is to be shown by more than packets which nobody had to
    /// answer. Without TCP's handshake, an initiator from outside has to answer something itself; a
    /// home host has to go on after an answer. Where the other side sent the first packet, which of
    /// the two began is a guess of their ports, so each has to have answered the other.
    /// What came out of a tunnel that may not exist is doubted whatever it holds.
    pub fn settle_confirmed(&mut self) {
        if self.transport != Transport::TCP {
            let outside =
                matches!(self.context.direction, Direction::Inbound | Direction::External);
            let turns = self.facts.turns.as_deref();
            let answered = turns.is_some_and(|turns| turns.answered);
            let mutual = answered && turns.is_some_and(|turns| turns.far.is_some());
            let doubted = if outside { !answered } else { self.quality.unconfirmed && !mutual };
            self.quality.unconfirmed = doubted;
        }
        self.quality.unconfirmed |= self.is_unproven();
    }

    /// Whether a stranger may have written it into tunnel packets: see [`Wrapping::unproven`].
    ///
    /// [`Wrapping::unproven`]: crate::model::record::Wrapping::unproven
    pub fn is_unproven(&self) -> bool {
        self.facts.wrapping().is_some_and(|wrapping| wrapping.unproven)
    }

    /// The transport round trip between the sensor and the initiator, or the responder, in ns: for
    /// TCP the leg's; for UDP the lowest one that is answered without computing (`Turns::near`).
    ///
    /// Those are QUIC's first packet and acknowledgement (RFC 9000 section 13.2.1), DTLS's cookie
    /// (RFC 9147 section 5.1), IKE's cookie and liveness check (RFC 7296 sections 2.6, 1.4),
    /// WireGuard's handshake, OpenVPN's acknowledgements and STUN's responses (RFC 8489 section 6):
    /// the system that terminates the transport must answer, and does so at once. Excluded are
    /// answers that need public-key arithmetic (a DTLS or QUIC flight, `IKE_AUTH`), which take
    /// longer by its time; DNS, where the resolver asks others; and OpenVPN over TCP, which a proxy
    /// forwards.
    pub fn transport_ns(&self, of_initiator: bool) -> Option<u64> {
        let leg = if of_initiator { &self.near } else { &self.far };
        let reflex = || {
            let turns = self.facts.turns.as_deref().filter(|_| self.transport != Transport::TCP)?;
            let turn = if of_initiator { turns.near } else { turns.far };
            turn.map(|turn| turn.round_trip_ns)
        };
        leg.transport_ns().or_else(reflex)
    }
}
