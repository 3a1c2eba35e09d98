//! What a run shall do: flags and files turned into one checked, bounded [`Plan`].
//!
//! Owns: defaults and bounds. In: flags, a TOML file. Out: a plan, or every error at once.
//! Never: opens captures, reads a clock, or lets an unknown key pass.

pub mod file;
pub mod live;
pub mod memory;

use std::path::PathBuf;

use crate::model::Error;
use crate::model::Level;

/// Most workers: a session's shard is one of so many, so more would stand idle.
pub const WORKERS_MAX: usize = 64;

/// Most workers where no number is given: each has a copy of what is known of addresses.
pub const WORKERS_UNASKED: usize = 16;

/// Live sessions at most, where the memory budget allows so many. What then happens is said by the
/// session stage.
pub const SESSIONS_CAP: usize = 2_000_000;

/// Endpoints at most.
pub const ENDPOINTS_CAP: usize = 1_000_000;

/// Alerts at most.
pub const ALERTS_CAP: usize = 100_000;

/// Addresses at most with known names, and with known holders, in each worker: some 200 bytes each.
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

/// Longest time between a packet and its copy, in microseconds: a mirror port sends both within a
/// fraction of a millisecond.
pub const DEDUP_WINDOW_US: usize = 1_000;

/// Bounds of that window: far below any time after which a sender sends again.
pub const DEDUP_WINDOW_BOUNDS_US: (usize, usize) = (1, 20_000);

/// Home networks where none are named: RFC 1918, RFC 4193, RFC 6598 (shared address space).
pub const HOME_DEFAULT: [&str; 5] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "100.64.0.0/10"];

/// Which inputs were captured at one place: sessions never span two capture points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PointBy {
    /// All of them.
    #[default]
    All,
    /// Those of one directory.
    Dir,
    /// Each file by itself.
    File,
}

/// Where the sensor stands relative to the people it watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vantage {
    /// Remote employees arrive here.
    In,
    /// Our devices go out from here.
    Out,
    /// Both.
    #[default]
    Both,
}

impl Vantage {
    /// The word of the flag.
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
    /// The five files of the contract.
    Dir {
        /// The directory.
        path: PathBuf,
        /// Write into one that is not empty.
        force: bool,
    },
    /// Alerts and incidents as NDJSON on standard output.
    Json,
    /// A summary for people.
    Summary,
}

/// Where session lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionLines {
    /// To `sessions.ndjson` where there is an output directory, else nowhere.
    WithOutput,
    /// Nowhere.
    Off,
    /// To this file, `-` for standard output.
    To(PathBuf),
}

/// Which inputs are hashed for run.json.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashInputs {
    /// None.
    Never,
    /// Those up to the size at which hashing would cost more than reading.
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

/// Where the configuration file holds the values that are looked into only when a run is prepared,
/// so that their errors name its line. Empty for flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Each of the home networks.
    pub home: Vec<(PathBuf, u32)>,
    /// Each of the translators' prefixes.
    pub nat64: Vec<(PathBuf, u32)>,
    /// The sensor's place.
    pub place: Option<(PathBuf, u32)>,
}

/// Everything a run needs to know, checked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Capture files, directories, `-`.
    pub inputs: Vec<PathBuf>,
    /// A capture that the program carries itself, by name, in place of `inputs`.
    pub embedded: Option<(&'static str, &'static [u8])>,
    /// Capture points.
    pub point_by: PointBy,
    /// Worker threads, 1 to [`WORKERS_MAX`].
    pub workers: usize,
    /// Home networks in CIDR notation.
    pub home: Vec<String>,
    /// Prefixes of NAT64 translators beside the well-known one.
    pub nat64: Vec<String>,
    /// The sensor's place: `LAT,LON` or a city code.
    pub place: Option<String>,
    /// The sensor's name: `observer.name` of every line.
    pub sensor: String,
    /// Where the configuration file holds home, nat64 and place.
    pub written: Written,
    /// The sensor's vantage.
    pub vantage: Vantage,
    /// The configuration file, where one was given.
    pub config: Option<PathBuf>,
    /// Directories and files of Sigma rules beside the embedded ones.
    pub rules: Vec<PathBuf>,
    /// The same in place of the embedded ones.
    pub rules_only: Vec<PathBuf>,
    /// Directory of MMDB files in place of the embedded ones.
    pub geo: Option<PathBuf>,
    /// Directory of lists in place of the embedded ones.
    pub lists: Option<PathBuf>,
    /// Directory of signatures in place of the embedded ones.
    pub signatures: Option<PathBuf>,
    /// Tags of applications that anybody may use: `rmm:teamviewer`.
    pub approved: Vec<String>,
    /// Subjects CSV.
    pub subjects: Option<PathBuf>,
    /// Key of the pseudonyms that stand for people and devices; absent shows who they are.
    pub pseudonymise: Option<PathBuf>,
    /// Directory in which what is learned is kept from run to run.
    pub state: Option<PathBuf>,
    /// Days of packet time in which baselines are only learned, where that was said.
    pub learn_days: Option<usize>,
    /// Most that a compressed file may unpack to, as a multiple of its own size.
    pub max_ratio: u64,
    /// BPF expression: only frames that match are read.
    pub filter: Option<String>,
    /// Tunnels left closed: `KIND`, or `SOURCE:KIND` for one file or interface.
    pub no_decap: Vec<String>,
    /// What separates sessions beside addresses and ports: `vlan`, `vni`.
    pub key: Vec<String>,
    /// Longest time between a packet and its copy, in microseconds; `None` keeps copies.
    pub dedup_window_us: Option<usize>,
    /// Gaps, round trips within sessions and exchanges of QUIC and DTLS are measured.
    pub latency: bool,
    /// Which inputs are hashed.
    pub hash: HashInputs,
    /// Where results go.
    pub output: Output,
    /// Alerts and incidents as NDJSON on standard output, whatever else is written.
    pub json: bool,
    /// Bytes that the directory of a live run may hold.
    pub out_max: Option<u64>,
    /// Where session lines go.
    pub sessions: SessionLines,
    /// Alerts below this level are not reported.
    pub min_level: Level,
    /// Exit code 1 where alerts exist.
    pub fail_on_alert: bool,
    /// No summary, no progress.
    pub quiet: bool,
    /// Bounds in numbers; the memory budget may allow less.
    pub caps: Caps,
    /// The memory budget, in bytes.
    pub memory: u64,
    /// Unanswered sessions of a second that have lines of their own; more are summed by source.
    pub unanswered: u64,
    /// The arguments as given, for run.json.
    pub arguments: Vec<String>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            inputs: Vec::new(),
            embedded: None,
            point_by: PointBy::All,
            workers: 1,
            home: HOME_DEFAULT.iter().map(|net| (*net).to_owned()).collect(),
            nat64: Vec::new(),
            place: None,
            sensor: SENSOR_DEFAULT.to_owned(),
            written: Written::default(),
            vantage: Vantage::Both,
            config: None,
            rules: Vec::new(),
            rules_only: Vec::new(),
            geo: None,
            lists: None,
            signatures: None,
            approved: Vec::new(),
            subjects: None,
            pseudonymise: None,
            state: None,
            learn_days: None,
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
            min_level: Level::Informational,
            fail_on_alert: false,
            quiet: false,
            caps: Caps::default(),
            memory: memory::MEMORY,
            unanswered: UNANSWERED,
            arguments: Vec::new(),
        }
    }
}

/// A Sigma level by its word.
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

/// A number that must lie between two bounds.
pub fn bounded(what: &str, value: usize, low: usize, high: usize) -> Result<usize, Error> {
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(Error::new(what, format!("{value} is not between {low} and {high}"))
        .help(format!("give a number from {low} to {high}")))
}

/// A sensor's name: it also names directories, so that it is kept to what every file system and
/// every query language takes as it stands.
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

/// Days to learn, from a flag or the file.
pub fn learn_days(days: usize) -> Result<usize, Error> {
    bounded("days to learn", days, 0, LEARN_DAYS_MAX)
}

impl Plan {
    /// Days of packet time in which baselines are only learned.
    pub fn days_to_learn(&self) -> usize {
        self.learn_days.unwrap_or(LEARN_DAYS)
    }

    /// Whether session lines go to standard output, so that nothing else may.
    pub fn lines_to_stdout(&self) -> bool {
        matches!(&self.sessions, SessionLines::To(path) if path.as_os_str() == "-")
    }
}
