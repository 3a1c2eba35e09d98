//! Frames in, packets out: link layers, decapsulation, IP, fragments, transport headers.
//!
//! Owns: the way from a link type to the innermost session key, and the table of open fragments.
//! In: `Frame` from capture. Out: `Packet` for dispatch, or a counted reason.
//! Never: payload, sessions, or bytes kept beyond the call (fragments keep keys, not bytes).
//!
//! Two paths give the same answer. `fast` peeks at plain frames: Ethernet, at most one 802.1Q
//! tag, IPv4 without options or IPv6 without extension headers, TCP or UDP. It declines everything
//! else, and `general` walks header by header with etherparse's lax slices and own small
//! decapsulators.

use crate::model::Counter;
use crate::model::Frame;
use crate::model::Ident;
use crate::model::Packet;
use crate::model::record::Wrapping;

mod fast;
pub mod fragments;
mod general;
mod ip;
pub mod key;
mod link;
mod mpls;
mod tags;
mod transport;
mod tunnel;
mod udp_tunnel;
mod walk;
mod wlan;
mod wrapping;

#[cfg(test)]
mod tests;

pub use key::SHARDS;
pub use tunnel::TunnelKind;
pub use tunnel::TunnelSet;
pub use wlan::Subframes;

use fragments::FragmentTable;
use general::Begin;
use key::KeyHasher;

/// What decode needs to know before the first frame.
#[derive(Clone, Copy, Debug)]
pub struct DecodeConfig {
    /// Secret of this run for the table hash: unpredictable to senders, without effect on results.
    pub key_seed: u64,
    /// Decapsulations that are on. A tunnel that is off is a session of its own, between its ends.
    pub tunnels: TunnelSet,
    /// Whether the outermost VLAN id is part of the session key (overlapping address space).
    pub vlan_in_key: bool,
    /// Whether the innermost tunnel's network identifier is part of it too.
    pub vni_in_key: bool,
    /// Most tags, label stacks and tunnels one frame may nest.
    pub max_depth: u8,
}

impl Default for DecodeConfig {
    fn default() -> DecodeConfig {
        DecodeConfig {
            key_seed: 0,
            tunnels: TunnelSet::ALL,
            vlan_in_key: false,
            vni_in_key: false,
            max_depth: 8,
        }
    }
}

/// How a packet was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// Decoded without the general path.
    pub fast_path: bool,
    /// Outermost VLAN id (12 bits), where the frame carried a tag.
    pub vlan: Option<u16>,
    /// Innermost tunnel, where there was one.
    pub tunnel: Option<TunnelKind>,
    /// That tunnel's number: VNI, VSID, GRE key, TEID, ERSPAN session; 0 where it has none.
    pub tunnel_id: u32,
    /// The last VLAN id met, where there was more than one.
    pub inner_vlan: Option<u16>,
    /// First MPLS label met.
    pub mpls_label: Option<u32>,
    /// Time to live of the outermost IP header around a tunnel, 0 where there is none.
    pub outer_ttl: u8,
    /// What the packet's IP header says to tell it from its neighbours.
    pub ident: Ident,
}

/// A decoded frame.
#[derive(Clone, Copy, Debug)]
pub struct Decoded {
    /// The innermost packet. `frame_at`, `number`, `block` and `clock` are left zero for the
    /// reader.
    pub packet: Packet,
    /// How it was reached.
    pub path: Path,
}

/// Why a frame gave no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// The frame carries no IP (ARP, LLDP, encrypted 802.11); not a loss.
    NotIp,
    /// IP stands behind an EtherType that is not known.
    HiddenIp,
    /// The link type is not known.
    Link,
    /// A header is longer than the captured bytes.
    Short,
    /// A header contradicts itself; says which rule it breaks.
    Malformed(&'static str),
    /// More nested headers than [`DecodeConfig::max_depth`].
    Depth,
    /// A later fragment whose first was not seen, or is forgotten.
    FragmentOrphan,
}

impl Reject {
    /// Where it is counted.
    pub const fn counter(self) -> Counter {
        match self {
            Reject::NotIp => Counter::NotIp,
            Reject::HiddenIp => Counter::HiddenIp,
            Reject::Link => Counter::RejectLink,
            Reject::Short => Counter::RejectShort,
            Reject::Malformed(_) => Counter::RejectMalformed,
            Reject::Depth => Counter::RejectDepth,
            Reject::FragmentOrphan => Counter::FragmentOrphans,
        }
    }
}

/// Turns frames into packets. One per reader: the fragment table makes it stateful.
#[derive(Debug)]
pub struct Decoder {
    config: DecodeConfig,
    hasher: KeyHasher,
    fragments: FragmentTable,
}

impl Decoder {
    /// A decoder with an empty fragment table.
    pub fn new(config: DecodeConfig) -> Decoder {
        Decoder {
            config,
            hasher: KeyHasher::new(config.key_seed),
            fragments: FragmentTable::new(fragments::CAP, config.key_seed),
        }
    }

    /// Decapsulates these tunnels from now on: sources may differ in it.
    pub const fn set_tunnels(&mut self, tunnels: TunnelSet) {
        self.config.tunnels = tunnels;
    }

    /// Decodes one frame seen at capture point `point`.
    pub fn decode_frame(&mut self, frame: &Frame<'_>, point: u16) -> Result<Decoded, Reject> {
        match self.decode_plain(frame, point) {
            Some(decoded) => Ok(decoded),
            None => self.decode_general(frame, point),
        }
    }

    /// Decodes a plain frame; `None` for whatever else. A caller that goes on from here inline
    /// keeps the packet in registers: put together in memory and copied, it would wait for its own
    /// stores.
    #[inline(always)]
    pub fn decode_plain(&self, frame: &Frame<'_>, point: u16) -> Option<Decoded> {
        fast::decode(&self.config, &self.hasher, frame, point)
    }

    /// Decodes any frame: slower.
    ///
    /// Errors: why there is no packet in it.
    #[inline(never)]
    pub fn decode_general(&mut self, frame: &Frame<'_>, point: u16) -> Result<Decoded, Reject> {
        let seen = (frame, point, Begin::Link);
        general::decode(&self.config, &self.hasher, &mut self.fragments, seen)
    }

    /// The packets of a frame that carries several, each with the place where it begins; `None` for
    /// any other frame.
    #[inline(never)]
    pub fn subframes<'f>(&self, frame: &Frame<'f>) -> Option<Subframes<'f>> {
        Subframes::of(&self.config, frame)
    }

    /// Decodes one of [`Decoder::subframes`].
    ///
    /// Errors: why there is no packet in it.
    pub fn decode_subframe(&mut self, subframe: &Frame<'_>, point: u16) -> Result<Decoded, Reject> {
        let seen = (subframe, point, Begin::Subframe);
        general::decode(&self.config, &self.hasher, &mut self.fragments, seen)
    }

    /// The outermost VLAN id of a packet and what else it was wrapped in, read again from its
    /// frame; `None` where its place in the frame is not found.
    pub fn wrapping(
        config: &DecodeConfig,
        packet: &Packet,
        bytes: &[u8],
    ) -> Option<(Option<u16>, Wrapping)> {
        wrapping::of(config, packet, bytes)
    }

    /// First fragments forgotten at the cap of the table, before their time.
    pub const fn fragments_evicted(&self) -> u64 {
        self.fragments.evicted()
    }
}
