//! The immutable knowledge of a run: databases, lists, places, home networks, subjects.
//!
//! Owns: one snapshot. In: paths and plain values of the plan. Out: a shared value, swapped whole.
//! Never: changes after it was loaded.

use std::path::PathBuf;

use crate::enrich::geo::GeoDb;
use crate::enrich::geo::is_public;
use crate::enrich::lists::Lists;
use crate::enrich::lpm::Prefix;
use crate::enrich::lpm::PrefixSet;
use crate::enrich::nat64::Nat64;
use crate::enrich::places::SensorPlace;
use crate::enrich::pseudonym::Pseudonyms;
use crate::enrich::subjects::Subjects;
use crate::model::Addr;
use crate::model::Error;

/// Home networks where none are declared: RFC 1918, RFC 4193, RFC 6598 (carrier-grade NAT).
pub const HOME_DEFAULT: [&str; 5] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"];

/// What to load.
#[derive(Clone, Debug, Default)]
pub struct EnrichOptions {
    /// `--geo DIR`.
    pub geo: Option<PathBuf>,
    /// `--lists DIR`.
    pub lists: Option<PathBuf>,
    /// `--signatures DIR`.
    pub signatures: Option<PathBuf>,
    /// Tags of applications that may be used: `rmm:teamviewer`.
    pub approved: Vec<String>,
    /// `--subjects FILE`.
    pub subjects: Option<PathBuf>,
    /// `--pseudonymise KEYFILE`.
    pub pseudonymise: Option<PathBuf>,
    /// `--home`; empty for [`HOME_DEFAULT`].
    pub home: Vec<Prefix>,
    /// `--place`.
    pub sensor: Option<SensorPlace>,
    /// `--nat64`: prefixes of translators beside the well-known one.
    pub nat64: Vec<Prefix>,
}

/// The snapshot.
pub struct EnrichData {
    /// Geo and AS databases.
    pub geo: GeoDb,
    /// Indicator lists.
    pub lists: Lists,
    /// Subjects.
    pub subjects: Subjects,
    /// Hides who people are, where that is wanted.
    pub pseudonyms: Option<Pseudonyms>,
    /// Tags of applications that anybody may use.
    pub approved: Vec<String>,
    /// The sensor's own place.
    pub sensor: Option<SensorPlace>,
    /// What IPv4 addresses stand behind translators.
    pub nat64: Nat64,
    home: PrefixSet<()>,
}

impl EnrichData {
    /// Loads everything; every error at once.
    pub fn load(options: &EnrichOptions) -> Result<EnrichData, Vec<Error>> {
        let mut errors = Vec::new();
        let geo = match &options.geo {
            Some(dir) => GeoDb::load(dir),
            None => GeoDb::embedded().map_err(|e| vec![e]),
        };
        let geo = geo.map_err(|more| errors.extend(more)).ok();
        let lists = Lists::load_all(options.lists.as_deref(), options.signatures.as_deref());
        let lists = lists.map_err(|more| errors.extend(more)).ok();
        let subjects = match &options.subjects {
            Some(path) => Subjects::load(path),
            None => Ok(Subjects::default()),
        };
        let subjects = subjects.map_err(|more| errors.extend(more)).ok();
        let pseudonyms = options.pseudonymise.as_deref().map(Pseudonyms::load).transpose();
        let pseudonyms = pseudonyms.map_err(|error| errors.push(error)).ok();
        let (Some(geo), Some(lists), Some(subjects), Some(pseudonyms)) =
            (geo, lists, subjects, pseudonyms)
        else {
            return Err(errors);
        };
        let home = match options.home.as_slice() {
            [] => HOME_DEFAULT.iter().filter_map(|text| Prefix::parse(text).ok()).collect(),
            own => own.to_vec(),
        };
        let home = PrefixSet::build(home.into_iter().map(|prefix| (prefix, ())).collect());
        let (sensor, approved) = (options.sensor.clone(), options.approved.clone());
        let nat64 = Nat64::new(options.nat64.clone());
        Ok(EnrichData { geo, lists, subjects, pseudonyms, approved, sensor, nat64, home })
    }

    /// Whether the address is on the home side: in a home network, or of a scope that never leaves
    /// the site (loopback, link-local, multicast, broadcast, unspecified). Behind a translator it
    /// is the IPv4 address that counts.
    pub fn is_home(&self, addr: Addr) -> bool {
        let addr = self.nat64.inside(addr).map_or(addr, Addr::from);
        self.home.longest(addr).is_some() || (!is_public(addr) && is_site_local(addr))
    }
}

fn is_site_local(addr: Addr) -> bool {
    match addr.to_v4() {
        Some(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_unspecified()
        }
        None => match addr.0 {
            [0xff, ..] => true,
            [0xfe, second, ..] => second & 0xc0 == 0x80,
            // :: and ::1
            bytes => u128::from_be_bytes(bytes) <= 1,
        },
    }
}
