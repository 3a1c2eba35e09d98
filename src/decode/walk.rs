//! The general path's position in a frame.
//!
//! Owns: the position, the depth, the encapsulation found so far. In: a frame. Out: fixed-size
//! headers. Never: knows a protocol.

use crate::decode::fragments::FragmentId;
use crate::decode::transport::{Outer, Span};
use crate::decode::{DecodeConfig, Reject, TunnelKind};
use crate::model::{Frame, PacketFlags};

/// The type of the header at the current position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An Ethernet header.
    Ethernet,
    /// The header that this EtherType announces.
    EtherType(u16),
    /// An 802.2 LLC header.
    Llc,
    /// A PPP protocol field.
    Ppp,
    /// An MPLS label stack.
    Mpls,
    /// An 802.11 header.
    Wlan,
    /// An IP header.
    Ip,
}

/// A walk through one frame. It is copied before a tunnel is tried; the copy is dropped if there
/// was no tunnel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk<'a> {
    /// The whole frame.
    pub bytes: &'a [u8],
    /// The rest of the current layer.
    pub span: Span,
    /// The packet fields collected so far.
    pub outer: Outer,
    /// The id of the outermost first fragment.
    pub fragment: Option<FragmentId>,
    /// Inner IP lengths must fit the tunnel's payload: set for a tunnel recognised by its port
    /// alone.
    pub strict: bool,
    depth_left: u8,
}

impl<'a> Walk<'a> {
    /// A walk at the start of a frame.
    pub(super) fn new(config: &DecodeConfig, frame: &Frame<'a>, point: u16) -> Walk<'a> {
        let end = frame.bytes.len();
        let wire_end = usize::try_from(frame.wire_len).unwrap_or(end).max(end);
        Walk {
            bytes: frame.bytes,
            span: Span { at: 0, end, wire_end },
            outer: Outer::of(frame, point),
            fragment: None,
            strict: false,
            depth_left: config.max_depth,
        }
    }

    /// The captured bytes left in the current layer.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.span.of(self.bytes)
    }

    /// Reads the next `N` bytes.
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Reject> {
        let head = self.rest().first_chunk::<N>().ok_or(Reject::Short)?;
        self.span.at += N;
        Ok(*head)
    }

    /// Reads two bytes, network order.
    pub(super) fn take_u16(&mut self) -> Result<u16, Reject> {
        self.take().map(u16::from_be_bytes)
    }

    /// Reads four bytes, network order.
    pub(super) fn take_u32(&mut self) -> Result<u32, Reject> {
        self.take().map(u32::from_be_bytes)
    }

    /// Skips `n` bytes.
    pub(super) fn skip(&mut self, n: usize) -> Result<(), Reject> {
        let at = self.span.at.checked_add(n).filter(|at| *at <= self.span.end);
        self.span.at = at.ok_or(Reject::Short)?;
        Ok(())
    }

    /// Limits the current layer to `n` wire bytes; what follows is padding or a trailer.
    pub(super) fn bound(&mut self, n: usize) {
        self.span.wire_end = self.span.wire_end.min(self.span.at.saturating_add(n));
        self.span.end = self.span.end.min(self.span.wire_end);
    }

    /// Counts a tag, label stack or tunnel against the limit.
    pub(super) fn nest(&mut self) -> Result<(), Reject> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(Reject::Depth)?;
        Ok(())
    }

    /// Records an MPLS label; the outermost one is kept.
    pub(super) fn label(&mut self, label: u32) {
        self.outer.flags |= PacketFlags::TAGGED;
        self.outer.path.mpls_label.get_or_insert(label);
    }

    /// Records a VLAN tag: the outermost one is the VLAN, the last one the inner VLAN.
    pub(super) fn tag(&mut self, tci: u16) -> Result<(), Reject> {
        self.nest()?;
        self.outer.flags |= PacketFlags::TAGGED;
        let path = &mut self.outer.path;
        match path.vlan {
            None => path.vlan = Some(tci & 0x0fff),
            Some(_) => path.inner_vlan = Some(tci & 0x0fff),
        }
        Ok(())
    }

    /// Records a tunnel.
    pub(super) fn enter(&mut self, kind: TunnelKind, id: u32) -> Result<(), Reject> {
        self.nest()?;
        self.outer.flags |= PacketFlags::TUNNELLED;
        self.outer.path.tunnel = Some(kind);
        self.outer.path.tunnel_id = id;
        self.strict = false;
        Ok(())
    }
}
