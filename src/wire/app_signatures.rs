//! Signatures of protocols over TCP that are recognised by their first messages and not parsed
//! further.
//!
//! Owns: the signature of each, with its source. In: the first bytes of a direction. Out: the
//! protocol, and whether it is certain without the other side. Never: state, or the other side.

use crate::model::protocol::Protocol;
use crate::wire::der::{
    Der, INTEGER, OCTET_STRING, SEQUENCE, application, context_constructed, header,
};
use crate::wire::tls_record::{APPLICATION_DATA, record};
use crate::wire::{Reader, WireError, smb, websocket};

/// The connection preface of HTTP/2 (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// PPTP's magic cookie (RFC 2637 section 1.4).
const PPTP_COOKIE: u32 = 0x1a2b_3c4d;
/// Longest ID request of tinc.
const NODE_NAME_MAX: usize = 64;
/// Longest message that is waited for: a WebSocket frame, an LDAP bind.
pub const HELD_MAX: usize = 1024;
/// Shortest text in a WebSocket frame that counts as evidence.
const FRAME_TEXT_MIN: usize = 4;

/// A recognised first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The protocol.
    pub protocol: Protocol,
    /// No other protocol begins like this: the other side is not needed.
    pub certain: bool,
    /// The name in an LDAP bind.
    pub name: Option<&'a [u8]>,
}

type Reading<'a> = Result<Claim<'a>, WireError>;

fn certain<'a>(protocol: Protocol) -> Reading<'a> {
    Ok(Claim { protocol, certain: true, name: None })
}

fn likely<'a>(protocol: Protocol) -> Reading<'a> {
    Ok(Claim { protocol, certain: false, name: None })
}

/// Recognises the first bytes of a direction.
///
/// # Errors
/// `NotThis` if it is none of these, `NeedMore` while there are too few bytes to decide.
pub fn claim(bytes: &[u8]) -> Reading<'_> {
    #[cfg(test)]
    crate::wire::reader::visited::note(bytes.len().min(HELD_MAX));
    match bytes.first() {
        Some(0) => zero(bytes),
        Some(1) => stun(bytes),
        Some(0x10) => mqtt(bytes),
        Some(&APPLICATION_DATA) => tls_records(bytes),
        Some(0x30) if bytes.get(2).is_some_and(is_of_name) => tinc(bytes),
        Some(0x30) => ldap(bytes),
        Some(0x81) => websocket(bytes),
        Some(b'A') => magic(bytes, b"AMQP").and_then(|()| amqp(bytes)),
        Some(b'P') => magic(bytes, PREFACE).and_then(|()| certain(Protocol::Http2)),
        Some(0xff) => telnet_or_bgp(bytes),
        Some(_) => mysql(bytes),
        None => Err(WireError::NeedMore(1)),
    }
}

fn magic(bytes: &[u8], magic: &'static [u8]) -> Result<(), WireError> {
    match bytes.get(..magic.len()) {
        Some(head) if head == magic => Ok(()),
        None if magic.starts_with(bytes) => Err(WireError::NeedMore(magic.len() - bytes.len())),
        _ => Err(WireError::NotThis),
    }
}

/// Protocols that begin with a length of four or two bytes.
fn zero(bytes: &[u8]) -> Reading<'_> {
    let mut last = Err(WireError::NotThis);
    for reading in [pptp(bytes), postgresql(bytes), kerberos(bytes), smb(bytes), stun(bytes)] {
        match reading {
            Ok(claim) => return Ok(claim),
            Err(WireError::NeedMore(n)) => last = Err(WireError::NeedMore(n)),
            Err(_) => {}
        }
    }
    last
}

/// An ID request: `0`, the node's name, version 17 (tinc manual, "The meta-protocol"). What LDAP
/// writes with the same first byte has no letter in the third.
fn tinc(bytes: &[u8]) -> Reading<'_> {
    let Some(end) = bytes.iter().position(|b| *b == b'\n') else {
        let more = bytes.len() <= NODE_NAME_MAX && bytes.starts_with(b"0 ");
        return Err(if more { WireError::NeedMore(1) } else { WireError::NotThis });
    };
    let mut words = bytes.get(..end).unwrap_or_default().split(|b| *b == b' ');
    let fits = words.next() == Some(b"0")
        && words.next().is_some_and(|name| !name.is_empty() && name.iter().all(is_of_name))
        && words.next().is_some_and(|version| version == b"17" || version.starts_with(b"17."))
        && words.next().is_none();
    if fits { likely(Protocol::Tinc) } else { Err(WireError::NotThis) }
}

const fn is_of_name(b: &u8) -> bool {
    b.is_ascii_alphanumeric() || *b == b'_'
}

/// Protected records of a session whose handshake was not captured. A second header at the position
/// given by the first one is certain; a single header is not.
fn tls_records(bytes: &[u8]) -> Reading<'_> {
    let mut r = Reader::new(bytes);
    record(&mut r)?;
    match record(&mut r) {
        Ok(_) => certain(Protocol::Tls),
        Err(WireError::NeedMore(_)) => likely(Protocol::Tls),
        Err(why) => Err(why),
    }
}

fn smb(bytes: &[u8]) -> Reading<'_> {
    smb::version(bytes).and_then(|_| certain(Protocol::Smb))
}

/// A control message (RFC 2637 section 2): length, type 1, cookie, a type up to 15.
fn pptp(bytes: &[u8]) -> Reading<'_> {
    let mut r = Reader::new(bytes);
    let length = r.u16()?;
    if !(12..=220).contains(&length) || r.u16()? != 1 || r.u32()? != PPTP_COOKIE {
        return Err(WireError::NotThis);
    }
    match (r.u16()?, r.u16()?) {
        (1..=15, 0) => certain(Protocol::Pptp),
        _ => Err(WireError::NotThis),
    }
}

/// A start-up of version 3, or a question for TLS or GSSAPI (PostgreSQL 17 documentation, section
/// 54.7).
fn postgresql(bytes: &[u8]) -> Reading<'_> {
    let mut r = Reader::new(bytes);
    let length = r.u32()?;
    match (r.u32()?, length) {
        (80_877_103 | 80_877_104, 8) => certain(Protocol::Postgresql),
        (0x0003_0000, 17..=10_000) if r.take(5)? == b"user\0" => certain(Protocol::Postgresql),
        _ => Err(WireError::NotThis),
    }
}

/// A message over TCP: its length, then one of the types of RFC 4120 section 5.10 with version 5.
fn kerberos(bytes: &[u8]) -> Reading<'_> {
    let mut r = Reader::new(bytes);
    let size = r.u32()? as usize;
    let (tag, length) = header(&mut r).map_err(other)?;
    let header_bytes = bytes.len() - r.left() - 4;
    let types = [10u8, 11, 12, 13, 14, 15, 30];
    if !types.iter().any(|number| tag == application(*number)) || length + header_bytes != size {
        return Err(WireError::NotThis);
    }
    let (sequence, _) = header(&mut r).map_err(other)?;
    // The version is [1] in a request to the KDC and [0] elsewhere.
    let (field, _) = header(&mut r).map_err(other)?;
    let known = [context_constructed(0), context_constructed(1)].contains(&field);
    match r.array()? {
        [INTEGER, 1, 5] if sequence == SEQUENCE && known => certain(Protocol::Kerberos),
        _ => Err(WireError::NotThis),
    }
}

fn other(why: WireError) -> WireError {
    if let WireError::NeedMore(_) = why { why } else { WireError::NotThis }
}

/// A message of LDAP version 3 (RFC 4511 section 4.1.1): message id, then an operation.
fn ldap(bytes: &[u8]) -> Reading<'_> {
    let mut r = Reader::new(bytes);
    let (_, size) = header(&mut r).map_err(other)?;
    let here = r.left();
    let [kind, width @ 1..=4] = r.array()? else { return Err(WireError::NotThis) };
    if kind != INTEGER || r.u8()? >= 0x80 {
        return Err(WireError::NotThis);
    }
    r.skip(usize::from(width) - 1)?;
    let (tag, length) = header(&mut r).map_err(other)?;
    let read = here - r.left();
    // Bind, its answer, search, its entries and end, extended request and answer; controls follow.
    if !matches!(tag, 0x60 | 0x61 | 0x63 | 0x64 | 0x65 | 0x77 | 0x78) || read + length > size {
        return Err(WireError::NotThis);
    }
    if tag != application(0) {
        return likely(Protocol::Ldap);
    }
    // A ticket may follow the name; it need not be complete.
    let mut bind = Der::new(r.rest().get(..length).unwrap_or(r.rest()));
    let version = bind.u32().map_err(other)?;
    let name = bind.tagged(OCTET_STRING).map_err(other)?;
    match (version, bind.peek()) {
        (_, None) if bytes.len() < HELD_MAX => Err(WireError::NeedMore(1)),
        // Simple and SASL authentication; Microsoft adds three of its own (MS-ADTS 5.1.1.1).
        (2 | 3, Some(0x80 | 0xa3 | 0x89..=0x8b)) => {
            Ok(Claim { protocol: Protocol::Ldap, certain: true, name: Some(name.contents) })
        }
        _ => Err(WireError::NotThis),
    }
}

/// A text frame; without the upgrade before it, both sides are needed.
fn websocket(bytes: &[u8]) -> Reading<'_> {
    let frame = websocket::frame(bytes)?;
    let wanted = frame.size.min(HELD_MAX);
    let text = frame.unmasked(HELD_MAX);
    let printable = |b: &u8| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e);
    if !text.iter().all(printable) || bytes.len() >= wanted && text.len() < FRAME_TEXT_MIN {
        return Err(WireError::NotThis);
    }
    if bytes.len() < wanted {
        return Err(WireError::NeedMore(wanted - bytes.len()));
    }
    likely(Protocol::Websocket)
}

/// CONNECT (OASIS MQTT 3.1.1 section 3.1; `MQIsdp` in version 3.1).
fn mqtt(bytes: &[u8]) -> Reading<'_> {
    let mut r = Reader::new(bytes);
    r.u8()?;
    for _ in 0..4 {
        if r.u8()? < 0x80 {
            break;
        }
    }
    let name = r.sub_u16()?;
    let level = r.u8()?;
    match (name.rest(), level) {
        (b"MQTT", 4 | 5) | (b"MQIsdp", 3) => certain(Protocol::Mqtt),
        _ => Err(WireError::NotThis),
    }
}

/// A protocol header (AMQP 0-9-1 section 4.2.2; OASIS AMQP 1.0 part 2 section 2.2).
fn amqp(bytes: &[u8]) -> Reading<'_> {
    let mut r = Reader::new(bytes);
    r.skip(4)?;
    match r.array()? {
        [0, 0, 9, 1] | [1, 1, 0, 9] | [0 | 2 | 3, 1, 0, 0] => certain(Protocol::Amqp),
        _ => Err(WireError::NotThis),
    }
}

/// Telnet's negotiation (RFC 854: WILL, WONT, DO, DONT and an option), or the marker of BGP
/// (RFC 4271 section 4.1: sixteen ones, a length, OPEN or KEEPALIVE).
fn telnet_or_bgp(bytes: &[u8]) -> Reading<'_> {
    let mut r = Reader::new(bytes);
    match r.array()? {
        [0xff, 0xfa..=0xfe, 0..=49 | 255] => return telnet(bytes),
        [0xff, 0xff, 0xff] => {}
        _ => return Err(WireError::NotThis),
    }
    if r.take(13)?.iter().any(|byte| *byte != 0xff) {
        return Err(WireError::NotThis);
    }
    match (r.u16()?, r.u8()?) {
        (29..=4096, 1) if r.u8()? == 4 => certain(Protocol::Bgp),
        (19, 4) | (23..=4096, 2) | (21..=4096, 3) => certain(Protocol::Bgp),
        _ => Err(WireError::NotThis),
    }
}

/// Consecutive Telnet commands. One may be chance: the other side is needed too. Two, or a complete
/// sub-negotiation (RFC 855: IAC SB, an option, IAC SE), are certain.
fn telnet(bytes: &[u8]) -> Reading<'_> {
    let mut r = Reader::new(bytes);
    let first = command(&mut r)?;
    if first == Command::Negotiation || command(&mut r).is_ok() {
        certain(Protocol::Telnet)
    } else {
        likely(Protocol::Telnet)
    }
}

/// Kinds of Telnet commands.
#[derive(PartialEq, Eq)]
enum Command {
    /// WILL, WONT, DO, DONT; or an incomplete sub-negotiation.
    Option,
    /// A complete sub-negotiation.
    Negotiation,
}

/// Takes a command (RFC 854); options are up to 49, and 255 (IANA, telnet-options).
fn command(r: &mut Reader<'_>) -> Result<Command, WireError> {
    match r.array()? {
        [0xff, 0xfb..=0xfe, 0..=49 | 255] => Ok(Command::Option),
        [0xff, 0xfa, 0..=49 | 255] => {
            let rest = r.rest();
            let end = rest.windows(2).take(HELD_MAX).position(|pair| pair == [0xff, 0xf0]);
            match end {
                Some(at) => r.skip(at + 2).map(|()| Command::Negotiation),
                None => Ok(Command::Option),
            }
        }
        _ => Err(WireError::NotThis),
    }
}

/// STUN over TCP (RFC 8489 section 6.2.2): class and method leave two bits zero, then the length,
/// a multiple of four, and the magic cookie.
fn stun(bytes: &[u8]) -> Reading<'_> {
    let mut r = Reader::new(bytes);
    let (kind, length) = (r.u16()?, r.u16()?);
    if kind & 0xc000 != 0 || !length.is_multiple_of(4) || r.array()? != [0x21, 0x12, 0xa4, 0x42] {
        return Err(WireError::NotThis);
    }
    certain(Protocol::Stun)
}

/// A server's greeting of protocol 10 (MySQL source documentation, `Protocol::HandshakeV10`):
/// length, number 0, version as text, and fields whose sizes are fixed.
fn mysql(bytes: &[u8]) -> Reading<'_> {
    let [length, rest @ ..] = bytes else { return Err(WireError::NeedMore(1)) };
    // Rejects nearly every other stream: a length below 256 has a zero as second byte.
    if *length < 40 || rest.first().is_some_and(|byte| *byte != 0) {
        return Err(WireError::NotThis);
    }
    let mut r = Reader::new(rest);
    if r.array()? != [0, 0, 0, 10] {
        return Err(WireError::NotThis);
    }
    let mut version = 0;
    loop {
        match r.u8()? {
            0 => break,
            0x20..=0x7e if version < 64 => version += 1,
            _ => return Err(WireError::NotThis),
        }
    }
    // Connection id, eight bytes of a challenge, and a zero.
    r.skip(12)?;
    if version > 0 && r.u8()? == 0 { certain(Protocol::Mysql) } else { Err(WireError::NotThis) }
}

/// The protocol of a server's greeting, for protocols whose clients answer in text.
pub fn greeting(bytes: &[u8]) -> Option<Protocol> {
    let window = bytes.get(..HELD_MAX.min(bytes.len()))?;
    #[cfg(test)]
    crate::wire::reader::visited::note(window.len());
    let line = window.split(|b| *b == b'\n').next()?;
    let has = |word: &[u8]| line.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word));
    match line {
        [b'2', b'2', b'0', b' ' | b'-', ..] if has(b"smtp") => Some(Protocol::Smtp),
        [b'2', b'2', b'0', b' ' | b'-', ..] => Some(Protocol::Ftp),
        [b'*', b' ', b'O', b'K', b' ' | b'\r', ..] => Some(Protocol::Imap),
        [b'+', b'O', b'K', b' ' | b'\r', ..] => Some(Protocol::Pop3),
        _ => None,
    }
}

/// The protocol of a client's first line after a greeting of `greeted` (RFC 5321, 959, 9051, 1939).
pub fn answer(bytes: &[u8], greeted: Protocol) -> Option<Protocol> {
    let head = bytes.get(..64).unwrap_or(bytes);
    let line = head.split(|b| matches!(b, b'\r' | b'\n')).next()?;
    let mut words = line.split(|b| *b == b' ');
    let first = words.next()?.to_ascii_uppercase();
    let second = words.next().unwrap_or_default().to_ascii_uppercase();
    match (greeted, first.as_slice(), second.as_slice()) {
        (Protocol::Smtp | Protocol::Ftp, b"EHLO" | b"HELO" | b"LHLO", _) => Some(Protocol::Smtp),
        (Protocol::Ftp, b"USER" | b"AUTH" | b"FEAT" | b"HOST", _) => Some(Protocol::Ftp),
        (Protocol::Pop3, b"USER" | b"CAPA" | b"APOP" | b"AUTH" | b"STLS", _) => {
            Some(Protocol::Pop3)
        }
        (
            Protocol::Imap,
            _,
            b"CAPABILITY" | b"LOGIN" | b"AUTHENTICATE" | b"STARTTLS" | b"ID" | b"NOOP",
        ) => Some(Protocol::Imap),
        _ => None,
    }
}

#[cfg(test)]
#[path = "app_signatures_tests.rs"]
mod tests;
