//! Messages to the user, said by a thread of their own: standard error may be a pipe whose reader
//! sleeps.
//!
//! Owns: the messages that were not said yet, up to a cap in bytes. In: messages. Out: the same, in
//! order. Policy at the cap: the newest are left out, counted, and their number is said.
//! Never: waits for a reader, except at the end, and only while that takes something.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::model::{Counter, Counters, EventKind};
use crate::sinks::{Sink, Tell};

/// Bytes of messages that may wait: some hundred of them.
const CAP_BYTES: usize = 64 * 1024;

/// At the end, how long a reader may take nothing before the rest is given up.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Default)]
struct State {
    waiting: VecDeque<String>,
    bytes: usize,
    /// Left out since that was said, and since it was counted.
    left_out: (u64, u64),
    /// Messages said, and whether another is under way.
    said: u64,
    is_busy: bool,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something to say.
    work: Condvar,
    /// Something was said.
    progress: Condvar,
}

/// The messages of a run.
pub(super) struct Messages {
    shared: Arc<Shared>,
    patience: Duration,
}

impl State {
    fn push(&mut self, text: &str) {
        if self.bytes + text.len() > CAP_BYTES {
            self.left_out.0 += 1;
            self.left_out.1 += 1;
            return;
        }
        self.say_left_out();
        self.bytes += text.len();
        self.waiting.push_back(text.to_owned());
    }

    /// Says how many were left out before what comes next.
    fn say_left_out(&mut self) {
        let count = std::mem::take(&mut self.left_out.0);
        if count > 0 {
            let text = format!("messages left out, because nobody read them in time: {count}");
            self.bytes += text.len();
            self.waiting.push_back(text);
        }
    }
}

impl Shared {
    /// A thread that panicked has left no half-done change.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread.
    fn say(&self, tell: &Tell) {
        let mut state = self.lock();
        loop {
            if let Some(text) = state.waiting.pop_front() {
                state.is_busy = true;
                drop(state);
                tell(&text);
                state = self.lock();
                state.bytes = state.bytes.saturating_sub(text.len());
                state.said += 1;
                state.is_busy = false;
                self.progress.notify_all();
            } else if state.ended {
                return;
            } else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Messages {
    /// From here on messages go to `tell` by way of a thread.
    pub(super) fn start(tell: &Tell) -> io::Result<Messages> {
        let shared: Arc<Shared> = Arc::default();
        let (far, tell) = (Arc::clone(&shared), Arc::clone(tell));
        // It ends with the process: a reader that sleeps for ever must not keep that alive.
        drop(thread::Builder::new().name("messages".to_owned()).spawn(move || far.say(&tell))?);
        Ok(Messages { shared, patience: PATIENCE })
    }

    /// Takes a message, and returns at once.
    pub(super) fn tell(&self) -> Tell {
        let shared = Arc::clone(&self.shared);
        Arc::new(move |text: &str| {
            shared.lock().push(text);
            shared.work.notify_one();
        })
    }

    /// Counts what was left out, among the outputs of the run.
    pub(super) fn counting(&self) -> Box<dyn Sink> {
        Box::new(LeftOut(Arc::clone(&self.shared)))
    }
}

impl Drop for Messages {
    /// Waits until all is said; if the reader takes nothing for a while, gives that up.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.say_left_out();
        state.ended = true;
        self.shared.work.notify_one();
        while state.is_busy || !state.waiting.is_empty() {
            let before = state.said;
            let waited = self.shared.progress.wait_timeout(state, self.patience);
            let (now, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            state = now;
            if waited.timed_out() && state.said == before {
                return;
            }
        }
    }
}

/// A sink that takes no event.
struct LeftOut(Arc<Shared>);

impl Sink for LeftOut {
    fn wants(&self, _kind: EventKind) -> bool {
        false
    }

    fn count(&mut self, counters: &mut Counters) {
        let count = std::mem::take(&mut self.0.lock().left_out.1);
        counters.add(Counter::LogLinesLost, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_reader_that_sleeps_stops_nobody_and_is_told_what_it_missed() {
        let ((permit, permits), (tell, told)) = (channel::<()>(), channel());
        let permits = Mutex::new(permits);
        let reader: Tell = Arc::new(move |text: &str| {
            permits.lock().unwrap().recv().ok();
            tell.send(text.to_owned()).ok();
        });
        let messages = Messages::start(&reader).unwrap();
        let say = messages.tell();
        for n in 0..2_000 {
            say(&format!("{n:0>100}"));
        }
        let mut counters = Counters::default();
        messages.counting().count(&mut counters);
        let lost = counters.get(Counter::LogLinesLost);
        assert!((1_340..1_350).contains(&lost), "{lost}");
        (0..2_000).for_each(|_| permit.send(()).unwrap());
        while messages.shared.lock().said == 0 {
            thread::yield_now();
        }
        say("the last");
        drop(messages);
        let all: Vec<String> = told.try_iter().collect();
        let kept = all.len() - 2;
        assert_eq!(kept as u64 + lost, 2_000);
        assert!(all[..kept].iter().enumerate().all(|(n, text)| *text == format!("{n:0>100}")));
        let missed = format!("messages left out, because nobody read them in time: {lost}");
        assert_eq!(all[kept..], [missed, "the last".to_owned()]);
    }

    #[test]
    fn at_the_end_a_reader_that_sleeps_is_given_up() {
        let (wake, woken) = channel::<()>();
        let woken = Mutex::new(woken);
        let reader: Tell = Arc::new(move |_| woken.lock().unwrap().recv().unwrap_or_default());
        let mut messages = Messages::start(&reader).unwrap();
        messages.patience = Duration::from_millis(50);
        messages.tell()("heard by nobody");
        drop(messages);
        drop(wake);
    }
}
