//! A stream that is written by a thread of its own: a pipe whose reader sleeps stops nobody.
//!
//! Owns: the lines that the stream has not taken, up to a cap. In: whole lines. Out: the same, in
//! order; refused while the cap is reached.
//! Never: waits for the stream, except at the end and only while its reader takes something.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Lines handed over at once.
const BATCH_BYTES: usize = 64 * 1024;

/// Bytes written at once: what a pipe takes whole.
const WRITE_BYTES: usize = 4_096;

/// At the end, how long a reader may take nothing before the rest is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Standard output without the lock of its writer, which a thread that waits for a reader would
/// keep.
pub(super) struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(nix::unistd::write(io::stdout(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What both threads see.
#[derive(Default)]
struct State {
    /// Lines to write.
    lines: Vec<u8>,
    /// Bytes and lines that the thread has taken and not written yet.
    under_way: (usize, u64),
    /// Lines that the stream has refused.
    lost: u64,
    /// Its last error, until it is reported.
    error: Option<io::Error>,
    /// Nothing more comes.
    ended: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something to write.
    work: Condvar,
    /// Something was written.
    progress: Condvar,
}

/// The near end of the stream.
pub(super) struct Detached {
    shared: Arc<Shared>,
    /// Lines that were not handed over yet.
    batch: Vec<u8>,
    cap: usize,
    patience: Duration,
    /// Its reader took nothing for too long.
    given_up: bool,
}

impl Shared {
    /// A thread that panicked has left no half-done change: each is one assignment.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: until the end, writes what there is.
    fn write_to(&self, mut stream: impl Write) {
        let mut torn = false;
        loop {
            let mut state = self.lock();
            while state.lines.is_empty() && !state.ended {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.lines.is_empty() {
                return;
            }
            let lines = std::mem::take(&mut state.lines);
            state.under_way = (lines.len(), count(&lines));
            drop(state);
            let (written, result) = write_lines(&mut stream, &lines, torn, |rest| {
                self.lock().under_way = (rest.len(), count(rest));
                self.progress.notify_all();
            });
            torn = result.is_err() && written > 0 && lines.get(written - 1) != Some(&b'\n');
            let mut state = self.lock();
            state.under_way = (0, 0);
            state.lost += count(lines.get(written..).unwrap_or_default());
            state.error = result.err().or(state.error.take());
            drop(state);
            self.progress.notify_all();
        }
    }
}

fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

/// Writes lines; `torn`: the stream has the beginning of another line. Returns the bytes written.
fn write_lines(
    stream: &mut impl Write,
    lines: &[u8],
    torn: bool,
    mut left: impl FnMut(&[u8]),
) -> (usize, io::Result<()>) {
    if torn && let Err(error) = stream.write_all(b"\n") {
        return (0, Err(error));
    }
    let mut written = 0;
    while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
        // A pipe returns from a write when all of it is taken: little at a time shows progress.
        match stream.write(rest.get(..WRITE_BYTES).unwrap_or(rest)) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(bytes) => written += bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
        left(lines.get(written..).unwrap_or_default());
    }
    (written, stream.flush())
}

impl Detached {
    /// Holds about `cap` bytes for a stream.
    pub(super) fn new(stream: Box<dyn Write + Send>, cap: usize) -> io::Result<Detached> {
        let shared: Arc<Shared> = Arc::default();
        let far = Arc::clone(&shared);
        let thread = thread::Builder::new().name("output".to_owned());
        // It ends with the process: a reader that sleeps for ever must not keep that alive.
        drop(thread.spawn(move || far.write_to(stream))?);
        Ok(Detached { shared, batch: Vec::new(), cap, patience: PATIENCE, given_up: false })
    }

    /// Whether the cap lets it take more.
    pub(super) fn has_room(&self) -> bool {
        let state = self.shared.lock();
        state.lines.len() + state.under_way.0 + self.batch.len() < self.cap
    }

    /// Takes whole lines. Errors: the last one of the stream, or there is no room.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.error()?;
        if !self.has_room() {
            return Err(io::Error::new(ErrorKind::WouldBlock, "its reader takes nothing"));
        }
        self.batch.extend_from_slice(lines);
        if self.batch.len() >= BATCH_BYTES {
            self.hand_over();
        }
        Ok(())
    }

    /// Hands over what was taken. Errors: the last one of the stream.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.hand_over();
        self.error()
    }

    /// Lines that the stream has refused.
    pub(super) fn lost(&self) -> u64 {
        self.shared.lock().lost
    }

    /// Whether lines wait for the reader.
    pub(super) fn is_behind(&self) -> bool {
        let state = self.shared.lock();
        !self.given_up && state.lines.len() + state.under_way.0 > 0
    }

    /// Waits until the reader has taken everything; if it takes nothing for a while, gives that up.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        self.hand_over();
        let mut state = self.shared.lock();
        loop {
            let left = state.lines.len() + state.under_way.0;
            if left == 0 || self.given_up {
                break;
            }
            let (now, waited) = self
                .shared
                .progress
                .wait_timeout(state, self.patience)
                .unwrap_or_else(PoisonError::into_inner);
            state = now;
            if waited.timed_out() && state.lines.len() + state.under_way.0 == left {
                self.given_up = true;
                let lines = std::mem::take(&mut state.lines);
                state.lost += state.under_way.1 + count(&lines);
                state.error = Some(io::Error::new(ErrorKind::TimedOut, "its reader takes nothing"));
                break;
            }
        }
        drop(state);
        self.error()
    }

    fn error(&self) -> io::Result<()> {
        self.shared.lock().error.take().map_or(Ok(()), Err)
    }

    fn hand_over(&mut self) {
        if !self.batch.is_empty() {
            self.shared.lock().lines.append(&mut self.batch);
            self.shared.work.notify_all();
        }
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.work.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A pipe: each write waits for a permit: how many bytes are taken; none is an error.
    struct Pipe {
        permits: Receiver<Option<usize>>,
        taken: Sender<Vec<u8>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let permit = self.permits.recv().ok().flatten();
            let bytes = &bytes[..permit.ok_or(ErrorKind::StorageFull)?.min(bytes.len())];
            self.taken.send(bytes.to_vec()).ok();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe(cap: usize) -> (Detached, Sender<Option<usize>>, Receiver<Vec<u8>>) {
        let ((permit, permits), (taken, took)) = (channel(), channel());
        (Detached::new(Box::new(Pipe { permits, taken }), cap).unwrap(), permit, took)
    }

    #[test]
    fn a_reader_that_sleeps_stops_nobody_and_gets_whole_lines_later() {
        let (mut detached, permit, took) = pipe(1_000);
        let mut written = 0;
        for n in 0..1_000 {
            written += u64::from(detached.write(format!("line {n:4}\n").as_bytes()).is_ok());
            detached.flush().unwrap();
        }
        assert!((90..=110).contains(&written) && !detached.has_room(), "{written}");
        (0..1_000).for_each(|_| permit.send(Some(7)).unwrap());
        detached.wait().unwrap();
        assert!(!detached.is_behind() && detached.has_room());
        let got: Vec<u8> = took.try_iter().flatten().collect();
        let want: String = (0..written).map(|n| format!("line {n:4}\n")).collect();
        assert_eq!((got, detached.lost()), (want.into_bytes(), 0));
    }

    #[test]
    fn what_the_stream_refuses_is_counted_and_tears_no_later_line() {
        let (mut detached, permit, took) = pipe(1_000);
        detached.write(b"first line\nsecond line\n").unwrap();
        [Some(5), None].into_iter().for_each(|one| permit.send(one).unwrap());
        assert_eq!(detached.wait().unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(detached.lost(), 2);
        [Some(1), Some(99)].into_iter().for_each(|one| permit.send(one).unwrap());
        detached.write(b"third line\n").unwrap();
        detached.wait().unwrap();
        let got: Vec<u8> = took.try_iter().flatten().collect();
        assert_eq!(String::from_utf8(got).unwrap(), "first\nthird line\n");
    }

    #[test]
    fn at_the_end_a_reader_that_sleeps_is_given_up() {
        let (mut detached, permit, _took) = pipe(1_000);
        detached.patience = Duration::from_millis(50);
        (0..10).for_each(|_| detached.write(b"a line\n").unwrap());
        assert_eq!(detached.wait().unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(detached.lost(), 10);
        drop(permit);
    }
}
