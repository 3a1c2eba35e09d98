//! Log-ins: the claimed user, and whether the server accepted.
//!
//! Owns: names awaiting the server's answer. In: requests and answers of Kerberos and of SMB
//! session setups. Out: the name, once accepted. Never: passwords, tickets, or the name of a
//! rejected user.

use std::sync::Arc;

use crate::identity::open::PendingQuestions;
use crate::identity::text;
use crate::model::{Addr, HolderFacts, Nanos, Place};
use crate::wire::{kerberos, ntlm};

/// Pending log-ins; each takes a round trip or two.
const WAITING: usize = 4_096;
/// A client gives up on a domain controller that is this slow.
const PATIENCE: Nanos = Nanos::from_secs(60);
/// First octet of AS-REP: application tag 11, constructed (RFC 4120 section 5.10).
const AS_REPLY: u8 = 0x6b;

/// A client, its port, and the server.
pub type Client = (Place, u16, Addr);

/// Log-ins awaiting an answer.
#[derive(Debug)]
pub struct Logins {
    waiting: PendingQuestions<Client, HolderFacts>,
}

impl Logins {
    /// No pending log-ins.
    pub fn new() -> Logins {
        Logins { waiting: PendingQuestions::new(WAITING, PATIENCE) }
    }

    /// A client requests a ticket (RFC 4120 section 5.4.1).
    pub fn ask_kerberos(
        &mut self,
        client: Client,
        message: &kerberos::KerberosMessage<'_>,
        at: Nanos,
    ) {
        let kerberos::Kind::AsRequest = message.kind else { return };
        let name = message.client.and_then(|name| text::word(name.parts().next()?));
        self.ask(client, name.as_deref(), ("kerberos", at));
    }

    /// A server's answer; only its start is checked, because a ticket takes several segments.
    pub fn answer_kerberos(
        &mut self,
        client: &Client,
        answer: &[u8],
        at: Nanos,
    ) -> Option<HolderFacts> {
        let facts = self.waiting.answer(client, at)?;
        (answer.first() == Some(&AS_REPLY)).then_some(facts)
    }

    /// Whether a server grants a ticket without a request that was seen.
    pub fn is_unsolicited(&self, client: &Client, answer: &[u8], at: Nanos) -> bool {
        answer.first() == Some(&AS_REPLY) && !self.waiting.knows(client, at)
    }

    /// A client authenticates in a session setup ([MS-NLMP] 2.2.1.3).
    pub fn ask_smb(&mut self, client: Client, payload: &[u8], at: Nanos) {
        let message = ntlm::NtlmMessage::locate(payload).map(ntlm::NtlmMessage::parse);
        if let Some(Ok(ntlm::NtlmMessage::Authenticate { user, .. })) = message {
            let user = text::word(user.to_string().as_bytes());
            self.ask(client, user.as_deref(), ("ntlm", at));
        }
    }

    /// A server answers a session setup: status zero accepts the client ([MS-SMB2] 2.2.1.2,
    /// [MS-CIFS] 2.2.3.1).
    pub fn answer_smb(
        &mut self,
        client: &Client,
        payload: &[u8],
        at: Nanos,
    ) -> Option<HolderFacts> {
        let status = match payload.get(4..)? {
            [0xfe, head @ ..] => head.get(7..11)?,
            [0xff, head @ ..] => head.get(4..8)?,
            _ => return None,
        };
        let facts = self.waiting.answer(client, at)?;
        (status == [0; 4]).then_some(facts)
    }

    /// A name that ends in `$` is a device's (a machine account of Active Directory).
    fn ask(&mut self, client: Client, name: Option<&str>, (by, at): (&'static str, Nanos)) {
        let Some(name) = name else { return };
        let mut facts = HolderFacts { by, ..HolderFacts::default() };
        match name.strip_suffix('$') {
            Some(device) => facts.host = text::device(device).map(Arc::from),
            None => facts.user = Some(Arc::from(name)),
        }
        self.waiting.ask(client, facts, at);
    }

    /// Log-ins evicted at the cap while an answer was still possible, since the last call.
    pub fn take_evicted(&mut self) -> u64 {
        self.waiting.take_evicted()
    }
}
