//! The wish that reading ends early, heard even where it waits for a pipe.
//!
//! Owns: the wish and what wakes a reader. In: a signal, by way of the pipeline. Out: whether to go
//! on. Never: a clock, or a signal handler.
//!
//! Files end at once. A pipe may go on for a moment, since whoever writes to it was often asked to
//! end by the same signal, and writes out what it still holds.

use std::io;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::capture::ring::sys;

/// The wish; copies share it. The default is one that nobody can make.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Option<Arc<Wish>>);

#[derive(Debug)]
struct Wish {
    files: AtomicBool,
    streams: AtomicBool,
    /// Readable from the moment on at which streams are to end: nobody ever reads it.
    wake: PipeReader,
    waker: PipeWriter,
}

impl Interrupt {
    /// A wish that can be made.
    pub fn new() -> io::Result<Interrupt> {
        let (wake, waker) = io::pipe()?;
        let (files, streams) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Interrupt(Some(Arc::new(Wish { files, streams, wake, waker }))))
    }

    /// Files end now.
    pub fn end_files(&self) {
        if let Some(wish) = &self.0 {
            wish.files.store(true, Ordering::Relaxed);
        }
    }

    /// Pipes and devices end now, too.
    pub fn end_streams(&self) {
        if let Some(wish) = &self.0 {
            wish.files.store(true, Ordering::Relaxed);
            wish.streams.store(true, Ordering::Relaxed);
            // Of an empty pipe one byte always has room.
            let _ = (&wish.waker).write(&[0]);
        }
    }

    /// Whether the end was wished for.
    pub fn is_wished(&self) -> bool {
        self.0.as_ref().is_some_and(|wish| wish.files.load(Ordering::Relaxed))
    }

    pub(super) fn ends_streams(&self) -> bool {
        self.0.as_ref().is_some_and(|wish| wish.streams.load(Ordering::Relaxed))
    }

    /// Waits until a stream has something to read, or has ended; false where it is to end.
    pub(super) fn wait(&self, stream: BorrowedFd<'_>) -> bool {
        let events = libc::POLLIN;
        let fd = |fd| libc::pollfd { fd, events, revents: 0 };
        // poll(2) passes over an entry below zero.
        let wake = self.0.as_ref().map_or(-1, |wish| wish.wake.as_raw_fd());
        let mut fds = [fd(stream.as_raw_fd()), fd(wake)];
        loop {
            match sys::poll(&mut fds, -1) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // Where it cannot be waited for, the read itself says what is wrong.
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
    fn whoever_waits_for_a_pipe_is_woken() {
        let (read, mut write) = io::pipe().unwrap();
        let interrupt = Interrupt::new().unwrap();
        write.write_all(b"x").unwrap();
        assert!(interrupt.wait(read.as_fd()));
        let (read, _write) = io::pipe().unwrap();
        let other = interrupt.clone();
        let waiting = std::thread::spawn(move || other.wait(read.as_fd()));
        interrupt.end_files();
        assert!(interrupt.is_wished() && !interrupt.ends_streams());
        interrupt.end_streams();
        assert!(!waiting.join().unwrap());
        assert!(!Interrupt::default().is_wished());
    }
}
