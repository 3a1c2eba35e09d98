//! Fields of protocols that ECS has no name for: `longhaul.encapsulation.*`, `longhaul.tls.*`,
//! `longhaul.rdp.*` ...
//!
//! Owns: name, type, unit, accessor and meaning of each. In: a record. Out: its values.
//! Never: a field that sessions.ndjson does not have, unless it says so.

use crate::model::Record;
use crate::model::app_facts::shape;
use crate::model::schema::session::field;
use crate::model::schema::table::table;
use crate::model::schema::{Kind, List, Shown, Value, read};

table! {
/// Tunnels and inner tags around the first packet.
pub(super) Encapsulation of Record where (|r| r.facts.wrapping().is_some()) [
    field(("longhaul.encapsulation.kinds", 1, Kind::Texts, "", Shown::Sometimes,
        |r| read::wrapping(r, |w| Value::list(List::Layers(&w.layers))),
        "Tunnels that the session's first packet was in, outermost first: `vxlan`, `gre`.")),
    field(("longhaul.encapsulation.id", 1, Kind::Int, "", Shown::Sometimes,
        |r| read::wrapping(r, |w| Value::int_opt(w.layers.last().map(|layer| layer.id))),
        "Number of the innermost of them: VNI, GRE key, TEID, ERSPAN session; 0 for none.")),
    field(("longhaul.encapsulation.source_ip", 1, Kind::Ip, "", Shown::Sometimes,
        |r| read::wrapping(r, |w| Value::ip_opt(w.layers.first().map(|layer| layer.source))),
        "Where the outermost tunnel comes from.")),
    field(("longhaul.encapsulation.destination_ip", 1, Kind::Ip, "", Shown::Sometimes,
        |r| read::wrapping(r, |w| Value::ip_opt(w.layers.first().map(|layer| layer.destination))),
        "Where it leads.")),
    field(("longhaul.encapsulation.mpls_label", 1, Kind::Int, "", Shown::Sometimes,
        |r| read::wrapping(r, |w| Value::int_opt(w.mpls_label)), "First MPLS label.")),
]
}

table! {
/// TLS.
pub(super) OwnTls of Record where (|r| r.facts.tls.is_some()) [
    field(("longhaul.tls.alpn", 1, Kind::Texts, "", Shown::Sometimes,
        |r| read::tls(r, |t| Value::list(List::Strings(&t.alpn))),
        "ALPN protocols the client offered.")),
    field(("longhaul.tls.version_offered", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::tls_version(r, |t| t.version_offered, false),
        "Highest version the client offered.")),
    field(("longhaul.tls.retry_request", 1, Kind::Bool, "", Shown::Sometimes,
        |r| read::tls(r, |t| Value::flag(t.retry_request)),
        "True where the server sent a HelloRetryRequest.")),
    field(("longhaul.tls.early_data", 1, Kind::Bool, "", Shown::Sometimes,
        |r| read::tls(r, |t| Value::flag(t.early_data)),
        "True where the client offered early data.")),
    field(("longhaul.tls.ja4_unresumed", 3, Kind::Text, "", Shown::Sometimes,
        |r| read::tls(r, |t| Value::str_opt(t.ja4_unresumed.as_deref())),
        "JA4 of the ClientHello without the extensions of a resumption and without padding, where \
         it differs: one program has one.")),
    field(("longhaul.tls.ech", 1, Kind::Bool, "", Shown::Sometimes,
        |r| read::tls(r, |t| Value::flag(t.ech)), "True where Encrypted ClientHello was offered.")),
    field(("longhaul.tls.self_issued", 2, Kind::Bool, "", Shown::Sometimes,
        |r| read::certificate(r, |c| Value::flag(c.is_self_issued())),
        "True where subject and issuer of the server's certificate are one.")),
]
}

table! {
/// DNS.
pub(super) OwnDns of Record where (|r| r.facts.dns.is_some()) [
    field(("longhaul.dns.questions", 1, Kind::Int, "", Shown::Sometimes,
        |r| read::dns(r, |d| Value::Int(u64::from(d.questions))), "DNS questions in the session.")),
    field(("longhaul.dns.responses", 1, Kind::Int, "", Shown::Sometimes,
        |r| read::dns(r, |d| Value::Int(u64::from(d.responses))), "DNS responses in the session.")),
    field(("longhaul.dns.more_names", 1, Kind::Texts, "", Shown::Sometimes,
        |r| read::dns(r, |d| Value::list(List::Strings(&d.more_names))),
        "Further names asked for in the session.")),
    field(("longhaul.dns.additional", 1, Kind::Int, "", Shown::Sometimes,
        |r| read::dns(r, |d| read::count(d.additional.len())),
        "Different addresses beside the answers (authority, additional sections), at most 26.")),
]
}

table! {
/// SSH.
pub(super) Ssh of Record where (|r| r.facts.ssh.is_some()) [
    field(("longhaul.ssh.client", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::ssh(r, |s| Value::str_opt(s.client.as_deref())),
        "SSH client's identification string.")),
    field(("longhaul.ssh.server", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::ssh(r, |s| Value::str_opt(s.server.as_deref())),
        "SSH server's identification string.")),
    field(("longhaul.ssh.hassh", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::ssh(r, |s| Value::hash_opt(s.hassh.as_ref())), "HASSH of the client.")),
    field(("longhaul.ssh.hassh_server", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::ssh(r, |s| Value::hash_opt(s.hassh_server.as_ref())), "HASSH of the server.")),
]
}

table! {
/// STUN.
pub(super) Stun of Record where (|r| r.facts.stun().is_some()) [
    field(("longhaul.stun.mapped", 2, Kind::Texts, "", Shown::Sometimes,
        |r| read::stun(r, |s| Value::list(List::Strings(&s.mapped))),
        "Addresses that STUN answers tell a client are its own, at most 8.")),
    field(("longhaul.stun.peers", 2, Kind::Texts, "", Shown::Sometimes,
        |r| read::stun(r, |s| Value::list(List::Strings(&s.peers))),
        "Addresses that a client reaches through a TURN relay, at most 8.")),
    field(("longhaul.stun.checks", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::stun(r, |s| Value::Int(u64::from(s.checks))),
        "STUN binding requests among the session's first 96 datagrams.")),
    field(("longhaul.stun.goog_pings", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::stun(r, |s| Value::Int(u64::from(s.goog_pings))),
        "GOOG-PING requests among them.")),
    field(("longhaul.stun.change_request", 3, Kind::Bool, "", Shown::Sometimes,
        |r| read::stun(r, |s| Value::flag(s.change_request)),
        "True where the binding request after the first asked for an answer from elsewhere \
         (CHANGE-REQUEST of RFC 3489).")),
]
}

table! {
/// HTTP.
pub(super) OwnHttp of Record where (|r| r.facts.http.is_some()) [
    field(("longhaul.http.connect_target", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::http(r, |h| Value::str_opt(h.connect_target.as_deref())),
        "Target of an HTTP CONNECT request.")),
    field(("longhaul.http.more_requests", 1, Kind::Int, "", Shown::Sometimes,
        |r| read::http(r, |h| read::count(h.more.len())),
        "Different further requests seen (method, host or user agent), at most 4.")),
    field(("longhaul.http.server", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::http(r, |h| Value::str_opt(h.server.as_deref())),
        "`Server` of the first HTTP response.")),
    field(("longhaul.http.realm", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::http(r, |h| Value::str_opt(h.realm.as_deref())),
        "Realm that an HTTP server asks to log in to.")),
    field(("longhaul.http.title", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::http(r, |h| Value::str_opt(h.title.as_deref())),
        "Title of the first page, where it stands in its first 4 KiB.")),
    field(("longhaul.http.forwarded", 2, Kind::Texts, "", Shown::Sometimes,
        |r| read::http(r, |h| Value::list(List::Strings(&h.forwarded))),
        "Fields by which proxies say that they passed the first request on: `via: 1.1 host`.")),
    field(("longhaul.http.subprotocol", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::http(r, |h| Value::str_opt(h.subprotocol.as_deref())),
        "Protocol agreed on over a WebSocket.")),
]
}

table! {
/// SOCKS.
pub(super) OwnSocks of Record where (|r| r.facts.socks().is_some()) [
    field(("longhaul.socks.version", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::socks(r, |s| Value::Int(u64::from(s.version))), "Version of SOCKS: 4 or 5.")),
    field(("longhaul.socks.target", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::socks(r, |s| Value::str_opt(s.target.as_deref())),
        "Host and port asked for over SOCKS.")),
    field(("longhaul.socks.user", 2, Kind::Bool, "", Shown::Sometimes,
        |r| read::socks(r, |s| Value::flag(s.user)), "True where a user name was given to SOCKS.")),
    field(("longhaul.socks.granted", 2, Kind::Bool, "", Shown::Sometimes,
        |r| read::socks(r, |s| s.granted.map_or(Value::Absent, Value::Bool)),
        "Whether the SOCKS server granted it.")),
]
}

table! {
/// RDP, RFB, proxies, LDAP, shapes of streams.
pub(super) AppProtocols of Record where (|r| r.facts.app_facts().is_some()) [
    field(("longhaul.rdp.cookie", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::rdp(r, |d| Value::str_opt(d.cookie.as_deref())),
        "Name in the cookie `mstshash` of RDP.")),
    field(("longhaul.rdp.requested", 2, Kind::Texts, "", Shown::Sometimes,
        |r| read::rdp(r, |d| Value::list(List::RdpProtocols(d))),
        "Security protocols the RDP client asked for: `tls`, `credssp`.")),
    field(("longhaul.rdp.security", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::rdp(r, |d| Value::word_opt(d.security())),
        "Security protocol the RDP server chose; `rdp` for its own.")),
    field(("longhaul.rfb.version", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::rfb(r, |b| Value::Version(b.version.0, b.version.1)),
        "Version of RFB (VNC) that both ends use.")),
    field(("longhaul.rfb.security", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::rfb(r, |b| Value::int_opt(b.security)),
        "Security type of RFB: 1 none, 2 VNC, 16 Tight, 19 VeNCrypt (RFC 6143 section 7.1.2).")),
    field(("longhaul.proxy.source", 2, Kind::Ip, "", Shown::Sometimes,
        |r| read::proxy(r, |p| Value::Ip(p.source)),
        "Who connected to the proxy that wrote a PROXY header.")),
    field(("longhaul.proxy.source_port", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::proxy(r, |p| Value::Int(u64::from(p.source_port))), "From which port.")),
    field(("longhaul.proxy.destination", 2, Kind::Ip, "", Shown::Sometimes,
        |r| read::proxy(r, |p| Value::Ip(p.destination)), "To which address.")),
    field(("longhaul.proxy.destination_port", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::proxy(r, |p| Value::Int(u64::from(p.destination_port))), "To which port.")),
    field(("longhaul.ldap.bind", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::app_facts(r, |s| Value::str_opt(s.ldap_bind.as_deref())),
        "Name in the first LDAP bind.")),
    field(("longhaul.shape.encapsulated_tls", 2, Kind::Bool, "", Shown::Sometimes,
        |r| read::app_facts(r, |s| Value::flag(s.shape & shape::ENCAPSULATED_TLS != 0)),
        "True where the first bursts have the sizes of a TLS handshake within.")),
    field(("longhaul.shape.fully_encrypted", 2, Kind::Bool, "", Shown::Sometimes,
        |r| read::app_facts(r, |s| Value::flag(s.shape & shape::FULLY_ENCRYPTED != 0)),
        "True where the client's first bytes look like noise.")),
]
}
