//! A case as one file that can be handed on: results, slices of packets, what they were made from.
//!
//! Owns: which members a bundle has, and their order. In: results, captures, a key. Out: a tar
//! archive in zstd, the same bytes for the same inputs. Never: anything of this machine or moment
//! but what the results hold themselves.

pub mod manifest;
pub mod ssh;
pub mod tar;
pub mod verify;

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::bundle::manifest::{Manifest, Member};
use crate::carve::{self, Carved, Options};
use crate::model::Error;
use crate::report::html;
use crate::results::Results;
use crate::sinks::files::{NAMES, OutBytes, OutFile};

/// The member with the hashes of the others: the first.
pub const MANIFEST: &str = "manifest.json";

/// Its signature: the second, if there is one.
pub const SIGNATURE: &str = "manifest.json.sig";

/// The report of the results.
const REPORT: &str = "report.html";

/// The same at any version of this program, so that the bytes are the same.
const LEVEL: i32 = 9;

const READ_BYTES: usize = 1 << 18;

/// What to bundle.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Events whose packets go with it; none: each incident's.
    pub ids: Vec<String>,
    /// No packets.
    pub no_packets: bool,
    /// Where the captures are.
    pub carve: Options,
    /// The private key to sign with.
    pub key: Option<PathBuf>,
}

/// What was bundled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundled {
    /// Members, without manifest and signature.
    pub files: usize,
    /// Slices among them.
    pub slices: usize,
    /// Fingerprint of the key that signed.
    pub signed_by: Option<String>,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// A member and where its bytes are.
struct Source {
    name: String,
    path: PathBuf,
}

/// Writes a bundle of results.
///
/// Errors: the results, captures or the key cannot be used; writing.
pub fn bundle(
    results: &Results,
    request: &Request,
    out: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Bundled, Vec<Error>> {
    let one = |error: Error| vec![error];
    let key = request.key.as_deref().map(ssh::Key::load).transpose().map_err(one)?;
    let mut sources = result_files(results).map_err(one)?;
    let mut runs = Vec::new();
    for source in sources.iter().filter(|source| source.name.ends_with("run.json")) {
        let directory = source.name.trim_end_matches("/run.json");
        runs.push(manifest::run(directory, &source.path, &request.carve.captures).map_err(one)?);
    }
    refuse_overwriting(&sources, &runs, out).map_err(one)?;
    let scratch = Scratch::beside(out).map_err(one)?;
    let slices = slices(results, request, &scratch, progress)?;
    let mut notes = Vec::new();
    let mut told = Vec::new();
    for (id, name, carved) in slices {
        match carved {
            Ok(carved) => {
                notes.extend(carved.notes.iter().map(|note| format!("slice {id}: {note}")));
                told.push(manifest::slice(&id, &name, &carved));
                let path = scratch.0.join(format!("{id}.pcapng"));
                sources.push(Source { name, path });
            }
            Err(error) => {
                notes.push(format!("no slice of {id}: {}", error.cause));
                told.push(manifest::no_slice(&id, &error.cause));
            }
        }
    }
    let (path, faults) = report(results, &scratch).map_err(one)?;
    notes.extend(faults);
    sources.push(Source { name: REPORT.to_owned(), path });
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    let files = sources.iter().map(member).collect::<Result<Vec<Member>, Error>>().map_err(one)?;
    let signed_by = key.as_ref().map(|key| key.public().fingerprint());
    let manifest = Manifest {
        manifest_version: manifest::VERSION,
        program: concat!("longhaul ", env!("CARGO_PKG_VERSION")).to_owned(),
        options: options(request),
        signed_by: signed_by.clone(),
        runs,
        slices: told,
        files,
    };
    write(&manifest, key.as_ref(), &sources, out).map_err(one)?;
    let slices = sources.iter().filter(|source| source.name.starts_with("slices/")).count();
    Ok(Bundled { files: sources.len(), slices, signed_by, notes })
}

fn options(request: &Request) -> Vec<String> {
    let mut all: Vec<String> = request.ids.iter().map(|id| format!("id={id}")).collect();
    if request.no_packets {
        all.push("no-packets".to_owned());
    }
    all
}

/// Writes the report. Gives where it is, and what is wrong with the results.
fn report(results: &Results, scratch: &Scratch) -> Result<(PathBuf, Vec<String>), Error> {
    let case = html::Case::read(results, None)?;
    let path = scratch.0.join(REPORT);
    let mut file = OutFile::create(&path)?;
    file.write(html::render(&case).as_bytes())?;
    file.finish()?;
    Ok((path, case.faults().to_vec()))
}

/// A bundle never replaces what it is made from.
fn refuse_overwriting(sources: &[Source], runs: &[Value], out: &Path) -> Result<(), Error> {
    let Ok(target) = fs::canonicalize(out) else { return Ok(()) };
    let inputs = runs.iter().filter_map(|run| run.get("inputs")?.as_array()).flatten();
    let inputs = inputs.filter_map(|input| input.get("path")?.as_str()).map(PathBuf::from);
    let mut all = sources.iter().map(|source| source.path.clone()).chain(inputs);
    if all.any(|path| fs::canonicalize(path).is_ok_and(|path| path == target)) {
        let what = format!("writing {}", out.display());
        return Err(
            Error::new(what, "the bundle would be made from it").help("choose another name for -o")
        );
    }
    Ok(())
}

/// The files of the results, of several sets each in its directory.
fn result_files(results: &Results) -> Result<Vec<Source>, Error> {
    let dirs = results.dirs();
    let mut all = Vec::new();
    for dir in dirs {
        let folder = match dirs.len() {
            1 => "results".to_owned(),
            _ => {
                let name = dir.file_name().map(|name| name.to_string_lossy().into_owned());
                format!("results/{}", name.unwrap_or_default())
            }
        };
        for name in NAMES {
            let path = dir.join(name);
            if path.exists() {
                all.push(Source { name: format!("{folder}/{name}"), path });
            }
        }
    }
    Ok(all)
}

/// An id, the name of its slice, and what was carved.
type Slices = Vec<(String, String, Result<Carved, Error>)>;

/// Carves the slices that are asked for.
fn slices(
    results: &Results,
    request: &Request,
    scratch: &Scratch,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Slices, Vec<Error>> {
    if request.no_packets {
        return Ok(Vec::new());
    }
    let mut ids = Vec::new();
    if request.ids.is_empty() {
        let mut each = |line: &crate::explain::Flat| {
            let id = line.text("event.id").unwrap_or_default().to_owned();
            if !ids.contains(&id) {
                ids.push(id);
            }
            Ok(())
        };
        results.each("incidents.ndjson", &mut each).map_err(|e| vec![e])?;
    } else {
        for id in &request.ids {
            let event = crate::results::find::find(results, id).map_err(|e| vec![e])?;
            ids.push(event.line().text("event.id").unwrap_or(id).to_owned());
        }
    }
    ids.sort();
    ids.dedup();
    let paths: Vec<PathBuf> = ids.iter().map(|id| scratch.0.join(format!("{id}.pcapng"))).collect();
    let orders: Vec<(&str, &Path)> =
        ids.iter().map(String::as_str).zip(paths.iter().map(PathBuf::as_path)).collect();
    let mut all = Vec::with_capacity(ids.len());
    for some in orders.chunks(carve::AT_ONCE) {
        let carved = carve::carve_all(results, some, &request.carve, progress);
        match carved {
            Ok(carved) => all.extend(carved),
            Err(errors) => return Err(errors.into_iter().map(without_packets).collect()),
        }
    }
    let named = ids.into_iter().map(|id| {
        let name = format!("slices/{id}.pcapng");
        (id, name)
    });
    Ok(named.zip(all).map(|((id, name), carved)| (id, name, carved)).collect())
}

/// Adds the other remedy: a bundle without packets.
fn without_packets(error: Error) -> Error {
    let help = match &error.help {
        Some(help) => format!("{help}; or leave the packets out: --no-packets"),
        None => "leave the packets out: --no-packets".to_owned(),
    };
    error.help(help)
}

/// Size and hash of a member.
fn member(source: &Source) -> Result<Member, Error> {
    tar::header(&source.name, 0).map_err(|cause| Error::new("bundle", cause))?;
    let mut file = open(&source.path)?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0u64, vec![0; READ_BYTES]);
    loop {
        let n = file.read(&mut buffer).map_err(|e| failed(&source.path, &e))?;
        if n == 0 {
            break;
        }
        bytes += n as u64;
        hash.update(buffer.get(..n).unwrap_or_default());
    }
    Ok(Member { name: source.name.clone(), bytes, sha256: hex(hash) })
}

fn open(path: &Path) -> Result<File, Error> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|e| failed(path, &e))?;
    if file.metadata().map_err(|e| failed(path, &e))?.is_file() {
        return Ok(file);
    }
    Err(Error::new("bundle", "it is not a regular file").at(path, 0))
}

fn failed(path: &Path, cause: &io::Error) -> Error {
    Error::new("bundle", cause.to_string()).at(path, 0)
}

/// The text of a hash.
fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the archive: manifest, signature, members.
fn write(
    manifest: &Manifest,
    key: Option<&ssh::Key>,
    sources: &[Source],
    out: &Path,
) -> Result<(), Error> {
    let cannot = |e: io::Error| Error::new(format!("writing {}", out.display()), e.to_string());
    let text = manifest.render()?;
    let signature = key.map(|key| key.sign(&text));
    let mut packed = zstd::Encoder::new(OutBytes(OutFile::create(out)?), LEVEL).map_err(cannot)?;
    packed.include_checksum(true).map_err(cannot)?;
    let whole = |name: &str, bytes: &[u8], packed: &mut dyn Write| {
        let header = tar::header(name, bytes.len() as u64).map_err(io::Error::other)?;
        packed.write_all(&header)?;
        packed.write_all(bytes)?;
        packed.write_all(padding(bytes.len() as u64))
    };
    whole(MANIFEST, &text, &mut packed).map_err(cannot)?;
    if let Some(signature) = &signature {
        whole(SIGNATURE, signature.as_bytes(), &mut packed).map_err(cannot)?;
    }
    for (member, source) in manifest.files.iter().zip(sources) {
        copy(member, source, &mut packed)?;
    }
    packed.write_all(&[0; 2 * tar::BLOCK]).map_err(cannot)?;
    let OutBytes(file) = packed.finish().map_err(cannot)?;
    file.finish()
}

fn padding(size: u64) -> &'static [u8] {
    const ZERO: [u8; tar::BLOCK] = [0; tar::BLOCK];
    ZERO.get(..tar::padding(size)).unwrap_or_default()
}

/// Writes one member, and checks that it is still what the manifest says.
fn copy(member: &Member, source: &Source, packed: &mut dyn Write) -> Result<(), Error> {
    let failed = |e: io::Error| failed(&source.path, &e);
    let header = tar::header(&member.name, member.bytes).map_err(|e| Error::new("bundle", e))?;
    packed.write_all(&header).map_err(failed)?;
    let mut file = open(&source.path)?;
    let (mut hash, mut left, mut buffer) = (Sha256::new(), member.bytes, vec![0; READ_BYTES]);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES);
        let n = file.read(buffer.get_mut(..most).unwrap_or_default()).map_err(failed)?;
        if n == 0 {
            break;
        }
        left -= n as u64;
        let bytes = buffer.get(..n).unwrap_or_default();
        hash.update(bytes);
        packed.write_all(bytes).map_err(failed)?;
    }
    if left > 0 || hex(hash) != member.sha256 {
        return Err(Error::new("bundle", "it changed while it was read")
            .at(&source.path, 0)
            .help("bundle a result that no run is writing to"));
    }
    packed.write_all(padding(member.bytes)).map_err(failed)
}

/// A directory for slices until they are packed, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    /// Beside the bundle, where there is room for it; for standard output where temporary files go.
    fn beside(out: &Path) -> Result<Scratch, Error> {
        let parent = match out.parent() {
            _ if out == Path::new("-") => std::env::temp_dir(),
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let dir = parent.join(format!(".longhaul-slices-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&dir).map_err(|e| {
            Error::new(format!("writing {}", dir.display()), e.to_string())
                .help("choose a directory for -o that can be written to")
        })?;
        Ok(Scratch(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left of it is nobody's.
        let _ = fs::remove_dir_all(&self.0);
    }
}
