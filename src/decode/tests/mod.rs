//! Tests of the decode stage: known frames, agreement of both paths, real captures.
//!
//! Owns: frame builders. In: nothing. Out: assertions. Never: compiled into the library.

mod agreement;
mod captures;
mod frames;
mod link_layers;
mod replay;

use crate::decode::{DecodeConfig, Decoded, Decoder, Reject};
use crate::model::{Frame, LinkType, Nanos};

/// A decoder with a fixed secret.
fn decoder() -> Decoder {
    Decoder::new(DecodeConfig { key_seed: 0x5eed, ..DecodeConfig::default() })
}

/// Decodes bytes of a link type, captured whole.
fn decode_as(link: LinkType, bytes: &[u8]) -> Result<Decoded, Reject> {
    let frame = Frame { time: Nanos(1), link, wire_len: bytes.len() as u32, bytes };
    decoder().decode_frame(&frame, 0)
}

/// Decodes an Ethernet frame captured whole.
fn decode(bytes: &[u8]) -> Result<Decoded, Reject> {
    decode_as(LinkType::ETHERNET, bytes)
}

/// An Ethernet header and what it carries.
fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    bytes.extend_from_slice(&ether_type.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// An IPv4 packet between two documentation addresses; `fragment` is the flags and offset word.
fn ipv4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0];
    bytes.extend_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&[0x12, 0x34]);
    bytes.extend_from_slice(&fragment.to_be_bytes());
    bytes.extend_from_slice(&[64, protocol, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7]);
    bytes.extend_from_slice(payload);
    bytes
}

/// An IPv6 packet between two documentation addresses.
fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&[next, 57]);
    for last in [1, 2] {
        bytes.extend_from_slice(&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// A UDP datagram.
fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [src, dst, 8 + payload.len() as u16, 0] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// A TCP segment with one MSS option.
fn tcp(src: u16, dst: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&src.to_be_bytes());
    bytes.extend_from_slice(&dst.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0, 9, 0, 0, 0, 8, 0x60, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend_from_slice(&[2, 4, 5, 0xb4]);
    bytes.extend_from_slice(payload);
    bytes
}
