//! How frames are taken from interfaces: what every backend is told.

/// The capture backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// Our own ring, shared with the kernel. Linux only.
    #[default]
    Ring,
    /// libpcap: copies each frame once; any system.
    Pcap,
}

/// How frames are captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveOptions {
    /// The backend.
    pub backend: Backend,
    /// Bytes kept of each frame.
    pub snaplen: u32,
    /// Bytes per interface ring.
    pub ring_bytes: usize,
    /// Whether to capture frames for other stations.
    pub promiscuous: bool,
    /// Whether to use the card's timestamps. Refused if the card has none.
    pub hardware_stamps: bool,
    /// Shares each interface's frames, by flow, with other processes of the same fanout group.
    pub fanout: Option<u16>,
    /// BPF expression: only frames that match leave the kernel.
    pub filter: Option<String>,
}

/// Longest frame: libpcap's limit, four times the largest GRO frame.
pub const SNAPLEN_DEFAULT: u32 = 262_144;
/// A quarter of a second at 2 Gbit/s.
pub const RING_BYTES_DEFAULT: usize = 64 << 20;

impl Default for LiveOptions {
    fn default() -> LiveOptions {
        LiveOptions {
            backend: Backend::Ring,
            snaplen: SNAPLEN_DEFAULT,
            ring_bytes: RING_BYTES_DEFAULT,
            promiscuous: true,
            hardware_stamps: false,
            fanout: None,
            filter: None,
        }
    }
}
