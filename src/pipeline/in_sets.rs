//! Many files read in sets, each a result of its own: a run that is killed goes on behind the last
//! set that is finished.
//!
//! A set is a run by itself: a new reader, new workers, a new correlator; only alerts, incidents
//! and people that are known are handed on. So what is in memory at the end of a set does not
//! matter, and a run that goes on after a kill writes the same bytes as one that nobody killed.
//!
//! Owns: the order of sets, what each of them reads. In: a plan. Out: sets of files. Never: a
//! result that depends on when the run was killed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use serde_json::{Map, Value, json};

use crate::bounded;
use crate::capture::block::BLOCK_BYTES;
use crate::capture::{BlockPool, Cut, InputSpec, Interrupt, MergedSource};
use crate::config::{Output, Plan};
use crate::model::{Counter, Counters, Error, units};
use crate::pipeline::outputs::{self, RunFacts};
use crate::pipeline::own_sessions::{Left, Scope};
use crate::pipeline::prepare::{Points, Prepared};
use crate::pipeline::progress::Progress;
use crate::pipeline::set_notes::{At, Begun, Input, Notes, sum};
use crate::pipeline::state::Opened;
use crate::pipeline::{Outcome, prepared, read};
use crate::sinks::SetFacts;

/// Most bytes of a file that an option names.
const OPTION_BYTES_MAX: u64 = 1 << 30;

/// Options that change no result, and whether a value follows.
const IDLE: [(&str, bool); 4] =
    [("--resume", false), ("--quiet", false), ("-q", false), ("--workers", true)];

/// What a run in sets has come to.
#[derive(Debug, Default)]
pub struct InSets {
    /// Sets that this run has written.
    pub written: u32,
    /// Those that it found.
    pub found: u32,
    /// A signal ended it before the last set.
    pub interrupted: bool,
}

/// The inputs of a run in sets, in the order in which they are read.
struct Inputs {
    /// Those with packets.
    order: Vec<InputSpec>,
    /// These as they were at the beginning.
    then: Vec<Input>,
    /// All, for the first set: it reports those without.
    all: Vec<InputSpec>,
    points: Points,
}

/// Where a set begins.
struct Begin {
    number: u32,
    /// The first input of its own, and the first that it reads.
    own: u16,
    again: u16,
    /// What the set before has left.
    left: Left,
}

/// Reads in sets of `bytes` to the end, or until `interrupt` stops it. `each` sees every set once
/// it is written.
pub fn run(
    (plan, bytes): (&Plan, u64),
    progress: &mut dyn Progress,
    interrupt: &Interrupt,
    each: &mut dyn FnMut(&Outcome),
) -> Result<InSets, Vec<Error>> {
    let one = |error: Error| vec![error];
    let Output::Dir { path: root, .. } = &plan.output else {
        return Err(one(
            Error::new("--resume", "there is no directory to go on with").help("add --out DIR")
        ));
    };
    if plan.state.is_some() || plan.learn_only {
        let cause = "sets have a state of their own: none is read or kept, and nothing is learned";
        return Err(one(Error::new("--resume", cause)
            .help("leave out `state` and `learn_only`, in the file of --config too")));
    }
    let mut prepared = prepared(plan)?;
    prepared.read_options.interrupt = interrupt.clone();
    let inputs = Inputs::of(&prepared).map_err(one)?;
    let begun = begun(plan, &prepared)?;
    let (notes, at) = Notes::open(root, &begun).map_err(one)?;
    let mut sets = InSets::default();
    let mut next = match at {
        At::Start => Some(Begin { number: 1, own: 0, again: 0, left: Left::default() }),
        At::Behind(number, note, left) => {
            sets.found = number;
            let begin = |own| Begin { number: number + 1, own, again: note.again, left };
            note.next.map(begin)
        }
        At::Done => {
            sets.found = (1u32..).take_while(|set| notes.set(*set).is_dir()).last().unwrap_or(0);
            return Ok(sets);
        }
    };
    while let Some(begin) = next {
        // A signal may have come while the inputs were looked at, or between two sets.
        if interrupt.is_requested() {
            sets.interrupted = true;
            return Ok(sets);
        }
        let number = begin.number;
        let scope = inputs.assign((&begin, bytes), &mut prepared);
        let then = inputs.then.get(usize::from(begin.again)..).unwrap_or_default();
        let set = Set { plan, prepared: &prepared, notes: &notes, scope, then };
        let Some((outcome, after)) = set.write(begin, progress)? else {
            sets.interrupted = true;
            return Ok(sets);
        };
        sets.written += 1;
        each(&outcome);
        notes.forget_before(number).map_err(one)?;
        next = after;
    }
    notes.finish(&begun).map_err(one)?;
    Ok(sets)
}

impl Inputs {
    /// Looks at the first packets of all, for the order.
    fn of(prepared: &Prepared) -> Result<Inputs, Error> {
        let all = prepared.inputs.clone();
        if let Some(stream) = all.iter().find(|input| input.is_stream()) {
            let what = format!("input {}", stream.path.display());
            return Err(Error::new(what, "what can be read only once cannot be read on with")
                .help("write it to a file, or leave out --resume"));
        }
        let pool = BlockPool::new(BLOCK_BYTES, 1);
        let options = &prepared.read_options;
        let cut = Some(Arc::new(Cut::new(u64::MAX, 0)));
        let source = MergedSource::open(all.clone(), &pool, options.clone().with_cut(cut));
        let by_path: HashMap<&Path, &InputSpec> =
            all.iter().map(|input| (input.path.as_path(), input)).collect();
        let paths = (0..=u16::MAX).map_while(|file| source.path(file));
        let inputs = paths.filter_map(|path| by_path.get(path).copied());
        let order: Vec<InputSpec> = inputs.cloned().collect();
        // Numbered once for all sets: ids of sessions have the number in them.
        let mut points = Points::default();
        for (file, input) in (0..=u16::MAX).zip(&order) {
            points.of(prepared.point_by, file, &input.path);
        }
        let then = order.iter().map(|input| as_it_is(&input.path)).collect();
        Ok(Inputs { order, then, all, points })
    }

    /// Gives a set its inputs.
    fn assign(&self, (begin, bytes): (&Begin, u64), prepared: &mut Prepared) -> Arc<Scope> {
        let again = usize::from(begin.again);
        prepared.inputs = match again {
            0 if begin.own == 0 => self.all.clone(),
            _ => self.order.get(again..).unwrap_or_default().to_vec(),
        };
        prepared.points = self.points.clone().behind(begin.again);
        let cut = Arc::new(Cut::new(bytes, begin.own.saturating_sub(begin.again)));
        let options = std::mem::take(&mut prepared.read_options);
        prepared.read_options = options.with_cut(Some(Arc::clone(&cut)));
        let scope = Arc::new(Scope::new(cut, &begin.left));
        prepared.scope = Some(Arc::clone(&scope));
        scope
    }
}

/// One set of a run.
struct Set<'r> {
    plan: &'r Plan,
    prepared: &'r Prepared,
    notes: &'r Notes,
    scope: Arc<Scope>,
    /// The files that it is to read, and those of later sets, as they were at the beginning.
    then: &'r [Input],
}

impl Set<'_> {
    /// Reads and writes it; where the next one begins, if there is one. None if a signal ended it:
    /// nothing of it is left then.
    fn write(
        &self,
        begin: Begin,
        progress: &mut dyn Progress,
    ) -> Result<Option<(Outcome, Option<Begin>)>, Vec<Error>> {
        let one = |error: Error| vec![error];
        let Set { plan, prepared, notes, scope, .. } = self;
        let Begin { number, again, .. } = begin;
        notes.clear(number).map_err(one)?;
        let output = Output::Dir { path: notes.set(number), force: false };
        let plan = &Plan { output, ..Plan::clone(plan) };
        let state = notes.begin_state(number).and_then(|dir| Opened::between_sets(&dir, plan));
        let state = state.map_err(one)?;
        let unfinished = read(plan, prepared, Some(state), (progress, None))?;
        if unfinished.outcome.interrupted {
            return Ok(None);
        }
        let mut unfinished = unfinished.readable()?;
        self.check(&unfinished.outcome).map_err(one)?;
        let (left, missed) = scope.take_left();
        let outcome = &mut unfinished.outcome;
        outcome.counters.add(Counter::SessionsMissed, missed);
        outcome.remarks.extend(self.remarks(&begin));
        outcome.save_state()?;
        let next = scope.next().map(|next| again.saturating_add(next));
        // Without an open session, the files behind the last place: names of addresses are in them.
        let first = left.first.or(scope.next());
        let place = first.and_then(|first| scope.place_before(first)).unwrap_or_default();
        let place = again.saturating_add(place);
        notes.note_set(number, (next, place), &left).map_err(one)?;
        let outcome = unfinished.finish(plan, prepared)?;
        let after = next.map(|own| Begin { number: number + 1, own, again: place, left });
        Ok(Some((outcome, after)))
    }

    /// Sets know inputs by their numbers: these must be those of the beginning.
    fn check(&self, outcome: &Outcome) -> Result<(), Error> {
        let refuse = |what: &str, cause: &str| {
            Err(Error::new(what, cause)
                .help("put it back as it was and give the same command, or begin anew"))
        };
        let mut pairs = self.then.iter().zip(&outcome.names);
        let other = pairs.find(|(then, now)| then.path != now.to_string_lossy());
        if other.is_some() || outcome.names.len() != self.then.len() {
            let what = other.map_or("inputs", |(then, _)| &then.path);
            return refuse(what, "it can no longer be read as at the beginning of the run");
        }
        // Later sets look at theirs themselves.
        let read = self.scope.next().map_or(self.then.len(), usize::from);
        let mut pairs = self.then.iter().zip(&outcome.names).take(read);
        match pairs.find(|(then, now)| **then != as_it_is(now)) {
            Some((then, _)) => refuse(&then.path, "it was written to since the run began"),
            None => Ok(()),
        }
    }

    /// What a reader of the set must know.
    fn remarks(&self, begin: &Begin) -> Option<String> {
        let again = begin.own.saturating_sub(begin.again);
        (again > 0).then(|| {
            let files = units::number_of(usize::from(again), "file");
            let open = units::number_of(begin.left.open.len(), "session");
            format!(
                "set {}: {files} of the set before were read again, for {open} that were open at \
                 its end; names and holders of addresses that were seen earlier are not known here",
                begin.number
            )
        })
    }
}

/// A file as it is now.
fn as_it_is(path: &Path) -> Input {
    let meta = fs::metadata(path).ok();
    let modified = meta.as_ref().and_then(|meta| meta.modified().ok());
    let since = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    Input {
        path: path.to_string_lossy().into_owned(),
        bytes: meta.map_or(0, |meta| meta.len()),
        modified: since.and_then(|since| u64::try_from(since.as_nanos()).ok()),
    }
}

/// What the run is begun with.
fn begun(plan: &Plan, prepared: &Prepared) -> Result<Begun, Vec<Error>> {
    Ok(Begun {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        words: words(&plan.arguments),
        shape: shape(plan, prepared)?,
        inputs: prepared.inputs.iter().map(|input| as_it_is(&input.path)).collect(),
        done: false,
    })
}

/// The command line without what changes no result.
fn words(arguments: &[String]) -> Vec<String> {
    let mut words = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(word) = arguments.next() {
        match IDLE.iter().find(|(idle, _)| word == idle) {
            Some((_, true)) => drop(arguments.next()),
            Some((_, false)) => {}
            None if word.starts_with("--workers=") => {}
            None => words.push(word.clone()),
        }
    }
    words
}

/// Everything else that results depend on: as run.json has it, and the files that options name.
fn shape(plan: &Plan, prepared: &Prepared) -> Result<Value, Vec<Error>> {
    let facts = RunFacts {
        files: &[],
        names: &[],
        old_lists: &[],
        one_way_feeds: Vec::new(),
        interrupted: false,
        warnings: &[],
        learned: None,
        copies: None,
        endpoints: 0,
        remarks: &[],
    };
    let counters = Counters::default();
    let set = SetFacts { counters, alerts: 0, incidents: 0, incomplete: None };
    let run = outputs::report(plan, prepared, &facts, set);
    let mut shape = Map::new();
    shape.insert("arguments".to_owned(), json!(run.arguments));
    shape.insert("sensor".to_owned(), json!(run.sensor));
    shape.insert("rules".to_owned(), json!(run.rules));
    shape.insert("geo".to_owned(), json!(run.geo));
    shape.insert("lists".to_owned(), json!(run.lists));
    let named: [(&str, &Option<PathBuf>); 3] =
        [("config", &plan.config), ("subjects", &plan.subjects), ("key", &plan.pseudonymise)];
    for (name, path) in named {
        let Some(path) = path else { continue };
        let bytes = bounded::file::read(path, OPTION_BYTES_MAX).map_err(|cause| {
            vec![Error::new(name, cause).at(path, 0).help("see whether this user may read it")]
        })?;
        shape.insert(name.to_owned(), json!(sum(&bytes)));
    }
    Ok(Value::Object(shape))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::NoProgress;

    #[test]
    fn options_that_change_no_result_may_differ() {
        let all = ["read", "in", "--resume", "--workers", "3", "-q", "--workers=2", "--out", "x"];
        let all = all.map(str::to_owned);
        assert_eq!(words(&all), ["read", "in", "--out", "x"]);
    }

    #[test]
    fn a_signal_is_no_error_and_a_file_that_changes_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let input = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/demo/farm.pcap.zst");
        let output = Output::Dir { path: folder.path().join("out"), force: false };
        let inputs = vec![PathBuf::from(input)];
        let plan = Plan { inputs, output, workers: 1, quiet: true, ..Plan::default() };
        let interrupt = Interrupt::new().unwrap();
        interrupt.end_files();
        let sets = run((&plan, 1), &mut NoProgress, &interrupt, &mut |_| {}).unwrap();
        assert!(sets.interrupted && sets.written == 0, "before the first set: {sets:?}");
        let mut prepared = prepared(&plan).unwrap();
        let mut inputs = Inputs::of(&prepared).unwrap();
        prepared.read_options.interrupt = interrupt;
        let begun = begun(&plan, &prepared).unwrap();
        let (notes, _) = Notes::open(&folder.path().join("other"), &begun).unwrap();
        let write = |inputs: &Inputs, prepared: &mut Prepared| {
            let begin = Begin { number: 1, own: 0, again: 0, left: Left::default() };
            let scope = inputs.assign((&begin, 1), prepared);
            let set = Set { plan: &plan, prepared, notes: &notes, scope, then: &inputs.then };
            set.write(begin, &mut NoProgress)
        };
        let written = write(&inputs, &mut prepared).unwrap();
        assert!(written.is_none(), "before its first packet");
        // A file that is written to while the set is read is noticed at its end.
        prepared.read_options.interrupt = Interrupt::default();
        inputs.then[0].bytes += 1;
        let errors = write(&inputs, &mut prepared).err().unwrap();
        assert_eq!(errors[0].cause, "it was written to since the run began");
        assert!(!notes.set(1).join("run.json").exists() && errors[0].help.is_some());
        inputs.then[0].bytes -= 1;
        assert!(write(&inputs, &mut prepared).unwrap().is_some());
    }
}
