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
//!   ([`scatter::against_computing`]); or its first data as well, which take about as long
//!   ([`scatter::of_slow_lengths`]);
//! * a client that connects before it has anything to send: explains only its first data, which
//!   come at any time ([`scatter::against_any_time`]);
//! * a satellite gateway that terminates TCP (RFC 3135): the same physics, recognised by its length
//!   alone.
//!
//! None of them explains that turns behind the handshake take just the leg
//! ([`scatter::of_later_turns`]), and if those are answered at once, there is none. A client behind
//! a leg may be slow, too: then they are shorter than its handshakes, and show the leg alone
//! ([`scatter::leg_of_later_turns`]).
//!
//! docs/latency.md explains it to users and shows the calibration.

use crate::endpoints::exchange_minima::{Gathered, Lowest, SILENT_NS, needs_computing};
use crate::endpoints::method::method;
use crate::endpoints::scatter;
use crate::model::endpoint::{HiddenLeg, Needs, Pool};
use crate::model::latency::Exchange;

const MS: u64 = 1_000_000;

/// Prior odds against a direct client, in nats: one endpoint in twenty has a hidden leg.
const PRIOR_LEG: f64 = -3.0;
/// One client in ten computes slowly: phones, virtual machines, smart cards.
const PRIOR_SLOW: f64 = -2.3;
/// Nine in ten of those prepare their first data as slowly: a key exchange begins there. All of
/// seven emulated ones did, and took 0.98 to 1.35 times as long for their handshakes.
const SLOW_FIRST_DATA: f64 = -0.1;
/// What a slow client does without arithmetic takes longer, too: chance counts less.
const SLOW_OTHERS: f64 = 0.7;
/// One in seven opens connections before it needs them, or prepares its first data slowly.
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
/// From here on there is a leg, below it none or not enough is known.
const THERE_IS: f64 = 0.5;
/// Below this more exchanges of the same kind would change nothing.
const THERE_IS_NONE: f64 = 0.05;
/// Later turns that agree are a kind of evidence of their own from these odds on.
const LATER_AGREE: f64 = 1.0;

/// The estimate, if the exchanges seen allow one.
pub(super) fn estimate(gathered: &Gathered) -> Option<HiddenLeg> {
    #[cfg(test)]
    tests::ESTIMATES.with(|all| all.set(all.get() + 1));
    let kinds: Vec<KindMinimum> =
        gathered.kinds().iter().map(|lowest| KindMinimum::of(lowest, gathered.floor_ns)).collect();
    let first = kinds.iter().find(|kind| kind.exchange == Exchange::FirstData).copied();
    let others = || kinds.iter().filter(|kind| kind.exchange != Exchange::FirstData);
    let bound = others().map(|kind| kind.gap_ns).min();
    let first = first.filter(|first| supports_leg(first, bound));
    let ns = first.map(|first| first.gap_ns).into_iter().chain(bound).min()?;
    let used: Vec<KindMinimum> = others().copied().chain(first).collect();
    let evidence = Evidence::of(ns, &used, gathered);
    let agree = agreeing(ns, &used);
    let (ns, later) = evidence.likelier();
    Some(HiddenLeg {
        ns,
        confidence: evidence.confidence(),
        method: method(&agree.iter().map(|kind| kind.exchange).collect::<Vec<Exchange>>()),
        kinds: independent(&agree) + u32::from(later >= LATER_AGREE),
        samples: agree.iter().map(|kind| kind.samples).fold(0, u32::saturating_add),
        handshakes: gathered.handshakes,
        needs: evidence.needs(),
        pool: Pool::LINE,
    })
}

/// Whether a leg is as long as one by geostationary satellite.
pub(super) const fn is_satellite_long(leg: &HiddenLeg) -> bool {
    leg.ns >= GEOSTATIONARY_NS
}

/// Whether there is a long hidden leg.
pub(super) fn is_there(leg: &HiddenLeg) -> bool {
    leg.confidence >= THERE_IS
}

/// Whether a leg is too short to be pooled with others.
pub(super) fn is_short(leg: &HiddenLeg) -> bool {
    millis(leg.ns) < LONG_MS
}

/// Whether all of these can be one leg: none is short, and the longest no longer than Nagle's
/// algorithm makes the shortest.
pub(super) fn agree(legs: &[HiddenLeg]) -> bool {
    let lengths = || legs.iter().map(|leg| leg.ns);
    let (shortest, longest) = (lengths().min(), lengths().max());
    let within = shortest.is_some_and(|ns| longest <= Some(stretched(ns)));
    within && !legs.iter().any(is_short)
}

/// How much this many dependent samples count together.
pub(super) fn weight_of(samples: u32) -> f64 {
    match samples.min(SAMPLES_COUNTED) {
        0 => 0.0,
        all => 1.0 + FURTHER_SAMPLE * f64::from(all - 1),
    }
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
        KindMinimum { exchange, samples, gap_ns: lowest.gap_ns(floor_ns) }
    }
}

/// What speaks for a leg and against each other hypothesis.
#[derive(Clone, Copy, Debug)]
struct Evidence {
    ns: u64,
    /// Samples of exchanges that need computing, of first data, and of other exchanges; of each
    /// kind no more than count.
    computing: u32,
    first_data: u32,
    others: u32,
    /// Against a client that computes slowly before its answers.
    slow: f64,
    /// Against one that connects early.
    early: f64,
    /// For a leg alone, against first data and handshakes that are late for reasons of their own.
    one_length: f64,
    /// The nats of one slow client that computes before both.
    slow_both: f64,
    /// The handshakes take too long for that leg: the client computes, behind a leg or not.
    computes: bool,
    /// For that leg, and for a shorter one with a client that computes before its handshakes, in
    /// ms, against every other hypothesis.
    later: f64,
    shorter: Option<(f64, f64)>,
}

impl Evidence {
    fn of(ns: u64, kinds: &[KindMinimum], gathered: &Gathered) -> Evidence {
        let samples = |wanted: &dyn Fn(Exchange) -> bool| {
            let wanted = kinds.iter().filter(|kind| wanted(kind.exchange));
            wanted.map(|kind| kind.samples.min(SAMPLES_COUNTED)).sum::<u32>()
        };
        let first_data = samples(&|exchange| exchange == Exchange::FirstData);
        let computing = samples(&needs_computing);
        let lowest = |wanted: &dyn Fn(Exchange) -> bool| {
            kinds.iter().filter(|kind| wanted(kind.exchange)).map(|kind| kind.gap_ns).min()
        };
        let lengths = lowest(&|exchange| exchange == Exchange::FirstData)
            .zip(lowest(&needs_computing))
            .map(|(first, handshake)| (millis(first), millis(handshake)));
        // Prompt first data are not in the sample, and say nothing about the late ones.
        let late = match first_data {
            0 => Vec::new(),
            _ => gathered.first_data.gaps_ms(gathered.floor_ns),
        };
        let later = gathered.later.gaps_ms(0);
        let computed = gathered.computed.gaps_ms(gathered.floor_ns);
        let slow = scatter::against_computing(&computed);
        let others = samples(&|_| true) - first_data - computing;
        Evidence {
            ns,
            computing,
            first_data,
            others,
            slow,
            early: scatter::against_any_time(&late),
            one_length: lengths.map_or(0.0, scatter::of_one_length),
            slow_both: match lengths {
                None => PRIOR_SLOW + PRIOR_LATE - slow,
                Some(both) => {
                    PRIOR_SLOW + SLOW_FIRST_DATA + scatter::of_slow_lengths(both)
                        - scatter::against_computing_both(&late, &computed)
                }
            },
            computes: lowest(&needs_computing).is_some_and(|gap_ns| gap_ns > stretched(ns)),
            later: scatter::of_later_turns(millis(ns), &later),
            // What else was exchanged is no shorter than the leg, and has no computing in it.
            shorter: (others == 0)
                .then(|| scatter::leg_of_later_turns(millis(ns), &later))
                .flatten(),
        }
    }

    /// From 0 to 1.
    fn confidence(&self) -> f64 {
        let Evidence { computing, first_data, others, .. } = *self;
        let chance = |samples: u32| -> f64 {
            let further = f64::from(samples.saturating_sub(1));
            if samples == 0 { 0.0 } else { chance_nats(self.ns) * (1.0 + FURTHER_SAMPLE * further) }
        };
        let (slow, both) = (self.slow(), self.slow_both);
        let usual = if computing > 0 { SLOW_OTHERS } else { 1.0 };
        let prompt = if first_data > 0 { 0.0 } else { PROMPT_FIRST_DATA };
        // What each hypothesis leaves to chance: all kinds; those without computing; all but the
        // first data; neither.
        let nothing: f64 = [
            -chance(computing + first_data + others),
            slow - usual * chance(first_data + others),
            PRIOR_LATE - self.early - chance(computing + others),
            both - usual * chance(others),
        ]
        .iter()
        .map(|nats| (nats + prompt).exp())
        .sum();
        let (leg, shorter) = self.odds_of_legs();
        let long = |ms: f64| 1.0 / (1.0 + ((LONG_MS - ms) / LONG_WIDTH_MS).exp());
        let length = self.shorter.map_or(0.0, |(ms, _)| ms);
        let legs = long(millis(self.ns)) * leg + long(length) * shorter;
        let confidence = legs / (leg + shorter + nothing);
        let satellite = self.likelier().0 >= GEOSTATIONARY_NS;
        if satellite { confidence.min(CONFIDENCE_SATELLITE) } else { confidence }
    }

    /// The nats of a client that computes slowly before its answers.
    fn slow(&self) -> f64 {
        PRIOR_SLOW - self.slow
    }

    /// What first data and handshakes say for the leg: their lengths, or what it takes to explain
    /// them otherwise.
    fn lengths(&self) -> f64 {
        match (self.computes, self.first_data) {
            (false, _) => self.one_length,
            (true, 0) => self.slow(),
            (true, _) => self.slow_both,
        }
    }

    /// The odds of a leg as long as the shortest exchange, and of a shorter one with computing.
    fn odds_of_legs(&self) -> (f64, f64) {
        let prior = PRIOR_LEG + if self.first_data > 0 { 0.0 } else { SILENT_FIRST_DATA };
        let odds = |nats: f64, later: f64| (prior + nats + scatter::bounded(later)).exp();
        let shorter = self.shorter.map_or(0.0, |(_, later)| odds(self.slow(), later));
        (odds(self.lengths(), self.later), shorter)
    }

    /// The likelier of both: its length in ns, and what later turns say for it.
    fn likelier(&self) -> (u64, f64) {
        let leg = self.lengths() + self.later;
        match self.shorter {
            Some((ms, later)) if self.slow() + later > leg => ((ms * MS as f64) as u64, later),
            _ => (self.ns, self.later),
        }
    }

    /// What would decide for a leg if it agreed with what is known; nothing if it is decided.
    fn needs(&self) -> Option<Needs> {
        if !(THERE_IS_NONE..THERE_IS).contains(&self.confidence()) {
            return None;
        }
        let with = |others: u32, computing: u32| {
            let more = Evidence {
                others: self.others + others,
                computing: self.computing + computing,
                ..*self
            };
            more.confidence() >= THERE_IS
        };
        let other = (1..=SAMPLES_COUNTED).find(|more| with(*more, 0));
        let computing = (1..=SAMPLES_COUNTED).find(|more| with(0, *more));
        match (other, computing) {
            (Some(more), Some(handshakes)) if handshakes <= more => {
                Some(Needs { of: Needs::HANDSHAKE, more: handshakes })
            }
            (Some(more), _) => Some(Needs { of: Needs::OTHER, more }),
            (None, Some(more)) => Some(Needs { of: Needs::HANDSHAKE, more }),
            (None, None) => None,
        }
    }
}

/// Whether the first data support a leg: they are late, but no later than Nagle's algorithm can
/// make them given the other kinds, or the others given them. Those that come much later than
/// everything else say nothing: the program had nothing to send.
fn supports_leg(first: &KindMinimum, bound: Option<u64>) -> bool {
    let one_leg = |bound: u64| bound <= stretched(first.gap_ns) && first.gap_ns <= stretched(bound);
    first.gap_ns >= SILENT_NS && bound.is_none_or(one_leg)
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

/// The kinds that a leg of `ns` explains, best first.
fn agreeing(ns: u64, kinds: &[KindMinimum]) -> Vec<KindMinimum> {
    let mut kinds: Vec<KindMinimum> =
        kinds.iter().filter(|kind| kind.gap_ns <= stretched(ns)).copied().collect();
    kinds.sort_unstable_by_key(|kind| (kind.gap_ns, kind.exchange));
    kinds
}

/// Kinds that have no explanation in common but a leg: all that need computing are one.
fn independent(kinds: &[KindMinimum]) -> u32 {
    let computing = kinds.iter().any(|kind| needs_computing(kind.exchange));
    let others = kinds.iter().filter(|kind| !needs_computing(kind.exchange)).count();
    others as u32 + u32::from(computing)
}

fn millis(ns: u64) -> f64 {
    ns as f64 / MS as f64
}

#[cfg(test)]
#[path = "hidden_tests.rs"]
pub(super) mod tests;

#[cfg(test)]
#[path = "population_tests.rs"]
mod population_tests;
