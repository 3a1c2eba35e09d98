//! Fields of protocols under names of ECS: TLS, DNS, HTTP.
//!
//! Owns: name, type, unit, accessor and meaning of each. In: a record. Out: its values.
//! Never: a field that sessions.ndjson does not have, unless it says so.

use crate::model::Record;
use crate::model::schema::session::field;
use crate::model::schema::table::table;
use crate::model::schema::value::{cipher, dns_type};
use crate::model::schema::{Kind, List, Objects, Shown, Value, read};

static ANSWERS: Objects<Record> = Objects::new("dns.answers", read::answers);

table! {
/// TLS.
pub(super) EcsTls of Record where (|r| r.facts.tls.is_some()) [
    field(("tls.version", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::tls_version(r, |t| t.version, false), "Negotiated version: `1.3`.")),
    field(("tls.version_protocol", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::tls_version(r, |t| t.version, true), "`tls`, `dtls` or `ssl`.")),
    field(("tls.cipher", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::tls(r, |t| t.cipher.map_or(Value::Absent, cipher)),
        "Cipher suite the server chose.")),
    field(("tls.next_protocol", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::tls(r, |t| Value::str_opt(t.alpn_chosen.as_deref())),
        "ALPN protocol the server chose.")),
    field(("tls.resumed", 1, Kind::Bool, "", Shown::Sometimes,
        |r| read::tls(r, |t| t.resumed.map_or(Value::Absent, Value::Bool)),
        "Whether the handshake resumed an earlier session, where that can be seen.")),
    field(("tls.client.server_name", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::tls(r, |t| Value::str_opt(t.server_name.as_deref())),
        "Server name indication (RFC 6066).")),
    field(("tls.client.ja3", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::tls(r, |t| Value::hash_opt(t.ja3.as_ref())), "JA3 of the ClientHello.")),
    field(("tls.client.ja4", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::tls(r, |t| Value::str_opt(t.ja4.as_deref())), "JA4 of the ClientHello.")),
    field(("tls.client.supported_ciphers", 1, Kind::Texts, "", Shown::Sometimes,
        |r| read::tls(r, |t| Value::list(List::Ciphers(&t.ciphers))),
        "Cipher suites the client offered, GREASE left out.")),
    field(("tls.server.ja3s", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::tls(r, |t| Value::hash_opt(t.ja3s.as_ref())), "JA3S of the ServerHello.")),
    field(("tls.server.subject", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::certificate(r, |c| Value::Str(&c.subject)),
        "Subject of the server's certificate (RFC 4514), where it was in clear: up to TLS 1.2.")),
    field(("tls.server.issuer", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::certificate(r, |c| Value::Str(&c.issuer)), "Its issuer.")),
    field(("tls.server.x509.subject.common_name", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::certificate(r, |c| Value::str_opt(c.common_name.as_deref())),
        "Common name of its subject.")),
    field(("tls.server.x509.subject.organization", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::certificate(r, |c| Value::str_opt(c.organization.as_deref())),
        "Organisation of its subject.")),
    field(("tls.server.x509.issuer.common_name", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::certificate(r, |c| Value::str_opt(c.issuer_common_name.as_deref())),
        "Common name of its issuer.")),
    field(("tls.server.x509.alternative_names", 2, Kind::Texts, "", Shown::Sometimes,
        |r| read::certificate(r, |c| Value::list(List::Strings(&c.alternative_names))),
        "Names and addresses it speaks for besides, at most 8.")),
    field(("tls.server.x509.not_before", 2, Kind::Time, "", Shown::Sometimes,
        |r| read::certificate(r, |c| Value::non_empty(&c.not_before)),
        "Start of its validity, where there is such a day.")),
    field(("tls.server.x509.not_after", 2, Kind::Time, "", Shown::Sometimes,
        |r| read::certificate(r, |c| Value::non_empty(&c.not_after)),
        "End of its validity, likewise.")),
]
}

table! {
/// DNS.
pub(super) EcsDns of Record where (|r| r.facts.dns.is_some()) [
    field(("dns.question.name", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::dns(r, |d| Value::str_opt(d.name.as_deref())),
        "First name asked for, without the final dot.")),
    field(("dns.question.type", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::dns(r, |d| if d.name.is_some() { dns_type(d.qtype) } else { Value::Absent }),
        "Its type: `A`, `AAAA`, else `TYPE65280` style.")),
    field(("dns.answers.type", 1, Kind::Texts, "", Shown::Sometimes,
        |r| read::dns(r, |d| Value::list(List::AnswerTypes(&d.answers))),
        "Type of each answer to it."))
        .each_of(Kind::Text, &ANSWERS, |r, i| read::answer(r, i, |(code, _)| dns_type(*code))),
    field(("dns.answers.data", 1, Kind::Texts, "", Shown::Sometimes,
        |r| read::dns(r, |d| Value::list(List::AnswerData(&d.answers))),
        "Data of each answer to it."))
        .each_of(Kind::Text, &ANSWERS, |r, i| read::answer(r, i, |(_, data)| Value::Str(data))),
    field(("dns.response_code", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::dns(r, |d| d.rcode.map_or(Value::Absent, read::rcode)),
        "Response code of the first answer: `NOERROR`.")),
]
}

table! {
/// HTTP.
pub(super) EcsHttp of Record where (|r| r.facts.http.is_some()) [
    field(("url.domain", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::http(r, |h| Value::str_opt(h.host.as_deref().map(read::without_port))),
        "Host of the first HTTP request, without port.")),
    field(("http.request.method", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::http(r, |h| Value::str_opt(h.method.as_deref())),
        "Method of the first HTTP request.")),
    field(("http.response.status_code", 1, Kind::Int, "", Shown::Sometimes,
        |r| read::http(r, |h| Value::int_opt(h.status)), "Status of the first HTTP response.")),
    field(("user_agent.original", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::http(r, |h| Value::str_opt(h.user_agent.as_deref())),
        "`User-Agent` of the first HTTP request.")),
]
}
