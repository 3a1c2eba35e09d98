//! No allocation per packet: measured with a counting allocator on runs of the whole pipeline.
//!
//! Owns: the counting allocator and a capture of long-lived sessions. In: nothing. Out: the number
//! of allocations per thread. Never: counts one thread's allocations for another.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use longhaul::config::Plan;
use longhaul::config::live::LivePlan;
use longhaul::config::live::Rotate;
use longhaul::model::Record;
use longhaul::pipeline::NoProgress;
use longhaul::pipeline::live;
use longhaul::pipeline::live::LiveRun;
use longhaul::pipeline::run_tapped;
use net::Net;

#[allow(dead_code, clippy::disallowed_methods, reason = "shared with the tests of the sensor")]
#[path = "live/net.rs"]
mod net;

#[allow(dead_code, reason = "shared with other tests")]
mod craft;

/// The system's allocator, counting the calls of each thread.
struct Counting;

thread_local! {
    /// Allocations of this thread so far. Constant and without a destructor, so that reading it
    /// never allocates.
    static MADE: Cell<u64> = const { Cell::new(0) };
}

/// Allocations of all threads together.
static ALL: AtomicU64 = AtomicU64::new(0);
/// Held by a test that counts the allocations of all threads, and by tests that would add to them.
static ALONE: Mutex<()> = Mutex::new(());

fn note() {
    ALL.fetch_add(1, Ordering::Relaxed);
    // A thread that is ending has nothing left to measure.
    let _ = MADE.try_with(|made| made.set(made.get() + 1));
}

// SAFETY: every call is forwarded to `System` unchanged; counting only touches a thread-local cell.
#[allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait; nothing else counts allocations")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's guarantee about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's guarantee about `layout` is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: `at` came from `System` with this layout.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from `System` with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SESSIONS: u64 = 50;
const SECONDS: u64 = 20;
const BODY: usize = 200;
const START_NS: u64 = 1_700_000_000_000_000_000;
/// Stored bytes of a frame: Ethernet, IPv4, TCP, payload, and the record header in the file.
const STORED: u64 = 16 + 14 + 20 + 20 + BODY as u64;

/// A block is read at once and shared through one reference-counted handle, which is allocated.
const BLOCK: u64 = longhaul::capture::block::BLOCK_BYTES as u64;

/// Buffers, batches and handovers in flight depend on how far one thread is ahead of another; all
/// are bounded and recycled.
const UNDER_WAY: u64 = 400;

/// A capture of fifty connections and as many datagram exchanges, all open to the end, with
/// `packets` packets in total in the same twenty seconds.
fn write_capture(path: &Path, packets: u64) {
    let mut out = vec![0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    out.extend([0, 0, 4, 0, 1, 0, 0, 0]);
    for (n, frame) in (0..).zip(frames(packets)) {
        let at = START_NS + n * (SECONDS * 1_000_000_000 / packets);
        for word in [at / 1_000_000_000, at % 1_000_000_000, frame.len() as u64, frame.len() as u64]
        {
            out.extend((word as u32).to_le_bytes());
        }
        out.extend(frame);
    }
    std::fs::write(path, out).unwrap();
}

/// Their packets, in turn.
fn frames(packets: u64) -> impl Iterator<Item = Vec<u8>> {
    let mut next = vec![[1_000u32, 9_000u32]; SESSIONS as usize];
    (0..packets).map(move |n| {
        let session = n % (2 * SESSIONS);
        let round = n / (2 * SESSIONS);
        let back = round % 2 == 1;
        let tcp = session < SESSIONS;
        let body = if tcp {
            let [client, server] = &mut next[session as usize];
            segment(session, round, back, client, server)
        } else {
            datagram(session, back)
        };
        frame(session, back, tcp, &body)
    })
}

fn frame(session: u64, back: bool, tcp: bool, body: &[u8]) -> Vec<u8> {
    let ends = [[10, 9, 0, session as u8], [198, 51, 100, 7]];
    let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    out.extend((body.len() as u16 + 20).to_be_bytes());
    out.extend([0, 0, 0x40, 0, 60, if tcp { 6 } else { 17 }, 0, 0]);
    out.extend(ends[usize::from(back)]);
    out.extend(ends[usize::from(!back)]);
    out.extend(body);
    out
}

fn ports(session: u64, back: bool) -> [u8; 4] {
    let (client, server) = ((40_000 + session as u16).to_be_bytes(), 50_000u16.to_be_bytes());
    let both = if back { [server, client] } else { [client, server] };
    [both[0][0], both[0][1], both[1][0], both[1][1]]
}

/// SYN, SYN-ACK, then data in both directions without end.
fn segment(session: u64, round: u64, back: bool, client: &mut u32, server: &mut u32) -> Vec<u8> {
    let flags = match round {
        0 => 0x02,
        1 => 0x12,
        _ => 0x18,
    };
    let len = if round < 2 { 0 } else { BODY };
    let (seq, ack) = if back { (&mut *server, *client) } else { (&mut *client, *server) };
    let mut out = ports(session, back).to_vec();
    out.extend(seq.to_be_bytes());
    out.extend(if round == 0 { [0; 4] } else { ack.to_be_bytes() });
    out.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    out.resize(out.len() + len, 0xa5);
    *seq = seq.wrapping_add(if round < 2 { 1 } else { len as u32 });
    out
}

fn datagram(session: u64, back: bool) -> Vec<u8> {
    let mut out = ports(session, back).to_vec();
    out.extend((BODY as u16 + 8).to_be_bytes());
    out.extend([0, 0]);
    out.resize(out.len() + BODY, 0x5a);
    out
}

/// Allocations of a run: all of the reader's (this thread), and a worker's until the first session
/// ended.
struct Made {
    reader: u64,
    worker: u64,
}

fn run(packets: u64) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("steady.pcap");
    write_capture(&path, packets);
    let first = Mutex::new(None);
    let tap = |_: &Record| {
        let made = MADE.with(Cell::get);
        first.lock().unwrap().get_or_insert(made);
    };
    let plan = Plan { inputs: vec![path], workers: 1, quiet: true, ..Plan::default() };
    let before = MADE.with(Cell::get);
    let outcome = run_tapped(&plan, &mut NoProgress, Some(&tap)).unwrap();
    let reader = MADE.with(Cell::get) - before;
    let counted = |counter| outcome.counters.get(counter);
    assert_eq!(counted(longhaul::model::Counter::Packets), packets);
    assert_eq!(counted(longhaul::model::Counter::Sessions), 2 * SESSIONS);
    Made { reader, worker: first.into_inner().unwrap().unwrap() }
}

#[test]
fn twice_the_packets_need_no_more_allocations() {
    let _alone = ALONE.lock().unwrap();
    let packets = 60_000;
    let (once, twice) = (run(packets), run(2 * packets));
    println!(
        "reader {} and {}, worker {} and {}",
        once.reader, twice.reader, once.worker, twice.worker
    );
    assert!(once.worker > 0 && once.reader > 0, "nothing was counted");
    let blocks = packets * STORED / BLOCK + 1;
    let more = twice.reader.saturating_sub(once.reader);
    assert!(more <= blocks + UNDER_WAY, "reader: {more} more for {packets} packets");
    let more = twice.worker.saturating_sub(once.worker);
    assert!(more <= UNDER_WAY, "worker: {more} more for {packets} packets");
}

/// Allocations of all threads in a run over this many lookups by one host, each of another name.
fn run_look_ups(look_ups: u32, workers: usize) -> u64 {
    let (host, resolver) = ("10.0.0.5:5000".parse().unwrap(), "10.0.0.53:53".parse().unwrap());
    let mut capture = craft::Capture::default();
    for n in 0..look_ups {
        let (at, name) = (START_NS + u64::from(n) * 1_000_000, format!("n{n}.example"));
        let address = std::net::Ipv4Addr::from(0x2d00_0000 + n).into();
        let query = craft::dns_query(n as u16, &name, 1);
        capture.add(at, craft::udp(host, resolver, &query));
        let answer = craft::dns_answer(n as u16, &name, &[address]);
        capture.add(at + 500_000, craft::udp(resolver, host, &answer));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.pcap");
    std::fs::write(&path, capture.pcap()).unwrap();
    let plan = Plan { inputs: vec![path], workers, quiet: true, ..Plan::default() };
    let before = ALL.load(Ordering::Relaxed);
    let outcome = run_tapped(&plan, &mut NoProgress, None).unwrap();
    let made = ALL.load(Ordering::Relaxed) - before;
    let counted = |counter| outcome.counters.get(counter);
    assert_eq!(counted(longhaul::model::Counter::BindingPackets), 2 * u64::from(look_ups));
    assert_eq!(counted(longhaul::model::Counter::BindingsForgotten), 0);
    made
}

/// Bindings are stored once: names cost the same at any number of workers.
#[test]
fn identity_packets_cost_no_more_with_more_workers() {
    let _alone = ALONE.lock().unwrap();
    let more = |workers| {
        let (few, many) = (run_look_ups(1_000, workers), run_look_ups(9_000, workers));
        many.saturating_sub(few)
    };
    let (one, sixteen) = (more(1), more(16));
    println!("8,000 more look-ups: {one} allocations with 1 worker, {sixteen} with 16");
    assert!(one >= 8_000, "a name is kept");
    assert!(sixteen < one + 8_000 / 2, "{sixteen} with 16 workers, {one} with one");
}

/// Long enough for twice the packets below.
const LIVE_SECONDS: u64 = 7;

/// Allocations of all threads in a live run of fixed duration that reads `packets` packets.
fn run_live(net: Net, packets: u64) -> u64 {
    let frames: Vec<Vec<u8>> = frames(packets).collect();
    let (begin, begun) = mpsc::channel();
    let tell = move |said: &str| {
        if said.starts_with("listening") {
            begin.send(()).unwrap();
        }
    };
    let plan = Plan { workers: 1, quiet: true, dedup_window_us: None, ..Plan::default() };
    let run = LiveRun {
        live: LivePlan {
            plan: plan.clone(),
            interfaces: vec!["a0".to_owned()],
            by_pcap: false,
            snaplen: 262_144,
            ring_bytes: 64 << 20,
            promiscuous: true,
            hardware_stamps: false,
            busy_poll_us: 0,
            fanout: None,
            user: None,
            rotate: Rotate::default(),
            seconds: Some(LIVE_SECONDS),
            notify: None,
            watchdog: false,
        },
        replan: Arc::new(move || Ok(plan.clone())),
        tell: Arc::new(tell),
    };
    let before = ALL.load(Ordering::Relaxed);
    let frames = &frames;
    let outcome = std::thread::scope(|scope| {
        scope.spawn(move || {
            begun.recv().unwrap();
            net.send_paced("b0", frames, 20);
        });
        live::run(&run).unwrap()
    });
    let made = ALL.load(Ordering::Relaxed) - before;
    let counted = |counter| outcome.counters.get(counter);
    assert_eq!(counted(longhaul::model::Counter::RingDrops), 0);
    assert_eq!(counted(longhaul::model::Counter::Packets), packets);
    assert_eq!(counted(longhaul::model::Counter::Sessions), 2 * SESSIONS);
    made
}

#[test]
fn twice_the_packets_on_an_interface_need_no_more_allocations() {
    let _alone = ALONE.lock().unwrap();
    let Some(net) = Net::new(1) else { return };
    let packets = 20_000;
    let (once, twice) = (run_live(net, packets), run_live(net, 2 * packets));
    println!("live: {once} and {twice}");
    assert!(once > 0, "nothing was counted");
    // A block has one handle; a partly filled one is released after 40 ms.
    let blocks = 25 * LIVE_SECONDS + packets * STORED / (1 << 20);
    let more = twice.saturating_sub(once);
    assert!(more <= blocks + UNDER_WAY, "{more} more for {packets} packets");
}
