//! The evidence for each protocol, and its specification.
//!
//! Owns: one line per protocol, for people. In: a protocol. Out: what its observer looks for.
//! Never: anything that evidence does not check.

use crate::model::protocol::Protocol;

/// The evidence for a protocol, and its source.
#[allow(clippy::too_many_lines, reason = "a table: a row a protocol")]
#[rustfmt::skip]
pub const fn recognised_by(protocol: Protocol) -> (&'static str, &'static str) {
    match protocol {
        Protocol::Tls => (
            "hello records of either side, on any port; behind CONNECT, SOCKS, STARTTLS and \
             PROXY headers too",
            "RFC 5246, RFC 8446",
        ),
        Protocol::Dtls => (
            "handshake records, on any port; also the form before RFC 4347",
            "RFC 6347, RFC 9147",
        ),
        Protocol::Quic => (
            "long headers; Initial packets of versions 1 and 2 decrypted",
            "RFC 9000, RFC 9001, RFC 9369",
        ),
        Protocol::Ssh => ("identification strings and KEXINIT", "RFC 4253"),
        Protocol::Dns => (
            "messages on port 53 or 5353, or plain ones on any port; over TCP behind their \
             length",
            "RFC 1035",
        ),
        Protocol::Http => ("request and response heads; SSDP over UDP", "RFC 9112"),
        Protocol::Ike => (
            "headers of both versions, on ports 500 and 4500 or by their form",
            "RFC 2408, RFC 7296",
        ),
        Protocol::Wireguard => (
            "an initiation and the response that names its index; else transport messages of both \
             sides that count up",
            "WireGuard whitepaper, section 5.4",
        ),
        Protocol::Openvpn => (
            "hard resets of both sides, over UDP and TCP; under the scramble patch by what \
             both have in common",
            "OpenVPN protocol (openvpn-rfc draft)",
        ),
        Protocol::HttpConnect => ("a request head with CONNECT", "RFC 9110 section 9.3.6"),
        Protocol::Socks => (
            "a greeting and its answer, or a version 4 request and its reply",
            "RFC 1928, SOCKS 4 and 4A memoranda",
        ),
        Protocol::Rdp => (
            "X.224 connection request or confirm with cookie or negotiation; RDPEUDP SYN on \
             port 3389",
            "MS-RDPBCGR, MS-RDPEUDP",
        ),
        Protocol::Rfb => ("the version line", "RFC 6143 section 7.1.1"),
        Protocol::Stun => (
            "the magic cookie, unless the data shows another protocol",
            "RFC 8489, RFC 8656",
        ),
        Protocol::Mdns => ("messages on port 5353", "RFC 6762"),
        Protocol::Llmnr => ("messages on port 5355", "RFC 4795"),
        Protocol::Nbns => ("messages on port 137", "RFC 1002"),
        Protocol::Dhcp => ("messages with the magic cookie on ports 67 and 68", "RFC 2131"),
        Protocol::Dhcpv6 => ("messages whose options fill them, on ports 546 and 547", "RFC 8415"),
        Protocol::Radius => (
            "packets whose attributes fill their length, on its ports",
            "RFC 2865, RFC 2866",
        ),
        Protocol::Kerberos => (
            "messages with their tag, version and type, over UDP on port 88 or TCP",
            "RFC 4120",
        ),
        Protocol::Dnscrypt => (
            "the magic of a resolver's answer",
            "DNSCrypt version 2 specification",
        ),
        Protocol::L2tp => (
            "control messages on port 1701 or IP protocol 115",
            "RFC 2661, RFC 3931",
        ),
        Protocol::Esp => (
            "IP protocol 50; on port 4500 two packets that count up under one SPI",
            "RFC 4303, RFC 3948",
        ),
        Protocol::Ah => ("IP protocol 51, where nothing inside is followed", "RFC 4302"),
        Protocol::Tailscale => (
            "the magic of a disco message",
            "Tailscale's source, package disco",
        ),
        Protocol::Zerotier => (
            "a HELLO; on port 9993 two packets that answer each other",
            "ZeroTier protocol design",
        ),
        Protocol::Softether => ("an answer of its NAT traversal service", "SoftEther VPN's source"),
        Protocol::Telnet => ("option negotiation of both sides", "RFC 854"),
        Protocol::Pptp => ("the magic cookie of a control message", "RFC 2637"),
        Protocol::Sstp => ("its request head in clear", "MS-SSTP"),
        Protocol::Smb => ("headers of versions 1 to 3 behind their length", "MS-CIFS, MS-SMB2"),
        Protocol::Ldap => ("messages of version 3", "RFC 4511"),
        Protocol::Websocket => ("an accepted upgrade; frames of text of both sides", "RFC 6455"),
        Protocol::Http2 => ("the client's preface", "RFC 9113 section 3.4"),
        Protocol::Bgp => ("the marker of a message", "RFC 4271 section 4.1"),
        Protocol::Smtp => ("a greeting and a command", "RFC 5321"),
        Protocol::Imap => ("a greeting and a command", "RFC 9051"),
        Protocol::Pop3 => ("a greeting and a command", "RFC 1939"),
        Protocol::Ftp => ("a greeting and a command", "RFC 959"),
        Protocol::Mysql => ("a server's greeting of protocol 10", "MySQL source documentation"),
        Protocol::Postgresql => ("a start-up message", "PostgreSQL 17 documentation, section 54.7"),
        Protocol::Mqtt => ("a CONNECT packet", "OASIS MQTT 3.1.1"),
        Protocol::Amqp => ("a protocol header", "AMQP 0-9-1, OASIS AMQP 1.0"),
        Protocol::Tinc => ("the first lines of both sides", "tinc manual, \"The meta-protocol\""),
    }
}
