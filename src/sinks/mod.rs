//! Outputs: what they have in common, and the byte side of files.
//!
//! An output is one [`Sink`]. The correlator pushes events; each sink has a queue of its own, with
//! a cursor and a cap, so that one that cannot take anything now keeps no other from writing. To
//! add one: a file with a `Sink`, and a line where `pipeline` makes the sinks of a plan.
//!
//! Owns: the trait, the queues, files that get their names when they are whole. In: events, bytes.
//! Out: files, streams. Never: judges, or knows where an event came from.

pub mod files;
pub mod outlets;
mod partial;
pub mod queue;
pub mod room;
pub mod stream;

pub use outlets::Outlets;
pub use queue::Queue;

use std::sync::Arc;

use crate::model::Counters;
use crate::model::Error;
use crate::model::EventKind;
use crate::model::Nanos;
use crate::model::event::EndpointSource;
use crate::model::event::SessionLine;

/// Who is told what happens during a run.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// What a sink wants of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// Nothing.
    #[default]
    GoOn,
    /// The span of endpoints ends, and another begins: a set of files is full.
    EndSpan,
}

/// How far the run has come.
#[derive(Clone, Copy, Debug)]
pub struct Round<'a> {
    /// Everything before this time was pushed.
    pub until: Nanos,
    /// What all threads have counted.
    pub counted: &'a Counters,
}

/// What a set of files says of itself for run.json.
#[derive(Clone, Debug, Default)]
pub struct SetFacts {
    /// What was counted since the set before.
    pub counters: Counters,
    /// Lines of alerts and incidents.
    pub alerts: u64,
    /// The same of incidents.
    pub incidents: u64,
    /// Why it ends early, if it does.
    pub incomplete: Option<String>,
}

/// Makes run.json.
pub type Report<'a> = &'a dyn Fn(SetFacts) -> Result<Vec<u8>, Error>;

/// A span of endpoints is over.
#[derive(Clone, Copy)]
pub struct SpanEnd<'a> {
    /// Its last second.
    pub until: Nanos,
    /// No other follows.
    pub is_last: bool,
    /// Its endpoints.
    pub endpoints: &'a dyn EndpointSource,
    /// What all threads have counted since the run began.
    pub counted: &'a Counters,
    /// Makes run.json.
    pub report: Report<'a>,
}

/// An output.
pub trait Sink: Send {
    /// Whether it takes events of a kind. Kinds that it does not take are not rendered for it.
    fn wants(&self, kind: EventKind) -> bool;

    /// Takes the line of a session, and says whether it is written. Lines are not kept for later:
    /// they come in such numbers that whoever cannot take them loses them, and counts that.
    ///
    /// Errors: the run cannot go on without this output.
    fn session(&mut self, _line: &SessionLine<'_>) -> Result<bool, Error> {
        Ok(false)
    }

    /// Writes what waits, the oldest first, and acknowledges it; what it cannot write now is given
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

    /// A span is over, and what was found at its end was pushed. What still waits in the queue at
    /// the end of the last is lost.
    fn end_span(&mut self, _end: &SpanEnd<'_>, _queue: &mut Queue) -> Result<(), Error> {
        Ok(())
    }

    /// What users should know of the place that it writes to, before the run begins.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Adds what it has counted since the last call.
    fn count(&mut self, _counters: &mut Counters) {}
}
