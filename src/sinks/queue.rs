//! The queue of an output.
//!
//! Owns: the events that one sink has not written, and its cursor. In: events in the order of the
//! run. Out: the same, until they are acknowledged. Policy at the cap: evicts the least important,
//! the newest of equals: health before alerts before incidents, low levels before high ones.
//! Never: more bytes than its cap.

use std::cmp::Reverse;
use std::collections::VecDeque;

use crate::model::{Event, EventKind, Held};

/// At the cap a fraction (1/n) is evicted at once.
const ROOM: usize = 8;

/// An event and its number among those that were pushed.
#[derive(Debug)]
struct Entry {
    number: u64,
    bytes: usize,
    held: Held,
}

/// The events queued for one sink.
#[derive(Debug)]
pub struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
    cap: usize,
    /// Events pushed so far.
    pushed: u64,
    dropped: u64,
}

impl Queue {
    /// An empty queue of at most `cap` bytes.
    pub const fn new(cap: usize) -> Queue {
        Queue { entries: VecDeque::new(), bytes: 0, cap, pushed: 0, dropped: 0 }
    }

    /// Adds an event; at the cap evicts the least important.
    pub fn push(&mut self, held: Held) {
        let bytes = held.bytes();
        self.entries.push_back(Entry { number: self.pushed, bytes, held });
        self.pushed += 1;
        self.bytes += bytes;
        if self.bytes > self.cap {
            self.drop_least();
        }
    }

    /// Whether another event may evict one.
    pub const fn is_full(&self) -> bool {
        self.bytes >= self.cap / 2
    }

    /// The number of queued events.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The cursor: how many events, from the first on, are written or evicted.
    pub fn cursor(&self) -> u64 {
        self.entries.front().map_or(self.pushed, |entry| entry.number)
    }

    /// Queued events of one kind, oldest first.
    pub fn of(&self, kind: EventKind) -> impl Iterator<Item = Event<'_>> {
        let events = self.entries.iter().map(|entry| entry.held.event());
        events.filter(move |event| event.kind() == kind)
    }

    /// The first `count` of a kind are written.
    pub fn acknowledge(&mut self, kind: EventKind, count: usize) {
        let mut left = count;
        let bytes = &mut self.bytes;
        self.entries.retain(|entry| {
            let goes = left > 0 && entry.held.event().kind() == kind;
            if goes {
                left -= 1;
                *bytes = bytes.saturating_sub(entry.bytes);
            }
            !goes
        });
    }

    /// Drops all queued events; returns their number.
    pub fn clear(&mut self) -> u64 {
        self.bytes = 0;
        let all = self.entries.len() as u64;
        self.entries.clear();
        all
    }

    /// Events evicted at the cap since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    #[cold]
    fn drop_least(&mut self) {
        let rank = |entry: &Entry| (entry.held.worth(), Reverse(entry.number));
        let mut ranks: Vec<_> =
            self.entries.iter().map(|entry| (rank(entry), entry.bytes)).collect();
        // No two compare equal: evictions depend on the run alone.
        ranks.sort_unstable_by_key(|(rank, _)| *rank);
        let keep = self.cap - self.cap / ROOM;
        let mut goes = None;
        for (rank, bytes) in ranks {
            if self.bytes <= keep {
                break;
            }
            self.bytes = self.bytes.saturating_sub(bytes);
            goes = Some(rank);
        }
        let before = self.entries.len();
        self.entries.retain(|entry| goes.is_none_or(|last| rank(entry) > last));
        self.dropped += (before - self.entries.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::model::{Alert, Family, Level};

    fn alert(n: usize, level: Level) -> Held {
        let id = format!("{n}");
        Held::Alert(Arc::new(Alert { id, level, ..Alert::sample("D08", Family::R) }))
    }

    fn ids(queue: &Queue) -> Vec<String> {
        let id = |event| match event {
            Event::Alert(alert) => alert.id.clone(),
            _ => String::new(),
        };
        queue.of(EventKind::Alert).map(id).collect()
    }

    #[test]
    fn the_least_important_event_is_dropped_at_the_cap_and_counted() {
        let each = alert(0, Level::Low).bytes() + 8;
        let mut queue = Queue::new(each * 16);
        queue.push(alert(0, Level::High));
        for n in 1..1_000 {
            queue.push(alert(n, Level::Low));
            assert!(queue.bytes <= queue.cap, "{n}");
        }
        queue.push(alert(1_000, Level::Critical));
        let left = ids(&queue);
        assert!(left.contains(&"0".to_owned()) && left.contains(&"1000".to_owned()), "{left:?}");
        assert_eq!(queue.take_dropped() as usize + left.len(), 1_001);
        assert_eq!(queue.take_dropped(), 0);
    }

    #[test]
    fn events_not_acknowledged_are_delivered_again() {
        let mut queue = Queue::new(1 << 20);
        (0..5).for_each(|n| queue.push(alert(n, Level::Low)));
        queue.acknowledge(EventKind::Alert, 2);
        assert_eq!((ids(&queue), queue.cursor()), (vec!["2".into(), "3".into(), "4".into()], 2));
        queue.acknowledge(EventKind::Incident, 2);
        assert_eq!(queue.len(), 3);
        queue.acknowledge(EventKind::Alert, 9);
        assert_eq!((queue.cursor(), queue.bytes, queue.is_empty()), (5, 0, true));
    }
}
