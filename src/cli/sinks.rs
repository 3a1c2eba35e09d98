//! `longhaul sinks`: checks receivers, sends what waits for them.
//!
//! Owns: the answers' layout. In: a configuration. Out: a line for each sink. Never: a secret.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::cli::{self, CommandResult, FAILED, RAN};
use crate::config::live::parse_seconds;
use crate::config::{DRAIN_SECONDS, Plan, file};
use crate::model::sink::SinkPlan;
use crate::model::{Error, EventKind, Level};
use crate::pipeline::delivery::spool_dir;
use crate::pipeline::forwarder::{self, Delivered, Job, Until};
use crate::pipeline::shipment::Shipment;
use crate::sandbox::{self, Confinement};
use crate::sinks::Tell;

/// Subcommands of `sinks`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum SinksCommand {
    /// Connect to each sink of a configuration and say what would happen; sends no event
    Check {
        /// Configuration file (TOML) with [[sink]] tables
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Send what earlier runs left in the spools
    Flush {
        #[command(flatten)]
        common: Sending,
    },
    /// Send a finished result: the kinds and levels that each sink takes
    Send {
        /// The directory that `--out` made
        run: PathBuf,
        #[command(flatten)]
        common: Sending,
    },
    /// Send what a run writes to the spools, until standard input ends: started by that run
    #[command(hide = true)]
    Forward {
        #[command(flatten)]
        common: Sending,
        /// The directory of spools that the configuration does not name; removed at the end
        #[arg(long, value_name = "DIR")]
        temporary: Option<PathBuf>,
        /// The user to switch to if started as root
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
}

/// Options of sending.
#[derive(Debug, clap::Args)]
pub(super) struct Sending {
    /// Configuration file (TOML) with [[sink]] tables
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// How long to wait for receivers; what is not confirmed by then stays in the spool
    #[arg(long, value_name = "TIME", default_value_t = format!("{DRAIN_SECONDS}s"))]
    drain: String,
    /// The sensor's name, for syslog [default: that of the configuration]
    #[arg(long, value_name = "NAME")]
    sensor: Option<String>,
}

impl Sending {
    fn plan(&self) -> Result<(Plan, Duration), Vec<Error>> {
        let mut plan = plan_of(&self.config)?;
        if let Some(sensor) = &self.sensor {
            plan.sensor.clone_from(sensor);
        }
        let seconds = parse_seconds(&self.drain).ok_or_else(|| {
            vec![Error::new("--drain", "it is no span").help("give a span such as 30s or 5m")]
        })?;
        Ok((plan, Duration::from_secs(seconds)))
    }
}

/// Runs the command.
pub(super) fn run(command: &SinksCommand) -> CommandResult {
    match command {
        SinksCommand::Check { config } => check(config),
        SinksCommand::Flush { common } => {
            let (plan, drain) = common.plan()?;
            let named: Vec<&SinkPlan> =
                plan.sinks.iter().filter(|sink| sink.spool.is_some()).collect();
            let jobs = jobs(&named, None, &plan.sensor)?;
            show(&send(jobs, drain), None, &common.config)
        }
        SinksCommand::Send { run, common } => {
            let (plan, drain) = common.plan()?;
            let mut shipment = Shipment::open(run, &plan)?;
            let all: Vec<&SinkPlan> = plan.sinks.iter().collect();
            let jobs = jobs(&all, shipment.temporary(), &plan.sensor)?;
            let (written, delivered) = ship(&mut shipment, jobs, drain);
            let shown = show(&delivered, shipment.temporary(), &common.config);
            written.and(shown)
        }
        SinksCommand::Forward { common, temporary, user } => {
            forward(common, temporary.as_deref(), user.as_deref())
        }
    }
}

fn plan_of(config: &Path) -> Result<Plan, Vec<Error>> {
    let mut plan = Plan::default();
    file::load_config(config).map_err(|e| vec![e])?.apply(&mut plan)?;
    if plan.sinks.is_empty() {
        let error = Error::new(format!("configuration {}", config.display()), "it has no sink");
        return Err(vec![error.help("add a table [[sink]] with name, type and url")]);
    }
    Ok(plan)
}

fn check(config: &Path) -> CommandResult {
    let plan = plan_of(config)?;
    let (mut text, mut errors) = (String::new(), Vec::new());
    for sink in &plan.sinks {
        let mut target = match forwarder::target(sink, &plan.sensor) {
            Ok(target) => target,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        match target.check() {
            Ok(answer) => text.push_str(&format!("{}: {answer}; {}\n", sink.name, what(sink))),
            Err(failure) => {
                let error = Error::new(format!("sink {}", sink.name), failure.cause);
                let help = "a run would keep its events in the spool and go on trying";
                errors.push(error.at(&sink.place.0, sink.place.1).help(help));
            }
        }
    }
    cli::print(&text)?;
    if errors.is_empty() { Ok(RAN) } else { Err(errors) }
}

/// The events that a sink takes, in words.
fn what(sink: &SinkPlan) -> String {
    let word = |kind: &EventKind| match kind {
        EventKind::SessionUpdate => "updates",
        EventKind::SessionEnd => "sessions",
        EventKind::Endpoint => "endpoints",
        EventKind::Alert => "alerts",
        EventKind::Incident => "incidents",
        EventKind::Health => "health",
    };
    let kinds: Vec<&str> = sink.kinds.iter().map(word).collect();
    let level = match sink.level {
        Level::Informational => String::new(),
        level => format!(" from level {}", level.as_str()),
    };
    let spool = match &sink.spool {
        Some(dir) => format!("waiting in {}", dir.display()),
        None => "waiting in a temporary directory that ends with the run".to_owned(),
    };
    format!("{}{level} as {}, {spool}", kinds.join(", "), sink.form.name())
}

fn jobs(
    sinks: &[&SinkPlan],
    temporary: Option<&Path>,
    sensor: &str,
) -> Result<Vec<Job>, Vec<Error>> {
    let (mut jobs, mut errors) = (Vec::new(), Vec::new());
    for sink in sinks {
        let Some(dir) = spool_dir(sink, temporary) else { continue };
        match Job::open(sink, dir, sensor) {
            Ok(job) => jobs.push(job),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(jobs) } else { Err(errors) }
}

fn tell() -> Tell {
    Arc::new(|text: &str| cli::print_notes(&[text.to_owned()]))
}

/// Sends all that is in the spools.
fn send(jobs: Vec<Job>, drain: Duration) -> Vec<Delivered> {
    forwarder::run(jobs, &Until { ended: &AtomicBool::new(true), drain }, &tell())
}

/// Writes a result to the spools, and sends it meanwhile.
fn ship(
    shipment: &mut Shipment,
    jobs: Vec<Job>,
    drain: Duration,
) -> (Result<(), Vec<Error>>, Vec<Delivered>) {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let _ended = AtEnd(&ended);
            shipment.write()
        });
        let delivered = forwarder::run(jobs, &Until { ended: &ended, drain }, &tell());
        let failed = |_| Err(vec![Error::new("result", "its reader failed")]);
        (writing.join().unwrap_or_else(failed), delivered)
    })
}

/// Says that something has ended, however it did.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Says what became of all; what was in `temporary` ends with this process.
fn show(all: &[Delivered], temporary: Option<&Path>, config: &Path) -> CommandResult {
    let line = |one: &Delivered| {
        format!(
            "{}: {} confirmed, {} refused, {} waiting\n",
            one.name,
            one.confirmed,
            one.refused,
            waiting(one)
        )
    };
    cli::print(&all.iter().map(line).collect::<String>())?;
    let lost = "send the result again: it has no spool of its own, in which they could wait";
    leave(all, temporary, lost, config);
    Ok(if all.iter().all(Delivered::is_done) { RAN } else { FAILED })
}

/// How many events wait, in words.
fn waiting(one: &Delivered) -> String {
    one.waiting.map_or_else(|| "an unknown number".to_owned(), |count| count.to_string())
}

/// Says what is left: in a spool, or in `temporary`, and then what that means.
fn leave(all: &[Delivered], temporary: Option<&Path>, lost: &str, config: &Path) {
    for one in all.iter().filter(|one| !one.is_done()) {
        let what = match temporary.is_some_and(|dir| one.dir.starts_with(dir)) {
            true => format!("; {lost}"),
            false => format!(
                " and wait in {}; send them with: longhaul sinks flush --config {}",
                one.dir.display(),
                config.display()
            ),
        };
        let count = waiting(one);
        cli::print_notes(&[format!("sink {}: {count} events are not confirmed{what}", one.name)]);
    }
}

/// The process that a run has started.
fn forward(common: &Sending, temporary: Option<&Path>, user: Option<&str>) -> CommandResult {
    let (plan, drain) = common.plan()?;
    let all: Vec<&SinkPlan> = plan.sinks.iter().collect();
    let jobs = jobs(&all, temporary, &plan.sensor)?;
    // Signals are for the run: this process ends after it.
    let ignored = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ignored))
            .map_err(|e| vec![Error::new("signals", e.to_string())])?;
    }
    if let Some(user) = user {
        confine(&plan.sinks, temporary, user)?;
    }
    let ended = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&ended);
    let input = thread::Builder::new().name("input".to_owned()).spawn(move || {
        let mut byte = [0; 64];
        while matches!(std::io::stdin().read(&mut byte), Ok(1..)) {}
        seen.store(true, Ordering::Release);
    });
    input.map_err(|e| vec![Error::new("sender of sinks", e.to_string())])?;
    let delivered = forwarder::run(jobs, &Until { ended: &ended, drain }, &tell());
    leave(&delivered, temporary, "they are lost: it has no spool of its own", &common.config);
    if let Some(dir) = temporary {
        // What is left of it is nobody's.
        let _ = std::fs::remove_dir_all(dir);
    }
    Ok(RAN)
}

/// Keeps what sending needs: the spools, names of hosts, the network.
fn confine(sinks: &[SinkPlan], temporary: Option<&Path>, user: &str) -> Result<(), Vec<Error>> {
    let read = ["/etc", "/usr", "/lib", "/lib64", "/run"].map(PathBuf::from).to_vec();
    let mut write: Vec<PathBuf> = temporary.map(Path::to_path_buf).into_iter().collect();
    write.extend(sinks.iter().filter_map(|sink| spool_dir(sink, temporary)));
    for sink in sinks {
        if let crate::model::sink::Receiver::File { path, .. } = &sink.to {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            write.push(parent.unwrap_or(Path::new(".")).to_path_buf());
        }
    }
    let user = user.to_owned();
    let confinement = Confinement { user, read, write, sends: true, ..Confinement::default() };
    let steps = sandbox::enter(&confinement).map_err(|e| vec![e])?;
    cli::print_notes(&sandbox::gaps("sinks", &steps));
    Ok(())
}
