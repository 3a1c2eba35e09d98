//! What was spoken, as ECS fields and our own.
//!
//! Owns: their names, types and order. In: the facts of a session. Out: members of its line.
//! Never: null, an empty object.

use crate::emit::json::ELEMENT;
use crate::emit::json::Json;
use crate::emit::json::Key;
use crate::emit::json::QUOTED_ELEMENT;
use crate::emit::json::Quoted;
use crate::emit::json::key;
use crate::emit::json::quoted;
use crate::emit::spoken::put_certificate;
use crate::emit::spoken::put_own_http;
use crate::emit::spoken::put_socks;
use crate::emit::spoken::put_spoken;
use crate::emit::text;
use crate::model::names;
use crate::model::record::DnsFacts;
use crate::model::record::Facts;
use crate::model::record::HttpFacts;
use crate::model::record::SshFacts;
use crate::model::record::StunFacts;
use crate::model::record::TlsFacts;
use crate::model::record::Wrapping;

pub(super) fn put_facts(json: &mut Json<'_>, facts: &Facts) {
    if let Some(tls) = &facts.tls {
        let mark = json.open(key!("tls"));
        put_tls(json, tls);
        json.close(mark);
    }
    if let Some(dns) = &facts.dns {
        let mark = json.open(key!("dns"));
        put_dns(json, dns);
        json.close(mark);
    }
    if let Some(http) = &facts.http {
        put_http(json, http);
    }
}

fn put_tls(json: &mut Json<'_>, tls: &TlsFacts) {
    if let Some((version, protocol)) = tls.version.and_then(names::tls_version) {
        json.word(quoted!("version"), version);
        json.word(quoted!("version_protocol"), protocol);
    }
    if let Some(cipher) = tls.cipher {
        put_cipher(json, quoted!("cipher"), cipher);
    }
    json.string_opt(quoted!("next_protocol"), tls.alpn_chosen.as_deref());
    if let Some(resumed) = tls.resumed {
        json.flag(key!("resumed"), resumed);
    }
    let mark = json.open(key!("client"));
    json.string_opt(quoted!("server_name"), tls.server_name.as_deref());
    json.hex(quoted!("ja3"), tls.ja3);
    json.string_opt(quoted!("ja4"), tls.ja4.as_deref());
    let list = json.open(key!("supported_ciphers"));
    for cipher in &tls.ciphers {
        put_cipher(json, QUOTED_ELEMENT, *cipher);
    }
    json.close_list(list);
    json.close(mark);
    let mark = json.open(key!("server"));
    json.hex(quoted!("ja3s"), tls.ja3s);
    if let Some(certificate) = &tls.certificate {
        put_certificate(json, certificate);
    }
    json.close(mark);
}

/// A cipher suite by its registered name, else as `0x` and four hexadecimal digits.
fn put_cipher(json: &mut Json<'_>, key: Quoted, code: u16) {
    match names::cipher_suite(code) {
        Some(name) => json.word(key, name),
        None => json.quoted(key, |out| {
            out.extend_from_slice(b"0x");
            text::put_hex(out, code.to_be_bytes());
        }),
    }
}

fn put_dns(json: &mut Json<'_>, dns: &DnsFacts) {
    if let Some(name) = &dns.name {
        let mark = json.open(key!("question"));
        json.string(quoted!("name"), name);
        put_dns_type(json, dns.qtype);
        json.close(mark);
    }
    let list = json.open(key!("answers"));
    for (code, data) in &dns.answers {
        let mark = json.open(ELEMENT);
        put_dns_type(json, *code);
        json.string(quoted!("data"), data);
        json.close(mark);
    }
    json.close_list(list);
    if let Some(code) = dns.rcode {
        match names::dns_rcode(code) {
            Some(name) => json.word(quoted!("response_code"), name),
            None => json.quoted(quoted!("response_code"), |out| {
                out.extend_from_slice(b"RCODE");
                text::put_u64(out, u64::from(code));
            }),
        }
    }
}

/// `type`: the registered mnemonic, else RFC 3597's `TYPE65280`.
fn put_dns_type(json: &mut Json<'_>, code: u16) {
    match names::dns_type(code) {
        Some(name) => json.word(quoted!("type"), name),
        None => json.quoted(quoted!("type"), |out| {
            out.extend_from_slice(b"TYPE");
            text::put_u64(out, u64::from(code));
        }),
    }
}

fn put_http(json: &mut Json<'_>, http: &HttpFacts) {
    if let Some(host) = &http.host {
        let mark = json.open(key!("url"));
        json.string(quoted!("domain"), text::without_port(host));
        json.close(mark);
    }
    let mark = json.open(key!("http"));
    let inner = json.open(key!("request"));
    json.string_opt(quoted!("method"), http.method.as_deref());
    json.close(inner);
    let inner = json.open(key!("response"));
    if let Some(status) = http.status {
        json.number(key!("status_code"), status);
    }
    json.close(inner);
    json.close(mark);
    let mark = json.open(key!("user_agent"));
    json.string_opt(quoted!("original"), http.user_agent.as_deref());
    json.close(mark);
}

/// What the handshakes said and ECS has no name for.
pub(super) fn put_own_facts(json: &mut Json<'_>, facts: &Facts) {
    if let Some(wrapping) = facts.wrapping() {
        let mark = json.open(key!("encapsulation"));
        put_wrapping(json, wrapping);
        json.close(mark);
    }
    if let Some(tls) = &facts.tls {
        let mark = json.open(key!("tls"));
        put_own_tls(json, tls);
        json.close(mark);
    }
    if let Some(dns) = &facts.dns {
        let mark = json.open(key!("dns"));
        json.number(key!("questions"), dns.questions);
        json.number(key!("responses"), dns.responses);
        put_strings(json, key!("more_names"), &dns.more_names);
        put_count(json, key!("additional"), dns.additional.len());
        json.close(mark);
    }
    if let Some(ssh) = &facts.ssh {
        let mark = json.open(key!("ssh"));
        put_ssh(json, ssh);
        json.close(mark);
    }
    if let Some(stun) = facts.stun() {
        let mark = json.open(key!("stun"));
        put_stun(json, stun);
        json.close(mark);
    }
    if let Some(http) = &facts.http {
        let mark = json.open(key!("http"));
        json.string_opt(quoted!("connect_target"), http.connect_target.as_deref());
        put_count(json, key!("more_requests"), http.more.len());
        put_own_http(json, http);
        json.close(mark);
    }
    if let Some(socks) = facts.socks() {
        put_socks(json, socks);
    }
    if let Some(spoken) = facts.spoken() {
        put_spoken(json, spoken);
    }
}

/// How many there are, where there are any.
fn put_count(json: &mut Json<'_>, key: Key, count: usize) {
    if count > 0 {
        json.number(key, count as u64);
    }
}

fn put_wrapping(json: &mut Json<'_>, wrapping: &Wrapping) {
    let list = json.open(key!("kinds"));
    for layer in &wrapping.layers {
        json.word(QUOTED_ELEMENT, layer.kind);
    }
    json.close_list(list);
    if let Some(layer) = wrapping.layers.last() {
        json.number(key!("id"), layer.id);
    }
    if let Some(layer) = wrapping.layers.first() {
        json.addr(quoted!("source_ip"), layer.source);
        json.addr(quoted!("destination_ip"), layer.destination);
    }
    if let Some(label) = wrapping.mpls_label {
        json.number(key!("mpls_label"), label);
    }
}

fn put_own_tls(json: &mut Json<'_>, tls: &TlsFacts) {
    put_strings(json, key!("alpn"), &tls.alpn);
    if let Some((version, _)) = tls.version_offered.and_then(names::tls_version) {
        json.word(quoted!("version_offered"), version);
    }
    for (key, value) in [
        (key!("retry_request"), tls.retry_request),
        (key!("early_data"), tls.early_data),
        (key!("ech"), tls.ech),
    ] {
        if value {
            json.flag(key, true);
        }
    }
    if tls.certificate.as_ref().is_some_and(|certificate| certificate.is_self_issued()) {
        json.flag(key!("self_issued"), true);
    }
}

fn put_ssh(json: &mut Json<'_>, ssh: &SshFacts) {
    json.string_opt(quoted!("client"), ssh.client.as_deref());
    json.string_opt(quoted!("server"), ssh.server.as_deref());
    json.hex(quoted!("hassh"), ssh.hassh);
    json.hex(quoted!("hassh_server"), ssh.hassh_server);
}

fn put_stun(json: &mut Json<'_>, stun: &StunFacts) {
    put_strings(json, key!("mapped"), &stun.mapped);
    put_strings(json, key!("peers"), &stun.peers);
    json.number(key!("checks"), stun.checks);
    json.number(key!("goog_pings"), stun.goog_pings);
}

pub(super) fn put_strings(json: &mut Json<'_>, key: Key, values: &[Box<str>]) {
    let list = json.open(key);
    for value in values {
        json.string(QUOTED_ELEMENT, value);
    }
    json.close_list(list);
}
