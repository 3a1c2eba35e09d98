//! `longhaul intel`: checks, imports and searches lists of indicators.
//!
//! Owns: the answers' layout, and today's date. In: feeds, lists. Out: text or JSON, list files.
//! Never: changes a list unless the whole of its new text is right.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::json;

use crate::cli::{self, CommandResult, RAN};
use crate::model::Nanos;
use crate::pipeline::intel::{self, About, Form, Match};
use crate::report::units;

/// Subcommands of `intel`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum IntelCommand {
    /// Read lists or feeds, and say what they hold, under which terms, and how old they are
    Check {
        /// Feeds, and directories of lists [default: the embedded lists]
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// The form of the feeds; told from their content if left out
        #[arg(long, value_name = "FORM", value_parser = form)]
        form: Option<Form>,
    },
    /// Write a feed as lists that --lists reads
    Import(ImportArgs),
    /// Say which lists hold an address, a name or an AS number
    Search {
        /// An address, a name, or AS64500
        #[arg(required = true, value_name = "WHAT")]
        what: Vec<String>,
        /// Lists of this directory, besides the embedded ones
        #[arg(long, value_name = "DIR")]
        lists: Option<PathBuf>,
        /// One JSON object a match
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `intel import`.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// The feed
    file: PathBuf,
    /// The directory of the lists
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// The lists are called NAME-prefix, NAME-name, NAME-asn
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Terms of use, such as MIT
    #[arg(long, value_name = "TEXT")]
    licence: String,
    /// Where the feed is from: an address, a name
    #[arg(long, value_name = "TEXT")]
    source: String,
    /// The day of its entries: YYYY-MM-DD [default: as the feed says]
    #[arg(long, value_name = "DAY")]
    date: Option<String>,
    /// The tag of all entries, such as vpn:example [default: as the feed says, else list:NAME]
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// How much an entry says, from 0 to 1
    #[arg(long, value_name = "N")]
    weight: Option<f64>,
    /// Days in which the weight halves
    #[arg(long, value_name = "DAYS")]
    half_life: Option<f64>,
    /// The form of the feed; told from its content if left out
    #[arg(long, value_name = "FORM", value_parser = form)]
    form: Option<Form>,
}

fn form(word: &str) -> Result<Form, String> {
    let words: Vec<&str> = Form::ALL.iter().map(|(word, _)| *word).collect();
    Form::of(word).ok_or_else(|| format!("write one of: {}", words.join(", ")))
}

/// Runs the command.
pub(super) fn run(command: &IntelCommand) -> CommandResult {
    match command {
        IntelCommand::Check { paths, form } => check(paths, *form),
        IntelCommand::Import(args) => import(args),
        IntelCommand::Search { what, lists, json } => search(what, lists.as_deref(), *json),
    }
}

#[allow(clippy::disallowed_methods, reason = "how old a list is today is for the person")]
fn today() -> Nanos {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Nanos::from_secs(since.as_secs())
}

fn check(paths: &[PathBuf], form: Option<Form>) -> CommandResult {
    let (mut text, mut errors) = (String::new(), Vec::new());
    let (files, dirs): (Vec<&PathBuf>, Vec<&PathBuf>) =
        paths.iter().partition(|path| !path.is_dir());
    let mut lists = |dir: Option<&Path>| match intel::lists(dir) {
        Ok(all) => text.push_str(&table(&all)),
        Err(wrong) => errors.extend(wrong),
    };
    if paths.is_empty() {
        lists(None);
    }
    dirs.into_iter().for_each(|dir| lists(Some(dir)));
    for file in files {
        match intel::read(file, form) {
            Ok((form, feed)) => text.push_str(&described(file, form, &feed)),
            Err(wrong) => errors.extend(wrong),
        }
    }
    cli::print(&text)?;
    if errors.is_empty() { Ok(RAN) } else { Err(errors) }
}

/// Lists, a line each.
fn table(lists: &[intel::ListInfo]) -> String {
    let now = today();
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "{:<28}{:<11}{:>10}  {:<12}{:>8}{:>8}  licence",
        "list", "kind", "entries", "date", "days", "weight"
    );
    for list in lists {
        let (days, weight) = (list.age_days(now), list.weight_at(now));
        let weight = weight.map_or_else(|| "-".to_owned(), |weight| format!("{weight:.2}"));
        let _ = writeln!(
            text,
            "{:<28}{:<11}{:>10}  {:<12}{days:>8}{weight:>8}  {}",
            list.name,
            intel::word(list.kind),
            units::count(list.entries as u64),
            list.date,
            units::safe(&list.licence, 60)
        );
    }
    text
}

/// What a feed holds.
fn described(file: &Path, form: Form, feed: &intel::Feed) -> String {
    let date = feed.date.as_deref().map_or(String::new(), |day| format!(", of {day}"));
    let mut text = format!("{}: {}{date}\n", file.display(), form.as_str());
    for kind in ["prefix", "name", "asn", "port"] {
        let n = feed.indicators.iter().filter(|one| one.kind == kind).count();
        if n > 0 {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "  {:>10} {kind}", units::count(n as u64));
        }
    }
    for (why, (n, first)) in &feed.left_out {
        let _ = writeln!(text, "  {:>10} left out, {why}: {first}", units::count(*n));
    }
    text
}

fn import(args: &ImportArgs) -> CommandResult {
    let (form, feed) = intel::read(&args.file, args.form)?;
    let about = About {
        name: args.name.clone(),
        source: args.source.clone(),
        licence: args.licence.clone(),
        date: args.date.clone(),
        tag: args.tag.clone(),
        weight: args.weight,
        half_life_days: args.half_life,
    };
    let stored = intel::store(&feed, &about, &args.into)?;
    let mut text = described(&args.file, form, &feed);
    for list in stored {
        let entries = units::number_of(list.entries, "entry").replace("entrys", "entries");
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{}: {entries}", list.path.display());
    }
    cli::print(&text)?;
    Ok(RAN)
}

fn search(what: &[String], lists: Option<&Path>, json: bool) -> CommandResult {
    let found = intel::search(what, lists)?;
    let now = today();
    let mut text = String::new();
    for (what, matches) in what.iter().zip(&found) {
        if matches.is_empty() && !json {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{what}  on no list");
        }
        for of in matches {
            text.push_str(&if json { line(what, of, now) } else { words(what, of, now) });
        }
    }
    cli::print(&text)?;
    Ok(RAN)
}

fn words(what: &str, of: &Match, now: Nanos) -> String {
    let list = &of.list;
    let weight = list.weight_at(now).map_or(String::new(), |w| format!(", weight {w:.2}"));
    format!(
        "{what}  {}  {} in list {} of {}, {} days old{weight} ({})\n",
        of.tag,
        of.entry,
        list.name,
        list.date,
        list.age_days(now),
        list.licence
    )
}

fn line(what: &str, of: &Match, now: Nanos) -> String {
    let list = &of.list;
    let line = json!({
        "what": what, "tag": of.tag, "entry": of.entry, "application": of.application,
        "list": {"name": &*list.name, "date": list.date, "age_days": list.age_days(now),
            "weight": list.weight_at(now), "licence": list.licence, "source": list.source},
    });
    format!("{line}\n")
}
