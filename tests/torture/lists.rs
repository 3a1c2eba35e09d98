//! Lists of a size that nobody hands out for nothing: loaded in bounded memory, found at once.

use std::io::BufWriter;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Instant;

use longhaul::enrich::lists::Lists;
use longhaul::model::Addr;

use crate::Case;
use crate::Kind::Flood;
use crate::floods::watch;

/// Prefixes of the list.
const PREFIXES: u32 = 10_000_000;

/// Most memory of the process, in MB.
const MEMORY_MB: u64 = 500;

/// Longest time to load it, in seconds: three on a machine that has nothing else to do.
const SECONDS: f64 = 10.0;

/// Longest time of a lookup, in ns, on average: a hundred on such a machine.
const LOOKUP_NS: f64 = 500.0;

pub fn cases() -> Vec<Case> {
    vec![Case { name: "lists-of-ten-million", kind: Flood, run: ten_million }]
}

/// The first address of a prefix: all over IPv4, each once, in no order.
fn first(number: u32) -> u32 {
    (number % 0x00e0_0000).wrapping_mul(2_654_435_761) & 0xffff_ff00
}

fn write(file: &Path) -> std::io::Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    out.write_all(b"# name: many\n# kind: prefix\n# source: made\n# date: 2026-11-20\n")?;
    out.write_all(b"# licence: CC0-1.0\n")?;
    for number in 0..PREFIXES {
        let address = Ipv4Addr::from(first(number));
        match number % 3 {
            0 => writeln!(out, "{address}/24")?,
            1 => writeln!(out, "{}", Ipv4Addr::from(first(number) | number & 0xff))?,
            _ => writeln!(out, "{address}/28 vpn:provider-{}", number % 50)?,
        }
    }
    out.flush()
}

fn ten_million() -> Result<(), String> {
    let root = tempfile::tempdir().unwrap();
    write(&root.path().join("many.txt")).map_err(|e| e.to_string())?;
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["intel", "check"])
        .arg(root.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let process = child.id();
    let watcher = std::thread::spawn(move || watch(process));
    let status = child.wait().unwrap();
    let seconds = began.elapsed().as_secs_f64();
    let megabytes = watcher.join().unwrap() * 1_024 / 1_000_000;

    let lists = Lists::of_dir(root.path()).map_err(|errors| format!("{errors:?}"))?;
    let probes: Vec<Addr> = (0..1_000_000u32)
        .map(|n| Addr::from(IpAddr::from(Ipv4Addr::from(n.wrapping_mul(0x9e37_79b1)))))
        .collect();
    let began = Instant::now();
    let found = probes.iter().filter(|addr| lists.holds(**addr)).count();
    let each = began.elapsed().as_secs_f64() * 1e9 / probes.len() as f64;
    println!(
        "          {PREFIXES} prefixes: {seconds:.1} s, {megabytes} MB, {each:.0} ns a lookup, \
         {found} of {} found",
        probes.len()
    );
    let right = status.success() && found > 0;
    match right && megabytes <= MEMORY_MB && seconds <= SECONDS && each <= LOOKUP_NS {
        true => Ok(()),
        false => Err(format!("{status}, {seconds:.1} s, {megabytes} MB, {each:.0} ns")),
    }
}
