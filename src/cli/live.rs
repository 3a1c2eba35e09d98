//! `longhaul live`: interfaces in, results out, until a signal ends it.
//!
//! Owns: the options of a live run, messages on standard error. In: [`LiveArgs`]. Out: files, or a
//! summary at the end. Never: a result of its own.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::args::RunArgs;
use crate::cli::report_follow::Follower;
use crate::cli::{self, ALERTS, CommandResult, RAN, read};
use crate::config::live::{
    LivePlan, Rotate, parse_bytes, parse_listen, parse_out_max, parse_seconds, parse_watchdog,
};
use crate::config::{Output, Plan, PointBy, View};
use crate::model::escape::escaped_lines;
use crate::model::{Counter, Error};
use crate::pipeline::live::{self, LiveRun};
use crate::pipeline::{self};
use crate::report::spans;
use crate::report::summary::InputTotals;
use crate::report::terminal::{self, Style};

/// Arguments of `live`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct LiveArgs {
    /// Interfaces to watch
    #[arg(required_unless_present = "list", value_name = "IFACE")]
    interfaces: Vec<String>,
    /// List the interfaces of this machine and exit
    #[arg(long)]
    list: bool,
    /// Finish the files and start new ones, each set in a directory of its own below --out, named
    /// by its first second: after a span (15m, 1h, 1d), a size of session lines (1GiB), or
    /// whichever comes first
    #[arg(long, value_name = "SPAN|SIZE", value_delimiter = ',', requires = "out")]
    rotate: Vec<String>,
    /// Maximum size of --out, including sets of earlier runs: the oldest finished set is deleted
    /// first. A set is finished when it reaches an eighth of it
    #[arg(long, value_name = "SIZE", requires = "out")]
    out_max: Option<String>,
    /// Write the report of the last sets to report.html in --out, again at each finished set
    #[arg(long, requires = "out")]
    report: bool,
    /// Show rates, losses, findings and sessions in the terminal while it runs. Whoever ends the
    /// view ends the run
    #[cfg(feature = "tui")]
    #[arg(long, conflicts_with = "json")]
    tui: bool,
    /// Stop after this span (30s, 1h)
    #[arg(long, value_name = "SPAN")]
    duration: Option<String>,
    /// Capture backend: our own ring shared with the kernel, or libpcap
    #[arg(long, value_name = "ring|pcap", value_parser = ["ring", "pcap"], default_value = "ring")]
    backend: String,
    /// Bytes kept of each frame; less than a whole frame loses evidence
    #[arg(long, value_name = "BYTES", default_value_t = 262_144,
          value_parser = clap::value_parser!(u32).range(64..=262_144))]
    snaplen: u32,
    /// Memory of each interface's ring, 4MiB to 4GiB: buffers traffic while the workers are busy
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    ring: String,
    /// Capture only frames sent to or by this machine
    #[arg(long)]
    no_promiscuous: bool,
    /// Source of timestamps; hardware is refused if the card cannot
    #[arg(long, value_name = "software|hardware", value_parser = ["software", "hardware"],
          default_value = "software")]
    timestamps: String,
    /// Poll the ring for this many microseconds before sleeping: occupies the core, saves the
    /// wake-up time
    #[arg(long, value_name = "USEC", default_value_t = 0,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    busy_poll: u32,
    /// Share the flows of each interface with other longhaul processes of the same group: the
    /// kernel sends all packets of a flow to one of them
    #[arg(long, value_name = "GROUP")]
    fanout: Option<u16>,
    /// Show metrics for Prometheus at this address, and /healthz and /readyz beside them: a PORT of
    /// this machine, or ADDRESS:PORT
    #[arg(long, value_name = "ADDR")]
    metrics: Option<String>,
    /// Keep all privileges: to find out what the sandbox blocks
    #[arg(long)]
    no_sandbox: bool,
    /// The user to switch to once the interfaces are open, if started as root
    #[arg(long, value_name = "NAME", default_value = "nobody")]
    user: String,
    /// Treat each interface as a capture point of its own: sessions never span two
    #[arg(long)]
    point_by_interface: bool,
    #[command(flatten)]
    common: RunArgs,
}

/// Runs the command.
pub(super) fn run(args: &LiveArgs, style: Style) -> CommandResult {
    if args.list {
        return list();
    }
    let mut plan = args.live_plan()?;
    plan.plan.view = args.view(&plan.plan, style)?;
    let (output, quiet, fail) =
        (plan.plan.output.clone(), plan.plan.quiet, plan.plan.fail_on_alert);
    let shown = output == Output::Summary && !quiet && !plan.plan.lines_to_stdout();
    let follower = match &output {
        Output::Dir { path, .. } if args.report => {
            Some(Follower::start(path, plan.user.as_deref()))
        }
        _ => None,
    };
    let follower = follower.transpose().map_err(|e| vec![e])?;
    let (again, view) = (args.clone(), plan.plan.view);
    let interfaces = plan.interfaces.len() as u64;
    let outcome = live::run(&LiveRun {
        live: plan,
        replan: Arc::new(move || again.plan().map(|plan| Plan { view, ..plan })),
        tell: Arc::new(log),
    })?;
    drop(follower);
    let span = outcome.span;
    let alerted = fail && outcome.counters.get(Counter::Alerts) > 0;
    if shown {
        let mut summary = read::summarise(outcome);
        summary.inputs = InputTotals {
            interfaces,
            frames: summary.counters.get(Counter::Frames),
            bytes: summary.counters.get(Counter::FrameBytes),
            clusters: spans::clusters(span),
            ..summary.inputs
        };
        cli::print_as_is(&terminal::render(&summary, style))?;
    }
    Ok(if alerted { ALERTS } else { RAN })
}

/// Messages of a running sensor go to standard error.
fn log(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // There is no other place to report that standard error failed.
    drop(writeln!(stderr, "longhaul: {}", escaped_lines(text)));
}

fn list() -> CommandResult {
    let mut text = String::new();
    for interface in live::interfaces().map_err(|e| vec![e])? {
        let state = if interface.running { "up" } else { "down" };
        let line = format!("{:<16} {state:<5} {}", interface.name, interface.addresses.join(" "));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    cli::print(&text)?;
    Ok(RAN)
}

impl LiveArgs {
    /// The plan, and every error in it.
    fn checked_plan(&self) -> (Plan, Vec<Error>) {
        let (mut plan, mut errors) = self.common.plan();
        plan.point_by = if self.point_by_interface { PointBy::File } else { PointBy::All };
        if let Some(word) = &self.out_max {
            match parse_out_max("--out-max", word) {
                Ok(most) => plan.out_max = Some(most),
                Err(error) => errors.push(error),
            }
        }
        if let Some(word) = &self.metrics {
            match parse_listen("--metrics", word) {
                Ok(address) => plan.metrics = Some(address),
                Err(error) => errors.push(error),
            }
        }
        (plan, errors)
    }

    /// Whether and how the run is shown in the terminal.
    #[cfg(feature = "tui")]
    fn view(&self, plan: &Plan, style: Style) -> Result<Option<View>, Vec<Error>> {
        if !self.tui {
            return Ok(None);
        }
        if plan.lines_to_stdout() {
            let error = Error::new("--tui", "standard output is used by session lines");
            return Err(vec![error.help("write them to a file or a pipe: --sessions FILE")]);
        }
        cli::top::check_terminal("--tui", "leave out --tui").map_err(|e| vec![e])?;
        Ok(Some(View { colour: style.colour }))
    }

    /// This program was built without it.
    #[cfg(not(feature = "tui"))]
    fn view(&self, _: &Plan, _: Style) -> Result<Option<View>, Vec<Error>> {
        Ok(None)
    }

    fn plan(&self) -> Result<Plan, Vec<Error>> {
        let (plan, errors) = self.checked_plan();
        if errors.is_empty() { Ok(plan) } else { Err(errors) }
    }

    fn live_plan(&self) -> Result<LivePlan, Vec<Error>> {
        let (plan, mut errors) = self.checked_plan();
        let mut rotate = Rotate::default();
        errors.extend(self.rotate.iter().filter_map(|word| rotate.add(word).err()));
        let twice =
            |name: &&String| self.interfaces.iter().filter(|other| other == name).count() > 1;
        if let Some(name) = self.interfaces.iter().find(twice) {
            errors.push(Error::new(format!("interface {name}"), "it is named twice"));
        }
        let seconds = self.duration.as_deref().map(parse_seconds);
        if seconds == Some(None) {
            let error = Error::new("--duration", "it is no span");
            errors.push(error.help("give a span such as 30s, 15m or 1h"));
        }
        let watchdog = watchdog().map_err(|error| errors.push(error)).unwrap_or_default();
        let ring = parse_bytes(&self.ring).and_then(|bytes| usize::try_from(bytes).ok());
        let ring = ring.filter(|bytes| (4 << 20..=4 << 30).contains(bytes));
        if ring.is_none() {
            let error = Error::new("--ring", format!("`{}` is no size in bounds", self.ring));
            errors.push(error.help("give a size from 4MiB to 4GiB"));
        }
        let (Some(ring_bytes), true) = (ring, errors.is_empty()) else {
            // All errors at once, so that users need not fix and rerun one by one.
            errors.extend(pipeline::check(&plan));
            return Err(errors);
        };
        Ok(LivePlan {
            plan,
            interfaces: self.interfaces.clone(),
            by_pcap: self.backend == "pcap",
            snaplen: self.snaplen,
            ring_bytes,
            promiscuous: !self.no_promiscuous,
            hardware_stamps: self.timestamps == "hardware",
            busy_poll_us: self.busy_poll,
            fanout: self.fanout,
            user: (!self.no_sandbox).then(|| self.user.clone()),
            rotate,
            seconds: seconds.flatten(),
            notify: std::env::var_os("NOTIFY_SOCKET").map(PathBuf::from),
            watchdog,
        })
    }
}

/// Whether the watchdog of a service manager waits for this process.
fn watchdog() -> Result<bool, Error> {
    let [usec, pid] = ["WATCHDOG_USEC", "WATCHDOG_PID"].map(|name| std::env::var(name).ok());
    parse_watchdog(usec.as_deref(), pid.as_deref(), std::process::id())
}
