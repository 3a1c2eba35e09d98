//! DNS, mDNS, LLMNR and NetBIOS names: the questions and answers of a session.
//!
//! Owns: names, answers and counts of a session. In: whole messages (a stream's with their length
//! prefix).
//! Out: [`DnsFacts`]. Never: keeps more than the caps below, or a message.

use std::fmt::{self, Write};

use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe};
use crate::model::record::{DnsFacts, Facts, Protocol};
use crate::model::{Nanos, Peer};
use crate::wire::dns::{DnsMessage, HEADER_BYTES, Name, Question, Text};
use crate::wire::dns_data::RData;
use crate::wire::{Reader, WireError, wireguard};

/// Further distinct names kept per session: resolvers use a port for one or two questions, an mDNS
/// responder for a dozen; a DNS tunnel has no limit.
const NAMES_MAX: usize = 32;
/// Answers kept per session: a large address set has 16, and A and AAAA often share a port.
const ANSWERS_MAX: usize = 48;
/// Addresses beside the answers kept per session: 13 root servers have 26.
const ADDITIONAL_MAX: usize = 26;
/// Bytes of names kept per session: a name of 255 bytes may take a thousand as text, and most take
/// fewer than fifty.
const NAME_BYTES_MAX: u32 = 16 * 1_024;
/// Bytes of answers and addresses kept.
const ANSWER_BYTES_MAX: u32 = 8 * 1_024;
/// Questions per message: mDNS asks for a dozen at once (RFC 6762 section 5.3), others for one.
const QUESTIONS_MAX: u16 = 64;
/// QCLASS values that exist: IN, CH, HS, NONE, ANY (IANA), IN and ANY with mDNS's unicast bit.
const CLASSES: [u16; 7] = [1, 3, 4, 254, 255, 0x8001, 0x80ff];
/// Ports where the message format is expected: DNS, NetBIOS name service, mDNS, LLMNR.
const PORTS: [u16; 4] = [53, PORT_NETBIOS, PORT_MDNS, PORT_LLMNR];
/// NetBIOS name service (RFC 1002).
const PORT_NETBIOS: u16 = 137;
/// Multicast DNS (RFC 6762 section 5).
const PORT_MDNS: u16 = 5353;
/// LLMNR (RFC 4795 section 2).
const PORT_LLMNR: u16 = 5355;
/// QTYPE of NetBIOS: NB and NBSTAT (RFC 1002 section 4.2.1.2).
const QTYPES_NETBIOS: [u16; 2] = [32, 33];

/// The length prefix of DNS over TCP allows no more.
const HELD_MAX: usize = 2 + 65_535;

/// DNS over TCP.
#[derive(Debug, Default)]
pub struct DnsStream;

impl Parser for DnsStream {
    type State = ();

    const PROTOCOL: Option<Protocol> = Some(Protocol::Dns);
    const HELD_MAX: usize = HELD_MAX;

    /// It has no magic: its port, and a length that can hold a header.
    fn probe(bytes: &[u8], look: &Look<'_, ()>) -> Probe {
        if look.ports.0 != 53 && look.ports.1 != 53 {
            return Probe::No;
        }
        match bytes {
            [high, low, ..] if u16::from_be_bytes([*high, *low]) >= 12 => Probe::Fits,
            [_, _, ..] => Probe::No,
            _ => Probe::Short,
        }
    }

    fn feed(_: &mut (), bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        observe_dns_stream(bytes, context.from, context.facts())
    }
}

/// DNS and its relatives over UDP.
#[derive(Debug, Default)]
pub struct DnsDatagram;

impl Parser for DnsDatagram {
    type State = ();

    const PROTOCOL: Option<Protocol> = Some(Protocol::Dns);
    /// Questions are counted as long as the session lasts.
    const DATAGRAMS_MAX: u8 = u8::MAX;

    /// On its ports. Some services offer WireGuard there too.
    fn claims(bytes: &[u8], look: &Look<'_, ()>) -> bool {
        let is_tunnel = || wireguard::is_handshake(bytes) && !is_plain_message(bytes);
        is_dns_port(look.ports) && !is_tunnel()
    }

    fn probe(bytes: &[u8], _look: &Look<'_, ()>) -> Probe {
        Probe::of(Some(is_plain_message(bytes)))
    }

    fn feed(_: &mut (), bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        let (from, at, ports) = (context.from, context.time, context.ports);
        match observe_dns(bytes, ports, context.facts()) {
            ParseResult::Used(used) => {
                time(bytes, from, at, context.facts());
                ParseResult::Used(used)
            }
            // Datagrams are independent: the next one may be valid.
            ParseResult::Failed(fault) => ParseResult::Rejected(fault),
            _ if context.follows => ParseResult::Used(bytes.len()),
            other => other,
        }
    }
}

/// Whether either port belongs to this observer.
pub fn is_dns_port(ports: (u16, u16)) -> bool {
    PORTS.contains(&ports.0) || PORTS.contains(&ports.1)
}

/// Whether a datagram on any port is certainly a DNS message: one question of class IN, no counts
/// that a plain query or answer does not have, and no byte left over.
pub fn is_plain_message(bytes: &[u8]) -> bool {
    let Ok(message) = DnsMessage::parse(bytes) else { return false };
    // QR, RD, RA, AD, CD, AA, TC and RCODE are free; OPCODE and Z must be zero.
    let shape = message.questions == 1 && message.opcode() == 0 && message.flags & 0x0040 == 0;
    let counts = message.is_response() || (message.answers == 0 && message.others <= 1);
    if !shape || !counts || message.rcode() > 5 {
        return false;
    }
    let mut walk = message.walk();
    let asked = walk.question().is_ok_and(|q| q.class == 1 && q.qtype != 0 && !q.name.is_root());
    let records = u32::from(message.answers) + message.others;
    asked && (0..records).all(|_| walk.record().is_ok()) && walk.at_end()
}

/// Examines one whole message of a datagram.
pub fn observe_dns(bytes: &[u8], ports: (u16, u16), facts: &mut Facts) -> ParseResult {
    let Ok(message) = DnsMessage::parse(bytes) else { return ParseResult::NotMine };
    let records = u32::from(message.answers) + message.others;
    let empty = message.questions == 0 && records == 0;
    // A server refuses with a bare header; nothing else is that short (RFC 1035 section 4.1.1).
    let bare = bytes.len() == HEADER_BYTES && message.is_response() && empty;
    if message.opcode() > 9 || (empty && !bare) {
        return ParseResult::NotMine;
    }
    let relative = relative(&message, ports);
    let mut work = Work::over(&message);
    let kept = keep(&message, relative == Protocol::Nbns, (facts, &mut work));
    if let Some(dns) = &mut facts.dns {
        dns.cut |= work.is_spent
            || dns.name_bytes >= NAME_BYTES_MAX
            || dns.answer_bytes >= ANSWER_BYTES_MAX;
        facts.protocol.get_or_insert(relative);
    }
    match kept {
        Ok(()) => ParseResult::Used(bytes.len()),
        // What came before the fault, or before the capture truncated the message, is kept.
        Err(why) if facts.dns.is_some() => ParseResult::Failed(why.fault()),
        Err(_) => ParseResult::NotMine,
    }
}

/// Measures the time from a question of the initiator to its answer (including the resolver's own
/// queries; not if the question was repeated).
pub fn time(bytes: &[u8], role: Peer, time: Nanos, facts: &mut Facts) {
    let (Ok(message), Some(dns)) = (DnsMessage::parse(bytes), facts.dns.as_deref_mut()) else {
        return;
    };
    match (role, message.is_response(), dns.asked) {
        (Peer::Initiator, false, None) => dns.asked = Some((message.id, time, false)),
        (Peer::Initiator, false, Some((id, first, _))) if id == message.id => {
            dns.asked = Some((id, first, true));
        }
        (Peer::Responder, true, Some((id, asked, again))) if id == message.id => {
            dns.asked = None;
            if let Some(took) = time.0.checked_sub(asked.0).filter(|_| !again) {
                dns.round_trip_ns = Some(dns.round_trip_ns.map_or(took, |low| low.min(took)));
            }
        }
        _ => {}
    }
}

/// Examines a stream: each message has a length prefix (RFC 1035 section 4.2.2).
pub fn observe_dns_stream(bytes: &[u8], _role: Peer, facts: &mut Facts) -> ParseResult {
    let mut r = Reader::new(bytes);
    let Ok(length) = r.u16() else { return ParseResult::NeedMore(1) };
    let length = usize::from(length);
    if length < HEADER_BYTES {
        return ParseResult::NotMine;
    }
    match r.take(length) {
        Ok(message) => match observe_dns(message, (0, 0), facts) {
            ParseResult::Used(n) => ParseResult::Used(n + 2),
            other => other,
        },
        Err(_) if header_fits(r.rest()) => ParseResult::NeedMore(length - r.left()),
        Err(_) => ParseResult::NotMine,
    }
}

/// Whether the first available bytes of a message can be a header.
fn header_fits(bytes: &[u8]) -> bool {
    match DnsMessage::parse(bytes) {
        Ok(message) => message.opcode() <= 6 && message.questions <= 1,
        Err(_) => true,
    }
}

/// Walks one message and keeps what is new.
fn keep(
    message: &DnsMessage<'_>,
    netbios: bool,
    (facts, work): (&mut Facts, &mut Work),
) -> Result<(), WireError> {
    if facts.dns.is_none() && !is_believable(message) {
        return Err(WireError::NotThis);
    }
    let mut walk = message.walk();
    for _ in 0..message.questions.min(QUESTIONS_MAX) {
        let question = walk.question()?;
        let dns = dns_of(facts);
        keep_name(&question, netbios, dns, work);
        if !message.is_response() {
            dns.questions = dns.questions.saturating_add(1);
        }
    }
    if message.is_response() {
        let dns = dns_of(facts);
        dns.responses = dns.responses.saturating_add(1);
        dns.rcode = dns.rcode.or(Some(message.rcode()));
    }
    for _ in 0..message.answers {
        let record = walk.record()?;
        keep_answer(record.rtype, &record.data, dns_of(facts), work);
    }
    if message.is_response() {
        for _ in 0..message.others {
            let record = walk.record()?;
            if matches!(record.data, RData::V4(_) | RData::V6(_)) {
                keep_address(&record.data, dns_of(facts), work);
            }
        }
    }
    Ok(())
}

/// Steps for the texts of a short message: a label is one.
const STEPS_FREE: usize = 64;
/// Comparisons with a stored text that take as long as writing a label.
const COMPARISONS_PER_STEP: usize = 8;
/// Longest text that is kept: a name of 255 octets takes 1,020 bytes as text, a TXT record 1,150.
const TEXT_BYTES_MAX: usize = 1_280;

/// A text under way, without an allocation.
struct Rendered {
    bytes: [u8; TEXT_BYTES_MAX],
    length: usize,
}

impl Rendered {
    /// The text of a value; `None` if it is longer than any that is kept.
    fn of(&mut self, value: &impl Text) -> Option<&str> {
        self.length = 0;
        value.write_to(self).ok()?;
        str::from_utf8(self.bytes.get(..self.length)?).ok()
    }
}

impl Write for Rendered {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = self.length + part.len();
        let place = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        place.copy_from_slice(part.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// The work on one message beyond its walk: texts of its values, and their comparison with stored
/// facts. Many records with a name similar to all stored names must not cost the product.
struct Work {
    /// Steps that are left.
    steps: usize,
    text: Rendered,
    /// The type of the last answer and where its name begins.
    last: Option<(u16, usize)>,
    /// Something was left out: too few steps were left, or its text is too long.
    is_spent: bool,
}

impl Work {
    /// As many steps as the names of the message may take.
    fn over(message: &DnsMessage<'_>) -> Work {
        let text = Rendered { bytes: [0; TEXT_BYTES_MAX], length: 0 };
        Work { steps: message.size() / 2 + STEPS_FREE, text, last: None, is_spent: false }
    }

    /// The text of a value, which takes so many steps, if none of so many stored ones is the same.
    fn new_text<'s>(
        &mut self,
        (value, steps): (&impl Text, usize),
        (count, mut stored): (usize, impl Iterator<Item = &'s Box<str>>),
    ) -> Option<&str> {
        let left = self.steps.checked_sub(steps + count / COMPARISONS_PER_STEP);
        self.is_spent |= left.is_none();
        self.steps = left.unwrap_or(0);
        left?;
        let Some(text) = self.text.of(value) else {
            self.is_spent = true;
            return None;
        };
        (!stored.any(|known| **known == *text)).then_some(text)
    }

    /// Whether an answer is the name that the one before it was.
    fn is_repeated(&mut self, rtype: u16, data: &RData<'_>) -> bool {
        let RData::Name(name) = data else { return false };
        let this = Some((rtype, name.start()));
        std::mem::replace(&mut self.last, this) == this
    }
}

/// For the first message of a session: a name with a valid class, or no fault anywhere.
fn is_believable(message: &DnsMessage<'_>) -> bool {
    let classed = |question: Question<'_>| CLASSES.contains(&question.class);
    if message.questions > 0 && message.walk().question().is_ok_and(classed) {
        return true;
    }
    let mut walk = message.walk();
    let records = u32::from(message.answers) + message.others;
    (0..message.questions).all(|_| walk.question().is_ok())
        && (0..records).all(|_| walk.record().is_ok())
        && walk.at_end()
}

fn dns_of(facts: &mut Facts) -> &mut DnsFacts {
    facts.dns.get_or_insert_default()
}

/// Which of the related protocols a message belongs to. Unicast DNS is served on mDNS's port too,
/// and requests recursion, which mDNS never does (RFC 6762 section 18.6).
fn relative(message: &DnsMessage<'_>, ports: (u16, u16)) -> Protocol {
    const RECURSION_DESIRED: u16 = 0x0100;
    let on = |port| ports.0 == port || ports.1 == port;
    if on(PORT_NETBIOS) {
        Protocol::Nbns
    } else if on(PORT_MDNS) && message.flags & RECURSION_DESIRED == 0 {
        Protocol::Mdns
    } else if on(PORT_LLMNR) {
        Protocol::Llmnr
    } else {
        Protocol::Dns
    }
}

fn keep_name(question: &Question<'_>, netbios: bool, dns: &mut DnsFacts, work: &mut Work) {
    let netbios = netbios && QTYPES_NETBIOS.contains(&question.qtype);
    let shown = ShownName { name: question.name, netbios };
    let is_full = dns.more_names.len() >= NAMES_MAX || dns.name_bytes >= NAME_BYTES_MAX;
    if dns.name.is_some() && is_full {
        return;
    }
    let known = dns.name.iter().chain(&dns.more_names);
    let known = (1 + dns.more_names.len(), known);
    let Some(text) = work.new_text((&shown, question.name.steps()), known) else { return };
    let name = fitting(text, &mut dns.name_bytes, NAME_BYTES_MAX);
    if dns.name.is_none() {
        (dns.name, dns.qtype) = (name, question.qtype);
    } else {
        dns.more_names.extend(name);
    }
}

fn keep_answer(rtype: u16, data: &RData<'_>, dns: &mut DnsFacts, work: &mut Work) {
    let is_full = dns.answers.len() >= ANSWERS_MAX || dns.answer_bytes >= ANSWER_BYTES_MAX;
    if matches!(data, RData::Other) || is_full || work.is_repeated(rtype, data) {
        return;
    }
    let known = dns.answers.iter().filter(|(of, _)| *of == rtype).map(|(_, text)| text);
    let known = (dns.answers.len(), known);
    if let Some(text) = work.new_text((data, data.steps()), known)
        && let Some(text) = fitting(text, &mut dns.answer_bytes, ANSWER_BYTES_MAX)
    {
        // Most have one answer: a vector would otherwise start with room for four.
        dns.answers.reserve_exact(usize::from(dns.answers.is_empty()));
        dns.answers.push((rtype, text));
    }
}

fn keep_address(data: &RData<'_>, dns: &mut DnsFacts, work: &mut Work) {
    let known = (dns.additional.len(), dns.additional.iter());
    if dns.additional.len() < ADDITIONAL_MAX
        && dns.answer_bytes < ANSWER_BYTES_MAX
        && let Some(text) = work.new_text((data, data.steps()), known)
    {
        dns.additional.extend(fitting(text, &mut dns.answer_bytes, ANSWER_BYTES_MAX));
    }
}

/// A name as text: a NetBIOS name decoded, `NAME<20>` with its suffix in hexadecimal.
struct ShownName<'a> {
    name: Name<'a>,
    netbios: bool,
}

impl Text for ShownName<'_> {
    fn write_to<W: Write>(&self, out: &mut W) -> fmt::Result {
        let Some((name, suffix)) = self.name.netbios().filter(|_| self.netbios) else {
            return self.name.write_to(out);
        };
        for b in name.trim_ascii_end() {
            match b {
                0 => {}
                0x20..=0x7e => out.write_char(char::from(*b))?,
                _ => write!(out, "\\{b:03}")?,
            }
        }
        write!(out, "<{suffix:02X}>")
    }
}

/// A text to keep, if there is room after `used` bytes; once one does not fit, no later one does.
fn fitting(text: &str, used: &mut u32, max: u32) -> Option<Box<str>> {
    let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
    *used = used.saturating_add(bytes).min(max);
    (*used < max).then(|| text.into())
}
