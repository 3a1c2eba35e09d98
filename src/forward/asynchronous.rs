//! Runs the clients of receivers that are asynchronous.
//!
//! Owns: a runtime with one thread, which answers the server while nothing is sent. In: futures.
//! Out: their results, or a failure when they take too long. Never: waits for ever.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::forward::Failure;
use crate::model::Error;

/// How long anything may take.
const WHOLE: Duration = Duration::from_secs(30);

/// A runtime of one receiver.
pub(super) struct Blocking(Runtime);

impl Blocking {
    /// Starts it. Errors: the system gives no thread.
    pub(super) fn new() -> Result<Blocking, Error> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.map(Blocking).map_err(|cause| Error::new("runtime of a sink", cause.to_string()))
    }

    /// Waits for a result.
    pub(super) fn wait<T>(
        &self,
        doing: &str,
        future: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let late = |_| Failure::new(format!("{doing}: no answer within {} s", WHOLE.as_secs()));
        self.0.block_on(async { tokio::time::timeout(WHOLE, future).await.map_err(late)? })
    }
}
