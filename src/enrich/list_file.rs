//! Reads list files: entries, and every error with its line.
//!
//! Owns: the text format. In: files of `--lists DIR`, the default lists. Out: [`ListFile`]s.
//! Never: stops at the first error, keeps half a list.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bounded;
use crate::enrich::hits::HITS_MAX;
use crate::enrich::list_header::{header, is_word};
use crate::enrich::lists::{Kind, ListInfo};
use crate::enrich::lpm::Prefix;
use crate::enrich::names::Pattern;
use crate::enrich::prefix_index::PrefixLines;
use crate::enrich::signatures::file::Field;
use crate::model::{Error, Transport};
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

/// What a match with an entry says: its tag, and the application it names.
pub(crate) type Meaning = (Arc<str>, Option<Arc<str>>);

/// A parsed list.
pub(crate) struct ListFile {
    pub(crate) info: ListInfo,
    pub(crate) lines: Vec<Line>,
    /// Prefixes, of which there may be millions, and the meanings that their numbers stand for.
    pub(crate) prefixes: PrefixLines,
    pub(crate) meanings: Vec<Meaning>,
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
    let text = text.trim_start_matches('\u{feff}');
    let mut errors = Vec::new();
    let info = header(path, text, &mut errors);
    let info = match info {
        Ok(info) => info,
        Err(more) => {
            errors.extend(more);
            return Err(errors);
        }
    };
    let mut body = Body::new(info, text);
    for (number, line) in (1u32..).zip(text.lines()) {
        if body.take_plain(line) {
            continue;
        }
        if let Some(entry) = entry(line)
            && let Err((cause, help)) = body.take(entry)
        {
            errors.push(Error::new("list entry", cause).at(path, number).help(help));
            // A file of another kind has an error in each line.
            if errors.len() >= ERRORS_MAX {
                break;
            }
        }
    }
    if let Some(prefix) = body.prefixes.settle(SAME_MAX) {
        let cause = format!("`{prefix}` stands more than {SAME_MAX} times");
        let of_prefix = |(_, entry): &(u32, &str)| {
            let key = entry.split_ascii_whitespace().next().unwrap_or_default();
            Prefix::parse(key) == Ok(prefix)
        };
        let number = entries(text).filter(of_prefix).nth(SAME_MAX).map_or(0, |(number, _)| number);
        errors.push(Error::new("list entry", cause).at(path, number).help(SAME_HELP));
    }
    if errors.is_empty() { Ok(body.finish()) } else { Err(errors) }
}

/// The entries with their lines.
fn entries(text: &str) -> impl Iterator<Item = (u32, &str)> {
    (1u32..).zip(text.lines()).filter_map(|(number, line)| Some((number, entry(line)?)))
}

/// The entry of a line, without a comment behind it.
fn entry(line: &str) -> Option<&str> {
    let entry = line.split('#').next().unwrap_or_default().trim();
    (!entry.is_empty()).then_some(entry)
}

/// The entries of a list so far.
struct Body {
    info: ListInfo,
    lines: Vec<Line>,
    shared: Interner,
    repeats: Repeats,
    prefixes: PrefixLines,
    meanings: Vec<Meaning>,
    numbers: HashMap<Meaning, u32>,
}

impl Body {
    fn new(info: ListInfo, text: &str) -> Body {
        let mut prefixes = PrefixLines::default();
        if info.kind == Kind::Prefix {
            prefixes.reserve(memchr::memchr_iter(b'\n', text.as_bytes()).count());
        }
        let (lines, meanings, numbers) = (Vec::new(), Vec::new(), HashMap::new());
        let (shared, repeats) = (Interner::default(), Repeats::default());
        Body { info, lines, shared, repeats, prefixes, meanings, numbers }
    }

    /// Takes a line that is a prefix of IPv4 and nothing else: there may be millions.
    fn take_plain(&mut self, line: &str) -> bool {
        if self.info.kind != Kind::Prefix {
            return false;
        }
        let Some(prefix) = Prefix::parse_plain_v4(line.as_bytes()) else { return false };
        let number = self.number(None, None);
        self.prefixes.push(prefix, number);
        true
    }

    fn take(&mut self, entry: &str) -> Result<(), Refusal> {
        let mut columns = entry.split_ascii_whitespace();
        let key = columns.next().unwrap_or_default();
        let (tag, application) = (columns.next(), columns.next());
        if let Some(more) = columns.next() {
            return Err((
                format!("`{more}` is a fourth column"),
                "write: ENTRY [TAG [APPLICATION]]",
            ));
        }
        if let Some(bad) = [tag, application].into_iter().flatten().find(|word| !is_word(word)) {
            let cause = format!("`{bad}` has characters other than a-z 0-9 . _ : -");
            return Err((cause, "write tags like rmm:anydesk and applications like anydesk"));
        }
        if self.info.kind == Kind::Prefix {
            let help = "write 192.0.2.0/24 or 2001:db8::/32";
            let prefix = Prefix::parse(key).map_err(|cause| (cause, help))?;
            let number = self.number(tag, application);
            self.prefixes.push(prefix, number);
            return Ok(());
        }
        let line = parse_line(key, (tag, application), &self.info, &mut self.shared)?;
        if self.repeats.is_new(&self.lines, &line)? {
            self.lines.push(line);
        }
        Ok(())
    }

    /// The number of what an entry says; most say what the one before says.
    fn number(&mut self, tag: Option<&str>, application: Option<&str>) -> u32 {
        let info = &self.info;
        let tag = tag.unwrap_or(&info.tag);
        let application = application.or(info.application.as_deref());
        let says = |have: &Meaning| &*have.0 == tag && have.1.as_deref() == application;
        if self.meanings.last().is_some_and(says) {
            return u32::try_from(self.meanings.len() - 1).unwrap_or(u32::MAX);
        }
        let meaning: Meaning =
            (self.shared.get(tag), application.map(|name| self.shared.get(name)));
        let next = u32::try_from(self.meanings.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(meaning.clone()).or_insert(next);
        if number == next {
            self.meanings.push(meaning);
        }
        number
    }

    fn finish(self) -> ListFile {
        let Body { mut info, lines, prefixes, meanings, .. } = self;
        info.entries = lines.len() + prefixes.len();
        ListFile { info, lines, prefixes, meanings }
    }
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

const SAME_HELP: &str = "give it fewer tags, or put some into another list";

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
    Name(Pattern),
    Asn(u32),
    Port(Transport, u16),
}

impl Repeats {
    /// Whether `line` says something that none of `lines` says.
    fn is_new(&mut self, lines: &[Line], line: &Line) -> Result<bool, Refusal> {
        let key = match &line.key {
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
            return Err((cause, SAME_HELP));
        }
        *count += 1;
        Ok(self.more.insert(more))
    }
}

/// An entry of any kind but prefixes.
fn parse_line(
    key: &str,
    (tag, application): (Option<&str>, Option<&str>),
    info: &ListInfo,
    shared: &mut Interner,
) -> Result<Line, Refusal> {
    let text: Arc<str> = key.into();
    let key = match info.kind {
        Kind::Name => Key::Name(
            Pattern::parse(key).map_err(|e| (e, "write name.tld, *.name.tld or =name.tld"))?,
        ),
        Kind::Asn => Key::Asn(parse_asn(key)?),
        Kind::Prefix | Kind::Port | Kind::Signature => parse_port(key)?,
    };
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
