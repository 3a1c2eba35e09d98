//! What began like a protocol and did not parse, by protocol and kind of fault.
//!
//! Owns: the kinds, and a fixed table of counts. In: faults. Out: counts for run.json. Never: an
//! allocation for a fault, or the bytes that were at fault.

use crate::model::protocol::Protocol;

/// How bytes contradict what they began like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Fault {
    /// A message, or a part that says how long it is, ends too early.
    Truncated,
    /// A length that cannot be.
    Length,
    /// A value that cannot be, or not there.
    Value,
    /// Names or structures that point or nest on and on.
    Depth,
    /// More than this program takes: so many bytes, pieces or messages.
    OverCap,
}

impl Fault {
    /// Every one, in the order of output.
    pub const ALL: [Fault; 5] =
        [Fault::Truncated, Fault::Length, Fault::Value, Fault::Depth, Fault::OverCap];

    /// The name in run.json.
    pub const fn name(self) -> &'static str {
        match self {
            Fault::Truncated => "truncated",
            Fault::Length => "bad_length",
            Fault::Value => "bad_value",
            Fault::Depth => "too_deep",
            Fault::OverCap => "over_cap",
        }
    }
}

/// Rows: each protocol, and one for bytes read before a protocol is recognised.
const ROWS: usize = Protocol::ALL.len() + 1;

/// The name of that row in run.json.
const UNIDENTIFIED: &str = "untold";

/// Counts of faults (saturating).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseErrors([[u32; Fault::ALL.len()]; ROWS]);

impl Default for ParseErrors {
    fn default() -> ParseErrors {
        ParseErrors([[0; Fault::ALL.len()]; ROWS])
    }
}

impl ParseErrors {
    /// Counts one.
    pub fn note(&mut self, protocol: Option<Protocol>, fault: Fault) {
        let row = protocol.map_or(ROWS - 1, |protocol| protocol as usize);
        if let Some(count) = self.0.get_mut(row).and_then(|row| row.get_mut(fault as usize)) {
            *count = count.saturating_add(1);
        }
    }

    /// Adds another thread's.
    pub fn merge(&mut self, other: &ParseErrors) {
        let theirs = other.0.iter().flatten();
        for (mine, theirs) in self.0.iter_mut().flatten().zip(theirs) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// What has been added since these were `earlier`.
    pub fn less(&mut self, earlier: &ParseErrors) {
        let before = earlier.0.iter().flatten();
        for (now, before) in self.0.iter_mut().flatten().zip(before) {
            *now = now.saturating_sub(*before);
        }
    }

    /// Protocols with faults, and how many of each kind where there are any.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Vec<(&'static str, u32)>)> + '_ {
        let names = Protocol::ALL.iter().map(|protocol| protocol.as_str()).chain([UNIDENTIFIED]);
        names.zip(&self.0).filter_map(|(name, row)| {
            let kinds = Fault::ALL.iter().map(|fault| fault.name()).zip(row.iter().copied());
            let kinds: Vec<_> = kinds.filter(|(_, count)| *count > 0).collect();
            (!kinds.is_empty()).then_some((name, kinds))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_has_its_own_row() {
        for (at, protocol) in Protocol::ALL.iter().enumerate() {
            assert_eq!(*protocol as usize, at, "{protocol:?}");
        }
    }

    #[test]
    fn faults_are_counted_by_protocol_and_kind() {
        let mut errors = ParseErrors::default();
        errors.note(Some(Protocol::Tls), Fault::Length);
        let earlier = errors.clone();
        errors.note(Some(Protocol::Tinc), Fault::Depth);
        errors.note(None, Fault::OverCap);
        errors.note(Some(Protocol::Tls), Fault::Length);
        let seen: Vec<_> = errors.iter().collect();
        assert_eq!(seen[0], ("tls", vec![("bad_length", 2)]));
        assert_eq!(seen[1], ("tinc", vec![("too_deep", 1)]));
        assert_eq!(seen[2], ("untold", vec![("over_cap", 1)]));
        let mut twice = errors.clone();
        twice.merge(&errors);
        assert_eq!(twice.iter().next(), Some(("tls", vec![("bad_length", 4)])));
        errors.less(&earlier);
        assert_eq!(errors.iter().next(), Some(("tls", vec![("bad_length", 1)])));
    }
}
