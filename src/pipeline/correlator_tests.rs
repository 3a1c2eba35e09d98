//! The correlator's counters during the run.
//!
//! Owns: when a loss is visible. In: made-up alerts. Out: assertions. Never: built into the
//! program.

use super::*;
use crate::detect::incidents::IncidentConfig;
use crate::model::{Alert, Counters, EventKind, Family};
use crate::sinks::Sink;

/// Accepts this many lines and loses the rest.
struct Disk(usize);

impl Sink for Disk {
    fn wants(&self, kind: EventKind) -> bool {
        kind == EventKind::SessionEnd
    }

    fn session(&mut self, _: &SessionLine<'_>) -> Result<bool, Error> {
        let taken = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        Ok(taken)
    }
}

fn disk(lines: usize) -> Outlets {
    Outlets::new(vec![Box::new(Disk(lines))], 1 << 20)
}

fn one(source: u8) -> crate::model::scan::Unanswered {
    crate::model::scan::Unanswered {
        source: crate::model::Addr::v4([192, 0, 2, source]),
        destination: crate::model::Addr::v4([10, 0, 0, 1]),
        transport: crate::model::Transport::TCP,
        port: 80,
        packets: 1,
        bytes: 60,
        first: Nanos::from_secs(5),
        last: Nanos::from_secs(5),
    }
}

#[test]
fn sessions_in_a_sum_have_the_outcome_of_its_line() {
    let plan = Plan { embedded: Some(("none.pcap", b"")), ..Plan::default() };
    let prepared = crate::pipeline::prepare::prepare(&plan).unwrap();
    let mut correlator =
        Correlator::new(Vec::new(), &plan, &prepared, &Arc::new(Origin::new("test", [])));
    let second = Nanos::from_secs(5);
    (0..300).for_each(|_| correlator.scans.add(second, &one(1)));
    (0..20).for_each(|_| correlator.scans.add(second, &one(2)));
    correlator.write_sums(Nanos::from_secs(6), &mut disk(1), true).unwrap();
    (0..7).for_each(|_| correlator.scans.add(Nanos::from_secs(7), &one(1)));
    correlator.write_sums(Nanos::from_secs(8), &mut disk(1), false).unwrap();
    let mut counted = correlator.found.counters;
    let get = |counters: &Counters, counter| counters.get(counter);
    assert_eq!(get(&counted, Counter::SessionsSummed), 300);
    assert_eq!(get(&counted, Counter::SummaryLines), 1);
    assert_eq!(get(&counted, Counter::SessionsUnsaved), 27, "lost with their lines");
    counted.add(Counter::Sessions, 327);
    counted.account_for_sessions();
    assert_eq!(get(&counted, Counter::SessionsUnaccounted), 0, "summed is a fate");
}

fn alert(n: u64) -> Alert {
    let time = Nanos::from_secs(n);
    let subject = Arc::from(format!("192.0.2.{n}"));
    Alert { time, since: time, subject, ..Alert::sample("D08", Family::R) }
}

#[test]
fn losses_are_counted_in_the_set_in_which_they_happen() {
    let mut plan = Plan { embedded: Some(("none.pcap", b"")), ..Plan::default() };
    plan.caps.alerts = 100;
    let prepared = crate::pipeline::prepare::prepare(&plan).unwrap();
    let mut correlator =
        Correlator::new(Vec::new(), &plan, &prepared, &Arc::new(Origin::new("test", [])));
    let subjects = IncidentConfig::default().subjects_max as u64;
    (0..=subjects).for_each(|n| correlator.found.alert(alert(n)));
    // The run is not over: a live run's health line and set of files show this.
    let counted = correlator.found.counters.clone();
    assert_eq!(counted.get(Counter::SubjectsDropped), subjects.div_ceil(8));
    assert_eq!(counted.get(Counter::AlertsDropped), subjects + 1 - 100);
    let set = correlator.found.take();
    assert_eq!((set.alerts.len(), &set.counters), (100, &counted));
    // Nothing is counted twice, and there is room again.
    let rest = correlator.finish(&mut disk(0)).unwrap().findings;
    assert_eq!((rest.alerts.len(), &rest.counters), (0, &counted));
}

/// A host's sessions lie on several workers: what it did in a second is whole once all passed it.
#[test]
fn beats_of_a_second_are_merged_once_all_workers_have_passed_it() {
    use crate::dispatch::queue::bounded;
    use crate::model::beats::{Beat, BeatKind};
    use crate::pipeline::outgoing::Queues;
    use crate::pipeline::record_worker::RecordWorker;
    use crate::session::Listener as _;

    let plan = Plan { embedded: Some(("none.pcap", b"")), ..Plan::default() };
    let prepared = crate::pipeline::prepare::prepare(&plan).unwrap();
    let origin = Arc::new(Origin::new("test", []));
    let (mut queues, mut workers) = (Vec::new(), Vec::new());
    let host = crate::model::Addr::v4([10, 0, 0, 1]);
    for shard in 0..2 {
        let ((out, incoming), (give, empties)) = (bounded(8, 1), bounded(8, 1));
        queues.push((incoming, give));
        let mut worker =
            RecordWorker::new(&prepared, &origin, false, None, Queues { out, empties });
        worker.turn_to(shard, (5, 0));
        for second in [5, 6] {
            let (time, peer, kind) = (Nanos(7), host, BeatKind::Key);
            let (size, sent, received, shard) = (36, second, 0, 0);
            worker.beat(Beat {
                second,
                host,
                time,
                peer,
                kind,
                size,
                service: 0,
                sent,
                received,
                shard,
            });
        }
        workers.push(worker);
    }
    let mut correlator = Correlator::new(queues, &plan, &prepared, &origin);
    let mut known = |worker: usize, second: u64| -> Vec<(u32, u16)> {
        workers[worker].send_before(((Nanos::from_secs(second), 0, 0), Nanos::ZERO, 0));
        assert!(correlator.receive());
        let mut seen: Vec<_> = correlator.beats.iter().map(|b| (b.second, b.shard)).collect();
        seen.sort_unstable();
        let ((safe, ..), ..) = correlator.safe();
        correlator.settle_beats(safe);
        seen
    };
    assert_eq!(known(0, 6), [(5, 0)]);
    assert_eq!(known(1, 5), [(5, 0)], "the other has not passed it");
    assert_eq!(known(1, 7), [(5, 0), (5, 1), (6, 1)]);
    assert_eq!(known(0, 7), [(6, 0), (6, 1)], "5 was compared, for all had passed it");
}
