//! The one table of fields, in parts.
//!
//! Owns: the order of the parts. In: nothing. Out: every field of a session. Never: a second list
//! of them.

mod judged;
mod lasting;
mod latency;
mod speech;
mod spoken;
mod whole;

use std::sync::LazyLock;

use crate::model::schema::Field;
use crate::model::schema::Get;
use crate::model::schema::Kind;
use crate::model::schema::Shown;

type Row = (&'static str, Kind, &'static str, Shown, Get, &'static str);

/// A row of a part. Parts are tables: rustfmt would give each cell a line.
const fn field(row: Row) -> Field {
    let (name, kind, unit, shown, get, description) = row;
    Field { name, kind, unit, shown, get, description }
}

/// Every field of a session.
pub(super) static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let said = [speech::SPEECH, spoken::SPOKEN].concat();
    let own = [latency::LATENCY, lasting::LASTING, judged::JUDGED].concat();
    [whole::WHOLE, &said, &own].concat()
});
