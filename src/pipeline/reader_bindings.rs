//! The reader's bindings of names and holders to addresses, kept once for all workers.
//!
//! Owns: the listeners and the one table of names and holders. In: packets that bind an address.
//! Out: a snapshot at each watermark. Never: a second table: its cost is the same at any number of
//! workers.

use std::sync::Arc;

use crate::capture::Block;
use crate::dispatch::{Batch, Dispatcher, Lane, WorkerGone};
use crate::enrich::data::EnrichData;
use crate::identity::{Identity, Listener, Publisher};
use crate::model::{Addr, Counter, Counters, Packet, Trust};
use crate::pipeline::prepare::Prepared;

/// What goes to the workers: packets in blocks, and snapshots of the bindings.
pub(super) type ToWorkers = Dispatcher<Arc<Block>, Arc<Identity>>;

/// A worker's receiving end of it.
pub(super) type FromReader = Lane<Arc<Block>, Arc<Identity>>;

/// What a worker receives at a time.
pub(super) type PacketBatch = Batch<Arc<Block>, Arc<Identity>>;

/// Pending questions whose time is doubtful.
const DOUBTFUL_MAX: usize = 4_096;

/// The reader's bindings.
pub(super) struct ReaderBindings {
    listener: Listener,
    /// The same for packets whose time is doubtful: it may be years ahead, and must not expire a
    /// question with a true time.
    doubtful: Listener,
    known: Publisher,
    /// Which addresses are ours.
    data: Arc<EnrichData>,
}

impl ReaderBindings {
    /// Empty.
    pub(super) fn new(prepared: &Prepared) -> ReaderBindings {
        ReaderBindings {
            listener: Listener::new(prepared.bindings),
            doubtful: Listener::new(prepared.bindings.min(DOUBTFUL_MAX)),
            known: Publisher::new(prepared.bindings, prepared.snapshot_bytes),
            data: Arc::clone(&prepared.enrich),
        }
    }

    /// Whether an address is ours.
    pub(super) fn is_home(&self, addr: Addr) -> bool {
        self.data.is_home(addr)
    }

    /// Processes a packet.
    pub(super) fn process(&mut self, packet: &Packet, frame: &[u8], counters: &mut Counters) {
        counters.bump(Counter::BindingPackets);
        let listener = match packet.stamp.trust() {
            Trust::Doubtful => &mut self.doubtful,
            _ => &mut self.listener,
        };
        let said = listener.process(packet, frame, |addr| self.data.is_home(addr));
        if !said.is_empty() {
            counters.add(Counter::BindingsForgotten, self.known.take(said) as u64);
            counters.add(Counter::NamesDisplaced, self.known.take_displaced());
        }
    }

    /// The bindings, if they have changed since the last call.
    pub(super) fn publish(&mut self) -> Option<Arc<Identity>> {
        self.known.publish()
    }

    /// Waits for workers that are so far behind that their snapshots hold too much.
    #[inline]
    pub(super) fn wait_for_readers(&mut self, workers: &mut ToWorkers) -> Result<(), WorkerGone> {
        if self.known.must_wait() { wait_for_readers(workers) } else { Ok(()) }
    }

    /// Counts evicted questions, and answers without a question, since the last call.
    pub(super) fn count(&mut self, counters: &mut Counters) {
        for listener in [&mut self.listener, &mut self.doubtful] {
            counters.add(Counter::QuestionsForgotten, listener.take_evicted());
            counters.add(Counter::AnswersUnasked, listener.take_unsolicited());
        }
    }
}

/// Waits until the latest snapshot is the only one that workers hold: they process everything that
/// was dispatched.
///
/// This cannot wait for itself. A snapshot is sent to all lanes before anything is written after
/// it, so the latest one is in every lane, and a worker drops the one before it when it comes to
/// that watermark. Until then a worker waits for nothing but the correlator, which merges what all
/// workers have handed over up to a watermark, and each worker comes to that without the reader.
#[cold]
fn wait_for_readers(workers: &mut ToWorkers) -> Result<(), WorkerGone> {
    workers.settle()
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::identity::When;
    use crate::model::{Binding, Nanos, Statement};

    const ADDRESSES: u32 = 512;
    const ROUNDS: u64 = 64;
    const ASKER: Addr = Addr::v4([10, 0, 0, 1]);

    /// Another name for every address of the table.
    fn answers(round: u64) -> Vec<Binding> {
        let name: Arc<str> = format!("name-{round:04}.{}.example", "x".repeat(150)).into();
        let server = |n: u32| (0, Addr::v4((0x3000_0000 + n).to_be_bytes()));
        let tell = |n| Binding {
            at: Nanos::from_secs(round),
            what: Statement::Name { asker: ASKER, name: Arc::clone(&name), server: server(n) },
            doubtful: false,
        };
        (0..ADDRESSES).map(tell).collect()
    }

    /// A worker that first sleeps: the name of one address in each snapshot out of its lane.
    #[allow(clippy::disallowed_methods, reason = "a worker that sleeps")]
    fn follow(lane: &FromReader, pause: Duration) -> Vec<Option<Arc<str>>> {
        let (mut seen, mut current) = (Vec::new(), None);
        let mut pause = Some(pause);
        while let Some(mut batch) = lane.next() {
            pause.take().into_iter().for_each(thread::sleep);
            if let Some(news) = batch.news.take() {
                let server = (0, Addr::v4([48, 0, 0, 7]));
                let start = Nanos::from_secs(u64::from(batch.clock));
                let when = When { start, end: start, doubtful: false };
                seen.push(news.name_of(ASKER, server, None, when));
                current = Some(news);
            }
            let last = batch.last;
            lane.give_back(batch);
            if last {
                break;
            }
        }
        drop(current);
        seen
    }

    /// Writes the whole table anew before each watermark; gives the most bytes that older snapshots
    /// held, and what each worker saw.
    fn run(bound: usize, pauses: [u64; 2]) -> (usize, Vec<Vec<Option<Arc<str>>>>) {
        let mut known = Publisher::new(2 * ADDRESSES as usize, bound);
        let (mut dispatcher, lanes) = ToWorkers::new(2);
        let mut most = 0;
        let seen = thread::scope(|scope| {
            let follow = |(lane, pause): (FromReader, u64)| {
                scope.spawn(move || follow(&lane, Duration::from_millis(pause)))
            };
            let workers: Vec<_> = lanes.into_iter().zip(pauses).map(follow).collect();
            for round in 0..ROUNDS {
                for packet in answers(round).chunks(8) {
                    known.take(packet);
                    if known.must_wait() {
                        wait_for_readers(&mut dispatcher).unwrap();
                        assert!(!known.must_wait(), "it waited for all that it can");
                    }
                    most = most.max(known.held());
                }
                dispatcher.tick(round as u32 + 1, known.publish()).unwrap();
            }
            dispatcher.finish(known.publish()).unwrap();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        (most, seen)
    }

    /// Bytes of the table at its end.
    fn table() -> usize {
        let mut known = Publisher::new(2 * ADDRESSES as usize, usize::MAX);
        for round in 0..8 {
            known.take(&answers(round));
        }
        let _snapshot = known.publish();
        known.take(&answers(9));
        known.held()
    }

    #[test]
    fn a_slow_worker_cannot_make_older_snapshots_exceed_the_bound() {
        let table = table();
        let (unbounded, want) = run(usize::MAX, [400, 0]);
        assert!(unbounded > 8 * table, "{unbounded}: without a bound it is many tables ({table})");
        let (bounded, seen) = run(table, [400, 0]);
        assert!(bounded <= table + table / 16, "{bounded} of {table}");
        assert_eq!(seen, want, "the same names, however long the reader waited");
        assert_eq!(run(table, [0, 0]).1, want);
        assert!(run(1, [50, 0]).0 <= table + table / 16, "a bound below the table is one table");
        assert_eq!(want[0].len() as u64, ROUNDS);
    }

    #[test]
    fn a_worker_that_is_gone_is_not_waited_for() {
        let mut known = Publisher::new(2 * ADDRESSES as usize, 1);
        let (mut dispatcher, lanes) = ToWorkers::new(2);
        for round in 0..3 {
            known.take(&answers(round));
            dispatcher.tick(round as u32 + 1, known.publish()).unwrap();
        }
        known.take(&answers(9));
        assert!(known.must_wait());
        drop(lanes);
        assert_eq!(wait_for_readers(&mut dispatcher), Err(WorkerGone));
    }
}
