//! Text for people: as wide as their terminal, coloured as requested, and never able to control the
//! terminal.
//!
//! Owns: file names, list entries and packet text with every kind of hostile character.
//! In: the program's own output. Out: lines that are too long, characters that were not escaped.
//! Never: a terminal of its own, except one made by `script`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test that cannot go on fails"
)]

mod common;
mod craft;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use craft::Connection;
use longhaul::model::escape::is_unsafe;

/// Escape sequences of 7 and 8 bits, a carriage return, and direction marks.
const HOSTILE: &str = "a\u{1b}[2Jb\u{9b}31mc\u{7f}\rd\u{202e}e\u{2066}f\u{200f}g\u{61c}h\u{200b}i";

fn longhaul(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
    command.env_remove("NO_COLOR").env_remove("COLUMNS").args(args);
    command.envs(env.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// No forbidden character, except line ends.
#[track_caller]
fn assert_safe(what: &str, bytes: &[u8]) {
    let text = text(bytes);
    let found: Vec<char> = text.chars().filter(|c| *c != '\n' && is_unsafe(*c)).collect();
    assert!(found.is_empty(), "{what}: {found:?} in {text:?}");
}

#[test]
fn lines_are_no_longer_than_the_terminal_is_wide() {
    let demo = common::demo().display().to_string();
    let read = ["read", &demo, "--place", "IAD", "--home", "10.20.0.0/16"];
    for width in [40usize, 60, 80, 132] {
        for args in [&["demo"][..], &read] {
            let said = longhaul(args, &[("COLUMNS", &width.to_string())]);
            let said = text(&said.stdout);
            let long: Vec<&str> = said.lines().filter(|l| l.chars().count() > width).collect();
            assert!(long.is_empty(), "{args:?} at {width}: {long:#?}");
            assert!(said.lines().count() > 20, "{said}");
        }
    }
}

#[test]
fn colours_follow_the_option() {
    let demo = common::demo().display().to_string();
    let coloured = |args: &[&str], env: &[(&str, &str)]| longhaul(args, env).stdout.contains(&0x1b);
    assert!(!coloured(&["read", &demo], &[]), "a pipe is no terminal");
    assert!(coloured(&["--color", "always", "read", &demo], &[("NO_COLOR", "1")]));
    assert!(coloured(&["read", &demo, "--color=always"], &[("TERM", "dumb")]));
    assert!(!coloured(&["read", &demo, "--color=never"], &[]));
    assert_eq!(longhaul(&["read", &demo, "--color=maybe"], &[]).status.code(), Some(2));
}

#[test]
fn a_terminal_is_asked_for_its_width_and_its_colours() {
    let program = env!("CARGO_BIN_EXE_longhaul");
    let on = |before: &str, term: &str| {
        let line = format!("{before} {program} demo");
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).env("TERM", term);
        script.env_remove("NO_COLOR").env_remove("COLUMNS").output()
    };
    let Ok(shown) = on("stty rows 24 cols 72;", "xterm") else {
        return println!("skipped: script is not installed");
    };
    let shown = text(&shown.stdout);
    assert!(shown.contains('\u{1b}'), "no colour on a terminal: {shown}");
    let plain = shown.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "").replace('\r', "");
    let widest = plain.lines().map(|line| line.chars().count()).max().unwrap();
    assert!((60..=72).contains(&widest), "{widest} columns of 72");
    let dumb = on("stty rows 24 cols 72;", "dumb").unwrap();
    assert!(!dumb.stdout.contains(&0x1b), "colour on a dumb terminal");
}

/// A capture in which every text is hostile.
fn hostile_capture() -> Vec<u8> {
    let say = |format: &str| format.replace("@@", HOSTILE).replace('\r', "").into_bytes();
    let mut capture = craft::Capture::default();
    let mut web = Connection::new("10.0.0.5:40000", "203.0.113.9:80");
    let question = "GET / HTTP/1.1\r\nHost: @@\r\nUser-Agent: @@\r\n\r\n";
    let question = question.replace("@@", &HOSTILE.replace('\r', ""));
    web.open().ask(question.as_bytes());
    web.answer(b"HTTP/1.1 200 OK\r\nServer: x\xe2\x80\xae\xc2\x9b\r\n\r\n");
    capture.join(web.close());
    let mut ssh = Connection::new("10.0.0.5:40001", "203.0.113.9:22");
    ssh.open().ask(&say("SSH-2.0-@@\n")).answer(b"SSH-2.0-OpenSSH_9.6\r\n");
    capture.join(ssh.close());
    let mut tls = Connection::new("10.0.0.5:40002", "203.0.113.9:443");
    tls.open().ask(&craft::client_hello(HOSTILE)).answer(&craft::server_hello());
    capture.join(tls.close());
    let ends = ("10.0.0.5:5000".parse().unwrap(), "192.0.2.53:53".parse().unwrap());
    let name = "client.astrill.com";
    capture.add(craft::START, craft::udp(ends.0, ends.1, &craft::dns_query(7, name, 1)));
    let answer = craft::dns_answer(7, name, &["203.0.113.9".parse().unwrap()]);
    capture.add(craft::START + craft::MS, craft::udp(ends.1, ends.0, &answer));
    capture.sorted().pcap()
}

#[test]
fn control_characters_of_file_names_and_packets_are_escaped() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(format!("dir {HOSTILE}\nerror: forged"));
    fs::create_dir(&folder).unwrap();
    let capture = folder.join(format!("{HOSTILE}.pcap"));
    fs::write(&capture, hostile_capture()).unwrap();
    let broken = folder.join(format!("broken {HOSTILE}.pcap"));
    fs::write(&broken, [0xd4, 0xc3, 0xb2, 0xa1, 2, 0]).unwrap();
    let (capture, folder) = (capture.to_str().unwrap(), folder.to_str().unwrap());
    for args in
        [&["read", folder][..], &["read", folder, "--json"], &["read", folder, "--sessions", "-"]]
    {
        let said = longhaul(args, &[]);
        assert!(said.status.success(), "{}", text(&said.stderr));
        assert_safe("stdout", &said.stdout);
        assert_safe("stderr", &said.stderr);
        assert!(said.stdout.len() > 200, "{}", text(&said.stdout));
    }
    let out = root.path().join("out");
    let said = longhaul(&["read", folder, "--out", out.to_str().unwrap()], &[]);
    assert_safe("stderr", &said.stderr);
    assert!(text(&said.stderr).contains("\\u{202e}"), "the name is shown: {}", text(&said.stderr));
    for entry in fs::read_dir(&out).unwrap() {
        let path = entry.unwrap().path();
        assert_safe(&path.display().to_string(), &fs::read(&path).unwrap());
    }
    let sessions = craft::values(&out.join("sessions.ndjson"));
    let host = sessions.iter().find_map(|line| line["url"]["domain"].as_str()).unwrap();
    assert!(host.contains('\u{202e}'), "escaped, not lost: {host:?}");
    let alerts = craft::values(&out.join("alerts.ndjson"));
    assert!(alerts.iter().any(|alert| alert["longhaul"]["packets"][0]["file"] == *capture));
}

#[test]
fn errors_escape_the_text_that_they_quote() {
    let root = tempfile::tempdir().unwrap();
    let hostile = root.path().join(format!("{HOSTILE}\nhelp: forged"));
    fs::create_dir(&hostile).unwrap();
    let list = format!("# name: {HOSTILE}\n# kind: {HOSTILE}\n{HOSTILE}\n");
    fs::write(hostile.join("a.txt"), list).unwrap();
    fs::write(hostile.join("a.yml"), format!("title: \"{HOSTILE}\"\ndetection: [\n")).unwrap();
    fs::write(hostile.join("staff.csv"), format!("match,id\n{HOSTILE},{HOSTILE}\n")).unwrap();
    fs::write(hostile.join("c.toml"), format!("{HOSTILE} = 1\n")).unwrap();
    fs::write(hostile.join("d.toml"), "place = \"a\\u001b[2J\\u202e\"\n").unwrap();
    fs::write(hostile.join("a.yaml"), format!("- name: \"{HOSTILE}\"\n")).unwrap();
    fs::write(hostile.join("a.mmdb"), HOSTILE).unwrap();
    let demo = common::demo().display().to_string();
    let path = |name: &str| hostile.join(name).to_str().unwrap().to_owned();
    let dir = hostile.to_str().unwrap().to_owned();
    let missing = path("nothing.pcap");
    let options: [&[&str]; 14] = [
        &["read", &demo, "--lists", &dir],
        &["read", &demo, "--rules", &dir],
        &["read", &demo, "--geo", &dir],
        &["read", &demo, "--signatures", &dir],
        &["read", &demo, "--subjects", &path("staff.csv")],
        &["read", &demo, "--config", &path("c.toml")],
        &["read", &demo, "--config", &path("d.toml")],
        &["read", &demo, "--place", HOSTILE],
        &["read", &demo, "--home", HOSTILE],
        &["read", &demo, "--filter", HOSTILE],
        &["read", &demo, "--out", &path("a.txt")],
        &["read", &missing],
        &["rules", "check", &dir],
        &["read", &demo, HOSTILE, "--no-such-option"],
    ];
    for args in options {
        let said = longhaul(args, &[]);
        assert_eq!(said.status.code(), Some(2), "{args:?}: {}", text(&said.stdout));
        assert_safe(&format!("{args:?}"), &said.stderr);
        let forged = text(&said.stderr).lines().any(|line| line.starts_with("help: forged"));
        assert!(!forged, "{args:?}: {}", text(&said.stderr));
    }
    let hostile_option = format!("--{HOSTILE}");
    let said = longhaul(&["read", &hostile_option], &[]);
    assert_safe("an unknown option", &said.stderr);
    assert!(Path::new(&dir).exists());
}
