//! Bounds on distance from the speed of light, and what they say about claimed locations.
//!
//! Owns: the speeds, the words and the form of the result. In: enrich fills it. Out: emit shows it,
//! detect uses it. Never: a verdict on a person.

/// Kilometres of distance that a millisecond of full round trip allows at c in vacuum:
/// 299 792.458 km/s (BIPM, The International System of Units, 9th edition, section 2.3.1) / 2 /
/// 1000.
pub const KM_PER_RTT_MS_VACUUM: f64 = 149.9;

/// The same at 2/3 c, the speed of light in fibre, the bound of constraint-based geolocation (Gueye
/// et al., IEEE/ACM Transactions on Networking 14(6), 2006).
pub const KM_PER_RTT_MS_FIBRE: f64 = 99.93;

/// The same at 4/9 c, the typical speed of packets on real paths (Katz-Bassett et al., IMC 2006).
pub const KM_PER_RTT_MS_REAL: f64 = 66.62;

/// Mean radius of the Earth in km: the IUGG's R1 of the Geodetic Reference System 1980 (Moritz,
/// Journal of Geodesy 74, 2000). The ellipsoid's own distances differ by 0.6 % at most.
pub const EARTH_RADIUS_KM: f64 = 6_371.009;

/// Great-circle distance in km between two points in degrees: the haversine formula (Sinnott,
/// Virtues of the Haversine, Sky and Telescope 68(2), 1984).
pub fn distance_km(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (lat_a, lat_b) = (a.0.to_radians(), b.0.to_radians());
    let half_lat = ((lat_b - lat_a) / 2.0).sin();
    let half_lon = ((b.1 - a.1).to_radians() / 2.0).sin();
    let h = half_lat * half_lat + lat_a.cos() * lat_b.cos() * half_lon * half_lon;
    2.0 * EARTH_RADIUS_KM * h.clamp(0.0, 1.0).sqrt().asin()
}

/// A circle on the Earth that somebody or something is said to be in, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClaimedPlace {
    /// Degrees north and east of its centre.
    pub centre: (f64, f64),
    /// Its radius in km.
    pub radius_km: f64,
    /// From the sensor to its nearest point, in km.
    pub sensor_km: f64,
}

impl ClaimedPlace {
    /// Distance in km between the nearest points of two.
    pub fn distance_km(&self, other: &ClaimedPlace) -> f64 {
        let centres = distance_km(self.centre, other.centre);
        (centres - self.radius_km - other.radius_km).max(0.0)
    }
}

/// The source of a claimed location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The subjects file, for the person or device at that end.
    Subject,
    /// The geo database.
    Geo,
}

impl Claim {
    /// `longhaul.physics.claim_of`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Claim::Subject => "subject",
            Claim::Geo => "geo",
        }
    }
}

/// A set of claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims(u8);

impl Claims {
    /// With another claim added.
    pub const fn with(self, claim: Claim) -> Claims {
        Claims(self.0 | 1 << claim as u8)
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their words, in order.
    pub const fn words(self) -> &'static [&'static str] {
        match self.0 & 3 {
            0 => &[],
            1 => &["subject"],
            2 => &["geo"],
            _ => &["subject", "geo"],
        }
    }

    /// The claims with these words; `None` if one is unknown.
    pub fn of(words: &[&str]) -> Option<Claims> {
        words.iter().try_fold(Claims::default(), |claims, word| {
            let all = [Claim::Subject, Claim::Geo];
            Some(claims.with(all.into_iter().find(|claim| claim.as_str() == *word)?))
        })
    }
}

/// What the bounds say about the remote end's claimed location.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Physics {
    /// Farthest the remote end can be at 2/3 c, in km.
    pub km_max_fibre: f64,
    /// Farthest the remote end is likely to be at 4/9 c, in km: paths are not straight.
    pub km_max_real: f64,
    /// Farthest it can be at c, in km: a hard bound.
    pub km_max_vacuum: f64,
    /// Great-circle distance from the sensor to the nearest point of the claimed location, in km:
    /// the subject's if the subjects file has one, else the geo region.
    pub claim_km: Option<f64>,
    /// The source of that claim.
    pub claim_of: Option<Claim>,
    /// The distance to the nearest point of the geo region, in km, whatever the subject claims.
    pub geo_km: Option<f64>,
    /// The place that the subjects file claims.
    pub claimed: Option<ClaimedPlace>,
    /// The region of the geo database.
    pub region: Option<ClaimedPlace>,
    /// The verdict.
    pub verdict: PhysicsVerdict,
    /// Claims that the vacuum bound refutes.
    pub refuted: Claims,
    /// Claims beyond the fibre bound but within the vacuum bound.
    pub doubtful: Claims,
    /// The tag because of which no claim is judged.
    pub withheld_by: Option<&'static str>,
}

/// `longhaul.physics.verdict`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PhysicsVerdict {
    /// The claimed location is within reach of the measured round trip.
    Possible,
    /// The claimed location is farther than light could travel: it is wrong (or anycast, CDN, PEP).
    TooFast,
    /// No claim, or a tag says that the address is not where its users are.
    #[default]
    Unknown,
}

impl PhysicsVerdict {
    /// The contract's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            PhysicsVerdict::Possible => "possible",
            PhysicsVerdict::TooFast => "too-fast",
            PhysicsVerdict::Unknown => "unknown",
        }
    }
}
