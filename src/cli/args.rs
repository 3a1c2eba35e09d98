//! The options of `longhaul read`, and those of every run.
//!
//! Owns: names, defaults and help texts. In: the command line. Out: a [`Plan`].
//! Never: opens any file but the configuration file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::live::{parse_bytes, parse_seconds};
use crate::config::memory::parse_memory;
use crate::config::updates::parse_updates;
use crate::config::{
    Following, HashInputs, Output, Plan, PointBy, SessionLines, WORKERS_MAX, WORKERS_UNASKED,
    bounded, file, learn_days, parse_level, sensor_name,
};
use crate::model::Error;

/// Arguments of `read`.
#[derive(Debug, clap::Args)]
pub(super) struct ReadArgs {
    /// Capture files, directories (read recursively), or `-` for standard input
    #[arg(required_unless_present = "follow", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Then go on with the files that come into this directory, until SIGINT or SIGTERM
    #[arg(long, value_name = "DIR")]
    follow: Option<PathBuf>,
    /// A file of --follow is read once it was not written to for so long [default: 60s]
    #[arg(long, value_name = "TIME", requires = "follow")]
    settle: Option<String>,
    /// Read in sets, each with results of its own below the directory that --out names; after a
    /// kill the same command goes on behind the last set that is finished
    #[arg(long, requires = "out", conflicts_with_all = ["follow", "force", "json", "sessions",
        "state"])]
    pub(super) resume: bool,
    /// Stored bytes of a set: it ends where a file begins after all before it have ended
    /// [default: 16GiB]
    #[arg(long, value_name = "SIZE", requires = "resume")]
    set_size: Option<String>,
    /// Which inputs were captured at the same point
    #[arg(long, value_name = "dir|file", value_parser = ["dir", "file"])]
    point_by: Option<String>,
    /// Hash input files for run.json: never, auto (up to 64 MiB each), always
    #[arg(long, value_name = "WHEN", value_parser = ["never", "auto", "always"])]
    hash_inputs: Option<String>,
    /// Refuse a compressed file that unpacks to more than N times its size and to more than 256 MiB
    /// [default: 1000]
    #[arg(long, value_name = "N")]
    max_ratio: Option<usize>,
    /// Form of the results in the directory of --out: ndjson; or parquet, which is written as well
    #[arg(long, value_name = "FORMAT", requires = "out", value_parser = ["ndjson", "parquet"])]
    format: Option<String>,
    /// Write the report of the results to this file as well: one HTML page
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    #[command(flatten)]
    common: RunArgs,
}

/// Arguments of every run.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct RunArgs {
    /// Write sessions, endpoints, alerts, incidents (NDJSON) and run.json to this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write into an output directory that is not empty
    #[arg(long, requires = "out")]
    force: bool,
    /// Write alerts and incidents as NDJSON to standard output
    #[arg(long)]
    json: bool,
    /// Write session lines to this file, `-` for standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["no_sessions"])]
    sessions: Option<PathBuf>,
    /// Write no session lines (the other files are still written)
    #[arg(long)]
    no_sessions: bool,
    /// Worker threads [default: the number of cores, less one for reading]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Home networks [default: RFC 1918, RFC 4193 and RFC 6598 space]
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    home: Vec<String>,
    /// NAT64 prefixes beside 64:ff9b::/96: the embedded IPv4 addresses are used
    #[arg(long, value_name = "PREFIX", value_delimiter = ',')]
    nat64: Vec<String>,
    /// The sensor's location: LAT,LON or a city code such as SEA
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    place: Option<String>,
    /// The sensor's name, written as observer.name in every line [default: longhaul]
    #[arg(long, value_name = "NAME")]
    sensor: Option<String>,
    /// Traffic that passes the sensor: remote employees coming in, our devices going out, or both
    /// (noted in run.json)
    #[arg(long, value_name = "in|out|both")]
    vantage: Option<String>,
    /// Configuration file (TOML); options override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Add the Sigma rules of this directory or file to the embedded ones; may be repeated
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Use the Sigma rules of this directory or file instead of the embedded ones; may be repeated
    #[arg(long, value_name = "PATH")]
    rules_only: Vec<PathBuf>,
    /// Also apply these rules, which are off by default: numbers, names or ids
    #[arg(long, value_name = "RULE,...", value_delimiter = ',')]
    enable: Vec<String>,
    /// Do not apply these rules: numbers, names or ids
    #[arg(long, value_name = "RULE,...", value_delimiter = ',')]
    disable: Vec<String>,
    /// Use the MMDB files of this directory instead of the embedded ones
    #[arg(long, value_name = "DIR")]
    geo: Option<PathBuf>,
    /// Add the lists of this directory to the embedded ones; a list of the same name replaces the
    /// embedded one
    #[arg(long, value_name = "DIR")]
    lists: Option<PathBuf>,
    /// Use the application signatures of this directory instead of the embedded ones
    #[arg(long, value_name = "DIR")]
    signatures: Option<PathBuf>,
    /// Tags of applications that everybody may use: rmm:teamviewer
    #[arg(long, value_name = "TAG", value_delimiter = ',')]
    approved: Vec<String>,
    /// Employees and assets: a CSV file of match,id,name; match is an address, network, MAC or
    /// user:NAME
    #[arg(long, value_name = "FILE")]
    subjects: Option<PathBuf>,
    /// Replace people and devices by pseudonyms made with the key in this file
    #[arg(long, value_name = "KEYFILE")]
    pseudonymise: Option<PathBuf>,
    /// Learn usual round trips, keep them in this directory, and compare endpoints with them
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Days of packet time to learn before baselines may raise alerts [default: 14]
    #[arg(long, value_name = "DAYS")]
    learn_days: Option<usize>,
    /// With --state: report no incidents during these days; those still open then are reported
    #[arg(long)]
    learn_only: bool,
    /// Only frames that match this BPF expression
    #[arg(long, value_name = "BPF")]
    filter: Option<String>,
    /// Do not decapsulate tunnels of this kind: KIND, or SOURCE:KIND for one file or interface
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    no_decap: Vec<String>,
    /// Separate sessions of equal addresses by VLAN, by network identifier, or both
    #[arg(long, value_name = "vlan,vni", value_delimiter = ',')]
    key: Vec<String>,
    /// Keep duplicate packets, such as a mirror port sends
    #[arg(long)]
    no_dedup: bool,
    /// Measure TCP handshakes only: no gaps, no round trips within sessions, none of QUIC and DTLS
    #[arg(long)]
    no_latency: bool,
    /// Longest time between a packet and its duplicate, in microseconds [default: 1000]
    #[arg(long, value_name = "US", conflicts_with = "no_dedup")]
    dedup_window: Option<usize>,
    /// Memory budget for everything that grows, such as 512MiB or 4GiB; at the limit the least
    /// important is dropped and counted [default: 2GiB]
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Unanswered sessions per second with a line of their own; others are summed per source
    /// [default: 10000]
    #[arg(long, value_name = "N")]
    unanswered: Option<u64>,
    /// Times after its beginning at which an open session is judged; the last one repeats; or never
    /// [default: 60s,5m,15m]
    #[arg(long, value_name = "TIME", value_delimiter = ',')]
    update_after: Vec<String>,
    /// How long the end of the run waits for the sinks of the configuration; what is not confirmed
    /// by then stays in their spools [default: 30s]
    #[arg(long, value_name = "TIME")]
    drain: Option<String>,
    /// Write a session line at each of these times as well
    #[arg(long)]
    updates: bool,
    /// Report no alert below this Sigma level: informational, low, medium, high, critical
    #[arg(long, value_name = "LEVEL")]
    min_level: Option<String>,
    /// Exit with 1 if there are alerts
    #[arg(long)]
    fail_on_alert: bool,
    /// No summary and no progress bar
    #[arg(long, short)]
    quiet: bool,
}

/// A set that is read in a minute or two.
const SET_BYTES: u64 = 16 << 30;

/// Tools that capture write at least once a minute, where there is anything to write.
const SETTLE_S: u64 = 60;

impl ReadArgs {
    /// The directory that gets the results as Parquet, if they are wanted so.
    pub(super) fn parquet(&self) -> Option<&Path> {
        let wanted = self.format.as_deref() == Some("parquet");
        self.common.out.as_deref().filter(|_| wanted)
    }

    /// The plan, and every error in the arguments; a faulty argument keeps its default.
    pub(super) fn plan(&self) -> (Plan, Vec<Error>) {
        let (mut plan, mut errors) = self.common.plan();
        if let Some(ratio) = self.max_ratio {
            match file::max_ratio(ratio) {
                Ok(ratio) => plan.max_ratio = ratio,
                Err(e) => errors.push(e),
            }
        }
        plan.inputs.clone_from(&self.paths);
        match self.set_size.as_deref().map(|word| (word, parse_bytes(word))) {
            Some((word, None)) => {
                let error = Error::new("--set-size", format!("`{word}` is no size"));
                errors.push(error.help("give a size such as 512MiB or 16GiB"));
            }
            size => {
                let bytes = size.and_then(|(_, bytes)| bytes).unwrap_or(SET_BYTES);
                plan.set_bytes = self.resume.then_some(bytes);
            }
        }
        if let Some(dir) = &self.follow {
            let given = self.settle.as_deref().map_or(Some(SETTLE_S), parse_seconds);
            let settle = Duration::from_secs(given.unwrap_or(SETTLE_S));
            plan.follow = Some(Following { dir: dir.clone(), settle });
            if given.is_none() {
                let word = self.settle.as_deref().unwrap_or_default();
                let error = Error::new("--settle", format!("`{word}` is no span"));
                errors.push(error.help("give a span such as 10s or 2m"));
            }
        }
        plan.point_by = match self.point_by.as_deref() {
            Some("dir") => PointBy::Dir,
            Some("file") => PointBy::File,
            _ => PointBy::All,
        };
        plan.hash = match self.hash_inputs.as_deref() {
            Some("never") => HashInputs::Never,
            Some("always") => HashInputs::Always,
            _ => HashInputs::Auto,
        };
        (plan, errors)
    }
}

impl RunArgs {
    /// The plan without inputs, and every error in the arguments.
    pub(super) fn plan(&self) -> (Plan, Vec<Error>) {
        let mut plan = Plan {
            workers: default_workers(),
            config: self.config.clone(),
            arguments: arguments(std::env::args_os()),
            ..Plan::default()
        };
        let mut errors = Vec::new();
        if let Some(path) = &self.config {
            match file::load_config(path).map(|config| config.apply(&mut plan)) {
                Ok(Ok(())) => {}
                Ok(Err(wrong)) => errors.extend(wrong),
                Err(wrong) => errors.push(wrong),
            }
        }
        self.apply_places(&mut plan);
        self.apply_words(&mut plan, &mut errors);
        self.apply_output(&mut plan);
        (plan, errors)
    }

    fn apply_places(&self, plan: &mut Plan) {
        if !self.home.is_empty() {
            plan.home.clone_from(&self.home);
            plan.config_lines.home.clear();
        }
        if !self.nat64.is_empty() {
            plan.nat64.clone_from(&self.nat64);
            plan.config_lines.nat64.clear();
        }
        for (flag, slot) in [
            (&self.geo, &mut plan.geo),
            (&self.lists, &mut plan.lists),
            (&self.signatures, &mut plan.signatures),
            (&self.subjects, &mut plan.subjects),
            (&self.pseudonymise, &mut plan.pseudonymise),
            (&self.state, &mut plan.state),
        ] {
            if flag.is_some() {
                slot.clone_from(flag);
            }
        }
        for (flag, slot) in
            [(&self.rules, &mut plan.rules), (&self.rules_only, &mut plan.rules_only)]
        {
            if !flag.is_empty() {
                slot.clone_from(flag);
            }
        }
        for (flag, slot) in [(&self.enable, &mut plan.enable), (&self.disable, &mut plan.disable)] {
            if !flag.is_empty() {
                slot.clone_from(flag);
            }
        }
        if self.place.is_some() {
            plan.place.clone_from(&self.place);
            plan.config_lines.place = None;
        }
        plan.filter.clone_from(&self.filter);
        if !self.approved.is_empty() {
            plan.approved.clone_from(&self.approved);
        }
        if !self.no_decap.is_empty() {
            plan.no_decap.clone_from(&self.no_decap);
        }
        if !self.key.is_empty() {
            plan.key.clone_from(&self.key);
        }
    }

    fn apply_words(&self, plan: &mut Plan, errors: &mut Vec<Error>) {
        if let Some(n) = self.workers {
            match bounded("--workers", n, 1, WORKERS_MAX) {
                Ok(n) => plan.workers = n,
                Err(e) => errors.push(e),
            }
        }
        if let Some(days) = self.learn_days {
            match learn_days(days) {
                Ok(days) => plan.learn_days = Some(days),
                Err(e) => errors.push(e),
            }
        }
        if let Some(name) = &self.sensor {
            match sensor_name(name) {
                Ok(name) => plan.sensor = name,
                Err(e) => errors.push(e),
            }
        }
        plan.unanswered = self.unanswered.unwrap_or(plan.unanswered);
        plan.write_updates |= self.updates;
        plan.learn_only |= self.learn_only;
        if !self.update_after.is_empty() {
            match parse_updates("--update-after", &self.update_after) {
                Ok(times) => plan.updates = times,
                Err(e) => errors.push(e),
            }
        }
        if let Some(word) = &self.drain {
            match parse_seconds(word) {
                Some(seconds) => plan.drain_seconds = seconds,
                None => errors.push(
                    Error::new("--drain", format!("`{word}` is no span"))
                        .help("give a span such as 30s or 5m"),
                ),
            }
        }
        if let Some(text) = &self.memory {
            match parse_memory(text) {
                Ok(bytes) => plan.memory = bytes,
                Err(e) => errors.push(e),
            }
        }
        if let Some(word) = &self.min_level {
            match parse_level(word) {
                Ok(level) => plan.min_level = level,
                Err(e) => errors.push(e),
            }
        }
        if let Some(word) = &self.vantage {
            match file::parse_vantage(word) {
                Ok(vantage) => plan.vantage = vantage,
                Err(e) => errors.push(e),
            }
        }
        plan.latency = !self.no_latency;
        if self.no_dedup {
            plan.dedup_window_us = None;
        }
        if let Some(us) = self.dedup_window {
            match file::dedup_window(us) {
                Ok(us) => plan.dedup_window_us = Some(us),
                Err(e) => errors.push(e),
            }
        }
    }

    fn apply_output(&self, plan: &mut Plan) {
        plan.output = match (&self.out, self.json) {
            (Some(path), _) => Output::Dir { path: path.clone(), force: self.force },
            (None, true) => Output::Json,
            (None, false) => Output::Summary,
        };
        plan.sessions = match (&self.sessions, self.no_sessions) {
            (Some(path), _) => SessionLines::To(path.clone()),
            (None, true) => SessionLines::Off,
            (None, false) => SessionLines::WithOutput,
        };
        plan.json = self.json;
        plan.fail_on_alert = self.fail_on_alert;
        plan.quiet = self.quiet;
    }
}

/// One core reads and decodes; the others work.
fn default_workers() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    cores.saturating_sub(1).clamp(1, WORKERS_UNASKED)
}

/// The command line as text, without the program's name. A path that is not UTF-8 has U+FFFD in
/// run.json, but is opened by its own bytes.
fn arguments(given: impl Iterator<Item = std::ffi::OsString>) -> Vec<String> {
    given.skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn an_argument_that_is_not_utf8_is_no_reason_to_panic() {
        let given = [b"longhaul".to_vec(), b"\xff\xfe.pcap".to_vec()].map(OsString::from_vec);
        assert_eq!(arguments(given.into_iter()), ["\u{fffd}\u{fffd}.pcap"]);
    }
}
