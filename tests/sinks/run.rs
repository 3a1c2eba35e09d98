//! A directory with a configuration, and runs of the demonstration in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::craft;

/// `longhaul` with these arguments: exit code, and all that it said.
pub fn longhaul(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_longhaul")).args(args).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// The event ids of the lines of a file.
pub fn ids_of(path: &Path) -> Vec<String> {
    let lines = craft::values(path);
    lines.iter().map(|line| line["event"]["id"].as_str().unwrap().to_owned()).collect()
}

pub fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

/// A directory of its own.
pub struct Site {
    dir: tempfile::TempDir,
    capture: String,
}

impl Site {
    pub fn new() -> Site {
        let dir = tempfile::tempdir().unwrap();
        let packed = include_bytes!("../data/demo/farm.pcap.zst");
        let capture = dir.path().join("farm.pcap.zst");
        fs::write(&capture, packed).unwrap();
        Site { capture: capture.display().to_string(), dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn capture(&self) -> &str {
        &self.capture
    }

    pub fn out(&self) -> PathBuf {
        self.path("out")
    }

    /// Writes the configuration.
    pub fn config(&self, sinks: &str) {
        fs::write(self.path("c.toml"), format!("sensor = \"iad1\"\nplace = \"IAD\"\n{sinks}"))
            .unwrap();
    }

    /// Reads the demonstration.
    pub fn read(&self, args: &[&str]) -> (Option<i32>, String) {
        let (out, config) = (self.text("out"), self.text("c.toml"));
        let own = ["read", &self.capture, "--out", &out, "--force", "--config", &config, "-q"];
        longhaul(&[&own[..], args].concat())
    }

    /// The event ids of files of the result.
    pub fn ids(&self, files: &[&str]) -> Vec<String> {
        let of = |name: &&str| ids_of(&self.out().join(format!("{name}.ndjson")));
        files.iter().flat_map(of).collect()
    }
}
