//! Frames at the edge of what a capture holds: cut short, without IP, larger than any packet.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use longhaul::capture::BlockPool;
use longhaul::capture::HashPolicy;
use longhaul::capture::MergedSource;
use longhaul::capture::ReadOptions;
use longhaul::capture::block::BLOCK_BYTES;
use longhaul::capture::expand_inputs;
use longhaul::config::Plan;
use longhaul::model::Counter;
use longhaul::model::LinkType;
use longhaul::model::Nanos;
use longhaul::pipeline::NoProgress;
use longhaul::pipeline::run;

use crate::common::Row;
use crate::common::Seen;
use crate::common::table;
use crate::own_corpus::folders;
use crate::rtt;

/// A capture being made: pcapng, nanoseconds, an interface for each link type met.
struct Made {
    links: Vec<LinkType>,
    blocks: Vec<u8>,
}

impl Made {
    fn new() -> Made {
        let mut made = Made { links: Vec::new(), blocks: Vec::new() };
        let mut section = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
        section.extend([1, 0, 0, 0]);
        section.extend([0xff; 8]);
        made.block(0x0a0d_0d0a, &section);
        made
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let padded = body.len().next_multiple_of(4);
        let length = (padded as u32 + 12).to_le_bytes();
        self.blocks.extend(kind.to_le_bytes());
        self.blocks.extend(length);
        self.blocks.extend(body);
        self.blocks.resize(self.blocks.len() + padded - body.len(), 0);
        self.blocks.extend(length);
    }

    /// Adds a frame of which no more than `snap` bytes were captured.
    fn frame(&mut self, time: Nanos, link: LinkType, (bytes, wire): (&[u8], u32), snap: usize) {
        let interface = self.links.iter().position(|known| *known == link).unwrap_or_else(|| {
            let mut body = link.0.to_le_bytes().to_vec();
            // No snap length; times in units of 10^-9 s.
            body.extend([0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
            self.block(1, &body);
            self.links.push(link);
            self.links.len() - 1
        });
        let kept = &bytes[..bytes.len().min(snap)];
        let mut body = Vec::new();
        let high = (time.0 >> 32) as u32;
        for word in [interface as u32, high, time.0 as u32, kept.len() as u32, wire] {
            body.extend(word.to_le_bytes());
        }
        body.extend(kept);
        self.block(6, &body);
    }
}

/// Writes a capture again with every frame cut to `snap` bytes, its length on the wire kept.
fn cut(from: &Path, to: &Path, snap: usize) {
    let inputs = expand_inputs(&[from.to_path_buf()]).unwrap();
    let options = ReadOptions { hash: HashPolicy::Never, ..ReadOptions::default() };
    let mut source = MergedSource::open(inputs, &BlockPool::new(BLOCK_BYTES, 8), options);
    let mut made = Made::new();
    while let Some((file, meta)) = source.next() {
        // One without a time was given another's, which is not to be written down as its own.
        if !meta.trust.measures() {
            continue;
        }
        let frame = meta.frame(source.block(file).unwrap());
        made.frame(frame.time, frame.link, (frame.bytes, frame.wire_len), snap);
    }
    fs::write(to, made.blocks).unwrap();
}

#[derive(Debug, Default)]
struct Legs {
    equal: usize,
    absent: usize,
    wrong: Vec<String>,
}

/// Compares the legs of every row: those that are published.
fn compare(rows: &[Row], seen: &Seen) -> Legs {
    let mut claimed = HashSet::new();
    for row in rows.iter().filter(|row| row.some("syn_ts").is_some()) {
        claimed.extend(rtt::meant(seen, row, &claimed).into_iter().map(std::ptr::from_ref));
    }
    let mut legs = Legs::default();
    for row in rows.iter().filter(|row| !rtt::is_argued(row)) {
        let want = rtt::wanted(row);
        for record in rtt::meant(seen, row, &claimed) {
            let got = rtt::legs(record);
            for (leg, got, want) in [("far", got.0, want.0), ("near", got.1, want.1)] {
                match got {
                    None => legs.absent += usize::from(want.is_some()),
                    Some(_) if rtt::near_enough(got, want) => legs.equal += 1,
                    Some(got) => legs.wrong.push(format!(
                        "{} stream {} {leg}: expected {want:?}, got {got}",
                        row.get("file"),
                        row.get("stream")
                    )),
                }
            }
        }
    }
    legs
}

#[test]
fn frames_cut_by_a_snap_length_give_true_legs_or_none() {
    for (folder, _) in folders(&[]) {
        let rows = table(&folder.join("rtt.csv"));
        let names: HashSet<&str> = rows.iter().map(|row| row.get("file")).collect();
        for snap in [64, 96, 128] {
            let root = tempfile::tempdir().unwrap();
            for name in &names {
                cut(&folder.join(name), &root.path().join(name), snap);
            }
            let legs = compare(&rows, &Seen::read(vec![root.path().to_path_buf()]));
            let Legs { equal, absent, wrong } = &legs;
            println!(
                "snap length {snap}: {equal} legs equal, {absent} absent, {} wrong",
                wrong.len()
            );
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
            assert!(equal * 10 > (equal + absent) * 9, "most headers lie within {snap} bytes");
        }
    }
}

const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [198, 51, 100, 7];

/// A segment of the connection below: who sends it, flags, numbers, payload.
struct Segment {
    at_ms: u64,
    back: bool,
    flags: u8,
    seq: u32,
    ack: u32,
    payload: usize,
}

impl Segment {
    fn bytes(&self) -> Vec<u8> {
        let (from, to): (u16, u16) = if self.back { (443, 40_000) } else { (40_000, 443) };
        let mut out = Vec::new();
        out.extend(from.to_be_bytes());
        out.extend(to.to_be_bytes());
        out.extend(self.seq.to_be_bytes());
        out.extend(self.ack.to_be_bytes());
        out.extend([0x50, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        out.resize(out.len() + self.payload, 0);
        out
    }

    fn v4(&self, total: Option<u16>) -> Vec<u8> {
        let segment = self.bytes();
        let (from, to) = if self.back { (SERVER, CLIENT) } else { (CLIENT, SERVER) };
        let total = total.unwrap_or_else(|| segment.len() as u16 + 20);
        let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
        out.extend(total.to_be_bytes());
        out.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        out.extend(from);
        out.extend(to);
        out.extend(segment);
        out
    }

    fn v6(&self, length: Option<u16>) -> Vec<u8> {
        let segment = self.bytes();
        let [from, to] = if self.back { [2, 1] } else { [1, 2] };
        let length = length.unwrap_or(segment.len() as u16);
        let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60, 0, 0, 0];
        out.extend(length.to_be_bytes());
        out.extend([6, 64]);
        for last in [from, to] {
            out.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        out.extend(segment);
        out
    }

    /// Backbone addresses, backbone tag, service tag, then the customer's frame (IEEE 802.1Q
    /// clause 26).
    fn mac_in_mac(&self) -> Vec<u8> {
        let mut out = vec![2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 2, 0x88, 0xa8, 0, 5, 0x88, 0xe7];
        out.extend([0, 0, 0x12, 0x34]);
        out.extend(self.v4(None));
        out
    }
}

/// Round trips of 30 and 7 ms, one large segment, and the one behind it.
fn connection(payload: usize) -> [Segment; 6] {
    let large = payload as u32;
    let line =
        |at_ms, back, flags, (seq, ack), payload| Segment { at_ms, back, flags, seq, ack, payload };
    [
        line(0, false, 0x02, (99, 0), 0),
        line(30, true, 0x12, (499, 100), 0),
        line(37, false, 0x10, (100, 500), 0),
        line(40, false, 0x18, (100, 500), payload),
        line(70, true, 0x10, (500, 100 + large), 0),
        line(80, false, 0x18, (100 + large, 500), 5),
    ]
}

type Wrap = fn(&Segment) -> Vec<u8>;

/// Segments that fit say their length; one too large for its field says 0 (RFC 2675 section 3 of
/// IPv6; Linux does the same in IPv4).
const WRAPS: [(&str, Wrap, usize); 5] = [
    ("mac-in-mac", Segment::mac_in_mac, 100),
    ("jumbo", |segment| segment.v4(None), 8_960),
    ("jumbo-v6", |segment| segment.v6(None), 8_940),
    ("gro", |segment| segment.v4((segment.payload > 60_000).then_some(0)), 65_536),
    ("gro-v6", |segment| segment.v6((segment.payload > 60_000).then_some(0)), 65_536),
];

#[test]
fn large_and_wrapped_frames_count_whole_and_measure_right() {
    for (name, wrap, payload) in WRAPS {
        for snap in [usize::MAX, 128] {
            let root = tempfile::tempdir().unwrap();
            let mut made = Made::new();
            let mut bytes = [0, 0];
            for segment in connection(payload) {
                let frame = wrap(&segment);
                let time = Nanos::from_millis(1_700_000_000_000 + segment.at_ms);
                bytes[usize::from(segment.back)] += frame.len() as u64;
                made.frame(time, LinkType::ETHERNET, (&frame, frame.len() as u32), snap);
            }
            fs::write(root.path().join("made.pcapng"), made.blocks).unwrap();
            let seen = Seen::read(vec![root.path().to_path_buf()]);
            assert_eq!(seen.records.len(), 1, "{name}");
            let record = &seen.records[0];
            assert_eq!(rtt::legs(record), (Some(30_000_000), Some(7_000_000)), "{name}");
            assert_eq!([record.initiator.bytes, record.responder.bytes], bytes, "{name}");
            assert_eq!((record.initiator.packets, record.responder.packets), (4, 2), "{name}");
            let quality = &record.quality;
            let faults = (quality.gaps, quality.out_of_order, quality.retransmits);
            assert_eq!(faults, (0, 0, 0), "{name}: the segment behind the large one fits");
            assert_eq!(quality.truncated, snap == 128 && payload > 128 - 54, "{name}");
        }
    }
}

#[test]
fn a_tag_with_no_ip_behind_it_is_no_session() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("made.pcapng");
    let mut made = Made::new();
    let tagged = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 7];
    let arp = [&tagged[..], &[8, 6], &[0; 42]].concat();
    for (n, frame) in [&arp[..], &tagged[..], &tagged[..15], &tagged[..14]].into_iter().enumerate()
    {
        let time = Nanos::from_millis(1_700_000_000_000 + n as u64);
        made.frame(time, LinkType::ETHERNET, (frame, frame.len() as u32), usize::MAX);
    }
    fs::write(&path, made.blocks).unwrap();
    let plan = Plan { inputs: vec![path], quiet: true, ..Plan::default() };
    let counters = run(&plan, &mut NoProgress).unwrap().counters;
    let count = |counter| counters.get(counter);
    assert_eq!((count(Counter::Frames), count(Counter::Packets)), (4, 0));
    assert_eq!((count(Counter::NotIp), count(Counter::RejectShort)), (1, 3));
    assert_eq!(count(Counter::Sessions), 0);
}

/// A DNS answer with forty addresses, behind its UDP header.
fn answer() -> Vec<u8> {
    let mut message = vec![0, 7, 0x81, 0x80, 0, 1, 0, 40, 0, 0, 0, 0];
    message.extend(b"\x06pieces\x04test\0\0\x01\0\x01");
    for last in 0..40 {
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, last]);
    }
    let mut out = vec![0, 53, 0x9c, 0x40];
    out.extend((message.len() as u16 + 8).to_be_bytes());
    out.extend([0, 0]);
    out.extend(message);
    out
}

/// A fragment of it, from the server.
fn fragment(v6: bool, data: &[u8], at: usize, more: bool) -> Vec<u8> {
    let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    if v6 {
        out.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        out.extend((data.len() as u16 + 8).to_be_bytes());
        out.extend([44, 64]);
        for last in [2, 1] {
            out.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        out.extend([17, 0]);
        out.extend((at as u16 | u16::from(more)).to_be_bytes());
        out.extend([0, 1, 2, 3]);
    } else {
        out.extend([8, 0, 0x45, 0]);
        out.extend((data.len() as u16 + 20).to_be_bytes());
        out.extend([2, 3]);
        out.extend(((at as u16 / 8) | if more { 0x2000 } else { 0 }).to_be_bytes());
        out.extend([64, 17, 0, 0]);
        out.extend(SERVER);
        out.extend(CLIENT);
    }
    out.extend(data);
    out
}

/// Reads such fragments and gives how many addresses DNS told, of how many packets.
fn told(v6: bool, pieces: &[(usize, usize)]) -> (Option<usize>, u64) {
    let data = answer();
    let root = tempfile::tempdir().unwrap();
    let mut made = Made::new();
    for (n, (at, end)) in pieces.iter().enumerate() {
        let end = data.len().min(*end);
        let frame = fragment(v6, &data[*at..end], *at, end < data.len());
        let time = Nanos::from_millis(1_700_000_000_000 + n as u64);
        made.frame(time, LinkType::ETHERNET, (&frame, frame.len() as u32), usize::MAX);
    }
    fs::write(root.path().join("made.pcapng"), made.blocks).unwrap();
    let seen = Seen::read(vec![root.path().to_path_buf()]);
    assert_eq!(seen.records.len(), 1);
    let record = &seen.records[0];
    let answers = record.facts.dns.as_deref().map(|dns| dns.answers.len());
    (answers, record.initiator.packets + record.responder.packets)
}

#[test]
fn a_fragmented_datagram_is_read_up_to_a_gap() {
    const END: usize = usize::MAX;
    for v6 in [false, true] {
        let (all, packets) = told(v6, &[(0, 240), (240, 480), (480, END)]);
        assert!(all.is_some_and(|answers| answers > 0) && packets == 3, "{all:?} {packets}");
        assert_eq!(told(v6, &[(0, 240), (480, END), (240, 480)]), (all, 3));
        assert_eq!(told(v6, &[(0, 240), (0, 240), (240, END)]), (all, 2), "a copy is no packet");
        let (some, packets) = told(v6, &[(0, 240), (480, END)]);
        assert!(some.is_some_and(|some| some > 0) && some < all && packets == 2, "one missing");
        assert_eq!(told(v6, &[(0, 240), (232, 480), (480, END), (240, 480)]), (None, 4));
    }
}
