//! What streams said of themselves before or beside what they carry.
//!
//! Owns: the facts of certificates, proxies, remote desktops and the shape of a stream. In:
//! evidence fills them in. Out: a session's facts carry them. Never: payload, passwords, judgement.

use crate::model::Addr;
use crate::model::Heap;

/// The certificate that a TLS or DTLS server showed in clear: up to version 1.2.
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
    /// Start of its validity, as RFC 3339 writes it; empty where the calendar has no such moment.
    pub not_before: Box<str>,
    /// End of its validity, likewise.
    pub not_after: Box<str>,
}

impl Certificate {
    /// Whether issuer and subject are one: whoever made it asked nobody.
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }
}

/// A SOCKS dialogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Socks {
    /// 4 or 5.
    pub version: u8,
    /// Host and port asked for, as last asked.
    pub target: Option<Box<str>>,
    /// The client gave a user name.
    pub user: bool,
    /// Whether the server granted what was asked, where it said so.
    pub granted: Option<bool>,
}

/// How an RDP connection was agreed on (MS-RDPBCGR sections 2.2.1.1 and 2.2.1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rdp {
    /// The name in the cookie `mstshash`: often the beginning of a user name.
    pub cookie: Option<Box<str>>,
    /// Security protocols the client asked for, as bits.
    pub requested: Option<u32>,
    /// Security protocol the server chose.
    pub chosen: Option<u32>,
}

impl Rdp {
    /// Word for each bit of `requested`, least first; `chosen` has one bit or none
    /// (MS-RDPBCGR section 2.2.1.1.1).
    const WORDS: [&'static str; 5] = ["tls", "credssp", "rdstls", "credssp-early-auth", "entra-id"];

    /// Words for what the client asked for.
    pub fn requested_words(&self) -> impl Iterator<Item = &'static str> {
        Rdp::words(self.requested.unwrap_or(0))
    }

    /// Word for what the server chose; RDP's own encryption has no bit.
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

/// How an RFB (VNC) connection began (RFC 6143 section 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rfb {
    /// The version both use so far: major, minor.
    pub version: (u16, u16),
    /// The security type that the client chose, or the server where only it decides.
    pub security: Option<u32>,
}

/// What a PROXY header says of the connection it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Who connected to the proxy.
    pub source: Addr,
    /// Their port.
    pub source_port: u16,
    /// Whom they connected to.
    pub destination: Addr,
    /// That one's port.
    pub destination_port: u16,
}

/// Bits of [`AppFacts::shape`].
pub mod shape {
    /// The first bytes of the client look like noise.
    pub const FULLY_ENCRYPTED: u8 = 1;
    /// The first bursts have the sizes of a TLS handshake inside.
    pub const ENCAPSULATED_TLS: u8 = 2;
}

/// What streams said before or beside what they carry. Boxed: most sessions have none of it.
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
        self.rdp.as_ref().map_or(0, |rdp| rdp.cookie.heap()) + self.ldap_bind.heap()
    }
}
