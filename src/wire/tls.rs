//! TLS hellos: ClientHello and ServerHello of TLS 1.0 to 1.3, DTLS and QUIC (RFC 8446 section 4.1,
//! RFC 5246 section 7.4.1, RFC 9147 section 5.3).
//!
//! Owns: where each field and extension lies. In: one whole handshake message body. Out: views that
//! borrow from it. Never: records, fragments, or what a field means for a session.

use crate::wire::{Fault, Reader, WireError};

/// Extension numbers that are read here (IANA "TLS ExtensionType Values").
pub mod extension {
    /// server_name (RFC 6066 section 3).
    pub const SERVER_NAME: u16 = 0;
    /// supported_groups (RFC 8446 section 4.2.7).
    pub const SUPPORTED_GROUPS: u16 = 10;
    /// ec_point_formats (RFC 8422 section 5.1.2).
    pub const POINT_FORMATS: u16 = 11;
    /// signature_algorithms (RFC 8446 section 4.2.3).
    pub const SIGNATURE_ALGORITHMS: u16 = 13;
    /// application_layer_protocol_negotiation (RFC 7301 section 3.1).
    pub const ALPN: u16 = 16;
    /// padding (RFC 7685).
    pub const PADDING: u16 = 21;
    /// session_ticket (RFC 5077 section 3.2).
    pub const SESSION_TICKET: u16 = 35;
    /// pre_shared_key (RFC 8446 section 4.2.11).
    pub const PRE_SHARED_KEY: u16 = 41;
    /// early_data (RFC 8446 section 4.2.10).
    pub const EARLY_DATA: u16 = 42;
    /// supported_versions (RFC 8446 section 4.2.1).
    pub const SUPPORTED_VERSIONS: u16 = 43;
    /// encrypted_client_hello (RFC 9849 section 5).
    pub const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
}

/// Handshake type of a ClientHello (RFC 8446 section 4).
pub const CLIENT_HELLO: u8 = 1;
/// Handshake type of a ServerHello, a HelloRetryRequest included.
pub const SERVER_HELLO: u8 = 2;
/// TLS 1.3.
pub const TLS13: u16 = 0x0304;
/// DTLS 1.3 (RFC 9147 section 5.3).
pub const DTLS13: u16 = 0xfefc;

/// The random that makes a ServerHello a HelloRetryRequest: SHA-256 of `HelloRetryRequest`
/// (RFC 8446 section 4.1.3).
pub const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Longest legacy_session_id (RFC 8446 section 4.1.2).
const SESSION_ID_MAX: usize = 32;

/// Whether a cipher suite, group, version or extension number is one of the sixteen GREASE values:
/// `0x0a0a`, `0x1a1a`, ... `0xfafa` (RFC 8701 section 2).
pub const fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

/// Orders versions by age, newest highest. DTLS counts downwards from `0xfeff` (RFC 6347 section
/// 4.1), TLS upwards.
pub const fn version_rank(version: u16) -> u32 {
    if version >> 8 == 0xfe { 0x1_0000 + (0xffff - version as u32) } else { version as u32 }
}

/// The numbers of a list of 16-bit values.
fn numbers(list: &[u8]) -> impl Iterator<Item = u16> + Clone + '_ {
    list.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair))
}

/// One extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// IANA number.
    pub number: u16,
    /// extension_data.
    pub data: &'a [u8],
}

/// The extensions of a hello, in the order sent. Iterate it, or ask for one.
#[derive(Clone, Copy, Debug)]
pub struct Extensions<'a> {
    rest: Reader<'a>,
}

impl<'a> Extensions<'a> {
    /// Reads the list; the field may be missing altogether (RFC 5246 section 7.4.1.2).
    fn parse(r: &mut Reader<'a>) -> Result<Extensions<'a>, WireError> {
        let rest = if r.is_empty() { Reader::new(&[]) } else { r.sub_u16()? };
        let mut check = rest;
        while !check.is_empty() {
            check.u16()?;
            check.sub_u16()?;
        }
        Ok(Extensions { rest })
    }

    /// Data of the first extension with this number.
    pub fn data(&self, number: u16) -> Option<&'a [u8]> {
        let mut all = *self;
        all.find_map(|e| (e.number == number).then_some(e.data))
    }

    /// Whether there is one with this number.
    pub fn has(&self, number: u16) -> bool {
        self.data(number).is_some()
    }

    /// The ALPN names, in order.
    fn alpn(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let data = self.data(extension::ALPN).unwrap_or_default();
        let mut list = Reader::new(data).sub_u16().unwrap_or(Reader::new(&[]));
        std::iter::from_fn(move || list.sub_u8().ok().map(|name| name.rest()))
    }

    /// A list of 16-bit values with a 16-bit length.
    fn numbers_u16(&self, number: u16) -> impl Iterator<Item = u16> + Clone + use<'a> {
        let data = self.data(number).unwrap_or_default();
        numbers(Reader::new(data).sub_u16().map_or(&[], |list| list.rest()))
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    fn next(&mut self) -> Option<Extension<'a>> {
        let number = self.rest.u16().ok()?;
        let data = self.rest.sub_u16().ok()?.rest();
        Some(Extension { number, data })
    }
}

/// A ClientHello.
#[derive(Clone, Copy, Debug)]
pub struct ClientHello<'a> {
    /// legacy_version: the highest version before TLS 1.3.
    pub legacy_version: u16,
    /// random.
    pub random: [u8; 32],
    /// legacy_session_id, at most 32 bytes.
    pub session_id: &'a [u8],
    /// DTLS cookie (RFC 6347 section 4.2.1); empty elsewhere.
    pub cookie: &'a [u8],
    suites: &'a [u8],
    /// Extensions in the order sent.
    pub extensions: Extensions<'a>,
}

impl<'a> ClientHello<'a> {
    /// Reads a message body: what follows the handshake header of 4 bytes. Used for TLS and QUIC.
    ///
    /// # Errors
    /// `Malformed` only: the message is complete.
    pub fn parse(body: &'a [u8]) -> Result<ClientHello<'a>, WireError> {
        Self::read(body, false).map_err(whole)
    }

    /// Reads a DTLS message body, which has a cookie behind the session id (RFC 6347 section 4.2.1,
    /// RFC 9147 section 5.3).
    ///
    /// # Errors
    /// `Malformed` only.
    pub fn parse_dtls(body: &'a [u8]) -> Result<ClientHello<'a>, WireError> {
        Self::read(body, true).map_err(whole)
    }

    fn read(body: &'a [u8], has_cookie: bool) -> Result<ClientHello<'a>, WireError> {
        let mut r = Reader::new(body);
        let legacy_version = r.u16()?;
        let random = r.array()?;
        let session_id = session_id(&mut r)?;
        let cookie = if has_cookie { r.sub_u8()?.rest() } else { &[] };
        let suites = r.sub_u16()?.rest();
        if !suites.len().is_multiple_of(2) {
            return Err(WireError::Malformed(Fault::Length, "odd cipher suite list"));
        }
        let _compression = r.sub_u8()?;
        let extensions = Extensions::parse(&mut r)?;
        Ok(ClientHello { legacy_version, random, session_id, cookie, suites, extensions })
    }

    /// Cipher suites in the order offered, GREASE and signalling values included.
    pub fn cipher_suites(&self) -> impl Iterator<Item = u16> + Clone + use<'a> {
        numbers(self.suites)
    }

    /// The first host_name of server_name (RFC 6066 section 3), as sent.
    pub fn server_name(&self) -> Option<&'a [u8]> {
        const HOST_NAME: u8 = 0;
        let mut list = Reader::new(self.extensions.data(extension::SERVER_NAME)?).sub_u16().ok()?;
        loop {
            let kind = list.u8().ok()?;
            let name = list.sub_u16().ok()?;
            if kind == HOST_NAME {
                return Some(name.rest());
            }
        }
    }

    /// ALPN names in the order offered (RFC 7301 section 3.1).
    pub fn alpn(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.extensions.alpn()
    }

    /// supported_versions, GREASE included; empty where the extension is missing.
    pub fn supported_versions(&self) -> impl Iterator<Item = u16> + Clone + use<'a> {
        let data = self.extensions.data(extension::SUPPORTED_VERSIONS).unwrap_or_default();
        numbers(Reader::new(data).sub_u8().map_or(&[], |list| list.rest()))
    }

    /// The newest version offered: of supported_versions without GREASE, else legacy_version.
    pub fn version_highest(&self) -> u16 {
        self.supported_versions()
            .filter(|v| !is_grease(*v))
            .max_by_key(|v| version_rank(*v))
            .unwrap_or(self.legacy_version)
    }

    /// supported_groups, GREASE included.
    pub fn supported_groups(&self) -> impl Iterator<Item = u16> + Clone + use<'a> {
        self.extensions.numbers_u16(extension::SUPPORTED_GROUPS)
    }

    /// ec_point_formats.
    pub fn point_formats(&self) -> &'a [u8] {
        let data = self.extensions.data(extension::POINT_FORMATS).unwrap_or_default();
        Reader::new(data).sub_u8().map_or(&[], |list| list.rest())
    }

    /// signature_algorithms, GREASE included.
    pub fn signature_algorithms(&self) -> impl Iterator<Item = u16> + Clone + use<'a> {
        self.extensions.numbers_u16(extension::SIGNATURE_ALGORITHMS)
    }

    /// Whether early data was offered (RFC 8446 section 4.2.10).
    pub fn offers_early_data(&self) -> bool {
        self.extensions.has(extension::EARLY_DATA)
    }

    /// Whether a pre-shared key was offered (RFC 8446 section 4.2.11).
    pub fn offers_pre_shared_key(&self) -> bool {
        self.extensions.has(extension::PRE_SHARED_KEY)
    }

    /// Whether a session ticket was offered (RFC 5077 section 3.2); the empty one asks for a new.
    pub fn offers_ticket(&self) -> bool {
        self.extensions.data(extension::SESSION_TICKET).is_some_and(|ticket| !ticket.is_empty())
    }

    /// Whether an encrypted ClientHello was offered, a GREASE one included.
    pub fn offers_ech(&self) -> bool {
        self.extensions.has(extension::ENCRYPTED_CLIENT_HELLO)
    }
}

/// A ServerHello or HelloRetryRequest.
#[derive(Clone, Copy, Debug)]
pub struct ServerHello<'a> {
    /// legacy_version.
    pub legacy_version: u16,
    /// random.
    pub random: [u8; 32],
    /// Echoed or new session id.
    pub session_id: &'a [u8],
    /// The cipher suite chosen.
    pub cipher_suite: u16,
    /// Extensions in the order sent.
    pub extensions: Extensions<'a>,
}

impl<'a> ServerHello<'a> {
    /// Reads a message body: what follows the handshake header. The same for TLS, DTLS and QUIC.
    ///
    /// # Errors
    /// `Malformed` only: the message is complete.
    pub fn parse(body: &'a [u8]) -> Result<ServerHello<'a>, WireError> {
        Self::read(body).map_err(whole)
    }

    fn read(body: &'a [u8]) -> Result<ServerHello<'a>, WireError> {
        let mut r = Reader::new(body);
        let legacy_version = r.u16()?;
        let random = r.array()?;
        let session_id = session_id(&mut r)?;
        let cipher_suite = r.u16()?;
        let _compression = r.u8()?;
        let extensions = Extensions::parse(&mut r)?;
        Ok(ServerHello { legacy_version, random, session_id, cipher_suite, extensions })
    }

    /// Whether this is a HelloRetryRequest (RFC 8446 section 4.1.4).
    pub fn is_retry_request(&self) -> bool {
        self.random == RETRY_RANDOM
    }

    /// The version negotiated: selected_version of supported_versions, else legacy_version.
    pub fn version(&self) -> u16 {
        let selected = self.extensions.data(extension::SUPPORTED_VERSIONS);
        selected.and_then(|data| Reader::new(data).u16().ok()).unwrap_or(self.legacy_version)
    }

    /// Whether supported_versions chose the version, as in TLS 1.3 and DTLS 1.3, where the session
    /// id is always echoed and does not show resumption.
    pub fn is_13(&self) -> bool {
        self.extensions.has(extension::SUPPORTED_VERSIONS)
    }

    /// Whether an offered pre-shared key was selected (RFC 8446 section 4.2.11).
    pub fn selects_pre_shared_key(&self) -> bool {
        self.extensions.has(extension::PRE_SHARED_KEY)
    }

    /// The ALPN name chosen, where it is in clear (before TLS 1.3).
    pub fn alpn(&self) -> Option<&'a [u8]> {
        self.extensions.alpn().next()
    }
}

fn session_id<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], WireError> {
    let id = r.sub_u8()?.rest();
    if id.len() > SESSION_ID_MAX {
        Err(WireError::Malformed(Fault::Length, "session id length"))
    } else {
        Ok(id)
    }
}

/// A complete message that lacks bytes is malformed.
fn whole(why: WireError) -> WireError {
    match why {
        WireError::NeedMore(_) => WireError::Malformed(Fault::Truncated, "hello cut"),
        other => other,
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
