//! Where the sensor stands.
//!
//! Owns: the reading of `--place`. In: `LAT,LON` or a city code. Out: [`SensorPlace`].
//! Never: guesses from an address.

use crate::model::Error;

/// `code,name,latitude,longitude,country`; coordinates from GeoNames (CC BY 4.0).
const PLACES: &str = include_str!("../../geo/places.csv");

/// The sensor's own place, as its operator declares it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SensorPlace {
    /// City code, or the text given.
    pub name: Box<str>,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// Reads `47.6,-122.3` or a city code such as `SEA` or `lon` (IATA city codes and airport codes of
/// `geo/places.csv`).
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
    for line in PLACES.lines().skip(1) {
        let mut columns = line.split(',');
        let (Some(known), Some(_), Some(lat), Some(lon)) =
            (columns.next(), columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        if known.eq_ignore_ascii_case(code)
            && let (Ok(latitude), Ok(longitude)) = (lat.parse(), lon.parse())
        {
            return Ok(SensorPlace { name: known.into(), latitude, longitude });
        }
    }
    Err(Error::new(format!("place `{code}`"), "no such city code").help(
        "give LAT,LON in decimal degrees, or a code of geo/places.csv such as SEA, LON or TYO",
    ))
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
        for line in PLACES.lines().skip(1) {
            assert_eq!(line.split(',').count(), 5, "{line}");
            let code = line.split(',').next().unwrap();
            assert!(code.len() == 3 && codes.insert(code), "{line}");
            parse_place(code).unwrap();
        }
        assert!(codes.len() >= 150, "{}", codes.len());
    }
}
