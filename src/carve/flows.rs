//! Whether a packet belongs to one of the sessions wanted, and what to say on it.
//!
//! Owns: a table by ends of sessions, their times, what was said already. In: decoded packets in
//! reading order. Out: the session of a packet, comments. Never: a look at payload, or a packet
//! taken by its addresses alone.

use std::rc::Rc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::carve::captures::{Input, Shape};
use crate::carve::wanted::Session;
use crate::decode::{Decoded, key};
use crate::emit::text::put_base64;
use crate::enrich::community_id;
use crate::model::{Addr, FlowKey, Heading, Nanos, Packet, PacketFlags, TcpFlags, Transport};

/// Where times of a file step back, the ordinals of frames tell what belongs to a session; so far
/// from its first and last time.
const DISORDER: Nanos = Nanos::from_secs(1);

/// The ends of a session in a fixed order, without direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Pair {
    lower: (Addr, u16),
    upper: (Addr, u16),
    transport: Transport,
    version: u8,
    point: u16,
}

/// How far the handshake of a session was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Nothing,
    Syn(Heading),
    SynAck(Heading),
    Over,
}

/// The sessions of one pair of ends. Anybody can open many: none is searched one by one.
#[derive(Default)]
struct Candidates {
    numbers: Vec<u32>,
    by_time: Spans,
    by_number: Spans,
}

/// Sessions by the begin of a span.
#[derive(Default)]
struct Spans {
    /// Begin, latest end of this and all before, end, session.
    rows: Vec<(u64, u64, u64, u32)>,
}

impl Candidates {
    fn order(&mut self, flows: &[Flow], window: Nanos) {
        let sessions = self.numbers.iter().filter_map(|at| Some((*at, flows.get(*at as usize)?)));
        let sessions: Vec<(u32, &Session)> =
            sessions.map(|(at, flow)| (at, &flow.session)).collect();
        let times = sessions.iter().map(|(at, session)| {
            let (start, end) = session.span;
            (start.since(DISORDER).0, end.plus(DISORDER).plus(window).0, *at)
        });
        self.by_time = Spans::of(times.collect());
        let numbers = sessions.iter().map(|(at, session)| {
            let (_, first, last) = session.place;
            // Ordinals saturate: behind the last of them the time decides.
            match last < u64::from(u32::MAX) {
                true => (first, last, *at),
                false => (0, u64::MAX, *at),
            }
        });
        self.by_number = Spans::of(numbers.collect());
    }
}

impl Spans {
    fn of(mut all: Vec<(u64, u64, u32)>) -> Spans {
        all.sort_unstable();
        let mut latest = 0;
        let rows = all.into_iter().map(|(begin, end, at)| {
            latest = latest.max(end);
            (begin, latest, end, at)
        });
        Spans { rows: rows.collect() }
    }

    /// The sessions whose span a value is in.
    fn holding(&self, value: u64) -> impl Iterator<Item = u32> {
        let end = self.rows.partition_point(|(begin, ..)| *begin <= value);
        let begun = self.rows.get(..end).unwrap_or_default().iter().rev();
        begun
            .take_while(move |(_, latest, ..)| *latest >= value)
            .filter(move |(_, _, end, _)| *end >= value)
            .map(|(.., at)| *at)
    }
}

/// A session and what was seen of it.
struct Flow {
    session: Session,
    packets: u64,
    stage: Stage,
}

/// The sessions wanted.
pub struct Flows {
    flows: Vec<Flow>,
    by_pair: HashMap<Pair, Candidates, RandomState>,
    /// A bit for each shard that a session may be on: most packets are on no such shard.
    shards: u64,
    span: (Nanos, Nanos),
    /// How long after its original a duplicate may come.
    window: Nanos,
    by_vlan: bool,
    by_network: bool,
    /// The run read one file: ordinals of frames tell exactly what belongs to a session.
    is_single: bool,
}

impl Flows {
    /// A table of sessions.
    pub fn new(sessions: Vec<Session>, shape: &Shape, inputs: &[Input]) -> Flows {
        let mut all = Flows {
            flows: Vec::with_capacity(sessions.len()),
            by_pair: HashMap::default(),
            shards: 0,
            span: (Nanos(u64::MAX), Nanos::ZERO),
            window: shape.window.unwrap_or_default(),
            by_vlan: shape.decode.vlan_in_key,
            by_network: shape.decode.vni_in_key,
            is_single: inputs.iter().filter(|input| input.file.is_some()).count() == 1,
        };
        for session in sessions {
            let point = inputs
                .iter()
                .find(|input| input.file == Some(session.place.0))
                .map_or(0, |input| input.point);
            all.shards |= all.shard_bits(&session, point);
            // The clock was set back meanwhile: the times between are anywhere.
            let is_backwards = session.span.1 < session.span.0;
            let any = (Nanos::ZERO, Nanos(u64::MAX));
            let (start, end) = if is_backwards { any } else { session.span };
            all.span = (all.span.0.min(start), all.span.1.max(end));
            let number = u32::try_from(all.flows.len()).unwrap_or(u32::MAX);
            all.by_pair.entry(Pair::of_session(&session, point)).or_default().numbers.push(number);
            all.flows.push(Flow { session, packets: 0, stage: Stage::Nothing });
        }
        for candidates in all.by_pair.values_mut() {
            candidates.order(&all.flows, all.window);
        }
        let slack = DISORDER.plus(all.window);
        all.span = (all.span.0.since(slack), all.span.1.plus(slack));
        all
    }

    /// From when to when packets may belong to a session.
    pub const fn span(&self) -> (Nanos, Nanos) {
        self.span
    }

    /// Sessions wanted.
    pub fn sessions(&self) -> usize {
        self.flows.len()
    }

    /// Those without a packet so far.
    pub fn without_packets(&self) -> u64 {
        self.flows.iter().filter(|flow| flow.packets == 0).count() as u64
    }

    fn shard_bits(&self, session: &Session, point: u16) -> u64 {
        if !session.has_ports || self.by_vlan || self.by_network {
            return u64::MAX;
        }
        let Pair { lower: (a, a_port), upper: (b, b_port), transport, version, point } =
            Pair::of_session(session, point);
        let key = FlowKey { a, b, scope: 0, a_port, b_port, point, transport, version };
        1 << (key::shard(&key) & 63)
    }

    /// Whether a packet has the ends of a session wanted. Most have not.
    #[inline]
    pub fn may_have(&self, decoded: &Decoded) -> bool {
        let packet = &decoded.packet;
        self.shards >> (packet.shard & 63) & 1 == 1
            && self.by_pair.contains_key(&Pair::of_packet(packet))
    }

    /// The session that a packet of the frame `number` of an input belongs to.
    pub fn session_of(&self, decoded: &Decoded, input: u64, number: u64) -> Option<usize> {
        let packet = &decoded.packet;
        let all = self.by_pair.get(&Pair::of_packet(packet))?;
        let is_copy = packet.flags.has(PacketFlags::DUPLICATE);
        let holds = |flow: &u32| {
            let Some(flow) = self.flows.get(*flow as usize) else { return false };
            let session = &flow.session;
            let (start, end) = session.span;
            let end = if is_copy { end.plus(self.window) } else { end };
            let (first_in, first, last) = session.place;
            let in_time = (start..=end).contains(&packet.time);
            let near = start.since(DISORDER) <= packet.time && packet.time <= end.plus(DISORDER);
            let in_order = first_in == input && (first..=last).contains(&number);
            let in_place = match self.is_single && last < u64::from(u32::MAX) {
                true => in_order || is_copy && in_time && number > last,
                false => in_time || in_order && near,
            };
            in_place && self.is_scope(session, decoded) && is_kind(session, packet)
        };
        // In a single file the ordinal tells; a copy may come behind its session's last packet.
        let by_number = all.by_number.holding(number).filter(|_| self.is_single);
        let by_time = all.by_time.holding(packet.time.0).filter(|_| !self.is_single || is_copy);
        let found = by_number.chain(by_time).filter(holds).min();
        found.map(|flow| flow as usize)
    }

    /// Whether tags that are part of the key fit.
    fn is_scope(&self, session: &Session, decoded: &Decoded) -> bool {
        let network = u64::from(decoded.path.tunnel_id);
        (!self.by_vlan || session.vlan == decoded.path.vlan)
            && (!self.by_network || session.network.unwrap_or(0) == network)
    }

    /// Counts a packet of a session, and gives the comments for its frame.
    pub fn take(
        &mut self,
        flow: usize,
        packet: &Packet,
        (input, number): (u64, u64),
    ) -> Vec<String> {
        let Some(flow) = self.flows.get_mut(flow) else { return Vec::new() };
        flow.packets += 1;
        let session = &flow.session;
        let mut all = Vec::new();
        let (first_in, first, last) = session.place;
        let is_first = (input, number) == (first_in, first);
        let is_last = number == last && packet.time == session.span.1;
        let word = match (is_first, is_last) {
            (true, true) => Some("only"),
            (true, false) => Some("first"),
            (false, true) => Some("last"),
            (false, false) => None,
        };
        if let Some(word) = word {
            let id = &session.id;
            let claim = |claim: &Rc<str>| format!("{claim}; {word} packet of session {id}");
            all.extend(session.claims.iter().map(claim));
            if session.claims.is_empty() {
                all.push(format!("{word} packet of session {id}"));
            }
        }
        if !packet.flags.has(PacketFlags::DUPLICATE) {
            all.extend(flow.handshake(packet));
        }
        all
    }
}

impl Flow {
    /// What a packet is in the handshake.
    fn handshake(&mut self, packet: &Packet) -> Option<String> {
        if packet.key.transport != Transport::TCP || self.stage == Stage::Over {
            return None;
        }
        let (flags, heading) = (packet.tcp_flags, packet.heading());
        let (syn, ack) = (flags.has(TcpFlags::SYN), flags.has(TcpFlags::ACK));
        let (near, far) = self.session.handshake;
        let id = &self.session.id;
        let measured = |leg: &str, us: Option<f64>| {
            us.map_or(String::new(), |us| format!("; longhaul.{leg}.handshake_us = {us}"))
        };
        let (stage, text) = match self.stage {
            Stage::Nothing if syn && !ack => (Stage::Syn(heading), format!("SYN of session {id}")),
            Stage::Syn(from) if syn && ack && heading != from => {
                (Stage::SynAck(from), format!("SYN-ACK of session {id}{}", measured("far", far)))
            }
            Stage::SynAck(from) if ack && !syn && heading == from => (
                Stage::Over,
                format!("ACK of the handshake of session {id}{}", measured("near", near)),
            ),
            _ => return None,
        };
        self.stage = stage;
        Some(text)
    }
}

/// Without ports, addresses fit more than one session: their Community ID tells.
fn is_kind(session: &Session, packet: &Packet) -> bool {
    let Some(community) = session.community.as_deref().filter(|_| !session.has_ports) else {
        return true;
    };
    let mut text = b"1:".to_vec();
    put_base64(&mut text, &community_id::of_key(&packet.key));
    text == community.as_bytes()
}

impl Pair {
    fn of_session(session: &Session, point: u16) -> Pair {
        let [from, to] = session.ends;
        let (lower, upper) = if from <= to { (from, to) } else { (to, from) };
        Pair { lower, upper, transport: session.transport, version: session.version, point }
    }

    #[inline]
    fn of_packet(packet: &Packet) -> Pair {
        let key = &packet.key;
        let (mut a, mut b) = ((key.a, key.a_port), (key.b, key.b_port));
        // As in lines, which name ports of these alone.
        if !matches!(key.transport.0, 6 | 17 | 33 | 132 | 136) {
            (a.1, b.1) = (0, 0);
        }
        let (lower, upper) = if a <= b { (a, b) } else { (b, a) };
        let FlowKey { transport, version, point, .. } = *key;
        Pair { lower, upper, transport, version, point }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_hold_what_a_search_one_by_one_finds() {
        let mut seed = 7u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        for _ in 0..200 {
            let all: Vec<(u64, u64, u32)> = (0..random(30) as u32)
                .map(|at| {
                    let begin = random(100);
                    (begin, begin + random(20), at)
                })
                .collect();
            let spans = Spans::of(all.clone());
            for value in 0..125 {
                let mut have: Vec<u32> = spans.holding(value).collect();
                have.sort_unstable();
                let holds = |(begin, end, _): &&(u64, u64, u32)| (*begin..=*end).contains(&value);
                let want: Vec<u32> = all.iter().filter(holds).map(|(.., at)| *at).collect();
                assert_eq!(have, want, "{value} in {all:?}");
            }
        }
    }

    #[test]
    fn one_session_of_many_is_found_without_all_others() {
        let all: Vec<(u64, u64, u32)> =
            (0..100_000u64).map(|n| (n * 10, n * 10 + 5, n as u32)).collect();
        let spans = Spans::of(all);
        let begun = spans.rows.partition_point(|(begin, ..)| *begin <= 500_003);
        let looked = spans.rows[..begun].iter().rev().take_while(|row| row.1 >= 500_003).count();
        assert_eq!((looked, spans.holding(500_003).collect::<Vec<_>>()), (1, vec![50_000]));
    }
}
