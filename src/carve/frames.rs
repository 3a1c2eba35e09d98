//! The loop over captures: each frame is decoded as when it was read, and copied if it is wanted.
//!
//! Owns: the decoder, the search for duplicates, fragments that wait. In: captures, the sessions
//! wanted. Out: frames to a writer. Never: a look at payload, or a frame that nobody asked for.

use crate::capture::block::BLOCK_BYTES;
use crate::capture::filter::FilterSet;
use crate::capture::{BlockPool, FileReport, FrameMeta, InputSpec, MergedSource};
use crate::carve::captures::{Input, Located, Shape};
use crate::carve::held::Held;
use crate::carve::slice::Slice;
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
    slices: &'j mut [Slice],
    held: Held,
    /// Seconds that the run's clock shows.
    clock: u32,
}

/// The slices that want a frame, and their comments on it.
type Takers = Vec<(usize, Vec<String>)>;

/// What is to become of a frame.
enum Choice {
    Copy(Takers),
    Hold(FragmentId),
    /// It completes a datagram that is wanted.
    Complete(FragmentId, Takers),
    Drop,
}

/// Copies what is wanted.
///
/// Errors: writing.
pub(super) fn copy(
    reading: &Reading<'_>,
    slices: &mut [Slice],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<FileReport>, Error> {
    let shape = reading.shape;
    let pool = BlockPool::new(BLOCK_BYTES, 4);
    let specs = reading.located.iter().map(|of| InputSpec::new(&of.path)).collect();
    let mut source = MergedSource::open(specs, &pool, shape.read.clone());
    let sources = sources(reading, &source);
    let spans = slices.iter().map(|slice| slice.flows.span());
    let (start, end) = spans
        .reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
        .unwrap_or((Nanos(u64::MAX), Nanos::ZERO));
    let (start, end) = (start.since(REMEMBERED), end.plus(REMEMBERED));
    let mut judge = Judge {
        decoder: Decoder::new(shape.decode),
        // The expression was checked when the shape was read.
        filter: shape.filter.as_deref().and_then(|text| FilterSet::new(text).ok()),
        copies: shape.window.map(|window| Duplicates::new(window, print_secret())),
        counters: Counters::default(),
        slices,
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
        if !matches!(choice, Choice::Drop) {
            let own = source.comments(file, &meta);
            let of_it = (file, meta, own.into_iter().map(<[u8]>::to_vec).collect());
            judge.carry_out(choice, of_it, frame.bytes, &sources)?;
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
    /// Does with a frame what was chosen.
    fn carry_out(
        &mut self,
        choice: Choice,
        (file, meta, own): (u16, FrameMeta, Vec<Vec<u8>>),
        bytes: &[u8],
        sources: &[Source],
    ) -> Result<(), Error> {
        let point = |file: u16| sources.get(usize::from(file)).map_or(0, |of| of.point);
        let takers = match choice {
            Choice::Drop => return Ok(()),
            Choice::Hold(id) => {
                self.held.add(id, (file, meta), bytes, own);
                return Ok(());
            }
            Choice::Copy(takers) => takers,
            Choice::Complete(id, takers) => {
                let by = takers.iter().map(|(slice, _)| *slice).collect();
                for waited in self.held.take(&id, by) {
                    for (slice, _) in &takers {
                        let Some(slice) = self.slices.get_mut(*slice) else { continue };
                        let place = (point(waited.file), &waited.meta);
                        slice.out.packet(place, &waited.bytes, &waited.comments)?;
                    }
                }
                takers
            }
        };
        for (slice, more) in takers {
            let Some(slice) = self.slices.get_mut(slice) else { continue };
            let all = own.iter().cloned().chain(more.into_iter().map(String::into_bytes));
            let all: Vec<Vec<u8>> = all.collect();
            slice.out.packet((point(file), &meta), bytes, &all)?;
        }
        Ok(())
    }

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
            let mut all = Takers::new();
            for (_, part) in subframes {
                let decoded = self.decoder.decode_subframe(&part, of.point);
                let choice = decoded.map(|decoded| self.choose(decoded, of, meta, &part));
                let Ok(Choice::Copy(takers)) = choice else { continue };
                for (slice, more) in takers {
                    match all.iter_mut().find(|(known, _)| *known == slice) {
                        Some((_, comments)) => comments.extend(more),
                        None => all.push((slice, more)),
                    }
                }
            }
            return if all.is_empty() { Choice::Drop } else { Choice::Copy(all) };
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
        if !self.slices.iter().any(|slice| slice.flows.may_have(&decoded)) {
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
        let mut takers = Takers::new();
        for (at, slice) in self.slices.iter_mut().enumerate() {
            if let Some(flow) = slice.flows.session_of(&decoded, of.input, number) {
                takers.push((at, slice.flows.take(flow, &decoded.packet, (of.input, number))));
            }
        }
        if takers.is_empty() { Choice::Drop } else { Choice::Copy(takers) }
    }

    /// A fragment of a datagram whose session is not known yet, or has just become so.
    fn early(&mut self, of: &Source, meta: &FrameMeta) -> Choice {
        let Some(id) = self.decoder.held_fragment() else { return Choice::Drop };
        let Some(joined) = self.decoder.take_joined() else {
            // A copy of a fragment of a datagram that is whole.
            let takers = self.held.takers(&id).iter().map(|slice| (*slice, Vec::new()));
            let takers: Takers = takers.collect();
            return if takers.is_empty() { Choice::Hold(id) } else { Choice::Copy(takers) };
        };
        let captured = u32::try_from(joined.bytes.len()).unwrap_or(u32::MAX);
        let wire_len = joined.wire_len.max(captured);
        let whole = FrameMeta { at: 0, captured, wire_len, link: joined.link, ..*meta };
        let frame = Frame { time: meta.time, link: joined.link, wire_len, bytes: &joined.bytes };
        let decoded = self.decoder.decode_general(&frame, of.point);
        match decoded.map(|decoded| self.choose(decoded, of, &whole, &frame)) {
            Ok(Choice::Copy(more)) => Choice::Complete(joined.id, more),
            _ => {
                drop(self.held.take(&joined.id, Vec::new()));
                Choice::Drop
            }
        }
    }
}
