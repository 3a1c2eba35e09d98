//! EAP and its frames on a LAN (RFC 3748 section 4, IEEE 802.1X-2020 section 11).
//!
//! Owns: the frame's head, the identity in clear. In: what is behind EtherType 0x888e. Out: a view
//! into it. Never: looks into a method: its identity may differ from the outer one.

use crate::wire::{Fault, Reader, WireError};

/// Versions of EAPOL: 802.1X-2001, -2004, -2010 and later.
const VERSIONS: std::ops::RangeInclusive<u8> = 1..=3;
/// Packet type of EAPOL that carries EAP.
const EAP_PACKET: u8 = 0;
/// EAP type Identity (RFC 3748 section 5.1).
const IDENTITY: u8 = 1;

/// What an EAP packet is (RFC 3748 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Request of the authenticator.
    Request,
    /// Response of the device.
    Response,
    /// Access granted.
    Success,
    /// Access denied.
    Failure,
}

/// One EAP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its code.
    pub code: Code,
    /// Identifier that matches requests and responses.
    pub identifier: u8,
    /// The method, in requests and responses.
    pub kind: Option<u8>,
    data: &'a [u8],
}

/// What a frame of EtherType 0x888e carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// EAP.
    Eap(Packet<'a>),
    /// EAPOL-Start.
    Start,
    /// EAPOL-Logoff.
    Logoff,
    /// EAPOL-Key and other types.
    Other(u8),
}

impl<'a> Frame<'a> {
    /// Reads what is behind the Ethernet header; padding behind the length is left.
    ///
    /// # Errors
    /// `NotThis` for another version; `NeedMore` where it is cut; `Malformed` for bad EAP.
    pub fn parse(bytes: &'a [u8]) -> Result<Frame<'a>, WireError> {
        let mut r = Reader::new(bytes);
        let (version, kind) = (r.u8()?, r.u8()?);
        if !VERSIONS.contains(&version) {
            return Err(WireError::NotThis);
        }
        let body = r.sub_u16()?.rest();
        Ok(match kind {
            EAP_PACKET => Frame::Eap(Packet::parse(body)?),
            1 => Frame::Start,
            2 => Frame::Logoff,
            other => Frame::Other(other),
        })
    }
}

impl<'a> Packet<'a> {
    /// Reads an EAP packet: of EAPOL, or of RADIUS's EAP-Message.
    ///
    /// # Errors
    /// `Malformed` where code or length contradict RFC 3748 section 4; `NeedMore` where it is cut.
    pub fn parse(bytes: &'a [u8]) -> Result<Packet<'a>, WireError> {
        const LENGTH: WireError = WireError::Malformed(Fault::Length, "EAP length");
        let mut r = Reader::new(bytes);
        let (code, identifier, length) = (code(r.u8()?)?, r.u8()?, usize::from(r.u16()?));
        let mut body = r.sub(length.checked_sub(4).ok_or(LENGTH)?)?;
        let kind = match code {
            Code::Request | Code::Response => Some(body.u8().map_err(|_| LENGTH)?),
            Code::Success | Code::Failure if body.is_empty() => None,
            Code::Success | Code::Failure => return Err(LENGTH),
        };
        Ok(Packet { code, identifier, kind, data: body.rest() })
    }

    /// The identity of the device: an identity response, up to a zero octet (RFC 3748 section 5.1
    /// allows options after it). Empty or `anonymous` if the method hides the real one.
    pub fn identity(&self) -> Option<&'a [u8]> {
        let has_identity = self.code == Code::Response && self.kind == Some(IDENTITY);
        self.data.split(|b| *b == 0).next().filter(|_| has_identity)
    }
}

const fn code(number: u8) -> Result<Code, WireError> {
    Ok(match number {
        1 => Code::Request,
        2 => Code::Response,
        3 => Code::Success,
        4 => Code::Failure,
        _ => return Err(WireError::Malformed(Fault::Value, "EAP code")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_identity_response_is_read() {
        let bytes = b"\x01\x00\x00\x0c\x02\x05\x00\x0c\x01ann@ex\0\0\0\0";
        let Frame::Eap(packet) = Frame::parse(bytes).unwrap() else { panic!("EAP") };
        assert_eq!(packet.identity(), Some(&b"ann@ex"[..]));
        assert_eq!((packet.code, packet.identifier), (Code::Response, 5));
        let asked = Packet::parse(b"\x01\x05\x00\x08\x01who").unwrap();
        assert_eq!((asked.kind, asked.identity()), (Some(1), None));
    }

    #[test]
    fn eapol_frames_without_eap_are_classified() {
        assert_eq!(Frame::parse(&[2, 1, 0, 0]), Ok(Frame::Start));
        assert_eq!(Frame::parse(&[1, 2, 0, 0, 0, 0]), Ok(Frame::Logoff));
        assert_eq!(Frame::parse(&[2, 3, 0, 1, 2]), Ok(Frame::Other(3)));
        let success = Frame::parse(&[1, 0, 0, 4, 3, 9, 0, 4]);
        let data = &[][..];
        let packet = Packet { code: Code::Success, identifier: 9, kind: None, data };
        assert_eq!(success, Ok(Frame::Eap(packet)));
    }

    #[test]
    fn lengths_have_to_add_up() {
        assert_eq!(Frame::parse(&[9, 0, 0, 0]), Err(WireError::NotThis));
        assert_eq!(Frame::parse(&[1, 0, 0, 9, 1]), Err(WireError::NeedMore(8)));
        assert_eq!(
            Packet::parse(&[3, 1, 0, 5, 0]),
            Err(WireError::Malformed(Fault::Length, "EAP length"))
        );
        assert_eq!(
            Packet::parse(&[1, 1, 0, 4]),
            Err(WireError::Malformed(Fault::Length, "EAP length"))
        );
        assert_eq!(
            Packet::parse(&[1, 1, 0, 3]),
            Err(WireError::Malformed(Fault::Length, "EAP length"))
        );
        assert_eq!(
            Packet::parse(&[7, 1, 0, 4]),
            Err(WireError::Malformed(Fault::Value, "EAP code"))
        );
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Frame::parse(&bytes);
            if let Ok(packet) = Packet::parse(&bytes) {
                prop_assert!(packet.identity().is_none_or(|name| name.len() < bytes.len()));
            }
        }
    }
}
