//! How far light lets the remote end be, against where the databases put it.
//!
//! Owns: great-circle distance and the two bounds. In: sensor place, round trip, claimed place.
//! Out: [`Physics`]. Never: says a place is right; "too slow" proves nothing.

use crate::enrich::places::SensorPlace;
use crate::model::record::Physics;
use crate::model::record::PhysicsVerdict;
use crate::model::record::Place;

/// Kilometres of distance a millisecond of full round trip allows at c in vacuum:
/// 299 792.458 km/s / 2 / 1000.
pub const KM_PER_RTT_MS_VACUUM: f64 = 149.9;

/// The same at 2/3 c, the speed of light in fibre.
pub const KM_PER_RTT_MS_FIBRE: f64 = 99.93;

/// Radius assumed for a claimed place whose database gives none, in km: wide enough for a large
/// city region, so that a coarse claim is not refuted by its own coarseness.
pub const RADIUS_KM_UNKNOWN: f64 = 100.0;

/// Mean radius of the Earth in km (IUGG).
const EARTH_RADIUS_KM: f64 = 6_371.009;

/// Great-circle distance in km between two points in degrees (haversine formula).
pub fn distance_km(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (lat_a, lat_b) = (a.0.to_radians(), b.0.to_radians());
    let half_lat = ((lat_b - lat_a) / 2.0).sin();
    let half_lon = ((b.1 - a.1).to_radians() / 2.0).sin();
    let h = half_lat * half_lat + lat_a.cos() * lat_b.cos() * half_lon * half_lon;
    2.0 * EARTH_RADIUS_KM * h.clamp(0.0, 1.0).sqrt().asin()
}

/// Distance in km from the sensor to the nearest point of the claimed place's circle; `None` where
/// the place has no location.
pub fn claim_km(sensor: &SensorPlace, claim: &Place) -> Option<f64> {
    let centre = claim.location?;
    let radius = claim.radius_km.unwrap_or(RADIUS_KM_UNKNOWN);
    let km = distance_km((sensor.latitude, sensor.longitude), centre) - radius;
    km.is_finite().then(|| km.max(0.0))
}

/// What a full round trip of `rtt_ns` to the remote end says of its claimed place.
///
/// `untrusted` marks an end that is not where its users are (anycast, CDN, SASE, relay, mobile,
/// satellite): its bounds are given, its verdict is unknown. Only the vacuum bound, which nothing
/// can beat, gives [`PhysicsVerdict::TooFast`].
pub fn judge(sensor: &SensorPlace, rtt_ns: u64, claim: Option<&Place>, untrusted: bool) -> Physics {
    let rtt_ms = rtt_ns as f64 / 1e6;
    let km_max_vacuum = rtt_ms * KM_PER_RTT_MS_VACUUM;
    let claim_km = claim.and_then(|place| claim_km(sensor, place));
    let verdict = match claim_km {
        Some(km) if !untrusted && km > km_max_vacuum => PhysicsVerdict::TooFast,
        Some(_) if !untrusted => PhysicsVerdict::Possible,
        _ => PhysicsVerdict::Unknown,
    };
    // Judged exactly, told in hundreds of metres.
    let told = |km: f64| (km * 10.0).round() / 10.0;
    Physics {
        km_max_fibre: told(rtt_ms * KM_PER_RTT_MS_FIBRE),
        km_max_vacuum: told(km_max_vacuum),
        claim_km: claim_km.map(told),
        verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEATTLE: (f64, f64) = (47.6062, -122.3321);
    const PHOENIX: (f64, f64) = (33.4484, -112.0740);
    const SHENYANG: (f64, f64) = (41.7922, 123.4328);
    const ASHBURN: (f64, f64) = (39.0437, -77.4875);
    const LONDON: (f64, f64) = (51.5085, -0.1257);

    fn rtt_ms_fibre(a: (f64, f64), b: (f64, f64)) -> f64 {
        (distance_km(a, b) / KM_PER_RTT_MS_FIBRE).round()
    }

    #[test]
    fn known_round_trips_at_two_thirds_of_c() {
        assert_eq!(rtt_ms_fibre(SEATTLE, PHOENIX), 18.0);
        assert_eq!(rtt_ms_fibre(PHOENIX, SHENYANG), 99.0);
        assert_eq!(rtt_ms_fibre(ASHBURN, LONDON), 59.0);
    }

    #[test]
    fn distance_is_symmetric_and_safe_at_the_edges() {
        assert!((distance_km(SEATTLE, PHOENIX) - distance_km(PHOENIX, SEATTLE)).abs() < 1e-9);
        assert!(distance_km(LONDON, LONDON) < 1e-9);
        let half_way_round = distance_km((0.0, 0.0), (0.0, 180.0));
        assert!((half_way_round - std::f64::consts::PI * EARTH_RADIUS_KM).abs() < 1e-6);
        assert!(distance_km((0.0, 179.5), (0.0, -179.5)) < 112.0);
    }

    fn sensor() -> SensorPlace {
        SensorPlace { name: "IAD".into(), latitude: ASHBURN.0, longitude: ASHBURN.1 }
    }

    fn claim(location: Option<(f64, f64)>, radius_km: Option<f64>) -> Place {
        Place { country: Some("GB".into()), region: None, location, radius_km }
    }

    #[test]
    fn only_the_vacuum_bound_refutes_and_the_radius_counts() {
        let verdict = |rtt_ms: f64, radius| {
            let claim = claim(Some(LONDON), Some(radius));
            judge(&sensor(), (rtt_ms * 1e6) as u64, Some(&claim), false).verdict
        };
        // 5 890 km: 58.9 ms in fibre, 39.3 ms in vacuum.
        assert_eq!(verdict(60.0, 0.0), PhysicsVerdict::Possible);
        assert_eq!(verdict(45.0, 0.0), PhysicsVerdict::Possible);
        assert_eq!(verdict(39.0, 0.0), PhysicsVerdict::TooFast);
        assert_eq!(verdict(39.0, 152.0), PhysicsVerdict::Possible);
        assert_eq!(verdict(10.0, 152.0), PhysicsVerdict::TooFast);
    }

    #[test]
    fn no_claim_or_an_untrusted_end_is_unknown() {
        let london = claim(Some(LONDON), None);
        let tagged = judge(&sensor(), 1_000_000, Some(&london), true);
        assert_eq!(tagged.verdict, PhysicsVerdict::Unknown);
        assert!((tagged.km_max_vacuum - 149.9).abs() < 1e-9);
        assert!((tagged.km_max_fibre - 99.9).abs() < 1e-9);
        let nowhere = claim(None, None);
        assert_eq!(judge(&sensor(), 1, Some(&nowhere), false).verdict, PhysicsVerdict::Unknown);
        assert_eq!(judge(&sensor(), 1, None, false).claim_km, None);
        let broken = claim(Some((f64::NAN, 0.0)), None);
        assert_eq!(judge(&sensor(), 1, Some(&broken), false).verdict, PhysicsVerdict::Unknown);
    }
}
