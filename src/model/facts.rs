//! The facts that observers found in a session.
//!
//! Owns: the facts of each protocol. In: evidence fills them in. Out: a record carries them.
//! Never: payload, judgement.

use std::sync::Arc;

use crate::model::app_facts::{AppFacts, Certificate, Socks};
use crate::model::latency::Turns;
use crate::model::protocol::Protocol;
use crate::model::{Addr, Heap, Nanos, Peer};

/// Facts of TLS, DTLS or QUIC handshakes. Hashes are bytes; emit writes them in hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// Server name indication (RFC 6066).
    pub server_name: Option<Box<str>>,
    /// ALPN protocols the client offered (RFC 7301), capped.
    pub alpn: Vec<Box<str>>,
    /// ALPN protocol the server chose.
    pub alpn_chosen: Option<Box<str>>,
    /// JA3 of the ClientHello (MD5).
    pub ja3: Option<[u8; 16]>,
    /// JA3S of the ServerHello (MD5).
    pub ja3s: Option<[u8; 16]>,
    /// JA4 of the ClientHello: 36 ASCII characters.
    pub ja4: Option<Box<str>>,
    /// JA4 without the extensions of a resumption and without padding: what tells programs apart;
    /// absent if it is the same.
    pub ja4_unresumed: Option<Box<str>>,
    /// Negotiated version: `0x0304` and the like.
    pub version: Option<u16>,
    /// Highest version the client offered.
    pub version_offered: Option<u16>,
    /// Cipher suites the client offered, GREASE left out, capped.
    pub ciphers: Vec<u16>,
    /// Cipher suite the server chose.
    pub cipher: Option<u16>,
    /// Session id that the client offered, empty if it offered none; absent if no ClientHello was
    /// seen, or if a ticket without an id hides whether it was accepted. Only used to compare with
    /// the server's.
    pub session_offered: Option<Box<[u8]>>,
    /// Whether the handshake resumed an earlier session, if visible.
    pub resumed: Option<bool>,
    /// The server answered with a HelloRetryRequest (RFC 8446 section 4.1.4).
    pub retry_request: bool,
    /// The client offered early data (RFC 8446 section 4.2.10).
    pub early_data: bool,
    /// Encrypted ClientHello was offered.
    pub ech: bool,
    /// The server's certificate, if sent in clear.
    pub certificate: Option<Box<Certificate>>,
}

/// The DNS questions of a session and their answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsFacts {
    /// First question's name, without the final dot.
    pub name: Option<Box<str>>,
    /// Its type: `A`, `AAAA`, or `TYPE65` style for unnamed numbers.
    pub qtype: u16,
    /// Further questions' distinct names in this session, capped.
    pub more_names: Vec<Box<str>>,
    /// Distinct answers of all responses: (type, text form of the data), capped.
    pub answers: Vec<(u16, Box<str>)>,
    /// Distinct addresses beside the answers (authority and additional sections: glue, the hosts
    /// behind an mDNS service), capped.
    pub additional: Vec<Box<str>>,
    /// Response code of the first answer.
    pub rcode: Option<u8>,
    /// Bytes of the names.
    pub name_bytes: u32,
    /// Bytes of answers and addresses.
    pub answer_bytes: u32,
    /// Some were left out at the cap.
    pub cut: bool,
    /// Questions seen.
    pub questions: u32,
    /// Responses seen.
    pub responses: u32,
    /// The initiator's pending question: transaction id, time, whether it was repeated.
    pub asked: Option<(u16, Nanos, bool)>,
    /// Lowest time from a question of the initiator to the responder's answer, in ns; UDP only.
    pub round_trip_ns: Option<u64>,
}

/// Facts that SSH sends in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshFacts {
    /// Client identification string (RFC 4253 section 4.2).
    pub client: Option<Box<str>>,
    /// Server identification string.
    pub server: Option<Box<str>>,
    /// HASSH of the client's KEXINIT (MD5).
    pub hassh: Option<[u8; 16]>,
    /// HASSH of the server's KEXINIT (MD5).
    pub hassh_server: Option<[u8; 16]>,
}

/// Addresses in STUN and TURN messages, from a session's first datagrams only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StunFacts {
    /// A client's addresses as seen by a server or peer (XOR-MAPPED-ADDRESS), distinct, capped.
    pub mapped: Vec<Box<str>>,
    /// The peers that a client reaches through a relay (XOR-PEER-ADDRESS), distinct, capped.
    pub peers: Vec<Box<str>>,
    /// Binding requests: connectivity and consent checks.
    pub checks: u32,
    /// GOOG-PING requests, which replace consent checks.
    pub goog_pings: u32,
    /// Requests about a peer that the other side has not answered yet, capped.
    pub waiting: Vec<PeerRequest>,
    /// Peers to which the relay bound a channel (RFC 8656 section 12), distinct, capped.
    pub bound: Vec<Addr>,
    /// Peers for which it installed a permission (RFC 8656 section 9), distinct, capped.
    pub permitted: Vec<Addr>,
    /// The binding request after the first asked the server to answer from elsewhere (RFC 3489
    /// section 11.2.4).
    pub change_request: bool,
}

impl StunFacts {
    /// Whether a relay agreed to reach a peer.
    #[must_use]
    pub fn is_relayed(&self) -> bool {
        !self.bound.is_empty() || !self.permitted.is_empty()
    }
}

/// A request to a relay about a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerRequest {
    /// Transaction id, as a key.
    pub key: u64,
    /// Method.
    pub method: u16,
    /// Who asked.
    pub by: Peer,
    /// The peer.
    pub peer: Addr,
}

/// One further HTTP/1 request of a session that differs from the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// Method.
    pub method: Box<str>,
    /// `Host` header.
    pub host: Option<Box<str>>,
    /// `User-Agent` header.
    pub user_agent: Option<Box<str>>,
}

/// The first HTTP/1 request of a session, and those among the next few that differ from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpFacts {
    /// Method.
    pub method: Option<Box<str>>,
    /// `Host` header, else the authority of an absolute-form target.
    pub host: Option<Box<str>>,
    /// `User-Agent` header.
    pub user_agent: Option<Box<str>>,
    /// Target of a CONNECT request.
    pub connect_target: Option<Box<str>>,
    /// Status code of the first response.
    pub status: Option<u16>,
    /// Further requests with another method, host or user agent, capped.
    pub more: Vec<HttpRequest>,
    /// `Server` of the first response.
    pub server: Option<Box<str>>,
    /// Realm of the first response that requests authentication.
    pub realm: Option<Box<str>>,
    /// Title of the first page, if it is in the first bytes.
    pub title: Option<Box<str>>,
    /// Fields with which a proxy shows that it forwarded the first request, capped.
    pub forwarded: Vec<Box<str>>,
    /// Protocol agreed on for a WebSocket.
    pub subprotocol: Option<Box<str>>,
}

/// One tunnel around a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The word for its kind: `vxlan`, `gre`.
    pub kind: &'static str,
    /// Its number: VNI, GRE key, TEID, ERSPAN session; 0 where it has none.
    pub id: u32,
    /// Sender of the packet around it.
    pub source: Addr,
    /// Receiver of that packet.
    pub destination: Addr,
}

/// The encapsulation of a session's first packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wrapping {
    /// Tunnels, outermost first, bounded by decode's depth limit.
    pub layers: Vec<Layer>,
    /// Innermost VLAN id, if there is more than one.
    pub inner_vlan: Option<u16>,
    /// Outermost MPLS label.
    pub mpls_label: Option<u32>,
    /// A tunnel from outside delivered packets of a home host, and nothing proves that such a
    /// tunnel exists: a stranger may have written the whole session.
    pub unproven: bool,
}

/// Matches of each direction's first bytes in the table of payload signatures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstBytes {
    /// Patterns that match the initiator's bytes, one bit each.
    pub initiator: u64,
    /// Patterns that match the responder's bytes.
    pub responder: u64,
    /// The table that these numbers refer to.
    pub table: u32,
    /// The application that both identify.
    pub application: Option<Arc<str>>,
}

/// What identifies a datagram that may have been too long for a link: what an ICMP message that
/// refuses it repeats (RFC 792, RFC 4443).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LongDatagram {
    /// UDP length: header and payload.
    pub bytes: u16,
    /// [`LongDatagram::print_of`] its payload.
    pub print: u16,
    /// Sender's and receiver's port.
    pub ports: (u16, u16),
}

impl LongDatagram {
    /// Payload bytes in the fingerprint.
    pub const PRINT_BYTES: usize = 16;

    /// The fingerprint of a payload's beginning; `None` if that is too short.
    pub fn print_of(payload: &[u8]) -> Option<u16> {
        let (words, _) = payload.get(..LongDatagram::PRINT_BYTES)?.as_chunks::<4>();
        const ODD: u32 = 0x9e37_79b1;
        let step = |hash: u32, word: u32| (hash ^ word).wrapping_mul(ODD).rotate_left(13);
        let hash = words.iter().fold(ODD, |hash, word| step(hash, u32::from_be_bytes(*word)));
        Some((hash >> 16) as u16)
    }
}

/// What the sizes of datagrams tell of the links on their way: they carry IP packets of this many
/// bytes, and none of `below`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathMtu {
    /// Such a packet arrived.
    pub at_least: u16,
    /// The shortest that did not.
    pub below: u16,
    /// By fragments; otherwise by probes, if those who sent them send any.
    pub fragments: bool,
}

/// An ICMP message that a datagram was too long for the next link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Sender of the datagram.
    pub from: Addr,
    /// Its receiver.
    pub to: Addr,
    /// The datagram.
    pub datagram: LongDatagram,
}

/// Facts that few sessions have, grouped so that other sessions do not pay for a pointer each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rare {
    /// STUN and TURN.
    pub stun: Option<Box<StunFacts>>,
    /// SOCKS.
    pub socks: Option<Box<Socks>>,
    /// Certificates, proxies, remote desktops, stream shapes.
    pub app_facts: Option<Box<AppFacts>>,
    /// Tunnels and inner tags around the first packet.
    pub wrapping: Option<Box<Wrapping>>,
    /// Matches of the first bytes.
    pub first_bytes: Option<Box<FirstBytes>>,
    /// A datagram that was too long for a link.
    pub refused: Option<Box<Refused>>,
}

/// The facts of a session. Boxed, so that a session without evidence costs a pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Protocol recognised from payload.
    pub protocol: Option<Protocol>,
    /// TLS, DTLS or QUIC handshake.
    pub tls: Option<Box<TlsFacts>>,
    /// DNS.
    pub dns: Option<Box<DnsFacts>>,
    /// SSH.
    pub ssh: Option<Box<SshFacts>>,
    /// HTTP.
    pub http: Option<Box<HttpFacts>>,
    /// Exchanges that force an end to answer.
    pub turns: Option<Box<Turns>>,
    /// The rest.
    pub rare: Option<Box<Rare>>,
}

impl Facts {
    /// The rare ones, for writing.
    pub fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// STUN and TURN.
    pub fn stun(&self) -> Option<&StunFacts> {
        self.rare.as_ref()?.stun.as_deref()
    }

    /// SOCKS.
    pub fn socks(&self) -> Option<&Socks> {
        self.rare.as_ref()?.socks.as_deref()
    }

    /// Certificates, proxies, remote desktops, stream shapes.
    pub fn app_facts(&self) -> Option<&AppFacts> {
        self.rare.as_ref()?.app_facts.as_deref()
    }

    /// Tunnels and inner tags around the first packet.
    pub fn wrapping(&self) -> Option<&Wrapping> {
        self.rare.as_ref()?.wrapping.as_deref()
    }

    /// A datagram that was too long for a link.
    pub fn refused(&self) -> Option<&Refused> {
        self.rare.as_ref()?.refused.as_deref()
    }

    /// Matches of the first bytes.
    pub fn first_bytes(&self) -> Option<&FirstBytes> {
        self.rare.as_ref()?.first_bytes.as_deref()
    }
}

impl Heap for TlsFacts {
    fn heap(&self) -> usize {
        let prints = self.ja4.heap() + self.ja4_unresumed.heap();
        let texts = self.server_name.heap() + self.alpn_chosen.heap() + prints;
        let lists = self.alpn.heap() + self.ciphers.heap() + self.session_offered.heap();
        texts + lists + self.certificate.heap()
    }
}

impl Heap for DnsFacts {
    fn heap(&self) -> usize {
        let names = self.name.heap() + self.more_names.heap();
        names + self.answers.heap() + self.additional.heap()
    }
}

impl Heap for SshFacts {
    fn heap(&self) -> usize {
        self.client.heap() + self.server.heap()
    }
}

impl Heap for StunFacts {
    fn heap(&self) -> usize {
        let addresses = (self.bound.capacity() + self.permitted.capacity()) * size_of::<Addr>();
        let waiting = self.waiting.capacity() * size_of::<(u64, u16, Addr)>();
        self.mapped.heap() + self.peers.heap() + addresses + waiting
    }
}

impl Heap for HttpRequest {
    fn heap(&self) -> usize {
        self.method.heap() + self.host.heap() + self.user_agent.heap()
    }
}

impl Heap for HttpFacts {
    fn heap(&self) -> usize {
        let asked = self.method.heap() + self.host.heap() + self.user_agent.heap();
        let said = self.server.heap() + self.realm.heap() + self.title.heap();
        let rest = self.connect_target.heap() + self.forwarded.heap() + self.subprotocol.heap();
        asked + said + rest + self.more.heap()
    }
}

impl Heap for Layer {
    fn heap(&self) -> usize {
        0
    }
}

impl Heap for Wrapping {
    fn heap(&self) -> usize {
        self.layers.heap()
    }
}

impl Heap for FirstBytes {
    fn heap(&self) -> usize {
        0
    }
}

impl Heap for Refused {
    fn heap(&self) -> usize {
        0
    }
}

impl Heap for Rare {
    fn heap(&self) -> usize {
        let boxes = self.stun.heap() + self.socks.heap() + self.app_facts.heap();
        boxes + self.wrapping.heap() + self.first_bytes.heap() + self.refused.heap()
    }
}

impl Heap for Facts {
    fn heap(&self) -> usize {
        let most = self.tls.heap() + self.dns.heap() + self.ssh.heap() + self.http.heap();
        most + self.turns.heap() + self.rare.heap()
    }
}
