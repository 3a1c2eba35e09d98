//! An index template with the types of all fields, for Elasticsearch and OpenSearch.
//!
//! Owns: the mapping of our types to theirs. In: the tables of fields. Out: JSON. Never: a field
//! that is not in the tables.

use serde_json::{Map, Value, json};

use crate::model::schema::{Kind, types};

/// Longer texts are stored but not indexed: Lucene rejects a document with a term of more than
/// 32,766 bytes. ECS uses 1,024 characters.
const INDEXED_CHARACTERS_MAX: u32 = 1_024;

/// The template for indices named `longhaul-*`.
///
/// Lines of health.ndjson have one field per counter, so their types are given by patterns. Date
/// detection is off, because names and banners come from packets.
pub fn index_template() -> Value {
    let mut properties = Map::new();
    for (name, kind) in types() {
        // A geo point is one value of two numbers.
        match name.strip_suffix(".location.lat").or_else(|| name.strip_suffix(".location.lon")) {
            Some(geo) => put(&mut properties, &format!("{geo}.location"), point()),
            None => put(&mut properties, name, mapping(name, kind)),
        }
    }
    json!({
        "index_patterns": ["longhaul-*"],
        "template": { "mappings": {
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

fn mapping(name: &str, kind: Kind) -> Value {
    match kind {
        // As in ECS: full text.
        Kind::Text if name == "message" => json!({ "type": "match_only_text" }),
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
        let template = index_template();
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
}
