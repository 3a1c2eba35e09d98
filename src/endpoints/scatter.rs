//! What the scatter of answers says for or against a hidden leg, in nats.
//!
//! Owns: the laws of scatter. In: gaps of answers in ms, ascending. Out: logarithms of likelihood
//! ratios, each bounded, so that no law decides alone. Never: a sum that grows with every sample:
//! answers of one client are not independent.
//!
//! A path has a floor: behind it every answer takes the leg, or twice the leg where Nagle's
//! algorithm waits (RFC 896), and little more; but some clients are busy too, so a tail belongs to
//! it. Computing has a floor as well, and varies in proportion to itself. What a person or a page
//! does next takes anything from nothing to seconds.

/// Scatter of a path: queues, in ms, and a share of the leg.
const PATH_MS: f64 = 8.0;
const PATH: f64 = 0.02;
/// Scatter of computing, as a share of it.
const COMPUTING: f64 = 0.20;
/// Scatter of a busy client, as a share of the leg, and how many answers are part of it.
const BUSY: f64 = 0.5;
const BUSY_SHARE: f64 = 0.25;
/// For how long Linux and Windows hold an acknowledgement back (RFC 9293 section 3.8.6.3 allows
/// 500).
const HELD_MS: f64 = 40.0;
/// Answers that Nagle's algorithm delays by another leg.
const TWICE_SHARE: f64 = 0.10;
/// The mean of what a busy client adds to an answer at once, in ms: 22.3, 14.2 and 5.7 % of 564
/// flows without a proxy took more than 20, 50 and 100 ms.
const BUSY_MS: f64 = 60.0;
/// What is answered within this time, in ms, is answered at once: shorter than the timers that
/// delay acknowledgements.
const AT_ONCE_MS: f64 = 35.0;
/// A computing client is busy at times, too.
const COMPUTING_BUSY_SHARE: f64 = 0.15;
/// Values needed: two between the lowest and the highest.
const VALUES_MIN: usize = 4;
/// One outlier in eight at the lower end.
const VALUES_PER_ODD: usize = 8;
/// A gap below this is not significant, in ms.
const SILENT_MS: f64 = 10.0;

/// For a leg and against a client that computes for so long before each answer. The highest value
/// is left out: it may be one lost packet.
pub(super) fn against_computing(gaps: &[f64]) -> f64 {
    const BOUNDS: (f64, f64) = (-3.0, 2.5);
    let Some((lowest, between)) = split(gaps, VALUES_MIN) else { return 0.0 };
    let nats = between.iter().map(|gap| against_excess(gap - lowest, lowest, COMPUTING));
    nats.sum::<f64>().clamp(BOUNDS.0, BOUNDS.1)
}

/// For a leg and against a client that computes both before its first data and before its
/// handshakes' answers: each varies by a share of itself. Two sessions are enough, since each shows
/// two.
pub(super) fn against_computing_both(first: &[f64], handshakes: &[f64]) -> f64 {
    const BOUNDS: (f64, f64) = (-3.0, 2.5);
    /// Half of the answers of five emulated clients took 0.25 to 0.46 of the lowest longer.
    const EMULATED: f64 = 0.3;
    let mut nats: Vec<f64> = Vec::new();
    for gaps in [first, handshakes] {
        let Some((lowest, above)) = gaps.split_first().filter(|(low, _)| **low >= SILENT_MS) else {
            continue;
        };
        let nats_of = |gap: &f64| against_excess(gap - lowest, *lowest, EMULATED);
        nats.extend(above.iter().map(nats_of));
    }
    if nats.is_empty() {
        return 0.0;
    }
    let mean = nats.iter().sum::<f64>() / nats.len() as f64;
    (mean * super::hidden::weight_of(nats.len() as u32)).clamp(BOUNDS.0, BOUNDS.1)
}

/// The same for one excess over the lowest, if computing varies by this share of itself.
fn against_excess(excess: f64, lowest: f64, share: f64) -> f64 {
    let slow = (1.0 - COMPUTING_BUSY_SHARE) * exponential(excess, share * lowest)
        + COMPUTING_BUSY_SHARE * exponential(excess, BUSY * lowest);
    (behind_leg(excess, lowest) / slow).ln()
}

/// For a leg and against a client that connects before it has anything to send: then its first data
/// come at any time. Some programs wait for a fixed time, so evenness alone must not decide.
pub(super) fn against_any_time(gaps: &[f64]) -> f64 {
    const BOUNDS: (f64, f64) = (-2.0, 0.9);
    let Some((lowest, between)) = split(gaps, 2) else { return 0.0 };
    let path = PATH_MS + PATH * lowest;
    let nats = between.iter().map(|gap| {
        let (excess, any) = (gap - lowest, any_time(*gap));
        let leg = 0.7 * exponential(excess, path) + 0.3 * any;
        (leg / any).ln()
    });
    nats.sum::<f64>().clamp(BOUNDS.0, BOUNDS.1)
}

/// For a leg and against a client whose first data and handshake are late for reasons of their own:
/// the lowest gap of each. Behind a leg both take just that, or the handshake twice that (Nagle's
/// algorithm) and the time for which an acknowledgement is held back.
pub(super) fn of_one_length((first, handshake): (f64, f64)) -> f64 {
    const BOUNDS: (f64, f64) = (-2.5, 2.8);
    const ONCE: f64 = 0.75;
    const TWICE: f64 = 0.15;
    /// What a client does before its first data, as a share of the leg.
    const OWN: f64 = 0.05;
    if first < SILENT_MS || handshake < SILENT_MS {
        return 0.0;
    }
    let any = any_time(handshake);
    let about = |length: f64, width: f64| {
        exponential((handshake - length).abs(), PATH_MS + width * first) / 2.0
    };
    let twice = [2.0 * first, 2.0 * first + HELD_MS, first / 2.0].map(|ms| about(ms, 2.0 * OWN));
    let twice = twice.iter().sum::<f64>() / 3.0;
    let leg = ONCE * about(first, OWN) + TWICE * twice + (1.0 - ONCE - TWICE) * any;
    (leg / any).ln().clamp(BOUNDS.0, BOUNDS.1)
}

/// For one slow client that computes before both, and against reasons of their own: the same gaps.
/// The same processor does similar arithmetic before either, so most handshakes take about as long
/// as the first data, and the others anything up to eight times more or less.
pub(super) fn of_slow_lengths((first, handshake): (f64, f64)) -> f64 {
    const ABOUT: f64 = 0.7;
    /// The mean of the logarithm of their ratio.
    const RATIO: f64 = 0.3;
    const MOST: f64 = 8.0;
    if first < SILENT_MS || handshake < SILENT_MS {
        return 0.0;
    }
    let ratio = (handshake / first).ln().abs();
    let about = ABOUT * exponential(ratio, RATIO) / 2.0 + (1.0 - ABOUT) / (2.0 * MOST.ln());
    (about / handshake / any_time(handshake)).ln()
}

/// For a leg of `leg_ms` and against every client that answers from where its TCP ends: what the
/// turns behind the handshake say, whose answers need no arithmetic.
///
/// Behind a leg none of them is shorter, unless data crossed in flight; of those that are answered
/// at once, most take just the leg. A direct client answers at once, or when it has thought.
/// Without bounds, to compare two lengths: [`bounded`] is what counts.
pub(super) fn of_later_turns(leg_ms: f64, lags: &[f64]) -> f64 {
    // Half are answered at once; behind proxies some of those were in flight already.
    const AT_ONCE: f64 = 0.5;
    const CROSSED: f64 = 0.14;
    const ABOUT: f64 = AT_ONCE - CROSSED;
    let from = 0.85 * leg_ms - 10.0;
    if lags.is_empty() || from <= 0.0 {
        return 0.0;
    }
    let soon = from.min(AT_ONCE_MS);
    let sooner = AT_ONCE + (1.0 - AT_ONCE) * thought_within(soon);
    let nats = lags.iter().map(|lag| match *lag {
        lag if lag < soon => (CROSSED / sooner).ln(),
        // Neither at once nor behind the leg: in a conversation of both sides (RFC 6455) data cross
        // at any time.
        lag if lag < from => 0.0,
        lag => {
            let thought = any_time(lag);
            let behind = ABOUT * about(lag - leg_ms, leg_ms) + (1.0 - AT_ONCE) * thought;
            // A quarter of those that answer at once are busy.
            let direct = AT_ONCE * 0.25 * exponential(lag, BUSY_MS) + (1.0 - AT_ONCE) * thought;
            (behind / direct).ln()
        }
    });
    let mean = nats.sum::<f64>() / lags.len() as f64;
    mean * super::hidden::weight_of(lags.len() as u32)
}

/// Those nats as they count against other hypotheses.
pub(super) fn bounded(later: f64) -> f64 {
    const BOUND: f64 = 6.0;
    later.clamp(-BOUND, BOUND)
}

/// The leg that later turns show if what comes before them takes longer, `bound_ms`: the likeliest
/// of their own lengths, with its nats. A length that is chosen to fit says less than one that is
/// known, by the chance that one chosen at any time falls there.
pub(super) fn leg_of_later_turns(bound_ms: f64, lags: &[f64]) -> Option<(f64, f64)> {
    const TRIED: usize = 12;
    let below = bound_ms - 2.0 * (PATH_MS + PATH * bound_ms);
    let shorter = |lag: &&f64| (AT_ONCE_MS..below).contains(*lag);
    let tried = lags.iter().filter(shorter).take(TRIED).map(|lag| {
        let chosen = (any_time(*lag) * (PATH_MS + PATH * lag)).ln();
        (*lag, of_later_turns(*lag, lags) + chosen)
    });
    tried.reduce(|best, one| if one.1 > best.1 { one } else { best })
}

/// The density of an answer at once behind a leg: about half of them within some milliseconds of
/// it, or of twice that (Nagle's algorithm), the others after the program has worked for a while,
/// or by a busy client.
fn about(excess: f64, leg: f64) -> f64 {
    let (path, working) = (5.0 + PATH * leg, 10.0 + 0.12 * leg);
    match excess < 0.0 {
        true => 0.10 * exponential(-excess, path),
        false => {
            0.36 * exponential(excess, path)
                + 0.08 * exponential((excess - leg).abs(), path) / 2.0
                + 0.23 * exponential(excess, working)
                + 0.23 * exponential(excess, BUSY_MS)
        }
    }
}

/// The density of an excess over the lowest behind a leg.
fn behind_leg(excess: f64, leg: f64) -> f64 {
    let path = PATH_MS + PATH * leg;
    (1.0 - BUSY_SHARE - TWICE_SHARE) * exponential(excess, path)
        + TWICE_SHARE * exponential((excess - leg).abs(), path) / 2.0
        + BUSY_SHARE * exponential(excess, BUSY * leg)
}

fn exponential(excess: f64, mean: f64) -> f64 {
    (-excess / mean).exp() / mean
}

/// The longest pause that counts as one, in ms.
const PAUSE_MS: f64 = 10_000.0;

/// The density of an action at any time: about uniform in the logarithm, from 10 ms on.
fn any_time(gap: f64) -> f64 {
    1.0 / ((gap + SILENT_MS) * (1.0 + PAUSE_MS / SILENT_MS).ln())
}

/// The share of such actions within so many ms.
fn thought_within(end: f64) -> f64 {
    (1.0 + end.min(PAUSE_MS) / SILENT_MS).ln() / (1.0 + PAUSE_MS / SILENT_MS).ln()
}

/// The lowest value behind the outliers, and those between it and the highest; nothing if there are
/// fewer than `least`, or if the lowest is not significant.
fn split(gaps: &[f64], least: usize) -> Option<(f64, &[f64])> {
    let (lowest, above) = gaps.get(gaps.len() / VALUES_PER_ODD..)?.split_first()?;
    if gaps.len() < least || *lowest < SILENT_MS {
        return None;
    }
    let between = above.split_last().map_or(above, |(_, rest)| rest);
    Some((*lowest, if gaps.len() < VALUES_MIN { above } else { between }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tight_floor_with_a_tail_is_a_path() {
        let busy = [200.0, 202.0, 203.0, 204.0, 205.0, 206.0, 250.0, 300.0, 340.0, 390.0, 465.0];
        assert!(against_computing(&busy) > -1.5, "{}", against_computing(&busy));
        let path = [165.0, 166.0, 168.0, 169.0, 171.0, 290.0];
        assert!(against_computing(&path) > 2.0);
        let twice = [160.0, 163.0, 165.0, 168.0, 322.0, 326.0, 330.0, 480.0];
        assert!(against_computing(&twice) > 0.0, "{}", against_computing(&twice));
        let slow = [165.0, 184.0, 193.0, 204.0, 220.0, 240.0];
        assert!(against_computing(&slow) < 0.0, "{}", against_computing(&slow));
        assert_eq!(against_computing(&[200.0, 201.0, 202.0]), 0.0, "too few");
    }

    #[test]
    fn first_data_of_one_length_are_not_of_any_time() {
        assert!(against_any_time(&[150.0, 152.0, 155.0, 158.0]) > 0.5);
        assert!(against_any_time(&[150.0, 800.0, 2_400.0, 9_000.0]) < 0.0);
        assert_eq!(against_any_time(&[150.0]), 0.0);
    }

    #[test]
    fn first_data_and_handshake_of_one_leg_are_of_one_length() {
        for ms in [203.0, 395.0, 445.0] {
            let both = (200.0, ms);
            assert!(of_one_length(both) > of_slow_lengths(both), "{ms}");
        }
        for (first, ms) in [(50.0, 260.0), (50.0, 800.0), (100.0, 165.0), (200.0, 300.0)] {
            let nats = of_one_length((first, ms)) - of_slow_lengths((first, ms));
            assert!(nats < -0.4, "{first} {ms}: {nats}");
        }
        assert_eq!(of_one_length((3.0, 200.0)), 0.0, "at once");
    }

    #[test]
    fn later_turns_show_a_leg_below_what_is_computed_before() {
        let (leg, nats) =
            leg_of_later_turns(330.0, &[201.0, 202.0, 204.0, 205.0, 209.0, 900.0]).unwrap();
        assert!((200.0..206.0).contains(&leg) && nats > 3.0, "{leg} {nats}");
        let (_, nats) = leg_of_later_turns(330.0, &[0.0, 1.0, 1.0, 60.0, 140.0]).unwrap();
        assert!(nats < 0.0, "pauses: {nats}");
        assert!(leg_of_later_turns(330.0, &[110.0]).unwrap().1 < 0.0, "one fits itself");
        assert_eq!(leg_of_later_turns(330.0, &[0.0, 2.0, 340.0]), None);
    }

    #[test]
    fn later_turns_tell_a_slow_client_from_a_leg() {
        assert!(of_later_turns(200.0, &[203.0, 210.0, 3_700.0]) > 1.0);
        assert!(of_later_turns(200.0, &[0.0, 3.0, 1.0]) < -2.0);
        assert_eq!(of_later_turns(200.0, &[]), 0.0);
        assert!(of_later_turns(200.0, &[900.0, 2_000.0]).abs() < 0.2, "a person's pauses");
        let crossed = of_later_turns(200.0, &[204.0, 12.0, 207.0, 201.0, 215.0]);
        assert!(crossed > 1.0, "one that crossed in flight: {crossed}");
        assert!(of_later_turns(300.0, &[1_108.0, 137.0, 231.0]).abs() < 0.3, "a conversation");
        assert_eq!(of_later_turns(8.0, &[0.0, 0.0]), 0.0, "no leg to speak of");
    }
}
