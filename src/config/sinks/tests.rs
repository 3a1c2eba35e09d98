//! Sinks as files configure them.

use std::path::Path;

use super::*;
use crate::config::Plan;
use crate::config::file::parse_config;

fn sinks(text: &str) -> Result<Vec<SinkPlan>, Vec<Error>> {
    let mut plan = Plan::default();
    parse_config(Path::new("c.toml"), text).unwrap().apply(&mut plan).map(|()| plan.sinks)
}

#[test]
fn a_syslog_sink_has_the_defaults_of_its_type() {
    let text = "[[sink]]\nname = \"siem\"\ntype = \"syslog\"\nurl = \"tls://siem.example\"\n";
    let [sink] = sinks(text).unwrap().try_into().unwrap();
    assert_eq!((sink.form, sink.level, sink.kinds.len()), (Form::Ecs, Level::Informational, 3));
    assert_eq!((sink.place.1, sink.spool_max), (1, SPOOL_MAX));
    let Receiver::Syslog { transport, host, port, facility, .. } = sink.to else { panic!() };
    assert_eq!((transport, host.as_str()), (Transport::Tls, "siem.example"));
    assert_eq!((port, facility), (6514, 16));
}

#[test]
fn all_errors_of_all_sinks_are_told_at_once() {
    let text = "[[sink]]\nname = \"a\"\ntype = \"syslog\"\nurl = \"http://x\"\n\
                format = \"xml\"\n\
                [[sink]]\nname = \"b\"\ntype = \"splunk-hec\"\nurl = \"https://x:8088\"\n\
                cert = \"c.pem\"\nfacility = \"local9\"\n\
                [[sink]]\nname = \"c\"\ntype = \"rabbit\"\n";
    let errors = sinks(text).unwrap_err();
    let told: Vec<(String, u32)> =
        errors.iter().map(|error| (error.what.clone(), error.place.as_ref().unwrap().1)).collect();
    let want = [
        ("sink a: format", 1),
        ("sink a: url", 1),
        ("sink b: cert", 6),
        ("sink b: token_file", 6),
        ("sink b: facility", 6),
        ("sink c: type", 12),
    ];
    assert_eq!(told, want.map(|(what, line)| (what.to_owned(), line)));
    assert!(errors.iter().all(|error| error.help.is_some()));
}

#[test]
fn a_secret_does_not_leave_this_machine_in_the_clear_unasked() {
    let sink = |url: &str, more: &str| {
        sinks(&format!("[[sink]]\nname = \"a\"\ntype = \"elasticsearch\"\nurl = \"{url}\"\n{more}"))
    };
    let token = "token_file = \"t\"\n";
    for url in ["http://siem.example:9200", "http://127.0.0.1.example", "http://[2001:db8::1]"] {
        let errors = sink(url, token).unwrap_err();
        assert_eq!((errors.len(), errors[0].what.as_str()), (1, "sink a: url"), "{url}");
        assert!(errors[0].help.as_ref().unwrap().contains("https://"));
        let login = "user = \"u\"\npassword_file = \"p\"\n";
        assert_eq!(sink(url, login).unwrap_err().len(), 1, "{url}");
        assert!(sink(url, "").is_ok() && sink(url, &format!("{token}plain_http = true")).is_ok());
    }
    for url in ["https://x", "http://127.0.0.9:1", "http://localhost/p", "http://[::1]:9200"] {
        assert!(sink(url, token).is_ok(), "{url}");
    }
}

#[test]
fn two_sinks_never_share_a_name_or_a_spool() {
    let one = "[[sink]]\nname = \"a\"\ntype = \"stdout\"\nspool = \"s\"\n";
    assert_eq!(sinks(&format!("{one}{one}")).unwrap_err().len(), 2);
}

#[test]
fn hosts_and_ports_are_told_apart() {
    let of = |text| host_port(text, 9);
    assert_eq!(of("siem"), Some(("siem".into(), 9)));
    assert_eq!(of("siem:1"), Some(("siem".into(), 1)));
    assert_eq!(of("[2001:db8::1]:7"), Some(("2001:db8::1".into(), 7)));
    for wrong in ["", ":5", "a b", "a:x", "a:70000", "[::1"] {
        assert_eq!(of(wrong), None, "{wrong}");
    }
}

#[test]
fn message_queues_have_defaults_and_keep_passwords_off_the_wire() {
    let sink = |kind: &str, url: &str, more: &str| {
        sinks(&format!("[[sink]]\nname = \"q\"\ntype = \"{kind}\"\nurl = \"{url}\"\n{more}"))
    };
    let [kafka] = sink("kafka", "kafka://a,[::1]:9", "").unwrap().try_into().unwrap();
    let Receiver::Kafka { brokers, topic, login, tls } = kafka.to else { panic!() };
    assert_eq!((brokers, topic.as_str()), (vec!["a:9092".into(), "[::1]:9".into()], "longhaul"));
    assert_eq!((login, tls), (None, None));
    let [nats] = sink("nats", "tls://n", "subject = \"a.b\"").unwrap().try_into().unwrap();
    let Receiver::Nats { url, subject, tls, .. } = nats.to else { panic!() };
    assert_eq!((url.as_str(), subject.as_str(), tls.is_some()), ("tls://n:4222", "a.b", true));
    let login = "user = \"u\"\npassword_file = \"p\"\n";
    assert!(sink("kafka", "kafka://127.0.0.1", login).is_ok(), "SCRAM shows no password");
    let plain = format!("{login}sasl = \"plain\"\n");
    assert!(sink("kafka", "kafka+tls://k", &plain).is_ok());
    for (kind, url, more) in [
        ("kafka", "kafka://127.0.0.1", plain.as_str()),
        ("nats", "nats://n.example", "token_file = \"t\"\n"),
        ("kafka", "http://k", ""),
        ("nats", "nats://", ""),
        ("nats", "nats://n", "topic = \"x\""),
        ("kafka", "kafka://k", "topic = \"a b\""),
        ("kafka", "kafka://k", "token_file = \"t\""),
    ] {
        assert_eq!(sink(kind, url, more).unwrap_err().len(), 1, "{kind} {url} {more}");
    }
}

#[test]
fn a_login_in_an_address_is_not_shown() {
    for (kind, url) in [
        ("webhook", "http://me:s3cret@h"),
        ("syslog", "tls://me:s3cret@h"),
        ("nats", "nats://me:s3cret@h"),
        ("kafka", "kafka://me:s3cret@h"),
    ] {
        let text = format!("[[sink]]\nname = \"a\"\ntype = \"{kind}\"\nurl = \"{url}\"\n");
        let errors = sinks(&text).unwrap_err();
        let said = format!("{errors:?}");
        assert!(!said.contains("s3cret") && said.contains("password_file"), "{said}");
    }
}

#[test]
fn two_sinks_never_write_to_one_file() {
    let one =
        |name: &str| format!("[[sink]]\nname = \"{name}\"\ntype = \"file\"\npath = \"/tmp/x\"\n");
    let errors = sinks(&format!("{}{}", one("a"), one("b"))).unwrap_err();
    assert_eq!(errors[0].what, "sink b: path");
}
