//! Properties of every file, intact or broken.
//!
//! Owns: properties of the read path and of the merge. In: made captures. Out: assertions.
//! Never: a file that is not made here.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::capture::*;

use super::stored::Stored;
use super::testkit::*;

fn samples() -> Vec<Sample> {
    vec![(1, 5, b"one".to_vec()), (2, 0, vec![]), (1, 999_999, vec![9; 100])]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

type Pack = fn(&[u8]) -> Vec<u8>;
const PACKERS: [Pack; 4] = [gzip, bzip2, zstd, xz];

#[test]
fn a_made_pcap_reads_back() {
    let (seen, report) = read_all(&pcap(&samples()), 1 << 16, usize::MAX);
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0], (1_000_005_000, 1, 6, 1, 0, b"one".to_vec()));
    assert_eq!(seen[2].0, 1_999_999_000);
    assert_eq!((report.verdict, report.packets), (Verdict::Ok, 3));
    assert_eq!(report.first.unwrap().0, 1_000_005_000);
    assert_eq!(report.last.unwrap().0, 2_000_000_000);
    assert_eq!(report.bytes, pcap(&samples()).len() as u64);
}

#[test]
fn a_made_pcapng_reads_back_block_by_block() {
    let (seen, report) = read_all(&pcapng(), 1 << 16, usize::MAX);
    let short: Vec<_> = seen.iter().map(|s| (s.0, s.1, s.2, s.4, s.5.len())).collect();
    let expected = [
        (1_000_001_000, 1, 5, 0, 5),
        (2_000_000_007, 101, 1, 1, 1),
        (2_000_000_007, 113, 200, 0, 96),
        (1_500_000_000, 113, 0, 0, 0),
        (2_000_000_000, 113, 60, 0, 2),
        (2_000_000_000, 113, 2, 0, 2),
    ];
    assert_eq!(short, expected);
    assert_eq!((report.verdict, report.reason), (Verdict::Ok, None));
}

#[test]
fn a_frame_of_an_unknown_interface_is_counted_and_the_rest_read() {
    let mut w = Words { big: false, out: Vec::new() };
    w.section();
    w.interface(1, Some(0), None);
    w.enhanced(5, 1, b"x");
    w.enhanced(0, 1, b"good");
    let (seen, report) = read_all(&w.out, 64, 7);
    assert_eq!((seen.len(), seen[0].3), (1, 2));
    assert_eq!((report.packets, report.packets_malformed), (1, 1));
    assert_eq!(report.verdict, Verdict::Malformed);
}

#[test]
fn a_frame_with_an_impossible_time_gets_the_previous_time_and_is_counted() {
    let mut w = Words { big: false, out: Vec::new() };
    w.section();
    w.interface(1, Some(0), None);
    w.enhanced(0, 1, b"good");
    w.enhanced(0, u64::MAX, b"x");
    let (seen, report) = read_all(&w.out, 64, 7);
    assert_eq!((seen.len(), seen[1].0), (2, 1_000_000_000));
    assert_eq!((report.verdict, report.packets), (Verdict::Malformed, 2));
    assert!(report.reason.unwrap().starts_with("1 packets outside"));
}

#[test]
fn blocks_of_no_interest_are_stepped_over_across_buffers() {
    let mut w = Words { big: false, out: Vec::new() };
    w.section();
    w.interface(1, None, None);
    w.block(0x0000_0bad, |w| w.out.extend(vec![6; 300_000]));
    w.enhanced(0, 1, b"after");
    let (seen, report) = read_all(&w.out, 1_000, 999);
    assert_eq!((seen.len(), report.verdict), (1, Verdict::Ok));
    w.out.truncate(200_000);
    let (seen, report) = read_all(&w.out, 1_000, 999);
    assert_eq!((seen.len(), report.verdict), (0, Verdict::Truncated));
}

#[test]
fn the_longest_frame_is_read_and_a_longer_one_rejected() {
    let longest = pcap(&[(1, 0, vec![5; 262_144]), (2, 0, vec![6; 10])]);
    let (seen, report) = read_all(&longest, 1 << 14, 4_096);
    assert_eq!((seen.len(), report.verdict), (2, Verdict::Ok));
    let (seen, report) = read_all(&pcap(&[(1, 0, vec![5; 262_145])]), 1 << 14, 4_096);
    assert_eq!((seen.len(), report.verdict), (0, Verdict::Malformed));
}

#[test]
fn every_truncation_has_a_verdict_and_keeps_the_frames_before_it() {
    for whole in [pcap(&samples()), pcapng()] {
        let (all, _) = read_all(&whole, 1 << 12, usize::MAX);
        for cut in 0..whole.len() {
            let (seen, report) = read_all(&whole[..cut], 128, 50);
            assert_eq!(seen[..], all[..seen.len()], "cut at {cut}");
            assert_eq!(report.packets, seen.len() as u64);
            assert_eq!(report.bytes, cut as u64);
            assert!(report.sha256.is_some());
            assert_ne!(report.verdict, Verdict::Malformed, "cut at {cut}");
            assert_ne!(report.verdict, Verdict::Unreadable, "cut at {cut}");
        }
    }
}

#[test]
fn every_container_is_recognised_by_content_and_may_hold_several_streams() {
    let whole = pcapng();
    let (expected, _) = read_all(&whole, 1 << 12, usize::MAX);
    for pack in PACKERS {
        let (front, back) = whole.split_at(100);
        let twice = [pack(front), pack(&[]), pack(back)].concat();
        for packed in [pack(&whole), twice] {
            let (seen, report) = read_all(&packed, 256, 11);
            assert_eq!((&seen, report.verdict), (&expected, Verdict::Ok), "{:?}", report.reason);
            assert_eq!(report.bytes, packed.len() as u64);
        }
    }
}

/// The output of `xz -6 --block-size=120` and `xz -0 --check=sha256` (5.4.1) for the three samples.
const XZ_TWO_BLOCKS: &str = concat!(
    "fd377a585a000004e6d6b4460200210116000000742fe5a3e00077002e5d006a30d1c87d8bf8099baf1fcc79",
    "027d5910231d1ad8daa4032a319ae73d4acb9349e41712d761a04124a6fbd70000000000c236860efb585f95",
    "0200210116000000742fe5a3e0003600065d0004ee440000000000009afa36be26b8a89900024a7822370000",
    "e4d8c3beb1c467fb020000000004595a",
);
const XZ_SHA256: &str = concat!(
    "fd377a585a00000ae1fb0ca1020021010c0000008f98419ce000ae00305d006a30d1c87d8bf8099bb03cddfa",
    "d1cd96bdc170ac3c242840b928698a37e7cf1e7349dfe669e5b1a655088b71a8ef8d000010b38c434aa6a3b3",
    "3f0cfa935da8d1a27c135020f4836558743d97b48a50429c000164af01000000b3f6fb1ab6e9df1c02000000",
    "000a595a",
);

fn from_hex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[test]
fn a_zstd_window_over_the_limit_is_unsupported() {
    let mut out = zstd::Encoder::new(Vec::new(), 1).unwrap();
    out.window_log(28).unwrap();
    out.write_all(&pcap(&samples())).unwrap();
    let (_, report) = read_all(&out.finish().unwrap(), 256, 100);
    assert_eq!(report.verdict, Verdict::Unsupported, "{:?}", report.reason);
}

#[test]
fn a_read_error_ends_the_file_and_keeps_the_frames_before_it() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let bytes = pcap(&samples());
    let input = std::io::Cursor::new(bytes.get(..60).unwrap().to_vec()).chain(Broken);
    let stored = Stored::new(Box::new(input), None, HashPolicy::Always);
    let pool = BlockPool::new(64, 1);
    let mut source = FileSource::from_stored(Path::new("x"), stored, 0, &pool).unwrap();
    assert!(source.next_frame().is_some());
    assert!(source.next_frame().is_some() && source.next_frame().is_none());
    let report = source.verdict();
    assert_eq!((report.verdict, report.packets), (Verdict::Unreadable, 2));
    assert_eq!((report.reason.as_deref(), report.sha256), (Some("the disk is gone"), None));
}

#[test]
fn a_modified_header_carries_the_interface() {
    let mut bytes = pcap(&[]);
    bytes[..4].copy_from_slice(&0xa1b2_cd34u32.to_le_bytes());
    for word in [3u32, 4, 2, 60, 7, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(b"hi");
    let (seen, report) = read_all(&bytes, 64, 10);
    assert_eq!(seen, [(3_000_004_000, 1, 60, 1, 7, b"hi".to_vec())]);
    assert_eq!(report.verdict, Verdict::Ok);
}

#[test]
fn sources_may_move_to_another_thread() {
    fn movable<T: Send>() {}
    movable::<FileSource>();
    movable::<MergedSource>();
    movable::<filter::FilterSet>();
}

#[test]
fn streams_of_the_usual_xz_tool_are_decoded_and_checked() {
    let (expected, _) = read_all(&pcap(&samples()), 1 << 12, usize::MAX);
    for hex in [XZ_TWO_BLOCKS, XZ_SHA256] {
        let mut packed = from_hex(hex);
        let (seen, report) = read_all(&packed, 256, 11);
        assert_eq!((&seen, report.verdict), (&expected, Verdict::Ok), "{:?}", report.reason);
        packed[40] ^= 0x10;
        let (_, report) = read_all(&packed, 256, 11);
        assert_eq!(report.verdict, Verdict::Malformed, "{:?}", report.reason);
    }
}

#[test]
fn a_cut_compressed_stream_is_truncated_and_its_start_is_used() {
    let packets: Vec<Sample> = (0..10_000u32)
        .map(|n| (n, 0, (0..40u32).map(|i| (n.wrapping_mul(i + 77) >> 3) as u8).collect()))
        .collect();
    for pack in PACKERS {
        let packed = pack(&pcap(&packets));
        let (seen, report) = read_all(&packed[..packed.len() - 5], 4_096, 1_000);
        assert_eq!(report.verdict, Verdict::Truncated, "{:?}", report.reason);
        assert!(report.packets > 5_000 && seen.len() <= 10_000);
        for cut in 6..60 {
            let (_, report) = read_all(&packed[..cut], 4_096, 1_000);
            assert_eq!(report.verdict, Verdict::Truncated, "cut {cut}: {:?}", report.reason);
        }
    }
}

#[test]
fn a_file_that_is_not_a_capture_gets_a_verdict() {
    let verdict = |bytes: &[u8]| read_all(bytes, 256, 100).1;
    assert_eq!(verdict(b"").verdict, Verdict::Empty);
    assert_eq!(verdict(b"ab").verdict, Verdict::Unsupported);
    assert_eq!(verdict(b"hello, world").verdict, Verdict::Unsupported);
    assert_eq!(verdict(&gzip(b"hello, world")).verdict, Verdict::Unsupported);
    assert_eq!(verdict(&gzip(b"")).verdict, Verdict::Empty);
    assert_eq!(verdict(&pcap(&[])).verdict, Verdict::Empty);
    assert!(verdict(&gzip(&gzip(&pcap(&[])))).reason.unwrap().contains("twice"));
}

proptest! {
    #[test]
    fn block_and_read_sizes_do_not_matter(
        sizes in prop::collection::vec(0usize..300, 0..40),
        block_bytes in 1usize..600,
        step in 1usize..100,
    ) {
        let packets: Vec<Sample> =
            (0u32..).zip(&sizes).map(|(n, len)| (n, n, vec![n as u8; *len])).collect();
        let bytes = pcap(&packets);
        prop_assert_eq!(
            read_all(&bytes, block_bytes, step),
            read_all(&bytes, 1 << 18, usize::MAX)
        );
        let bytes = pcapng();
        prop_assert_eq!(
            read_all(&bytes, block_bytes, step),
            read_all(&bytes, 1 << 18, usize::MAX)
        );
    }

    #[test]
    fn changed_bytes_never_panic(
        which in 0usize..8,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let plain = [pcap(&samples()), pcapng()];
        let mut bytes = match which {
            0 | 1 => plain[which].clone(),
            6 => from_hex(XZ_TWO_BLOCKS),
            7 => from_hex(XZ_SHA256),
            n => PACKERS[n - 2](&plain[1]),
        };
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let (seen, report) = read_all(&bytes, 128, 60);
        prop_assert_eq!(seen.len() as u64, report.packets);
    }

    #[test]
    fn random_bytes_behind_a_magic_never_panic(
        which in 0usize..7,
        tail in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let heads: [&[u8]; 7] = [
            b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0",
            b"\x0a\x0d\x0d\x0a",
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
            b"\x28\xb5\x2f\xfd",
            b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46",
            b"BZh91AY&SY",
            b"",
        ];
        let (seen, report) = read_all(&[heads[which], &tail].concat(), 128, 60);
        prop_assert_eq!(seen.len() as u64, report.packets);
    }
}

fn files(root: &Path, contents: &[(&str, Vec<u8>)]) -> Vec<PathBuf> {
    for (name, bytes) in contents {
        fs::write(root.join(name), bytes).unwrap();
    }
    contents.iter().map(|(name, _)| root.join(name)).collect()
}

/// The merged run (time and payload), the reports, the number of late files.
type Merged = (Vec<(u64, Vec<u8>)>, Vec<FileReport>, u64);

fn merged(paths: &[PathBuf], max_open: usize) -> Merged {
    let pool = BlockPool::new(256, 4);
    let options = ReadOptions { hash: HashPolicy::Always, max_open, ..ReadOptions::default() };
    let mut source = MergedSource::open(expand_inputs(paths).unwrap(), &pool, options);
    let mut out = Vec::new();
    while let Some((file, meta)) = source.next() {
        let block = source.block(file).unwrap();
        assert_eq!(block.file(), file);
        assert!(source.path(file).is_some());
        out.push((meta.time.0, meta.frame(block).bytes.to_vec()));
        assert!(source.bytes_read() <= source.bytes_total());
    }
    assert_eq!(source.bytes_read(), source.bytes_total());
    let late = source.files_late();
    (out, source.finish(), late)
}

fn every(n: u32, offset: u32, tag: u8) -> Vec<u8> {
    let packets: Vec<Sample> = (0..40).map(|i| (offset + i * n, 0, vec![tag, i as u8])).collect();
    pcap(&packets)
}

#[test]
fn files_are_merged_by_time_whatever_their_names() {
    let root = tempfile::tempdir().unwrap();
    let one = files(root.path(), &[("1", every(2, 0, 1)), ("2", every(3, 5, 2)), ("3", pcapng())]);
    let (a, _, _) = merged(&one, 256);
    let other = tempfile::tempdir().unwrap();
    let two = files(
        other.path(),
        &[("y", every(2, 0, 1)), ("b", gzip(&pcapng())), ("a", every(3, 5, 2))],
    );
    let (b, reports, late) = merged(&two, 256);
    assert_eq!(a, b);
    assert_eq!((a.len(), late), (86, 0));
    // The pcapng file steps back; without its frames the sequence is sorted.
    let times: Vec<_> =
        a.iter().filter(|(_, b)| matches!(b[..], [1 | 2, _])).map(|x| x.0).collect();
    assert!(times.is_sorted());
    let names: Vec<_> = reports.iter().map(|r| r.path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["a", "b", "y"]);
}

#[test]
fn too_many_overlapping_files_wait_and_are_counted() {
    let root = tempfile::tempdir().unwrap();
    let paths = files(
        root.path(),
        &[("1", every(1, 0, 1)), ("2", every(1, 10, 2)), ("3", every(1, 99, 3))],
    );
    let (all, reports, late) = merged(&paths, 1);
    assert_eq!((all.len(), late), (120, 1));
    assert!(reports.iter().all(|r| r.verdict == Verdict::Ok && r.packets == 40));
    let tags: Vec<u8> = all.iter().map(|(_, b)| b[0]).collect();
    assert!(tags.is_sorted());
    assert_eq!(merged(&paths, 2).2, 0);
}

#[test]
fn one_broken_file_never_stops_the_run() {
    let root = tempfile::tempdir().unwrap();
    let mut cut = every(1, 0, 1);
    cut.truncate(cut.len() - 1);
    let mut paths =
        files(root.path(), &[("a", cut), ("b", vec![]), ("c", b"text".to_vec()), ("d", pcapng())]);
    paths.push(root.path().join("missing"));
    let (all, reports, _) = merged(&paths, 256);
    let verdicts: Vec<_> = reports.iter().map(|r| r.verdict.to_string()).collect();
    assert_eq!(verdicts, ["truncated", "empty", "unsupported", "ok", "unreadable"]);
    assert_eq!(all.len(), 39 + 6);
    assert_eq!(reports.iter().map(|r| r.packets).sum::<u64>(), 45);
}

#[test]
fn many_files_are_closed_after_the_first_look_and_opened_in_time() {
    let root = tempfile::tempdir().unwrap();
    let contents: Vec<(String, Vec<u8>)> =
        (0..60u32).map(|n| (format!("{}", 99 - n), every(1, n * 7, n as u8))).collect();
    let named: Vec<(&str, Vec<u8>)> =
        contents.iter().map(|(n, bytes)| (n.as_str(), bytes.clone())).collect();
    let paths = files(root.path(), &named);
    let (all, reports, late) = merged(&paths, 10);
    assert_eq!((all.len(), late, reports.len()), (2_400, 0, 60));
    assert!(all.iter().map(|x| x.0).is_sorted());
}

/// An interface statistics block with these options of 8 bytes.
fn statistics(w: &mut Words, interface: u32, options: &[(u16, u64)]) {
    w.block(5, |w| {
        w.u32(interface);
        w.u32(0);
        w.u32(0);
        for (code, n) in options {
            w.u16(*code);
            w.u16(8);
            w.out.extend(if w.big { n.to_be_bytes() } else { n.to_le_bytes() });
        }
        w.u32(0);
    });
}

#[test]
fn losses_recorded_in_a_pcapng_are_summed_by_section_and_interface() {
    let mut w = Words { big: true, out: Vec::new() };
    w.section();
    w.interface(1, None, None);
    w.interface(1, None, None);
    w.enhanced(0, 1_000_000, b"abcd");
    // isb_ifrecv is no loss; counters continue in later statistics.
    statistics(&mut w, 0, &[(4, 1_000), (5, 100), (7, 3)]);
    statistics(&mut w, 0, &[(4, 2_000), (5, 500)]);
    statistics(&mut w, 1, &[(7, 20)]);
    // For an interface that was never described, and one too short for its fixed part.
    statistics(&mut w, 7, &[(5, 9_999)]);
    w.block(5, |w| w.u32(0));
    w.big = false;
    w.section();
    w.interface(1, None, None);
    statistics(&mut w, 0, &[(5, 1)]);
    // epb_dropcount behind a comment; the obsolete block has its own field, once with "unknown".
    for drops in [2u64, 40] {
        w.block(6, |w| {
            [0, 0, 2_000_000, 3, 3].into_iter().for_each(|word| w.u32(word));
            w.out.extend(b"abc\0\x01\0\x02\0hi\0\0\x04\0\x08\0");
            w.out.extend(drops.to_le_bytes());
            w.u32(0);
        });
    }
    for drops in [5, 0xffff] {
        w.block(2, |w| {
            w.u16(0);
            w.u16(drops);
            [0, 2_000_000, 2, 2].into_iter().for_each(|word| w.u32(word));
            w.out.extend(b"hi");
        });
    }
    for (block, step) in [(1 << 16, usize::MAX), (64, 5)] {
        let (seen, report) = read_all(&w.out, block, step);
        assert_eq!((seen.len(), report.verdict), (5, Verdict::Ok), "{:?}", report.reason);
        let drops = report.packets_dropped;
        assert_eq!((drops.card, drops.system, drops.either), (501, 23, 46));
    }
}

#[test]
fn a_pcapng_without_statistics_has_no_losses() {
    for bytes in [pcapng(), pcap(&samples())] {
        assert_eq!(read_all(&bytes, 1 << 16, usize::MAX).1.packets_dropped.total(), 0);
    }
}
