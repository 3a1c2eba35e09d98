//! Builds the alert of a rule that fired on an endpoint.
//!
//! Owns: which facts of an endpoint an alert carries. In: a rule, an endpoint's row, the run's
//! databases. Out: [`Alert`]. Never: decides whether a rule fires.

use std::sync::Arc;

use crate::detect::alert::{SourceCatalog, met, ratio};
use crate::detect::list_weight::ListWeight;
use crate::detect::rule::Compiled;
use crate::model::alert::Repeats;
use crate::model::endpoint::{EndpointRow, Locality, Role};
use crate::model::endpoint_facts::LatestSession;
use crate::model::schema::{CARRIED_OF_ENDPOINTS, Field, find_in, hex, samples};
use crate::model::{Alert, EvidenceItem, Group, SourceInfo};

/// So many people of one program at one address are not one person's proxy.
const SHARED_BY: u32 = 3;

/// The alert of a rule that fired on an endpoint; `None` if no session of it was kept, since then
/// nobody could examine the evidence.
pub(super) fn raise_endpoint(
    rule: &Compiled<EndpointRow>,
    row: &EndpointRow,
    catalog: &SourceCatalog,
    rules: &SourceInfo,
) -> Option<Alert> {
    let latest = row.traits.latest.as_deref()?;
    let session_id = hex(&latest.id);
    let own = Some(row.key.ip);
    let (home, remote) = match row.key.side {
        Locality::Home => (own, Some(latest.peer).filter(|_| !latest.peer_home)),
        Locality::Remote => (Some(latest.peer).filter(|_| latest.peer_home), own),
    };
    // One address of many people is a gateway of theirs, whether a list says so or not.
    let shared = (row.traits.subjects >= SHARED_BY).then_some("shared");
    let tags = row.tags.iter().map(|tag| &**tag).chain(shared);
    let (ratio, lowered) = ratio(&rule.rule, tags, ListWeight::WHOLE);
    let people = if rule.rule.info.group == Group::Colocation { together(row) } else { Vec::new() };
    Some(Alert {
        id: String::new(),
        at: latest.end,
        time: latest.end,
        since: row.first,
        rule: Arc::clone(&rule.rule.info),
        level: rule.rule.info.level,
        ratio,
        lowered,
        ratio_source: Arc::from(""),
        prior: None,
        subject: if people.is_empty() { subject(latest) } else { own_address(row) },
        subject_name: latest.subject_name.clone().filter(|_| people.is_empty()),
        people,
        home,
        remote,
        context: context(row, latest),
        message: rule.message.fill(row),
        evidence: evidence(rule, row, &session_id),
        sources: sources(rule, catalog, rules),
        packets: latest.packets,
        quality: latest.quality,
        session_id,
        repeats: repeats(rule, row),
    })
}

/// The people at its address who are there for days, or else met there.
fn together(row: &EndpointRow) -> Vec<Arc<str>> {
    let shared = || row.traits.people.as_ref()?.shared.as_ref().map(|all| &all.people);
    let lasting = row.traits.colocated.as_ref().map(|all| &all.people);
    lasting.or_else(shared).cloned().unwrap_or_default()
}

/// The address, where several people are meant; of IPv6 the network that they share.
fn own_address(row: &EndpointRow) -> Arc<str> {
    match row.key.ip.site() {
        own if own == row.key.ip => Arc::from(own.to_string()),
        network => Arc::from(format!("{network}/64")),
    }
}

/// That of its last session: an id in the subjects file, else the address of the initiator.
fn subject(latest: &LatestSession) -> Arc<str> {
    match &latest.subject {
        Some(id) => Arc::clone(id),
        None => Arc::from(latest.began.to_string()),
    }
}

/// The fields, and the addresses of the last session as a session's alert has them.
fn context(row: &EndpointRow, latest: &LatestSession) -> Vec<(String, String)> {
    let quoted = |ip: crate::model::Addr| format!("\"{ip}\"");
    let (own, peer) = match row.role {
        Role::Responder => ("destination.ip", "source.ip"),
        Role::Initiator | Role::Both => ("source.ip", "destination.ip"),
    };
    let mut all =
        vec![(own.to_owned(), quoted(row.key.ip)), (peer.to_owned(), quoted(latest.peer))];
    let fields = CARRIED_OF_ENDPOINTS.iter().filter_map(|name| find_in::<EndpointRow>(name));
    let values = fields.map(|field| (field, (field.get)(row)));
    let present = values.filter(|(_, value)| !value.is_absent());
    if let Some(hired) = &latest.hired {
        all.push(("longhaul.subject.hired".to_owned(), format!("\"{hired}\"")));
    }
    all.extend(present.map(|(field, value)| (field.name.to_owned(), value.to_json_text())));
    all
}

fn evidence(
    rule: &Compiled<EndpointRow>,
    row: &EndpointRow,
    session_id: &str,
) -> Vec<EvidenceItem> {
    let item = |(field, wanted): &(&'static Field<EndpointRow>, _)| {
        let wanted: &crate::model::alert::EvidenceField = wanted;
        let value = (field.get)(row);
        let shown = !value.is_absent() && (wanted.threshold.is_none() || met(rule, field, &value));
        shown.then(|| EvidenceItem {
            name: field.name.to_owned(),
            value: value.to_evidence(),
            unit: wanted.unit.clone(),
            threshold: wanted.threshold,
            samples: samples(row, field.name),
            sessions: vec![session_id.to_owned()],
        })
    };
    rule.evidence.iter().filter_map(item).collect()
}

fn sources(
    rule: &Compiled<EndpointRow>,
    catalog: &SourceCatalog,
    rules: &SourceInfo,
) -> Vec<SourceInfo> {
    let (mut geo, mut asn) = (false, false);
    let mut read = |field: &'static Field<EndpointRow>| {
        geo |= field.name.contains(".geo.");
        asn |= field.name.contains(".as.");
    };
    rule.when.visit(false, &mut |field, _| read(field));
    rule.evidence.iter().for_each(|(field, _)| read(field));
    let place = catalog.place.clone().filter(|_| geo);
    let system = catalog.asn.clone().filter(|_| asn);
    place.into_iter().chain(system).chain([rules.clone()]).collect()
}

fn repeats(rule: &Compiled<EndpointRow>, row: &EndpointRow) -> Option<Repeats> {
    let values: Vec<String> =
        rule.merge_by.iter().map(|field| (field.get)(row).to_text()).collect();
    let repeats = Repeats::of(values.join("\n"), row.last);
    (!values.is_empty()).then_some(Repeats { at_least: rule.at_least, ..repeats })
}
