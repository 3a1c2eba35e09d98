//! Estimates the hidden leg behind an endpoint: its length and the confidence.
//!
//! Owns: the model. In: the [`Gathered`] values of an endpoint. Out: a [`HiddenLeg`]. Never: a
//! constant fitted to one capture, or a verdict on a person.
//!
//! If a relay terminates TCP for the client at a distance of `h`, every exchange above TCP that the
//! client answers takes `h` longer than TCP's own round trip. So the lowest of each kind bounds `h`
//! from above, and the lowest of all is the estimate. Four things make an exchange long without any
//! hidden leg. Each is a hypothesis with a prior, and the confidence is the share that carried for
//! the leg (Bayes' rule over these hypotheses):
//!
//! * chance: a busy client, a scheduler, radio. How often was measured ([`chance_nats`]);
//! * a slow client: explains what needs public-key arithmetic, nothing else, and scatters
//!   ([`steadiness_nats`]);
//! * a client that connects before it has anything to send: explains only its first data;
//! * a satellite gateway that terminates TCP (RFC 3135): the same physics, recognised by its length
//!   alone.
//!
//! docs/latency.md explains it to users and shows the calibration.

use crate::endpoints::exchange_minima::Gathered;
use crate::endpoints::exchange_minima::Lowest;
use crate::endpoints::exchange_minima::needs_computing;
use crate::endpoints::method::method;
use crate::model::endpoint::HiddenLeg;
use crate::model::latency::Exchange;

const MS: u64 = 1_000_000;

/// Prior odds against a direct client, in nats: one endpoint in twenty has a hidden leg.
const PRIOR_LEG: f64 = -3.0;
/// One client in twelve computes slowly: phones, virtual machines, smart cards.
const PRIOR_SLOW: f64 = -2.5;
/// One in seven opens connections before it needs them.
const PRIOR_LATE: f64 = -2.0;
/// A proxy that the client addresses (SOCKS, CONNECT, ssh -D) delays the first data too; a
/// transparent one (relays, Shadowsocks) does not. Even odds.
const SILENT_FIRST_DATA: f64 = -0.7;
/// Four direct clients in five send their first data at once.
const PROMPT_FIRST_DATA: f64 = -0.2;
/// Samples of one client are not independent: each further one counts this much. On 564 flows
/// without a proxy 22.3 % of single gaps exceed 20 ms, 5.1 % of minima of 5, 0.2 % of minima of 10.
const FURTHER_SAMPLE: f64 = 0.4;
/// More samples of a kind than this add nothing.
const SAMPLES_COUNTED: u32 = 12;
/// A leg counts as long from here on: 30 ms are 3,000 km of fibre (99.93 km per millisecond of
/// round trip).
const LONG_MS: f64 = 30.0;
/// Width of that threshold: the jitter that carried in the minimum of a few.
const LONG_WIDTH_MS: f64 = 3.0;
/// Twice up and down to a geostationary satellite at c: 4 x 35,786 km. No path on the ground is as
/// long: half the equator and back is 200 ms in fibre.
const GEOSTATIONARY_NS: u64 = 477 * MS;
/// Maximum confidence for such a leg: a gateway and a proxy there look alike.
const CONFIDENCE_SATELLITE: f64 = 0.45;
/// A proxy without TCP_NODELAY waits for the acknowledgement of its first small segment: one more
/// hidden round trip, and a delayed acknowledgement of 40 ms (RFC 896, RFC 1122 section 4.2.3.2).
const DELAYED_NS: u64 = 50 * MS;
/// A gap below this is not significant.
const SILENT_NS: u64 = 10 * MS;

/// The estimate, if the exchanges seen allow one.
pub(super) fn estimate(gathered: &Gathered) -> Option<HiddenLeg> {
    let kinds: Vec<KindMinimum> =
        gathered.kinds().iter().map(|lowest| KindMinimum::of(lowest, gathered.floor_ns)).collect();
    let first = kinds.iter().find(|kind| kind.exchange == Exchange::FirstData).copied();
    let others = || kinds.iter().filter(|kind| kind.exchange != Exchange::FirstData);
    let bound = others().map(|kind| kind.gap_ns).min();
    let first = first.filter(|first| supports_leg(first, bound));
    let ns = first.map(|first| first.gap_ns).into_iter().chain(bound).min()?;
    let used: Vec<KindMinimum> = others().copied().chain(first).collect();
    let confidence = confidence(ns, &used, first.is_some(), gathered);
    let (kinds_used, samples) = agreeing(ns, &used);
    let handshakes = gathered.handshakes;
    Some(HiddenLeg { ns, confidence, method: method(&kinds_used), samples, handshakes })
}

/// Whether a leg is as long as one by geostationary satellite.
pub(super) const fn is_satellite_long(leg: &HiddenLeg) -> bool {
    leg.ns >= GEOSTATIONARY_NS
}

/// One kind of exchange with its lowest gap.
#[derive(Clone, Copy, Debug)]
struct KindMinimum {
    exchange: Exchange,
    gap_ns: u64,
    samples: u32,
}

impl KindMinimum {
    fn of(lowest: &Lowest, floor_ns: u64) -> KindMinimum {
        let Lowest { exchange, samples, .. } = *lowest;
        KindMinimum { exchange, samples, gap_ns: lowest.low().saturating_sub(floor_ns) }
    }
}

/// The combined evidence of some kinds' samples against chance, in nats, for a leg of `ns`.
fn against_chance(ns: u64, kinds: &[KindMinimum], wanted: fn(Exchange) -> bool) -> f64 {
    let samples = |kind: &KindMinimum| kind.samples.min(SAMPLES_COUNTED);
    match kinds.iter().filter(|kind| wanted(kind.exchange)).map(samples).sum::<u32>() {
        0 => 0.0,
        all => chance_nats(ns) * (1.0 + FURTHER_SAMPLE * f64::from(all - 1)),
    }
}

/// Whether the first data support a leg: they are late, but no later than Nagle's algorithm can
/// make them given the other kinds.
fn supports_leg(first: &KindMinimum, bound: Option<u64>) -> bool {
    first.gap_ns >= SILENT_NS && bound.is_none_or(|bound| bound <= stretched(first.gap_ns))
}

/// The longest apparent length of a leg of `ns`: twice that, and an eighth for the difference
/// between two round trips of one path.
const fn stretched(ns: u64) -> u64 {
    2 * ns + ns / 4 + DELAYED_NS
}

/// How rare a gap of `ns` is in one exchange of a direct client: the negative logarithm of the
/// share above it. Fitted to 22.3, 14.2 and 5.7 % above 20, 50 and 100 ms, measured on 564 flows;
/// limited to 4 %, which is as far as the measurement goes.
fn chance_nats(ns: u64) -> f64 {
    (1.2 + millis(ns) / 60.0).min(3.2)
}

/// From 0 to 1.
fn confidence(ns: u64, kinds: &[KindMinimum], first_supports: bool, gathered: &Gathered) -> f64 {
    let nats = |wanted| against_chance(ns, kinds, wanted);
    let slow = PRIOR_SLOW - steadiness_nats(gathered);
    let first_data = if first_supports { 0.0 } else { PROMPT_FIRST_DATA };
    // What each hypothesis leaves to chance: all kinds; those without computing; all but the first
    // data; both.
    let nothing: f64 = [
        -nats(|_| true),
        slow - nats(|exchange| !needs_computing(exchange)),
        PRIOR_LATE - nats(|exchange| exchange != Exchange::FirstData),
        slow + PRIOR_LATE
            - nats(|exchange| !needs_computing(exchange) && exchange != Exchange::FirstData),
    ]
    .iter()
    .map(|nats| (nats + first_data).exp())
    .sum();
    let leg = (PRIOR_LEG + if first_supports { 0.0 } else { SILENT_FIRST_DATA }).exp();
    let long = 1.0 / (1.0 + ((LONG_MS - millis(ns)) / LONG_WIDTH_MS).exp());
    let confidence = long * leg / (leg + nothing);
    if ns >= GEOSTATIONARY_NS { confidence.min(CONFIDENCE_SATELLITE) } else { confidence }
}

/// The evidence in the scatter of exchanges that need computing, for a network path and against a
/// slow client, in nats. A path has a floor, and queueing adds little compared with a long leg;
/// computing on a busy machine varies with the load. Both are modelled as exponential laws of the
/// excess above the lowest, with means of 8 ms and 2 % of the gap for a path, and 20 % of the gap
/// for computing. The highest is left out: it may be one lost packet.
fn steadiness_nats(gathered: &Gathered) -> f64 {
    const PATH_MS: f64 = 8.0;
    const PATH: f64 = 0.02;
    const COMPUTING: f64 = 0.20;
    const BOUNDS: (f64, f64) = (-8.0, 2.5);
    let values = gathered.sampled();
    let [lowest, between @ .., _] = values.as_slice() else { return 0.0 };
    let gap = lowest.saturating_sub(gathered.floor_ns);
    if between.len() < 2 || gap < SILENT_NS {
        return 0.0;
    }
    let (path, computing) = (PATH_MS + PATH * millis(gap), COMPUTING * millis(gap));
    let one = (computing / path).ln();
    let nats =
        between.iter().map(|value| one - millis(value - lowest) * (1.0 / path - 1.0 / computing));
    nats.sum::<f64>().clamp(BOUNDS.0, BOUNDS.1)
}

/// The kinds that a leg of `ns` explains, best first, and their samples.
fn agreeing(ns: u64, kinds: &[KindMinimum]) -> (Vec<Exchange>, u32) {
    let mut kinds: Vec<KindMinimum> =
        kinds.iter().filter(|kind| kind.gap_ns <= stretched(ns)).copied().collect();
    kinds.sort_unstable_by_key(|kind| (kind.gap_ns, kind.exchange));
    let samples = kinds.iter().map(|kind| kind.samples).fold(0, u32::saturating_add);
    (kinds.iter().map(|kind| kind.exchange).collect(), samples)
}

fn millis(ns: u64) -> f64 {
    ns as f64 / MS as f64
}

#[cfg(test)]
#[path = "hidden_tests.rs"]
mod tests;
