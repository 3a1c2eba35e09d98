use super::*;
use crate::detect::merge::is_repeated;
use crate::model::Family;
use crate::model::alert::Repeats;

const CONFIG: LedgerConfig = LedgerConfig { entries: 1 << 20, subjects: 1 << 20, groups: 1 << 20 };

/// The nth of a run in which each kind of thing happens.
fn alert(n: u64) -> Alert {
    let time = Nanos::from_secs(n * 3_600);
    let (rule, family) =
        [("D08", Family::R), ("D18", Family::N), ("D05", Family::P)][(n % 3) as usize];
    let mut repeats = Repeats::of(format!("k{}", n % 5), time);
    repeats.at_least = 1 + n % 4;
    Alert {
        time,
        since: time,
        ratio: 50.0,
        subject: Arc::from(format!("10.0.0.{}", n % 7)),
        session_id: format!("s{n}"),
        repeats: n.is_multiple_of(2).then_some(repeats),
        ..Alert::sample(rule, family)
    }
}

/// What a live run does with it; the records of its journal.
fn step(ledger: &mut Ledger, n: u64) {
    let alert = alert(n);
    if n.is_multiple_of(11) && !ledger.fires(format!("192.0.2.{}", n % 3), &alert) {
        return;
    }
    ledger.close_old(alert.time);
    ledger.take(alert, None);
    if n.is_multiple_of(4) {
        ledger.take_changes(Level::Low);
        ledger.note_reported(Level::Low);
    }
}

#[test]
fn a_snapshot_and_its_journal_are_the_ledger() {
    let mut ledger = Ledger::new(CONFIG);
    (0..200).for_each(|n| step(&mut ledger, n));
    let (mut other, generation) = Ledger::decode(CONFIG, &ledger.encode(7)).unwrap();
    assert_eq!(generation, 7);
    ledger.begin_journal();
    (200..400).for_each(|n| step(&mut ledger, n));
    let journal = ledger.take_journal();
    let (records, whole) = records(&journal).unwrap();
    assert_eq!(whole, journal.len());
    records.iter().for_each(|record| other.replay(record).unwrap());
    for n in 400..500 {
        let (a, b) = (ledger.take(alert(n), None), other.take(alert(n), None));
        let text = |taken: &Taken| match taken {
            Taken::Stands(alert) => format!("{} {}", alert.id, is_repeated(alert)),
            Taken::Again(..) => "again".to_owned(),
            Taken::Waits => "waits".to_owned(),
        };
        assert_eq!(text(&a), text(&b), "{n}");
        let of = |incident: &crate::model::Incident| (incident.subject.clone(), incident.change);
        let changes = |ledger: &mut Ledger| -> Vec<_> {
            ledger.take_changes(Level::Low).iter().map(of).collect()
        };
        assert_eq!(changes(&mut ledger), changes(&mut other), "{n}");
    }
}

#[test]
fn an_alert_in_the_journal_but_not_reported_is_reported_by_the_next_run() {
    let mut ledger = Ledger::new(CONFIG);
    ledger.begin_journal();
    let reported = Alert { repeats: None, ..alert(1) };
    let unreported = Alert { repeats: None, ..alert(3) };
    ledger.take(reported, None);
    ledger.note_reported(Level::Low);
    ledger.take(unreported, None);
    let journal = ledger.take_journal();
    let mut next = Ledger::new(CONFIG);
    records(&journal).unwrap().0.iter().for_each(|record| next.replay(record).unwrap());
    // Also if that run is killed before it reports it.
    let (mut after, _) = Ledger::decode(CONFIG, &next.encode(1)).unwrap();
    let left: Vec<String> =
        after.take_unreported().iter().map(|of| of.session_id.clone()).collect();
    assert_eq!(left, ["s3"]);
}

#[test]
fn an_incomplete_last_entry_is_removed_and_earlier_damage_is_an_error() {
    let mut journal = Vec::new();
    let mut ends = vec![0];
    for n in 0..3 {
        framed::put(&[&raised(&alert(n))], &mut journal);
        ends.push(journal.len());
    }
    for end in 0..journal.len() {
        let (all, whole) = records(&journal[..end]).unwrap();
        assert_eq!(whole, *ends.iter().rfind(|at| **at <= end).unwrap());
        assert_eq!(all.len(), ends.iter().filter(|at| **at <= end && **at > 0).count());
    }
    let mut damaged = journal.clone();
    damaged[20] ^= 1;
    assert!(records(&damaged).is_err());
    let mut torn = journal.clone();
    *torn.last_mut().unwrap() ^= 1;
    assert_eq!(records(&torn).unwrap().1, ends[2], "the last was not written to its end");
}

#[test]
fn a_snapshot_that_was_changed_anywhere_is_refused() {
    let mut ledger = Ledger::new(CONFIG);
    (0..30).for_each(|n| step(&mut ledger, n));
    let bytes = ledger.encode(1);
    assert_eq!(Ledger::decode(CONFIG, b"hello").err(), Some(StoreError::NotThis));
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        assert!(Ledger::decode(CONFIG, &changed).is_err(), "{at}");
        assert!(Ledger::decode(CONFIG, &bytes[..at]).is_err(), "{at}");
    }
    let mut later = bytes;
    later[9] = 9;
    assert_eq!(Ledger::decode(CONFIG, &later).err(), Some(StoreError::Version(9)));
}

#[test]
fn a_ledger_read_with_a_smaller_cap_keeps_the_highest_alerts() {
    let mut ledger = Ledger::new(CONFIG);
    for n in 0..2_000 {
        let subject: Arc<str> = Arc::from(format!("192.0.2.{n}"));
        ledger.take(Alert { subject, ..alert(2 * n) }, None);
    }
    let small = LedgerConfig { entries: 64 << 10, subjects: 64 << 10, groups: 64 << 10 };
    let (kept, _) = Ledger::decode(small, &ledger.encode(1)).unwrap();
    assert!(kept.encode(1).len() < ledger.encode(1).len());
}
