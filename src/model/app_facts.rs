//! Facts about protocols inside or beside others: certificates, proxies, remote desktops, stream
//! shapes.
//!
//! Owns: these facts. In: evidence fills them in. Out: a session's facts carry them. Never:
//! payload, passwords, judgement.

use crate::model::{Addr, Heap, Peer};

/// The certificate that a TLS or DTLS server sent in clear (up to version 1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Subject as text (RFC 4514).
    pub subject: Box<str>,
    /// Issuer as text.
    pub issuer: Box<str>,
    /// The last common name of the subject.
    pub common_name: Option<Box<str>>,
    /// Its organisation.
    pub organization: Option<Box<str>>,
    /// The issuer's last common name.
    pub issuer_common_name: Option<Box<str>>,
    /// Alternative names, capped.
    pub alternative_names: Vec<Box<str>>,
    /// Start of its validity in RFC 3339 form; empty if the date does not exist.
    pub not_before: Box<str>,
    /// End of its validity, likewise.
    pub not_after: Box<str>,
}

impl Certificate {
    /// Whether issuer and subject are equal: nobody else vouches for it.
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }
}

/// A SOCKS exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Socks {
    /// 4 or 5.
    pub version: u8,
    /// Requested host and port; of several requests the last.
    pub target: Option<Box<str>>,
    /// Whether the client sent a user name.
    pub user: bool,
    /// Whether the server granted the request, if it answered.
    pub granted: Option<bool>,
}

/// The security negotiation of an RDP connection (MS-RDPBCGR sections 2.2.1.1 and 2.2.1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rdp {
    /// The name in the cookie `mstshash`: often the start of a user name.
    pub cookie: Option<Box<str>>,
    /// Security protocols that the client requested, as bits.
    pub requested: Option<u32>,
    /// Security protocol the server chose.
    pub chosen: Option<u32>,
}

impl Rdp {
    /// The word for each bit of `requested`, lowest first; `chosen` has one bit or none (MS-RDPBCGR
    /// section 2.2.1.1.1).
    const WORDS: [&'static str; 5] = ["tls", "credssp", "rdstls", "credssp-early-auth", "entra-id"];

    /// The words for what the client requested.
    pub fn requested_words(&self) -> impl Iterator<Item = &'static str> {
        Rdp::words(self.requested.unwrap_or(0))
    }

    /// The word for what the server chose; RDP's own encryption has no bit.
    pub fn security(&self) -> Option<&'static str> {
        self.chosen.map(|bits| Rdp::words(bits).last().unwrap_or("rdp"))
    }

    /// The bit of a word.
    pub fn bit(word: &str) -> Option<u32> {
        Rdp::WORDS.iter().position(|known| *known == word).map(|at| 1 << at)
    }

    fn words(bits: u32) -> impl Iterator<Item = &'static str> {
        let all = Rdp::WORDS.into_iter().enumerate();
        all.filter(move |(at, _)| bits >> at & 1 == 1).map(|(_, word)| word)
    }
}

/// The start of an RFB (VNC) connection (RFC 6143 section 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rfb {
    /// The lower of both versions so far: major, minor.
    pub version: (u16, u16),
    /// The security type that the client chose, or the server if only it decides.
    pub security: Option<u32>,
}

/// The connection that a PROXY header describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client of the proxy.
    pub source: Addr,
    /// Its port.
    pub source_port: u16,
    /// The address it connected to.
    pub destination: Addr,
    /// The port there.
    pub destination_port: u16,
}

/// Bits of [`AppFacts::shape`].
pub mod shape {
    /// The client's first bytes look random.
    pub const FULLY_ENCRYPTED: u8 = 1;
    /// The first bursts have the sizes of a TLS handshake inside.
    pub const ENCAPSULATED_TLS: u8 = 2;
}

/// These facts of a session. Boxed, because most sessions have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppFacts {
    /// RDP.
    pub rdp: Option<Rdp>,
    /// RFB.
    pub rfb: Option<Rfb>,
    /// A PROXY header.
    pub proxy: Option<ProxyHeader>,
    /// Name in the first LDAP bind.
    pub ldap_bind: Option<Box<str>>,
    /// Shape of the stream, as bits of [`shape`].
    pub shape: u8,
    /// RustDesk's rendezvous.
    pub rustdesk: Option<Box<Rustdesk>>,
}

/// What a host and RustDesk's rendezvous server say to each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rustdesk {
    /// The side that registered as one that can be controlled.
    pub registered: Option<Peer>,
    /// The server answered that.
    pub answered: bool,
    /// Addresses of those who asked to control it, the latest last, capped.
    pub controllers: Vec<Addr>,
    /// Messages that named one.
    pub named: u32,
}

impl Heap for Rustdesk {
    fn heap(&self) -> usize {
        self.controllers.capacity() * size_of::<Addr>()
    }
}

impl Heap for Certificate {
    fn heap(&self) -> usize {
        let names = self.subject.heap() + self.issuer.heap() + self.common_name.heap();
        let rest = self.organization.heap() + self.issuer_common_name.heap();
        let span = self.not_before.heap() + self.not_after.heap();
        names + rest + span + self.alternative_names.heap()
    }
}

impl Heap for Socks {
    fn heap(&self) -> usize {
        self.target.heap()
    }
}

impl Heap for AppFacts {
    fn heap(&self) -> usize {
        let names = self.rdp.as_ref().map_or(0, |rdp| rdp.cookie.heap()) + self.ldap_bind.heap();
        names + self.rustdesk.heap()
    }
}
