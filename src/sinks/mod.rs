//! Outputs: what they have in common, and the byte side of files.
//!
//! An output is one [`Sink`]. The correlator pushes events; each sink has a queue of its own, with
//! a cursor and a cap, so that one that cannot take anything now keeps no other from writing. To
//! add one: a file with a `Sink`, and a line where `pipeline` makes the sinks of a plan.
//!
//! Owns: the trait, the queues, files that get their names when they are whole. In: events, bytes.
//! Out: files, streams. Never: judges, or knows where an event came from.

mod detached;
pub mod files;
pub mod notes;
pub mod outlets;
mod partial;
pub mod queue;
pub mod room;
pub mod spool;
pub mod stream;
pub mod tables;

pub use outlets::Outlets;
pub use queue::Queue;

use std::sync::Arc;

use crate::model::event::{EndpointSource, SessionLine};
use crate::model::{Counters, Error, EventKind, Nanos};

/// Called with messages during a run.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// What a sink requests from the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// Nothing.
    #[default]
    GoOn,
    /// End the span of endpoints and start another: a set of files is full.
    EndSpan,
}

/// The progress of the run.
#[derive(Clone, Copy, Debug)]
pub struct Round<'a> {
    /// Everything before this time was pushed.
    pub until: Nanos,
    /// The counters of all threads.
    pub counted: &'a Counters,
}

/// The facts about a set of files for run.json.
#[derive(Clone, Debug, Default)]
pub struct SetFacts {
    /// The counters since the previous set.
    pub counters: Counters,
    /// Lines of alerts.
    pub alerts: u64,
    /// Lines of incidents.
    pub incidents: u64,
    /// Why it ends early, if so.
    pub incomplete: Option<String>,
}

/// Makes run.json.
pub type Report<'a> = &'a dyn Fn(SetFacts) -> Result<Vec<u8>, Error>;

/// A span of endpoints has ended.
#[derive(Clone, Copy)]
pub struct SpanEnd<'a> {
    /// Its last second.
    pub until: Nanos,
    /// It is the last one.
    pub is_last: bool,
    /// Its endpoints.
    pub endpoints: &'a dyn EndpointSource,
    /// The counters of all threads since the start of the run.
    pub counted: &'a Counters,
    /// Makes run.json.
    pub report: Report<'a>,
}

/// An output.
pub trait Sink: Send {
    /// Whether it takes events of a kind. Other kinds are not rendered for it.
    fn wants(&self, kind: EventKind) -> bool;

    /// Writes the line of a session, and returns whether it was written. Lines are not queued:
    /// there are so many that a sink which cannot write loses them, and counts that.
    ///
    /// Errors: the run cannot continue without this output.
    fn session(&mut self, _line: &SessionLine<'_>) -> Result<bool, Error> {
        Ok(false)
    }

    /// Writes queued events, oldest first, and acknowledges them; what it cannot write now is given
    /// again.
    fn drain(&mut self, _queue: &mut Queue) -> Result<(), Error> {
        Ok(())
    }

    /// A second of the run is over.
    fn round(&mut self, _round: &Round<'_>) -> Result<Wish, Error> {
        Ok(Wish::GoOn)
    }

    /// What is pushed from here on belongs to the end of a span, or of the run.
    fn span_ends(&mut self, _is_last: bool) {}

    /// A span has ended, and its final results were pushed. Events still queued at the end of the
    /// last span are lost.
    fn end_span(&mut self, _end: &SpanEnd<'_>, _queue: &mut Queue) -> Result<(), Error> {
        Ok(())
    }

    /// Notes for users about its location, before the run starts.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Adds its counts since the last call.
    fn count(&mut self, _counters: &mut Counters) {}
}
