//! One home host: whom it exchanges messages with, and the pairs of ways through it.
//!
//! Owns: at most [`PEERS`] other ends and [`PAIRS`] pairs. In: its messages, in order. Out: the
//! pair that says most. Never: more work for a message than those two numbers bound.
//!
//! Sessions with one other end are one way: a program may send its screen by another connection
//! than input comes by.

use std::sync::Arc;

use crate::endpoints::stepping::Via;
use crate::endpoints::stepping::pair::{Pair, Score, Stroke};
use crate::endpoints::stepping::recent::{CELL_NS, CELLS, Recent};
use crate::endpoints::stepping::rhythm::{Rhythm, Verdict};
use crate::model::beats::{Beat, BeatKind};
use crate::model::heap::ALLOCATION;
use crate::model::{Addr, Nanos};

/// Other ends kept of a host; those of pairs that say something stay, then the latest.
const PEERS: usize = 16;

/// Pairs kept of a host.
const PAIRS: usize = 8;

/// A keystroke after so much silence ends a pause.
const PAUSE_NS: u64 = 500_000_000;

/// Somebody who sent nothing for so long is not there: what is typed then is not held against a
/// pair.
const THERE_NS: u64 = 60_000_000_000;

/// How far what is sent must exceed what is received for a screen to go there, and how far the
/// keystroke's way may exceed that: as multiples.
const SHOWS: f64 = 1.05;
const LIGHTER: f64 = 1.5;

/// Another end.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    addr: Addr,
    /// Its latest message either way.
    seen: Nanos,
    /// The latest keystroke to it.
    key: Option<Nanos>,
    /// The latest message from it, and those before.
    input: Option<(Nanos, Box<Recent>)>,
    sent: u64,
    received: u64,
    /// Messages after a silence; from some on their rhythm is watched.
    slow: u8,
    rhythm: Option<Box<Rhythm>>,
    pub(super) via: Option<Box<Via>>,
}

/// One home host.
#[derive(Clone, Debug, Default)]
pub(super) struct Host {
    peers: Vec<Peer>,
    pairs: Vec<Pair>,
    /// Whose address it is by the subjects file, and when the latest session that said so began.
    holder: Option<(Arc<str>, Nanos)>,
    /// The second of its latest message.
    pub(super) last: u32,
    /// Something was added since it was judged.
    pub(super) changed: bool,
}

impl Host {
    /// Takes a message.
    pub(super) fn take(&mut self, beat: &Beat) {
        self.last = beat.second;
        let at = self.peer(beat.peer, beat.time);
        let Some(peer) = self.peers.get_mut(at) else { return };
        peer.seen = peer.seen.max(beat.time);
        peer.sent = peer.sent.saturating_add(beat.sent.into());
        peer.received = peer.received.saturating_add(beat.received.into());
        // Anybody can send datagrams at a fixed interval in another's name.
        if beat.kind == BeatKind::Input {
            self.changed |= peer.follow(beat.time, beat.size);
        }
        match (beat.kind, &mut peer.input) {
            (BeatKind::Input | BeatKind::Claimed, Some((latest, recent))) => {
                *latest = beat.time.max(*latest);
                recent.add(beat.time);
            }
            (BeatKind::Input | BeatKind::Claimed, none) => {
                *none = Some((beat.time, Box::new(Recent::new(beat.time))));
            }
            (BeatKind::Key, _) => self.strike(at, beat.time),
            (BeatKind::Volume, _) => {}
        }
    }

    /// The place of another end.
    fn peer(&mut self, addr: Addr, time: Nanos) -> usize {
        if let Some(at) = self.peers.iter().position(|peer| peer.addr == addr) {
            return at;
        }
        if self.peers.len() >= PEERS {
            let worth = |peer: &Peer| (self.evidence_of(peer.addr), peer.seen, peer.addr);
            let least = (0..self.peers.len()).min_by_key(|at| self.peers.get(*at).map(worth));
            if let Some(at) = least {
                let gone = self.peers.swap_remove(at).addr;
                self.pairs.retain(|pair| pair.from != gone && pair.to != gone);
            }
        }
        self.peers.push(Peer::new(addr, time));
        self.peers.len() - 1
    }

    fn evidence_of(&self, addr: Addr) -> Option<(u32, u32)> {
        let its = self.pairs.iter().filter(|pair| pair.from == addr || pair.to == addr);
        let own = self.peers.iter().find(|peer| peer.addr == addr).and_then(Peer::verdict);
        its.map(Pair::evidence).max().max(own.map(|one| (1, one.bursts)))
    }

    /// A keystroke to the other end at this place: compared with what every other one sent.
    fn strike(&mut self, to: usize, time: Nanos) {
        let Some(target) = self.peers.get_mut(to) else { return };
        let resumes = target.key.is_none_or(|key| time.0.saturating_sub(key.0) > PAUSE_NS);
        target.key = target.key.max(Some(time));
        let (target, weight) = (target.addr, target.sent);
        for peer in self.peers.iter_mut().filter(|peer| peer.addr != target) {
            let Some((latest, recent)) = &peer.input else { continue };
            if let Some(rhythm) = peer.rhythm.as_deref_mut().filter(|_| resumes) {
                rhythm.follow(time, recent);
            }
            if time.0.saturating_sub(peer.seen.0) > THERE_NS {
                continue;
            }
            let ways = (peer.addr, target);
            let known = self.pairs.iter().position(|pair| (pair.from, pair.to) == ways);
            let at = match known {
                Some(at) => at,
                // Nothing begins before the two have met once.
                None if recent.since(time, CELLS / 16).is_none() => continue,
                None => {
                    if self.pairs.len() >= PAIRS {
                        drop_least(&mut self.pairs, time);
                    }
                    self.pairs.push(Pair::new(ways, time));
                    self.pairs.len() - 1
                }
            };
            let Some(pair) = self.pairs.get_mut(at) else { continue };
            let stroke = Stroke { time, resumes, shows: peer.shows(weight) };
            pair.add(&stroke, recent, Some(*latest).filter(|latest| *latest <= time));
            self.changed = true;
        }
    }

    /// The pair that says most, with where its messages come from.
    pub(super) fn best(&self) -> Option<(&Pair, Score, Option<&Via>)> {
        let mut best: Option<(&Pair, Score, Option<&Via>)> = None;
        for pair in &self.pairs {
            let from = self.peers.iter().find(|peer| peer.addr == pair.from);
            let to = self.peers.iter().find(|peer| peer.addr == pair.to);
            let (Some(from), Some(to)) = (from, to) else { continue };
            let Some(score) = pair.score(from.shows(to.sent)) else { continue };
            let order = |score: &Score, pair: &Pair| (score.confidence, pair.windows());
            let is_more = best.as_ref().is_none_or(|(pair, known, _)| {
                let (had, has) = (order(known, pair), order(&score, pair));
                has.0 > had.0 || has.0 == had.0 && has.1 > had.1
            });
            if is_more {
                best = Some((pair, score, from.via.as_deref()));
            }
        }
        best
    }

    /// Forgets what was found before the last seven days.
    pub(super) fn age(&mut self, now: Nanos) {
        self.pairs.iter_mut().for_each(|pair| pair.age(now));
        let rhythms = self.peers.iter_mut().filter_map(|peer| peer.rhythm.as_deref_mut());
        rhythms.for_each(|rhythm| rhythm.age(now));
    }

    /// Notes who has the address in a session that began then. Somebody else than before is not
    /// to blame for what was found until now. Returns whether all of it is forgotten.
    pub(super) fn held_by(&mut self, subject: &Arc<str>, began: Nanos) -> bool {
        if self.holder.as_ref().is_some_and(|(_, since)| *since > began) {
            return false;
        }
        let had = self.holder.replace((Arc::clone(subject), began));
        let moved = had.is_some_and(|(had, _)| had != *subject);
        if moved {
            (self.peers, self.pairs, self.changed) = (Vec::new(), Vec::new(), false);
        }
        moved
    }

    /// Another end, if it is known.
    pub(super) fn known(&mut self, addr: Addr) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.addr == addr)
    }

    /// Whether it is part of a pair, or has a rhythm: what its sessions are matters for nobody
    /// else.
    pub(super) fn has_pair_from(&self, addr: Addr) -> bool {
        let synthetic = |peer: &Peer| peer.addr == addr && peer.verdict().is_some();
        self.pairs.iter().any(|pair| pair.from == addr) || self.peers.iter().any(synthetic)
    }

    /// The way whose input is most surely made by a device or program.
    pub(super) fn synthetic(&self) -> Option<(Addr, Verdict, Option<&Via>)> {
        let mut best: Option<(Addr, Verdict, Option<&Via>)> = None;
        for peer in &self.peers {
            let Some(verdict) = peer.verdict() else { continue };
            let order = |addr: Addr, one: &Verdict| (one.confidence, one.bursts, addr);
            if best.is_none_or(|(addr, had, _)| order(addr, &had) < order(peer.addr, &verdict)) {
                best = Some((peer.addr, verdict, peer.via.as_deref()));
            }
        }
        best
    }

    /// Whether little would be lost with it.
    pub(super) fn is_idle(&self, second: u32) -> bool {
        self.evidence() == (0, 0) && self.last.saturating_add(IDLE_S) < second
    }

    /// What would be lost with it: windows that said it is driven, then keystrokes that followed.
    pub(super) fn evidence(&self) -> (u32, u32) {
        let pairs = self.pairs.iter().map(Pair::evidence).max().unwrap_or_default();
        let synthetic = self.peers.iter().filter_map(Peer::verdict).map(|one| (1, one.bursts));
        synthetic.max().unwrap_or_default().max(pairs)
    }

    /// Bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        const RECENT: usize = size_of::<Recent>() + ALLOCATION;
        let peers = self.peers.iter().map(|peer| {
            const RHYTHM: usize = size_of::<Rhythm>() + ALLOCATION;
            let input = peer.input.as_ref().map_or(0, |_| RECENT);
            let input = input + peer.rhythm.as_ref().map_or(0, |_| RHYTHM);
            input + peer.via.as_ref().map_or(0, |_| size_of::<Via>() + ALLOCATION)
        });
        peers.sum::<usize>()
            + self.peers.capacity() * size_of::<Peer>()
            + self.pairs.capacity() * size_of::<Pair>()
            + 2 * ALLOCATION
    }
}

/// So many messages after so much silence, and the rhythm of a way is watched.
const SLOW: u8 = 4;
const SILENCE_NS: u64 = 2_000_000_000;

/// Seconds of silence after which a host without a pair is forgotten.
const IDLE_S: u32 = 600;

/// Messages older than this are never asked for.
const _: () = assert!(CELLS * CELL_NS > 3_600_000_000);

impl Peer {
    const fn new(addr: Addr, time: Nanos) -> Peer {
        Peer {
            addr,
            seen: time,
            key: None,
            input: None,
            sent: 0,
            received: 0,
            slow: 0,
            rhythm: None,
            via: None,
        }
    }

    /// Watches the rhythm of its messages. Returns whether it says something for the first time.
    fn follow(&mut self, time: Nanos, size: u16) -> bool {
        if let Some(rhythm) = &mut self.rhythm {
            return rhythm.add(time, size);
        }
        let silent = |(latest, _): &(Nanos, _)| time.0.saturating_sub(latest.0) > SILENCE_NS;
        self.slow += u8::from(self.input.as_ref().is_some_and(silent));
        if self.slow >= SLOW {
            self.rhythm = Some(Box::new(Rhythm::new(time)));
        }
        false
    }

    /// What its rhythm says.
    fn verdict(&self) -> Option<Verdict> {
        self.rhythm.as_deref()?.verdict
    }

    /// Whether a screen goes there, if so much went to where a keystroke goes.
    fn shows(&self, to_target: u64) -> bool {
        let sent = self.sent as f64;
        sent >= SHOWS * self.received as f64 && to_target as f64 <= LIGHTER * sent
    }
}

/// Forgets the pair that says least.
fn drop_least(pairs: &mut Vec<Pair>, now: Nanos) {
    let worth = |pair: &Pair| (pair.worth(now), pair.evidence(), pair.from, pair.to);
    let least = (0..pairs.len()).min_by_key(|at| pairs.get(*at).map(worth));
    if let Some(at) = least {
        pairs.swap_remove(at);
    }
}
