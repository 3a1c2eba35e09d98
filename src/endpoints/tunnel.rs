//! Estimates whether a layer-3 tunnel lies on the path to an endpoint.
//!
//! Owns: how MTU, refused datagrams, sizes of others, stack mismatch and round trips combine. In:
//! an endpoint's traits, tags and floor.
//! Out: [`Tunnel`]. Never: a verdict from round trips alone, or from an MTU that home networks
//! have.

use std::ops::Range;
use std::sync::Arc;

use crate::endpoints::mtu::{self, PathKind};
use crate::model::endpoint::Tunnel;
use crate::model::endpoint_facts::{Excess, MtuTotals, StackTotals, Traits};

/// Prior log-odds of a tunnel: 1 in 10. Higher than among all clients, because an MTU is only
/// examined for a reason.
const PRIOR: f64 = -2.2;

/// The log-odds that each kind of MTU adds. Together with the prior: tunnels 0.73, shared with
/// access networks 0.35, not in the table 0.35, access 0.06, Ethernet 0.05.
const TUNNEL: f64 = 3.2;
const BOTH: f64 = 1.6;
const ACCESS: f64 = -0.5;
const PLAIN: f64 = -0.8;

/// Mobile networks and satellites have MTUs of tunnels, because they are tunnels: GTP (3GPP TS
/// 29.281). The tag discounts most of the MTU's evidence.
const TAGGED: f64 = 0.5;

/// A SYN from another system than the program's: proxies, virtual machines and home routers cause
/// it too, so it adds little here.
const STACK: f64 = 0.9;

/// Sessions that can be compared, and the share that must differ (the thresholds of rule D07).
const COMPARED_MIN: u32 = 3;
const DIFFER_SHARE: f64 = 0.9;

/// A floor this far above that of the neighbours, in ns and as a multiple (the thresholds of rule
/// D04).
const EXCESS_NS: u64 = 40_000_000;
const EXCESS_FACTOR: u64 = 2;
const FLOOR: f64 = 1.2;

/// An endpoint whose own address refuses to pass on a datagram of Ethernet's size has a smaller
/// link behind it: it is a gateway, and whoever answers sits at the far end of that link. On the
/// path to a direct endpoint another router says so. Overlay networks of rented servers do the
/// same.
const REFUSED: f64 = 3.6;

/// A round trip includes the tunnel. The tunnels that are looked for lead to another continent: 60
/// ms are 6,000 km of fibre and back, and more than a country's access networks take. So a shorter
/// floor speaks against one as an excess speaks for it.
const NEAR_NS: u64 = 60_000_000;

/// Two MTUs of one endpoint, one of them a tunnel's: the tunnel goes up and down.
const CHANGED: f64 = 0.6;

/// Tags of networks that are tunnels by design.
const BY_NATURE: [&str; 3] = ["mobile", "satellite", "pep"];

/// The estimate; `None` without a SYN, a refused datagram, or a path whose MTU is known otherwise.
pub(super) fn estimate(
    traits: &Traits,
    tags: &[Arc<str>],
    floor_ns: Option<u64>,
) -> Option<Tunnel> {
    let by_nature = tags.iter().any(|tag| BY_NATURE.contains(&&**tag));
    let discounted = |weight: f64| if by_nature && weight > 0.0 { weight * TAGGED } else { weight };
    let by_mtu = traits.mtu.as_ref().map(|totals| discounted(by_mtu(totals)));
    let by_path = traits
        .path
        .map(|(at_least, below)| discounted(by_path(&(at_least..below), traits.mtu.as_ref())));
    let refused = traits.refused.map(|_| discounted(REFUSED));
    // All tell of the same link.
    let link = [by_mtu, by_path, refused].into_iter().flatten().reduce(f64::max)?;
    let stack = traits.stack.as_ref().is_some_and(is_split);
    let floor = !by_nature && traits.excess.as_ref().is_some_and(is_far);
    let add = |holds: bool, weight: f64| if holds { weight } else { 0.0 };
    let near = floor_ns.is_some_and(|ns| ns <= NEAR_NS);
    let odds = PRIOR + link + add(stack, STACK) + add(floor, FLOOR) - add(near, FLOOR);
    let confidence = 1.0 / (1.0 + (-odds).exp());
    let confidence = (confidence * 100.0).round() / 100.0;
    let sizes = match (refused, by_path) {
        (Some(_), _) => 1,
        (None, Some(weight)) if weight > 0.0 => 2,
        _ => 0,
    };
    let reason = word(sizes, [by_mtu > Some(0.0), stack, floor]);
    Some(Tunnel { l3: confidence >= 0.5, confidence, reason })
}

/// The evidence of the MTUs: that of most SYNs, and whether some, but not all, have a tunnel's.
fn by_mtu(totals: &MtuTotals) -> f64 {
    let first = |mtu: u16| totals.clamped && totals.hints.first().is_some_and(|h| h.0 == mtu);
    let mut kinds = totals.hints.iter().map(|(mtu, _)| mtu::kind(*mtu, first(*mtu)));
    let usual = kinds.next().unwrap_or(PathKind::Unlisted);
    let at_times = kinds.any(|kind| kind == PathKind::Tunnel);
    let several = totals.hints.len() > 1;
    let alone = weight(usual);
    match usual {
        PathKind::Tunnel if several => alone + CHANGED,
        PathKind::Tunnel => alone,
        _ if at_times => alone.max(BOTH) + CHANGED,
        _ => alone,
    }
}

/// The evidence of a range in which the path's MTU lies. A tunnel needs a SYN that names the MTU.
fn by_path(mtus: &Range<u16>, syns: Option<&MtuTotals>) -> f64 {
    let mut hints = syns.iter().flat_map(|totals| &totals.hints).map(|(mtu, _)| *mtu);
    if hints.any(|mtu| mtus.contains(&mtu) && mtu::kind(mtu, false) == PathKind::Tunnel) {
        TUNNEL
    } else {
        weight(mtu::kind_within(mtus))
    }
}

/// The log-odds of a kind of path.
const fn weight(kind: PathKind) -> f64 {
    match kind {
        PathKind::Tunnel => TUNNEL,
        PathKind::Both | PathKind::Unlisted => BOTH,
        PathKind::Access => ACCESS,
        PathKind::Plain => PLAIN,
    }
}

fn is_split(stack: &StackTotals) -> bool {
    stack.compared >= COMPARED_MIN
        && f64::from(stack.differ) >= DIFFER_SHARE * f64::from(stack.compared)
}

fn is_far(excess: &Excess) -> bool {
    let own = excess.floor_ns.saturating_add(excess.over_ns);
    excess.over_ns > EXCESS_NS && own > excess.floor_ns.saturating_mul(EXCESS_FACTOR)
}

/// The words for sizes of datagrams (none, refused, by probes and fragments); MSS, stack, floor.
fn word(sizes: usize, reasons: [bool; 3]) -> &'static str {
    const WORDS: [[&str; 8]; 3] = [
        [
            "none",
            "mss",
            "stack",
            "mss+stack",
            "floor",
            "mss+floor",
            "stack+floor",
            "mss+stack+floor",
        ],
        [
            "refused",
            "refused+mss",
            "refused+stack",
            "refused+mss+stack",
            "refused+floor",
            "refused+mss+floor",
            "refused+stack+floor",
            "refused+mss+stack+floor",
        ],
        [
            "path",
            "path+mss",
            "path+stack",
            "path+mss+stack",
            "path+floor",
            "path+mss+floor",
            "path+stack+floor",
            "path+mss+stack+floor",
        ],
    ];
    let at = reasons.iter().rev().fold(0, |at, holds| at << 1 | usize::from(*holds));
    WORDS.get(sizes).and_then(|words| words.get(at)).copied().unwrap_or("none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traits(hints: &[(u16, u32)]) -> Traits {
        let syns = hints.iter().map(|(_, count)| count).sum();
        let mtu = MtuTotals { syns, hints: hints.to_vec(), others: 0, clamped: false };
        Traits { mtu: Some(mtu), ..Traits::default() }
    }

    fn confidence(traits: &Traits, tags: &[&str]) -> f64 {
        let tags: Vec<Arc<str>> = tags.iter().map(|tag| Arc::from(*tag)).collect();
        estimate(traits, &tags, None).unwrap().confidence
    }

    #[test]
    fn an_mtu_of_tunnels_is_enough_and_one_of_homes_is_not() {
        for mtu in [1_420, 1_293] {
            assert!(confidence(&traits(&[(mtu, 1)]), &[]) >= 0.6, "{mtu}");
        }
        for mtu in [1_500, 1_492, 1_454, 1_480, 1_460, 1_440, 1_432, 1_430, 1_410, 1_400, 1_380] {
            assert!(confidence(&traits(&[(mtu, 9)]), &[]) < 0.5, "{mtu}");
        }
        for mtu in [1_280, 9_000] {
            assert!(confidence(&traits(&[(mtu, 9)]), &[]) < 0.5, "{mtu}");
        }
        assert_eq!(estimate(&Traits::default(), &[], None), None);
    }

    #[test]
    fn an_endpoint_that_refuses_is_a_gateway() {
        let refused = Traits { refused: Some(1_480), ..Traits::default() };
        let tunnel = estimate(&refused, &[], None).unwrap();
        assert!(tunnel.l3 && tunnel.reason == "refused", "{tunnel:?}");
        let with_mss = Traits { refused: Some(1_480), ..traits(&[(1_500, 3)]) };
        assert!(confidence(&with_mss, &[]) >= 0.8);
        assert!(confidence(&refused, &["mobile"]) < 0.5, "GTP behind a translator");
    }

    fn path(at_least: u16, below: u16) -> Traits {
        Traits { path: Some((at_least, below)), ..Traits::default() }
    }

    /// Whatever the MTU of a direct link is, and however coarse the search.
    #[test]
    fn a_range_alone_is_no_tunnel() {
        for mtu in 1_280..=1_500 {
            for before in 0..64 {
                for behind in 1..64 {
                    let direct = path(mtu - before, mtu + behind);
                    let tunnel = estimate(&direct, &[], None).unwrap();
                    assert!(!tunnel.l3, "{direct:?} {tunnel:?}");
                }
            }
        }
    }

    #[test]
    fn a_range_tells_a_tunnel_with_a_second_kind_of_evidence() {
        let far = Excess {
            of: "prefix",
            floor_ns: 20_000_000,
            over_ns: 100_000_000,
            sessions: 30,
            days: 4,
        };
        let both = Traits { excess: Some(far), ..path(1_417, 1_430) };
        let tunnel = estimate(&both, &[], None).unwrap();
        assert!(tunnel.l3 && tunnel.reason == "path+floor", "{tunnel:?}");
        let dsl = Traits { excess: Some(far), ..path(1_484, 1_496) };
        assert!(!estimate(&dsl, &[], None).unwrap().l3);
        let with_mss = |mtu| Traits { path: Some((1_415, 1_424)), ..traits(&[(mtu, 3)]) };
        let tunnel = estimate(&with_mss(1_420), &[], None).unwrap();
        assert!(tunnel.l3 && tunnel.reason == "path+mss", "{tunnel:?}");
        for mtu in [1_500, 1_492, 1_400, 1_423] {
            assert!(confidence(&with_mss(mtu), &[]) < 0.5, "{mtu}");
        }
        assert!(confidence(&with_mss(1_420), &["mobile"]) < 0.5);
    }

    /// Nobody can tell a direct link of 1,420 bytes from WireGuard by its MTU.
    #[test]
    fn a_tunnel_that_ends_near_is_none_that_is_looked_for() {
        let at = |ms: u64| estimate(&traits(&[(1_420, 9)]), &[], Some(ms * 1_000_000)).unwrap();
        assert!(!at(19).l3 && !at(59).l3 && at(61).l3);
    }

    #[test]
    fn networks_that_are_tunnels_by_nature_are_not_told_by_mtu() {
        assert!(confidence(&traits(&[(1_420, 5)]), &["mobile"]) < 0.5);
        assert!(confidence(&traits(&[(1_420, 5)]), &["satellite"]) < 0.5);
        assert!(confidence(&traits(&[(1_420, 5)]), &["hosting"]) >= 0.5);
    }

    #[test]
    fn what_openvpn_lowers_it_lowers_behind_the_sender() {
        for mtu in [1_440, 1_426] {
            let mut lowered = traits(&[(mtu, 3)]);
            assert!(confidence(&lowered, &[]) < 0.5, "{mtu}: an interface of a phone");
            if let Some(totals) = &mut lowered.mtu {
                totals.clamped = true;
            }
            assert!(confidence(&lowered, &[]) >= 0.6, "{mtu}");
        }
        let mut dsl = traits(&[(1_492, 3)]);
        if let Some(totals) = &mut dsl.mtu {
            totals.clamped = true;
        }
        assert!(confidence(&dsl, &[]) < 0.5);
    }

    #[test]
    fn a_second_kind_of_evidence_decides_what_an_mtu_leaves_open() {
        let mut both = traits(&[(1_400, 4)]);
        assert!(confidence(&both, &[]) < 0.5);
        let excess = Excess {
            of: "prefix",
            floor_ns: 20_000_000,
            over_ns: 100_000_000,
            sessions: 30,
            days: 4,
        };
        both.excess = Some(excess);
        let tunnel = estimate(&both, &[], None).unwrap();
        assert!(tunnel.l3 && tunnel.reason == "mss+floor");
        let mut plain = traits(&[(1_500, 4)]);
        plain.excess = Some(excess);
        plain.stack = Some(StackTotals { compared: 4, differ: 4, ..StackTotals::default() });
        let tunnel = estimate(&plain, &[], None).unwrap();
        assert!(!tunnel.l3 && tunnel.reason == "stack+floor", "{tunnel:?}");
    }

    #[test]
    fn an_mtu_that_comes_and_goes_says_more() {
        let one = confidence(&traits(&[(1_420, 9)]), &[]);
        let two = confidence(&traits(&[(1_420, 9), (1_500, 3)]), &[]);
        assert!(two > one);
        let at_times = confidence(&traits(&[(1_500, 9), (1_420, 3)]), &[]);
        assert!((0.5..one).contains(&at_times), "{at_times}");
        assert!(confidence(&traits(&[(1_500, 9), (1_492, 3)]), &[]) < 0.5);
    }
}
