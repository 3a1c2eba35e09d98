//! Segments as bytes: Ethernet, IPv4, TCP; and a capture file around them.

use super::Seen;
use super::Segment;
use super::Side;

/// The client's port of a connection.
pub const fn client_port(connection: u16) -> u16 {
    40_000 + connection
}

/// The server's port: not a system port, so that it does not tell who began.
pub const SERVER_PORT: u16 = 50_000;

/// The frame of a segment; checksums are left out.
pub fn bytes(segment: &Segment) -> Vec<u8> {
    let options = options(segment);
    let ends = [[10, 9, 0, 1], [198, 51, 100, 7]];
    let ports = [client_port(segment.connection), SERVER_PORT];
    let from = usize::from(segment.from == Side::Server);
    let tcp = 20 + options.len();
    let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    out.extend((20 + tcp as u16 + segment.len).to_be_bytes());
    out.extend([0, 0, 0x40, 0, 60, 6, 0, 0]);
    out.extend(ends[from]);
    out.extend(ends[1 - from]);
    out.extend(ports[from].to_be_bytes());
    out.extend(ports[1 - from].to_be_bytes());
    out.extend(segment.seq.to_be_bytes());
    out.extend(segment.ack.to_be_bytes());
    out.extend([(tcp as u8 / 4) << 4, segment.flags, 0xff, 0xff, 0, 0, 0, 0]);
    out.extend(options);
    out.resize(out.len() + usize::from(segment.len), b'.');
    out
}

/// MSS in a SYN, and timestamps (RFC 7323 section 3.2).
fn options(segment: &Segment) -> Vec<u8> {
    let mut out = if segment.flags & 0x02 != 0 { vec![2, 4, 0x05, 0xb4] } else { Vec::new() };
    if let Some((value, echo)) = segment.stamps {
        out.extend([1, 1, 8, 10]);
        out.extend(value.to_be_bytes());
        out.extend(echo.to_be_bytes());
    }
    out
}

/// A pcap file with nanoseconds.
pub fn pcap(seen: &[Seen]) -> Vec<u8> {
    pcap_of(seen.iter().map(|frame| (frame.at, &frame.bytes[..])))
}

/// A pcap file of frames with their times in ns since 1970.
pub fn pcap_of<'f>(frames: impl Iterator<Item = (u64, &'f [u8])>) -> Vec<u8> {
    let mut out = vec![0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    out.extend([0, 0, 4, 0, 1, 0, 0, 0]);
    for (at, bytes) in frames {
        let len = bytes.len() as u64;
        for word in [at / 1_000_000_000, at % 1_000_000_000, len, len] {
            out.extend((word as u32).to_le_bytes());
        }
        out.extend(bytes);
    }
    out
}
