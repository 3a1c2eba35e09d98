//! Domain name patterns, and a set to match names against.
//!
//! Owns: patterns, an immutable set of them. In: patterns once, names as seen on the wire.
//! Out: ids of the entries that match, most specific first. Never: allocates in a lookup, resolves
//! names.

use foldhash::quality::RandomState;
use hashbrown::HashMap;

/// The longest DNS name (RFC 1035 section 2.3.4); longer text matches nothing.
const NAME_BYTES_MAX: usize = 253;

/// What a pattern covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// `astrill.com`: the name and all subdomains.
    Suffix,
    /// `*.astrill.com`: all subdomains, not the name itself.
    Below,
    /// `=astrill.com`: the name alone.
    Exact,
}

/// A name as written in a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    scope: Scope,
    name: Box<str>,
}

impl Pattern {
    /// Parses `astrill.com`, `*.astrill.com` or `=astrill.com`, ignoring case.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let (scope, name) = if let Some(name) = text.strip_prefix("*.") {
            (Scope::Below, name)
        } else if let Some(name) = text.strip_prefix('=') {
            (Scope::Exact, name)
        } else {
            (Scope::Suffix, text)
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if name.contains('*') {
            return Err(format!(
                "`{text}`: `*` may only stand alone as the first label (`*.name`)"
            ));
        }
        let label_ok = |label: &str| {
            let ok = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            !label.is_empty() && label.len() <= 63 && label.bytes().all(ok)
        };
        if name.len() > NAME_BYTES_MAX || !name.split('.').all(label_ok) || !name.contains('.') {
            return Err(format!("`{text}` is not a domain name of at least two labels"));
        }
        Ok(Pattern { scope, name: name.into() })
    }
}

/// An immutable set of patterns; each carries the id of its entry.
#[derive(Clone, Debug, Default)]
pub struct NameSet {
    by_name: HashMap<Box<[u8]>, Vec<(Scope, u32)>, RandomState>,
    /// Most labels in any entry: longer suffixes are not looked up.
    labels_max: usize,
}

impl NameSet {
    /// Builds the set.
    pub fn build(entries: impl IntoIterator<Item = (Pattern, u32)>) -> NameSet {
        let mut set = NameSet::default();
        for (pattern, id) in entries {
            set.labels_max = set.labels_max.max(pattern.name.split('.').count());
            let key = pattern.name.into_string().into_bytes().into_boxed_slice();
            set.by_name.entry(key).or_default().push((pattern.scope, id));
        }
        set
    }

    /// Calls `each` with the id of every entry that matches, the most specific (longest) first.
    pub fn for_each_match(&self, name: &str, mut each: impl FnMut(u32)) {
        let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
        let mut lower = [0u8; NAME_BYTES_MAX];
        let Some(text) = lower.get_mut(..name.len()) else { return };
        text.copy_from_slice(name);
        text.make_ascii_lowercase();
        let text: &[u8] = text;
        // Suffixes with more labels than any entry cannot match, so a long name costs no more
        // lookups.
        let dots = text.iter().filter(|b| **b == b'.').count();
        let skip = (dots + 1).saturating_sub(self.labels_max);
        let mut rest = Some(text);
        for depth in 0.. {
            let Some(suffix) = rest else { return };
            if depth >= skip
                && let Some(found) = self.by_name.get(suffix)
            {
                for (scope, id) in found {
                    let whole = depth == 0;
                    match (scope, whole) {
                        (Scope::Suffix, _) | (Scope::Exact, true) | (Scope::Below, false) => {
                            each(*id)
                        }
                        (Scope::Exact, false) | (Scope::Below, true) => {}
                    }
                }
            }
            rest = suffix.iter().position(|b| *b == b'.').and_then(|at| suffix.get(at + 1..));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(patterns: &[&str]) -> NameSet {
        NameSet::build(
            patterns.iter().zip(0..).map(|(text, id)| (Pattern::parse(text).unwrap(), id)),
        )
    }

    fn found(set: &NameSet, name: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        set.for_each_match(name, |id| ids.push(id));
        ids
    }

    #[test]
    fn suffixes_match_at_label_borders_only_and_in_any_case() {
        let set = set(&["astrill.com", "*.net.anydesk.com", "=exact.example", "net.anydesk.com"]);
        assert_eq!(found(&set, "www.Astrill.COM."), [0]);
        assert_eq!(found(&set, "astrill.com"), [0]);
        assert!(found(&set, "notastrill.com").is_empty());
        assert!(found(&set, "astrill.com.example").is_empty());
        assert_eq!(found(&set, "relay-0a1b2c3d.net.anydesk.com"), [1, 3]);
        assert_eq!(found(&set, "net.anydesk.com"), [3]);
        assert_eq!(found(&set, "exact.example"), [2]);
        assert!(found(&set, "a.exact.example").is_empty());
    }

    #[test]
    fn hostile_names_match_nothing() {
        let set = set(&["astrill.com"]);
        for name in ["", ".", "...", "com", "..astrill.com..", &"a.".repeat(2_000)] {
            assert!(found(&set, name).is_empty(), "{name}");
        }
        assert_eq!(found(&set, "...astrill.com"), [0]);
    }

    #[test]
    fn patterns_that_would_match_too_much_are_refused() {
        for bad in
            ["com", "*.com", "relay-*.anydesk.com", "*", "a..b", "", "ex ample.com", "a/b.com"]
        {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
