//! Which tunnels to decapsulate, and what separates sessions of equal addresses.
//!
//! Owns: the values of `--no-decap` and `--key`. In: a plan. Out: decode's configuration, and the
//! tunnels of each source. Never: ignores an unknown value.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use crate::config::Plan;
use crate::decode::{DecodeConfig, TunnelKind, TunnelSet};
use crate::model::Error;

/// A tunnel that is off for one source.
#[derive(Clone, Debug)]
pub(crate) struct Off {
    source: String,
    kind: TunnelKind,
}

/// Decode's configuration with a secret for this run (it decides where a session is in a table,
/// never the results), and the tunnels that are off for single sources.
pub(crate) fn configure(plan: &Plan) -> Result<(DecodeConfig, Vec<Off>), Vec<Error>> {
    let mut config =
        DecodeConfig { key_seed: RandomState::new().hash_one(0u8), ..DecodeConfig::default() };
    let (mut off, mut errors) = (Vec::new(), Vec::new());
    for word in &plan.no_decap {
        let (source, kind) = word.rsplit_once(':').map_or((None, &**word), |(s, k)| (Some(s), k));
        match (kind_of(kind), source) {
            (Some(kind), Some(source)) => off.push(Off { source: source.to_owned(), kind }),
            (Some(kind), None) => config.tunnels = config.tunnels.without(kind),
            (None, _) => errors.push(unknown_kind(kind)),
        }
    }
    for word in &plan.key {
        match word.as_str() {
            "vlan" => config.vlan_in_key = true,
            "vni" => config.vni_in_key = true,
            _ => errors.push(
                Error::new("session key", format!("`{word}` cannot be part of it"))
                    .help("give vlan, vni or both: --key vlan,vni"),
            ),
        }
    }
    if errors.is_empty() { Ok((config, off)) } else { Err(errors) }
}

/// The tunnels to decapsulate for a source: `all` except those that are off. A source is named by
/// its path, its file name or its interface.
pub(crate) fn tunnels_of(all: TunnelSet, off: &[Off], source: &Path) -> TunnelSet {
    let named = |off: &&Off| {
        source == Path::new(&off.source) || source.file_name().is_some_and(|n| n == &*off.source)
    };
    off.iter().filter(named).fold(all, |set, off| set.without(off.kind))
}

fn kind_of(word: &str) -> Option<TunnelKind> {
    TunnelKind::ALL.into_iter().find(|kind| kind.as_str() == word)
}

fn unknown_kind(word: &str) -> Error {
    let all: Vec<&str> = TunnelKind::ALL.iter().map(|kind| kind.as_str()).collect();
    Error::new("decapsulation", format!("`{word}` is no tunnel that could be left closed"))
        .help(format!("give KIND or SOURCE:KIND; kinds are {}", all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(no_decap: &[&str], key: &[&str]) -> Plan {
        let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect();
        Plan { no_decap: words(no_decap), key: words(key), ..Plan::default() }
    }

    #[test]
    fn decapsulation_can_be_off_for_one_source() {
        let (config, off) = configure(&plan(&["teredo", "dmz.pcap:vxlan"], &["vni"])).unwrap();
        assert!(!config.tunnels.has(TunnelKind::Teredo) && config.tunnels.has(TunnelKind::Vxlan));
        assert!((config.vni_in_key, config.vlan_in_key) == (true, false));
        let of = |path: &str| tunnels_of(config.tunnels, &off, Path::new(path));
        assert!(!of("captures/dmz.pcap").has(TunnelKind::Vxlan));
        assert!(of("captures/lan.pcap").has(TunnelKind::Vxlan));
        assert!(!of("captures/lan.pcap").has(TunnelKind::Teredo));
    }

    #[test]
    fn every_unknown_word_is_refused_at_once() {
        let errors = configure(&plan(&["vxlam", "x:grey"], &["port"])).unwrap_err();
        assert_eq!(errors.len(), 3);
        assert!(errors[0].to_string().contains("vxlam"), "{}", errors[0]);
    }
}
