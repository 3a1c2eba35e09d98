//! Floods of cheap things that are to hide dear ones, of any size.
//!
//! Each function makes the capture, runs the program and says what went wrong, if anything did.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

use serde_json::Value;

use crate::craft::*;

/// How an attack is made, and against what caps.
pub struct Size<'c> {
    /// How many of the cheap things.
    pub flood: u32,
    /// Lines of the table `caps` of the configuration; none for the caps by default.
    pub caps: &'c str,
    /// Numbers of workers, all of which must give the same.
    pub workers: &'c [&'c str],
}

const RESOLVER: &str = "10.0.0.53:53";
const RELAY_NAME: &str = "relay-1.net.anydesk.com";
const RELAY: &str = "195.201.45.10";
const VICTIM: &str = "10.20.0.5";

/// The run at each number of workers; the first, where all are the same.
fn run(capture: Capture, size: &Size<'_>) -> Result<Said, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let config = folder.path().join("longhaul.toml");
    let text =
        if size.caps.is_empty() { String::new() } else { format!("[caps]\n{}\n", size.caps) };
    std::fs::write(&config, text).map_err(|e| e.to_string())?;
    let bytes = capture.sorted().pcap();
    let mut first: Option<Said> = None;
    for workers in size.workers {
        let config = config.to_string_lossy();
        let said = read(&bytes, &["--config", &config, "--workers", workers, "--no-sessions"]);
        if said.code != Some(0) {
            return Err(format!("exit code {:?}: {}", said.code, said.stderr));
        }
        if first.as_ref().is_some_and(|first| told(first) != told(&said)) {
            return Err(format!("{workers} workers say something else"));
        }
        first.get_or_insert(said);
    }
    first.ok_or_else(|| "nothing was run".to_owned())
}

/// What must be the same at any number of workers; the input's path differs.
fn told(said: &Said) -> Vec<String> {
    let judged = said.alerts.iter().chain(&said.incidents);
    let judged = judged.map(|line| format!("{} {}", at(line, "event.id"), at(line, "message")));
    let loss = format!("{}", said.run["loss"]);
    judged.chain(said.endpoints.iter().map(Value::to_string)).chain([loss]).collect()
}

/// Whether what must hold does.
fn holds(is: bool, what: &str, said: &Said) -> Result<(), String> {
    match is {
        true => Ok(()),
        false => {
            let mut rules = said.rules();
            rules.sort();
            rules.dedup();
            Err(format!("{what}; rules {rules:?}, loss {}", said.run["loss"]))
        }
    }
}

fn lost(said: &Said, place: &str) -> u64 {
    said.run["loss"][place].as_u64().unwrap_or(0)
}

/// A TLS session with a server of that name, as long as that.
fn talk(client: &str, server: &str, name: &str, (at, seconds): (u64, u64)) -> Capture {
    let mut talk = Connection::new(client, server);
    talk.now = START + at * SECOND;
    talk.open().ask(&client_hello(name)).answer(&server_hello());
    for _ in 0..5 {
        talk.wait(seconds * SECOND / 5).ask(&tls_data(64)).answer(&tls_data(64));
    }
    talk.close()
}

/// A question to the resolver and its answer.
fn look_up(client: SocketAddr, name: &str, addresses: &[IpAddr], at: u64) -> Capture {
    let (resolver, id) = (RESOLVER.parse().unwrap(), client.port());
    let kind = 1;
    let mut capture = Capture::default();
    capture.add(at, udp(client, resolver, &dns_query(id, name, kind)));
    capture.add(at + MS, udp(resolver, client, &dns_answer(id, name, addresses)));
    capture
}

/// So many hosts that each look up a name of a remote-control tool: a low alert of a subject each.
fn look_ups(count: u32, at: u64) -> Capture {
    let mut all = Capture::default();
    let relay: IpAddr = RELAY.parse().unwrap();
    for n in 0..count {
        let host = Ipv4Addr::from(0x0a40_0000 + n);
        let when = START + at * SECOND + u64::from(n) * 10 * SECOND / u64::from(count);
        all.join(look_up(SocketAddr::new(host.into(), 5_353 + 1), RELAY_NAME, &[relay], when));
    }
    all
}

/// AnyDesk for a minute, then Astrill for three: two families on one host.
fn farm(host: &str, at: u64) -> Capture {
    let mut all = talk(&format!("{host}:50000"), &format!("{RELAY}:443"), RELAY_NAME, (at, 60));
    let astrill = (at + 900, 180);
    all.join(talk(&format!("{host}:50001"), "104.140.119.7:443", "client.astrill.com", astrill));
    all
}

fn has_incident(said: &Said, subject: &str) -> bool {
    said.incidents.iter().any(|incident| at(incident, "longhaul.subject.id") == subject)
}

fn has_alert(said: &Said, subject: &str, rule: &str, level: &str) -> bool {
    said.alerts.iter().any(|alert| {
        at(alert, "longhaul.subject.id") == subject
            && at(alert, "rule.id") == rule
            && at(alert, "log.level") == level
    })
}

/// Cheap subjects, before, between and behind what makes an incident.
pub fn subjects(size: &Size<'_>) -> Result<(), String> {
    let mut capture = farm(VICTIM, 10);
    capture.join(look_ups(size.flood, 200));
    capture.join(farm("10.20.0.6", 2_000));
    let said = run(capture, size)?;
    holds(has_incident(&said, VICTIM), "the incident around the flood is gone", &said)?;
    holds(has_incident(&said, "10.20.0.6"), "the incident behind the flood is gone", &said)?;
    holds(lost(&said, "subjects") > 0, "no subject had to go: the flood was too small", &said)
}

/// Low alerts, more than there is room for.
pub fn alerts(size: &Size<'_>) -> Result<(), String> {
    let mut capture = farm(VICTIM, 10);
    capture.join(look_ups(size.flood, 200));
    let said = run(capture, size)?;
    holds(has_alert(&said, VICTIM, "D18", "high"), "the high alert is gone", &said)?;
    holds(has_alert(&said, VICTIM, "D08", "medium"), "the medium alert is gone", &said)?;
    let raised = said.run["counters"]["detect"]["alerts"].as_u64().unwrap_or(0);
    let dropped = said.run["counters"]["detect"]["alerts_dropped"].as_u64().unwrap_or(0);
    holds(dropped > 0, "no alert had to go: the flood was too small", &said)?;
    holds(
        raised == dropped + said.alerts.len() as u64,
        "alerts are neither kept nor counted",
        &said,
    )
}

/// SYNs from as many false addresses as there is room for endpoints, and more.
pub fn endpoints(size: &Size<'_>) -> Result<(), String> {
    let server: SocketAddr = "10.0.0.80:443".parse().unwrap();
    let mut capture = Capture::default();
    for n in 0..size.flood {
        let from = SocketAddr::new(Ipv4Addr::from(0x0b00_0000 + n).into(), 40_000);
        let syn = Tcp { seq: n, ack: 0, flags: SYN, ttl: 50, payload: b"" };
        let when = START + u64::from(n) * 250 * SECOND / u64::from(size.flood);
        capture.add(when, tcp(from, server, syn));
    }
    // One whose packets are cut for a tunnel comes in before, another behind the flood.
    for (client, seconds) in [("203.0.113.77:50000", 1), ("203.0.113.78:50000", 600)] {
        let mut talk = Connection::new(client, "10.0.0.80:443");
        talk.now = START + seconds * SECOND;
        // A tunnel that ends nearby is no sign.
        talk.near = 80 * MS;
        talk.open().ask(b"0123456789").answer(b"0123456789").wait(40 * SECOND).ask(b"0123456789");
        let mut talk = talk.close();
        if let Some((_, syn)) = talk.frames.first_mut() {
            let mss = syn.len() - 2;
            syn[mss..].copy_from_slice(&1_380u16.to_be_bytes());
        }
        capture.join(talk);
    }
    let said = run(capture, size)?;
    for address in ["203.0.113.77", "203.0.113.78"] {
        let alert = said.alerts.iter().any(|alert| {
            at(alert, "rule.id") == "D06" && at(alert, "message").to_string().contains(address)
        });
        holds(alert, &format!("D06 of {address} is gone"), &said)?;
        let row = said.endpoints.iter().any(|row| at(row, "endpoint.ip") == address);
        holds(row, &format!("the endpoint {address} is gone"), &said)?;
    }
    holds(lost(&said, "endpoints") > 0, "no endpoint had to go: the flood was too small", &said)?;
    let sessions = |row: &Value| at(row, "longhaul.sessions").as_u64().unwrap_or(0);
    let kept: u64 = said.endpoints.iter().map(sessions).sum();
    let ends = 2 * said.run["counters"]["session"]["sessions"].as_u64().unwrap_or(0);
    holds(kept + lost(&said, "endpoints") == ends, "ends are neither kept nor counted", &said)
}

/// One host's look-ups, each answered with sixteen addresses, flush what another was told.
pub fn names(size: &Size<'_>) -> Result<(), String> {
    let relay: IpAddr = RELAY.parse().unwrap();
    let victim: SocketAddr = format!("{VICTIM}:4444").parse().unwrap();
    let mut capture = look_up(victim, RELAY_NAME, &[relay], START);
    for n in 0..size.flood / 16 {
        let addresses: Vec<IpAddr> =
            (0..16).map(|at| Ipv4Addr::from(0x3000_0000 + n * 16 + at).into()).collect();
        let host = SocketAddr::new(Ipv4Addr::new(10, 20, 0, 9).into(), 1_024 + (n % 60_000) as u16);
        let when = START + SECOND + u64::from(n) * 20 * SECOND / u64::from(size.flood / 16);
        capture.join(look_up(host, &format!("n{n}.example.net"), &addresses, when));
    }
    let mut talk = Connection::new(&format!("{VICTIM}:50000"), &format!("{RELAY}:443"));
    talk.now = START + 30 * SECOND;
    // It says no name itself.
    talk.open().ask(b"SSH-2.0-x\r\n").answer(b"SSH-2.0-y\r\n");
    talk.wait(60 * SECOND).ask(b"0123456789");
    capture.join(talk.close());
    let said = run(capture, size)?;
    holds(has_alert(&said, VICTIM, "D08", "medium"), "the name was flushed", &said)?;
    holds(lost(&said, "bindings") > 0, "no name had to go: the flood was too small", &said)
}
