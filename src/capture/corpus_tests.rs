//! The shared corpus of public captures: packet counts and verdicts.
//!
//! Owns: the comparison with its label table. In: the corpus, if present. Out: assertions.
//! Never: a copy of any of it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::Digest;

use crate::capture::*;

/// The path of the corpus, or `None` with a visible note.
fn corpus() -> Option<PathBuf> {
    let root = std::env::var_os("LONGHAUL_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let pcaps = root.join("data/pcaps");
    if pcaps.join("labels.csv").is_file() {
        return Some(pcaps);
    }
    println!("skipped: no corpus at {}", pcaps.display());
    None
}

/// Fields of one line of RFC 4180 text without line breaks inside quotes.
fn fields(line: &str) -> Vec<String> {
    let (mut out, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => out.push(String::new()),
            c => out.last_mut().unwrap().push(c),
        }
    }
    out
}

/// File, stored bytes, SHA-256 and packets of every labelled capture.
fn labels(pcaps: &Path) -> Vec<(String, u64, String, u64)> {
    let text = std::fs::read_to_string(pcaps.join("labels.csv")).unwrap();
    let mut lines = text.lines().map(fields);
    let head = lines.next().unwrap();
    let column = |name: &str| head.iter().position(|h| h == name).unwrap();
    let [file, bytes, sha256, packets] = ["file", "bytes", "sha256", "packets"].map(column);
    lines
        .map(|l| {
            let number = |at: usize| l[at].parse().unwrap();
            (l[file].clone(), number(bytes), l[sha256].clone(), number(packets))
        })
        .collect()
}

fn read(path: &Path, pool: &Arc<BlockPool>) -> FileReport {
    let options = ReadOptions { hash: HashPolicy::Always, max_open: 1, ..ReadOptions::default() };
    match FileSource::open(&InputSpec::new(path), 0, pool, &options) {
        Ok(mut source) => {
            while let Some(meta) = source.next_frame() {
                let bytes = meta.frame(source.block()).bytes;
                assert_eq!(bytes.len(), meta.captured as usize);
            }
            source.verdict()
        }
        Err(report) => *report,
    }
}

#[test]
fn counts_sizes_and_hashes_of_made_captures_are_exact() {
    let samples: Vec<_> = (0..500).map(|n| (n, n, vec![n as u8; 40 + n as usize % 90])).collect();
    let plain = testkit::pcap(&samples);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("made.pcap.gz", gzip.finish().unwrap()),
        ("made.pcap.zst", zstd::encode_all(plain.as_slice(), 3).unwrap()),
        ("made.pcap", plain),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let hash = sha2::Sha256::digest(&bytes);
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        for block_bytes in [block::BLOCK_BYTES, 97] {
            let report = read(&path, &BlockPool::new(block_bytes, 4));
            let got = (report.packets, report.bytes, report.sha256.as_deref(), report.verdict);
            let size = bytes.len() as u64;
            assert_eq!(got, (500, size, Some(hash.as_str()), Verdict::Ok), "{name}");
        }
    }
}

#[test]
fn counts_sizes_and_hashes_are_those_of_the_labels() {
    let Some(pcaps) = corpus() else { return };
    let labels = labels(&pcaps);
    assert!(labels.len() > 100);
    for block_bytes in [block::BLOCK_BYTES, 97] {
        let pool = BlockPool::new(block_bytes, 4);
        for (file, bytes, sha256, packets) in &labels {
            let report = read(&pcaps.join(file), &pool);
            let got = (report.packets, report.bytes, report.sha256.as_deref());
            assert_eq!(got, (*packets, *bytes, Some(sha256.as_str())), "{file}");
            // The second interface's timestamps are negative microseconds in unsigned 64 bits.
            let expected = match file.as_str() {
                "fmt-zstd__pcpp__pcapng-example.pcapng.zst" => Verdict::Malformed,
                _ => Verdict::Ok,
            };
            assert_eq!(report.verdict, expected, "{file}: {:?}", report.reason);
        }
    }
}
