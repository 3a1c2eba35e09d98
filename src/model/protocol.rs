//! The protocols that payload can tell.
//!
//! Owns: their words. In: evidence names one. Out: `network.protocol`. Never: a port's guess.

/// A protocol told from payload (`network.protocol`).
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
    /// STUN or TURN, where nothing else is told behind it.
    Stun,
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
        }
    }
}
