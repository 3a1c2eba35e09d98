//! Verdicts on simulated clients of every kind: a direct one is never judged to hide a leg, and a
//! proxied one is after four sessions.
//!
//! Owns: the kinds, and the properties. In: captures made here. Out: nothing. Never: a share of
//! clients that may be wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared modules serve several tests")]

#[path = "simnet/clients.rs"]
mod clients;
mod craft;
mod simnet;

use std::collections::HashMap;
use std::net::IpAddr;

use longhaul::config::Plan;
use longhaul::model::endpoint::HiddenLeg;
use longhaul::model::endpoint::Role;
use longhaul::pipeline::NoProgress;
use longhaul::pipeline::run;
use proptest::prelude::*;

use clients::Acks;
use clients::Client;
use simnet::Dice;
use simnet::MS;

/// Clients of one capture.
const CLIENTS: usize = 120;

/// The verdict on each client, as the whole program gives it.
fn verdicts(of: &[Client], seed: u64) -> Vec<Option<HiddenLeg>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clients.pcap");
    std::fs::write(&path, clients::capture(of, seed).pcap()).unwrap();
    let home = vec![format!("{}/32", clients::SERVER)];
    let plan = Plan { inputs: vec![path], home, workers: 1, quiet: true, ..Plan::default() };
    let outcome = run(&plan, &mut NoProgress).unwrap();
    let rows = outcome.endpoints.iter().filter(|row| row.role != Role::Responder);
    let legs: HashMap<String, Option<HiddenLeg>> =
        rows.map(|row| (row.key.ip.to_string(), row.hidden)).collect();
    let of_client = |number| legs.get(&IpAddr::from(clients::address(number)).to_string());
    (0..of.len()).map(|number| *of_client(number).expect("each has an endpoint")).collect()
}

/// A direct client that answers at once over a quiet path.
const DIRECT: Client = Client {
    hidden: 0,
    commanded: false,
    nagle: 0,
    near: 20 * MS,
    jitter: MS,
    opening: 0,
    computing: (MS, 2 * MS),
    hello: MS,
    busy: (0, 0),
    stall: (0, 0),
    acks: Acks::Separate,
    resumes: 0,
    turns: 2,
    sessions: 4,
};

/// From one value to another.
fn between(dice: &mut Dice, from: u64, to: u64) -> u64 {
    from + dice.below(to - from)
}

/// Direct clients: prompt, busy, or slow by 50 to 200 ms in their first answers, over paths with
/// jitter that stall at times; with two turns or more behind each handshake. One that is slow and
/// busy at once, or without such turns, cannot be told from a proxied one by few sessions.
fn direct(dice: &mut Dice) -> Client {
    let (computing, hello, busy) = match dice.below(5) {
        0 => ((MS, 2 * MS), MS, (0, 0)),
        1 => ((MS, 2 * MS), MS, (dice.below(300), 150 * MS)),
        _ => {
            let (least, more) = (between(dice, 50 * MS, 200 * MS), dice.below(60 * MS));
            ((least, more), dice.below(70 * MS), (0, 0))
        }
    };
    let acks = match dice.below(3) {
        0 => Acks::Separate,
        1 => Acks::Delayed(40 * MS),
        _ => Acks::Delayed(between(dice, 40 * MS, 500 * MS)),
    };
    let stall = if dice.chance(500) { (0, 0) } else { (dice.below(150), 300 * MS) };
    Client {
        near: between(dice, 5 * MS, 150 * MS),
        jitter: dice.below(12 * MS),
        computing,
        hello,
        busy,
        stall,
        acks,
        turns: between(dice, 2, 5),
        sessions: between(dice, 1, 17),
        ..DIRECT
    }
}

/// The same behind a leg of 60 to 400 ms: a proxy that the client commands, or one that it does
/// not; with a tight floor, a busy tail, or Nagle's algorithm in it. A timer that is longer than
/// the leg would leave no acknowledgement before the answer.
fn proxied(dice: &mut Dice) -> Client {
    let client = direct(dice);
    let hidden = between(dice, 60 * MS, 400 * MS);
    let acks = match client.acks {
        Acks::Delayed(timer) if timer >= hidden => Acks::Delayed(40 * MS),
        acks => acks,
    };
    Client {
        hidden,
        acks,
        commanded: dice.chance(500),
        busy: if dice.chance(500) { client.busy } else { (dice.below(400), 250 * MS) },
        nagle: if dice.chance(500) { 0 } else { between(dice, 100, 500) },
        sessions: between(dice, 4, 12),
        ..client
    }
}

/// The verdict on each client, one line for each that is not `wanted`.
fn wrong(one: fn(&mut Dice) -> Client, seed: u64, wanted: bool) -> String {
    let mut dice = Dice::new(seed);
    let of: Vec<Client> = (0..CLIENTS).map(|_| one(&mut dice)).collect();
    let verdicts = verdicts(&of, seed);
    let confidence = |leg: &Option<HiddenLeg>| leg.map_or(0.0, |leg| leg.confidence);
    of.iter()
        .zip(&verdicts)
        .filter(|(_, leg)| (confidence(leg) >= 0.5) != wanted)
        .map(|(client, leg)| format!("{client:?}\n  {leg:?}\n"))
        .collect()
}

/// A browser that resumes has two lines and one alert.
#[test]
fn one_alert_for_two_fingerprints_of_a_proxied_browser() {
    let client = Client { hidden: 180 * MS, commanded: true, resumes: 500, sessions: 10, ..DIRECT };
    let home = format!("{}/32", clients::SERVER);
    let said = craft::read(&clients::capture(&[client], 5).pcap(), &["--home", &home]);
    let ip = clients::address(0).to_string();
    let lines: Vec<_> =
        said.endpoints.iter().filter(|line| craft::at(line, "endpoint.ip") == &ip).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in lines {
        assert_eq!(craft::at(line, "longhaul.hidden_leg.of"), "program");
    }
    let alerts: Vec<_> = said.rules().into_iter().filter(|(rule, _)| rule == "D03").collect();
    assert_eq!(alerts, [("D03".to_owned(), "high".to_owned())]);
}

/// What a proxy does so that its hidden leg does not show, and what shows it all the same.
#[test]
fn a_proxy_that_delays_one_measure_is_shown_by_the_others() {
    let mut of = Vec::new();
    for commanded in [false, true] {
        for hidden in [90 * MS, 180 * MS, 320 * MS] {
            let plain = Client { hidden, commanded, sessions: 8, turns: 3, ..DIRECT };
            // Its first answer, the one that opens the connection: lags and later round trips.
            of.push(Client { opening: hidden, ..plain });
            // Each acknowledgement but that one: the turns over the leg of the opening.
            of.push(Client { acks: Acks::WithAnswer, ..plain });
            // Answers of handshakes at random, as by computing: first data and later turns.
            if commanded {
                of.push(Client { computing: (20 * MS, 200 * MS), ..plain });
            }
        }
    }
    for (client, leg) in of.iter().zip(verdicts(&of, 7)) {
        let leg = leg.expect("an estimate");
        assert!(leg.confidence >= 0.5, "{client:?}\n{leg:?}");
    }
}

/// All of them at once: nothing is behind the leg, and the leg is as long as both.
#[test]
fn a_proxy_that_delays_every_packet_has_a_long_leg() {
    let hidden = 180 * MS;
    let client = Client { hidden, opening: hidden, acks: Acks::WithAnswer, sessions: 8, ..DIRECT };
    let home = format!("{}/32", clients::SERVER);
    let said = craft::read(&clients::capture(&[client], 7).pcap(), &["--home", &home]);
    let ip = clients::address(0).to_string();
    let line = said.endpoints.iter().find(|line| craft::at(line, "endpoint.ip") == &ip).unwrap();
    let floor_us = craft::at(line, "longhaul.floor_us").as_f64().unwrap();
    assert!(floor_us * 1e3 >= hidden as f64, "{floor_us}");
    assert!(!said.rules().iter().any(|(rule, _)| rule == "D03"));
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 0, ..ProptestConfig::with_cases(2) })]

    #[test]
    fn a_direct_client_is_never_judged_to_hide_a_leg(seed in any::<u64>()) {
        let wrong = wrong(direct, seed, false);
        prop_assert!(wrong.is_empty(), "{}", wrong);
    }

    #[test]
    fn a_proxied_client_is_judged_so_after_four_sessions(seed in any::<u64>()) {
        let wrong = wrong(proxied, seed, true);
        prop_assert!(wrong.is_empty(), "{}", wrong);
    }
}
