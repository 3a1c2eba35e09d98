//! A NATS server with JetStream, and the little of its protocol that looking into it takes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::net::wait_for;
use crate::syslog::Receiver;

pub struct Nats {
    process: Child,
    dir: tempfile::TempDir,
    pub port: u16,
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Nats {
    /// Starts it; `None` where it is not installed.
    pub fn start() -> Option<Nats> {
        let dir = tempfile::tempdir().unwrap();
        let port = Receiver::free_port();
        let Some(process) = Nats::run(&dir, port) else {
            println!("skipped: nats-server is not installed");
            return None;
        };
        let nats = Nats { process, dir, port };
        nats.wait();
        Some(nats)
    }

    fn run(dir: &tempfile::TempDir, port: u16) -> Option<Child> {
        let store = dir.path().display().to_string();
        Command::new("nats-server")
            .args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd", &store])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()
    }

    fn wait(&self) {
        wait_for("nats-server", || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok_and(|stream| {
                let mut line = String::new();
                BufReader::new(stream).read_line(&mut line).is_ok() && line.starts_with("INFO")
            })
        });
    }

    /// Kills it without warning, and starts it again over the same store.
    pub fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = Nats::run(&self.dir, self.port).unwrap();
        self.wait();
    }

    pub fn sink(&self, more: &str) -> String {
        let port = self.port;
        format!(
            "[[sink]]\nname = \"nats\"\ntype = \"nats\"\nurl = \"nats://127.0.0.1:{port}\"\n{more}"
        )
    }

    /// A request to JetStream's API, and its answer.
    fn ask(&self, subject: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let length = body.len();
        let said = format!(
            "CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\n\
             PUB $JS.API.{subject} answer {length}\r\n{body}\r\n"
        );
        stream.write_all(said.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the server answers");
            if let Some(head) = line.strip_prefix("MSG answer 1 ") {
                let mut body = vec![0; head.trim().parse().unwrap()];
                lines.read_exact(&mut body).unwrap();
                return serde_json::from_slice(&body).unwrap();
            }
        }
    }

    /// Creates the stream that keeps everything of so many bytes at most; -1 for all.
    pub fn create_stream(&self, bytes: i32) {
        let made = self.ask(
            "STREAM.CREATE.LONGHAUL",
            &format!(
                "{{\"name\":\"LONGHAUL\",\"subjects\":[\"longhaul.>\"],\"storage\":\"file\",\
                 \"max_msg_size\":{bytes}}}"
            ),
        );
        assert!(made["error"].is_null(), "{made}");
    }

    /// Subject and event of each message of the stream, in order.
    pub fn stored(&self) -> Vec<(String, Value)> {
        let info = self.ask("STREAM.INFO.LONGHAUL", "");
        let last = info["state"]["messages"].as_u64().unwrap();
        let one = |seq: u64| {
            let got = self.ask("STREAM.MSG.GET.LONGHAUL", &format!("{{\"seq\":{seq}}}"));
            let (message, data) = (&got["message"], got["message"]["data"].as_str().unwrap());
            let event = serde_json::from_slice(&from_base64(data)).unwrap();
            (message["subject"].as_str().unwrap().to_owned(), event)
        };
        (1..=last).map(one).collect()
    }
}

/// RFC 4648 section 4.
fn from_base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|c| *c != b'=').map(digit).collect();
    let mut bytes = Vec::new();
    for four in digits.chunks(4) {
        let bits = four.iter().fold(0u32, |bits, d| bits << 6 | u32::from(*d));
        let bits = bits << (6 * (4 - four.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}
