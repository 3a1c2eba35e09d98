//! The settings of a run: options and files turned into one checked, bounded [`Plan`].
//!
//! Owns: defaults and bounds. In: options, a TOML file. Out: a plan, or every error at once.
//! Never: opens captures, reads a clock, or accepts an unknown key.

pub mod file;
pub mod live;
pub mod memory;
mod sinks;
mod site;
pub mod updates;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::sink::SinkPlan;
use crate::model::site_values::SiteValues;
use crate::model::{Error, Level, Likelihood};

/// Most workers: one per shard of the session table; more would be idle.
pub const WORKERS_MAX: usize = 64;

/// Most workers by default.
pub const WORKERS_UNASKED: usize = 16;

/// Most open sessions, if the memory budget allows that many. The session stage has the policy at
/// the cap.
pub const SESSIONS_CAP: usize = 2_000_000;

/// Endpoints at most.
pub const ENDPOINTS_CAP: usize = 1_000_000;

/// Alerts at most.
pub const ALERTS_CAP: usize = 100_000;

/// Addresses at most with known names, and with known holders: some 200 bytes each.
pub const BINDINGS_CAP: usize = 65_536;

/// Baselines of each kind at most: prefixes, networks, services, people. Full, with the usual ten
/// lengths of round trip in each, they take some 80 MB.
pub const BASELINES_CAP: usize = 65_536;

/// Unanswered sessions of a second that have lines of their own: a port scan in a hurry sends as
/// many.
pub const UNANSWERED: u64 = 10_000;

/// Days of packet time in which baselines are learned before anything is held against them.
pub const LEARN_DAYS: usize = 14;

/// The sensor's name where none is given; a host name would differ from run to run.
pub const SENSOR_DEFAULT: &str = "longhaul";

/// Longest name of a sensor.
const SENSOR_BYTES_MAX: usize = 64;

/// Most such days: what was learned is forgotten after 128.
pub const LEARN_DAYS_MAX: usize = 128;

/// Most that a compressed file may unpack to, as a multiple of its own size. Captures of floods and
/// of transfers of zeros reach some hundreds; what is made to exhaust a reader has thousands to
/// billions.
pub const MAX_RATIO: u64 = 1_000;

/// Seconds that the end of a run waits for receivers of events.
pub const DRAIN_SECONDS: u64 = 30;

/// Longest time between a packet and its copy, in microseconds: a mirror port sends both within a
/// fraction of a millisecond.
pub const DEDUP_WINDOW_US: usize = 1_000;

/// Bounds of that window: far below any time after which a sender sends again.
pub const DEDUP_WINDOW_BOUNDS_US: (usize, usize) = (1, 20_000);

/// Home networks where none are named: RFC 1918, RFC 4193, RFC 6598 (shared address space).
pub const HOME_DEFAULT: [&str; 5] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "100.64.0.0/10"];

/// Which inputs were captured at the same point: sessions never span two capture points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PointBy {
    /// All of them.
    #[default]
    All,
    /// Those in one directory.
    Dir,
    /// Each file separately.
    File,
}

/// The sensor's position relative to the people it watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vantage {
    /// Remote employees connect to us here.
    In,
    /// Our devices connect out from here.
    Out,
    /// Both.
    #[default]
    Both,
}

impl Vantage {
    /// The option's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Vantage::In => "in",
            Vantage::Out => "out",
            Vantage::Both => "both",
        }
    }
}

/// Where results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The five files of the output contract.
    Dir {
        /// The directory.
        path: PathBuf,
        /// Write into a directory that is not empty.
        force: bool,
    },
    /// Alerts and incidents as NDJSON on standard output.
    Json,
    /// A summary for people.
    Summary,
}

/// How a run is shown in the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// With colours.
    pub colour: bool,
}

/// Where to write session lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionLines {
    /// To `sessions.ndjson` if there is an output directory, else nowhere.
    WithOutput,
    /// Nowhere.
    Off,
    /// To this file, `-` for standard output.
    To(PathBuf),
}

/// Which inputs to hash for run.json.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashInputs {
    /// None.
    Never,
    /// Those below the size from which hashing costs more than reading.
    #[default]
    Auto,
    /// All.
    Always,
}

/// Upper bounds of everything that could grow with the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Live sessions.
    pub sessions: usize,
    /// Endpoints.
    pub endpoints: usize,
    /// Alerts.
    pub alerts: usize,
    /// Baselines of each kind.
    pub baselines: usize,
    /// Addresses with known names, addresses with known holders, and devices with known names.
    pub bindings: usize,
}

impl Default for Caps {
    fn default() -> Caps {
        Caps {
            sessions: SESSIONS_CAP,
            endpoints: ENDPOINTS_CAP,
            alerts: ALERTS_CAP,
            baselines: BASELINES_CAP,
            bindings: BINDINGS_CAP,
        }
    }
}

/// The position in the configuration file of values that are validated only when a run is prepared,
/// so that errors name the line. Empty for options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigLines {
    /// Of each home network.
    pub home: Vec<(PathBuf, u32)>,
    /// Of each NAT64 prefix.
    pub nat64: Vec<(PathBuf, u32)>,
    /// Of the sensor's location.
    pub place: Option<(PathBuf, u32)>,
    /// Of the likelihood ratios.
    pub likelihood: Option<(PathBuf, u32)>,
}

/// A directory whose files are read as they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Following {
    /// The directory.
    pub dir: PathBuf,
    /// How long a file must not have been written to.
    pub settle: Duration,
}

/// All settings of a run, checked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Capture files, directories, `-`.
    pub inputs: Vec<PathBuf>,
    /// A directory whose files are read as they come.
    pub follow: Option<Following>,
    /// Read in sets of so many bytes, and go on behind those that are finished.
    pub set_bytes: Option<u64>,
    /// A compiled-in capture, by name, instead of `inputs`.
    pub embedded: Option<(&'static str, &'static [u8])>,
    /// How inputs map to capture points.
    pub point_by: PointBy,
    /// Worker threads, 1 to [`WORKERS_MAX`].
    pub workers: usize,
    /// Home networks in CIDR notation.
    pub home: Vec<String>,
    /// NAT64 prefixes beside the well-known one.
    pub nat64: Vec<String>,
    /// The sensor's location: `LAT,LON` or a city code.
    pub place: Option<String>,
    /// The sensor's name: `observer.name` of every line.
    pub sensor: String,
    /// The position in the configuration file of home, nat64 and place.
    pub config_lines: ConfigLines,
    /// The sensor's vantage.
    pub vantage: Vantage,
    /// The configuration file, if any.
    pub config: Option<PathBuf>,
    /// Directories and files of Sigma rules to add to the embedded ones.
    pub rules: Vec<PathBuf>,
    /// Those to use instead of the embedded ones.
    pub rules_only: Vec<PathBuf>,
    /// Rules that the site switches on, and off: numbers, names or ids.
    pub enable: Vec<String>,
    /// See `enable`.
    pub disable: Vec<String>,
    /// What the site says of the prior and of likelihood ratios.
    pub likelihood: Likelihood,
    /// What the site writes into rules.
    pub site_values: SiteValues,
    /// Directory of MMDB files to use instead of the embedded ones.
    pub geo: Option<PathBuf>,
    /// Directory of lists to add to the embedded ones.
    pub lists: Option<PathBuf>,
    /// Directory of signatures to use instead of the embedded ones.
    pub signatures: Option<PathBuf>,
    /// Tags of applications that everybody may use: `rmm:teamviewer`.
    pub approved: Vec<String>,
    /// Countries (ISO 3166-1) that nobody is expected to control our hosts from.
    pub controller_countries: Vec<[u8; 2]>,
    /// Office hours elsewhere: hours of the day in UTC, a bit each.
    pub foreign_hours: u32,
    /// Subjects CSV.
    pub subjects: Option<PathBuf>,
    /// Key file of the pseudonyms for people and devices; without it they are shown as they are.
    pub pseudonymise: Option<PathBuf>,
    /// Directory that keeps learned baselines from run to run.
    pub state: Option<PathBuf>,
    /// Days of packet time to learn only, if set.
    pub learn_days: Option<usize>,
    /// Report no incidents while baselines are only learned.
    pub learn_only: bool,
    /// Maximum ratio of unpacked to stored bytes of a compressed file.
    pub max_ratio: u64,
    /// BPF expression: only frames that match are read.
    pub filter: Option<String>,
    /// Tunnels not to decapsulate: `KIND`, or `SOURCE:KIND` for one file or interface.
    pub no_decap: Vec<String>,
    /// What separates sessions beside addresses and ports: `vlan`, `vni`.
    pub key: Vec<String>,
    /// Longest time between a packet and its duplicate, in microseconds; `None` keeps duplicates.
    pub dedup_window_us: Option<usize>,
    /// Whether to measure gaps, round trips within sessions and exchanges of QUIC and DTLS.
    pub latency: bool,
    /// Which inputs to hash.
    pub hash: HashInputs,
    /// Where results go.
    pub output: Output,
    /// Alerts and incidents as NDJSON on standard output, whatever else is written.
    pub json: bool,
    /// Maximum bytes in the directory of a live run.
    pub out_max: Option<u64>,
    /// Where to write session lines.
    pub sessions: SessionLines,
    /// Show a live run in the terminal.
    pub view: Option<View>,
    /// Alerts below this level are not reported.
    pub min_level: Level,
    /// Exit with 1 if there are alerts.
    pub fail_on_alert: bool,
    /// No summary, no progress.
    pub quiet: bool,
    /// Bounds in numbers of items; the memory budget may allow less.
    pub caps: Caps,
    /// The memory budget, in bytes.
    pub memory: u64,
    /// Unanswered sessions per second that get lines of their own; the rest is summed by source.
    pub unanswered: u64,
    /// Seconds after its beginning at which a session that lasts is judged; the last repeats.
    pub updates: Vec<u32>,
    /// Each of these has a line among those of sessions.
    pub write_updates: bool,
    /// Where events are sent to, beside the output.
    pub sinks: Vec<SinkPlan>,
    /// Seconds that the end of a run waits for those.
    pub drain_seconds: u64,
    /// Where a live run shows its metrics, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// The arguments as given, for run.json.
    pub arguments: Vec<String>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            inputs: Vec::new(),
            follow: None,
            set_bytes: None,
            embedded: None,
            point_by: PointBy::All,
            workers: 1,
            home: HOME_DEFAULT.iter().map(|net| (*net).to_owned()).collect(),
            nat64: Vec::new(),
            place: None,
            sensor: SENSOR_DEFAULT.to_owned(),
            config_lines: ConfigLines::default(),
            vantage: Vantage::Both,
            config: None,
            rules: Vec::new(),
            rules_only: Vec::new(),
            enable: Vec::new(),
            disable: Vec::new(),
            likelihood: Likelihood::default(),
            site_values: SiteValues::default(),
            geo: None,
            lists: None,
            signatures: None,
            approved: Vec::new(),
            controller_countries: Vec::new(),
            foreign_hours: 0,
            subjects: None,
            pseudonymise: None,
            state: None,
            learn_days: None,
            learn_only: false,
            max_ratio: MAX_RATIO,
            filter: None,
            no_decap: Vec::new(),
            key: Vec::new(),
            dedup_window_us: Some(DEDUP_WINDOW_US),
            latency: true,
            hash: HashInputs::Auto,
            output: Output::Summary,
            json: false,
            out_max: None,
            sessions: SessionLines::WithOutput,
            view: None,
            min_level: Level::Informational,
            fail_on_alert: false,
            quiet: false,
            caps: Caps::default(),
            memory: memory::MEMORY,
            unanswered: UNANSWERED,
            updates: updates::UPDATES.to_vec(),
            write_updates: false,
            sinks: Vec::new(),
            drain_seconds: DRAIN_SECONDS,
            metrics: None,
            arguments: Vec::new(),
        }
    }
}

/// Parses a Sigma level.
pub fn parse_level(word: &str) -> Result<Level, Error> {
    match word {
        "informational" | "info" => Ok(Level::Informational),
        "low" => Ok(Level::Low),
        "medium" => Ok(Level::Medium),
        "high" => Ok(Level::High),
        "critical" => Ok(Level::Critical),
        _ => Err(Error::new("level", format!("`{word}` is not a Sigma level"))
            .help("levels are informational, low, medium, high and critical")),
    }
}

/// Checks that a number is between two bounds.
pub fn bounded(what: &str, value: usize, low: usize, high: usize) -> Result<usize, Error> {
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(Error::new(what, format!("{value} is not between {low} and {high}"))
        .help(format!("give a number from {low} to {high}")))
}

/// Checks a sensor's name. It also names directories, so it is limited to characters that every
/// file system and query language accepts unquoted.
pub fn sensor_name(name: &str) -> Result<String, Error> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let fits = (1..=SENSOR_BYTES_MAX).contains(&name.len()) && !name.starts_with(['.', '-']);
    if fits && name.bytes().all(plain) {
        return Ok(name.to_owned());
    }
    let help = "give 1 to 64 letters, digits, hyphens, dots and underscores; begin with a letter, \
                a digit or an underscore";
    Err(Error::new("sensor", format!("`{name}` is no name for a sensor")).help(help))
}

/// Validates the days to learn, from an option or the file.
pub fn learn_days(days: usize) -> Result<usize, Error> {
    bounded("days to learn", days, 0, LEARN_DAYS_MAX)
}

impl Plan {
    /// Days of packet time in which baselines are only learned.
    pub fn days_to_learn(&self) -> usize {
        self.learn_days.unwrap_or(LEARN_DAYS)
    }

    /// Whether session lines use standard output, so that nothing else may.
    pub fn lines_to_stdout(&self) -> bool {
        matches!(&self.sessions, SessionLines::To(path) if path.as_os_str() == "-")
    }
}
