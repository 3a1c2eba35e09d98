//! Who shows a screen and who controls, on labelled captures of remote control and look-alikes.
//!
//! Owns: the rows by scenario. In: captures with their truth. Out: rows on the console, and what a
//! session of the laptop was taken for. Never: reads a file's name for its label.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use longhaul::config::Plan;
use longhaul::model::interaction::Class;
use longhaul::model::{Peer, Record};
use longhaul::pipeline::{NoProgress, run_tapped};
use serde_json::Value;

/// What was made of one capture.
pub struct Case {
    pub id: String,
    pub scenario: String,
    pub software: String,
    /// A session looks as if the laptop, or the device that stands for it, were controlled.
    pub controlled: bool,
    /// Sessions between the laptop and its own work: whether the other side was taken for the
    /// controlled one.
    pub sides: Vec<bool>,
    /// Round trip behind the relay: found and true, in milliseconds.
    pub legs: Vec<(f64, f64)>,
    /// Round trip to who is at the other end of a session of remote control, by its replies: found
    /// and true.
    pub replies: Vec<(f64, f64)>,
    /// A controller's address or leg was found.
    pub named: bool,
}

/// Judges each capture of a folder with a `truth` folder whose scenario is one of these.
pub fn cases(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<Case> {
    let mut truths: Vec<_> =
        fs::read_dir(folder.join("truth")).unwrap().flatten().map(|entry| entry.path()).collect();
    truths.sort();
    let mut found = Vec::new();
    for path in truths {
        let truth: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let scenario = truth["scenario"].as_str().unwrap_or_default();
        // The company's own edge sees nothing of a KVM at home.
        if wanted(scenario) && truth["vantage"] != "in" {
            found.push(case(folder, &truth));
        }
    }
    found
}

fn case(folder: &Path, truth: &Value) -> Case {
    let text = |field: &str| truth[field].as_str().unwrap_or_default().to_owned();
    let laptop = text("client_ip");
    let capture = folder.join(format!("{}.pcap", text("id")));
    let plan = Plan { inputs: vec![capture], workers: 1, quiet: true, ..Plan::default() };
    let records = Mutex::new(Vec::new());
    let tap = |record: &Record| {
        if record.interaction.is_some() {
            records.lock().unwrap().push(record.clone());
        }
    };
    run_tapped(&plan, &mut NoProgress, Some(&tap)).unwrap();
    let records = records.into_inner().unwrap();
    let is_ours = |ip: &str| {
        ip == laptop
            || (truth["vantage"] == "home"
                && ["10.", "192.168.", "172."].iter().any(|p| ip.starts_with(p)))
    };
    let (mut controlled, mut sides, mut legs, mut named) = (false, Vec::new(), Vec::new(), false);
    let mut replies = Vec::new();
    for record in &records {
        let seen = record.interaction.as_deref().unwrap();
        if let (Some(reply), Some(ms)) = (seen.reply, truth["total_rtt_ms"].as_f64())
            && role(truth, record) == "rmm"
        {
            replies.push((f64::from(reply.us) / 1e3, ms));
        }
        let ours = seen.controlled.map(|side| is_ours(&record.party(side).ip.to_string()));
        let acts = matches!(seen.class, Class::RemoteControl | Class::Typing);
        controlled |= acts && ours == Some(true);
        if acts && role(truth, record).starts_with("work_") {
            sides.push(ours == Some(false));
        }
        if let Some(remote) = &record.remote_control {
            named |= remote.controller.is_some() || remote.hidden_ns.is_some();
            if let (Some(ns), Some(ms)) = (remote.hidden_ns, truth["hidden_rtt_ms"].as_f64()) {
                legs.push((ns as f64 / 1e6, ms));
            }
        }
    }
    let (scenario, software) = (text("scenario"), text("software"));
    Case { id: text("id"), scenario, software, controlled, sides, legs, replies, named }
}

/// What the truth says a session is.
fn role(truth: &Value, record: &Record) -> String {
    let end = |side: Peer| format!("{}:{}", record.party(side).ip, record.party(side).port);
    let ends = [end(Peer::Initiator), end(Peer::Responder)];
    let is_it = |flow: &&Value| {
        let of = |field: &str| flow[field].as_str().unwrap_or_default().to_owned();
        ends.contains(&of("client")) && ends.contains(&of("server"))
    };
    let flows = truth["flows"].as_array();
    let flow = flows.and_then(|flows| flows.iter().find(is_it));
    flow.and_then(|flow| flow["role"].as_str()).unwrap_or_default().to_owned()
}

/// Prints a row of each scenario; returns how many of each look controlled, and of how many.
pub fn show(name: &str, cases: &[Case]) -> BTreeMap<String, (usize, usize)> {
    let mut rows = BTreeMap::<String, (usize, usize)>::new();
    for case in cases {
        let row = rows.entry(case.scenario.clone()).or_default();
        row.0 += usize::from(case.controlled);
        row.1 += 1;
    }
    for (scenario, (controlled, all)) in &rows {
        println!("{name} {scenario:4} looks controlled: {controlled} of {all}");
    }
    let sides: Vec<bool> = cases.iter().flat_map(|case| case.sides.clone()).collect();
    let right = sides.iter().filter(|right| **right).count();
    println!("{name} work sessions whose controlled side is right: {right} of {}", sides.len());
    show_errors(&format!("{name} legs behind relays"), cases.iter().flat_map(|case| &case.legs));
    for case in cases.iter().filter(|case| !case.replies.is_empty()) {
        println!("  {} {} replies {:?}", case.id, case.software, case.replies);
    }
    let replies = cases.iter().flat_map(|case| &case.replies);
    show_errors(&format!("{name} legs by replies"), replies);
    rows
}

fn show_errors<'c>(name: &str, legs: impl Iterator<Item = &'c (f64, f64)>) {
    let errors = errors(legs);
    if let (Some(p50), Some(p90)) = (at(&errors, 0.5), at(&errors, 0.9)) {
        let (n, p50, p90) = (errors.len(), 100.0 * p50, 100.0 * p90);
        println!("{name}: {n}, off by {p50:.1} % (p50), {p90:.1} % (p90)");
    }
}

/// How far what was found is off, as shares of the truth, sorted.
pub fn errors<'c>(legs: impl Iterator<Item = &'c (f64, f64)>) -> Vec<f64> {
    let mut errors: Vec<f64> = legs.map(|(found, truth)| (found - truth).abs() / truth).collect();
    errors.sort_by(f64::total_cmp);
    errors
}

/// A quantile of sorted values.
pub fn at(sorted: &[f64], quantile: f64) -> Option<f64> {
    sorted
        .get(((sorted.len() as f64 * quantile) as usize).min(sorted.len().checked_sub(1)?))
        .copied()
}

/// Adds up some scenarios.
pub fn sum(rows: &BTreeMap<String, (usize, usize)>, of: &[&str]) -> (usize, usize) {
    let picked = rows.iter().filter(|(scenario, _)| of.contains(&scenario.as_str()));
    picked.fold((0, 0), |sum, (_, row)| (sum.0 + row.0, sum.1 + row.1))
}
