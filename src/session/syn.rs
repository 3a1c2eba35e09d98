//! Facts of the initiator's SYN: MSS, window, options, and the operating system family that they
//! suggest.
//!
//! Owns: the few bytes kept of a SYN. In: a TCP header. Out: [`SynFacts`].
//! Never: names a version of a system; the order of options identifies a family, no more.

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

/// A family of TCP stacks, by the order of options in its SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OsFamily {
    Linux,
    Windows,
    Apple,
    Bsd,
}

/// Orders of option kinds (IANA TCP parameters: 0 end, 1 no-operation, 2 MSS, 3 window scale, 4
/// SACK permitted, 8 timestamps) and who writes them so. Facts from p0f 3's SYN signatures; the
/// second Linux one is that of its kernels without timestamps, the second Windows one that without
/// window scale.
const ORDERS: [(&[u8], OsFamily); 7] = [
    (&[2, 4, 8, 1, 3], OsFamily::Linux),
    (&[2, 1, 1, 4, 1, 3], OsFamily::Linux),
    (&[2, 1, 3, 1, 1, 8, 4, 0], OsFamily::Apple),
    (&[2, 1, 3, 1, 1, 4], OsFamily::Windows),
    (&[2, 1, 1, 4], OsFamily::Windows),
    (&[2, 1, 3, 4, 8], OsFamily::Bsd),
    (&[2, 1, 1, 4, 1, 3, 1, 1, 8], OsFamily::Bsd),
];

/// The initial TTL of all but Windows (p0f 3), which uses 128.
const TTL_UNIX: u8 = 64;

/// Window of every SYN of an Apple system, and of FreeBSD (p0f 3).
const WINDOW_FULL: u16 = 65_535;

/// The family whose SYN this is: the order of its options, borne out by TTL and window where those
/// are known of the family. A TTL only falls on the way, so that one above 64 began at 128 or more;
/// one below proves nothing of Windows, whose packets may have come from far or through a router
/// that sets it anew. Windows with timestamps writes what FreeBSD writes, from 128.
fn family(order: &[u8], ttl: u8, window: u16) -> Option<OsFamily> {
    let (_, family) = ORDERS.iter().find(|(known, _)| *known == order)?;
    match family {
        OsFamily::Bsd if ttl > TTL_UNIX && order.len() == 5 => Some(OsFamily::Windows),
        OsFamily::Linux | OsFamily::Apple | OsFamily::Bsd if ttl > TTL_UNIX => None,
        OsFamily::Apple if window != WINDOW_FULL => None,
        // Without window scale, scanners and embedded systems send the same with 64.
        OsFamily::Windows if ttl <= TTL_UNIX && order.len() == 4 => None,
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
    /// Reads a SYN's header, whose options these are.
    pub(crate) fn read(header: &[u8], options: &TcpOptions, ttl: u8) -> SynSummary {
        let window = header.get(14..16).and_then(|window| window.first_chunk::<2>());
        let window = window.map_or(0, |window| u16::from_be_bytes(*window));
        SynSummary {
            mss: options.mss.unwrap_or(0),
            window,
            window_scale: options.window_scale,
            os: family(options.order.as_slice(), ttl, window),
            timestamps: options.timestamps.is_some(),
            seen: true,
        }
    }

    /// Maximum segment size, if the SYN has one.
    pub(crate) fn mss(&self) -> Option<u16> {
        (self.mss > 0).then_some(self.mss)
    }

    /// The facts for the record, if a SYN was seen.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_needs_its_option_order_and_its_other_values() {
        use OsFamily as F;
        for (order, ttl, window, want) in [
            (&[2u8, 4, 8, 1, 3][..], 55, 64_240, Some(F::Linux)),
            (&[2, 1, 1, 4, 1, 3], 64, 64_240, Some(F::Linux)),
            (&[2, 4, 8, 1, 3], 120, 64_240, None),
            (&[2, 1, 3, 1, 1, 8, 4, 0], 50, 65_535, Some(F::Apple)),
            (&[2, 1, 3, 1, 1, 8, 4, 0], 50, 8_192, None),
            (&[2, 1, 3, 1, 1, 4], 116, 64_240, Some(F::Windows)),
            (&[2, 1, 3, 1, 1, 4], 52, 64_240, Some(F::Windows)),
            (&[2, 1, 1, 4], 116, 8_192, Some(F::Windows)),
            (&[2, 1, 1, 4], 52, 8_192, None),
            (&[2, 1, 3, 4, 8], 57, 65_535, Some(F::Bsd)),
            (&[2, 1, 3, 4, 8], 120, 8_192, Some(F::Windows)),
            (&[2, 1, 1, 4, 1, 3, 1, 1, 8], 60, 16_384, Some(F::Bsd)),
            (&[2], 60, 1_024, None),
        ] {
            assert_eq!(family(order, ttl, window), want, "{order:?} {ttl} {window}");
        }
    }
}
