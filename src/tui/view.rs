//! Which part of the board is shown, and what keys change about that.
//!
//! Owns: tab, selection, order, filter, page. In: keys. Out: what whoever runs the view has to do.
//! Never: a selection that moves to another row because rows come in above it.

use super::board::Board;
use super::lists::{self, FINDING_ORDERS, Filter, SESSION_ORDERS, SUBJECT_ORDERS};
use super::page::{Answer, Page};

/// Most characters of a filter.
const FILTER_MAX: usize = 64;

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// One screen up.
    PageUp,
    /// One screen down.
    PageDown,
    /// To the first row.
    Home,
    /// To the last row.
    End,
    /// To the next tab.
    Next,
    /// To the tab before.
    Before,
    /// Opens what is selected.
    Enter,
    /// Closes what was opened.
    Escape,
    /// Deletes a character.
    Backspace,
    /// Ends the view at once.
    Interrupt,
    /// A character.
    Char(char),
}

/// What whoever runs the view has to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Nothing but drawing.
    Draw,
    /// To explain the event of this id.
    Ask(String, Answer),
    /// To end the view.
    Quit,
}

/// A part of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Incidents,
    Alerts,
    Subjects,
    Sessions,
    Losses,
    Messages,
}

impl Tab {
    pub(super) const ALL: [Tab; 7] = [
        Tab::Overview,
        Tab::Incidents,
        Tab::Alerts,
        Tab::Subjects,
        Tab::Sessions,
        Tab::Losses,
        Tab::Messages,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Tab::Overview => "Overview",
            Tab::Incidents => "Incidents",
            Tab::Alerts => "Alerts",
            Tab::Subjects => "Subjects",
            Tab::Sessions => "Sessions",
            Tab::Losses => "Losses",
            Tab::Messages => "Messages",
        }
    }

    /// The names of the orders of its rows.
    pub(super) const fn orders(self) -> &'static [&'static str] {
        match self {
            Tab::Overview | Tab::Incidents | Tab::Alerts => &FINDING_ORDERS,
            Tab::Subjects => &SUBJECT_ORDERS,
            Tab::Sessions => &SESSION_ORDERS,
            Tab::Losses | Tab::Messages => &[],
        }
    }

    const fn at(self) -> usize {
        self as usize
    }
}

/// A list: which row is selected, and which is the first one on the screen.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    /// The id of the row; none: whichever is the first.
    pub(super) selected: Option<String>,
    /// Where it was last.
    at: usize,
    pub(super) top: usize,
    pub(super) order: usize,
}

impl List {
    /// The place of the selected row among these.
    pub(super) fn place(&mut self, ids: &[&str]) -> usize {
        let Some(selected) = &self.selected else {
            (self.at, self.top) = (0, 0);
            return 0;
        };
        let found = ids.iter().position(|id| id == selected);
        self.at = found.unwrap_or_else(|| self.at.min(ids.len().saturating_sub(1)));
        self.at
    }

    /// Moves the first row so that the selected one is among `height` rows.
    pub(super) fn scroll(&mut self, rows: usize, height: usize) {
        let height = height.max(1);
        let lowest = self.at.saturating_sub(height - 1);
        self.top = self.top.clamp(lowest, self.at.max(lowest));
        self.top = self.top.min(rows.saturating_sub(height));
    }

    fn go(&mut self, ids: &[&str], to: usize) {
        self.at = to.min(ids.len().saturating_sub(1));
        // On the first row it stays with whichever is the first.
        let id = ids.get(self.at).filter(|_| self.at > 0);
        self.selected = id.map(|id| (*id).to_owned());
    }
}

/// What is shown.
#[derive(Debug)]
pub struct View {
    pub(super) tab: Tab,
    lists: [List; Tab::ALL.len()],
    pub(super) filter: Filter,
    /// A filter that is being typed.
    pub(super) typed: Option<String>,
    pub(super) page: Option<Page>,
    pub(super) is_help: bool,
    /// Whether the run is to be ended is being asked.
    pub(super) is_ending: bool,
    /// Ending the view ends a run.
    pub(super) ends_run: bool,
    /// Rows that fit, by the last drawing.
    pub(super) height: usize,
}

impl View {
    /// The overview. If the end of the view `ends_run`, that is asked before.
    pub fn new(ends_run: bool) -> View {
        let mut lists: [List; Tab::ALL.len()] = Default::default();
        // What has just come is at the top of an overview and of alerts.
        for tab in [Tab::Overview, Tab::Alerts] {
            if let Some(list) = lists.get_mut(tab.at()) {
                list.order = 1;
            }
        }
        View {
            tab: Tab::Overview,
            lists,
            filter: Filter::default(),
            typed: None,
            page: None,
            is_help: false,
            is_ending: false,
            ends_run,
            height: 1,
        }
    }

    /// Whether it waits for an answer.
    pub fn is_asking(&self) -> bool {
        self.page.as_ref().is_some_and(|page| !page.is_answered())
    }

    /// The list of the tab.
    pub(super) fn list(&self) -> List {
        self.lists.get(self.tab.at()).cloned().unwrap_or_default()
    }

    pub(super) fn keep(&mut self, list: List) {
        if let Some(own) = self.lists.get_mut(self.tab.at()) {
            *own = list;
        }
    }

    /// The ids of the rows of the tab.
    pub(super) fn ids<'b>(&self, board: &'b Board) -> Vec<&'b str> {
        let (filter, order) = (&self.filter, self.list().order);
        let findings = |of| -> Vec<&'b str> {
            lists::findings(of, filter, order).into_iter().map(|row| &*row.id).collect()
        };
        match self.tab {
            Tab::Overview | Tab::Incidents => findings(&board.incidents),
            Tab::Alerts => findings(&board.alerts),
            Tab::Subjects => {
                lists::subjects(board, filter, order).into_iter().map(|row| &*row.id).collect()
            }
            Tab::Sessions => {
                lists::sessions(board, filter, order).into_iter().map(|row| &*row.id).collect()
            }
            Tab::Losses | Tab::Messages => Vec::new(),
        }
    }

    /// A key was pressed.
    pub fn key(&mut self, key: Key, board: &Board) -> Action {
        if key == Key::Interrupt {
            return Action::Quit;
        }
        if let Some(typed) = self.typed.take() {
            self.type_filter(key, typed);
            return Action::Draw;
        }
        if std::mem::take(&mut self.is_ending) {
            return if key == Key::Char('y') { Action::Quit } else { Action::Draw };
        }
        match key {
            _ if std::mem::take(&mut self.is_help) => Action::Draw,
            Key::Char('q') if self.ends_run => {
                self.is_ending = true;
                Action::Draw
            }
            Key::Char('q') => Action::Quit,
            Key::Char('?') => {
                self.is_help = true;
                Action::Draw
            }
            Key::Next | Key::Before => {
                self.turn(if key == Key::Next { 1 } else { Tab::ALL.len() - 1 });
                Action::Draw
            }
            Key::Char(digit @ '1'..='7') => {
                let at = (digit as usize).saturating_sub('1' as usize);
                self.tab = Tab::ALL.get(at).copied().unwrap_or(self.tab);
                self.page = None;
                Action::Draw
            }
            _ if self.page.is_some() => {
                self.turn_page(key);
                Action::Draw
            }
            _ => self.list_key(key, board),
        }
    }

    fn turn(&mut self, by: usize) {
        let at = (self.tab.at() + by) % Tab::ALL.len();
        self.tab = Tab::ALL.get(at).copied().unwrap_or(self.tab);
        self.page = None;
    }

    fn type_filter(&mut self, key: Key, mut typed: String) {
        match key {
            Key::Enter => self.filter.text = typed.to_lowercase(),
            Key::Escape => {}
            Key::Backspace => {
                typed.pop();
                self.typed = Some(typed);
            }
            Key::Char(c) if typed.chars().count() < FILTER_MAX => {
                typed.push(c);
                self.typed = Some(typed);
            }
            _ => self.typed = Some(typed),
        }
    }

    fn turn_page(&mut self, key: Key) {
        let step = self.height.saturating_sub(1).max(1);
        let Some(page) = &mut self.page else { return };
        match key {
            Key::Up | Key::Char('k') => page.top = page.top.saturating_sub(1),
            Key::Down | Key::Char('j') => page.top = page.top.saturating_add(1),
            Key::PageUp | Key::Char('b') => page.top = page.top.saturating_sub(step),
            Key::PageDown | Key::Char(' ') => page.top = page.top.saturating_add(step),
            Key::Home | Key::Char('g') => page.top = 0,
            // Drawing knows how many lines there are.
            Key::End | Key::Char('G') => page.top = usize::MAX,
            Key::Escape | Key::Backspace | Key::Enter => self.page = None,
            _ => {}
        }
    }

    fn list_key(&mut self, key: Key, board: &Board) -> Action {
        let ids = self.ids(board);
        let mut list = self.list();
        let at = list.place(&ids);
        let step = self.height.saturating_sub(1).max(1);
        match key {
            Key::Up | Key::Char('k') => list.go(&ids, at.saturating_sub(1)),
            Key::Down | Key::Char('j') => list.go(&ids, at + 1),
            Key::PageUp | Key::Char('b') => list.go(&ids, at.saturating_sub(step)),
            Key::PageDown | Key::Char(' ') => list.go(&ids, at + step),
            Key::Home | Key::Char('g') => list.go(&ids, 0),
            Key::End | Key::Char('G') => list.go(&ids, usize::MAX),
            Key::Char('s') if !self.tab.orders().is_empty() => {
                list = List { order: (list.order + 1) % self.tab.orders().len(), ..List::default() }
            }
            Key::Char('/') => self.typed = Some(String::new()),
            Key::Escape => self.filter = Filter::default(),
            Key::Enter => {
                let id = ids.get(at).map(|id| (*id).to_owned());
                return id.map_or(Action::Draw, |id| self.open(id));
            }
            _ => {}
        }
        self.keep(list);
        Action::Draw
    }

    /// Opens a row: of a subject its sessions, of others their explanation.
    fn open(&mut self, id: String) -> Action {
        if self.tab == Tab::Subjects {
            self.filter = Filter { text: String::new(), subject: Some(id) };
            self.tab = Tab::Sessions;
            return Action::Draw;
        }
        let page = Page::new();
        let answer = page.answer.clone();
        self.page = Some(page);
        Action::Ask(id, answer)
    }
}
