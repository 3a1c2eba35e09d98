//! Reads list files: headers, entries, and every error with its line.
//!
//! Owns: the text format. In: files of `--lists DIR`, the default lists. Out: [`ListFile`]s.
//! Never: stops at the first error, keeps half a list.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bounded;
use crate::enrich::hits::HITS_MAX;
use crate::enrich::lists::{Kind, ListInfo};
use crate::enrich::lpm::Prefix;
use crate::enrich::names::Pattern;
use crate::enrich::signatures::file::Field;
use crate::model::{Error, Nanos, Transport};
use crate::wire::payload::Shape;

/// Maximum size of a list file, in bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Maximum errors reported per directory.
const ERRORS_MAX: usize = 100;

macro_rules! default_lists {
    ($($name:literal)+) => {
        /// File name and text of each default list.
        pub(crate) const DEFAULTS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../rules/lists/", $name)))),+];
    };
}

default_lists! {
    "anycast-asn.txt"
    "astrill-prefixes.txt"
    "hosting-asn.txt"
    "mobile-asn.txt"
    "relay-asn.txt"
    "relay-names.txt"
    "relay-prefixes.txt"
    "sanctioned.txt"
    "sase-asn.txt"
    "sase-names.txt"
    "satellite-asn.txt"
    "tor-names.txt"
    "tor-prefixes.txt"
    "vpn-asn.txt"
}

/// What an entry matches.
pub(crate) enum Key {
    Prefix(Prefix),
    Name(Pattern),
    Asn(u32),
    Port(Transport, u16),
    Payload(Shape),
    Text(Field, Box<str>),
}

/// One entry.
pub(crate) struct Line {
    pub(crate) key: Key,
    pub(crate) tag: Arc<str>,
    pub(crate) application: Option<Arc<str>>,
    pub(crate) text: Arc<str>,
    /// A name counts only if the responder's port is this one.
    pub(crate) port: Option<u16>,
}

/// A parsed list.
pub(crate) struct ListFile {
    pub(crate) info: ListInfo,
    pub(crate) lines: Vec<Line>,
}

/// The default lists.
pub(crate) fn defaults() -> Result<Vec<ListFile>, Vec<Error>> {
    collect(DEFAULTS.iter().map(|(name, text)| {
        let path = Path::new("rules/lists").join(name);
        parse(&path, text)
    }))
}

/// Every file of a directory that ends in `.txt` or `.list`.
pub(crate) fn read_dir(dir: &Path) -> Result<Vec<ListFile>, Vec<Error>> {
    let what = || format!("lists in {}", dir.display());
    let entries = std::fs::read_dir(dir).map_err(|e| {
        vec![Error::new(what(), e.to_string()).help("give a readable directory of list files")]
    })?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "txt" || e == "list"))
        .collect();
    paths.sort();
    if paths.is_empty() {
        let error = Error::new(what(), "no file ends in .txt or .list");
        return Err(vec![error.help("put list files there, or leave --lists out")]);
    }
    let files = collect(paths.iter().map(|path| parse(path, &read(path)?)))?;
    for (i, file) in files.iter().enumerate() {
        if let Some(path) = paths.get(i)
            && files.iter().take(i).any(|earlier| earlier.info.name == file.info.name)
        {
            let cause = format!("the name `{}` is taken by another file", file.info.name);
            return Err(vec![Error::new("list", cause).at(path, 0).help("rename one of the two")]);
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<String, Vec<Error>> {
    let refuse = |cause: String| {
        vec![Error::new("list", cause).at(path, 0).help("lists are readable UTF-8 text files")]
    };
    bounded::file::read_text(path, FILE_BYTES_MAX).map_err(refuse)
}

fn collect(
    files: impl Iterator<Item = Result<ListFile, Vec<Error>>>,
) -> Result<Vec<ListFile>, Vec<Error>> {
    let (mut good, mut errors) = (Vec::new(), Vec::new());
    for file in files {
        match file {
            Ok(file) => good.push(file),
            Err(more) => errors.extend(more),
        }
    }
    errors.truncate(ERRORS_MAX);
    if errors.is_empty() { Ok(good) } else { Err(errors) }
}

/// Parses a list; returns all its errors at once.
pub(crate) fn parse(path: &Path, text: &str) -> Result<ListFile, Vec<Error>> {
    let mut header = Header::default();
    let mut errors = Vec::new();
    let mut body = Vec::new();
    for (number, line) in (1u32..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            if body.is_empty()
                && let Err(error) = header.take(comment, path, number)
            {
                errors.push(error);
            }
        } else if !line.is_empty() {
            // A comment behind an entry.
            let entry = line.split_once('#').map_or(line, |(entry, _)| entry.trim_end());
            body.push((number, entry));
        }
    }
    let mut info = match header.finish(path) {
        Ok(info) => info,
        Err(more) => {
            errors.extend(more);
            return Err(errors);
        }
    };
    let mut lines = Vec::with_capacity(body.len());
    let mut shared = Interner::default();
    let mut repeats = Repeats::default();
    for (number, entry) in body {
        let read = parse_line(entry, &info, &mut shared)
            .and_then(|line| Ok(repeats.is_new(&lines, &line)?.then_some(line)));
        match read {
            Ok(line) => lines.extend(line),
            Err((cause, help)) => {
                errors.push(Error::new("list entry", cause).at(path, number).help(help));
            }
        }
    }
    info.entries = lines.len();
    errors.truncate(ERRORS_MAX);
    if errors.is_empty() { Ok(ListFile { info, lines }) } else { Err(errors) }
}

/// Most lines of a file repeat a tag: allocate each once.
#[derive(Default)]
struct Interner(Vec<Arc<str>>);

impl Interner {
    fn get(&mut self, text: &str) -> Arc<str> {
        // Newest first: lines with equal tags are usually adjacent.
        if let Some(known) = self.0.iter().rev().take(64).find(|known| &***known == text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.0.push(Arc::clone(&new));
        new
    }
}

type Refusal = (String, &'static str);

/// Most entries of one key in a list: a session keeps as many hits.
const SAME_MAX: usize = HITS_MAX;

/// Finds lines that repeat a key. A look-up visits every entry of a key, so a million equal lines
/// would make it a million times as slow.
#[derive(Default)]
struct Repeats {
    /// The first line of each key, and how many entries the key has.
    keys: HashMap<Same, (usize, usize)>,
    /// The entries of a key but its first.
    more: HashSet<(Same, Arc<str>, Option<Arc<str>>)>,
}

/// A key of those kinds that lists have.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Same {
    Prefix(Prefix),
    Name(Pattern),
    Asn(u32),
    Port(Transport, u16),
}

impl Repeats {
    /// Whether `line` says something that none of `lines` says.
    fn is_new(&mut self, lines: &[Line], line: &Line) -> Result<bool, Refusal> {
        let key = match &line.key {
            Key::Prefix(prefix) => Same::Prefix(*prefix),
            Key::Name(pattern) => Same::Name(pattern.clone()),
            Key::Asn(number) => Same::Asn(*number),
            Key::Port(transport, port) => Same::Port(*transport, *port),
            Key::Payload(_) | Key::Text(..) => return Ok(true),
        };
        let Some((first, count)) = self.keys.get_mut(&key) else {
            self.keys.insert(key, (lines.len(), 1));
            return Ok(true);
        };
        let says = |have: &Line| (&have.tag, &have.application) == (&line.tag, &line.application);
        let more = (key, Arc::clone(&line.tag), line.application.clone());
        if lines.get(*first).is_some_and(says) || self.more.contains(&more) {
            return Ok(false);
        }
        if *count >= SAME_MAX {
            let cause = format!("`{}` stands more than {SAME_MAX} times", line.text);
            return Err((cause, "give it fewer tags, or put some into another list"));
        }
        *count += 1;
        Ok(self.more.insert(more))
    }
}

fn parse_line(entry: &str, info: &ListInfo, shared: &mut Interner) -> Result<Line, Refusal> {
    let mut columns = entry.split_ascii_whitespace();
    let key = columns.next().unwrap_or_default();
    let (tag, application) = (columns.next(), columns.next());
    if let Some(more) = columns.next() {
        return Err((format!("`{more}` is a fourth column"), "write: ENTRY [TAG [APPLICATION]]"));
    }
    let text: Arc<str> = key.into();
    let key = match info.kind {
        Kind::Prefix => {
            Key::Prefix(Prefix::parse(key).map_err(|e| (e, "write 192.0.2.0/24 or 2001:db8::/32"))?)
        }
        Kind::Name => Key::Name(
            Pattern::parse(key).map_err(|e| (e, "write name.tld, *.name.tld or =name.tld"))?,
        ),
        Kind::Asn => Key::Asn(parse_asn(key)?),
        Kind::Port | Kind::Signature => parse_port(key)?,
    };
    if let Some(bad) = [tag, application].into_iter().flatten().find(|word| !is_word(word)) {
        let cause = format!("`{bad}` has characters other than a-z 0-9 . _ : -");
        return Err((cause, "write tags like rmm:anydesk and applications like anydesk"));
    }
    let application = match (application, tag, info.kind) {
        (Some(own), _, _) => Some(shared.get(own)),
        // A tag on a name's or port's own line names the application behind its colon.
        (None, Some(tag), Kind::Name | Kind::Port) => {
            tag.split_once(':').map(|(_, application)| shared.get(application))
        }
        _ => info.application.clone(),
    };
    let tag = tag.map_or_else(|| Arc::clone(&info.tag), |own| shared.get(own));
    Ok(Line { key, tag, application, text, port: None })
}

fn parse_asn(text: &str) -> Result<u32, Refusal> {
    let digits = text.strip_prefix("AS").unwrap_or(text);
    let number = digits.parse().ok().filter(|n| *n > 0 && !digits.starts_with('+'));
    number.ok_or_else(|| (format!("`{text}` is not an AS number"), "write AS64500 or 64500"))
}

fn parse_port(text: &str) -> Result<Key, Refusal> {
    let refusal = || (format!("`{text}` is not a port with its transport"), "write 5938/tcp");
    let (port, transport) = text.split_once('/').ok_or_else(refusal)?;
    let transport = match transport {
        "tcp" => Transport::TCP,
        "udp" => Transport::UDP,
        _ => return Err(refusal()),
    };
    let port = port.parse().ok().filter(|p| *p > 0).ok_or_else(refusal)?;
    Ok(Key::Port(transport, port))
}

fn is_word(text: &str) -> bool {
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
