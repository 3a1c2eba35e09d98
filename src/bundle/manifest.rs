//! What is in a bundle, and what it was made from.
//!
//! Owns: the form of manifest.json. In: run.json files, members with hashes. Out: JSON, the same
//! for the same. Never: a clock, or a path of the machine that packs.

use std::path::{Path, PathBuf};

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::bounded::file;
use crate::carve::captures::{self, hash_of};
use crate::explain::Flat;
use crate::model::Error;

/// The version of this form.
pub const VERSION: u32 = 1;

/// Most bytes of a run.json.
const RUN_BYTES: u64 = 64 << 20;

/// Most bytes of a manifest.
pub const BYTES_MAX: u64 = 16 << 20;

/// Most members of a bundle.
pub const MEMBERS_MAX: usize = 200_000;

/// What is taken from run.json as it is.
const KEPT: [&str; 9] =
    ["version", "schema_version", "arguments", "sensor", "rules", "geo", "lists", "loss", "totals"];

/// manifest.json.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    /// [`VERSION`].
    pub manifest_version: u32,
    /// Who made it.
    pub program: String,
    /// The options that it was made with.
    pub options: Vec<String>,
    /// Fingerprint of the key that signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// The runs whose results it has.
    pub runs: Vec<Value>,
    /// Slices, and why some are missing.
    pub slices: Vec<Value>,
    /// Members, in their order.
    pub files: Vec<Member>,
}

/// What is read of a manifest to compare a bundle with it: the rest takes no memory.
#[derive(Debug, Deserialize)]
pub struct Listing {
    /// [`VERSION`].
    pub manifest_version: u32,
    /// Fingerprint of the key that signed it.
    pub signed_by: Option<String>,
    /// Members, in their order.
    #[serde(deserialize_with = "members")]
    pub files: Vec<Member>,
}

/// At most [`MEMBERS_MAX`] of them.
fn members<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Member>, D::Error> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<Member>;

        fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            out.write_str("a list of members")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Vec<Member>, A::Error> {
            let mut found = Vec::new();
            while let Some(member) = all.next_element()? {
                if found.len() >= MEMBERS_MAX {
                    return Err(A::Error::custom(format!("more than {MEMBERS_MAX} members")));
                }
                found.push(member);
            }
            Ok(found)
        }
    }
    from.deserialize_seq(Members)
}

/// A member of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

/// What a run was: program, arguments, inputs with hashes, builds of rules, databases and lists.
///
/// Errors: run.json is not as it was written.
pub fn run(directory: &str, path: &Path, captures: &[PathBuf]) -> Result<Value, Error> {
    let refuse = |cause: String| {
        Error::new("result", cause)
            .at(path, 0)
            .help("the file is not as longhaul wrote it: run again, or restore it")
    };
    let bytes = file::read(path, RUN_BYTES).map_err(refuse)?;
    let run: Map<String, Value> = serde_json::from_slice(&bytes)
        .map_err(|error| refuse(format!("it is no JSON: {error}")))?;
    let mut out = Map::new();
    out.insert("directory".to_owned(), directory.into());
    for name in KEPT {
        out.extend(run.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    let line = run.get("environment").and_then(|of| of.get("arguments")).cloned();
    out.insert("command_line".to_owned(), line.unwrap_or_default());
    let inputs = run.get("inputs").and_then(Value::as_array).cloned().unwrap_or_default();
    let flat = Flat::parse(&bytes).map_err(|error| refuse(format!("it is no JSON: {error}")))?;
    let places = captures::whereabouts(&captures::inputs(&flat), captures)?;
    let places = places.iter().map(Option::as_deref);
    let all = inputs.iter().zip(places).map(|(of, place)| input(of, place));
    out.insert("inputs".to_owned(), all.collect());
    Ok(Value::Object(out))
}

/// An input with its hash: that of the run, else one that is taken now, if the file is there.
fn input(of: &Value, place: Option<&Path>) -> Value {
    let mut out = Map::new();
    for name in ["path", "bytes", "packets", "first", "last", "verdict"] {
        out.insert(name.to_owned(), of.get(name).cloned().unwrap_or_default());
    }
    let known = of.get("sha256").filter(|hash| hash.is_string()).cloned();
    let (hash, from) = match known {
        Some(hash) => (hash, "run"),
        None => match place.filter(|_| is_file(of)).and_then(hash_of) {
            Some(hash) => (hash.into(), "bundle"),
            None => (Value::Null, "unknown: the file is not where it was read"),
        },
    };
    out.insert("sha256".to_owned(), hash);
    out.insert("sha256_taken_by".to_owned(), from.into());
    Value::Object(out)
}

/// Whether it was a file: standard input is nowhere any more.
fn is_file(of: &Value) -> bool {
    of.get("path").and_then(Value::as_str).is_some_and(|path| path != "-")
}

/// A slice that is in the bundle.
pub fn slice(id: &str, name: &str, carved: &crate::carve::Carved) -> Value {
    json!({
        "id": id,
        "file": name,
        "packets": carved.packets,
        "sessions": carved.sessions,
        "sessions_without_packets": carved.without,
        "notes": carved.notes,
    })
}

/// A slice that could not be made.
pub fn no_slice(id: &str, cause: &str) -> Value {
    json!({ "id": id, "missing": cause })
}

impl Manifest {
    /// As it stands in the bundle.
    ///
    /// Errors: it is too long.
    pub fn render(&self) -> Result<Vec<u8>, Error> {
        let refuse = |cause: String| Error::new("manifest", cause);
        let mut out = serde_json::to_vec_pretty(self).map_err(|e| refuse(e.to_string()))?;
        out.push(b'\n');
        if out.len() as u64 > BYTES_MAX || self.files.len() > MEMBERS_MAX {
            return Err(refuse("there are too many files for one bundle".to_owned())
                .help("bundle fewer sets of the live run at once"));
        }
        Ok(out)
    }
}
