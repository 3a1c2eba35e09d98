//! The general path: header by header to the innermost IP packet.
//!
//! Owns: the order of layers, and the rule that a malformed tunnel never costs the packet around
//! it. In: any frame. Out: a packet or a reason. Never: assumes a header that it has not read.

use crate::decode::early_fragments::{Early, EarlyFragment, EarlyFragments};
use crate::decode::fragments::{FragmentId, FragmentTable, Inherited};
use crate::decode::ip::{self, Part};
use crate::decode::key::KeyHasher;
use crate::decode::transport::{self, Network, Outer, Segment};
use crate::decode::walk::{Next, Walk};
use crate::decode::{DecodeConfig, Decoded, Path, Reject, link, tunnel, udp_tunnel, wlan};
use crate::model::record::Layer;
use crate::model::{Frame, Packet, PacketFlags, Transport};

/// The first header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstHeader {
    /// The header of its link type.
    Link,
    /// The addresses and length of an 802.11 subframe.
    Subframe,
}

/// Decodes one frame seen at a capture point.
pub(super) fn decode(
    config: &DecodeConfig,
    hasher: &KeyHasher,
    (fragments, early): (&mut FragmentTable, &mut EarlyFragments),
    seen: (&Frame<'_>, u16, FirstHeader),
) -> Result<Decoded, Reject> {
    let result = decode_part(config, hasher, (fragments, Some(&*early)), seen);
    let Err((reject, part)) = result else { return result.map_err(|(reject, _)| reject) };
    let Some(part) = part else { return Err(reject) };
    match early.take(&part, seen.0, fragments.clock()) {
        Early::Held => Err(Reject::FragmentEarly),
        Early::No if !part.readable => Err(reject),
        Early::No => {
            let alone = decode_part(config, hasher, (fragments, None), seen);
            alone.map_err(|(reject, _)| reject)
        }
    }
}

/// The same; an error also tells the fragment that it is about, if others may make it readable.
fn decode_part(
    config: &DecodeConfig,
    hasher: &KeyHasher,
    (fragments, early): (&mut FragmentTable, Option<&EarlyFragments>),
    (frame, point, begin): (&Frame<'_>, u16, FirstHeader),
) -> Result<Decoded, (Reject, Option<EarlyFragment>)> {
    let walk = Walk::new(config, frame, point);
    let early = early.filter(|_| begin == FirstHeader::Link);
    let (around, layers, part) = (None, None, None);
    let mut descent = Descent { config, hasher, fragments, early, walk, around, layers, part };
    let result = match descent.begin(frame, begin).and_then(|next| descent.run(next)) {
        Ok(decoded) => Ok(decoded),
        Err(reject) if descent.part.is_some() => return Err((reject, descent.part)),
        // Inside a tunnel these reasons are about a real inner packet. Any other reason only means
        // that the tunnel payload is not readable, and the outer packet counts.
        Err(reject @ (Reject::Depth | Reject::FragmentOrphan | Reject::HiddenIp)) => Err(reject),
        Err(reject) => descent.fall_back(reject),
    }
    .map_err(|reject| (reject, None));
    let fragment = descent.walk.fragment;
    if let (Ok(decoded), Some(id)) = (&result, fragment) {
        fragments.insert(id, inherited(decoded));
    }
    result
}

/// Decodes the first frame of a session again and lists its tunnels, outermost first. Fragments are
/// neither looked up nor remembered.
pub(super) fn trace(
    config: &DecodeConfig,
    hasher: &KeyHasher,
    frame: &Frame<'_>,
    layers: &mut Vec<Layer>,
) -> Result<Decoded, Reject> {
    let (walk, none) = (Walk::new(config, frame, 0), FragmentTable::new(1, 0));
    let layers = Some(layers);
    let (around, early, part) = (None, None, None);
    let fragments = &none;
    let mut descent = Descent { config, hasher, fragments, early, walk, around, layers, part };
    let result = descent.begin(frame, FirstHeader::Link).and_then(|next| descent.run(next));
    result.or_else(|reject| descent.fall_back(reject))
}

/// The state of decoding one frame.
struct Descent<'a> {
    config: &'a DecodeConfig,
    hasher: &'a KeyHasher,
    fragments: &'a FragmentTable,
    /// Datagrams that wait for more fragments; `None` if this frame has no part in them.
    early: Option<&'a EarlyFragments>,
    walk: Walk<'a>,
    /// The packet around the tunnel being read: its headers, and what stood before them.
    around: Option<(Outer, Network, Segment)>,
    /// Collects the tunnels, if requested.
    layers: Option<&'a mut Vec<Layer>>,
    /// The fragment that ended the descent.
    part: Option<EarlyFragment>,
}

/// The result of reading one packet.
enum Step {
    /// The innermost packet.
    Done(Decoded),
    /// A tunnel; the walk is at its payload.
    Inside(Next),
}

impl Descent<'_> {
    /// Reads the first header.
    fn begin(&mut self, frame: &Frame<'_>, begin: FirstHeader) -> Result<Next, Reject> {
        match begin {
            FirstHeader::Link => link::first(&mut self.walk, frame.link),
            FirstHeader::Subframe => {
                self.walk.outer.flags |= PacketFlags::ETHERNET;
                wlan::subframe(&mut self.walk)
            }
        }
    }

    /// Descends to the innermost packet. It ends because every step consumes bytes or leads to one
    /// that does.
    fn run(&mut self, mut next: Next) -> Result<Decoded, Reject> {
        loop {
            next = match next {
                Next::Ip => match self.packet()? {
                    Step::Done(decoded) => return Ok(decoded),
                    Step::Inside(next) => next,
                },
                other => link::descend(&mut self.walk, other)?,
            };
        }
    }

    /// Reads IP and transport headers, and enters the tunnel if this is one.
    fn packet(&mut self) -> Result<Step, Reject> {
        let (network, part) = ip::read(&self.walk)?;
        let mut first = None;
        match part {
            Part::Whole => {}
            Part::First(fragment) => {
                let id = self.fragment_id(&network, fragment);
                self.walk.outer.flags |= PacketFlags::FRAGMENT;
                self.walk.fragment.get_or_insert(id);
                first = Some((fragment, id));
            }
            Part::Later(fragment) => {
                let id = self.fragment_id(&network, fragment);
                if self.early.is_some_and(|early| early.holds(&id)) {
                    return Err(self.note_early(&network, (fragment, id), false));
                }
                return self.later(&network, &id).map(Step::Done).inspect_err(|_| {
                    self.note_early(&network, (fragment, id), false);
                });
            }
        }
        let read = transport::read(network.transport, self.walk.bytes, network.span);
        if let Some((fragment, id)) = first {
            let waited_for = self.early.is_some_and(|early| early.holds(&id));
            if waited_for || matches!(read, Err(Reject::Malformed(_))) {
                let reject = self.note_early(&network, (fragment, id), read.is_ok());
                return Err(read.err().unwrap_or(reject));
            }
        }
        let segment = read?;
        // Few frames need the packet around a tunnel, so it is not built yet.
        let outer = self.walk.outer;
        transport::offset(network.span.at)?;
        // A copy: if this is no tunnel after all, the walk stays at this packet.
        let mut walk = self.walk;
        walk.span = network.span;
        let inside = if network.transport == Transport::UDP {
            let Segment { src_port, dst_port, payload_len, payload_missing, .. } = segment;
            walk.skip(segment.header_len)?;
            walk.bound(payload_len + payload_missing);
            udp_tunnel::enter(self.config, &mut walk, (src_port, dst_port))
        } else {
            tunnel::enter(self.config, &mut walk, network.transport.0)
        };
        match inside {
            Ok(Some(next)) => {
                self.around = Some((outer, network, segment));
                if walk.outer.path.outer_ttl == 0 {
                    walk.outer.path.outer_ttl = network.ttl;
                }
                self.walk = walk;
                self.note(&network);
                Ok(Step::Inside(next))
            }
            Err(Reject::Depth) => Err(Reject::Depth),
            Ok(None) | Err(_) => self.assemble(&outer, &network, &segment).map(Step::Done),
        }
    }

    /// Notes a fragment whose session is unknown until others have come. Inside a tunnel it is not
    /// noted: what is put together would have lost its tunnel.
    fn note_early(
        &mut self,
        network: &Network,
        (fragment, id): (ip::Fragment, FragmentId),
        readable: bool,
    ) -> Reject {
        let tunnelled = self.walk.outer.flags & PacketFlags::TUNNELLED != 0;
        if self.early.is_some() && !tunnelled {
            let ip::Fragment { offset, more, .. } = fragment;
            let (ip_at, data) = (self.walk.span.at, network.span);
            self.part = Some(EarlyFragment { id, ip_at, data, offset, more, readable });
        }
        Reject::FragmentOrphan
    }

    /// Records the tunnel just entered.
    fn note(&mut self, around: &Network) {
        let Path { tunnel, tunnel_id, .. } = self.walk.outer.path;
        if let (Some(layers), Some(kind)) = (&mut self.layers, tunnel) {
            let (source, destination) = (around.src, around.dst);
            layers.push(Layer { kind: kind.as_str(), id: tunnel_id, source, destination });
        }
    }

    /// A later fragment: it has the key of its first and no transport header.
    fn later(&self, network: &Network, id: &FragmentId) -> Result<Decoded, Reject> {
        let first = self.fragments.get(id).ok_or(Reject::FragmentOrphan)?;
        let captured = network.span.of(self.walk.bytes).len();
        let segment = Segment {
            payload_len: captured,
            payload_missing: network.span.wire_len().saturating_sub(captured),
            ..Segment::default()
        };
        let mut decoded = self.assemble(&self.walk.outer, network, &segment)?;
        let packet = &mut decoded.packet;
        (packet.key, packet.hash, packet.shard) = (first.key, first.hash, first.shard);
        let kept = packet.flags.0 & !PacketFlags::FROM_B;
        let from_b = if first.from_b { PacketFlags::FROM_B } else { 0 };
        packet.flags = PacketFlags(kept | from_b | PacketFlags::FRAGMENT_LATER);
        Ok(decoded)
    }

    /// What fragments of one datagram share.
    fn fragment_id(&self, network: &Network, fragment: ip::Fragment) -> FragmentId {
        FragmentId {
            src: network.src,
            dst: network.dst,
            id: fragment.id,
            scope: self.walk.outer.scope(self.config),
            point: self.walk.outer.point,
            protocol: fragment.protocol,
            version: network.version,
        }
    }

    /// The packet around a tunnel whose payload is not readable, if there is one.
    fn fall_back(&self, reject: Reject) -> Result<Decoded, Reject> {
        let (outer, network, segment) = self.around.as_ref().ok_or(reject)?;
        self.assemble(outer, network, segment)
    }

    /// Builds a packet from the headers read.
    fn assemble(
        &self,
        outer: &Outer,
        network: &Network,
        segment: &Segment,
    ) -> Result<Decoded, Reject> {
        let path = Path { ident: network.ident, ..outer.path };
        let mut decoded = Decoded { packet: Packet::default(), path };
        let known = (self.config, self.hasher);
        transport::fill(known, outer, (network, segment), &mut decoded.packet)?;
        Ok(decoded)
    }
}

/// What later fragments inherit from this one.
fn inherited(decoded: &Decoded) -> Inherited {
    let packet = &decoded.packet;
    Inherited {
        key: packet.key,
        hash: packet.hash,
        shard: packet.shard,
        from_b: packet.flags.has(PacketFlags::FROM_B),
    }
}
