//! Lists and feeds for the commands that need no capture.
//!
//! Owns: nothing; commands use it to reach the stage. In: paths, questions. Out: lists, feeds,
//! matches. Never: reads packets or a clock.

use std::net::IpAddr;
use std::path::Path;

use crate::bounded;
use crate::enrich::intel as feeds;
use crate::enrich::lists::{Entry, Lists};
use crate::model::{Addr, Error};

pub use crate::enrich::intel::{About, Feed, Form, Stored, store, word};
pub use crate::enrich::lists::ListInfo;

/// An entry of a list that matches.
#[derive(Clone, Debug)]
pub struct Match {
    /// The list.
    pub list: ListInfo,
    /// The tag.
    pub tag: String,
    /// The entry as it is written.
    pub entry: String,
    /// The application it names.
    pub application: Option<String>,
}

/// Reads a feed; its form is told from its content unless it is given.
pub fn read(path: &Path, form: Option<Form>) -> Result<(Form, Feed), Vec<Error>> {
    let bytes = bounded::file::read(path, feeds::FEED_BYTES_MAX).map_err(|cause| {
        let help = "give a readable file of at most 1 GiB";
        vec![Error::new("feed", cause).at(path, 0).help(help)]
    })?;
    feeds::read(path, &bytes, form)
}

/// The lists of a directory, or the embedded ones.
pub fn lists(dir: Option<&Path>) -> Result<Vec<ListInfo>, Vec<Error>> {
    match dir {
        Some(dir) => Lists::of_dir(dir).map(|lists| lists.infos().to_vec()),
        None => Lists::load(None).map(|lists| lists.infos().to_vec()),
    }
}

/// What the lists say of each: the embedded ones, and those of a directory.
pub fn search(what: &[String], dir: Option<&Path>) -> Result<Vec<Vec<Match>>, Vec<Error>> {
    let lists = Lists::load(dir)?;
    Ok(what.iter().map(|text| of_text(&lists, text)).collect())
}

fn of_text(lists: &Lists, text: &str) -> Vec<Match> {
    let named = |entry: &Entry| {
        let list = lists.infos().get(usize::from(entry.list))?.clone();
        Some(Match {
            list,
            tag: entry.tag.to_string(),
            entry: entry.text.to_string(),
            application: entry.application.as_deref().map(str::to_owned),
        })
    };
    if let Ok(ip) = text.parse::<IpAddr>() {
        return lists.by_address(Addr::from(ip)).filter_map(|entry| named(&entry)).collect();
    }
    let number = text.strip_prefix("AS").or_else(|| text.strip_prefix("as"));
    if let Some(number) = number.and_then(|digits| digits.parse::<u32>().ok()) {
        return lists.by_asn(number).filter_map(named).collect();
    }
    let mut all = Vec::new();
    lists.for_each_by_name(&text.to_lowercase(), |entry| all.extend(named(entry)));
    all
}
