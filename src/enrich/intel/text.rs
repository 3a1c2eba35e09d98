//! Feeds that are lines of text: plain ones, Suricata's, Zeek's.
//!
//! Owns: their columns and comments. In: text. Out: a feed, or every line that is not in its form.
//! Never: guesses: a line that is not understood is an error.

use std::path::Path;

use crate::enrich::intel::classify::{self, OTHER, PAGE};
use crate::enrich::intel::{ERRORS_MAX, Feed, slug};
use crate::model::Error;

/// Lines that hold something, with their numbers and without comments.
pub(super) fn entries(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let numbered = (1u32..).zip(text.lines());
    numbered.filter_map(|(number, line)| {
        let line = line.split('#').next().unwrap_or_default();
        let line = line.split(" //").next().unwrap_or_default();
        let line = line.split(" ;").next().unwrap_or_default().trim();
        let is_comment = line.is_empty() || line.starts_with(';') || line.starts_with("//");
        (!is_comment).then_some((number, line))
    })
}

/// All lines, or all errors.
fn each(
    path: &Path,
    text: &str,
    mut one: impl FnMut(&mut Feed, &str) -> Result<(), String>,
    help: &str,
) -> Result<Feed, Vec<Error>> {
    let (mut feed, mut errors) = (Feed::default(), Vec::new());
    for (number, line) in entries(text) {
        if let Err(cause) = one(&mut feed, line) {
            errors.push(Error::new("feed entry", cause).at(path, number).help(help));
            if errors.len() >= ERRORS_MAX {
                break;
            }
        }
    }
    if errors.is_empty() { Ok(feed) } else { Err(errors) }
}

fn bounded(text: &str) -> String {
    text.chars().take(80).collect()
}

/// An entry a line; the form of hosts files, `0.0.0.0 NAME`, too.
pub(super) fn lines(path: &Path, text: &str) -> Result<Feed, Vec<Error>> {
    let help = "an address, prefix, range, name or AS number a line; other forms: --form";
    let one = |feed: &mut Feed, line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next());
        let entry = match second {
            Some(name) if matches!(first, "0.0.0.0" | "127.0.0.1" | "::" | "::1") => name,
            Some(_) if line.contains('-') && classify::classify(line).is_ok() => line,
            Some(_) => return Err(format!("`{}` is more than one entry", bounded(line))),
            None => first,
        };
        match classify::classify(entry) {
            Ok(found) => feed.add(found, None),
            Err(why) if why == OTHER => {
                return Err(format!("`{}` is none of {why}", bounded(entry)).replace(
                    "none of neither addresses nor names nor AS numbers",
                    "neither an address nor a name nor an AS number",
                ));
            }
            Err(why) => feed.leave_out(why, entry),
        }
        Ok(())
    };
    each(path, text, one, help)
}

/// Whether a line is `address,category,score`.
pub(super) fn is_reputation(line: &str) -> bool {
    reputation(line).is_some()
}

fn reputation(line: &str) -> Option<(&str, u8)> {
    let mut columns = line.split(',').map(str::trim);
    let (address, category, score) = (columns.next()?, columns.next()?, columns.next()?);
    let category: u8 = category.parse().ok()?;
    let score: u8 = score.parse().ok().filter(|score| *score <= 127)?;
    let found = classify::classify(address).is_ok_and(|found| found.kind == "prefix");
    (found && score > 0 && category < 60 && columns.next().is_none()).then_some((address, category))
}

/// Suricata's reputations. A category is a number whose name stands in another file: it is a tag.
pub(super) fn iprep(path: &Path, text: &str) -> Result<Feed, Vec<Error>> {
    let one = |feed: &mut Feed, line: &str| {
        let (address, category) = reputation(line)
            .ok_or_else(|| format!("`{}` is not `address,category,score`", bounded(line)))?;
        feed.take(address, Some(&format!("iprep:{category}")));
        Ok(())
    };
    each(path, text, one, "categories are 0 to 59, scores 1 to 127")
}

/// The text of base64 (RFC 4648 section 4) with its padding.
pub(super) fn from_base64(text: &str) -> Option<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || digits.is_empty() || text.len() - digits.len() > 2 {
        return None;
    }
    let (mut bits, mut held, mut out) = (0u32, 0u32, Vec::new());
    for byte in digits.bytes() {
        let six = ALPHABET.iter().position(|have| *have == byte)?;
        bits = bits << 6 | u32::try_from(six).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    String::from_utf8(out).ok()
}

/// Suricata's data sets of strings, with or without a reputation behind the text.
pub(super) fn dataset(path: &Path, text: &str) -> Result<Feed, Vec<Error>> {
    let one = |feed: &mut Feed, line: &str| {
        let coded = line.split(',').next().unwrap_or_default();
        // Sets of addresses are not coded.
        let text = match from_base64(coded) {
            Some(text) => text,
            None if classify::classify(coded).is_ok() => coded.to_owned(),
            None => return Err(format!("`{}` is no base64", bounded(coded))),
        };
        feed.take(&text, None);
        Ok(())
    };
    each(path, text, one, "a data set has a text in base64 or an address a line")
}

/// Zeek's intelligence files: `#fields` names the columns.
pub(super) fn zeek(path: &Path, text: &str) -> Result<Feed, Vec<Error>> {
    let help = "`#fields` names the columns, separated by tabs: indicator, indicator_type, ...";
    let refuse =
        |number, cause: String| Error::new("feed entry", cause).at(path, number).help(help);
    let (mut feed, mut errors) = (Feed::default(), Vec::new());
    let mut columns: Option<(usize, usize, Option<usize>, usize)> = None;
    for (number, line) in (1u32..).zip(text.lines()) {
        if let Some(names) = line.strip_prefix("#fields\t") {
            let names: Vec<&str> = names.split('\t').collect();
            let at = |name: &str| names.iter().position(|have| *have == name);
            match at("indicator").zip(at("indicator_type")) {
                Some((key, kind)) => {
                    columns = Some((key, kind, at("meta.source"), names.len()));
                }
                None => {
                    let cause = "`#fields` lacks indicator or indicator_type".to_owned();
                    return Err(vec![refuse(number, cause)]);
                }
            }
            continue;
        }
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let Some((key, kind, source, count)) = columns else {
            return Err(vec![refuse(number, "no line `#fields` comes before it".to_owned())]);
        };
        let values: Vec<&str> = line.split('\t').collect();
        let (Some(key), Some(kind), true) =
            (values.get(key), values.get(kind), values.len() == count)
        else {
            errors.push(refuse(number, format!("{} columns, not {count}", values.len())));
            if errors.len() >= ERRORS_MAX {
                break;
            }
            continue;
        };
        let tag = source.and_then(|at| values.get(at)).filter(|text| **text != "-");
        let tag = tag.map(|text| format!("zeek:{}", slug(text)));
        match *kind {
            "Intel::ADDR" | "Intel::SUBNET" | "Intel::DOMAIN" => feed.take(key, tag.as_deref()),
            "Intel::URL" => feed.leave_out(PAGE, key),
            _ => feed.leave_out(OTHER, key),
        }
    }
    if errors.is_empty() { Ok(feed) } else { Err(errors) }
}
