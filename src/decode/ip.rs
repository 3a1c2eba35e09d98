//! IP headers; those with options and extension headers through etherparse's lax slices.
//!
//! Owns: lengths, fragments and the protocol behind the last extension header. In: a walk at an IP
//! header. Out: `Network`. Never: transport headers.

use etherparse::err::ip::LaxHeaderSliceError;
use etherparse::err::ipv6_exts::HeaderSliceError;
use etherparse::{Ipv6ExtensionSlice, LaxIpSlice, LaxIpv4Slice, LaxIpv6Slice};

use crate::decode::transport::{Network, Span};
use crate::decode::walk::Walk;
use crate::decode::{Reject, fast};
use crate::model::{Addr, Ident, PacketFlags, Transport};

/// Extension headers (RFC 8200 section 4.1, RFC 4302, RFC 6275, RFC 7401, RFC 5533).
const EXTENSIONS: [u8; 8] = [0, 43, 44, 51, 60, 135, 139, 140];

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// A fragment at offset 0.
    First(Fragment),
    /// A fragment behind it.
    Later(Fragment),
}

/// What identifies the datagram beside its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    /// Identification.
    pub id: u32,
    /// Protocol of the fragmented payload, from this fragment's own header.
    pub protocol: u8,
    /// Where its data belongs in the datagram, in bytes.
    pub offset: u32,
    /// Others follow behind it.
    pub more: bool,
}

/// Reads the IP header at the walk's position, without moving the walk.
pub(super) fn read(walk: &Walk<'_>) -> Result<(Network, Part), Reject> {
    plain(walk).unwrap_or_else(|| read_any(walk))
}

/// A whole packet without options or extension headers, as nearly all are; `None` for any other.
fn plain(walk: &Walk<'_>) -> Option<Result<(Network, Part), Reject>> {
    let bytes = walk.rest();
    let ((network, total), headers) = match bytes.first()? >> 4 {
        4 => (fast::header_v4(bytes.first_chunk()?)?, 20),
        6 => (fast::header_v6(bytes.first_chunk()?)?, 40),
        _ => return None,
    };
    let span = payload(walk, headers, total);
    let whole = |span| (Network { span, ..network }, Part::Whole);
    (!EXTENSIONS.contains(&network.transport.0)).then(|| span.map(whole))
}

/// The same for any header.
fn read_any(walk: &Walk<'_>) -> Result<(Network, Part), Reject> {
    let (slice, stop) = LaxIpSlice::from_slice(walk.rest()).map_err(|error| match error {
        LaxHeaderSliceError::Len(_) => Reject::Short,
        LaxHeaderSliceError::Content(_) => Reject::Malformed("not an IP header"),
    })?;
    let stop = stop.map(|(error, _)| match error {
        HeaderSliceError::Len(_) => Reject::Short,
        HeaderSliceError::Content(_) => Reject::Malformed("IP extension header"),
    });
    match &slice {
        LaxIpSlice::Ipv4(v4) => read_v4(walk, v4, stop),
        LaxIpSlice::Ipv6(v6) => match stop {
            // The extension headers may only be iterated if the parser accepted all of them.
            Some(reject) => Err(reject),
            None => read_v6(walk, v6),
        },
    }
}

/// RFC 791.
fn read_v4(
    walk: &Walk<'_>,
    v4: &LaxIpv4Slice<'_>,
    stop: Option<Reject>,
) -> Result<(Network, Part), Reject> {
    let header = v4.header();
    let header_len = header.slice().len();
    let total = match usize::from(header.total_len()) {
        // Segmentation offload: the NIC would have filled in the length. Use the frame's own end.
        0 => walk.span.wire_len(),
        total if total < header_len => return Err(Reject::Malformed("IPv4 total length")),
        total => total,
    };
    let fragment = Fragment {
        id: u32::from(header.identification()),
        protocol: header.protocol().0,
        offset: u32::from(header.fragments_offset().value()) * 8,
        more: header.more_fragments(),
    };
    let part = match (header.fragments_offset().value(), header.more_fragments()) {
        (0, false) => Part::Whole,
        (0, true) => Part::First(fragment),
        _ => Part::Later(fragment),
    };
    let later = matches!(part, Part::Later(_));
    let (options, transport) = match v4.extensions().auth {
        // In a later fragment, what looks like an extension header is data.
        _ if later => (0, header.protocol().0),
        Some(auth) => (auth.slice().len(), v4.payload().ip_number.0),
        None => match stop {
            Some(reject) => return Err(reject),
            None => (0, header.protocol().0),
        },
    };
    let network = Network {
        src: Addr::v4(header.source()),
        dst: Addr::v4(header.destination()),
        version: 4,
        transport: Transport(transport),
        ttl: header.ttl(),
        ident: Ident::v4(header.identification(), fragment_word(header.slice())),
        span: payload(walk, header_len + options, total)?,
    };
    Ok((network, part))
}

/// Flags and offset of an IPv4 header (RFC 791 section 3.1).
fn fragment_word(header: &[u8]) -> u16 {
    let word = header.get(6..8).and_then(|word| word.first_chunk::<2>());
    word.map_or(0, |word| u16::from_be_bytes(*word))
}

/// RFC 8200. Payload length 0 is a jumbogram or a segment that the NIC has yet to split.
fn read_v6(walk: &Walk<'_>, v6: &LaxIpv6Slice<'_>) -> Result<(Network, Part), Reject> {
    let header = v6.header();
    let total = match usize::from(header.payload_length()) {
        0 => walk.span.wire_len(),
        length => 40 + length,
    };
    let mut part = Part::Whole;
    let mut ident = Ident::v6(header.flow_label().value());
    if v6.is_payload_fragmented() {
        for extension in v6.extensions().clone() {
            if let Ipv6ExtensionSlice::Fragment(found) = extension {
                let fragment = Fragment {
                    id: found.identification(),
                    protocol: found.next_header().0,
                    offset: u32::from(found.fragment_offset().value()) * 8,
                    more: found.more_fragments(),
                };
                ident = Ident::v6_fragment(fragment.id, found.fragment_offset().value());
                part = match (found.fragment_offset().value(), found.more_fragments()) {
                    (0, false) => Part::Whole,
                    (0, true) => Part::First(fragment),
                    _ => Part::Later(fragment),
                };
                break;
            }
        }
    }
    let network = Network {
        src: Addr::v6(header.source()),
        dst: Addr::v6(header.destination()),
        version: 6,
        transport: Transport(v6.payload().ip_number.0),
        ttl: header.hop_limit(),
        ident,
        span: payload(walk, 40 + v6.extensions().slice().len(), total)?,
    };
    Ok((network, part))
}

/// What follows `headers` bytes of a packet of `total` bytes.
fn payload(walk: &Walk<'_>, headers: usize, total: usize) -> Result<Span, Reject> {
    let Span { at, end, wire_end } = walk.span;
    // The rest of a first fragment's payload is in other frames.
    let partial = walk.outer.flags & PacketFlags::FRAGMENT != 0;
    if walk.strict && !partial && at + total > wire_end {
        return Err(Reject::Malformed("IP packet longer than the tunnel's payload"));
    }
    if headers > total {
        return Err(Reject::Malformed("IP headers longer than their packet"));
    }
    let packet_end = at + total;
    let span = Span { at: at + headers, end: end.min(packet_end), wire_end: packet_end };
    if span.at > span.end { Err(Reject::Short) } else { Ok(span) }
}

/// Whether bytes of unknown type look like an IP header: version, header length, total length.
pub(super) fn plausible(bytes: &[u8]) -> bool {
    match bytes.first().map(|first| (first >> 4, first & 0x0f)) {
        Some((4, words)) => match bytes.first_chunk::<20>() {
            Some([_, _, l0, l1, ..]) => {
                let total = u16::from_be_bytes([*l0, *l1]);
                words >= 5 && (total == 0 || total >= u16::from(words) * 4)
            }
            None => false,
        },
        Some((6, _)) => bytes.len() >= 40,
        _ => false,
    }
}

/// How well bytes of unknown type match an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Not an IP packet.
    No,
    /// The header is consistent and the packet is no longer than the bytes.
    Length,
    /// The header checksum is correct as well.
    Checksum,
}

/// Whether `bytes`, which were `wire` bytes long on the wire, are an IP packet. Stricter than
/// [`plausible`]: for places where nothing announces IP.
pub(super) fn fit(bytes: &[u8], wire: usize) -> Fit {
    match bytes.first().map(|first| first >> 4) {
        Some(4) => fit_v4(bytes, wire),
        Some(6) => fit_v6(bytes, wire),
        _ => Fit::No,
    }
}

/// RFC 791 section 3.1. A packet that was truncated without a note is longer than its bytes; then
/// the checksum alone decides.
fn fit_v4(bytes: &[u8], wire: usize) -> Fit {
    let Some([first, _, l0, l1, _, _, _, _, _, protocol, ..]) = bytes.first_chunk::<20>() else {
        return Fit::No;
    };
    let (header, total) = (usize::from(first & 0x0f) * 4, u16::from_be_bytes([*l0, *l1]));
    let Some(words) = bytes.get(..header).filter(|_| header >= 20) else { return Fit::No };
    let pairs = words.chunks_exact(2).filter_map(|pair| pair.first_chunk::<2>());
    let sum: u32 = pairs.map(|pair| u32::from(u16::from_be_bytes(*pair))).sum();
    match usize::from(total) {
        // The checksum's own field makes the sum 0xffff (RFC 1071 section 1).
        total if total >= header && (sum & 0xffff) + (sum >> 16) == 0xffff => Fit::Checksum,
        total if total >= header && total <= wire => Fit::Length,
        // Segmentation offload: the NIC would have filled in the length.
        0 if *protocol == 6 => Fit::Length,
        _ => Fit::No,
    }
}

/// RFC 8200 section 3: the payload length, and a next header that is assigned.
fn fit_v6(bytes: &[u8], wire: usize) -> Fit {
    let Some([_, _, _, _, l0, l1, next, ..]) = bytes.first_chunk::<40>() else { return Fit::No };
    let length = usize::from(u16::from_be_bytes([*l0, *l1]));
    // Extension headers (section 4.1), AH and ESP, and the protocols that longhaul decodes.
    let known = matches!(next, 0 | 4 | 6 | 17 | 41 | 43 | 44 | 47 | 50 | 51 | 58 | 59 | 60 | 132);
    if known && length > 0 && 40 + length <= wire { Fit::Length } else { Fit::No }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::DecodeConfig;
    use crate::model::{Frame, LinkType, Nanos};
    use proptest::prelude::*;

    proptest! {
        /// What is taken for plain is what the general way says.
        #[test]
        fn a_plain_header_is_read_like_any_other(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..80),
            first in proptest::sample::select(vec![0x45, 0x60, 0x6f, 0x46, 0x50]),
            next in proptest::sample::select(vec![0, 4, 6, 17, 43, 44, 47, 51, 58, 59, 60, 135]),
            length in 0u8..90, more in 0u32..9, strict in any::<bool>(), fragment in any::<bool>(),
        ) {
            let v6 = first >> 4 == 6;
            let fields = [(0, first), (if v6 { 6 } else { 9 }, next)];
            let lengths = if v6 { [(4, 0), (5, length)] } else { [(2, 0), (3, length)] };
            let whole = if v6 || fragment { vec![] } else { vec![(6, 0x40), (7, 0)] };
            for (at, value) in fields.into_iter().chain(lengths).chain(whole) {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            let wire_len = bytes.len() as u32 + more;
            let (time, link) = (Nanos(1), LinkType::RAW);
            let frame = Frame { time, link, wire_len, bytes: &bytes };
            let mut walk = Walk::new(&DecodeConfig::default(), &frame, 0);
            walk.strict = strict;
            if let Some(plain) = plain(&walk) {
                prop_assert_eq!(format!("{:?}", plain), format!("{:?}", read_any(&walk)));
            }
        }
    }
}
