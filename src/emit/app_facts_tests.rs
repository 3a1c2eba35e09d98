//! Tests: facts of remote desktops, proxies, certificates and stream shapes in a session's line.

use super::*;
use crate::emit::samples;
use crate::model::Addr;
use crate::model::app_facts::{AppFacts, Certificate, ProxyHeader, Rdp, Rfb, Socks, shape};
use crate::model::record::HttpFacts;

fn app_facts() -> AppFacts {
    AppFacts {
        rustdesk: None,
        rdp: Some(Rdp { cookie: Some("me".into()), requested: Some(11), chosen: Some(2) }),
        rfb: Some(Rfb { version: (3, 8), security: Some(2) }),
        proxy: Some(ProxyHeader {
            source: Addr::v4([192, 0, 2, 1]),
            source_port: 5,
            destination: Addr::v4([192, 0, 2, 2]),
            destination_port: 6,
        }),
        ldap_bind: Some("cn=me".into()),
        shape: shape::ENCAPSULATED_TLS | shape::FULLY_ENCRYPTED,
    }
}

#[test]
fn all_application_facts_are_written() {
    let mut record = samples::tls_record();
    let tls = record.facts.tls.get_or_insert_default();
    tls.certificate = Some(Box::new(Certificate {
        subject: "CN=a".into(),
        issuer: "CN=a".into(),
        common_name: Some("a".into()),
        alternative_names: vec!["b".into()],
        not_before: "2026-01-01T00:00:00Z".into(),
        not_after: "2027-01-01T00:00:00Z".into(),
        ..Certificate::default()
    }));
    record.facts.http = Some(Box::new(HttpFacts {
        server: Some("s".into()),
        realm: Some("r".into()),
        title: Some("t".into()),
        forwarded: vec!["via: 1.1 x".into()],
        subprotocol: Some("p".into()),
        ..HttpFacts::default()
    }));
    record.facts.rare_mut().app_facts = Some(Box::new(app_facts()));
    record.facts.rare_mut().socks = Some(Box::new(Socks {
        version: 5,
        target: Some("a.example:443".into()),
        user: true,
        granted: Some(false),
    }));
    let mut line = Vec::new();
    render_session(&record, &samples::origin(), &mut line);
    let line = String::from_utf8(line).unwrap();
    for part in [
        r#","subject":"CN=a","issuer":"CN=a","x509":{"subject":{"common_name":"a"},"#,
        r#""alternative_names":["b"],"not_before":"2026-01-01T00:00:00Z","#,
        r#""self_issued":true"#,
        r#""http":{"server":"s","realm":"r","title":"t","forwarded":["via: 1.1 x"],"#,
        r#""socks":{"version":5,"target":"a.example:443","user":true,"granted":false}"#,
        r#""rdp":{"cookie":"me","requested":["tls","credssp","credssp-early-auth"],"#,
        r#""security":"credssp"}"#,
        r#""rfb":{"version":"3.8","security":2}"#,
        r#""proxy":{"source":"192.0.2.1","source_port":5,"destination":"192.0.2.2","#,
        r#""ldap":{"bind":"cn=me"}"#,
        r#""shape":{"encapsulated_tls":true,"fully_encrypted":true}"#,
    ] {
        assert!(line.contains(part), "{part}\n{line}");
    }
}
