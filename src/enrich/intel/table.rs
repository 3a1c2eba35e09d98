//! Feeds with columns: CSV with a heading.
//!
//! Owns: which columns hold entries, and which say what they are. In: text. Out: a feed. Never: a
//! column by its place: headings name them.

use std::path::Path;

use crate::enrich::intel::classify::{self, range};
use crate::enrich::intel::{ERRORS_MAX, Feed, slug};
use crate::enrich::subjects::csv_columns;
use crate::model::Error;

/// Columns that hold an entry, the first that a heading has.
const ENTRIES: [&str; 22] = [
    "indicator",
    "ip_or_cidr",
    "cidr",
    "network",
    "prefix",
    "ip_prefix",
    "range",
    "ip",
    "ip_address",
    "ipaddress",
    "address",
    "addr",
    "domain",
    "fqdn",
    "hostname",
    "host",
    "uri",
    "url",
    "name",
    "value",
    "asn",
    "as",
];

/// Columns that say what an entry is.
const TAGS: [&str; 9] =
    ["tool", "rmm_tool", "provider", "product", "service", "tag", "category", "entity", "comment"];

/// Columns of a kind whose entries are tools for remote control.
const TOOLS: [&str; 2] = ["tool", "rmm_tool"];

/// Where the columns are.
struct Columns {
    entry: Option<usize>,
    /// First and last address of a range.
    ends: Option<(usize, usize)>,
    tag: Option<(usize, bool)>,
    /// Entries are numbers of autonomous systems.
    numbers: bool,
}

/// Reads the table (RFC 4180, without line breaks inside quotes).
pub(super) fn csv(path: &Path, text: &str) -> Result<Feed, Vec<Error>> {
    let refuse = |what, number, cause: String| Error::new(what, cause).at(path, number).help(HELP);
    let lines = (1u32..).zip(text.lines());
    let mut lines = lines.filter(|(_, line)| !line.starts_with('#') && !line.trim().is_empty());
    let (first, heading) = lines.next().unwrap_or((1, ""));
    let names: Vec<String> = csv_columns(heading)
        .unwrap_or_default()
        .iter()
        .map(|name| name.trim().to_lowercase())
        .collect();
    let columns = columns(&names).ok_or_else(|| {
        let cause = format!("no column is known to hold entries: {}", names.join(", "));
        vec![refuse("feed", first, cause)]
    })?;
    let (mut feed, mut errors) = (Feed::default(), Vec::new());
    for (number, line) in lines {
        let cause = match csv_columns(line) {
            Some(record) if record.len() == names.len() => {
                take(&record, &columns, &mut feed);
                continue;
            }
            Some(record) => format!("{} columns, not {}", record.len(), names.len()),
            None => "a quote is not closed on its line".to_owned(),
        };
        errors.push(refuse("feed entry", number, cause));
        if errors.len() >= ERRORS_MAX {
            break;
        }
    }
    if errors.is_empty() { Ok(feed) } else { Err(errors) }
}

const HELP: &str = "the heading names a column of entries: indicator, ip, cidr, domain, asn ... or \
                    start and end; see docs/usage.md";

fn columns(names: &[String]) -> Option<Columns> {
    let at = |name: &str| names.iter().position(|have| have == name);
    let entry = ENTRIES.iter().find_map(|name| at(name).map(|index| (index, *name)));
    let ends = at("start").zip(at("end")).or_else(|| at("first").zip(at("last")));
    let mut tag = TAGS.iter().filter_map(|name| at(name).map(|index| (index, *name)));
    let tag = tag.find(|(index, _)| entry.is_none_or(|(entry, _)| entry != *index));
    (entry.is_some() || ends.is_some()).then(|| Columns {
        entry: entry.map(|(index, _)| index),
        ends,
        tag: tag.map(|(index, name)| (index, TOOLS.contains(&name))),
        numbers: entry.is_some_and(|(_, name)| matches!(name, "asn" | "as")),
    })
}

fn take(record: &[String], columns: &Columns, feed: &mut Feed) {
    let tag = columns.tag.and_then(|(index, tool)| {
        let word = slug(record.get(index)?);
        (!word.is_empty()).then(|| if tool { format!("rmm:{word}") } else { word })
    });
    if let Some((first, last)) = columns.ends {
        let of = |index: usize| record.get(index).map(String::as_str).unwrap_or_default();
        let ends = (of(first), of(last));
        let parsed = ends.0.trim().parse().ok().zip(ends.1.trim().parse().ok());
        match parsed.and_then(|(first, last)| range(first, last)) {
            Some(keys) => feed.add(classify::Found { kind: "prefix", keys }, tag.as_deref()),
            None => feed.leave_out("no ranges of IPv4", ends.0),
        }
        return;
    }
    let entry = columns.entry.and_then(|index| record.get(index)).map_or("", |text| text.trim());
    let is_number = columns.numbers && entry.bytes().all(|b| b.is_ascii_digit());
    match entry {
        "" => feed.leave_out("empty", ""),
        number if is_number => feed.take(&format!("AS{number}"), tag.as_deref()),
        entry => feed.take(entry, tag.as_deref()),
    }
}
