//! MaxMind databases that say of addresses that they hide somebody: Anonymous-IP, Anonymous-Plus
//! and Residential-Proxy of MaxMind, privacy and residential proxies of IPinfo, and those of DB-IP.
//!
//! Owns: which of their fields is which tag. In: a database. Out: a feed. Never: a network that the
//! database says nothing of.

use std::path::Path;

use maxminddb::{Reader, WithinOptions};
use serde_json::{Map, Value};

use crate::enrich::intel::{Feed, Indicator, slug};
use crate::model::Error;
use crate::model::time::civil_from_days;

/// What stands before the metadata (MaxMind DB specification 2.0).
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// Most networks: as many as lists may have.
const NETWORKS_MAX: usize = 20_000_000;

/// Whether it is a MaxMind DB.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    let tail = bytes.get(bytes.len().saturating_sub(128 << 10)..).unwrap_or_default();
    memchr::memmem::find(tail, MARKER).is_some()
}

/// Reads every network of a database.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Feed, Vec<Error>> {
    let refuse =
        |cause: String| vec![Error::new("feed", cause).at(path, 0).help("get the database again")];
    let reader = Reader::from_source(bytes).map_err(|e| refuse(e.to_string()))?;
    let kind = reader.metadata().database_type.to_lowercase();
    let residential = ["resid", "resproxy", "res_proxy"].iter().any(|word| kind.contains(word));
    let mut feed = Feed { date: Some(build_day(reader.metadata().build_epoch)), ..Feed::default() };
    let networks = reader.networks(WithinOptions::default()).map_err(|e| refuse(e.to_string()))?;
    for network in networks {
        let found = network.map_err(|e| refuse(e.to_string()))?;
        let prefix = found.network().map_err(|e| refuse(e.to_string()))?;
        let row = found.decode::<Map<String, Value>>().map_err(|e| refuse(e.to_string()))?;
        let key = format!("{}/{}", prefix.network(), prefix.prefix());
        let tags = row.as_ref().map(|row| tags(row, residential)).unwrap_or_default();
        if tags.is_empty() {
            feed.leave_out("networks that hide nobody", &key);
        }
        if feed.indicators.len() >= NETWORKS_MAX {
            return Err(refuse(format!("more than {NETWORKS_MAX} networks")));
        }
        let of = |tag| Indicator { kind: "prefix", key: key.clone(), tag: Some(tag) };
        feed.indicators.extend(tags.into_iter().map(of));
    }
    Ok(feed)
}

fn build_day(epoch: u64) -> String {
    let (year, month, day) = civil_from_days(epoch / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The field that says so, and the tag, of MaxMind, IPinfo and DB-IP.
const FLAGS: [(&[&str], &str); 6] = [
    (&["is_anonymous_vpn", "vpn", "is_vpn"], "vpn"),
    (&["is_tor_exit_node", "tor", "is_tor"], "tor"),
    (&["is_public_proxy", "proxy", "is_proxy"], "proxy:public"),
    (&["is_residential_proxy", "res_proxy"], "proxy:residential"),
    (&["relay", "is_relay"], "relay"),
    (&["is_hosting_provider", "hosting", "is_hosting"], "hosting"),
];

fn is_set(value: &Value) -> bool {
    match value {
        Value::Bool(set) => *set,
        // IPinfo writes texts.
        Value::String(text) => matches!(text.as_str(), "true" | "True" | "1"),
        Value::Number(number) => number.as_u64() == Some(1),
        _ => false,
    }
}

fn tags(row: &Map<String, Value>, residential: bool) -> Vec<String> {
    // Databases of residential proxies may hold their fields in an object of their own.
    let nested = ["residential", "anonymizer", "traits", "privacy"]
        .iter()
        .filter_map(|key| row.get(*key)?.as_object());
    let parts: Vec<&Map<String, Value>> = std::iter::once(row).chain(nested).collect();
    let named = ["provider_name", "service", "provider"];
    let provider = parts.iter().find_map(|part| {
        let text = named.iter().find_map(|key| part.get(*key)?.as_str())?;
        Some(slug(text)).filter(|word| !word.is_empty())
    });
    let has = |keys: &[&str]| {
        parts.iter().any(|part| keys.iter().any(|key| part.get(*key).is_some_and(is_set)))
    };
    let mut tags: Vec<String> = FLAGS
        .iter()
        .filter(|(keys, _)| has(keys))
        .map(|(_, tag)| match (&provider, *tag) {
            (Some(name), "vpn") => format!("vpn:{name}"),
            (Some(name), "proxy:residential") => format!("proxy:{name}"),
            (_, tag) => tag.to_owned(),
        })
        .collect();
    // Each row of such a database is a proxy, whatever else it says.
    if residential && !tags.iter().any(|tag| tag.starts_with("proxy:")) {
        tags.push(format!("proxy:{}", provider.as_deref().unwrap_or("residential")));
    }
    tags
}
