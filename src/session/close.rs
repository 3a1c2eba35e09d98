//! Turns a session's state into its record.
//!
//! Owns: the mapping. In: a session and why it ends. Out: [`Finished`].
//! Never: measures anything.

use crate::model::record::{Context, Facts, Leg, Party, Quality, SessionState};
use crate::model::{Grain, Nanos, Peer, Record, Transport};
use crate::session::Finished;
use crate::session::half::Half;
use crate::session::lasting::Lasting;
use crate::session::rtt_samples::Trips;
use crate::session::sizes::Sizes;
use crate::session::state::{Bits, Session};

/// Why a session is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was idle for longer than its timeout.
    Silence,
    /// A new session took its five-tuple, the table was full, or the input ended.
    Cut,
}

/// The end of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// Why.
    pub(crate) ending: Ending,
    /// The clock's second, which orders it in the output.
    pub(crate) at: u32,
    /// Whether its timer or the end of the input ended it, not a packet.
    pub(crate) timed: bool,
}

/// Hands a session over.
pub(crate) fn finish<X>(
    session: &mut Session<X>,
    trips: Option<&Trips>,
    mut lasting: Option<Lasting>,
    end: End,
) -> Finished<X> {
    let (extra, tie) = (session.extra.take(), session.key.order());
    // Built in place: a record has more than a kilobyte.
    let record = record(session, trips, end);
    let mut finished = Finished { record, extra, fired: None, timed: end.timed, tie };
    if let Some(lasting) = &mut lasting {
        lasting.tell(lasting.reply(), &mut finished.record);
    }
    finished.fired = lasting.and_then(|lasting| lasting.fired);
    finished
}

/// The record of an open session.
pub(crate) fn record<X>(
    session: &Session<X>,
    trips: Option<&Trips>,
    End { ending, at, .. }: End,
) -> Record {
    let state = state_of(session, ending);
    let tcp = session.key.transport == Transport::TCP;
    let open = |half: &Half| u32::from(tcp && half.stream.hole() > 0);
    let gaps = session.gaps + open(&session.initiator) + open(&session.responder);
    Record {
        at: Nanos::from_secs(u64::from(at)),
        start: session.start,
        end: session.end,
        state,
        transport: session.key.transport,
        version: session.key.version,
        vlan: session.bits.has(Bits::VLAN).then_some(session.vlan),
        id: [0; 16],
        point: session.key.point,
        initiator: party(session, Peer::Initiator),
        responder: party(session, Peer::Responder),
        near: Leg {
            handshake_ns: session.handshake.near(),
            in_session: trips.and_then(|trips| trips.leg(Peer::Initiator)),
        },
        far: Leg {
            handshake_ns: session.handshake.far(),
            in_session: trips.and_then(|trips| trips.leg(Peer::Responder)),
        },
        syn: session.handshake.syn.facts(session.key.version),
        quality: Quality {
            retransmits: session.retransmits,
            out_of_order: session.out_of_order,
            duplicates: session.duplicates,
            gaps,
            one_way: !session.both_sent(),
            truncated: session.bits.has(Bits::TRUNCATED),
            unconfirmed: !session.is_confirmed(),
        },
        facts: Facts::default(),
        context: Context::default(),
        file: session.file,
        frame_first: session.frame_first,
        frame_last: session.frame_last,
        twin: session.twin,
        doubtful: session.bits.has(Bits::DOUBTFUL),
        activity: None,
        interaction: None,
        remote_control: None,
        update: None,
        grain: grain_of(session),
    }
}

/// The coarsest granularity of its spans. For exchanges over UDP it is unknown which of them a
/// packet without a time belonged to.
fn grain_of<X>(session: &Session<X>) -> Grain {
    let lost = session.key.transport != Transport::TCP && session.bits.has(Bits::UNTIMED);
    if lost { Grain::USELESS } else { session.grain }
}

fn state_of<X>(session: &Session<X>, ending: Ending) -> SessionState {
    let tcp = session.key.transport == Transport::TCP;
    if session.bits.has(Bits::RESET) {
        SessionState::Reset
    } else if tcp && !session.handshake.saw_syn() && !session.is_over() {
        SessionState::Half
    } else if tcp && session.handshake.saw_syn() && !session.bits.has(Bits::CONFIRMED) {
        // Nothing shows that anybody received the SYN-ACK.
        SessionState::Opened
    } else if session.is_over() {
        SessionState::Closed
    } else if !session.both_sent() {
        SessionState::Opened
    } else if ending == Ending::Silence {
        SessionState::Timeout
    } else {
        SessionState::Established
    }
}

fn party<X>(session: &Session<X>, side: Peer) -> Party {
    let is_b = session.bits.has(Bits::INITIATOR_B) == (side == Peer::Initiator);
    let (ip, port) = if is_b {
        (session.key.b, session.key.b_port)
    } else {
        (session.key.a, session.key.a_port)
    };
    let half: &Half = match side {
        Peer::Initiator => &session.initiator,
        Peer::Responder => &session.responder,
    };
    let [initiator, responder] = &session.origins;
    let origin = if side == Peer::Initiator { initiator } else { responder };
    let spoke = half.packets > 0;
    let sizes = (session.key.transport == Transport::UDP).then(|| half.sizes());
    Party {
        ip,
        port,
        mac: origin.mac,
        bytes: half.bytes,
        packets: u64::from(half.packets),
        ttl: spoke.then_some(origin.ttl),
        place: None,
        asn: None,
        behind: None,
        longest: sizes.and_then(Sizes::longest),
        path: sizes.and_then(|sizes| sizes.path(session.key.version)),
    }
}
