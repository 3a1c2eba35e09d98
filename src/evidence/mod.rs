//! Observers: what the first bytes of a session say about who speaks.
//!
//! Owns: a session's observation state and the facts found so far. In: [`Segment`]s, in order for
//! TCP, as they come for UDP. Out: [`Facts`] and whether anybody still listens. Never: judges,
//! keeps payload beyond a message in pieces, or looks on after its bounds.

mod app_rtt;
pub mod app_signatures;
pub mod certificate;
mod control_tls;
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
mod ip_protocols;
pub mod ja3;
pub mod ja4;
pub mod openvpn;
pub mod parse_result;
pub mod quic;
pub mod quic_rtt;
mod rdp_udp;
pub mod request_response_rtt;
mod rfb;
mod shape;
pub mod socks_rdp_vnc;
mod speaker;
pub mod ssh;
mod stream;
mod stream_sign;
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

use crate::evidence::app_rtt::Beside;
use crate::evidence::app_rtt::Watch;
use crate::evidence::datagram::Talk;
use crate::evidence::shape::Shape;
use crate::evidence::stream::Mode;
use crate::evidence::stream::ParseContext;
use crate::evidence::stream::StreamParser;
pub use crate::evidence::weight::Weight;
use crate::model::Counters;
use crate::model::Interest;
use crate::model::Peer;
use crate::model::Segment;
use crate::model::Transport;
use crate::model::record::Facts;
use crate::model::record::FirstBytes;
use crate::model::record::Wrapping;
use crate::wire::payload::Matcher;

/// What watches the turns of a session.
#[derive(Debug, Default)]
enum Watching {
    /// Nothing was seen yet.
    #[default]
    Not,
    /// It goes on.
    On(Box<(Watch, Shape)>),
    /// It is over.
    Over,
    /// Nobody wants to know.
    Never,
}

/// The observers of one session. Costs 72 bytes until something is found.
#[derive(Debug, Default)]
pub struct Observers {
    initiator: StreamParser,
    responder: StreamParser,
    facts: Option<Box<Facts>>,
    talk: Option<Box<Talk>>,
    watching: Watching,
    weight: Weight,
}

impl Observers {
    /// Looks at a segment.
    pub fn observe(&mut self, segment: &Segment<'_>, counters: &mut Counters) -> Interest {
        if segment.payload.is_empty() {
            return self.interest();
        }
        let watched = self.watched();
        let lane = match segment.from {
            Peer::Initiator => &mut self.initiator,
            Peer::Responder => &mut self.responder,
        };
        // Most segments come when all is told, or in a body that nobody reads: they add no facts.
        let mut grows = lane.mode != Mode::Done && !lane.passes_over(segment.payload, segment.gap);
        if lane.mode != Mode::Done {
            let ports = segment.ports;
            let role = segment.from;
            let mut context = ParseContext {
                role,
                ports,
                facts: &mut self.facts,
                talk: &mut self.talk,
                counters,
            };
            match segment.transport {
                Transport::TCP => {
                    lane.observe(segment.payload, segment.gap, &mut context);
                    // Over TCP it tells what is spoken, and times nothing.
                    let deaf = !self.wants(Peer::Initiator) && !self.wants(Peer::Responder);
                    self.talk.take_if(|talk| deaf || talk.is_spent());
                }
                Transport::UDP => {
                    datagram::observe(lane, segment.payload, segment.time, &mut context);
                }
                other => {
                    if let Some(told) = ip_protocols::tell(other, segment.payload) {
                        context.facts().protocol.get_or_insert(told);
                    }
                    lane.finish();
                }
            }
        }
        if segment.transport == Transport::TCP {
            self.watch(segment, counters);
        }
        if let Some(talk) = &mut self.talk {
            let told = matches!(self.watching, Watching::Never) && talk.is_told_without_timing();
            if segment.transport == Transport::UDP && !told {
                talk.follow(segment, self.facts.get_or_insert_default());
                grows = true;
            }
            if told || talk.is_over() {
                self.end_talk();
                grows = true;
            }
        }
        let on = matches!(self.watching, Watching::On(_));
        if grows || (watched > 0 && !on) {
            self.weigh(counters);
        } else if on {
            self.weigh_watch(watched);
        }
        self.interest()
    }

    /// Holds the first bytes of a direction against the table; to be called before
    /// [`Observers::observe`] has seen them. Later bytes cost a comparison.
    pub fn look(&mut self, segment: &Segment<'_>, matcher: &Matcher) {
        let from = segment.from == Peer::Initiator;
        let lane = if from { &self.initiator } else { &self.responder };
        if !lane.is_fresh() || segment.gap {
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
            seen.application = matcher.told(transport, seen.initiator, seen.responder);
        }
    }

    /// Measures nothing: what this costs can be told by comparison.
    pub fn leave_out_time(&mut self) {
        self.watching = Watching::Never;
    }

    /// Follows the turns of a TCP session.
    fn watch(&mut self, segment: &Segment<'_>, counters: &mut Counters) {
        if let Watching::Not = self.watching {
            self.watching = Watching::On(Box::default());
        }
        let Watching::On(both) = &mut self.watching else { return };
        let (watch, shape) = &mut **both;
        shape.observe(segment);
        let tls = self.facts.as_ref().and_then(|facts| facts.tls.as_deref());
        watch.observe(segment, &mut Beside { tls, counters });
        if watch.is_over() {
            self.end_watch();
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
                facts.get_or_insert_default().rare_mut().spoken.get_or_insert_default().shape |=
                    bits;
            }
            watch.leave(|| facts.get_or_insert_default().turns.get_or_insert_default());
        }
    }

    /// Whether anybody still listens to either direction.
    pub fn interest(&self) -> Interest {
        let watching = matches!(self.watching, Watching::On(_)) || self.times();
        if watching || self.wants(Peer::Initiator) || self.wants(Peer::Responder) {
            Interest::More
        } else {
            Interest::Done
        }
    }

    /// Whether what both sides say is still timed.
    fn times(&self) -> bool {
        self.talk.as_ref().is_some_and(|talk| talk.is_timing())
    }

    /// Whether anybody still listens to what this side sends.
    pub fn wants(&self, role: Peer) -> bool {
        let lane = match role {
            Peer::Initiator => &self.initiator,
            Peer::Responder => &self.responder,
        };
        lane.mode != Mode::Done
    }

    /// Nothing more is to be timed: lanes that listened for that only have nothing to do either.
    fn end_talk(&mut self) {
        for lane in [&mut self.initiator, &mut self.responder] {
            if lane.mode.is_timed_only() {
                lane.finish();
            }
        }
        let quic_left = [self.initiator.mode, self.responder.mode].contains(&Mode::Quic);
        if !quic_left {
            self.talk = None;
        }
    }

    /// The facts found so far, `None` while there are none.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_deref()
    }

    /// Notes what the session's first packet was wrapped in.
    pub fn note_wrapping(&mut self, wrapping: Wrapping) {
        self.facts.get_or_insert_default().rare_mut().wrapping = Some(Box::new(wrapping));
    }

    /// Forgets what was said, for it was heard in the wrong roles; not what it was wrapped in.
    pub fn begin_anew(&mut self) {
        let facts = self.facts.take();
        *self = Observers::default();
        let wrapping = facts.and_then(|mut facts| facts.rare_mut().wrapping.take());
        wrapping.into_iter().for_each(|wrapping| self.note_wrapping(*wrapping));
    }

    /// What was found so far; the observation goes on. What the shape of an opening says is left
    /// out until that is over: half of it may look like something else.
    pub fn so_far(&self) -> Facts {
        let mut facts = self.facts.clone();
        if let Watching::On(both) = &self.watching {
            let (watch, _) = &**both;
            watch.clone().leave(|| facts.get_or_insert_default().turns.get_or_insert_default());
        }
        facts.map(|facts| *facts).unwrap_or_default()
    }

    /// Ends the observation and gives what was found.
    pub fn into_facts(mut self) -> Facts {
        self.end_watch();
        self.facts.map(|facts| *facts).unwrap_or_default()
    }
}
