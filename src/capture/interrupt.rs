//! A request to stop reading, which also wakes a reader that is blocked on a pipe.
//!
//! Owns: the request and the wake-up pipe. In: a signal, through the pipeline. Out: whether to
//! stop. Never: a clock, or a signal handler.
//!
//! Files stop at once. A pipe may continue for a moment: its writer often received the same signal,
//! and still flushes its buffer.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::capture::ring::sys;

/// The request; clones share it. The default can never be made.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Option<Arc<Request>>);

#[derive(Debug)]
struct Request {
    files: AtomicBool,
    streams: AtomicBool,
    /// Becomes readable when streams must stop; nobody reads from it.
    wake: PipeReader,
    waker: PipeWriter,
}

impl Interrupt {
    /// A request that can be made.
    pub fn new() -> io::Result<Interrupt> {
        let (wake, waker) = io::pipe()?;
        let (files, streams) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Interrupt(Some(Arc::new(Request { files, streams, wake, waker }))))
    }

    /// Stops reading files.
    pub fn end_files(&self) {
        if let Some(wish) = &self.0 {
            wish.files.store(true, Ordering::Relaxed);
        }
    }

    /// Stops reading pipes and devices as well.
    pub fn end_streams(&self) {
        if let Some(wish) = &self.0 {
            wish.files.store(true, Ordering::Relaxed);
            wish.streams.store(true, Ordering::Relaxed);
            // An empty pipe has room for one byte.
            let _ = (&wish.waker).write(&[0]);
        }
    }

    /// Whether a stop was requested.
    pub fn is_requested(&self) -> bool {
        self.0.as_ref().is_some_and(|wish| wish.files.load(Ordering::Relaxed))
    }

    pub(super) fn ends_streams(&self) -> bool {
        self.0.as_ref().is_some_and(|wish| wish.streams.load(Ordering::Relaxed))
    }

    /// Waits until a stream is readable or at its end; false if it must stop.
    pub(super) fn wait(&self, stream: BorrowedFd<'_>) -> bool {
        let events = libc::POLLIN;
        let fd = |fd| libc::pollfd { fd, events, revents: 0 };
        // poll(2) ignores negative descriptors.
        let wake = self.0.as_ref().map_or(-1, |wish| wish.wake.as_raw_fd());
        let mut fds = [fd(stream.as_raw_fd()), fd(wake)];
        loop {
            match sys::poll(&mut fds, -1) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // If polling fails, the read itself reports the error.
                _ => return !self.ends_streams(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_signal_ends_the_wait_for_a_pipe() {
        let (read, mut write) = io::pipe().unwrap();
        let interrupt = Interrupt::new().unwrap();
        write.write_all(b"x").unwrap();
        assert!(interrupt.wait(read.as_fd()));
        let (read, _write) = io::pipe().unwrap();
        let other = interrupt.clone();
        let waiting = std::thread::spawn(move || other.wait(read.as_fd()));
        interrupt.end_files();
        assert!(interrupt.is_requested() && !interrupt.ends_streams());
        interrupt.end_streams();
        assert!(!waiting.join().unwrap());
        assert!(!Interrupt::default().is_requested());
    }
}
