//! Signs of life for the service manager's watchdog, from the process that captures itself: whoever
//! loses the process that shows metrics must not lose a healthy sensor.
//!
//! Owns: the socket to the service manager. In: turns of the loop that captures, once a second.
//! Out: two words of ten bytes, all that the sandbox lets through. Never: a sign of life while the
//! loop that captures stands still; one that a service manager did not ask for.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::config::live::LivePlan;
use crate::metrics::Watchdog;
use crate::model::Error;
use crate::sinks::Tell;

/// How often there is one while the run ends.
const EACH: Duration = Duration::from_secs(1);

/// Whoever waits for signs of life, if anybody does.
#[derive(Clone, Default)]
pub(super) struct Life(Option<Arc<Watchdog>>);

/// The run ends: results are finished, receivers waited for. The service manager bounds how long
/// that may take (`TimeoutStopSec=`).
pub(super) struct Ending {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Life {
    /// Connects to the service manager, if its watchdog waits for this process.
    pub(super) fn open(live: &LivePlan) -> Result<Life, Error> {
        let socket = live.notify.as_deref().filter(|_| live.watchdog);
        Ok(Life(socket.map(Watchdog::open).transpose()?.map(Arc::new)))
    }

    /// The socket, and how long a message to it may be.
    pub(super) fn words(&self) -> Option<(RawFd, usize)> {
        self.0.as_ref().map(|dog| (dog.socket(), Watchdog::WORD_BYTES))
    }

    /// The loop that captures has turned.
    pub(super) fn beat(&self) {
        self.0.iter().for_each(|dog| dog.beat());
    }

    /// Nothing more is captured; there are signs of life until what this returns is dropped.
    pub(super) fn ends(&self, tell: &Tell) -> Ending {
        let ended = Arc::new(AtomicBool::new(false));
        let Some(dog) = self.0.clone() else { return Ending { ended, thread: None } };
        dog.stopping();
        let seen = Arc::clone(&ended);
        let thread = thread::Builder::new().name("ending".to_owned()).spawn(move || {
            while !seen.load(Ordering::Acquire) {
                dog.beat();
                thread::park_timeout(EACH);
            }
        });
        let thread = thread.inspect_err(|cause| {
            tell(&format!("watchdog: no sign of life while the run ends: {cause}"));
        });
        Ending { ended, thread: thread.ok() }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        self.thread.iter().for_each(|thread| thread.thread().unpark());
    }
}
