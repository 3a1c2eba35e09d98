//! Numbers and names as the report writes them.
//!
//! Owns: rounding. In: values of lines. Out: short texts. Never: markup.

use crate::explain::Flat;
use crate::model::{Nanos, units};

/// Microseconds as milliseconds, about three digits.
pub(in crate::report) fn millis(us: f64) -> String {
    units::millis((us.max(0.0) * 1_000.0) as u64)
}

/// Kilometres.
pub(in crate::report) fn km(km: f64) -> String {
    format!("{} km", units::count(km.max(0.0).round() as u64))
}

/// A probability: never rounded to certainty.
pub(in crate::report) fn probability(share: f64) -> String {
    match share {
        p if p >= 0.995 => format!("{p:.4}"),
        p if p >= 0.01 => format!("{p:.2}"),
        p if p >= 0.0001 => format!("{p:.4}"),
        _ => "below 0.0001".to_owned(),
    }
}

/// A time to the second, without its zone.
pub(in crate::report) fn moment(time: Option<Nanos>) -> Option<String> {
    time.map(units::moment)
}

/// A time field.
pub(in crate::report) fn time(line: &Flat, name: &str) -> Option<Nanos> {
    line.text(name).and_then(Nanos::parse)
}

/// Network and owner of an address.
pub(in crate::report) fn owner(line: &Flat, side: &str) -> Option<String> {
    let number = line.number(&format!("{side}.as.number"));
    let name = line.text(&format!("{side}.as.organization.name"));
    match (number, name) {
        (Some(number), Some(name)) => Some(format!("AS{number:.0} {name}")),
        (Some(number), None) => Some(format!("AS{number:.0}")),
        (None, name) => name.map(str::to_owned),
    }
}

/// Region or country of an address, as a code.
pub(in crate::report) fn place(line: &Flat, side: &str) -> Option<String> {
    let of = |name: &str| line.text(&format!("{side}.geo.{name}")).map(str::to_owned);
    of("region_iso_code").or_else(|| of("country_iso_code"))
}

/// `2026-11-22 to 2026-11-24`, or one of them.
pub(in crate::report) fn span(first: Option<Nanos>, last: Option<Nanos>) -> String {
    match (first, last) {
        (Some(first), Some(last)) => {
            format!("{} to {} UTC", units::moment(first), units::moment(last))
        }
        (Some(one), None) | (None, Some(one)) => format!("{} UTC", units::moment(one)),
        (None, None) => "an unknown time".to_owned(),
    }
}
