//! A process that raises alerts, and is killed.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use longhaul::detect::ledger::LedgerConfig;
use longhaul::detect::ledger::Taken;
use longhaul::model::Alert;
use longhaul::model::Family;
use longhaul::model::Level;
use longhaul::model::Nanos;
use longhaul::model::RuleInfo;
use longhaul::model::alert::Repeats;
use longhaul::pipeline::stored_ledger::StoredLedger;

pub const CONFIG: LedgerConfig =
    LedgerConfig { entries: 8 << 20, subjects: 8 << 20, groups: 8 << 20 };

const DIR: &str = "LONGHAUL_LEDGER_CHILD";

/// Seconds of traffic.
const SECONDS: u64 = 600;

/// Each of so many subjects has its alerts in turn.
const SUBJECTS: u64 = 10;

/// The nth alert: of each subject one rule fires on and on, a second one now and then.
pub fn alert(n: u64) -> Alert {
    let time = Nanos::from_secs(1_700_000_000 + n);
    let (uuid, family) =
        if n.is_multiple_of(7) { ("other", Family::N) } else { ("one", Family::R) };
    let rule = RuleInfo {
        id: uuid.to_owned(),
        name: uuid.to_owned(),
        uuid: uuid.to_owned(),
        title: String::new(),
        level: Level::Medium,
        family,
        topologies: Vec::new(),
        techniques: Vec::new(),
        group: family.group(),
        ratio: 50.0,
        alone: false,
        benign_checked: Vec::new(),
        message: String::new(),
        evidence: Vec::new(),
    };
    Alert {
        id: String::new(),
        at: time,
        time,
        since: time,
        rule: Arc::new(rule),
        level: Level::Medium,
        ratio: 50.0,
        lowered: Vec::new(),
        ratio_source: "".into(),
        prior: None,
        people: Vec::new(),
        subject: Arc::from(format!("10.0.0.{}", n % SUBJECTS)),
        subject_name: None,
        home: None,
        remote: None,
        context: Vec::new(),
        message: "it fired ".repeat(40),
        evidence: Vec::new(),
        sources: Vec::new(),
        packets: (0, 1, 2),
        quality: longhaul::model::record::Quality::default(),
        session_id: format!("s{n}"),
        repeats: Some(Repeats { at_least: 3, ..Repeats::of("k".to_owned(), time) }),
    }
}

/// What a live run does in each second, in its order: note, tell, note that it was told.
pub fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let dir = Path::new(&dir);
    let (mut stored, mut ledger) = StoredLedger::open(dir, CONFIG).unwrap();
    stored.save(&ledger).unwrap();
    ledger.begin_journal();
    let mut told = File::options().append(true).create(true).open(dir.join("told")).unwrap();
    let mut alerts = ledger.take_unreported();
    // Traffic goes on where it has come to, whether anybody listens or not.
    let clock = dir.join("clock");
    let from = fs::read_to_string(&clock).map_or(0, |text| text.parse().unwrap());
    for n in from..SECONDS {
        fs::write(dir.join("clock.new"), (n + 1).to_string()).unwrap();
        fs::rename(dir.join("clock.new"), &clock).unwrap();
        if let Taken::Stands(alert) = ledger.take(alert(n), None) {
            alerts.push(alert);
        }
        stored.append(&ledger.take_journal(), true).unwrap();
        let lines: String = alerts
            .drain(..)
            .map(|alert| format!("alert {} {} {}\n", alert.subject, alert.rule.uuid, alert.id))
            .collect();
        let changes = ledger.take_changes(Level::Low);
        let changes = changes.iter().map(|of| format!("incident {} {:?}\n", of.subject, of.change));
        let lines = lines + &changes.collect::<String>();
        if !lines.is_empty() {
            told.write_all(lines.as_bytes()).unwrap();
            ledger.note_reported(Level::Low);
            stored.append(&ledger.take_journal(), false).unwrap();
        }
        if n % 50 == 49 {
            stored.save(&ledger).unwrap();
        }
    }
    fs::write(dir.join("done"), "").unwrap();
}

fn begin(dir: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--test-threads=1"])
        .env(DIR, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lines that were told, and how often each.
fn told(dir: &Path) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    for line in fs::read_to_string(dir.join("told")).unwrap_or_default().lines() {
        *lines.entry(line.to_owned()).or_default() += 1;
    }
    lines
}

/// Kills the child so many times, each time somewhere else, and lets it come to its end.
pub fn killed_and_begun_again(kills: u32) -> Result<(), String> {
    let undisturbed = tempfile::tempdir().unwrap();
    begin(undisturbed.path()).wait().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(std::process::id());
    let mut killed = 0;
    for _ in 0..kills {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        let mut child = begin(dir.path());
        std::thread::sleep(Duration::from_micros(3_000 + (random >> 33) % 60_000));
        if dir.path().join("done").exists() {
            child.wait().unwrap();
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
    }
    if !begin(dir.path()).wait().unwrap().success() {
        return Err(format!("after {killed} kills it does not begin again"));
    }
    let (want, got) = (told(undisturbed.path()), told(dir.path()));
    println!("{killed} kills, {} lines", got.len());
    // A second of traffic may pass unseen, so an alert may have another time and id; its kind has
    // no second one within the day.
    let kind = |line: &String| line.split(' ').take(3).collect::<Vec<_>>().join(" ");
    let mut kinds: Vec<String> = got.keys().map(kind).collect();
    let all = kinds.len();
    kinds.sort();
    kinds.dedup();
    let lost: Vec<_> = want.keys().map(kind).filter(|kind| !kinds.contains(kind)).collect();
    // Where the kill fell between telling and noting that, the same is told again, under its id.
    let again = got.values().filter(|count| **count > 1).count();
    if lost.is_empty() && kinds.len() == all && again <= killed as usize && killed > 0 {
        return Ok(());
    }
    let twice = all - kinds.len();
    Err(format!("{killed} kills: lost {lost:?}, fired twice {twice}, told again {again}"))
}
