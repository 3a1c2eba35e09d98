//! The unencrypted part of OpenVPN's control channel (OpenVPN protocol, "OpenVPN Wire Protocol"
//! draft, sections 2 and 3).
//!
//! Owns: opcodes, the three kinds of protection (none, tls-auth, tls-crypt), acknowledgements. In:
//! one packet, over TCP without its length. Out: a view. Never: state, or decryption.

use crate::wire::{Fault, Reader, WireError};

/// P_CONTROL_V1.
pub const CONTROL: u8 = 4;
/// P_ACK_V1.
pub const ACK: u8 = 5;
/// P_CONTROL_HARD_RESET_CLIENT_V2.
pub const RESET_CLIENT: u8 = 7;
/// P_CONTROL_HARD_RESET_SERVER_V2.
pub const RESET_SERVER: u8 = 8;
/// P_CONTROL_HARD_RESET_CLIENT_V3: the client's wrapped key follows (tls-crypt-v2).
pub const RESET_CLIENT_3: u8 = 10;

/// Opcode, session id, an empty list of acknowledgements, packet id.
const RESET_BYTES: usize = 1 + 8 + 1 + 4;
/// Replay protection of a tls-auth or tls-crypt packet: packet id and the sender's time.
const REPLAY_BYTES: usize = 8;
/// One acknowledgement, and the session id that follows the list.
const ACKED_BYTES: usize = 4 + 8;
/// HMAC sizes in use: MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512. Most common first.
const HMACS: [usize; 6] = [20, 32, 64, 16, 48, 28];
/// HMAC of tls-crypt.
const HMAC_CRYPT: usize = 32;
/// Acknowledgements of one packet (RELIABLE_ACK_SIZE).
const ACKS_MAX: usize = 8;
/// Most packets that a client sends before the answer: the first one and its retransmissions.
const FIRST_PACKETS: u32 = 64;
/// First values of the replay protection's packet id that announce early negotiation: release 2.6,
/// and the development versions before it.
const EARLY_NEGOTIATION: [u32; 2] = [0x0f00_0000, 0x0a01_0000];
/// Bytes that a server may add to its reset to request the wrapped key again.
const EARLY_TAIL_MAX: usize = 32;

/// The protection of control packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// None.
    Plain,
    /// tls-auth, with the size of the HMAC in bytes.
    Auth(usize),
    /// tls-crypt: encrypted after session id, replay protection and HMAC.
    Crypt,
}

/// The opcode and key id that begin a packet.
pub const fn opcode(first: u8) -> (u8, u8) {
    (first >> 3, first & 7)
}

/// A control packet or acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control<'a> {
    /// Its opcode.
    pub opcode: u8,
    /// The sender's session id.
    pub session: u64,
    acks: &'a [u8],
    /// The receiver's session id, if packets are acknowledged.
    pub remote: Option<u64>,
    /// Its own id; an acknowledgement has none.
    pub id: Option<u32>,
    /// TLS bytes.
    pub payload: &'a [u8],
}

impl Control<'_> {
    /// Packet ids it acknowledges.
    pub fn acks(&self) -> impl Iterator<Item = u32> {
        self.acks
            .chunks_exact(4)
            .filter_map(|ack| ack.first_chunk())
            .map(|b| u32::from_be_bytes(*b))
    }
}

/// Protection and session id of a client's first packet; `None` if an unencrypted byte is wrong.
pub fn client_reset(packet: &[u8]) -> Option<(Seal, u64)> {
    let mut r = Reader::new(packet);
    let key = matches!(opcode(r.u8().ok()?), (RESET_CLIENT | RESET_CLIENT_3, 0));
    let session = r.u64().ok().filter(|id| key && *id != 0)?;
    let seal = HMACS
        .into_iter()
        .map(Seal::Auth)
        .chain([Seal::Plain])
        .find(|seal| is_empty_reset(packet, *seal))
        .or_else(|| is_crypt_reset(packet).then_some(Seal::Crypt))?;
    Some((seal, session))
}

/// A reset that acknowledges nothing and is packet 0.
fn is_empty_reset(packet: &[u8], seal: Seal) -> bool {
    let extra = match seal {
        Seal::Auth(hmac) => hmac + REPLAY_BYTES,
        _ => 0,
    };
    packet.len() == RESET_BYTES + extra
        && control(packet, seal).is_ok_and(|reset| {
            reset.opcode == RESET_CLIENT && reset.acks.is_empty() && reset.id == Some(0)
        })
}

/// A tls-crypt reset: its size, and of version 2 the size of the wrapped key, which ends it.
fn is_crypt_reset(packet: &[u8]) -> bool {
    let Some(tail) = packet.len().checked_sub(RESET_BYTES + REPLAY_BYTES + HMAC_CRYPT) else {
        return false;
    };
    let wrapped = match packet.last_chunk() {
        Some(length) if tail > 0 => usize::from(u16::from_be_bytes(*length)),
        _ => 0,
    };
    let of_version_2 = packet.first().is_some_and(|first| opcode(*first).0 == RESET_CLIENT_3);
    tail == wrapped && of_version_2 == (tail > 0) && has_replay(packet)
}

/// Whether the replay protection of a sender's first packets follows the session id.
fn has_replay(packet: &[u8]) -> bool {
    let mut r = Reader::new(packet);
    r.skip(9).is_ok() && replay(&mut r).is_ok()
}

/// The id of one of a sender's first packets, and a time of this century.
fn replay(r: &mut Reader<'_>) -> Result<(), WireError> {
    let (id, time) = (r.u32()?, r.u32()?);
    let mut marks = EARLY_NEGOTIATION.into_iter().chain([0]);
    let first = id != 0 && marks.any(|mark| id.wrapping_sub(mark) <= FIRST_PACKETS);
    if first && time >= 946_684_800 { Ok(()) } else { Err(WireError::NotThis) }
}

/// Whether a packet is the server's answer to the reset of `session`, with the same protection.
pub fn is_server_reset(packet: &[u8], seal: Seal, session: u64) -> bool {
    let Some(first) = packet.first() else { return false };
    if opcode(*first) != (RESET_SERVER, 0) {
        return false;
    }
    if seal == Seal::Crypt {
        let least = RESET_BYTES + ACKED_BYTES + REPLAY_BYTES + HMAC_CRYPT;
        return (least..=least + EARLY_TAIL_MAX).contains(&packet.len()) && has_replay(packet);
    }
    control(packet, seal).is_ok_and(|reset| {
        reset.remote == Some(session) && reset.id == Some(0) && reset.acks().any(|id| id == 0)
    })
}

/// Reads a control packet or acknowledgement that is not encrypted.
///
/// # Errors
/// `NotThis` if opcode or fields do not match the protection, or it is encrypted.
pub fn control(packet: &[u8], seal: Seal) -> Result<Control<'_>, WireError> {
    read(packet, seal).map_err(|_| WireError::NotThis)
}

fn read(packet: &[u8], seal: Seal) -> Result<Control<'_>, WireError> {
    let mut r = Reader::new(packet);
    let (opcode, _) = opcode(r.u8()?);
    if !matches!(opcode, CONTROL | ACK | RESET_CLIENT | RESET_SERVER) {
        return Err(WireError::NotThis);
    }
    let session = r.u64()?;
    match seal {
        Seal::Plain => {}
        Seal::Auth(hmac) => {
            r.skip(hmac)?;
            let [id, time] = [r.u32()?, r.u32()?];
            if id == 0 || time < 946_684_800 {
                return Err(WireError::NotThis);
            }
        }
        Seal::Crypt => return Err(WireError::NotThis),
    }
    let count = usize::from(r.u8()?);
    if count > ACKS_MAX {
        return Err(WireError::Malformed(
            Fault::OverCap,
            "OpenVPN acknowledgements over their cap",
        ));
    }
    let acks = r.take(count * 4)?;
    let remote = if count > 0 { Some(r.u64()?) } else { None };
    let id = if opcode == ACK { None } else { Some(r.u32()?) };
    Ok(Control { opcode, session, acks, remote, id, payload: r.rest() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(opcode: u8, session: u64, seal: Seal, acks: &[u32], remote: u64) -> Vec<u8> {
        let mut out = vec![opcode << 3];
        out.extend(session.to_be_bytes());
        if let Seal::Auth(hmac) = seal {
            out.extend(vec![0xaa; hmac]);
            out.extend([0, 0, 0, 1, 0x60, 0, 0, 0]);
        }
        out.push(acks.len() as u8);
        out.extend(acks.iter().flat_map(|ack| ack.to_be_bytes()));
        if !acks.is_empty() {
            out.extend(remote.to_be_bytes());
        }
        out.extend([0; 4]);
        out
    }

    fn crypt(opcode: u8, tail: &[u8]) -> Vec<u8> {
        let mut out = vec![opcode << 3];
        out.extend([5; 8]);
        out.extend([0, 0, 0, 1, 0x60, 0, 0, 0]);
        out.extend([0xcc; 32 + 5]);
        out.extend(tail);
        out
    }

    #[test]
    fn a_reset_shows_its_protection_and_the_answer_has_the_same() {
        for seal in [Seal::Plain, Seal::Auth(20), Seal::Auth(32), Seal::Auth(64)] {
            let reset = packet(RESET_CLIENT, 77, seal, &[], 0);
            assert_eq!(client_reset(&reset), Some((seal, 77)), "{seal:?}");
            let answer = packet(RESET_SERVER, 88, seal, &[0], 77);
            assert!(is_server_reset(&answer, seal, 77));
            assert!(!is_server_reset(&answer, seal, 78), "another session");
            let other = packet(RESET_SERVER, 88, seal, &[1], 77);
            assert!(!is_server_reset(&other, seal, 77), "another packet");
        }
    }

    #[test]
    fn tls_crypt_shows_sizes_and_replay_protection_only() {
        let session = u64::from_be_bytes([5; 8]);
        assert_eq!(client_reset(&crypt(RESET_CLIENT, &[])), Some((Seal::Crypt, session)));
        let wrapped = [&[9; 288][..], &[1, 0x22]].concat();
        assert_eq!(wrapped.len(), 0x122);
        let second = crypt(RESET_CLIENT_3, &wrapped);
        assert_eq!(client_reset(&second), Some((Seal::Crypt, session)));
        assert_eq!(client_reset(&second[..second.len() - 1]), None);
        assert_eq!(client_reset(&crypt(RESET_CLIENT, &[0])), None);
        let mut early = crypt(RESET_CLIENT, &[]);
        early[9] = 0x0f;
        assert!(client_reset(&early).is_some());
        early[9..11].copy_from_slice(&[0x0a, 0x01]);
        assert!(client_reset(&early).is_some());
        early[9] = 0x10;
        assert_eq!(client_reset(&early), None);
        assert!(is_server_reset(&crypt(RESET_SERVER, &[1; 12]), Seal::Crypt, session));
        assert!(!is_server_reset(&crypt(RESET_SERVER, &[]), Seal::Crypt, session));
    }

    #[test]
    fn a_control_packet_has_its_acknowledgements() {
        let bytes = packet(CONTROL, 1, Seal::Plain, &[3, 4], 2);
        let control = control(&bytes, Seal::Plain).unwrap();
        assert_eq!(control.acks().collect::<Vec<_>>(), [3, 4]);
        assert_eq!((control.remote, control.id, control.payload), (Some(2), Some(0), &[][..]));
        let mut many = bytes.clone();
        many[9] = 9;
        assert!(super::control(&many, Seal::Plain).is_err());
        assert!(super::control(&bytes[..12], Seal::Plain).is_err());
    }

    #[test]
    fn other_bytes_are_no_reset() {
        let good = packet(RESET_CLIENT, 77, Seal::Plain, &[], 0);
        for (at, value) in [(0, 0x39), (0, 0x40), (9, 1), (13, 1)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(client_reset(&bad), None, "{at} {value}");
        }
        assert_eq!(client_reset(&packet(RESET_CLIENT, 0, Seal::Plain, &[], 0)), None);
        assert_eq!(client_reset(&[&good[..], &[0]].concat()), None);
    }

    proptest! {
        #[test]
        fn never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = client_reset(&bytes);
            let kinds = [(0x38, Seal::Plain), (0x40, Seal::Auth(20)), (0x50, Seal::Crypt)];
            for (first, seal) in kinds {
                if let Some(byte) = bytes.first_mut() {
                    *byte = first;
                }
                let _ = client_reset(&bytes);
                let _ = is_server_reset(&bytes, seal, 1);
                if let Ok(control) = control(&bytes, seal) {
                    prop_assert!(control.acks().count() <= 8);
                }
            }
        }
    }
}
