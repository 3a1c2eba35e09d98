//! What a report is made of: the lines of a result, ranked and bounded.
//!
//! Owns: which findings and subjects are shown. In: finished results. Out: a case. Never: a line
//! that cannot be read without a word about it, or more memory than its caps allow.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::dossier::{Dossier, Found};
use super::session::Session;
use crate::explain::Flat;
use crate::model::schema::SCHEMA_VERSION;
use crate::model::{Error, Nanos, units};
use crate::results::Results;

/// Most incidents and alerts with a row of their own.
const INCIDENTS_MAX: usize = 500;
/// Likewise.
const ALERTS_MAX: usize = 1_000;
/// Most subjects with a chapter.
const SUBJECTS_MAX: usize = 250;
/// Most runs whose description is kept.
const RUNS_MAX: usize = 200;
/// Most session rows of all chapters together, and of one.
const ROWS_ALL: usize = 4_000;
/// Likewise.
const ROWS_ONE: usize = 120;
/// Most addresses whose subjects are compared.
const SHARED_MAX: usize = 200_000;
/// Most subjects named for an address.
pub(super) const SHARED_BY_MAX: usize = 12;
/// Most endpoint lines kept of a subject.
const ENDPOINTS_MAX: usize = 64;
/// Most places of losses.
const LOSSES_MAX: usize = 200;
/// Most faults that are named.
const FAULTS_MAX: usize = 20;

/// Everything that the report shows.
#[derive(Debug, Default)]
pub struct Case {
    /// The descriptions of the first runs.
    pub(super) runs: Vec<Flat>,
    /// All runs.
    pub(super) runs_all: usize,
    /// Sums over all of them, by field.
    sums: HashMap<&'static str, u64>,
    /// Losses of all of them, by place.
    pub(super) losses: BTreeMap<String, u64>,
    /// What was lost at places beyond the cap.
    pub(super) losses_more: u64,
    /// Incidents, the last line of each, ranked.
    pub(super) incidents: Vec<Flat>,
    /// All incidents, each once.
    pub(super) incidents_all: u64,
    /// Alerts, ranked.
    pub(super) alerts: Vec<Flat>,
    /// All of them.
    pub(super) alerts_all: u64,
    /// Subjects of findings, ranked.
    pub(super) dossiers: Vec<Dossier>,
    /// Subjects of findings without a chapter.
    pub(super) subjects_more: u64,
    /// Session lines.
    pub(super) sessions: u64,
    /// Whether there are files of session lines.
    pub(super) has_sessions: bool,
    /// Endpoint lines.
    pub(super) endpoints: u64,
    /// First and last moment of the sessions.
    pub(super) first: Option<Nanos>,
    /// Likewise.
    pub(super) last: Option<Nanos>,
    /// Who was seen at an address from which somebody came in.
    pub(super) shared: HashMap<String, BTreeSet<String>>,
    /// What is wrong with the result itself, each with its remedy.
    pub(super) faults: Vec<String>,
    faults_all: u64,
    chapters: HashMap<String, usize>,
    only: Option<String>,
    subjects: HashMap<String, Found>,
}

/// The remedy of a result that is not whole.
const AGAIN: &str = "read the captures again with --out, or restore the file";

impl Case {
    /// Reads results.
    ///
    /// Errors: those of opening files. A line that cannot be read becomes a fault in the report.
    ///
    /// With a subject, by id or name, the report is about that one only.
    pub fn read(results: &Results, subject: Option<&str>) -> Result<Case, Error> {
        let mut case = Case { only: subject.map(str::to_lowercase), ..Case::default() };
        for run in results.each_run() {
            case.add_run(run?);
        }
        case.read_findings(results)?;
        case.choose_subjects();
        case.read_sessions(results)?;
        case.read_endpoints(results)?;
        if let Some(subject) = subject.filter(|_| case.dossiers.is_empty()) {
            let what = format!("subject {subject}");
            return Err(Error::new(what, "no alert or incident is about it")
                .help("`longhaul timeline` names the nearest, and tells of those without alerts"));
        }
        if case.faults_all > FAULTS_MAX as u64 {
            let more = case.faults_all - FAULTS_MAX as u64;
            case.faults.push(format!("And {}.", units::number_of(more as usize, "more fault")));
        }
        Ok(case)
    }

    /// What is wrong with the result: for people who do not open the report.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Where the sensor stands: degrees north and east.
    pub(super) fn sensor(&self) -> Option<(f64, f64)> {
        let of = |run: &Flat| run.number("sensor.place.lat").zip(run.number("sensor.place.lon"));
        self.runs.iter().find_map(of)
    }

    /// The place of a subject's chapter.
    pub(super) fn chapter(&self, id: &str) -> Option<usize> {
        self.chapters.get(id).copied()
    }

    fn fault(&mut self, text: String) {
        self.faults_all += 1;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(text);
        }
    }

    /// The lines of a file that can be read.
    fn lines(
        &mut self,
        results: &Results,
        name: &str,
        mut each: impl FnMut(&mut Case, Flat),
    ) -> Result<usize, Error> {
        results.each_numbered(name, |path, number, line| match Flat::parse(line) {
            Ok(line) => each(self, line),
            Err(cause) => self.fault(unreadable(path, number, &cause.to_string())),
        })
    }

    fn read_findings(&mut self, results: &Results) -> Result<(), Error> {
        let mut last: BTreeMap<String, Flat> = BTreeMap::new();
        let (mut lines, mut opened) = (0_u64, 0_u64);
        let files = self.lines(results, "incidents.ndjson", |case, line| {
            lines += 1;
            let opens = u64::from(line.text("longhaul.change") == Some("opened"));
            case.note_subject(&line, |found| found.incidents += opens);
            opened += opens;
            match line.text("event.id").map(str::to_owned) {
                Some(id) => drop(last.insert(id, line)),
                None => case.fault(no_id("incidents.ndjson")),
            }
            if last.len() > INCIDENTS_MAX * 4 {
                case.keep_best(&mut last);
            }
        })?;
        self.check_lines("incidents", files, lines);
        self.incidents_all = opened.max(last.len() as u64);
        self.incidents = last.into_values().collect();
        let mut incidents = std::mem::take(&mut self.incidents);
        self.cut(&mut incidents, INCIDENTS_MAX);
        self.incidents = incidents;
        let (mut lines, mut alerts) = (0_u64, Vec::new());
        let files = self.lines(results, "alerts.ndjson", |case, line| {
            lines += 1;
            case.note_subject(&line, |found| found.alerts += 1);
            alerts.push(line);
            if alerts.len() >= ALERTS_MAX * 2 {
                case.cut(&mut alerts, ALERTS_MAX);
            }
        })?;
        self.check_lines("alerts", files, lines);
        self.alerts_all = lines;
        self.cut(&mut alerts, ALERTS_MAX);
        self.alerts = alerts;
        Ok(())
    }

    /// Counts the subjects of all findings, and the findings of each, those that are not kept too.
    fn note_subject(&mut self, line: &Flat, count: impl FnOnce(&mut Found)) {
        let Some(id) = line.text("longhaul.subject.id") else { return };
        if let Some(found) = self.subjects.get_mut(id) {
            count(found);
        } else if self.subjects.len() < SHARED_MAX {
            count(self.subjects.entry(id.to_owned()).or_default());
        }
    }

    /// Whether the report is about the subject of a finding.
    fn is_about(&self, line: &Flat) -> bool {
        let Some(only) = &self.only else { return true };
        let names = ["longhaul.subject.id", "longhaul.subject.name"];
        names.iter().filter_map(|name| line.text(name)).any(|text| text.to_lowercase() == *only)
    }

    /// Leaves the findings that matter most, ranked. Those of the one subject stay first of all,
    /// however many of higher rank others have.
    fn cut(&self, lines: &mut Vec<Flat>, most: usize) {
        rank(lines);
        if self.only.is_some() && lines.len() > most {
            lines.sort_by_key(|line| !self.is_about(line));
        }
        lines.truncate(most);
        rank(lines);
    }

    /// Forgets the incidents that matter least.
    fn keep_best(&self, last: &mut BTreeMap<String, Flat>) {
        let mut lines: Vec<Flat> = std::mem::take(last).into_values().collect();
        self.cut(&mut lines, INCIDENTS_MAX * 2);
        let with_id = |line: Flat| Some((line.text("event.id")?.to_owned(), line));
        *last = lines.into_iter().filter_map(with_id).collect();
    }

    /// Compares a file with what run.json says of it.
    fn check_lines(&mut self, what: &str, files: usize, lines: u64) {
        let told = self.sum(what);
        if files < self.runs_all && what != "sessions" {
            self.fault(format!(
                "{what}.ndjson is missing in {} of {}: {AGAIN}.",
                self.runs_all - files,
                units::number_of(self.runs_all, "set"),
            ));
        } else if files > 0 && told != lines {
            self.fault(format!(
                "run.json tells of {} in {what}.ndjson, and {} can be read: lines were added, \
                 removed or damaged since the run; {AGAIN}.",
                units::number_of(told as usize, "line"),
                units::count(lines),
            ));
        }
    }

    /// Gives each subject of an incident a dossier, then those of alerts alone.
    fn choose_subjects(&mut self) {
        let mut at: HashMap<String, usize> = HashMap::new();
        let findings = self.incidents.iter().map(|line| (line, true));
        let findings = findings.chain(self.alerts.iter().map(|line| (line, false)));
        for (number, (line, is_incident)) in findings.enumerate() {
            let Some(id) = line.text("longhaul.subject.id") else { continue };
            if !self.is_about(line) {
                continue;
            }
            let place = at.get(id).copied().or_else(|| {
                (self.dossiers.len() < SUBJECTS_MAX).then(|| {
                    let found = self.subjects.get(id).copied();
                    self.dossiers.push(Dossier { found, ..Dossier::new(id) });
                    at.insert(id.to_owned(), self.dossiers.len() - 1);
                    self.dossiers.len() - 1
                })
            });
            let Some(dossier) = place.and_then(|place| self.dossiers.get_mut(place)) else {
                continue;
            };
            if is_incident {
                dossier.incidents.push(number);
            } else {
                dossier.alerts.push(number - self.incidents.len());
            }
            let name = line.text("longhaul.subject.name").map(str::to_owned);
            dossier.name = dossier.name.take().or(name);
            name_evidence(line, &mut dossier.named);
        }
        if self.only.is_none() {
            self.subjects_more = (self.subjects.len().saturating_sub(at.len())) as u64;
        }
        self.chapters = at;
    }

    fn read_sessions(&mut self, results: &Results) -> Result<(), Error> {
        let chosen = self.chapters.clone();
        let most = (ROWS_ALL / self.dossiers.len().max(1)).clamp(12, ROWS_ONE);
        let mut updates = 0_u64;
        let files = self.lines(results, "sessions.ndjson", |case, line| {
            if line.text("event.action") == Some("session-update") {
                updates += 1;
                return;
            }
            case.sessions += 1;
            let session = Session::of(&line);
            case.first = super::dossier::earliest(case.first, session.start);
            case.last = case.last.max(session.end);
            let Some(id) = line.text("longhaul.subject.id") else { return };
            if session.is_inbound {
                case.share(&session.from, id);
            }
            let dossier = chosen.get(id).and_then(|at| case.dossiers.get_mut(*at));
            if let Some(dossier) = dossier {
                dossier.add(session, most);
            }
        })?;
        self.has_sessions = files > 0;
        self.dossiers.iter_mut().for_each(|dossier| dossier.trim(most));
        if updates == 0 {
            self.check_lines("sessions", files, self.sessions);
        }
        Ok(())
    }

    /// Remembers who was seen at an address.
    fn share(&mut self, address: &str, id: &str) {
        if let Some(people) = self.shared.get_mut(address) {
            // One more tells that there are more, and the subject itself may be among them.
            if people.len() < SHARED_BY_MAX + 2 {
                people.insert(id.to_owned());
            }
        } else if self.shared.len() < SHARED_MAX {
            self.shared.insert(address.to_owned(), BTreeSet::from([id.to_owned()]));
        }
    }

    fn read_endpoints(&mut self, results: &Results) -> Result<(), Error> {
        let mut about: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, dossier) in self.dossiers.iter().enumerate() {
            let own = dossier.addresses.iter().filter(|(_, address)| address.is_origin);
            let all = own.map(|(ip, _)| ip).chain(&dossier.named).chain([&dossier.id]);
            for ip in all.collect::<BTreeSet<_>>() {
                about.entry(ip.clone()).or_default().push(at);
            }
        }
        let mut lines = 0;
        let files = self.lines(results, "endpoints.ndjson", |case, line| {
            lines += 1;
            let places = line.text("endpoint.ip").and_then(|ip| about.get(ip));
            for at in places.into_iter().flatten() {
                if let Some(dossier) = case.dossiers.get_mut(*at) {
                    dossier.endpoints_all += 1;
                    if dossier.endpoints.len() < ENDPOINTS_MAX {
                        dossier.endpoints.push(line.clone());
                    }
                }
            }
        })?;
        self.endpoints = lines;
        self.check_lines("endpoints", files, lines);
        Ok(())
    }

    /// Adds a run, with what is wrong with it: it ended early, lost packets, or another version
    /// wrote it.
    fn add_run(&mut self, run: Flat) {
        for what in SUMS {
            *self.sums.entry(what).or_default() += run.count(what);
        }
        *self.sums.entry("inputs").or_default() += run.objects("inputs").len() as u64;
        for (name, value) in run.fields() {
            let place = name.strip_prefix("loss.").filter(|of| *of != "capture_share");
            if let Some((place, count)) = place.zip(value.as_u64()).filter(|(_, count)| *count > 0)
            {
                if self.losses.len() < LOSSES_MAX || self.losses.contains_key(place) {
                    *self.losses.entry(place.to_owned()).or_default() += count;
                } else {
                    self.losses_more += count;
                }
            }
        }
        run_faults(&run).into_iter().for_each(|fault| self.fault(fault));
        self.runs_all += 1;
        if self.runs.len() < RUNS_MAX {
            self.runs.push(run);
        }
    }

    /// A sum over all runs: lines of a file, `inputs`, or a field.
    pub(super) fn sum(&self, what: &str) -> u64 {
        let of = |name: &str| self.sums.get(name).copied();
        of(what).or_else(|| of(&format!("totals.{what}"))).unwrap_or_default()
    }
}

/// Fields of run.json that are summed.
const SUMS: [&str; 5] = [
    "totals.sessions",
    "totals.endpoints",
    "totals.alerts",
    "totals.incidents",
    "counters.capture.frames",
];

fn run_faults(run: &Flat) -> Vec<String> {
    let mut faults = Vec::new();
    let version = run.number("schema_version").unwrap_or_default();
    if version != f64::from(SCHEMA_VERSION) {
        faults.push(format!(
            "The result has schema version {version:.0}, this program reads version \
             {SCHEMA_VERSION}: fields may be missing or mean something else; read the captures \
             again with this version."
        ));
    }
    if run.flag("interrupted") {
        faults.push(
            "The run was interrupted: the inputs were not read to their end; run it again for all \
             of them."
                .to_owned(),
        );
    }
    faults.extend(
        run.text("incomplete").map(|why| {
            format!("The files of a set end early ({why}): free space, then run again.")
        }),
    );
    for feed in run.objects("one_way_feeds") {
        faults.push(format!(
            "Capture point {} sends one direction only: no legs, and no rule that needs both; \
             mirror both directions.",
            feed.count("point"),
        ));
    }
    faults
}

fn unreadable(path: &Path, number: u32, cause: &str) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("{name}:{number} is not as longhaul wrote it ({cause}), and is left out; {AGAIN}.")
}

fn no_id(file: &str) -> String {
    format!("A line of {file} has no event.id, and is left out; {AGAIN}.")
}

/// Events and addresses that a finding names.
fn name_evidence(line: &Flat, named: &mut BTreeSet<String>) {
    const NAMED_MAX: usize = 1_000;
    let evidence = line.objects("longhaul.evidence");
    let sessions = evidence.iter().flat_map(|item| item.texts("sessions"));
    let one = ["longhaul.session.id", "longhaul.remote.ip", "longhaul.home.ip", "endpoint.ip"];
    let single = one.iter().filter_map(|name| line.text(name));
    for name in sessions.chain(single).chain(line.texts("related.ip")) {
        if named.len() < NAMED_MAX {
            named.insert(name.to_owned());
        }
    }
}

/// Order: severity, probability or ratio, time, id.
fn rank(lines: &mut [Flat]) {
    let key = |line: &Flat| {
        let weight = line.number("longhaul.score").or_else(|| line.number("longhaul.ratio"));
        (line.number("event.severity").unwrap_or_default(), weight.unwrap_or_default())
    };
    lines.sort_by(|a, b| {
        let ((sa, wa), (sb, wb)) = (key(a), key(b));
        let order = sb.total_cmp(&sa).then(wb.total_cmp(&wa));
        let order = order.then_with(|| a.text("event.start").cmp(&b.text("event.start")));
        order.then_with(|| a.text("event.id").cmp(&b.text("event.id")))
    });
}
