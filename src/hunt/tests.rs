use serde_json::{Value, json};

use super::parse::parse;

fn line() -> Value {
    json!({
        "@timestamp": "2026-11-23T01:58:19.183561525Z",
        "source": {"ip": "10.20.30.57", "port": 46934, "geo": {"country_iso_code": "US"}},
        "destination": {"ip": "2001:db8::7"},
        "network": {"direction": "inbound", "transport": "tcp"},
        "tls": {"client": {"server_name": "a \"b\" c"}, "resumed": false},
        "dns": {"answers": [{"data": "192.0.2.1"}, {"data": "192.0.2.9"}]},
        "longhaul": {"tags": ["vpn:astrill", "hosting"], "far": {"handshake_us": 57.736}},
    })
}

#[test]
fn a_filter_holds_as_its_words_say() {
    for (text, holds) in [
        ("source.geo.country_iso_code == \"US\" and longhaul.far.handshake_us >= 50", true),
        ("source.geo.country_iso_code == 'US' and longhaul.far.handshake_us > 57.736", false),
        ("source.port == 46934 or source.port == 1", true),
        // `and` binds more than `or`, `not` more than both.
        ("source.port == 46934 or source.port == 1 and source.port == 2", true),
        ("(source.port == 46934 or source.port == 1) and source.port == 2", false),
        ("not source.port == 1 and source.port == 2", false),
        ("not (source.port == 1 and source.port == 2)", true),
        ("longhaul.tags contains \"astrill\"", true),
        ("longhaul.tags == \"hosting\"", true),
        ("longhaul.tags != \"hosting\"", false),
        ("longhaul.tags != \"tor\"", true),
        ("longhaul.tags in (\"tor\", \"hosting\")", true),
        ("dns.answers.data endswith \".9\"", true),
        ("dns.answers.data startswith \"10.\"", false),
        ("source.ip == \"10.20.30.57\" AND source.ip in (\"192.0.2.1\", \"10.0.0.0/8\")", true),
        ("destination.ip == \"2001:db8::/32\"", true),
        ("destination.ip == \"0.0.0.0/0\"", false),
        ("destination.ip == \"::/0\"", true),
        ("@timestamp >= \"2026-11-23\" and @timestamp < \"2026-11-23T01:59\"", true),
        ("@timestamp <= \"2026-11-23\" and not @timestamp > \"2026-11-23\"", true),
        ("@timestamp == \"2026-11-23T01:58Z\" and @timestamp != \"2026-11-23T01:59Z\"", true),
        ("@timestamp in (\"2026-11-22\", \"2026-11-23T01\")", true),
        ("@timestamp < \"2026-11-23T01:58:19Z\"", false),
        ("@timestamp >= \"2026-11-23T01:58:19Z\"", true),
        ("@timestamp > \"2026-11-23T01:58:19.183Z\"", false),
        ("@timestamp > \"2026-11-23T01:58:19.182Z\"", true),
        ("@timestamp startswith \"2026-11-2\"", true),
        ("tls.client.server_name == \"a \\\"b\\\" c\"", true),
        ("tls.resumed == false and not tls.resumed == true", true),
        ("exists tls.resumed and not exists user_agent.original", true),
        // What is absent equals nothing and differs from nothing.
        ("user_agent.original != \"x\"", false),
        ("user_agent.original == \"x\"", false),
        ("not user_agent.original == \"x\"", true),
        ("longhaul.near.handshake_us < 1e9", false),
    ] {
        let expr = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(expr.holds(&line()), holds, "{text}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_column_and_a_remedy() {
    for (text, column, cause, help) in [
        ("", 1, "a field is missing", "FIELD OP VALUE"),
        ("source.ip", 10, "a comparison is missing", "FIELD"),
        ("source.prt == 1", 1, "unknown field `source.prt`", "`source.port`"),
        ("exists x.y.z.w", 8, "unknown field", "longhaul fields"),
        ("source.port = 1", 13, "write `==`", "=="),
        ("source.port == \"1\"", 16, "a number is expected", "integer"),
        ("source.port contains 1", 13, "do not compare so", "=="),
        ("tls.resumed > true", 13, "do not compare so", "true or false"),
        ("source.ip == \"10.0.0\"", 14, "an address", "10.0.0.0/8"),
        ("source.ip == \"10.0.0.0/33\"", 14, "an address", "10.0.0.0/8"),
        ("source.ip == 10.0.0.1", 14, "no number", "VALUE"),
        ("network.direction == \"in\"", 22, "one of inbound", "text"),
        ("@timestamp > \"2026-11-23 02:00\"", 14, "a time is expected", "2026-11-23T02:00"),
        ("@timestamp > \"2026-11\"", 14, "a time is expected", "2026-11-23"),
        ("@timestamp > \"2026-13-01\"", 14, "a time is expected", "2026-11-23"),
        ("@timestamp > \"2026-11-23T02:00+01\"", 14, "a time is expected", "UTC"),
        ("@timestamp > \"2026-11-23T02:00:00.\"", 14, "a time is expected", "UTC"),
        ("@timestamp > \"2026-11-23T02:00:0012\"", 14, "a time is expected", "UTC"),
        ("@timestamp > \"yesterday\"", 14, "a time is expected", "UTC"),
        ("@timestamp in (\"2026-11-23\", \"x\")", 30, "a time is expected", "UTC"),
        ("user_agent.original == \"abc", 24, "not closed", "VALUE"),
        ("(source.port == 1", 18, "`)` is missing", "parentheses"),
        ("source.port == 1 source.port == 2", 18, "not expected", "and, or"),
        ("source.port in (1 2)", 19, "`)` is expected", "VALUE"),
        ("source.port == 1 and", 21, "a field is missing", "FIELD"),
        ("source.port == 1 & source.port == 2", 18, "`&` is not expected", "and"),
        ("longhaul.remote.handshake_us > 1", 1, "known to rules only", "longhaul fields"),
        ("é == 1", 1, "`é` is not expected", "FIELD"),
    ] {
        let error = parse(text).unwrap_err();
        let start = format!("column {column}: ");
        assert!(error.cause.starts_with(&start), "{text}: {error}");
        assert!(error.cause.contains(cause), "{text}: {error}");
        assert!(error.help.as_ref().is_some_and(|text| text.contains(help)), "{text}: {error}");
    }
    // A bound, not a stack that overflows.
    for deep in ["(".repeat(5_000), "not ".repeat(4_000)] {
        assert!(parse(&deep).unwrap_err().cause.contains("nests deeper"), "{deep:.9}");
    }
    assert!(parse(&"a".repeat(20_000)).unwrap_err().cause.contains("bytes"));
}

#[test]
fn numbers_are_read_as_they_were_written() {
    let mut bits = 1u64;
    for _ in 0..20_000 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // As many digits as there are: 0 to 1, of which a quick reading misses every tenth.
        let number = (bits >> 11) as f64 / (1u64 << 53) as f64;
        let line = serde_json::to_string(&number).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), Value::from(number), "{line}");
    }
}
