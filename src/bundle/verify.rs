//! Compares a bundle with its manifest: what is missing, added or changed.
//!
//! Owns: one pass over the archive. In: a bundle, allowed keys. Out: findings. Never: a file
//! unpacked, a path followed, or more than one buffer of a member held.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::bundle::manifest::{BYTES_MAX, Listing, Member, VERSION};
use crate::bundle::{MANIFEST, SIGNATURE, ssh, tar};
use crate::model::Error;
use crate::model::escape::escaped;

/// Most bytes of a signature.
const SIGNATURE_BYTES: u64 = 64 << 10;

/// What is added to a bundle is read up to so many bytes.
const ADDED_BYTES: u64 = 1 << 30;

/// Bytes that a stored byte may unpack to, and what any archive may: text and packets, in which
/// every line and frame is different, come nowhere near.
const RATIO_MAX: u64 = 2_000;
const ROOM_MIN: u64 = 64 << 20;

/// Findings that are kept.
const FINDINGS_MAX: usize = 10_000;

/// What a bundle was found to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Members that are as the manifest says.
    pub intact: usize,
    /// What differs.
    pub differs: Vec<String>,
    /// Fingerprint of the key that signed the manifest.
    pub signed_by: Option<String>,
    /// The key is one of those allowed; `None` if none were named.
    pub allowed: Option<bool>,
}

/// Verifies a bundle; `allowed` are the keys that may have signed it.
///
/// Errors: it cannot be read, or is no bundle.
pub fn verify(path: &Path, allowed: Option<&[ssh::Public]>) -> Result<Verified, Error> {
    let refuse = |cause: String| Error::new(format!("bundle {}", path.display()), cause);
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|e| refuse(e.to_string()))?;
    if !file.metadata().map_err(|e| refuse(e.to_string()))?.is_file() {
        return Err(refuse("it is not a regular file".to_owned()));
    }
    let stored_bytes = file.metadata().map_err(|e| refuse(e.to_string()))?.len();
    let mut file = BufReader::new(file);
    let mut magic = [0; 4];
    let no_bundle = || {
        refuse("it is no bundle: no zstd archive".to_owned())
            .help("give a file that `longhaul bundle` wrote")
    };
    file.read_exact(&mut magic).map_err(|_| no_bundle())?;
    if magic != [0x28, 0xb5, 0x2f, 0xfd] {
        return Err(no_bundle());
    }
    let stored = io::Cursor::new(magic).chain(file);
    let unpacked = zstd::Decoder::with_buffer(BufReader::new(stored));
    let mut unpacked = unpacked.map_err(|e| refuse(e.to_string()))?.single_frame();
    let (mut found, whole) = Check::new(&mut unpacked, stored_bytes).run(allowed);
    if whole && let Err(End(cause)) = nothing_behind(unpacked.finish()) {
        found.differs.push(cause);
    }
    Ok(found)
}

/// The archive is one frame, and the file ends with it.
fn nothing_behind(mut stored: impl Read) -> Step<()> {
    match stored.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(End("data behind the archive".to_owned())),
        Err(error) => Err(End(format!("the file cannot be read to its end: {error}"))),
    }
}

/// A pass over an archive.
struct Check<'r> {
    input: &'r mut dyn Read,
    /// Bytes that may still be unpacked.
    room: u64,
    found: Verified,
    /// Members not seen yet, in order.
    expected: VecDeque<Member>,
    by_name: HashMap<String, Member>,
    seen: HashSet<String>,
    /// Bytes that may still be read beyond those of the manifest.
    spare: u64,
}

/// The archive ends or is damaged here: nothing behind it can be read.
struct End(String);

type Step<T> = Result<T, End>;

impl<'r> Check<'r> {
    fn new(input: &'r mut dyn Read, stored_bytes: u64) -> Check<'r> {
        Check {
            input,
            room: stored_bytes.saturating_mul(RATIO_MAX).saturating_add(ROOM_MIN),
            found: Verified::default(),
            expected: VecDeque::new(),
            by_name: HashMap::new(),
            seen: HashSet::new(),
            spare: ADDED_BYTES,
        }
    }

    /// Gives what was found, and whether the archive was read to its end.
    fn run(mut self, allowed: Option<&[ssh::Public]>) -> (Verified, bool) {
        let ended = self.manifest(allowed).and_then(|open| self.members(open));
        let whole = ended.is_ok();
        if let Err(End(cause)) = ended {
            self.differs(cause);
        }
        while let Some(member) = self.expected.pop_front() {
            if !self.seen.contains(&member.name) {
                self.differs(format!("{}: missing", member.name));
            }
        }
        (self.found, whole)
    }

    /// Names are whatever the archive says: they stay on one line of printable characters.
    fn differs(&mut self, what: String) {
        if self.found.differs.len() < FINDINGS_MAX {
            self.found.differs.push(escaped(&what).into_owned());
        }
    }

    /// Reads the manifest and its signature. Gives the header behind them, if it was read already.
    fn manifest(&mut self, allowed: Option<&[ssh::Public]>) -> Step<Option<[u8; tar::BLOCK]>> {
        let bytes = match tar::member(&self.block()?) {
            Some((name, size)) if name == MANIFEST && size <= BYTES_MAX => {
                self.whole(&name, size)?
            }
            _ => return Err(End(format!("{MANIFEST}: it is not the first member, or altered"))),
        };
        let read: Result<Listing, _> = serde_json::from_slice(&bytes);
        let manifest = read.map_err(|error| End(format!("{MANIFEST}: altered: {error}")))?;
        if manifest.manifest_version != VERSION {
            let version = manifest.manifest_version;
            return Err(End(format!("{MANIFEST}: altered, or of another version ({version})")));
        }
        self.expected.extend(manifest.files.iter().cloned());
        let named = manifest.files.into_iter().map(|member| (member.name.clone(), member));
        self.by_name = named.collect();
        let next = self.block()?;
        let signature = match tar::member(&next) {
            Some((name, size)) if name == SIGNATURE && size <= SIGNATURE_BYTES => {
                Some(self.whole(&name, size)?)
            }
            _ => None,
        };
        self.signed(&bytes, signature.as_deref(), manifest.signed_by.as_deref());
        self.allowed(allowed);
        Ok(if signature.is_some() { None } else { Some(next) })
    }

    /// Checks the signature.
    fn signed(&mut self, manifest: &[u8], signature: Option<&[u8]>, by: Option<&str>) {
        let Some(signature) = signature else {
            if by.is_some() {
                self.differs(format!("{SIGNATURE}: missing: the manifest says that it is signed"));
            }
            return;
        };
        let signer = std::str::from_utf8(signature)
            .map_err(|_| "it is no text".to_owned())
            .and_then(|text| ssh::signer(text, manifest));
        match signer {
            Ok(key) => {
                let own = key.fingerprint();
                if by != Some(own.as_str()) {
                    let named = by.unwrap_or("nobody");
                    self.differs(format!("{SIGNATURE}: by {own}, the manifest names {named}"));
                }
                self.found.signed_by = Some(own);
            }
            Err(cause) => self.differs(format!("{SIGNATURE}: bad signature: {cause}")),
        }
    }

    /// Compares the signer with those allowed.
    fn allowed(&mut self, allowed: Option<&[ssh::Public]>) {
        let Some(allowed) = allowed else { return };
        let signer = self.found.signed_by.clone();
        let known = allowed.iter().any(|key| Some(key.fingerprint()) == signer);
        self.found.allowed = Some(known);
        match signer {
            _ if known => {}
            Some(signer) => {
                self.differs(format!("{SIGNATURE}: by another key than those allowed: {signer}"));
            }
            None => self.differs(format!("{SIGNATURE}: none by a key that is allowed")),
        }
    }

    fn members(&mut self, mut open: Option<[u8; tar::BLOCK]>) -> Step<()> {
        loop {
            let block = match open.take() {
                Some(block) => block,
                None => self.block()?,
            };
            if block == [0; tar::BLOCK] {
                return self.end();
            }
            match tar::member(&block) {
                Some((name, size)) => self.member(&name, size)?,
                None => self.altered_header()?,
            }
        }
    }

    fn member(&mut self, name: &str, size: u64) -> Step<()> {
        let in_order = self.expected.front().is_some_and(|next| next.name == name);
        if in_order {
            self.expected.pop_front();
        }
        let known = self.by_name.get(name).cloned();
        let Some(member) = known.filter(|_| self.seen.insert(name.to_owned())) else {
            let twice = if self.seen.contains(name) { " a second time" } else { "" };
            self.differs(format!("{name}: added{twice}"));
            let spare = self.spare.checked_sub(size);
            self.spare = spare.ok_or_else(|| End(format!("{name}: too large to be read")))?;
            return self.hash(size).map(drop);
        };
        if !in_order {
            self.differs(format!("{name}: at another place"));
        }
        if size > member.bytes {
            let spare = self.spare.checked_sub(size - member.bytes);
            self.spare = spare.ok_or_else(|| End(format!("{name}: too large to be read")))?;
        }
        self.compare(&member, size)
    }

    /// A header that says nothing: by its place it is the next one that is expected.
    fn altered_header(&mut self) -> Step<()> {
        let Some(member) = self.expected.pop_front() else {
            return Err(End("data that are no member behind the last one".to_owned()));
        };
        self.seen.insert(member.name.clone());
        self.differs(format!("{}: its header was altered", member.name));
        let size = member.bytes;
        self.compare(&member, size)
    }

    /// Compares a member's bytes with its line of the manifest.
    fn compare(&mut self, member: &Member, size: u64) -> Step<()> {
        let before = self.found.differs.len();
        let (hash, padding) = match self.hash(size) {
            Ok(hashed) => hashed,
            Err(End(cause)) => {
                self.differs(format!("{}: cut off", member.name));
                return Err(End(cause));
            }
        };
        if size != member.bytes {
            let cause = format!("{}: altered: {size} bytes, not {}", member.name, member.bytes);
            self.differs(cause);
        } else if hash != member.sha256 {
            self.differs(format!("{}: altered: its SHA-256 is {hash}", member.name));
        }
        if !padding {
            self.differs(format!("{}: data behind it", member.name));
        }
        if self.found.differs.len() == before {
            self.found.intact += 1;
        }
        Ok(())
    }

    /// The second empty block, and nothing behind it.
    fn end(&mut self) -> Step<()> {
        if self.block()? != [0; tar::BLOCK] {
            return Err(End("data behind the last member".to_owned()));
        }
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(End("data behind the end of the archive".to_owned())),
            Err(error) => Err(End(format!("the archive is damaged at its end: {error}"))),
        }
    }

    fn block(&mut self) -> Step<[u8; tar::BLOCK]> {
        let mut block = [0; tar::BLOCK];
        self.fill(&mut block)?;
        Ok(block)
    }

    fn fill(&mut self, space: &mut [u8]) -> Step<()> {
        self.room = self.room.checked_sub(space.len() as u64).ok_or_else(|| {
            End(format!("it unpacks to more than {RATIO_MAX} times its size: no bundle does"))
        })?;
        self.input.read_exact(space).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => End("the archive ends early".to_owned()),
            _ => End(format!("the archive is damaged: {error}")),
        })
    }

    /// A small member.
    fn whole(&mut self, name: &str, size: u64) -> Step<Vec<u8>> {
        let mut bytes = Vec::new();
        self.each(size, |part| bytes.extend_from_slice(part))?;
        if !self.padding(size)? {
            self.differs(format!("{name}: data behind it"));
        }
        Ok(bytes)
    }

    /// The hash of a member, and whether its padding is empty.
    fn hash(&mut self, size: u64) -> Step<(String, bool)> {
        let mut hash = Sha256::new();
        self.each(size, |part| hash.update(part))?;
        Ok((super::hex(hash), self.padding(size)?))
    }

    fn padding(&mut self, size: u64) -> Step<bool> {
        let mut padding = [0; tar::BLOCK];
        let space = padding.get_mut(..tar::padding(size)).unwrap_or_default();
        self.fill(space)?;
        Ok(padding == [0; tar::BLOCK])
    }

    fn each(&mut self, size: u64, mut take: impl FnMut(&[u8])) -> Step<()> {
        let (mut left, mut buffer) = (size, vec![0; 1 << 17]);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let space = buffer.get_mut(..most).unwrap_or_default();
            self.fill(space)?;
            take(space);
            left -= most as u64;
        }
        Ok(())
    }
}
