//! Files with some false timestamps, and files whose clock was adjusted.

use super::*;
use crate::capture::block::BlockPool;
use crate::capture::stored::{HashPolicy, Stored};
use crate::capture::testkit::{Words, pcap};

/// True frames follow one per second from here.
const START: u32 = 1_700_000_000;
const TRUE_FRAMES: u32 = 3_000;

/// A file in memory.
fn chronology(bytes: Vec<u8>) -> Chronology {
    let size = bytes.len() as u64;
    let stored = Stored::new(Box::new(std::io::Cursor::new(bytes)), Some(size), HashPolicy::Never);
    let pool = BlockPool::new(4_096, 4);
    let source = FileSource::from_stored("test.pcap".as_ref(), stored, 0, &pool).unwrap();
    Chronology::new(source, WINDOW)
}

/// Second and trust of each frame of a file with these timestamps, in file order; a frame's bytes
/// must be its own.
fn read(seconds: &[u32]) -> Vec<(u64, Trust)> {
    let frames: Vec<_> = seconds
        .iter()
        .enumerate()
        .map(|(at, second)| (*second, 0, (at as u32).to_be_bytes().to_vec()))
        .collect();
    let mut chronology = chronology(pcap(&frames));
    let mut out = Vec::new();
    while let Some(meta) = chronology.next_frame() {
        let from = meta.at as usize;
        let own = &chronology.block().bytes()[from..from + 4];
        assert_eq!(own, (out.len() as u32).to_be_bytes(), "frames keep their order and bytes");
        out.push((meta.time.0 / 1_000_000_000, meta.trust));
    }
    assert_eq!(out.len(), seconds.len(), "no frame is lost");
    out
}

/// True seconds with the false ones inserted behind the first `place`.
fn with_false(false_ones: &[u32], place: usize) -> (Vec<u32>, Vec<u32>) {
    let truth: Vec<u32> = (0..TRUE_FRAMES).map(|n| START + n).collect();
    let (before, after) = truth.split_at(place);
    let mixed = [before, false_ones, after].concat();
    (truth, mixed)
}

#[test]
fn true_times_are_unchanged_beside_false_ones() {
    let middle = (TRUE_FRAMES / 2) as usize;
    let lies = [u32::MAX, START + 90_000, START + TRUE_FRAMES + 3_600, START + 1_000_000, 0, 1];
    for lie in lies {
        for run in [1, 2, 10, 1_000] {
            let (truth, mixed) = with_false(&vec![lie; run], middle);
            let got = read(&mixed);
            let honest = got.iter().take(middle).chain(got.iter().skip(middle + run));
            for ((second, trust), want) in honest.zip(&truth) {
                assert_eq!((*second, *trust), (u64::from(*want), Trust::Believed), "{lie} x {run}");
            }
            let told = got.iter().skip(middle).take(run);
            assert!(told.clone().all(|(_, trust)| !trust.moves_timers()), "{lie} x {run}");
        }
    }
}

#[test]
fn false_times_between_true_ones_move_nothing() {
    let seconds: Vec<u32> = (0..TRUE_FRAMES)
        .flat_map(|n| [START + n, if n.is_multiple_of(2) { u32::MAX } else { START + 7_200 + n }])
        .collect();
    let got = read(&seconds);
    for (n, (second, trust)) in got.iter().step_by(2).enumerate() {
        assert_eq!((*second, *trust), (u64::from(START) + n as u64, Trust::Believed));
    }
    assert!(got.iter().skip(1).step_by(2).take(1_000).all(|(_, trust)| !trust.moves_timers()));
}

#[test]
fn a_clock_that_was_set_is_followed() {
    // A night without frames; a clock set back by a day; a file joined to one of years later. The
    // first part is either long enough to be believed, or too short to be told from false
    // timestamps: then it keeps its times and moves no timer. If few frames precede a clock set
    // back, nothing can tell which are right.
    let long = WINDOW as u32 + 100;
    for start in [START + 40_000, START - 86_400, START + 90_000_000] {
        for length in [100, long].into_iter().skip(usize::from(start < START)) {
            let first = (0..length).map(|n| START + n);
            let seconds: Vec<u32> = first.chain((0..TRUE_FRAMES).map(|n| start + n)).collect();
            for (at, (second, trust)) in read(&seconds).into_iter().enumerate() {
                assert_eq!(second, u64::from(seconds[at]), "{start}");
                assert!(trust.measures(), "{second}: {trust:?}");
                let told = length == long || at >= length as usize;
                assert!(!told || trust.moves_timers(), "{start} {length} {second}: {trust:?}");
            }
        }
    }
}

#[test]
fn a_clock_led_astray_by_more_than_the_window_is_led_back() {
    let astray = vec![u32::MAX; WINDOW + 10];
    let (truth, mixed) = with_false(&astray, 100);
    let got = read(&mixed);
    let back = got.iter().skip(100 + astray.len()).zip(truth.iter().skip(100));
    for ((second, trust), want) in back {
        assert_eq!((*second, trust.moves_timers()), (u64::from(*want), true), "{trust:?}");
    }
}

#[test]
fn a_stretch_ahead_keeps_its_times_in_doubt() {
    // 500 frames an hour ahead, as from a capture that was joined in between: at the start, and in
    // the middle. Up to sixteen are false timestamps.
    for place in [0, 1_500] {
        for (run, kept) in [(500, Trust::Doubtful), (16, Trust::Absent)] {
            let stretch: Vec<u32> =
                (0..run).map(|n| START + TRUE_FRAMES + 3_600 + place as u32 + n).collect();
            let (truth, mixed) = with_false(&stretch, place);
            let got = read(&mixed);
            let told = got.iter().skip(place).take(stretch.len());
            for ((second, trust), own) in told.zip(&stretch) {
                assert_eq!(*trust, kept, "{place} {run}");
                assert_eq!(*second == u64::from(*own), kept == Trust::Doubtful, "{place} {run}");
            }
            let honest = got.iter().take(place).chain(got.iter().skip(place + stretch.len()));
            for ((second, trust), want) in honest.zip(&truth) {
                assert_eq!((*second, *trust), (u64::from(*want), Trust::Believed), "{place} {run}");
            }
        }
    }
}

/// Frames of two interfaces with these seconds.
fn interfaces(frames: impl Iterator<Item = (u32, u32)>) -> Vec<u8> {
    let mut words = Words { big: false, out: Vec::new() };
    words.section();
    words.interface(1, None, None);
    words.interface(1, None, None);
    frames.for_each(|(of, second)| words.enhanced(of, u64::from(second) * 1_000_000, b"frame"));
    words.out
}

#[test]
fn whatever_times_there_are_a_frame_costs_a_few_looks() {
    const FRAMES: u32 = 20_000;
    // One interface leaps and then is silent, so that the other's frames are held; those leap in
    // turn.
    let alternate = |n: u32| (1, START + n + if n.is_multiple_of(2) { 7_200 } else { 0 });
    // Leaps that the next leap does not refute: half of them are held until the window is full.
    let ahead = |n: u32| (1, START + 100_000 * (n / 3_000) + 3_600 * (1 + n % 2));
    let behind = |n: u32| (1, START + 1_000_000 - 11 * n);
    let waves = |n: u32| (1, START + 1_000_000 - 11 * (n % 1_500) - n / 1_500 * 100);
    let of: [fn(u32) -> (u32, u32); 4] = [alternate, ahead, behind, waves];
    for (case, of) in of.into_iter().enumerate() {
        let begin = [(0, START), (1, START), (0, START + 9_000)];
        let mut chronology = chronology(interfaces(begin.into_iter().chain((1..FRAMES).map(of))));
        let mut frames = 0;
        while chronology.next_frame().is_some() {
            frames += 1;
        }
        assert_eq!(frames, FRAMES + 2);
        let most = 6 * u64::from(FRAMES);
        assert!(chronology.visits < most, "{case}: {} of {most}", chronology.visits);
    }
}

#[test]
fn each_interface_is_judged_by_its_own_clock() {
    // Interface 0 leaps, so that all others are held. On 1 a frame comes three seconds early: the
    // clock reaches it, and the next one is behind it.
    let frames = [(0, START), (1, START), (0, START + 9_000)]
        .into_iter()
        .chain([(1, START + 3), (1, START + 2)])
        .chain((4..100).map(|n| (1, START + n)));
    let mut chronology = chronology(interfaces(frames));
    let mut trusts = Vec::new();
    while let Some(meta) = chronology.next_frame() {
        if meta.interface == 1 {
            trusts.push(meta.trust);
        }
    }
    assert_eq!(trusts.len(), 99);
    assert!(trusts.iter().all(|trust| *trust == Trust::Believed), "{trusts:?}");
}

#[test]
fn a_burst_after_a_pause_is_not_a_leap() {
    // Seventeen frames of half a second a minute ahead, among twenty frames a second.
    let frames: Vec<_> = (0..3_000u32)
        .map(|n| {
            let ahead = if (700..717).contains(&n) { 60 } else { 0 };
            (START + n / 20 + ahead, n % 20 * 50_000, n.to_be_bytes().to_vec())
        })
        .collect();
    let mut chronology = chronology(pcap(&frames));
    let mut trusts = Vec::new();
    while let Some(meta) = chronology.next_frame() {
        trusts.push(meta.trust);
    }
    let strange: Vec<usize> = (0..trusts.len()).filter(|n| trusts[*n] != Trust::Believed).collect();
    assert_eq!(strange, (700..717).collect::<Vec<_>>());
}
