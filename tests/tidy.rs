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

use std::collections::BTreeMap;
use std::collections::BTreeSet;
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
const GROUND: [&str; 4] = ["model", "bounded", "wire", "explain"];
/// Stages: they import the ground and themselves, never each other.
const STAGES: [&str; 15] = [
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
    "sinks",
    "formats",
    "forward",
    "metrics",
];

/// A file of fewer lines may open with one sentence.
const SHORT_FILE: usize = 60;

/// Where files import each other in a circle, and why; nowhere else.
const CIRCLES: [(&str, &str); 8] = [
    ("decode", "a tunnel carries a link layer, and a link layer carries tunnels"),
    ("capture", "a ring lends blocks that return to it; a stored file reports how it was unpacked"),
    ("endpoints", "rows are ranked among their neighbours, which are rows"),
    ("enrich", "lists and signatures are read from files of one form"),
    ("evidence", "protocols begin inside each other: STARTTLS, CONNECT, WebSocket, RDP"),
    ("model::schema", "a finding carries fields of the events that it is about"),
    ("session", "the parts of a session act on the whole"),
    ("wire", "a DNS record holds names, and names are compressed across records"),
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
        "bounded" | "wire" | "explain" => other == "model",
        _ if STAGES.contains(&module) => GROUND.contains(&other),
        "config" => GROUND.contains(&other),
        "pipeline" => other != "cli",
        "carve" | "bundle" | "hunt" | "lake" => other != "cli",
        "report" => GROUND.contains(&other) || ["config", "results"].contains(&other),
        "tui" => GROUND.contains(&other) || other == "results",
        "results" => GROUND.contains(&other) || other == "config",
        "cli" => true,
        _ => true,
    }
}

/// The line and the path behind each `crate::` of shipped code, groups taken apart.
fn imports(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let lines: Vec<(usize, &str)> = source.shipped().collect();
    for (index, (at, line)) in lines.iter().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for (start, word) in line.match_indices("crate::") {
            let rest = &line[start + word.len()..];
            let Some((head, first)) = rest.split_once('{').filter(|(head, _)| is_path(head)) else {
                found.push((*at, path_at(rest)));
                continue;
            };
            let later = lines.iter().skip(index + 1).map(|(_, line)| *line);
            let text = std::iter::once(first).chain(later).collect::<Vec<_>>().join(" ");
            let group = text.split(';').next().unwrap_or_default();
            for member in members(group) {
                found.push((*at, format!("{head}{}", path_at(member))));
            }
        }
    }
    found
}

/// Whether a text is a path and nothing else.
fn is_path(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':')
}

/// The path that a text begins with.
fn path_at(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect()
}

/// What stands between the commas of a group of imports, of inner groups the path before them.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0_i32, 0, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth < 0 || (depth == 0 && letter == ',') {
            found.push(group[start..at].trim());
            start = at + 1;
        }
        if depth < 0 {
            break;
        }
    }
    found.retain(|member| !member.is_empty());
    found
}

#[test]
fn stages_do_not_import_other_stages() {
    let mut faults = Vec::new();
    for source in sources() {
        for (at, path) in imports(&source) {
            let other = path.split("::").next().unwrap_or_default();
            let ours = STAGES.contains(&other)
                || GROUND.contains(&other)
                || [
                    "config", "pipeline", "report", "results", "carve", "bundle", "hunt", "lake",
                    "tui", "cli",
                ]
                .contains(&other);
            if ours && !may_import(&source.module, other) {
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

/// The module path of a file: `session::rtt` of `session/rtt.rs`.
fn module_path(path: &Path) -> String {
    let parts = path.with_extension("");
    let parts: Vec<_> = parts.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("::").trim_end_matches("::mod").to_owned()
}

/// Which files of ours each file imports.
fn file_graph() -> BTreeMap<String, BTreeSet<String>> {
    let sources = sources();
    let names: BTreeSet<String> = sources.iter().map(|s| module_path(&s.path)).collect();
    let file_of = |path: &str| {
        let mut path = path.trim_end_matches(':');
        loop {
            if names.contains(path) {
                return Some(path.to_owned());
            }
            path = path.rsplit_once("::")?.0;
        }
    };
    let mut graph = BTreeMap::new();
    for source in &sources {
        let own = module_path(&source.path);
        let to = imports(source).into_iter().filter_map(|(_, path)| file_of(&path));
        graph.insert(own.clone(), to.filter(|other| *other != own).collect());
    }
    graph
}

/// Everything that can be reached from a file.
fn reach(graph: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(file) = open.pop() {
        for next in graph.get(&file).into_iter().flatten() {
            if seen.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    seen
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let graph = file_graph();
    let reached: BTreeMap<&String, BTreeSet<String>> =
        graph.keys().map(|file| (file, reach(&graph, file))).collect();
    let mut circles = BTreeSet::new();
    for (file, all) in reached.iter().filter(|(file, all)| all.contains(**file)) {
        let back = all.iter().filter(|other| reached[*other].contains(*file)).cloned();
        circles.insert(back.collect::<Vec<String>>());
    }
    circles.retain(|circle| {
        let all_in = |stage: &str| circle.iter().all(|file| file.starts_with(stage));
        !CIRCLES.iter().any(|(stage, _)| all_in(stage))
    });
    let faults = circles.iter().map(|circle| format!("a circle: {}", circle.join(", ")));
    report(faults.collect());
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
fn every_file_has_a_head_comment() {
    let mut faults = Vec::new();
    for source in sources() {
        let name = source.path.display().to_string();
        let short = source.text.lines().count() < SHORT_FILE;
        if name == "main.rs" || name == "lib.rs" || name.contains("test") {
            continue;
        }
        if short {
            if !source.text.starts_with("//!") {
                faults.push(format!("src/{name}: a file opens with what it is for"));
            }
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
