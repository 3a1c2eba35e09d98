//! The process that shows: it answers clients, and tells the service manager.
//!
//! Owns: the listening socket, the latest report. In: reports. Out: answers. Never: a packet, a
//! result, or an answer that is older than it says.

#![allow(clippy::disallowed_methods, reason = "how old a report is, is no time of packets")]

use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::metrics::{Answer, Answers, Notifier, Report, State, serve};
use crate::model::Error;
use crate::pipeline::snapshot::lock;

/// An older report counts as none.
const FRESH: Duration = Duration::from_secs(10);

/// The media type of the text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is shown.
pub struct Showing {
    listener: Option<TcpListener>,
    notifier: Option<Notifier>,
}

/// The latest report, and when it came.
type Latest = Arc<Mutex<Option<(Instant, Report)>>>;

impl Showing {
    /// Opens the sockets; afterwards privileges can be dropped.
    pub fn open(
        listen: Option<SocketAddr>,
        notify: Option<&std::path::Path>,
    ) -> Result<Showing, Error> {
        let listener = listen.map(TcpListener::bind).transpose();
        let listener = listener.map_err(|cause| Error::new("metrics", cause.to_string()))?;
        Ok(Showing { listener, notifier: notify.map(Notifier::open).transpose()? })
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Shows what the reports say until they end.
    pub fn run(self, input: impl Read) -> io::Result<()> {
        let latest = Latest::default();
        if let Some(listener) = self.listener {
            let known = Arc::clone(&latest);
            let answers: Arc<Answers> = Arc::new(move |path| answer(path, &known));
            let serving = move || serve(&listener, &answers);
            thread::Builder::new().name("answers".to_owned()).spawn(serving)?;
        }
        let result = follow(&mut BufReader::new(input), self.notifier.as_ref(), &latest);
        self.notifier.iter().for_each(|notifier| notifier.say("STOPPING=1"));
        result
    }
}

/// Reads reports until they end.
fn follow(
    input: &mut impl BufRead,
    notifier: Option<&Notifier>,
    latest: &Latest,
) -> io::Result<()> {
    let mut before: Option<State> = None;
    while let Some(report) = Report::read(input)? {
        if let Some(notifier) = notifier {
            let text = words(&report, before.as_ref());
            if !text.is_empty() {
                notifier.say(&text);
            }
        }
        before = Some(report.state.clone());
        *lock(latest) = Some((Instant::now(), report));
    }
    Ok(())
}

/// What the service manager is told. Signs of life for its watchdog are not ours to give.
fn words(report: &Report, before: Option<&State>) -> String {
    let mut lines = Vec::new();
    if before.is_none() {
        lines.push("READY=1".to_owned());
    }
    if before != Some(&report.state) {
        if report.state == State::Stopping {
            lines.push("STOPPING=1".to_owned());
        }
        lines.push(format!("STATUS={}", status(&report.state)));
    }
    lines.join("\n")
}

fn status(state: &State) -> &str {
    match state {
        State::Ready => "capturing",
        State::Waiting(why) => why,
        State::Stopping => "stopping",
    }
}

fn answer(path: &str, latest: &Latest) -> Answer {
    let none = |text: &str| Answer::text("503 Service Unavailable", text);
    if !["/metrics", "/healthz", "/readyz"].contains(&path) {
        return Answer::text("404 Not Found", "there are /metrics, /healthz and /readyz");
    }
    let latest = lock(latest);
    let Some((at, report)) = latest.as_ref() else { return none("the sensor starts") };
    let age = at.elapsed();
    if age > FRESH {
        return none(&format!("the sensor has said nothing for {} s", age.as_secs()));
    }
    match (path, &report.state) {
        ("/metrics", _) => {
            Answer { status: "200 OK", kind: METRICS, body: report.page.as_str().into() }
        }
        ("/healthz", _) => Answer::text("200 OK", "alive"),
        (_, State::Ready) => Answer::text("200 OK", "ready"),
        (_, state) => none(status(state)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(state: State) -> Report {
        Report { state, page: "a 1\n".to_owned() }
    }

    #[test]
    fn answers_are_those_of_the_latest_report_and_none_that_is_old() {
        let latest = Latest::default();
        let code = |path: &str| answer(path, &latest).status[..3].to_owned();
        assert_eq!([code("/healthz"), code("/metrics"), code("/x")], ["503", "503", "404"]);
        *lock(&latest) = Some((Instant::now(), report(State::Waiting("no".into()))));
        assert_eq!([code("/healthz"), code("/metrics"), code("/readyz")], ["200", "200", "503"]);
        *lock(&latest) = Some((Instant::now(), report(State::Ready)));
        assert_eq!(code("/readyz"), "200");
        let old = Instant::now().checked_sub(FRESH + Duration::from_secs(1)).unwrap();
        *lock(&latest) = Some((old, report(State::Ready)));
        assert_eq!([code("/healthz"), code("/metrics"), code("/readyz")], ["503"; 3]);
    }

    #[test]
    fn the_service_manager_hears_of_changes_only() {
        let ready = report(State::Ready);
        assert_eq!(words(&ready, None), "READY=1\nSTATUS=capturing");
        assert_eq!(words(&ready, Some(&State::Ready)), "");
        let stopping = report(State::Stopping);
        assert_eq!(words(&stopping, Some(&State::Ready)), "STOPPING=1\nSTATUS=stopping");
        assert_eq!(words(&stopping, Some(&State::Stopping)), "");
    }
}
