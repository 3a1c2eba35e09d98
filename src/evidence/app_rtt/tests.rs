//! Openings made by hand: the turns they give, and those they do not.
//!
//! Owns: the promise that a turn is measured from the right packet, and never across problems. In:
//! bytes written here. Out: assertions. Never: files.

use super::*;
use crate::model::Transport;

/// One segment: sender, time (ms), payload.
type Said<'a> = (Peer, u64, &'a [u8]);

const I: Peer = Peer::Initiator;
const R: Peer = Peer::Responder;

const SERVER_FLIGHT: &[u8] = &[0x16, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3];
const FINISHED_13: &[u8] = &[0x14, 3, 3, 0, 1, 1, 0x17, 3, 3, 0, 53, 9];
const CERTIFICATE_13: &[u8] = &[0x14, 3, 3, 0, 1, 1, 0x17, 3, 3, 4, 1, 9];
const KEY_EXCHANGE_12: &[u8] = &[0x16, 3, 3, 0, 37, 16, 0, 0, 33];
const CERTIFICATE_12: &[u8] = &[0x16, 3, 3, 3, 37, 11, 0, 3, 33];
const CHANGE_12: &[u8] = &[0x14, 3, 3, 0, 1, 1, 0x16, 3, 3];
const DATA: &[u8] = &[0x17, 3, 3, 0, 100, 7];
const CLIENT_HELLO: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1];

fn segment<'a>((role, ms, payload): Said<'a>) -> Segment<'a> {
    Segment {
        payload,
        from: role,
        transport: Transport::TCP,
        ports: (50_000, 443),
        gap: false,
        time: Nanos(ms * 1_000_000),
        opened: Some((Nanos::ZERO, Nanos::ZERO)),
        troubles: 0,
        numbers: (0, 0),
    }
}

/// The result: exchange, whether the initiator answers, milliseconds; and the exclusions.
type Found = (Vec<(Exchange, bool, u64)>, Exclusions);

fn watch(segments: &[Segment<'_>], tls: &TlsFacts) -> Found {
    let mut counters = Counters::default();
    let mut watch = Watch::default();
    for segment in segments {
        watch.observe(segment, &mut Beside { tls: Some(tls), counters: &mut counters });
    }
    let mut found = Turns::default();
    watch.leave(|| &mut found);
    assert_eq!(counters.get(Counter::Turns), found.turns.len() as u64);
    let short = |turn: &Turn| (turn.exchange, turn.by_initiator, turn.round_trip_ns / 1_000_000);
    (found.turns.iter().map(short).collect(), found.excluded)
}

fn said(all: &[Said<'_>]) -> Found {
    let segments: Vec<Segment<'_>> = all.iter().map(|one| segment(*one)).collect();
    watch(&segments, &TlsFacts::default())
}

#[test]
fn tls_13_runs_from_the_last_packet_of_the_flight_to_the_first_of_the_answer() {
    let (turns, excluded) = said(&[
        (I, 40, CLIENT_HELLO),
        (R, 45, SERVER_FLIGHT),
        (R, 50, DATA),
        (I, 90, FINISHED_13),
        (I, 91, DATA),
        (R, 95, DATA),
        (I, 300, DATA),
    ]);
    let want =
        [(Exchange::FirstData, true, 40), (Exchange::Tls, false, 5), (Exchange::Tls, true, 40)];
    assert_eq!(turns, want);
    assert_eq!(excluded, Exclusions(0));
}

#[test]
fn tls_12_gives_one_more_behind_the_servers_finished() {
    let opening = [
        (I, 1, CLIENT_HELLO),
        (R, 2, SERVER_FLIGHT),
        (I, 30, KEY_EXCHANGE_12),
        (R, 31, CHANGE_12),
        (I, 60, DATA),
    ];
    let (turns, _) = said(&opening);
    assert_eq!(turns.last(), Some(&(Exchange::TlsData, true, 29)));
    // False start (RFC 7918): the data do not wait for the server.
    let mut early = opening.to_vec();
    early.insert(3, (I, 30, DATA));
    let (turns, _) = said(&early);
    assert_eq!(turns.last(), Some(&(Exchange::Tls, true, 28)));
}

#[test]
fn what_is_no_plain_handshake_is_told_apart_and_said() {
    let opening = |answer| {
        [segment((I, 1, CLIENT_HELLO)), segment((R, 2, SERVER_FLIGHT)), segment((I, 30, answer))]
    };
    let exchange = |found: &Found| found.0.last().map(|(exchange, by, _)| (*exchange, *by));
    let plain = TlsFacts::default();
    for certificate in [CERTIFICATE_12, CERTIFICATE_13] {
        let found = watch(&opening(certificate), &plain);
        assert_eq!(exchange(&found), Some((Exchange::TlsCertificate, true)));
        assert_eq!(found.1, Exclusions(Exclusions::CLIENT_CERTIFICATE));
    }
    let resumed = TlsFacts { resumed: Some(true), ..TlsFacts::default() };
    let found = watch(&opening(FINISHED_13), &resumed);
    assert_eq!(exchange(&found), Some((Exchange::TlsResumed, true)));
    assert_eq!(found.1, Exclusions(0), "a kind of its own");
    let early = TlsFacts { early_data: true, ..TlsFacts::default() };
    let found = watch(&opening(FINISHED_13), &early);
    assert_eq!(exchange(&found), Some((Exchange::Tls, false)), "no turn of the client");
    assert_eq!(found.1, Exclusions(Exclusions::EARLY_DATA));
    let found = watch(&opening(CLIENT_HELLO), &plain);
    assert_eq!(exchange(&found), Some((Exchange::Tls, false)), "no turn of the client");
    assert_eq!(found.1, Exclusions(Exclusions::RETRY_REQUEST));
}

#[test]
fn trouble_between_question_and_answer_gives_no_turn() {
    let mut opening = [
        segment((I, 1, CLIENT_HELLO)),
        segment((R, 2, SERVER_FLIGHT)),
        segment((I, 230, FINISHED_13)),
    ];
    opening[2].troubles = 1;
    let (turns, excluded) = watch(&opening, &TlsFacts::default());
    assert_eq!(turns.last(), Some(&(Exchange::Tls, false, 1)));
    assert_eq!(excluded, Exclusions(Exclusions::LOSS));
    // Problems before the question do not matter.
    opening.iter_mut().for_each(|segment| segment.troubles = 7);
    let (turns, _) = watch(&opening, &TlsFacts::default());
    assert_eq!(turns.last(), Some(&(Exchange::Tls, true, 228)));
    opening[1].gap = true;
    let (turns, excluded) = watch(&opening, &TlsFacts::default());
    assert!(!turns.iter().any(|(exchange, ..)| *exchange == Exchange::Tls));
    assert_eq!(excluded, Exclusions(Exclusions::LOSS));
}

#[test]
fn ssh_gives_its_identification_and_three_rounds() {
    let kexinit = [0, 0, 4, 60, 9, 20, 1];
    let newkeys = [0, 0, 0, 12, 10, 21, 0, 0];
    let kex = [0, 0, 0, 44, 6, 30, 0];
    let reply = [0, 0, 0, 188, 8, 31, 0];
    let sealed = [0x59, 2, 0x38];
    let (turns, _) = said(&[
        (R, 5, b"SSH-2.0-server\r\n"),
        (I, 10, b"SSH-2.0-client\r\n"),
        (R, 12, &kexinit),
        (I, 25, &kexinit),
        (I, 26, &kex),
        (R, 30, &reply),
        (I, 90, &newkeys),
        (I, 91, &sealed),
        (R, 95, &sealed),
        (I, 115, &sealed),
        (R, 116, &sealed),
        (I, 136, &sealed),
        (R, 137, &sealed),
        (I, 157, &sealed),
        (R, 158, &sealed),
        (I, 158, &sealed),
    ]);
    let by_initiator: Vec<_> = turns.iter().filter(|turn| turn.1).collect();
    let want = [
        (Exchange::FirstData, true, 10),
        (Exchange::Ssh, true, 20),
        (Exchange::SshAuth, true, 20),
        (Exchange::SshAuth, true, 20),
        (Exchange::SshAuth, true, 20),
    ];
    assert_eq!(by_initiator, want.iter().collect::<Vec<_>>());
}

#[test]
fn rdp_and_rfb_answer_in_rounds() {
    let request = [3, 0, 0, 40, 0x23, 0xe0, 0];
    let confirm = [3, 0, 0, 19, 0x0e, 0xd0, 0];
    let (turns, _) = said(&[
        (I, 20, &request),
        (R, 21, &confirm),
        (I, 41, CLIENT_HELLO),
        (R, 42, SERVER_FLIGHT),
        (I, 63, FINISHED_13),
        (R, 64, DATA),
        (I, 65, DATA),
        (R, 66, DATA),
        (I, 88, DATA),
    ]);
    let rdp: Vec<_> = turns.iter().filter(|turn| turn.0 == Exchange::Rdp && turn.1).collect();
    assert_eq!(rdp, [&(Exchange::Rdp, true, 20), &(Exchange::Rdp, true, 22)]);
    let (turns, _) = said(&[
        (R, 3, b"RFB 003.008\n"),
        (I, 23, b"RFB 003.008\n"),
        (R, 24, &[1, 1]),
        (I, 45, &[1]),
    ]);
    let rfb: Vec<_> = turns.iter().filter(|turn| turn.1).collect();
    assert_eq!(rfb, [&(Exchange::Rfb, true, 20), &(Exchange::Rfb, true, 21)]);
}

/// Turns of pings after this opening, and then these segments.
fn pings(tls: &TlsFacts, after: &[Said<'_>]) -> Vec<u64> {
    let opening =
        [(I, 1, CLIENT_HELLO), (R, 2, SERVER_FLIGHT), (I, 22, FINISHED_13), (R, 23, DATA)];
    let segments: Vec<_> = opening.iter().chain(after).map(|one| segment(*one)).collect();
    let (turns, _) = watch(&segments, tls);
    turns.iter().filter(|turn| turn.0 == Exchange::Ping).map(|turn| turn.2).collect()
}

#[test]
fn pings_are_answered_by_four_bytes_more_each_time() {
    let sealed = |length: u8| [&[0x17, 3, 3, 0, length][..], &vec![9; length.into()]].concat();
    let (ping, pong, word) = (sealed(23), sealed(27), sealed(33));
    let twice: [Said<'_>; 5] = [
        (R, 1_000, &ping),
        (I, 1_005, &word),
        (I, 1_020, &pong),
        (R, 9_000, &ping),
        (I, 9_021, &pong),
    ];
    let plain = TlsFacts::default();
    assert_eq!(pings(&plain, &twice), [20, 21]);
    // Another record behind a ping makes it unmeasured, not doubtful.
    let crossed = [&[(R, 500, &*ping), (R, 501, &*word), (I, 520, &*pong)], &twice[..]].concat();
    assert_eq!(pings(&plain, &crossed), [20, 21]);
    // One alone matches by chance.
    assert_eq!(pings(&plain, &twice[..3]), [] as [u64; 0]);
    let longer = sealed(37);
    let chance: [Said<'_>; 4] =
        [(R, 1_000, &ping), (I, 2_463, &pong), (R, 3_000, &word), (I, 3_400, &longer)];
    assert_eq!(pings(&plain, &chance), [] as [u64; 0], "of two lengths");
    // The client asks, and asks again when it was answered.
    let poll: Vec<Said<'_>> =
        (1..6).flat_map(|n| [(I, n * 1_000, &*pong), (R, n * 1_000 + 3, &*ping)]).collect();
    assert_eq!(pings(&plain, &poll), [] as [u64; 0]);
    // HTTP/2 has no pings of a WebSocket.
    let alpn = vec!["h2".into(), "http/1.1".into()];
    assert_eq!(pings(&TlsFacts { alpn, ..plain }, &twice), [] as [u64; 0]);
}

#[test]
fn a_client_that_waits_does_not_speak_first_and_one_without_a_leg_is_not_timed() {
    let (turns, _) = said(&[(R, 3, b"220 mail\r\n"), (I, 50, b"EHLO x\r\n")]);
    assert_eq!(turns, []);
    let mut first = segment((I, 50, CLIENT_HELLO));
    first.opened = None;
    assert_eq!(watch(&[first], &TlsFacts::default()).0, []);
}

#[test]
fn nobody_looks_on_after_the_bounds() {
    let noise = [0x7f; 100];
    let mut counters = Counters::default();
    let mut watch = Watch::default();
    for at in 0..SEGMENTS_UNKNOWN {
        assert!(!watch.is_over(), "{at}");
        let role = if at % 2 == 0 { I } else { R };
        let one = segment((role, u64::from(at), &noise));
        watch.observe(&one, &mut Beside { tls: None, counters: &mut counters });
    }
    assert!(watch.is_over());
    let big = [0x17; BYTES_MAX as usize];
    let mut watch = Watch { phase: Phase::Pings, ..Watch::default() };
    for at in 0..LAG_SEGMENTS_MAX {
        assert!(!watch.is_over() && watch.is_past_opening() == (at > 0), "{at}");
        watch.observe(&segment((R, 1, &big)), &mut Beside { tls: None, counters: &mut counters });
    }
    assert!(watch.is_over(), "lags are taken a little longer");
}

#[test]
fn a_chain_goes_on_behind_a_gap_but_takes_no_answer_there() {
    let turns = |gap: Option<usize>| {
        let mut counters = Counters::default();
        let mut watch = Watch { phase: Phase::Over, lags_over: true, ..Watch::default() };
        watch.chain.begin(CHAIN_SEGMENTS_TUNNEL);
        for at in 0..14 {
            let (role, ms) = if at % 2 == 0 { (I, 0) } else { (R, 200) };
            let mut one = segment((role, at as u64 / 2 * 1_000 + ms, DATA));
            one.gap = gap == Some(at);
            watch.observe(&one, &mut Beside { tls: None, counters: &mut counters });
        }
        assert!(!watch.is_over());
        watch.chain.result().map(|chain| (chain.round_trip_ns / 1_000_000, chain.turns))
    };
    assert_eq!(turns(None), Some((200, 7)));
    assert_eq!(turns(Some(4)), Some((200, 7)), "of the question: its end is here");
    assert_eq!(turns(Some(5)), Some((200, 6)));
}

#[test]
fn a_watch_stays_small() {
    assert!(size_of::<Watch>() <= 248, "{}", size_of::<Watch>());
}

#[test]
fn what_does_not_acknowledge_the_question_is_no_answer() {
    // The server's flight ends at 4,000; what comes 1 ms later was sent before it arrived: a small
    // segment that Nagle's algorithm had delayed.
    let opening = |ack: u32| {
        let hello = segment((I, 10, CLIENT_HELLO));
        let flight = Segment { numbers: (4_000, 600), ..segment((R, 50, SERVER_FLIGHT)) };
        let answer = Segment { numbers: (700, ack), ..segment((I, 51, FINISHED_13)) };
        watch(&[hello, flight, answer], &TlsFacts::default())
    };
    let by_client = |found: &Found| found.0.iter().any(|turn| turn.0 == Exchange::Tls && turn.1);
    let early = opening(3_999);
    assert!(!by_client(&early) && early.1.has(Exclusions::SPLIT_FLIGHT), "{early:?}");
    for ack in [4_000, 4_321] {
        let answered = opening(ack);
        assert!(by_client(&answered) && answered.1 == Exclusions::default(), "{answered:?}");
    }
    // The numbers wrap around.
    let flight = Segment { numbers: (u32::MAX, 600), ..segment((R, 50, SERVER_FLIGHT)) };
    let answer = Segment { numbers: (700, 5), ..segment((I, 51, FINISHED_13)) };
    let hello = segment((I, 10, CLIENT_HELLO));
    assert!(by_client(&watch(&[hello, flight, answer], &TlsFacts::default())));
}

#[test]
fn a_client_that_sends_its_kexinit_unasked_answers_nothing() {
    let kexinit = [0, 0, 4, 60, 9, 20, 1];
    let both = [&b"SSH-2.0-client\r\n"[..], &kexinit].concat();
    let (turns, excluded) = said(&[(R, 5, b"SSH-2.0-server\r\n"), (I, 312, &both)]);
    assert_eq!(turns, [(Exchange::FirstData, true, 312)]);
    assert_eq!(excluded, Exclusions(Exclusions::SPLIT_FLIGHT));
    let (turns, _) =
        said(&[(R, 5, b"SSH-2.0-server\r\n"), (I, 312, b"SSH-2.0-client\r\n"), (I, 313, &kexinit)]);
    assert!(turns.contains(&(Exchange::Ssh, true, 308)));
}
