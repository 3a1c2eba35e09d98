//! Everything that the view shows, within bounds.
//!
//! Owns: rows of findings, subjects and sessions; sums; messages. In: lines of results, in any
//! order. Out: rows, and lines for explanations. Policy at the caps: findings of the lowest level
//! and weight go first, sessions that no finding names, the oldest first; subjects of whom least is
//! known. What has gone is counted and shown. Never: a line that cannot be read passed over
//! silently.

use std::collections::{HashMap, HashSet, VecDeque};

use super::counts::Counts;
use super::history::History;
use super::rows::{Finding, Session, Subject};
use crate::explain::Flat;

/// Most sessions with a row, and bytes of them.
const SESSIONS_MAX: (usize, usize) = (5_000, 32 << 20);
/// Most incidents, and most alerts, and bytes of each.
const FINDINGS_MAX: (usize, usize) = (2_000, 24 << 20);
/// Most subjects.
const SUBJECTS_MAX: usize = 20_000;
/// Most sessions that are known to be named by findings.
const NAMED_MAX: usize = 50_000;
/// Most messages, and characters of one.
const MESSAGES_MAX: usize = 500;
const MESSAGE_MAX: usize = 600;
/// At a cap a fraction (1/n) goes at once.
const ROOM: usize = 8;

/// How far the reading is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing was read yet: what it waits for.
    Waiting(String),
    /// So many bytes of so many.
    Reading(u64, u64),
    /// All that there is; more comes.
    Running,
    /// The run has ended, and all of it was read.
    Ended,
    /// Reading has failed.
    Failed(String),
}

/// Rows of one kind, and how many there were in all.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) rows: Vec<Finding>,
    pub(super) all: u64,
    bytes: usize,
}

/// What is shown.
#[derive(Debug)]
pub struct Board {
    /// How far the reading is.
    pub state: State,
    /// Where results are from: a directory, or interfaces.
    pub title: String,
    /// It grows with each change.
    pub changes: u64,
    /// Sets before the first one that was read.
    pub sets_more: usize,
    pub(super) counts: Counts,
    pub(super) history: History,
    pub(super) incidents: Findings,
    pub(super) alerts: Findings,
    pub(super) subjects: HashMap<String, Subject>,
    /// Subjects that had no room.
    pub(super) subjects_more: u64,
    pub(super) sessions: VecDeque<Session>,
    pub(super) sessions_all: u64,
    session_bytes: usize,
    /// Sessions that whoever captures has not handed over.
    pub(super) omitted: u64,
    pub(super) messages: VecDeque<String>,
    pub(super) messages_all: u64,
    /// Lines that could not be read.
    pub(super) faults: u64,
    named: HashSet<String>,
    has_updates: bool,
}

impl Board {
    /// An empty one.
    pub fn new(title: &str) -> Board {
        Board {
            state: State::Waiting("waits for the first lines".to_owned()),
            title: title.to_owned(),
            changes: 0,
            sets_more: 0,
            counts: Counts::default(),
            history: History::default(),
            incidents: Findings::default(),
            alerts: Findings::default(),
            subjects: HashMap::new(),
            subjects_more: 0,
            sessions: VecDeque::new(),
            sessions_all: 0,
            session_bytes: 0,
            omitted: 0,
            messages: VecDeque::new(),
            messages_all: 0,
            faults: 0,
            named: HashSet::new(),
            has_updates: false,
        }
    }

    /// Everything is of another run from here on.
    pub fn empty(&mut self) {
        let title = std::mem::take(&mut self.title);
        *self = Board { changes: self.changes + 1, ..Board::new(&title) };
    }

    /// A new state.
    pub fn becomes(&mut self, state: State) {
        if self.state != state {
            self.state = state;
            self.changes += 1;
        }
    }

    /// A line of a set of results. What is none is counted.
    pub fn add(&mut self, set: usize, bytes: &[u8]) {
        self.changes += 1;
        let Ok(line) = Flat::parse(bytes) else {
            self.faults += 1;
            return;
        };
        match line.text("event.dataset") {
            Some("longhaul.session") => self.session(&line, bytes),
            Some("longhaul.alert") => self.finding(&line, bytes, false),
            Some("longhaul.incident") => self.finding(&line, bytes, true),
            Some("longhaul.health") => self.counts.health(set, &line),
            Some("longhaul.view") => self.word(&line),
            Some("longhaul.endpoint") => {}
            _ => self.faults += 1,
        }
    }

    /// A set has ended.
    pub fn ended(&mut self, set: usize, run: &Flat) {
        self.counts.ended(set, run);
        self.changes += 1;
    }

    /// A message, or something that is wrong.
    pub fn say(&mut self, text: &str) {
        self.messages_all += 1;
        self.messages.push_back(text.chars().take(MESSAGE_MAX).collect());
        let beyond = self.messages.len().saturating_sub(MESSAGES_MAX);
        self.messages.drain(..beyond);
        self.changes += 1;
    }

    /// What a live run says beside its results.
    fn word(&mut self, line: &Flat) {
        if let Some(text) = line.text("message") {
            self.say(text);
        }
        if let Some(omitted) = line.number("longhaul.view.omitted") {
            self.omitted = omitted as u64;
        }
    }

    fn session(&mut self, line: &Flat, bytes: &[u8]) {
        let mut session = Session::of(line, bytes);
        if session.is_open || self.has_updates {
            self.has_updates = true;
            let known = self.sessions.iter_mut().rev().find(|known| known.id == session.id);
            if let Some(known) = known {
                session.is_named = known.is_named;
                self.session_bytes =
                    (self.session_bytes + session.size()).saturating_sub(known.size());
                *known = session;
                return;
            }
        }
        session.is_named = self.named.contains(&session.id);
        session.start.into_iter().for_each(|start| self.history.add(start));
        self.sessions_all += 1;
        self.about(&session.subject, &session.name, |subject| {
            subject.sessions += 1;
            subject.last = subject.last.max(session.start);
            if !session.remote.is_empty() {
                subject.remote.clone_from(&session.remote);
                subject.place.clone_from(&session.place);
                let known = [subject.rtt_us, session.remote_us()];
                subject.rtt_us = known.into_iter().flatten().reduce(f64::min);
            }
        });
        self.session_bytes += session.size();
        self.sessions.push_back(session);
        if self.sessions.len() > SESSIONS_MAX.0 || self.session_bytes > SESSIONS_MAX.1 {
            self.forget_sessions();
        }
    }

    #[cold]
    fn forget_sessions(&mut self) {
        let mut goes = self.sessions.len() / ROOM + 1;
        self.sessions.retain(|session| {
            let leaves = goes > 0 && !session.is_named;
            goes -= usize::from(leaves);
            !leaves
        });
        self.sessions.drain(..goes.min(self.sessions.len()));
        self.session_bytes = self.sessions.iter().map(Session::size).sum();
    }

    fn finding(&mut self, line: &Flat, bytes: &[u8], is_incident: bool) {
        let finding = Finding::of(line, bytes);
        self.name_evidence(line);
        let findings = if is_incident { &mut self.incidents } else { &mut self.alerts };
        let is_new = findings.put(finding.clone());
        self.about(&finding.subject, &finding.name, |subject| {
            let count = if is_incident { &mut subject.incidents } else { &mut subject.alerts };
            *count += u64::from(is_new);
            if finding.severity >= subject.severity {
                (subject.severity, subject.level) = (finding.severity, finding.level);
            }
            if is_incident {
                subject.score = finding.weight.max(subject.score);
            }
            subject.last = subject.last.max(finding.time);
        });
    }

    /// Sessions that a finding names as evidence.
    fn name_evidence(&mut self, line: &Flat) {
        let evidence = line.objects("longhaul.evidence");
        let ids = evidence.iter().flat_map(|item| item.texts("sessions"));
        let own = line.text("longhaul.session.id");
        for id in ids.chain(own) {
            if self.named.len() < NAMED_MAX && self.named.insert(id.to_owned()) {
                let named = self.sessions.iter_mut().rev().find(|session| session.id == id);
                named.into_iter().for_each(|session| session.is_named = true);
            }
        }
    }

    fn about(&mut self, id: &str, name: &str, change: impl FnOnce(&mut Subject)) {
        if id.is_empty() {
            return;
        }
        if !self.subjects.contains_key(id) {
            if self.subjects.len() >= SUBJECTS_MAX {
                self.forget_subjects();
            }
            let subject = Subject { id: id.to_owned(), ..Subject::default() };
            self.subjects.insert(id.to_owned(), subject);
        }
        if let Some(subject) = self.subjects.get_mut(id) {
            if subject.name.is_empty() {
                name.clone_into(&mut subject.name);
            }
            change(subject);
        }
    }

    #[cold]
    fn forget_subjects(&mut self) {
        let mut ranks: Vec<_> =
            self.subjects.values().map(|of| (of.worth(), of.id.clone())).collect();
        ranks.sort_unstable();
        for (_, id) in ranks.iter().take(SUBJECTS_MAX / ROOM) {
            self.subjects.remove(id);
            self.subjects_more += 1;
        }
    }
}

impl Findings {
    /// Adds a finding, or a change of a known one; whether it is a new one.
    fn put(&mut self, finding: Finding) -> bool {
        if let Some(known) = self.rows.iter_mut().rev().find(|known| known.id == finding.id) {
            known.becomes(finding);
            self.bytes = self.rows.iter().map(Finding::size).sum();
            return false;
        }
        self.all += 1;
        self.bytes += finding.size();
        self.rows.push(finding);
        if self.rows.len() > FINDINGS_MAX.0 || self.bytes > FINDINGS_MAX.1 {
            self.forget();
        }
        true
    }

    #[cold]
    fn forget(&mut self) {
        let mut ranks: Vec<(f64, f64, usize)> =
            self.rows.iter().enumerate().map(|(at, row)| (row.severity, row.weight, at)).collect();
        ranks.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        let goes: HashSet<usize> =
            ranks.iter().take(self.rows.len() / ROOM + 1).map(|(_, _, at)| *at).collect();
        let mut at = 0;
        self.rows.retain(|_| {
            at += 1;
            !goes.contains(&(at - 1))
        });
        self.bytes = self.rows.iter().map(Finding::size).sum();
    }
}
