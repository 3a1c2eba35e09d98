//! Sinks, from packets to receivers that fail: nothing is lost, and only the tail is repeated.
//!
//! Owns: receivers of each kind, run by the tests. In: the embedded demonstration. Out: assertions
//! over event ids. Never: a network beyond this machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and one that waits for a process waits"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

#[cfg(feature = "kafka")]
mod common;
mod craft;
#[path = "sinks/documented.rs"]
mod documented;
#[path = "sinks/http.rs"]
mod http;
#[cfg(feature = "kafka")]
#[path = "sinks/kafka.rs"]
mod kafka;
#[path = "sinks/load.rs"]
mod load;
#[cfg(feature = "nats")]
#[path = "sinks/nats.rs"]
mod nats;
#[path = "live/net.rs"]
mod net;
#[path = "sinks/run.rs"]
mod run;
#[path = "sinks/secrets.rs"]
mod secrets;
#[path = "sinks/syslog.rs"]
mod syslog;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::http::{Server, Way};
use crate::run::{Site, ids_of, longhaul, sorted};
use crate::syslog::Receiver;

/// How often each id was received.
fn counted(ids: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    ids.into_iter().for_each(|id| *counted.entry(id).or_default() += 1);
    counted
}

/// Each of these ids was received, and no other.
fn assert_all(want: &[String], got: impl IntoIterator<Item = String>) {
    let got = counted(got);
    assert_eq!(sorted(want.to_vec()), got.keys().cloned().collect::<Vec<_>>());
}

#[test]
fn every_alert_and_incident_reaches_syslog_once() {
    let server = Receiver::start();
    let site = Site::new();
    site.config(&server.sink("siem", "kinds = [\"alert\", \"incident\"]\n"));
    let (code, said) = site.read(&[]);
    assert_eq!(code, Some(0), "{said}");
    let got = server.stop();
    assert_all(&site.ids(&["alerts", "incidents"]), got.iter().map(|one| one.id()));
    assert_eq!(got.len(), site.ids(&["alerts", "incidents"]).len(), "none twice");
    for message in &got {
        let priority: u8 =
            message.header.trim_start_matches('<').split('>').next().unwrap().parse().unwrap();
        assert_eq!(priority / 8, 16, "local0");
        assert!(message.header.contains(">1 20") && message.header.contains(" iad1 longhaul - "));
    }
}

#[test]
fn sessions_updates_and_endpoints_go_only_where_they_are_asked_for() {
    let (all, few) = (Receiver::start(), Receiver::start());
    let site = Site::new();
    let kinds = "kinds = [\"session\", \"endpoint\"]\n";
    let high = "kinds = [\"alert\"]\nmin_level = \"high\"\n";
    site.config(&(all.sink("all", kinds) + &few.sink("few", high)));
    let (code, said) = site.read(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert_all(&site.ids(&["sessions", "endpoints"]), all.stop().iter().map(|one| one.id()));
    let high: Vec<String> = craft::values(&site.out().join("alerts.ndjson"))
        .iter()
        .filter(|alert| matches!(alert["log"]["level"].as_str(), Some("high" | "critical")))
        .map(|alert| alert["event"]["id"].as_str().unwrap().to_owned())
        .collect();
    assert_all(&high, few.stop().iter().map(|one| one.id()));
}

#[test]
fn without_an_output_directory_a_sink_gets_the_same() {
    let server = Receiver::start();
    let site = Site::new();
    site.config(&server.sink("siem", "kinds = [\"alert\", \"incident\"]\n"));
    let (code, said) = longhaul(&["read", site.capture(), "--config", &site.text("c.toml"), "-q"]);
    assert_eq!(code, Some(0), "{said}");
    site.read(&[]);
    let got = counted(server.stop().iter().map(|one| one.id()));
    assert_all(&site.ids(&["alerts", "incidents"]), got.into_keys());
}

#[test]
fn a_receiver_that_breaks_off_loses_nothing() {
    let server = Receiver::start();
    server.break_after(5);
    let site = Site::new();
    site.config(&server.sink("siem", "kinds = [\"session\", \"alert\", \"incident\"]\n"));
    let (code, said) = site.read(&[]);
    assert_eq!(code, Some(0), "{said}");
    let got = server.stop();
    assert_all(&site.ids(&["sessions", "alerts", "incidents"]), got.iter().map(|one| one.id()));
    assert!(said.contains("it is tried again until it answers"), "{said}");
}

#[test]
fn what_a_dead_receiver_did_not_get_waits_in_the_spool_and_is_sent_later() {
    let port = Receiver::free_port();
    let site = Site::new();
    let spool = site.text("spool");
    let sink = format!(
        "[[sink]]\nname = \"siem\"\ntype = \"syslog\"\nurl = \"tcp://127.0.0.1:{port}\"\n\
         kinds = [\"alert\", \"incident\"]\nspool = \"{spool}\"\n"
    );
    site.config(&sink);
    let (code, said) = site.read(&["--drain", "1s"]);
    let all = site.ids(&["alerts", "incidents"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("{} events are not confirmed", all.len())), "{said}");
    assert!(said.contains("longhaul sinks flush --config"), "{said}");
    let config = site.text("c.toml");
    let (code, said) = longhaul(&["sinks", "flush", "--config", &config, "--drain", "1s"]);
    assert_eq!(code, Some(2), "still dead: {said}");
    let server = Receiver::start_at(port);
    let (code, said) = longhaul(&["sinks", "flush", "--config", &config]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(&format!("siem: {} confirmed, 0 refused, 0 waiting", all.len())),
        "{said}"
    );
    assert_all(&all, server.stop().iter().map(|one| one.id()));
    let server = Receiver::start_at(port);
    longhaul(&["sinks", "flush", "--config", &config]);
    assert_eq!(server.stop().len(), 0, "sent once");
}

#[test]
fn a_sender_that_is_killed_repeats_the_tail_and_loses_nothing() {
    let server = Receiver::start();
    let site = Site::new();
    let spool = site.text("spool");
    site.config(&server.sink("siem", &format!("kinds = [\"session\"]\nspool = \"{spool}\"\n")));
    // The receiver is asleep: the run leaves all of it in the spool.
    server.sleep(true);
    site.read(&["--drain", "1s"]);
    server.sleep(false);
    let config = site.text("c.toml");
    for turn in 0..8 {
        let mut sender = Command::new(env!("CARGO_BIN_EXE_longhaul"))
            .args(["sinks", "flush", "--config", &config])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(15 * turn));
        sender.kill().unwrap();
        sender.wait().unwrap();
    }
    let (code, said) = longhaul(&["sinks", "flush", "--config", &config]);
    assert_eq!(code, Some(0), "{said}");
    assert_all(&site.ids(&["sessions"]), server.stop().iter().map(|one| one.id()));
}

#[test]
fn a_bulk_service_that_fails_in_every_way_gets_each_event_once() {
    let server = Server::start(&[
        Way::Status(503),
        Way::Break,
        Way::Busy,
        Way::Take,
        Way::Status(429),
        Way::Lose,
        Way::Take,
    ]);
    let site = Site::new();
    let sink = format!(
        "[[sink]]\nname = \"elastic\"\ntype = \"elasticsearch\"\nurl = \"{}\"\n\
         kinds = [\"session\", \"alert\", \"incident\"]\nindex = \"logs-x\"\ngzip = true\n",
        server.url()
    );
    site.config(&sink);
    let (code, said) = site.read(&["--drain", "60s"]);
    assert_eq!(code, Some(0), "{said}");
    let documents = server.documents();
    // An incident's document has its change and time behind the id.
    let id = |key: &String| key.split('-').next().unwrap().to_owned();
    assert_all(&site.ids(&["sessions", "alerts", "incidents"]), documents.keys().map(id));
    assert!(documents.values().all(|(index, _)| index == "logs-x"));
    assert!(server.repeats() > 0, "an answer was lost: the same ids came again");
}

#[test]
fn one_event_that_a_service_refuses_keeps_no_other_from_it() {
    let server = Server::start(&[]);
    let site = Site::new();
    let spool = site.text("spool");
    let sink = format!(
        "[[sink]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{}/in\"\nkinds = [\"alert\", \
         \"incident\"]\nspool = \"{spool}\"\n",
        server.url()
    );
    site.config(&sink);
    server.refuse("\"dataset\":\"longhaul.incident\"");
    let (code, said) = site.read(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert_all(&site.ids(&["alerts"]), server.ids());
    let kept = ids_of(&site.path("spool/refused.ndjson"));
    assert_eq!(sorted(kept), sorted(site.ids(&["incidents"])), "{said}");
}

#[test]
fn splunk_confirms_what_it_has_indexed() {
    let server = Server::start(&[Way::Take, Way::Status(503)]);
    let site = Site::new();
    fs::write(site.path("token"), "11111111-2222-3333-4444-555555555555\n").unwrap();
    let sink = format!(
        "[[sink]]\nname = \"splunk\"\ntype = \"splunk-hec\"\nurl = \"{}\"\nacks = true\n\
         token_file = \"{}\"\nkinds = [\"alert\"]\n",
        server.url(),
        site.text("token")
    );
    site.config(&sink);
    let (code, said) = site.read(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert_all(&site.ids(&["alerts"]), server.ids());
    assert!(server.headers().contains("authorization: Splunk 11111111-"), "{}", server.headers());
    assert!(!said.contains("11111111"), "{said}");
}

#[test]
fn a_finished_result_is_sent() {
    let site = Site::new();
    site.config("");
    site.read(&[]);
    let server = Receiver::start();
    site.config(&server.sink("siem", "kinds = [\"incident\", \"session\"]\nformat = \"ocsf\"\n"));
    let (out, config) = (site.text("out"), site.text("c.toml"));
    let (code, said) = longhaul(&["sinks", "send", &out, "--config", &config]);
    assert_eq!(code, Some(0), "{said}");
    let got: Vec<String> = server
        .stop()
        .iter()
        .map(|one| one.body["metadata"]["uid"].as_str().unwrap().to_owned())
        .collect();
    assert_all(&site.ids(&["incidents", "sessions"]), got);
}

#[test]
fn what_is_sent_without_a_spool_to_a_dead_receiver_is_to_be_sent_again() {
    let site = Site::new();
    site.config("");
    site.read(&[]);
    let dead = Receiver::free_port();
    site.config(&format!(
        "[[sink]]\nname = \"x\"\ntype = \"syslog\"\nurl = \"tcp://127.0.0.1:{dead}\"\n\
         kinds = [\"alert\"]\n"
    ));
    let (out, config) = (site.text("out"), site.text("c.toml"));
    let (code, said) = longhaul(&["sinks", "send", &out, "--config", &config, "--drain", "1s"]);
    assert_eq!(code, Some(2), "{said}");
    let count = site.ids(&["alerts"]).len();
    let told = format!("sink x: {count} events are not confirmed; send the result again");
    assert!(said.contains(&told) && !said.contains("flush"), "{said}");
}

#[test]
fn a_damaged_result_says_how_much_of_it_was_sent() {
    let site = Site::new();
    site.config("");
    site.read(&[]);
    let path = site.out().join("alerts.ndjson");
    let whole = fs::read_to_string(&path).unwrap();
    let cut: Vec<&str> = whole.lines().take(2).chain(["{\"event\""]).collect();
    fs::write(&path, cut.join("\n")).unwrap();
    let server = Server::start(&[]);
    site.config(&format!(
        "[[sink]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{}/in\"\nkinds = [\"alert\"]\n",
        server.url()
    ));
    let (out, config) = (site.text("out"), site.text("c.toml"));
    let (code, said) = longhaul(&["sinks", "send", &out, "--config", &config]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("alerts.ndjson:3: "), "{said}");
    assert!(said.contains("sink hook was given the 2 events before it"), "{said}");
    assert_eq!(server.ids().len(), 2, "{said}");
    fs::write(&path, whole).unwrap();
    let (code, said) = longhaul(&["sinks", "send", &out, "--config", &config]);
    assert_eq!((code, server.repeats()), (Some(0), 2), "{said}");
    assert_all(&site.ids(&["alerts"]), server.ids());
}

#[test]
fn a_token_is_read_from_the_credentials_of_systemd() {
    let site = Site::new();
    site.config("");
    site.read(&[]);
    let server = Server::start(&[]);
    site.config(&format!(
        "[[sink]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{}/in\"\nkinds = [\"alert\"]\n\
         token_file = \"credential:hook.token\"\n",
        server.url()
    ));
    fs::create_dir(site.path("credentials")).unwrap();
    fs::write(site.path("credentials/hook.token"), "a-token-of-systemd\n").unwrap();
    let (out, config) = (site.text("out"), site.text("c.toml"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
    command.args(["sinks", "send", &out, "--config", &config]);
    let output = command.env_remove("CREDENTIALS_DIRECTORY").output().unwrap();
    assert_eq!((output.status.code(), server.ids().len()), (Some(2), 0), "{output:?}");
    let given = command.env("CREDENTIALS_DIRECTORY", site.path("credentials"));
    let output = given.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_all(&site.ids(&["alerts"]), server.ids());
    let headers = server.headers();
    assert!(headers.contains("authorization: Bearer a-token-of-systemd\n"), "{headers}");
    let said = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&said).contains("a-token"), "it is in no message");
}

#[test]
fn files_are_begun_anew_and_hold_every_line() {
    let site = Site::new();
    let path = site.text("lines.log");
    let sink = format!(
        "[[sink]]\nname = \"lines\"\ntype = \"file\"\npath = \"{path}\"\nrotate = \"40kB\"\n\
         keep = 500\nkinds = [\"session\"]\n[[sink]]\nname = \"cef\"\ntype = \"file\"\npath = \"{path}.cef\"\n\
         format = \"cef\"\nkinds = [\"alert\"]\n"
    );
    site.config(&sink);
    let (code, said) = site.read(&[]);
    assert_eq!(code, Some(0), "{said}");
    let names = fs::read_dir(site.path("")).unwrap().map(|entry| entry.unwrap().path());
    let ours = |path: &Path| path.file_name().unwrap().to_string_lossy().starts_with("lines.log");
    let parts: Vec<_> =
        names.filter(|path| ours(path) && path.extension().unwrap() != "cef").collect();
    assert_all(&site.ids(&["sessions"]), parts.iter().flat_map(|path| ids_of(path)));
    let cef = fs::read_to_string(site.path("lines.log.cef")).unwrap();
    assert_eq!(cef.lines().count(), site.ids(&["alerts"]).len());
    assert!(cef.lines().all(|line| line.starts_with("CEF:0|longhaul|")), "{cef}");
}

#[test]
fn wrong_sinks_are_refused_at_the_start_all_at_once() {
    let site = Site::new();
    fs::write(site.path("empty.pem"), "").unwrap();
    let (pem, nowhere) = (site.text("empty.pem"), site.text("nowhere"));
    let sinks = format!(
        "[[sink]]\nname = \"a\"\ntype = \"syslog\"\nurl = \"tls://127.0.0.1:1\"\nca = \"{pem}\"\n\
         [[sink]]\nname = \"b\"\ntype = \"splunk-hec\"\nurl = \"https://127.0.0.1:1\"\n\
         token_file = \"{nowhere}\"\n"
    );
    site.config(&sinks);
    let (code, said) = site.read(&[]);
    assert_eq!(code, Some(2), "{said}");
    for part in ["sink a: ca", "no certificate", "sink b: token_file", "c.toml:", "help: "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!site.out().exists() || fs::read_dir(site.out()).unwrap().next().is_none());
}

#[test]
fn a_check_says_what_would_happen_and_sends_nothing() {
    let server = Receiver::start();
    let site = Site::new();
    let dead = Receiver::free_port();
    let config = site.text("c.toml");
    site.config(&server.sink("siem", ""));
    let (code, said) = longhaul(&["sinks", "check", "--config", &config]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("siem: connected to 127.0.0.1:"), "{said}");
    assert!(said.contains("alerts, incidents, health as ecs"), "{said}");
    assert_eq!(server.stop().len(), 0);
    site.config(&format!(
        "[[sink]]\nname = \"x\"\ntype = \"syslog\"\nurl = \"tcp://127.0.0.1:{dead}\"\n"
    ));
    let (code, said) = longhaul(&["sinks", "check", "--config", &config]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("error: sink x: ") && said.contains("c.toml:3: 127.0.0.1:"), "{said}");
}

#[test]
fn finished_files_are_compressed_and_what_a_crash_left_too() {
    let site = Site::new();
    let path = site.text("lines.log");
    let sink = format!(
        "[[sink]]\nname = \"lines\"\ntype = \"file\"\npath = \"{path}\"\nrotate = \"1d, 40kB\"\n\
         keep = 500\nzstd = true\nsync = \"always\"\nkinds = [\"session\"]\n"
    );
    site.config(&sink);
    // A process was killed after it began the file anew.
    fs::write(site.path("lines.log.1"), "{\"event\":{\"id\":\"left\"}}\n").unwrap();
    let (code, said) = site.read(&[]);
    assert_eq!(code, Some(0), "{said}");
    let mut ids = ids_of(&site.path("lines.log"));
    for entry in fs::read_dir(site.path("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("lines.log.") {
            assert!(name.ends_with(".zst"), "{name}");
            let plain = zstd::decode_all(fs::File::open(&path).unwrap()).unwrap();
            let lines = String::from_utf8(plain).unwrap();
            let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
            ids.extend(lines.lines().map(|line| id(line)["event"]["id"].as_str().unwrap().into()));
        }
    }
    let mut want = site.ids(&["sessions"]);
    want.push("left".to_owned());
    assert_all(&want, ids);
}

#[test]
fn a_finished_file_that_cannot_be_compressed_keeps_no_line_back() {
    let site = Site::new();
    let path = site.text("lines.log");
    site.config(&format!(
        "[[sink]]\nname = \"lines\"\ntype = \"file\"\npath = \"{path}\"\nrotate = \"40kB\"\n\
         keep = 1\nzstd = true\nkinds = [\"session\"]\n"
    ));
    fs::write(site.path("lines.log.1"), "{\"event\":{\"id\":\"left\"}}\n").unwrap();
    // Where the compressed file would be made is a directory.
    fs::create_dir(site.path("lines.log.1.zst.part")).unwrap();
    let (code, said) = site.read(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("lines.log.1: not compressed: ").count(), 1, "{said}");
    let (last, before) = (ids_of(&site.path("lines.log")), ids_of(&site.path("lines.log.1")));
    let (got, mut want) = (counted(last.into_iter().chain(before)), site.ids(&["sessions"]));
    // Lines that come at once are one file: what was there stays where none is begun anew.
    want.push("left".to_owned());
    assert!(got.values().all(|times| *times == 1), "none was sent again");
    assert!(got.keys().all(|id| want.contains(id)) && !got.is_empty(), "{got:?}");
    assert!(!said.contains("tried again"), "{said}");
}

#[cfg(feature = "nats")]
#[test]
fn jetstream_stores_every_event_once_though_the_server_is_killed() {
    let Some(mut server) = nats::Nats::start() else { return };
    let site = Site::new();
    let kinds = "kinds = [\"session\", \"alert\", \"incident\"]\n";
    let spool = site.text("spool");
    site.config(&server.sink(&format!("{kinds}spool = \"{spool}\"\n")));
    let (_, said) = site.read(&["--drain", "1s"]);
    assert!(said.contains("no stream takes the subjects longhaul.>"), "{said}");
    server.create_stream(-1);
    let config = site.text("c.toml");
    let mut sender = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["sinks", "flush", "--config", &config])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(60));
    server.restart();
    sender.kill().unwrap();
    sender.wait().unwrap();
    let (code, said) = longhaul(&["sinks", "flush", "--config", &config]);
    assert_eq!(code, Some(0), "{said}");
    let stored = server.stored();
    let id = |event: &serde_json::Value| event["event"]["id"].as_str().unwrap().to_owned();
    let ids: Vec<String> = stored.iter().map(|(_, event)| id(event)).collect();
    assert_all(&site.ids(&["sessions", "alerts", "incidents"]), ids.clone());
    assert_eq!(ids.len(), counted(ids).len(), "ids within the window of duplicates");
    let of = |subject: &str| stored.iter().filter(|(on, _)| on == subject).count();
    assert_eq!(of("longhaul.alert"), site.ids(&["alerts"]).len());
}

#[cfg(feature = "nats")]
#[test]
fn a_message_that_a_stream_never_takes_keeps_no_other_from_it() {
    let Some(server) = nats::Nats::start() else { return };
    server.create_stream(2_000);
    let site = Site::new();
    let spool = site.text("spool");
    site.config(&server.sink(&format!("kinds = [\"session\"]\nspool = \"{spool}\"\n")));
    let (code, said) = site.read(&[]);
    assert_eq!(code, Some(0), "{said}");
    let stored = server.stored();
    let refused = ids_of(&site.path("spool/refused.ndjson"));
    let id = |event: &serde_json::Value| event["event"]["id"].as_str().unwrap().to_owned();
    let ids = stored.iter().map(|(_, event)| id(event)).chain(refused.iter().cloned());
    assert_all(&site.ids(&["sessions"]), ids);
    assert!(!refused.is_empty() && !stored.is_empty(), "{} refused", refused.len());
}

#[cfg(feature = "kafka")]
#[test]
fn kafka_gets_every_event_and_each_subject_in_order() {
    let Some(broker) = kafka::Kafka::start() else { return };
    let site = Site::new();
    let spool = site.text("spool");
    let more = format!("kinds = [\"session\", \"alert\"]\nspool = \"{spool}\"\n");
    site.config(&broker.sink(&more));
    let (_, said) = site.read(&["--drain", "1s"]);
    assert!(said.contains("there is no topic longhaul; create it"), "{said}");
    broker.create_topic("longhaul", 3);
    let config = site.text("c.toml");
    broker.sleep(true);
    let (code, said) = longhaul(&["sinks", "flush", "--config", &config, "--drain", "1s"]);
    assert_eq!(code, Some(2), "a broker that sleeps confirms nothing: {said}");
    broker.sleep(false);
    let (code, said) = longhaul(&["sinks", "check", "--config", &config]);
    assert_eq!((code, said.contains("topic longhaul has 3 partitions")), (Some(0), true), "{said}");
    let (code, said) = longhaul(&["sinks", "flush", "--config", &config]);
    assert_eq!(code, Some(0), "{said}");
    let stored = broker.stored("longhaul");
    let id = |record: &serde_json::Value| {
        assert_eq!(record["headers"]["event.id"], record["event"]["event"]["id"]);
        record["event"]["event"]["id"].as_str().unwrap().to_owned()
    };
    assert_all(&site.ids(&["sessions", "alerts"]), stored.iter().map(id));
    let mut partition = BTreeMap::new();
    for record in &stored {
        let (key, event) = (record["key"].as_str().unwrap(), &record["event"]);
        let person = event["longhaul"]["subject"]["id"].as_str();
        assert_eq!(Some(key), person.or(event["source"]["ip"].as_str()));
        let number = record["partition"].as_u64().unwrap();
        assert_eq!(*partition.entry(key).or_insert(number), number, "one subject, one partition");
    }
    assert!(partition.values().collect::<std::collections::BTreeSet<_>>().len() > 1);
}

#[test]
fn rsyslog_takes_everything_over_tls() {
    let Some(server) = syslog::Rsyslog::start() else { return };
    let site = Site::new();
    site.config(&server.sink("kinds = [\"session\", \"alert\", \"incident\"]\n"));
    let (code, said) = site.read(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert_all(&site.ids(&["sessions", "alerts", "incidents"]), server.ids());
    let trusted = server.sink("kinds = [\"alert\"]\n");
    let site = Site::new();
    // Without its authority the server could be anybody.
    site.config(trusted.split("ca = ").next().unwrap());
    let (_, said) = site.read(&["--drain", "2s"]);
    assert!(said.contains("invalid peer certificate"), "{said}");
}

#[test]
fn syslog_ng_takes_everything_with_the_configuration_that_is_shipped() {
    let Some(server) = syslog::SyslogNg::start() else { return };
    let site = Site::new();
    site.config(&server.sink("kinds = [\"session\", \"alert\", \"incident\"]\n"));
    let (code, said) = site.read(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert_all(&site.ids(&["sessions", "alerts", "incidents"]), server.ids());
}

#[test]
fn a_sandboxed_sensor_alerts_its_receiver_at_once() {
    let Some(net) = net::Net::new(1) else { return };
    let (siem, site) = (Receiver::start(), Site::new());
    let kinds = "kinds = [\"alert\", \"health\"]\n";
    let spool = site.text("spool");
    // One sink with a spool of its own, and one whose spool ends with the run.
    let other = Receiver::start();
    site.config(
        &(siem.sink("siem", &format!("{kinds}spool = \"{spool}\"\n")) + &other.sink("b", kinds)),
    );
    fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let (out, config) = (site.text("out"), site.text("c.toml"));
    let sensor = net::Sensor::start(&["a0", "--out", &out, "--config", &config]);
    net.send_paced("b0", &net::frames(&site.path("farm.pcap.zst")), 2);
    let alerts = site.path("out/alerts.ndjson");
    net::wait_for("an alert", || siem.count() > 0);
    assert!(!alerts.exists(), "the run goes on");
    let (code, said) = sensor.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nothing can be sent"), "{said}");
    let want = site.ids(&["alerts"]);
    for server in [siem, other] {
        let got = server.stop();
        let (alerts, health): (Vec<_>, Vec<_>) =
            got.iter().partition(|one| one.body["event"]["dataset"] == "longhaul.alert");
        assert_all(&want, alerts.iter().map(|one| one.id()));
        assert!(!health.is_empty(), "a last line of health");
    }
}

/// A session that has lasted is judged: from its first packet after that time to the last byte of
/// its alert at the receiver. docs/siem.md has the figures; the bound is for a busy machine.
#[test]
fn an_alert_follows_the_packet_that_completes_its_condition() {
    const LASTS: Duration = Duration::from_secs(3);
    const WITHIN: Duration = Duration::from_secs(10);
    let Some(net) = net::Net::new(1) else { return };
    let (siem, site) = (Receiver::start(), Site::new());
    site.config(&siem.sink("siem", "kinds = [\"alert\"]\n"));
    fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(site.path("rules")).unwrap();
    let rule = include_str!("live/rule.yml").replace("PORT", "4001");
    fs::write(site.path("rules/one.yml"), rule).unwrap();
    let (out, config, rules) = (site.text("out"), site.text("c.toml"), site.text("rules"));
    let own = ["a0", "--out", &out, "--config", &config, "--rules-only", &rules];
    let sensor = net::Sensor::start(&[&own[..], &["--update-after", "3s"]].concat());
    let mut sessions: Vec<(craft::Connection, Option<Instant>, Option<Instant>)> = (1..=8)
        .map(|n| craft::Connection::new(&format!("10.0.0.{n}:50000"), "203.0.113.9:4001"))
        .map(|session| (session, None, None))
        .collect();
    let began = Instant::now();
    while siem.count() < sessions.len() && began.elapsed() < LASTS + WITHIN + WITHIN {
        for (at, (session, begun, complete)) in sessions.iter_mut().enumerate() {
            // Each begins at another part of a second.
            if began.elapsed() < Duration::from_millis(130 * at as u64) {
                continue;
            }
            if begun.is_none() {
                session.open();
            }
            session.up(craft::ACK, b"more");
            session.down(craft::ACK, b"and more");
            let frames: Vec<_> = session.capture.frames.drain(..).map(|(_, of)| of).collect();
            net.send("b0", &frames);
            let now = Instant::now();
            let begun = *begun.get_or_insert(now);
            if now - begun >= LASTS && complete.is_none() {
                *complete = Some(now);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(sensor.end().0, Some(0));
    let got = siem.stop();
    let delay = |(n, (_, _, complete)): (usize, &(_, _, Option<Instant>))| {
        let from = format!("10.0.0.{}", n + 1);
        let of = got.iter().find(|one| one.body["source"]["ip"] == *from).expect("its alert");
        of.at.saturating_duration_since(complete.expect("it lasted"))
    };
    let mut delays: Vec<Duration> = sessions.iter().enumerate().map(delay).collect();
    delays.sort();
    println!("from packet to receiver: {delays:?}");
    assert!(delays.iter().all(|delay| *delay < WITHIN), "{delays:?}");
}

#[test]
fn each_configuration_of_a_receiver_says_whether_it_was_tried() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/receivers");
    let siem = include_str!("../docs/siem.md");
    let mut files = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let head = text.lines().take(3).collect::<Vec<_>>().join("\n");
        let tried = head.contains("Tried with ");
        assert!(tried != head.contains("Untested."), "{name}: {head}");
        let row = siem.lines().find(|line| line.contains(&format!("`deploy/receivers/{name}`")));
        let row = row.unwrap_or_else(|| panic!("docs/siem.md lacks {name}"));
        assert_eq!(row.ends_with("| tried |"), tried, "{row}");
        if name.ends_with(".json") {
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
        files += 1;
    }
    assert!(files >= 9, "{files}");
}
