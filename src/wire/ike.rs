//! IKE headers over UDP (RFC 7296 section 3.1; version 1: RFC 2408 section 3.1).
//!
//! Owns: the header's fields and their valid values. In: one datagram and whether its port is that
//! of NAT traversal. Out: a header. Never: reads payloads, or state between datagrams.

use crate::wire::{Reader, WireError};

/// IKE's port (RFC 7296 section 2).
pub const PORT: u16 = 500;
/// IKE beside ESP (RFC 3948 section 2.2).
pub const PORT_NAT: u16 = 4500;
/// Exchange type IKE_SA_INIT (RFC 7296 section 3.1).
pub const SA_INIT: u8 = 34;
/// Exchange type IKE_AUTH.
pub const AUTH: u8 = 35;
/// Exchange type INFORMATIONAL.
pub const INFORMATIONAL: u8 = 37;
/// Exchange types of version 2: IKE_SA_INIT to INFORMATIONAL, IKE_SESSION_RESUME (RFC 5723),
/// GSA_AUTH and GSA_REGISTRATION, GSA_REKEY (RFC 6407), IKE_INTERMEDIATE (RFC 9242),
/// IKE_FOLLOWUP_KE (RFC 9370).
const EXCHANGES: std::ops::RangeInclusive<u8> = 34..=44;
/// Exchange types of version 1: base, identity protection, authentication only, aggressive,
/// informational, transaction; quick and new group mode (RFC 2408 section 3.1, RFC 2409).
const EXCHANGES_1: [u8; 8] = [1, 2, 3, 4, 5, 6, 32, 33];
/// Payload types that may come first in version 2 (RFC 7296 section 3.2; SKF: RFC 7383).
const PAYLOADS: std::ops::RangeInclusive<u8> = 33..=53;
/// Last payload type of version 1: NAT-OA (RFC 3947 section 5).
const PAYLOAD_1_MAX: u8 = 21;

/// One message's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Initiator's SPI.
    pub spi_initiator: u64,
    /// Responder's SPI, 0 while it has none.
    pub spi_responder: u64,
    /// Major version: 1 or 2.
    pub version: u8,
    /// Exchange type.
    pub exchange: u8,
    /// Sent by the original initiator of the IKE SA (version 2).
    pub by_initiator: bool,
    /// A response (version 2).
    pub response: bool,
    /// Message id.
    pub id: u32,
    /// First payload's type; 53 is an encrypted fragment (RFC 7383).
    pub payload: u8,
}

impl Header {
    /// Reads the header of a whole datagram between `ports`.
    ///
    /// # Errors
    /// `NotThis` if no port is IKE's or a field is invalid, as in keep-alives and ESP packets.
    pub fn parse(datagram: &[u8], ports: (u16, u16)) -> Result<Header, WireError> {
        let marked = ports.0 == PORT_NAT || ports.1 == PORT_NAT;
        if !marked && ports.0 != PORT && ports.1 != PORT {
            return Err(WireError::NotThis);
        }
        let mut r = Reader::new(datagram);
        // The non-ESP marker: an ESP packet begins with its SPI, which is not zero (RFC 3948
        // section 2.2). A client may come from port 4500 to port 500 as well.
        if marked && datagram.starts_with(&[0; 4]) {
            r.skip(4)?;
        } else if marked && ports.0 != PORT && ports.1 != PORT {
            return Err(WireError::NotThis);
        }
        let whole = r.left();
        let header = read(&mut r, whole).map_err(|_| WireError::NotThis)?;
        Ok(header)
    }
}

fn read(r: &mut Reader<'_>, whole: usize) -> Result<Header, WireError> {
    let (spi_initiator, spi_responder) = (r.u64()?, r.u64()?);
    let [payload, version, exchange, flags] = r.array()?;
    let id = r.u32()?;
    let length = r.u32()? as usize;
    if spi_initiator == 0 || length != whole {
        return Err(WireError::NotThis);
    }
    let known = match version >> 4 {
        // Flags E, C and A only.
        1 => EXCHANGES_1.contains(&exchange) && payload <= PAYLOAD_1_MAX && flags & 0xf8 == 0,
        // An empty message's next payload is none; X bits are zero.
        2 => {
            EXCHANGES.contains(&exchange)
                && (payload == 0 || PAYLOADS.contains(&payload))
                && flags & 0xc7 == 0
        }
        _ => false,
    };
    if !known {
        return Err(WireError::NotThis);
    }
    Ok(Header {
        spi_initiator,
        spi_responder,
        version: version >> 4,
        exchange,
        by_initiator: flags & 0x08 != 0,
        response: flags & 0x20 != 0,
        id,
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(version: u8, exchange: u8, flags: u8) -> Vec<u8> {
        let mut out = vec![1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        out.extend([if version == 2 { 33 } else { 1 }, version << 4, exchange, flags]);
        out.extend([0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 4]);
        out
    }

    #[test]
    fn both_versions_have_a_header() {
        let header = Header::parse(&message(2, SA_INIT, 0x08), (500, 500)).unwrap();
        assert_eq!((header.version, header.exchange, header.id), (2, SA_INIT, 0));
        assert!(header.by_initiator && !header.response);
        assert_eq!(header.spi_responder, 0);
        assert_eq!(Header::parse(&message(1, 2, 0), (500, 500)).unwrap().version, 1);
        assert!(Header::parse(&message(2, SA_INIT, 0x20), (500, 500)).unwrap().response);
    }

    #[test]
    fn on_port_4500_the_non_esp_marker_is_required() {
        let marked = [&[0; 4][..], &message(2, AUTH, 0x08)].concat();
        assert!(Header::parse(&marked, (40_000, PORT_NAT)).is_ok());
        assert!(Header::parse(&marked, (40_000, PORT)).is_err());
        assert!(Header::parse(&message(2, AUTH, 0x08), (40_000, PORT_NAT)).is_err());
        assert!(Header::parse(&[0xff], (PORT_NAT, PORT_NAT)).is_err());
    }

    #[test]
    fn a_field_out_of_range_is_another_protocol() {
        let good = message(2, SA_INIT, 0x08);
        for (at, value) in [(16, 99), (17, 0x30), (18, 60), (19, 0x01), (27, 31)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(Header::parse(&bad, (500, 500)), Err(WireError::NotThis), "{at}");
        }
        assert!(Header::parse(&good, (40_000, 443)).is_err());
        assert!(Header::parse(&good[..20], (500, 500)).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Header::parse(&bytes, (500, 4500));
            let _ = Header::parse(&bytes, (500, 1));
        }
    }
}
