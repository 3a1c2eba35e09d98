//! The memory budget of a run, divided among all tables and buffers.
//!
//! Owns: the shares. In: the budget. Out: bytes of each table. Never: accounting (each table does
//! its own), or a dependency on the machine or the number of workers: evictions at a cap must be
//! the same on every run.

use crate::config::Plan;
use crate::model::Error;

const MIB: u64 = 1 << 20;

/// The default budget.
pub const MEMORY: u64 = 2_048 * MIB;

/// The smallest budget: below it hardly anything remains beside the fixed part.
pub const MEMORY_MIN: u64 = 192 * MIB;

/// The largest budget: tables have 32-bit indices.
pub const MEMORY_MAX: u64 = 256 * 1_024 * MIB;

/// The fixed part: program, rules and databases (44 MiB once all of their trees were asked for: 8
/// bytes a node), input blocks and queued packets, sessions of 4,096 packets in the output queues,
/// and small tables of fixed size.
pub const FIXED: u64 = 112 * MIB;

/// Shards of the session table.
const SHARDS: u64 = crate::config::WORKERS_MAX as u64;

/// Bytes to reassemble the longest datagram (`session/fragments.rs`).
const FRAGMENTS_MIN: u64 = 80 * 1_024;

/// The table of names and holders, and as much again for what the older snapshots that workers
/// still read have of it. Beyond that the reader waits (`identity::Publisher`).
const WITH_SNAPSHOTS: u64 = 2;

/// The bytes of each table under a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The session table, per shard: 38 % of the budget without its fixed part.
    pub sessions: usize,
    /// Facts of sessions, per shard: 19 %.
    pub evidence: usize,
    /// Out-of-order TCP segments and incomplete messages, per shard: 8 %.
    pub waiting: usize,
    /// IP fragments, per shard: 1 %, but at least enough for the longest datagram.
    pub fragments: usize,
    /// Endpoints: 12 %.
    pub endpoints: usize,
    /// People of the subjects file, and the addresses that they use: 2 %.
    pub people: usize,
    /// What home hosts exchange with whom: 2 %.
    pub hosts: usize,
    /// Contributions of open sessions to their endpoints: 2 %.
    pub open_sessions: usize,
    /// Alerts, until they are passed to the outputs: 4 %.
    pub alerts: usize,
    /// The queues of all outputs: 1 %.
    pub outputs: usize,
    /// Alerts kept to merge repetitions and to raise none twice: 2 %.
    pub repeats: usize,
    /// Subjects with alerts, and incidents: 2 %.
    pub subjects: usize,
    /// Groups of correlations: 1 %.
    pub groups: usize,
    /// Names and holders of addresses: half of 6 %; the other half is for older snapshots.
    pub bindings: usize,
    /// Decompression windows of open files: an eighth of the budget, in addition to it.
    pub windows: u64,
}

impl Shares {
    /// Divides a budget.
    pub fn of(memory: u64) -> Shares {
        let rest = memory.saturating_sub(FIXED);
        let fragments = (rest / 100 / SHARDS).max(FRAGMENTS_MIN);
        let rest = rest.saturating_sub(fragments * SHARDS);
        let share = |percent: u64, among: u64| {
            usize::try_from(rest / 99 * percent / among).unwrap_or(usize::MAX)
        };
        Shares {
            sessions: share(38, SHARDS),
            evidence: share(19, SHARDS),
            waiting: share(8, SHARDS),
            fragments: usize::try_from(fragments).unwrap_or(usize::MAX),
            endpoints: share(12, 1),
            people: share(2, 1),
            hosts: share(2, 1),
            open_sessions: share(2, 1),
            alerts: share(4, 1),
            outputs: share(1, 1),
            repeats: share(2, 1),
            subjects: share(2, 1),
            groups: share(1, 1),
            bindings: share(6, WITH_SNAPSHOTS),
            windows: memory / 8,
        }
    }
}

/// Bytes of one endpoint: its entry and index, sums, up to sixteen round trips, its prefix's floor;
/// for one endpoint in ten also a week of exchanges, and its places among the lines of its address.
const ENDPOINT_BYTES: usize = 656;

/// Bytes of one alert: about five pieces of evidence with their sessions.
const ALERT_BYTES: usize = 2_048;

/// Bytes of an address with its names plus one with its holders.
const BINDING_BYTES: usize = 1_024;

/// The capacity of each table: the lesser of budget and cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Endpoints.
    pub endpoints: usize,
    /// Bytes of open sessions' contributions to endpoints.
    pub open_bytes: usize,
    /// Bytes of what home hosts exchange with whom.
    pub hosts_bytes: usize,
    /// Bytes of people and their addresses.
    pub people_bytes: usize,
    /// Alerts.
    pub alerts: usize,
    /// Bytes of the ledger's entries: alerts that repetitions merge into, and rules that fired on
    /// endpoints.
    pub entries_bytes: usize,
    /// Bytes of the ledger's subjects with their alerts.
    pub subjects_bytes: usize,
    /// Bytes of groups of correlations.
    pub groups_bytes: usize,
    /// Addresses with names, or holders.
    pub bindings: usize,
    /// Bytes of their table that older snapshots alone hold: as much as the table may have.
    pub snapshot_bytes: usize,
}

impl Bounds {
    /// The capacities of a plan.
    pub fn of(plan: &Plan) -> Bounds {
        let (shares, caps) = (Shares::of(plan.memory), plan.caps);
        let fit = |bytes: usize, each: usize, cap: usize| (bytes / each).clamp(1, cap);
        Bounds {
            endpoints: fit(shares.endpoints, ENDPOINT_BYTES, caps.endpoints),
            open_bytes: shares.open_sessions,
            hosts_bytes: shares.hosts,
            people_bytes: shares.people,
            alerts: fit(shares.alerts, ALERT_BYTES, caps.alerts),
            entries_bytes: shares.repeats,
            subjects_bytes: shares.subjects,
            groups_bytes: shares.groups,
            bindings: fit(shares.bindings, BINDING_BYTES, caps.bindings),
            snapshot_bytes: shares.bindings,
        }
    }
}

/// Parses a budget: `512MiB`, `1GiB`, `4G`, or a number of bytes.
pub fn parse_memory(text: &str) -> Result<u64, Error> {
    let wrong = |cause: String| {
        Error::new("memory", cause)
            .help("give a size between 192MiB and 256GiB, such as 512MiB, 1GiB or 4G")
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => return Err(wrong(format!("`{text}` is not a size"))),
    };
    let number: u64 = number.parse().map_err(|_| wrong(format!("`{text}` is not a size")))?;
    match number.checked_mul(1 << shift) {
        Some(bytes) if (MEMORY_MIN..=MEMORY_MAX).contains(&bytes) => Ok(bytes),
        _ => Err(wrong(format!("{text} is not between 192MiB and 256GiB"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_the_usual_units() {
        assert_eq!(parse_memory("512MiB").unwrap(), 512 << 20);
        assert_eq!(parse_memory("4G").unwrap(), 4 << 30);
        assert_eq!(parse_memory("1 GiB").unwrap(), 1 << 30);
        assert_eq!(parse_memory("268435456").unwrap(), 268_435_456);
        for wrong in ["", "GiB", "1.5GiB", "12", "1TiB", "99999999999999999999G", "-1G", "300GiB"] {
            let error = parse_memory(wrong).unwrap_err();
            assert!(error.help.is_some(), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_small_budget_limits_tables_below_their_caps() {
        let plan = |memory| Plan { memory, ..Plan::default() };
        let small = Bounds::of(&plan(MEMORY_MIN));
        let large = Bounds::of(&plan(MEMORY_MAX));
        assert!(small.endpoints < 30_000 && small.alerts < 3_000);
        assert_eq!((large.endpoints, large.alerts), (1_000_000, 100_000));
        let mut capped = plan(MEMORY_MAX);
        capped.caps.alerts = 16;
        assert_eq!(Bounds::of(&capped).alerts, 16);
    }

    #[test]
    fn the_longest_datagram_fits_the_smallest_budget() {
        let longest = usize::from(u16::MAX);
        assert!(Shares::of(MEMORY_MIN).fragments > longest);
        assert_eq!(SHARDS, u64::from(crate::decode::SHARDS), "shards of the table");
    }

    #[test]
    fn the_shares_add_up_to_the_budget() {
        for memory in [MEMORY_MIN, MEMORY, MEMORY_MAX] {
            let s = Shares::of(memory);
            let shards = s.sessions + s.evidence + s.waiting + s.fragments;
            let once = s.endpoints
                + s.open_sessions
                + s.alerts
                + s.outputs
                + s.repeats
                + s.subjects
                + s.hosts
                + s.people;
            let all = shards * SHARDS as usize + once + s.bindings * 2;
            let all = all as u64 + FIXED;
            assert!(all <= memory && memory - all < memory / 50, "{memory}: {all}");
        }
    }
}
