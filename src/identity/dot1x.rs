//! Port-based access control (IEEE 802.1X): which user or device authenticated.
//!
//! Owns: identities awaiting success; authenticated names by link-layer address. In: EAPOL frames.
//! Out: the name behind a link-layer address. Never: believes an identity before success, or when
//! two are pending and the answer goes to both.

use std::sync::Arc;

use crate::bounded::Aging;
use crate::identity::leases::BELIEVED;
use crate::identity::text;
use crate::model::Nanos;
use crate::wire::eap;

/// An exchange with certificates takes about a dozen round trips; a person types a password.
const EXCHANGE_MAX: Nanos = Nanos::from_secs(120);
/// Pending identities; the oldest is evicted.
const PENDING_MAX: usize = 64;
/// Placeholders of methods that hide the identity (RFC 7542 section 2.4).
const HIDDEN: [&str; 2] = ["", "anonymous"];

/// A pending authentication.
#[derive(Debug)]
struct PendingIdentity {
    mac: [u8; 6],
    name: Arc<str>,
    at: Nanos,
}

/// Authenticated names.
#[derive(Debug)]
pub struct PortAuthentications {
    pending: Vec<PendingIdentity>,
    authenticated: Aging<[u8; 6], (Arc<str>, Nanos)>,
    evicted: u64,
}

/// Bytes of a name and its time.
fn bytes((name, _): &(Arc<str>, Nanos)) -> usize {
    size_of::<(Arc<str>, Nanos)>() + name.len()
}

impl PortAuthentications {
    /// An empty table with room for `cap` names.
    pub fn new(cap: usize) -> PortAuthentications {
        PortAuthentications {
            pending: Vec::new(),
            authenticated: Aging::new(cap, bytes),
            evicted: 0,
        }
    }

    /// An EAPOL frame between two link-layer addresses.
    pub fn observe(&mut self, (from, to): ([u8; 6], [u8; 6]), body: &[u8], at: Nanos) {
        self.pending.retain(|one| at.since(one.at) <= EXCHANGE_MAX);
        let Ok(eap::Frame::Eap(packet)) = eap::Frame::parse(body) else { return };
        if let Some(identity) = packet.identity() {
            return self.ask(from, identity, at);
        }
        // Wired authenticators answer a group address: this reaches all that are pending.
        let is_addressed = |one: &PendingIdentity| one.mac == to || to[0] & 1 == 1;
        match packet.code {
            eap::Code::Success if self.pending.iter().filter(|a| is_addressed(a)).count() == 1 => {
                let index = self.pending.iter().position(is_addressed);
                let Some(one) = index.map(|index| self.pending.swap_remove(index)) else { return };
                let value = (one.name, at);
                let (_, dropped) = self.authenticated.update(
                    one.mac,
                    || value.clone(),
                    |known| *known = value.clone(),
                );
                self.evicted += dropped as u64;
            }
            eap::Code::Success | eap::Code::Failure => {
                self.pending.retain(|one| !is_addressed(one));
            }
            _ => {}
        }
    }

    fn ask(&mut self, mac: [u8; 6], identity: &[u8], at: Nanos) {
        self.pending.retain(|one| one.mac != mac);
        let Some(name) = text::word(identity) else { return };
        if HIDDEN.contains(&name.split('@').next().unwrap_or_default()) {
            return;
        }
        if self.pending.len() >= PENDING_MAX {
            self.pending.remove(0);
        }
        self.pending.push(PendingIdentity { mac, name: name.into(), at });
    }

    /// Devices evicted at the cap since the last call.
    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    /// The user or device that authenticated recently with a link-layer address.
    pub fn name_of(&self, mac: [u8; 6], at: Nanos) -> Option<&Arc<str>> {
        let (name, since) = self.authenticated.get(&mac)?;
        (at.since(*since) <= BELIEVED).then_some(name)
    }
}
