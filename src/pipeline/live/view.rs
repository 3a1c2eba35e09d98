//! The view of a live run in the terminal: shown by a process of our own.
//!
//! Owns: that process; which lines it gets. In: alerts, incidents, session lines, counters,
//! messages. Out: lines in a pipe, written by a thread of its own. Policy: session lines beyond so
//! many a second, or that the pipe has no room for, are left out and counted there; findings wait
//! in the queue. Never: a wait of the run for the terminal, or a system call for it in the process
//! that captures.
//!
//! The other process is this program again, started before privileges are dropped. It ends when
//! its standard input does, and the run ends when it does.

#![allow(clippy::disallowed_methods, reason = "the end of the view is waited for")]

use std::collections::VecDeque;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::config::Output;
use crate::config::live::LivePlan;
use crate::config::memory::Shares;
use crate::model::event::{Health, SessionLine};
use crate::model::{Counters, Error, Event, EventKind, Format, Nanos};
use crate::pipeline::snapshot::lock;
use crate::report::summary::Summary;
use crate::sinks::files::OutFile;
use crate::sinks::{Queue, Round, Sink, SpanEnd, Tell, Wish};

/// Most session lines of a second: more than anybody reads.
const SESSIONS_MAX: u32 = 500;
/// Its part of the outputs' memory (1/n): no other stream uses more than another quarter.
const SHARE: usize = 4;
/// Most messages that wait for the view, and most that are kept for the end.
const WORDS_MAX: usize = 256;
/// How long the end of a run waits for the view.
const END_WAIT: Duration = Duration::from_secs(2);

/// Messages while the terminal is in use.
pub(super) struct Words {
    tell: Tell,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    /// For the view.
    waiting: VecDeque<String>,
    /// For after the view.
    kept: VecDeque<String>,
    /// Earlier ones that are not kept.
    gone: u64,
}

impl Words {
    /// What is said goes to the view; where standard error is no terminal, there as before.
    pub(super) fn new(tell: &Tell) -> (Arc<Words>, Tell) {
        let words = Arc::new(Words { tell: Arc::clone(tell), said: Mutex::default() });
        let own = Arc::clone(&words);
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let tell = move |text: &str| {
            if !is_terminal {
                (own.tell)(text);
            }
            own.say(text, is_terminal);
        };
        (words, Arc::new(tell))
    }

    fn say(&self, text: &str, is_kept: bool) {
        let mut said = lock(&self.said);
        said.waiting.push_back(text.to_owned());
        let beyond = said.waiting.len().saturating_sub(WORDS_MAX);
        said.waiting.drain(..beyond);
        if is_kept {
            said.kept.push_back(text.to_owned());
            let beyond = said.kept.len().saturating_sub(WORDS_MAX);
            said.kept.drain(..beyond);
            said.gone += beyond as u64;
        }
    }

    /// The terminal is free again: what was said meanwhile.
    pub(super) fn repeat(&self) {
        let said = std::mem::take(&mut *lock(&self.said));
        if said.gone > 0 {
            (self.tell)(&format!("{} earlier messages were in the view only", said.gone));
        }
        said.kept.iter().for_each(|text| (self.tell)(text));
    }
}

/// The process that shows.
pub(super) struct View {
    child: Child,
    input: Option<ChildStdin>,
    words: Arc<Words>,
}

impl View {
    /// Starts it. It leaves the terminal alone until it gets a line.
    pub(super) fn start(live: &LivePlan, words: &Arc<Words>) -> Result<View, Error> {
        let failed = |cause: std::io::Error| Error::new("view", cause.to_string());
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        let colour = live.plan.view.is_some_and(|view| view.colour);
        command.args(["--color", if colour { "always" } else { "never" }, "top", "--feed"]);
        if let Some(user) = &live.user {
            command.args(["--user", user]);
        }
        command.arg("--").arg(live.interfaces.join(", "));
        let mut child = command.stdin(Stdio::piped()).spawn().map_err(failed)?;
        let input = child.stdin.take();
        Ok(View { child, input, words: Arc::clone(words) })
    }

    /// The sink that feeds it. Its end sets `stop`. Alerts of a run without files are added to
    /// `shown`.
    pub(super) fn sink(
        &mut self,
        live: &LivePlan,
        format: &Arc<dyn Format>,
        (shown, stop): (&Arc<Mutex<Summary>>, &Arc<AtomicBool>),
    ) -> Result<Box<dyn Sink>, Error> {
        let input = self.input.take();
        let input = input.ok_or_else(|| Error::new("view", "it has no input"))?;
        let cap = Shares::of(live.plan.memory).outputs / SHARE;
        let file = OutFile::stream("view", Box::new(input)).detached(cap)?;
        let has_summary = live.plan.output == Output::Summary;
        Ok(Box::new(Feed {
            file,
            format: Arc::clone(format),
            words: Arc::clone(&self.words),
            shown: has_summary.then(|| Arc::clone(shown)),
            stop: Arc::clone(stop),
            at: Nanos::ZERO,
            counted: Counters::default(),
            left: SESSIONS_MAX,
            omitted: 0,
            is_last: false,
        }))
    }
}

impl Drop for View {
    /// It ends when its input does, unless somebody has stopped it.
    fn drop(&mut self) {
        drop(self.input.take());
        let late = Instant::now() + END_WAIT;
        while Instant::now() < late && !matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The sink.
struct Feed {
    file: OutFile,
    format: Arc<dyn Format>,
    words: Arc<Words>,
    shown: Option<Arc<Mutex<Summary>>>,
    stop: Arc<AtomicBool>,
    /// The last second that was shown, and the counters then.
    at: Nanos,
    counted: Counters,
    /// Session lines that this second may still have.
    left: u32,
    /// Session lines that were left out.
    omitted: u64,
    /// What comes now is of the end of the run.
    is_last: bool,
}

impl Feed {
    fn event(&mut self, event: &Event<'_>) -> bool {
        let mut line = Vec::new();
        self.format.render(event, &mut line);
        self.file.write_line(&line).is_ok()
    }

    /// Messages, and what was left out.
    fn say(&mut self) {
        let texts = std::mem::take(&mut lock(&self.words.said).waiting);
        let omitted = self.omitted;
        let line = |message: Option<&str>| {
            let line = json!({
                "event": { "dataset": "longhaul.view" },
                "message": message,
                "longhaul": { "view": { "omitted": omitted } },
            });
            format!("{line}\n")
        };
        for text in texts.iter().map(|text| Some(&**text)).chain([None]) {
            // A view that takes nothing shows nothing: messages are repeated at the end.
            let _ = self.file.write_line(line(text).as_bytes());
        }
    }

    fn show(&self, alert: &Event<'_>) {
        if let (Some(shown), Event::Alert(alert)) = (&self.shown, alert) {
            lock(shown).add_alerts([&***alert]);
        }
    }
}

impl Sink for Feed {
    fn wants(&self, kind: EventKind) -> bool {
        match kind {
            EventKind::SessionEnd | EventKind::Alert => !self.is_last,
            EventKind::Incident => true,
            EventKind::SessionUpdate | EventKind::Endpoint | EventKind::Health => false,
        }
    }

    /// Never an error: the results are elsewhere.
    fn session(&mut self, line: &SessionLine<'_>) -> Result<bool, Error> {
        let is_taken = self.left > 0 && self.file.write_line(line.line).is_ok();
        self.left = self.left.saturating_sub(1);
        self.omitted += u64::from(!is_taken);
        Ok(is_taken)
    }

    fn drain(&mut self, queue: &mut Queue) -> Result<(), Error> {
        for kind in [EventKind::Incident, EventKind::Alert] {
            let mut taken = 0;
            for event in queue.of(kind) {
                if !self.event(&event) {
                    break;
                }
                self.show(&event);
                taken += 1;
            }
            queue.acknowledge(kind, taken);
        }
        Ok(())
    }

    fn round(&mut self, round: &Round<'_>) -> Result<Wish, Error> {
        self.left = SESSIONS_MAX;
        self.say();
        if self.at == Nanos::ZERO {
            self.at = round.until;
        }
        let since = std::mem::replace(&mut self.at, round.until);
        if round.until > since {
            let counted = round.counted.since(&self.counted);
            self.counted = round.counted.clone();
            let health = Health { since, until: round.until, counted, one_way_feeds: Vec::new() };
            self.event(&Event::Health(&Arc::new(health)));
        }
        // Whoever closes the view ends the run; what else goes wrong with it, ends the view.
        let _ = self.file.flush();
        if self.file.is_closed() {
            self.stop.store(true, Ordering::Relaxed);
        }
        Ok(Wish::GoOn)
    }

    /// Results at the end of the run are in the summary.
    fn span_ends(&mut self, is_last: bool) {
        self.is_last = is_last;
    }

    fn end_span(&mut self, end: &SpanEnd<'_>, queue: &mut Queue) -> Result<(), Error> {
        if end.is_last {
            queue.of(EventKind::Alert).for_each(|event| self.show(&event));
            queue.clear();
        }
        Ok(())
    }
}
