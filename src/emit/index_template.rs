//! An index template with the types of all fields, for Elasticsearch and OpenSearch.
//!
//! Owns: the mapping of our types to theirs. In: the tables of fields. Out: JSON. Never: a field
//! that is not in the tables.

use serde_json::{Map, Value, json};

use crate::model::schema::{Kind, types};

/// Longer texts are stored but not indexed: Lucene rejects a document with a term of more than
/// 32,766 bytes. ECS uses 1,024 characters.
const INDEXED_CHARACTERS_MAX: u32 = 1_024;

/// More fields than Lucene's stores take unasked (1,000): ours, and one for each counter.
const FIELDS_MAX: u32 = 2_000;

/// Built-in templates for `logs-*-*` have 100.
const PRIORITY: u32 = 500;

/// The store that a template is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Elasticsearch 8.
    Elastic,
    /// OpenSearch 2.
    OpenSearch,
}

/// The template for data streams named `logs-longhaul-*`.
///
/// Lines of health.ndjson have one field per counter, so their types are given by patterns. Date
/// detection is off, because names and banners come from packets.
pub fn index_template(store: Store) -> Value {
    let mut properties = Map::new();
    for (name, kind) in types() {
        // A geo point is one value of two numbers.
        match name.strip_suffix(".location.lat").or_else(|| name.strip_suffix(".location.lon")) {
            Some(geo) => put(&mut properties, &format!("{geo}.location"), point()),
            None => put(&mut properties, name, mapping(name, kind, store)),
        }
    }
    let mut index = json!({ "mapping": { "total_fields": { "limit": FIELDS_MAX } } });
    let (policy, hint) = match store {
        // It comes with Elasticsearch.
        Store::Elastic => {
            (Some("logs"), "index.lifecycle.name is the policy that deletes old data")
        }
        Store::OpenSearch => {
            (None, "attach a policy of Index State Management that deletes old data")
        }
    };
    if let (Some(policy), Some(index)) = (policy, index.as_object_mut()) {
        index.insert("lifecycle".to_owned(), json!({ "name": policy }));
    }
    json!({
        "index_patterns": ["logs-longhaul-*"],
        "data_stream": {},
        "priority": PRIORITY,
        "_meta": { "retention": hint },
        "template": { "settings": { "index": index }, "mappings": {
            "date_detection": false,
            "numeric_detection": false,
            "dynamic_templates": [
                { "shares": {
                    "match": "*_share",
                    "mapping": { "type": "double" },
                } },
                { "counts": {
                    "match_mapping_type": "long",
                    "mapping": { "type": "long" },
                } },
                { "texts": {
                    "match_mapping_type": "string",
                    "mapping": keyword(),
                } },
            ],
            "properties": properties,
        } },
    })
}

fn point() -> Value {
    json!({ "type": "geo_point" })
}

fn keyword() -> Value {
    json!({ "type": "keyword", "ignore_above": INDEXED_CHARACTERS_MAX })
}

fn mapping(name: &str, kind: Kind, store: Store) -> Value {
    match kind {
        // As in ECS: full text.
        Kind::Text if name == "message" => match store {
            Store::Elastic => json!({ "type": "match_only_text" }),
            Store::OpenSearch => json!({ "type": "text" }),
        },
        Kind::Text | Kind::Word(_) | Kind::Texts => keyword(),
        Kind::Time | Kind::Date => json!({ "type": "date" }),
        Kind::Int | Kind::Signed => json!({ "type": "long" }),
        Kind::Float => json!({ "type": "double" }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Ip | Kind::Ips => json!({ "type": "ip" }),
    }
}

/// Puts a mapping under a dotted name: objects hold theirs as `properties`.
fn put(properties: &mut Map<String, Value>, name: &str, mapping: Value) {
    let Some((first, rest)) = name.split_once('.') else {
        properties.insert(name.to_owned(), mapping);
        return;
    };
    let object = properties.entry(first).or_insert_with(|| json!({ "properties": {} }));
    if let Some(inner) = object.get_mut("properties").and_then(Value::as_object_mut) {
        put(inner, rest, mapping);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_of_ecs() {
        let template = index_template(Store::Elastic);
        let at = |path: &str| {
            let inside = path.replace('.', "/properties/");
            let pointer = format!("/template/mappings/properties/{inside}/type");
            template.pointer(&pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        for (name, want) in [
            ("@timestamp", "date"),
            ("source.ip", "ip"),
            ("source.port", "long"),
            ("source.geo.location", "geo_point"),
            ("network.vlan.id", "keyword"),
            ("network.iana_number", "keyword"),
            ("related.ip", "ip"),
            ("message", "match_only_text"),
            ("tls.server.x509.not_before", "date"),
            ("longhaul.evidence.value", "double"),
            ("longhaul.sources.build", "date"),
            ("longhaul.sources.version", "keyword"),
        ] {
            assert_eq!(at(name), want, "{name}");
        }
    }

    /// The dotted names of all mappings, and their types.
    fn names(prefix: &str, properties: &Value, all: &mut Vec<(String, String)>) {
        for (name, mapping) in properties.as_object().unwrap() {
            let name = format!("{prefix}{name}");
            match mapping.get("properties") {
                Some(inner) => names(&format!("{name}."), inner, all),
                None => all.push((name, mapping["type"].as_str().unwrap().to_owned())),
            }
        }
    }

    #[test]
    fn each_field_is_there_once_in_the_templates_of_both_stores() {
        for store in [Store::Elastic, Store::OpenSearch] {
            let template = index_template(store);
            let mut all = Vec::new();
            names("", &template["template"]["mappings"]["properties"], &mut all);
            let points = types().keys().filter(|name| name.ends_with(".location.lat")).count();
            // A point is two of our fields.
            assert_eq!(all.len(), types().len() - points, "{store:?}");
            for (name, kind) in types() {
                let is_point = [".location.lat", ".location.lon"].iter().any(|e| name.ends_with(e));
                let found = all.iter().find(|(own, _)| own == name);
                let want = match kind {
                    Kind::Int | Kind::Signed => "long",
                    Kind::Float => "double",
                    Kind::Bool => "boolean",
                    Kind::Ip | Kind::Ips => "ip",
                    Kind::Time | Kind::Date => "date",
                    Kind::Text if name == "message" && store == Store::Elastic => "match_only_text",
                    Kind::Text if name == "message" => "text",
                    Kind::Text | Kind::Word(_) | Kind::Texts => "keyword",
                };
                assert_eq!(is_point, found.is_none(), "{name}");
                assert!(found.is_none_or(|(_, own)| own == want), "{name}: {found:?}");
            }
        }
    }
}
