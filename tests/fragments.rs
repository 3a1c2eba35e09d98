//! Sessions whose packets are fragmented so that a sensor might not see whose they are: the first
//! fragment is shorter than the transport header, or comes after the others (RFC 1858, RFC 3128).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod craft;

use craft::Capture;
use craft::Connection;
use craft::MS;
use craft::SECOND;
use craft::Said;
use craft::at;
use craft::client_hello;
use craft::ethernet;
use craft::read;
use craft::server_hello;
use craft::tls_data;

const NAME: &str = "relay-deadbeef.net.anydesk.com";

/// The fragments of an Ethernet frame with a plain IP packet, of so many bytes each, in order.
fn fragments(frame: &[u8], id: u16, sizes: &[usize]) -> Vec<Vec<u8>> {
    let is_v4 = frame[12..14] == [8, 0];
    let (header, data) = frame[14..].split_at(if is_v4 { 20 } else { 40 });
    let (mut out, mut begin) = (Vec::new(), 0);
    let mut sizes = sizes.iter().copied().chain(std::iter::repeat(1_400));
    while begin < data.len() {
        let end = (begin + sizes.next().unwrap()).min(data.len());
        let (more, part) = (u16::from(end < data.len()), &data[begin..end]);
        let mut ip = header.to_vec();
        if is_v4 {
            ip[2..4].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
            ip[4..6].copy_from_slice(&id.to_be_bytes());
            ip[6..8].copy_from_slice(&(more << 13 | (begin / 8) as u16).to_be_bytes());
        } else {
            let next = std::mem::replace(&mut ip[6], 44);
            ip[4..6].copy_from_slice(&(8 + part.len() as u16).to_be_bytes());
            ip.extend([next, 0]);
            ip.extend((begin as u16 | more).to_be_bytes());
            ip.extend(u32::from(id).to_be_bytes());
        }
        ip.extend(part);
        out.push(ethernet(if is_v4 { 0x0800 } else { 0x86dd }, &ip));
        begin = end;
    }
    out
}

/// A session of some minutes with a tool's name in its hello.
fn session(client: &str, server: &str) -> Capture {
    let mut talk = Connection::new(client, server);
    talk.open().ask(&client_hello(NAME)).answer(&server_hello());
    talk.wait(40 * SECOND).ask(&tls_data(600)).answer(&tls_data(600));
    talk.close()
}

/// The same with each packet in fragments, as `arrange` orders them.
fn fragmented(whole: &Capture, sizes: &[usize], arrange: impl Fn(&mut Vec<Vec<u8>>)) -> Capture {
    let mut capture = Capture::default();
    for (n, (time, frame)) in whole.frames.iter().enumerate() {
        let mut parts = fragments(frame, 100 + n as u16, sizes);
        arrange(&mut parts);
        for (step, part) in parts.into_iter().enumerate() {
            capture.add(time + step as u64 * MS / 100, part);
        }
    }
    capture
}

fn count(said: &Said, name: &str) -> u64 {
    at(&said.run, &format!("counters.{name}")).as_u64().unwrap()
}

#[test]
fn a_session_in_tiny_or_early_fragments_is_seen() {
    for ends in
        [("10.20.30.99:50000", "203.0.113.40:443"), ("[fd00::9]:50000", "[2001:db8::5]:443")]
    {
        let whole = session(ends.0, ends.1);
        let wanted = read(&whole.pcap(), &[]);
        assert_eq!(wanted.rules(), [("D08".to_owned(), "medium".to_owned())]);
        for sizes in [&[8, 8, 8][..], &[16, 8], &[8], &[24, 8]] {
            for order in ["forward", "backward", "first last", "doubled"] {
                let capture = fragmented(&whole, sizes, |parts| match order {
                    "backward" => parts.reverse(),
                    "first last" => parts.rotate_left(1),
                    "doubled" => {
                        *parts = parts.iter().flat_map(|p| [p.clone(), p.clone()]).collect()
                    }
                    _ => {}
                });
                let said = read(&capture.pcap(), &["--workers", "1"]);
                let what = format!("{ends:?} {sizes:?} {order}");
                assert_eq!(said.sessions.len(), 1, "{what}");
                for path in ["tls.client.server_name", "longhaul.state", "network.application"] {
                    let of = |said: &Said| at(&said.sessions[0], path).clone();
                    assert_eq!(of(&said), of(&wanted), "{what}: {path}");
                }
                assert_eq!(said.rules(), wanted.rules(), "{what}");
                assert_eq!(at(&said.run, "loss.fragments").as_u64().unwrap_or(0), 0, "{what}");
                assert_eq!(at(&said.run, "loss.decode").as_u64().unwrap_or(0), 0, "{what}");
                let again = read(&capture.pcap(), &["--workers", "8"]);
                assert_eq!(said.sessions, again.sessions, "{what}: workers differ");
            }
        }
    }
}

#[test]
fn what_is_not_whole_or_contradicts_itself_is_a_loss() {
    let whole = session("10.20.30.99:50000", "203.0.113.40:443");
    // Without the last fragment nobody reads the datagram.
    let cut = fragmented(&whole, &[8, 8], |parts| drop(parts.pop()));
    let said = read(&cut.pcap(), &[]);
    assert!(said.sessions.is_empty());
    assert_eq!(count(&said, "decode.fragment_orphans"), cut.frames.len() as u64);
    assert!(at(&said.run, "loss.decode").as_u64().unwrap() > 0);
    // A second fragment that reaches back into the header (RFC 3128 section 3).
    let overlapping = fragmented(&whole, &[16, 8], |parts| {
        let mut over = parts[1].clone();
        over[21] -= 1;
        parts.insert(1, over);
    });
    let said = read(&overlapping.pcap(), &[]);
    assert!(said.sessions.is_empty());
    assert_eq!(count(&said, "session.datagrams_overlapping"), whole.frames.len() as u64);
    assert!(at(&said.run, "loss.fragments").as_u64().unwrap() > 0);
}

/// Whoever knows the identification sends a fragment of other bytes first, perhaps with a time to
/// live that does not reach the receiver.
#[test]
fn a_contradicting_fragment_hides_no_session() {
    let whole = session("10.20.30.99:50000", "203.0.113.40:443");
    let wanted = read(&whole.pcap(), &[]);
    // Before the first fragment, which has its header; it overlaps, or lies beyond the end.
    for (begin, more) in [(24, 1), (800, 1), (24, 0)] {
        let capture = fragmented(&whole, &[24], |parts| {
            let mut decoy = parts.first().unwrap().clone();
            decoy.truncate(14 + 20 + 16);
            decoy[16..18].copy_from_slice(&36u16.to_be_bytes());
            decoy[20..22].copy_from_slice(&(more << 13 | (begin / 8) as u16).to_be_bytes());
            decoy[34..].fill(0xdd);
            if parts.len() > 1 {
                parts.insert(0, decoy);
            }
        });
        let said = read(&capture.pcap(), &["--workers", "1"]);
        let what = format!("{begin} {more}");
        let of = |said: &Said, path| at(&said.sessions[0], path).as_u64().unwrap();
        assert_eq!(said.sessions.len(), 1, "{what}");
        for (path, least) in [("source.port", 50_000), ("source.packets", 1)] {
            assert!(of(&said, path) >= least.max(of(&wanted, path)), "{what}: {path}");
        }
        // One that ends where the datagram ends is taken for the true one, which is left over.
        let counted = ["session.datagrams_overlapping", "decode.fragment_orphans"];
        assert!(counted.iter().any(|name| count(&said, name) > 0), "{what}");
        let again = read(&capture.pcap(), &["--workers", "8"]);
        assert_eq!(again.sessions, said.sessions, "{what}");
    }
}

/// Fragments of a datagram that is over do not spoil the next one with its number.
#[test]
fn a_stale_fragment_does_not_hide_the_next_datagram() {
    let whole = session("10.20.30.99:50000", "203.0.113.40:443");
    let capture = fragmented(&whole, &[64, 8], |parts| {
        if parts.len() > 1 {
            // Within what the first one of the next datagram says.
            let mut stale = parts[1].clone();
            stale[20..22].copy_from_slice(&[0x20, 1]);
            parts.insert(0, stale);
        }
    });
    let said = read(&capture.pcap(), &[]);
    assert_eq!(said.sessions.len(), 1);
    assert_eq!(*at(&said.sessions[0], "tls.client.server_name"), NAME);
    assert!(count(&said, "decode.fragment_orphans") > 0);
}

/// Whoever sends many that never become whole makes the sensor forget fragments, which is counted.
#[test]
fn a_flood_of_fragments_is_bounded_and_counted() {
    let whole = session("10.20.30.99:50000", "203.0.113.40:443");
    let mut capture = Capture::default();
    let (time, frame) = &whole.frames[3];
    for n in 0..3_000u16 {
        let parts = fragments(frame, n, &[8, 8]);
        capture.add(time + u64::from(n), parts[1].clone());
    }
    let said = read(&capture.pcap(), &[]);
    assert_eq!(count(&said, "decode.fragments_held"), 3_000);
    assert_eq!(count(&said, "decode.fragment_orphans"), 3_000);
    assert!(said.sessions.is_empty());
}
