//! DTLS records and handshake fragments in clear (RFC 6347 sections 4.1 and 4.2.2, RFC 9147
//! sections 4 and 5.2).
//!
//! Owns: where records and fragments of one datagram end, and the message they make. In: one
//! datagram. Out: a message that borrows where it can. Never: reads what is encrypted.

use std::borrow::Cow;

use crate::wire::{Fault, Reader, WireError};

/// Handshake type of a HelloVerifyRequest (RFC 6347 section 4.3.2).
pub const HELLO_VERIFY_REQUEST: u8 = 3;
/// Content type handshake.
pub const HANDSHAKE: u8 = 22;
/// Content types of plaintext records: change_cipher_spec to ack (RFC 9147 section 4.1).
const KINDS: std::ops::RangeInclusive<u8> = 20..=26;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Content type.
    pub kind: u8,
    /// Epoch: 0 before encryption starts.
    pub epoch: u16,
    /// Payload, encrypted if `epoch` is not 0.
    pub payload: &'a [u8],
}

/// Takes a record. A record never spans datagrams (RFC 6347 section 4.1.1).
///
/// # Errors
/// `NotThis` if content type or version are not those of DTLS, `Malformed` if the datagram ends
/// inside the record.
pub fn record<'a>(r: &mut Reader<'a>) -> Result<Record<'a>, WireError> {
    read_record(r).map_err(|why| match why {
        WireError::NeedMore(_) => WireError::Malformed(Fault::Truncated, "record cut"),
        other => other,
    })
}

fn read_record<'a>(r: &mut Reader<'a>) -> Result<Record<'a>, WireError> {
    let kind = r.u8()?;
    // DTLS 1.0 is 254.255, 1.2 is 254.253; 1.3 writes 1.2 here. Version 1.0 is the form before RFC
    // 4347, which Cisco AnyConnect kept.
    let is_known = matches!(r.array()?, [0xfe, 0xfc..=0xff] | [1, 0]);
    if !KINDS.contains(&kind) || !is_known {
        return Err(WireError::NotThis);
    }
    let epoch = r.u16()?;
    let _sequence = r.array::<6>()?;
    let payload = r.sub_u16()?.rest();
    Ok(Record { kind, epoch, payload })
}

/// A fragment of a handshake message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Handshake type.
    pub kind: u8,
    /// Length of the whole message body, in bytes.
    pub length: usize,
    /// message_seq: the same for all pieces of one message.
    pub sequence: u16,
    /// Where `piece` lies in the body.
    pub offset: usize,
    /// The bytes of this piece.
    pub piece: &'a [u8],
}

/// Takes a handshake fragment from a record's payload.
///
/// # Errors
/// `Malformed` where it is cut or lies outside its message.
pub fn fragment<'a>(r: &mut Reader<'a>) -> Result<Fragment<'a>, WireError> {
    read_fragment(r).map_err(|why| match why {
        WireError::NeedMore(_) => WireError::Malformed(Fault::Truncated, "fragment cut"),
        other => other,
    })
}

fn read_fragment<'a>(r: &mut Reader<'a>) -> Result<Fragment<'a>, WireError> {
    let kind = r.u8()?;
    let length = r.u24()? as usize;
    let sequence = r.u16()?;
    let offset = r.u24()? as usize;
    let piece_length = r.u24()? as usize;
    let piece = r.take(piece_length)?;
    if offset + piece_length > length {
        return Err(WireError::Malformed(Fault::Length, "fragment outside its message"));
    }
    Ok(Fragment { kind, length, sequence, offset, piece })
}

/// A partial message: its fragments, joined in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DtlsMessage<'a> {
    /// Handshake type.
    pub kind: u8,
    length: usize,
    sequence: u16,
    body: Cow<'a, [u8]>,
}

impl<'a> DtlsMessage<'a> {
    /// Bytes it holds.
    pub fn held(&self) -> usize {
        match &self.body {
            Cow::Borrowed(_) => 0,
            Cow::Owned(bytes) => bytes.capacity(),
        }
    }

    /// Starts with a fragment, which must be the first of its message.
    pub fn start(first: &Fragment<'a>) -> Option<DtlsMessage<'a>> {
        let Fragment { kind, length, sequence, offset, piece } = *first;
        (offset == 0).then_some(DtlsMessage { kind, length, sequence, body: Cow::Borrowed(piece) })
    }

    /// Adds a fragment, unless it is of another message or leaves a gap. Fragments may overlap (RFC
    /// 6347 section 4.2.3); the bytes that came first are kept.
    pub fn add(&mut self, next: &Fragment<'a>) {
        let same =
            (next.kind, next.length, next.sequence) == (self.kind, self.length, self.sequence);
        let Some(known) = self.body.len().checked_sub(next.offset) else { return };
        if let Some(new) = next.piece.get(known..).filter(|new| same && !new.is_empty()) {
            self.body.to_mut().extend_from_slice(new);
        }
    }

    /// Whether a fragment begins another message, so that this one is given up.
    pub const fn gives_way_to(&self, next: &Fragment<'_>) -> bool {
        next.offset == 0 && next.sequence != self.sequence
    }

    /// Length of the complete body.
    pub const fn length(&self) -> usize {
        self.length
    }

    /// The same with owned bytes.
    pub fn into_owned(self) -> DtlsMessage<'static> {
        let DtlsMessage { kind, length, sequence, body } = self;
        DtlsMessage { kind, length, sequence, body: Cow::Owned(body.into_owned()) }
    }

    /// The body, once it is complete.
    pub fn body(&self) -> Option<&[u8]> {
        (self.body.len() == self.length).then_some(&self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn piece(body: &[u8], offset: usize, end: usize) -> Vec<u8> {
        let mut out = vec![1, 0, 0, body.len() as u8, 0, 5, 0, 0, offset as u8, 0, 0];
        out.push((end - offset) as u8);
        out.extend(&body[offset..end]);
        out
    }

    #[test]
    fn a_record_has_an_epoch_and_a_payload() {
        let bytes = [22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 2, 7, 8, 99];
        let mut r = Reader::new(&bytes);
        assert_eq!(record(&mut r), Ok(Record { kind: 22, epoch: 1, payload: &[7, 8] }));
        assert_eq!(r.rest(), [99]);
        assert_eq!(
            record(&mut Reader::new(&bytes[..14])),
            Err(WireError::Malformed(Fault::Truncated, "record cut"))
        );
        assert_eq!(record(&mut Reader::new(&[22, 3, 3])), Err(WireError::NotThis));
        let old = [22, 1, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 7];
        assert_eq!(record(&mut Reader::new(&old)).map(|r| r.payload), Ok(&[7][..]));
    }

    #[test]
    fn pieces_of_one_datagram_join() {
        let body = [1, 2, 3, 4, 5, 6];
        let bytes = [piece(&body, 0, 2), piece(&body, 1, 4), piece(&body, 4, 6)].concat();
        let mut r = Reader::new(&bytes);
        let mut message = DtlsMessage::start(&fragment(&mut r).unwrap()).unwrap();
        assert_eq!(message.body(), None);
        message.add(&fragment(&mut r).unwrap());
        message.add(&fragment(&mut r).unwrap());
        assert_eq!(message.body(), Some(&body[..]));
    }

    #[test]
    fn a_gap_is_not_filled() {
        let body = [1, 2, 3, 4];
        let bytes = [piece(&body, 0, 1), piece(&body, 2, 4)].concat();
        let mut r = Reader::new(&bytes);
        let mut message = DtlsMessage::start(&fragment(&mut r).unwrap()).unwrap();
        message.add(&fragment(&mut r).unwrap());
        assert_eq!(message.body(), None);
    }

    #[test]
    fn a_piece_outside_its_message_is_malformed() {
        let bytes = [1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 9];
        let why = WireError::Malformed(Fault::Length, "fragment outside its message");
        assert_eq!(fragment(&mut Reader::new(&bytes)), Err(why));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = record(&mut Reader::new(&bytes));
            let mut r = Reader::new(&bytes);
            if let Some(mut message) = fragment(&mut r).ok().and_then(|f| DtlsMessage::start(&f)) {
                while let Ok(next) = fragment(&mut r) {
                    message.add(&next);
                }
                let _ = message.body();
            }
        }
    }
}
