//! What a ledger may hold under the bounds of a run.

use crate::config::memory::Bounds;
use crate::detect::ledger::LedgerConfig;

/// The ledger's part of the bounds.
pub(super) const fn ledger_config(bounds: &Bounds) -> LedgerConfig {
    LedgerConfig {
        entries: bounds.entries_bytes,
        subjects: bounds.subjects_bytes,
        groups: bounds.groups_bytes,
    }
}
