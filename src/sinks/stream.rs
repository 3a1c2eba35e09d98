//! One file or stream of lines: session lines to a separate place, alerts and incidents to standard
//! output.
//!
//! Owns: the file, the number of lost lines. In: session lines, events. Out: lines, counts.
//! Never: in a live run, ends the run because it cannot write.

use std::sync::Arc;

use crate::model::event::SessionLine;
use crate::model::{Counter, Counters, Error, Event, EventKind, Format};
use crate::sinks::files::OutFile;
use crate::sinks::{Queue, Sink, SpanEnd, Tell};

/// Bytes rendered before they are written.
const RENDER_BYTES: usize = 64 * 1024;

/// Renders events to a file, some at a time.
pub fn write_events<'e>(
    file: &mut OutFile,
    format: &dyn Format,
    events: impl Iterator<Item = Event<'e>>,
) -> Result<(), Error> {
    let mut lines = Vec::new();
    for event in events {
        format.render(&event, &mut lines);
        if lines.len() >= RENDER_BYTES {
            file.write(&lines)?;
            lines.clear();
        }
    }
    file.write(&lines)
}

/// Lost lines, in a run that continues despite them.
struct Losses {
    tell: Tell,
    given: u64,
    lost: u64,
    /// It cannot be written now, and that was reported.
    failing: bool,
}

/// A sink of lines.
pub struct Stream {
    file: Option<OutFile>,
    kinds: &'static [EventKind],
    format: Arc<dyn Format>,
    /// Only in a live run.
    losses: Option<Losses>,
    own: Counters,
}

impl Stream {
    /// A sink for lines of some kinds. With `tell`, lines that cannot be written are counted and
    /// reported as lost; without, they end the run.
    pub fn new(
        file: OutFile,
        kinds: &'static [EventKind],
        format: Arc<dyn Format>,
        tell: Option<Tell>,
    ) -> Stream {
        let losses = tell.map(|tell| Losses { tell, given: 0, lost: 0, failing: false });
        Stream { file: Some(file), kinds, format, losses, own: Counters::default() }
    }

    /// Writes this many lines with `write`; returns how many were found to be lost, of these or
    /// earlier ones.
    fn write(
        &mut self,
        lines: u64,
        write: impl FnOnce(&mut OutFile) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let Some(file) = &mut self.file else { return Ok(lines) };
        let result = write(file);
        let Some(losses) = &mut self.losses else { return result.map(|()| 0) };
        losses.given += lines;
        let lost = losses.settle(file, result);
        self.own.add(Counter::LinesLost, lost);
        Ok(lost)
    }

    /// In a live run: lines may turn out to be lost later than they were written.
    fn settle(&mut self, what: impl FnOnce(&mut OutFile) -> Result<(), Error>) {
        let (Some(file), Some(losses)) = (&mut self.file, &mut self.losses) else { return };
        let result = what(file);
        let fine = result.is_ok() && !file.is_behind();
        let lost = losses.settle(file, result);
        losses.failing &= !fine;
        self.own.add(Counter::LinesLost, lost);
    }

    /// The last lines: events wait as long as the reader takes something.
    fn end(&mut self, queue: &mut Queue) -> Result<(), Error> {
        while !queue.is_empty() && self.file.as_ref().is_some_and(OutFile::is_behind) {
            let before = queue.cursor();
            self.settle(OutFile::wait);
            self.drain(queue)?;
            if queue.cursor() == before {
                break;
            }
        }
        self.settle(OutFile::wait);
        self.own.add(Counter::LinesLost, queue.clear());
        self.file.take().map_or(Ok(()), OutFile::finish)
    }
}

impl Losses {
    fn settle(&mut self, file: &mut OutFile, result: Result<(), Error>) -> u64 {
        let Err(error) = result else { return 0 };
        if !std::mem::replace(&mut self.failing, true) {
            (self.tell)(&format!("{error}\nlines that cannot be written are counted as lost"));
        }
        if let Err(error) = file.cut() {
            (self.tell)(&error.to_string());
        }
        // A closed pipe needs no more lines.
        let gone = if file.is_closed() { self.given } else { file.lines() };
        let lost = self.given.saturating_sub(gone);
        lost - std::mem::replace(&mut self.lost, lost).min(lost)
    }
}

impl Sink for Stream {
    fn wants(&self, kind: EventKind) -> bool {
        self.kinds.contains(&kind)
    }

    fn session(&mut self, line: &SessionLine<'_>) -> Result<bool, Error> {
        self.write(1, |file| file.write_line(line.line)).map(|lost| lost == 0)
    }

    fn drain(&mut self, queue: &mut Queue) -> Result<(), Error> {
        let format = Arc::clone(&self.format);
        for kind in self.kinds {
            let mut count = 0;
            for event in queue.of(*kind) {
                if !self.file.as_ref().is_none_or(OutFile::has_room) {
                    break;
                }
                self.write(1, |file| write_events(file, &*format, std::iter::once(event)))?;
                count += 1;
            }
            queue.acknowledge(*kind, count);
        }
        self.settle(OutFile::flush);
        Ok(())
    }

    fn end_span(&mut self, end: &SpanEnd<'_>, queue: &mut Queue) -> Result<(), Error> {
        if self.wants(EventKind::Endpoint) {
            let format = Arc::clone(&self.format);
            let count = end.endpoints.count() as u64;
            self.write(count, |file| {
                end.endpoints.rows().try_for_each(|row| {
                    write_events(file, &*format, std::iter::once(Event::Endpoint(&row)))
                })
            })?;
        }
        if end.is_last { self.end(queue) } else { Ok(()) }
    }

    fn remarks(&self) -> Vec<String> {
        self.file.iter().flat_map(OutFile::remarks).collect()
    }

    fn count(&mut self, counters: &mut Counters) {
        counters.merge(&std::mem::take(&mut self.own));
    }
}
