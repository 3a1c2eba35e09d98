//! The loop over captures: each frame is decoded as when it was read, and copied if it is wanted.
//!
//! Owns: the decoder, the search for duplicates, fragments that wait. In: captures, the sessions
//! wanted. Out: frames to a writer. Never: a look at payload, or a frame that nobody asked for.

use crate::capture::block::BLOCK_BYTES;
use crate::capture::filter::FilterSet;
use crate::capture::{BlockPool, FileReport, FrameMeta, InputSpec, MergedSource};
use crate::carve::captures::{Input, Located, Shape};
use crate::carve::flows::Flows;
use crate::carve::held::Held;
use crate::carve::writer::Writer;
use crate::decode::fragments::FragmentId;
use crate::decode::{Decoded, Decoder, Reject, TunnelSet};
use crate::dispatch::{Duplicates, FrameContext};
use crate::model::{Counters, Error, Frame, Nanos, Stamp};
use crate::pipeline::decap_config::tunnels_of;
use crate::pipeline::prepare::print_secret;

/// Frames between two reports of progress.
const FRAMES_PER_TICK: u64 = 65_536;

/// Fragments are remembered for 30 seconds: so long before the first packet wanted frames are
/// decoded.
const REMEMBERED: Nanos = Nanos::from_secs(60);

/// What is read, and how.
pub(super) struct Reading<'r> {
    pub(super) inputs: &'r [Input],
    pub(super) located: &'r [Located],
    pub(super) shape: &'r Shape,
}

/// A source as the merge numbers it.
struct Source {
    /// Its number in lines.
    input: u64,
    point: u16,
    tunnels: TunnelSet,
}

/// What decides on a frame.
struct Judge<'j> {
    decoder: Decoder,
    filter: Option<FilterSet>,
    copies: Option<Duplicates>,
    counters: Counters,
    flows: &'j mut Flows,
    held: Held,
    /// Seconds that the run's clock shows.
    clock: u32,
}

/// What is to become of a frame.
enum Choice {
    Copy(Vec<String>),
    Hold(FragmentId),
    /// It completes a datagram that is wanted.
    Complete(FragmentId, Vec<String>),
    Drop,
}

/// Copies what is wanted.
///
/// Errors: writing.
pub(super) fn copy(
    reading: &Reading<'_>,
    flows: &mut Flows,
    out: &mut Writer<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<FileReport>, Error> {
    let shape = reading.shape;
    let pool = BlockPool::new(BLOCK_BYTES, 4);
    let specs = reading.located.iter().map(|of| InputSpec::new(&of.path)).collect();
    let mut source = MergedSource::open(specs, &pool, shape.read.clone());
    let sources = sources(reading, &source);
    let (start, end) = flows.span();
    let (start, end) = (start.since(REMEMBERED), end.plus(REMEMBERED));
    let mut judge = Judge {
        decoder: Decoder::new(shape.decode),
        filter: shape.filter.as_deref().and_then(|text| FilterSet::new(text).ok()),
        copies: shape.window.map(|window| Duplicates::new(window, print_secret())),
        counters: Counters::default(),
        flows,
        held: Held::default(),
        clock: 0,
    };
    let mut frames = 0u64;
    while let Some((file, meta)) = source.next() {
        frames += 1;
        if frames.is_multiple_of(FRAMES_PER_TICK) {
            progress(source.bytes_read(), source.bytes_total());
        }
        if meta.time < start || meta.time > end {
            continue;
        }
        let (Some(of), Some(block)) = (sources.get(usize::from(file)), source.block(file)) else {
            continue;
        };
        let frame = meta.frame(block);
        let choice = judge.frame(of, &meta, &frame);
        if matches!(choice, Choice::Drop) {
            continue;
        }
        let own: Vec<Vec<u8>> =
            source.comments(file, &meta).into_iter().map(<[u8]>::to_vec).collect();
        let with = |more: Vec<String>| {
            own.iter().cloned().chain(more.into_iter().map(String::into_bytes)).collect::<Vec<_>>()
        };
        match choice {
            Choice::Copy(more) => out.packet((of.point, &meta), frame.bytes, &with(more))?,
            Choice::Hold(id) => judge.held.add(id, (file, meta), frame.bytes, own),
            Choice::Complete(id, more) => {
                for waited in judge.held.take(&id, true) {
                    let point = sources.get(usize::from(waited.file)).map_or(0, |of| of.point);
                    out.packet((point, &waited.meta), &waited.bytes, &waited.comments)?;
                }
                out.packet((of.point, &meta), frame.bytes, &with(more))?;
            }
            Choice::Drop => {}
        }
    }
    progress(source.bytes_total(), source.bytes_total());
    Ok(source.finish())
}

/// The sources in the order of their numbers in the merge.
fn sources(reading: &Reading<'_>, merged: &MergedSource) -> Vec<Source> {
    let paths = (0..=u16::MAX).map_while(|file| merged.path(file));
    let of_path = |path: &std::path::Path| {
        let located = reading.located.iter().find(|of| of.path == path);
        let input = located.and_then(|of| reading.inputs.get(of.input));
        let name = input.map_or(path, |input| input.path.as_path());
        Source {
            input: input.and_then(|input| input.file).unwrap_or(u64::MAX),
            point: input.map_or(0, |input| input.point),
            tunnels: tunnels_of(reading.shape.decode.tunnels, &reading.shape.off, name),
        }
    };
    paths.map(of_path).collect()
}

impl Judge<'_> {
    fn frame(&mut self, of: &Source, meta: &FrameMeta, frame: &Frame<'_>) -> Choice {
        if let Some(filter) = &mut self.filter
            && !filter.matches(frame.link, frame.bytes)
        {
            return Choice::Drop;
        }
        if meta.trust.moves_timers() {
            self.clock = self.clock.max(u32::try_from(meta.time.as_secs()).unwrap_or(u32::MAX));
        }
        if let Some(decoded) = self.decoder.decode_plain(frame, of.point) {
            return self.choose(decoded, of, meta, frame);
        }
        self.decoder.set_tunnels(of.tunnels);
        self.decoder.set_clock(self.clock);
        if let Some(subframes) = self.decoder.subframes(frame) {
            let mut all: Option<Vec<String>> = None;
            for (_, part) in subframes {
                let decoded = self.decoder.decode_subframe(&part, of.point);
                let choice = decoded.map(|decoded| self.choose(decoded, of, meta, &part));
                if let Ok(Choice::Copy(more)) = choice {
                    all.get_or_insert_default().extend(more);
                }
            }
            return all.map_or(Choice::Drop, Choice::Copy);
        }
        match self.decoder.decode_general(frame, of.point) {
            Ok(decoded) => self.choose(decoded, of, meta, frame),
            Err(Reject::FragmentEarly) => self.early(of, meta),
            Err(_) => Choice::Drop,
        }
    }

    /// Decides on a packet.
    #[inline]
    fn choose(
        &mut self,
        mut decoded: Decoded,
        of: &Source,
        meta: &FrameMeta,
        frame: &Frame<'_>,
    ) -> Choice {
        if !self.flows.may_have(&decoded) {
            return Choice::Drop;
        }
        let packet = &mut decoded.packet;
        packet.stamp = Stamp::new(meta.trust, meta.grain);
        packet.number = meta.number;
        packet.wire_len = meta.wire_len;
        if let Some(copies) = &mut self.copies {
            let path = &decoded.path;
            let passing = FrameContext {
                frame: frame.bytes,
                ident: path.ident,
                vlan: path.vlan.unwrap_or(0),
                outer_ttl: path.outer_ttl,
            };
            copies.mark(packet, &passing, &mut self.counters);
        }
        let number = u64::from(meta.number);
        let Some(flow) = self.flows.session_of(&decoded, of.input, number) else {
            return Choice::Drop;
        };
        Choice::Copy(self.flows.take(flow, &decoded.packet, (of.input, number)))
    }

    /// A fragment of a datagram whose session is not known yet, or has just become so.
    fn early(&mut self, of: &Source, meta: &FrameMeta) -> Choice {
        let Some(id) = self.decoder.held_fragment() else { return Choice::Drop };
        let Some(joined) = self.decoder.take_joined() else {
            // A copy of a fragment of a datagram that is whole.
            return match self.held.is_wanted(&id) {
                true => Choice::Copy(Vec::new()),
                false => Choice::Hold(id),
            };
        };
        let captured = u32::try_from(joined.bytes.len()).unwrap_or(u32::MAX);
        let wire_len = joined.wire_len.max(captured);
        let whole = FrameMeta { at: 0, captured, wire_len, link: joined.link, ..*meta };
        let frame = Frame { time: meta.time, link: joined.link, wire_len, bytes: &joined.bytes };
        let decoded = self.decoder.decode_general(&frame, of.point);
        match decoded.map(|decoded| self.choose(decoded, of, &whole, &frame)) {
            Ok(Choice::Copy(more)) => Choice::Complete(joined.id, more),
            _ => {
                drop(self.held.take(&joined.id, false));
                Choice::Drop
            }
        }
    }
}
