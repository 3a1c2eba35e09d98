//! What light allows: bounds on distance, and what they say of claimed places.
//!
//! Owns: the speeds, the words and the shape of the result. In: enrich fills it. Out: emit shows
//! it, detect weighs it. Never: a verdict on a person.

/// Kilometres of distance that a millisecond of full round trip allows at c in vacuum:
/// 299 792.458 km/s (BIPM, The International System of Units, 9th edition, section 2.3.1) / 2 /
/// 1000.
pub const KM_PER_RTT_MS_VACUUM: f64 = 149.9;

/// The same at 2/3 c, the speed of light in fibre, the bound of constraint-based geolocation (Gueye
/// et al., IEEE/ACM Transactions on Networking 14(6), 2006).
pub const KM_PER_RTT_MS_FIBRE: f64 = 99.93;

/// The same at 4/9 c, at which packets of real paths are found to travel (Katz-Bassett et al., IMC
/// 2006).
pub const KM_PER_RTT_MS_REAL: f64 = 66.62;

/// Who says where an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The subjects file, of the person or device at that end.
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

/// Some claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims(u8);

impl Claims {
    /// With one more.
    pub const fn with(self, claim: Claim) -> Claims {
        Claims(self.0 | 1 << claim as u8)
    }

    /// Whether there is none.
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

    /// The claims of these words; nothing where one is none.
    pub fn of(words: &[&str]) -> Option<Claims> {
        words.iter().try_fold(Claims::default(), |claims, word| {
            let all = [Claim::Subject, Claim::Geo];
            Some(claims.with(all.into_iter().find(|claim| claim.as_str() == *word)?))
        })
    }
}

/// What physics says of the remote end's claimed place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Physics {
    /// Farthest the remote end can be at 2/3 c, in km.
    pub km_max_fibre: f64,
    /// Farthest it is likely to be at 4/9 c, in km: paths are not straight.
    pub km_max_real: f64,
    /// Farthest it can be at c, in km: a hard bound.
    pub km_max_vacuum: f64,
    /// Great-circle distance from the sensor to the nearest point of the claimed place, in km: of
    /// the subject's where the subjects file has one, else of the geo region.
    pub claim_km: Option<f64>,
    /// Whose claim that is.
    pub claim_of: Option<Claim>,
    /// The distance to the nearest point of the geo region, in km, whatever the subject claims.
    pub geo_km: Option<f64>,
    /// What follows.
    pub verdict: PhysicsVerdict,
    /// Claims that light in a vacuum refutes.
    pub refuted: Claims,
    /// Claims that light in fibre could not serve, and light in a vacuum could.
    pub doubtful: Claims,
    /// The tag for which nothing is held against any claim.
    pub withheld_by: Option<&'static str>,
}

/// `longhaul.physics.verdict`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PhysicsVerdict {
    /// The claimed place is within reach of the measured round trip.
    Possible,
    /// The claimed place is farther than light could have gone: the place is wrong (or anycast,
    /// CDN, PEP).
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
