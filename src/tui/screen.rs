//! The terminal: its keys in, cells out, and its own state back at the end.
//!
//! Owns: raw mode, the alternate screen. In: cells, bytes of keys. Out: escape sequences that any
//! terminal of the kind of xterm, tmux, screen and the Linux console takes. Never: a terminal left
//! as it is used here, whoever ends that; or a wait for the keys of a terminal that is gone.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};
use ratatui_core::terminal::Terminal;

use super::board::Board;
use super::draw::draw;
use super::keys;
pub use super::paint::Palette;
use super::view::{Key, View};

/// A screen of 80 columns and 24 rows, where the terminal does not say.
const USUAL: Size = Size { width: 80, height: 24 };

/// The alternate screen (xterm's 1049), empty, without a cursor.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[2J";
/// Terminals that have no other screen keep an empty one.
const LEAVE: &str = "\u{1b}[0m\u{1b}[2J\u{1b}[H\u{1b}[?1049l\u{1b}[?25h";

/// After the byte that Escape and sequences begin with, how long the rest is waited for.
const REST: Duration = Duration::from_millis(25);
/// Most bytes of keys that are read at once.
const KEYS_MAX: usize = 512;

/// The terminal in use and its modes before.
static TAKEN: Mutex<Option<(Arc<File>, Termios)>> = Mutex::new(None);

/// Where keys come from.
#[derive(Debug)]
pub struct Keyboard(Arc<File>);

impl Keyboard {
    /// Standard input, or the terminal of the process if that is something else. Afterwards no
    /// file need be opened.
    pub fn open() -> io::Result<Keyboard> {
        let stdin = io::stdin();
        let terminal = if stdin.is_terminal() {
            File::from(stdin.as_fd().try_clone_to_owned()?)
        } else {
            File::options().read(true).write(true).open("/dev/tty")?
        };
        Ok(Keyboard(Arc::new(terminal)))
    }

    /// Waits for bytes. Errors: the terminal is gone.
    fn has_bytes(&self, within: Duration) -> io::Result<bool> {
        let mut asked = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        let within = PollTimeout::try_from(within).unwrap_or(PollTimeout::ZERO);
        match poll(&mut asked, within) {
            // A signal, which whoever calls looks at.
            Err(Errno::EINTR) => return Ok(false),
            result => result?,
        };
        let [answer] = asked;
        let events = answer.revents().unwrap_or(PollFlags::POLLERR);
        if events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
            return Err(gone());
        }
        Ok(events.contains(PollFlags::POLLIN))
    }

    /// Adds what has been typed. Errors: the terminal is gone.
    fn read(&self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut some = [0; KEYS_MAX];
        match nix::unistd::read(&self.0, &mut some) {
            Ok(0) => Err(gone()),
            Ok(len) => {
                bytes.extend_from_slice(some.get(..len).unwrap_or_default());
                Ok(())
            }
            Err(Errno::EINTR | Errno::EAGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "it is gone")
}

/// The terminal in use.
pub struct Screen {
    terminal: Terminal<Cells<BufWriter<Stdout>>>,
    keyboard: Keyboard,
    palette: Palette,
    /// Its size at the last drawing.
    drawn: Size,
}

impl Screen {
    /// Takes the terminal.
    pub fn open(keyboard: Keyboard, palette: Palette) -> io::Result<Screen> {
        let before = tcgetattr(&keyboard.0)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        let known = (Arc::clone(&keyboard.0), before);
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        let taken = tcsetattr(&keyboard.0, SetArg::TCSANOW, &raw).map_err(io::Error::from);
        let taken = taken.and_then(|()| write_now(ENTER));
        let terminal = taken.and_then(|()| Terminal::new(Cells(BufWriter::new(io::stdout()))));
        terminal
            .map(|terminal| Screen { terminal, keyboard, palette, drawn: Size::ZERO })
            .inspect_err(|_| restore())
    }

    /// Shows the board.
    pub fn draw(&mut self, board: &Board, view: &mut View) -> io::Result<()> {
        let palette = self.palette;
        self.drawn = self.terminal.size()?;
        self.terminal.draw(|frame| draw(frame.buffer_mut(), board, view, palette)).map(drop)
    }

    /// The keys that are pressed within a time.
    ///
    /// Errors: the terminal is gone.
    pub fn keys(&mut self, within: Duration) -> io::Result<Vec<Key>> {
        let mut bytes = Vec::new();
        if self.keyboard.has_bytes(within)? {
            self.keyboard.read(&mut bytes)?;
            if keys::is_begun(&bytes) && self.keyboard.has_bytes(REST)? {
                self.keyboard.read(&mut bytes)?;
            }
        }
        Ok(keys::of(&bytes))
    }

    /// Whether the terminal has another size than at the last drawing.
    pub fn has_changed(&self) -> bool {
        self.terminal.size().unwrap_or(USUAL) != self.drawn
    }
}

fn write_now(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Gives the terminal back, once.
pub fn restore() {
    let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((terminal, before)) = taken {
        // Nothing can be done for a terminal that takes nothing any more.
        drop(write_now(LEAVE));
        let _ = tcsetattr(&terminal, SetArg::TCSAFLUSH, &before);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Cells as escape sequences.
struct Cells<W: Write>(W);

impl<W: Write> Cells<W> {
    /// Foreground and attributes of the cells that follow; backgrounds are not used.
    fn become_style(&mut self, cell: &Cell) -> io::Result<()> {
        self.0.write_all(b"\x1b[0m")?;
        for (modifier, code) in [
            (Modifier::BOLD, &b"\x1b[1m"[..]),
            (Modifier::DIM, b"\x1b[2m"),
            (Modifier::REVERSED, b"\x1b[7m"),
        ] {
            if cell.modifier.contains(modifier) {
                self.0.write_all(code)?;
            }
        }
        // Of the first eight colours (ECMA-48 8.3.117), which every terminal knows.
        let ink = match cell.fg {
            Color::Red => 31,
            Color::Green => 32,
            Color::Yellow => 33,
            Color::Cyan => 36,
            _ => return Ok(()),
        };
        write!(self.0, "\u{1b}[{ink}m")
    }
}

impl<W: Write> Cells<W> {
    /// Rows and columns of the terminal begin with 1.
    fn go(&mut self, (x, y): (u16, u16)) -> io::Result<()> {
        write!(self.0, "\u{1b}[{};{}H", u32::from(y) + 1, u32::from(x) + 1)
    }
}

impl<W: Write> Backend for Cells<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut style = None;
        let mut next = None;
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                self.go((x, y))?;
            }
            // A wide character moves the cursor farther: then it is moved again.
            next = cell.symbol().is_ascii().then(|| (x.saturating_add(1), y));
            let wanted = (cell.fg, cell.modifier);
            if style.replace(wanted) != Some(wanted) {
                self.become_style(cell)?;
            }
            self.0.write_all(cell.symbol().as_bytes())?;
        }
        self.0.write_all(b"\x1b[0m")
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.0.write_all(b"\x1b[?25l")
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.0.write_all(b"\x1b[?25h")
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        self.go((x, y))
    }

    fn clear(&mut self) -> io::Result<()> {
        self.0.write_all(b"\x1b[2J")
    }

    fn clear_region(&mut self, part: ClearType) -> io::Result<()> {
        self.0.write_all(match part {
            ClearType::All => b"\x1b[2J",
            ClearType::AfterCursor => b"\x1b[0J",
            ClearType::BeforeCursor => b"\x1b[1J",
            ClearType::CurrentLine => b"\x1b[2K",
            ClearType::UntilNewLine => b"\x1b[0K",
        })
    }

    fn size(&self) -> io::Result<Size> {
        // Without opening the terminal by its name, which a confined process may not.
        let known = terminal_size::terminal_size_of(io::stdout());
        Ok(known.map_or(USUAL, |(width, height)| Size { width: width.0, height: height.0 }))
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.size()?, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
