//! The stored form: a head, four tables in the order of their keys, a checksum.
//!
//! Owns: the format and its version. In: baselines, or bytes. Out: bytes, or baselines or the
//! reason why not. Never: half of what is stored; two encodings of one state; more memory than in
//! proportion to the bytes.
//!
//! ```text
//! head      "LHBASE\r\n", version (2 bytes)
//! body      first, last session (ns since 1970, varints; both 0 where none), sessions (varint),
//!           tables: prefixes, networks, subjects, destinations
//! table     entries (varint), then key and entry of each, keys ascending
//! entry     1 or 2 spans: the latest first; a second is the 64 days before it
//! span      number, days, addresses, floor (ns), buckets (varints), then of each bucket the
//!           distance to the one before and the count
//! checksum  SHA-256 of everything before it
//! ```
//! A varint is LEB128 in its shortest form; other numbers are in network order.

use std::hash::Hash;
use std::sync::Arc;

use crate::endpoints::baseline::counts::{Counts, bucket};
use crate::endpoints::baseline::entry::{BaselineEntry, Span};
use crate::endpoints::baseline::key::{Destination, Network, Prefix, SUBJECT_BYTES, Subject};
use crate::endpoints::baseline::table::Table;
use crate::endpoints::baseline::{BaselineConfig, Baselines};
use crate::endpoints::stored::{DecodeError, Form, damaged, number, put};
use crate::model::Nanos;
use crate::wire::{Reader, WireError};

/// Version of the format.
pub const VERSION: u16 = 1;

/// The line end reveals a conversion by a text tool.
const FORM: Form = Form { magic: *b"LHBASE\r\n", version: VERSION };

impl Baselines {
    /// Encodes the state: the same bytes for the same state.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = FORM.head();
        let (first, last) = self.span.unwrap_or_default();
        [first.0, last.0, self.sessions].into_iter().for_each(|number| put(&mut out, number));
        put_table(&mut out, &self.prefixes, |out, key| put(out, key.number()));
        put_table(&mut out, &self.networks, |out, key| {
            out.extend(key.asn.to_be_bytes());
            out.extend(key.country);
            out.extend(key.region);
        });
        put_table(&mut out, &self.subjects, |out, key| {
            put(out, key.0.len() as u64);
            out.extend(key.0.bytes());
        });
        put_table(&mut out, &self.destinations, |out, key| {
            put(out, key.prefix.number());
            out.push(key.transport);
            out.extend(key.port.to_be_bytes());
        });
        Form::seal(out)
    }

    /// Decodes stored baselines. Those over the cap are evicted, least useful first.
    pub fn decode(config: BaselineConfig, bytes: &[u8]) -> Result<Baselines, DecodeError> {
        decode_body(config, FORM.body(bytes)?)
    }
}

fn decode_body(config: BaselineConfig, mut body: Reader<'_>) -> Result<Baselines, DecodeError> {
    let from = &mut body;
    let (first, last, sessions) = (Nanos(number(from)?), Nanos(number(from)?), number(from)?);
    if first > last || (sessions == 0 && last != Nanos::ZERO) {
        return Err(DecodeError::Damaged("its times are in no order"));
    }
    let mut baselines = Baselines {
        span: (sessions > 0).then_some((first, last)),
        sessions,
        prefixes: table(from, config.cap, prefix)?,
        networks: table(from, config.cap, network)?,
        subjects: table(from, config.cap, subject)?,
        destinations: table(from, config.cap, destination)?,
        config,
    };
    if !body.is_empty() {
        return Err(DecodeError::Damaged("something follows its end"));
    }
    baselines.trim();
    Ok(baselines)
}

fn put_table<K>(out: &mut Vec<u8>, table: &Table<K>, put_key: impl Fn(&mut Vec<u8>, &K))
where
    K: Clone + Eq + Hash + Ord,
{
    put(out, table.len() as u64);
    for (key, entry) in table.sorted() {
        put_key(out, key);
        out.push(1 + u8::from(entry.before.is_some()));
        put_span(out, &entry.now);
        entry.before.iter().for_each(|before| put_span(out, before));
    }
}

fn put_span(out: &mut Vec<u8>, span: &Span) {
    let buckets = span.counts.iter();
    let numbers = [span.number, span.days, span.addresses, span.floor_ns, buckets.len() as u64];
    numbers.into_iter().for_each(|number| put(out, number));
    let mut last = 0;
    for (bucket, count) in buckets {
        put(out, u64::from(bucket - last));
        put(out, u64::from(count));
        last = bucket;
    }
}

fn table<K: Clone + Eq + Hash + Ord>(
    from: &mut Reader<'_>,
    cap: usize,
    key: impl Fn(&mut Reader<'_>) -> Result<K, WireError>,
) -> Result<Table<K>, WireError> {
    let mut table = Table::new(cap);
    let mut last: Option<K> = None;
    for _ in 0..number(from)? {
        let key = key(from)?;
        if last.as_ref() >= Some(&key) {
            return Err(damaged("its keys are in no order"));
        }
        last = Some(key.clone());
        table.add(key, entry(from)?);
    }
    Ok(table)
}

fn prefix(from: &mut Reader<'_>) -> Result<Prefix, WireError> {
    Prefix::from_number(number(from)?).ok_or(damaged("a prefix is none"))
}

fn network(from: &mut Reader<'_>) -> Result<Network, WireError> {
    Ok(Network { asn: from.u32()?, country: from.array()?, region: from.array()? })
}

fn subject(from: &mut Reader<'_>) -> Result<Subject, WireError> {
    let fits = |n: u64| usize::try_from(n).ok().filter(|n| *n <= SUBJECT_BYTES);
    let length = fits(number(from)?).ok_or(damaged("an id is too long"))?;
    let id = std::str::from_utf8(from.take(length)?).map_err(|_| damaged("an id is no text"))?;
    Ok(Subject(Arc::from(id)))
}

fn destination(from: &mut Reader<'_>) -> Result<Destination, WireError> {
    Ok(Destination { prefix: prefix(from)?, transport: from.u8()?, port: from.u16()? })
}

fn entry(from: &mut Reader<'_>) -> Result<BaselineEntry, WireError> {
    let spans = from.u8()?;
    let now = span(from)?;
    let before = match spans {
        1 => None,
        2 => Some(Box::new(span(from)?)),
        _ => return Err(damaged("an entry has neither one span nor two")),
    };
    if before.as_ref().is_some_and(|before| before.number.checked_add(1) != Some(now.number)) {
        return Err(damaged("two spans do not follow each other"));
    }
    Ok(BaselineEntry { now, before })
}

fn span(from: &mut Reader<'_>) -> Result<Span, WireError> {
    let (of, days, addresses) = (number(from)?, number(from)?, number(from)?);
    let (floor_ns, buckets) = (number(from)?, number(from)?);
    let mut counts = Counts::default();
    let mut at = 0u64;
    for _ in 0..buckets {
        at = at.saturating_add(number(from)?);
        let count = u32::try_from(number(from)?).map_err(|_| damaged("a count is too large"))?;
        let sound = u16::try_from(at).is_ok_and(|at| counts.restore(at, count));
        if !sound {
            return Err(damaged("its counts are in no order"));
        }
    }
    let lowest = counts.iter().next().map(|(bucket, _)| bucket);
    if days == 0 || addresses == 0 || lowest != Some(bucket(floor_ns)) {
        return Err(damaged("a span contradicts itself"));
    }
    Ok(Span { number: of, days, addresses, floor_ns, counts })
}
