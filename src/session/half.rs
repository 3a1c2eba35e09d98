//! One direction of a session: what every packet changes.
//!
//! Owns: counters, the position of a stream, or sizes of datagrams. In: packets. Out: nothing by
//! itself. Never: grows.

use crate::model::{Nanos, Peer};
use crate::session::sizes::Sizes;
use crate::session::stream::Stream;

/// One direction's counters, which every packet changes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Half {
    /// Frame bytes on the wire.
    pub(crate) bytes: u64,
    /// The position of this direction's TCP stream. Over UDP, which has none, its words are those
    /// of [`Sizes`].
    pub(crate) stream: Stream,
    /// Packets; the maximum value means at least that many.
    pub(crate) packets: u32,
}

impl Half {
    /// The sizes of a direction's datagrams. Not for TCP.
    pub(crate) const fn sizes(&self) -> Sizes {
        Sizes::of(self.stream.words())
    }

    /// Notes a datagram that came whole: a responder's may search for the path MTU.
    #[inline]
    pub(crate) fn note_datagram(
        &mut self,
        side: Peer,
        payload_wire: u32,
        payload: &[u8],
        time: Option<Nanos>,
    ) {
        if Sizes::is_short(payload_wire) {
            return;
        }
        let mut sizes = self.sizes();
        match side {
            Peer::Initiator => sizes.note_whole(payload_wire, payload),
            Peer::Responder => sizes.note(payload_wire, payload, time),
        }
        self.stream = Stream::of_words(sizes.words());
    }

    /// Notes the first fragment of an initiator's datagram whose others came, too.
    pub(crate) fn note_fragment(&mut self, payload_wire: u32, time: Nanos) {
        let mut sizes = self.sizes();
        sizes.note_fragment(payload_wire, time);
        self.stream = Stream::of_words(sizes.words());
    }
}
