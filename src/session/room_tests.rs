//! What is evicted or dropped when there is no room: for a session, for its data, for what waits.

use super::*;
use crate::session::Room;

/// A shard with this much room.
fn bench(room: Room) -> Bench {
    let listener = TestListener { patience: usize::MAX, ..TestListener::default() };
    Bench { shard: Shard::within(64, room, Timeouts::default()), listener }
}

/// A handshake of client `n`, then a byte that is out of order.
fn wait(bench: &mut Bench, n: u16, at: u64) {
    bench.feed(packet(n, true, at, SYN, 99, 0), b"");
    bench.feed(packet(n, false, at, SYN | ACK, 499, 100), b"");
    bench.feed(packet(n, true, at, ACK, 110, 500), &[7; 1_000]);
}

#[test]
fn the_budget_bounds_the_table() {
    let mut bench = bench(Room { sessions: 4 * 480, ..Room::UNBOUNDED });
    for n in 0..40 {
        bench.feed(packet(n, true, u64::from(n) * 1_000, SYN, 1, 0), b"");
        assert!(bench.shard.len() <= 4);
    }
    assert_eq!(bench.listener.counts["evicted"], 36);
    assert_eq!(bench.end().len(), 40);
}

/// The sessions of one second are not evicted all at once, because evicted ones are held until they
/// are written.
#[test]
fn with_a_stopped_clock_few_sessions_are_evicted_at_a_time() {
    let mut shard = Shard::<Delivered>::new(10_000, Timeouts::default());
    let mut listener = TestListener::default();
    let mut most = 0;
    for n in 0..30_000u32 {
        let mut packet = packet(0, true, 0, SYN, 1, 0);
        packet.key.scope = n;
        packet.hash = n.wrapping_mul(2_654_435_761);
        let before = listener.finished.len();
        let hint = shard.locate(&packet);
        shard.touch(Arrival { packet: &packet, frame: b"", file: 0 }, hint, &mut listener);
        most = most.max(listener.finished.len() - before);
    }
    assert!((1..=128).contains(&most), "{most}");
    shard.drain(u32::MAX, &mut listener);
    let opened = listener.counts["sessions"];
    assert_eq!((opened, listener.finished.len()), (30_000, 30_000));
    let order: Vec<_> =
        listener.finished.iter().rev().take(9_000).map(|f| (f.timed, f.tie)).collect();
    assert!(order.is_sorted_by(|a, b| a >= b), "those of one second come in their order");
}

/// The session that has waited longest is no longer parsed; the others continue to wait.
#[test]
fn the_session_that_waited_longest_makes_room() {
    let mut bench = bench(Room { waiting: 10_000, ..Room::UNBOUNDED });
    for n in 0..20 {
        wait(&mut bench, n, u64::from(n));
    }
    let dropped = bench.listener.counts["waiting_dropped"];
    assert!((12..20).contains(&dropped), "{dropped}");
    for n in [0, 19] {
        bench.feed(packet(n, true, 50, ACK, 100, 500), &[1; 10]);
    }
    let done = bench.end();
    let of = |n: u16| done.iter().find(|f| f.record.initiator.port == 40_000 + n).unwrap();
    assert_eq!(delivered(of(19)).0.len(), 1_010, "the last one's hole was filled");
    assert!(of(0).extra.is_none() && of(0).record.quality.truncated);
    assert_eq!((of(0).record.quality.gaps, of(19).record.quality.truncated), (0, false));
}

/// If all hold the same, those nearest to their timeout are evicted. A session that is heavier than
/// all others is no longer parsed, evicts none of them, and is the next to be evicted.
#[test]
fn facts_over_the_budget_evict_sessions_nearest_to_their_timeout() {
    let mut bench = bench(Room { kept: 5_000, ..Room::UNBOUNDED });
    for n in 0..10 {
        let at = u64::from(n) * 2_000;
        bench.feed(packet(n, true, at, SYN, 99, 0), b"");
        bench.feed(packet(n, false, at, SYN | ACK, 499, 100), b"");
        bench.feed(packet(n, true, at, ACK, 100, 500), &[7; 1_000]);
        let held: usize = bench.listener.finished.len();
        assert!(usize::from(n) + 1 - held <= 5);
    }
    assert_eq!(bench.listener.counts["evicted"], 5);
    let first = |f: &Finished<Delivered>| f.record.initiator.port < 40_005;
    assert!(bench.listener.finished.iter().all(first));
    bench.feed(packet(9, true, 30_000, ACK, 1_100, 500), &[7; 6_000]);
    bench.feed(packet(9, true, 30_001, ACK, 7_100, 500), &[7; 6_000]);
    assert_eq!((bench.listener.counts["evicted"], bench.listener.counts["evidence_cut"]), (5, 1));
    bench.feed(packet(8, true, 30_002, ACK, 1_100, 500), &[7; 10]);
    assert_eq!((bench.listener.counts["evicted"], bench.listener.counts["evidence_cut"]), (6, 1));
    let done = bench.end();
    let of = |n: u16| done.iter().find(|f| f.record.initiator.port == 40_000 + n).unwrap();
    assert_eq!((done.len(), delivered(of(9)).0.len()), (10, 7_000), "nothing more is delivered");
    assert_eq!(delivered(of(8)).0.len(), 1_010, "a session that waits for bytes gets them");
}

/// A sender who makes sessions heavy evicts only these: none of hundreds of ordinary ones is
/// evicted, even those nearest to their timeout.
#[test]
fn large_sessions_evict_large_ones() {
    let room = Room { kept: 100_000, ..Room::UNBOUNDED };
    let listener = TestListener { patience: usize::MAX, ..TestListener::default() };
    let mut bench = Bench { shard: Shard::within(4_096, room, Timeouts::default()), listener };
    let mut say = |n: u16, at: u64, bytes: usize| {
        bench.feed(packet(n, true, at, SYN, 99, 0), b"");
        bench.feed(packet(n, false, at, SYN | ACK, 499, 100), b"");
        bench.feed(packet(n, true, at, ACK, 100, 500), &vec![7; bytes]);
        assert!(bench.shard.kept() <= 103_000);
    };
    (0..300).for_each(|n| say(n, 0, 100));
    (300..1_300).for_each(|n| say(n, 2_000, 3_000));
    let gone: Vec<u16> =
        bench.listener.finished.iter().map(|f| f.record.initiator.port - 40_000).collect();
    assert!(gone.len() > 900, "{}", gone.len());
    assert!(gone.iter().all(|n| *n >= 300), "honest ones went");
}
