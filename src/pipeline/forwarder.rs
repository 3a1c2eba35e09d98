//! Sends what waits in spools to where the sinks of the configuration say.
//!
//! Owns: a thread for each sink, when to try again. In: spools that another process may be writing.
//! Out: messages, acknowledgements in the spool, and what could not be sent. Never: acknowledges
//! what the receiver has not confirmed, or lets one sink wait for another.

#![allow(
    clippy::disallowed_methods,
    reason = "receivers are tried again after a while: no packet is seen here"
)]

use std::collections::VecDeque;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::formats;
use crate::forward::{self, Failure, Message, Refused, Target};
use crate::model::sink::SinkPlan;
use crate::model::{Error, Form};
use crate::sandbox;
use crate::sinks::Tell;
use crate::sinks::spool::{Batch, Lane, REFUSED, Reader};

/// Messages sent at once, and their bytes.
const BATCH_ITEMS: usize = 1_000;
const BATCH_BYTES: usize = 1 << 20;

/// Messages that may be sent before any of them is confirmed.
const UNCONFIRMED_MAX: u64 = 1_000_000;

/// How often a spool is looked at that was empty.
const LOOK: Duration = Duration::from_millis(100);

/// The first and the longest wait after a failure; each is twice the one before it.
const WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// The size at most of the file of messages that a receiver refuses.
const REFUSED_BYTES_MAX: u64 = 16 << 20;

/// A sink, and the directory of its spool.
pub struct Job {
    plan: SinkPlan,
    dir: PathBuf,
    reader: Reader,
    target: Box<dyn Target>,
}

impl Job {
    /// Reads certificates and secrets, and opens the spool in `dir`.
    pub fn open(plan: &SinkPlan, dir: PathBuf, sensor: &str) -> Result<Job, Error> {
        let target = target(plan, sensor)?;
        let reader = Reader::open(&dir)?;
        Ok(Job { plan: plan.clone(), dir, reader, target })
    }
}

/// The target of a sink; errors name its line in the configuration.
pub fn target(plan: &SinkPlan, sensor: &str) -> Result<Box<dyn Target>, Error> {
    sandbox::forbid_cores()?;
    forward::open(&plan.to, sensor).map_err(|error| {
        let what = format!("sink {}: {}", plan.name, error.what);
        let named = Error::new(what, error.cause).at(&plan.place.0, plan.place.1);
        match error.help {
            Some(help) => named.help(help),
            None => named,
        }
    })
}

/// When to end.
pub struct Until<'a> {
    /// Set once nothing more is written to the spools.
    pub ended: &'a AtomicBool,
    /// How long to go on from then until everything is confirmed.
    pub drain: Duration,
}

/// What became of a sink's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The sink.
    pub name: String,
    /// Confirmed by the receiver.
    pub confirmed: u64,
    /// Refused by it.
    pub refused: u64,
    /// Still in the spool; none if that cannot be read.
    pub waiting: Option<u64>,
    /// The spool.
    pub dir: PathBuf,
}

impl Delivered {
    /// Nothing is known yet.
    fn new(job: &Job) -> Delivered {
        let (name, dir) = (job.plan.name.clone(), job.dir.clone());
        Delivered { name, confirmed: 0, refused: 0, waiting: None, dir }
    }

    /// Whether everything was confirmed or refused.
    pub fn is_done(&self) -> bool {
        self.waiting == Some(0)
    }
}

/// Runs all sinks until the end.
pub fn run(jobs: Vec<Job>, until: &Until<'_>, tell: &Tell) -> Vec<Delivered> {
    thread::scope(|scope| {
        let start = |job: Job| {
            let unknown = Delivered::new(&job);
            (unknown, scope.spawn(move || Forwarder::new(job, tell).run(until)))
        };
        let started: Vec<_> = jobs.into_iter().map(start).collect();
        // Of a thread that ended unexpectedly nothing is known.
        started.into_iter().map(|(unknown, thread)| thread.join().unwrap_or(unknown)).collect()
    })
}

/// One sink at work.
struct Forwarder<'a> {
    job: Job,
    tell: &'a Tell,
    began: Instant,
    /// Batches that are not confirmed: lane, the number behind the last line, and messages sent by
    /// then since the last failure.
    sent: VecDeque<(Lane, u64, u64)>,
    messages: u64,
    confirmed: u64,
    /// Those of them that are in `delivered`.
    counted: u64,
    delivered: Delivered,
    unconfirmed_max: u64,
    /// What the target remarked last.
    remarked: Option<String>,
    /// Since when it fails, why it did last, and the next wait.
    failing: Option<(Instant, String)>,
    wait: Duration,
}

impl<'a> Forwarder<'a> {
    fn new(job: Job, tell: &'a Tell) -> Forwarder<'a> {
        let delivered = Delivered::new(&job);
        Forwarder {
            job,
            tell,
            began: Instant::now(),
            sent: VecDeque::new(),
            messages: 0,
            confirmed: 0,
            counted: 0,
            delivered,
            remarked: None,
            unconfirmed_max: UNCONFIRMED_MAX,
            failing: None,
            wait: WAIT.0,
        }
    }

    fn say(&self, text: &str) {
        (self.tell)(&format!("sink {}: {text}", self.job.plan.name));
    }

    fn run(mut self, until: &Until<'_>) -> Delivered {
        let mut deadline = None;
        loop {
            // Before the spool is looked at: what is written before the end is seen after it.
            if until.ended.load(Ordering::Acquire) && deadline.is_none() {
                deadline = Some(Instant::now() + until.drain);
            }
            let pause = match self.step() {
                Ok(true) => Duration::ZERO,
                Ok(false) if deadline.is_some() => {
                    // If so, more may wait in the spool than was sent.
                    let was_full = self.is_full();
                    match self.finish() {
                        Ok(()) if was_full => Duration::ZERO,
                        Ok(()) => break,
                        Err(failure) => self.failed(&failure),
                    }
                }
                Ok(false) => LOOK,
                Err(failure) => self.failed(&failure),
            };
            let now = Instant::now();
            if deadline.is_some_and(|at| now + pause.min(LOOK) >= at) {
                break;
            }
            self.rest(pause, until, deadline);
        }
        match self.job.reader.waiting() {
            Ok(waiting) => self.delivered.waiting = Some(waiting),
            Err(error) => self.say(&error.to_string()),
        }
        if self.job.reader.damaged > 0 {
            let damaged = self.job.reader.damaged;
            self.say(&format!("{damaged} bytes of its spool were damaged, or half written"));
        }
        self.delivered
    }

    /// Waits; not beyond the deadline, nor, while there is none, beyond the end.
    fn rest(&self, pause: Duration, until: &Until<'_>, deadline: Option<Instant>) {
        let end = Instant::now() + pause;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let ended = deadline.is_none() && until.ended.load(Ordering::Acquire);
            let late = deadline.is_some_and(|at| Instant::now() >= at);
            if left.is_zero() || ended || late {
                return;
            }
            thread::sleep(left.min(LOOK));
        }
    }

    /// Sends the next batch, and acknowledges what is confirmed. Whether there was anything to
    /// send.
    fn step(&mut self) -> Result<bool, Failure> {
        let told = |error: Error| Failure { cause: error.to_string(), after: None };
        let mut sends = false;
        if !self.is_full() {
            let batch = self.job.reader.next(BATCH_ITEMS, BATCH_BYTES).map_err(told)?;
            sends = batch.is_some();
            if let Some(batch) = batch {
                self.send(&batch)?;
            }
        }
        self.acknowledge()?;
        Ok(sends)
    }

    /// Whether nothing more may be sent before something is confirmed.
    const fn is_full(&self) -> bool {
        self.messages - self.confirmed >= self.unconfirmed_max
    }

    fn send(&mut self, batch: &Batch) -> Result<(), Failure> {
        let texts = Texts::of(batch, self.job.plan.form);
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut places = Vec::with_capacity(batch.items.len());
        let mut messages = Vec::with_capacity(batch.items.len());
        for (index, item) in batch.items.iter().enumerate() {
            let event = batch.line(item);
            let text = texts.get(index).unwrap_or(event);
            if !text.is_empty() {
                places.push(index);
                messages.push(Message { kind: item.kind, level: item.level, at, event, text });
            }
        }
        let now = self.began.elapsed();
        let refused = match messages.is_empty() {
            true => Vec::new(),
            false => self.job.target.send(&messages, now)?,
        };
        self.messages += messages.len() as u64;
        self.sent.push_back((batch.lane, batch.end, self.messages));
        let refused = refused
            .into_iter()
            .filter_map(|one| Some(Refused { index: *places.get(one.index)?, cause: one.cause }));
        self.put_aside(batch, refused.chain(texts.unreadable).collect());
        self.recovered();
        self.remark();
        Ok(())
    }

    /// Says what the target remarks, once.
    fn remark(&mut self) {
        let remark = self.job.target.remark();
        if remark.is_some() && remark != self.remarked {
            remark.iter().for_each(|text| self.say(text));
            self.remarked = remark;
        }
    }

    fn acknowledge(&mut self) -> Result<(), Failure> {
        self.confirmed = self.job.target.confirmed(self.began.elapsed())?;
        let mut ends = [None, None];
        while let Some((lane, end, messages)) =
            self.sent.pop_front_if(|(_, _, messages)| *messages <= self.confirmed)
        {
            if let Some(last) = ends.get_mut(lane as usize) {
                *last = Some((lane, end));
            }
            self.delivered.confirmed += messages - self.counted;
            self.counted = messages;
        }
        for (lane, end) in ends.into_iter().flatten() {
            let told = |error: Error| Failure { cause: error.to_string(), after: None };
            self.job.reader.acknowledge(lane, end).map_err(told)?;
        }
        Ok(())
    }

    /// Everything is sent: waits for what can be confirmed now.
    fn finish(&mut self) -> Result<(), Failure> {
        self.job.target.finish()?;
        self.acknowledge()?;
        match self.sent.is_empty() {
            true => Ok(()),
            false => Err(Failure { cause: "it does not confirm what it got".into(), after: None }),
        }
    }

    /// Messages that the receiver will never take are kept beside the spool.
    fn put_aside(&mut self, batch: &Batch, refused: Vec<Refused>) {
        for one in refused {
            self.delivered.refused += 1;
            let Some(item) = batch.items.get(one.index) else { continue };
            let path = self.job.dir.join(REFUSED);
            let mut options = File::options();
            options.append(true).create(true).mode(0o640);
            let kept = options.open(&path).and_then(|mut file| {
                if file.metadata()?.len() > REFUSED_BYTES_MAX {
                    return Err(std::io::Error::other("it is full"));
                }
                file.write_all(batch.line(item)).and_then(|()| file.write_all(b"\n"))
            });
            let kept = kept.map_or_else(|e| format!("not kept: {e}"), |()| "kept".to_owned());
            let path = path.display();
            self.say(&format!("refuses an event: {}; {kept} in {path}", one.cause));
        }
    }

    /// What was not confirmed is sent again, after a wait.
    fn failed(&mut self, failure: &Failure) -> Duration {
        self.job.reader.rewind();
        self.sent.clear();
        (self.messages, self.confirmed, self.counted) = (0, 0, 0);
        let since = self.failing.as_ref().map_or_else(Instant::now, |(since, _)| *since);
        if self.failing.as_ref().is_none_or(|(_, cause)| *cause != failure.cause) {
            self.say(&format!("{}; it is tried again until it answers", failure.cause));
        }
        self.failing = Some((since, failure.cause.clone()));
        let wait = failure.after.unwrap_or(self.wait);
        self.wait = (self.wait * 2).min(WAIT.1);
        // So that many sensors do not come back at one moment: three to five quarters.
        wait * 3 / 4 + wait / 2 * (RandomState::new().hash_one(0) as u32 % 1_000) / 1_000
    }

    fn recovered(&mut self) {
        self.wait = WAIT.0;
        if let Some((since, _)) = self.failing.take() {
            self.say(&format!("reached again after {} s", since.elapsed().as_secs()));
        }
    }
}

/// The lines of a batch in another form.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
    /// Lines that have none.
    unreadable: Vec<Refused>,
}

impl Texts {
    /// Of ECS there are none: its lines are sent as they are.
    fn of(batch: &Batch, form: Form) -> Texts {
        let mut texts = Texts::default();
        let items = batch.items.iter().enumerate().filter(|_| form != Form::Ecs);
        for (index, item) in items {
            let (begin, what) = (texts.bytes.len(), (item.kind, item.level));
            if let Err(error) = formats::render(form, what, batch.line(item), &mut texts.bytes) {
                texts.bytes.truncate(begin);
                texts.unreadable.push(Refused { index, cause: error.to_string() });
            }
            texts.places.push(begin..texts.bytes.len());
        }
        texts
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        self.bytes.get(self.places.get(index)?.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::model::sink::Receiver;
    use crate::model::{EventKind, Level};
    use crate::sinks::spool::Spool;

    /// Confirms when it is asked to finish only.
    #[derive(Default)]
    struct Late {
        sent: u64,
        confirmed: u64,
    }

    impl Target for Late {
        fn check(&mut self) -> Result<String, Failure> {
            Ok(String::new())
        }

        fn send(&mut self, all: &[Message<'_>], _: Duration) -> Result<Vec<Refused>, Failure> {
            self.sent += all.len() as u64;
            Ok(Vec::new())
        }

        fn confirmed(&mut self, _: Duration) -> Result<u64, Failure> {
            Ok(self.confirmed)
        }

        fn finish(&mut self) -> Result<(), Failure> {
            self.confirmed = self.sent;
            Ok(())
        }
    }

    #[test]
    fn more_than_may_be_unconfirmed_at_once_is_sent_at_the_end() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("spool");
        let mut spool = Spool::open(&dir, u64::MAX).unwrap();
        let most = 10_000;
        let events = most * 2 + 5;
        for _ in 0..events {
            spool.add(EventKind::SessionEnd, Level::Informational, b"{}").unwrap();
        }
        spool.flush(Lane::of(EventKind::SessionEnd)).unwrap();
        let plan = SinkPlan {
            name: "late".to_owned(),
            to: Receiver::Stdout,
            form: Form::Ecs,
            kinds: vec![EventKind::SessionEnd],
            level: Level::Informational,
            spool: None,
            spool_max: u64::MAX,
            place: (Path::new("c.toml").to_path_buf(), 1),
        };
        let reader = Reader::open(&dir).unwrap();
        let job = Job { plan, dir, reader, target: Box::<Late>::default() };
        let until = Until { ended: &AtomicBool::new(true), drain: Duration::from_secs(60) };
        let tell: Tell = Arc::new(|_: &str| {});
        let mut forwarder = Forwarder::new(job, &tell);
        forwarder.unconfirmed_max = most;
        let delivered = forwarder.run(&until);
        assert_eq!((delivered.confirmed, delivered.waiting), (events, Some(0)));
    }
}
