//! `longhaul top --feed`: the view of a live run, which has started this process.
//!
//! Owns: the order of its steps: terminal, sandbox, lines. In: lines on standard input. Out: a
//! screen, from the first line on. Never: a way back to the run but its own end; it reads what
//! captured packets chose, so it keeps no file, no network and no privilege.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::cli;
use crate::cli::top_show::{Explain, Shared, lock, show, stop_at_signals};
use crate::model::Error;
use crate::sandbox::{self, Confinement};
use crate::tui::board::{Board, State};
use crate::tui::page;
use crate::tui::screen::{Keyboard, Palette};
use crate::tui::view::View;

/// A longer line is none of ours.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// Shows the lines on standard input until they end, or a key ends that.
pub(super) fn run(title: &Path, user: Option<&str>, palette: Palette) -> Result<(), Error> {
    let failed = |cause: io::Error| Error::new("terminal", cause.to_string());
    let lines = io::stdin().as_fd().try_clone_to_owned().map(File::from).map_err(failed)?;
    let keyboard = Keyboard::open().map_err(failed)?;
    let stop = stop_at_signals()?;
    if let Some(user) = user {
        let user = user.to_owned();
        let confinement = Confinement { user, terminal: true, ..Confinement::default() };
        cli::print_notes(&sandbox::gaps("the view", &sandbox::enter(&confinement)?));
    }
    let board: Shared = Arc::new(Mutex::new(Board::new(&title.display().to_string())));
    let (begin, begun) = channel();
    let (reading, ended) = (Arc::clone(&board), Arc::clone(&stop));
    let read = move || follow(lines, &reading, &ended, begin);
    thread::Builder::new().name("lines".to_owned()).spawn(read).map_err(failed)?;
    // A run that cannot begin says so on a terminal that nobody has taken.
    if begun.recv().is_err() {
        return Ok(());
    }
    let known = Arc::clone(&board);
    let explain: Explain = Arc::new(move |id| page::explain(&lock(&known), id));
    show(&board, &mut View::new(true), (keyboard, palette), (&explain, &stop)).map_err(failed)
}

/// Reads until the run has ended, and ends the view then.
fn follow(lines: File, board: &Shared, ended: &AtomicBool, begin: Sender<()>) {
    let mut begin = Some(begin);
    let mut lines = BufReader::with_capacity(1 << 16, lines);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = lines.by_ref().take(LINE_BYTES_MAX);
        if !matches!(bounded.read_until(b'\n', &mut line), Ok(len) if len > 0) {
            break;
        }
        let mut board = lock(board);
        board.becomes(State::Running);
        board.add(0, &line);
        drop(board);
        // Whoever waits for the first line may have gone.
        begin.take().into_iter().for_each(|begin| begin.send(()).unwrap_or_default());
    }
    ended.store(true, Ordering::Relaxed);
}
