//! Who is accused where a device of ours shows the page of an IP-KVM.

use super::*;

const DEVICE: &str = "10.20.30.77";

/// The victim opens a page of the device, whose interface is of a maker of such devices.
fn page() -> Vec<u8> {
    let mut talk = Connection::new(&victim(50_000).to_string(), &format!("{DEVICE}:80"));
    let body = "<html><head><title>PiKVM Login</title></head></html>";
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length:";
    talk.open().ask(b"GET / HTTP/1.1\r\nHost: 10.20.30.77\r\n\r\n");
    talk.answer(format!("{head} {length}\r\n\r\n{body}").as_bytes());
    let mut capture = talk.close();
    for (_, frame) in &mut capture.frames {
        if frame[26..30] == [10, 20, 30, 77] {
            frame[6..12].copy_from_slice(&PI);
        }
    }
    capture.pcap()
}

fn judged(subjects: Option<&str>) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("subjects.csv");
    let mut args = vec!["--quiet", "--workers", "1"];
    if let Some(text) = subjects {
        std::fs::write(&path, text).unwrap();
        args.extend(["--subjects", path.to_str().unwrap()]);
    }
    let said = read(&page(), &args);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    said
}

/// Whoever opens a page has not set up the device that shows it.
#[test]
fn the_page_of_a_kvm_accuses_the_device_that_shows_it() {
    let said = judged(None);
    assert_eq!(accused(&said), [("D22".to_owned(), "high".to_owned())]);
    let alert = &said.alerts[0];
    assert_eq!(*at(alert, "longhaul.subject.id"), DEVICE);
    assert_eq!(*at(alert, "longhaul.home.ip"), DEVICE);
    assert_eq!(*at(alert, "longhaul.remote.ip"), VICTIM);
    assert_eq!(*at(alert, "source.ip"), VICTIM, "who spoke with it stays visible");
    for incident in &said.incidents {
        assert_eq!(*at(incident, "longhaul.subject.id"), DEVICE);
    }
}

#[test]
fn nothing_of_the_visitor_is_told_of_the_device() {
    let head = "match,id,name,role,approved\n10.20.30.99,e-1,Ann,analyst,\n";
    let said = judged(Some(head));
    let alert = &said.alerts[0];
    assert_eq!(*at(alert, "longhaul.subject.id"), DEVICE);
    for field in ["longhaul.subject.name", "longhaul.subject.role"] {
        assert!(at(alert, field).is_null(), "{field}: {alert}");
    }
    assert_eq!(*at(&said.sessions[0], "longhaul.subject.id"), "e-1");
    let said = judged(Some(&format!("{head}{DEVICE},k-1,Rack 3,,\n")));
    assert_eq!(*at(&said.alerts[0], "longhaul.subject.id"), "k-1");
    assert_eq!(*at(&said.alerts[0], "longhaul.subject.name"), "Rack 3");
    let said = judged(Some(&format!("{head}{DEVICE},k-1,Rack 3,,kvm:pikvm\n")));
    assert_eq!(accused(&said), [], "it may show it");
}
