//! Fuzz bodies of the parsers that say who had which address.

use longhaul::decode::DecodeConfig;
use longhaul::decode::Decoder;
use longhaul::identity::Identity;
use longhaul::identity::Listener;
use longhaul::identity::When;
use longhaul::identity::has_identity_data;
use longhaul::model::Frame;
use longhaul::model::LinkType;
use longhaul::model::Nanos;
use longhaul::wire;

/// DHCP of both versions.
pub fn dhcp(data: &[u8]) {
    if let Ok(message) = wire::dhcp::DhcpMessage::parse(data) {
        let labels = message.domain_name.map_or(0, |name| name.labels().count());
        assert!(labels <= 255 && message.binding().is_none_or(|_| message.from_server));
    }
    if let Ok(message) = wire::dhcp6::Dhcp6Message::parse(data) {
        assert!(message.leases().all(|lease| lease.preferred <= lease.valid));
        let labels = message.domain_name.map_or(0, |name| name.labels().count());
        assert!(labels <= data.len());
        let _ = message.mac();
    }
}

/// NetBIOS names.
pub fn nbns(data: &[u8]) {
    if let Ok(message) = wire::nbns::NbnsMessage::parse(data) {
        assert!(message.name.text().len() <= 15);
        assert!(message.addresses().count() <= data.len() / 6);
        assert!(message.node_names().count() <= data.len() / 18);
        let _ = (message.node_mac(), message.is_group());
    }
}

/// RADIUS.
pub fn radius(data: &[u8]) {
    if let Ok(packet) = wire::radius::Packet::parse(data) {
        assert!(packet.framed_prefix.is_none_or(|(_, length)| length <= 128));
        assert!(packet.user_name.is_none_or(|name| name.len() <= 253));
    }
}

/// EAP, in its frame and alone.
pub fn eap(data: &[u8]) {
    let _ = wire::eap::Frame::parse(data);
    if let Ok(packet) = wire::eap::Packet::parse(data) {
        assert!(packet.identity().is_none_or(|name| name.len() < data.len()));
    }
}

/// ARP.
pub fn arp(data: &[u8]) {
    if let Ok(packet) = wire::arp::ArpPacket::parse(data) {
        assert!(data.len() >= 18 && data.get(8..14) == Some(&packet.sender));
    }
}

/// Kerberos, as a datagram and in a stream.
pub fn kerberos(data: &[u8]) {
    use wire::kerberos::KerberosMessage;
    let streamed = KerberosMessage::parse_stream(data).map(|(message, size)| {
        assert!(size <= data.len());
        message
    });
    for message in [KerberosMessage::parse(data), streamed].into_iter().flatten() {
        assert!(message.addresses().count() <= 8);
        for name in [message.client, message.service].into_iter().flatten() {
            assert!(name.parts().count() <= 8);
        }
    }
}

/// NTLM, where it stands and somewhere inside.
pub fn ntlm(data: &[u8]) {
    use wire::ntlm::NtlmMessage;
    let found = NtlmMessage::locate(data).map(NtlmMessage::parse);
    for message in [Some(NtlmMessage::parse(data)), found].into_iter().flatten().flatten() {
        let NtlmMessage::Authenticate { domain, user, workstation } = message else { continue };
        for text in [domain, user, workstation] {
            assert!(text.to_string().chars().count() <= 255);
        }
    }
}

/// A frame that may say who is behind an address, twice, and what follows from it.
pub fn overheard(data: &[u8]) {
    let (mut decoder, mut identity) = (Decoder::new(DecodeConfig::default()), Identity::new(4));
    let mut listener = Listener::new(4);
    let frame =
        Frame { time: Nanos::ZERO, link: LinkType(1), wire_len: data.len() as u32, bytes: data };
    let Ok(decoded) = decoder.decode_frame(&frame, 0) else { return };
    let packet = decoded.packet;
    if has_identity_data(&packet, data) {
        for _ in 0..2 {
            identity.take(listener.process(&packet, data, |_| true));
        }
        let when = When { start: packet.time, end: packet.time, doubtful: false };
        for addr in [packet.key.a, packet.key.b] {
            let holder = identity.holder_of((0, addr), None, when);
            assert!(holder.is_none_or(|holder| !holder.known_by.is_empty()));
            let _ = identity.name_of(addr, (0, packet.key.b), None, when);
        }
    }
}
