//! What streams said beside what they carry: certificates, proxies, remote desktops, web servers.
//!
//! Owns: their names, types and order. In: those facts. Out: members of a session's line. Never:
//! null, an empty object.

use crate::emit::facts::put_strings;
use crate::emit::json::Json;
use crate::emit::json::QUOTED_ELEMENT;
use crate::emit::json::Quoted;
use crate::emit::json::key;
use crate::emit::json::quoted;
use crate::emit::text;
use crate::model::app_facts::AppFacts;
use crate::model::app_facts::Certificate;
use crate::model::app_facts::Rdp;
use crate::model::app_facts::Rfb;
use crate::model::app_facts::Socks;
use crate::model::app_facts::shape;
use crate::model::record::HttpFacts;

/// `subject`, `issuer` and `x509` of `tls.server`.
pub(super) fn put_certificate(json: &mut Json<'_>, certificate: &Certificate) {
    json.string(quoted!("subject"), &certificate.subject);
    json.string(quoted!("issuer"), &certificate.issuer);
    let mark = json.open(key!("x509"));
    let inner = json.open(key!("subject"));
    json.string_opt(quoted!("common_name"), certificate.common_name.as_deref());
    json.string_opt(quoted!("organization"), certificate.organization.as_deref());
    json.close(inner);
    let inner = json.open(key!("issuer"));
    json.string_opt(quoted!("common_name"), certificate.issuer_common_name.as_deref());
    json.close(inner);
    put_strings(json, key!("alternative_names"), &certificate.alternative_names);
    put_date(json, quoted!("not_before"), &certificate.not_before);
    put_date(json, quoted!("not_after"), &certificate.not_after);
    json.close(mark);
}

fn put_date(json: &mut Json<'_>, key: Quoted, date: &str) {
    json.string_opt(key, Some(date).filter(|date| !date.is_empty()));
}

/// What a web server and the proxies before it say of themselves.
pub(super) fn put_own_http(json: &mut Json<'_>, http: &HttpFacts) {
    json.string_opt(quoted!("server"), http.server.as_deref());
    json.string_opt(quoted!("realm"), http.realm.as_deref());
    json.string_opt(quoted!("title"), http.title.as_deref());
    put_strings(json, key!("forwarded"), &http.forwarded);
    json.string_opt(quoted!("subprotocol"), http.subprotocol.as_deref());
}

/// The rest, an object each.
pub(super) fn put_spoken(json: &mut Json<'_>, spoken: &AppFacts) {
    if let Some(rdp) = &spoken.rdp {
        put_rdp(json, rdp);
    }
    if let Some(rfb) = &spoken.rfb {
        put_rfb(json, rfb);
    }
    if let Some(proxy) = &spoken.proxy {
        let mark = json.open(key!("proxy"));
        json.addr(quoted!("source"), proxy.source);
        json.number(key!("source_port"), proxy.source_port);
        json.addr(quoted!("destination"), proxy.destination);
        json.number(key!("destination_port"), proxy.destination_port);
        json.close(mark);
    }
    let mark = json.open(key!("ldap"));
    json.string_opt(quoted!("bind"), spoken.ldap_bind.as_deref());
    json.close(mark);
    let mark = json.open(key!("shape"));
    if spoken.shape & shape::ENCAPSULATED_TLS != 0 {
        json.flag(key!("encapsulated_tls"), true);
    }
    if spoken.shape & shape::FULLY_ENCRYPTED != 0 {
        json.flag(key!("fully_encrypted"), true);
    }
    json.close(mark);
}

pub(super) fn put_socks(json: &mut Json<'_>, socks: &Socks) {
    let mark = json.open(key!("socks"));
    json.number(key!("version"), socks.version);
    json.string_opt(quoted!("target"), socks.target.as_deref());
    if socks.user {
        json.flag(key!("user"), true);
    }
    if let Some(granted) = socks.granted {
        json.flag(key!("granted"), granted);
    }
    json.close(mark);
}

fn put_rdp(json: &mut Json<'_>, rdp: &Rdp) {
    let mark = json.open(key!("rdp"));
    json.string_opt(quoted!("cookie"), rdp.cookie.as_deref());
    let list = json.open(key!("requested"));
    for word in rdp.requested_words() {
        json.word(QUOTED_ELEMENT, word);
    }
    json.close_list(list);
    if let Some(word) = rdp.security() {
        json.word(quoted!("security"), word);
    }
    json.close(mark);
}

fn put_rfb(json: &mut Json<'_>, rfb: &Rfb) {
    let mark = json.open(key!("rfb"));
    json.quoted(quoted!("version"), |out| {
        text::put_u64(out, u64::from(rfb.version.0));
        out.push(b'.');
        text::put_u64(out, u64::from(rfb.version.1));
    });
    if let Some(security) = rfb.security {
        json.number(key!("security"), security);
    }
    json.close(mark);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit::ecs::render_session;
    use crate::emit::samples;
    use crate::model::Addr;
    use crate::model::app_facts::ProxyHeader;

    fn spoken() -> AppFacts {
        AppFacts {
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
    fn everything_that_was_said_is_written() {
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
        record.facts.rare_mut().spoken = Some(Box::new(spoken()));
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
}
