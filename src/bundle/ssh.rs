//! Signatures that `ssh-keygen -Y verify` checks, by Ed25519 keys in files of OpenSSH.
//!
//! Owns: the forms of private keys, public keys and signatures. In: key files, messages. Out:
//! signatures, who made one. Never: a key that is encrypted, or of another kind.
//!
//! Sources: PROTOCOL.key and PROTOCOL.sshsig of OpenSSH, RFC 8709.

use std::path::Path;

use ring::digest::{SHA256, SHA512, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::bounded::file;
use crate::emit::text::put_base64;
use crate::model::Error;

/// Keeps signatures of other programs from counting here.
pub const NAMESPACE: &str = "longhaul";

const KIND: &[u8] = b"ssh-ed25519";
const HASH: &[u8] = b"sha512";
const SIGNATURE: &[u8] = b"SSHSIG";
const KEY_MAGIC: &[u8] = b"openssh-key-v1\0";
const KEY_BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const KEY_END: &str = "-----END OPENSSH PRIVATE KEY-----";
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";

/// Most bytes of a key file.
const KEY_BYTES: u64 = 64 << 10;

/// Characters of a line of a signature, as ssh-keygen writes it.
const COLUMNS: usize = 70;

/// A key to sign with.
pub struct Key {
    pair: Ed25519KeyPair,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public(Vec<u8>);

impl Key {
    /// From a private key file of OpenSSH.
    ///
    /// Errors: it is encrypted, of another kind, or no key.
    pub fn load(path: &Path) -> Result<Key, Error> {
        let refuse =
            |cause: &str, help: &str| Error::new("key", cause).at(path, 0).help(help.to_owned());
        let make = "make one with: ssh-keygen -t ed25519 -N '' -f FILE";
        let text = file::read_text(path, KEY_BYTES).map_err(|cause| refuse(&cause, make))?;
        let body = text.split_once(KEY_BEGIN).and_then(|(_, rest)| rest.split_once(KEY_END));
        let body = body.and_then(|(body, _)| from_base64(body));
        let Some(body) = body else { return Err(refuse("it is no private key of OpenSSH", make)) };
        match Key::parse(&body) {
            Ok(key) => Ok(key),
            Err(Refused::Encrypted) => Err(refuse(
                "it is encrypted",
                "sign with a key without a passphrase, or take it off a copy: ssh-keygen -p -N ''",
            )),
            Err(Refused::Kind) => Err(refuse("it is no Ed25519 key", make)),
            Err(Refused::Damaged) => Err(refuse("it is damaged", make)),
        }
    }

    fn parse(body: &[u8]) -> Result<Key, Refused> {
        let mut all = Strings(body.strip_prefix(KEY_MAGIC).ok_or(Refused::Damaged)?);
        let (cipher, derived) = (all.next()?, all.next()?);
        let _options = all.next()?;
        if cipher != b"none" || derived != b"none" {
            return Err(Refused::Encrypted);
        }
        if all.word()? != 1 {
            return Err(Refused::Damaged);
        }
        let _public = all.next()?;
        let mut secret = Strings(all.next()?);
        if secret.word()? != secret.word()? {
            return Err(Refused::Damaged);
        }
        if secret.next()? != KIND {
            return Err(Refused::Kind);
        }
        let (public, both) = (secret.next()?, secret.next()?);
        let seed = both.get(..32).ok_or(Refused::Damaged)?;
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public);
        pair.map(|pair| Key { pair }).map_err(|_| Refused::Damaged)
    }

    /// The public half.
    pub fn public(&self) -> Public {
        Public(self.pair.public_key().as_ref().to_vec())
    }

    /// A signature of a message. Ed25519 has no random part: the same message gives the same.
    pub fn sign(&self, message: &[u8]) -> String {
        let mut signature = Vec::new();
        put(&mut signature, KIND);
        put(&mut signature, self.pair.sign(&signed(message)).as_ref());
        let mut blob = SIGNATURE.to_vec();
        blob.extend(1u32.to_be_bytes());
        put(&mut blob, &self.public().blob());
        put(&mut blob, NAMESPACE.as_bytes());
        put(&mut blob, b"");
        put(&mut blob, HASH);
        put(&mut blob, &signature);
        armour(&blob)
    }
}

/// A signature as text, in the one form that ssh-keygen writes.
fn armour(blob: &[u8]) -> String {
    let mut text = Vec::new();
    put_base64(&mut text, blob);
    let mut out = format!("{BEGIN}\n");
    for line in text.chunks(COLUMNS) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str(END);
    out.push('\n');
    out
}

impl Public {
    fn blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        put(&mut blob, KIND);
        put(&mut blob, &self.0);
        blob
    }

    fn parse(blob: &[u8]) -> Option<Public> {
        let mut all = Strings(blob);
        let (kind, key) = (all.next().ok()?, all.next().ok()?);
        (kind == KIND && key.len() == 32 && all.0.is_empty()).then(|| Public(key.to_vec()))
    }

    /// As `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        let mut text = b"SHA256:".to_vec();
        put_base64(&mut text, digest(&SHA256, &self.blob()).as_ref());
        String::from_utf8_lossy(&text).trim_end_matches('=').to_owned()
    }
}

/// The Ed25519 keys of a file of public keys or allowed signers, one a line.
///
/// Errors: the file has none, or a line has options, which would restrict the key.
pub fn public_keys(path: &Path) -> Result<Vec<Public>, Error> {
    let refuse = |cause: String, line: u32| {
        Error::new("public keys", cause)
            .at(path, line)
            .help("give a file NAME.pub of ssh-keygen -t ed25519, or one of allowed signers")
    };
    let text = file::read_text(path, KEY_BYTES).map_err(|cause| refuse(cause, 0))?;
    let mut keys = Vec::new();
    for (number, line) in (1u32..).zip(text.lines()) {
        match public_key(line) {
            Ok(key) => keys.extend(key),
            Err(cause) => return Err(refuse(cause, number)),
        }
    }
    let none = || refuse("it has no Ed25519 key".to_owned(), 0);
    if keys.is_empty() { Err(none()) } else { Ok(keys) }
}

/// The key of a line: `ssh-ed25519 KEY COMMENT`, or that behind the names of a signer. Keys of
/// other kinds and comments give none.
fn public_key(line: &str) -> Result<Option<Public>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    let kind = if is_kind(first) { first } else { words.next().unwrap_or_default() };
    if !is_kind(kind) {
        // Names with spaces in quotes are refused with them: where they end is not known.
        let cause = "it has options (or names with spaces), which are not understood: keep \
                     ITS-NAMES ssh-ed25519 KEY only";
        return Err(cause.to_owned());
    }
    if kind.as_bytes() != KIND {
        return Ok(None);
    }
    let key = words.next().and_then(from_base64).and_then(|blob| Public::parse(&blob));
    key.map(Some).ok_or_else(|| "its Ed25519 key is damaged".to_owned())
}

/// Whether a word names a kind of key.
fn is_kind(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|start| word.starts_with(start))
}

/// Who signed a message.
///
/// Errors: the signature is not of this message, or no signature of ours.
pub fn signer(armored: &str, message: &[u8]) -> Result<Public, String> {
    let body = armored.strip_suffix('\n').and_then(|text| text.strip_suffix(END));
    let body = body.and_then(|text| text.strip_prefix(BEGIN));
    let blob = body.and_then(from_base64).ok_or("it is no signature of OpenSSH")?;
    // One text for the same signature: nothing can be put into it.
    if armour(&blob) != armored {
        return Err("it is not in the form that ssh-keygen writes".to_owned());
    }
    let damaged = |_| "it is damaged".to_owned();
    let rest = blob.strip_prefix(SIGNATURE).ok_or("it is no signature of OpenSSH")?;
    let mut all = Strings(rest);
    if all.word().map_err(damaged)? != 1 {
        return Err("it is of another version".to_owned());
    }
    let key = all.next().map_err(damaged)?;
    let key = Public::parse(key).ok_or("its key is no Ed25519 key")?;
    if all.next().map_err(damaged)? != NAMESPACE.as_bytes() {
        return Err("it was made for another purpose than bundles of longhaul".to_owned());
    }
    if !all.next().map_err(damaged)?.is_empty() {
        return Err("it has data in a field that is reserved".to_owned());
    }
    if all.next().map_err(damaged)? != HASH {
        return Err("it is by another hash than SHA-512".to_owned());
    }
    let mut signature = Strings(all.next().map_err(damaged)?);
    if signature.next().map_err(damaged)? != KIND || !all.0.is_empty() {
        return Err("it is damaged".to_owned());
    }
    let bytes = signature.next().map_err(damaged)?;
    if !signature.0.is_empty() {
        return Err("it is damaged: data behind it".to_owned());
    }
    let public = UnparsedPublicKey::new(&ED25519, &key.0);
    match public.verify(&signed(message), bytes) {
        Ok(()) => Ok(key),
        Err(_) => Err("it is not a signature of this manifest".to_owned()),
    }
}

/// What is signed of a message.
fn signed(message: &[u8]) -> Vec<u8> {
    let mut all = SIGNATURE.to_vec();
    put(&mut all, NAMESPACE.as_bytes());
    put(&mut all, b"");
    put(&mut all, HASH);
    put(&mut all, digest(&SHA512, message).as_ref());
    all
}

enum Refused {
    Encrypted,
    Kind,
    Damaged,
}

/// Strings with their lengths before them (RFC 4251 section 5).
struct Strings<'a>(&'a [u8]);

impl<'a> Strings<'a> {
    fn word(&mut self) -> Result<u32, Refused> {
        let (word, rest) = self.0.split_first_chunk().ok_or(Refused::Damaged)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*word))
    }

    fn next(&mut self) -> Result<&'a [u8], Refused> {
        let len = self.word()? as usize;
        let (string, rest) = self.0.split_at_checked(len).ok_or(Refused::Damaged)?;
        self.0 = rest;
        Ok(string)
    }
}

fn put(out: &mut Vec<u8>, string: &[u8]) {
    out.extend((string.len() as u32).to_be_bytes());
    out.extend_from_slice(string);
}

/// The bytes of padded base64 (RFC 4648 section 4) with line breaks; `None` if it is none.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pad = digits.iter().rev().take_while(|byte| **byte == b'=').count();
    if !digits.len().is_multiple_of(4) || pad > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(digits.len() / 4 * 3);
    for four in digits.get(..digits.len() - pad)?.chunks(4) {
        let mut bits = 0u32;
        for digit in four {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        let missing = 4 - four.len();
        bits <<= 6 * missing;
        // One text for the same bytes: what is left over is zero.
        if bits & ((1 << (8 * missing)) - 1) != 0 {
            return None;
        }
        let bytes = bits.to_be_bytes();
        out.extend_from_slice(bytes.get(1..4 - missing)?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key that nobody uses, as ssh-keygen writes it.
    fn key_file(cipher: &[u8], kind: &[u8]) -> String {
        let seed = [7; 32];
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let public = pair.public_key().as_ref().to_vec();
        let mut secret = [[1, 2, 3, 4], [1, 2, 3, 4]].concat();
        put(&mut secret, kind);
        put(&mut secret, &public);
        put(&mut secret, &[&seed[..], &public].concat());
        put(&mut secret, b"comment");
        let mut body = KEY_MAGIC.to_vec();
        put(&mut body, cipher);
        put(&mut body, cipher);
        put(&mut body, b"");
        body.extend(1u32.to_be_bytes());
        put(&mut body, &Public(public).blob());
        put(&mut body, &secret);
        let mut text = Vec::new();
        put_base64(&mut text, &body);
        format!("{KEY_BEGIN}\n{}\n{KEY_END}\n", String::from_utf8(text).unwrap())
    }

    fn load(text: &str) -> Result<Key, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, text).unwrap();
        Key::load(&path)
    }

    #[test]
    fn a_signature_is_of_one_message_and_one_key() {
        let key = load(&key_file(b"none", KIND)).unwrap_or_else(|error| panic!("{error}"));
        let text = key.sign(b"manifest");
        assert_eq!(signer(&text, b"manifest"), Ok(key.public()));
        assert_eq!(text, key.sign(b"manifest"));
        assert!(signer(&text, b"Manifest").unwrap_err().contains("not a signature of this"));
        // Each character of it counts, and how its lines are broken.
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            let Ok(changed) = String::from_utf8(changed) else { continue };
            assert!(signer(&changed, b"manifest").is_err(), "character {at}");
        }
    }

    #[test]
    fn nothing_can_be_put_into_a_signature() {
        let key = load(&key_file(b"none", KIND)).unwrap_or_else(|error| panic!("{error}"));
        let text = key.sign(b"manifest");
        let body = text.strip_prefix(BEGIN).unwrap().split_once(END).unwrap().0.to_owned();
        let blob = from_base64(&body).unwrap();
        assert_eq!(armour(&blob), text);
        assert!(signer(&text.replacen('\n', "\n\n", 1), b"manifest").is_err());
        assert!(signer(&text.replacen('\n', "\n  ", 1), b"manifest").is_err());
        // The reserved string stands behind the namespace; the signature is the last string.
        let mut reserved = blob.clone();
        let at = blob.windows(8).position(|part| part == NAMESPACE.as_bytes()).unwrap() + 8;
        reserved.splice(at..at + 4, [0, 0, 0, 3, b'x', b'y', b'z']);
        assert!(signer(&armour(&reserved), b"manifest").unwrap_err().contains("reserved"));
        let mut behind = blob.clone();
        let at = blob.len() - 4 - (4 + KIND.len()) - (4 + 64);
        let len = u32::from_be_bytes(blob[at..at + 4].try_into().unwrap());
        assert_eq!(len as usize, blob.len() - at - 4);
        behind.splice(at..at + 4, (len + 5).to_be_bytes());
        behind.extend(b"hello");
        assert!(signer(&armour(&behind), b"manifest").unwrap_err().contains("behind"));
    }

    #[test]
    fn lines_with_options_are_refused_by_number() {
        let key = load(&key_file(b"none", KIND)).unwrap_or_else(|error| panic!("{error}"));
        let mut own = Vec::new();
        put_base64(&mut own, &key.public().blob());
        let own = format!("ssh-ed25519 {}", String::from_utf8(own).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("allowed");
        let keys = |text: String| {
            std::fs::write(&path, text).unwrap();
            public_keys(&path)
        };
        let good = format!("# keys\n\nssh-rsa AAAA x\n{own} a comment\na@b.c,d@e {own}\n");
        assert_eq!(keys(good).unwrap_or_else(|e| panic!("{e}")), [key.public(), key.public()]);
        for options in ["namespaces=\"git\"", "valid-before=\"2020\"", "cert-authority"] {
            for names in ["a@b.c ", "\"a b\" "] {
                let error = keys(format!("# keys\n{names}{options} {own}\n")).unwrap_err();
                assert!(error.to_string().contains("allowed:2"), "{error}");
            }
        }
        let error = keys(format!("{own}\nx {}\n", &own[..40])).unwrap_err();
        assert!(error.to_string().contains("allowed:2"), "{error}");
    }

    #[test]
    fn keys_that_cannot_sign_are_refused_with_the_remedy() {
        let cause = |text: &str| load(text).err().unwrap().to_string();
        assert!(cause(&key_file(b"aes256-ctr", KIND)).contains("encrypted"));
        assert!(cause(&key_file(b"none", b"ssh-rsa")).contains("no Ed25519"));
        assert!(cause("hello").contains("no private key"));
        let whole = key_file(b"none", KIND);
        let cut = format!("{}{KEY_END}", whole.split_at(KEY_BEGIN.len() + 41).0);
        assert!(cause(&cut).contains("help:"));
    }

    #[test]
    fn base64_is_read_as_it_is_written() {
        for len in 0..70usize {
            let bytes: Vec<u8> = (0..len).map(|n| (n * 37) as u8).collect();
            let mut text = Vec::new();
            put_base64(&mut text, &bytes);
            assert_eq!(from_base64(&String::from_utf8(text).unwrap()), Some(bytes));
        }
        for bad in ["A", "AA=", "A===", "AA*A", "====", "A=AA"] {
            assert_eq!(from_base64(bad), None, "{bad}");
        }
    }
}
