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
const WAITS: Nanos = Nanos::from_secs(120);
/// Pending identities; the oldest is evicted.
const WAITING: usize = 64;
/// Placeholders of methods that hide the identity (RFC 7542 section 2.4).
const HIDDEN: [&str; 2] = ["", "anonymous"];

/// A pending authentication.
#[derive(Debug)]
struct Asking {
    mac: [u8; 6],
    name: Arc<str>,
    at: Nanos,
}

/// Authenticated names.
#[derive(Debug)]
pub struct Doors {
    asking: Vec<Asking>,
    inside: Aging<[u8; 6], (Arc<str>, Nanos)>,
    forgotten: u64,
}

impl Doors {
    /// An empty table with room for `cap` names.
    pub fn new(cap: usize) -> Doors {
        Doors { asking: Vec::new(), inside: Aging::new(cap), forgotten: 0 }
    }

    /// An EAPOL frame between two link-layer addresses.
    pub fn hear(&mut self, (from, to): ([u8; 6], [u8; 6]), body: &[u8], at: Nanos) {
        self.asking.retain(|asking| at.since(asking.at) <= WAITS);
        let Ok(eap::Frame::Eap(packet)) = eap::Frame::parse(body) else { return };
        if let Some(identity) = packet.identity() {
            return self.ask(from, identity, at);
        }
        // Wired authenticators answer a group address: this reaches all that are pending.
        let meant = |asking: &Asking| asking.mac == to || to[0] & 1 == 1;
        match packet.code {
            eap::Code::Success if self.asking.iter().filter(|a| meant(a)).count() == 1 => {
                let at_door = self.asking.iter().position(meant);
                let Some(one) = at_door.map(|index| self.asking.swap_remove(index)) else { return };
                let value = (one.name, at);
                let (_, dropped) =
                    self.inside.update(one.mac, || value.clone(), |known| *known = value.clone());
                self.forgotten += dropped as u64;
            }
            eap::Code::Success | eap::Code::Failure => {
                self.asking.retain(|asking| !meant(asking));
            }
            _ => {}
        }
    }

    fn ask(&mut self, mac: [u8; 6], identity: &[u8], at: Nanos) {
        self.asking.retain(|asking| asking.mac != mac);
        let Some(name) = text::word(identity) else { return };
        if HIDDEN.contains(&name.split('@').next().unwrap_or_default()) {
            return;
        }
        if self.asking.len() >= WAITING {
            self.asking.remove(0);
        }
        self.asking.push(Asking { mac, name: name.into(), at });
    }

    /// Devices evicted at the cap since the last call.
    pub fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }

    /// The user or device that authenticated recently with a link-layer address.
    pub fn behind(&self, mac: [u8; 6], at: Nanos) -> Option<&Arc<str>> {
        let (name, since) = self.inside.get(&mac)?;
        (at.since(*since) <= BELIEVED).then_some(name)
    }
}
