//! `[[sink]]` of the configuration file.
//!
//! Owns: the keys of a sink, which of them each type takes. In: TOML. Out: a [`SinkPlan`], or every
//! error in it. Never: a secret in the file: keys name files.

mod credentials;
mod files;
mod queues;

use std::path::PathBuf;

use serde::Deserialize;

use crate::config::live::parse_bytes;
use crate::config::parse_level;
use crate::model::sink::{Login, Receiver, Service, SinkPlan, TlsFiles, Transport};
use crate::model::{Error, EventKind, Form, Level};

/// Bytes of a spool, if not said.
const SPOOL_MAX: u64 = 1 << 30;

/// The smallest spool: some thousand alerts.
const SPOOL_LEAST: u64 = 1 << 20;

/// Kinds that a sink takes, if not said.
const KINDS: [EventKind; 3] = [EventKind::Alert, EventKind::Incident, EventKind::Health];

/// Facilities by number (RFC 5424 section 6.2.1).
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

/// The facility, if not said.
const FACILITY: u8 = 16;

/// The types.
const TYPES: &str =
    "file, stdout, syslog, elasticsearch, opensearch, splunk-hec, webhook, kafka, nats";

/// The keys of a sink.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SinkKeys {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    url: Option<String>,
    path: Option<PathBuf>,
    format: Option<String>,
    kinds: Option<Vec<String>>,
    min_level: Option<String>,
    spool: Option<PathBuf>,
    spool_max: Option<String>,
    rotate: Option<String>,
    keep: Option<usize>,
    zstd: Option<bool>,
    sync: Option<String>,
    subject: Option<String>,
    topic: Option<String>,
    sasl: Option<String>,
    facility: Option<String>,
    index: Option<String>,
    acks: Option<bool>,
    gzip: Option<bool>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
    plain_http: Option<bool>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// Collects errors of one sink.
struct Faults {
    what: String,
    errors: Vec<Error>,
}

impl Faults {
    fn add(&mut self, key: &str, cause: impl Into<String>, help: &str) {
        let error = Error::new(format!("{}: {key}", self.what), cause.into());
        self.errors.push(error.help(help));
    }
}

impl SinkKeys {
    /// Checks the keys of the sink at a place of the file.
    pub(super) fn check(mut self, place: (PathBuf, u32)) -> Result<SinkPlan, Vec<Error>> {
        let mut faults = Faults { what: format!("sink {}", self.name), errors: Vec::new() };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_name = !self.name.starts_with('.') && self.name.chars().all(fits);
        if self.name.is_empty() || self.name.len() > 64 || !is_name {
            let help = "give 1 to 64 letters, digits, hyphens, underscores or points";
            faults.add("name", "it names files and stands in messages", help);
        }
        self.credentials(&mut faults);
        let form = self.form(&mut faults);
        let kinds = self.kinds(form, &mut faults);
        let level = self.level(&mut faults);
        let spool_max = self.spool_max(&mut faults);
        let spool = self.spool.take();
        let name = std::mem::take(&mut self.name);
        let to = self.receiver(&mut faults);
        if let (Some(Receiver::Http { service, .. }), false) = (&to, form.is_json()) {
            let help = "choose ecs, ocsf or eve";
            if *service != Service::Webhook {
                faults.add("format", format!("{} is not JSON", form.name()), help);
            }
        }
        match to {
            Some(to) if faults.errors.is_empty() => {
                Ok(SinkPlan { name, to, form, kinds, level, spool, spool_max, place })
            }
            _ => {
                let at = |error: Error| error.at(&place.0, place.1);
                Err(faults.errors.into_iter().map(at).collect())
            }
        }
    }

    fn form(&self, faults: &mut Faults) -> Form {
        let Some(word) = &self.format else { return Form::Ecs };
        Form::of(word).unwrap_or_else(|| {
            faults.add("format", format!("`{word}` is none"), "give ecs, ocsf, cef, leef or eve");
            Form::Ecs
        })
    }

    fn kinds(&self, form: Form, faults: &mut Faults) -> Vec<EventKind> {
        let Some(words) = &self.kinds else {
            return KINDS.into_iter().filter(|kind| form.has(*kind)).collect();
        };
        let mut kinds = Vec::new();
        for word in words {
            match EventKind::ALL.iter().find(|kind| kind.word() == word) {
                Some(kind) if !form.has(*kind) => {
                    let cause = format!("{} has no line for `{word}`", form.name());
                    faults.add("kinds", cause, "leave it out, or use ecs");
                }
                Some(kind) => kinds.push(*kind),
                None => {
                    let help = "give session, update, endpoint, alert, incident or health";
                    faults.add("kinds", format!("`{word}` is none"), help);
                }
            }
        }
        if words.is_empty() {
            faults.add("kinds", "there is none", "leave it out for alerts, incidents and health");
        }
        kinds
    }

    fn level(&self, faults: &mut Faults) -> Level {
        let Some(word) = &self.min_level else { return Level::Informational };
        parse_level(word).unwrap_or_else(|error| {
            let help = error.help.clone().unwrap_or_default();
            faults.add("min_level", error.cause, &help);
            Level::Informational
        })
    }

    fn spool_max(&self, faults: &mut Faults) -> u64 {
        let Some(word) = &self.spool_max else { return SPOOL_MAX };
        parse_bytes(word).filter(|most| *most >= SPOOL_LEAST).unwrap_or_else(|| {
            let cause = format!("`{word}` is no size in bounds");
            faults.add("spool_max", cause, "give a size of 1MiB or more, such as 1GiB");
            SPOOL_MAX
        })
    }

    /// The receiver; keys that its type does not take are refused.
    fn receiver(mut self, faults: &mut Faults) -> Option<Receiver> {
        let before = faults.errors.len();
        let kind = std::mem::take(&mut self.kind);
        let to = match kind.as_str() {
            "file" => self.file(faults),
            "stdout" => Some(Receiver::Stdout),
            "syslog" => self.syslog(faults),
            "elasticsearch" | "opensearch" | "splunk-hec" | "webhook" => self.http(&kind, faults),
            "kafka" => self.kafka(faults),
            "nats" => self.nats(faults),
            other => {
                faults.add("type", format!("`{other}` is none"), &format!("give {TYPES}"));
                None
            }
        };
        if to.is_some() || faults.errors.len() > before {
            for key in self.left() {
                let cause = format!("a sink of type {kind} has no such key");
                faults.add(key, cause, "leave it out");
            }
        }
        to
    }

    /// The keys that nobody has taken.
    fn left(&self) -> impl Iterator<Item = &'static str> + use<> {
        let left = [
            ("url", self.url.is_some()),
            ("path", self.path.is_some()),
            ("rotate", self.rotate.is_some()),
            ("keep", self.keep.is_some()),
            ("zstd", self.zstd.is_some()),
            ("sync", self.sync.is_some()),
            ("subject", self.subject.is_some()),
            ("topic", self.topic.is_some()),
            ("sasl", self.sasl.is_some()),
            ("facility", self.facility.is_some()),
            ("index", self.index.is_some()),
            ("acks", self.acks.is_some()),
            ("gzip", self.gzip.is_some()),
            ("user", self.user.is_some()),
            ("password_file", self.password_file.is_some()),
            ("token_file", self.token_file.is_some()),
            ("plain_http", self.plain_http.is_some()),
            ("ca", self.ca.is_some()),
            ("cert", self.cert.is_some()),
            ("key", self.key.is_some()),
        ];
        left.into_iter().filter(|(_, given)| *given).map(|(key, _)| key)
    }

    fn syslog(&mut self, faults: &mut Faults) -> Option<Receiver> {
        let word = self.facility.take();
        let known = |word: &String| FACILITIES.iter().position(|known| known == word);
        let facility = match word.as_ref().map(known) {
            None => FACILITY,
            Some(Some(at)) => at as u8,
            Some(None) => {
                let cause = format!("`{}` is none", word.unwrap_or_default());
                faults.add("facility", cause, "give a name such as local0 or daemon");
                FACILITY
            }
        };
        let help = "give udp://HOST:514, tcp://HOST:601 or tls://HOST:6514";
        let Some(url) = self.url.take() else {
            faults.add("url", "it is missing", help);
            return None;
        };
        let (scheme, rest) = url.split_once("://").unwrap_or(("", &url));
        let transport = match scheme {
            "udp" => Some((Transport::Udp, 514)),
            "tcp" => Some((Transport::Tcp, 601)),
            "tls" => Some((Transport::Tls, 6514)),
            _ => None,
        };
        let tls = if scheme == "tls" { self.tls(faults) } else { TlsFiles::default() };
        let parsed =
            transport.and_then(|(transport, port)| Some((transport, host_port(rest, port)?)));
        let Some((transport, (host, port))) = parsed else {
            let cause = format!("`{}` is no address of a syslog server", shown(&url));
            faults.add("url", cause, help);
            return None;
        };
        Some(Receiver::Syslog { transport, host, port, facility, tls })
    }

    fn http(&mut self, kind: &str, faults: &mut Faults) -> Option<Receiver> {
        let help = "give http://HOST:PORT or https://HOST:PORT";
        let url = self.url.take();
        let is_http = |url: &String| {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            let authority = rest.map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
            authority.is_some_and(|host| host_port(host, 80).is_some() && !host.contains('@'))
        };
        let Some(url) = url.clone().filter(is_http) else {
            let cause =
                url.map_or("it is missing".to_owned(), |url| format!("`{}` is none", shown(&url)));
            faults.add("url", cause, help);
            return None;
        };
        let tls = if url.starts_with("https://") { self.tls(faults) } else { TlsFiles::default() };
        let gzip = self.gzip.take().unwrap_or(false);
        let token_word = match kind {
            "splunk-hec" => "Splunk",
            "webhook" => "Bearer",
            _ => "ApiKey",
        };
        let login = self.login(token_word, faults);
        let may_be_read = self.plain_http.take().unwrap_or(false);
        let is_secret = login != Login::default();
        if is_secret && !may_be_read && url.starts_with("http://") && !is_this_machine(&url) {
            let cause = "whoever carries the packets could read the token or password";
            let help = "give https://, or plain_http = true if only you carry them";
            faults.add("url", cause, help);
        }
        let service = match kind {
            "splunk-hec" => {
                if login.token.is_none() {
                    faults.add("token_file", "it is missing", "give the file with the HEC token");
                }
                let acks = self.acks.take().unwrap_or(false);
                Service::Splunk { index: self.index.take(), acks }
            }
            "webhook" => Service::Webhook,
            _ => {
                let index = self.index.take().unwrap_or_else(|| "logs-longhaul-default".to_owned());
                Service::Bulk { index }
            }
        };
        Some(Receiver::Http { service, url, login, tls, gzip })
    }

    fn login(&mut self, token_word: &'static str, faults: &mut Faults) -> Login {
        let token = self.token_file.take().map(|path| (path, token_word));
        let user = match (self.user.take(), self.password_file.take()) {
            (Some(user), Some(file)) => Some((user, file)),
            (None, None) => None,
            _ => {
                let help = "give both, or neither";
                faults.add("user", "user and password_file go together", help);
                None
            }
        };
        Login { token, user }
    }

    fn tls(&mut self, faults: &mut Faults) -> TlsFiles {
        let client = match (self.cert.take(), self.key.take()) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => {
                faults.add("cert", "cert and key go together", "give both, or neither");
                None
            }
        };
        TlsFiles { ca: self.ca.take(), client }
    }
}

/// A URL as messages show it: without a login, which does not belong there.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    match rest.rsplit_once('@') {
        Some((_, host)) => {
            format!("{scheme}://(login left out, see user and password_file)@{host}")
        }
        None => url.to_owned(),
    }
}

/// Whether a URL names this machine.
fn is_this_machine(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next();
    let host = authority.and_then(|authority| host_port(authority, 80)).unwrap_or_default().0;
    let is_loopback = host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    is_loopback || host.eq_ignore_ascii_case("localhost")
}

/// `HOST`, `HOST:PORT`, `[ADDRESS]:PORT`.
fn host_port(text: &str, default: u16) -> Option<(String, u16)> {
    let text = text.trim_end_matches('/');
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map_or(Some(default), |port| port.parse().ok())?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '%');
    (!host.is_empty() && host.chars().all(fits)).then(|| (host.to_owned(), port))
}

/// What is wrong between sinks: two of one name, or of one spool.
pub(super) fn check_all(sinks: &[SinkPlan]) -> Vec<Error> {
    let mut errors = Vec::new();
    for (at, sink) in sinks.iter().enumerate() {
        let earlier = sinks.get(..at).unwrap_or_default();
        let (path, line) = (&sink.place.0, sink.place.1);
        if earlier.iter().any(|other| other.name == sink.name) {
            let error = Error::new(format!("sink {}: name", sink.name), "another sink has it");
            errors.push(error.at(path, line).help("give each sink a name of its own"));
        }
        let file = |of: &SinkPlan| match &of.to {
            Receiver::File { path, .. } => Some(path.clone()),
            _ => None,
        };
        let writes = file(sink);
        if let Some(other) = earlier.iter().find(|other| writes.is_some() && file(other) == writes)
        {
            let cause = format!("sink {} writes to the same", other.name);
            let error = Error::new(format!("sink {}: path", sink.name), cause);
            errors.push(error.at(path, line).help("give each sink a file of its own"));
        }
        let same = |other: &&SinkPlan| sink.spool.is_some() && other.spool == sink.spool;
        if let Some(other) = earlier.iter().find(same) {
            let cause = format!("sink {} has the same", other.name);
            let error = Error::new(format!("sink {}: spool", sink.name), cause);
            errors.push(error.at(path, line).help("give each sink a spool of its own"));
        }
    }
    errors
}

#[cfg(test)]
#[path = "sinks/tests.rs"]
mod tests;
