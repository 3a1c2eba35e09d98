//! The reader loop of a live run: read what has arrived, dispatch it, and do everything else
//! between two blocks.
//!
//! Owns: the clock of a run that may be silent. In: interfaces and signals. Out: batches;
//! watermarks once a second, with or without packets. Never: reads a clock per packet.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::capture::LiveSource;
use crate::emit::health;
use crate::metrics::Spread;
use crate::model::{Counter, Counters, Error, Nanos};
use crate::pipeline::gauges;
use crate::pipeline::live::reload::Reloader;
use crate::pipeline::live::request::LiveRun;
use crate::pipeline::live::signals::{Signals, taken};
use crate::pipeline::live::watchdog::Life;
use crate::pipeline::reader::{Reader, ReaderReport, worker_gone};
use crate::pipeline::reader_bindings::ToWorkers;
use crate::pipeline::source::Source;
use crate::pipeline::stats::{WorkerHandle, wall_clock};

/// The interval of watermarks, counter reads and interface maintenance.
const PULSE: Duration = Duration::from_secs(1);
/// Longest wait for packets, so that a signal just before it is noticed.
const WAIT_MS: u32 = 100;
/// How much later than its timestamp a frame may reach the reader: the kernel's block is not full.
const LATENESS: Nanos = Nanos::from_millis(200);
/// After the end the kernel releases its last block within this time.
const LINGER: Duration = Duration::from_millis(120);
/// After the end, reading continues for at most this time, if frames still come.
const LINGER_MAX: Duration = Duration::from_secs(5);

/// Reads interfaces until the run ends.
pub(super) struct Listener<'r> {
    run: &'r LiveRun,
    signals: Signals,
    post: WorkerHandle,
    life: Life,
    reloader: Reloader,
    pace: Pace,
    pulse_due: Duration,
    /// The run is over: nothing is held back any more.
    draining: bool,
    /// How long blocks of frames took.
    spent: Spread,
}

/// The sensor's current time, by the packets' own clock.
struct Pace {
    begun: Instant,
    /// The start of the run, by the system's clock.
    wall: Nanos,
    /// The largest lead of packet time over `begun`.
    ahead: Option<u64>,
    /// When the first frames arrived.
    first: Option<Duration>,
}

impl Pace {
    #[allow(clippy::disallowed_methods, reason = "a silent wire must not stop the run's clock")]
    fn new() -> Pace {
        Pace { begun: Instant::now(), wall: wall_clock(), ahead: None, first: None }
    }

    /// Packets up to `last` have been read. The least delayed of them shows the offset between the
    /// two clocks.
    fn note(&mut self, last: Nanos) {
        let ahead = last.since(nanos(self.begun.elapsed())).0;
        if last > Nanos::ZERO {
            self.ahead = Some(self.ahead.map_or(ahead, |before| before.max(ahead)));
        }
    }

    fn now(&self) -> Nanos {
        Nanos(self.ahead.unwrap_or(self.wall.0)).plus(nanos(self.begun.elapsed()))
    }

    /// The same, once packets have shown it. Before that, nothing shows which of two interfaces is
    /// late: the first frames wait a moment for those of the others, then everything may pass.
    fn horizon(&mut self, some_wait: bool) -> Nanos {
        if self.ahead.is_some() {
            return self.now();
        }
        let now = self.begun.elapsed();
        let since = if some_wait { *self.first.get_or_insert(now) } else { now };
        let waits = some_wait && nanos(now - since) < LATENESS;
        if waits { Nanos::ZERO } else { Nanos(u64::MAX) }
    }
}

fn nanos(span: Duration) -> Nanos {
    Nanos(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}

impl<'r> Listener<'r> {
    /// A listener that has not begun.
    pub(super) fn new(
        run: &'r LiveRun,
        signals: Signals,
        (post, life): (WorkerHandle, Life),
    ) -> Listener<'r> {
        let (reloader, pace) = (Reloader::default(), Pace::new());
        let (draining, spent) = (false, Spread::default());
        Listener { run, signals, post, life, reloader, pace, pulse_due: PULSE, draining, spent }
    }

    /// Reads until the end of the run; then what has been received until then.
    pub(super) fn run(
        mut self,
        mut reader: Reader,
        mut dispatcher: ToWorkers,
    ) -> Result<ReaderReport, Error> {
        let out = &mut dispatcher;
        while !self.is_over() {
            let ready = self.read_timed(&mut reader, out)?;
            if self.pace.begun.elapsed() >= self.pulse_due {
                self.pulse_due = self.pace.begun.elapsed() + PULSE;
                self.pulse(&mut reader, ready, out)?;
            }
            self.answer(&reader.intake.tally.counters);
            if let (false, Source::Live(live)) = (ready, &mut reader.source)
                && !self.spin(live)
            {
                live.wait(WAIT_MS);
            }
        }
        self.linger(&mut reader, out)?;
        self.look_after(&mut reader);
        reader.finish(dispatcher)
    }

    /// Polls the rings for the configured time. Returns whether something has arrived.
    fn spin(&self, live: &LiveSource) -> bool {
        let span = Duration::from_micros(u64::from(self.run.live.busy_poll_us));
        let since = self.pace.begun.elapsed();
        while !span.is_zero() && self.pace.begun.elapsed() - since < span {
            if live.has_block() {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }

    fn is_over(&self) -> bool {
        let span = self.run.live.seconds.map(Duration::from_secs);
        self.signals.stop.load(std::sync::atomic::Ordering::Relaxed)
            || span.is_some_and(|span| self.pace.begun.elapsed() >= span)
    }

    /// The same as [`Listener::read`]; how long it took counts, if there were frames.
    fn read_timed(&mut self, reader: &mut Reader, out: &mut ToWorkers) -> Result<bool, Error> {
        let frames = reader.intake.tally.counters.get(Counter::Frames);
        let begun = self.post.begin();
        let ready = self.read(reader, out)?;
        if reader.intake.tally.counters.get(Counter::Frames) > frames
            && let Some(begun) = begun
        {
            self.spent.add(gauges::nanoseconds(begun));
        }
        Ok(ready)
    }

    /// Reads everything available, up to the end of a block. Returns whether more is available at
    /// once.
    fn read(&mut self, reader: &mut Reader, out: &mut ToWorkers) -> Result<bool, Error> {
        let Source::Live(live) = &reader.source else { return Ok(false) };
        let some_wait = live.has_frames();
        let horizon = if self.draining { Nanos(u64::MAX) } else { self.pace.horizon(some_wait) };
        reader.set_expected(self.pace.ahead.map(|_| self.pace.now()));
        loop {
            while let Some(file) = reader.next() {
                reader.read_frame(file, out).map_err(worker_gone)?;
            }
            let Source::Live(live) = &mut reader.source else { return Ok(false) };
            let turn = live.advance(horizon);
            if turn.ready && !turn.block_dropped {
                // Only the other interface's turn.
                continue;
            }
            if reader.was_set() {
                // The system's clock was changed: earlier offsets are void.
                self.pace.ahead = None;
            }
            self.pace.note(reader.intake.tally.last);
            out.flush().map_err(worker_gone)?;
            return Ok(turn.ready);
        }
    }

    /// Once a second.
    fn pulse(
        &mut self,
        reader: &mut Reader,
        ready: bool,
        out: &mut ToWorkers,
    ) -> Result<(), Error> {
        self.look_after(reader);
        self.post.show(&reader.intake.tally.counters);
        self.post.show_gauges(|| gauges::of_reader(out.queued(), &self.spent));
        self.post.board.pulse.fetch_add(1, Ordering::Relaxed);
        self.life.beat();
        let board = &self.post.board;
        board.news(board.one_way()).iter().for_each(|text| (self.run.tell)(text));
        // A card's clock may differ from the system's: its time is unknown until its first frame.
        let known = self.pace.ahead.is_some() || !self.run.live.hardware_stamps;
        let silent = (!ready && known).then(|| self.pace.now().since(LATENESS));
        reader.pulse(silent, out).map_err(worker_gone)
    }

    /// Counts and maintains interfaces; reports events.
    fn look_after(&mut self, reader: &mut Reader) {
        let Source::Live(live) = &mut reader.source else { return };
        let messages = live.maintain(&mut reader.intake.tally.counters);
        messages.iter().for_each(|text| (self.run.tell)(text));
        self.post.board.note(live.taps());
    }

    /// Handles signals.
    fn answer(&mut self, counters: &Counters) {
        if taken(&self.signals.show) {
            self.post.show(counters);
            (self.run.tell)(&health::describe(&self.post.board.sum()));
        }
        if taken(&self.signals.reload) {
            self.reloader.begin(self.run, &self.post.current);
        }
    }

    /// The run is over: what the kernel has received until now still counts.
    fn linger(&mut self, reader: &mut Reader, out: &mut ToWorkers) -> Result<(), Error> {
        let shut = self.pace.begun.elapsed();
        if let Source::Live(live) = &mut reader.source {
            live.shut();
        }
        self.draining = true;
        loop {
            let ready = self.read(reader, out)?;
            let Source::Live(live) = &mut reader.source else { return Ok(()) };
            let since = self.pace.begun.elapsed() - shut;
            if since > LINGER_MAX || (!ready && since > LINGER) {
                return Ok(());
            }
            if !ready {
                live.wait(10);
            }
        }
    }
}
