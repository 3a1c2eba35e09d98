//! How far an endpoint's floor lies above that of its surroundings.
//!
//! Owns: the choice of the reference floor. In: the endpoint's floor, its neighbours', a baseline.
//! Out: [`Excess`]. Never: an excess over a baseline that is still being learned.

use crate::endpoints::prefix_stats::Neighbours;
use crate::model::endpoint_facts::{Baseline, BaselineOf, Excess};

/// The excess, if any.
///
/// A baseline of the service or prefix has more sessions behind it than the neighbours of one span,
/// and is used alone. That of the whole network in the region is used if the endpoint has no
/// neighbour in its prefix.
pub(super) fn over(
    own: Option<u64>,
    neighbours: Option<Neighbours>,
    baseline: Option<Baseline>,
) -> Option<Excess> {
    let own = own?;
    let over = |of: &'static str, (floor_ns, sessions, days): (u64, u64, u32)| {
        let over_ns = own.checked_sub(floor_ns).filter(|over| *over > 0)?;
        Some(Excess { of, floor_ns, over_ns, sessions, days })
    };
    let near = || {
        let Neighbours { floor_ns, sessions, days } = neighbours?;
        over("prefix", (floor_ns, sessions, days))
    };
    let learned = |baseline: Baseline| {
        let Baseline { of, floor_ns, sessions, days, .. } = baseline;
        over(of.as_str(), (floor_ns, sessions, days))
    };
    match baseline.filter(|baseline| !baseline.learning) {
        Some(network) if network.of == BaselineOf::Network => near().or_else(|| learned(network)),
        Some(baseline) => learned(baseline),
        None => near(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(of: BaselineOf, learning: bool) -> Option<Baseline> {
        Some(Baseline { of, floor_ns: 20, sessions: 20, days: 3, learning })
    }

    fn neighbours(floor_ns: u64) -> Neighbours {
        Neighbours { floor_ns, sessions: 4, days: 2 }
    }

    #[test]
    fn the_nearest_measure_counts() {
        let of = |own, near: Option<u64>, baseline| {
            over(Some(own), near.map(neighbours), baseline).map(|e| (e.of, e.over_ns))
        };
        let (prefix, network) = (BaselineOf::Prefix, BaselineOf::Network);
        assert_eq!(of(50, Some(30), None), Some(("prefix", 20)));
        assert_eq!(of(50, Some(50), None), None);
        assert_eq!(of(50, Some(30), baseline(prefix, false)), Some(("prefix-baseline", 30)));
        assert_eq!(of(15, Some(10), baseline(prefix, false)), None);
        assert_eq!(of(50, Some(30), baseline(network, false)), Some(("prefix", 20)));
        assert_eq!(of(50, Some(50), baseline(network, false)), Some(("asn-baseline", 30)));
        assert_eq!(over(None, Some(neighbours(1)), baseline(prefix, false)), None);
    }

    #[test]
    fn nothing_is_held_against_what_is_still_learned() {
        let learning = baseline(BaselineOf::Prefix, true);
        assert_eq!(over(Some(50), None, learning), None);
        assert_eq!(over(Some(50), Some(neighbours(45)), learning).map(|e| e.of), Some("prefix"));
    }
}
