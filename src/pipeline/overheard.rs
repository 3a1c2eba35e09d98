//! What the reader overhears of who is behind an address, kept once for all workers.
//!
//! Owns: the listeners and the one table of names and holders. In: packets that may say something.
//! Out: a snapshot at each watermark. Never: a second table beside it: what is known costs the same
//! whatever the workers are.

use std::sync::Arc;

use crate::capture::Block;
use crate::dispatch::Batch;
use crate::dispatch::Dispatcher;
use crate::dispatch::Lane;
use crate::enrich::data::EnrichData;
use crate::identity::Identity;
use crate::identity::Listener;
use crate::identity::Publisher;
use crate::model::Addr;
use crate::model::Counter;
use crate::model::Counters;
use crate::model::Packet;
use crate::model::Trust;
use crate::pipeline::prepare::Prepared;

/// What goes to the workers: packets in blocks, and snapshots of what is known of addresses.
pub(super) type ToWorkers = Dispatcher<Arc<Block>, Arc<Identity>>;

/// A worker's end of that.
pub(super) type FromReader = Lane<Arc<Block>, Arc<Identity>>;

/// What comes out there.
pub(super) type PacketBatch = Batch<Arc<Block>, Arc<Identity>>;

/// Questions that wait whose time is in doubt.
const DOUBTFUL_MAX: usize = 4_096;

/// The reader's ear.
pub(super) struct Overheard {
    listener: Listener,
    /// The same of packets whose time is in doubt: it may be years ahead, and must not end the
    /// wait of a question that has a true one.
    doubtful: Listener,
    known: Publisher,
    /// Which addresses are ours.
    data: Arc<EnrichData>,
}

impl Overheard {
    /// Nothing yet.
    pub(super) fn new(prepared: &Prepared) -> Overheard {
        Overheard {
            listener: Listener::new(prepared.bindings),
            doubtful: Listener::new(prepared.bindings.min(DOUBTFUL_MAX)),
            known: Publisher::new(prepared.bindings),
            data: Arc::clone(&prepared.enrich),
        }
    }

    /// Whether an address is one of ours.
    pub(super) fn is_home(&self, addr: Addr) -> bool {
        self.data.is_home(addr)
    }

    /// Takes what a packet says.
    pub(super) fn hear(&mut self, packet: &Packet, frame: &[u8], counters: &mut Counters) {
        counters.bump(Counter::Overheard);
        let listener = match packet.stamp.trust() {
            Trust::Doubtful => &mut self.doubtful,
            _ => &mut self.listener,
        };
        let said = listener.hear(packet, frame, |addr| self.data.is_home(addr));
        if !said.is_empty() {
            counters.add(Counter::BindingsForgotten, self.known.take(said) as u64);
            counters.add(Counter::NamesDisplaced, self.known.take_displaced());
        }
    }

    /// What is known, if that has changed since the last call.
    pub(super) fn publish(&mut self) -> Option<Arc<Identity>> {
        self.known.publish()
    }

    /// Counts the questions that were forgotten, and the answers that nobody asked for, since the
    /// last call.
    pub(super) fn count(&mut self, counters: &mut Counters) {
        for listener in [&mut self.listener, &mut self.doubtful] {
            counters.add(Counter::QuestionsForgotten, listener.take_forgotten());
            counters.add(Counter::AnswersUnasked, listener.take_unasked());
        }
    }
}
