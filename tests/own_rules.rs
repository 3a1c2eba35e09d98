//! User rules: added to the embedded ones, instead of them, and the example in the manual.
//!
//! Owns: the first steps of a rule author. In: rules/README.md, captures made here. Out:
//! assertions.
//! Never: a recorded capture.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod craft;

use std::fs;
use std::path::Path;
use std::process::Command;

use craft::Connection;
use craft::Said;
use longhaul::model::site_values::SiteValues;
use serde_json::Value;

/// `longhaul` with these arguments: exit code, standard output, standard error.
fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_longhaul")).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The files of the example in rules/README.md, below `folder`.
fn write_example(folder: &Path) {
    let text = include_str!("../rules/README.md");
    let (_, example) = text.split_once("## A complete example").unwrap();
    let (example, _) = example.split_once("\n## ").unwrap();
    let mut parts = example.split("```");
    let mut files = 0;
    while let (Some(before), Some(fenced)) = (parts.next(), parts.next()) {
        let name = before.trim_end().trim_end_matches("`:").rsplit('`').next().unwrap();
        let (_, content) = fenced.split_once('\n').unwrap();
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        files += 1;
    }
    assert_eq!(files, 4);
}

/// An outside host has an SSH session of a minute with a build host, and an inside host looks up a
/// name of Astrill.
fn capture() -> Vec<u8> {
    let mut ssh = Connection::new("198.51.100.9:40000", "10.20.30.5:22");
    ssh.open().answer(b"SSH-2.0-OpenSSH_9.6\r\n").ask(b"SSH-2.0-OpenSSH_9.7\r\n");
    let mut capture = ssh.wait(61 * craft::SECOND).close();
    let (host, resolver) = ("10.20.0.5:40001".parse().unwrap(), "192.0.2.53:53".parse().unwrap());
    let name = "client.astrill.com";
    let answer = craft::dns_answer(7, name, &["203.0.113.40".parse().unwrap()]);
    let (asked, answered) = (craft::START, craft::START + craft::MS);
    capture.add(asked, craft::udp(host, resolver, &craft::dns_query(7, name, 1)));
    capture.add(answered, craft::udp(resolver, host, &answer));
    capture.sorted().pcap()
}

fn fired(said: &Said) -> Vec<String> {
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let mut rules: Vec<String> = said.rules().into_iter().map(|(rule, _)| rule).collect();
    rules.dedup();
    rules
}

fn sets(said: &Said) -> Vec<&str> {
    let sets = said.run["rules"].as_array().unwrap();
    sets.iter().map(|set| set["name"].as_str().unwrap()).collect()
}

#[test]
fn the_example_of_the_manual_is_complete() {
    let temp = tempfile::tempdir().unwrap();
    write_example(temp.path());
    let rules = temp.path().join("my-rules");
    let rules = rules.to_str().unwrap();
    let (code, out, err) = run(&["rules", "test", rules]);
    assert!(code == Some(0) && out.contains("3 cases, 0 failed"), "{out}{err}");
    let (code, out, err) = run(&["rules", "check", rules]);
    assert_eq!((code, &*out), (Some(0), "1 rules, all sound\n"));
    // What a rule costs is measured: a slow machine may have something to say of that.
    assert!(err.lines().all(|line| line.contains(" us for an event ")), "{err}");
    let said = craft::read(&capture(), &["--rules", rules]);
    let alert = said.alerts.iter().find(|alert| *craft::at(alert, "rule.id") == "D100").unwrap();
    let message = alert["message"].as_str().unwrap();
    assert!(message.starts_with("198.51.100.9 held an SSH session with the build host"));
    let sources = craft::at(alert, "longhaul.sources").as_array().unwrap();
    assert!(sources.iter().any(|source| source["name"] == "my-rules"), "{sources:?}");
}

#[test]
fn own_rules_are_added_to_the_embedded_ones_or_replace_them() {
    let temp = tempfile::tempdir().unwrap();
    write_example(temp.path());
    let at = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    let (dir, file) = (at("my-rules"), at("my-rules/d100_ssh_to_build_host.yml"));
    let other = fs::read_to_string(&file).unwrap();
    let other = other.replace("D100", "D101").replace("7c2d9f0a", "7c2d9f0b");
    fs::write(at("other.yml"), other).unwrap();
    let embedded = fired(&craft::read(&capture(), &[]));
    assert!(embedded.contains(&"D18".to_owned()), "{embedded:?}");
    let both = |more: &[&str]| [more.iter().map(ToString::to_string).collect(), embedded.clone()];
    let both = |more: &[&str]| {
        let mut all = both(more).concat();
        all.sort();
        all
    };
    let sorted = |said: &Said| {
        let mut rules = fired(said);
        rules.sort();
        rules
    };
    let said = craft::read(&capture(), &["--rules", &dir]);
    assert_eq!((sorted(&said), sets(&said)), (both(&["D100"]), vec!["embedded", "my-rules"]));
    let said = craft::read(&capture(), &["--rules", &file, "--rules", &at("other.yml")]);
    assert_eq!(sorted(&said), both(&["D100", "D101"]));
    let said = craft::read(&capture(), &["--rules-only", &dir]);
    assert_eq!((sorted(&said), sets(&said)), (vec!["D100".to_owned()], vec!["my-rules"]));
    let said = craft::read(&capture(), &["--rules-only", &dir, "--rules", &at("other.yml")]);
    assert_eq!(sorted(&said), ["D100", "D101"]);
    // The same by configuration; options override it.
    let config = format!("rules = [\"{dir}\", \"{}\"]\n", at("other.yml"));
    fs::write(at("a.toml"), config).unwrap();
    let said = craft::read(&capture(), &["--config", &at("a.toml")]);
    assert_eq!(sorted(&said), both(&["D100", "D101"]));
    let said = craft::read(&capture(), &["--config", &at("a.toml"), "--rules", &dir]);
    assert_eq!(sorted(&said), both(&["D100"]));
    fs::write(at("b.toml"), format!("rules_only = \"{dir}\"\n")).unwrap();
    let said = craft::read(&capture(), &["--config", &at("b.toml")]);
    assert_eq!(sorted(&said), ["D100"]);
}

/// Without lines of sessions only those that raise something are given a Community ID: a rule may
/// name it all the same, where no condition reads it.
#[test]
fn a_rule_may_name_the_community_id_whether_or_not_sessions_are_written() {
    let temp = tempfile::tempdir().unwrap();
    write_example(temp.path());
    let file = temp.path().join("my-rules/d100_ssh_to_build_host.yml");
    let text = fs::read_to_string(&file).unwrap();
    let message = "{source.ip} held an SSH session";
    assert!(text.contains(message));
    let text = text.replace(message, "{network.community_id} is an SSH session");
    fs::write(
        &file,
        text.replace("evidence:\n", "evidence:\n    - {field: network.community_id}\n"),
    )
    .unwrap();
    let file = file.to_str().unwrap();
    for more in [&[][..], &["--no-sessions"]] {
        let said = craft::read(&capture(), &[&["--rules-only", file], more].concat());
        let [alert] = &said.alerts[..] else { panic!("{} {:?}", said.stderr, said.alerts) };
        let id = craft::at(alert, "network.community_id").as_str().unwrap();
        let message = craft::at(alert, "message").as_str().unwrap();
        assert!(id.starts_with("1:") && message.starts_with(id), "{more:?}: {id} {message}");
        let evidence = craft::at(alert, "longhaul.evidence").as_array().unwrap();
        assert!(evidence.iter().any(|piece| piece["text"] == id), "{more:?}: {evidence:?}");
    }
}

#[test]
fn a_rule_defined_twice_is_refused_with_both_positions() {
    let temp = tempfile::tempdir().unwrap();
    write_example(temp.path());
    let at = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    let text = fs::read_to_string(at("my-rules/d100_ssh_to_build_host.yml")).unwrap();
    let refused = |text: &str, first: &str, second: &str, why: &str| {
        fs::write(at("twice.yml"), text).unwrap();
        let args = ["read", "x.pcap", "--rules", &at("my-rules"), "--rules", &at("twice.yml")];
        let (code, _, err) = run(&args);
        assert_eq!(code, Some(2), "{err}");
        for word in [first, second, why] {
            assert!(err.contains(word), "{word}: {err}");
        }
    };
    fs::write(temp.path().join("x.pcap"), capture()).unwrap();
    refused(&text, "d100_ssh_to_build_host.yml:1", "twice.yml:2", "the id is taken");
    let number = text.replace("7c2d9f0a", "7c2d9f0b");
    refused(&number, "d100_ssh_to_build_host.yml:1", "twice.yml:27", "number D100 is taken");
    // The number of an embedded one.
    let number = number.replace("D100", "D18");
    refused(&number, "embedded/network/d18", "twice.yml:27", "--rules-only");
    let (code, out, err) = run(&["rules", "check", &at("twice.yml")]);
    assert!(code == Some(0) && out.contains("1 rules") && err.contains("D18"), "{out}{err}");
    let (code, _, err) = run(&["read", "x.pcap", "--rules", "rules"]);
    assert!(code == Some(2) && err.contains("--rules-only"), "{err}");
}

#[test]
fn the_embedded_rules_and_cases_can_be_written_out() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("deep/own");
    let text = dir.to_str().unwrap();
    let (code, out, err) = run(&["rules", "export", text]);
    assert_eq!(code, Some(0), "{out}{err}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    for name in ["network/d01_vpn_exit_inbound.yml", "cases/d01/firing.high.json"] {
        assert_eq!(fs::read(dir.join(name)).unwrap(), fs::read(root.join(name)).unwrap());
    }
    let exported = run(&["rules", "test", text]);
    let own = run(&["rules", "test", root.to_str().unwrap()]);
    assert_eq!(exported.0, Some(0), "{}", exported.1);
    assert_eq!(exported.1.lines().last(), own.1.lines().last());
    let (code, _, err) = run(&["rules", "export", text]);
    assert!(code == Some(2) && err.contains("not empty"), "{err}");
}

/// An event of a case, sent by somebody who saw no answer; false for one of an endpoint, which has
/// only confirmed sessions.
fn unconfirm(event: &mut Value) -> bool {
    let event = event.as_object_mut().unwrap();
    let is_session = !event.contains_key("endpoint.side");
    if is_session {
        event.insert("longhaul.quality.unconfirmed".to_owned(), true.into());
    }
    is_session
}

/// Every case in which a rule fires, as if anybody could have sent its packets. Only a look-up is
/// told all the same: a question and its answer are one packet each.
#[test]
fn what_anybody_can_forge_fires_no_rule_but_look_ups() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("rules");
    assert_eq!(run(&["rules", "export", dir.to_str().unwrap()]).0, Some(0));
    let mut tried = 0;
    for folder in fs::read_dir(dir.join("cases")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            let mut case: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            let changed = match &mut case {
                Value::Array(events) => {
                    events.iter_mut().filter_map(|e| unconfirm(e).then_some(())).count()
                }
                event => usize::from(unconfirm(event)),
            };
            fs::remove_file(&file).unwrap();
            if name.starts_with("firing") && changed > 0 {
                tried += 1;
                let quiet = file.with_file_name(format!("quiet-{name}"));
                fs::write(quiet, serde_json::to_vec(&case).unwrap()).unwrap();
            }
        }
    }
    let results = longhaul::detect::cases::run(&dir, &SiteValues::default()).unwrap();
    // Rules themselves have no firing case now.
    let cases = results.iter().filter(|result| result.file.extension().unwrap() == "json");
    let fired: Vec<String> = cases
        .filter(|result| result.failure.is_some())
        .map(|result| format!("{} {}", result.rule, result.file.file_name().unwrap().display()))
        .collect();
    let look_ups = ["D08", "D18", "D20", "D23"];
    assert_eq!(fired, look_ups.map(|rule| format!("{rule} quiet-firing-lookup.low.json")));
    assert!(tried > 45, "{tried}");
}

#[test]
fn the_codes_of_places_are_listed() {
    let (code, out, _) = run(&["geo", "places"]);
    assert!(code == Some(0) && out.lines().count() > 3_900);
    let (code, out, _) = run(&["geo", "places", "new york"]);
    assert!(code == Some(0) && out.contains("JFK  US") && out.contains("NYC  US"), "{out}");
    let (code, out, _) = run(&["geo", "places", "lhr"]);
    assert!(code == Some(0) && out.lines().count() == 1 && out.contains("London"), "{out}");
    let (code, _, err) = run(&["geo", "places", "nowhere at all"]);
    assert!(code == Some(2) && err.contains("LAT,LON"), "{err}");
}
