//! Indicator lists: their file format, and one index over all of them.
//!
//! Owns: list files, their provenance, the matching. In: directories of list files, or the default
//! ones.
//! Out: ids of the entries that match a prefix, name, AS number or port. Never: decides what a
//! match means.
//!
//! A list is a text file: header lines `# key: value`, then one entry per line, optionally followed
//! by a tag and an application that override the header's. The keys are documented at [`ListInfo`].

use std::path::Path;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use serde::{Serialize, Serializer};

use crate::enrich::list_file::{self, Key, ListFile, Meaning};
use crate::enrich::names::NameSet;
use crate::enrich::prefix_index::{PrefixIndex, PrefixLines};
use crate::enrich::signatures::file::Field;
use crate::enrich::signatures::{self, Application};
use crate::model::alert::SourceInfo;
use crate::model::{Addr, Error, Nanos, Transport};
use crate::wire::payload::Matcher;

/// Maximum lists in a run: hits store the list as `u16`.
const LISTS_MAX: usize = 4_096;

/// The kind of a list's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// IPv4 and IPv6 prefixes or addresses.
    Prefix,
    /// Domain names: `name.tld` with all subdomains, `*.name.tld`, `=name.tld`.
    Name,
    /// AS numbers: `AS64500` or `64500`.
    Asn,
    /// `5938/tcp`.
    Port,
    /// Applications of a signature file: names, ports, payload and more.
    Signature,
}

/// The description of a list in run.json.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListInfo {
    /// `# name:`; unique in a run.
    #[serde(serialize_with = "text")]
    pub name: Arc<str>,
    /// `# tag:` given to sessions that match; `list:<name>` if the header has none.
    #[serde(serialize_with = "text")]
    pub tag: Arc<str>,
    /// `# kind: prefix|name|asn|port`.
    pub kind: Kind,
    /// `# source:` of the entries.
    pub source: String,
    /// `# date: YYYY-MM-DD` of the entries.
    pub date: String,
    /// `# licence:` of the list.
    pub licence: String,
    /// `# application:` that a match names (`network.application`).
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text_or_none")]
    pub application: Option<Arc<str>>,
    /// `# weight:` 0 to 1, for rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// `# half_life_days:` in which the weight halves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_life_days: Option<f64>,
    /// `# category:` free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The number of entries.
    pub entries: usize,
    /// `date` as a time, to compute its age at the time of a packet.
    #[serde(skip)]
    pub built_at: Nanos,
}

impl ListInfo {
    /// Whole days from its date to a time; 0 if that is before.
    pub fn age_days(&self, now: Nanos) -> u64 {
        now.since(self.built_at).as_secs() / 86_400
    }

    /// Its weight at a time, if it says one: half of it is left after each half-life.
    pub fn weight_at(&self, now: Nanos) -> Option<f64> {
        let halves = self.half_life_days.map_or(0.0, |days| self.age_days(now) as f64 / days);
        self.weight.map(|weight| weight * (-halves).exp2())
    }

    /// The form used in alerts.
    pub fn source_info(&self) -> SourceInfo {
        SourceInfo {
            kind: "list",
            name: Arc::clone(&self.name),
            version: "".into(),
            built_at: Some(self.built_at).filter(|at| *at > Nanos::ZERO),
        }
    }
}

fn text<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(text)
}

fn text_or_none<S: Serializer>(text: &Option<Arc<str>>, to: S) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(to)
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Index of its list.
    pub list: u16,
    /// The tag it sets.
    pub tag: Arc<str>,
    /// The application it names.
    pub application: Option<Arc<str>>,
    /// The entry as written.
    pub text: Arc<str>,
    /// It counts only if the responder's port is this one.
    pub port: Option<u16>,
}

/// Every list of a run, indexed. Immutable.
#[derive(Default)]
pub struct Lists {
    infos: Vec<ListInfo>,
    entries: Vec<Entry>,
    prefixes: PrefixIndex,
    /// What the numbers in it stand for: the list, and what its entries say.
    meanings: Vec<(u16, Meaning)>,
    names: NameSet,
    asns: HashMap<u32, Vec<u32>, RandomState>,
    ports: HashMap<(u8, u16), Vec<u32>, RandomState>,
    texts: HashMap<Box<str>, Vec<(Field, u32)>, RandomState>,
    payload: Matcher,
    applications: Vec<Application>,
}

impl Lists {
    /// The default lists, and those of `dir` if given; a list of the same name replaces the
    /// default. Every error of the directory is reported.
    pub fn load(dir: Option<&Path>) -> Result<Lists, Vec<Error>> {
        Lists::load_all(dir, None)
    }

    /// The same, with the signatures of a directory instead of the embedded ones.
    pub fn load_all(dir: Option<&Path>, signatures: Option<&Path>) -> Result<Lists, Vec<Error>> {
        let table = signatures::load(signatures);
        let files = Lists::files(dir);
        match (files, table) {
            (Ok(mut files), Ok(table)) => {
                files.extend(table.files);
                // Indexes follow the names, so that directory order has no effect.
                files.sort_by(|a, b| a.info.name.cmp(&b.info.name));
                Ok(Lists { applications: table.applications, ..Lists::index(files) })
            }
            (files, table) => {
                let errors = files.err().into_iter().chain(table.err());
                Err(errors.flatten().collect())
            }
        }
    }

    /// The applications of one signature file; `path` is for messages. Every error is reported.
    pub fn from_signatures(path: &Path, text: &str) -> Result<Lists, Vec<Error>> {
        let table = signatures::build(&[(path.to_path_buf(), text.to_owned())])?;
        Ok(Lists { applications: table.applications, ..Lists::index(table.files) })
    }

    /// The lists of a directory, without the default ones.
    pub fn of_dir(dir: &Path) -> Result<Lists, Vec<Error>> {
        list_file::read_dir(dir).map(Lists::index)
    }

    fn files(dir: Option<&Path>) -> Result<Vec<ListFile>, Vec<Error>> {
        let mut files = list_file::defaults()?;
        if let Some(dir) = dir {
            let own = list_file::read_dir(dir)?;
            files.retain(|file| own.iter().all(|mine| mine.info.name != file.info.name));
            files.extend(own);
        }
        if files.len() > LISTS_MAX {
            let cause = format!("{} lists are more than {LISTS_MAX}", files.len());
            return Err(vec![
                Error::new("lists", cause).help("join lists of one kind into one file"),
            ]);
        }
        Ok(files)
    }

    /// One list from its text; `path` is for messages. Every error of the text is reported.
    pub fn from_text(path: &Path, text: &str) -> Result<Lists, Vec<Error>> {
        list_file::parse(path, text).map(|file| Lists::index(vec![file]))
    }

    fn index(files: Vec<ListFile>) -> Lists {
        let mut lists = Lists::default();
        let mut prefixes = PrefixLines::default();
        let mut names = Vec::new();
        let mut shapes = Vec::new();
        for (list, file) in (0u16..).zip(files) {
            let base = u32::try_from(lists.meanings.len()).unwrap_or(u32::MAX);
            prefixes.append(file.prefixes, base);
            lists.meanings.extend(file.meanings.into_iter().map(|meaning| (list, meaning)));
            for line in file.lines {
                let id = u32::try_from(lists.entries.len()).unwrap_or(u32::MAX);
                match line.key {
                    Key::Name(pattern) => names.push((pattern, id)),
                    Key::Asn(number) => lists.asns.entry(number).or_default().push(id),
                    Key::Port(transport, port) => {
                        lists.ports.entry((transport.0, port)).or_default().push(id);
                    }
                    Key::Text(field, text) => {
                        lists.texts.entry(text).or_default().push((field, id));
                    }
                    Key::Payload(shape) => {
                        let key = Box::from(&*shape.application);
                        let ids = lists.texts.entry(key).or_default();
                        if ids.iter().all(|(field, _)| *field != Field::Payload) {
                            ids.push((Field::Payload, id));
                        }
                        shapes.push(shape);
                    }
                }
                let (tag, application, text) = (line.tag, line.application, line.text);
                lists.entries.push(Entry { list, tag, application, text, port: line.port });
            }
            lists.infos.push(file.info);
        }
        lists.prefixes = PrefixIndex::build(prefixes);
        lists.names = NameSet::build(names);
        let number = format!("{shapes:?}")
            .bytes()
            .fold(0x811c_9dc5u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        // Anything beyond the cap was refused when the table was parsed.
        (lists.payload, _) = Matcher::build(shapes, number);
        lists
    }

    /// The lists in run.json; a hit's `list` is an index into it.
    pub fn infos(&self) -> &[ListInfo] {
        &self.infos
    }

    /// What an application counts as beside others: of most it is their own name.
    pub fn family(&self, application: &Arc<str>) -> Arc<str> {
        let at = self.applications.binary_search_by(|known| known.name.cmp(application));
        let known = at.ok().and_then(|at| self.applications.get(at));
        Arc::clone(known.and_then(|known| known.family.as_ref()).unwrap_or(application))
    }

    /// The entry of an id.
    pub fn entry(&self, id: u32) -> Option<&Entry> {
        self.entries.get(id as usize)
    }

    /// Entries whose prefix contains the address, longest first, over all lists.
    pub fn by_address(&self, addr: Addr) -> impl Iterator<Item = Entry> {
        self.prefixes.matches(addr).filter_map(|(prefix, number)| {
            let (list, (tag, application)) = self.meanings.get(number as usize)?;
            Some(Entry {
                list: *list,
                tag: Arc::clone(tag),
                application: application.clone(),
                text: prefix.to_string().into(),
                port: None,
            })
        })
    }

    /// Whether any prefix contains the address.
    pub fn holds(&self, addr: Addr) -> bool {
        self.prefixes.matches(addr).next().is_some()
    }

    /// Entries of an AS number.
    pub fn by_asn(&self, number: u32) -> impl Iterator<Item = &Entry> {
        let ids = self.asns.get(&number).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.entry(*id))
    }

    /// Entries of a port.
    pub fn by_port(&self, transport: Transport, port: u16) -> impl Iterator<Item = &Entry> {
        let ids = self.ports.get(&(transport.0, port)).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.entry(*id))
    }

    /// Entries for a text of a signature.
    pub fn by_text(&self, field: Field, text: &str) -> impl Iterator<Item = &Entry> {
        let ids = self.texts.get(text).map(Vec::as_slice).unwrap_or_default();
        let of_field = ids.iter().filter(move |(of, _)| *of == field);
        of_field.filter_map(|(_, id)| self.entry(*id))
    }

    /// Patterns for first payload bytes.
    pub const fn payload(&self) -> &Matcher {
        &self.payload
    }

    /// Every application of the signatures, by name.
    pub fn applications(&self) -> &[Application] {
        &self.applications
    }

    /// Whether a signature or a list knows an application of this name.
    pub fn names(&self, application: &str) -> bool {
        let of_entry = |entry: &Entry| entry.application.as_deref() == Some(application);
        let of_prefix = |(_, (_, named)): &(u16, Meaning)| named.as_deref() == Some(application);
        self.applications.iter().any(|known| *known.name == *application)
            || self.entries.iter().any(of_entry)
            || self.meanings.iter().any(of_prefix)
    }

    /// Calls `each` with the entries that match a name, most specific first.
    pub fn for_each_by_name<'a>(&'a self, name: &str, mut each: impl FnMut(&'a Entry)) {
        self.names.for_each_match(name, |id| {
            if let Some(entry) = self.entry(id) {
                each(entry);
            }
        });
    }
}
