//! What one overheard packet says.
//!
//! Owns: how each protocol names a holder. In: a packet. Out: bindings. Never: believes what a
//! host says of another, but for the servers whose office it is.

use std::sync::Arc;

use crate::identity::Identity;
use crate::identity::Place;
use crate::identity::holders::Heard;
use crate::identity::overheard::SMB;
use crate::identity::text;
use crate::model::Addr;
use crate::model::Heading;
use crate::model::Nanos;
use crate::model::Packet;
use crate::model::PacketFlags;
use crate::model::Transport;
use crate::model::addr::parse_mac;
use crate::wire::dhcp;
use crate::wire::dhcp6;
use crate::wire::dns;
use crate::wire::dns_data::RData;
use crate::wire::kerberos;
use crate::wire::nbns;
use crate::wire::radius;

/// A network without a RADIUS accounting stop is asked again within a day.
const RADIUS_LASTS: Nanos = Nanos::from_secs(24 * 3600);
/// Address records of one message that are looked at: answers of content networks have up to 16,
/// an mDNS responder one for each of its addresses.
const RECORDS_MAX: u32 = 64;

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
}

impl<'a> Passing<'a> {
    fn of(packet: &Packet, frame: &'a [u8]) -> Passing<'a> {
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
        Passing { point, from: from.0, to: to.0, ports: (from.1, to.1), payload, mac, time }
    }

    const fn place(&self, addr: Addr) -> Place {
        (self.point, addr)
    }
}

impl Identity {
    /// Takes what a packet says. Says how many addresses were forgotten for it.
    pub fn hear(&mut self, packet: &Packet, frame: &[u8]) -> usize {
        if packet.key.version == 0 {
            return self.knock(packet, frame);
        }
        let passing = Passing::of(packet, frame);
        let (from, to) = passing.ports;
        if packet.key.transport == Transport::TCP {
            return self.login(&passing);
        }
        match (from, to) {
            (88, _) | (_, 88) => self.kerberos(&passing, passing.payload),
            (53, _) => self.answer(&passing),
            (67 | 68, 67 | 68) => self.dhcp(&passing),
            (546 | 547, 546 | 547) => self.dhcp6(&passing),
            (137, _) => self.netbios(&passing),
            (5353 | 5355, _) => self.announcement(&passing),
            (_, 1646 | 1813) => self.accounting(&passing),
            _ => 0,
        }
    }

    /// Somebody at a port that wants to know who they are.
    fn knock(&mut self, packet: &Packet, frame: &[u8]) -> usize {
        let mac = |at: usize| frame.get(at..at + 6).and_then(|mac| mac.try_into().ok());
        let (Some(to), Some(from)) = (mac(0), mac(6)) else { return 0 };
        self.doors.hear((from, to), packet.payload(frame), packet.time)
    }

    /// An address was given to a device: with it goes who came in with that.
    fn lease(&mut self, place: Place, heard: Heard, at: Nanos) -> usize {
        let inside = heard.mac.and_then(|mac| self.doors.behind(mac, at)).cloned();
        let dropped = self.holders.lease(place, heard, at);
        let Some(name) = inside else { return dropped };
        let mut heard = Heard { by: "802.1x", ..Heard::default() };
        // The form of a device's own certificate on Windows: host/pc7.corp.example.
        match name.strip_prefix("host/") {
            Some(device) => heard.host = text::device(device).map(Arc::from),
            None => heard.user = Some(name),
        }
        dropped + self.holders.hear(place, &heard, at)
    }

    /// A stream's first segment: Kerberos stands behind its length, SMB behind its own.
    fn login(&mut self, passing: &Passing<'_>) -> usize {
        match passing.ports {
            (88, _) | (_, 88) => {
                self.kerberos(passing, passing.payload.get(4..).unwrap_or_default())
            }
            (from, _) if SMB.contains(&from) => {
                let client = (passing.place(passing.to), passing.ports.1);
                let heard = self.logins.answer_smb(client, passing.payload);
                self.let_in(client.0, heard, passing.time)
            }
            (port, _) => {
                self.logins.ask_smb((passing.place(passing.from), port), passing.payload);
                0
            }
        }
    }

    fn kerberos(&mut self, passing: &Passing<'_>, message: &[u8]) -> usize {
        if passing.ports.0 == 88 {
            let client = (passing.place(passing.to), passing.ports.1);
            let heard = self.logins.answer_kerberos(client, message);
            return self.let_in(client.0, heard, passing.time);
        }
        if let Ok(request) = kerberos::Message::parse(message) {
            let client = (passing.place(passing.from), passing.ports.0);
            self.logins.ask_kerberos(client, &request);
        }
        0
    }

    fn let_in(&mut self, client: Place, heard: Option<Heard>, at: Nanos) -> usize {
        heard.map_or(0, |heard| self.holders.hear(client, &heard, at))
    }

    /// A resolver tells a client where a name is.
    fn answer(&mut self, passing: &Passing<'_>) -> usize {
        let Ok(message) = dns::Message::parse(passing.payload) else { return 0 };
        let answers = message.is_response() && message.rcode() == 0 && message.questions == 1;
        let mut walk = message.walk();
        let (true, Ok(question)) = (answers && message.answers > 0, walk.question()) else {
            return 0;
        };
        let Some(name) = text::host(&question.name) else { return 0 };
        let name = Arc::<str>::from(served_host(&name));
        let mut dropped = 0;
        for _ in 0..u32::from(message.answers).min(RECORDS_MAX) {
            let Ok(record) = walk.record() else { break };
            for server in record.data.addresses() {
                let place = passing.place(server);
                dropped += self.names.tell(passing.to, &name, place, passing.time);
            }
        }
        dropped
    }

    /// A host says over mDNS or LLMNR that a name is its own.
    fn announcement(&mut self, passing: &Passing<'_>) -> usize {
        let Ok(message) = dns::Message::parse(passing.payload) else { return 0 };
        if !message.is_response() {
            return 0;
        }
        let mut walk = message.walk();
        for _ in 0..message.questions {
            if walk.question().is_err() {
                return 0;
            }
        }
        let records = (u32::from(message.answers) + message.others).min(RECORDS_MAX);
        for _ in 0..records {
            let Ok(record) = walk.record() else { return 0 };
            if address(&record.data) == Some(passing.from) {
                let by = if passing.ports.0 == 5355 { "llmnr" } else { "mdns" };
                return self.named(passing, text::host(&record.name).as_deref(), by);
            }
        }
        0
    }

    /// A host registers its NetBIOS name, or says what its names are.
    fn netbios(&mut self, passing: &Passing<'_>) -> usize {
        let Ok(message) = nbns::Message::parse(passing.payload) else { return 0 };
        let own = match message.kind {
            nbns::Kind::Registration | nbns::Kind::Refresh => {
                let is_its = message.addresses().any(|addr| Addr::from(addr) == passing.from);
                (is_its && !message.is_group()).then_some(message.name)
            }
            nbns::Kind::StatusResponse => message
                .node_names()
                .find(|(name, group)| !group && is_machine(name))
                .map(|(n, _)| n),
            _ => None,
        };
        let name = own.filter(is_machine).and_then(|name| text::word(name.text()));
        self.named(passing, name.as_deref(), "nbns")
    }

    fn named(&mut self, passing: &Passing<'_>, name: Option<&str>, by: &'static str) -> usize {
        let Some(host) = name.and_then(text::device).map(Arc::<str>::from) else { return 0 };
        let called = passing.mac.map_or(0, |mac| self.holders.call(mac, Arc::clone(&host)));
        let heard = Heard { mac: passing.mac, host: Some(host), by, ..Heard::default() };
        called + self.holders.hear(passing.place(passing.from), &heard, passing.time)
    }

    /// A client says its name; a server gives it an address.
    fn dhcp(&mut self, passing: &Passing<'_>) -> usize {
        let Ok(message) = dhcp::Message::parse(passing.payload) else { return 0 };
        let host = message
            .host_name
            .and_then(text::word)
            .or_else(|| text::joined(message.domain_name?.labels()))
            .and_then(|name| text::device(&name))
            .map(Arc::<str>::from);
        if !message.from_server {
            if let (dhcp::Kind::Release, Some(client)) = (message.kind, message.client) {
                self.holders.release(passing.place(Addr::from(client)), passing.time);
                return 0;
            }
            let (Some(mac), Some(host)) = (message.mac, host) else { return 0 };
            return self.holders.call(mac, host);
        }
        let Some((address, seconds)) = message.binding() else { return 0 };
        let lasts = Some(Nanos::from_secs(u64::from(seconds)));
        // The server repeats the client's name, or gives the one that it has for it.
        let heard = Heard { mac: message.mac, host: None, user: None, by: "dhcp", lasts };
        let place = passing.place(Addr::from(address));
        let named = match (message.mac, host) {
            (Some(mac), Some(host)) => self.holders.call(mac, host),
            _ => 0,
        };
        named + self.lease(place, heard, passing.time)
    }

    /// The same for IPv6 (RFC 8415, RFC 4704).
    fn dhcp6(&mut self, passing: &Passing<'_>) -> usize {
        let Ok(message) = dhcp6::Message::parse(passing.payload) else { return 0 };
        let host = message
            .domain_name
            .and_then(|name| text::joined(name.labels()))
            .and_then(|name| text::device(&name))
            .map(Arc::<str>::from);
        let mac = message.mac();
        let mut dropped = match (mac, host) {
            (Some(mac), Some(host)) => self.holders.call(mac, host),
            _ => 0,
        };
        if message.is_binding() {
            for lease in message.leases().take(RECORDS_MAX as usize) {
                let lasts = Some(Nanos::from_secs(u64::from(lease.valid)));
                let heard = Heard { mac, host: None, user: None, by: "dhcpv6", lasts };
                let place = passing.place(Addr::from(lease.address));
                dropped += self.lease(place, heard, passing.time);
            }
        }
        dropped
    }

    /// An access server says who got which address, and from where (RFC 2866).
    fn accounting(&mut self, passing: &Passing<'_>) -> usize {
        let Ok(packet) = radius::Packet::parse(passing.payload) else { return 0 };
        let radius::Code::AccountingRequest = packet.code else { return 0 };
        let remote = packet.calling_station.and_then(text::word);
        let mac = remote.as_deref().and_then(parse_mac);
        let outside = packet.tunnel_client.and_then(text::word).or(remote);
        let outside = outside.and_then(|text| text.parse::<std::net::IpAddr>().ok());
        let framed = packet.framed_ip.map(Addr::from).or(packet.framed_ipv6.map(Addr::from));
        let ends = packet.status == Some(radius::Status::Stop);
        let user = packet.user_name.and_then(text::word).map(Arc::<str>::from);
        let mut dropped = 0;
        // The inner address is the device's; the outer one a home's, where a router has the MAC.
        let places = [(framed, mac), (outside.map(Addr::from), None)];
        for (addr, mac) in places {
            let Some(addr) = addr else { continue };
            let place = passing.place(addr);
            if ends {
                self.holders.release(place, passing.time);
            } else if user.is_some() {
                let (user, lasts) = (user.clone(), Some(RADIUS_LASTS));
                let heard = Heard { mac, host: None, user, by: "radius", lasts };
                dropped += self.holders.lease(place, heard, passing.time);
            }
        }
        dropped
    }
}

/// A workstation's or a server's own name, not a service's (RFC 1001 section 14, [MS-NBTE] 1.8).
const fn is_machine(name: &nbns::Name) -> bool {
    matches!(name.suffix, 0x00 | 0x20)
}

/// The host that a question for a service names: SVCB puts port and scheme before it, each behind
/// an underscore (RFC 9460 section 2.3).
fn served_host(name: &str) -> &str {
    let mut rest = name;
    while let Some((_, host)) = rest.strip_prefix('_').and_then(|label| label.split_once('.')) {
        rest = host;
    }
    rest
}

fn address(data: &RData<'_>) -> Option<Addr> {
    match data {
        RData::V4(octets) => Some(Addr::v4(*octets)),
        RData::V6(octets) => Some(Addr::v6(*octets)),
        _ => None,
    }
}
