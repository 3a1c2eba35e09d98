//! What an event tells a correlation.
//!
//! Owns: the fields that are read for it. In: an event for which a rule holds. Out: the part of
//! it that the correlation counts. Never: an event that lacks a value: what is unknown belongs to
//! no group.

use crate::detect::case::Values;
use crate::detect::correlation::definition::Part;
use crate::detect::correlation::sums::number;
use crate::model::id::siphash_128;
use crate::model::schema::{Field, Judged};

/// The key of groups and values: it is public, and 128 bits cannot be made to collide by trial.
const KEY: [u8; 16] = *b"longhaul groups.";

/// What of an event is counted.
#[derive(Clone, Debug)]
pub(in crate::detect) enum Counted<S: 'static> {
    /// The event itself, or which of the rules it is of.
    Position(u64),
    /// Different values of these fields together.
    Distinct(Vec<&'static Field<S>>),
    /// A number.
    Number(&'static Field<S>),
}

/// Reads the part of an event for one correlation.
#[derive(Clone, Debug)]
pub(in crate::detect) struct PartMaker<S: 'static> {
    pub(in crate::detect) of: u64,
    pub(in crate::detect) via: Option<u64>,
    /// How many correlations lead to it.
    pub(in crate::detect) depth: usize,
    pub(in crate::detect) group: Vec<&'static Field<S>>,
    pub(in crate::detect) counted: Counted<S>,
}

impl<S: Judged> PartMaker<S> {
    /// Each field that is read.
    pub(in crate::detect) fn fields(&self) -> impl Iterator<Item = &'static Field<S>> + use<S> {
        let counted = match &self.counted {
            Counted::Position(_) => Vec::new(),
            Counted::Distinct(fields) => fields.clone(),
            Counted::Number(field) => vec![*field],
        };
        self.group.clone().into_iter().chain(counted)
    }

    /// The part; none if a value is missing. Its ratio is still that of nothing.
    pub(in crate::detect) fn make(&self, event: &impl Values<S>) -> Option<Part> {
        let group = texts(&self.group, event)?;
        let value = match &self.counted {
            Counted::Position(at) => *at,
            Counted::Distinct(fields) => {
                let [low, ..] = halves(&texts(fields, event)?);
                low
            }
            Counted::Number(field) => {
                let have = event.value(field).as_number().filter(|have| have.is_finite())?;
                number(have + 0.0)
            }
        };
        let [low, high] = halves(&group);
        let key = u128::from(high) << 64 | u128::from(low);
        let (of, via, lowered) = (self.of, self.via, Vec::new());
        Some(Part { of, via, key, value, group, ratio: 1.0, lowered })
    }
}

/// The values of fields, as JSON; none if one is absent.
fn texts<S: Judged>(fields: &[&'static Field<S>], event: &impl Values<S>) -> Option<Vec<String>> {
    let text = |field: &&'static Field<S>| {
        let value = event.value(field);
        (!value.is_absent()).then(|| value.to_json_text())
    };
    fields.iter().map(text).collect()
}

/// A hash of texts in two halves; JSON of a value holds no line end.
fn halves(texts: &[String]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = siphash_128(KEY, texts.join("\n").as_bytes());
    [u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes(rest)]
}
