//! The PROXY header: the addresses of the original connection, sent by a proxy ("The PROXY
//! protocol, versions 1 & 2", sections 2.1 and 2.2, haproxy.org).
//!
//! Owns: both versions. In: the start of a stream's bytes. Out: its size, and the addresses in it.
//! Never: its extensions, or what follows.

use std::net::IpAddr;

use crate::model::Addr;
use crate::model::app_facts::ProxyHeader;
use crate::wire::{Reader, WireError};

/// The prefix of version 1.
pub const LINE_START: &[u8] = b"PROXY ";
/// The signature of version 2.
pub const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1, its end included.
const LINE_MAX: usize = 107;
/// Longest header of version 2 that is read: addresses take 36 bytes, the rest is extensions.
pub const SIZE_MAX: usize = 2 * 1024;

/// Reads a header: its size, and the addresses, if they are of TCP over IP.
///
/// # Errors
/// `NotThis` if it is not one or too long, `NeedMore` if it is incomplete.
pub fn proxy_header(bytes: &[u8]) -> Result<(usize, Option<ProxyHeader>), WireError> {
    if bytes.starts_with(LINE_START) { line(bytes) } else { binary(bytes) }
}

fn line(bytes: &[u8]) -> Result<(usize, Option<ProxyHeader>), WireError> {
    let window = bytes.get(..LINE_MAX).unwrap_or(bytes);
    let Some(end) = window.iter().position(|b| *b == b'\n') else {
        let whole = window.len() == LINE_MAX;
        return Err(if whole { WireError::NotThis } else { WireError::NeedMore(1) });
    };
    let text = bytes.get(..end).and_then(|line| std::str::from_utf8(line).ok());
    Ok((end + 1, text.and_then(ends)))
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443`.
fn ends(line: &str) -> Option<ProxyHeader> {
    let mut words = line.trim_end_matches('\r').split(' ').skip(1);
    if !matches!(words.next()?, "TCP4" | "TCP6") {
        return None;
    }
    let source: IpAddr = words.next()?.parse().ok()?;
    let destination: IpAddr = words.next()?.parse().ok()?;
    Some(ProxyHeader {
        source: source.into(),
        destination: destination.into(),
        source_port: words.next()?.parse().ok()?,
        destination_port: words.next()?.parse().ok()?,
    })
}

fn binary(bytes: &[u8]) -> Result<(usize, Option<ProxyHeader>), WireError> {
    let mut r = Reader::new(bytes);
    if r.take(SIGNATURE.len())? != SIGNATURE {
        return Err(WireError::NotThis);
    }
    let (command, family) = (r.u8()?, r.u8()?);
    let length = usize::from(r.u16()?);
    if command >> 4 != 2 || length > SIZE_MAX {
        return Err(WireError::NotThis);
    }
    let mut body = r.sub(length)?;
    let size = bytes.len() - r.left();
    let named = match (command & 15, family) {
        // PROXY, and TCP over IPv4 or IPv6; LOCAL has no addresses.
        (1, 0x11) => four(&mut body).ok(),
        (1, 0x21) => six(&mut body).ok(),
        _ => None,
    };
    Ok((size, named))
}

fn four(r: &mut Reader<'_>) -> Result<ProxyHeader, WireError> {
    let (source, destination) = (r.array::<4>()?, r.array::<4>()?);
    with_ports(IpAddr::from(source).into(), IpAddr::from(destination).into(), r)
}

fn six(r: &mut Reader<'_>) -> Result<ProxyHeader, WireError> {
    let (source, destination) = (r.array::<16>()?, r.array::<16>()?);
    with_ports(IpAddr::from(source).into(), IpAddr::from(destination).into(), r)
}

fn with_ports(
    source: Addr,
    destination: Addr,
    r: &mut Reader<'_>,
) -> Result<ProxyHeader, WireError> {
    Ok(ProxyHeader { source, destination, source_port: r.u16()?, destination_port: r.u16()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(source: &str, destination: &str, ports: (u16, u16)) -> Option<ProxyHeader> {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap().into();
        let (source, destination) = (ip(source), ip(destination));
        Some(ProxyHeader { source, destination, source_port: ports.0, destination_port: ports.1 })
    }

    #[test]
    fn version_1_has_both_addresses() {
        let bytes = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nrest";
        let named = header("192.0.2.1", "192.0.2.2", (56324, 443));
        assert_eq!(proxy_header(bytes), Ok((bytes.len() - 4, named)));
        assert_eq!(proxy_header(b"PROXY UNKNOWN\r\n"), Ok((15, None)));
        assert_eq!(proxy_header(b"PROXY TCP4 x y 1 2\n"), Ok((19, None)));
        assert_eq!(proxy_header(b"PROXY TCP4 192"), Err(WireError::NeedMore(1)));
        let long = [b"PROXY ".to_vec(), vec![b'x'; 200]].concat();
        assert_eq!(proxy_header(&long), Err(WireError::NotThis));
    }

    #[test]
    fn version_2_has_both_addresses() {
        let mut bytes = [SIGNATURE, &[0x21, 0x11, 0, 15, 10, 0, 0, 1, 10, 0, 0, 2]].concat();
        bytes.extend([0x1f, 0x90, 0, 80, 4, 0, 0]);
        let named = header("10.0.0.1", "10.0.0.2", (8080, 80));
        assert_eq!(proxy_header(&bytes), Ok((31, named)));
        assert!(matches!(proxy_header(&bytes[..30]), Err(WireError::NeedMore(_))));
        bytes[12] = 0x20;
        assert_eq!(proxy_header(&bytes), Ok((31, None)), "the proxy speaks for itself");
        bytes[12] = 0x31;
        assert_eq!(proxy_header(&bytes), Err(WireError::NotThis));
    }

    proptest! {
        #[test]
        fn never_takes_more(v1: bool, tail in proptest::collection::vec(any::<u8>(), 0..80)) {
            let bytes = [if v1 { LINE_START } else { SIGNATURE }, &tail].concat();
            if let Ok((size, _)) = proxy_header(&bytes) {
                prop_assert!(size <= bytes.len());
            }
        }
    }
}
