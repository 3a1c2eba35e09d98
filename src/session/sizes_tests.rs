//! Searches for the path MTU, as senders make them.
//!
//! Owns: senders that probe, and paths that drop what is too long. In: an MTU. Out: assertions on
//! what is told of it. Never: built into the program.

use proptest::prelude::*;

use super::*;

/// IP and UDP headers.
const HEADERS: u32 = 28;

/// A sender that probes, in bytes of payload.
#[derive(Clone, Copy, Debug)]
struct Sender {
    base: u32,
    most: u32,
    /// It tries the most first, and the middle from then on.
    most_first: bool,
    precision: u32,
}

/// One like quic-go, one like nginx.
const SENDERS: [Sender; 2] = [
    Sender { base: 1_252, most: 1_452, most_first: false, precision: 20 },
    Sender { base: 1_200, most: 1_472, most_first: true, precision: 16 },
];

/// What a sensor sees of a transfer over a path: bursts of full datagrams, and probes among them.
struct Transfer {
    sizes: Sizes,
    now_ms: u64,
}

impl Transfer {
    fn send(&mut self, payload: u32) {
        self.now_ms += 1;
        if !Sizes::is_short(payload) {
            self.sizes.note(payload, &[7; 40], Some(Nanos(self.now_ms * 1_000_000)));
        }
        self.sizes = Sizes::of(self.sizes.words());
    }

    /// A burst of so many full datagrams, and a shorter one with what is left.
    fn burst(&mut self, full: u32, many: u64, rest: u32) {
        (0..many).for_each(|_| self.send(full));
        self.send(rest.min(full));
    }

    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
    }
}

/// The sizes of a transfer over a path with this MTU, of `bursts` bursts behind the search.
fn transfer(sender: Sender, mtu: u32, rtt_ms: u64, bursts: u64, rests: &[u32]) -> Option<PathMtu> {
    let mut transfer = Transfer { sizes: Sizes::default(), now_ms: 1_000_000_000 };
    let (mut passed, mut failed) = (sender.base, sender.most + 1);
    let mut rests = rests.iter().cycle();
    let mut probe = if sender.most_first { sender.most } else { (passed + sender.most) / 2 };
    while failed - passed > sender.precision {
        let arrives = probe + HEADERS <= mtu;
        for _ in 0..if arrives { 1 } else { 3 } {
            transfer.send(probe);
            transfer.burst(passed, 12, *rests.next().unwrap());
            transfer.wait(rtt_ms);
        }
        if arrives {
            passed = probe
        } else {
            failed = probe
        }
        probe = (passed + failed) / 2;
    }
    for _ in 0..bursts {
        transfer.burst(passed, 12, *rests.next().unwrap());
        transfer.wait(1_000);
    }
    transfer.sizes.path(4)
}

#[test]
fn a_search_that_ends_below_ethernet_brackets_the_mtu() {
    let told = |sender, mtu| transfer(sender, mtu, 200, 6, &[900]).map(|p| (p.at_least, p.below));
    let [quic_go, nginx] = SENDERS;
    assert_eq!(told(quic_go, 1_420), Some((1_417, 1_430)));
    assert_eq!(told(nginx, 1_420), Some((1_415, 1_423)));
    assert_eq!(told(quic_go, 1_500), None, "nothing failed");
    assert_eq!(told(nginx, 1_500), None);
    assert_eq!(told(quic_go, 1_492), None, "it tries no more than 1,480");
}

#[test]
fn a_transfer_that_ends_soon_tells_nothing() {
    for sender in SENDERS {
        for rtt_ms in [5, 100, 400] {
            assert_eq!(transfer(sender, 1_420, rtt_ms, 1, &[900]), None, "{sender:?}");
        }
    }
}

/// A program that sends datagrams of one length says nothing, whatever the search next to it tries.
#[test]
fn a_sender_that_fills_one_length_tells_nothing() {
    for probes in [vec![1_352, 1_402, 1_427, 1_439], vec![1_472, 1_336, 1_404, 1_438, 1_455]] {
        let mut transfer = Transfer { sizes: Sizes::default(), now_ms: 1_000_000_000 };
        for probe in probes {
            transfer.burst(1_272, 12, 900);
            transfer.send(probe);
        }
        for _ in 0..30 {
            transfer.burst(1_272, 12, 900);
            transfer.wait(1_000);
        }
        assert_eq!(transfer.sizes.path(4), None);
    }
}

/// Ones of 65,535 bytes may arrive; they tell nothing of a path that is not Ethernet's.
#[test]
fn jumbo_datagrams_are_no_probes() {
    let mut transfer = Transfer { sizes: Sizes::default(), now_ms: 1_000_000_000 };
    for payload in [65_527, 1_300, 1_400] {
        transfer.burst(payload, 6, 0);
        transfer.wait(10_000);
        transfer.burst(payload, 6, 0);
        assert_eq!((transfer.sizes.path(6), transfer.sizes.path(4)), (None, None), "{payload}");
    }
}

#[test]
fn a_time_that_was_set_back_decides_nothing() {
    let mut transfer = Transfer { sizes: Sizes::default(), now_ms: 1_000_000_000 };
    for (payload, many) in [(1_300, 6), (1_372, 6), (1_440, 1)] {
        transfer.burst(payload, many, 0);
    }
    transfer.now_ms -= 60_000;
    transfer.burst(1_372, 6, 0);
    assert_eq!(transfer.sizes.path(4), None);
    transfer.wait(70_000);
    transfer.burst(1_372, 6, 0);
    let told = transfer.sizes.path(4).map(|path| (path.at_least, path.below));
    assert_eq!(told, Some((1_400, 1_468)));
}

/// Fragments of so many bytes of IP, each so many seconds after the one before.
fn fragments(sizes: &mut Sizes, now_s: &mut u64, sent: &[(u64, u32)]) {
    for (after, bytes) in sent {
        *now_s += after;
        sizes.note_fragment(bytes - 20 - 8, Nanos(*now_s * 1_000_000_000));
        *sizes = Sizes::of(sizes.words());
    }
}

#[test]
fn fragments_of_three_minutes_tell_the_mtu_to_eight_bytes() {
    let (mut sizes, mut now_s) = (Sizes::default(), 1_795_000_000);
    sizes.note_whole(1_392, &[1; 40]);
    fragments(&mut sizes, &mut now_s, &[(0, 1_420), (1, 1_420), (1, 1_420), (61, 1_420)]);
    assert_eq!(sizes.path(4), None, "two of three");
    fragments(&mut sizes, &mut now_s, &[(61, 1_420)]);
    sizes.note_whole(1_392, &[1; 40]);
    let path = sizes.path(4).unwrap();
    assert_eq!((path.at_least, path.below, path.fragments), (1_420, 1_428, true));
    let six = sizes.path(6).map(|path| (path.at_least, path.below));
    assert_eq!(six, Some((1_448, 1_456)));
    // What nobody's link has is not counted.
    let mut odd = Sizes::default();
    fragments(&mut odd, &mut now_s, &[(61, 628), (61, 628), (61, 628), (61, 9_000)]);
    assert_eq!(odd.path(4), None);
}

#[test]
fn one_datagram_neither_accuses_nor_hides() {
    let (mut sizes, mut now_s) = (Sizes::default(), 1_795_000_000);
    (0..100).for_each(|_| sizes.note_whole(1_472, &[1; 40]));
    fragments(&mut sizes, &mut now_s, &[(61, 1_420)]);
    assert_eq!(sizes.path(4), None);
    fragments(&mut sizes, &mut now_s, &[(61, 1_420), (61, 1_420), (61, 1_420)]);
    assert_eq!(sizes.path(4), None, "its link carries 1,500");

    let mut tunnel = Sizes::default();
    fragments(&mut tunnel, &mut now_s, &[(61, 1_500), (61, 1_420), (61, 1_420), (61, 1_420)]);
    fragments(&mut tunnel, &mut now_s, &[(61, 1_420), (61, 1_500)]);
    tunnel.note_whole(1_472, &[1; 40]);
    tunnel.note_whole(1_472, &[1; 40]);
    assert_eq!(tunnel.path(4).map(|path| path.at_least), Some(1_420));
    let mut refuted = tunnel;
    refuted.note_whole(1_472, &[1; 40]);
    assert_eq!(refuted.path(4), None, "three came whole");
    fragments(&mut tunnel, &mut now_s, &[(61, 1_500), (61, 1_500)]);
    assert_eq!(tunnel.path(4), None, "as many fragments of another length");
}

/// Ends that were taken for each other leave nothing behind.
#[test]
fn a_search_and_fragments_do_not_mix() {
    let (mut sizes, mut now_s) = (Sizes::default(), 1_795_000_000);
    fragments(&mut sizes, &mut now_s, &[(61, 1_420), (61, 1_420), (61, 1_420)]);
    assert!(sizes.path(4).is_some());
    sizes.note(1_300, &[1; 40], Some(Nanos(1)));
    assert_eq!(sizes.path(4), None);
    (0..9).for_each(|n| sizes.note(1_300, &[1; 40], Some(Nanos(n))));
    fragments(&mut sizes, &mut now_s, &[(61, 1_420)]);
    assert_eq!(sizes.path(4), None);
}

#[test]
fn the_first_of_the_longest_datagrams_is_kept() {
    let mut sizes = Sizes::default();
    let print = |fill: u8| LongDatagram::print_of(&[fill; 16]).unwrap();
    for (payload, fill, want) in [
        (1_253, 2, Some((1_261, print(2)))),
        (1_300, 3, Some((1_308, print(3)))),
        (1_300, 4, Some((1_308, print(3)))),
        (1_260, 5, Some((1_308, print(3)))),
        (70_000, 6, Some((1_308, print(3)))),
    ] {
        sizes.note(payload, &[fill; 40], None);
        assert_eq!(sizes.longest(), want, "{payload}");
    }
    sizes.note(1_400, &[7; 15], None);
    assert_eq!(sizes.longest(), Some((1_308, print(3))), "too little was captured");
    assert!(Sizes::is_short(1_252) && !Sizes::is_short(1_253));
}

fn length() -> impl Strategy<Value = u32> {
    let few = [1_253, 1_300, 1_350, 1_352, 1_400, 1_471, 1_472, 1_473, 9_000, 65_527, 65_528];
    prop_oneof![6 => prop::sample::select(few.to_vec()), 1 => 0u32..70_000]
}

proptest! {
    /// Whatever is told of a path is true, whatever the rests of bursts are.
    #[test]
    fn what_a_search_tells_is_true(
        which in 0usize..2, mtu in 1_280u32..=1_500, rtt_ms in 1u64..700, bursts in 0u64..12,
        rests in prop::collection::vec(40u32..1_472, 1..20),
    ) {
        if let Some(path) = transfer(SENDERS[which], mtu, rtt_ms, bursts, &rests) {
            let within = u32::from(path.at_least)..u32::from(path.below);
            prop_assert!(within.contains(&mtu), "{path:?}");
        }
    }

    /// Any lengths at any times are survived, and tell less than they are. Runs of few lengths, or
    /// nothing would be told.
    #[test]
    fn any_datagrams_leave_a_valid_state(
        sent in prop::collection::vec((length(), 1u8..7, any::<u32>(), 0u8..8), 0..60)
    ) {
        let mut sizes = Sizes::default();
        for (payload, run, time, kind) in sent {
            let time = Nanos(u64::from(time) << 24);
            for _ in 0..run {
                match kind {
                    0 => sizes.note_fragment(payload, time),
                    _ if Sizes::is_short(payload) => {}
                    1 => sizes.note_whole(payload, &[1; 40]),
                    _ => sizes.note(payload, &[1; 40], Some(time)),
                }
            }
            prop_assert_eq!(Sizes::of(sizes.words()), sizes);
            for version in [4, 6] {
                let told = sizes.path(version);
                prop_assert!(told.is_none_or(|path| path.at_least < path.below), "{told:?}");
            }
        }
    }
}
