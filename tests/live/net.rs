//! A network of one's own: interfaces that nobody else sees, frames sent into them, a sensor.
//!
//! Owns: the network namespace of a test's thread, the sensor's process. In: frames. Out: what the
//! sensor said and wrote. Never: touches an interface of the machine.

use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use std::time::Instant;

use longhaul::capture::BlockPool;
use longhaul::capture::MergedSource;
use longhaul::capture::ReadOptions;
use longhaul::capture::block::BLOCK_BYTES;
use longhaul::capture::expand_inputs;
use pcap::Active;
use pcap::Capture;
use pcap::Precision;
use serde_json::Value;

/// Nothing here takes longer, even on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// The thread's own network; it goes away with the thread.
#[derive(Clone, Copy)]
pub struct Net(());

impl Net {
    /// A new one with `pairs` pairs of interfaces: `a0` is wired to `b0`, and so on. `None`, and a
    /// word on the console, where this user may not make one.
    pub fn new(pairs: usize) -> Option<Net> {
        if !unshare() || !run("ip", &["link", "set", "lo", "up"]) {
            println!("skipped: no network namespace can be made here (needs root and ip)");
            return None;
        }
        // Nothing but the test's own frames: no neighbour discovery, no listener reports.
        for scope in ["all", "default"] {
            let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1");
        }
        let net = Net(());
        for pair in 0..pairs {
            net.wire(pair);
        }
        Some(net)
    }

    /// Makes a pair.
    pub fn wire(&self, pair: usize) {
        let (a, b) = (format!("a{pair}"), format!("b{pair}"));
        assert!(run("ip", &["link", "add", &a, "type", "veth", "peer", "name", &b]));
        for end in [&a, &b] {
            run("ip", &["link", "set", end, "addrgenmode", "none"]);
            assert!(run("ip", &["link", "set", end, "mtu", "65000", "up"]));
        }
        let carrier = || std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
        assert!(carrier().contains(&b));
    }

    /// Changes an interface: `set a0 down`, `del a0`.
    pub fn link(&self, words: &[&str]) {
        assert!(run("ip", &[&["link"], words].concat()), "ip link {words:?}");
    }

    /// Sends frames out of an interface, in order, no more than `per_ms` in a millisecond.
    pub fn send_paced(&self, interface: &str, frames: &[Vec<u8>], per_ms: usize) {
        let mut capture = open(interface);
        for burst in frames.chunks(per_ms) {
            let next = Instant::now() + Duration::from_millis(1);
            for frame in burst {
                capture.sendpacket(&frame[..]).unwrap();
            }
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    /// Sends frames out of an interface, in order.
    pub fn send(&self, interface: &str, frames: &[Vec<u8>]) {
        let mut capture = open(interface);
        for frame in frames {
            capture.sendpacket(&frame[..]).unwrap();
        }
    }
}

/// An interface of this thread's network, to send into or to record.
pub fn open(interface: &str) -> Capture<Active> {
    let inactive = Capture::from_device(interface).unwrap().promisc(true).timeout(20);
    let inactive = inactive.buffer_size(32 << 20).precision(Precision::Nano);
    inactive.open().unwrap().setnonblock().unwrap()
}

#[allow(unsafe_code, reason = "the standard library knows no namespaces")]
fn unshare() -> bool {
    // SAFETY: takes no pointer; gives this thread, and what it starts, an empty network.
    unsafe { libc::unshare(libc::CLONE_NEWNET) == 0 }
}

/// From here on, what this thread and its children mount is seen by them alone.
#[allow(unsafe_code, reason = "the standard library knows no namespaces")]
pub fn own_mounts() -> bool {
    // SAFETY: takes no pointer; gives this thread a copy of the table of mounts, and directories
    // of its own with it.
    let apart = unsafe { libc::unshare(libc::CLONE_FS | libc::CLONE_NEWNS) == 0 };
    apart && run("mount", &["--make-rprivate", "/"])
}

/// Mounts a file system in memory.
pub fn mount_tmpfs(dir: &Path, options: &str) -> bool {
    run("mount", &["-t", "tmpfs", "-o", options, "tmpfs", &dir.display().to_string()])
}

/// Changes something of this thread's network: `ip addr add ...`. Whether that was possible.
pub fn ip(args: &[&str]) -> bool {
    run("ip", args)
}

fn run(program: &str, args: &[&str]) -> bool {
    let status = Command::new(program).args(args).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The frames of a capture file.
pub fn frames(path: &Path) -> Vec<Vec<u8>> {
    let specs = expand_inputs(&[path.to_path_buf()]).unwrap();
    let pool = BlockPool::new(BLOCK_BYTES, 4);
    let mut source = MergedSource::open(specs, &pool, ReadOptions::default());
    let mut frames = Vec::new();
    while let Some((file, meta)) = source.next() {
        frames.push(meta.frame(source.block(file).unwrap()).bytes.to_vec());
    }
    frames
}

/// A running sensor.
pub struct Sensor {
    process: Child,
    said: Receiver<String>,
    heard: Vec<String>,
}

impl Sensor {
    /// Starts `longhaul live` and waits until it listens.
    pub fn start(args: &[&str]) -> Sensor {
        Sensor::start_by(Command::new(env!("CARGO_BIN_EXE_longhaul")), args)
    }

    /// The same by a command that ends in the program's name.
    pub fn start_by(mut command: Command, args: &[&str]) -> Sensor {
        let mut process = command
            .arg("live")
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (tell, said) = mpsc::channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|l| tell.send(l))
        });
        let mut sensor = Sensor { process, said, heard: Vec::new() };
        sensor.hears("listening on");
        sensor
    }

    /// Waits until the sensor says something with these words.
    pub fn hears(&mut self, words: &str) -> String {
        let until = Instant::now() + PATIENCE;
        while let Ok(line) = self.said.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            self.heard.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
        panic!("the sensor did not say `{words}` but {:#?}", self.heard)
    }

    /// What the sensor has said with these words before something else was waited for.
    pub fn said(&self, words: &str) -> Option<&str> {
        self.heard.iter().map(String::as_str).find(|line| line.contains(words))
    }

    /// The sensor's process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Processes that the sensor has started.
    pub fn children(&self) -> Vec<String> {
        let id = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        children.split_whitespace().map(str::to_owned).collect()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        assert!(run("kill", &[&format!("-{name}"), &self.process.id().to_string()]));
    }

    /// The lines of the sensor's standard output.
    pub fn out(&mut self) -> Receiver<String> {
        let stdout = BufReader::new(self.process.stdout.take().unwrap());
        let (tell, shown) = mpsc::channel();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        shown
    }

    /// Ends the sensor as the system would; its exit code, and all it said.
    pub fn end(mut self) -> (Option<i32>, String) {
        self.signal("TERM");
        let code = self.process.wait().unwrap().code();
        self.heard.extend(self.said.iter());
        (code, self.heard.join("\n"))
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A file of JSON lines, or nothing where it is not there yet.
pub fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A JSON file.
pub fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Waits until something holds.
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
