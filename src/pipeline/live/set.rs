//! One set of files of a live run, and what happens if it cannot be written.
//!
//! Owns: the open files, the space reserved for their end. In: lines. Out: a finished set; if
//! something could not be written, one whose files end with their last complete line, and the
//! number of missing lines.
//! Never: half a line, removal of a file that was written, or a failure that ends the run.

use std::path::Path;

use crate::model::event::EndpointSource;
use crate::model::{Error, EventKind, Format};
use crate::pipeline::outputs::write_endpoints;
use crate::sinks::Queue;
use crate::sinks::files::{OutDir, OutFile};
use crate::sinks::room::Room;
use crate::sinks::stream::write_events;

/// Space reserved for alerts, incidents and endpoints: session lines are so many that they fill a
/// disk, and are the least important.
const LINES_ROOM: u32 = 256 * 1024;
/// Space reserved for run.json, which has some 20 kB.
const RUN_ROOM: u32 = 64 * 1024;

/// Disk blocks that six files and their directory take beside their lines.
const FILES_BYTES: u64 = 7 * 4_096;

/// A file and how many lines it should have.
struct Lines {
    file: OutFile,
    given: u64,
}

/// One set of files.
pub(super) struct Set {
    dir: OutDir,
    sessions: Option<Lines>,
    alerts: Lines,
    incidents: Lines,
    health: Lines,
    lines_room: Option<Room>,
    run_room: Option<Room>,
    /// Why something could not be written.
    failure: Option<Error>,
    /// Bytes of lines so far.
    pub(super) bytes: u64,
    /// Bytes that it takes beside them.
    kept: u64,
    /// The set ends at this second of the run's clock.
    pub(super) ends: Option<u64>,
}

impl Lines {
    fn new(file: OutFile) -> Lines {
        Lines { file, given: 0 }
    }

    fn write(&mut self, line: &[u8]) -> Result<(), Error> {
        self.given += 1;
        self.file.write_line(line)
    }

    /// Writes `count` lines with `write`, which skips the given number. If that fails, `relief`
    /// makes room and the rest is tried once more. Returns how many were written, and the error.
    fn write_all(
        &mut self,
        count: usize,
        relief: &mut Option<Room>,
        write: impl Fn(&mut OutFile, usize) -> Result<(), Error>,
    ) -> (usize, Option<Error>) {
        self.given += count as u64;
        let before = self.file.lines();
        let mut failure = None;
        for _ in 0..2 {
            let done = (self.file.lines() - before) as usize;
            match write(&mut self.file, done).and_then(|()| self.file.flush()) {
                Ok(()) => break,
                Err(error) => failure = Some(error),
            }
            let cut = self.file.cut();
            if cut.is_err() || relief.take().is_none() {
                break;
            }
        }
        let done = (self.file.lines().saturating_sub(before) as usize).min(count);
        (done, failure)
    }

    /// Finishes the file; returns the number of missing lines.
    fn finish(mut self) -> (u64, Option<Error>) {
        let mut failure = self.file.flush().err();
        if failure.is_some() {
            failure = self.file.cut().err().or(failure);
        }
        let lost = self.given.saturating_sub(self.file.lines());
        (lost, self.file.finish().err().or(failure))
    }
}

impl Set {
    /// Starts a set in a directory that this run has locked. If `most` limits its bytes, less space
    /// is reserved.
    pub(super) fn begin(
        mut dir: OutDir,
        writes_sessions: bool,
        ends: Option<u64>,
        most: Option<u64>,
    ) -> Result<Set, Error> {
        let share = most.map_or(u32::MAX, |most| u32::try_from(most / 4).unwrap_or(u32::MAX));
        let rooms = [LINES_ROOM.min(share), RUN_ROOM.min(share)];
        let [lines_room, run_room] = rooms;
        let lines_room = Some(dir.keep_room("lines", lines_room)?);
        let run_room = Some(dir.keep_room("run", run_room)?);
        let sessions = writes_sessions.then(|| dir.file("sessions.ndjson")).transpose()?;
        let alerts = Lines::new(dir.file("alerts.ndjson")?);
        let incidents = Lines::new(dir.file("incidents.ndjson")?);
        let health = Lines::new(dir.file("health.ndjson")?);
        Ok(Set {
            dir,
            sessions: sessions.map(Lines::new),
            alerts,
            incidents,
            health,
            lines_room,
            run_room,
            failure: None,
            bytes: 0,
            kept: rooms.iter().map(|bytes| u64::from(*bytes)).sum::<u64>() + FILES_BYTES,
            ends,
        })
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Notes for users about the location.
    pub(super) fn remarks(&self) -> Vec<String> {
        self.dir.remarks()
    }

    /// Bytes that it takes of its file system, including reserved space.
    pub(super) fn footprint(&self) -> u64 {
        self.bytes + self.kept
    }

    /// Why it cannot continue, if so.
    pub(super) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// Writes the line of a session; returns whether it was written. After a failure it is only
    /// counted.
    pub(super) fn session(&mut self, line: &[u8]) -> bool {
        let Some(sessions) = &mut self.sessions else { return false };
        if self.failure.is_some() {
            sessions.given += 1;
            return false;
        }
        self.bytes += line.len() as u64;
        self.failure = sessions.write(line).err();
        self.failure.is_none()
    }

    /// Writes a health line.
    pub(super) fn health(&mut self, line: &[u8]) {
        if self.failure.is_some() {
            self.health.given += 1;
            return;
        }
        self.bytes += line.len() as u64;
        self.failure = self.health.write(line).err();
    }

    /// Writes waiting events of a kind. What cannot be written now waits for the end of the set,
    /// for which space is reserved.
    pub(super) fn events(&mut self, kind: EventKind, format: &dyn Format, queue: &mut Queue) {
        let count = queue.of(kind).count();
        if self.failure.is_some() || count == 0 {
            return;
        }
        let (done, failure) = self.write_events(kind, format, queue, &mut None);
        self.failure = failure;
        // The rest will be given again.
        self.of(kind).given -= (count - done) as u64;
        queue.acknowledge(kind, done);
    }

    fn of(&mut self, kind: EventKind) -> &mut Lines {
        if kind == EventKind::Incident { &mut self.incidents } else { &mut self.alerts }
    }

    fn write_events(
        &mut self,
        kind: EventKind,
        format: &dyn Format,
        queue: &Queue,
        room: &mut Option<Room>,
    ) -> (usize, Option<Error>) {
        let write =
            |file: &mut OutFile, done: usize| write_events(file, format, queue.of(kind).skip(done));
        let count = queue.of(kind).count();
        self.of(kind).write_all(count, room, write)
    }

    /// Flushes to the system, so that others can follow.
    pub(super) fn flush(&mut self) {
        if self.failure.is_some() {
            return;
        }
        let files = self.sessions.iter_mut().chain([&mut self.alerts, &mut self.incidents]);
        let files = files.chain([&mut self.health]);
        self.failure = files.map(|lines| lines.file.flush()).find_map(Result::err);
    }

    /// Writes everything but run.json, alerts first. What there is no space for is missing. Writes
    /// at most this many endpoints, if limited.
    pub(super) fn settle(
        mut self,
        format: &dyn Format,
        (rows, most): (&dyn EndpointSource, Option<usize>),
        queue: &mut Queue,
    ) -> Settled {
        let mut room = self.lines_room.take();
        if self.failure.is_some() {
            room = None;
        }
        let mut failures: Vec<Error> = self.failure.take().into_iter().collect();
        for kind in [EventKind::Alert, EventKind::Incident] {
            failures.extend(self.write_events(kind, format, queue, &mut room).1);
            queue.acknowledge(kind, usize::MAX);
        }
        let (alert_lines, incident_lines) = (self.alerts.given, self.incidents.given);
        let mut files: Vec<Lines> = vec![self.incidents];
        match self.dir.file("endpoints.ndjson").map(Lines::new) {
            Ok(mut lines) => {
                let all = rows.count();
                let count = most.map_or(all, |most| most.min(all));
                if count < all {
                    let what = self.dir.path().join("endpoints.ndjson");
                    let what = format!("writing {}", what.display());
                    failures.push(Error::new(what, "--out-max leaves no room for all endpoints"));
                }
                lines.given += (all - count) as u64;
                let write = |file: &mut OutFile, done: usize| {
                    write_endpoints(file, format, rows.rows().take(count).skip(done))
                };
                failures.extend(lines.write_all(count, &mut room, write).1);
                files.push(lines);
            }
            Err(error) => failures.push(error),
        }
        drop(room);
        let mut lost = 0;
        for file in files.into_iter().chain(self.sessions).chain([self.alerts, self.health]) {
            let (lines, failure) = file.finish();
            lost += lines;
            failures.extend(failure);
        }
        let reason = failures.into_iter().next();
        let (dir, run_room) = (self.dir, self.run_room);
        Settled { dir, run_room, reason, lost, alert_lines, incident_lines }
    }
}

/// A set that lacks only run.json.
pub(super) struct Settled {
    dir: OutDir,
    run_room: Option<Room>,
    /// Why it is incomplete, if so.
    reason: Option<Error>,
    /// Lines that could not be written.
    pub(super) lost: u64,
    /// Alert lines that it was given.
    pub(super) alert_lines: u64,
    /// Incident lines that it was given.
    pub(super) incident_lines: u64,
}

impl Settled {
    /// The reason for run.json and users, if incomplete.
    pub(super) fn incomplete(&self) -> Option<String> {
        let reason = self.reason.as_ref()?;
        let lines = self.lost;
        Some(format!("{}: {}; lines that are missing: {lines}", reason.what, reason.cause))
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes run.json with this content, and renames all files.
    ///
    /// Errors: that failed; the files are kept under temporary names.
    pub(super) fn finish(mut self, report: &[u8]) -> Result<(), Error> {
        drop(self.run_room.take());
        let written = self.dir.file("run.json").and_then(|mut file| {
            file.write(report)?;
            file.finish()
        });
        match written {
            Ok(()) => self.dir.finish(),
            Err(error) => {
                self.dir.keep();
                Err(error)
            }
        }
    }
}
