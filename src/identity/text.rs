//! Names on the wire as text.

use crate::wire::dns::Name;

/// Longest name (RFC 1035 section 3.1).
const NAME_MAX: usize = 253;
/// Longest name of a host or a person that is kept: Windows allows 104 for an account, RADIUS 253.
const WORD_MAX: usize = 128;

/// A DNS name as host names are written; `None` for the root and for names with other octets.
pub fn host(name: &Name<'_>) -> Option<String> {
    joined(name.labels())
}

/// Labels joined by dots.
pub fn joined<'a>(labels: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    let mut text = String::new();
    for label in labels {
        if !text.is_empty() {
            text.push('.');
        }
        let fits = label.iter().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b));
        if !fits || label.is_empty() || text.len() + label.len() > NAME_MAX {
            return None;
        }
        text.extend(label.iter().map(|b| char::from(b.to_ascii_lowercase())));
    }
    (!text.is_empty()).then_some(text)
}

/// A device's own name, without its domain: `lab-pc7.local` and `LAB-PC7` are one device.
pub fn device(name: &str) -> Option<String> {
    let first = name.split('.').next().unwrap_or_default();
    word(first.as_bytes()).map(|text| text.to_lowercase())
}

/// A person's or a device's name as given: UTF-8 without control characters.
pub fn word(octets: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(octets).ok()?.trim();
    let fits = !text.is_empty() && text.len() <= WORD_MAX && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

/// The host in the name of a service query: SVCB puts port and scheme before it, each behind an
/// underscore (RFC 9460 section 2.3).
pub fn served_host(name: &str) -> &str {
    let mut rest = name;
    while let Some((_, host)) = rest.strip_prefix('_').and_then(|label| label.split_once('.')) {
        rest = host;
    }
    rest
}
