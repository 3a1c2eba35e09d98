//! What the initiator's SYN gives away: MSS, window, options, and the family of system that writes
//! it so.
//!
//! Owns: the few bytes kept of a SYN. In: a TCP header. Out: [`SynFacts`].
//! Never: names a version of a system; the order of options tells a family, no more.

use crate::model::record::SynFacts;
use crate::wire::tcp::TcpOptions;

/// The SYN's facts in few bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SynSummary {
    mss: u16,
    window: u16,
    window_scale: Option<u8>,
    os: Option<OsFamily>,
    timestamps: bool,
    pub(crate) seen: bool,
}

/// A family of TCP stacks, told by the order of options in its SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OsFamily {
    Linux,
    Windows,
    Apple,
    Bsd,
}

/// Orders of option kinds (IANA TCP parameters: 0 end, 1 no-operation, 2 MSS, 3 window scale, 4
/// SACK permitted, 8 timestamps) and who writes them so. Facts from p0f 3's SYN signatures.
const ORDERS: [(&[u8], OsFamily); 4] = [
    (&[2, 4, 8, 1, 3], OsFamily::Linux),
    (&[2, 1, 3, 1, 1, 8, 4, 0], OsFamily::Apple),
    (&[2, 1, 3, 1, 1, 4], OsFamily::Windows),
    (&[2, 1, 3, 4, 8], OsFamily::Bsd),
];

/// The family whose order this is. Windows with timestamps writes what FreeBSD writes; its initial
/// TTL is 128, theirs 64, so one that arrives above 64 is not theirs.
fn family(order: &[u8], ttl: u8) -> Option<OsFamily> {
    let (_, family) = ORDERS.iter().find(|(known, _)| *known == order)?;
    match family {
        OsFamily::Bsd if ttl > 64 => Some(OsFamily::Windows),
        family => Some(*family),
    }
}

impl OsFamily {
    const fn as_str(self) -> &'static str {
        match self {
            OsFamily::Linux => "linux",
            OsFamily::Windows => "windows",
            OsFamily::Apple => "apple",
            OsFamily::Bsd => "bsd",
        }
    }
}

impl SynSummary {
    /// Reads a SYN's header.
    pub(crate) fn read(header: &[u8], ttl: u8) -> SynSummary {
        let options = TcpOptions::parse(header);
        let window = header.get(14..16).and_then(|window| window.first_chunk::<2>());
        SynSummary {
            mss: options.mss.unwrap_or(0),
            window: window.map_or(0, |window| u16::from_be_bytes(*window)),
            window_scale: options.window_scale,
            os: family(options.order.as_slice(), ttl),
            timestamps: options.timestamps.is_some(),
            seen: true,
        }
    }

    /// Maximum segment size, where the SYN told it.
    pub(crate) fn mss(&self) -> Option<u16> {
        (self.mss > 0).then_some(self.mss)
    }

    /// The facts for the record, where a SYN was seen.
    pub(crate) fn facts(&self, version: u8) -> Option<SynFacts> {
        let headers = if version == 6 { 60 } else { 40 };
        let mss = self.mss();
        self.seen.then(|| SynFacts {
            mss,
            mtu_hint: mss.map(|mss| mss.saturating_add(headers)),
            window_scale: self.window_scale,
            window: self.window,
            timestamps: self.timestamps,
            os_hint: self.os.map(OsFamily::as_str),
        })
    }
}
