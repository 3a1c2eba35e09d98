//! The TLS record layer in clear (RFC 8446 section 5.1, RFC 5246 section 6.2.1) and the handshake
//! message it carries.
//!
//! Owns: where records end, and a message that spans several. In: one direction's bytes. Out: a
//! message that borrows if possible. Never: decrypts, or parses a message.

use std::borrow::Cow;

use crate::wire::{Fault, Reader, WireError};

/// Content type change_cipher_spec.
pub const CHANGE_CIPHER_SPEC: u8 = 20;
/// Content type alert.
pub const ALERT: u8 = 21;
/// Content type handshake.
pub const HANDSHAKE: u8 = 22;
/// Content type application_data.
pub const APPLICATION_DATA: u8 = 23;

/// Handshake type certificate (RFC 5246 section 7.4).
pub const CERTIFICATE: u8 = 11;
/// Longest hello that is read. The format allows 16 MiB; real ones are below 4 KiB, and below 20
/// KiB with the largest post-quantum shares in the registry (mceliece apart, which no stack sends).
pub const HELLO_MAX: usize = 64 * 1024;
/// Longest record payload: 2^14 and what protection may add (RFC 5246 section 6.2.3).
const PAYLOAD_MAX: usize = (1 << 14) + 2048;
/// Bytes of a handshake header: type and length.
const HEADER_BYTES: usize = 4;

/// A record, which may be incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Content type.
    pub kind: u8,
    /// Its payload so far.
    pub payload: &'a [u8],
    /// Payload bytes that are missing.
    pub missing: usize,
}

/// Takes a record: five header bytes and the payload so far.
///
/// # Errors
/// `NotThis` as soon as a byte is not one of a record of SSL 3.0 to TLS 1.3, `NeedMore` while the
/// header is incomplete.
pub fn record<'a>(r: &mut Reader<'a>) -> Result<Record<'a>, WireError> {
    match r.rest() {
        [20..=23] | [20..=23, 3] | [20..=23, 3, 0..=4, ..] | [] => {}
        _ => return Err(WireError::NotThis),
    }
    let [kind, _, _, high, low] = r.array()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length == 0 && kind != APPLICATION_DATA || length > PAYLOAD_MAX {
        return Err(WireError::NotThis);
    }
    let payload = r.take(length.min(r.left()))?;
    Ok(Record { kind, payload, missing: length - payload.len() })
}

/// Counts the payload of consecutive handshake records as bytes arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PayloadCount {
    /// Offset of the incomplete record.
    at: usize,
    /// Payload before that.
    before: usize,
    /// Payload of that record so far.
    partial: usize,
    over: bool,
}

impl PayloadCount {
    /// Continues after the last call; `bytes` begins with the bytes of that call.
    pub fn count(&mut self, bytes: &[u8]) {
        while !self.over {
            let mut r = Reader::new(bytes.get(self.at..).unwrap_or_default());
            self.partial = 0;
            match record(&mut r) {
                Ok(next) if next.kind != HANDSHAKE => self.over = true,
                Ok(next) if next.missing > 0 => {
                    self.partial = next.payload.len();
                    return;
                }
                Ok(next) => {
                    self.before += next.payload.len();
                    self.at = bytes.len() - r.left();
                }
                Err(WireError::NeedMore(_)) => return,
                Err(_) => self.over = true,
            }
        }
    }

    /// Payload so far.
    pub const fn so_far(&self) -> usize {
        self.before + self.partial
    }

    /// Whether a record of another type follows.
    pub const fn is_over(&self) -> bool {
        self.over
    }
}

/// A complete handshake message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeMessage<'a> {
    /// Handshake type.
    pub kind: u8,
    /// Bytes of its records up to the end of the last, which may be incomplete.
    pub used: usize,
    with_header: Cow<'a, [u8]>,
}

impl HandshakeMessage<'_> {
    /// The body after the handshake header.
    pub fn body(&self) -> &[u8] {
        self.with_header.get(HEADER_BYTES..).unwrap_or_default()
    }
}

/// The handshake messages of consecutive records so far.
///
/// # Errors
/// Those of [`record`]; another kind of record ends the flight.
pub fn flight(bytes: &[u8]) -> Result<Flight<'_>, WireError> {
    let mut r = Reader::new(bytes);
    let mut data: Option<Cow<'_, [u8]>> = None;
    loop {
        let next = match record(&mut r) {
            Ok(next) if next.kind == HANDSHAKE => next,
            Ok(_) => break Ok(Flight { data: data.unwrap_or_default(), over: true }),
            Err(WireError::NeedMore(_)) => {
                break Ok(Flight { data: data.unwrap_or_default(), over: false });
            }
            Err(why) => break Err(why),
        };
        match &mut data {
            Some(Cow::Owned(data)) => data.extend_from_slice(next.payload),
            Some(Cow::Borrowed(first)) => {
                // Reserves for all bytes that may follow.
                let mut all = Vec::with_capacity(bytes.len());
                all.extend_from_slice(first);
                all.extend_from_slice(next.payload);
                data = Some(Cow::Owned(all));
            }
            None => data = Some(Cow::Borrowed(next.payload)),
        }
    }
}

/// Consecutive handshake messages.
#[derive(Clone, Debug)]
pub struct Flight<'a> {
    /// The messages; the last may be incomplete.
    pub data: Cow<'a, [u8]>,
    /// A record of another type follows: the flight is over.
    pub over: bool,
}

impl Flight<'_> {
    /// The leaf of the Certificate message (RFC 5246 section 7.4.2) that directly follows the first
    /// message; `None` where another follows.
    ///
    /// # Errors `NeedMore` while it is incomplete, `Malformed` if the flight is over or its lengths
    /// are wrong.
    pub fn second_is_certificate(&self) -> Result<Option<&[u8]>, WireError> {
        let leaf = || -> Result<Option<&[u8]>, WireError> {
            let mut r = Reader::new(&self.data);
            r.u8()?;
            let first = r.u24()?;
            r.skip(first as usize)?;
            if r.u8()? != CERTIFICATE {
                return Ok(None);
            }
            let size = r.u24()? as usize;
            certificate_leaf(&mut r, size)
        };
        match leaf() {
            Err(WireError::NeedMore(_)) if self.over => Ok(None),
            other => other,
        }
    }
}

/// Takes the leaf of a Certificate message whose body, of this size, begins here (RFC 5246 section
/// 7.4.2); `None` for an empty list.
///
/// # Errors
/// `NeedMore` while the leaf is incomplete, `Malformed` if the lengths contradict each other.
pub fn certificate_leaf<'a>(
    r: &mut Reader<'a>,
    size: usize,
) -> Result<Option<&'a [u8]>, WireError> {
    let list = r.u24()? as usize;
    if size != list + 3 {
        return Err(WireError::Malformed(Fault::Length, "length of a certificate message"));
    }
    if list == 0 {
        return Ok(None);
    }
    let leaf = r.u24()? as usize;
    if leaf + 3 > list {
        return Err(WireError::Malformed(Fault::Length, "length of a certificate"));
    }
    r.take(leaf).map(Some)
}

/// Reads the handshake message at the start of `bytes`, across records.
///
/// # Errors `NotThis` if no handshake record begins here, `NeedMore` with the number of missing
/// payload bytes until the message is complete (each record may carry one byte of it); `Malformed`
/// if it is longer than [`HELLO_MAX`] or another record interrupts it.
pub fn first_message(bytes: &[u8]) -> Result<HandshakeMessage<'_>, WireError> {
    let mut r = Reader::new(bytes);
    let mut last = record(&mut r)?;
    if last.kind != HANDSHAKE {
        return Err(WireError::NotThis);
    }
    let mut data = Cow::Borrowed(last.payload);
    loop {
        let head = header(&data)?;
        let wanted = HEADER_BYTES + head.map_or(0, |(_, length)| length);
        if let Some((kind, _)) = head
            && let Some(with_header) = front(&data, wanted)
        {
            let used = bytes.len() - r.left() + last.missing;
            return Ok(HandshakeMessage { kind, used, with_header });
        }
        let missing = wanted.saturating_sub(data.len()).max(1);
        if last.missing > 0 {
            return Err(WireError::NeedMore(missing));
        }
        last = record(&mut r).map_err(|why| match why {
            WireError::NotThis => {
                WireError::Malformed(Fault::Value, "no record after a partial message")
            }
            WireError::NeedMore(_) => WireError::NeedMore(missing),
            other @ WireError::Malformed(..) => other,
        })?;
        if last.kind != HANDSHAKE {
            return Err(WireError::Malformed(Fault::Value, "record inside a handshake message"));
        }
        data.to_mut().extend_from_slice(last.payload);
    }
}

/// Type and length of the message that begins here, once its header is complete.
fn header(data: &[u8]) -> Result<Option<(u8, usize)>, WireError> {
    let mut r = Reader::new(data);
    let (Ok(kind), Ok(length)) = (r.u8(), r.u24()) else { return Ok(None) };
    if length as usize > HELLO_MAX {
        return Err(WireError::Malformed(Fault::OverCap, "handshake message too long"));
    }
    Ok(Some((kind, length as usize)))
}

/// The first `n` bytes, if there are that many; borrowed if `data` is borrowed.
fn front<'a>(data: &Cow<'a, [u8]>, n: usize) -> Option<Cow<'a, [u8]>> {
    match data {
        Cow::Borrowed(bytes) => bytes.get(..n).map(Cow::Borrowed),
        Cow::Owned(bytes) => bytes.get(..n).map(|front| Cow::Owned(front.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(message: &[u8], piece: usize) -> Vec<u8> {
        let mut out = vec![];
        for part in message.chunks(piece) {
            out.extend([22, 3, 1]);
            out.extend((part.len() as u16).to_be_bytes());
            out.extend(part);
        }
        out
    }

    #[test]
    fn a_message_in_one_record_is_borrowed() {
        let mut bytes = records(&[2, 0, 0, 2, 8, 9, 11, 0], 99);
        bytes.push(23);
        let message = first_message(&bytes).unwrap();
        assert_eq!((message.kind, message.body(), message.used), (2, &[8, 9][..], 13));
        assert!(matches!(message.with_header, Cow::Borrowed(_)));
    }

    #[test]
    fn a_message_may_be_complete_before_its_record() {
        let bytes = records(&[2, 0, 0, 2, 8, 9, 11, 0], 99);
        let message = first_message(&bytes[..11]).unwrap();
        assert_eq!((message.body(), message.used), (&[8, 9][..], 13));
    }

    #[test]
    fn invalid_record_headers_are_rejected() {
        for bytes in [&b"GET"[..], &[22, 4], &[22, 3, 5], &[22, 3, 1, 0, 0], &[22, 3, 1, 0xff, 0]] {
            assert_eq!(first_message(bytes), Err(WireError::NotThis), "{bytes:?}");
        }
        assert_eq!(first_message(&[22, 3]), Err(WireError::NeedMore(3)));
    }

    #[test]
    fn a_message_that_is_interrupted_or_endless_is_malformed() {
        let mut cut = records(&[1, 0, 0, 9, 1], 99);
        cut.extend([21, 3, 1, 0, 2, 1, 0]);
        let why = WireError::Malformed(Fault::Value, "record inside a handshake message");
        assert_eq!(first_message(&cut), Err(why));
        let why = WireError::Malformed(Fault::OverCap, "handshake message too long");
        assert_eq!(first_message(&records(&[1, 1, 0, 1], 99)), Err(why));
    }

    #[test]
    fn the_leaf_of_a_flight_is_found_in_any_pieces() {
        let hello = [2, 0, 0, 2, 8, 9];
        let certificates = [11, 0, 0, 12, 0, 0, 9, 0, 0, 2, b'l', b'f', 0, 0, 1, b'c'];
        let message = [&hello[..], &certificates].concat();
        for piece in 1..30 {
            let bytes = records(&message, piece);
            let whole = flight(&bytes).unwrap();
            assert_eq!(whole.second_is_certificate(), Ok(Some(&b"lf"[..])), "{piece}");
        }
        let mut other = records(&hello, 99);
        let waits = flight(&other).unwrap();
        assert_eq!(waits.second_is_certificate(), Err(WireError::NeedMore(1)));
        other.extend([20, 3, 3, 0, 1, 1]);
        assert_eq!(flight(&other).unwrap().second_is_certificate(), Ok(None));
        let bad = records(&[2, 0, 0, 0, 11, 0, 0, 9, 0, 0, 6, 0, 0, 9], 99);
        let why = WireError::Malformed(Fault::Length, "length of a certificate");
        assert_eq!(flight(&bad).unwrap().second_is_certificate(), Err(why));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = first_message(&bytes);
            let mut framed = vec![22, 3, 3];
            framed.extend(bytes);
            let _ = first_message(&framed);
            let _ = flight(&framed).map(|flight| flight.second_is_certificate().is_ok());
        }

        #[test]
        fn pieces_join_to_the_same_message(
            body in proptest::collection::vec(any::<u8>(), 0..300), piece in 1usize..40,
        ) {
            let mut message = vec![1, 0];
            message.extend((body.len() as u16).to_be_bytes());
            message.extend(&body);
            let bytes = records(&message, piece);
            let whole = first_message(&bytes).unwrap();
            prop_assert_eq!((whole.kind, whole.body(), whole.used), (1, &body[..], bytes.len()));
            for end in 0..bytes.len() {
                let is_short = matches!(first_message(&bytes[..end]), Err(WireError::NeedMore(_)));
                prop_assert!(is_short, "{}", end);
            }
        }
    }
}
