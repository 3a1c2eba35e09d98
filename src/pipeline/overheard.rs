//! The reader's bindings of names and holders to addresses, kept once for all workers.
//!
//! Owns: the listeners and the one table of names and holders. In: packets that may bind an
//! address.
//! Out: a snapshot at each watermark. Never: a second table: its cost is the same at any number of
//! workers.

use std::sync::Arc;

use crate::capture::Block;
use crate::dispatch::{Batch, Dispatcher, Lane};
use crate::enrich::data::EnrichData;
use crate::identity::{Identity, Listener, Publisher};
use crate::model::{Addr, Counter, Counters, Packet, Trust};
use crate::pipeline::prepare::Prepared;

/// What goes to the workers: packets in blocks, and snapshots of the bindings.
pub(super) type ToWorkers = Dispatcher<Arc<Block>, Arc<Identity>>;

/// A worker's end of that.
pub(super) type FromReader = Lane<Arc<Block>, Arc<Identity>>;

/// What comes out there.
pub(super) type PacketBatch = Batch<Arc<Block>, Arc<Identity>>;

/// Pending questions whose time is doubtful.
const DOUBTFUL_MAX: usize = 4_096;

/// The reader's bindings.
pub(super) struct Overheard {
    listener: Listener,
    /// The same for packets whose time is doubtful: it may be years ahead, and must not expire a
    /// question with a true time.
    doubtful: Listener,
    known: Publisher,
    /// Which addresses are ours.
    data: Arc<EnrichData>,
}

impl Overheard {
    /// Empty.
    pub(super) fn new(prepared: &Prepared) -> Overheard {
        Overheard {
            listener: Listener::new(prepared.bindings),
            doubtful: Listener::new(prepared.bindings.min(DOUBTFUL_MAX)),
            known: Publisher::new(prepared.bindings),
            data: Arc::clone(&prepared.enrich),
        }
    }

    /// Whether an address is ours.
    pub(super) fn is_home(&self, addr: Addr) -> bool {
        self.data.is_home(addr)
    }

    /// Processes a packet.
    pub(super) fn process(&mut self, packet: &Packet, frame: &[u8], counters: &mut Counters) {
        counters.bump(Counter::Overheard);
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

    /// Counts evicted questions, and answers without a question, since the last call.
    pub(super) fn count(&mut self, counters: &mut Counters) {
        for listener in [&mut self.listener, &mut self.doubtful] {
            counters.add(Counter::QuestionsForgotten, listener.take_evicted());
            counters.add(Counter::AnswersUnasked, listener.take_unsolicited());
        }
    }
}
