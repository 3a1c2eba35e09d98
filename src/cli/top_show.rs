//! The loop of a view in the terminal: keys, drawing, explanations.
//!
//! Owns: when is drawn, and what ends that. In: a board that another thread fills. Out: a screen.
//! Never: a terminal that is left as the view uses it, whether a key, a signal or a panic ends it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::model::Error;
use crate::tui::board::Board;
use crate::tui::page;
use crate::tui::screen::{Keyboard, Palette, Screen, restore};
use crate::tui::view::{Action, View};

/// How long a key is waited for before the screen is drawn again if something has changed.
const WAIT: Duration = Duration::from_millis(250);
/// The same while something is waited for.
const WAIT_BRIEFLY: Duration = Duration::from_millis(50);

/// What the threads share.
pub(super) type Shared = Arc<Mutex<Board>>;

/// A thread that has panicked has left a board that can be shown.
pub(super) fn lock(board: &Shared) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Explains an event.
pub(super) type Explain = Arc<dyn Fn(&str) -> page::Told + Send + Sync>;

/// Signals end the view as its keys do, so that the terminal is given back.
pub(super) fn stop_at_signals() -> Result<Arc<AtomicBool>, Error> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|cause| Error::new("signals", cause.to_string()))?;
    }
    Ok(stop)
}

/// Shows the board until a key or a signal ends that.
pub(super) fn show(
    board: &Shared,
    view: &mut View,
    (keyboard, palette): (Keyboard, Palette),
    (explain, stop): (&Explain, &AtomicBool),
) -> std::io::Result<()> {
    let before = Arc::new(std::panic::take_hook());
    let said = Arc::clone(&before);
    // What a panic says is said on a terminal that shows it.
    std::panic::set_hook(Box::new(move |info| {
        restore();
        said(info);
    }));
    let mut screen = Screen::open(keyboard, palette)?;
    let (mut drawn, mut is_due) = (0, true);
    while !stop.load(Ordering::Relaxed) {
        let is_asking = view.is_asking();
        if is_due || is_asking || screen.has_changed() || lock(board).changes != drawn {
            let board = lock(board);
            drawn = board.changes;
            screen.draw(&board, view)?;
        }
        // It waits here each time: so much is drawn in a second at most, beside what keys ask for.
        let keys = screen.keys(if is_asking { WAIT_BRIEFLY } else { WAIT })?;
        is_due = is_asking || !keys.is_empty();
        for key in keys {
            let action = view.key(key, &lock(board));
            match action {
                Action::Draw => {}
                Action::Quit => return Ok(()),
                Action::Ask(id, answer) => ask(explain, id, answer),
            }
        }
    }
    Ok(())
}

/// Answers on a thread of its own: files may be long.
fn ask(explain: &Explain, id: String, answer: page::Answer) {
    let explain = Arc::clone(explain);
    let slot = Arc::clone(&answer);
    let work = move || {
        let told = explain(&id);
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    };
    if let Err(cause) = thread::Builder::new().name("explain".to_owned()).spawn(work) {
        let error = Error::new("explanation", cause.to_string());
        *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Err(error));
    }
}
