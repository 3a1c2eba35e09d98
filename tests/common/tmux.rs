//! A terminal for tests: a tmux server of its own.
//!
//! Owns: the server. In: a command, keys, signals. Out: what is on the screen. Never: a server that
//! outlives the test.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long something is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something is so.
#[track_caller]
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let late = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < late, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A server with one window of 80 columns and 24 rows, in which a shell waits.
pub struct Tmux {
    dir: TempDir,
    term: String,
    is_running: bool,
}

impl Tmux {
    /// None, with a word on the console, if there is no tmux. Programs in it see `TERM`.
    pub fn new(term: &str) -> Option<Tmux> {
        if Command::new("tmux").arg("-V").output().is_err() {
            println!("skipped: tmux is not installed: deploy/install-deps.sh");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        Some(Tmux { dir, term: term.to_owned(), is_running: false })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn tmux(&self, args: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.args(["-u", "-f", "/dev/null", "-S"]).arg(self.file("socket")).args(args);
        command.env("LC_ALL", "C.UTF-8").env_remove("TMUX").env_remove("NO_COLOR");
        command.env("TERM", "xterm-256color").output().unwrap()
    }

    /// Starts a command; a shell stays after it, whose settings of the terminal are kept before and
    /// after.
    pub fn run(&mut self, command: &str) {
        self.run_after("", command);
    }

    /// The same after other commands of the shell.
    pub fn run_after(&mut self, first: &str, command: &str) {
        let script = format!(
            "{first} export TERM={term}; stty -a > {before}; echo a line before\n\
             sh -c 'echo $$ > {pid}; exec env {command}'\n\
             echo ended with $? > {end}; stty -a > {after}\nsleep 60\n",
            term = self.term,
            before = self.file("before").display(),
            pid = self.file("pid").display(),
            end = self.file("end").display(),
            after = self.file("after").display(),
        );
        std::fs::write(self.file("script"), script).unwrap();
        let script = format!("sh {}", self.file("script").display());
        let said = self.tmux(&["new-session", "-d", "-x", "80", "-y", "24", &script]);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        self.is_running = true;
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        String::from_utf8(self.tmux(&["capture-pane", "-p"]).stdout).unwrap()
    }

    /// The same with the codes of colours.
    pub fn codes(&self) -> String {
        String::from_utf8(self.tmux(&["capture-pane", "-p", "-e"]).stdout).unwrap()
    }

    /// The screen, once it has this text.
    #[track_caller]
    pub fn wait(&self, text: &str) -> String {
        self.wait_until(text, |said| said.contains(text))
    }

    /// The screen, once it is so.
    #[track_caller]
    pub fn wait_until(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let late = Instant::now() + PATIENCE;
        loop {
            let said = self.screen();
            if holds(&said) {
                return said;
            }
            assert!(Instant::now() < late, "no {what:?} in:\n{said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn keys(&self, keys: &[&str]) {
        for key in keys {
            self.tmux(&["send-keys", key]);
        }
    }

    pub fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        self.tmux(&["resize-window", "-x", &width, "-y", &height]);
    }

    /// The process of the command.
    pub fn process(&self) -> String {
        std::fs::read_to_string(self.file("pid")).unwrap().trim().to_owned()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.process()).status();
        assert!(sent.unwrap().success());
    }

    /// How the command ended.
    #[track_caller]
    pub fn wait_for_end(&self) -> String {
        let late = Instant::now() + PATIENCE;
        while !self.file("after").exists() {
            assert!(Instant::now() < late, "it goes on:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(50));
        }
        std::fs::read_to_string(self.file("end")).unwrap().trim().to_owned()
    }

    /// The terminal is as it was: its modes, its screen, its cursor.
    #[track_caller]
    pub fn assert_restored(&self) {
        let read = |name: &str| {
            let late = Instant::now() + PATIENCE;
            loop {
                let text = std::fs::read_to_string(self.file(name)).unwrap();
                if !text.is_empty() || Instant::now() > late {
                    return text;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        };
        assert_eq!(read("before"), read("after"));
        let said = self.wait("a line before");
        assert!(!said.contains("Tab/1-7"), "{said}");
        let state = self.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
        assert_eq!(String::from_utf8_lossy(&state.stdout).trim(), "0 1");
    }
}

impl Tmux {
    /// The terminal goes away.
    pub fn end_server(&mut self) {
        if std::mem::take(&mut self.is_running) {
            self.tmux(&["kill-server"]);
        }
    }

    /// Whether a process is ours and runs.
    pub fn is_alive(&self, process: &str) -> bool {
        let of = std::fs::read_link(format!("/proc/{process}/exe")).unwrap_or_default();
        !process.is_empty() && of.file_name().is_some_and(|name| name == "longhaul")
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.end_server();
        // A program that has outlived its terminal must not outlive the test.
        let pid = std::fs::read_to_string(self.file("pid")).unwrap_or_default();
        let late = Instant::now() + Duration::from_secs(5);
        while self.is_alive(pid.trim()) {
            if Instant::now() > late {
                drop(Command::new("kill").args(["-KILL", pid.trim()]).status());
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
