//! The field names of MaxMind, DB-IP, IPinfo and our own databases.
//!
//! Owns: field names of the known schemas. In: one decoded row. Out: a [`Place`], an
//! [`AutonomousSystem`].
//! Never: reads files, trusts a value that it has not checked.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::enrich::framed::Value;
use crate::model::record::{AutonomousSystem, Place};

/// Longest text kept from a database, in bytes: organisation names are much shorter.
const TEXT_BYTES_MAX: usize = 160;

/// `country,name,code`: ISO 3166-2 codes for databases that give only the region's name.
const REGIONS: &str = include_str!("../../geo/regions.csv");

static REGION_CODES: LazyLock<HashMap<(&str, &str), &str>> = LazyLock::new(|| {
    let row = |line: &'static str| {
        let mut columns = line.split(',');
        Some(((columns.next()?, columns.next()?), columns.next()?))
    };
    REGIONS.lines().skip(1).filter_map(row).collect()
});

/// One row of any known schema; fields that a schema lacks stay empty.
///
/// MaxMind GeoLite2 and GeoIP2, and DB-IP: nested `country`, `subdivisions`, `location`, flat
/// `autonomous_system_*`. IPinfo: flat text, `asn` as `AS123`. Ours: flat `country_code`, `state1`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Row {
    country: Option<Country>,
    country_code: Option<String>,
    subdivisions: Vec<Subdivision>,
    region_code: Option<String>,
    state1: Option<String>,
    location: Location,
    #[serde(alias = "lat")]
    latitude: Option<Number>,
    #[serde(alias = "lng", alias = "lon")]
    longitude: Option<Number>,
    radius_p90_km: Option<Number>,
    #[serde(alias = "asn")]
    autonomous_system_number: Option<Number>,
    #[serde(alias = "as_name", alias = "name")]
    autonomous_system_organization: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Country {
    Nested { iso_code: Option<String> },
    Text(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Subdivision {
    iso_code: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Location {
    latitude: Option<Number>,
    longitude: Option<Number>,
    accuracy_radius: Option<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Real(f64),
    Text(String),
}

impl Number {
    /// The number; IPinfo writes numbers as text and AS numbers with a leading `AS`.
    fn get(&self) -> Option<f64> {
        match self {
            Number::Real(n) => Some(*n),
            Number::Text(text) => {
                let digits = text.strip_prefix("AS").unwrap_or(text);
                digits.trim().parse().ok()
            }
        }
        .filter(|n: &f64| n.is_finite())
    }
}

impl Row {
    /// From the flat record of a default database.
    pub fn from_fields(fields: Vec<(String, Value)>) -> Row {
        let mut row = Row::default();
        for (name, value) in fields {
            let (text, number) = match value {
                Value::Text(text) => (Some(text), None),
                Value::Real(n) => (None, Some(Number::Real(n))),
                Value::Whole(n) => (None, Some(Number::Real(n as f64))),
                Value::Other => continue,
            };
            match name.as_str() {
                "country_code" => row.country_code = text,
                "state1" => row.state1 = text,
                "latitude" => row.latitude = number,
                "longitude" => row.longitude = number,
                "radius_p90_km" => row.radius_p90_km = number,
                "autonomous_system_number" => row.autonomous_system_number = number,
                "autonomous_system_organization" => row.autonomous_system_organization = text,
                _ => {}
            }
        }
        row
    }

    /// The location, if the row has one.
    pub fn place(&self) -> Option<Place> {
        let country = self.country();
        let region = self.region(country.as_deref());
        let location = self.coordinates();
        let radius = self.radius_p90_km.as_ref().or(self.location.accuracy_radius.as_ref());
        let radius_km = radius.and_then(Number::get).filter(|km| *km >= 0.0);
        let known = country.is_some() || location.is_some();
        known.then_some(Place { country, region, location, radius_km, cached: Default::default() })
    }

    /// The autonomous system, if the row has one.
    pub fn asn(&self) -> Option<AutonomousSystem> {
        let number = self.autonomous_system_number.as_ref().and_then(Number::get)?;
        // 0 is reserved (RFC 7607); fractions and negatives are no AS numbers.
        let fits = number >= 1.0 && number <= f64::from(u32::MAX) && number.fract() == 0.0;
        let name = self.autonomous_system_organization.as_deref();
        fits.then(|| AutonomousSystem {
            number: number as u32,
            organization: name.map(capped),
            cached: Default::default(),
        })
    }

    fn country(&self) -> Option<Box<str>> {
        let nested = match &self.country {
            Some(Country::Nested { iso_code }) => iso_code.as_deref(),
            Some(Country::Text(text)) => Some(text.as_str()),
            None => None,
        };
        let is_code = |t: &&str| t.len() == 2 && t.bytes().all(|b| b.is_ascii_alphabetic());
        let code = self.country_code.as_deref().filter(is_code).or(nested.filter(is_code))?;
        // Databases use ZZ for "unknown".
        (code != "ZZ").then(|| code.to_ascii_uppercase().into())
    }

    fn region(&self, country: Option<&str>) -> Option<Box<str>> {
        let code = self.subdivisions.first().and_then(|s| s.iso_code.as_deref());
        match (country, code.or(self.region_code.as_deref()), self.state1.as_deref()) {
            (_, Some(""), _) => None,
            (Some(country), Some(code), _) if !code.contains('-') => {
                Some(format!("{country}-{}", capped(code)).into())
            }
            (_, Some(code), _) => Some(capped(code)),
            (Some(country), None, Some(name)) => {
                REGION_CODES.get(&(country, name)).map(|code| Box::from(*code))
            }
            _ => None,
        }
    }

    fn coordinates(&self) -> Option<(f64, f64)> {
        let nested = (self.location.latitude.as_ref(), self.location.longitude.as_ref());
        let (lat, lon) = match (self.latitude.as_ref(), self.longitude.as_ref()) {
            (Some(lat), Some(lon)) => (lat, lon),
            _ => nested.0.zip(nested.1)?,
        };
        // Ten metres; further digits are artefacts of single precision.
        let rounded = |degrees: f64| (degrees * 1e4).round() / 1e4;
        let (lat, lon) = (rounded(lat.get()?), rounded(lon.get()?));
        (lat.abs() <= 90.0 && lon.abs() <= 180.0).then_some((lat, lon))
    }
}

fn capped(text: &str) -> Box<str> {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(json: &str) -> Row {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_flat_text_schema_of_ipinfo_is_read() {
        let row = row(r#"{"asn":"AS15169","as_name":"Google LLC","country":"US",
            "region":"California","region_code":"CA","lat":"37.4","lng":"-122.1"}"#);
        let place = row.place().unwrap();
        assert_eq!(place.country.as_deref(), Some("US"));
        assert_eq!(place.region.as_deref(), Some("US-CA"));
        assert_eq!(place.location, Some((37.4, -122.1)));
        let asn = row.asn().unwrap();
        assert_eq!((asn.number, asn.organization.as_deref()), (15169, Some("Google LLC")));
    }

    #[test]
    fn a_country_spelt_out_gives_way_to_its_code() {
        let row = row(r#"{"country":"United States","country_code":"US","asn":"AS1"}"#);
        assert_eq!(row.place().unwrap().country.as_deref(), Some("US"));
    }

    #[test]
    fn values_out_of_range_are_dropped() {
        let strange = row(r#"{"country_code":"U1","latitude":91.0,"longitude":0.0,"asn":"ASx"}"#);
        assert!(strange.place().is_none() && strange.asn().is_none());
        assert!(row(r#"{"asn":"AS4294967296"}"#).asn().is_none());
        assert!(row(r#"{"asn":0}"#).asn().is_none());
    }

    #[test]
    fn a_region_known_by_name_gets_its_code() {
        let row = row(r#"{"country_code":"US","state1":"Washington"}"#);
        assert_eq!(row.place().unwrap().region.as_deref(), Some("US-WA"));
    }
}
