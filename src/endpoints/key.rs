//! The key of an endpoint, with its strings interned.
//!
//! Owns: what makes two ends of sessions one endpoint. In: an end of a session, or a key in words.
//! Out: the same, the other way. Never: interns a string.

use std::sync::Arc;

use crate::endpoints::summary::{EndpointSummary, Print, SideSummary};
use crate::model::endpoint::{EndpointKey, Fingerprint, Locality, Service};
use crate::model::{Addr, Transport};

/// The key of an endpoint: 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) ip: Addr,
    /// 0: none; else index of the fingerprint + 1.
    pub(super) print: u32,
    pub(super) port: u16,
    pub(super) transport: u8,
    /// Whether there is a service, since IP protocol 0 is valid.
    pub(super) service: bool,
    pub(super) remote: bool,
}

impl Key {
    pub(super) fn of(session: &EndpointSummary, side: &SideSummary, print: u32) -> Key {
        let service = session.service.filter(|_| side.side == Locality::Remote);
        Key {
            ip: side.ip,
            print,
            port: service.map_or(0, |s| s.port),
            transport: service.map_or(0, |s| s.transport.0),
            service: service.is_some(),
            remote: side.side == Locality::Remote,
        }
    }

    /// The key of an endpoint, its fingerprint interned as `print`.
    pub(super) fn closed(key: &EndpointKey, print: u32) -> Key {
        Key {
            ip: key.ip,
            print,
            port: key.service.map_or(0, |s| s.port),
            transport: key.service.map_or(0, |s| s.transport.0),
            service: key.service.is_some(),
            remote: key.side == Locality::Remote,
        }
    }

    /// The key of one end of a session, nothing interned.
    pub(super) fn with_text(session: &EndpointSummary, side: &SideSummary) -> EndpointKey {
        let fingerprint = match &side.print {
            Print::None => None,
            Print::Ja4(text, _) => Some(Fingerprint::Ja4((&**text).into())),
            Print::Ssh(text) => Some(Fingerprint::Ssh(Arc::clone(text))),
        };
        EndpointKey { fingerprint, ..Key::of(session, side, 0).open(&[]) }
    }

    pub(super) const fn side(&self) -> Locality {
        if self.remote { Locality::Remote } else { Locality::Home }
    }

    pub(super) fn open(self, prints: &[Fingerprint]) -> EndpointKey {
        let service = Service { transport: Transport(self.transport), port: self.port };
        EndpointKey {
            ip: self.ip,
            side: self.side(),
            fingerprint: prints.get((self.print as usize).wrapping_sub(1)).cloned(),
            service: self.service.then_some(service),
        }
    }

    /// Locality, family and /24 or /48 in one number.
    pub(super) fn prefix(&self) -> u64 {
        let bits = match self.ip.to_v4() {
            Some(v4) => u64::from(u32::from(v4) >> 8) | 1 << 48,
            None => (self.ip.to_bits() >> 80) as u64,
        };
        bits | u64::from(self.remote) << 49
    }
}
