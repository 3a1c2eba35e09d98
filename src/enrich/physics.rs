//! Compares the claimed location of the remote end with how far light can have travelled.
//!
//! Owns: great-circle distance, nearest points and the bounds. In: sensor location, round trip,
//! claimed locations. Out: [`Physics`]. Never: says a location is right; "too slow" proves nothing.

use crate::enrich::places::SensorPlace;
pub use crate::model::physics::distance_km;
use crate::model::physics::{
    Claim, ClaimedPlace, Claims, KM_PER_RTT_MS_FIBRE, KM_PER_RTT_MS_REAL, KM_PER_RTT_MS_VACUUM,
    Physics, PhysicsVerdict,
};
use crate::model::record::Place;

/// Radius assumed for a region whose database gives none, in km: wide enough for a large city
/// region, so that a coarse claim is not refuted by its own coarseness.
pub const RADIUS_KM_UNKNOWN: f64 = 100.0;

/// Radius assumed for a subject's location if the file gives none, in km: a city with its suburbs.
pub const RADIUS_KM_SUBJECT: f64 = 50.0;

/// A circle on the Earth that contains a claimed location.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Circle {
    /// Degrees north and east.
    pub centre: (f64, f64),
    /// Radius in km.
    pub radius_km: f64,
}

impl Circle {
    /// The geo region's circle: around its centre, with the radius that contains 90 % of its
    /// addresses (`radius_p90_km` of the embedded database), or the database's accuracy radius. One
    /// address in ten of a region may lie outside, so a claim that is refuted by less than another
    /// radius calls for a better database first.
    fn of_region(place: &Place) -> Option<Circle> {
        let radius_km = place.radius_km.unwrap_or(RADIUS_KM_UNKNOWN);
        Some(Circle { centre: place.location?, radius_km })
    }
}

/// The claims about the remote end's location.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claimed<'a> {
    /// Of the subjects file, if it names the user of that address.
    pub subject: Option<Circle>,
    /// Of the geo database.
    pub geo: Option<&'a Place>,
}

/// Distance in km from the sensor to the nearest point of a circle, 0 inside it. Great circles
/// through its centre meet its edge a radius earlier, and no other path to it is shorter (triangle
/// inequality). `None` for an invalid circle.
pub fn nearest_km(sensor: &SensorPlace, circle: Circle) -> Option<f64> {
    let centre_km = distance_km((sensor.latitude, sensor.longitude), circle.centre);
    let km = centre_km - circle.radius_km.max(0.0);
    km.is_finite().then(|| km.max(0.0))
}

/// What a full round trip of `rtt_ns` to the remote end says about its claimed locations.
///
/// `withheld_by` is the tag of an end that is not where its users are (anycast, CDN, SASE, relay,
/// satellite, mobile): bounds and distances are given, the verdict is unknown. Only the vacuum
/// bound, which nothing can beat, gives [`PhysicsVerdict::TooFast`]. What light in fibre could not
/// reach is doubtful, since radio and hollow-core fibre run at nearly c.
pub fn judge(
    sensor: &SensorPlace,
    rtt_ns: u64,
    claimed: &Claimed<'_>,
    withheld_by: Option<&'static str>,
) -> Physics {
    let rtt_ms = rtt_ns as f64 / 1e6;
    let (vacuum, fibre) = (rtt_ms * KM_PER_RTT_MS_VACUUM, rtt_ms * KM_PER_RTT_MS_FIBRE);
    let subject_km = claimed.subject.and_then(|circle| nearest_km(sensor, circle));
    let region = claimed.geo.and_then(Circle::of_region);
    let geo_km = region.and_then(|circle| nearest_km(sensor, circle));
    let (mut refuted, mut doubtful) = (Claims::default(), Claims::default());
    let known = [(Claim::Subject, subject_km), (Claim::Geo, geo_km)];
    let known = known.into_iter().filter_map(|(claim, km)| Some((claim, km?)));
    for (claim, km) in known.clone().filter(|_| withheld_by.is_none()) {
        if km > vacuum {
            refuted = refuted.with(claim);
        } else if km > fibre {
            doubtful = doubtful.with(claim);
        }
    }
    let (claim_of, claim_km) = known.clone().next().unzip();
    let verdict = match (withheld_by, claim_km) {
        (Some(_), _) | (_, None) => PhysicsVerdict::Unknown,
        _ if refuted.is_empty() => PhysicsVerdict::Possible,
        _ => PhysicsVerdict::TooFast,
    };
    Physics {
        km_max_fibre: rounded(fibre),
        km_max_real: rounded(rtt_ms * KM_PER_RTT_MS_REAL),
        km_max_vacuum: rounded(vacuum),
        claim_km: claim_km.map(rounded),
        claim_of,
        geo_km: geo_km.map(rounded),
        claimed: place_of(claimed.subject, subject_km),
        region: place_of(region, geo_km),
        verdict,
        refuted,
        doubtful,
        withheld_by,
    }
}

/// A claim, and how far it is from the sensor.
pub fn claimed(sensor: &SensorPlace, claim: Circle) -> Option<ClaimedPlace> {
    place_of(Some(claim), nearest_km(sensor, claim))
}

fn place_of(circle: Option<Circle>, sensor_km: Option<f64>) -> Option<ClaimedPlace> {
    let Circle { centre, radius_km } = circle?;
    Some(ClaimedPlace { centre, radius_km, sensor_km: sensor_km? })
}

/// Judged exactly, reported in steps of 100 m.
fn rounded(km: f64) -> f64 {
    (km * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::physics::EARTH_RADIUS_KM;

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

    fn region(location: Option<(f64, f64)>, radius_km: Option<f64>) -> Place {
        Place {
            country: Some("GB".into()),
            region: None,
            location,
            radius_km,
            cached: Default::default(),
        }
    }

    fn of(rtt_ms: f64, subject: Option<Circle>, geo: Option<&Place>) -> Physics {
        judge(&sensor(), (rtt_ms * 1e6) as u64, &Claimed { subject, geo }, None)
    }

    #[test]
    fn only_the_vacuum_bound_refutes_and_the_radius_counts() {
        let judged = |rtt_ms, radius_km| {
            let physics = of(rtt_ms, None, Some(&region(Some(LONDON), Some(radius_km))));
            (physics.verdict, physics.refuted.words(), physics.doubtful.words())
        };
        let none: &[&str] = &[];
        // 5 917 km: 59.2 ms in fibre, 39.5 ms in vacuum.
        assert_eq!(judged(60.0, 0.0), (PhysicsVerdict::Possible, none, none));
        assert_eq!(judged(45.0, 0.0), (PhysicsVerdict::Possible, none, &["geo"][..]));
        assert_eq!(judged(39.0, 0.0), (PhysicsVerdict::TooFast, &["geo"][..], none));
        // 5 765 km to the nearest point: 38.5 ms in vacuum.
        assert_eq!(judged(39.0, 152.0), (PhysicsVerdict::Possible, none, &["geo"][..]));
        assert_eq!(judged(38.0, 152.0), (PhysicsVerdict::TooFast, &["geo"][..], none));
    }

    #[test]
    fn a_region_around_the_sensor_is_no_distance_away() {
        // 3 500 km: half of the United States around Kansas, the sensor in Ashburn within it.
        let usa = region(Some((38.5, -98.0)), Some(3_500.0));
        let physics = of(0.05, None, Some(&usa));
        assert_eq!((physics.geo_km, physics.verdict), (Some(0.0), PhysicsVerdict::Possible));
        // A quarter of the circumference: 90 degrees of 6 371.009 km are 10 007.6 km.
        let pole = Circle { centre: (90.0, 0.0), radius_km: 7.6 };
        let equator = SensorPlace { name: "0".into(), latitude: 0.0, longitude: 50.0 };
        assert!((nearest_km(&equator, pole).unwrap() - 9_999.94).abs() < 0.1);
    }

    #[test]
    fn the_disc_of_a_round_trip_has_three_radii() {
        let physics = of(20.0, None, None);
        assert_eq!(physics.km_max_vacuum, 2_998.0);
        assert_eq!(physics.km_max_fibre, 1_998.6);
        assert_eq!(physics.km_max_real, 1_332.4);
        assert_eq!((physics.verdict, physics.claim_km), (PhysicsVerdict::Unknown, None));
    }

    #[test]
    fn the_subjects_place_is_the_claim_and_the_region_is_judged_beside_it() {
        let phoenix = Some(Circle { centre: PHOENIX, radius_km: RADIUS_KM_SUBJECT });
        let virginia = region(Some(ASHBURN), Some(150.0));
        // 3 143.7 km to Phoenix less 50: 20.6 ms in vacuum.
        let physics = of(12.0, phoenix, Some(&virginia));
        assert_eq!(physics.claim_of, Some(Claim::Subject));
        assert!((physics.claim_km.unwrap() - 3_093.7).abs() < 0.1, "{physics:?}");
        assert_eq!((physics.geo_km, physics.verdict), (Some(0.0), PhysicsVerdict::TooFast));
        assert_eq!(physics.refuted.words(), ["subject"]);
        // The database says London: refuted, though the subject's location is possible.
        let london = region(Some(LONDON), Some(50.0));
        let physics = of(32.0, phoenix, Some(&london));
        assert_eq!(physics.verdict, PhysicsVerdict::TooFast);
        assert_eq!((physics.refuted.words(), physics.doubtful.words()), (&["geo"][..], &[][..]));
        assert_eq!(of(12.0, phoenix, Some(&london)).refuted.words(), ["subject", "geo"]);
    }

    #[test]
    fn a_tag_withholds_the_verdict_and_is_named() {
        let london = region(Some(LONDON), None);
        let phoenix = Some(Circle { centre: PHOENIX, radius_km: 0.0 });
        let claimed = Claimed { subject: phoenix, geo: Some(&london) };
        let tagged = judge(&sensor(), 1_000_000, &claimed, Some("sase"));
        assert_eq!((tagged.verdict, tagged.withheld_by), (PhysicsVerdict::Unknown, Some("sase")));
        assert!(tagged.refuted.is_empty() && tagged.doubtful.is_empty());
        assert_eq!((tagged.km_max_vacuum, tagged.km_max_fibre), (149.9, 99.9));
        assert!(tagged.claim_km.unwrap() > 3_000.0 && tagged.geo_km.unwrap() > 5_700.0);
    }

    #[test]
    fn no_claim_is_unknown() {
        assert_eq!(of(1.0, None, Some(&region(None, None))).verdict, PhysicsVerdict::Unknown);
        assert_eq!(of(1.0, None, None).claim_km, None);
        let broken = region(Some((f64::NAN, 0.0)), None);
        assert_eq!(of(1.0, None, Some(&broken)).verdict, PhysicsVerdict::Unknown);
    }
}
