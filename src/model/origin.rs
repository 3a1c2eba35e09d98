//! Where an address is, and who announces it.
//!
//! Owns: both rows of the databases. In: enrichment looks them up. Out: records share them. Never:
//! a lookup.

use crate::model::cached_text::CachedText;

/// A location in a geo database.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// ISO 3166-1 alpha-2.
    pub country: Option<Box<str>>,
    /// ISO 3166-2 with the country: `US-WA`, or just the subdivision code if the database has only
    /// that.
    pub region: Option<Box<str>>,
    /// Latitude and longitude in degrees: the centre of the region.
    pub location: Option<(f64, f64)>,
    /// Radius in km that contains 90 % of the region's addresses, if the database has one.
    pub radius_km: Option<f64>,
    /// The JSON text of its fields, once written.
    pub cached: CachedText,
}

/// The autonomous system that announces an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutonomousSystem {
    /// AS number.
    pub number: u32,
    /// Its owner, according to the database.
    pub organization: Option<Box<str>>,
    /// The JSON text of its fields, once written.
    pub cached: CachedText,
}
