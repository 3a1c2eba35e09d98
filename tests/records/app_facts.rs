//! Sets the fields of a case's record about protocols inside or beside others.
//!
//! Owns: how certificates, proxies and remote desktops are set. In: a field's name and value. Out:
//! a record's facts. Never: checks one against another.

use std::net::IpAddr;

use serde_json::Value as Json;

use crate::records::record::small;
use crate::records::record::text;
use crate::records::record::texts;
use longhaul::model::Addr;
use longhaul::model::Record;
use longhaul::model::app_facts::AppFacts;
use longhaul::model::app_facts::Certificate;
use longhaul::model::app_facts::ProxyHeader;
use longhaul::model::app_facts::Rdp;
use longhaul::model::app_facts::Rfb;
use longhaul::model::app_facts::Socks;
use longhaul::model::app_facts::shape;
use longhaul::model::record::HttpFacts;

/// One of these fields, by its whole name.
pub(super) fn set_app_facts(record: &mut Record, name: &str, value: &Json) -> Option<()> {
    if let Some(rest) = name.strip_prefix("tls.server.") {
        let tls = record.facts.tls.get_or_insert_default();
        return set_certificate(tls.certificate.get_or_insert_default(), rest, value);
    }
    if let Some(rest) = name.strip_prefix("longhaul.http.") {
        return set_http(record.facts.http.get_or_insert_default(), rest, value);
    }
    if name == "longhaul.tls.self_issued" {
        // A certificate without names is its own issuer until they are set.
        record.facts.tls.get_or_insert_default().certificate.get_or_insert_default();
        return value.as_bool().filter(|set| *set).map(drop);
    }
    let (group, rest) = name.strip_prefix("longhaul.")?.split_once('.')?;
    let rare = record.facts.rare_mut();
    if group == "socks" {
        return set_socks(rare.socks.get_or_insert_default(), rest, value);
    }
    let app_facts: &mut AppFacts = rare.app_facts.get_or_insert_default();
    match group {
        "rdp" => set_rdp(app_facts.rdp.get_or_insert_default(), rest, value),
        "rfb" => set_rfb(app_facts.rfb.get_or_insert_default(), rest, value),
        "proxy" => set_proxy(app_facts, rest, value),
        "ldap" if rest == "bind" => text(value).map(|name| app_facts.ldap_bind = Some(name)),
        "shape" => {
            let bit = match rest {
                "encapsulated_tls" => shape::ENCAPSULATED_TLS,
                "fully_encrypted" => shape::FULLY_ENCRYPTED,
                _ => return None,
            };
            value.as_bool().map(|set| app_facts.shape |= if set { bit } else { 0 })
        }
        _ => None,
    }
}

fn set_certificate(certificate: &mut Certificate, name: &str, value: &Json) -> Option<()> {
    match name {
        "subject" => certificate.subject = text(value)?,
        "issuer" => certificate.issuer = text(value)?,
        "x509.subject.common_name" => certificate.common_name = text(value),
        "x509.subject.organization" => certificate.organization = text(value),
        "x509.issuer.common_name" => certificate.issuer_common_name = text(value),
        "x509.alternative_names" => certificate.alternative_names = texts(value)?,
        "x509.not_before" => certificate.not_before = text(value)?,
        "x509.not_after" => certificate.not_after = text(value)?,
        _ => return None,
    }
    Some(())
}

fn set_http(http: &mut HttpFacts, name: &str, value: &Json) -> Option<()> {
    match name {
        "server" => http.server = text(value),
        "realm" => http.realm = text(value),
        "title" => http.title = text(value),
        "forwarded" => http.forwarded = texts(value)?,
        "subprotocol" => http.subprotocol = text(value),
        _ => return None,
    }
    Some(())
}

fn set_socks(socks: &mut Socks, name: &str, value: &Json) -> Option<()> {
    match name {
        "version" => socks.version = small(value)?,
        "target" => socks.target = text(value),
        "user" => socks.user = value.as_bool()?,
        "granted" => socks.granted = Some(value.as_bool()?),
        _ => return None,
    }
    Some(())
}

fn set_rdp(rdp: &mut Rdp, name: &str, value: &Json) -> Option<()> {
    match name {
        "cookie" => rdp.cookie = text(value),
        "requested" => {
            let mut words = texts(value)?.into_iter();
            rdp.requested = Some(words.try_fold(0, |all, word| Some(all | Rdp::bit(&word)?))?);
        }
        "security" if value.as_str() == Some("rdp") => rdp.chosen = Some(0),
        "security" => rdp.chosen = Some(Rdp::bit(value.as_str()?)?),
        _ => return None,
    }
    Some(())
}

fn set_rfb(rfb: &mut Rfb, name: &str, value: &Json) -> Option<()> {
    match name {
        "version" => {
            let (major, minor) = value.as_str()?.split_once('.')?;
            rfb.version = (major.parse().ok()?, minor.parse().ok()?);
        }
        "security" => rfb.security = Some(small(value)?),
        _ => return None,
    }
    Some(())
}

fn set_proxy(app_facts: &mut AppFacts, name: &str, value: &Json) -> Option<()> {
    let none = Addr::v4([0; 4]);
    let unknown =
        ProxyHeader { source: none, source_port: 0, destination: none, destination_port: 0 };
    let proxy = app_facts.proxy.get_or_insert(unknown);
    let ip = || value.as_str()?.parse::<IpAddr>().ok().map(Addr::from);
    match name {
        "source" => proxy.source = ip()?,
        "source_port" => proxy.source_port = small(value)?,
        "destination" => proxy.destination = ip()?,
        "destination_port" => proxy.destination_port = small(value)?,
        _ => return None,
    }
    Some(())
}
