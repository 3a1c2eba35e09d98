//! Feeds of other people: read in their own form, written as lists of ours.
//!
//! Owns: which forms are known, how one is told from the bytes, and what of it can be a list. In: a
//! file's bytes. Out: indicators, and what was left out and why. Never: half a feed: text that is
//! not in its form is refused with its line.

mod classify;
mod json;
mod mmdb;
mod store;
mod table;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

use crate::enrich::lists::Kind;
use crate::model::Error;

pub use store::{About, Stored, store};

/// Maximum size of a feed, in bytes.
pub const FEED_BYTES_MAX: u64 = 1 << 30;

/// Maximum errors reported of a feed.
const ERRORS_MAX: usize = 100;

/// The form of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An address, prefix, range, name or AS number a line, as X4BNet and most others have it.
    Lines,
    /// Columns with a heading.
    Csv,
    /// Tools of lolrmm.io, in JSON.
    Lolrmm,
    /// A bundle of STIX 2.1.
    Stix,
    /// Events of MISP.
    Misp,
    /// Reputations of Suricata: `address,category,score`.
    Iprep,
    /// A data set of Suricata: texts in base64.
    Dataset,
    /// Zeek's intelligence framework: columns separated by tabs.
    Zeek,
    /// A MaxMind DB that says of addresses that they hide somebody.
    Mmdb,
    /// Spur's feeds: one JSON object a line.
    Spur,
}

impl Form {
    /// Each with its word, as in `--form`.
    pub const ALL: [(&'static str, Form); 10] = [
        ("lines", Form::Lines),
        ("csv", Form::Csv),
        ("lolrmm", Form::Lolrmm),
        ("stix", Form::Stix),
        ("misp", Form::Misp),
        ("iprep", Form::Iprep),
        ("dataset", Form::Dataset),
        ("zeek", Form::Zeek),
        ("mmdb", Form::Mmdb),
        ("spur", Form::Spur),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Form::ALL.iter().find(|(_, form)| *form == self).map_or("", |(word, _)| word)
    }

    /// The form of that word.
    pub fn of(word: &str) -> Option<Form> {
        Form::ALL.iter().find(|(have, _)| *have == word).map(|(_, form)| *form)
    }
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Indicator {
    /// `prefix`, `name`, `asn` or `port`: the word, since it orders lists.
    pub kind: &'static str,
    /// As a list has it.
    pub key: String,
    /// Its own tag, if the feed says what it is.
    pub tag: Option<String>,
}

/// What a feed holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Feed {
    /// The indicators, as they came.
    pub indicators: Vec<Indicator>,
    /// Why entries were left out: how many, and the first of them.
    pub left_out: BTreeMap<&'static str, (u64, String)>,
    /// The day on which the feed says it was made.
    pub date: Option<String>,
}

impl Feed {
    fn add(&mut self, found: classify::Found, tag: Option<&str>) {
        let tag = tag.filter(|tag| !tag.is_empty()).map(str::to_owned);
        let kind = found.kind;
        let each = found.keys.into_iter();
        self.indicators.extend(each.map(|key| Indicator { kind, key, tag: tag.clone() }));
    }

    fn leave_out(&mut self, why: &'static str, what: &str) {
        let entry =
            self.left_out.entry(why).or_insert_with(|| (0, what.chars().take(80).collect()));
        entry.0 += 1;
    }

    /// Adds an entry of a feed whose form was right: what cannot be a list is left out.
    fn take(&mut self, text: &str, tag: Option<&str>) {
        match classify::classify(text) {
            Ok(found) => self.add(found, tag),
            Err(why) => self.leave_out(why, text),
        }
    }
}

/// The word of a kind.
pub const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Prefix => "prefix",
        Kind::Name => "name",
        Kind::Asn => "asn",
        Kind::Port => "port",
        Kind::Signature => "signature",
    }
}

/// Reads a feed; its form is told from its bytes unless it is given. `path` is for messages.
///
/// Errors: all faults of the text, each with its line.
pub fn read(path: &Path, bytes: &[u8], form: Option<Form>) -> Result<(Form, Feed), Vec<Error>> {
    let text = || {
        std::str::from_utf8(bytes).map(|text| text.trim_start_matches('\u{feff}')).map_err(|e| {
            let cause = format!("it is not UTF-8 text, from byte {} on", e.valid_up_to());
            vec![Error::new("feed", cause).at(path, 0).help(HELP)]
        })
    };
    let form = match form {
        Some(form) => form,
        None if mmdb::is_one(bytes) => Form::Mmdb,
        None => tell(text()?).ok_or_else(|| {
            let cause = "its form is none of those that are known";
            vec![Error::new("feed", cause).at(path, 1).help(HELP)]
        })?,
    };
    let feed = match form {
        Form::Mmdb => mmdb::read(path, bytes)?,
        Form::Lines => text::lines(path, text()?)?,
        Form::Iprep => text::iprep(path, text()?)?,
        Form::Dataset => text::dataset(path, text()?)?,
        Form::Zeek => text::zeek(path, text()?)?,
        Form::Csv => table::csv(path, text()?)?,
        Form::Lolrmm => json::lolrmm(path, text()?)?,
        Form::Stix => json::stix(path, text()?)?,
        Form::Misp => json::misp(path, text()?)?,
        Form::Spur => json::spur(path, text()?)?,
    };
    if feed.indicators.is_empty() {
        let cause = match feed.left_out.iter().next() {
            Some((why, (n, first))) => format!("no entry can be a list: {n} are {why}: `{first}`"),
            None => "it has no entries".to_owned(),
        };
        return Err(vec![Error::new("feed", cause).at(path, 0).help(HELP)]);
    }
    Ok((form, feed))
}

const HELP: &str = "say what it is with --form: lines, csv, lolrmm, stix, misp, iprep, dataset, \
                    zeek, mmdb or spur";

/// The form of a text.
fn tell(text: &str) -> Option<Form> {
    if text.trim_start().starts_with(['{', '[']) {
        return json::tell(text);
    }
    if text.starts_with("#fields") || text.starts_with("#separator") {
        return Some(Form::Zeek);
    }
    let first = text::entries(text).next()?.1;
    match () {
        () if text::is_reputation(first) => Some(Form::Iprep),
        () if classify::classify(first).is_ok() => Some(Form::Lines),
        () if first.contains(',') => Some(Form::Csv),
        () if text::from_base64(first).is_some_and(|text| classify::classify(&text).is_ok()) => {
            Some(Form::Dataset)
        }
        () => Some(Form::Lines),
    }
}

/// A word for a tag, from a name that others chose.
fn slug(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars().take(64) {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => out.push(c),
            _ if out.ends_with('-') => {}
            _ => out.push('-'),
        }
    }
    out.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests;
