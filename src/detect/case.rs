//! A case of a rule: what is judged, given as a flat map of field names and values.
//!
//! Owns: which values a field takes, and those that a case leaves to its defaults. In: one JSON
//! object. Out: a source of values, as a record is one. Never: a record, or a second list of
//! fields.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value as Json};

use crate::detect::did_you_mean::{did_you_mean, nearest};
use crate::model::endpoint::EndpointRow;
use crate::model::schema::derived::derived;
use crate::model::schema::{Field, Judged, Kind, List, Value, find_in};
use crate::model::{Addr, Nanos, Record};

/// Where the values of fields come from: what was seen, or a case.
pub(super) trait Values<S: Judged> {
    /// The value of a field.
    fn value(&self, field: &Field<S>) -> Value<'_>;
}

impl Values<Record> for Record {
    #[inline]
    fn value(&self, field: &Field<Record>) -> Value<'_> {
        (field.get)(self)
    }
}

impl Values<EndpointRow> for EndpointRow {
    #[inline]
    fn value(&self, field: &Field<EndpointRow>) -> Value<'_> {
        (field.get)(self)
    }
}

/// What has cases.
pub(super) trait HasCases: Judged {
    /// What a case of it has where it says nothing else, as a case.
    const USUAL: &'static str;
}

impl HasCases for Record {
    /// A small established TCP session between the documentation prefixes of RFC 5737.
    const USUAL: &'static str = r#"{
        "event.start": "2026-11-22T10:00:00Z", "event.duration": 0,
        "source.ip": "192.0.2.1", "source.port": 50000,
        "source.bytes": 1000, "source.packets": 10,
        "destination.ip": "198.51.100.1", "destination.port": 443,
        "destination.bytes": 1000, "destination.packets": 10,
        "network.transport": "tcp",
        "network.direction": "external", "longhaul.state": "established",
        "longhaul.quality.retransmits": 0, "longhaul.quality.out_of_order": 0,
        "longhaul.quality.duplicates": 0, "longhaul.quality.gaps": 0,
        "longhaul.quality.one_way": false, "longhaul.quality.truncated": false,
        "longhaul.packets.input": 0, "longhaul.packets.first": 0, "longhaul.packets.last": 0}"#;
}

impl HasCases for EndpointRow {
    /// A remote address that began a few sessions with port 443 of a home address.
    const USUAL: &'static str = r#"{
        "@timestamp": "2026-11-22T10:00:00Z", "event.start": "2026-11-22T10:00:00Z",
        "endpoint.ip": "192.0.2.1", "endpoint.side": "remote", "endpoint.role": "initiator",
        "endpoint.service.port": 443, "endpoint.service.transport": "tcp",
        "longhaul.subject.id": "192.0.2.1",
        "longhaul.sessions": 4, "longhaul.handshakes": 4, "longhaul.days": 1}"#;
}

/// A value as a case gives it.
#[derive(Clone, Debug)]
enum Given {
    Text(String),
    Whole(u64),
    Signed(i64),
    Number(f64),
    Flag(bool),
    Address(Addr),
    Texts(Vec<String>),
    Addresses(Vec<Addr>),
}

impl Given {
    fn value(&self) -> Value<'_> {
        match self {
            Given::Text(text) => Value::Str(text),
            Given::Whole(n) => Value::Int(*n),
            Given::Signed(n) => Value::Signed(*n),
            Given::Number(n) => Value::Float(*n),
            Given::Flag(flag) => Value::Bool(*flag),
            Given::Address(addr) => Value::Ip(*addr),
            Given::Texts(all) => Value::List(List::Texts(all)),
            Given::Addresses(all) => Value::List(List::Addrs(all)),
        }
    }

    /// Of a field of that kind; what it must be, where it is not.
    fn read(kind: Kind, json: &Json) -> Result<Given, String> {
        let wrong = |want: &str| format!("{json} is no {want}");
        let text = || json.as_str().map(str::to_owned);
        match kind {
            Kind::Text => text().map(Given::Text).ok_or_else(|| wrong("text")),
            Kind::Word(words) => {
                let known = text().filter(|text| words.contains(&text.as_str()));
                known.map(Given::Text).ok_or_else(|| wrong(&format!("one of {}", words.join(", "))))
            }
            Kind::Time => moment(json).map(Given::Text).ok_or_else(|| wrong("time (RFC 3339)")),
            Kind::Date => {
                let day = text().filter(|text| Nanos::from_date(text).is_some());
                day.map(Given::Text).ok_or_else(|| wrong("day (`YYYY-MM-DD`)"))
            }
            Kind::Int => json.as_u64().map(Given::Whole).ok_or_else(|| wrong("whole number")),
            Kind::Signed => json.as_i64().map(Given::Signed).ok_or_else(|| wrong("whole number")),
            Kind::Float => json.as_f64().map(Given::Number).ok_or_else(|| wrong("number")),
            Kind::Bool => json.as_bool().map(Given::Flag).ok_or_else(|| wrong("true or false")),
            Kind::Ip => address(json).map(Given::Address).ok_or_else(|| wrong("address")),
            Kind::Texts => list(json, |one| one.as_str().map(str::to_owned))
                .map(Given::Texts)
                .ok_or_else(|| wrong("list of texts, at least one")),
            Kind::Ips => list(json, address)
                .map(Given::Addresses)
                .ok_or_else(|| wrong("list of addresses, at least one")),
        }
    }
}

fn moment(json: &Json) -> Option<String> {
    let text = json.as_str()?;
    let (day, time) = text.split_once('T')?;
    Nanos::from_date(day)?;
    time.ends_with('Z').then(|| text.to_owned())
}

fn address(json: &Json) -> Option<Addr> {
    json.as_str()?.parse::<IpAddr>().ok().map(Addr::from)
}

fn list<T>(json: &Json, one: impl Fn(&Json) -> Option<T>) -> Option<Vec<T>> {
    let all = json.as_array().filter(|all| !all.is_empty())?;
    all.iter().map(one).collect()
}

/// A case.
#[derive(Clone, Debug)]
pub(super) struct Case {
    values: BTreeMap<&'static str, Given>,
}

impl Case {
    /// A case of what has these fields.
    ///
    /// Errors: a field that is unknown, or a value that is not of its type; `Err` names the field
    /// and says what it should be.
    pub(super) fn read<S: HasCases>(object: &Map<String, Json>) -> Result<Case, CaseError> {
        let usual: Json = serde_json::from_str(S::USUAL).unwrap_or_default();
        let usual = usual.as_object().map(read_values::<S>).transpose()?.unwrap_or_default();
        let given = read_values::<S>(object)?;
        let get = |name: &str| {
            let own = given.get(name).or_else(|| usual.get(name));
            own.map_or(Value::Absent, Given::value)
        };
        let mut values = usual.clone();
        for name in S::fields().iter().map(|field| field.name) {
            let follows = derived::<S>(name, &get);
            match (given.get(name), follows) {
                (Some(own), Some(value)) => {
                    check(name, own, value)?;
                    values.insert(name, own.clone());
                }
                (Some(own), None) => drop(values.insert(name, own.clone())),
                (None, Some(value)) => values.extend(keep(value).map(|made| (name, made))),
                (None, None) => {}
            }
        }
        values.entry("longhaul.tags").or_insert_with(|| Given::Texts(all_tags(&given)));
        values.retain(|_, value| !matches!(value, Given::Texts(all) if all.is_empty()));
        if !has_ports(get("network.transport")) {
            values.retain(|name, _| !name.ends_with(".port") || given.contains_key(name));
        }
        Ok(Case { values })
    }
}

impl Case {
    /// Of a line as it was written: nothing but what it has, and what follows from that.
    ///
    /// Errors: a value that is not of its field's type.
    pub(super) fn of_line<S: Judged>(line: &Json) -> Result<Case, CaseError> {
        let mut given: BTreeMap<&'static str, Given> = BTreeMap::new();
        let shown = S::fields().iter().filter(|field| field.in_rules() && field.in_lines());
        for field in shown {
            let Some(json) = stored::<S>(field, line) else { continue };
            let own = Given::read(field.kind, &json).map_err(|cause| CaseError {
                field: field.name.to_owned(),
                cause: format!("`{}`: {cause}", field.name),
                help: format!("`{}` is of type {}", field.name, field.kind.as_str()),
            })?;
            given.insert(field.name, own);
        }
        let mut values = given.clone();
        let get = |name: &str| given.get(name).map_or(Value::Absent, Given::value);
        for name in S::fields().iter().map(|field| field.name) {
            if !given.contains_key(name)
                && let Some(made) = derived::<S>(name, &get).and_then(keep)
            {
                values.insert(name, made);
            }
        }
        Ok(Case { values })
    }
}

/// The value of that dotted name in nested objects.
fn inside<'l>(from: &'l Json, name: &str) -> Option<&'l Json> {
    name.split('.').try_fold(from, |at, key| at.get(key))
}

/// The value of a field in a line; of members of objects all together where rules see a list.
fn stored<S: Judged>(field: &Field<S>, line: &Json) -> Option<Json> {
    let found = match field.each {
        None => inside(line, field.name)?.clone(),
        Some((list, _, _)) => {
            let rest = field.name.strip_prefix(list.name)?.strip_prefix('.')?;
            let objects = inside(line, list.name)?.as_array()?.iter();
            let mut all = objects.filter_map(|object| inside(object, rest)).cloned();
            match field.kind {
                Kind::Texts | Kind::Ips => all.collect(),
                _ => all.next()?,
            }
        }
    };
    let is_empty = found.is_null() || found.as_array().is_some_and(Vec::is_empty);
    (!is_empty).then_some(found)
}

/// Both ends' tags: a session has those of either.
fn all_tags(given: &BTreeMap<&'static str, Given>) -> Vec<String> {
    let sides = ["longhaul.source.tags", "longhaul.destination.tags"];
    let lists = sides.iter().filter_map(|name| match given.get(name) {
        Some(Given::Texts(tags)) => Some(tags.clone()),
        _ => None,
    });
    lists.flatten().collect()
}

fn has_ports(transport: Value<'_>) -> bool {
    let known = ["tcp", "udp", "dccp", "sctp", "udplite"];
    transport.is_absent() || transport.with_text(|text| known.contains(&text))
}

/// Refuses a value that does not follow from the others, where it should.
fn check(name: &str, own: &Given, follows: Value<'_>) -> Result<(), CaseError> {
    let same = match (own.value().as_number(), follows.as_number()) {
        (Some(own), Some(want)) => (own - want).abs() <= 1e-9 * own.abs(),
        // A session may be told a name, a leg or a version by other means than these.
        _ => true,
    };
    if same {
        return Ok(());
    }
    let (cause, help) = (
        format!("`{name}` is {} by the other fields", follows.to_text()),
        "leave it out, or mend these".to_owned(),
    );
    Err(CaseError { field: name.to_owned(), cause, help })
}

/// A field that a case gets wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CaseError {
    pub(super) field: String,
    pub(super) cause: String,
    pub(super) help: String,
}

fn read_values<S: Judged>(
    object: &Map<String, Json>,
) -> Result<BTreeMap<&'static str, Given>, CaseError> {
    let mut values = BTreeMap::new();
    for (name, json) in object {
        let error = |cause, help| CaseError { field: name.clone(), cause, help };
        let Some(field) = find_in::<S>(name).filter(|field| field.in_rules()) else {
            let names = S::fields().iter().filter(|field| field.in_rules()).map(|f| f.name);
            let help =
                did_you_mean(nearest(name, names), "the fields are listed by `longhaul fields`");
            return Err(error(format!("unknown field `{name}`"), help));
        };
        let given = Given::read(field.kind, json).map_err(|cause| {
            let help = format!("`{name}` is of type {}", field.kind.as_str());
            error(format!("`{name}`: {cause}"), help)
        })?;
        values.insert(field.name, given);
    }
    Ok(values)
}

/// A value that was derived, kept.
fn keep(value: Value<'_>) -> Option<Given> {
    match value {
        Value::Absent => None,
        Value::Int(n) => Some(Given::Whole(n)),
        Value::Float(n) => Some(Given::Number(n)),
        Value::Bool(flag) => Some(Given::Flag(flag)),
        Value::List(list) => {
            let mut all = Vec::new();
            list.any(&mut |one| {
                all.push(one.to_text());
                false
            });
            Some(Given::Texts(all))
        }
        other => Some(Given::Text(other.to_text())),
    }
}

impl<S: Judged> Values<S> for Case {
    fn value(&self, field: &Field<S>) -> Value<'_> {
        self.values.get(field.name).map_or(Value::Absent, Given::value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn case<S: HasCases>(object: Json) -> Result<Case, CaseError> {
        Case::read::<S>(object.as_object().unwrap())
    }

    fn value<S: HasCases>(case: &Case, name: &str) -> Json {
        Values::<S>::value(case, find_in::<S>(name).unwrap()).to_json()
    }

    #[test]
    fn fields_left_out_of_a_case_are_calculated_or_default() {
        let given = json!({"network.direction": "inbound", "longhaul.near.handshake_us": 18_500.0,
            "source.bytes": 70, "longhaul.source.tags": ["hosting"], "source.ip": "2001:db8::1",
            "tls.version": "1.3", "tls.client.server_name": "a.example"});
        let case = case::<Record>(given).unwrap();
        let at = |name: &str| value::<Record>(&case, name);
        assert_eq!(at("longhaul.remote.handshake_us"), 18_500.0);
        assert_eq!(at("longhaul.remote.rtt.min_us"), Json::Null);
        assert_eq!((at("network.bytes"), at("network.type")), (json!(1_070), json!("ipv6")));
        assert_eq!(
            (at("longhaul.tags"), at("longhaul.destination.tags")),
            (json!(["hosting"]), Json::Null)
        );
        assert_eq!(
            (at("tls.version_protocol"), at("network.iana_number")),
            (json!("tls"), json!("6"))
        );
        assert_eq!(
            (at("destination.domain"), at("destination.port")),
            (json!("a.example"), json!(443))
        );
        assert_eq!(at("longhaul.quality.one_way"), false);
    }

    #[test]
    fn a_protocol_without_ports_gets_none_by_default() {
        let case = case::<Record>(json!({"network.transport": "icmp"})).unwrap();
        assert_eq!(value::<Record>(&case, "destination.port"), Json::Null);
        assert_eq!(value::<Record>(&case, "network.iana_number"), "1");
    }

    #[test]
    fn ratios_and_discs_of_an_endpoint_follow() {
        let given = json!({"longhaul.floor_us": 90_000.0, "longhaul.floor.excess_us": 60_000.0,
            "longhaul.hidden_leg.us": 45_000.0, "longhaul.hidden_leg.confidence": 0.5,
            "longhaul.stack.compared": 8, "longhaul.stack.differ": 6});
        let case = case::<EndpointRow>(given).unwrap();
        let at = |name: &str| value::<EndpointRow>(&case, name);
        assert_eq!(
            (at("longhaul.floor.ratio"), at("longhaul.hidden_leg.ratio")),
            (json!(3.0), json!(0.5))
        );
        assert_eq!(at("longhaul.stack.differ_share"), 0.75);
        let reach = at("longhaul.disc.fibre_km").as_f64().unwrap();
        assert!((13_000.0..14_000.0).contains(&reach), "{reach}");
        assert_eq!((at("endpoint.side"), at("longhaul.days")), (json!("remote"), json!(1)));
    }

    #[test]
    fn a_field_that_is_wrong_is_named() {
        for (object, field, cause, help) in [
            (
                json!({"network.directon": "inbound"}),
                "network.directon",
                "unknown field",
                "`network.direction`",
            ),
            (json!({"event.id": "x"}), "event.id", "unknown field", "`event.end`"),
            (json!({"source.port": "443"}), "source.port", "is no whole number", "integer"),
            (json!({"source.ip": "10.0.0"}), "source.ip", "is no address", "address"),
            (
                json!({"network.direction": "in"}),
                "network.direction",
                "is no one of inbound",
                "text",
            ),
            (json!({"longhaul.tags": []}), "longhaul.tags", "at least one", "list of text"),
            (
                json!({"longhaul.subject.hired": "soon"}),
                "longhaul.subject.hired",
                "is no day",
                "date",
            ),
            (
                json!({"source.bytes": 5, "network.bytes": 9}),
                "network.bytes",
                "1005 by the other",
                "mend",
            ),
        ] {
            let error = case::<Record>(object).unwrap_err();
            assert_eq!(error.field, field);
            assert!(error.cause.contains(cause) && error.help.contains(help), "{error:?}");
        }
    }
}
