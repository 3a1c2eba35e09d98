//! Maps MTUs to kinds of network path.
//!
//! Owns: the table of MTUs. In: an MTU hint. Out: the kind of path. Never: takes a small MTU for a
//! tunnel if home networks have the same.
//!
//! Sources. *p0f*: the `[mtu]` section of p0f 3's database and of its branch p0f-mtu. *AOSP*:
//! `config_mobile_mtu` of the carriers in Android's resources. *3GPP*: TS 23.060 annex C. *RFC*s as
//! named. *wg-quick*: the MTU of the outer path less 80. *OpenVPN*: `mssfix` in its manual, see
//! [`openvpn`]. Measured: OpenVPN 2.6 (UDP 1440, TCP 1426), WireGuard (1420).

use std::ops::Range;

/// The kind of path behind an MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathKind {
    /// Ethernet without encapsulation.
    Plain,
    /// DSL, mobile networks and IPv6 transition: home users.
    Access,
    /// Tunnels as well as access networks.
    Both,
    /// Tunnels; no access network is known to use it.
    Tunnel,
    /// Not in the table.
    Unlisted,
}

/// Smallest meaningful MTU: below are modems and hand-made packets.
const MTU_MIN: u16 = 1_200;

/// Ethernet's MTU (RFC 894).
pub(super) const ETHERNET: u16 = 1_500;

/// Known MTUs; one with several causes is listed under the most harmless.
const TABLE: &[(u16, PathKind)] = &[
    (1_240, PathKind::Tunnel), // p0f: GIF
    (1_280, PathKind::Both),   // p0f: IPsec and others; RFC 8200's least, so phones and 6to4 too
    (1_293, PathKind::Tunnel), // OpenVPN, mssfix 1350
    (1_300, PathKind::Tunnel), // p0f: tunnel or VPN
    (1_358, PathKind::Access), // 3GPP: the MTU that keeps GTP with IPsec whole
    (1_380, PathKind::Both),   // WireGuard as VPN services set it; mobile networks
    (1_400, PathKind::Both),   // p0f: IPsec and others; mobile networks, wg-quick on 1480
    (1_410, PathKind::Access), // AOSP: mcc310-mnc410
    (1_412, PathKind::Both),   // wg-quick on PPPoE
    (1_420, PathKind::Tunnel), // wg-quick on Ethernet; OpenVPN over IPv6
    (1_428, PathKind::Access), // mobile networks; not verified, and held harmless
    (1_430, PathKind::Access), // likewise
    (1_432, PathKind::Both),   // WireGuard or OpenVPN over IPv4 on PPPoE
    (1_440, PathKind::Both),   // p0f: tunnel or VPN; AOSP: mcc310-mnc260
    (1_450, PathKind::Both),   // p0f: tunnel or VPN; RFC 7348: VXLAN of a rented server
    (1_452, PathKind::Access), // p0f: PPPoE; RFC 7597, 6334: MAP-E
    (1_454, PathKind::Access), // p0f: PPPoE
    (1_456, PathKind::Access), // p0f: L2TP on DSL
    (1_460, PathKind::Access), // RFC 6333: DS-Lite; p0f: PPTP
    (1_472, PathKind::Access), // DSL behind VLAN and L2TP
    (1_476, PathKind::Both),   // p0f: GRE
    (1_480, PathKind::Access), // RFC 4213, 5969: 6in4, 6rd; p0f: IPIP
    (1_488, PathKind::Access), // DSL
    (1_490, PathKind::Access), // p0f: PPTP, DSL
    (1_492, PathKind::Access), // RFC 2516: PPPoE
    (1_496, PathKind::Access), // p0f: VLAN
];

/// The kind of path for an MTU; `clamped`: another system than the sender has lowered the MSS.
///
/// WireGuard has an interface of its own, whose MTU the sender knows; OpenVPN lowers the MSS of
/// SYNs that pass. So do DSL routers, but to other values. An interface with OpenVPN's value may be
/// a phone's.
pub(super) fn kind(mtu: u16, clamped: bool) -> PathKind {
    if clamped && openvpn(mtu) {
        return PathKind::Tunnel;
    }
    if let Some((_, kind)) = TABLE.iter().find(|(known, _)| *known == mtu) {
        return *kind;
    }
    match mtu {
        mtu if mtu < MTU_MIN => PathKind::Unlisted,
        mtu if openvpn(mtu) => PathKind::Both,
        mtu if mtu >= ETHERNET => PathKind::Plain,
        _ => PathKind::Unlisted,
    }
}

/// The kind of path with an MTU in a range. It is no tunnel's for certain: any other MTU of the
/// range may be a direct link's.
pub(super) fn kind_within(mtus: &Range<u16>) -> PathKind {
    let has =
        |wanted: PathKind| TABLE.iter().any(|(mtu, kind)| *kind == wanted && mtus.contains(mtu));
    if mtus.end > ETHERNET {
        PathKind::Plain
    } else if has(PathKind::Tunnel) || has(PathKind::Both) {
        PathKind::Both
    } else if has(PathKind::Access) {
        PathKind::Access
    } else {
        PathKind::Unlisted
    }
}

/// Whether OpenVPN's `mssfix` gives this MTU: its value less the encapsulation.
///
/// Since 2.6 the value is 1492 and counts the outer headers: 28 for UDP over IPv4, 48 over IPv6, 42
/// and 62 for TCP with its length field; the encapsulation is 24 (opcode and peer 4, packet number
/// 4, tag 16). Before, it was 1450 (1400 and 1350 were common too) without the outer headers, and
/// the encapsulation 24, or with CBC and HMAC 41, 57 or 69 (opcode 1, HMAC 20 or 32, IV and padding
/// 8 or 16 each, packet number 4); 2 more over TCP. A compression stub takes 1.
fn openvpn(mtu: u16) -> bool {
    let outer = [28, 48, 42, 62];
    let new = outer.into_iter().map(|outer| 1_492 - outer - 24);
    let wrapped = [24, 41, 57, 69];
    let old = [1_450, 1_400, 1_350]
        .into_iter()
        .flat_map(|fix| wrapped.into_iter().flat_map(move |w| [fix - w, fix - w - 2]));
    new.chain(old).any(|known| mtu == known || mtu == known - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_paths_have_their_kind() {
        for (mtu, want) in [
            (1_500, PathKind::Plain),
            (9_000, PathKind::Plain),
            (1_492, PathKind::Access),
            (1_454, PathKind::Access),
            (1_428, PathKind::Access),
            (1_280, PathKind::Both),
            (1_420, PathKind::Tunnel),
            (1_440, PathKind::Both),
            (1_426, PathKind::Both),
            (1_293, PathKind::Tunnel),
            (1_445, PathKind::Unlisted),
            (576, PathKind::Unlisted),
        ] {
            assert_eq!(kind(mtu, false), want, "{mtu}");
        }
    }

    #[test]
    fn openvpn_by_its_arithmetic() {
        // 2.6 over UDP and TCP, IPv4 and IPv6; 2.4 with AES-256-GCM; p0f-mtu's CBC values.
        for mtu in [1_440, 1_426, 1_420, 1_406, 1_439, 1_425, 1_409, 1_407, 1_393, 1_381, 1_341] {
            assert!(openvpn(mtu), "{mtu}");
        }
        for mtu in [1_500, 1_492, 1_452, 1_430, 1_410, 1_400, 1_480] {
            assert!(!openvpn(mtu), "{mtu}");
        }
    }

    #[test]
    fn any_mss_has_a_kind() {
        // The hint of a hand-made MSS saturates at the maximum value.
        let tunnels = (0..=u16::MAX).filter(|mtu| kind(*mtu, true) == PathKind::Tunnel);
        assert!(tunnels.max().is_some_and(|most| most < ETHERNET));
        assert_eq!(kind(u16::MAX, false), PathKind::Plain);
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
    }
}
