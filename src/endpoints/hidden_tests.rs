//! Endpoints with a known truth, and the estimate for each.
//!
//! Owns: the weight of each hypothesis. In: turns made here. Out: assertions. Never: files.

use proptest::prelude::*;

use super::*;
use crate::model::Nanos;
use crate::model::lag::Lag;
use crate::model::latency::{Turn, Turns};

thread_local! {
    /// Estimates made.
    pub(in crate::endpoints) static ESTIMATES: std::cell::Cell<u32> =
        const { std::cell::Cell::new(0) };
}

const FLOOR_MS: u64 = 40;

/// Turns this many milliseconds longer than a leg of 40 ms.
fn turns(gaps: &[(Exchange, u64)]) -> Turns {
    let turn =
        |(exchange, gap): &(Exchange, u64)| Turn::new(*exchange, true, (FLOOR_MS + gap) * MS);
    Turns { turns: gaps.iter().map(turn).collect(), ..Turns::default() }
}

/// Sessions over a leg of 40 ms whose turns are this many milliseconds longer.
fn gathered(sessions: &[&[(Exchange, u64)]]) -> Gathered {
    let mut gathered = Gathered::new();
    for (salt, gaps) in sessions.iter().enumerate() {
        gathered.add(&turns(gaps), Some(FLOOR_MS * MS), salt as u64);
    }
    gathered
}

fn leg(sessions: &[&[(Exchange, u64)]]) -> (u64, f64) {
    let leg = estimate(&gathered(sessions)).unwrap();
    (leg.ns / MS, leg.confidence)
}

use Exchange::{FirstData, Ping, Rfb, Ssh, SshAuth, Tls, TlsData, TlsResumed};

#[test]
fn a_direct_client_hides_nothing() {
    for gap in [0, 2, 9, 15] {
        let (ms, confidence) = leg(&[&[(FirstData, 1), (Tls, gap)], &[(Tls, gap + 30)]]);
        assert_eq!(ms, gap);
        assert!(confidence < 0.05, "{gap}: {confidence}");
    }
}

#[test]
fn two_kinds_that_agree_show_a_leg() {
    for (first, second) in [(FirstData, Tls), (Tls, Ping), (Tls, TlsData), (Ssh, SshAuth)] {
        let (ms, confidence) =
            leg(&[&[(first, 150), (second, 155)], &[(first, 152), (second, 151)]]);
        assert_eq!(ms, 150);
        assert!(confidence > 0.7, "{first:?} {second:?}: {confidence}");
    }
    let rounds = [(Rfb, 180), (Rfb, 182), (Rfb, 181), (Rfb, 190)];
    assert!(leg(&[&rounds]).1 > 0.9);
}

#[test]
fn one_kind_alone_shows_none() {
    assert!(leg(&[&[(Tls, 200)]]).1 < 0.5, "a slow client");
    assert!(leg(&[&[(FirstData, 200)]]).1 < 0.5, "one that connects ahead");
    assert!(leg(&[&[(Ssh, 200)]]).1 < 0.5, "chance");
}

#[test]
fn computing_scatters_and_a_path_does_not() {
    let slow: Vec<[(Exchange, u64); 1]> =
        [165, 204, 240, 169, 212, 184].map(|gap| [(Tls, gap)]).to_vec();
    let slow: Vec<&[(Exchange, u64)]> = slow.iter().map(|one| &one[..]).collect();
    assert!(leg(&slow).1 < 0.1, "{:?}", leg(&slow));
    let path: Vec<[(Exchange, u64); 1]> =
        [165, 168, 171, 166, 290, 169].map(|gap| [(Tls, gap)]).to_vec();
    let path: Vec<&[(Exchange, u64)]> = path.iter().map(|one| &one[..]).collect();
    let (ms, confidence) = leg(&path);
    assert_eq!(ms, 165);
    assert!((0.5..0.85).contains(&confidence), "one kind is never sure: {confidence}");
}

#[test]
fn a_slow_client_that_answers_anything_else_at_once_is_no_proxy() {
    let (ms, confidence) = leg(&[&[(Tls, 200), (TlsData, 1)], &[(Tls, 210), (TlsData, 2)]]);
    assert_eq!(ms, 1);
    assert!(confidence < 0.01);
}

#[test]
fn nagle_doubles_and_the_shorter_kind_counts() {
    let (ms, confidence) = leg(&[&[(FirstData, 160), (Tls, 372)], &[(FirstData, 165), (Tls, 380)]]);
    assert_eq!(ms, 160);
    assert!(confidence > 0.7, "{confidence}");
    // First data that are merely late do not shorten the leg.
    let (ms, _) = leg(&[&[(FirstData, 20), (Tls, 200), (Ping, 201)]]);
    assert_eq!(ms, 200);
}

#[test]
fn a_short_leg_is_not_called_long() {
    for (ms, least, most) in [(8, 0.0, 0.01), (20, 0.0, 0.1), (45, 0.6, 1.0), (80, 0.8, 1.0)] {
        let rounds = [(FirstData, ms), (Ssh, ms), (SshAuth, ms), (SshAuth, ms), (SshAuth, ms)];
        let confidence = leg(&[&rounds]).1;
        assert!((least..=most).contains(&confidence), "{ms}: {confidence}");
    }
}

#[test]
fn a_satellites_length_is_never_sure() {
    let sure = leg(&[&[(FirstData, 600), (Tls, 600), (TlsData, 600)], &[(Tls, 601)]]);
    assert_eq!(sure, (600, CONFIDENCE_SATELLITE));
}

#[test]
fn first_data_at_once_alone_decide_nothing() {
    assert_eq!(estimate(&gathered(&[&[(FirstData, 0)]])), None);
    assert_eq!(estimate(&Gathered::new()), None);
}

/// A session with a full TLS handshake whose turns 1 to 4 lag so many milliseconds behind the
/// acknowledgement of their question.
fn lagging(lags: &[u64]) -> Turns {
    let mut turns = Turns::default();
    for (at, lag) in lags.iter().enumerate() {
        let (trip, lag) = (Nanos((FLOOR_MS + lag) * MS), Lag::of(Nanos(lag * MS)));
        turns.lags.add(true, trip, lag);
        if at == 0 {
            turns.turns.push(Turn { lag, ..Turn::new(Tls, true, trip.0) });
        }
    }
    turns
}

fn of_lagging(sessions: &[&[u64]]) -> HiddenLeg {
    let mut gathered = Gathered::new();
    for (salt, lags) in (0u64..).zip(sessions) {
        gathered.add(&lagging(lags), Some(FLOOR_MS * MS), salt);
    }
    estimate(&gathered).unwrap()
}

#[test]
fn later_turns_make_one_program_enough() {
    let page: &[u64] = &[220, 232, 228, 3_700];
    let (one, two) = (of_lagging(&[page]), of_lagging(&[page, page]));
    assert!(one.confidence > 0.5 && two.confidence > one.confidence, "{one:?} {two:?}");
    assert_eq!((one.ns / MS, one.kinds), (220, 2));
    // The same first turns without the later ones.
    assert!(of_lagging(&[&[220], &[221]]).confidence < 0.5);
}

/// Its handshakes take the leg and 150 ms of computing, its later turns the leg alone.
#[test]
fn a_slow_client_behind_a_leg_shows_it_later() {
    let sessions: [&[u64]; 4] = [&[350, 201, 204], &[362, 203], &[371, 202, 207], &[358, 205, 202]];
    let leg = of_lagging(&sessions);
    assert!(leg.confidence > 0.9 && leg.kinds == 2, "{leg:?}");
    assert!((200..208).contains(&(leg.ns / MS)), "{leg:?}");
    // Pauses of a person show no length.
    let sessions: [&[u64]; 4] = [&[150, 61, 900], &[162, 2_300], &[171, 402, 98], &[158, 0, 205]];
    assert!(of_lagging(&sessions).confidence < 0.5);
}

/// First data after 60 ms and handshakes after 170 ms are not one leg.
#[test]
fn late_first_data_of_another_length_are_no_second_kind_of_a_leg() {
    let session: &[(Exchange, u64)] = &[(FirstData, 60), (Tls, 260)];
    let (_, confidence) = leg(&[session; 3]);
    assert!(confidence < 0.5, "{confidence}");
}

/// Emulated clients: what they compute before their first data takes about as long as what they
/// compute before their handshakes' answers, and another turn was late by chance.
#[test]
fn a_client_that_is_slow_before_both_is_no_leg() {
    let even = [(83, 78), (102, 115), (82, 107), (141, 104)];
    let even = even.map(|(first, answer)| [(FirstData, first), (Tls, answer)]);
    let even: Vec<&[(Exchange, u64)]> = even.iter().map(|session| &session[..]).collect();
    for sessions in 1..=even.len() {
        let (_, confidence) = leg(&even[..sessions]);
        assert!(confidence < 0.5, "{sessions}: {confidence}");
    }
    // A leg of 46 ms does not explain handshakes of 349.
    let mut old = lagging(&[349, 46, 55]);
    old.turns.push(Turn::new(TlsData, true, (FLOOR_MS + 46) * MS));
    old.turns.push(Turn::new(FirstData, true, (FLOOR_MS + 307) * MS));
    let mut gathered = Gathered::new();
    gathered.add(&old, Some(FLOOR_MS * MS), 0);
    let leg = estimate(&gathered).unwrap();
    assert!(leg.ns / MS == 46 && leg.confidence < 0.5, "{leg:?}");
}

/// A timer of 40 ms delays the acknowledgements of later turns, behind a leg of 70 ms: their lags
/// are too short to say anything, and their round trips are as long as the leg.
#[test]
fn a_late_acknowledgement_leaves_the_round_trip_of_a_later_turn() {
    let mut turns = lagging(&[70]);
    for trip in [110, 112, 111] {
        turns.lags.add(true, Nanos(trip * MS), Lag::of(Nanos((trip - FLOOR_MS - 40) * MS)));
    }
    turns.lags.settle(Some(FLOOR_MS * MS), None);
    assert_eq!([1, 2, 3].map(|turn| turns.lags.ns(true, turn)), [None; 3]);
    let mut gathered = Gathered::new();
    (0..4).for_each(|salt| gathered.add(&turns, Some(FLOOR_MS * MS), salt));
    let with = estimate(&gathered).unwrap();
    let without = of_lagging(&[&[70][..]; 4]);
    assert!(with.confidence > 0.9 && with.confidence > without.confidence, "{with:?}");
}

#[test]
fn a_slow_client_is_quick_later() {
    let slow: [&[u64]; 4] = [&[75, 14, 2, 3], &[86, 13, 0], &[92, 11, 2], &[157, 17, 3]];
    for sessions in 1..=slow.len() {
        let leg = of_lagging(&slow[..sessions]);
        assert!(leg.confidence < 0.2, "{sessions}: {leg:?}");
    }
}

#[test]
fn data_that_crossed_in_flight_clear_nothing() {
    let pages: [&[u64]; 3] = [&[162, 171, 175], &[165, 3_440, 178, 169], &[163, 33]];
    assert!(of_lagging(&pages).confidence > 0.5);
}

#[test]
fn jitter_of_the_path_is_not_subtracted_from_a_lag() {
    // The acknowledgement came 14 ms late by jitter, and so did the answer.
    let mut late = lagging(&[70]);
    late.turns[0].round_trip_ns += 14 * MS;
    let mut gathered = Gathered::new();
    gathered.add(&late, Some(FLOOR_MS * MS), 0);
    assert_eq!(estimate(&gathered).unwrap().ns, 70 * MS);
    // One that a timer delayed by 40 ms hides 40 ms of the lag.
    late.turns[0].round_trip_ns += 40 * MS;
    late.turns[0].lag = Lag::of(Nanos(84 * MS));
    let mut gathered = Gathered::new();
    gathered.add(&late, Some(FLOOR_MS * MS), 0);
    assert_eq!(estimate(&gathered).unwrap().ns, 124 * MS);
}

#[test]
fn resumed_handshakes_measure_and_clear_but_are_no_other_kind() {
    // Software that looks at each connection delays both.
    let both = estimate(&gathered(&[&[(Tls, 174)], &[(TlsResumed, 175)]])).unwrap();
    assert!((both.ns / MS, both.kinds, both.samples) == (174, 1, 2) && both.confidence < 0.5);
    let session: &[(Exchange, u64)] = &[(TlsResumed, 174), (FirstData, 170)];
    let resumed = leg(&[session; 4]);
    assert!(resumed.0 == 170 && resumed.1 > 0.7, "{resumed:?}");
    // A slow client resumes in no time.
    assert!(leg(&[&[(Tls, 74)], &[(Tls, 76)], &[(TlsResumed, 3)]]).1 < 0.05);
}

#[test]
fn first_data_alone_never_decide() {
    let late: Vec<[(Exchange, u64); 1]> = (0..20).map(|n| [(FirstData, 200 + n % 3)]).collect();
    let late: Vec<&[(Exchange, u64)]> = late.iter().map(|one| &one[..]).collect();
    assert!(leg(&late).1 < 0.5, "a fixed pause: {:?}", leg(&late));
}

#[test]
fn a_busy_client_behind_a_leg_stays_behind_it() {
    let gaps = [
        200, 202, 203, 204, 205, 206, 215, 230, 240, 255, 260, 275, 290, 300, 320, 340, 365, 390,
        430, 465,
    ];
    let sessions: Vec<[(Exchange, u64); 2]> =
        (0..20).map(|at| [(FirstData, 203 + at % 9), (Tls, gaps[at as usize * 7 % 20])]).collect();
    let sessions: Vec<&[(Exchange, u64)]> = sessions.iter().map(|one| &one[..]).collect();
    for count in [2, 4, 20] {
        let (_, confidence) = leg(&sessions[..count]);
        assert!(confidence > 0.5, "{count}: {confidence}");
    }
}

#[test]
fn what_is_needed_decides() {
    let one = estimate(&gathered(&[&[(Tls, 200)]])).unwrap();
    let needs = one.needs.unwrap();
    assert!(one.confidence < 0.5);
    let more: Vec<(Exchange, u64)> = (0..needs.more)
        .map(|_| if needs.of == Needs::OTHER { (Ping, 201) } else { (Tls, 201) })
        .collect();
    let then = estimate(&gathered(&[&[(Tls, 200)], &more])).unwrap();
    assert!(then.confidence >= 0.5 && then.needs.is_none(), "{needs:?} {then:?}");
    let direct = estimate(&gathered(&[&[(Tls, 2), (Ping, 1)]])).unwrap();
    assert_eq!(direct.needs, None);
}

proptest! {
    #[test]
    fn order_does_not_matter_and_an_odd_sample_in_many_hides_nothing(
        gaps in prop::collection::vec(150..170u64, 17..60),
        shift in 0..17usize,
    ) {
        let mut sessions: Vec<Vec<(Exchange, u64)>> =
            gaps.iter().map(|gap| vec![(FirstData, *gap), (TlsData, gap + 1)]).collect();
        sessions[0][1].1 = 0;
        let one: Vec<&[(Exchange, u64)]> = sessions.iter().map(|all| &all[..]).collect();
        let straight = estimate(&gathered(&one)).unwrap();
        prop_assert!(straight.ns >= 150 * MS && straight.confidence > 0.9);
        // Sessions keep their salt, which depends on their times and not on their order.
        let mut turned = Gathered::new();
        for at in 0..one.len() {
            let at = (at + shift) % one.len();
            turned.add(&turns(one[at]), Some(FLOOR_MS * MS), at as u64);
        }
        prop_assert_eq!(estimate(&turned).unwrap(), straight);
    }

    #[test]
    fn a_confidence_is_a_share(
        turns in prop::collection::vec((0..15usize, 0..2_000u64), 1..40),
    ) {
        let turns: Vec<(Exchange, u64)> =
            turns.into_iter().map(|(at, gap)| (Exchange::ALL[at], gap)).collect();
        if let Some(leg) = estimate(&gathered(&[&turns])) {
            prop_assert!((0.0..=1.0).contains(&leg.confidence));
            prop_assert!(!leg.method.is_empty() && leg.samples > 0);
        }
    }
}

/// The table of docs/latency.md, behind a leg of 200 ms.
#[test]
fn how_little_it_needs() {
    let even: Vec<Vec<u64>> = (0..12).map(|n| vec![200 + n % 4]).collect();
    let even: Vec<&[u64]> = even.iter().map(Vec::as_slice).collect();
    let page: &[u64] = &[200, 205];
    let rows = [
        ("one full handshake of TLS", of_lagging(&[&[200]]).confidence),
        ("twelve of them, even", of_lagging(&even).confidence),
        ("one, and one turn behind it", of_lagging(&[page]).confidence),
        ("one, and three turns behind it", of_lagging(&[&[200, 203, 205, 210]]).confidence),
        ("two, each with one turn behind it", of_lagging(&[page, page]).confidence),
        ("one, and first data as late", leg(&[&[(FirstData, 200), (Tls, 201)]]).1),
        ("two, and their first data", {
            leg(&[&[(FirstData, 200), (Tls, 201)], &[(FirstData, 203), (Tls, 202)]]).1
        }),
        ("two, one of them resumed", leg(&[&[(Tls, 200)], &[(TlsResumed, 201)]]).1),
        ("one SSH log-in", {
            leg(&[&[(Ssh, 205), (SshAuth, 201), (SshAuth, 202), (SshAuth, 204)]]).1
        }),
        ("one RFB log-in", leg(&[&[(Rfb, 200), (Rfb, 201), (Rfb, 202), (Rfb, 205)]]).1),
    ];
    let told = rows.map(|(what, confidence)| format!("\n| {what} | {confidence:.2} |\n"));
    let document = include_str!("../../docs/latency.md");
    let other: String = told.into_iter().filter(|row| !document.contains(row)).collect();
    assert!(other.is_empty(), "{other}");
    assert!(rows[0].1 < 0.5 && rows[2].1 >= 0.5 && rows[8].1 >= 0.95);
}
