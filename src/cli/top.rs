//! `longhaul top`: a view of results in the terminal, as they are or as they grow.
//!
//! Owns: when is looked for new lines, and whether the terminal can show them. In: a directory of
//! results. Out: a screen. Never: drawing that waits for reading.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::cli::top_feed;
use crate::cli::top_show::{Explain, Shared, lock, show, stop_at_signals};
use crate::cli::{self, CommandResult, RAN};
use crate::model::Error;
use crate::report::terminal::Style;
use crate::results::tail::{Look, News, Tail};
use crate::results::{Results, find};
use crate::tui::board::{Board, State};
use crate::tui::page;
use crate::tui::screen::{Keyboard, Palette};
use crate::tui::view::View;

/// How often new lines are looked for.
const EVERY: Duration = Duration::from_secs(1);

/// Arguments of `top`.
#[derive(Debug, clap::Args)]
pub(super) struct TopArgs {
    /// A directory that --out made or is being written to, or one with the sets of a live run
    #[arg(value_name = "RUN", default_value = ".")]
    run: PathBuf,
    /// Show the last sets of a live run only, so many
    #[arg(long, value_name = "N", default_value_t = 24,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sets: u32,
    /// Show the lines on standard input: for the run that has started this
    #[arg(long, hide = true)]
    feed: bool,
    /// The user to switch to if started as root, with --feed
    #[arg(long, hide = true, value_name = "NAME")]
    user: Option<String>,
}

/// Runs the command.
pub(super) fn run(args: &TopArgs, style: Style) -> CommandResult {
    let palette = palette(style);
    if args.feed {
        top_feed::run(&args.run, args.user.as_deref(), palette).map_err(|e| vec![e])?;
        return Ok(RAN);
    }
    check_terminal("top", "`longhaul explain` and `longhaul timeline` print text").map_err(one)?;
    let tail = Tail::open(&args.run, args.sets as usize).map_err(one)?;
    let board: Shared = Arc::new(Mutex::new(Board::new(&args.run.display().to_string())));
    let (end, ended) = channel();
    let reading = Arc::clone(&board);
    let sets = args.sets as usize;
    let root = args.run.clone();
    let read = move || follow(tail, &reading, &ended);
    thread::Builder::new().name("lines".to_owned()).spawn(read).map_err(|e| one(failed(&e)))?;
    let known = Arc::clone(&board);
    let explain: Explain = Arc::new(move |id| explain_of(&root, sets, &known, id));
    let stop = stop_at_signals().map_err(one)?;
    let terminal = (Keyboard::open().map_err(|e| one(failed(&e)))?, palette);
    let shown = show(&board, &mut View::new(false), terminal, (&explain, &stop));
    // The thread ends with the process if it is just reading.
    drop(end);
    shown.map_err(|e| one(failed(&e)))?;
    Ok(RAN)
}

fn one(error: Error) -> Vec<Error> {
    vec![error]
}

fn failed(cause: &std::io::Error) -> Error {
    Error::new("terminal", cause.to_string())
}

/// What the terminal can show: drawings need UTF-8, and the font of the Linux console has few.
fn palette(style: Style) -> Palette {
    let names = ["LC_ALL", "LC_CTYPE", "LANG"];
    let locale = names.iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    let locale = locale.unwrap_or_default().to_lowercase();
    let is_console = std::env::var("TERM").is_ok_and(|term| term == "linux");
    let drawings = !is_console && (locale.contains("utf-8") || locale.contains("utf8"));
    Palette { colour: style.colour, drawings }
}

/// Whether there is a terminal that a view can be shown in.
///
/// Errors: there is none; `instead` is what works without.
pub(super) fn check_terminal(what: &str, instead: &str) -> Result<(), Error> {
    let refuse = |cause: &str| {
        let help = format!("run it in a terminal; without one, {instead}");
        Err(Error::new(what, cause).help(help))
    };
    if !std::io::stdout().is_terminal() {
        return refuse("standard output is no terminal");
    }
    if !std::io::stdin().is_terminal() && std::fs::File::open("/dev/tty").is_err() {
        return refuse("there is no terminal to read keys from");
    }
    if cli::is_dumb() || std::env::var_os("TERM").is_none_or(|term| term.is_empty()) {
        return refuse("the terminal cannot move its cursor (TERM)");
    }
    Ok(())
}

/// Reads what is new again and again, until the view has ended.
fn follow(mut tail: Tail, board: &Shared, ended: &Receiver<()>) {
    loop {
        let mut is_over = false;
        let look = tail.look(&mut |news| {
            let mut board = lock(board);
            match news {
                News::Line(set, line) => board.add(set, line),
                News::Ended(set, run) => board.ended(set, &run),
                News::Progress(done, all) => {
                    board.becomes(State::Reading(done, all));
                    is_over = ended.try_recv() == Err(TryRecvError::Disconnected);
                }
                News::Fault(text) => board.say(&text),
                News::Anew => {
                    board.empty();
                }
            }
            !is_over
        });
        let state = state_of(&look);
        {
            let mut board = lock(board);
            board.sets_more = look.older;
            board.becomes(state);
        }
        if ended.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

fn state_of(look: &Look) -> State {
    match (look.ended, look.open) {
        (0, 0) => State::Waiting("no results yet: it waits for them".to_owned()),
        (_, 0) => State::Ended,
        _ => State::Running,
    }
}

/// The text of `longhaul explain`; of a run without finished files, by the lines that are kept.
fn explain_of(root: &Path, sets: usize, board: &Shared, id: &str) -> page::Told {
    let found = Results::open(root).and_then(|all| find::explain(&all.last(sets), id));
    match found {
        Ok(told) => Ok(told),
        Err(error) => page::explain(&lock(board), id).map_err(|_| error),
    }
}
