use super::*;
use crate::evidence::Observers;
use crate::model::{Counters, Interest, Nanos, Segment, Transport};
use crate::wire::quic_initial::testkit::{Envelope, seal};
use proptest::prelude::*;

const ORIGIN: &[u8] = &[0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];
const CLIENT: &[u8] = &[0xc1, 0xc2];
const SERVER: &[u8] = &[0x51, 0x52, 0x53];

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, 0];
    out.extend((body.len() as u16).to_be_bytes());
    out.extend(body);
    out
}

/// A ClientHello for `name`, one suite, padded so that it has to be cut.
fn client_hello(name: &str) -> Vec<u8> {
    let mut extensions = vec![0, 0];
    let name_bytes = name.len() as u16;
    for length in [name_bytes + 5, name_bytes + 3] {
        extensions.extend(length.to_be_bytes());
    }
    extensions.push(0);
    extensions.extend(name_bytes.to_be_bytes());
    extensions.extend(name.as_bytes());
    extensions.extend([0, 43, 0, 3, 2, 3, 4]);
    extensions.extend([0, 21, 2, 0]);
    extensions.extend([0; 512]);
    let mut body = vec![3, 3];
    body.extend([0x5a; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    message(1, &body)
}

fn server_hello(random: [u8; 32]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend(random);
    body.extend([0, 0x13, 0x02, 0]);
    body.extend([0, 6, 0, 43, 0, 2, 3, 4]);
    message(2, &body)
}

/// A CRYPTO frame with `stream[start..end]`.
fn crypto(stream: &[u8], start: usize, end: usize) -> Vec<u8> {
    let mut out = vec![0x06];
    for value in [start, end - start] {
        out.extend((0x4000 | value as u16).to_be_bytes());
    }
    out.extend(&stream[start..end]);
    out
}

fn whole(stream: &[u8]) -> Vec<u8> {
    crypto(stream, 0, stream.len())
}

fn keys(id: &[u8]) -> InitialKeys {
    InitialKeys::derive(Version::One, id).unwrap()
}

fn from_client(id: &[u8], number: u32, frames: &[u8]) -> Vec<u8> {
    let envelope =
        Envelope { side: Perspective::Client, ids: (id, CLIENT), number, fixed_bit: true };
    seal(&keys(id), &envelope, frames)
}

const ANSWER: Envelope<'static> =
    Envelope { side: Perspective::Server, ids: (CLIENT, SERVER), number: 0, fixed_bit: true };

fn from_server(id: &[u8], number: u32, frames: &[u8]) -> Vec<u8> {
    seal(&keys(id), &Envelope { number, ..ANSWER }, frames)
}

fn retry(source: &[u8]) -> Vec<u8> {
    let mut out = vec![0xf0, 0, 0, 0, 1, CLIENT.len() as u8];
    out.extend(CLIENT);
    out.push(source.len() as u8);
    out.extend(source);
    out.extend(b"token and a tag of 16 bytes");
    out
}

fn name(facts: &Facts) -> Option<&str> {
    facts.tls.as_ref()?.server_name.as_deref()
}

fn cipher(facts: &Facts) -> Option<u16> {
    facts.tls.as_ref()?.cipher
}

#[test]
fn reads_a_hello_shuffled_within_and_across_datagrams() {
    let hello = client_hello("shuffled.example");
    let end = hello.len();
    let first = [crypto(&hello, 300, 400), vec![0, 1], crypto(&hello, 0, 50)].concat();
    // Overlaps what came before, too.
    let second =
        [crypto(&hello, 400, end), crypto(&hello, 200, 310), crypto(&hello, 50, 200)].concat();
    let mut state = QuicState::default();
    let mut facts = Facts::default();
    let step = state.observe(&from_client(ORIGIN, 0, &first), Peer::Initiator, &mut facts);
    assert_eq!((step, name(&facts)), (ParseResult::NeedMore(1), None));
    assert_eq!(facts.protocol, Some(Protocol::Quic));
    let step = state.observe(&from_client(ORIGIN, 1, &second), Peer::Initiator, &mut facts);
    // Another hello may follow until one is answered.
    assert_eq!((step, name(&facts)), (ParseResult::NeedMore(1), Some("shuffled.example")));
    assert_eq!(state.initiator.bytes.capacity(), 0);
}

/// Bytes examined per byte of these datagrams of a client.
fn cost(datagrams: &[Vec<u8>]) -> f64 {
    let (mut state, mut facts) = (QuicState::default(), Facts::default());
    crate::wire::reader::visited::take();
    for datagram in datagrams {
        state.observe(datagram, Peer::Initiator, &mut facts);
    }
    let sent: usize = datagrams.iter().map(Vec::len).sum();
    crate::wire::reader::visited::take() as f64 / sent as f64
}

/// CRYPTO frames of one byte, so many to a datagram, at these offsets.
fn bytes_at(offsets: impl Iterator<Item = usize>) -> Vec<Vec<u8>> {
    let stream = client_hello(&"x".repeat(8_000));
    let frames: Vec<_> = offsets.map(|at| crypto(&stream, at, at + 1)).collect();
    let packet = |(n, part): (usize, &[Vec<u8>])| from_client(ORIGIN, n as u32, &part.concat());
    frames.chunks(190).enumerate().map(packet).collect()
}

/// However a hello is cut and in whatever order its pieces come, each byte is examined a bounded
/// number of times.
#[test]
fn crypto_frames_out_of_order_cost_what_they_are_long() {
    const MOST: usize = 16 * 190;
    let backward = bytes_at((0..MOST).rev());
    let far_first = bytes_at(std::iter::once(8_000).chain(1..MOST));
    // As many pieces as are kept, and then each of them grows by a byte at a time.
    let comb = bytes_at((0..MOST).map(|n| 1 + n % 31 * 200 + n / 31));
    let again = bytes_at((0..MOST).map(|n| 1 + n % 31 * 200));
    // A hello of a new connection each time, that needs the most room.
    let hello = client_hello(&"x".repeat(8_000));
    let anew = |n: u8| from_client(&[n; 8], 0, &crypto(&hello, 8_000, 8_500));
    let restarts: Vec<_> = (0..16).map(anew).collect();
    let cases = [backward, far_first, comb, again, restarts];
    for (name, datagrams) in ["backward", "far first", "comb", "again", "anew"].iter().zip(&cases) {
        let cost = cost(datagrams);
        assert!(datagrams.len() == 16 && cost < 24.0, "{name}: {cost} a byte");
    }
}

#[test]
fn reads_both_hellos_for_either_initiator() {
    let mut state = QuicState::default();
    let mut facts = Facts::default();
    let datagram = from_client(ORIGIN, 0, &whole(&client_hello("a.example")));
    assert_eq!(state.observe(&datagram, Peer::Responder, &mut facts), ParseResult::NeedMore(1));
    let datagram = from_server(ORIGIN, 0, &whole(&server_hello([7; 32])));
    assert_eq!(state.observe(&datagram, Peer::Initiator, &mut facts), ParseResult::Done);
    // Whatever the client says next, its hello is told.
    assert_eq!(state.observe(&[0x41, 0, 0], Peer::Responder, &mut facts), ParseResult::Done);
    assert_eq!((name(&facts), cipher(&facts)), (Some("a.example"), Some(0x1302)));
    assert!(facts.tls.unwrap().ja3s.is_some());
}

#[test]
fn reads_on_behind_another_packet_of_the_datagram() {
    let mut state = QuicState::default();
    let mut facts = Facts::default();
    let client = from_client(ORIGIN, 0, &whole(&client_hello("a.example")));
    state.observe(&client, Peer::Initiator, &mut facts);
    let ack = [0x02, 0, 0, 0, 0];
    let mut datagram = from_server(ORIGIN, 0, &ack);
    datagram.extend(from_server(ORIGIN, 1, &whole(&server_hello([7; 32]))));
    assert_eq!(state.observe(&datagram, Peer::Responder, &mut facts), ParseResult::Done);
    assert_eq!(cipher(&facts), Some(0x1302));
}

#[test]
fn waits_for_the_answer_behind_a_hello_retry_request() {
    let mut state = QuicState::default();
    let mut facts = Facts::default();
    let client = from_client(ORIGIN, 0, &whole(&client_hello("a.example")));
    state.observe(&client, Peer::Initiator, &mut facts);
    let mut stream = server_hello(crate::wire::tls::RETRY_RANDOM);
    let request_bytes = stream.len();
    stream.extend(server_hello([7; 32]));
    let datagram = from_server(ORIGIN, 0, &crypto(&stream, 0, request_bytes));
    assert_eq!(state.observe(&datagram, Peer::Responder, &mut facts), ParseResult::NeedMore(1));
    assert!(facts.tls.as_ref().unwrap().retry_request);
    let datagram = from_server(ORIGIN, 1, &crypto(&stream, request_bytes, stream.len()));
    assert_eq!(state.observe(&datagram, Peer::Responder, &mut facts), ParseResult::Done);
}

#[test]
fn follows_a_retry_whether_or_not_the_client_is_seen_to_obey() {
    let hello = client_hello("a.example");
    let answer = from_server(SERVER, 0, &whole(&server_hello([7; 32])));
    let mut state = QuicState::default();
    let mut facts = Facts::default();
    state.observe(&from_client(ORIGIN, 0, &whole(&hello)), Peer::Initiator, &mut facts);
    let step = state.observe(&retry(SERVER), Peer::Responder, &mut facts);
    assert_eq!(step, ParseResult::NeedMore(1));
    assert_eq!(state.observe(&answer, Peer::Responder, &mut facts), ParseResult::Done);

    // The Retry itself was lost, and half the first hello with it.
    let mut state = QuicState::default();
    let mut facts = Facts::default();
    let half = from_client(ORIGIN, 0, &crypto(&hello, 0, 100));
    assert_eq!(state.observe(&half, Peer::Initiator, &mut facts), ParseResult::NeedMore(1));
    let again = from_client(SERVER, 1, &whole(&hello));
    assert_eq!(state.observe(&again, Peer::Initiator, &mut facts), ParseResult::NeedMore(1));
    assert_eq!(name(&facts), Some("a.example"));
    assert_eq!(state.observe(&answer, Peer::Responder, &mut facts), ParseResult::Done);
    assert_eq!((name(&facts), cipher(&facts)), (Some("a.example"), Some(0x1302)));
}

/// Anybody can send a hello under a connection id of their own; the server answers one.
#[test]
fn a_hello_that_the_server_does_not_answer_names_nothing() {
    let ids: [&[u8]; 3] = [&[1; 8], &[2; 8], &[3; 8]];
    let names = ["decoy.example", "true.example", "late.example"];
    let hellos: Vec<Vec<u8>> = ids
        .iter()
        .zip(names)
        .map(|(id, name)| from_client(id, 0, &whole(&client_hello(name))))
        .collect();
    for answered in 0..3 {
        let (mut state, mut facts) = (QuicState::default(), Facts::default());
        for (n, hello) in hellos.iter().enumerate() {
            // Each is sent twice.
            for _ in 0..2 {
                assert_eq!(
                    state.observe(hello, Peer::Initiator, &mut facts),
                    ParseResult::NeedMore(1)
                );
            }
            let told = (n == 0).then_some("decoy.example");
            assert_eq!(name(&facts), told, "several and none answered");
        }
        let answer = from_server(ids[answered], 0, &whole(&server_hello([7; 32])));
        assert_eq!(state.observe(&answer, Peer::Responder, &mut facts), ParseResult::Done);
        assert_eq!((name(&facts), cipher(&facts)), (Some(names[answered]), Some(0x1302)));
        let origins = state.opener().origins;
        assert_eq!(origins.0 == origins.1, answered == 0);
        // What the client says under the other ids changes nothing any more.
        let other = &hellos[(answered + 1) % 3];
        assert_eq!(state.observe(other, Peer::Initiator, &mut facts), ParseResult::Done);
        assert_eq!(name(&facts), Some(names[answered]));
    }
    // A client that tries again asks for the same server.
    let (mut state, mut facts) = (QuicState::default(), Facts::default());
    for id in ids {
        let again = from_client(id, 0, &whole(&client_hello("a.example")));
        state.observe(&again, Peer::Initiator, &mut facts);
        assert_eq!(name(&facts), Some("a.example"));
    }
    assert!(state.rivals.len() <= RIVALS_MAX);
}

#[test]
fn follows_a_server_to_version_2() {
    let mut state = QuicState::default();
    let mut facts = Facts::default();
    let client = from_client(ORIGIN, 0, &whole(&client_hello("a.example")));
    state.observe(&client, Peer::Initiator, &mut facts);
    let two = InitialKeys::derive(Version::Two, ORIGIN).unwrap();
    let frames = whole(&server_hello([7; 32]));
    let datagram = seal(&two, &ANSWER, &frames);
    assert_eq!(state.observe(&datagram, Peer::Responder, &mut facts), ParseResult::Done);
}

#[test]
fn takes_an_answer_without_the_fixed_bit_and_no_first_packet() {
    let client = from_client(ORIGIN, 0, &whole(&client_hello("a.example")));
    let mut greased = client.clone();
    greased[0] ^= 0x40;
    let mut state = QuicState::default();
    let mut facts = Facts::default();
    assert_eq!(state.observe(&greased, Peer::Initiator, &mut facts), ParseResult::NotMine);
    assert_eq!(facts.protocol, None);
    state.observe(&client, Peer::Initiator, &mut facts);
    let frames = whole(&server_hello([7; 32]));
    let answer = seal(&keys(ORIGIN), &Envelope { fixed_bit: false, ..ANSWER }, &frames);
    assert_eq!(state.observe(&answer, Peer::Responder, &mut facts), ParseResult::Done);
}

#[test]
fn an_answer_without_the_fixed_bit_finds_its_observer() {
    let frames = whole(&server_hello([7; 32]));
    let answer = seal(&keys(ORIGIN), &Envelope { fixed_bit: false, ..ANSWER }, &frames);
    let client = from_client(ORIGIN, 0, &whole(&client_hello("a.example")));
    let mut observers = Observers::default();
    let mut counters = Counters::default();
    for (payload, role) in [(&client, Peer::Initiator), (&answer, Peer::Responder)] {
        let segment = Segment {
            payload,
            from: role,
            transport: Transport::UDP,
            ports: (50_000, 443),
            gap: false,
            time: Nanos(1),
            opened: None,
            troubles: 0,
            numbers: (0, 0),
        };
        observers.observe(&segment, &mut counters);
    }
    assert!(!observers.wants(Peer::Responder));
    assert_eq!(observers.interest(), Interest::More, "the client's turn is still to be timed");
    assert_eq!(cipher(observers.facts().unwrap()), Some(0x1302));
}

#[test]
fn ignores_other_datagrams() {
    let mut state = QuicState::default();
    let mut facts = Facts::default();
    let short_header = [0x41, 0, 0, 0, 1, 8, 1, 2, 3];
    let unknown_version = [0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 0, 0, 0, 20];
    for datagram in [&short_header, &unknown_version] {
        assert_eq!(state.observe(datagram, Peer::Initiator, &mut facts), ParseResult::NotMine);
    }
    assert_eq!(facts, Facts::default());
    // The same bytes in a session that spoke QUIC belong to it.
    let ping = from_client(ORIGIN, 0, &[1, 0, 0]);
    assert_eq!(state.observe(&ping, Peer::Initiator, &mut facts), ParseResult::NeedMore(1));
    assert_eq!(state.observe(&short_header, Peer::Initiator, &mut facts), ParseResult::NeedMore(1));
}

#[test]
fn gives_up_on_malformed_frames_and_empty_initials() {
    let observe = |frames: &[u8]| {
        let datagram = from_client(ORIGIN, 0, frames);
        QuicState::default().observe(&datagram, Peer::Initiator, &mut Facts::default())
    };
    assert_eq!(observe(&[0x08, 0, 0]), ParseResult::Failed(Fault::Value), "a STREAM frame");
    assert_eq!(
        observe(&whole(&server_hello([7; 32]))),
        ParseResult::Failed(Fault::Value),
        "the wrong hello"
    );
    assert_eq!(
        observe(&[0x06, 0x7f, 0xff, 1, 0]),
        ParseResult::NeedMore(1),
        "the last byte of the cap"
    );
    assert_eq!(
        observe(&[0x06, 0x80, 0, 0x40, 0, 1, 0]),
        ParseResult::Failed(Fault::OverCap),
        "a byte over the cap"
    );
    let pieces: Vec<u8> = (0..=PIECES_MAX).flat_map(|n| [0x06, n as u8 * 2 % 64, 1, 0]).collect();
    assert_eq!(observe(&pieces), ParseResult::NeedMore(1), "pieces on one another");
    let stream = [0; 200];
    let apart: Vec<u8> =
        (0..=PIECES_MAX).flat_map(|n| crypto(&stream, n * 2 + 1, n * 2 + 2)).collect();
    assert_eq!(observe(&apart), ParseResult::Failed(Fault::OverCap), "too many pieces");

    let mut state = QuicState::default();
    for number in 1..=INITIALS_MAX {
        let datagram = from_client(ORIGIN, u32::from(number), &[1]);
        let step = state.observe(&datagram, Peer::Initiator, &mut Facts::default());
        let expected = if number < INITIALS_MAX {
            ParseResult::NeedMore(1)
        } else {
            ParseResult::Failed(Fault::OverCap)
        };
        assert_eq!(step, expected);
    }
}

#[test]
fn stays_small_beside_the_session() {
    assert!(size_of::<QuicState>() <= 320, "{}", size_of::<QuicState>());
}

proptest! {
    #[test]
    fn mutated_datagrams_and_frames_never_panic(
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
        cut in any::<prop::sample::Index>(),
        inside in any::<bool>(),
    ) {
        let mut frames = whole(&client_hello("a.example"));
        if inside {
            let at = at.index(frames.len());
            frames[at] = to;
            frames.truncate(cut.index(frames.len()).max(1));
        }
        let mut datagram = from_client(ORIGIN, 0, &frames);
        if !inside {
            let at = at.index(datagram.len());
            datagram[at] = to;
            datagram.truncate(cut.index(datagram.len()));
        }
        let mut state = QuicState::default();
        let mut facts = Facts::default();
        state.observe(&datagram, Peer::Initiator, &mut facts);
        state.observe(&datagram, Peer::Responder, &mut facts);
        prop_assert!(state.initiator.bytes.len() <= STREAM_BYTES_MAX);
    }

    #[test]
    fn any_order_of_pieces_gives_the_hello(
        order in Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle(),
        in_first in 0..12_usize,
    ) {
        let hello = client_hello("shuffled.example");
        let step = hello.len().div_ceil(order.len());
        let frames: Vec<Vec<u8>> = order
            .iter()
            .map(|n| crypto(&hello, n * step, ((n + 1) * step).min(hello.len())))
            .collect();
        let (first, second) = frames.split_at(in_first);
        let mut state = QuicState::default();
        let mut facts = Facts::default();
        // The two datagrams come in the wrong order.
        for (number, part) in [(1, second), (0, first)] {
            let datagram = from_client(ORIGIN, number, &[part.concat(), vec![0]].concat());
            state.observe(&datagram, Peer::Initiator, &mut facts);
        }
        prop_assert_eq!(name(&facts), Some("shuffled.example"));
    }
}

#[test]
fn unread_versions_are_recognised() {
    let tell = |bytes: &[u8]| {
        let (mut state, mut facts) = (QuicState::default(), Facts::default());
        let step = state.observe(bytes, Peer::Initiator, &mut facts);
        (step, facts.protocol)
    };
    let told = (ParseResult::Done, Some(Protocol::Quic));
    assert_eq!(tell(b"\x0d12345678Q043\x01rest"), told);
    assert_eq!(tell(b"\xc3Q046\x50connections"), told);
    assert_eq!(tell(b"\xcc\xfa\xce\xb0\x02\x08connections"), told);
    for near in [&b"\x0d12345678Q0x3\x01rest"[..], b"\xc3R046\x50", b"\x4dQ046\x50connect"] {
        assert_eq!(tell(near), (ParseResult::NotMine, None), "{near:?}");
    }
}
