//! The stored forms of a ledger: a snapshot of all of it, and records of what has changed since.
//!
//! Owns: both formats and their version. In: a ledger, or bytes that somebody may have damaged.
//! Out: bytes, or a ledger or the reason why not. Never: half of a snapshot; a record whose
//! checksum is another.
//!
//! ```text
//! snapshot  head, entries, subjects, alerts not reported, groups of correlations, events not
//!           counted (each a 32-bit number of them, then each), SHA-256 of all before it
//! journal   head, records
//! head      "LHLEDG\r\n" or "LHJOUR\r\n", version (2 bytes), generation (8 bytes)
//! record    see `wire::framed`
//! content   1 endpoint, alert: a rule has fired on an endpoint; 2 alert: one was raised;
//!           3 level: all that was found was reported; 4 time: old incidents were closed;
//!           5 event, alerts: correlations counted one, and raised these;
//!           6 level: alerts were reported, incidents withheld
//! ```
//! Version 2 has no correlations, version 3 no record 6. A journal goes with the snapshot of its
//! generation. Numbers are in network order.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::detect::correlation::{Event, put_event, put_state, read_event, read_state};
use crate::detect::ledger::codec::{self, LEVELS, Writer};
use crate::detect::ledger::entries::{About, Entry, Key};
use crate::detect::ledger::{Ledger, LedgerConfig, Taken};
use crate::detect::subject::{Reported, Subject};
use crate::model::{Alert, Level, Nanos};
use crate::wire::framed::{self, Framed};
use crate::wire::{Reader, WireError};

/// Version of both formats.
const VERSION: u16 = 4;

/// The first version that can be read.
const VERSION_MIN: u16 = 2;

/// The line end reveals a conversion by a text tool.
const SNAPSHOT: [u8; 8] = *b"LHLEDG\r\n";
const JOURNAL: [u8; 8] = *b"LHJOUR\r\n";

/// Bytes of a head.
pub const HEAD: usize = 18;

/// Bytes of the checksum of a snapshot.
const CHECKSUM: usize = 32;

const FIRED: u8 = 1;
const RAISED: u8 = 2;
const REPORTED: u8 = 3;
const CLOSED: u8 = 4;
const COUNTED: u8 = 5;
const ALERTED: u8 = 6;

/// Why bytes are no ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// They start differently.
    NotThis,
    /// A different version.
    Version(u16),
    /// They are damaged.
    Damaged(&'static str),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::NotThis => f.write_str("it is no file of a ledger"),
            StoreError::Version(version) => {
                let read = format!("{VERSION_MIN} to {VERSION}");
                write!(f, "it is of version {version}, and this program reads versions {read}")
            }
            StoreError::Damaged(how) => write!(f, "it is damaged: {how}"),
        }
    }
}

impl From<WireError> for StoreError {
    fn from(error: WireError) -> StoreError {
        StoreError::Damaged(match error {
            WireError::Malformed(_, how) => how,
            WireError::NeedMore(_) | WireError::NotThis => "it ends too early",
        })
    }
}

/// A record: an alert was raised.
pub(super) fn raised(alert: &Alert) -> Vec<u8> {
    let mut w = Writer(vec![RAISED]);
    codec::put_alert(&mut w, alert);
    w.0
}

/// A record: a rule has fired on an endpoint.
pub(super) fn fired(endpoint: &str, alert: &Alert) -> Vec<u8> {
    let mut w = Writer(vec![FIRED]);
    w.text(endpoint);
    codec::put_alert(&mut w, alert);
    w.0
}

/// A record: all that was found was reported.
pub(super) fn reported(level: Level) -> Vec<u8> {
    let mut w = Writer(vec![REPORTED]);
    w.word(&LEVELS, &level);
    w.0
}

/// A record: alerts were reported, and incidents withheld.
pub(super) fn alerted(level: Level) -> Vec<u8> {
    let mut w = Writer(vec![ALERTED]);
    w.word(&LEVELS, &level);
    w.0
}

/// A record: old incidents were closed.
pub(super) fn closed(now: Nanos) -> Vec<u8> {
    let mut w = Writer(vec![CLOSED]);
    w.time(now);
    w.0
}

/// A record: correlations counted an event, and raised alerts.
pub(super) fn counted(event: &Event, alerts: &[Alert]) -> Vec<u8> {
    let mut w = Writer(vec![COUNTED]);
    put_event(&mut w, event);
    w.list(alerts, codec::put_alert);
    w.0
}

/// The whole records of a journal behind its head, and how many bytes they take; what follows them
/// was not written to its end.
///
/// Errors: a record has another checksum and is not the last: something has damaged the file.
pub fn records(bytes: &[u8]) -> Result<(Vec<&[u8]>, usize), StoreError> {
    let (mut all, mut whole) = (Vec::new(), 0);
    loop {
        match framed::first(bytes.get(whole..).unwrap_or_default()) {
            Framed::Whole(content) => {
                whole += framed::HEAD + content.len();
                all.push(content);
            }
            Framed::Damaged(length) if whole + length < bytes.len() => {
                return Err(StoreError::Damaged("the checksum of a record is another"));
            }
            Framed::Damaged(_) | Framed::Incomplete => return Ok((all, whole)),
        }
    }
}

fn head(magic: [u8; 8], generation: u64) -> Vec<u8> {
    let mut out = magic.to_vec();
    out.extend(VERSION.to_be_bytes());
    out.extend(generation.to_be_bytes());
    out
}

/// Version and generation.
fn read_head(r: &mut Reader<'_>, magic: [u8; 8]) -> Result<(u16, u64), StoreError> {
    if r.array::<8>() != Ok(magic) {
        return Err(StoreError::NotThis);
    }
    match r.u16()? {
        version @ VERSION_MIN..=VERSION => Ok((version, r.u64()?)),
        version => Err(StoreError::Version(version)),
    }
}

impl Ledger {
    /// The beginning of a journal.
    pub fn journal_head(generation: u64) -> Vec<u8> {
        head(JOURNAL, generation)
    }

    /// The generation of a journal.
    pub fn journal_generation(bytes: &[u8]) -> Result<u64, StoreError> {
        read_head(&mut Reader::new(bytes), JOURNAL).map(|(_, generation)| generation)
    }

    /// Encodes all that is known: the same bytes for the same state.
    pub fn encode(&self, generation: u64) -> Vec<u8> {
        let mut w = Writer(head(SNAPSHOT, generation));
        let entries: Vec<_> = self.entries.iter().collect();
        w.list(&entries, |w, (key, entry)| put_entry(w, key, entry));
        let subjects: Vec<_> = self.incidents.subjects().collect();
        w.list(&subjects, |w, (id, subject)| put_subject(w, id, subject));
        w.list(&self.unreported, |w, alert| codec::put_alert(w, alert));
        put_state(&mut w, &self.groups);
        w.list(&self.uncounted, put_event);
        let sum = Sha256::digest(&w.0);
        w.0.extend(sum);
        w.0
    }

    /// Decodes a snapshot, and says its generation. What is over the caps is forgotten.
    pub fn decode(config: LedgerConfig, bytes: &[u8]) -> Result<(Ledger, u64), StoreError> {
        let mut r = Reader::new(bytes);
        let (version, generation) = read_head(&mut r, SNAPSHOT)?;
        let short = StoreError::Damaged("it ends too early");
        let end = bytes.len().checked_sub(CHECKSUM).ok_or(short)?;
        let (stored, sum) = bytes.split_at_checked(end).ok_or(short)?;
        if Sha256::digest(stored).as_slice() != sum {
            return Err(StoreError::Damaged("its checksum is another"));
        }
        let mut r = r.sub(r.left().checked_sub(CHECKSUM).ok_or(short)?)?;
        let mut ledger = Ledger::new(config);
        for _ in 0..r.u32()? {
            let (key, entry) = entry(&mut r)?;
            let now = entry.last;
            ledger.entries.insert(key, entry, now);
        }
        for _ in 0..r.u32()? {
            let id = codec::shared(&mut r)?;
            ledger.incidents.restore(id, subject(&mut r)?);
        }
        ledger.unreported = codec::list(&mut r, |r| codec::alert(r).map(Arc::new))?;
        if version > VERSION_MIN {
            read_state(&mut r, &mut ledger.groups)?;
            ledger.uncounted = codec::list(&mut r, read_event)?;
        }
        match r.is_empty() {
            true => Ok((ledger, generation)),
            false => Err(StoreError::Damaged("something follows its end")),
        }
    }

    /// Does again what a record says.
    pub fn replay(&mut self, content: &[u8]) -> Result<(), StoreError> {
        let mut r = Reader::new(content);
        match r.u8()? {
            FIRED => {
                let endpoint = codec::text(&mut r)?;
                self.entries.fires(endpoint, &codec::alert(&mut r)?);
            }
            RAISED => {
                if let Taken::Stands(alert) = self.take(codec::alert(&mut r)?, None) {
                    self.unreported.push(alert);
                }
            }
            REPORTED => {
                self.take_changes(codec::word(&mut r, &LEVELS)?);
                self.unreported.clear();
            }
            ALERTED => {
                // Closes that somebody waited for were reported, the others withheld.
                self.take_closed(codec::word(&mut r, &LEVELS)?);
                self.unreported.clear();
            }
            COUNTED => {
                self.uncounted.push(read_event(&mut r)?);
                for alert in codec::list(&mut r, codec::alert)? {
                    if let Taken::Stands(alert) = self.take(alert, None) {
                        self.unreported.push(alert);
                    }
                }
            }
            CLOSED => {
                self.incidents.close_old(codec::time(&mut r)?);
            }
            _ => return Err(StoreError::Damaged("a record is of no known kind")),
        }
        match r.is_empty() {
            true => Ok(()),
            false => Err(StoreError::Damaged("a record is too long")),
        }
    }
}

fn put_entry(w: &mut Writer, key: &Key, entry: &Entry) {
    let (kind, about) = match &key.about {
        About::Endpoint(about) => (0, about),
        About::Values(about) => (1, about),
    };
    w.u8(kind);
    [&*key.subject, key.rule.as_str(), about.as_str()].iter().for_each(|text| w.text(text));
    w.time(entry.first);
    w.time(entry.last);
    w.word(&LEVELS, &entry.level);
    w.u8(entry.is_ours.into());
    w.u64(entry.count);
    w.option(entry.waits.as_deref(), codec::put_alert);
}

fn entry(r: &mut Reader<'_>) -> Result<(Key, Entry), WireError> {
    let is_values = codec::flag(r)?;
    let (subject, rule, about) = (codec::shared(r)?, codec::text(r)?, codec::text(r)?);
    let about = if is_values { About::Values(about) } else { About::Endpoint(about) };
    let entry = Entry {
        first: codec::time(r)?,
        last: codec::time(r)?,
        level: codec::word(r, &LEVELS)?,
        is_ours: codec::flag(r)?,
        count: r.u64()?,
        index: None,
        waits: codec::option(r, codec::alert)?.map(Box::new),
    };
    Ok((Key { subject, rule, about }, entry))
}

fn put_subject(w: &mut Writer, id: &str, subject: &Subject) {
    w.text(id);
    w.option(subject.name.as_deref(), Writer::text);
    w.list(&subject.hits, |w, hit| codec::put_alert(w, hit));
    w.option(subject.reached, |w, (time, score)| {
        w.time(time);
        w.float(score);
    });
    w.option(subject.reported, |w, reported| {
        w.word(&LEVELS, &reported.level);
        w.u32(reported.groups as u32);
        w.u32(reported.people as u32);
    });
    w.u64(subject.unlisted);
    w.time(subject.last);
    w.u8(subject.is_ours.into());
}

fn subject(r: &mut Reader<'_>) -> Result<Subject, WireError> {
    let mut subject = Subject {
        name: codec::option(r, codec::shared)?,
        hits: codec::list(r, |r| codec::alert(r).map(Arc::new))?,
        reached: codec::option(r, |r| Ok((codec::time(r)?, codec::float(r)?)))?,
        reported: codec::option(r, |r| {
            let level = codec::word(r, &LEVELS)?;
            let (groups, people) = (r.u32()? as usize, r.u32()? as usize);
            Ok(Reported { level, groups, people, devices: 0 })
        })?,
        unlisted: r.u64()?,
        last: codec::time(r)?,
        is_ours: codec::flag(r)?,
        bytes: 0,
        devices: Vec::new(),
    };
    let Subject { hits, reported, .. } = &mut subject;
    let (hits, was) = (std::mem::take(hits), reported.take());
    hits.iter().for_each(|hit| subject.note_device(hit));
    subject.reported = was.map(|was| Reported { devices: subject.devices.len(), ..was });
    Ok(Subject { hits, ..subject })
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
