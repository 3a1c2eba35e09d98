//! Syslog servers: one of ours that fails as it is told, and rsyslog.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// When it was whole.
    pub at: Instant,
    pub header: String,
    pub body: Value,
}

impl Message {
    pub fn id(&self) -> String {
        self.body["event"]["id"].as_str().unwrap().to_owned()
    }
}

#[derive(Default)]
struct Shared {
    got: Mutex<Vec<Message>>,
    ended: AtomicBool,
    asleep: AtomicBool,
    /// Messages after which the connection breaks, once.
    breaks: AtomicUsize,
}

/// A server for messages over TCP with counted octets (RFC 6587).
pub struct Receiver {
    port: u16,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Receiver {
    /// A port that nobody listens at.
    pub fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    pub fn start() -> Receiver {
        Receiver::start_at(0)
    }

    pub fn start_at(port: u16) -> Receiver {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let shared: Arc<Shared> = Arc::default();
        let far = Arc::clone(&shared);
        let thread = thread::spawn(move || serve(&listener, &far));
        Receiver { port, shared, thread }
    }

    /// Its table in a configuration, with more keys.
    pub fn sink(&self, name: &str, more: &str) -> String {
        let url = format!("tcp://127.0.0.1:{}", self.port);
        format!("[[sink]]\nname = \"{name}\"\ntype = \"syslog\"\nurl = \"{url}\"\n{more}")
    }

    /// Accepts connections, or does not.
    pub fn sleep(&self, asleep: bool) {
        self.shared.asleep.store(asleep, Ordering::SeqCst);
    }

    /// Breaks a connection once, after so many messages of it.
    pub fn break_after(&self, messages: usize) {
        self.shared.breaks.store(messages, Ordering::SeqCst);
    }

    /// Messages so far.
    pub fn count(&self) -> usize {
        self.shared.got.lock().unwrap().len()
    }

    /// All messages.
    pub fn stop(self) -> Vec<Message> {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        self.shared.got.lock().unwrap().clone()
    }
}

fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut connections = Vec::new();
    while !shared.ended.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(2));
        if shared.asleep.load(Ordering::SeqCst) {
            continue;
        }
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            let shared = Arc::clone(shared);
            connections.push(thread::spawn(move || read(stream, &shared)));
        }
    }
    connections.into_iter().for_each(|one| one.join().unwrap());
}

fn read(stream: TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    let mut count = 0;
    loop {
        let mut length = Vec::new();
        // A sender may be killed at any place.
        if reader.read_until(b' ', &mut length).is_err() || length.pop() != Some(b' ') {
            return;
        }
        let length: usize = std::str::from_utf8(&length).unwrap().parse().unwrap();
        let mut message = vec![0; length];
        if reader.read_exact(&mut message).is_err() {
            return;
        }
        let message = String::from_utf8(message).unwrap();
        // Six fields of the header and the structured data.
        let at = message.match_indices(' ').nth(6).unwrap().0;
        let body = serde_json::from_str(&message[at + 1..]).unwrap();
        shared.got.lock().unwrap().push(Message {
            at: Instant::now(),
            header: message[..=at].to_owned(),
            body,
        });
        count += 1;
        let breaks = shared.breaks.load(Ordering::SeqCst);
        if breaks > 0 && count >= breaks {
            shared.breaks.store(0, Ordering::SeqCst);
            return;
        }
    }
}

/// The real one, with a certificate of its own.
pub struct Rsyslog {
    process: Child,
    dir: tempfile::TempDir,
    port: u16,
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn run(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    let command = command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Rsyslog {
    pub fn start() -> Option<Rsyslog> {
        if !run("rsyslogd", &["-v"]) || !run("openssl", &["version"]) {
            println!("skipped: rsyslogd or openssl is not installed");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let made = run(
            "openssl",
            &[
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-keyout",
                &at("key.pem"),
                "-out",
                &at("cert.pem"),
            ],
        );
        assert!(made, "openssl makes a certificate");
        let port = Receiver::free_port();
        let config = format!(
            "global(workDirectory=\"{dir}\" maxMessageSize=\"256k\"\n\
             defaultNetstreamDriver=\"gtls\" defaultNetstreamDriverCAFile=\"{cert}\"\n\
             defaultNetstreamDriverCertFile=\"{cert}\" defaultNetstreamDriverKeyFile=\"{key}\")\n\
             module(load=\"imtcp\" streamDriver.name=\"gtls\" streamDriver.mode=\"1\"\n\
             streamDriver.authMode=\"anon\")\n\
             input(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")\n\
             template(name=\"raw\" type=\"string\" string=\"%msg%\\n\")\n\
             action(type=\"omfile\" file=\"{lines}\" template=\"raw\" flushOnTXEnd=\"on\")\n",
            dir = dir.path().display(),
            cert = at("cert.pem"),
            key = at("key.pem"),
            lines = at("lines"),
        );
        fs::write(dir.path().join("rsyslog.conf"), config).unwrap();
        let process = Command::new("rsyslogd")
            .args(["-n", "-f", &at("rsyslog.conf"), "-i", &at("pid")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Rsyslog { process, dir, port };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > until {
                println!("skipped: rsyslogd has no TLS (rsyslog-gnutls)");
                return None;
            }
            thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    pub fn sink(&self, more: &str) -> String {
        let cert = self.dir.path().join("cert.pem").display().to_string();
        format!(
            "[[sink]]\nname = \"rsyslog\"\ntype = \"syslog\"\nurl = \"tls://localhost:{}\"\n\
             {more}ca = \"{cert}\"\n",
            self.port
        )
    }

    /// The ids of all lines that it wrote.
    pub fn ids(&self) -> Vec<String> {
        written(&self.dir.path().join("lines"))
    }
}

/// The ids of all lines that a server wrote; waits until there are no more.
pub fn written(path: &Path) -> Vec<String> {
    let size = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.len());
    let mut before = u64::MAX;
    while size(path) != before {
        before = size(path);
        thread::sleep(Duration::from_millis(500));
    }
    let text = fs::read_to_string(path).unwrap();
    let id = |line: &str| {
        let value: Value = serde_json::from_str(line.trim()).unwrap();
        value["event"]["id"].as_str().unwrap().to_owned()
    };
    text.lines().map(id).collect()
}

/// syslog-ng with the configuration that is shipped.
pub struct SyslogNg {
    process: Child,
    dir: tempfile::TempDir,
    port: u16,
}

impl Drop for SyslogNg {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl SyslogNg {
    pub fn start() -> Option<SyslogNg> {
        if !run("syslog-ng", &["--version"]) {
            println!("skipped: syslog-ng is not installed");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let port = Receiver::free_port();
        let shipped = include_str!("../../deploy/receivers/syslog-ng.conf");
        let config = shipped
            .replace("0.0.0.0", "127.0.0.1")
            .replace("port(601)", &format!("port({port})"))
            .replace("/var/log/longhaul.ndjson", &at("lines"));
        assert!(config.contains(&port.to_string()) && config.contains(&at("lines")), "{config}");
        fs::write(at("c.conf"), config).unwrap();
        let own = ["pid", "control", "persist"].map(at);
        let process = Command::new("syslog-ng")
            .args(["-F", "--no-caps", "-f", &at("c.conf"), "-p", &own[0], "-c", &own[1]])
            .args(["-R", &own[2]])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = SyslogNg { process, dir, port };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "syslog-ng listens");
            thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    pub fn sink(&self, more: &str) -> String {
        let url = format!("tcp://127.0.0.1:{}", self.port);
        format!("[[sink]]\nname = \"ng\"\ntype = \"syslog\"\nurl = \"{url}\"\n{more}")
    }

    /// The ids of all lines that it wrote.
    pub fn ids(&self) -> Vec<String> {
        written(&self.dir.path().join("lines"))
    }
}
