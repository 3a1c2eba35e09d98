//! Parses signature files: every key checked, every error with its line.
//!
//! Owns: the keys of an entry. In: the text of a file. Out: [`Signature`]s. Never: half a table, or
//! a pattern so wide that it matches unrelated traffic.

use std::path::Path;
use std::sync::Arc;

use crate::enrich::names::Pattern;
use crate::enrich::signatures::text::{self, YamlEntry, YamlNode, YamlValue};
use crate::enrich::signatures::{certificate, payload};
use crate::model::record::Protocol;
use crate::model::{Error, Nanos, Transport};
use crate::wire::payload::Shape;

/// Maximum errors reported per file.
const ERRORS_MAX: usize = 100;

/// Shortest and longest text to compare, in bytes.
const TEXT_BYTES: std::ops::RangeInclusive<usize> = 2..=128;

const KEYS: &str = "keys are name, title, category, tag, source, date, family, port, names, \
                    ports, payload, certificates, titles, alpn, ja4, ssh and protocols";

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Evidence {
    /// A domain name.
    Name(Pattern),
    /// The responder's port.
    Port(Transport, u16),
    /// First payload bytes.
    Payload(Shape),
    /// A protocol recognised from payload, optionally with the responder's port.
    Protocol(Box<str>, Option<u16>),
    /// A text that must be equal.
    Text(Field, Box<str>),
}

/// The field that a text is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The application recognised from the first payload bytes.
    Payload,
    /// A part of the server's certificate, as [`certificate::texts`] writes it.
    Certificate,
    /// Title of a web page, lower case.
    Title,
    /// ALPN, offered or chosen.
    Alpn,
    /// JA4 of the client.
    Ja4,
    /// Name of the SSH software of either end, lower case, without its version.
    Ssh,
    /// `wireguard`, or, with the responder's port, `tls/853`.
    Protocol,
}

/// An application and its evidence.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Signature {
    pub(crate) name: Arc<str>,
    pub(crate) title: String,
    pub(crate) category: String,
    pub(crate) tag: Arc<str>,
    pub(crate) source: String,
    pub(crate) date: String,
    pub(crate) built_at: Nanos,
    /// What it counts as beside others of its vendor, or of its code.
    pub(crate) family: Option<Arc<str>>,
    /// Names count only if the responder's port is this one.
    pub(crate) port: Option<u16>,
    /// Each with its original text.
    pub(crate) signs: Vec<(Evidence, Arc<str>)>,
}

/// Parses a file; returns all its errors at once.
pub(crate) fn parse(path: &Path, content: &str) -> Result<Vec<Signature>, Vec<Error>> {
    let (entries, refusals) = text::read(content);
    let mut errors: Vec<Error> = refusals
        .into_iter()
        .map(|refusal| {
            let help = "docs/signatures.md says how a file is written";
            Error::new("signature", refusal.cause).at(path, refusal.line).help(help)
        })
        .collect();
    let mut all: Vec<Signature> = Vec::with_capacity(entries.len());
    for entry in &entries {
        let mut reader = Reader { path, errors: &mut errors };
        let Some(signature) = reader.signature(entry) else { continue };
        if all.iter().any(|have| have.name == signature.name) {
            let cause = format!("the application `{}` is there already", signature.name);
            reader.refuse(entry.line, cause, "join the two entries");
        }
        all.push(signature);
    }
    if all.is_empty() && errors.is_empty() {
        let error = Error::new("signature", "the file holds no entry").at(path, 0);
        errors.push(error.help("write `- name: ...`, or take the file away"));
    }
    errors.sort_by(|a, b| a.place.cmp(&b.place));
    errors.truncate(ERRORS_MAX);
    if errors.is_empty() { Ok(all) } else { Err(errors) }
}

/// Why a value is refused, and what to write instead.
pub(super) type Refusal = (String, &'static str);

struct Reader<'a> {
    path: &'a Path,
    errors: &'a mut Vec<Error>,
}

impl Reader<'_> {
    fn refuse(&mut self, line: u32, cause: String, help: &str) {
        self.errors.push(Error::new("signature", cause).at(self.path, line).help(help));
    }

    fn keep<T>(&mut self, line: u32, result: Result<T, Refusal>) -> Option<T> {
        result.map_err(|(cause, help)| self.refuse(line, cause, help)).ok()
    }

    fn signature(&mut self, entry: &YamlEntry) -> Option<Signature> {
        let before = self.errors.len();
        let name = self.word(entry, "name").unwrap_or_default();
        let tag = self.word(entry, "tag").unwrap_or_default();
        let title = self.text(entry, "title").unwrap_or_default();
        let category = self.word(entry, "category").unwrap_or_default();
        let source = self.text(entry, "source").unwrap_or_default();
        let date = self.text(entry, "date").unwrap_or_default();
        let built_at = Nanos::from_date(&date);
        if built_at.is_none() && !date.is_empty() {
            let cause = format!("`{date}` is not a date");
            self.refuse(line_of(entry, "date"), cause, "write YYYY-MM-DD");
        }
        let mut signature = Signature {
            name: name.into(),
            title,
            category,
            tag: tag.into(),
            source,
            date,
            built_at: built_at.unwrap_or(Nanos::ZERO),
            family: None,
            port: None,
            signs: Vec::new(),
        };
        for (key, node) in &entry.keys {
            self.evidence(key, node, &mut signature);
        }
        if signature.signs.is_empty() && self.errors.len() == before {
            let cause = format!("nothing tells `{}`", signature.name);
            self.refuse(entry.line, cause, "give names, payload, ports or other evidence");
        }
        (self.errors.len() == before).then_some(signature)
    }

    fn evidence(&mut self, key: &str, node: &YamlNode, to: &mut Signature) {
        let read: fn(&YamlNode, &Arc<str>) -> Result<Evidence, Refusal> = match key {
            "name" | "title" | "category" | "tag" | "source" | "date" => return,
            "family" => {
                let text = self.keep(node.line, word(node)).map(str::to_owned);
                to.family = text.and_then(|text| self.plain(node.line, text)).map(Arc::from);
                return;
            }
            "port" => {
                let port = word(node).and_then(number);
                to.port = self.keep(node.line, port);
                return;
            }
            "names" => |node, _| {
                let help = "write name.tld, *.name.tld or =name.tld";
                Pattern::parse(word(node)?).map(Evidence::Name).map_err(|e| (e, help))
            },
            "ports" => |node, _| port(word(node)?),
            "payload" => |node, name| payload::shape(node, name).map(Evidence::Payload),
            "certificates" => |node, _| certificate::sign(word(node)?),
            "titles" => |node, _| exact(Field::Title, &word(node)?.to_lowercase()),
            "alpn" => |node, _| exact(Field::Alpn, word(node)?),
            "ja4" => |node, _| ja4(word(node)?),
            "ssh" => |node, _| exact(Field::Ssh, &word(node)?.to_ascii_lowercase()),
            "protocols" => |node, _| protocol(word(node)?),
            _ => {
                return self.refuse(node.line, format!("`{key}` is no key of a signature"), KEYS);
            }
        };
        let YamlValue::List(items) = &node.value else {
            return self.refuse(node.line, format!("`{key}` is not a list"), "write [a, b]");
        };
        for item in items {
            let sign = read(item, &to.name);
            if let Some(sign) = self.keep(item.line, sign) {
                to.signs.push((sign, written(item).into()));
            }
        }
    }

    fn text(&mut self, entry: &YamlEntry, key: &'static str) -> Option<String> {
        let node = entry.keys.iter().find(|(have, _)| have == key).map(|(_, node)| node);
        let Some(node) = node else {
            let cause = format!("the entry has no `{key}`");
            let help = "an entry has name, title, category, tag, source and date";
            self.refuse(entry.line, cause, help);
            return None;
        };
        let text = word(node).map(str::to_owned);
        self.keep(node.line, text)
    }

    fn word(&mut self, entry: &YamlEntry, key: &'static str) -> Option<String> {
        let text = self.text(entry, key)?;
        self.plain(line_of(entry, key), text)
    }

    fn plain(&mut self, line: u32, text: String) -> Option<String> {
        let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._:-".contains(&b);
        if text.bytes().all(ok) {
            return Some(text);
        }
        let cause = format!("`{text}` has characters other than a-z 0-9 . _ : -");
        self.refuse(line, cause, "write a word like anydesk, a tag like rmm:anydesk");
        None
    }
}

fn line_of(entry: &YamlEntry, key: &str) -> u32 {
    entry.keys.iter().find(|(have, _)| have == key).map_or(entry.line, |(_, node)| node.line)
}

/// The text of a scalar value.
pub(super) fn word(node: &YamlNode) -> Result<&str, Refusal> {
    match &node.value {
        YamlValue::Word(word) => Ok(word),
        _ => Err(("a list or map stands where a text belongs".to_owned(), "write one text")),
    }
}

/// A number of 16 bits above 0.
pub(super) fn number(text: &str) -> Result<u16, Refusal> {
    let number = text.parse().ok().filter(|n| *n > 0);
    number.ok_or_else(|| (format!("`{text}` is not a number from 1 to 65535"), "write 443"))
}

fn port(text: &str) -> Result<Evidence, Refusal> {
    let refusal = || (format!("`{text}` is not a port with its transport"), "write 5938/tcp");
    let (port, transport) = text.split_once('/').ok_or_else(refusal)?;
    let transport = transport_of(transport).ok_or_else(refusal)?;
    Ok(Evidence::Port(transport, number(port)?))
}

/// Parses `tcp` or `udp`.
pub(super) fn transport_of(word: &str) -> Option<Transport> {
    match word {
        "tcp" => Some(Transport::TCP),
        "udp" => Some(Transport::UDP),
        _ => None,
    }
}

pub(super) fn exact(field: Field, text: &str) -> Result<Evidence, Refusal> {
    if TEXT_BYTES.contains(&text.len()) {
        return Ok(Evidence::Text(field, text.into()));
    }
    Err((format!("`{text}` is shorter than 2 or longer than 128 bytes"), "write it in full"))
}

fn ja4(text: &str) -> Result<Evidence, Refusal> {
    let parts: Vec<usize> = text.split('_').map(str::len).collect();
    if parts == [10, 12, 12] {
        return exact(Field::Ja4, text);
    }
    Err((format!("`{text}` is not a JA4"), "write 36 characters like t13d1516h2_8daaf6152771_..."))
}

fn protocol(text: &str) -> Result<Evidence, Refusal> {
    let (name, port) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let port = port.map(number).transpose()?;
    if Protocol::ALL.iter().any(|have| have.as_str() == name) {
        return Ok(Evidence::Protocol(name.into(), port));
    }
    Err((format!("`{name}` is no protocol"), "`longhaul protocols` lists them"))
}

/// A value as a person would write it.
fn written(node: &YamlNode) -> String {
    match &node.value {
        YamlValue::Word(word) => word.clone(),
        YamlValue::List(items) => items.iter().map(written).collect::<Vec<_>>().join(", "),
        YamlValue::Map(pairs) => {
            let pairs = pairs.iter().map(|(key, node)| format!("{key} {}", written(node)));
            pairs.collect::<Vec<_>>().join(", ")
        }
    }
}
