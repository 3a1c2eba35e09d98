//! What each stage costs, over the demonstration's packets: `cargo bench`.
//!
//! One number a stage, in time an element. For the whole program beside its peers see compare.sh.

#![allow(missing_docs, clippy::expect_used, reason = "a bench that cannot go on ends")]

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use longhaul::capture::BlockPool;
use longhaul::capture::HashPolicy;
use longhaul::capture::MergedSource;
use longhaul::capture::ReadOptions;
use longhaul::capture::block::BLOCK_BYTES;
use longhaul::capture::expand_inputs;
use longhaul::config::Plan;
use longhaul::decode::DecodeConfig;
use longhaul::decode::Decoder;
use longhaul::detect::RuleSet;
use longhaul::detect::SourceCatalog;
use longhaul::emit;
use longhaul::enrich::EnrichData;
use longhaul::enrich::EnrichOptions;
use longhaul::enrich::Enricher;
use longhaul::evidence::tls::observe_tls;
use longhaul::model::Counter;
use longhaul::model::Interest;
use longhaul::model::Packet;
use longhaul::model::Record;
use longhaul::model::Segment;
use longhaul::model::record::Facts;
use longhaul::pipeline::NoProgress;
use longhaul::pipeline::run_tapped;
use longhaul::session::Arrival;
use longhaul::session::Finished;
use longhaul::session::Listener;
use longhaul::session::Shard;
use longhaul::session::Timeouts;

fn capture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/demo/farm.pcap.zst")
}

/// An unpacked copy, so that reading it costs what a plain file costs.
fn plain() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    let packed = std::fs::File::open(capture()).expect("the capture of the demonstration");
    zstd::stream::copy_decode(packed, file.as_file_mut()).expect("zstd");
    file
}

fn open(path: PathBuf) -> MergedSource {
    let inputs = expand_inputs(&[path]).expect("one input");
    let options = ReadOptions { hash: HashPolicy::Never, ..ReadOptions::default() };
    MergedSource::open(inputs, &BlockPool::new(BLOCK_BYTES, 8), options)
}

/// Every packet of the demonstration with its frame's bytes.
fn packets() -> Vec<(Packet, Vec<u8>)> {
    let mut source = open(capture());
    let mut decoder = Decoder::new(DecodeConfig::default());
    let mut all = Vec::new();
    while let Some((file, meta)) = source.next() {
        let block = source.block(file).expect("the block of the last frame");
        let frame = meta.frame(block);
        if let Ok(mut decoded) = decoder.decode_frame(&frame, 0) {
            decoded.packet.clock = u32::try_from(meta.time.as_secs()).expect("before 2106");
            decoded.packet.wire_len = meta.wire_len;
            all.push((decoded.packet, frame.bytes.to_vec()));
        }
    }
    all
}

/// Every finished record of the demonstration.
fn records() -> Vec<Record> {
    let kept = Mutex::new(Vec::new());
    let plan = Plan { inputs: vec![capture()], ..Plan::default() };
    let tap = |record: &Record| kept.lock().expect("no panic").push(record.clone());
    run_tapped(&plan, &mut NoProgress, Some(&tap)).expect("the demonstration runs");
    kept.into_inner().expect("no panic")
}

struct Deaf;

impl Listener<()> for Deaf {
    fn deliver(&mut self, _: &mut Option<Box<()>>, _: &Segment<'_>) -> Interest {
        Interest::Done
    }
    fn finish(&mut self, finished: Finished<()>) {
        black_box(finished.record.end);
    }
    fn count(&mut self, _: Counter, _: u64) {}
}

fn packet_plane(criterion: &mut Criterion) {
    let packets = packets();
    let file = plain();
    let mut group = criterion.benchmark_group("packet");
    group.throughput(Throughput::Elements(packets.len() as u64));
    group.bench_function("capture", |b| {
        b.iter(|| {
            let mut source = open(file.path().to_path_buf());
            let mut bytes = 0u64;
            while let Some((_, meta)) = source.next() {
                bytes += u64::from(meta.captured);
            }
            bytes
        });
    });
    group.bench_function("capture and decode", |b| {
        b.iter(|| {
            let mut source = open(file.path().to_path_buf());
            let mut decoder = Decoder::new(DecodeConfig::default());
            let mut decoded = 0u64;
            while let Some((file, meta)) = source.next() {
                let block = source.block(file).expect("the block of the last frame");
                decoded += u64::from(decoder.decode_frame(&meta.frame(block), 0).is_ok());
            }
            decoded
        });
    });
    group.bench_function("session", |b| {
        b.iter(|| {
            let mut shard = Shard::new(4_096, Timeouts::default());
            for (packet, frame) in &packets {
                let hint = shard.locate(packet);
                shard.touch(Arrival { packet, frame, file: 0 }, hint, &mut Deaf);
            }
            shard.drain(u32::MAX, &mut Deaf);
        });
    });
    group.finish();
}

fn record_plane(criterion: &mut Criterion) {
    let records = records();
    let hello = hello();
    let data = Arc::new(EnrichData::load(&EnrichOptions::default()).expect("embedded data"));
    let rules = RuleSet::embedded().expect("embedded rules");
    let lists = data.lists.infos().iter().map(|list| list.source_info().into()).collect();
    let catalog = SourceCatalog { lists, place: None, asn: None };
    let mut group = criterion.benchmark_group("record");
    group.bench_function("TLS hello with JA3 and JA4", |b| {
        b.iter(|| {
            let mut facts = Facts::default();
            let role = longhaul::model::Peer::Initiator;
            black_box(observe_tls(&hello, role, &mut facts));
            facts
        });
    });
    group.throughput(Throughput::Elements(records.len() as u64));
    group.bench_function("enrich", |b| {
        let mut enricher = Enricher::new(Arc::clone(&data));
        b.iter(|| {
            for record in &records {
                let mut record = record.clone();
                record.context = longhaul::model::record::Context::default();
                enricher.enrich(&mut record);
                black_box(&record);
            }
        });
    });
    group.bench_function("rules", |b| {
        let mut alerts = Vec::new();
        b.iter(|| {
            for record in &records {
                rules.evaluate(record, &catalog, &mut alerts);
            }
            alerts.drain(..).count()
        });
    });
    group.bench_function("render", |b| {
        let mut lines = Vec::new();
        let origin = emit::Origin::new("longhaul", [std::path::Path::new("farm.pcap")]);
        b.iter(|| {
            lines.clear();
            for record in &records {
                emit::lines::render_session(record, &origin, &mut lines);
            }
            lines.len()
        });
    });
    group.bench_function("event id", |b| {
        b.iter(|| records.iter().map(|record| emit::event_id(record)[0]).fold(0, |a, x| a ^ x));
    });
    group.finish();
}

/// The first TLS ClientHello of the demonstration, with its record header.
fn hello() -> Vec<u8> {
    let starts = |payload: &[u8]| payload.starts_with(&[22, 3, 1]);
    let found = packets().into_iter().find(|(packet, frame)| starts(packet.payload(frame)));
    let (packet, frame) = found.expect("the demonstration holds TLS");
    packet.payload(&frame).to_vec()
}

criterion_group!(stages, packet_plane, record_plane);
criterion_main!(stages);
