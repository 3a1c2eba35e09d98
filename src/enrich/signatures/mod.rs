//! The table of applications and their evidence, from files that users can extend.
//!
//! Owns: `rules/signatures/*.yaml`, parsing and checking. In: the embedded files, or those of
//! `--signatures DIR`. Out: entries that are indexed with those of lists. Never: an application
//! that only code knows.

pub(crate) mod certificate;
pub(crate) mod file;
mod payload;
mod text;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::bounded;
use crate::enrich::list_file::{Key, Line, ListFile};
use crate::enrich::lists::{Kind, ListInfo};
use crate::enrich::prefix_index::PrefixLines;
use crate::enrich::signatures::file::{Evidence, Field, Signature};
use crate::model::{Error, Transport};
use crate::wire::payload::SHAPES_MAX;

/// Maximum size of a file in bytes, and maximum files of a directory.
const FILE_BYTES_MAX: u64 = 4 << 20;
const FILES_MAX: usize = 256;

macro_rules! embedded {
    ($($name:literal)+) => {
        /// File name and text of each embedded signature file.
        const EMBEDDED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../rules/signatures/", $name)))),+];
    };
}

embedded! {
    "dns.yaml"
    "ip-kvm.yaml"
    "mesh.yaml"
    "proxy.yaml"
    "rmm.yaml"
    "saas.yaml"
    "tor.yaml"
    "tunnel.yaml"
    "vpn.yaml"
}

/// An application in the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Application {
    /// `network.application`.
    #[serde(serialize_with = "arc")]
    pub name: Arc<str>,
    /// Name for people.
    pub title: String,
    /// Its category: `rmm`, `vpn`, `proxyware`.
    pub category: String,
    /// The tag of its sessions.
    #[serde(serialize_with = "arc")]
    pub tag: Arc<str>,
    /// What it counts as beside others of its vendor, or of its code.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "arc_or_none")]
    pub family: Option<Arc<str>>,
    /// Kind and text of its evidence, in the order of the file.
    pub evidence: Vec<(&'static str, String)>,
    /// Source of the facts.
    pub source: String,
    /// Date of the facts: YYYY-MM-DD.
    pub date: String,
}

fn arc<S: serde::Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(text)
}

fn arc_or_none<S: serde::Serializer>(text: &Option<Arc<str>>, to: S) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(to)
}

/// The contents of a directory of signatures, or of the embedded one.
#[derive(Default)]
pub(crate) struct Table {
    /// One list per file: its entries are indexed with those of lists.
    pub(crate) files: Vec<ListFile>,
    /// Every application, by name.
    pub(crate) applications: Vec<Application>,
}

/// Reads the embedded table, or a directory instead; returns every error at once.
pub(crate) fn load(dir: Option<&Path>) -> Result<Table, Vec<Error>> {
    let files = match dir {
        Some(dir) => read_dir(dir)?,
        None => {
            let path = |name: &str| Path::new("rules/signatures").join(name);
            EMBEDDED.iter().map(|(name, text)| (path(name), (*text).to_owned())).collect()
        }
    };
    build(&files)
}

/// Checks files individually and together.
pub(crate) fn build(files: &[(PathBuf, String)]) -> Result<Table, Vec<Error>> {
    let (mut table, mut errors) = (Table::default(), Vec::new());
    let mut shapes = [0usize; 2];
    for (path, content) in files {
        let all = match file::parse(path, content) {
            Ok(all) => all,
            Err(more) => {
                errors.extend(more);
                continue;
            }
        };
        for signature in &all {
            if table.applications.iter().any(|have| have.name == signature.name) {
                let cause = format!("the application `{}` is in another file too", signature.name);
                errors.push(Error::new("signature", cause).at(path, 0).help("join the entries"));
            }
            table.applications.push(application(signature));
        }
        let counts = shapes.iter_mut().zip([Transport::TCP, Transport::UDP]);
        counts.for_each(|(n, transport)| *n += shapes_of(&all, transport));
        table.files.push(list_file(path, all));
    }
    if let Some(most) = shapes.iter().max().filter(|n| **n > SHAPES_MAX) {
        let cause =
            format!("{most} payload signatures of one transport are more than {SHAPES_MAX}");
        errors.push(Error::new("signatures", cause).help("leave out what you do not need"));
    }
    table.applications.sort_by(|a, b| a.name.cmp(&b.name));
    if errors.is_empty() { Ok(table) } else { Err(errors) }
}

fn shapes_of(all: &[Signature], transport: Transport) -> usize {
    let signs = all.iter().flat_map(|signature| &signature.signs);
    signs.filter(|(s, _)| matches!(s, Evidence::Payload(s) if s.transport == transport)).count()
}

fn read_dir(dir: &Path) -> Result<Vec<(PathBuf, String)>, Vec<Error>> {
    let what = format!("signatures in {}", dir.display());
    let help = "give a readable directory of .yaml files, or leave --signatures out";
    let refuse = |cause: String| vec![Error::new(what.clone(), cause).help(help)];
    let entries = std::fs::read_dir(dir).map_err(|e| refuse(e.to_string()))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml"))
        .collect();
    paths.sort();
    if paths.is_empty() || paths.len() > FILES_MAX {
        return Err(refuse(format!("{} files end in .yaml or .yml", paths.len())));
    }
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        match read(&path) {
            Ok(text) => files.push((path, text)),
            Err(cause) => errors.push(Error::new("signatures", cause).at(&path, 0).help(help)),
        }
    }
    if errors.is_empty() { Ok(files) } else { Err(errors) }
}

fn read(path: &Path) -> Result<String, String> {
    bounded::file::read_text(path, FILE_BYTES_MAX)
}

/// The entries of a file as list entries: names and ports share one lookup.
fn list_file(path: &Path, all: Vec<Signature>) -> ListFile {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_ascii_lowercase());
    let name: Arc<str> = format!("signatures-{}", stem.unwrap_or_default()).into();
    let newest = all.iter().max_by_key(|signature| signature.built_at);
    let mut info = ListInfo {
        tag: Arc::clone(&name),
        name,
        kind: Kind::Signature,
        source: "each entry names its own".to_owned(),
        date: newest.map(|signature| signature.date.clone()).unwrap_or_default(),
        licence: "facts compiled by the author of the file".to_owned(),
        application: None,
        weight: None,
        half_life_days: None,
        category: None,
        entries: 0,
        built_at: newest.map(|signature| signature.built_at).unwrap_or_default(),
    };
    let mut lines = Vec::new();
    for signature in all {
        for (sign, text) in signature.signs {
            let mut port = signature.port;
            let key = match sign {
                Evidence::Name(pattern) => Key::Name(pattern),
                Evidence::Port(transport, port) => Key::Port(transport, port),
                Evidence::Payload(shape) => Key::Payload(shape),
                Evidence::Text(field, text) => Key::Text(field, text),
                Evidence::Protocol(name, own) => {
                    port = own;
                    Key::Text(Field::Protocol, name)
                }
            };
            let (tag, application) =
                (Arc::clone(&signature.tag), Some(Arc::clone(&signature.name)));
            lines.push(Line { key, tag, application, text, port });
        }
    }
    info.entries = lines.len();
    ListFile { info, lines, prefixes: PrefixLines::default(), meanings: Vec::new() }
}

fn application(signature: &Signature) -> Application {
    let kind = |sign: &Evidence| match sign {
        Evidence::Name(_) => "name",
        Evidence::Port(..) => "port",
        Evidence::Payload(_) | Evidence::Text(Field::Payload, _) => "payload",
        Evidence::Text(Field::Certificate, _) => "certificate",
        Evidence::Text(Field::Title, _) => "title",
        Evidence::Text(Field::Alpn, _) => "alpn",
        Evidence::Text(Field::Ja4, _) => "ja4",
        Evidence::Text(Field::Ssh, _) => "ssh",
        Evidence::Protocol(..) | Evidence::Text(Field::Protocol, _) => "protocol",
    };
    Application {
        name: Arc::clone(&signature.name),
        title: signature.title.clone(),
        category: signature.category.clone(),
        tag: Arc::clone(&signature.tag),
        family: signature.family.clone(),
        evidence: signature.signs.iter().map(|(s, text)| (kind(s), text.to_string())).collect(),
        source: signature.source.clone(),
        date: signature.date.clone(),
    }
}
