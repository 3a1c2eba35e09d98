//! The immutable data of a run: databases, lists, locations, home networks, subjects.
//!
//! Owns: one snapshot. In: paths and plain values of the plan. Out: a shared value, replaced as a
//! whole.
//! Never: changes after loading.

use std::path::PathBuf;

use crate::enrich::geo::{GeoDb, is_public};
use crate::enrich::lists::Lists;
use crate::enrich::lpm::{Prefix, PrefixSet};
use crate::enrich::nat64::Nat64;
use crate::enrich::places::SensorPlace;
use crate::enrich::pseudonym::Pseudonyms;
use crate::enrich::subjects::Subjects;
use crate::model::{Addr, Error};

/// The default home networks: RFC 1918, RFC 4193, RFC 6598 (carrier-grade NAT).
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
    /// Tags of applications that everybody may use: `rmm:teamviewer`.
    pub approved: Vec<String>,
    /// Countries that nobody is expected to control our hosts from.
    pub countries: Vec<[u8; 2]>,
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
    /// Replaces identities by pseudonyms, if configured.
    pub pseudonyms: Option<Pseudonyms>,
    /// Tags of applications that everybody may use.
    pub approved: Vec<String>,
    /// Countries that nobody is expected to control our hosts from.
    pub countries: Vec<[u8; 2]>,
    /// The sensor's own location.
    pub sensor: Option<SensorPlace>,
    /// NAT64 prefixes.
    pub nat64: Nat64,
    home: PrefixSet<()>,
    /// The answer of [`EnrichData::is_home`] for IPv4 by first octet, if all its 2^24 addresses
    /// have the same.
    home_v4: Box<[Option<bool>; 256]>,
}

impl EnrichData {
    /// Loads everything; returns all errors at once.
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
        let home_v4 = Box::new(std::array::from_fn(|octet| first_octet(octet as u8, &home)));
        let home = PrefixSet::build(home.into_iter().map(|prefix| (prefix, ())).collect());
        let (sensor, approved) = (options.sensor.clone(), options.approved.clone());
        let (nat64, countries) = (Nat64::new(options.nat64.clone()), options.countries.clone());
        Ok(EnrichData {
            geo,
            lists,
            subjects,
            pseudonyms,
            approved,
            countries,
            sensor,
            nat64,
            home,
            home_v4,
        })
    }

    /// Whether the address is on the home side: in a home network, or of a scope that never leaves
    /// the site (loopback, link-local, multicast, broadcast, unspecified). For a NAT64 address the
    /// embedded IPv4 address counts.
    pub fn is_home(&self, addr: Addr) -> bool {
        let v4 = addr.to_v4().or_else(|| self.nat64.inside(addr));
        let known = v4.and_then(|v4| {
            let [octet, ..] = v4.octets();
            self.home_v4.get(usize::from(octet)).copied().flatten()
        });
        let addr = v4.map_or(addr, Addr::from);
        known.unwrap_or_else(|| self.is_home_by_prefix(addr))
    }

    /// Whether an address is of our side or of nobody's network in particular.
    pub fn is_private(&self, addr: Addr) -> bool {
        self.is_home(addr) || is_site_local(addr)
    }

    fn is_home_by_prefix(&self, addr: Addr) -> bool {
        self.home.longest(addr).is_some() || (!is_public(addr) && is_site_local(addr))
    }
}

/// Whether all IPv4 addresses with this first octet are home, or none is; `None` if only some are.
fn first_octet(octet: u8, home: &[Prefix]) -> Option<bool> {
    let all = Prefix::new(Addr::v4([octet, 0, 0, 0]).to_bits(), 96 + 8);
    if home.iter().any(|prefix| prefix.contains_all(all)) {
        return Some(true);
    }
    // Octets with addresses of site-local scope: see below.
    let is_local = matches!(octet, 0 | 127 | 169 | 224..);
    (!is_local && !home.iter().any(|prefix| all.contains_all(*prefix))).then_some(false)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn data(home: &[&str]) -> EnrichData {
        let home = home.iter().map(|text| Prefix::parse(text).unwrap()).collect();
        EnrichData::load(&EnrichOptions { home, ..EnrichOptions::default() }).unwrap()
    }

    /// The table of first octets agrees with all addresses, including the edges of every prefix.
    #[test]
    fn the_table_of_first_octets_agrees_with_the_prefixes() {
        let ours: [&[&str]; 5] = [
            &HOME_DEFAULT,
            &["0.0.0.0/0"],
            &["16.0.0.0/4", "17.0.0.0/8", "8.8.8.8"],
            &["255.255.255.255", "127.0.0.1", "9.255.255.0/24", "11.0.0.0/32"],
            &["::/0"],
        ];
        for home in ours {
            let data = data(home);
            for octet in 0..=255 {
                for rest in [[0, 0, 0], [0, 0, 1], [8, 8, 8], [16, 0, 0], [31, 255, 255], [254; 3]]
                    .into_iter()
                    .chain([[64, 0, 0], [127, 255, 255], [168, 0, 0], [255, 255, 0], [255; 3]])
                {
                    let [b, c, d] = rest;
                    let addr = Addr::v4([octet, b, c, d]);
                    assert_eq!(data.is_home(addr), data.is_home_by_prefix(addr), "{addr} {home:?}");
                }
            }
        }
    }
}
