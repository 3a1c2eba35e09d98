//! Pseudonyms: the same word for the same person, which only the holder of the key can trace back.
//!
//! Owns: the key. In: ids and names of people and devices. Out: words that reveal nothing about
//! them.
//! Never: hides addresses (without them nothing is measured), or keeps the key anywhere else.

use std::path::Path;
use std::sync::Arc;

use ring::hmac;

use crate::bounded;
use crate::model::record::{Holder, Subject};
use crate::model::{Error, Record};

/// A shorter key could be guessed; 32 bytes are recommended for HMAC-SHA-256 (RFC 2104 section 3).
const KEY_BYTES_MIN: usize = 16;
/// A longer file is not a key.
const KEY_BYTES_MAX: u64 = 4_096;
/// Bytes of the code that are shown: among a million people two share a word once in 37 million
/// runs.
const SHOWN: usize = 8;
/// Ports of protocols in which devices announce their own names: NetBIOS, mDNS, LLMNR.
const NAMING_PORTS: [u16; 3] = [137, 5353, 5355];

/// Makes pseudonyms: HMAC-SHA-256 (RFC 2104) of the original.
#[derive(Clone)]
pub struct Pseudonyms {
    key: hmac::Key,
}

impl Pseudonyms {
    /// Reads a key: the file's bytes, without a line break at the end.
    ///
    /// # Errors
    /// A file that cannot be read, or is no key.
    pub fn load(path: &Path) -> Result<Pseudonyms, Error> {
        let refuse = |cause: String| {
            Error::new("pseudonym key", cause)
                .at(path, 0)
                .help("give a file of 16 to 4096 bytes, such as: head -c 32 /dev/urandom > KEYFILE")
        };
        let bytes = bounded::file::read(path, KEY_BYTES_MAX).map_err(&refuse)?;
        let key = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if key.len() < KEY_BYTES_MIN {
            return Err(refuse(format!("{} bytes are too few", key.len())));
        }
        Ok(Pseudonyms { key: hmac::Key::new(hmac::HMAC_SHA256, key) })
    }

    /// The pseudonym of a text of some kind: `p-` and 16 hexadecimal digits.
    pub fn word(&self, kind: &str, text: &str) -> Arc<str> {
        let octets = self.octets::<SHOWN>(kind, text.as_bytes());
        format!("p-{:016x}", u64::from_be_bytes(octets)).into()
    }

    fn octets<const N: usize>(&self, kind: &str, text: &[u8]) -> [u8; N] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(kind.as_bytes());
        context.update(&[0]);
        context.update(text);
        let tag = context.sign();
        tag.as_ref().first_chunk().copied().unwrap_or([0; N])
    }

    /// A substitute link-layer address: locally administered (IEEE 802, second bit), unicast.
    fn mac(&self, mac: [u8; 6]) -> [u8; 6] {
        let [first, rest @ ..] = self.octets::<6>("mac", &mac);
        let [a, b, c, d, e] = rest;
        [first & 0xfc | 0x02, a, b, c, d, e]
    }

    /// Replaces the identities in a record. Done last: lists and signatures need the originals.
    pub fn hide(&self, record: &mut Record) {
        let context = &mut record.context;
        if let Some(Subject::Named(id)) = &mut context.subject {
            *id = self.word("subject", id);
        }
        if let Some(name) = &mut context.subject_name {
            *name = self.word("name", name);
        }
        if let Some(known) = &mut context.responder_subject {
            known.id = self.word("subject", &known.id);
            known.name = known.name.as_deref().map(|name| self.word("name", name));
        }
        // Together they may identify a person.
        (context.subject_role, context.subject_hired) = (None, None);
        if let Some(holder) = &mut context.holder {
            *holder = Arc::new(Holder {
                mac: holder.mac.map(|mac| self.mac(mac)),
                host: holder.host.as_deref().map(|name| self.word("host", name)),
                user: holder.user.as_deref().map(|name| self.word("user", name)),
                from: holder.from,
                named_by: holder.named_by,
                known_by: holder.known_by.clone(),
            });
        }
        for party in [&mut record.initiator, &mut record.responder] {
            party.mac = party.mac.map(|mac| self.mac(mac));
        }
        if let Some(app_facts) = record.facts.rare.as_mut().and_then(|rare| rare.app_facts.as_mut())
        {
            if let Some(rdp) = &mut app_facts.rdp {
                rdp.cookie = rdp.cookie.as_deref().map(|name| Box::from(&*self.word("user", name)));
            }
            let bind = app_facts.ldap_bind.as_deref();
            app_facts.ldap_bind = bind.map(|name| Box::from(&*self.word("user", name)));
        }
        let names = [record.initiator.port, record.responder.port];
        if names.iter().any(|port| NAMING_PORTS.contains(port)) {
            record.facts.dns = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudonyms(key: &[u8]) -> Result<Pseudonyms, Error> {
        let dir =
            std::env::temp_dir().join(format!("longhaul-key-{}-{}", std::process::id(), key.len()));
        std::fs::write(&dir, key).unwrap();
        let result = Pseudonyms::load(&dir);
        std::fs::remove_file(&dir).unwrap();
        result
    }

    #[test]
    fn a_word_depends_on_key_kind_and_text() {
        let one = pseudonyms(b"0123456789abcdef\n").unwrap();
        let same = pseudonyms(b"0123456789abcdef").unwrap();
        let other = pseudonyms(b"0123456789abcdefg").unwrap();
        let word = one.word("user", "ann");
        assert_eq!(word, same.word("user", "ann"), "a line break is no part of the key");
        assert!(word.starts_with("p-") && word.len() == 18);
        for different in
            [one.word("host", "ann"), one.word("user", "bob"), other.word("user", "ann")]
        {
            assert_ne!(word, different);
        }
    }

    #[test]
    fn a_link_layer_address_stays_one() {
        let one = pseudonyms(b"0123456789abcdef").unwrap();
        let mac = one.mac([0x48, 0xda, 0x35, 1, 2, 3]);
        assert_eq!(mac[0] & 3, 2, "local, of one station");
        assert_ne!(mac[1..], one.mac([0x48, 0xda, 0x35, 1, 2, 4])[1..]);
    }

    #[test]
    fn a_file_that_is_no_key_is_refused() {
        assert!(pseudonyms(b"too short\n").is_err());
        assert!(pseudonyms(&[7; 5_000]).is_err());
        assert!(Pseudonyms::load(Path::new("/nowhere/key")).is_err());
    }
}
