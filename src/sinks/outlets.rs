//! All outputs of a run.
//!
//! Owns: the sinks, each with its queue. In: events. Out: each to whoever takes its kind. Policy:
//! a sink is asked to write once a second, and whenever its queue is half full. One of a run over
//! files returns when it has written: the correlator waits for it. One of a live run does not
//! wait where it cannot write (a full disk): what is left stays in its queue, which drops what is
//! worth least; and a stream, whose reader may sleep, is written by a thread of its own. Never: an
//! event lost by one sink because of another.

use crate::model::event::SessionLine;
use crate::model::{Counter, Counters, Error, EventKind, Held};
use crate::sinks::{Queue, Round, Sink, SpanEnd, Wish};

/// A sink and its queue.
struct Outlet {
    sink: Box<dyn Sink>,
    queue: Queue,
}

/// The outputs.
pub struct Outlets {
    outlets: Vec<Outlet>,
}

impl Outlets {
    /// These sinks, with this many bytes for all their queues.
    pub fn new(sinks: Vec<Box<dyn Sink>>, bytes: usize) -> Outlets {
        let each = bytes / sinks.len().max(1);
        let outlet = |sink| Outlet { sink, queue: Queue::new(each) };
        Outlets { outlets: sinks.into_iter().map(outlet).collect() }
    }

    /// Adds one that takes no event, but has something to count.
    pub fn add_counting(&mut self, sink: Box<dyn Sink>) {
        self.outlets.push(Outlet { sink, queue: Queue::new(0) });
    }

    /// Whether any sink takes a kind.
    pub fn wants(&self, kind: EventKind) -> bool {
        self.outlets.iter().any(|outlet| outlet.sink.wants(kind))
    }

    /// Notes for users about the output locations.
    pub fn remarks(&self) -> Vec<String> {
        self.outlets.iter().flat_map(|outlet| outlet.sink.remarks()).collect()
    }

    /// The line of a session, for all sinks that take it; returns whether any has written it.
    pub fn session(&mut self, line: &SessionLine<'_>) -> Result<bool, Error> {
        let kind = if line.is_update { EventKind::SessionUpdate } else { EventKind::SessionEnd };
        let mut written = false;
        for outlet in &mut self.outlets {
            if outlet.sink.wants(kind) {
                written |= outlet.sink.session(line)?;
            }
        }
        Ok(written)
    }

    /// An event, for all sinks that take its kind.
    pub fn push(&mut self, held: &Held) -> Result<(), Error> {
        let kind = held.event().kind();
        for outlet in self.outlets.iter_mut().filter(|outlet| outlet.sink.wants(kind)) {
            if outlet.queue.is_full() {
                outlet.sink.drain(&mut outlet.queue)?;
            }
            outlet.queue.push(held.clone());
        }
        Ok(())
    }

    /// Events that wait in the queues of all sinks.
    pub fn queued(&self) -> usize {
        self.outlets.iter().map(|outlet| outlet.queue.len()).sum()
    }

    /// Lets every sink write its queue.
    pub fn drain(&mut self) -> Result<(), Error> {
        self.outlets.iter_mut().try_for_each(|outlet| outlet.sink.drain(&mut outlet.queue))
    }

    /// A second is over; returns what any sink requests.
    pub fn round(&mut self, round: &Round<'_>) -> Result<Wish, Error> {
        let mut wish = Wish::GoOn;
        self.drain()?;
        for outlet in &mut self.outlets {
            wish = wish.max(outlet.sink.round(round)?);
        }
        Ok(wish)
    }

    /// What is pushed from here on belongs to the end of a span.
    pub fn span_ends(&mut self, is_last: bool) {
        self.outlets.iter_mut().for_each(|outlet| outlet.sink.span_ends(is_last));
    }

    /// Ends a span in every sink; returns every error.
    pub fn end_span(&mut self, end: &SpanEnd<'_>) -> Result<(), Vec<Error>> {
        let mut errors = Vec::new();
        for Outlet { sink, queue } in &mut self.outlets {
            errors.extend(sink.drain(queue).and_then(|()| sink.end_span(end, queue)).err());
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Adds counts of sinks and queues since the last call.
    pub fn count(&mut self, counters: &mut Counters) {
        for Outlet { sink, queue } in &mut self.outlets {
            sink.count(counters);
            counters.add(Counter::EventsDropped, queue.take_dropped());
        }
    }
}
