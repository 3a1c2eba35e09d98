//! Writes a feed as lists of ours.
//!
//! Owns: their header, their order, and how they take the place of earlier ones. In: a feed, and
//! what a person says of it. Out: list files. Never: a list that would be refused, or half of one:
//! it is written beside, read again, synced and renamed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::enrich::intel::{Feed, Indicator};
use crate::enrich::list_file;
use crate::model::Error;

/// Kinds of lists, as their names end.
const KINDS: [&str; 4] = ["prefix", "name", "asn", "port"];

/// What a person says of a feed: what every list must say of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// The lists are called so, with their kind behind it.
    pub name: String,
    /// Where it is from.
    pub source: String,
    /// The terms of its use.
    pub licence: String,
    /// The day of its entries; needed if the feed does not say it.
    pub date: Option<String>,
    /// The tag of entries to which the feed gives none; `list:NAME` without it.
    pub tag: Option<String>,
    /// From 0 to 1.
    pub weight: Option<f64>,
    /// Days in which the weight halves.
    pub half_life_days: Option<f64>,
}

/// A list that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The file.
    pub path: PathBuf,
    /// Its entries.
    pub entries: usize,
}

/// Writes the lists of a feed into a directory, each in place of an earlier one of its name; those
/// of kinds that the feed no longer has are removed.
///
/// Errors: a header that is not right, and those of writing. The earlier lists stay then.
pub fn store(feed: &Feed, about: &About, dir: &Path) -> Result<Vec<Stored>, Vec<Error>> {
    let unique: BTreeSet<&Indicator> = feed.indicators.iter().collect();
    let date = about.date.as_ref().or(feed.date.as_ref()).ok_or_else(|| {
        let error = Error::new("import", "the feed does not say of which day it is");
        vec![error.help("give --date YYYY-MM-DD: the day of its entries")]
    })?;
    let failed = |path: &Path, error: io::Error| {
        let error = Error::new(format!("list {}", path.display()), error.to_string());
        vec![error.help("choose a directory that can be written to")]
    };
    fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    let mut made = Vec::new();
    for kind in KINDS {
        let of_kind: Vec<&Indicator> =
            unique.iter().filter(|one| one.kind == kind).copied().collect();
        let path = dir.join(format!("{}-{kind}.txt", about.name));
        if of_kind.is_empty() {
            continue;
        }
        let text = text(&of_kind, about, date, kind);
        // What is written must be what would be read.
        let entries = list_file::parse(&path, &text)?.info.entries;
        made.push((path, text, entries));
    }
    let partial = |path: &Path| path.with_extension("txt.partial");
    for (path, text, _) in &made {
        let written = write_synced(&partial(path), text);
        if let Err(error) = written {
            made.iter().for_each(|(path, ..)| drop(fs::remove_file(partial(path))));
            return Err(failed(path, error));
        }
    }
    for (path, ..) in &made {
        fs::rename(partial(path), path).map_err(|e| failed(path, e))?;
    }
    for kind in KINDS {
        let path = dir.join(format!("{}-{kind}.txt", about.name));
        if !made.iter().any(|(have, ..)| *have == path) && path.exists() {
            fs::remove_file(&path).map_err(|e| failed(&path, e))?;
        }
    }
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| failed(dir, e))?;
    Ok(made.into_iter().map(|(path, _, entries)| Stored { path, entries }).collect())
}

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn text(indicators: &[&Indicator], about: &About, date: &str, kind: &str) -> String {
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out = String::new();
    let name = format!("{}-{kind}", about.name);
    // Writing into a String cannot fail.
    let _ = writeln!(out, "# name: {name}\n# kind: {kind}");
    let _ = writeln!(out, "# source: {}\n# licence: {}", line(&about.source), line(&about.licence));
    let _ = writeln!(out, "# date: {date}");
    if let Some(tag) = &about.tag {
        let _ = writeln!(out, "# tag: {tag}");
    }
    if let Some(weight) = about.weight {
        let _ = writeln!(out, "# weight: {weight}");
    }
    if let Some(days) = about.half_life_days {
        let _ = writeln!(out, "# half_life_days: {days}");
    }
    for one in indicators {
        // A tag that a person gives stands for all.
        let _ = match one.tag.as_ref().filter(|_| about.tag.is_none()) {
            Some(tag) => writeln!(out, "{} {tag}", one.key),
            None => writeln!(out, "{}", one.key),
        };
    }
    out
}
