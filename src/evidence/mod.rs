//! Observers: the facts in the first bytes of a session.
//!
//! Owns: a session's observation state and the facts found so far. In: [`Segment`]s, in order for
//! TCP, as they come for UDP. Out: [`Facts`] and whether more is needed. Never: judges, keeps
//! payload beyond an incomplete message, or continues after its bounds.

mod app_rtt;
pub mod app_signatures;
pub mod certificate;
mod control_tls;
#[cfg(test)]
mod cost_stream_tests;
#[cfg(test)]
mod cost_tests;
pub mod datagram;
pub mod dns;
pub mod dtls;
pub mod dtls_rtt;
mod hashed;
mod held;
pub mod html_title;
pub mod http;
pub mod ike;
pub mod interaction;
mod ip_protocols;
pub mod ja3;
pub mod ja4;
mod known_hashes;
pub mod openvpn;
pub mod parse_result;
mod parser;
mod protocols;
mod proxy_header;
pub mod quic;
mod quic_numbers;
pub mod quic_rtt;
pub mod rdp;
mod rdp_udp;
mod refused;
pub mod request_response_rtt;
mod rfb;
mod rustdesk;
mod shape;
mod socks;
mod speaker;
pub mod ssh;
mod stream;
pub mod stun;
#[cfg(test)]
mod tests;
mod text;
pub mod tls;
mod udp_pairs;
mod udp_signatures;
pub mod websocket;
mod weight;
pub mod wireguard;

pub use speaker::speaker;

use crate::evidence::app_rtt::{Beside, Watch};
use crate::evidence::datagram::DatagramState;
use crate::evidence::shape::Shape;
use crate::evidence::stream::StreamState;
pub use crate::evidence::weight::Weight;
use crate::model::record::{Facts, FirstBytes, Wrapping};
use crate::model::{Counters, Interest, Nanos, Peer, Segment, Transport};
use crate::wire::payload::Matcher;

/// The state of measuring turns.
#[derive(Debug, Default)]
enum Watching {
    /// Nothing was seen yet.
    #[default]
    Not,
    /// In progress.
    On(Box<(Watch, Shape)>),
    /// Finished.
    Over,
    /// Not wanted.
    Never,
}

/// What listens to both directions, by transport.
#[derive(Debug, Default)]
enum Listening {
    /// Nothing was said yet.
    #[default]
    Fresh,
    /// A stream.
    Tcp(StreamState),
    /// Datagrams.
    Udp(DatagramState),
    /// Packets of another protocol: whether the initiator and the responder have been looked at.
    Ip(bool, bool),
    /// Nobody does any more.
    Over,
}

/// The observers of one session. Costs 80 bytes until something is found.
#[derive(Debug, Default)]
pub struct Observers {
    listening: Listening,
    facts: Option<Box<Facts>>,
    watching: Watching,
    weight: Weight,
}

impl Observers {
    /// Examines a segment.
    pub fn observe(&mut self, segment: &Segment<'_>, counters: &mut Counters) -> Interest {
        if segment.payload.is_empty() {
            return self.interest();
        }
        if self.passes_over(segment) {
            return Interest::More;
        }
        let watched = self.watched();
        // Most segments come when everything is known, or in a body that is skipped: they add no
        // facts.
        let grows = self.listen(segment, counters);
        if segment.transport == Transport::TCP {
            self.watch(segment, counters);
        }
        let on = matches!(self.watching, Watching::On(_));
        if grows || (watched > 0 && !on) {
            self.weigh(counters);
        } else if on {
            self.weigh_watch(watched);
        }
        self.interest()
    }

    /// Passes a segment over that nobody reads, of a body or of a side that has nothing more to
    /// tell, where no turn is measured either: most segments of a transfer.
    #[inline]
    fn passes_over(&mut self, segment: &Segment<'_>) -> bool {
        match (&self.watching, &mut self.listening) {
            (Watching::Over | Watching::Never, Listening::Tcp(stream)) => stream.skip(segment),
            _ => false,
        }
    }

    /// Gives a segment to whoever listens; whether it may have added facts.
    fn listen(&mut self, segment: &Segment<'_>, counters: &mut Counters) -> bool {
        let facts = &mut self.facts;
        if let Listening::Fresh = self.listening {
            self.listening = match segment.transport {
                Transport::TCP => Listening::Tcp(StreamState::default()),
                Transport::UDP => Listening::Udp(DatagramState::default()),
                _ => Listening::Ip(false, false),
            };
        }
        match &mut self.listening {
            Listening::Tcp(stream) => {
                let takes = stream.takes(segment);
                stream.observe(segment, facts, counters);
                takes
            }
            Listening::Udp(datagrams) => {
                let takes = datagrams.wants(segment.from) || datagrams.is_timing();
                let times = !matches!(self.watching, Watching::Never);
                datagrams.observe(segment, facts, counters, times);
                takes
            }
            Listening::Ip(initiator, responder) => {
                let seen = match segment.from {
                    Peer::Initiator => initiator,
                    Peer::Responder => responder,
                };
                let takes = !std::mem::replace(seen, true);
                let told = ip_protocols::tell(segment.transport, segment.payload);
                if let Some(told) = told.filter(|_| takes) {
                    facts.get_or_insert_default().protocol.get_or_insert(told);
                }
                if let Some(refused) = refused::tell(segment).filter(|_| takes) {
                    facts.get_or_insert_default().rare_mut().refused = Some(Box::new(refused));
                }
                takes
            }
            Listening::Fresh | Listening::Over => false,
        }
    }

    /// Compares the first bytes of a direction with the table; must be called before
    /// [`Observers::observe`] has seen them. Later bytes cost a comparison.
    pub fn look(&mut self, segment: &Segment<'_>, matcher: &Matcher) {
        let from = segment.from == Peer::Initiator;
        let is_fresh = match &self.listening {
            Listening::Fresh => true,
            Listening::Tcp(stream) => stream.is_fresh(segment.from),
            Listening::Udp(datagrams) => datagrams.is_fresh(segment.from),
            Listening::Ip(..) | Listening::Over => false,
        };
        if !is_fresh || segment.gap {
            return;
        }
        let (transport, port) = (segment.transport, segment.ports.1);
        let fits = matcher.look(transport, port, from, segment.payload);
        if fits == 0 {
            return;
        }
        let facts = self.facts.get_or_insert_default();
        let seen = facts.rare_mut().first_bytes.get_or_insert_default();
        if seen.table != matcher.table() {
            **seen = FirstBytes { table: matcher.table(), ..FirstBytes::default() };
        }
        *(if from { &mut seen.initiator } else { &mut seen.responder }) |= fits;
        if seen.application.is_none() {
            seen.application = matcher.application(transport, seen.initiator, seen.responder);
        }
    }

    /// Measures nothing, so that the cost can be compared.
    pub fn leave_out_time(&mut self) {
        self.watching = Watching::Never;
    }

    /// Measures the turns of a TCP session.
    fn watch(&mut self, segment: &Segment<'_>, counters: &mut Counters) {
        if let Watching::Not = self.watching {
            self.watching = Watching::On(Box::default());
        }
        let Watching::On(both) = &mut self.watching else { return };
        let (watch, shape) = &mut **both;
        if !watch.is_past_opening() {
            shape.observe(segment);
        }
        let tls = self.facts.as_ref().and_then(|facts| facts.tls.as_deref());
        watch.observe(segment, &mut Beside { tls, counters });
        if watch.is_over() {
            self.end_watch();
        }
    }

    /// A TCP packet without payload acknowledges what the other side has sent.
    pub fn acknowledged(&mut self, from: Peer, ack: u32, time: Nanos) {
        if let Watching::On(both) = &mut self.watching {
            both.0.acknowledged(from, ack, time);
        }
    }

    fn end_watch(&mut self) {
        let watching = std::mem::replace(&mut self.watching, Watching::Over);
        if let Watching::On(both) = watching {
            let facts = &mut self.facts;
            let (watch, shape) = *both;
            let told = facts.as_ref().is_some_and(|facts| facts.protocol.is_some());
            let bits = shape.bits(told);
            if bits != 0 {
                facts.get_or_insert_default().rare_mut().app_facts.get_or_insert_default().shape |=
                    bits;
            }
            watch.leave(|| facts.get_or_insert_default().turns.get_or_insert_default());
        }
    }

    /// Whether only a chain of turns is looked for, for which nothing needs to be put in order.
    pub fn takes_gaps(&self) -> bool {
        match &self.watching {
            Watching::On(both) if both.0.is_past_turns() => {
                !self.wants(Peer::Initiator) && !self.wants(Peer::Responder)
            }
            _ => false,
        }
    }

    /// Whether more of either direction is needed.
    pub fn interest(&self) -> Interest {
        let listens = match &self.listening {
            Listening::Udp(datagrams) if datagrams.is_timing() => true,
            _ => self.wants(Peer::Initiator) || self.wants(Peer::Responder),
        };
        let watching = matches!(self.watching, Watching::On(_));
        if watching || listens { Interest::More } else { Interest::Done }
    }

    /// Whether more of this side is needed.
    pub fn wants(&self, from: Peer) -> bool {
        match &self.listening {
            Listening::Fresh => true,
            Listening::Tcp(stream) => stream.wants(from),
            Listening::Udp(datagrams) => datagrams.wants(from),
            Listening::Ip(initiator, responder) => match from {
                Peer::Initiator => !initiator,
                Peer::Responder => !responder,
            },
            Listening::Over => false,
        }
    }

    /// The facts found so far, `None` if there are none.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_deref()
    }

    /// Records the encapsulation of the session's first packet.
    pub fn note_wrapping(&mut self, wrapping: Wrapping) {
        self.facts.get_or_insert_default().rare_mut().wrapping = Some(Box::new(wrapping));
    }

    /// Drops all facts except the encapsulation, because the roles were swapped.
    pub fn begin_anew(&mut self) {
        let facts = self.facts.take();
        *self = Observers::default();
        let wrapping = facts.and_then(|mut facts| facts.rare_mut().wrapping.take());
        wrapping.into_iter().for_each(|wrapping| self.note_wrapping(*wrapping));
    }

    /// The facts so far; observation continues. The shape of an opening is left out until that is
    /// complete: half of it may look like something else.
    pub fn so_far(&self) -> Facts {
        let mut facts = self.facts.clone();
        if let Watching::On(both) = &self.watching {
            let (watch, _) = &**both;
            watch.clone().leave(|| facts.get_or_insert_default().turns.get_or_insert_default());
        }
        facts.map(|facts| *facts).unwrap_or_default()
    }

    /// Ends the observation and returns the facts.
    pub fn into_facts(mut self) -> Facts {
        self.end_watch();
        self.facts.map(|facts| *facts).unwrap_or_default()
    }
}
