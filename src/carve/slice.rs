//! A slice being written: the sessions it is to hold, and its file.

use crate::carve::flows::Flows;
use crate::carve::writer::Writer;

/// A slice being written.
pub(super) struct Slice {
    pub(super) flows: Flows,
    pub(super) out: Writer,
}
