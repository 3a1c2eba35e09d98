//! The keys of sinks that publish to message queues: Kafka, NATS.
//!
//! Owns: their addresses, names and logins. In: a table. Out: a receiver. Never: a password that
//! would leave this machine in the clear.

use crate::config::sinks::{Faults, SinkKeys, host_port, is_this_machine, shown};
use crate::model::sink::{Login, Mechanism, Receiver};

/// The topic, and what subjects begin with, if not said.
const NAME: &str = "longhaul";

/// Ports, if not said.
const KAFKA_PORT: u16 = 9092;
const NATS_PORT: u16 = 4222;

impl SinkKeys {
    pub(super) fn nats(&mut self, faults: &mut Faults) -> Option<Receiver> {
        let help = "give nats://HOST:4222 or tls://HOST:4222";
        let subject = self.name("subject", self.subject.clone(), faults);
        self.subject = None;
        let login = self.login("", faults);
        let url = self.url.take().unwrap_or_default();
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let tls = match scheme {
            "tls" => Some(self.tls(faults)),
            _ => None,
        };
        let Some((host, port)) =
            host_port(rest, NATS_PORT).filter(|_| matches!(scheme, "nats" | "tls"))
        else {
            faults.add("url", format!("`{}` is no address of a NATS server", shown(&url)), help);
            return None;
        };
        if login != Login::default() && tls.is_none() && !is_this_machine(&url) {
            let cause = "whoever carries the packets could read the token or password";
            faults.add("url", cause, "give tls://");
        }
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Some(Receiver::Nats { url: format!("{scheme}://{host}:{port}"), subject, login, tls })
    }

    pub(super) fn kafka(&mut self, faults: &mut Faults) -> Option<Receiver> {
        let help = "give kafka://HOST:9092,HOST:9092 or kafka+tls://HOST:9093";
        let topic = self.name("topic", self.topic.clone(), faults);
        self.topic = None;
        let mechanism = self.mechanism(faults);
        // A token would be left over, and is refused.
        let token_file = self.token_file.take();
        let Login { user, .. } = self.login("", faults);
        self.token_file = token_file;
        let url = self.url.take().unwrap_or_default();
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let is_tls = scheme == "kafka+tls";
        let tls = is_tls.then(|| self.tls(faults));
        let hosts: Option<Vec<_>> =
            rest.split(',').map(|host| host_port(host, KAFKA_PORT)).collect();
        let Some(hosts) = hosts.filter(|_| is_tls || scheme == "kafka") else {
            faults.add("url", format!("`{}` is no list of Kafka brokers", shown(&url)), help);
            return None;
        };
        // Even on this machine: brokers name others, which get the password, too.
        if mechanism == Mechanism::Plain && user.is_some() && !is_tls {
            let cause = "whoever carries the packets could read the password";
            faults.add("url", cause, "give kafka+tls://, or a sasl of scram-sha-512");
        }
        let host = |(host, port): (String, u16)| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let brokers = hosts.into_iter().map(host).collect();
        let login = user.map(|(user, file)| (mechanism, user, file));
        Some(Receiver::Kafka { brokers, topic, login, tls })
    }

    /// A topic, or the beginning of a subject.
    fn name(&self, key: &str, given: Option<String>, faults: &mut Faults) -> String {
        let name = given.unwrap_or_else(|| NAME.to_owned());
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_whole = !name.is_empty() && !name.starts_with('.') && !name.ends_with('.');
        if !is_whole || name.len() > 128 || name.contains("..") || !name.chars().all(fits) {
            let help = "give letters, digits, hyphens, underscores, and points between them";
            faults.add(key, format!("`{name}` cannot be one"), help);
        }
        name
    }

    fn mechanism(&mut self, faults: &mut Faults) -> Mechanism {
        let word = self.sasl.take();
        match word.as_deref() {
            None | Some("scram-sha-512") => Mechanism::Scram512,
            Some("scram-sha-256") => Mechanism::Scram256,
            Some("plain") => Mechanism::Plain,
            Some(other) => {
                let help = "give plain, scram-sha-256 or scram-sha-512";
                faults.add("sasl", format!("`{other}` is none"), help);
                Mechanism::Scram512
            }
        }
    }
}
