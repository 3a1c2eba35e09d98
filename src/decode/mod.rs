//! Frames in, packets out: link layers, decapsulation, IP, fragments, transport headers.
//!
//! Owns: the steps from a link type to the innermost session key, and the table of first fragments.
//! In: `Frame` from capture. Out: `Packet` for dispatch, or a counted reason.
//! Never: payload, sessions, or bytes kept beyond the call, but for fragments whose session is not
//! known yet.
//!
//! Two paths give the same answer. `fast` handles plain frames: Ethernet, at most one 802.1Q tag,
//! IPv4 without options or IPv6 without extension headers, TCP or UDP. It declines everything else,
//! and `general` walks header by header with etherparse's lax slices and our own small
//! decapsulators.

use crate::model::record::Wrapping;
use crate::model::{Counter, Counters, Frame, Ident, Packet};

mod early_fragments;
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

pub use early_fragments::JoinedFrame;
pub use key::SHARDS;
pub use tunnel::{TunnelKind, TunnelSet};
pub use wlan::Subframes;

use early_fragments::EarlyFragments;
use fragments::FragmentTable;
use general::FirstHeader;
use key::KeyHasher;

/// Settings of the decoder.
#[derive(Clone, Copy, Debug)]
pub struct DecodeConfig {
    /// Secret of this run for the table hash: unpredictable to senders, without effect on results.
    pub key_seed: u64,
    /// Decapsulations that are on. If one is off, the tunnel itself is the session.
    pub tunnels: TunnelSet,
    /// Whether the outermost VLAN id is part of the session key (overlapping address space).
    pub vlan_in_key: bool,
    /// Whether the innermost tunnel's network identifier is part of the key as well.
    pub vni_in_key: bool,
    /// Maximum number of nested tags, label stacks and tunnels in a frame.
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

/// The encapsulation of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// Decoded by the fast path.
    pub fast_path: bool,
    /// Outermost VLAN id (12 bits), if tagged.
    pub vlan: Option<u16>,
    /// Innermost tunnel, if any.
    pub tunnel: Option<TunnelKind>,
    /// That tunnel's number: VNI, VSID, GRE key, TEID, ERSPAN session; 0 if it has none.
    pub tunnel_id: u32,
    /// Innermost VLAN id, if there is more than one.
    pub inner_vlan: Option<u16>,
    /// Outermost MPLS label.
    pub mpls_label: Option<u32>,
    /// Time to live of the outermost IP header around a tunnel, 0 without a tunnel.
    pub outer_ttl: u8,
    /// Identification of the packet's IP header.
    pub ident: Ident,
}

/// A decoded frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoded {
    /// The innermost packet. Its `frame_at`, `number`, `wire_len`, `clock` and `stamp` mean
    /// nothing before the reader, which alone knows them, has set them.
    pub packet: Packet,
    /// Its encapsulation.
    pub path: Path,
}

/// Why a frame gave no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// The frame carries no IP (ARP, LLDP, encrypted 802.11); not a loss.
    NotIp,
    /// IP follows behind an unknown EtherType.
    HiddenIp,
    /// Unknown link type.
    Link,
    /// A header is longer than the captured bytes.
    Short,
    /// A header contradicts itself; names the broken rule.
    Malformed(&'static str),
    /// More nested headers than [`DecodeConfig::max_depth`].
    Depth,
    /// A later fragment whose first was not seen, or has expired.
    FragmentOrphan,
    /// A fragment that is held until the transport header is known.
    FragmentEarly,
}

impl Reject {
    /// The counter of this reason.
    pub const fn counter(self) -> Counter {
        match self {
            Reject::NotIp => Counter::NotIp,
            Reject::HiddenIp => Counter::HiddenIp,
            Reject::Link => Counter::RejectLink,
            Reject::Short => Counter::RejectShort,
            Reject::Malformed(_) => Counter::RejectMalformed,
            Reject::Depth => Counter::RejectDepth,
            Reject::FragmentOrphan => Counter::FragmentOrphans,
            Reject::FragmentEarly => Counter::FragmentsHeld,
        }
    }
}

/// Turns frames into packets. One per reader, because the fragment table is state.
#[derive(Debug)]
pub struct Decoder {
    config: DecodeConfig,
    hasher: KeyHasher,
    fragments: FragmentTable,
    early: EarlyFragments,
}

impl Decoder {
    /// A decoder with an empty fragment table.
    pub fn new(config: DecodeConfig) -> Decoder {
        Decoder {
            config,
            hasher: KeyHasher::new(config.key_seed),
            fragments: FragmentTable::new(fragments::CAP, config.key_seed),
            early: EarlyFragments::new(config.key_seed),
        }
    }

    /// Selects the tunnels to decapsulate from now on: sources may differ.
    pub const fn set_tunnels(&mut self, tunnels: TunnelSet) {
        self.config.tunnels = tunnels;
    }

    /// What the run's clock shows: so long fragments are remembered.
    pub const fn set_clock(&mut self, clock: u32) {
        self.fragments.set_clock(clock);
    }

    /// Decodes one frame seen at capture point `point`.
    pub fn decode_frame(&mut self, frame: &Frame<'_>, point: u16) -> Result<Decoded, Reject> {
        match self.decode_plain(frame, point) {
            Some(decoded) => Ok(decoded),
            None => self.decode_general(frame, point),
        }
    }

    /// Decodes a plain frame; `None` for any other.
    pub fn decode_plain(&self, frame: &Frame<'_>, point: u16) -> Option<Decoded> {
        let mut decoded = Decoded::default();
        self.decode_plain_into(frame, point, &mut decoded).then_some(decoded)
    }

    /// The same into a place that is used again for every frame; returns whether the frame is
    /// plain. So each field is written once, where the rest of the reader finds it: there are far
    /// more of them than registers.
    #[inline(always)]
    pub fn decode_plain_into(&self, frame: &Frame<'_>, point: u16, into: &mut Decoded) -> bool {
        fast::decode(&self.config, &self.hasher, (frame, point), into).is_some()
    }

    /// Decodes any frame; slower.
    ///
    /// Errors: why the frame gives no packet.
    #[inline(never)]
    pub fn decode_general(&mut self, frame: &Frame<'_>, point: u16) -> Result<Decoded, Reject> {
        let seen = (frame, point, FirstHeader::Link);
        let tables = (&mut self.fragments, &mut self.early);
        general::decode(&self.config, &self.hasher, tables, seen)
    }

    /// The subframes of an aggregate, each with its offset; `None` for any other frame.
    #[inline(never)]
    pub fn subframes<'f>(&self, frame: &Frame<'f>) -> Option<Subframes<'f>> {
        Subframes::of(&self.config, frame)
    }

    /// Decodes one of [`Decoder::subframes`].
    ///
    /// Errors: why the subframe gives no packet.
    pub fn decode_subframe(&mut self, subframe: &Frame<'_>, point: u16) -> Result<Decoded, Reject> {
        let seen = (subframe, point, FirstHeader::Subframe);
        let tables = (&mut self.fragments, &mut self.early);
        general::decode(&self.config, &self.hasher, tables, seen)
    }

    /// The outermost VLAN id of a packet and the rest of its encapsulation, read again from its
    /// frame; `None` if the packet's position in the frame cannot be reproduced.
    pub fn wrapping(
        config: &DecodeConfig,
        packet: &Packet,
        bytes: &[u8],
    ) -> Option<(Option<u16>, Wrapping)> {
        wrapping::of(config, packet, bytes)
    }

    /// The same, with the tunnels that this decoder opens now.
    pub fn wrapping_of(&self, packet: &Packet, bytes: &[u8]) -> Option<(Option<u16>, Wrapping)> {
        wrapping::of(&self.config, packet, bytes)
    }

    /// The frame of a datagram that was made whole by the frame just rejected as
    /// [`Reject::FragmentEarly`], or the first of one that it contradicts: to be decoded in its
    /// place.
    pub fn take_joined(&mut self) -> Option<JoinedFrame> {
        self.early.take_joined()
    }

    /// The datagram of the frame just rejected as [`Reject::FragmentEarly`].
    pub const fn held_fragment(&self) -> Option<fragments::FragmentId> {
        self.early.last()
    }

    /// Counts what became of held fragments since the last call. At the end of the input none is
    /// held any longer.
    pub fn count_held(&mut self, counters: &mut Counters, is_end: bool) {
        self.early.drain(counters, is_end);
    }

    /// First fragments evicted at the cap of the table, before they expired.
    pub const fn fragments_evicted(&self) -> u64 {
        self.fragments.evicted()
    }
}
