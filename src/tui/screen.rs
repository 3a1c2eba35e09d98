//! The terminal: its keys in, cells out, and its own state back at the end.
//!
//! Owns: raw mode, the alternate screen. In: cells, bytes of keys. Out: escape sequences that any
//! terminal of the kind of xterm, tmux, screen and the Linux console takes. Never: a terminal left
//! as it is used here: whoever drops the screen gets it as it was.

use std::io::{self, BufWriter, Stdout, Write};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Print, SetAttribute};
use crossterm::terminal::{
    Clear, ClearType as Part, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};
use ratatui_core::terminal::Terminal;

use super::board::Board;
use super::draw::draw;
pub use super::paint::Palette;
use super::view::{Key, View};

/// A screen of 80 columns and 24 rows, where the terminal does not say.
const USUAL: Size = Size { width: 80, height: 24 };

/// The terminal in use.
pub struct Screen {
    terminal: Terminal<Cells<BufWriter<Stdout>>>,
    palette: Palette,
}

impl Screen {
    /// Prepares the terminal's keys, before anything is shown: afterwards no file need be opened.
    pub fn prepare() -> io::Result<()> {
        event::poll(Duration::ZERO).map(drop)
    }

    /// Takes the terminal.
    pub fn open(palette: Palette) -> io::Result<Screen> {
        let terminal = Terminal::new(Cells(BufWriter::new(io::stdout())))?;
        let screen = Screen { terminal, palette };
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, Hide, Clear(Part::All))?;
        Ok(screen)
    }

    /// Shows the board.
    pub fn draw(&mut self, board: &Board, view: &mut View) -> io::Result<()> {
        let palette = self.palette;
        self.terminal.draw(|frame| draw(frame.buffer_mut(), board, view, palette)).map(drop)
    }

    /// The next key within a time. `Some(None)`: the screen has another size.
    pub fn key(&mut self, within: Duration) -> io::Result<Option<Option<Key>>> {
        match event::poll(within) {
            Ok(true) => Ok(match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => key_of(key).map(Some),
                Event::Resize(..) => Some(None),
                _ => None,
            }),
            Ok(false) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Some(None)),
            Err(error) => Err(error),
        }
    }
}

/// Gives the terminal back; a second time nothing happens that can be seen.
pub fn restore() {
    // Nothing can be done about a terminal that takes nothing any more. Those that have no other
    // screen keep an empty one.
    drop(execute!(
        io::stdout(),
        SetAttribute(Attribute::Reset),
        Clear(Part::All),
        MoveTo(0, 0),
        LeaveAlternateScreen,
        Show
    ));
    drop(disable_raw_mode());
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn key_of(key: KeyEvent) -> Option<Key> {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('c' | 'd') if is_control => Key::Interrupt,
        KeyCode::Char('h') if is_control => Key::Backspace,
        KeyCode::Char(_) if is_control => return None,
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Tab | KeyCode::Right => Key::Next,
        KeyCode::BackTab | KeyCode::Left => Key::Before,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    })
}

/// Cells as escape sequences.
struct Cells<W: Write>(W);

impl<W: Write> Cells<W> {
    /// Foreground and attributes of the cells that follow; backgrounds are not used.
    fn become_style(&mut self, cell: &Cell) -> io::Result<()> {
        queue!(self.0, SetAttribute(Attribute::Reset))?;
        for (modifier, attribute) in [
            (Modifier::BOLD, Attribute::Bold),
            (Modifier::DIM, Attribute::Dim),
            (Modifier::REVERSED, Attribute::Reverse),
        ] {
            if cell.modifier.contains(modifier) {
                queue!(self.0, SetAttribute(attribute))?;
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
                queue!(self.0, MoveTo(x, y))?;
            }
            // A wide character moves the cursor farther: then it is moved again.
            next = cell.symbol().is_ascii().then(|| (x.saturating_add(1), y));
            let wanted = (cell.fg, cell.modifier);
            if style.replace(wanted) != Some(wanted) {
                self.become_style(cell)?;
            }
            queue!(self.0, Print(cell.symbol()))?;
        }
        queue!(self.0, SetAttribute(Attribute::Reset))
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        queue!(self.0, Hide)
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        queue!(self.0, Show)
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        queue!(self.0, MoveTo(x, y))
    }

    fn clear(&mut self) -> io::Result<()> {
        queue!(self.0, Clear(Part::All))
    }

    fn clear_region(&mut self, part: ClearType) -> io::Result<()> {
        queue!(
            self.0,
            Clear(match part {
                ClearType::All => Part::All,
                ClearType::AfterCursor => Part::FromCursorDown,
                ClearType::BeforeCursor => Part::FromCursorUp,
                ClearType::CurrentLine => Part::CurrentLine,
                ClearType::UntilNewLine => Part::UntilNewLine,
            })
        )
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
