//! What sizes of datagrams tell of the path to the initiator of a session, and which of it counts.

use crate::endpoints::mtu;
use crate::model::Record;
use crate::model::facts::{LongDatagram, PathMtu};
use crate::model::protocol::Protocol;

/// Fragments of the initiator were made on the way to us. Those that we sent it may have been made
/// for a link of our own; and only a server of QUIC is known to search for what the path carries,
/// which is harder to forge than fragments.
pub(super) fn path(record: &Record) -> Option<PathMtu> {
    let probes = record.responder.path.filter(|path| !path.fragments);
    let probes = probes.filter(|_| record.facts.protocol == Some(Protocol::Quic));
    probes.or(record.initiator.path.filter(|path| path.fragments))
}

/// A router names the datagram, and here its own address is the datagram's destination. Longer
/// ones than Ethernet's do not fit most links.
pub(super) fn refused(record: &Record) -> Option<LongDatagram> {
    let refused = record.facts.refused()?;
    let headers = if record.version == 6 { 40 } else { 20 };
    let own = refused.to == record.initiator.ip && refused.from == record.responder.ip;
    let fits = refused.datagram.bytes.saturating_add(headers) <= mtu::ETHERNET;
    (own && fits).then_some(refused.datagram)
}
