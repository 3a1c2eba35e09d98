//! The responder's name according to the session itself, and whether another name contradicts it.
//!
//! Owns: which name counts. In: the facts of a session. Out: a name, or a contradiction. Never:
//! takes the target of a relay for the relay's own name.

use std::net::IpAddr;

use crate::model::Record;
use crate::model::app_facts::Certificate;
use crate::model::facts::Facts;

impl Record {
    /// The responder's name: from the session itself, else the name that the initiator had looked
    /// up.
    pub fn responder_name(&self) -> Option<&str> {
        self.facts.responder_name().or(self.context.responder_name.as_deref())
    }
}

impl Facts {
    /// The name that the initiator used for the responder: in its ClientHello, else in its request.
    pub fn responder_name(&self) -> Option<&str> {
        if self.is_relayed() {
            return None;
        }
        let server_name = self.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
        server_name.or_else(|| host_name(self.http.as_ref()?.host.as_deref()?))
    }

    /// Whether the session contradicts `name`, which comes from elsewhere: it names the responder
    /// differently, or the responder's certificate covers only other names.
    pub fn contradicts(&self, name: &str) -> bool {
        if self.is_relayed() {
            return false;
        }
        if let Some(own) = self.responder_name() {
            return !same(own, name);
        }
        let shown = self.tls.as_ref().and_then(|tls| tls.certificate.as_deref());
        let mut spoken_for = shown.into_iter().flat_map(speaks_for).peekable();
        spoken_for.peek().is_some() && !spoken_for.any(|pattern| covers(pattern, name))
    }

    /// Whether the responder was asked to connect to somebody else: then names in the session are
    /// not its own.
    fn is_relayed(&self) -> bool {
        let http = self.http.as_ref();
        self.socks().is_some() || http.is_some_and(|http| http.connect_target.is_some())
    }
}

/// Host names that a certificate covers; names that software invents do not count.
fn speaks_for(shown: &Certificate) -> impl Iterator<Item = &str> {
    let names = shown.alternative_names.iter().chain(&shown.common_name);
    names.map(|name| &**name).filter(|name| is_host_name(name))
}

/// Whether a certificate's name covers a name; `*.` stands for exactly one label (RFC 9525 section
/// 6.3).
fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => name.split_once('.').is_some_and(|(_, rest)| same(parent, rest)),
        None => same(pattern, name),
    }
}

fn same(a: &str, b: &str) -> bool {
    let bare = |name| str::strip_suffix(name, ".").unwrap_or(name);
    bare(a).eq_ignore_ascii_case(bare(b))
}

/// Several labels, and not an address.
fn is_host_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.*".contains(&b);
    name.contains('.') && name.bytes().all(fits) && name.parse::<IpAddr>().is_err()
}

/// The host of a `Host` header without its port; `None` if it is an address (RFC 9110 section 7.2).
fn host_name(host: &str) -> Option<&str> {
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |both| both.0);
    is_host_name(name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::{HttpFacts, TlsFacts};

    fn hello(name: Option<&str>, certificate: Option<Certificate>) -> Facts {
        let server_name = name.map(Box::from);
        let certificate = certificate.map(Box::new);
        let tls = TlsFacts { server_name, certificate, ..TlsFacts::default() };
        Facts { tls: Some(Box::new(tls)), ..Facts::default() }
    }

    fn certificate(common: &str, others: &[&str]) -> Certificate {
        let empty = || Box::<str>::from("");
        Certificate {
            subject: empty(),
            issuer: empty(),
            common_name: Some(common.into()),
            organization: None,
            issuer_common_name: None,
            alternative_names: others.iter().map(|name| (*name).into()).collect(),
            not_before: empty(),
            not_after: empty(),
        }
    }

    fn asks(host: &str, connect: Option<&str>) -> Facts {
        let connect_target = connect.map(Box::from);
        let http = HttpFacts { host: Some(host.into()), connect_target, ..HttpFacts::default() };
        Facts { http: Some(Box::new(http)), ..Facts::default() }
    }

    #[test]
    fn the_name_in_the_hello_counts() {
        let facts = hello(Some("mail.example.org"), Some(certificate("astrill.com", &[])));
        assert_eq!(facts.responder_name(), Some("mail.example.org"));
        assert!(facts.contradicts("client.astrill.com") && facts.contradicts("astrill.com"));
        assert!(!facts.contradicts("MAIL.example.org."));
    }

    #[test]
    fn a_certificate_speaks_for_its_names() {
        let facts = hello(None, Some(certificate("example.org", &["*.example.org"])));
        assert_eq!(facts.responder_name(), None);
        assert!(!facts.contradicts("mail.example.org") && !facts.contradicts("example.org"));
        assert!(facts.contradicts("a.b.example.org") && facts.contradicts("astrill.com"));
        let own = hello(None, Some(certificate("AnyDesk Client", &["192.0.2.1"])));
        assert!(!own.contradicts("relay.anydesk.com"), "it names no host");
        assert!(!hello(None, None).contradicts("relay.anydesk.com"));
    }

    #[test]
    fn a_host_header_names_a_host_and_not_an_address() {
        assert_eq!(asks("a.example:8080", None).responder_name(), Some("a.example"));
        assert!(asks("a.example", None).contradicts("b.example"));
        for address in ["192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80", "localhost"] {
            assert_eq!(asks(address, None).responder_name(), None, "{address}");
            assert!(!asks(address, None).contradicts("b.example"), "{address}");
        }
    }

    #[test]
    fn the_target_of_a_relay_is_not_the_name_of_the_relay() {
        let facts = asks("a.example:443", Some("a.example:443"));
        assert_eq!(facts.responder_name(), None);
        assert!(!facts.contradicts("proxy.example"));
    }
}
