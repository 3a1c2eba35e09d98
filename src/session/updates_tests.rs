//! Updates of long sessions.

use super::*;
use crate::session::Schedule;

/// The second of the clock in which the made-up packets start.
const BEGAN: u64 = 1_000_000;

impl Bench {
    fn with_updates(times: &[u32]) -> Bench {
        let Bench { shard, listener } = Bench::new(64);
        Bench { shard: shard.with_updates(&Schedule::new(times)), listener }
    }

    /// A watermark: every second before it with a timer is processed.
    fn mark(&mut self, clock: u32) {
        while let Some(second) = self.shard.next_due().filter(|second| *second < clock) {
            self.shard.make_updates(second + 1, &mut self.listener);
            self.shard.expire(second + 1, &mut self.listener);
        }
    }

    /// Connection `n` opens at a millisecond, and both sides send a byte.
    fn talk(&mut self, n: u16, at: u64) {
        self.feed(packet(n, true, at, SYN, 99, 0), b"");
        self.feed(packet(n, false, at, SYN | ACK, 499, 100), b"");
        self.feed(packet(n, true, at, ACK, 100, 500), b"a");
        self.feed(packet(n, false, at, ACK, 500, 101), b"b");
    }

    /// Both sides send the byte at this position of their streams.
    fn go_on(&mut self, n: u16, at: u64, place: u32) {
        self.feed(packet(n, true, at, ACK, 100 + place, 500 + place), b"c");
        self.feed(packet(n, false, at, ACK, 500 + place, 101 + place), b"d");
    }

    /// For each update: its number, when it was due, packets of both sides, bytes received.
    fn updates(&self) -> Vec<(u32, u64, u64, usize)> {
        let one = |(record, delivered): &(Record, usize)| {
            let packets = record.initiator.packets + record.responder.packets;
            (record.update.unwrap(), record.at.as_secs() - BEGAN, packets, *delivered)
        };
        self.listener.updates.iter().map(one).collect()
    }
}

#[test]
fn an_update_shows_the_session_at_the_scheduled_time() {
    for marks in [1, 8, 60, 5_000] {
        let mut bench = Bench::with_updates(&[60, 300, 900]);
        bench.talk(0, 500);
        for second in 1..2_000 {
            bench.go_on(0, second * 1_000, second as u32);
            if second % marks == 0 {
                bench.mark((BEGAN + second) as u32);
            }
        }
        bench.mark((BEGAN + 2_000) as u32);
        // In the second of the clock in which it is due, packets still count.
        let packets = |seconds: u64| 4 + 2 * seconds;
        let want = [(1, 60), (2, 300), (3, 900), (4, 1_800)]
            .map(|(number, at)| (number, at, packets(at), packets(at) as usize - 2));
        assert_eq!(bench.updates(), want, "a mark every {marks} s");
        let activity = bench.listener.updates[0].0.activity.unwrap();
        assert_eq!((activity.seconds, activity.messages_up, activity.messages_down), (51, 51, 51));
        assert_eq!(activity.last, Some(Nanos::from_secs(BEGAN + 60)));
        let done = bench.end();
        assert_eq!((done.len(), done[0].record.update), (1, None));
        assert_eq!(done[0].record.activity.unwrap().seconds, 1_990);
        assert_eq!(done[0].record.state, SessionState::Established);
    }
}

#[test]
fn what_was_sent_before_is_no_message() {
    let mut bench = Bench::with_updates(&[60]);
    bench.talk(0, 500);
    for second in 1..40 {
        bench.go_on(0, second * 1_000, second as u32);
        // Sent again, and a bare acknowledgement.
        bench.feed(packet(0, true, second * 1_000 + 5, ACK, 100 + second as u32, 500), b"c");
        bench.feed(packet(0, true, second * 1_000 + 6, ACK, 101 + second as u32, 501), b"");
    }
    bench.mark((BEGAN + 2_000) as u32);
    let done = bench.end();
    let activity = done[0].record.activity.unwrap();
    assert_eq!((activity.seconds, activity.messages_up, activity.messages_down), (30, 30, 30));
    let sums = done[0].record.interaction.as_ref().unwrap().sums;
    assert_eq!((sums.initiator.bytes, sums.responder.bytes), (30, 30));
}

#[test]
fn a_silent_connection_has_one_update() {
    let mut bench = Bench::with_updates(&[60, 300, 900]);
    bench.talk(0, 0);
    bench.mark((BEGAN + 3_000) as u32);
    assert_eq!(bench.updates(), [(1, 60, 4, 2)]);
    bench.go_on(0, 3_000_500, 1);
    bench.mark((BEGAN + 4_000) as u32);
    assert_eq!(bench.updates()[1..], [(2, 3_600, 6, 4)]);
    assert_eq!(bench.listener.updates[0].0.activity, None, "nothing passed after ten seconds");
    assert_eq!(bench.listener.finished.len(), 0);
}

#[test]
fn a_short_session_has_no_update() {
    let mut bench = Bench::with_updates(&[2, 60]);
    // Nobody answers; both have ended; a datagram and its answer; data that nobody answers.
    bench.feed(packet(1, true, 0, SYN, 1, 0), b"");
    bench.talk(2, 0);
    bench.feed(packet(2, true, 10, FIN | ACK, 101, 501), b"");
    bench.feed(packet(2, false, 20, FIN | ACK, 501, 102), b"");
    for from_client in [true, false] {
        let mut datagram = packet(3, from_client, 0, 0, 0, 0);
        datagram.key.transport = Transport::UDP;
        bench.feed(datagram, b"?");
    }
    bench.feed(packet(4, true, 0, SYN, 1, 0), b"");
    bench.feed(packet(4, true, 1, ACK, 2, 0), b"data");
    bench.mark((BEGAN + 5_000) as u32);
    assert_eq!(bench.updates(), []);
    assert_eq!(bench.end().len(), 4);
}

#[test]
fn long_udp_sessions_have_updates() {
    let mut bench = Bench::with_updates(&[60]);
    for second in 0..100 {
        for from_client in [true, false] {
            let mut datagram = packet(0, from_client, second * 1_000, 0, 0, 0);
            datagram.key.transport = Transport::UDP;
            bench.feed(datagram, b"x");
        }
    }
    assert_eq!(bench.updates(), [(1, 60, 122, 122)]);
    let done = bench.end();
    let activity = done[0].record.activity.unwrap();
    assert_eq!((activity.seconds, activity.messages_up, activity.messages_down), (90, 90, 90));
}

#[test]
fn without_a_schedule_there_are_no_updates() {
    let mut bench = Bench::new(8);
    bench.talk(0, 0);
    (1..100).for_each(|second| bench.go_on(0, second * 1_000, second as u32));
    bench.mark((BEGAN + 1_000) as u32);
    assert_eq!(bench.updates(), []);
    assert_eq!(bench.end()[0].record.activity.unwrap().seconds, 90);
}

/// An eighth of the table may be long sessions; the others are reported at their end, and counted.
#[test]
fn the_room_for_sessions_that_last_is_bounded() {
    let mut bench = Bench::with_updates(&[60, 300]);
    for n in 0..64 {
        bench.talk(n, 0);
    }
    for second in 1..400 {
        (0..64).for_each(|n| bench.go_on(n, second * 1_000, second as u32));
        bench.mark((BEGAN + second) as u32);
    }
    assert_eq!((bench.updates().len(), bench.listener.counts["sessions_unwatched"]), (16, 56));
    assert_eq!(bench.end().len(), 64);
    let mut bench = Bench::with_updates(&[60]);
    // Blocks are reused.
    for round in 0..4 {
        let begin = round * 1_000_000;
        (0..8).for_each(|n| bench.talk(n, begin));
        (1..70).for_each(|second| {
            (0..8).for_each(|n| bench.go_on(n, begin + second * 1_000, second as u32));
        });
        let clock = begin / 1_000 + 100;
        (0..8).for_each(|n| bench.feed(packet(n, true, clock * 1_000, RST, 170, 0), b""));
        bench.mark((BEGAN + clock + 400) as u32);
    }
    assert_eq!((bench.updates().len(), bench.listener.finished.len()), (32, 32));
    assert!(!bench.listener.counts.contains_key("sessions_unwatched"));
}

/// Whoever holds many thin sessions open does not keep one that exchanges more from being watched;
/// and thin ones that come later do not drive it out.
#[test]
fn thin_sessions_do_not_fill_the_room_for_long_ones() {
    let mut bench = Bench::with_updates(&[60, 300]);
    let data = [0x5a; 400];
    let both = |bench: &mut Bench, n: u16, at: u64, place: u32| {
        let long = |packet: Packet| Packet { wire_len: 460, ..packet };
        bench.feed(long(packet(n, true, at, ACK, 100 + place, 500 + place)), &data);
        bench.feed(long(packet(n, false, at, ACK, 500 + place, 100 + place)), &data);
    };
    let mut place = 1;
    for second in 0..400u64 {
        let at = second * 1_000;
        for n in 0..40 {
            // Thirty at first, later ten more.
            match (second, n < 30) {
                (0, true) | (100, false) => bench.talk(n, at),
                (101.., false) | (1.., true) => {
                    let begun = if n < 30 { 0 } else { 100 };
                    bench.go_on(n, at, (second - begun) as u32);
                }
                _ => {}
            }
        }
        match second {
            0..20 => {}
            20 => bench.talk(50, at),
            _ => {
                both(&mut bench, 50, at + 3, place);
                place += 400;
            }
        }
        bench.mark((BEGAN + second) as u32);
    }
    let fat = bench.listener.updates.iter().filter(|(record, _)| record.initiator.port == 40_050);
    let fat: Vec<(u32, u64)> =
        fat.map(|(record, _)| (record.update.unwrap(), record.at.as_secs() - BEGAN)).collect();
    assert_eq!(fat, [(1, 80), (2, 320)]);
    // Each of the others is counted once, whether it was refused or gave way.
    let unwatched = bench.listener.counts["sessions_unwatched"];
    assert!((33..=40).contains(&unwatched), "{unwatched}");
    let mut numbers = std::collections::BTreeMap::new();
    for (record, _) in &bench.listener.updates {
        let key = (record.initiator.port, record.start);
        let before = numbers.insert(key, record.update);
        assert!(before < Some(record.update), "no number of an update comes twice");
    }
    let done = bench.end();
    let fat = done.iter().find(|one| one.record.initiator.port == 40_050).unwrap();
    assert!(fat.record.activity.unwrap().seconds > 300);
}

/// A session's identity does not change once others know it.
#[test]
fn the_ends_are_not_swapped_after_an_update() {
    let mut bench = Bench::with_updates(&[60]);
    for second in 0..30 {
        bench.go_on(0, second * 4_000, second as u32);
    }
    let updates = &bench.listener.updates[0].0;
    let (start, port) = (updates.start, updates.initiator.port);
    let mut earlier = packet(0, true, 120_000, ACK, 130, 530);
    earlier.time = Nanos::from_millis(999_000_000);
    bench.feed(earlier, b"e");
    let done = bench.end();
    assert_eq!((done[0].record.start, done[0].record.initiator.port), (start, port));
}

/// Table, timers and watermarks of a busy shard: sessions start, pause and end in any order.
type Steps = Vec<(u16, u8, u16)>;

/// Second, port, number, packets and bytes delivered of an update.
type UpdateRow = (u64, u16, u32, u64, usize);

fn drive(steps: &Steps, marks: usize) -> (Vec<UpdateRow>, usize) {
    let mut bench = Bench::with_updates(&[7, 20, 45]);
    let (mut at, mut places) = (0u64, BTreeMap::<u16, u32>::new());
    for (number, (n, kind, pause)) in steps.iter().enumerate() {
        at += u64::from(*pause);
        let place = places.entry(*n).or_insert(0);
        match kind {
            0 => {
                bench.talk(*n, at);
                *place = 0;
            }
            1 => bench.feed(packet(*n, true, at, RST, 101 + *place, 0), b""),
            _ => {
                *place += 1;
                bench.go_on(*n, at, *place);
            }
        }
        if number % marks == 0 {
            bench.mark((BEGAN + at / 1_000) as u32);
        }
    }
    bench.mark((BEGAN + at / 1_000) as u32);
    let one = |(record, delivered): &(Record, usize)| {
        let packets = record.initiator.packets + record.responder.packets;
        let port = record.initiator.port.min(record.responder.port);
        (record.at.as_secs(), port, record.update.unwrap(), packets, *delivered)
    };
    let mut updates: Vec<_> = bench.listener.updates.iter().map(one).collect();
    updates.sort_unstable();
    (updates, bench.end().len())
}

proptest! {
    /// The frequency of watermarks changes neither updates nor the number of sessions that end.
    #[test]
    fn watermarks_do_not_change_updates(
        steps in proptest::collection::vec((0u16..5, 0u8..12, 0u16..6_000), 1..150),
        marks in 2usize..200,
    ) {
        prop_assert_eq!(drive(&steps, 1), drive(&steps, marks));
    }
}
