//! What a text of a feed is: addresses, a name, an AS number.
//!
//! Owns: the forms that feeds write them in. In: one text. Out: entries as our lists have them, or
//! why it is none. Never: a wider entry than the text: the host of a page is not the page.

use std::net::{IpAddr, Ipv4Addr};

use crate::enrich::lpm::Prefix;
use crate::enrich::names::Pattern;

/// Most prefixes that one range may take.
const RANGE_PREFIXES_MAX: usize = 128;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: &'static str,
    pub(super) keys: Vec<String>,
}

pub(super) const PAGE: &str = "addresses of pages";
pub(super) const ENDPOINT: &str = "addresses with a port";
pub(super) const OTHER: &str = "neither addresses nor names nor AS numbers";
const HOST_BITS: &str = "prefixes with host bits set";
const WILDCARD: &str = "names with a wildcard inside";

/// The entry of a text.
pub(super) fn classify(text: &str) -> Result<Found, &'static str> {
    let text = text.trim().trim_end_matches('.');
    let one = |kind, key: String| Ok(Found { kind, keys: vec![key] });
    if let Some(number) = asn(text) {
        return one("asn", format!("AS{number}"));
    }
    if let Some((first, last)) = text.split_once('-')
        && let (Ok(first), Ok(last)) = (first.trim().parse(), last.trim().parse())
    {
        let keys = range(first, last).ok_or(OTHER)?;
        return Ok(Found { kind: "prefix", keys });
    }
    let address = text.split('/').next().unwrap_or_default();
    if address.parse::<IpAddr>().is_ok() {
        return match Prefix::parse(text) {
            Ok(_) => one("prefix", text.to_owned()),
            Err(cause) if cause.contains("host bits") => Err(HOST_BITS),
            Err(_) => Err(OTHER),
        };
    }
    if text.parse::<std::net::SocketAddr>().is_ok() {
        return Err(ENDPOINT);
    }
    if text.contains('/') {
        return Err(PAGE);
    }
    let name = match text.strip_prefix('.') {
        Some(below) => format!("*.{below}"),
        None => text.to_owned(),
    };
    // A file's or an address' digits are no name.
    let is_number = name.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    match Pattern::parse(&name) {
        Ok(_) if !is_number => one("name", name.to_ascii_lowercase()),
        Err(cause) if cause.contains("may only stand alone") => Err(WILDCARD),
        _ => Err(OTHER),
    }
}

fn asn(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as"))?;
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|number| is_number && *number > 0)
}

/// The prefixes that hold each address of a range, and no other.
pub(super) fn range(first: Ipv4Addr, last: Ipv4Addr) -> Option<Vec<String>> {
    let (mut first, last) = (u64::from(u32::from(first)), u64::from(u32::from(last)));
    let mut keys = Vec::new();
    while first <= last {
        if keys.len() >= RANGE_PREFIXES_MAX {
            return None;
        }
        // The widest that begins here and ends in time.
        let aligned = if first == 0 { 32 } else { first.trailing_zeros().min(32) };
        let fits = (last - first + 1).ilog2();
        let bits = aligned.min(fits);
        let address = Ipv4Addr::from(u32::try_from(first).ok()?);
        keys.push(format!("{address}/{}", 32 - bits));
        first += 1 << bits;
    }
    (!keys.is_empty()).then_some(keys)
}
