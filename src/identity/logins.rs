//! Log-ins: who said to be whom, and whether the server agreed.
//!
//! Owns: names that wait for the server's word. In: requests and answers of Kerberos and of SMB
//! session setups. Out: the name, once it was accepted. Never: passwords, tickets, or the name of
//! somebody who was refused.

use std::sync::Arc;

use crate::bounded::Aging;
use crate::identity::Place;
use crate::identity::holders::Heard;
use crate::identity::text;
use crate::wire::kerberos;
use crate::wire::ntlm;

/// Log-ins under way; each takes a round trip or two.
const WAITING: usize = 4_096;
/// First octet of AS-REP: application tag 11, constructed (RFC 4120 section 5.10).
const AS_REPLY: u8 = 0x6b;

/// Log-ins that wait for an answer, by the client's address and port.
#[derive(Debug)]
pub struct Logins {
    waiting: Aging<(Place, u16), Option<Heard>>,
}

impl Logins {
    /// None under way.
    pub fn new() -> Logins {
        Logins { waiting: Aging::new(WAITING) }
    }

    /// A client asks for a ticket (RFC 4120 section 5.4.1).
    pub fn ask_kerberos(&mut self, client: (Place, u16), message: &kerberos::Message<'_>) {
        let kerberos::Kind::AsRequest = message.kind else { return };
        let name = message.client.and_then(|name| text::word(name.parts().next()?));
        self.ask(client, name.as_deref(), "kerberos");
    }

    /// A server answers; only the beginning is looked at, for a ticket takes several segments.
    pub fn answer_kerberos(&mut self, client: (Place, u16), answer: &[u8]) -> Option<Heard> {
        let heard = self.take(client)?;
        (answer.first() == Some(&AS_REPLY)).then_some(heard)
    }

    /// A client proves who it is in a session setup ([MS-NLMP] 2.2.1.3).
    pub fn ask_smb(&mut self, client: (Place, u16), payload: &[u8]) {
        let message = ntlm::Message::locate(payload).map(ntlm::Message::parse);
        if let Some(Ok(ntlm::Message::Authenticate { user, .. })) = message {
            let user = text::word(user.to_string().as_bytes());
            self.ask(client, user.as_deref(), "ntlm");
        }
    }

    /// A server answers a session setup: status zero lets the client in ([MS-SMB2] 2.2.1.2,
    /// [MS-CIFS] 2.2.3.1).
    pub fn answer_smb(&mut self, client: (Place, u16), payload: &[u8]) -> Option<Heard> {
        let status = match payload.get(4..)? {
            [0xfe, head @ ..] => head.get(7..11)?,
            [0xff, head @ ..] => head.get(4..8)?,
            _ => return None,
        };
        let heard = self.take(client)?;
        (status == [0; 4]).then_some(heard)
    }

    /// A name that ends in `$` is a device's (how Active Directory names accounts of machines).
    fn ask(&mut self, client: (Place, u16), name: Option<&str>, by: &'static str) {
        let Some(name) = name else { return };
        let mut heard = Heard { by, ..Heard::default() };
        match name.strip_suffix('$') {
            Some(device) => heard.host = text::device(device).map(Arc::from),
            None => heard.user = Some(Arc::from(name)),
        }
        *self.waiting.entry(client, || None).0 = Some(heard);
    }

    fn take(&mut self, client: (Place, u16)) -> Option<Heard> {
        self.waiting.get(&client)?;
        self.waiting.entry(client, || None).0.take()
    }
}
