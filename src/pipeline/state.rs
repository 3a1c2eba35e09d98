//! The state directory: what one run learns, the next one knows.
//!
//! Owns: the directory's lock, the file of baselines, when that is written. In: a plan, sessions.
//! Out: baselines from disk and back, whole or not at all.
//! Never: a file that is half written, or one overwritten that could not be read.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::bounded;
use crate::config::memory::{Bounds, MEMORY, Shares};
use crate::config::{LEARN_DAYS, Plan};
use crate::detect::ledger::{Ledger, LedgerConfig};
use crate::endpoints::EndpointSummary;
use crate::endpoints::baseline::{BaselineConfig, Baselines};
pub use crate::endpoints::baseline::{BaselineRow, BaselineTotals};
use crate::endpoints::people::People;
use crate::model::endpoint_facts::BaselineOf;
use crate::model::{Error, Nanos};
use crate::pipeline::ledger_bounds::ledger_config;
use crate::pipeline::stored_ledger::StoredLedger;
use crate::pipeline::stored_people;
use crate::sinks::files::OutFile;

/// The file of baselines in a state directory.
pub const FILE: &str = "baselines";

/// Maximum size of that file, in bytes: far more than the cap on baselines allows.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// How often a live run writes its baselines, in packet time.
const SAVE_EVERY: Nanos = Nanos::from_secs(300);

/// An open state directory, locked for writing.
#[derive(Debug)]
pub struct State {
    dir: PathBuf,
    /// Holds the lock; the system releases it when the process ends, however it ends.
    _lock: File,
    /// What was learned.
    pub baselines: Baselines,
    /// When a live run last wrote it.
    saved: Option<Nanos>,
    /// Evictions that were counted.
    counted: u64,
    /// Baselines are learned and used; else the directory only carries alerts and people on.
    learns: bool,
}

/// What earlier runs have left in a state directory.
pub(super) struct Opened {
    pub(super) state: State,
    pub(super) stored: StoredLedger,
    pub(super) ledger: Ledger,
    pub(super) people: People,
}

impl Opened {
    fn from(dir: &Path, plan: &Plan) -> Result<Opened, Error> {
        let state = State::open(dir, config(plan))?;
        let bounds = Bounds::of(plan);
        let (stored, ledger) = StoredLedger::open(dir, ledger_config(&bounds))?;
        let people = stored_people::read(dir, bounds.people_bytes)?;
        Ok(Opened { state, stored, ledger, people })
    }

    /// A directory that carries alerts, incidents and people from one set of a run to the next, and
    /// nothing that is learned.
    pub(super) fn between_sets(dir: &Path, plan: &Plan) -> Result<Opened, Error> {
        let mut opened = Opened::from(dir, plan)?;
        opened.state.learns = false;
        Ok(opened)
    }
}

impl State {
    /// Opens a state directory, created if missing, and reads its file.
    ///
    /// Errors: it cannot be created or read; another process uses it; its file is damaged, of
    /// another version or something else. That file is left as it is.
    pub fn open(dir: &Path, config: BaselineConfig) -> Result<State, Error> {
        fs::create_dir_all(dir).map_err(|cause| {
            failed(dir, cause.to_string())
                .help("choose a directory that can be created and written to")
        })?;
        let lock = lock(dir)?;
        let baselines = match load(dir, config)? {
            Some(baselines) => baselines,
            None => Baselines::new(config),
        };
        let dir = dir.to_path_buf();
        Ok(State { dir, _lock: lock, baselines, saved: None, counted: 0, learns: true })
    }

    /// The state directory of a plan, if it names one.
    pub(super) fn of(plan: &Plan) -> Result<Option<Opened>, Error> {
        plan.state.as_deref().map(|dir| Opened::from(dir, plan)).transpose()
    }

    pub(super) fn learn(&mut self, session: &EndpointSummary) {
        if self.learns {
            self.baselines.learn(session);
        }
    }

    /// What endpoints are held against.
    pub(super) fn learned(&self) -> Option<&Baselines> {
        self.learns.then_some(&self.baselines)
    }

    /// Writes what was learned, where the last time is long enough ago; the first call begins to
    /// count. Whether it was written.
    pub(super) fn save_in_time(&mut self, now: Nanos) -> Result<bool, Error> {
        let last = *self.saved.get_or_insert(now);
        if now.since(last) < SAVE_EVERY {
            return Ok(false);
        }
        self.saved = Some(now);
        self.save().map(|()| true)
    }

    /// Writes the baselines: under a temporary name, synced, then renamed over the last file.
    pub fn save(&self) -> Result<(), Error> {
        if !self.learns {
            return Ok(());
        }
        let mut file = OutFile::replace(&self.dir.join(FILE))?;
        file.write(&self.baselines.encode())?;
        file.finish()
    }

    /// Writes the people beside the baselines.
    pub(super) fn save_people(&self, people: &People) -> Result<(), Error> {
        stored_people::save(&self.dir, people)
    }

    /// Entries evicted at the cap since the last call.
    pub(super) fn newly_dropped(&mut self) -> u64 {
        let dropped = self.baselines.dropped();
        dropped - std::mem::replace(&mut self.counted, dropped)
    }
}

/// The baseline settings of a plan.
pub(super) fn config(plan: &Plan) -> BaselineConfig {
    let learn = days(plan.days_to_learn());
    BaselineConfig { cap: plan.caps.baselines, learn }
}

fn days(days: usize) -> Nanos {
    Nanos::from_secs((days as u64).saturating_mul(86_400))
}

/// Reads a directory's baselines, however many, without locking it.
pub fn read(dir: &Path, learn_days: Option<usize>) -> Result<Baselines, Error> {
    let learn = days(learn_days.unwrap_or(LEARN_DAYS));
    load(dir, BaselineConfig { cap: usize::MAX, learn })?.ok_or_else(|| {
        failed(dir, format!("there is no file `{FILE}` in it"))
            .help("name a directory that was given to longhaul read or live with --state")
    })
}

/// Adds the baselines, people and ledgers of the directories `from` to `into`, and writes them: all
/// baselines, or nothing. The ledger is written first: one that is added again says the same.
pub fn merge(into: &Path, from: &[PathBuf], cap: usize) -> Result<BaselineTotals, Vec<Error>> {
    let config = BaselineConfig { cap, learn: days(LEARN_DAYS) };
    let mut state = State::open(into, config).map_err(|e| vec![e])?;
    let own = fs::canonicalize(into).ok();
    let shares = Shares::of(MEMORY);
    let (entries, subjects) = (shares.repeats, shares.subjects);
    let ledger_config = LedgerConfig { entries, subjects, groups: shares.groups };
    let (mut stored, ledger) = StoredLedger::open(into, ledger_config).map_err(|e| vec![e])?;
    let mut people = stored_people::read(into, shares.people).map_err(|e| vec![e])?;
    let mut ledgers = vec![ledger];
    let mut seen: Vec<Option<PathBuf>> = vec![own];
    let mut errors = Vec::new();
    for dir in from {
        let real = fs::canonicalize(dir).ok();
        if real.is_some() && seen.contains(&real) {
            let help = "name each directory once: what is added twice counts twice";
            errors.push(failed(dir, "it is named twice").help(help));
            continue;
        }
        seen.push(real);
        match read(dir, None) {
            Ok(baselines) => state.baselines.merge(baselines),
            Err(error) => errors.push(error),
        }
        match StoredLedger::open(dir, ledger_config) {
            Ok((_, ledger)) => ledgers.push(ledger),
            Err(error) => errors.push(error),
        }
        match stored_people::read(dir, shares.people) {
            Ok(others) => people.merge(others),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let ledger = Ledger::combine(ledger_config, ledgers);
    if !ledger.is_empty() {
        stored.save(&ledger).map_err(|e| vec![e])?;
    }
    if !people.is_empty() {
        state.save_people(&people).map_err(|e| vec![e])?;
    }
    state.baselines.trim();
    state.save().map_err(|e| vec![e])?;
    Ok(state.baselines.totals())
}

/// Locks the directory itself, so that no lock file is needed.
fn lock(dir: &Path) -> Result<File, Error> {
    let open = File::open(dir).map_err(|cause| failed(dir, cause.to_string()))?;
    match open.try_lock() {
        Ok(()) => Ok(open),
        Err(TryLockError::WouldBlock) => Err(failed(dir, "another process is using it").help(
            "give each process a directory of its own; longhaul state merge brings them together",
        )),
        Err(TryLockError::Error(cause)) if cause.kind() == ErrorKind::Unsupported => Ok(open),
        Err(TryLockError::Error(cause)) => Err(failed(dir, cause.to_string())),
    }
}

/// The content of the directory's file; `None` if there is none.
fn load(dir: &Path, config: BaselineConfig) -> Result<Option<Baselines>, Error> {
    let path = dir.join(FILE);
    let problem = |cause: String| Error::new(format!("state {}", path.display()), cause);
    if fs::metadata(&path).is_err_and(|cause| cause.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    let bytes = bounded::file::read(&path, FILE_BYTES_MAX).map_err(|cause| {
        problem(cause).help("check that this user may read it; it was not changed")
    })?;
    let baselines = Baselines::decode(config, &bytes);
    baselines.map(Some).map_err(|why| problem(why.to_string()).help(why.remedy()))
}

fn failed(dir: &Path, cause: impl Into<String>) -> Error {
    Error::new(format!("state directory {}", dir.display()), cause)
}

/// The state in run.json.
pub(super) fn report(totals: &BaselineTotals) -> Value {
    let (first, last) = totals.span.unzip();
    let text = |time: Option<Nanos>| time.map(|time| time.to_string());
    let mut report = json!({
        "first": text(first),
        "last": text(last),
        "sessions": totals.sessions,
        "learning": totals.learning(),
        "learns_until": text(totals.learns_until),
    });
    for (of, (entries, usable)) in BaselineOf::ALL.into_iter().zip(totals.tables) {
        if let Some(report) = report.as_object_mut() {
            report.insert(plural(of).to_owned(), json!({ "entries": entries, "usable": usable }));
        }
    }
    report
}

/// The plural of a kind.
pub const fn plural(of: BaselineOf) -> &'static str {
    match of {
        BaselineOf::Prefix => "prefixes",
        BaselineOf::Network => "networks",
        BaselineOf::Destination => "destinations",
        BaselineOf::Subject => "subjects",
    }
}

/// The message for users: whether alerts may rest on baselines.
pub fn sentence(totals: &BaselineTotals) -> String {
    let usable: u64 = totals.tables.iter().map(|(_, usable)| usable).sum();
    let entries: u64 = totals.tables.iter().map(|(entries, _)| entries).sum();
    let have = format!("{usable} of {entries} baselines rest on enough sessions and days");
    match totals.learns_until.filter(|_| totals.learning()) {
        Some(until) => format!(
            "still learning, until {} in packet time: no alert rests on what was learned before \
             that; {have}",
            minute(until)
        ),
        None if totals.span.is_none() => {
            "still learning, from the first session on: no alert rests on what is learned before \
             the days to learn are over"
                .to_owned()
        }
        None => format!("endpoints are held against what was learned; {have}"),
    }
}

/// A time to the minute.
fn minute(time: Nanos) -> String {
    let text = time.to_string();
    let minute = text.get(..16).unwrap_or(&text).replace('T', " ");
    format!("{minute} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BaselineConfig = BaselineConfig { cap: 16, learn: Nanos::from_secs(86_400) };

    #[test]
    fn a_live_run_writes_each_five_minutes_of_packets() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made").join("here");
        let mut state = State::open(&path, CONFIG).unwrap();
        let second = |n: u64| Nanos::from_secs(1_700_000_000 + n);
        for (now, written) in [(0, false), (299, false), (300, true), (301, false), (601, true)] {
            state.save_in_time(second(now)).unwrap();
            assert_eq!(path.join(FILE).exists(), written, "{now}");
            let _ = fs::remove_file(path.join(FILE));
        }
    }

    #[test]
    fn a_state_directory_is_locked_by_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path(), CONFIG).unwrap();
        let error = State::open(dir.path(), CONFIG).unwrap_err();
        assert!(error.cause.contains("another process") && error.help.is_some(), "{error}");
        state.save().unwrap();
        drop(state);
        assert_eq!(State::open(dir.path(), CONFIG).unwrap().baselines.totals().sessions, 0);
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "no lock file");
    }

    #[test]
    fn a_state_that_is_not_a_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(FILE)).unwrap();
        let error = State::open(dir.path(), CONFIG).unwrap_err();
        assert!(error.cause.contains("not a regular file"), "{error}");
    }

    #[test]
    fn the_summary_says_whether_baselines_raise_alerts() {
        let learning = BaselineTotals {
            span: Some((Nanos::from_secs(1_700_000_000), Nanos::from_secs(1_700_086_399))),
            learns_until: Some(Nanos::from_secs(1_700_086_400)),
            tables: [(5, 2), (1, 1), (0, 0), (0, 0)],
            ..BaselineTotals::default()
        };
        let said = sentence(&learning);
        assert!(said.contains("still learning, until 2023-11-15 22:13 UTC"), "{said}");
        let over = BaselineTotals { learns_until: learning.span.map(|(_, last)| last), ..learning };
        let said = sentence(&over);
        assert!(said.contains("held against") && said.contains("3 of 6 baselines"), "{said}");
        assert!(sentence(&BaselineTotals::default()).contains("from the first session on"));
        assert_eq!(report(&over)["prefixes"], json!({"entries": 5, "usable": 2}));
    }
}
