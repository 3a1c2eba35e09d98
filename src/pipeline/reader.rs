//! The reader loop: next frame, decode, dispatch to its session's worker.
//!
//! Owns: the order of the input, capture points, the BPF filters. In: files or interfaces. Out:
//! batches to the workers.
//! Never: looks into payload (except for duplicates and bindings), allocates per packet, or drops a
//! packet without counting it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::capture::block::BLOCK_BYTES;
use crate::capture::filter::FilterSet;
use crate::capture::{Block, BlockPool, FileReport, FrameMeta, LiveSource, MergedSource};
use crate::config::{Following, Plan, PointBy};
use crate::decode::{Decoded, Decoder, Reject, Subframes, TunnelSet};
use crate::dispatch::{Duplicates, FrameContext, WorkerGone};
use crate::emit::Origin;
use crate::identity::{has_identity_data, link_message_offset};
use crate::model::{CopyReport, Counter, Counters, Error, Frame, Nanos, Packet, Stamp, Trust};
use crate::pipeline::clock::{Clock, Watch};
use crate::pipeline::decap_config::tunnels_of;
use crate::pipeline::follow::Follow;
use crate::pipeline::prepare::{Points, Prepared, print_secret};
use crate::pipeline::progress::Progress;
use crate::pipeline::reader_bindings::{ReaderBindings, ToWorkers};
use crate::pipeline::source::Source;
use crate::pipeline::tally::Tally;
use crate::pipeline::tunnel_proof::speaks_for_home;
use crate::session::Timeouts;

/// Frames between two updates of the progress bar.
const FRAMES_PER_TICK: u64 = 32_768;

/// Buffers kept for reuse: as many as the batches in flight can hold.
const BLOCKS_IDLE: usize = 64;

/// The state of the reader loop.
pub(super) struct Reader {
    pub(super) source: Source,
    /// The frame that is read.
    meta: FrameMeta,
    clock: Clock,
    /// In a live run: which times are believed.
    watch: Option<Watch>,
    /// Where more files may come from, once all are read.
    follow: Option<Follow>,
    points: Points,
    pub(super) intake: Intake,
}

/// A frame to process now.
#[derive(Clone, Copy)]
struct TakenFrame<'f> {
    file: u16,
    meta: &'f FrameMeta,
    block: &'f Arc<Block>,
    /// The run's clock.
    clock: u32,
}

/// Turns frames into packets.
pub(super) struct Intake {
    decoder: Decoder,
    filter: Option<FilterSet>,
    /// The packet of the frame that is read.
    decoded: Decoded,
    /// Finds duplicates, if wanted.
    copies: Option<Duplicates>,
    /// Capture point of each input file, by file index.
    points: Vec<u16>,
    /// Tunnels that each source opens, where not all open the same.
    tunnels: Vec<TunnelSet>,
    /// Forgotten fragments that were counted.
    fragments_counted: u64,
    /// Names and holders of addresses.
    bindings: ReaderBindings,
    pub(super) tally: Tally,
}

/// What the reader leaves behind.
pub(super) struct ReaderReport {
    pub(super) counters: Counters,
    pub(super) files: Vec<FileReport>,
    /// Path of each input with packets, by the index in records.
    pub(super) names: Vec<PathBuf>,
    pub(super) span: Option<(Nanos, Nanos)>,
    /// Duplicate statistics, if duplicates were looked for.
    pub(super) copies: Option<CopyReport>,
    /// What the user must know of a directory that was followed.
    pub(super) remarks: Vec<String>,
}

impl Reader {
    /// A reader over the run's inputs.
    pub(super) fn new(prepared: &Prepared, decoder: Decoder) -> Reader {
        let pool = BlockPool::new(BLOCK_BYTES, BLOCKS_IDLE);
        let source =
            MergedSource::open(prepared.inputs.clone(), &pool, prepared.read_options.clone());
        let mut points = prepared.points.clone();
        let files = (0..=u16::MAX).map_while(|file| Some((file, source.path(file)?)));
        let numbers = files.map(|(file, path)| points.of(prepared.point_by, file, path)).collect();
        // The expression was checked when the run was prepared.
        let filter = prepared.filter.as_deref().and_then(|text| FilterSet::new(text).ok());
        let tunnels = tunnels(prepared, (0..=u16::MAX).map_while(|file| source.path(file)));
        let source = Source::Files(Box::new(source));
        let intake = Intake { filter, ..Intake::new(prepared, decoder, numbers, tunnels) };
        Reader { points, ..Reader::over(source, intake) }
    }

    /// A reader over interfaces, each a capture point of its own if the plan says so. The filter is
    /// the kernel's.
    pub(super) fn live(live: LiveSource, prepared: &Prepared) -> Reader {
        let all = prepared.point_by == PointBy::All;
        let point = |file: u16| if all { 0 } else { file };
        let points = (0..=u16::MAX).map(point).take(live.taps().count()).collect();
        let names: Vec<PathBuf> = live.taps().map(|tap| PathBuf::from(&tap.name)).collect();
        let tunnels = tunnels(prepared, names.iter().map(PathBuf::as_path));
        let decoder = Decoder::new(prepared.decode);
        Reader::over(Source::Live(live), Intake::new(prepared, decoder, points, tunnels))
    }

    fn over(source: Source, intake: Intake) -> Reader {
        let clock = Clock::new(Timeouts::default().longest().saturating_add(2));
        let watch = matches!(source, Source::Live(_)).then(Watch::default);
        let (meta, points) = (FrameMeta::default(), Points::default());
        Reader { source, meta, clock, watch, follow: None, points, intake }
    }

    /// Goes on with the files that come into a directory.
    pub(super) fn following(
        mut self,
        plan: &Following,
        prepared: &Prepared,
        origin: &Arc<Origin>,
    ) -> Reader {
        let points = std::mem::take(&mut self.points);
        self.follow = Some(Follow::new(plan, prepared, origin, points));
        self
    }

    /// The facts about the run in every line: the sensor, and the inputs by index.
    pub(super) fn origin(&self, plan: &Plan) -> Arc<Origin> {
        let names = self.source.names();
        Arc::new(Origin::new(&plan.sensor, names.iter().map(PathBuf::as_path)))
    }

    /// Reads until the inputs end. A separate function, so that profiles show the stage.
    #[inline(never)]
    pub(super) fn run(
        mut self,
        mut dispatcher: ToWorkers,
        progress: &mut dyn Progress,
    ) -> Result<ReaderReport, Error> {
        let mut frames = 0u64;
        loop {
            while let Some(file) = self.next() {
                self.read_frame(file, &mut dispatcher).map_err(worker_gone)?;
                frames += 1;
                if frames.is_multiple_of(FRAMES_PER_TICK)
                    && let Source::Files(files) = &self.source
                {
                    progress.tick(files.bytes_read(), files.bytes_total());
                }
            }
            if !self.more(&mut dispatcher)? {
                return self.finish(dispatcher);
            }
        }
    }

    /// All files are read: waits for more, if there may be some.
    fn more(&mut self, dispatcher: &mut ToWorkers) -> Result<bool, Error> {
        let (Some(follow), Source::Files(files)) = (&mut self.follow, &mut self.source) else {
            return Ok(false);
        };
        dispatcher.flush().map_err(worker_gone)?;
        let Some(points) = follow.more(files) else { return Ok(false) };
        self.intake.points.extend(points);
        follow.extend(&mut self.intake.tunnels, files);
        Ok(true)
    }

    /// The input has ended: returns the reader's results.
    pub(super) fn finish(mut self, dispatcher: ToWorkers) -> Result<ReaderReport, Error> {
        dispatcher.finish(self.intake.bindings.publish()).map_err(worker_gone)?;
        let names = self.source.names();
        self.intake.count_forgotten(true);
        let mut tally = self.intake.tally;
        let span = tally.first.map(|first| (first, tally.last));
        let files = match self.source {
            Source::Files(files) => {
                tally.counters.add(Counter::FilesLate, files.files_late());
                tally.counters.add(Counter::OpensRefused, files.opens_refused());
                let files = files.finish();
                files.iter().for_each(|file| tally.file(file));
                files
            }
            Source::Live(live) => {
                live.leave_open();
                Vec::new()
            }
        };
        let copies = self.intake.copies.map(Duplicates::finish);
        let remarks = self.follow.map_or_else(Vec::new, |follow| follow.finish(&files));
        Ok(ReaderReport { counters: tally.counters, files, names, span, copies, remarks })
    }

    /// Sends a watermark to every worker. If nothing is left to read, time advances without
    /// packets: it is `silent` then.
    pub(super) fn pulse(
        &mut self,
        silent: Option<Nanos>,
        dispatcher: &mut ToWorkers,
    ) -> Result<(), WorkerGone> {
        self.intake.count_forgotten(false);
        if let Some(now) = silent {
            self.clock.advance(now);
        }
        dispatcher.tick(self.clock.now(), self.intake.bindings.publish())
    }

    /// In a live run: sets the current time, as far as packets have shown it.
    pub(super) fn set_expected(&mut self, now: Option<Nanos>) {
        if let Some(watch) = &mut self.watch {
            watch.set_expected(now);
        }
    }

    /// Whether the system's clock was found to be changed since the last call.
    pub(super) fn was_set(&mut self) -> bool {
        self.watch.as_mut().is_some_and(Watch::was_set)
    }

    /// Takes the next frame, which [`Reader::read_frame`] processes; returns the index of its file
    /// or interface.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<u16> {
        self.source.next_into(&mut self.meta)
    }

    /// Processes one frame.
    #[inline(always)]
    pub(super) fn read_frame(
        &mut self,
        file: u16,
        dispatcher: &mut ToWorkers,
    ) -> Result<(), WorkerGone> {
        if let Some(watch) = &mut self.watch {
            self.meta.trust = watch.judge(self.meta.time, self.intake.tally.last);
        }
        match self.meta.trust {
            Trust::Believed => self.clock.advance(self.meta.time),
            _ => self.note_strange(),
        }
        self.intake.tally.time(&self.meta);
        let Some(block) = self.source.block(file) else { return Ok(()) };
        let taken = TakenFrame { file, meta: &self.meta, block, clock: self.clock.now() };
        self.intake.take(taken, dispatcher)
    }

    /// A frame whose time is not simply believed.
    #[cold]
    fn note_strange(&mut self) {
        let meta = &mut self.meta;
        match meta.trust {
            Trust::SetBack => {
                self.clock.set_back(meta.time);
                self.intake.tally.last = meta.time;
            }
            Trust::Absent if self.watch.is_some() => meta.time = self.intake.tally.last,
            Trust::Doubtful | Trust::Absent if self.clock.is_new() => {
                // Timers start at the earliest believed start time of the inputs.
                let begun = self.source.begun();
                begun.into_iter().for_each(|begun| self.clock.advance(begun));
            }
            Trust::Doubtful if self.clock.stands_at(meta.time) => {
                // Another input confirms it.
                meta.trust = Trust::Believed;
                self.clock.advance(meta.time);
            }
            _ => {}
        }
    }
}

impl Intake {
    fn new(
        prepared: &Prepared,
        decoder: Decoder,
        points: Vec<u16>,
        tunnels: Vec<TunnelSet>,
    ) -> Intake {
        let (copies, tally) = (copies(prepared), Tally::default());
        let (filter, fragments_counted) = (None, 0);
        let bindings = ReaderBindings::new(prepared);
        Intake {
            decoder,
            decoded: Decoded::default(),
            filter,
            copies,
            points,
            tunnels,
            bindings,
            fragments_counted,
            tally,
        }
    }

    /// Decodes a frame and dispatches its packet to its session's worker.
    #[inline(always)]
    fn take(
        &mut self,
        taken: TakenFrame<'_>,
        dispatcher: &mut ToWorkers,
    ) -> Result<(), WorkerGone> {
        let frame = taken.meta.frame(taken.block);
        self.tally.frame(&frame);
        if let Some(filter) = &mut self.filter
            && !filter.matches(frame.link, frame.bytes)
        {
            self.tally.counters.bump(Counter::FramesFiltered);
            return Ok(());
        }
        let point = self.points.get(usize::from(taken.file)).copied().unwrap_or(0);
        if self.decoder.decode_plain_into(&frame, point, &mut self.decoded) {
            return self.dispatch(&frame, (taken, dispatcher));
        }
        self.take_unusual(&frame, point, (taken, dispatcher))
    }

    /// The same for a frame that is not plain.
    #[inline(never)]
    fn take_unusual(
        &mut self,
        frame: &Frame<'_>,
        point: u16,
        (taken, dispatcher): (TakenFrame<'_>, &mut ToWorkers),
    ) -> Result<(), WorkerGone> {
        if let Some(tunnels) = self.tunnels.get(usize::from(taken.file)) {
            self.decoder.set_tunnels(*tunnels);
        }
        self.decoder.set_clock(taken.clock);
        if let Some(subframes) = self.decoder.subframes(frame) {
            return self.take_subframes(subframes, point, (taken, dispatcher));
        }
        match self.decoder.decode_general(frame, point) {
            Ok(decoded) => self.dispatch_unusual(decoded, frame, (taken, dispatcher)),
            Err(reject) => {
                self.tally.counters.bump(reject.counter());
                if reject == Reject::FragmentEarly {
                    return self.take_joined(point, (taken, dispatcher));
                }
                if let Some(at) = link_message_offset(frame) {
                    let mut packet = Packet::of_link(frame, at);
                    packet.stamp = Stamp::new(taken.meta.trust, taken.meta.grain);
                    packet.key.point = point;
                    self.read_identity(&packet, frame.bytes);
                }
                Ok(())
            }
        }
    }
}

impl Intake {
    /// Counts fragments and questions evicted since the last call.
    fn count_forgotten(&mut self, is_end: bool) {
        self.decoder.count_held(&mut self.tally.counters, is_end);
        let evicted = self.decoder.fragments_evicted();
        self.tally.counters.add(Counter::FragmentsEvicted, evicted - self.fragments_counted);
        self.fragments_counted = evicted;
        self.bindings.count(&mut self.tally.counters);
    }

    /// Processes the datagram that a fragment made whole, if it did, as if it had come now.
    #[cold]
    fn take_joined(
        &mut self,
        point: u16,
        (taken, dispatcher): (TakenFrame<'_>, &mut ToWorkers),
    ) -> Result<(), WorkerGone> {
        let Some(joined) = self.decoder.take_joined() else { return Ok(()) };
        let captured = u32::try_from(joined.bytes.len()).unwrap_or(u32::MAX);
        let wire_len = joined.wire_len.max(captured);
        let meta = FrameMeta { at: 0, captured, wire_len, link: joined.link, ..*taken.meta };
        let block = Block::of_frame(joined.bytes, taken.file);
        let frame = meta.frame(&block);
        match self.decoder.decode_general(&frame, point) {
            Ok(decoded) => {
                let whole = TakenFrame { meta: &meta, block: &block, ..taken };
                self.dispatch_unusual(decoded, &frame, (whole, dispatcher))
            }
            Err(reject) => {
                self.tally.counters.bump(reject.counter());
                Ok(())
            }
        }
    }

    /// Processes the packets of an aggregate, each as a frame of its own.
    #[cold]
    fn take_subframes(
        &mut self,
        subframes: Subframes<'_>,
        point: u16,
        (taken, dispatcher): (TakenFrame<'_>, &mut ToWorkers),
    ) -> Result<(), WorkerGone> {
        for (at, frame) in subframes {
            match self.decoder.decode_subframe(&frame, point) {
                Ok(decoded) => {
                    let (at, wire_len) = (taken.meta.at + at as u32, frame.wire_len);
                    let meta = FrameMeta { at, wire_len, ..*taken.meta };
                    let part = TakenFrame { meta: &meta, ..taken };
                    self.dispatch_unusual(decoded, &frame, (part, &mut *dispatcher))?;
                }
                Err(reject) => self.tally.counters.bump(reject.counter()),
            }
        }
        Ok(())
    }

    /// Takes what a packet says of who is behind an address.
    #[cold]
    fn read_identity(&mut self, packet: &Packet, frame: &[u8]) {
        let (bindings, counters) = (&mut self.bindings, &mut self.tally.counters);
        if speaks_for_home(&self.decoder, packet, frame, |addr| bindings.is_home(addr)) {
            return counters.bump(Counter::BindingPacketsUnproven);
        }
        bindings.process(packet, frame, counters);
    }

    /// The same for a frame that the general path decoded.
    #[inline(never)]
    fn dispatch_unusual(
        &mut self,
        decoded: Decoded,
        frame: &Frame<'_>,
        to: (TakenFrame<'_>, &mut ToWorkers),
    ) -> Result<(), WorkerGone> {
        self.decoded = decoded;
        self.dispatch(frame, to)
    }

    /// Sends the packet just decoded to its session's worker.
    #[inline(always)]
    fn dispatch(
        &mut self,
        frame: &Frame<'_>,
        (taken, dispatcher): (TakenFrame<'_>, &mut ToWorkers),
    ) -> Result<(), WorkerGone> {
        let Decoded { packet, path } = &mut self.decoded;
        packet.frame_at = taken.meta.at;
        packet.number = taken.meta.number;
        packet.wire_len = taken.meta.wire_len;
        packet.clock = taken.clock;
        packet.stamp = Stamp::new(taken.meta.trust, taken.meta.grain);
        self.tally.packet(path);
        if let Some(copies) = &mut self.copies {
            let vlan = path.vlan.unwrap_or(0);
            let (frame, ident, outer_ttl) = (frame.bytes, path.ident, path.outer_ttl);
            let passing = FrameContext { frame, ident, vlan, outer_ttl };
            copies.mark(packet, &passing, &mut self.tally.counters);
        }
        if has_identity_data(packet, frame.bytes) {
            let packet = *packet;
            self.read_identity(&packet, frame.bytes);
            self.bindings.wait_for_readers(dispatcher)?;
        }
        dispatcher.push(&self.decoded.packet, taken.block, || self.bindings.publish())
    }
}

/// Duplicate detection, if wanted.
fn copies(prepared: &Prepared) -> Option<Duplicates> {
    prepared.dedup_window.map(|window| Duplicates::new(window, print_secret()))
}

/// The tunnels of each source; empty if all are equal.
fn tunnels<'s>(prepared: &Prepared, sources: impl Iterator<Item = &'s Path>) -> Vec<TunnelSet> {
    if prepared.off.is_empty() {
        return Vec::new();
    }
    sources.map(|source| tunnels_of(prepared.decode.tunnels, &prepared.off, source)).collect()
}

pub(super) fn worker_gone(_: WorkerGone) -> Error {
    Error::new("run", "a worker thread ended before the input did")
        .help("this is a fault of longhaul; please report it with the capture if you can")
}
