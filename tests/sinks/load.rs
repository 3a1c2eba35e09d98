//! A live sensor under load whose receiver sleeps, whose sender is killed and whose spool's disk is
//! full: events are received, or counted as lost.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::craft;
use crate::net::{self, Net, Sensor, wait_for};
use crate::run::{Site, ids_of, longhaul};
use crate::syslog::Receiver;
use crate::{assert_all, counted};

/// Sessions of one datagram each, with ports of their own.
fn sessions(from: u16, count: u16) -> Vec<Vec<u8>> {
    let server = "203.0.113.9:4001".parse().unwrap();
    let one = |n: u16| {
        let client = format!("10.0.0.1:{}", 2_000 + n).parse().unwrap();
        craft::udp(client, server, b"hello")
    };
    (from..from + count).map(one).collect()
}

/// A site whose sessions are few at once, so that lines come while the run lasts.
fn configure(site: &Site, sink: &str) {
    site.config(&format!("{sink}[caps]\nsessions = 16\n"));
    fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
}

fn lost(run: &Path) -> u64 {
    net::json(run)["loss"]["spools"].as_u64().unwrap()
}

fn kill(pid: &str) {
    assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
}

#[test]
fn under_load_what_is_not_received_is_counted_as_lost() {
    let Some(net) = Net::new(1) else { return };
    let (server, site) = (Receiver::start(), Site::new());
    let disk = site.path("disk");
    fs::create_dir(&disk).unwrap();
    if !net::own_mounts() || !net::mount_tmpfs(&disk, "size=1m,mode=777") {
        println!("skipped: no file system can be mounted here (needs root)");
        return;
    }
    let spool = site.text("disk/spool");
    let more = format!("kinds = [\"session\"]\nspool = \"{spool}\"\nspool_max = \"8MiB\"\n");
    configure(&site, &server.sink("siem", &more));
    let (out, config) = (site.text("out"), site.text("c.toml"));
    let args = ["a0", "--out", &out, "--config", &config, "--workers", "1"];
    server.sleep(true);
    let mut sensor = Sensor::start(&args);
    let sender = sensor.children();
    // Four times as much as the disk takes.
    net.send_paced("b0", &sessions(0, 4_000), 4);
    sensor.hears("No space left");
    server.sleep(false);
    wait_for("the first events", || server.count() > 100);
    sender.iter().for_each(|pid| kill(pid));
    net.send_paced("b0", &sessions(4_000, 200), 4);
    let (code, said) = sensor.end();
    assert!(said.contains("sinks flush"), "{code:?} {said}");
    let (code, said) = longhaul(&["sinks", "flush", "--config", &config]);
    assert_eq!(code, Some(0), "{said}");
    let ids: Vec<String> = server.stop().iter().map(crate::syslog::Message::id).collect();
    let (got, want) = (counted(ids), ids_of(&site.path("out/sessions.ndjson")));
    let missing = want.iter().filter(|id| !got.contains_key(*id)).count() as u64;
    assert_eq!(want.len(), 4_200, "the run itself lost nothing");
    assert_eq!(lost(&site.path("out/run.json")), missing, "of {} received", got.len());
    assert!(missing > 1_000 && got.len() > 500, "{missing} lost, {} received", got.len());
}

#[test]
fn a_sensor_that_is_killed_leaves_what_it_has_spooled() {
    let Some(net) = Net::new(1) else { return };
    let (server, site) = (Receiver::start(), Site::new());
    let spool = site.text("spool");
    let more = format!("kinds = [\"session\"]\nspool = \"{spool}\"\n");
    configure(&site, &server.sink("siem", &more));
    let (out, config) = (site.text("out"), site.text("c.toml"));
    let args = ["a0", "--out", &out, "--config", &config, "--workers", "1"];
    let sensor = Sensor::start(&args);
    net.send_paced("b0", &sessions(0, 1_000), 4);
    wait_for("the first events", || server.count() > 100);
    let sender = sensor.children();
    sensor.signal("KILL");
    drop(sensor);
    // The sender sees that, sends what there is, and ends by itself.
    let running = |pid: &String| Path::new("/proc").join(pid).join("exe").exists();
    wait_for("the sender's end", || !sender.iter().any(running));
    let before = server.count();
    let (code, said) = longhaul(&["sinks", "flush", "--config", &config]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("0 waiting"), "{said}");
    let ids: Vec<String> = server.stop().iter().map(crate::syslog::Message::id).collect();
    assert_eq!(before, ids.len(), "nothing was left for the flush");
    assert_all(&ids, ids.clone());
    assert!(counted(ids).values().all(|times| *times == 1), "the receiver never failed");
}
