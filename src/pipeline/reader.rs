//! The reader loop: next frame, decode, hand to the worker its session lives on.
//!
//! Owns: the run's clock, capture points, the BPF filters. In: files. Out: batches to the workers.
//! Never: looks into payload, allocates per packet, or drops a packet without counting it.

use std::sync::Arc;

use crate::capture::Block;
use crate::capture::FileReport;
use crate::capture::FrameMeta;
use crate::capture::MergedSource;
use crate::capture::filter::FilterSet;
use crate::decode::Decoder;
use crate::decode::Reject;
use crate::dispatch::Dispatcher;
use crate::dispatch::WorkerGone;
use crate::model::Counter;
use crate::model::Counters;
use crate::model::Error;
use crate::model::Frame;
use crate::model::Nanos;
use crate::pipeline::Progress;

/// Frames between two looks at the progress bar.
const FRAMES_PER_TICK: u64 = 32_768;

/// What the reader loop needs.
pub(super) struct Reader {
    pub(super) source: MergedSource,
    pub(super) decoder: Decoder,
    pub(super) filter: Option<FilterSet>,
    /// Capture point of each input file, by file index.
    pub(super) points: Vec<u16>,
    pub(super) counters: Counters,
    pub(super) clock: u32,
    pub(super) first: Option<Nanos>,
    pub(super) last: Nanos,
}

/// What the reader leaves behind.
pub(super) struct ReaderReport {
    pub(super) counters: Counters,
    pub(super) files: Vec<FileReport>,
    pub(super) span: Option<(Nanos, Nanos)>,
}

impl Reader {
    /// Reads until the inputs end.
    pub(super) fn run(
        mut self,
        mut dispatcher: Dispatcher<Arc<Block>>,
        progress: &mut dyn Progress,
    ) -> Result<ReaderReport, Error> {
        let mut frames = 0u64;
        while let Some((file, meta)) = self.source.next() {
            if self.read_frame(file, &meta, &mut dispatcher)? == Fate::WorkerGone {
                return Err(worker_gone());
            }
            frames += 1;
            if frames % FRAMES_PER_TICK == 0 {
                progress.tick(self.source.bytes_read(), self.source.bytes_total());
            }
        }
        dispatcher.finish().map_err(|WorkerGone| worker_gone())?;
        self.counters.add(Counter::FilesLate, self.source.files_late());
        let span = self.first.map(|first| (first, self.last));
        Ok(ReaderReport { counters: self.counters, files: self.source.into_reports(), span })
    }

    #[inline]
    fn read_frame(
        &mut self,
        file: u16,
        meta: &FrameMeta,
        dispatcher: &mut Dispatcher<Arc<Block>>,
    ) -> Result<Fate, Error> {
        let block = self.source.block(file);
        let bytes = block.bytes().get(meta.at as usize..).unwrap_or_default();
        let bytes = bytes.get(..meta.captured as usize).unwrap_or(bytes);
        let frame = Frame { time: meta.time, link: meta.link, wire_len: meta.wire_len, bytes };
        self.count_frame(&frame);
        if let Some(filter) = &mut self.filter
            && !filter.matches(&frame)?
        {
            self.counters.bump(Counter::FramesFiltered);
            return Ok(Fate::Passed);
        }
        let point = self.points.get(usize::from(file)).copied().unwrap_or(0);
        match self.decoder.decode_frame(&frame, point) {
            Ok(mut decoded) => {
                let packet = &mut decoded.packet;
                packet.frame_at = meta.at;
                packet.number = meta.number;
                packet.wire_len = meta.wire_len;
                packet.clock = self.clock;
                self.count_packet(&decoded.path);
                let sent = dispatcher.push(decoded.packet, block);
                Ok(if sent.is_ok() { Fate::Passed } else { Fate::WorkerGone })
            }
            Err(reject) => {
                self.count_reject(reject);
                Ok(Fate::Passed)
            }
        }
    }

    fn count_frame(&mut self, frame: &Frame<'_>) {
        self.counters.bump(Counter::Frames);
        self.counters.add(Counter::FrameBytes, frame.bytes.len() as u64);
        if (frame.bytes.len() as u64) < u64::from(frame.wire_len) {
            self.counters.bump(Counter::FramesTruncated);
        }
        if frame.time < self.last {
            self.counters.bump(Counter::TimeBackwards);
        }
        self.first = Some(self.first.map_or(frame.time, |first| first.min(frame.time)));
        self.last = self.last.max(frame.time);
        let second = u32::try_from(frame.time.as_secs()).unwrap_or(u32::MAX);
        self.clock = self.clock.max(second);
    }

    fn count_packet(&mut self, path: &crate::decode::Path) {
        self.counters.bump(Counter::Packets);
        if !path.fast_path {
            self.counters.bump(Counter::PacketsSlowPath);
        }
        if path.tunnel.is_some() {
            self.counters.bump(Counter::PacketsTunnelled);
        }
    }

    fn count_reject(&mut self, reject: Reject) {
        self.counters.bump(reject.counter());
    }
}

/// What became of a frame.
#[derive(PartialEq, Eq)]
enum Fate {
    Passed,
    WorkerGone,
}

fn worker_gone() -> Error {
    Error::new("run", "a worker thread ended before the input did")
        .help("this is a fault of longhaul; please report it with the capture if you can")
}
