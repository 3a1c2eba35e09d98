//! The documents are true: every command in them runs, every option and key is documented, every
//! file they name exists, and numbers and the table of rules are those of the program.
//!
//! Owns: a working directory for the examples. In: README.md and docs/. Out: each command that
//! fails, each thing that is missing. Never: skips a command without a reason.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test that cannot go on fails"
)]

mod common;
mod craft;

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use longhaul::capture;
use longhaul::config;
use longhaul::config::memory;
use longhaul::detect::RuleSet;
use longhaul::dispatch;
use longhaul::endpoints::baseline;
use longhaul::model;
use longhaul::report;
use longhaul::session;

const DOCUMENTS: [&str; 10] = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/usage.md",
    "docs/evidence.md",
    "docs/live.md",
    "docs/latency.md",
    "docs/measurement.md",
    "docs/report.md",
    "docs/signatures.md",
    "rules/README.md",
];

/// Commands that are not run here: how they begin, and why.
const NOT_RUN: [(&str, &str); 9] = [
    ("make ", "builds or tests the project itself"),
    (".ci/", "builds or tests the project itself"),
    ("cargo ", "builds or tests the project itself"),
    ("tcpdump ", "needs an interface and root"),
    ("longhaul live eth1", "needs an interface and root"),
    ("longhaul read [OPTIONS]", "shows the form of the command"),
    ("longhaul live [OPTIONS]", "shows the form of the command"),
    ("curl ", "needs a SIEM"),
    ("longhaul top ", "needs a terminal: tests/top.rs"),
];

/// Commands that only a build with Parquet can run: how they begin.
const WITH_PARQUET: [&str; 2] = ["longhaul convert", "longhaul hunt lake"];

/// The commands of a document's console blocks, without their comments.
fn commands(document: &str) -> Vec<String> {
    let text = fs::read_to_string(common::own(document)).unwrap();
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        match line.trim_start() {
            "```console" => inside = true,
            "```" => inside = false,
            line if inside => found.extend(line.strip_prefix("$ ").map(str::to_owned)),
            _ => {}
        }
    }
    found
}

/// A directory with what the examples name.
fn world() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    for name in [
        "capture.pcap",
        "captures/a.pcap",
        "monday/a.pcap",
        "tuesday/extra.pcapng.gz",
        "site-a-captures/a.pcap",
        "site-b-captures/b.pcap",
        "tests/data/demo/farm.pcap.zst",
    ] {
        fs::copy(common::demo(), at(name)).unwrap();
    }
    symlink(env!("CARGO_BIN_EXE_longhaul"), at("bin/longhaul")).unwrap();
    for (name, content) in example_rule() {
        fs::write(at(&name), content).unwrap();
    }
    fs::write(at("my-feed.csv"), "provider,ip_or_cidr\nA,203.0.113.0/24\n").unwrap();
    let usage = fs::read_to_string(common::own("docs/usage.md")).unwrap();
    fs::create_dir(at("my-lists")).unwrap();
    fs::write(at("my-lists/my-vpn.txt"), block(&usage, "text")).unwrap();
    fs::write(at("staff.csv"), block(&usage, "csv")).unwrap();
    // Databases are not part of the project.
    let config = block(&usage, "toml").lines().filter(|line| !line.starts_with("geo "));
    fs::write(at("longhaul.toml"), config.collect::<Vec<_>>().join("\n")).unwrap();
    copy_all(&common::own("rules/signatures"), &at("my-signatures"));
    fs::write(at("pseudonyms.key"), [7; 32]).unwrap();
    root
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The files of the example in rules/README.md: each is named in a line before its block.
fn example_rule() -> Vec<(String, String)> {
    let text = fs::read_to_string(common::own("rules/README.md")).unwrap();
    let file = |part: &str| {
        let (name, rest) = part.split_once("`:\n")?;
        let block = rest.split_once("```")?.1.split_once("```")?.0;
        let content = block.split_once('\n')?.1;
        Some((format!("my-rules/{name}"), content.to_owned()))
    };
    let files: Vec<_> = text.split("`my-rules/").skip(1).filter_map(file).collect();
    assert!(files.len() >= 4, "{files:?}");
    files
}

/// The first block of a language.
fn block<'t>(text: &'t str, language: &str) -> &'t str {
    let (_, behind) = text.split_once(&format!("```{language}\n")).unwrap();
    behind.split_once("```").unwrap().0
}

fn run(world: &Path, command: &str) -> Output {
    let path = format!("{}:{}", world.join("bin").display(), std::env::var("PATH").unwrap());
    Command::new("bash")
        .args(["-o", "pipefail", "-c", command])
        .current_dir(world)
        .env("PATH", path)
        .env("COLUMNS", "100")
        .output()
        .unwrap()
}

#[test]
fn every_command_of_the_documents_runs() {
    for tool in ["bash", "jq"] {
        if Command::new(tool).arg("--version").output().is_err() {
            return println!("skipped: {tool} is not here");
        }
    }
    let (mut ran, mut failed) = (0, Vec::new());
    for document in DOCUMENTS {
        // Results of one document's examples are there for its later ones.
        let world = world();
        for command in commands(document) {
            if NOT_RUN.iter().any(|(begin, _)| command.starts_with(begin)) {
                continue;
            }
            if !cfg!(feature = "parquet") && WITH_PARQUET.iter().any(|of| command.starts_with(of)) {
                continue;
            }
            let ended = run(world.path(), &command);
            ran += 1;
            if !ended.status.success() {
                let why = String::from_utf8_lossy(&ended.stderr).into_owned();
                failed.push(format!("{document}: {command}: {:?}\n{why}", ended.status.code()));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(ran >= 25, "{ran} commands are too few to say so");
}

#[test]
fn every_excused_command_is_in_a_document() {
    let all: Vec<String> = DOCUMENTS.iter().flat_map(|document| commands(document)).collect();
    for (begin, why) in NOT_RUN {
        assert!(
            all.iter().any(|command| command.starts_with(begin)),
            "{begin} ({why}) is not told"
        );
    }
}

fn help(arguments: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_longhaul")).args(arguments).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

/// Long options of a help text.
fn options(help: &str) -> Vec<&str> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = lines.filter_map(|line| line.split([' ', ',']).find(|word| word.starts_with("--")));
    words.filter(|option| !["--help", "--version"].contains(option)).collect()
}

#[test]
fn every_command_and_option_is_in_the_usage() {
    let usage = fs::read_to_string(common::own("docs/usage.md")).unwrap();
    let mut untold = Vec::new();
    let top = help(&["--help"]);
    let (_, list) = top.split_once("Commands:\n").unwrap();
    let names: Vec<&str> = list
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        if !usage.contains(&format!("\n## {name}\n")) {
            untold.push(format!("command {name}"));
        }
        let text = help(&[name, "--help"]);
        for option in options(&text) {
            let told =
                ["`", " ", "]", ","].iter().any(|end| usage.contains(&format!("{option}{end}")));
            if !told {
                untold.push(format!("{name} {option}"));
            }
        }
    }
    assert!(untold.is_empty(), "docs/usage.md does not tell: {untold:#?}");
}

#[test]
fn every_key_of_a_sink_is_in_its_document() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("c.toml");
    fs::write(&file, "[[sink]]\nnobody_knows_this = 1\n").unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["sinks", "check", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    let (_, keys) = said.split_once("expected one of ").unwrap();
    let keys: Vec<&str> = keys.split('`').skip(1).step_by(2).collect();
    assert!(keys.len() > 15, "{said}");
    let siem = fs::read_to_string(common::own("docs/siem.md")).unwrap();
    let (_, table) = siem.split_once("## Keys\n").unwrap();
    let untold: Vec<&&str> =
        keys.iter().filter(|key| !table.contains(&format!("`{key}`"))).collect();
    assert!(untold.is_empty(), "docs/siem.md lacks: {untold:?}");
}

#[test]
fn every_key_of_the_configuration_is_in_the_usage() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("c.toml");
    fs::write(&file, "nobody_knows_this = 1\n").unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["read", "nothing.pcap", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    let keys = said.lines().find_map(|line| line.strip_prefix("help: keys are ")).unwrap();
    let separators = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let words = keys.split(separators).filter(|word| !FURTHER_WORDS.contains(word));
    let usage = fs::read_to_string(common::own("docs/usage.md")).unwrap();
    let example = block(&usage, "toml");
    let has = |key: &&str| {
        example.lines().any(|line| {
            let line = line.trim_start_matches(['#', ' ']);
            line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
        })
    };
    let untold: Vec<&str> = words.filter(|key| !has(key)).collect();
    assert!(untold.is_empty(), "the example of docs/usage.md lacks: {untold:?}");
}

/// Words among the keys that have no line `key =` of their own.
const FURTHER_WORDS: [&str; 16] = [
    "",
    "and",
    "with",
    "caps",
    "likelihood",
    "placeholders",
    "thresholds",
    "groups",
    "the",
    "of",
    "sink",
    "metrics",
    "keys",
    "docs",
    "siem",
    "md",
];

const TABLE: [&str; 2] = ["<!-- rules:begin -->\n", "<!-- rules:end -->\n"];

/// The table of rules, and how many there are.
fn table() -> String {
    let rules = RuleSet::embedded().unwrap();
    let mut numbers: Vec<&str> = rules.iter().map(|rule| rule.info().id.as_str()).collect();
    let all = numbers.len();
    numbers.dedup();
    let of = |service: &str| rules.iter().filter(|rule| rule.service() == service).count();
    let (of_endpoints, counting) = (of("endpoint"), of("correlation"));
    let mut text = format!(
        "{} detections, {all} Sigma rules. {} judge one finished session each, {of_endpoints} an\n\
         [endpoint](#rules-on-endpoints): all sessions of one program at one address together.\n\
         {counting} are [correlations](../rules/README.md#correlations): they count several events.\n\n\
         | rule | group | ratio | topology | level | title |\n|---|---|---|---|---|---|\n",
        numbers.len(),
        all - of_endpoints - counting,
    );
    for rule in rules.iter() {
        let info = rule.info();
        let (group, level) = (info.group.as_str(), info.level.as_str());
        let topologies = info.topologies.join(" ");
        let _ = writeln!(
            text,
            "| {} {} | {group} | {} | {topologies} | {level} | {} |",
            info.id, info.name, info.ratio, info.title
        );
    }
    text
}

#[test]
fn the_table_of_rules_is_current() {
    let path = common::own("docs/rules.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(TABLE[0]).unwrap();
    let (have, after) = rest.split_once(TABLE[1]).unwrap();
    let want = table();
    if std::env::var_os("LONGHAUL_BLESS").is_some() {
        let [begin, end] = TABLE;
        fs::write(&path, format!("{before}{begin}{want}{end}{after}")).unwrap();
        return;
    }
    assert!(have == want, "docs/rules.md is old: LONGHAUL_BLESS=1 cargo test --test documents");
    for rule in RuleSet::embedded().unwrap().iter() {
        let id = &rule.info().id;
        assert!(text.contains(&format!("## {id} ")), "docs/rules.md has no section on {id}");
    }
}

/// A start parses no YAML but that of rules which this file lacks.
#[test]
fn the_parsed_form_of_the_rules_is_current() {
    let path = common::own("rules/parsed.txt");
    let want = RuleSet::parsed_forms();
    if std::env::var_os("LONGHAUL_BLESS").is_some() {
        fs::write(&path, want).unwrap();
        return;
    }
    let have = fs::read_to_string(&path).unwrap();
    assert!(
        have == want,
        "rules/parsed.txt is old, so that rules are parsed at each start: LONGHAUL_BLESS=1 cargo \
         test --test documents"
    );
}

const THRESHOLDS: [&str; 2] = ["<!-- thresholds:begin -->\n", "<!-- thresholds:end -->\n"];

/// What the rules compare with.
#[test]
fn the_table_of_thresholds_is_current() {
    let path = common::own("docs/rules.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(THRESHOLDS[0]).unwrap();
    let (have, after) = rest.split_once(THRESHOLDS[1]).unwrap();
    let mut want = "| rule | level | field | compared | unit |\n|---|---|---|---|---|\n".to_owned();
    for ((id, level), all) in RuleSet::embedded().unwrap().thresholds() {
        for one in all {
            let (field, order, bound, unit) = (&one.field, one.order, one.bound, one.unit);
            let level = level.as_str();
            let _ = writeln!(want, "| {id} | {level} | `{field}` | {order} {bound} | {unit} |");
        }
    }
    if std::env::var_os("LONGHAUL_BLESS").is_some() {
        let [begin, end] = THRESHOLDS;
        fs::write(&path, format!("{before}{begin}{want}{end}{after}")).unwrap();
        return;
    }
    assert!(have == want, "docs/rules.md is old: LONGHAUL_BLESS=1 cargo test --test documents");
}

/// Documents beside those whose commands are run.
const FURTHER_DOCUMENTS: [&str; 5] = [
    "ARCHITECTURE.md",
    "docs/rules.md",
    "docs/threat-model.md",
    "docs/counters.md",
    "docs/fields.md",
];

/// Every file of the repository's source, as its path from the root.
fn source_files() -> Vec<String> {
    let root = common::own("");
    let (mut folders, mut files) = (vec![root.join("src")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(&root).unwrap();
                files.push(format!("/{}", path.display()));
            }
        }
    }
    files
}

/// Texts in backticks, without those in code blocks.
fn in_backticks(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn the_files_that_documents_name_exist() {
    let sources = source_files();
    let own = ["src/", "tests/", "rules/", "docs/", "deploy/", "benches/", "fuzz/", "geo/"];
    let placeholders = ["NAME", "dNN", "my-"];
    let (mut checked, mut missing) = (0, Vec::new());
    for document in DOCUMENTS.iter().chain(&FURTHER_DOCUMENTS) {
        let text = fs::read_to_string(common::own(document)).unwrap();
        let folder = Path::new(document).parent().unwrap();
        let exists = |path: &str| {
            common::own(path).exists() || common::own(&folder.join(path).to_string_lossy()).exists()
        };
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if !link.is_empty() && !link.contains("://") {
                let target = common::own(&folder.join(link).to_string_lossy());
                checked += 1;
                missing.extend((!target.exists()).then(|| format!("{document}: {link}")));
            }
        }
        for word in in_backticks(&text) {
            let is_path = word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            // A source file may be named by the end of its path: `ring/map.rs`.
            let is_source = word.ends_with(".rs");
            let named = is_source || own.iter().any(|root| word.starts_with(root));
            if !is_path || !named || placeholders.iter().any(|part| word.contains(part)) {
                continue;
            }
            let end = format!("/{word}");
            let found =
                exists(word) || is_source && sources.iter().any(|path| path.ends_with(&end));
            checked += 1;
            missing.extend((!found).then(|| format!("{document}: `{word}`")));
        }
    }
    assert!(missing.is_empty(), "these do not exist:\n{}", missing.join("\n"));
    assert!(checked > 100, "only {checked} names of files were found");
}

/// Sentences of documents with a number that the program decides.
fn numbers() -> Vec<(&'static str, String)> {
    let shards = u64::from(longhaul::decode::SHARDS);
    let mib = |bytes: u64| bytes >> 20;
    let grouped = |n: u64| report::units::count(n);
    let usage = "docs/usage.md";
    let timeouts = session::Timeouts::default();
    // The shares of what fixed part and fragments leave, as rows of the table of memory.
    let shares = memory::Shares::of(memory::MEMORY);
    let rest = memory::MEMORY - memory::FIXED - shares.fragments as u64 * shards;
    let share = |table: &str, bytes: usize| {
        let percent = bytes as f64 * 99.0 / rest as f64;
        format!("| {percent:.0} % | {table}")
    };
    vec![
        ("ARCHITECTURE.md", format!("always {shards} shards")),
        ("ARCHITECTURE.md", format!("up to {} packets", dispatch::batch::PACKETS)),
        ("ARCHITECTURE.md", format!("`Copy`, {} bytes", size_of::<model::Packet>())),
        ("ARCHITECTURE.md", format!("buffer of {} KiB", capture::block::BLOCK_BYTES >> 10)),
        (usage, format!("in each of {shards} shards | IP fragments")),
        (usage, format!("Each of the {shards} shards")),
        (usage, format!("worker threads, 1 to {}.", config::WORKERS_MAX)),
        (usage, format!("At most {} files", grouped(capture::inputs::MAX_FILES as u64))),
        (usage, format!("Up to {} files are open", capture::MAX_OPEN)),
        (usage, format!("| `--unanswered N` | `{}` |", config::UNANSWERED)),
        (usage, format!("| `--max-ratio N` | {} |", config::MAX_RATIO)),
        (usage, format!("| `--dedup-window US` | {} |", config::DEDUP_WINDOW_US)),
        (usage, format!("| `--learn-days DAYS` | {} |", config::LEARN_DAYS)),
        (usage, format!("{}MiB to {}GiB", mib(memory::MEMORY_MIN), memory::MEMORY_MAX >> 30)),
        (usage, format!("{} MiB of it are", mib(memory::FIXED))),
        (usage, format!("files of up to {} MiB", mib(capture::HASH_BYTES_DEFAULT))),
        (usage, format!("{} baselines of each kind", grouped(config::BASELINES_CAP as u64))),
        (usage, share("sessions", shares.sessions * shards as usize)),
        (usage, share("facts of open sessions", shares.evidence * shards as usize)),
        (usage, share("out-of-order TCP segments", shares.waiting * shards as usize)),
        (usage, share("endpoints", shares.endpoints)),
        (
            usage,
            share(
                "alerts, the ledger",
                shares.alerts + shares.repeats + shares.subjects + shares.groups,
            ),
        ),
        (usage, share("output queues", shares.outputs)),
        (usage, share("names and holders", 2 * shares.bindings)),
        (usage, format!("SYN without an answer | {} |", timeouts.tcp_opened)),
        (usage, format!("TCP, established | {} |", grouped(timeouts.tcp_established.into()))),
        (usage, format!("begun before the capture | {} |", timeouts.tcp_half)),
        (usage, format!("of both ends acknowledged | {} |", timeouts.tcp_closed)),
        (usage, format!("but not both acknowledged | {} |", timeouts.tcp_ending)),
        (usage, format!("that looks forged | {} |", timeouts.tcp_doubted)),
        (usage, format!("UDP, one side only | {} |", timeouts.udp_opened)),
        (usage, format!("UDP, both sides | {} |", timeouts.udp_established)),
        (usage, format!("everything else | {} |", timeouts.other)),
        ("docs/measurement.md", format!("{} microseconds by default", config::DEDUP_WINDOW_US)),
        (
            "docs/latency.md",
            format!("{} sessions on {} days", baseline::SESSIONS_MIN, baseline::DAYS_MIN),
        ),
    ]
}

#[test]
fn the_numbers_of_the_documents_are_those_of_the_program() {
    let lacks = |(document, sentence): &(&str, String)| {
        let text = fs::read_to_string(common::own(document)).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        !words.join(" ").contains(sentence.as_str())
    };
    let old: Vec<_> = numbers().into_iter().filter(lacks).collect();
    assert!(old.is_empty(), "these sentences are missing or have another number: {old:#?}");
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let top = help(&["--help"]);
    for (shell, sign) in
        [("bash", "complete"), ("zsh", "#compdef longhaul"), ("fish", "complete -c")]
    {
        let script = help(&["completions", shell]);
        assert!(script.contains(sign) && script.contains("pseudonymise"), "{shell}");
    }
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("man/pages");
    assert_eq!(help(&["man", dir.to_str().unwrap()]), "");
    for page in ["longhaul.1", "longhaul-read.1", "longhaul-live.1", "longhaul-rules-check.1"] {
        let text = fs::read_to_string(dir.join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
    let pages = fs::read_dir(&dir).unwrap().count();
    assert!(pages > 9, "{pages} pages\n{top}");
}
