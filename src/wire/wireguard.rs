//! WireGuard messages ("WireGuard: Next Generation Kernel Network Tunnel", sections 5.4 and 6.1).
//!
//! Owns: types, sizes and indices. In: one datagram. Out: a message. Never: decryption, or state
//! between datagrams.

use crate::wire::{Reader, WireError};

/// Size of a handshake initiation.
pub const INITIATION_BYTES: usize = 148;
/// Size of a handshake response.
pub const RESPONSE_BYTES: usize = 92;
/// Size of an initiation that a service made longer: it carries 56 bytes of its own (TunnelBear).
pub const INITIATION_LONG_BYTES: usize = 204;
/// Size of the response to that.
pub const RESPONSE_LONG_BYTES: usize = 100;
/// Size of a cookie reply.
const COOKIE_BYTES: usize = 64;
/// Header and tag of a transport message without payload, which is a keep-alive.
const TRANSPORT_MIN: usize = 32;
/// Payloads are padded to this many bytes (section 5.4.6).
const PADDING: usize = 16;

/// One message. Words are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireguardMessage {
    /// Type 1, handshake initiation.
    Initiation {
        /// The initiator's index.
        sender: u32,
    },
    /// Type 2, handshake response.
    Response {
        /// The responder's index.
        sender: u32,
        /// The initiation's `sender`.
        receiver: u32,
    },
    /// Type 3, cookie reply: under load, the message must be repeated with a cookie.
    Cookie {
        /// `sender` of the message that is answered.
        receiver: u32,
    },
    /// Type 4, transport data.
    Transport {
        /// The receiver's index.
        receiver: u32,
        /// Packet counter.
        counter: u64,
    },
}

/// A message and its reserved bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The message.
    pub message: WireguardMessage,
    /// The three bytes after the type: zero by the specification; some services put a client id
    /// there.
    pub reserved: [u8; 3],
}

impl Packet {
    /// Whether the reserved bytes are zero.
    pub const fn is_plain(&self) -> bool {
        matches!(self.reserved, [0, 0, 0])
    }
}

/// Whether a datagram has the shape of an initiation or a response: a few comparisons.
pub const fn is_handshake(datagram: &[u8]) -> bool {
    let size = datagram.len();
    match datagram {
        [1, 0, 0, 0, ..] => matches!(size, INITIATION_BYTES | INITIATION_LONG_BYTES),
        [2, 0, 0, 0, ..] => matches!(size, RESPONSE_BYTES | RESPONSE_LONG_BYTES),
        _ => false,
    }
}

/// Reads a whole datagram.
///
/// # Errors
/// `NotThis` where type and size do not agree.
pub fn parse(datagram: &[u8]) -> Result<Packet, WireError> {
    read(datagram).map_err(|_| WireError::NotThis)
}

fn read(datagram: &[u8]) -> Result<Packet, WireError> {
    let size = datagram.len();
    let mut r = Reader::new(datagram);
    let kind = r.u8()?;
    let reserved = r.array()?;
    let first = u32::from_le_bytes(r.array()?);
    let message = match kind {
        1 if matches!(size, INITIATION_BYTES | INITIATION_LONG_BYTES) => {
            WireguardMessage::Initiation { sender: first }
        }
        2 if matches!(size, RESPONSE_BYTES | RESPONSE_LONG_BYTES) => {
            let receiver = u32::from_le_bytes(r.array()?);
            WireguardMessage::Response { sender: first, receiver }
        }
        3 if size == COOKIE_BYTES => WireguardMessage::Cookie { receiver: first },
        4 if size >= TRANSPORT_MIN && size.is_multiple_of(PADDING) => {
            let counter = u64::from_le_bytes(r.array()?);
            WireguardMessage::Transport { receiver: first, counter }
        }
        _ => return Err(WireError::NotThis),
    };
    Ok(Packet { message, reserved })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(kind: u8, size: usize) -> Vec<u8> {
        let mut out = vec![kind, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0];
        out.resize(size, 9);
        out
    }

    #[test]
    fn each_type_has_its_size() {
        let message = |kind, size| parse(&packet(kind, size)).map(|p| p.message);
        assert_eq!(message(1, 148), Ok(WireguardMessage::Initiation { sender: 1 }));
        assert_eq!(message(1, 204), Ok(WireguardMessage::Initiation { sender: 1 }));
        assert_eq!(message(2, 100), Ok(WireguardMessage::Response { sender: 1, receiver: 2 }));
        assert_eq!(message(2, 92), Ok(WireguardMessage::Response { sender: 1, receiver: 2 }));
        assert_eq!(message(3, 64), Ok(WireguardMessage::Cookie { receiver: 1 }));
        let counter = 3 << 32 | 2;
        assert_eq!(message(4, 32), Ok(WireguardMessage::Transport { receiver: 1, counter }));
        for (kind, size) in [(1, 147), (2, 148), (3, 92), (4, 16), (4, 33), (5, 64), (0, 148)] {
            assert_eq!(message(kind, size), Err(WireError::NotThis), "{kind} {size}");
        }
    }

    #[test]
    fn reserved_bytes_are_kept() {
        let mut bytes = packet(1, 148);
        assert!(parse(&bytes).unwrap().is_plain());
        bytes[2] = 7;
        assert_eq!(parse(&bytes).unwrap().reserved, [0, 7, 0]);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
