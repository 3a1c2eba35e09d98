use super::*;
use proptest::prelude::*;

const REFLEX: (Kind, Exchange) = (Kind::Reflex, Exchange::Ping);
const THOUGHT: (Kind, Exchange) = (Kind::Thought, Exchange::Quic);

fn at(role: Peer, time: u64, facts: &mut Facts) -> Moment<'_> {
    Moment { role, time: Nanos(time), facts }
}

fn far(facts: &Facts) -> Option<u64> {
    facts.turns.as_ref()?.far.map(|turn| turn.round_trip_ns)
}

fn excluded(facts: &Facts) -> u16 {
    facts.turns.as_ref().map_or(0, |turns| turns.excluded.0)
}

#[test]
fn a_question_and_its_answer_are_a_round_trip() {
    let (mut rtt, mut facts) = (RequestRtt::default(), Facts::default());
    rtt.ask(7, 1, &at(Peer::Initiator, 100, &mut facts));
    assert!(!rtt.answer(8, REFLEX, &mut at(Peer::Responder, 150, &mut facts)));
    assert!(!rtt.answer(7, REFLEX, &mut at(Peer::Initiator, 150, &mut facts)));
    assert!(rtt.answer(7, REFLEX, &mut at(Peer::Responder, 150, &mut facts)));
    assert_eq!(far(&facts), Some(50));
    assert!(!rtt.answer(7, REFLEX, &mut at(Peer::Responder, 110, &mut facts)), "only once");
    assert_eq!(far(&facts), Some(50));
}

#[test]
fn a_flight_counts_from_its_end_or_its_start() {
    for (how, expected) in [(REFLEX, 60), (THOUGHT, 50)] {
        let (mut rtt, mut facts) = (RequestRtt::default(), Facts::default());
        rtt.ask(7, 1, &at(Peer::Responder, 100, &mut facts));
        rtt.ask(7, 2, &at(Peer::Responder, 110, &mut facts));
        assert!(rtt.answer(7, how, &mut at(Peer::Initiator, 160, &mut facts)));
        let turns = facts.turns.unwrap();
        let turn = turns.near.or(turns.turns.first().copied()).unwrap();
        assert_eq!((turn.round_trip_ns, turn.by_initiator), (expected, true));
    }
}

#[test]
fn retransmissions_give_no_sample() {
    let (mut rtt, mut facts) = (RequestRtt::default(), Facts::default());
    rtt.ask(7, 1, &at(Peer::Initiator, 100, &mut facts));
    rtt.ask(7, 1, &at(Peer::Initiator, 120, &mut facts));
    assert!(rtt.answer(7, REFLEX, &mut at(Peer::Responder, 150, &mut facts)));
    assert_eq!((far(&facts), excluded(&facts)), (None, Exclusions::LOSS));
}

#[test]
fn a_question_longer_than_its_answer_may_be_two() {
    let (mut rtt, mut facts) = (RequestRtt::default(), Facts::default());
    rtt.ask(7, 1, &at(Peer::Initiator, 100, &mut facts));
    rtt.ask(7, 2, &at(Peer::Initiator, 140, &mut facts));
    assert!(rtt.answer(7, THOUGHT, &mut at(Peer::Responder, 170, &mut facts)));
    assert_eq!(excluded(&facts), Exclusions::SPLIT_FLIGHT);
    assert!(facts.turns.unwrap().turns.is_empty());
}

/// The sensor saw the second copy of a question, then the answers to both.
#[test]
fn a_question_answered_twice_was_asked_twice() {
    let single = (Kind::SingleReflex, Exchange::Ping);
    let tell = |how, events: &[(bool, u64)]| {
        let (mut rtt, mut facts) = (RequestRtt::default(), Facts::default());
        for (asks, time) in events {
            if *asks {
                rtt.ask(7, 1, &at(Peer::Initiator, *time, &mut facts));
            } else {
                rtt.answer(7, how, &mut at(Peer::Responder, *time, &mut facts));
            }
        }
        (far(&facts), excluded(&facts))
    };
    let twice = [(true, 100), (false, 103), (false, 150)];
    assert_eq!(tell(single, &twice), (None, Exclusions::LOSS));
    assert_eq!(tell(REFLEX, &twice), (Some(3), 0), "an answer of several datagrams");
    let seen = [(true, 100), (false, 150), (true, 160), (false, 210), (false, 220)];
    assert_eq!(tell(single, &seen), (Some(50), 0), "asked again, as everybody saw");
}

/// A lower sample of another question stays.
#[test]
fn a_second_answer_takes_back_its_own_sample_only() {
    let single = (Kind::SingleReflex, Exchange::Ping);
    let (mut rtt, mut facts) = (RequestRtt::default(), Facts::default());
    for (key, took) in [(1, 30), (2, 40)] {
        rtt.ask(key, 0, &at(Peer::Initiator, key * 100, &mut facts));
        rtt.answer(key, single, &mut at(Peer::Responder, key * 100 + took, &mut facts));
    }
    rtt.answer(2, single, &mut at(Peer::Responder, 290, &mut facts));
    assert_eq!(far(&facts), Some(30));
}

#[test]
fn a_clock_that_steps_back_gives_no_sample() {
    let (mut rtt, mut facts) = (RequestRtt::default(), Facts::default());
    rtt.ask(7, 1, &at(Peer::Initiator, 100, &mut facts));
    assert!(rtt.answer(7, REFLEX, &mut at(Peer::Responder, 90, &mut facts)));
    assert_eq!((far(&facts), excluded(&facts)), (None, Exclusions::LOSS));
}

#[test]
fn the_lowest_round_trip_stays() {
    let (mut rtt, mut facts) = (RequestRtt::default(), Facts::default());
    for (key, took) in [(1u64, 30), (2, 20), (3, 40)] {
        rtt.ask(key, 0, &at(Peer::Initiator, key * 100, &mut facts));
        rtt.answer(key, REFLEX, &mut at(Peer::Responder, key * 100 + took, &mut facts));
    }
    assert_eq!(far(&facts), Some(20));
}

proptest! {
    /// Loss, copies and disorder remove samples; no sample is below the shortest true round trip.
    #[test]
    fn no_sample_is_shorter_than_the_truth(
        events in proptest::collection::vec(
            (0u64..6, 0u64..200, any::<bool>(), any::<bool>()), 1..40),
        round_trip in 50u64..500,
    ) {
        let (mut rtt, mut facts) = (RequestRtt::default(), Facts::default());
        // Every ask is answered a round trip later, in the order of time, some answers are lost.
        let mut line: Vec<(u64, u64, bool)> = Vec::new();
        let mut now = 0;
        for (key, wait, again, lost) in events {
            now += wait;
            line.push((now, key, true));
            if again {
                line.push((now + wait, key, true));
            }
            if !lost {
                line.push((now + round_trip, key, false));
            }
        }
        line.sort_unstable();
        for (time, key, asks) in line {
            if asks {
                rtt.ask(key, 1, &at(Peer::Initiator, time, &mut facts));
            } else {
                rtt.answer(key, REFLEX, &mut at(Peer::Responder, time, &mut facts));
            }
        }
        prop_assert!(far(&facts).is_none_or(|sample| sample >= round_trip));
    }
}
