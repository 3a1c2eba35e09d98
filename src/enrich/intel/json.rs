//! Feeds in JSON: LOLRMM, STIX 2.1, MISP, Spur.
//!
//! Owns: where their entries stand. In: text. Out: a feed. Never: an entry that the feed itself has
//! withdrawn.

use std::path::Path;

use serde_json::{Map, Value};

use crate::enrich::intel::classify::{self, OTHER, PAGE};
use crate::enrich::intel::{Feed, Form, slug};
use crate::model::Error;

const WITHDRAWN: &str = "withdrawn by their source";
const COMPOUND: &str = "patterns of more than one condition";

fn parse(path: &Path, text: &str) -> Result<Value, Vec<Error>> {
    serde_json::from_str(text).map_err(|error| vec![fault(path, &error, 0)])
}

fn fault(path: &Path, error: &serde_json::Error, before: u32) -> Error {
    let line = u32::try_from(error.line()).unwrap_or(0).saturating_add(before);
    Error::new("feed", format!("JSON: {error}")).at(path, line).help("get the file again")
}

fn objects(value: &Value) -> impl Iterator<Item = &Map<String, Value>> {
    value.as_array().into_iter().flatten().filter_map(Value::as_object)
}

fn text<'v>(object: &'v Map<String, Value>, key: &str) -> Option<&'v str> {
    object.get(key)?.as_str()
}

fn list<'v>(object: &'v Map<String, Value>, key: &str) -> &'v [Value] {
    object.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn flag(object: &Map<String, Value>, key: &str) -> Option<bool> {
    object.get(key)?.as_bool()
}

/// The form of a text that begins like JSON.
pub(super) fn tell(text: &str) -> Option<Form> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let first = values.next()?.ok()?;
    let object = match &first {
        Value::Object(object) => object,
        Value::Array(all) => all.first()?.as_object()?,
        _ => return None,
    };
    let has = |key: &str| object.contains_key(key);
    match () {
        () if self::text(object, "type") == Some("bundle") => Some(Form::Stix),
        () if has("Event") || has("response") => Some(Form::Misp),
        () if has("Artifacts") || (has("Name") && has("Category")) => Some(Form::Lolrmm),
        () if self::text(object, "ip").or(self::text(object, "network")).is_some() => {
            Some(Form::Spur)
        }
        () => None,
    }
}

/// Tools of lolrmm.io: names and ports of `Artifacts.Network`. A port alone names no tool: ports
/// are left out.
pub(super) fn lolrmm(path: &Path, text: &str) -> Result<Feed, Vec<Error>> {
    let value = parse(path, text)?;
    let mut feed = Feed::default();
    for tool in objects(&value) {
        let tag = self::text(tool, "Name").map(|name| format!("rmm:{}", slug(name)));
        let artifacts = tool.get("Artifacts").and_then(Value::as_object);
        let network = artifacts.and_then(|all| all.get("Network"));
        for entry in network.into_iter().flat_map(objects) {
            for domain in list(entry, "Domains").iter().filter_map(Value::as_str) {
                feed.take(domain, tag.as_deref());
            }
            for port in list(entry, "Ports") {
                feed.leave_out("ports without a name", &port.to_string());
            }
        }
        feed.date = feed.date.take().max(self::text(tool, "LastModified").and_then(day));
    }
    Ok(feed)
}

/// `YYYY-MM-DD` of a time that begins so, or of MM/DD/YYYY.
fn day(time: &str) -> Option<String> {
    let day = time.get(..10).filter(|day| crate::model::Nanos::from_date(day).is_some());
    if let Some(day) = day {
        return Some(day.to_owned());
    }
    let mut parts = time.split('/');
    let (month, day, year) = (parts.next()?, parts.next()?, parts.next()?.get(..4)?);
    let day = format!("{year}-{month:0>2}-{day:0>2}");
    crate::model::Nanos::from_date(&day).map(|_| day)
}

/// A bundle of STIX 2.1: patterns of indicators, and observables.
pub(super) fn stix(path: &Path, text: &str) -> Result<Feed, Vec<Error>> {
    let value = parse(path, text)?;
    let mut feed = Feed::default();
    let all = value.get("objects").ok_or_else(|| {
        vec![Error::new("feed", "the bundle has no objects").at(path, 1).help("get it again")]
    })?;
    for object in objects(all) {
        feed.date = feed.date.take().max(self::text(object, "modified").and_then(day));
        let named = self::text(object, "name").unwrap_or_default();
        match self::text(object, "type").unwrap_or_default() {
            "indicator" if flag(object, "revoked") == Some(true) => {
                feed.leave_out(WITHDRAWN, named);
            }
            "indicator" => {
                let pattern = self::text(object, "pattern").unwrap_or_default();
                let is_stix = self::text(object, "pattern_type").is_none_or(|of| of == "stix");
                match alternatives(pattern).filter(|_| is_stix) {
                    Some(all) => {
                        all.iter().for_each(|(of, value)| observable(&mut feed, of, value))
                    }
                    None => feed.leave_out(COMPOUND, pattern),
                }
            }
            of @ ("ipv4-addr" | "ipv6-addr" | "domain-name" | "url") => {
                observable(&mut feed, of, self::text(object, "value").unwrap_or_default());
            }
            "autonomous-system" => {
                let number = object.get("number").and_then(Value::as_u64).unwrap_or_default();
                feed.take(&format!("AS{number}"), None);
            }
            _ => {}
        }
    }
    Ok(feed)
}

fn observable(feed: &mut Feed, of: &str, value: &str) {
    match of {
        "url" => feed.leave_out(PAGE, value),
        "ipv4-addr" | "ipv6-addr" | "domain-name" => feed.take(value, None),
        _ => feed.leave_out(OTHER, value),
    }
}

/// The comparisons of a pattern (STIX 2.1 section 9) any of which is enough: `[a:value = 'x' OR
/// b:value = 'y']`. Of any other pattern nothing.
fn alternatives(pattern: &str) -> Option<Vec<(String, String)>> {
    let inner = pattern.trim().strip_prefix('[')?.strip_suffix(']')?;
    let mut all = Vec::new();
    let mut rest = inner.trim();
    loop {
        let (object, after) = rest.split_once(":value")?;
        let after = after.trim_start();
        let after = after.strip_prefix("ISSUBSET").or_else(|| after.strip_prefix('='))?;
        let after = after.trim_start().strip_prefix('\'')?;
        let (value, after) = quoted(after)?;
        all.push((object.trim().to_owned(), value));
        rest = after.trim_start();
        match rest.strip_prefix("OR") {
            Some(more) => rest = more.trim_start(),
            None if rest.is_empty() => return Some(all),
            None => return None,
        }
    }
}

/// The text up to the quote that ends it, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => out.push(chars.next()?.1),
            '\'' => return Some((out, text.get(at + 1..)?)),
            c => out.push(c),
        }
    }
    None
}

/// Events of MISP, one or several.
pub(super) fn misp(path: &Path, text: &str) -> Result<Feed, Vec<Error>> {
    let value = parse(path, text)?;
    let mut feed = Feed::default();
    let events = match &value {
        Value::Array(all) => all.iter().collect(),
        Value::Object(object) => match object.get("response") {
            Some(Value::Array(all)) => all.iter().collect(),
            _ => vec![&value],
        },
        _ => Vec::new(),
    };
    for event in events.into_iter().filter_map(|event| event.get("Event")?.as_object()) {
        feed.date = feed.date.take().max(self::text(event, "date").and_then(day));
        let own = event.get("Attribute").into_iter().flat_map(objects);
        let grouped = event.get("Object").into_iter().flat_map(objects);
        let grouped = grouped.filter_map(|object| object.get("Attribute")).flat_map(objects);
        own.chain(grouped).for_each(|attribute| take_attribute(&mut feed, attribute));
    }
    Ok(feed)
}

fn take_attribute(feed: &mut Feed, attribute: &Map<String, Value>) {
    let value = text(attribute, "value").unwrap_or_default();
    if flag(attribute, "deleted") == Some(true) {
        return feed.leave_out(WITHDRAWN, value);
    }
    let (first, second) = value.split_once('|').unwrap_or((value, ""));
    match text(attribute, "type").unwrap_or_default() {
        _ if flag(attribute, "to_ids") == Some(false) => {
            feed.leave_out("not meant for detection", value);
        }
        "ip-src" | "ip-dst" | "domain" | "hostname" => feed.take(value, None),
        "AS" => feed.take(&format!("AS{}", value.trim_start_matches("AS")), None),
        "domain|ip" => {
            feed.take(first, None);
            feed.take(second, None);
        }
        "ip-src|port" | "ip-dst|port" | "hostname|port" => {
            feed.leave_out(classify::ENDPOINT, value);
        }
        "url" | "uri" => feed.leave_out(PAGE, value),
        _ => feed.leave_out(OTHER, value),
    }
}

/// Spur's feeds: an address a line, and what hides behind it.
pub(super) fn spur(path: &Path, text: &str) -> Result<Feed, Vec<Error>> {
    let mut feed = Feed::default();
    // One array of objects, or one object after the other.
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|error| vec![fault(path, &error, 0)])?;
        match &value {
            Value::Array(_) => objects(&value).for_each(|of| take_address(&mut feed, of)),
            Value::Object(object) => take_address(&mut feed, object),
            _ => feed.leave_out(OTHER, &value.to_string()),
        }
    }
    Ok(feed)
}

fn take_address(feed: &mut Feed, object: &Map<String, Value>) {
    let address = text(object, "ip").or_else(|| text(object, "network")).unwrap_or_default();
    let mut tags = Vec::new();
    for tunnel in object.get("tunnels").into_iter().flat_map(objects) {
        let operator = slug(text(tunnel, "operator").unwrap_or_default());
        match text(tunnel, "type").unwrap_or("VPN") {
            "VPN" if operator.is_empty() => tags.push("vpn".to_owned()),
            "VPN" => tags.push(format!("vpn:{operator}")),
            "TOR" => tags.push("tor".to_owned()),
            _ if operator.is_empty() => tags.push("proxy:unnamed".to_owned()),
            _ => tags.push(format!("proxy:{operator}")),
        }
    }
    let client = object.get("client").and_then(Value::as_object);
    let proxies = client.map(|client| list(client, "proxies")).unwrap_or_default();
    let proxies = proxies.iter().filter_map(Value::as_str);
    tags.extend(proxies.map(|name| format!("proxy:{}", slug(name))));
    if tags.is_empty() && text(object, "infrastructure") == Some("DATACENTER") {
        tags.push("hosting".to_owned());
    }
    if tags.is_empty() {
        return feed.leave_out("addresses that hide nobody", address);
    }
    tags.sort();
    tags.dedup();
    // More than a list takes of one key would be refused.
    tags.iter().take(8).for_each(|tag| feed.take(address, Some(tag)));
}
