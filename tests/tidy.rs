//! The rules of the house, checked by a line scan: arrows between modules, sizes, banned words.
//!
//! Each message says the reason, so that whoever meets it need not ask.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Lines of one file. More needs a name in [`LONG_FILES`] with a reason.
const FILE_LINES: usize = 500;
/// Columns of one line.
const COLUMNS: usize = 100;
/// Files that may be longer, and why.
const LONG_FILES: [(&str, &str); 0] = [];
/// Files that may contain `unsafe`, and why; everything else is safe Rust.
const UNSAFE_FILES: [(&str, &str); 2] = [
    ("capture/ring/map.rs", "memory that the kernel writes to while we read"),
    ("capture/ring/sys.rs", "system calls that the standard library does not have"),
];

/// Files of tests that may contain `unsafe`, and why.
const UNSAFE_TESTS: [(&str, &str); 3] = [
    ("allocations.rs", "an allocator that counts is an unsafe trait to implement"),
    ("calls.rs", "what the sandbox refuses are raw system calls"),
    ("net.rs", "network namespaces and signals are system calls"),
];

/// Modules everything may import; they import nothing of ours but each other downwards.
const GROUND: [&str; 3] = ["model", "bounded", "wire"];
/// Stages: they import the ground and themselves, never each other.
const STAGES: [&str; 11] = [
    "capture",
    "decode",
    "dispatch",
    "session",
    "evidence",
    "identity",
    "sandbox",
    "enrich",
    "endpoints",
    "detect",
    "emit",
];

struct Source {
    path: PathBuf,
    module: String,
    text: String,
}

impl Source {
    /// Lines before the first `#[cfg(test)]`: what ships.
    fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test_file = self.path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name == "tests.rs" || name == "testkit.rs" || name.ends_with("_tests.rs")
        }) || self.path.components().any(|part| part.as_os_str() == "tests");
        let all: Vec<&str> = self.text.lines().collect();
        let end = all
            .windows(2)
            .position(|pair| pair[0].trim() == "#[cfg(test)]" && pair[1].trim_end().ends_with('{'));
        let shipped = all.into_iter().take(end.unwrap_or(usize::MAX)).enumerate();
        let lines: Vec<(usize, &str)> = shipped.map(|(at, line)| (at + 1, line)).collect();
        let keep = if is_test_file { Vec::new() } else { lines };
        keep.into_iter()
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src is readable") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let inside = path.strip_prefix(&root).expect("below src").to_path_buf();
                let module = inside.iter().next().expect("a name").to_string_lossy().into_owned();
                let module = module.trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).expect("utf-8");
                found.push(Source { path: inside, module, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn report(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// What a module may import of ours.
fn may_import(module: &str, other: &str) -> bool {
    if module == other {
        return true;
    }
    match module {
        "model" => false,
        "bounded" | "wire" => other == "model",
        _ if STAGES.contains(&module) => GROUND.contains(&other),
        "config" => GROUND.contains(&other),
        "pipeline" => other != "cli",
        "report" | "tui" | "hunt" => GROUND.contains(&other) || other == "config",
        "cli" => true,
        _ => true,
    }
}

#[test]
fn arrows_point_one_way() {
    let mut faults = Vec::new();
    for source in sources() {
        for (at, line) in source.shipped() {
            let Some(rest) = line.split("crate::").nth(1) else { continue };
            if line.trim_start().starts_with("//") {
                continue;
            }
            let other: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let ours = STAGES.contains(&other.as_str())
                || GROUND.contains(&other.as_str())
                || ["config", "pipeline", "report", "cli"].contains(&other.as_str());
            if ours && !may_import(&source.module, &other) {
                faults.push(format!(
                    "src/{}:{at}: {} imports {other}: stages know only model, bounded and wire; \
                     pipeline is the one place that names them all",
                    source.path.display(),
                    source.module
                ));
            }
        }
    }
    report(faults);
}

#[test]
fn files_and_lines_stay_readable() {
    let mut faults = Vec::new();
    for source in sources() {
        let name = source.path.display().to_string();
        let lines = source.text.lines().count();
        let excused = LONG_FILES.iter().any(|(file, _)| *file == name);
        if lines > FILE_LINES && !excused {
            faults
                .push(format!("src/{name}: {lines} lines: a file is one idea; two names say more"));
        }
        for (at, line) in source.text.lines().enumerate() {
            if line.chars().count() > COLUMNS {
                faults.push(format!("src/{name}:{}: more than {COLUMNS} columns", at + 1));
            }
        }
    }
    report(faults);
}

#[test]
fn every_file_says_what_it_never_does() {
    let mut faults = Vec::new();
    for source in sources() {
        let name = source.path.display().to_string();
        if name == "main.rs" || name == "lib.rs" || name.contains("test") {
            continue;
        }
        let head: String = source.text.lines().take_while(|line| line.starts_with("//!")).collect();
        for word in ["Owns", "In:", "Out:", "Never"] {
            if !head.contains(word) {
                faults.push(format!(
                    "src/{name}: its head lacks `{word}`: a file opens with owns / in / out / never"
                ));
            }
        }
    }
    report(faults);
}

#[test]
fn nothing_in_the_library_may_panic_or_look_at_a_clock() {
    let banned = [
        (".unwrap()", "a bad byte must become a counted reason, not a panic"),
        (".expect(", "a bad byte must become a counted reason, not a panic"),
        ("panic!(", "a bad byte must become a counted reason, not a panic"),
        ("todo!(", "nothing unfinished is called done"),
        ("unimplemented!(", "nothing unfinished is called done"),
        ("#[ignore", "a test that does not run proves nothing"),
        ("println!(", "the library hands text to whoever prints"),
    ];
    let clocks = ["Instant::now", "SystemTime::now", "thread::sleep"];
    let mut faults = Vec::new();
    for source in sources() {
        for (at, line) in source.shipped() {
            let code = line.split("//").next().unwrap_or_default();
            let place = format!("src/{}:{at}", source.path.display());
            for (word, reason) in banned {
                let printer = word == "println!(" && ["cli", "main"].contains(&&*source.module);
                if code.contains(word) && !printer {
                    faults.push(format!("{place}: `{word}`: {reason}"));
                }
            }
            for clock in clocks {
                if code.contains(clock) && !["pipeline", "cli"].contains(&&*source.module) {
                    faults.push(format!("{place}: `{clock}`: time comes from packets"));
                }
            }
            let unsafe_here = code.contains("unsafe ") || code.contains("unsafe{");
            let name = source.path.to_string_lossy();
            if unsafe_here && !UNSAFE_FILES.iter().any(|(file, _)| *file == name) {
                faults.push(format!("{place}: unsafe stands only in the files listed in tidy"));
            }
            let next = source.text.lines().skip(at).take(3).any(|line| line.contains("reason"));
            if code.contains("#[allow(") && !line.contains("reason") && !next {
                faults.push(format!("{place}: a check switched off needs `reason = \"...\"`"));
            }
        }
    }
    report(faults);
}

#[test]
fn tests_are_safe_rust_but_for_the_allocator() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("tests is readable") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("utf-8");
                let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
                if code.into_iter().any(|line| line.trim_start().starts_with("unsafe ")) {
                    found.push(path.file_name().expect("a name").to_string_lossy().into_owned());
                }
            }
        }
    }
    found.sort();
    let listed: Vec<&str> = UNSAFE_TESTS.iter().map(|(file, _)| *file).collect();
    assert_eq!(found, listed, "unsafe stands only in the files listed here, with the reason");
}

#[test]
fn no_path_of_a_developers_machine_is_left_behind() {
    let mut faults = Vec::new();
    for source in sources() {
        for (at, line) in source.text.lines().enumerate() {
            for prefix in ["/home/", "/root/", "/work/", "/Users/"] {
                if line.contains(prefix) {
                    faults.push(format!("src/{}:{}: {prefix}", source.path.display(), at + 1));
                }
            }
        }
    }
    report(faults);
}
