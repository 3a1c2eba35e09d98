//! The protocols that are recognised from payload.
//!
//! Owns: their words. In: evidence names one. Out: `network.protocol`. Never: a guess by port.

/// A protocol recognised from payload (`network.protocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TLS over TCP.
    Tls,
    /// DTLS.
    Dtls,
    /// QUIC.
    Quic,
    /// SSH.
    Ssh,
    /// DNS.
    Dns,
    /// HTTP/1.x.
    Http,
    /// IKE, either version, on its own port or beside ESP.
    Ike,
    /// WireGuard.
    Wireguard,
    /// OpenVPN over UDP or TCP.
    Openvpn,
    /// HTTP/1.x with a CONNECT request.
    HttpConnect,
    /// SOCKS, versions 4, 4A and 5.
    Socks,
    /// RDP.
    Rdp,
    /// RFB (VNC).
    Rfb,
    /// STUN or TURN, if no other protocol is recognised behind it.
    Stun,
    /// Multicast DNS (RFC 6762).
    Mdns,
    /// Link-local multicast name resolution (RFC 4795).
    Llmnr,
    /// NetBIOS name service (RFC 1002).
    Nbns,
    /// DHCP (RFC 2131).
    Dhcp,
    /// DHCPv6 (RFC 8415).
    Dhcpv6,
    /// RADIUS.
    Radius,
    /// Kerberos, version 5.
    Kerberos,
    /// DNSCrypt, version 2.
    Dnscrypt,
    /// L2TP, version 2 or 3: its control messages, or IP protocol 115.
    L2tp,
    /// ESP: IP protocol 50, or in UDP where no IKE was seen in the session.
    Esp,
    /// AH: IP protocol 51.
    Ah,
    /// Tailscale's path discovery (disco).
    Tailscale,
    /// ZeroTier.
    Zerotier,
    /// SoftEther VPN's NAT traversal.
    Softether,
    /// Telnet.
    Telnet,
    /// The control channel of PPTP.
    Pptp,
    /// SSTP in clear: behind a proxy that terminates TLS.
    Sstp,
    /// SMB, any version, over TCP.
    Smb,
    /// LDAP over TCP.
    Ldap,
    /// WebSocket in clear.
    Websocket,
    /// HTTP/2 in clear.
    Http2,
    /// BGP.
    Bgp,
    /// SMTP, before STARTTLS at least.
    Smtp,
    /// IMAP, before STARTTLS at least.
    Imap,
    /// POP3, before STLS at least.
    Pop3,
    /// The control channel of FTP.
    Ftp,
    /// MySQL.
    Mysql,
    /// PostgreSQL.
    Postgresql,
    /// MQTT.
    Mqtt,
    /// AMQP.
    Amqp,
    /// The meta-protocol of tinc.
    Tinc,
}

impl Protocol {
    /// Every one.
    pub const ALL: &'static [Protocol] = &[
        Protocol::Tls,
        Protocol::Dtls,
        Protocol::Quic,
        Protocol::Ssh,
        Protocol::Dns,
        Protocol::Http,
        Protocol::Ike,
        Protocol::Wireguard,
        Protocol::Openvpn,
        Protocol::HttpConnect,
        Protocol::Socks,
        Protocol::Rdp,
        Protocol::Rfb,
        Protocol::Stun,
        Protocol::Mdns,
        Protocol::Llmnr,
        Protocol::Nbns,
        Protocol::Dhcp,
        Protocol::Dhcpv6,
        Protocol::Radius,
        Protocol::Kerberos,
        Protocol::Dnscrypt,
        Protocol::L2tp,
        Protocol::Esp,
        Protocol::Ah,
        Protocol::Tailscale,
        Protocol::Zerotier,
        Protocol::Softether,
        Protocol::Telnet,
        Protocol::Pptp,
        Protocol::Sstp,
        Protocol::Smb,
        Protocol::Ldap,
        Protocol::Websocket,
        Protocol::Http2,
        Protocol::Bgp,
        Protocol::Smtp,
        Protocol::Imap,
        Protocol::Pop3,
        Protocol::Ftp,
        Protocol::Mysql,
        Protocol::Postgresql,
        Protocol::Mqtt,
        Protocol::Amqp,
        Protocol::Tinc,
    ];

    /// The ECS word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Protocol::Tls => "tls",
            Protocol::Dtls => "dtls",
            Protocol::Quic => "quic",
            Protocol::Ssh => "ssh",
            Protocol::Dns => "dns",
            Protocol::Http => "http",
            Protocol::Ike => "ike",
            Protocol::Wireguard => "wireguard",
            Protocol::Openvpn => "openvpn",
            Protocol::HttpConnect => "http-connect",
            Protocol::Socks => "socks",
            Protocol::Rdp => "rdp",
            Protocol::Rfb => "rfb",
            Protocol::Stun => "stun",
            Protocol::Mdns => "mdns",
            Protocol::Llmnr => "llmnr",
            Protocol::Nbns => "nbns",
            Protocol::Dhcp => "dhcp",
            Protocol::Dhcpv6 => "dhcpv6",
            Protocol::Radius => "radius",
            Protocol::Kerberos => "kerberos",
            Protocol::Dnscrypt => "dnscrypt",
            Protocol::L2tp => "l2tp",
            Protocol::Esp => "esp",
            Protocol::Ah => "ah",
            Protocol::Tailscale => "tailscale",
            Protocol::Zerotier => "zerotier",
            Protocol::Softether => "softether",
            Protocol::Telnet => "telnet",
            Protocol::Pptp => "pptp",
            Protocol::Sstp => "sstp",
            Protocol::Smb => "smb",
            Protocol::Ldap => "ldap",
            Protocol::Websocket => "websocket",
            Protocol::Http2 => "http2",
            Protocol::Bgp => "bgp",
            Protocol::Smtp => "smtp",
            Protocol::Imap => "imap",
            Protocol::Pop3 => "pop3",
            Protocol::Ftp => "ftp",
            Protocol::Mysql => "mysql",
            Protocol::Postgresql => "postgresql",
            Protocol::Mqtt => "mqtt",
            Protocol::Amqp => "amqp",
            Protocol::Tinc => "tinc",
        }
    }
}
