//! The header of a list file: `# key: value` before the first entry.
//!
//! Owns: its keys. In: the text of a list. Out: a [`ListInfo`], or every error with its line.
//! Never: reads an entry; refuses a comment whose key it does not know.

use std::path::Path;
use std::sync::Arc;

use crate::enrich::lists::{Kind, ListInfo};
use crate::model::{Error, Nanos};

/// The header: the comments before the first entry.
pub(super) fn header(
    path: &Path,
    text: &str,
    errors: &mut Vec<Error>,
) -> Result<ListInfo, Vec<Error>> {
    let mut header = Header::default();
    for (number, line) in (1u32..).zip(text.lines()) {
        let line = line.trim();
        match line.strip_prefix('#') {
            Some(comment) => errors.extend(header.take(comment, path, number).err()),
            None if line.is_empty() => {}
            None => break,
        }
    }
    header.finish(path)
}

/// Whether a text is a tag or a name of an application.
pub(super) fn is_word(text: &str) -> bool {
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._:-".contains(&b);
    !text.is_empty() && text.bytes().all(ok)
}

/// The header's keys.
#[derive(Default)]
struct Header {
    name: Option<String>,
    tag: Option<String>,
    kind: Option<Kind>,
    source: Option<String>,
    date: Option<(String, Nanos)>,
    licence: Option<String>,
    application: Option<String>,
    weight: Option<f64>,
    half_life_days: Option<f64>,
    category: Option<String>,
}

impl Header {
    /// Parses `key: value`; any other comment is ignored.
    fn take(&mut self, comment: &str, path: &Path, line: u32) -> Result<(), Error> {
        let Some((key, value)) = comment.split_once(':') else { return Ok(()) };
        let value = value.trim();
        let refuse =
            |cause: String, help: &str| Error::new("list header", cause).at(path, line).help(help);
        let word = |help: &str| match is_word(value) {
            true => Ok(Some(value.to_owned())),
            false => Err(refuse(format!("`{value}` is not a lower-case word"), help)),
        };
        match key.trim() {
            "name" => self.name = word("write a name like hosting-asn")?,
            "tag" => self.tag = word("write a tag like vpn:astrill")?,
            "application" => self.application = word("write an application like anydesk")?,
            "source" => self.source = Some(value.to_owned()),
            "licence" | "license" => self.licence = Some(value.to_owned()),
            "category" => self.category = Some(value.to_owned()),
            "kind" => {
                self.kind = Some(match value {
                    "prefix" => Kind::Prefix,
                    "name" => Kind::Name,
                    "asn" => Kind::Asn,
                    "port" => Kind::Port,
                    _ => {
                        let cause = format!("`{value}` is no kind of list");
                        return Err(refuse(cause, "write prefix, name, asn or port"));
                    }
                });
            }
            "date" => {
                let at = Nanos::from_date(value).ok_or_else(|| {
                    refuse(format!("`{value}` is not a date"), "write YYYY-MM-DD")
                })?;
                self.date = Some((value.to_owned(), at));
            }
            "weight" => {
                let weight = value.parse().ok().filter(|w| (0.0..=1.0).contains(w));
                self.weight = Some(weight.ok_or_else(|| {
                    refuse(format!("`{value}` is not a weight"), "write a number from 0 to 1")
                })?);
            }
            "half_life_days" => {
                let days = value.parse().ok().filter(|days| (1.0..=36_500.0).contains(days));
                self.half_life_days = Some(days.ok_or_else(|| {
                    let cause = format!("`{value}` is no half-life");
                    refuse(cause, "write days, 1 to 36500")
                })?);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self, path: &Path) -> Result<ListInfo, Vec<Error>> {
        let mut missing = Vec::new();
        let present = [
            ("name", self.name.is_some()),
            ("kind", self.kind.is_some()),
            ("source", self.source.is_some()),
            ("date", self.date.is_some()),
            ("licence", self.licence.is_some()),
        ];
        for (key, _) in present.into_iter().filter(|(_, there)| !there) {
            missing.push(
                Error::new("list header", format!("it has no usable `# {key}:` line"))
                    .at(path, 0)
                    .help("a list begins with # name: # kind: # source: # date: # licence:"),
            );
        }
        let (Some(name), Some(kind), Some((date, built_at))) = (self.name, self.kind, self.date)
        else {
            return Err(missing);
        };
        let (Some(source), Some(licence)) = (self.source, self.licence) else {
            return Err(missing);
        };
        Ok(ListInfo {
            tag: self.tag.unwrap_or_else(|| format!("list:{name}")).into(),
            name: name.into(),
            kind,
            source,
            date,
            licence,
            application: self.application.map(Arc::from),
            weight: self.weight,
            half_life_days: self.half_life_days,
            category: self.category,
            entries: 0,
            built_at,
        })
    }
}
