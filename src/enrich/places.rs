//! The sensor's location.
//!
//! Owns: parsing `--place`. In: `LAT,LON` or a city code. Out: [`SensorPlace`].
//! Never: guesses from an address.

use crate::model::Error;

/// `code,name,latitude,longitude,country`; coordinates from GeoNames (CC BY 4.0).
const PLACES: &str = include_str!("../../geo/places.csv");

/// Airports with scheduled service, in the same form, under codes that are not in [`PLACES`]; from
/// OurAirports (public domain).
const AIRPORTS: &str = include_str!("../../geo/airports.csv");

/// A location with a code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KnownPlace<'t> {
    /// IATA code of a city or airport.
    pub code: &'t str,
    /// City.
    pub city: &'t str,
    /// ISO 3166-1 alpha-2 code of its country.
    pub country: &'t str,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// Every location with a code: cities, then airports.
pub fn known_places() -> impl Iterator<Item = KnownPlace<'static>> {
    let lines = |table: &'static str| table.lines().skip(1);
    lines(PLACES).chain(lines(AIRPORTS)).filter_map(|line| {
        let mut columns = line.split(',');
        Some(KnownPlace {
            code: columns.next()?,
            city: columns.next()?,
            latitude: columns.next()?.parse().ok()?,
            longitude: columns.next()?.parse().ok()?,
            country: columns.next()?,
        })
    })
}

/// The sensor's own location, as its operator declares it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SensorPlace {
    /// City code, or the text given.
    pub name: Box<str>,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// Parses `47.6,-122.3` or a code such as `SEA`, `jfk` or `lon` (IATA codes of cities and
/// airports).
pub fn parse_place(text: &str) -> Result<SensorPlace, Error> {
    let text = text.trim();
    match text.split_once(',') {
        Some((lat, lon)) => {
            let latitude = degrees(text, lat, 90.0, "latitude")?;
            let longitude = degrees(text, lon, 180.0, "longitude")?;
            Ok(SensorPlace { name: text.into(), latitude, longitude })
        }
        None => city(text),
    }
}

fn degrees(whole: &str, text: &str, limit: f64, what: &str) -> Result<f64, Error> {
    let value = text.trim().parse::<f64>().ok().filter(|v| v.abs() <= limit);
    value.ok_or_else(|| {
        Error::new(
            format!("place `{whole}`"),
            format!("`{}` is not a {what} from -{limit} to {limit}", text.trim()),
        )
        .help("give decimal degrees as LAT,LON, for example 47.6062,-122.3321")
    })
}

fn city(code: &str) -> Result<SensorPlace, Error> {
    let found = known_places().find(|place| place.code.eq_ignore_ascii_case(code));
    let place = found.ok_or_else(|| {
        Error::new(format!("place `{code}`"), "no such city or airport code").help(
            "give LAT,LON in decimal degrees, or a code such as SEA, JFK or TYO: `longhaul geo \
             places` lists them",
        )
    })?;
    let KnownPlace { code, latitude, longitude, .. } = place;
    Ok(SensorPlace { name: code.into(), latitude, longitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_and_codes_are_read() {
        let place = parse_place(" 47.6062, -122.3321 ").unwrap();
        assert_eq!((place.latitude, place.longitude), (47.6062, -122.3321));
        let london = parse_place("lon").unwrap();
        assert_eq!(&*london.name, "LON");
        assert!((london.latitude - 51.5).abs() < 0.1 && (london.longitude + 0.1).abs() < 0.1);
    }

    #[test]
    fn nonsense_is_refused_with_a_remedy() {
        for bad in ["", "91,0", "0,181", "NaN,0", "inf,0", "1,2,3", "XQZ", "a,b"] {
            let error = parse_place(bad).unwrap_err();
            assert!(error.help.is_some(), "{bad}: {error}");
        }
    }

    #[test]
    fn every_listed_place_is_usable_and_its_code_unique() {
        let mut codes = std::collections::BTreeSet::new();
        for line in PLACES.lines().skip(1).chain(AIRPORTS.lines().skip(1)) {
            assert_eq!(line.split(',').count(), 5, "{line}");
            let code = line.split(',').next().unwrap();
            assert!(code.len() == 3 && codes.insert(code), "{line}");
        }
        assert_eq!(known_places().count(), codes.len());
        for place in known_places() {
            assert!(place.latitude.abs() <= 90.0 && place.longitude.abs() <= 180.0, "{place:?}");
            assert!(!place.city.is_empty() && place.country.len() == 2, "{place:?}");
        }
        assert!(codes.len() >= 3_900, "{}", codes.len());
    }

    #[test]
    fn the_codes_that_people_type_are_where_they_should_be() {
        for (code, latitude, longitude) in [
            ("JFK", 40.6, -73.8),
            ("EWR", 40.7, -74.2),
            ("LHR", 51.5, -0.5),
            ("CDG", 49.0, 2.5),
            ("NRT", 35.8, 140.4),
            ("SVO", 56.0, 37.4),
            ("gru", -23.4, -46.5),
        ] {
            let place = parse_place(code).unwrap();
            let near = (place.latitude - latitude).abs() < 0.1
                && (place.longitude - longitude).abs() < 0.1;
            assert!(near, "{place:?}");
        }
    }
}
