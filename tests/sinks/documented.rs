//! The ways of docs/siem.md from nothing to events, walked as they are written: only ports and
//! directories are others.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::assert_all;
use crate::http::Server;
#[cfg(feature = "kafka")]
use crate::kafka::Kafka;
use crate::net::wait_for;
use crate::run::{Site, ids_of};
use crate::syslog::{self, Receiver};

const SENT: [&str; 3] = ["sessions", "alerts", "incidents"];

/// A section of the document.
fn section(title: &str) -> &'static str {
    let (_, behind) =
        include_str!("../../docs/siem.md").split_once(&format!("\n## {title}\n")).unwrap();
    behind.split_once("\n## ").map_or(behind, |(section, _)| section)
}

/// The first block of a language.
fn block(section: &'static str, language: &str) -> &'static str {
    let (_, behind) = section.split_once(&format!("```{language}\n")).unwrap();
    behind.split_once("```").unwrap().0
}

/// The commands of a section, in order.
fn commands(section: &'static str) -> Vec<&'static str> {
    section.lines().filter_map(|line| line.strip_prefix("$ ")).collect()
}

/// A directory with the capture, a configuration, and the program on the path.
fn world(config: &str, text: &str) -> Site {
    let site = Site::new();
    fs::rename(site.capture(), site.path("capture.pcap")).unwrap();
    fs::create_dir(site.path("bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_longhaul"), site.path("bin/longhaul")).unwrap();
    fs::write(site.path(config), text).unwrap();
    site
}

/// Runs a command as a reader of the document does.
fn run(site: &Site, command: &str) {
    let path = format!("{}:{}", site.text("bin"), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(site.path("")).env("PATH", path);
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {said}");
    assert!(!said.contains("not confirmed"), "{command}: {said}");
}

fn ids(site: &Site, run: &str) -> Vec<String> {
    let of = |name: &str| ids_of(&site.path(run).join(format!("{name}.ndjson")));
    SENT.iter().flat_map(|name| of(name)).collect()
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// rsyslog with the configuration that is shipped.
fn rsyslog(site: &Site, port: u16) -> Option<Running> {
    let dir = site.text("");
    let dir = dir.trim_end_matches('/');
    let config = include_str!("../../deploy/receivers/rsyslog.conf")
        .replace("/etc/ssl/longhaul", dir)
        .replace("/var/log", dir)
        .replace("port=\"6514\"", &format!("port=\"{port}\""));
    assert!(config.contains(&port.to_string()), "{config}");
    fs::write(site.path("r.conf"), config).unwrap();
    let (config, pid) = (site.text("r.conf"), site.text("r.pid"));
    let mut command = Command::new("rsyslogd");
    command.args(["-n", "-f", &config, "-i", &pid]).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(process) = command.spawn() else {
        println!("skipped: rsyslogd is not installed");
        return None;
    };
    let running = Running(process);
    wait_for("rsyslog", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    Some(running)
}

#[test]
fn the_way_to_rsyslog() {
    let (way, port) = (section("rsyslog"), Receiver::free_port());
    let [certificate, rest @ ..] = &commands(way)[..] else { panic!("{way}") };
    let site = world("rsyslog.toml", "");
    let dir = site.text("");
    let config = block(way, "toml").replace("6514", &port.to_string());
    let config = config.replace("/etc/ssl/longhaul", dir.trim_end_matches('/'));
    fs::write(site.path("rsyslog.toml"), config).unwrap();
    run(&site, certificate);
    fs::copy(site.path("cert.pem"), site.path("ca.pem")).unwrap();
    let Some(_server) = rsyslog(&site, port) else { return };
    assert_eq!(rest.len(), 3);
    rest.iter().for_each(|command| run(&site, command));
    let lines = site.path("longhaul.ndjson");
    assert_all(&ids(&site, "run-rsyslog"), syslog::written(Path::new(&lines)));
}

#[test]
fn the_way_to_elasticsearch() {
    let (way, server) = (section("Elasticsearch and OpenSearch"), Server::start(&[]));
    let port = server.port().to_string();
    let site = world("elastic.toml", &block(way, "toml").replace("9200", &port));
    let all = commands(way);
    assert_eq!(all.len(), 4);
    all.iter().for_each(|command| run(&site, &command.replace("9200", &port)));
    assert_eq!(server.template()["index_patterns"][0], "logs-longhaul-*");
    let id = |key: String| key.split('-').next().unwrap().to_owned();
    assert_all(&ids(&site, "run-elastic"), server.ids().into_iter().map(id));
}

#[cfg(feature = "kafka")]
#[test]
fn the_way_to_kafka() {
    let (way, Some(broker)) = (section("Kafka"), Kafka::start()) else { return };
    broker.create_topic("longhaul", 1);
    let config = block(way, "toml").replace("9092", &broker.port.to_string());
    let site = world("kafka.toml", &config);
    let all = commands(way);
    assert_eq!(all.len(), 2);
    all.iter().for_each(|command| run(&site, command));
    let stored = broker.stored("longhaul");
    let id = |one: &serde_json::Value| one["event"]["event"]["id"].as_str().unwrap().to_owned();
    assert_all(&ids(&site, "run-kafka"), stored.iter().map(id));
}
