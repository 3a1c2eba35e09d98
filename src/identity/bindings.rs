//! The bindings that one packet establishes.
//!
//! Owns: how each protocol names a holder, and which question each answer needs. In: packets in
//! capture order. Out: bindings. Never: accepts what a host states about another host, except from
//! the responsible servers; or an answer without a question from a home address.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::quality::RandomState;

use crate::identity::arp_senders::ArpSenders;
use crate::identity::authentications::Logins;
use crate::identity::classify::{ARP, DNS, is_smb};
use crate::identity::dot1x::PortAuthentications;
use crate::identity::lease_requests::{Granted, LeaseRequests};
use crate::identity::leases::SENDERS_PART;
use crate::identity::open::PendingQuestions;
use crate::identity::packet::IdentityPacket;
use crate::identity::text;
use crate::model::addr::parse_mac;
use crate::model::{Addr, Binding, HolderFacts, Nanos, Packet, Place, Statement, Transport, Trust};
use crate::wire::arp::ArpPacket;
use crate::wire::dns_data::rtype;
use crate::wire::{dhcp, dhcp6, dns, kerberos, nbns, radius};

/// Upper limit for RADIUS bindings: some networks send no accounting stop.
const RADIUS_LEASE: Nanos = Nanos::from_secs(24 * 3600);
/// Address records read per message: answers of content networks have up to 16, an mDNS responder
/// one for each of its addresses.
const RECORDS_MAX: u32 = 64;

/// Most pending questions per protocol.
const QUESTIONS_MAX: usize = 65_536;
/// A stub resolver gives up after 5 to 12 s (resolv.conf(5), Windows), a RADIUS client after less.
const ANSWER_MAX: Nanos = Nanos::from_secs(15);
/// A DHCP client waits up to 64 s for an answer (RFC 2131 section 4.1).
const LEASE_ANSWER_MAX: Nanos = Nanos::from_secs(64);
/// Question types whose answers contain addresses: A, AAAA, HTTPS and SVCB with their hints, ANY.
const ADDRESS_TYPES: [u16; 5] = [rtype::A, rtype::AAAA, rtype::SVCB, rtype::HTTPS, 255];

/// Client, its port, server and message number of a question.
type QuestionKey = (Place, u16, Addr, u16);

/// Matches questions and answers on the reader's thread.
#[derive(Debug)]
pub struct Listener {
    /// DNS questions: a fingerprint of name and type.
    questions: PendingQuestions<QuestionKey, u64>,
    /// DHCP requests, by transaction.
    leases: LeaseRequests<(u16, u32, Option<[u8; 6]>)>,
    /// DHCPv6 requests, by transaction and a fingerprint of the client's identifier.
    leases6: LeaseRequests<(u16, u32, u64)>,
    /// RADIUS accounting reports that are not confirmed yet.
    reports: PendingQuestions<QuestionKey, Vec<Binding>>,
    logins: Logins,
    port_authentications: PortAuthentications,
    arp_senders: ArpSenders,
    /// Answers rejected because no question for them was seen.
    unsolicited: u64,
    /// Computes the fingerprints.
    hash_state: RandomState,
    /// The bindings of the current packet.
    bindings: Vec<Binding>,
}

impl Listener {
    /// An empty listener with room for `cap` addresses.
    pub fn new(cap: usize) -> Listener {
        let room = cap.min(QUESTIONS_MAX);
        Listener {
            questions: PendingQuestions::new(room, ANSWER_MAX),
            leases: LeaseRequests::new(room, LEASE_ANSWER_MAX),
            leases6: LeaseRequests::new(room, LEASE_ANSWER_MAX),
            reports: PendingQuestions::new(room, ANSWER_MAX),
            logins: Logins::new(),
            port_authentications: PortAuthentications::new(cap),
            arp_senders: ArpSenders::new(cap / SENDERS_PART),
            unsolicited: 0,
            hash_state: RandomState::default(),
            bindings: Vec::new(),
        }
    }

    /// Reads a packet and returns the bindings that follow from it; `is_home` identifies home
    /// addresses.
    pub fn process(
        &mut self,
        packet: &Packet,
        frame: &[u8],
        is_home: impl Fn(Addr) -> bool,
    ) -> &[Binding] {
        self.bindings.clear();
        if packet.key.version == 0 {
            self.read_link_message(packet, frame);
        } else {
            let transport = packet.key.transport;
            let packet = IdentityPacket::of(packet, frame, is_home);
            if packet.is_home || packet.ports.0 == DNS {
                self.read_packet(&packet, transport);
            }
        }
        let doubtful = packet.stamp.trust() == Trust::Doubtful;
        self.bindings.iter_mut().for_each(|binding| binding.doubtful = doubtful);
        &self.bindings
    }

    /// Questions evicted at the cap while an answer was still possible, and devices evicted, since
    /// the last call.
    pub fn take_evicted(&mut self) -> u64 {
        self.questions.take_evicted()
            + self.leases.take_evicted()
            + self.leases6.take_evicted()
            + self.reports.take_evicted()
            + self.logins.take_evicted()
            + self.port_authentications.take_evicted()
            + self.arp_senders.take_evicted()
    }

    /// Answers rejected because no question for them was seen, since the last call.
    pub fn take_unsolicited(&mut self) -> u64 {
        std::mem::take(&mut self.unsolicited)
    }

    fn read_packet(&mut self, packet: &IdentityPacket<'_>, transport: Transport) {
        if transport == Transport::TCP {
            return self.login(packet);
        }
        match packet.ports {
            (88, _) | (_, 88) => self.kerberos(packet, packet.payload),
            (DNS, _) | (_, DNS) => self.dns(packet),
            (67 | 68, 67 | 68) => self.dhcp(packet),
            (546 | 547, 546 | 547) => self.dhcp6(packet),
            (137, _) => self.netbios(packet),
            (5353 | 5355, _) => self.announcement(packet),
            (_, 1646 | 1813) | (1646 | 1813, _) => self.accounting(packet),
            _ => {}
        }
    }

    fn add(&mut self, at: Nanos, what: Statement) {
        self.bindings.push(Binding { at, what, doubtful: false });
    }

    /// Reads a frame of EAPOL, for port-based authentication, or of ARP.
    fn read_link_message(&mut self, packet: &Packet, frame: &[u8]) {
        let mac = |at: usize| frame.get(at..at + 6).and_then(|mac| mac.try_into().ok());
        let (Some(to), Some(from)) = (mac(0), mac(6)) else { return };
        let before = usize::from(packet.l4_at).checked_sub(2);
        if before.and_then(|at| frame.get(at..at + 2)) == Some(&ARP) {
            return self.arp((from, packet.key.point), packet.payload(frame), packet.time);
        }
        self.port_authentications.observe((from, to), packet.payload(frame), packet.time);
    }

    fn arp(&mut self, device: ([u8; 6], u16), body: &[u8], at: Nanos) {
        let Ok(packet) = ArpPacket::parse(body) else { return };
        if let Some((own, count)) = self.arp_senders.observe(device, &packet) {
            self.add(at, Statement::ArpSenders { mac: device.0, own, count });
        }
    }

    /// An address was leased to a device: adds the name that authenticated with the device.
    fn lease(&mut self, place: Place, facts: HolderFacts, at: Nanos) {
        let authenticated =
            facts.mac.and_then(|mac| self.port_authentications.name_of(mac, at)).cloned();
        self.add(at, Statement::Leased(place, facts));
        let Some(name) = authenticated else { return };
        let mut facts = HolderFacts { by: "802.1x", ..HolderFacts::default() };
        // The form of a device's own certificate on Windows: host/pc7.corp.example.
        match name.strip_prefix("host/") {
            Some(device) => facts.host = text::device(device).map(Arc::from),
            None => facts.user = Some(name),
        }
        self.add(at, Statement::Holds(place, facts));
    }

    /// Reads a stream's first segment: Kerberos and SMB messages have a length prefix.
    fn login(&mut self, packet: &IdentityPacket<'_>) {
        match packet.ports {
            (88, _) | (_, 88) => {
                self.kerberos(packet, packet.payload.get(4..).unwrap_or_default());
            }
            (from, _) if is_smb(from) => {
                let facts = self.logins.answer_smb(&packet.asked(), packet.payload, packet.time);
                self.add_holder(packet.place(packet.to), facts, packet.time);
            }
            _ => self.logins.ask_smb(packet.asking(), packet.payload, packet.time),
        }
    }

    fn kerberos(&mut self, packet: &IdentityPacket<'_>, message: &[u8]) {
        if packet.ports.0 == 88 {
            let (asked, time) = (packet.asked(), packet.time);
            let unsolicited = packet.for_home && self.logins.is_unsolicited(&asked, message, time);
            self.unsolicited += u64::from(unsolicited);
            let facts = self.logins.answer_kerberos(&asked, message, time);
            self.add_holder(packet.place(packet.to), facts, packet.time);
        } else if let Ok(request) = kerberos::KerberosMessage::parse(message) {
            self.logins.ask_kerberos(packet.asking(), &request, packet.time);
        }
    }

    fn add_holder(&mut self, client: Place, facts: Option<HolderFacts>, at: Nanos) {
        if let Some(facts) = facts {
            self.add(at, Statement::Holds(client, facts));
        }
    }

    /// A home address sends a DNS question or receives an answer.
    fn dns(&mut self, packet: &IdentityPacket<'_>) {
        let Ok(message) = dns::DnsMessage::parse(packet.payload) else { return };
        if message.questions != 1 || message.opcode() != 0 {
            return;
        }
        if !message.is_response() {
            if packet.is_home && packet.ports.1 == DNS {
                let (place, port, server) = packet.asking();
                self.ask((place, port, server, message.id), &message, packet.time);
            }
        } else if packet.ports.0 == DNS {
            // No part of an answer is read before its question is found.
            let (place, port, server) = packet.asked();
            let (key, time) = ((place, port, server, message.id), packet.time);
            let known = self.questions.knows(&key, time);
            let asked = self.questions.answer(&key, time);
            if message.rcode() == 0 && message.answers > 0 {
                match asked {
                    Some(fingerprint) => self.answer(packet, &message, fingerprint),
                    None if known || !packet.for_home => {}
                    None => self.unsolicited += u64::from(asks_for_address(&message).is_some()),
                }
            }
        }
    }

    fn ask(&mut self, key: QuestionKey, message: &dns::DnsMessage<'_>, at: Nanos) {
        if let Some(question) = asks_for_address(message) {
            let fingerprint = self.fingerprint_of(&question);
            self.questions.ask(key, fingerprint, at);
        }
    }

    /// Fingerprint of a question's type and lower-cased name (a server may fold case, RFC 4343).
    fn fingerprint_of(&self, question: &dns::Question<'_>) -> u64 {
        let mut hasher = self.hash_state.build_hasher();
        for label in question.name.labels() {
            hasher.write_usize(label.len());
            label.iter().for_each(|b| hasher.write_u8(b.to_ascii_lowercase()));
        }
        hasher.write_u16(question.qtype);
        hasher.finish()
    }

    /// A resolver's answer with the addresses of a name.
    fn answer(
        &mut self,
        packet: &IdentityPacket<'_>,
        message: &dns::DnsMessage<'_>,
        fingerprint: u64,
    ) {
        let mut walk = message.walk();
        let Ok(question) = walk.question() else { return };
        if self.fingerprint_of(&question) != fingerprint {
            self.unsolicited += 1;
            return;
        }
        let Some(name) = text::host(&question.name) else { return };
        let name = Arc::<str>::from(text::served_host(&name));
        for _ in 0..u32::from(message.answers).min(RECORDS_MAX) {
            let Ok(record) = walk.record() else { break };
            for server in record.data.addresses() {
                let (asker, name) = (packet.to, Arc::clone(&name));
                let what = Statement::Name { asker, name, server: packet.place(server) };
                self.add(packet.time, what);
            }
        }
    }

    /// A host announces its own name over mDNS or LLMNR.
    fn announcement(&mut self, packet: &IdentityPacket<'_>) {
        let Ok(message) = dns::DnsMessage::parse(packet.payload) else { return };
        if !message.is_response() {
            return;
        }
        let mut walk = message.walk();
        for _ in 0..message.questions {
            if walk.question().is_err() {
                return;
            }
        }
        let records = (u32::from(message.answers) + message.others).min(RECORDS_MAX);
        for _ in 0..records {
            let Ok(record) = walk.record() else { return };
            if record.data.address() == Some(packet.from) {
                let by = if packet.ports.0 == 5355 { "llmnr" } else { "mdns" };
                return self.add_host(packet, text::host(&record.name).as_deref(), by);
            }
        }
    }

    /// A host registers its NetBIOS name, or lists its names.
    fn netbios(&mut self, packet: &IdentityPacket<'_>) {
        let Ok(message) = nbns::NbnsMessage::parse(packet.payload) else { return };
        let own = match message.kind {
            nbns::Kind::Registration | nbns::Kind::Refresh => {
                let is_its = message.addresses().any(|addr| Addr::from(addr) == packet.from);
                (is_its && !message.is_group()).then_some(message.name)
            }
            nbns::Kind::StatusResponse => message
                .node_names()
                .find(|(name, group)| !group && name.is_machine())
                .map(|(n, _)| n),
            _ => None,
        };
        let name = own.filter(nbns::Name::is_machine).and_then(|name| text::word(name.text()));
        self.add_host(packet, name.as_deref(), "nbns");
    }

    fn add_host(&mut self, packet: &IdentityPacket<'_>, name: Option<&str>, by: &'static str) {
        let Some(host) = name.and_then(text::device).map(Arc::<str>::from) else { return };
        if let Some(mac) = packet.mac {
            let host = Arc::clone(&host);
            self.add(packet.time, Statement::Called { mac, host, by, twice: false });
        }
        let facts = HolderFacts { mac: packet.mac, host: Some(host), by, ..HolderFacts::default() };
        self.add(packet.time, Statement::Holds(packet.place(packet.from), facts));
    }

    /// The name with which a device was granted a lease, if both are known.
    fn set_host(
        &mut self,
        (mac, granted): (Option<[u8; 6]>, Granted),
        by: &'static str,
        at: Nanos,
    ) {
        if let (Some(mac), Granted { host: Some(host), twice }) = (mac, granted) {
            self.add(at, Statement::Called { mac, host, by, twice });
        }
    }

    /// A client sends its name and requests an address; a server assigns one.
    fn dhcp(&mut self, packet: &IdentityPacket<'_>) {
        let Ok(message) = dhcp::DhcpMessage::parse(packet.payload) else { return };
        let at = packet.time;
        let mac = message.mac;
        if let (false, dhcp::Kind::Release, Some(client)) =
            (message.from_server, message.kind, message.client)
        {
            // Only a device that is named can be compared with the holder.
            if mac.is_some() {
                self.add(at, Statement::Released(packet.place(Addr::from(client)), mac));
            }
            return;
        }
        let host = message
            .host_name
            .and_then(text::word)
            .or_else(|| text::joined(message.domain_name?.labels()))
            .and_then(|name| text::device(&name))
            .map(Arc::<str>::from);
        let transaction = (packet.point, message.transaction, mac);
        if !message.from_server {
            // RFC 4039 commits in the first round trip: any client message opens a transaction.
            return self.leases.ask(transaction, (host, message.kind.number()), at);
        }
        let Some((address, seconds)) = message.binding() else { return };
        match self.leases.grant(&transaction, host, at) {
            Ok(granted) => self.set_host((mac, granted), "dhcp", at),
            Err(known) => return self.unsolicited += u64::from(!known),
        }
        let lasts = Some(Nanos::from_secs(u64::from(seconds)));
        let facts = HolderFacts { mac, by: "dhcp", lasts, ..HolderFacts::default() };
        self.lease(packet.place(Addr::from(address)), facts, at);
    }

    /// The same for IPv6 (RFC 8415, RFC 4704).
    fn dhcp6(&mut self, packet: &IdentityPacket<'_>) {
        let Ok(message) = dhcp6::Dhcp6Message::parse(packet.payload) else { return };
        let (at, mac) = (packet.time, message.mac());
        let client = self.hash_state.hash_one(message.client_id);
        let transaction = (packet.point, message.transaction, client);
        let host = message
            .domain_name
            .and_then(|name| text::joined(name.labels()))
            .and_then(|name| text::device(&name))
            .map(Arc::<str>::from);
        if message.is_clients() {
            return self.leases6.ask(transaction, (host, message.kind as u8), at);
        }
        if !message.is_binding() {
            return;
        }
        match self.leases6.grant(&transaction, host, at) {
            Ok(granted) => self.set_host((mac, granted), "dhcpv6", at),
            Err(known) => return self.unsolicited += u64::from(!known),
        }
        for lease in message.leases().take(RECORDS_MAX as usize) {
            let lasts = Some(Nanos::from_secs(u64::from(lease.valid)));
            let facts = HolderFacts { mac, by: "dhcpv6", lasts, ..HolderFacts::default() };
            self.lease(packet.place(Addr::from(lease.address)), facts, at);
        }
    }

    /// An access server reports which user has which address, and from where (RFC 2866); the
    /// accounting server confirms it only to a client that knows the shared secret (RFC 2866
    /// section 3).
    fn accounting(&mut self, packet: &IdentityPacket<'_>) {
        let Ok(message) = radius::Packet::parse(packet.payload) else { return };
        let number = u16::from(message.identifier);
        match message.code {
            radius::Code::AccountingRequest => {
                let (place, port, server) = packet.asking();
                let bindings = report(packet, &message);
                self.reports.ask((place, port, server, number), bindings, packet.time);
            }
            radius::Code::AccountingResponse => {
                let (place, port, server) = packet.asked();
                let (key, time) = ((place, port, server, number), packet.time);
                self.unsolicited += u64::from(packet.for_home && !self.reports.knows(&key, time));
                let bindings = self.reports.answer(&key, time);
                self.bindings.extend(bindings.unwrap_or_default());
            }
            _ => {}
        }
    }
}

/// The bindings of an accounting report.
fn report(packet: &IdentityPacket<'_>, message: &radius::Packet<'_>) -> Vec<Binding> {
    let remote = message.calling_station.and_then(text::word);
    let mac = remote.as_deref().and_then(parse_mac);
    let outer = message.tunnel_client.and_then(text::word).or(remote);
    let outer = outer.and_then(|text| text.parse::<std::net::IpAddr>().ok());
    let framed = message.framed_ip.map(Addr::from).or(message.framed_ipv6.map(Addr::from));
    let ends = message.status == Some(radius::Status::Stop);
    let user = message.user_name.and_then(text::word).map(Arc::<str>::from);
    let at = |what| Binding { at: packet.time, what, doubtful: false };
    let mut bindings = Vec::new();
    // The inner address is the device's; the outer one is a home router's, so it has no MAC.
    let outer = outer.map(Addr::from);
    for (addr, mac, from) in [(framed, mac, outer), (outer, None, None)] {
        let Some(addr) = addr else { continue };
        let place = packet.place(addr);
        if ends {
            bindings.push(at(Statement::Released(place, None)));
        } else if user.is_some() {
            let (user, lasts) = (user.clone(), Some(RADIUS_LEASE));
            let facts = HolderFacts { mac, host: None, user, from, by: "radius", lasts };
            bindings.push(at(Statement::Leased(place, facts)));
        }
    }
    bindings
}

/// The question of a message, if it asks for an address.
fn asks_for_address<'m>(message: &dns::DnsMessage<'m>) -> Option<dns::Question<'m>> {
    let question = message.walk().question().ok()?;
    ADDRESS_TYPES.contains(&question.qtype).then_some(question)
}
