//! Protocols directly on IP, recognised by protocol number and first bytes.
//!
//! Owns: which ones. In: the payload of a packet that is neither TCP nor UDP. Out: the protocol.
//! Never: looks behind the header.

use crate::model::Transport;
use crate::model::record::Protocol;
use crate::wire::{Reader, WireError};

/// SPIs up to this are reserved (RFC 4303 section 2.1, RFC 4302 section 2.4).
const SPI_RESERVED: u32 = 255;

/// The protocol of a packet.
pub fn tell(transport: Transport, bytes: &[u8]) -> Option<Protocol> {
    let (told, protocol) = match transport.0 {
        47 => (is_pptp(bytes), Protocol::Pptp),
        50 => (is_esp(bytes), Protocol::Esp),
        51 => (is_ah(bytes), Protocol::Ah),
        // Decode handles tunnel data, which never comes here.
        115 => (is_l2tp_control(bytes), Protocol::L2tp),
        _ => return None,
    };
    told.ok().filter(|fits| *fits).map(|_| protocol)
}

/// SPI and sequence number (RFC 4303 section 2). The protocol number identifies it already: an SPI
/// in the reserved range, as configured by hand, is accepted too; only zero is never sent.
fn is_esp(bytes: &[u8]) -> Result<bool, WireError> {
    let mut r = Reader::new(bytes);
    Ok(r.u32()? > 0 && r.u32()? > 0)
}

/// The enhanced GRE header (RFC 2637 section 4.1), if decode found no known payload: no checksum or
/// routing, a key, version 1, protocol type 0x880b.
fn is_pptp(bytes: &[u8]) -> Result<bool, WireError> {
    let [flags, version] = Reader::new(bytes).array()?;
    let protocol = bytes.get(2..4);
    Ok(flags & 0xef == 0x20 && version & 0x7f == 1 && protocol == Some(&[0x88, 0x0b]))
}

/// Next header, length in words less two, reserved zeros (RFC 4302 section 2).
fn is_ah(bytes: &[u8]) -> Result<bool, WireError> {
    let mut r = Reader::new(bytes);
    let [_next, words, reserved @ ..]: [u8; 4] = r.array()?;
    let spi = r.u32()?;
    Ok(words >= 1 && reserved == [0, 0] && spi > SPI_RESERVED)
}

/// Session id zero, then a control message of version 3 (RFC 3931 section 4.1.1.2).
fn is_l2tp_control(bytes: &[u8]) -> Result<bool, WireError> {
    let mut r = Reader::new(bytes);
    Ok(r.u32()? == 0 && r.u16()? == 0xc803)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_to_fit_their_number() {
        let esp = [0, 0, 0x10, 0, 0, 0, 0, 1, 9, 9];
        assert_eq!(tell(Transport(50), &esp), Some(Protocol::Esp));
        assert_eq!(tell(Transport(50), &[0, 0, 0, 9, 0, 0, 0, 1]), Some(Protocol::Esp), "by hand");
        assert_eq!(tell(Transport(50), &[0, 0, 0, 0, 0, 0, 0, 1]), None);
        let pptp = [0x30, 0x81, 0x88, 0x0b, 0, 9, 0, 7, 0, 0, 0, 1];
        assert_eq!(tell(Transport(47), &pptp), Some(Protocol::Pptp));
        assert_eq!(tell(Transport(47), &[0x20, 1, 0x88, 0x0b, 0, 0]), Some(Protocol::Pptp));
        assert_eq!(tell(Transport(47), &[0x30, 0, 0x88, 0x0b, 0, 0]), None, "version 0");
        assert_eq!(tell(Transport(47), &[0, 1, 0x88, 0x0b, 0, 0]), None, "no key");
        assert_eq!(tell(Transport(50), &esp[..7]), None);
        let ah = [50, 4, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 1];
        assert_eq!(tell(Transport(51), &ah), Some(Protocol::Ah));
        assert_eq!(tell(Transport(51), &[50, 4, 1, 0, 0, 0, 0x10, 0]), None);
        let control = [0, 0, 0, 0, 0xc8, 3, 0, 12];
        assert_eq!(tell(Transport(115), &control), Some(Protocol::L2tp));
        assert_eq!(tell(Transport(47), &control), None, "no GRE");
    }
}
