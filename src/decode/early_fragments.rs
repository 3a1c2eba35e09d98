//! Puts datagrams together whose session is unknown when a fragment comes: a later fragment before
//! the first, or a first one too short for the transport header (RFC 1858, RFC 3128).
//!
//! Owns: the bytes of such datagrams. In: their fragments. Out: a frame with the whole datagram, as
//! if it had not been fragmented. Never: fragments of a datagram whose first one had its header and
//! came first (the session stage joins those), or inside a tunnel; or hides a session whose header
//! is known: where the fragments contradict each other, a first one with its header is given back.
//! Anybody who knows the identification can send one that contradicts, which the receiver may not
//! even get.
//!
//! Caps: [`DATAGRAMS`], [`BYTES`], [`LIFETIME`]; the oldest is given up first. Fragments of those
//! given up count as `fragment_orphans`.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::bounded::{Account, Fit, Pieces};
use crate::decode::fragments::FragmentId;
use crate::decode::transport::Span;
use crate::model::{Counter, Counters, Frame, LinkType};

/// Datagrams at once.
const DATAGRAMS: usize = 1_024;

/// Bytes held.
const BYTES: usize = 1 << 20;

/// Seconds of the run's clock that a datagram waits. Linux gives up after 30 s (`ipfrag_time`).
const LIFETIME: u32 = 30;

/// Bytes of a fixed IPv6 header, and of the Fragment header behind it (RFC 8200 sections 3, 4.5).
const V6_HEADER: usize = 40;
const FRAGMENT_HEADER: usize = 8;

/// Where a fragment is in its frame, and in its datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct EarlyFragment {
    pub(super) id: FragmentId,
    /// Offset of its IP header in the frame.
    pub(super) ip_at: usize,
    /// Its data.
    pub(super) data: Span,
    /// Where the data belongs in the datagram.
    pub(super) offset: u32,
    /// Others follow behind it.
    pub(super) more: bool,
    /// It is a first fragment that tells its session.
    pub(super) readable: bool,
}

impl EarlyFragment {
    /// Whether nothing but the IP header stands between that and the data, and all of it is here.
    fn is_whole(&self) -> bool {
        let header = self.data.at.checked_sub(self.ip_at);
        let plain = match self.id.version {
            4 => header.is_some_and(|header| (20..=60).contains(&header)),
            _ => header == Some(V6_HEADER + FRAGMENT_HEADER),
        };
        plain && self.data.end == self.data.wire_end
    }
}

/// A datagram that waits.
#[derive(Debug)]
struct Open {
    /// When its first fragment came.
    since: u32,
    /// The frame of the one at offset 0 up to its data, and where its IP header begins.
    head: Option<(Vec<u8>, usize)>,
    link: LinkType,
    pieces: Pieces,
    /// The frame of a first fragment that tells its session, and its bytes on the wire.
    first: Option<(Vec<u8>, u32)>,
    /// It became whole: what else comes are copies, or another datagram with its identification.
    done: bool,
    fragments: u64,
    /// Bytes of their frames on the wire.
    wire_len: u32,
}

impl Open {
    fn cost(&self) -> usize {
        let head = self.head.as_ref().map_or(0, |(head, _)| head.capacity());
        let first = self.first.as_ref().map_or(0, |(frame, _)| frame.capacity());
        size_of::<(FragmentId, Open)>() + head + first + self.pieces.cost()
    }
}

/// A frame that holds a whole datagram, or the first fragment of one that cannot be put together.
#[derive(Debug)]
pub struct JoinedFrame {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its link type.
    pub link: LinkType,
    /// Bytes of all its fragments' frames on the wire.
    pub wire_len: u32,
    /// What its fragments share.
    pub id: FragmentId,
}

/// What came of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Early {
    /// It is held, or its datagram is whole.
    Held,
    /// Not for here.
    No,
}

/// Datagrams that wait.
#[derive(Debug)]
pub(super) struct EarlyFragments {
    open: HashMap<FragmentId, Open, FixedState>,
    order: VecDeque<FragmentId>,
    held: Account,
    joined: Option<JoinedFrame>,
    /// What the last fragment belongs to.
    last: Option<FragmentId>,
    /// Not yet counted.
    counters: [(Counter, u64); 3],
}

impl EarlyFragments {
    /// Nothing waits; `seed` keys the hash.
    pub(super) fn new(seed: u64) -> EarlyFragments {
        let none = |counter| (counter, 0);
        EarlyFragments {
            open: HashMap::with_hasher(FixedState::with_seed(seed)),
            order: VecDeque::new(),
            held: Account::new(BYTES),
            joined: None,
            last: None,
            counters: [
                none(Counter::FragmentOrphans),
                none(Counter::DatagramsOverlapping),
                none(Counter::DatagramsJoined),
            ],
        }
    }

    /// Whether fragments of this datagram wait.
    pub(super) fn holds(&self, id: &FragmentId) -> bool {
        !self.open.is_empty() && self.open.get(id).is_some_and(|open| !open.pieces.is_void())
    }

    /// Takes a fragment.
    pub(super) fn take(&mut self, part: &EarlyFragment, frame: &Frame<'_>, clock: u32) -> Early {
        self.expire(clock);
        self.joined = None;
        self.last = Some(part.id);
        let data = part.data.of(frame.bytes);
        if !part.is_whole() || data.is_empty() {
            return Early::No;
        }
        if let Some(open) = self.open.get(&part.id).filter(|open| open.done) {
            if open.pieces.has(part.offset, data, part.more) {
                return Early::Held;
            }
            drop(self.remove(&part.id));
            if part.readable {
                return Early::No;
            }
        }
        if !self.open.contains_key(&part.id) {
            if self.open.len() >= DATAGRAMS {
                self.give_up_oldest();
            }
            let open = Open {
                since: clock,
                head: None,
                first: None,
                link: frame.link,
                pieces: Pieces::default(),
                done: false,
                fragments: 0,
                wire_len: 0,
            };
            self.held.take(open.cost());
            self.open.insert(part.id, open);
            self.order.push_back(part.id);
        }
        let Some(open) = self.open.get_mut(&part.id) else { return Early::No };
        let before = open.cost();
        let fit = open.pieces.add(part.offset, data, part.more);
        open.fragments += 1;
        open.wire_len = open.wire_len.saturating_add(frame.wire_len);
        if part.offset == 0 && open.head.is_none() && !open.pieces.is_void() {
            let head = frame.bytes.get(..part.data.at).unwrap_or_default().to_vec();
            (open.head, open.link) = (Some((head, part.ip_at)), frame.link);
            open.first = part.readable.then(|| (frame.bytes.to_vec(), frame.wire_len));
        }
        let first = if fit == Fit::More { None } else { open.first.take() };
        let link = open.link;
        let after = open.cost();
        self.held.change(before, after);
        match fit {
            Fit::More => {}
            Fit::Complete => self.join(&part.id),
            Fit::Clash if part.readable => {
                // Those that waited are of another datagram with the same identification.
                let fragments = self.remove(&part.id).map_or(0, |open| open.fragments);
                self.count(Counter::FragmentOrphans, fragments.saturating_sub(1));
                return Early::No;
            }
            Fit::Clash => {
                let id = part.id;
                let whole = |(bytes, wire_len)| JoinedFrame { bytes, link, wire_len, id };
                self.joined = first.map(whole);
                self.count(Counter::DatagramsOverlapping, 1);
            }
        }
        while self.held.is_over() && !self.open.is_empty() {
            self.give_up_oldest();
        }
        Early::Held
    }

    /// The frame of a datagram that the last fragment completed.
    pub(super) fn take_joined(&mut self) -> Option<JoinedFrame> {
        self.joined.take()
    }

    /// What the fragment taken last belongs to.
    pub(super) const fn last(&self) -> Option<FragmentId> {
        self.last
    }

    /// Adds what was not counted yet. At the end of the input, all that wait are given up.
    pub(super) fn drain(&mut self, counters: &mut Counters, is_end: bool) {
        while is_end && !self.open.is_empty() {
            self.give_up_oldest();
        }
        for (counter, count) in &mut self.counters {
            counters.add(*counter, std::mem::take(count));
        }
    }

    fn join(&mut self, id: &FragmentId) {
        let Some(open) = self.open.get_mut(id) else { return };
        let (link, wire_len, fragments) = (open.link, open.wire_len, open.fragments);
        open.done = true;
        let before = open.cost();
        let head = open.head.take();
        let after = open.cost();
        let joined = head.and_then(|head| whole(id.version, head, open.pieces.bytes()));
        self.held.change(before, after);
        match joined {
            Some(bytes) => {
                self.count(Counter::DatagramsJoined, 1);
                self.joined = Some(JoinedFrame { bytes, link, wire_len, id: *id });
            }
            // Longer than a datagram can be.
            None => self.count(Counter::FragmentOrphans, fragments),
        }
    }

    fn expire(&mut self, clock: u32) {
        while let Some(oldest) = self.order.front() {
            let since = self.open.get(oldest).map(|open| open.since);
            if since.is_some_and(|since| clock.saturating_sub(since) <= LIFETIME) {
                return;
            }
            self.give_up_oldest();
        }
    }

    fn give_up_oldest(&mut self) {
        let Some(oldest) = self.order.pop_front() else { return };
        let Some(open) = self.remove(&oldest) else { return };
        // Those that contradict each other are counted as such.
        if !open.done && !open.pieces.is_void() {
            self.count(Counter::FragmentOrphans, open.fragments);
        }
    }

    fn remove(&mut self, id: &FragmentId) -> Option<Open> {
        let open = self.open.remove(id)?;
        self.held.give(open.cost());
        // A reused identification waits anew, at the end.
        self.order.retain(|known| known != id);
        Some(open)
    }

    fn count(&mut self, which: Counter, n: u64) {
        if let Some((_, count)) = self.counters.iter_mut().find(|(counter, _)| *counter == which) {
            *count += n;
        }
    }
}

/// The frame of the first fragment up to its data, made that of the whole datagram.
fn whole(version: u8, (mut head, ip_at): (Vec<u8>, usize), data: &[u8]) -> Option<Vec<u8>> {
    if version == 4 {
        let total = u16::try_from(head.len().checked_sub(ip_at)? + data.len()).ok()?;
        let ip = head.get_mut(ip_at..)?;
        ip.get_mut(2..4)?.copy_from_slice(&total.to_be_bytes());
        // Neither a fragment nor at an offset.
        ip.get_mut(6..8)?.fill(0);
    } else {
        let fragment_at = ip_at + V6_HEADER;
        let next = *head.get(fragment_at)?;
        head.truncate(fragment_at);
        let ip = head.get_mut(ip_at..)?;
        ip.get_mut(4..6)?.copy_from_slice(&u16::try_from(data.len()).ok()?.to_be_bytes());
        *ip.get_mut(6)? = next;
    }
    head.extend_from_slice(data);
    Some(head)
}
