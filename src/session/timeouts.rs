//! Timeouts of sessions by class, as data.
//!
//! Owns: the table of spans. In: a class. Out: seconds. Never: a timer (the wheel has those).

/// The timeout class of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// TCP: a SYN, no answer yet.
    TcpOpened,
    /// TCP: both sides send.
    TcpEstablished,
    /// TCP without its handshake.
    TcpHalf,
    /// TCP: FIN from both sides, each acknowledged, or refused: kept for a moment so that late
    /// packets do not open a new session.
    TcpClosed,
    /// TCP: RST, or FIN from both ends but not both acknowledged: it may continue, if the end was
    /// forged.
    TcpEnding,
    /// The same, by a segment that looks forged.
    TcpDoubted,
    /// UDP, one side.
    UdpOpened,
    /// UDP, both sides.
    UdpEstablished,
    /// ICMP and everything else.
    Other,
}

/// Seconds of idling after which a session of each class ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// See [`Class::TcpOpened`]. Linux spaces its last SYN retransmissions up to 64 s apart
    /// (tcp_syn_retries 6), so a shorter span would split one attempt into two sessions.
    pub tcp_opened: u32,
    /// See [`Class::TcpEstablished`]. Idle SSH sessions are exactly what this sensor looks for.
    pub tcp_established: u32,
    /// See [`Class::TcpHalf`].
    pub tcp_half: u32,
    /// See [`Class::TcpClosed`].
    pub tcp_closed: u32,
    /// See [`Class::TcpEnding`]. An interactive session rarely pauses longer.
    pub tcp_ending: u32,
    /// See [`Class::TcpDoubted`].
    pub tcp_doubted: u32,
    /// See [`Class::UdpOpened`].
    pub udp_opened: u32,
    /// See [`Class::UdpEstablished`]. RFC 4787 REQ-5 asks NATs for at least two minutes.
    pub udp_established: u32,
    /// See [`Class::Other`].
    pub other: u32,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            tcp_opened: 70,
            tcp_established: 3_600,
            tcp_half: 300,
            tcp_closed: 5,
            tcp_ending: 60,
            tcp_doubted: 300,
            udp_opened: 60,
            udp_established: 180,
            other: 60,
        }
    }
}

impl Timeouts {
    /// The span of a class, in seconds.
    pub const fn of(&self, class: Class) -> u32 {
        match class {
            Class::TcpOpened => self.tcp_opened,
            Class::TcpEstablished => self.tcp_established,
            Class::TcpHalf => self.tcp_half,
            Class::TcpClosed => self.tcp_closed,
            Class::TcpEnding => self.tcp_ending,
            Class::TcpDoubted => self.tcp_doubted,
            Class::UdpOpened => self.udp_opened,
            Class::UdpEstablished => self.udp_established,
            Class::Other => self.other,
        }
    }

    /// The shortest span, in seconds: nothing ends sooner.
    pub fn shortest(&self) -> u32 {
        let tcp = self.tcp_opened.min(self.tcp_established).min(self.tcp_half).min(self.tcp_closed);
        tcp.min(self.udp_opened).min(self.udp_established).min(self.other)
    }

    /// The longest span, in seconds: how far ahead a timer may be.
    pub fn longest(&self) -> u32 {
        let tcp = self.tcp_opened.max(self.tcp_established).max(self.tcp_half).max(self.tcp_closed);
        let ends = self.tcp_ending.max(self.tcp_doubted);
        tcp.max(ends).max(self.udp_opened).max(self.udp_established).max(self.other)
    }
}
