//! Metrics, health and words to the service manager: shown by a process of our own.
//!
//! Owns: that process, and the thread that tells it how the run is. In: what threads publish.
//! Out: a report a second. Never: a socket in the process that captures, or a wait of anything
//! else for a client: whoever stops the process that serves stops this thread alone.
//!
//! The other process is this program again, started before privileges are dropped. It ends when
//! its standard input does. It cannot be started again afterwards: the sandbox starts no program.
//! So signs of life for the service manager's watchdog come from the process that captures itself
//! (`live/watchdog.rs`).

#![allow(clippy::disallowed_methods, reason = "how old a report is, is no time of packets")]

mod pages;
pub mod showing;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::config::live::LivePlan;
use crate::metrics::{Report, State};
use crate::model::Error;
use crate::pipeline::delivery::Watched;
use crate::pipeline::monitor::pages::Pages;
use crate::pipeline::snapshot::Current;
use crate::pipeline::stats::Stats;
use crate::sinks::Tell;

/// How often the other process is told.
const EACH: Duration = Duration::from_secs(1);

/// Longest time without a sign of life of the loop that captures, and of the correlator.
const CAPTURE_SILENCE: Duration = Duration::from_secs(10);
const RESULTS_SILENCE: Duration = Duration::from_secs(30);

/// How long the end of a run waits for the other process.
const END_WAIT: Duration = Duration::from_secs(2);

/// The process that shows.
pub(super) struct Monitor {
    child: Child,
    input: ChildStdin,
}

/// The thread that tells it.
pub(super) struct Telling {
    child: Child,
    thread: Option<JoinHandle<()>>,
    stopping: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Monitor {
    /// Starts it, if the plan asks for it or a service manager waits for word.
    pub(super) fn start(live: &LivePlan, tell: &Tell) -> Result<Option<Monitor>, Error> {
        let listen = live.plan.metrics;
        if listen.is_none() && live.notify.is_none() {
            return Ok(None);
        }
        let what = listen.map_or("service manager".to_owned(), |at| format!("metrics at {at}"));
        let failed = |cause: String| Error::new(what.clone(), cause);
        let failed_io = |cause: std::io::Error| failed(cause.to_string());
        let mut command = Command::new(std::env::current_exe().map_err(failed_io)?);
        command.arg("monitor");
        if let Some(at) = listen {
            command.arg(format!("--listen={at}"));
        }
        if let Some(socket) = &live.notify {
            command.arg("--notify").arg(socket);
        }
        if let Some(user) = &live.user {
            command.args(["--user", user]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(failed_io)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else {
            return Err(failed("it has no input".to_owned()));
        };
        let mut answer = String::new();
        BufReader::new(output).read_line(&mut answer).map_err(failed_io)?;
        match answer.trim_end().split_once(' ') {
            Some(("listening", at)) => say_where(at, tell),
            Some(("error", cause)) => {
                let error = failed(cause.to_owned());
                return Err(error.help("give --metrics an address and port that are free"));
            }
            _ if answer == "started\n" => {}
            _ => return Err(failed("its process does not start".to_owned())),
        }
        Ok(Some(Monitor { child, input }))
    }

    /// Begins to tell it how the run is.
    pub(super) fn tell(
        self,
        board: Arc<Stats>,
        current: Arc<Current>,
        watched: Vec<Watched>,
        tell: &Tell,
    ) -> Telling {
        let Monitor { child, input } = self;
        let (stopping, ended) = (Arc::default(), Arc::default());
        let mut teller = Teller {
            state: Watch::new(),
            pages: Pages::new(watched),
            board,
            current,
            stopping: Arc::clone(&stopping),
            ended: Arc::clone(&ended),
        };
        let say = Arc::clone(tell);
        let started = thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            if let Err(cause) = teller.run(input) {
                say(&format!("metrics: {cause}: they are shown no more"));
            }
        });
        let thread = started.inspect_err(|cause| {
            tell(&format!("metrics: their thread does not start: {cause}: none are shown"));
        });
        Telling { child, thread: thread.ok(), stopping, ended }
    }
}

/// Says where metrics are, and who can read them.
fn say_where(at: &str, tell: &Tell) {
    let is_ours = at.parse().is_ok_and(|at: std::net::SocketAddr| at.ip().is_loopback());
    let others = if is_ours { "" } else { "; whoever reaches this address can read them" };
    tell(&format!("metrics: http://{at}/metrics{others}"));
}

impl Telling {
    /// Nothing more is captured.
    pub(super) fn stops(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        self.thread.iter().for_each(|thread| thread.thread().unpark());
    }

    /// The run is over. A process that somebody has stopped is not waited for.
    pub(super) fn finish(mut self) {
        self.stops();
        self.ended.store(true, Ordering::Release);
        self.wake();
        let late = Instant::now() + END_WAIT;
        while Instant::now() < late && !matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        self.wake();
    }
}

/// Tells once a second.
struct Teller {
    state: Watch,
    pages: Pages,
    board: Arc<Stats>,
    current: Arc<Current>,
    stopping: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Teller {
    fn run(&mut self, mut input: ChildStdin) -> std::io::Result<()> {
        loop {
            let stopping = self.stopping.load(Ordering::Acquire);
            let pulse = self.board.pulse.load(Ordering::Relaxed);
            let round = self.board.round.load(Ordering::Relaxed);
            let state = match stopping {
                true => State::Stopping,
                false => self.state.judge(pulse, round, Instant::now()),
            };
            let page = self.pages.render(&self.board, &self.current, &state);
            // It waits here if nobody reads: for that it is a thread of its own.
            Report { state, page }.write(&mut input)?;
            if self.ended.load(Ordering::Acquire) {
                return input.flush();
            }
            thread::park_timeout(EACH);
        }
    }
}

/// Whether the run goes on.
struct Watch {
    pulse: (u64, Instant),
    round: (u64, Instant),
}

impl Watch {
    fn new() -> Watch {
        let now = Instant::now();
        Watch { pulse: (0, now), round: (0, now) }
    }

    fn judge(&mut self, pulse: u64, round: u64, now: Instant) -> State {
        for (known, value) in [(&mut self.pulse, pulse), (&mut self.round, round)] {
            if known.0 != value {
                *known = (value, now);
            }
        }
        let silent = |(_, since): (u64, Instant)| now.saturating_duration_since(since);
        if pulse == 0 {
            return State::Waiting("capturing has not begun".to_owned());
        }
        if silent(self.pulse) > CAPTURE_SILENCE {
            let seconds = silent(self.pulse).as_secs();
            return State::Waiting(format!("capturing stands still for {seconds} s"));
        }
        if round == 0 {
            return State::Waiting("no second of the run is over yet".to_owned());
        }
        if silent(self.round) > RESULTS_SILENCE {
            let seconds = silent(self.round).as_secs();
            return State::Waiting(format!("results stand still for {seconds} s"));
        }
        State::Ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_ready_while_capture_and_results_go_on() {
        let mut watch = Watch::new();
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert!(matches!(watch.judge(0, 0, at(0)), State::Waiting(_)));
        assert!(matches!(watch.judge(1, 0, at(1)), State::Waiting(_)));
        assert_eq!(watch.judge(2, 100, at(2)), State::Ready);
        assert_eq!(watch.judge(2, 100, at(12)), State::Ready);
        assert!(matches!(watch.judge(2, 110, at(13)), State::Waiting(_)));
        assert_eq!(watch.judge(3, 110, at(14)), State::Ready);
        assert!(matches!(watch.judge(40, 110, at(44)), State::Waiting(_)));
    }
}
