use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use super::segment::{self, Tags};
use super::*;
use crate::model::event::SessionLine;
use crate::model::{Alert, Counter, Counters, Event, Family, Format, Held, Level, Nanos};
use crate::sinks::{Queue, Sink, Tell};

const MIB: u64 = 1 << 20;

fn line(n: usize) -> Vec<u8> {
    format!("{{\"n\":{n}}}\n").into_bytes()
}

fn add(spool: &mut Spool, kind: EventKind, range: std::ops::Range<usize>) {
    for n in range {
        spool.add(kind, Level::High, &line(n)).unwrap();
    }
    spool.flush(Lane::of(kind)).unwrap();
}

/// All lines that are left, in the order in which they are read; each batch is acknowledged.
fn take(reader: &mut Reader) -> Vec<usize> {
    let mut all = Vec::new();
    while let Some(batch) = reader.next(100, 4_096).unwrap() {
        all.extend(numbers(&batch));
        reader.acknowledge(batch.lane, batch.end).unwrap();
    }
    all
}

fn numbers(batch: &Batch) -> Vec<usize> {
    let number = |item: &Item| {
        let text = std::str::from_utf8(batch.line(item)).unwrap();
        text.trim_start_matches("{\"n\":").trim_end_matches('}').parse().unwrap()
    };
    batch.items.iter().map(number).collect()
}

fn segments_of(dir: &Path, lane: Lane) -> usize {
    segments(&dir.join(lane.name())).unwrap().len()
}

#[test]
fn lines_are_read_in_order_findings_first_and_again_until_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path(), 64 * MIB).unwrap();
    add(&mut spool, EventKind::SessionEnd, 0..3);
    add(&mut spool, EventKind::Alert, 10..12);
    let mut reader = Reader::open(dir.path()).unwrap();
    let first = reader.next(100, 4_096).unwrap().unwrap();
    assert_eq!((first.lane, numbers(&first), first.end), (Lane::Findings, vec![10, 11], 2));
    assert_eq!((first.items[0].kind, first.items[0].level), (EventKind::Alert, Level::High));
    reader.rewind();
    assert_eq!(reader.waiting().unwrap(), 5);
    assert_eq!(take(&mut reader), [10, 11, 0, 1, 2]);
    assert_eq!(reader.waiting().unwrap(), 0);
    add(&mut spool, EventKind::Incident, 12..13);
    assert_eq!(take(&mut reader), [12], "written while it is read");
    drop(reader);
    assert!(take(&mut Reader::open(dir.path()).unwrap()).is_empty(), "also after a restart");
}

#[test]
fn only_one_process_writes_and_one_reads() {
    let dir = tempfile::tempdir().unwrap();
    let _spool = Spool::open(dir.path(), 64 * MIB).unwrap();
    let _reader = Reader::open(dir.path()).unwrap();
    assert!(Spool::open(dir.path(), 64 * MIB).is_err() && Reader::open(dir.path()).is_err());
}

#[test]
fn a_line_that_a_killed_process_left_half_written_costs_no_other() {
    let whole = {
        let mut bytes = Vec::new();
        let tags = Tags { kind: EventKind::Alert, level: Level::Low };
        segment::put(tags, &line(9), &mut bytes);
        bytes
    };
    for cut in 0..whole.len() {
        let dir = tempfile::tempdir().unwrap();
        add(&mut Spool::open(dir.path(), 64 * MIB).unwrap(), EventKind::Alert, 0..3);
        let (_, path) = segments(&dir.path().join("findings")).unwrap().pop().unwrap();
        fs::File::options().append(true).open(path).unwrap().write_all(&whole[..cut]).unwrap();
        let mut reader = Reader::open(dir.path()).unwrap();
        assert_eq!(take(&mut reader), [0, 1, 2], "{cut}");
        add(&mut Spool::open(dir.path(), 64 * MIB).unwrap(), EventKind::Alert, 3..5);
        assert_eq!(take(&mut reader), [3, 4], "{cut}");
        assert_eq!(reader.damaged, cut as u64);
    }
}

#[test]
fn a_lost_acknowledgement_repeats_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    add(&mut Spool::open(dir.path(), 64 * MIB).unwrap(), EventKind::Alert, 0..5);
    let mut reader = Reader::open(dir.path()).unwrap();
    let batch = reader.next(2, 4_096).unwrap().unwrap();
    reader.acknowledge(batch.lane, batch.end).unwrap();
    drop(reader);
    assert_eq!(take(&mut Reader::open(dir.path()).unwrap()), [2, 3, 4]);
    fs::write(dir.path().join("findings/acknowledged"), "torn").unwrap();
    assert_eq!(take(&mut Reader::open(dir.path()).unwrap()), [0, 1, 2, 3, 4]);
}

#[test]
fn at_the_cap_the_oldest_sessions_go_then_the_oldest_alerts_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path(), MIB).unwrap();
    add(&mut spool, EventKind::Alert, 0..2_000);
    let mut dropped = 0;
    for n in 0..100 {
        add(&mut spool, EventKind::SessionEnd, n * 1_000..(n + 1) * 1_000);
        dropped += spool.take_dropped();
    }
    let mut reader = Reader::open(dir.path()).unwrap();
    let all = take(&mut reader);
    assert!(all[..2_000].iter().copied().eq(0..2_000), "alerts");
    assert!(all[2_000..].iter().copied().eq(dropped as usize..100_000), "{dropped}");
    assert!((30_000..90_000).contains(&dropped), "{dropped}");
    for n in 0..100 {
        add(&mut spool, EventKind::Alert, n * 1_000..(n + 1) * 1_000);
    }
    let all = take(&mut reader);
    // What was removed while it was open is read all the same.
    let found = all.len() as u64 + spool.take_dropped();
    assert!((100_000..110_000).contains(&found), "{found}");
    assert_eq!(all.last(), Some(&99_999));
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn acknowledged_segments_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path(), 4 * MIB).unwrap();
    let mut reader = Reader::open(dir.path()).unwrap();
    for n in 0..200 {
        add(&mut spool, EventKind::SessionEnd, n * 1_000..(n + 1) * 1_000);
        assert_eq!(take(&mut reader).len(), 1_000, "{n}");
        assert!(segments_of(dir.path(), Lane::Records) <= 2, "{n}");
    }
    assert_eq!(spool.take_dropped(), 0);
}

#[test]
fn a_spool_of_another_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    add(&mut Spool::open(dir.path(), 64 * MIB).unwrap(), EventKind::Alert, 0..3);
    let (_, path) = segments(&dir.path().join("findings")).unwrap().pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[7] = b'2';
    fs::write(&path, bytes).unwrap();
    assert!(Spool::open(dir.path(), 64 * MIB).unwrap_err().cause.contains("version"));
    let mut reader = Reader::open(dir.path()).unwrap();
    assert!(reader.next(9, 4_096).unwrap_err().cause.contains("version"));
}

/// A spool of three segments of two alerts each, and their paths.
fn three(dir: &Path) -> Vec<std::path::PathBuf> {
    for n in 0..3 {
        add(&mut Spool::open(dir, 64 * MIB).unwrap(), EventKind::Alert, n * 2..n * 2 + 2);
    }
    segments(&dir.join("findings")).unwrap().into_iter().map(|(_, path)| path).collect()
}

#[test]
fn a_segment_that_a_power_failure_left_empty_or_zero_stops_nothing() {
    for (lost, size, left) in [
        (0..1, 0, vec![2, 3, 4, 5]),
        (1..2, 0, vec![0, 1, 4, 5]),
        (1..2, 5, vec![0, 1, 4, 5]),
        (1..2, 5_000, vec![0, 1, 4, 5]),
        (0..2, 70, vec![4, 5]),
        (2..3, 0, vec![0, 1, 2, 3]),
        (2..3, 5_000, vec![0, 1, 2, 3]),
        (1..3, 60, vec![0, 1]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let paths = three(dir.path());
        let bytes = lost.len() as u64 * size as u64;
        paths[lost].iter().for_each(|path| fs::write(path, vec![0; size]).unwrap());
        let mut reader = Reader::open(dir.path()).unwrap();
        assert_eq!(take(&mut reader), left, "{size}");
        assert!(take(&mut reader).is_empty() && reader.damaged == bytes, "counted once: {size}");
        assert_eq!(reader.waiting().unwrap(), 0, "{size}");
        add(&mut Spool::open(dir.path(), 64 * MIB).unwrap(), EventKind::Alert, 6..8);
        assert_eq!(take(&mut reader), [6, 7], "{size}");
        assert_eq!(reader.damaged, bytes, "{size}");
        assert_eq!(segments_of(dir.path(), Lane::Findings), 1, "the rest is removed: {size}");
    }
}

#[test]
fn damaged_bytes_never_panic_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    add(&mut Spool::open(dir.path(), 64 * MIB).unwrap(), EventKind::Alert, 0..20);
    let (_, path) = segments(&dir.path().join("findings")).unwrap().pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    for at in segment::HEAD.len()..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x41;
        fs::write(&path, bytes).unwrap();
        let mut reader = Reader::open(dir.path()).unwrap();
        let before = take(&mut reader).len();
        assert!(before < 20, "{at}");
        drop(reader);
        let mut spool = Spool::open(dir.path(), 64 * MIB).unwrap();
        add(&mut spool, EventKind::Alert, 20..21);
        let mut reader = Reader::open(dir.path()).unwrap();
        let after = take(&mut reader);
        assert_eq!(after.last(), Some(&20), "{at}");
        drop(reader);
        for (_, other) in segments(&dir.path().join("findings")).unwrap() {
            fs::remove_file(other).unwrap();
        }
        let _ = fs::remove_file(dir.path().join("findings/acknowledged"));
    }
}

#[test]
fn a_spool_that_cannot_be_written_is_reported_once_and_its_alerts_wait() {
    let dir = tempfile::tempdir().unwrap();
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&told);
    let tell: Tell = Arc::new(move |text: &str| heard.lock().unwrap().push(text.to_owned()));
    let spool = Spool::open(dir.path(), 64 * MIB).unwrap();
    let kinds = vec![EventKind::Alert, EventKind::SessionEnd];
    let wanted = Wanted { kinds, level: Level::Informational };
    let mut sink = SpoolSink::new("siem".to_owned(), spool, wanted, Arc::new(Named), tell);
    let mut queue = Queue::new(1 << 20);
    let alert = Alert::sample("D08", Family::R);
    queue.push(Held::Alert(Arc::new(alert)));
    let session = SessionLine { id: [0; 16], time: Nanos(0), line: b"{}\n", is_update: false };
    for lane in Lane::ALL {
        fs::remove_dir(dir.path().join(lane.name())).unwrap();
    }
    for _ in 0..5 {
        assert!(sink.session(&session).unwrap(), "taken, and lost when it is written");
        sink.drain(&mut queue).unwrap();
        assert_eq!(queue.len(), 1);
    }
    assert_eq!(told.lock().unwrap().len(), 1, "{told:?}");
    for lane in Lane::ALL {
        fs::create_dir(dir.path().join(lane.name())).unwrap();
    }
    sink.drain(&mut queue).unwrap();
    assert_eq!(queue.len(), 0);
    let mut counters = Counters::default();
    sink.count(&mut counters);
    let of = |counter| counters.get(counter);
    assert_eq!((of(Counter::SpoolDropped), of(Counter::Spooled)), (5, 1));
    let mut reader = Reader::open(dir.path()).unwrap();
    let batch = reader.next(9, 4_096).unwrap().unwrap();
    assert_eq!(batch.line(&batch.items[0]), b"an alert");
}

#[test]
fn alerts_are_synced_and_a_disk_that_cannot_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), 64 * MIB).unwrap();
    // A pipe takes bytes, and cannot be synced.
    let pipes = Lane::ALL.map(|lane| {
        let path = dir.path().join(lane.name()).join(segment::name_of(0));
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        fs::File::options().read(true).write(true).open(path).unwrap()
    });
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&told);
    let tell: Tell = Arc::new(move |text: &str| heard.lock().unwrap().push(text.to_owned()));
    let wanted = Wanted { kinds: EventKind::ALL.to_vec(), level: Level::Informational };
    let mut sink = SpoolSink::new("siem".to_owned(), spool, wanted, Arc::new(Named), tell);
    let mut queue = Queue::new(1 << 20);
    let session = SessionLine { id: [0; 16], time: Nanos(0), line: b"{}\n", is_update: false };
    assert!(sink.session(&session).unwrap());
    sink.drain(&mut queue).unwrap();
    assert!(told.lock().unwrap().is_empty(), "sessions are not synced");
    for _ in 0..3 {
        queue.push(Held::Alert(Arc::new(Alert::sample("D08", Family::R))));
        assert!(sink.session(&session).unwrap());
        sink.drain(&mut queue).unwrap();
    }
    let told = told.lock().unwrap();
    assert!(told.len() == 1 && told[0].contains("syncing: "), "{told:?}");
    assert_eq!(queue.len(), 0, "written and sent once");
    drop(pipes);
}

/// Writes what an event is.
struct Named;

impl Format for Named {
    fn render(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        assert_eq!(event.kind(), EventKind::Alert);
        out.extend_from_slice(b"an alert\n");
    }
}
