//! Turns a worker's sessions into lines: observe, enrich, judge, render.
//!
//! Owns: a worker's observers' scratch, caches, counters and outgoing buffers. In: deliveries and
//! finished sessions of its shards. Out: [`RecordBatch`]s. Never: sees another worker's sessions.

use std::sync::Arc;

use crate::decode::{DecodeConfig, Decoder};
use crate::detect::correlation::Seen;
use crate::detect::{RuleSet, SourceCatalog};
use crate::emit::{self, Origin, Repeated};
use crate::endpoints::{self, EndpointSummary};
use crate::enrich::Enricher;
use crate::enrich::community_id::community_id;
use crate::evidence::{self, Observers};
use crate::identity::{Identity, When};
use crate::model::beats::Beat;
use crate::model::fired::FiredRules;
use crate::model::record::Wrapping;
use crate::model::scan::Unanswered;
use crate::model::{Addr, Alert, Counter, Counters, Interest, Nanos, Peer, Record, Segment};
use crate::pipeline::outgoing::{Outgoing, Queues};
use crate::pipeline::own_sessions::OwnSessions;
use crate::pipeline::prepare::Prepared;
use crate::pipeline::progress::RecordTap;
use crate::pipeline::record_batch::{Item, ItemKind, Order, TIMED, UPDATED, Until, Watermark};
use crate::pipeline::scans::{Quota, unanswered};
use crate::pipeline::tunnel_proof;
use crate::report::summary::SummaryBuilder;
use crate::session::{Arrival, Finished, Listener, Update, Weighed, Weight};

/// Emptied boxes of observers kept for reuse: 64 bytes each.
const OBSERVERS_IDLE: usize = 16_384;

/// Sessions that have ended, whose records are worked on together, step by step: the code of all
/// steps is larger than the L1 cache, that of one is not.
const TOGETHER: usize = 16;

/// A session that has ended and waits for others.
struct Ended {
    record: Record,
    fired: Option<Box<FiredRules>>,
    alerts: Vec<Alert>,
    seen: Vec<Seen>,
    place: Until,
    /// The turn in which it ended, and the clock.
    turn: Option<Watermark>,
    clock: u32,
}

/// One worker's record plane.
pub(super) struct RecordWorker<'t> {
    enricher: Enricher,
    rules: Arc<RuleSet>,
    catalog: Arc<SourceCatalog>,
    writes_lines: bool,
    /// Open sessions get lines, too.
    writes_updates: bool,
    /// The facts about the run in every line.
    origin: Arc<Origin>,
    /// Texts of the lines before.
    repeated: Repeated,
    /// Every record gets its Community ID: a tap shows it, or a rule reads it. Else only those with
    /// a line or an alert.
    identifies: bool,
    tap: Option<RecordTap<'t>>,
    decode: DecodeConfig,
    /// Turns and exchanges are measured.
    times: bool,
    /// The bindings at the last watermark.
    identity: Arc<Identity>,
    /// Boxes of ended sessions, for reuse.
    #[allow(clippy::vec_box, reason = "sessions hold boxes: it is the boxes that are kept")]
    idle: Vec<Box<Observers>>,
    pub(super) counters: Counters,
    pub(super) summary: SummaryBuilder,
    /// Sessions to work on: fewer than [`TOGETHER`].
    ended: Vec<Ended>,
    /// The second and shard whose sessions come in order now.
    turn: Option<Watermark>,
    /// The part and the shard in progress, and the clock.
    at: (u32, u16),
    clock: u32,
    quota: Quota,
    outgoing: Outgoing,
    /// In a run in sets: which sessions are this set's.
    own: Option<OwnSessions>,
}

impl Listener<Observers> for RecordWorker<'_> {
    fn wrapped(
        &mut self,
        extra: &mut Option<Box<Observers>>,
        arrival: &Arrival<'_>,
    ) -> Option<u16> {
        let (vlan, mut wrapping) = Decoder::wrapping(&self.decode, arrival.packet, arrival.frame)?;
        tunnel_proof::begin(&mut wrapping, arrival.packet, |addr| {
            self.enricher.data().is_home(addr)
        });
        if wrapping != Wrapping::default() {
            extra
                .get_or_insert_with(|| self.idle.pop().unwrap_or_default())
                .note_wrapping(wrapping);
        }
        vlan
    }

    fn answered_in_tunnel(&mut self, extra: &mut Option<Box<Observers>>, arrival: &Arrival<'_>) {
        let packet = arrival.packet;
        let found = Decoder::wrapping(&self.decode, packet, arrival.frame);
        let Some((_, second)) = found else { return };
        let facts = extra.as_ref().and_then(|observers| observers.facts());
        let first = facts.and_then(|facts| facts.wrapping());
        let is_home = |addr| self.enricher.data().is_home(addr);
        if let Some(wrapping) = tunnel_proof::answer(first, second, packet, is_home) {
            extra
                .get_or_insert_with(|| self.idle.pop().unwrap_or_default())
                .note_wrapping(wrapping);
        }
    }

    fn speaker(&self, payload: &[u8]) -> Option<Peer> {
        evidence::speaker(payload)
    }

    fn turned(&mut self, extra: &mut Option<Box<Observers>>) {
        if let Some(observers) = extra {
            observers.begin_anew();
            if !self.times {
                observers.leave_out_time();
            }
        }
    }

    fn deliver(&mut self, extra: &mut Option<Box<Observers>>, segment: &Segment<'_>) -> Interest {
        let observers = extra.get_or_insert_with(|| {
            let mut observers = self.idle.pop().unwrap_or_default();
            if !self.times {
                observers.leave_out_time();
            }
            observers
        });
        observers.look(segment, self.enricher.data().lists.payload());
        observers.observe(segment, &mut self.counters)
    }

    fn takes_gaps(&self, extra: Option<&Observers>) -> bool {
        extra.is_some_and(Observers::takes_gaps)
    }

    fn acknowledged(&mut self, extra: &mut Option<Box<Observers>>, from: Peer, ack: (u32, Nanos)) {
        if let Some(observers) = extra {
            observers.acknowledged(from, ack.0, ack.1);
        }
    }

    fn update(&mut self, update: Update<'_, Observers>) {
        self.work_off();
        let Update { mut record, extra, fired, tie } = update;
        record.facts = extra.map(Observers::so_far).unwrap_or_default();
        self.complete(&mut record, false);
        let (mut alerts, mut seen) = self.judge(&mut record);
        // At its end the rules fire again: only what is new is reported.
        let mut is_new =
            |alert: &Alert| fired.get_or_insert_default().record(&alert.rule.uuid, alert.level);
        alerts.retain(&mut is_new);
        seen.retain(|seen| match seen.stands {
            true => alerts.iter().any(|alert| alert.rule.uuid == seen.alert.rule.uuid),
            false => is_new(&seen.alert),
        });
        if self.own.as_ref().is_some_and(|own| !own.tells(&record)) {
            return;
        }
        self.counters.bump(Counter::Updates);
        let counts = endpoints::counts_while_open(&record);
        let says = !alerts.is_empty() || !seen.is_empty();
        if self.writes_updates || says || counts {
            let place = ((record.at, UPDATED, self.at.1), record.start, tie);
            self.put_update(place, &mut record, (alerts, seen));
        }
    }

    fn finish(&mut self, mut finished: Finished<Observers>) {
        let extra = finished.extra.take();
        let part = if finished.timed { TIMED } else { self.at.0 };
        let place = ((finished.record.at, part, self.at.1), finished.record.start, finished.tie);
        let Finished { record, fired, .. } = finished;
        let (alerts, seen, turn, clock) = (Vec::new(), Vec::new(), self.turn, self.clock);
        self.ended.push(Ended { record, fired, alerts, seen, place, turn, clock });
        if let (Some(mut observers), Some(ended)) = (extra, self.ended.last_mut()) {
            ended.record.facts = std::mem::take(&mut *observers).into_facts();
            if self.idle.len() < OBSERVERS_IDLE {
                self.idle.push(observers);
            }
        }
        if self.ended.len() >= TOGETHER {
            self.work_off();
        }
    }

    fn beat(&mut self, beat: Beat) {
        self.outgoing.beats.add(Beat { shard: self.at.1, ..beat });
    }

    fn is_home(&self, addr: Addr) -> bool {
        self.enricher.data().is_home(addr)
    }

    fn let_go(&mut self, extra: &mut Option<Box<Observers>>) {
        if let Some(observers) = extra {
            observers.let_go();
        }
    }

    fn count(&mut self, counter: Counter, n: u64) {
        self.counters.add(counter, n);
    }
}

impl Weighed for Observers {
    fn weight(&self) -> Weight {
        let crate::evidence::Weight { waiting, kept } = Observers::weight(self);
        Weight { waiting: waiting as usize, kept: kept as usize }
    }
}

impl<'t> RecordWorker<'t> {
    /// A record worker over the run's snapshot.
    pub(super) fn new(
        prepared: &Prepared,
        origin: &Arc<Origin>,
        writes_lines: bool,
        tap: Option<RecordTap<'t>>,
        queues: Queues,
    ) -> Self {
        RecordWorker {
            origin: Arc::clone(origin),
            repeated: Repeated::default(),
            enricher: Enricher::new(Arc::clone(&prepared.enrich)),
            rules: Arc::clone(&prepared.rules),
            catalog: Arc::clone(&prepared.catalog),
            writes_lines,
            writes_updates: writes_lines && prepared.writes_updates,
            identifies: tap.is_some() || prepared.rules.reads("network.community_id"),
            tap,
            decode: prepared.decode,
            times: prepared.times,
            identity: Arc::new(Identity::new(prepared.bindings)),
            idle: Vec::new(),
            counters: Counters::default(),
            summary: SummaryBuilder::default(),
            ended: Vec::with_capacity(TOGETHER),
            turn: None,
            at: (0, 0),
            clock: 0,
            quota: Quota::new(prepared.unanswered),
            outgoing: Outgoing::new(queues),
            own: prepared.scope.as_ref().map(OwnSessions::new),
        }
    }

    /// From here on, finished sessions are judged with another snapshot.
    pub(super) fn renew(&mut self, prepared: &Prepared) {
        self.enricher.drain_counters(&mut self.counters);
        self.enricher = Enricher::new(Arc::clone(&prepared.enrich));
        self.rules = Arc::clone(&prepared.rules);
        self.catalog = Arc::clone(&prepared.catalog);
        self.identifies = self.tap.is_some() || prepared.rules.reads("network.community_id");
    }

    /// All counters up to now, including those of the caches.
    pub(super) fn counted(&mut self) -> &Counters {
        self.enricher.drain_counters(&mut self.counters);
        &self.counters
    }

    /// The record worker's results.
    pub(super) fn close(mut self) -> (Counters, SummaryBuilder) {
        self.enricher.drain_counters(&mut self.counters);
        self.own.into_iter().for_each(OwnSessions::leave);
        (self.counters, self.summary)
    }

    /// Replaces the bindings.
    pub(super) fn learn(&mut self, known: Arc<Identity>) {
        self.work_off();
        self.identity = known;
    }

    /// Finds who started the session, and the name that they had looked up.
    fn identify(&self, record: &mut Record) {
        let (from, to) = (record.initiator.ip, record.responder.ip);
        let point = record.point;
        let when = When { start: record.start, end: record.end, doubtful: record.doubtful };
        let mac = record.initiator.mac;
        let holder = self.identity.holder_of((point, from), mac, when);
        let held = holder.as_ref().and_then(|holder| holder.mac);
        record.context.arp_senders = self.identity.arp_senders((point, from), (held, mac), when);
        record.context.holder = holder;
        // A client may know only the IPv4 address and add the NAT64 prefix itself (RFC 6877).
        let behind = self.enricher.data().nat64.inside(to).map(Addr::from);
        let own = record.facts.responder_name();
        let looked_up = self
            .identity
            .name_of(from, (point, to), own, when)
            .or_else(|| self.identity.name_of(from, (point, behind?), own, when));
        let contradicts = |name: &Arc<str>| record.facts.contradicts(name);
        // The session's own name takes precedence over names from elsewhere.
        match looked_up {
            Some(name) if contradicts(&name) => record.context.contradicted_name = Some(name),
            other => record.context.responder_name = other,
        }
    }

    /// Enriches a record from its facts. Its counters count when it has ended.
    fn complete(&mut self, record: &mut Record, is_over: bool) {
        if record.facts.dns.as_ref().is_some_and(|dns| dns.cut) {
            self.counters.add(Counter::FactsCut, is_over.into());
            record.quality.truncated = true;
        }
        record.settle_clock();
        if let Some(turns) = &mut record.facts.turns {
            let removed = turns.settle(&record.near, &record.far);
            if is_over {
                self.counters.add(Counter::TurnsSplitFlight, removed.split_flight);
                self.counters.add(Counter::TurnsStalled, removed.stalled);
            }
        }
        if let Some(interaction) = &mut record.interaction {
            evidence::interaction::classify(interaction, record.facts.protocol);
        }
        self.identify(record);
        self.enricher.enrich(record);
        record.settle_confirmed();
        if self.identifies {
            put_community_id(record);
        }
        record.id = emit::event_id(record);
    }

    /// Evaluates the rules. Their alerts, messages and groups may name the Community ID, even if no
    /// condition reads it.
    fn judge(&mut self, record: &mut Record) -> (Vec<Alert>, Vec<Seen>) {
        let (mut alerts, mut seen) = (Vec::new(), Vec::new());
        if record.is_unproven() {
            // A session counts once, when it is over.
            self.counters.add(Counter::Unproven, record.update.is_none().into());
            return (alerts, seen);
        }
        if let Some(held) = self.rules.held(record) {
            put_community_id(record);
            self.rules.raise(held, record, &self.catalog, (&mut alerts, &mut seen));
        }
        (alerts, seen)
    }

    /// From here on, sessions of that shard come; a packet ends them in that part of its second.
    pub(super) fn turn_to(&mut self, shard: u16, (clock, part): (u32, u32)) {
        (self.at, self.clock) = ((part, shard), clock);
    }

    /// The earliest second in which a waiting session ended.
    pub(super) fn first_second(&self) -> Option<u32> {
        self.outgoing.first_second()
    }

    /// From here on, updates of the current shard's sessions in that second come, in order.
    pub(super) const fn begin_updates(&mut self, second: Nanos) {
        self.turn = Some((second, UPDATED, self.at.1));
    }

    /// From here on, sessions that the current shard's timers end in that second come, in order.
    pub(super) const fn begin_ends(&mut self, second: Nanos) {
        self.turn = Some((second, TIMED, self.at.1));
    }

    /// All shards are done with that second.
    pub(super) fn pass_second(&mut self, second: u32) {
        self.turn = None;
        self.work_off();
        let next = Nanos::from_secs(u64::from(second) + 1);
        self.outgoing.pass(((next, 0, 0), Nanos::ZERO, 0));
    }

    /// The input has ended: sessions that come now were open, at that second of the clock.
    pub(super) fn begin_drain(&mut self, clock: u32) {
        self.work_off();
        self.own.iter_mut().for_each(|own| own.end(clock));
    }

    /// Sends everything that ended before `until` to the correlator.
    pub(super) fn send_before(&mut self, until: Until) {
        self.turn = None;
        self.work_off();
        self.counters.add(Counter::BeatsDropped, self.outgoing.beats.take_dropped());
        self.outgoing.pass(until);
        self.outgoing.send(until);
    }

    /// Works on the sessions that have ended.
    fn work_off(&mut self) {
        let mut ended = std::mem::take(&mut self.ended);
        for one in &mut ended {
            self.complete(&mut one.record, true);
        }
        if let Some(own) = &mut self.own {
            ended.retain(|one| own.takes(&one.record, &mut self.counters));
        }
        for one in &mut ended {
            (one.alerts, one.seen) = self.judge(&mut one.record);
            if let Some(fired) = &one.fired {
                let is_new = |alert: &Alert| fired.is_new(&alert.rule.uuid, alert.level);
                one.alerts.retain(is_new);
                one.seen.retain(|seen| is_new(&seen.alert));
            }
        }
        for one in &ended {
            self.summary.observe(&one.record);
            if let Some(tap) = self.tap {
                tap(&one.record);
            }
        }
        for one in &mut ended {
            self.put(one);
        }
        ended.clear();
        self.ended = ended;
    }

    /// Passes on a session that has ended.
    fn put(&mut self, ended: &mut Ended) {
        let Ended { place, turn, .. } = *ended;
        if self.outgoing.enter(turn) {
            self.quota.begin();
        }
        let alerts = std::mem::take(&mut ended.alerts);
        let seen = std::mem::take(&mut ended.seen);
        let summed = self.summed(ended).filter(|_| alerts.is_empty());
        let record = &mut ended.record;
        let batch = self.outgoing.batch_for(place);
        let start = batch.lines.len();
        if self.writes_lines && summed.is_none() {
            render(record, &self.origin, (&mut self.repeated, &mut batch.lines));
        }
        // Last: it moves what it needs out of the record.
        let kind = ItemKind::Ended(EndpointSummary::of(record));
        batch.push(order(place, record), start, Item { line: (0, 0), kind, alerts, seen, summed });
    }

    /// Passes on an open session.
    fn put_update(
        &mut self,
        place: Until,
        record: &mut Record,
        (alerts, seen): (Vec<Alert>, Vec<Seen>),
    ) {
        self.outgoing.enter(self.turn);
        let batch = self.outgoing.batch_for(place);
        let start = batch.lines.len();
        if self.writes_updates {
            render(record, &self.origin, (&mut self.repeated, &mut batch.lines));
        }
        // Last: it moves what it needs out of the record.
        let kind = ItemKind::Update(EndpointSummary::of(record));
        let item = Item { line: (0, 0), kind, alerts, seen, summed: None };
        batch.push(order(place, record), start, item);
    }

    /// The part of a sum for a session without a line of its own.
    fn summed(&mut self, ended: &Ended) -> Option<Unanswered> {
        let one = unanswered(&ended.record).filter(|_| self.writes_lines)?;
        let ((_, _, shard), ..) = ended.place;
        let written = match self.outgoing.is_turn(ended.place) {
            true => self.quota.timer(),
            false => self.quota.packet(shard, ended.clock),
        };
        (!written).then_some(one)
    }
}

/// Gives a record its Community ID, if it has none yet.
fn put_community_id(record: &mut Record) {
    if record.context.community_id.is_none() {
        record.context.community_id = Some(community_id(record));
    }
}

/// Writes a session's line, with its Community ID.
fn render(record: &mut Record, origin: &Origin, to: (&mut Repeated, &mut Vec<u8>)) {
    put_community_id(record);
    emit::lines::render_next_session(record, origin, to.0, to.1);
}

/// The position of a record in the output.
fn order(place: Until, record: &Record) -> Order {
    (place, record.id, (record.file, record.frame_first))
}
