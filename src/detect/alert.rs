//! Builds the alert of a rule that fired on a session.
//!
//! Owns: which facts of a record an alert carries, whom it is about, and what lowers its ratio. In:
//! a rule, a record, the run's lists and databases. Out: [`Alert`]. Never: decides whether a rule
//! fires.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::detect::list_weight::{ListSource, ListWeight, shown};
use crate::detect::predicate::Test;
use crate::detect::rule::{Compiled, Rule};
use crate::model::alert::Repeats;
use crate::model::record::{Direction, ListHit, Subject};
use crate::model::schema::{self, CARRIED_OF_SESSIONS, Field, Judged, TagScope, Value};
use crate::model::{Addr, Alert, EvidenceItem, EvidenceValue, Record, SourceInfo};

/// Maximum list entries named in an alert.
const HITS_MAX: usize = 8;

/// What alerts need beside the record.
#[derive(Clone, Debug)]
pub struct SourceCatalog {
    /// The run's lists: a hit's `list` is an index into them.
    pub lists: Vec<ListSource>,
    /// The geo database.
    pub place: Option<SourceInfo>,
    /// The AS database.
    pub asn: Option<SourceInfo>,
}

/// The alert of a rule that fired on a record, and what the lists behind it are worth. Of a rule
/// that raises none itself and has no evidence, it repeats no fields.
pub(super) fn raise(
    rule: &Compiled<Record>,
    record: &Record,
    catalog: &SourceCatalog,
    rules: &SourceInfo,
) -> (Alert, ListWeight) {
    let reasons = Reasons::of(rule, record);
    let session_id = schema::hex(&record.id);
    let ends = Ends::of(rule, record);
    let about = About::of(rule, record, &ends);
    let lists = reasons.hits.iter().map(|hit| catalog.lists.get(usize::from(hit.list)));
    let lists = ListWeight::of(lists, record.end, rule.rule.list_age_days_max);
    let tags = record.context.hits.iter().map(|hit| &*hit.tag);
    let (ratio, lowered) = ratio(&rule.rule, tags, lists);
    let alert = Alert {
        id: String::new(),
        at: record.at,
        time: record.end,
        since: record.start,
        rule: Arc::clone(&rule.rule.info),
        level: rule.rule.info.level,
        ratio,
        lowered,
        ratio_source: Arc::from(""),
        prior: None,
        people: Vec::new(),
        home: ends.home,
        remote: ends.remote,
        context: if rule.rule.is_whole() || !rule.evidence.is_empty() {
            context(record, about.is_of_session)
        } else {
            Vec::new()
        },
        message: rule.message.fill(record),
        evidence: evidence(rule, record, &reasons, &session_id),
        sources: sources(&reasons, catalog, rules),
        packets: (record.file, record.frame_first, record.frame_last),
        quality: record.quality,
        session_id,
        repeats: repeats(rule, record),
        subject: about.subject,
        subject_name: about.name,
    };
    (alert, lists)
}

/// The values that the rule merges by, if it merges; an absent one is empty.
fn repeats(rule: &Compiled<Record>, record: &Record) -> Option<Repeats> {
    let values: Vec<String> =
        rule.merge_by.iter().map(|field| (field.get)(record).to_text()).collect();
    let repeats = Repeats::of(values.join("\n"), record.end);
    (!values.is_empty()).then_some(Repeats { at_least: rule.at_least, ..repeats })
}

/// The evidence of a rule that fired.
struct Reasons<'a> {
    hits: Vec<&'a ListHit>,
    reads_geo: bool,
    reads_asn: bool,
}

impl<'a> Reasons<'a> {
    fn of(rule: &Compiled<Record>, record: &'a Record) -> Reasons<'a> {
        let mut reasons = Reasons { hits: Vec::new(), reads_geo: false, reads_asn: false };
        let mut read = |field: &'static Field, test: Option<&Test>| {
            reasons.reads_geo |= field.name.contains(".geo.") || field.name.contains(".physics.");
            reasons.reads_asn |= field.name.contains(".as.");
            if let (Some(side), Some(test)) = (tag_side(field), test) {
                for hit in record.context.hits.iter().filter(|hit| side.holds(hit)) {
                    let known = reasons.hits.iter().any(|have| std::ptr::eq(*have, hit));
                    if !known && reasons.hits.len() < HITS_MAX && test.holds(&Value::Str(&hit.tag))
                    {
                        reasons.hits.push(hit);
                    }
                }
            }
        };
        rule.when.visit(false, &mut read);
        for (field, _) in &rule.evidence {
            read(field, None);
        }
        reasons
    }
}

fn tag_side(field: &Field) -> Option<TagScope> {
    match field.name {
        "longhaul.tags" => Some(TagScope::Any),
        "longhaul.source.tags" => Some(TagScope::Source),
        "longhaul.destination.tags" => Some(TagScope::Destination),
        _ => None,
    }
}

/// The rule's ratio, as tags of benign explanations and the lists behind it lower it, and in words
/// what did.
pub(super) fn ratio<'t>(
    rule: &Rule,
    tags: impl Iterator<Item = &'t str>,
    lists: ListWeight,
) -> (f64, Vec<String>) {
    let (mut ratio, mut lowered) = (rule.info.ratio, Vec::new());
    for (tag, tagged) in of_tags(&rule.tagged, tags) {
        if tagged < ratio {
            lowered.push(format!("{tag}: tagged, ratio {} for {}", shown(tagged), shown(ratio)));
            ratio = tagged;
        }
    }
    if let Some((less, why)) = lists.lower(ratio) {
        lowered.push(why);
        ratio = less;
    }
    (ratio, lowered)
}

/// The ratios that a rule has for an address with these tags: of a class (`vpn` stands for
/// `vpn:astrill` and all others), or of tags by name. Those were given in knowledge of what their
/// addresses have in common, such as rented servers: classes do not lower them further.
fn of_tags<'t>(
    tagged: &BTreeMap<String, f64>,
    tags: impl Iterator<Item = &'t str>,
) -> Vec<(&'t str, f64)> {
    let (mut named, mut classes) = (Vec::new(), Vec::new());
    for tag in tags {
        let class = tag.split_once(':').map(|(class, _)| class);
        match (class, tagged.get(tag)) {
            (Some(_), Some(ratio)) => named.push((tag, *ratio)),
            _ => classes.extend(tagged.get(class.unwrap_or(tag)).map(|ratio| (tag, *ratio))),
        }
    }
    if named.is_empty() { classes } else { named }
}

/// Which side is home.
struct Ends {
    home: Option<Addr>,
    remote: Option<Addr>,
}

impl Ends {
    fn of(rule: &Compiled<Record>, record: &Record) -> Ends {
        let (from, to) = (Some(record.initiator.origin()), Some(record.responder.origin()));
        match record.context.direction {
            Direction::Inbound => Ends { home: to, remote: from },
            Direction::Internal if rule.is_about_responder => Ends { home: to, remote: from },
            Direction::Outbound | Direction::Internal => Ends { home: from, remote: to },
            Direction::External => Ends { home: None, remote: to },
        }
    }
}

/// Whom an alert is about.
struct About {
    subject: Arc<str>,
    name: Option<Arc<str>>,
    /// It is the subject of the session.
    is_of_session: bool,
}

impl About {
    /// The responder, if the rule is about it: whoever opens its page has not set it up. Else the
    /// subject found by enrichment, else the home address, else the initiator's.
    fn of(rule: &Compiled<Record>, record: &Record, ends: &Ends) -> About {
        let context = &record.context;
        let of_session: Arc<str> = match &context.subject {
            Some(Subject::Named(id)) => Arc::clone(id),
            Some(address) => Arc::from(address.to_string()),
            None => Arc::from(ends.home.unwrap_or(record.initiator.origin()).to_string()),
        };
        if !rule.is_about_responder {
            let name = context.subject_name.clone();
            return About { subject: of_session, name, is_of_session: true };
        }
        let (subject, name) = match &context.responder_subject {
            Some(known) => (Arc::clone(&known.id), known.name.clone()),
            None => (Arc::from(record.responder.origin().to_string()), None),
        };
        About { is_of_session: subject == of_session, subject, name }
    }
}

/// What is known of the session, and of its subject if the alert is about that.
fn context(record: &Record, with_subject: bool) -> Vec<(String, String)> {
    CARRIED_OF_SESSIONS
        .iter()
        .filter(|name| with_subject || !name.starts_with("longhaul.subject."))
        .filter_map(|name| schema::find(name))
        .map(|field| (field, (field.get)(record)))
        .filter(|(_, value)| !value.is_absent())
        .map(|(field, value)| (field.name.to_owned(), value.to_json_text()))
        .collect()
}

fn evidence(
    rule: &Compiled<Record>,
    record: &Record,
    reasons: &Reasons<'_>,
    session_id: &str,
) -> Vec<EvidenceItem> {
    let item = |name: &str, value: EvidenceValue, unit: &str, threshold| EvidenceItem {
        name: name.to_owned(),
        value,
        unit: unit.to_owned(),
        threshold,
        samples: 1,
        sessions: vec![session_id.to_owned()],
    };
    let fields = rule.evidence.iter().filter_map(|(field, wanted)| {
        let value = (field.get)(record);
        let shown = !value.is_absent() && (wanted.threshold.is_none() || met(rule, field, &value));
        shown.then(|| item(field.name, value.to_evidence(), &wanted.unit, wanted.threshold))
    });
    let hits = reasons.hits.iter().map(|hit| {
        let text = format!("{} ({} in {})", hit.tag, hit.on, hit.entry);
        item("longhaul.tags", EvidenceValue::Text(text), "", None)
    });
    fields.chain(hits).collect()
}

/// Whether a number with a threshold made the rule fire: for `long or big`, only the test that
/// holds is evidence. A number without a test is shown as it is.
pub(super) fn met<S: Judged>(rule: &Compiled<S>, field: &Field<S>, value: &Value<'_>) -> bool {
    let (mut tested, mut held) = (false, false);
    rule.when.visit(false, &mut |of, test| {
        if let Some(test) = test.filter(|_| of.name == field.name) {
            tested = true;
            held |= test.holds(value);
        }
    });
    held || !tested
}

fn sources(reasons: &Reasons<'_>, catalog: &SourceCatalog, rules: &SourceInfo) -> Vec<SourceInfo> {
    let mut all: Vec<SourceInfo> = Vec::new();
    let lists = reasons.hits.iter().filter_map(|hit| catalog.lists.get(usize::from(hit.list)));
    let lists = lists.map(|list| &list.info);
    let geo = catalog.place.as_ref().filter(|_| reasons.reads_geo);
    let asn = catalog.asn.as_ref().filter(|_| reasons.reads_asn);
    for source in lists.chain(geo).chain(asn).chain(Some(rules)) {
        if !all.contains(source) {
            all.push(source.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_ratio_for_a_tag_by_name_stands_before_those_of_classes() {
        let rows = [("hosting", 4.0), ("vpn", 5.0), ("vpn:astrill", 30.0)];
        let tagged = rows.map(|(tag, ratio)| (tag.to_owned(), ratio)).into();
        let of = |tags: &[&'static str]| super::of_tags(&tagged, tags.iter().copied());
        assert_eq!(of(&["hosting", "vpn:astrill"]), [("vpn:astrill", 30.0)]);
        assert_eq!(of(&["vpn:other", "hosting"]), [("vpn:other", 5.0), ("hosting", 4.0)]);
        assert_eq!(of(&["vpn", "mobile"]), [("vpn", 5.0)]);
        assert_eq!(of(&["mobile"]), []);
    }
}
