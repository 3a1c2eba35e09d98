//! Alerts as bytes, and back.
//!
//! Owns: the stored form of an alert. In: an alert, or bytes that somebody may have damaged. Out:
//! bytes, or an alert or the reason why not. Never: more memory than in proportion to the bytes.

use std::sync::Arc;

use crate::model::alert::{EARLIER_RUN, EvidenceField, Repeats};
use crate::model::record::Quality;
use crate::model::{
    Addr, Alert, EvidenceItem, EvidenceValue, Family, Group, Level, Nanos, RuleInfo, SourceInfo,
};
use crate::wire::{Fault, Reader, WireError};

pub(in crate::detect) const LEVELS: [Level; 5] =
    [Level::Informational, Level::Low, Level::Medium, Level::High, Level::Critical];
pub(in crate::detect) const FAMILIES: [Family; 5] =
    [Family::N, Family::P, Family::R, Family::C, Family::B];
const SOURCES: [&str; 4] = ["geo", "asn", "list", "rules"];

/// Bytes being written.
#[derive(Default)]
pub(in crate::detect) struct Writer(pub(in crate::detect) Vec<u8>);

impl Writer {
    pub(in crate::detect) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(in crate::detect) fn u32(&mut self, value: u32) {
        self.0.extend(value.to_be_bytes());
    }

    pub(in crate::detect) fn u64(&mut self, value: u64) {
        self.0.extend(value.to_be_bytes());
    }

    pub(in crate::detect) fn time(&mut self, value: Nanos) {
        self.u64(value.0);
    }

    pub(in crate::detect) fn float(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    pub(in crate::detect) fn text(&mut self, value: &str) {
        self.u32(value.len() as u32);
        self.0.extend(value.bytes());
    }

    pub(in crate::detect) fn option<T>(
        &mut self,
        value: Option<T>,
        put: impl FnOnce(&mut Writer, T),
    ) {
        self.u8(value.is_some().into());
        if let Some(value) = value {
            put(self, value);
        }
    }

    pub(in crate::detect) fn list<T>(&mut self, values: &[T], put: impl Fn(&mut Writer, &T)) {
        self.u32(values.len() as u32);
        values.iter().for_each(|value| put(self, value));
    }

    /// Where a value stands among all that it can be.
    pub(in crate::detect) fn word<T: PartialEq>(&mut self, of: &[T], value: &T) {
        self.u8(of.iter().position(|one| one == value).map_or(u8::MAX, |at| at as u8));
    }
}

type Read<T> = Result<T, WireError>;

const fn damaged(how: &'static str) -> WireError {
    WireError::Malformed(Fault::Value, how)
}

pub(in crate::detect) fn time(r: &mut Reader<'_>) -> Read<Nanos> {
    r.u64().map(Nanos)
}

pub(in crate::detect) fn float(r: &mut Reader<'_>) -> Read<f64> {
    let value = f64::from_bits(r.u64()?);
    if value.is_finite() { Ok(value) } else { Err(damaged("a number is none")) }
}

pub(in crate::detect) fn text(r: &mut Reader<'_>) -> Read<String> {
    let bytes = r.sub_u32()?.rest().to_vec();
    String::from_utf8(bytes).map_err(|_| damaged("a text is not UTF-8"))
}

pub(in crate::detect) fn shared(r: &mut Reader<'_>) -> Read<Arc<str>> {
    text(r).map(Arc::from)
}

pub(in crate::detect) fn flag(r: &mut Reader<'_>) -> Read<bool> {
    match r.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(damaged("a flag is neither set nor not")),
    }
}

pub(in crate::detect) fn option<T>(
    r: &mut Reader<'_>,
    read: impl FnOnce(&mut Reader<'_>) -> Read<T>,
) -> Read<Option<T>> {
    if flag(r)? { read(r).map(Some) } else { Ok(None) }
}

/// Each member takes a byte at least, so that a number in the bytes reserves no memory.
pub(in crate::detect) fn list<T>(
    r: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Read<T>,
) -> Read<Vec<T>> {
    let count = r.u32()?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(read(r)?);
    }
    Ok(all)
}

pub(in crate::detect) fn word<T: Copy>(r: &mut Reader<'_>, of: &[T]) -> Read<T> {
    of.get(usize::from(r.u8()?)).copied().ok_or(damaged("a word is not known"))
}

pub(in crate::detect) fn put_alert(w: &mut Writer, alert: &Alert) {
    w.time(alert.at);
    w.time(alert.time);
    w.time(alert.since);
    put_rule(w, &alert.rule);
    w.word(&LEVELS, &alert.level);
    w.float(alert.ratio);
    w.list(&alert.lowered, |w, text| w.text(text));
    w.list(&alert.people, |w, id| w.text(id));
    w.text(&alert.subject);
    w.option(alert.subject_name.as_deref(), Writer::text);
    w.option(alert.home, |w, ip| w.0.extend(ip.0));
    w.option(alert.remote, |w, ip| w.0.extend(ip.0));
    w.list(&alert.context, |w, (name, value)| {
        w.text(name);
        w.text(value);
    });
    w.text(&alert.message);
    w.list(&alert.evidence, put_evidence);
    w.list(&alert.sources, put_source);
    put_packets(w, &alert.packets);
    put_quality(w, &alert.quality);
    w.text(&alert.session_id);
    w.option(alert.repeats.as_ref(), put_repeats);
}

/// An alert, with its event id.
pub(in crate::detect) fn alert(r: &mut Reader<'_>) -> Read<Alert> {
    let mut alert = Alert {
        id: String::new(),
        at: time(r)?,
        time: time(r)?,
        since: time(r)?,
        rule: Arc::new(rule(r)?),
        level: word(r, &LEVELS)?,
        ratio: float(r)?,
        lowered: list(r, text)?,
        // Those of the table in use now, once it is taken up again.
        ratio_source: Arc::from(""),
        prior: None,
        people: list(r, shared)?,
        subject: shared(r)?,
        subject_name: option(r, shared)?,
        home: option(r, addr)?,
        remote: option(r, addr)?,
        context: list(r, |r| Ok((text(r)?, text(r)?)))?,
        message: text(r)?,
        evidence: list(r, evidence)?,
        sources: list(r, source)?,
        packets: packets(r)?,
        quality: quality(r)?,
        session_id: text(r)?,
        repeats: option(r, repeats)?,
    };
    alert.id = alert.event_id();
    Ok(alert)
}

fn addr(r: &mut Reader<'_>) -> Read<Addr> {
    r.array().map(Addr)
}

fn put_packets(w: &mut Writer, (file, first, last): &(u16, u32, u32)) {
    w.u32(u32::from(*file));
    w.u32(*first);
    w.u32(*last);
}

fn packets(r: &mut Reader<'_>) -> Read<(u16, u32, u32)> {
    // Files and frames are numbered anew by each run.
    r.u32()?;
    Ok((EARLIER_RUN, r.u32()?, r.u32()?))
}

fn put_rule(w: &mut Writer, rule: &RuleInfo) {
    [&rule.id, &rule.name, &rule.uuid, &rule.title].iter().for_each(|text| w.text(text));
    w.word(&LEVELS, &rule.level);
    w.word(&FAMILIES, &rule.family);
    w.word(&Group::ALL, &rule.group);
    w.float(rule.ratio);
    w.u8(rule.alone.into());
    for texts in [&rule.topologies, &rule.techniques, &rule.benign_checked] {
        w.list(texts, |w, text| w.text(text));
    }
    w.text(&rule.message);
    w.list(&rule.evidence, |w, field| {
        w.text(&field.field);
        w.text(&field.unit);
        w.option(field.threshold, Writer::float);
    });
}

fn rule(r: &mut Reader<'_>) -> Read<RuleInfo> {
    Ok(RuleInfo {
        id: text(r)?,
        name: text(r)?,
        uuid: text(r)?,
        title: text(r)?,
        level: word(r, &LEVELS)?,
        family: word(r, &FAMILIES)?,
        group: word(r, &Group::ALL)?,
        ratio: float(r)?,
        alone: flag(r)?,
        topologies: list(r, text)?,
        techniques: list(r, text)?,
        benign_checked: list(r, text)?,
        message: text(r)?,
        evidence: list(r, |r| {
            Ok(EvidenceField { field: text(r)?, unit: text(r)?, threshold: option(r, float)? })
        })?,
    })
}

fn put_evidence(w: &mut Writer, item: &EvidenceItem) {
    w.text(&item.name);
    let (is_number, value) = match &item.value {
        EvidenceValue::Number(text) => (true, text),
        EvidenceValue::Text(text) => (false, text),
    };
    w.u8(is_number.into());
    w.text(value);
    w.text(&item.unit);
    w.option(item.threshold, Writer::float);
    w.u64(item.samples);
    w.list(&item.sessions, |w, id| w.text(id));
}

fn evidence(r: &mut Reader<'_>) -> Read<EvidenceItem> {
    Ok(EvidenceItem {
        name: text(r)?,
        value: match flag(r)? {
            true => EvidenceValue::Number(text(r)?),
            false => EvidenceValue::Text(text(r)?),
        },
        unit: text(r)?,
        threshold: option(r, float)?,
        samples: r.u64()?,
        sessions: list(r, text)?,
    })
}

fn put_source(w: &mut Writer, source: &SourceInfo) {
    w.word(&SOURCES, &source.kind);
    w.text(&source.name);
    w.text(&source.version);
    w.option(source.built_at, Writer::time);
}

fn source(r: &mut Reader<'_>) -> Read<SourceInfo> {
    Ok(SourceInfo {
        kind: word(r, &SOURCES)?,
        name: shared(r)?,
        version: shared(r)?,
        built_at: option(r, time)?,
    })
}

fn put_quality(w: &mut Writer, quality: &Quality) {
    let Quality { retransmits, out_of_order, duplicates, gaps, .. } = *quality;
    [retransmits, out_of_order, duplicates, gaps].into_iter().for_each(|count| w.u32(count));
    let flags = [quality.one_way, quality.truncated, quality.unconfirmed];
    flags.into_iter().for_each(|flag| w.u8(flag.into()));
}

fn quality(r: &mut Reader<'_>) -> Read<Quality> {
    Ok(Quality {
        retransmits: r.u32()?,
        out_of_order: r.u32()?,
        duplicates: r.u32()?,
        gaps: r.u32()?,
        one_way: flag(r)?,
        truncated: flag(r)?,
        unconfirmed: flag(r)?,
    })
}

fn put_repeats(w: &mut Writer, repeats: &Repeats) {
    w.text(&repeats.key);
    [repeats.at_least, repeats.count, repeats.last.0].into_iter().for_each(|n| w.u64(n));
    w.list(&repeats.packets, put_packets);
    w.u64(repeats.left_out);
}

fn repeats(r: &mut Reader<'_>) -> Read<Repeats> {
    Ok(Repeats {
        key: text(r)?,
        at_least: r.u64()?,
        count: r.u64()?,
        last: time(r)?,
        packets: list(r, packets)?,
        left_out: r.u64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Alert {
        let repeats =
            Repeats { packets: vec![(EARLIER_RUN, 2, 3)], ..Repeats::of("k\nv".into(), Nanos(9)) };
        let source = SourceInfo {
            kind: "list",
            name: "tor".into(),
            version: "".into(),
            built_at: Some(Nanos(5)),
        };
        let item = EvidenceItem {
            name: "longhaul.floor_us".into(),
            value: EvidenceValue::Number("0.1".into()),
            unit: "us".into(),
            threshold: Some(0.1),
            samples: 7,
            sessions: vec!["a".into(), "b".into()],
        };
        let mut alert = Alert {
            time: Nanos(11),
            ratio: 0.1 + 0.2,
            lowered: vec!["mobile".into()],
            people: vec!["e-1".into()],
            level: Level::Critical,
            subject: "10.0.0.7".into(),
            subject_name: Some("Zoë".into()),
            home: Some(Addr::v4([10, 0, 0, 7])),
            context: vec![("source.ip".into(), "\"10.0.0.7\"".into())],
            message: "it fired".into(),
            evidence: vec![item],
            sources: vec![source],
            packets: (EARLIER_RUN, 4, 5),
            quality: Quality { gaps: 2, one_way: true, ..Quality::default() },
            session_id: "s1".into(),
            repeats: Some(repeats),
            ..Alert::sample("D08", Family::R)
        };
        alert.id = alert.event_id();
        alert
    }

    #[test]
    fn an_alert_reads_back_unchanged() {
        let mut w = Writer::default();
        put_alert(&mut w, &full());
        let mut r = Reader::new(&w.0);
        let back = alert(&mut r).unwrap();
        assert!(r.is_empty());
        assert_eq!(format!("{back:?}"), format!("{:?}", full()));
    }

    #[test]
    fn bytes_that_end_early_or_were_changed_never_panic() {
        let mut w = Writer::default();
        put_alert(&mut w, &full());
        for end in 0..w.0.len() {
            assert!(alert(&mut Reader::new(&w.0[..end])).is_err(), "{end}");
        }
        for at in 0..w.0.len() {
            let mut bytes = w.0.clone();
            bytes[at] ^= 0xff;
            // Whatever it reads as, it ends.
            let _ = alert(&mut Reader::new(&bytes));
        }
    }
}
