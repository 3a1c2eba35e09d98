//! What clients said when they asked for a lease, until a server grants it.
//!
//! Owns: the name that a client gives in its messages of one transaction. In: messages of clients
//! and servers. Out: the name that was granted with the lease, and whether two messages gave it.
//! Never: a name that no server granted, or of which two messages of the client say different
//! things: anybody on the segment can write one.

use std::hash::Hash;
use std::sync::Arc;

use crate::identity::open::PendingQuestions;
use crate::model::Nanos;

/// A client's messages of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    /// The name in all of them.
    host: Option<Arc<str>>,
    /// The type of the first: a relay repeats messages, a client goes on to another type.
    kind: u8,
    /// Messages of two types gave the name.
    twice: bool,
}

/// A granted lease.
#[derive(Debug, PartialEq, Eq)]
pub struct Granted {
    /// The device's name.
    pub host: Option<Arc<str>>,
    /// Two messages of the client gave it.
    pub twice: bool,
}

/// Transactions that wait for a server.
#[derive(Debug)]
pub struct LeaseRequests<K>(PendingQuestions<K, Asked>);

impl<K: Copy + Eq + Hash> LeaseRequests<K> {
    /// An empty table for `cap` transactions, each of which waits for `patience`.
    pub fn new(cap: usize, patience: Nanos) -> LeaseRequests<K> {
        LeaseRequests(PendingQuestions::new(cap, patience))
    }

    /// A client's message of some type.
    pub fn ask(&mut self, key: K, (host, kind): (Option<Arc<str>>, u8), at: Nanos) {
        let asked = match self.0.pending(&key, at) {
            None => Asked { host, kind, twice: false },
            Some(before) if before.host == host => {
                let twice = host.is_some() && (before.twice || before.kind != kind);
                Asked { host, kind: before.kind, twice }
            }
            Some(before) => Asked { host: None, kind: before.kind, twice: false },
        };
        self.0.ask(key, asked, at);
    }

    /// A server grants a lease, and may give the device another name; `Err` says whether the
    /// transaction is known and was granted before.
    pub fn grant(&mut self, key: &K, host: Option<Arc<str>>, at: Nanos) -> Result<Granted, bool> {
        let known = self.0.knows(key, at);
        let asked = self.0.answer(key, at).ok_or(known)?;
        // The server repeats the client's name, or sends the one that it has configured.
        let twice = asked.twice && (host.is_none() || host == asked.host);
        Ok(Granted { host: host.or(asked.host), twice })
    }

    /// Transactions evicted at the cap while an answer was still possible, since the last call.
    pub fn take_evicted(&mut self) -> u64 {
        self.0.take_evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Nanos = Nanos::from_secs(10);

    fn name(text: &str) -> Option<Arc<str>> {
        Some(Arc::from(text))
    }

    /// What is granted after these messages: each a type and a name.
    fn granted(asked: &[(u8, Option<&str>)], server: Option<&str>) -> (Option<String>, bool) {
        let mut requests = LeaseRequests::new(8, Nanos::from_secs(60));
        for (kind, host) in asked {
            requests.ask(1u8, (host.and_then(name), *kind), AT);
        }
        let Granted { host, twice } = requests.grant(&1, server.and_then(name), AT).unwrap();
        (host.map(|host| host.to_string()), twice)
    }

    #[test]
    fn a_name_counts_as_often_as_the_client_gives_it() {
        let pi = Some("pikvm".to_owned());
        assert_eq!(granted(&[(3, Some("pikvm"))], None), (pi.clone(), false));
        assert_eq!(granted(&[(1, Some("pikvm")), (3, Some("pikvm"))], None), (pi.clone(), true));
        let relayed = [(3, Some("pikvm")), (3, Some("pikvm"))];
        assert_eq!(granted(&relayed, None), (pi.clone(), false), "a relay repeats it");
        let both = [(1, Some("pikvm")), (3, Some("pikvm"))];
        assert_eq!(granted(&both, Some("pikvm")), (pi.clone(), true));
        assert_eq!(granted(&both, Some("desk")), (Some("desk".to_owned()), false));
        assert_eq!(granted(&[(3, None)], Some("pikvm")), (pi, false), "the server's own word");
    }

    #[test]
    fn a_name_that_another_message_contradicts_is_none() {
        for asked in [
            [(1, None), (3, Some("pikvm")), (3, None)],
            [(3, Some("pikvm")), (3, None), (3, Some("pikvm"))],
            [(1, Some("desk")), (3, Some("pikvm")), (3, Some("desk"))],
        ] {
            assert_eq!(granted(&asked, None), (None, false), "{asked:?}");
        }
    }

    #[test]
    fn nothing_is_granted_that_was_not_asked_for_or_was_granted_before() {
        let mut requests = LeaseRequests::new(8, Nanos::from_secs(60));
        assert_eq!(requests.grant(&1u8, name("pikvm"), AT), Err(false));
        requests.ask(1, (None, 3), AT);
        assert!(requests.grant(&1, None, AT).is_ok());
        assert_eq!(requests.grant(&1, name("pikvm"), AT), Err(true));
    }
}
