//! What one overheard packet says.
//!
//! Owns: how each protocol names a holder, and what its answers must answer. In: packets in the
//! order of the capture. Out: bindings. Never: believes what a host says of another, but for the
//! servers whose office it is; or an answer that nobody of ours asked for.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::quality::RandomState;

use crate::identity::authentications::Client;
use crate::identity::authentications::Logins;
use crate::identity::classify::DNS;
use crate::identity::classify::is_smb;
use crate::identity::dot1x::Doors;
use crate::identity::open::Open;
use crate::identity::text;
use crate::model::Addr;
use crate::model::Binding;
use crate::model::Heading;
use crate::model::Heard;
use crate::model::Nanos;
use crate::model::Packet;
use crate::model::PacketFlags;
use crate::model::Place;
use crate::model::Statement;
use crate::model::Transport;
use crate::model::Trust;
use crate::model::addr::parse_mac;
use crate::wire::dhcp;
use crate::wire::dhcp6;
use crate::wire::dns;
use crate::wire::dns_data::rtype;
use crate::wire::kerberos;
use crate::wire::nbns;
use crate::wire::radius;

/// A network without a RADIUS accounting stop is asked again within a day.
const RADIUS_LASTS: Nanos = Nanos::from_secs(24 * 3600);
/// Address records of one message that are looked at: answers of content networks have up to 16,
/// an mDNS responder one for each of its addresses.
const RECORDS_MAX: u32 = 64;

/// Questions of one protocol that wait at once.
const QUESTIONS: usize = 65_536;
/// A stub resolver gives up after 5 to 12 s (resolv.conf(5), Windows), a RADIUS client after less.
const ANSWERED_WITHIN: Nanos = Nanos::from_secs(15);
/// A DHCP client waits up to 64 s for an answer (RFC 2131 section 4.1).
const LEASED_WITHIN: Nanos = Nanos::from_secs(64);
/// Questions whose answers hold addresses: A, AAAA, HTTPS and SVCB with their hints, ANY.
const ADDRESS_TYPES: [u16; 5] = [rtype::A, rtype::AAAA, rtype::SVCB, rtype::HTTPS, 255];

/// One packet as this stage looks at it.
#[derive(Clone, Copy)]
struct Passing<'a> {
    point: u16,
    from: Addr,
    to: Addr,
    ports: (u16, u16),
    payload: &'a [u8],
    /// Who sent the frame, where nothing but a switch stands between.
    mac: Option<[u8; 6]>,
    time: Nanos,
    /// The sender is one of ours, the receiver is.
    is_home: bool,
    for_home: bool,
}

impl<'a> Passing<'a> {
    fn of(packet: &Packet, frame: &'a [u8], is_home: impl Fn(Addr) -> bool) -> Passing<'a> {
        let key = &packet.key;
        let (a, b) = ((key.a, key.a_port), (key.b, key.b_port));
        let (from, to) = match packet.heading() {
            Heading::AToB => (a, b),
            Heading::BToA => (b, a),
        };
        let plain =
            packet.flags.has(PacketFlags::ETHERNET) && !packet.flags.has(PacketFlags::TUNNELLED);
        let is_local = plain && frame.first().is_some_and(|octet| octet & 1 == 1);
        let mac = frame.get(6..12).and_then(|mac| mac.try_into().ok()).filter(|_| is_local);
        let (point, payload, time) = (key.point, packet.payload(frame), packet.time);
        let (ports, is_home, for_home) = ((from.1, to.1), is_home(from.0), is_home(to.0));
        Passing { point, from: from.0, to: to.0, ports, payload, mac, time, is_home, for_home }
    }

    const fn place(&self, addr: Addr) -> Place {
        (self.point, addr)
    }

    /// Who asks whom, of a question.
    const fn asking(&self) -> Client {
        (self.place(self.from), self.ports.0, self.to)
    }

    /// Who had asked whom, of an answer.
    const fn asked(&self) -> Client {
        (self.place(self.to), self.ports.1, self.from)
    }
}

/// Who asked which server, from which port, under which number.
type Asked = (Place, u16, Addr, u16);

/// The reader's side: hears what is asked, and gives what is answered.
#[derive(Debug)]
pub struct Listener {
    /// Questions for names: a print of name and type.
    questions: Open<Asked, u64>,
    /// Clients that ask for an address, by transaction.
    leases: Open<(u16, u32, Option<[u8; 6]>), ()>,
    /// The same of DHCPv6, by transaction and a print of the client's identifier.
    leases6: Open<(u16, u32, u64), ()>,
    /// Reports of access servers that nobody has confirmed yet.
    reports: Open<Asked, Vec<Binding>>,
    logins: Logins,
    doors: Doors,
    /// Answers that were not believed because nobody was heard to ask.
    unasked: u64,
    /// What makes the prints.
    prints: RandomState,
    /// Of the packet at hand.
    said: Vec<Binding>,
}

impl Listener {
    /// Nothing heard, and room for so many addresses.
    pub fn new(cap: usize) -> Listener {
        let room = cap.min(QUESTIONS);
        Listener {
            questions: Open::new(room, ANSWERED_WITHIN),
            leases: Open::new(room, LEASED_WITHIN),
            leases6: Open::new(room, LEASED_WITHIN),
            reports: Open::new(room, ANSWERED_WITHIN),
            logins: Logins::new(),
            doors: Doors::new(cap),
            unasked: 0,
            prints: RandomState::default(),
            said: Vec::new(),
        }
    }

    /// Takes what a packet says; `is_home` tells our own addresses. Gives what follows from it.
    pub fn hear(
        &mut self,
        packet: &Packet,
        frame: &[u8],
        is_home: impl Fn(Addr) -> bool,
    ) -> &[Binding] {
        self.said.clear();
        if packet.key.version == 0 {
            self.knock(packet, frame);
        } else {
            let passing = Passing::of(packet, frame, is_home);
            if passing.is_home || passing.ports.0 == DNS {
                self.overhear(&passing, packet.key.transport);
            }
        }
        let doubtful = packet.stamp.trust() == Trust::Doubtful;
        self.said.iter_mut().for_each(|binding| binding.doubtful = doubtful);
        &self.said
    }

    /// Questions given up at the cap although their answer could still have come, and devices
    /// forgotten, since the last call.
    pub fn take_forgotten(&mut self) -> u64 {
        self.questions.take_forgotten()
            + self.leases.take_forgotten()
            + self.leases6.take_forgotten()
            + self.reports.take_forgotten()
            + self.logins.take_forgotten()
            + self.doors.take_forgotten()
    }

    /// Answers that were not believed because nobody was heard to ask, since the last call.
    pub fn take_unasked(&mut self) -> u64 {
        std::mem::take(&mut self.unasked)
    }

    fn overhear(&mut self, passing: &Passing<'_>, transport: Transport) {
        if transport == Transport::TCP {
            return self.login(passing);
        }
        match passing.ports {
            (88, _) | (_, 88) => self.kerberos(passing, passing.payload),
            (DNS, _) | (_, DNS) => self.names(passing),
            (67 | 68, 67 | 68) => self.dhcp(passing),
            (546 | 547, 546 | 547) => self.dhcp6(passing),
            (137, _) => self.netbios(passing),
            (5353 | 5355, _) => self.announcement(passing),
            (_, 1646 | 1813) | (1646 | 1813, _) => self.accounting(passing),
            _ => {}
        }
    }

    fn say(&mut self, at: Nanos, what: Statement) {
        self.said.push(Binding { at, what, doubtful: false });
    }

    /// Somebody at a port that wants to know who they are.
    fn knock(&mut self, packet: &Packet, frame: &[u8]) {
        let mac = |at: usize| frame.get(at..at + 6).and_then(|mac| mac.try_into().ok());
        let (Some(to), Some(from)) = (mac(0), mac(6)) else { return };
        self.doors.hear((from, to), packet.payload(frame), packet.time);
    }

    /// An address was given to a device: with it goes who came in with that.
    fn lease(&mut self, place: Place, heard: Heard, at: Nanos) {
        let inside = heard.mac.and_then(|mac| self.doors.behind(mac, at)).cloned();
        self.say(at, Statement::Leased(place, heard));
        let Some(name) = inside else { return };
        let mut heard = Heard { by: "802.1x", ..Heard::default() };
        // The form of a device's own certificate on Windows: host/pc7.corp.example.
        match name.strip_prefix("host/") {
            Some(device) => heard.host = text::device(device).map(Arc::from),
            None => heard.user = Some(name),
        }
        self.say(at, Statement::Holds(place, heard));
    }

    /// A stream's first segment: Kerberos stands behind its length, SMB behind its own.
    fn login(&mut self, passing: &Passing<'_>) {
        match passing.ports {
            (88, _) | (_, 88) => {
                self.kerberos(passing, passing.payload.get(4..).unwrap_or_default());
            }
            (from, _) if is_smb(from) => {
                let heard = self.logins.answer_smb(&passing.asked(), passing.payload, passing.time);
                self.let_in(passing.place(passing.to), heard, passing.time);
            }
            _ => self.logins.ask_smb(passing.asking(), passing.payload, passing.time),
        }
    }

    fn kerberos(&mut self, passing: &Passing<'_>, message: &[u8]) {
        if passing.ports.0 == 88 {
            let (asked, time) = (passing.asked(), passing.time);
            let unasked = passing.for_home && self.logins.is_unasked(&asked, message, time);
            self.unasked += u64::from(unasked);
            let heard = self.logins.answer_kerberos(&asked, message, time);
            self.let_in(passing.place(passing.to), heard, passing.time);
        } else if let Ok(request) = kerberos::KerberosMessage::parse(message) {
            self.logins.ask_kerberos(passing.asking(), &request, passing.time);
        }
    }

    fn let_in(&mut self, client: Place, heard: Option<Heard>, at: Nanos) {
        if let Some(heard) = heard {
            self.say(at, Statement::Holds(client, heard));
        }
    }

    /// A host of ours asks where a name is, or is told.
    fn names(&mut self, passing: &Passing<'_>) {
        let Ok(message) = dns::DnsMessage::parse(passing.payload) else { return };
        if message.questions != 1 || message.opcode() != 0 {
            return;
        }
        if !message.is_response() {
            if passing.is_home && passing.ports.1 == DNS {
                let (place, port, server) = passing.asking();
                self.ask((place, port, server, message.id), &message, passing.time);
            }
        } else if passing.ports.0 == DNS {
            // Nothing of an answer is read before it is known to have been asked for.
            let (place, port, server) = passing.asked();
            let (key, time) = ((place, port, server, message.id), passing.time);
            let known = self.questions.knows(&key, time);
            let asked = self.questions.answer(&key, time);
            if message.rcode() == 0 && message.answers > 0 {
                match asked {
                    Some(print) => self.answer(passing, &message, print),
                    None if known || !passing.for_home => {}
                    None => self.unasked += u64::from(asks_for_address(&message).is_some()),
                }
            }
        }
    }

    fn ask(&mut self, key: Asked, message: &dns::DnsMessage<'_>, at: Nanos) {
        if let Some(question) = asks_for_address(message) {
            let print = self.print_of(&question);
            self.questions.ask(key, print, at);
        }
    }

    /// A question by its name, without case (a server may fold it, RFC 4343), and its type.
    fn print_of(&self, question: &dns::Question<'_>) -> u64 {
        let mut hasher = self.prints.build_hasher();
        for label in question.name.labels() {
            hasher.write_usize(label.len());
            label.iter().for_each(|b| hasher.write_u8(b.to_ascii_lowercase()));
        }
        hasher.write_u16(question.qtype);
        hasher.finish()
    }

    /// A resolver tells a client where a name is.
    fn answer(&mut self, passing: &Passing<'_>, message: &dns::DnsMessage<'_>, print: u64) {
        let mut walk = message.walk();
        let Ok(question) = walk.question() else { return };
        if self.print_of(&question) != print {
            self.unasked += 1;
            return;
        }
        let Some(name) = text::host(&question.name) else { return };
        let name = Arc::<str>::from(text::served_host(&name));
        for _ in 0..u32::from(message.answers).min(RECORDS_MAX) {
            let Ok(record) = walk.record() else { break };
            for server in record.data.addresses() {
                let (asker, name) = (passing.to, Arc::clone(&name));
                let what = Statement::Name { asker, name, server: passing.place(server) };
                self.say(passing.time, what);
            }
        }
    }

    /// A host says over mDNS or LLMNR that a name is its own.
    fn announcement(&mut self, passing: &Passing<'_>) {
        let Ok(message) = dns::DnsMessage::parse(passing.payload) else { return };
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
            if record.data.address() == Some(passing.from) {
                let by = if passing.ports.0 == 5355 { "llmnr" } else { "mdns" };
                return self.named(passing, text::host(&record.name).as_deref(), by);
            }
        }
    }

    /// A host registers its NetBIOS name, or says what its names are.
    fn netbios(&mut self, passing: &Passing<'_>) {
        let Ok(message) = nbns::NbnsMessage::parse(passing.payload) else { return };
        let own = match message.kind {
            nbns::Kind::Registration | nbns::Kind::Refresh => {
                let is_its = message.addresses().any(|addr| Addr::from(addr) == passing.from);
                (is_its && !message.is_group()).then_some(message.name)
            }
            nbns::Kind::StatusResponse => message
                .node_names()
                .find(|(name, group)| !group && name.is_machine())
                .map(|(n, _)| n),
            _ => None,
        };
        let name = own.filter(nbns::Name::is_machine).and_then(|name| text::word(name.text()));
        self.named(passing, name.as_deref(), "nbns");
    }

    fn named(&mut self, passing: &Passing<'_>, name: Option<&str>, by: &'static str) {
        let Some(host) = name.and_then(text::device).map(Arc::<str>::from) else { return };
        if let Some(mac) = passing.mac {
            let host = Arc::clone(&host);
            self.say(passing.time, Statement::Called { mac, host, by });
        }
        let heard = Heard { mac: passing.mac, host: Some(host), by, ..Heard::default() };
        self.say(passing.time, Statement::Holds(passing.place(passing.from), heard));
    }

    /// A device is called by a name, where both are known.
    fn called(
        &mut self,
        (mac, host): (Option<[u8; 6]>, Option<Arc<str>>),
        by: &'static str,
        at: Nanos,
    ) {
        if let (Some(mac), Some(host)) = (mac, host) {
            self.say(at, Statement::Called { mac, host, by });
        }
    }

    /// A client says its name and asks for an address; a server gives it one.
    fn dhcp(&mut self, passing: &Passing<'_>) {
        let Ok(message) = dhcp::DhcpMessage::parse(passing.payload) else { return };
        let at = passing.time;
        if let (false, dhcp::Kind::Release, Some(client)) =
            (message.from_server, message.kind, message.client)
        {
            return self.say(at, Statement::Released(passing.place(Addr::from(client))));
        }
        let mac = message.mac;
        let host = message
            .host_name
            .and_then(text::word)
            .or_else(|| text::joined(message.domain_name?.labels()))
            .and_then(|name| text::device(&name))
            .map(Arc::<str>::from);
        let transaction = (passing.point, message.transaction, mac);
        if !message.from_server {
            // A client may find out by itself that the address that it had still fits (RFC 4039
            // commits in the first round): any question opens a transaction.
            self.leases.ask(transaction, (), at);
            return self.called((mac, host), "dhcp", at);
        }
        let Some((address, seconds)) = message.binding() else { return };
        let known = self.leases.knows(&transaction, at);
        if self.leases.answer(&transaction, at).is_none() {
            self.unasked += u64::from(!known);
            return;
        }
        // The server repeats the client's name, or gives the one that it has for it.
        self.called((mac, host), "dhcp", at);
        let lasts = Some(Nanos::from_secs(u64::from(seconds)));
        let heard = Heard { mac, host: None, user: None, by: "dhcp", lasts };
        self.lease(passing.place(Addr::from(address)), heard, at);
    }

    /// The same for IPv6 (RFC 8415, RFC 4704).
    fn dhcp6(&mut self, passing: &Passing<'_>) {
        let Ok(message) = dhcp6::Dhcp6Message::parse(passing.payload) else { return };
        let (at, mac) = (passing.time, message.mac());
        let client = self.prints.hash_one(message.client_id);
        let transaction = (passing.point, message.transaction, client);
        if message.is_binding() {
            let known = self.leases6.knows(&transaction, at);
            if self.leases6.answer(&transaction, at).is_none() {
                self.unasked += u64::from(!known);
                return;
            }
        } else if message.is_clients() {
            self.leases6.ask(transaction, (), at);
        }
        let host = message
            .domain_name
            .and_then(|name| text::joined(name.labels()))
            .and_then(|name| text::device(&name))
            .map(Arc::<str>::from);
        self.called((mac, host), "dhcpv6", at);
        if message.is_binding() {
            for lease in message.leases().take(RECORDS_MAX as usize) {
                let lasts = Some(Nanos::from_secs(u64::from(lease.valid)));
                let heard = Heard { mac, host: None, user: None, by: "dhcpv6", lasts };
                self.lease(passing.place(Addr::from(lease.address)), heard, at);
            }
        }
    }

    /// An access server says who got which address, and from where (RFC 2866); the accounting
    /// server confirms it, which it does only for one who knows the secret that both share
    /// (RFC 2866 section 3).
    fn accounting(&mut self, passing: &Passing<'_>) {
        let Ok(packet) = radius::Packet::parse(passing.payload) else { return };
        let number = u16::from(packet.identifier);
        match packet.code {
            radius::Code::AccountingRequest => {
                let (place, port, server) = passing.asking();
                let said = report(passing, &packet);
                self.reports.ask((place, port, server, number), said, passing.time);
            }
            radius::Code::AccountingResponse => {
                let (place, port, server) = passing.asked();
                let (key, time) = ((place, port, server, number), passing.time);
                self.unasked += u64::from(passing.for_home && !self.reports.knows(&key, time));
                let said = self.reports.answer(&key, time);
                self.said.extend(said.unwrap_or_default());
            }
            _ => {}
        }
    }
}

/// What an access server reports.
fn report(passing: &Passing<'_>, packet: &radius::Packet<'_>) -> Vec<Binding> {
    let remote = packet.calling_station.and_then(text::word);
    let mac = remote.as_deref().and_then(parse_mac);
    let outside = packet.tunnel_client.and_then(text::word).or(remote);
    let outside = outside.and_then(|text| text.parse::<std::net::IpAddr>().ok());
    let framed = packet.framed_ip.map(Addr::from).or(packet.framed_ipv6.map(Addr::from));
    let ends = packet.status == Some(radius::Status::Stop);
    let user = packet.user_name.and_then(text::word).map(Arc::<str>::from);
    let at = |what| Binding { at: passing.time, what, doubtful: false };
    let mut said = Vec::new();
    // The inner address is the device's; the outer one a home's, where a router has the MAC.
    for (addr, mac) in [(framed, mac), (outside.map(Addr::from), None)] {
        let Some(addr) = addr else { continue };
        let place = passing.place(addr);
        if ends {
            said.push(at(Statement::Released(place)));
        } else if user.is_some() {
            let (user, lasts) = (user.clone(), Some(RADIUS_LASTS));
            let heard = Heard { mac, host: None, user, by: "radius", lasts };
            said.push(at(Statement::Leased(place, heard)));
        }
    }
    said
}

/// The question of a message that asks for an address.
fn asks_for_address<'m>(message: &dns::DnsMessage<'m>) -> Option<dns::Question<'m>> {
    let question = message.walk().question().ok()?;
    ADDRESS_TYPES.contains(&question.qtype).then_some(question)
}
