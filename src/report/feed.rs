//! Detects capture points that see only one direction of traffic.
//!
//! Owns: two counts per capture point. In: finished sessions. Out: the one-way points. Never:
//! blames a session: a scan that nobody answers is one-way everywhere.

use serde::Serialize;

use crate::model::{Record, Transport};
use crate::report::units;

/// TCP conversations needed before a point is judged.
const CONVERSATIONS_MIN: u64 = 20;
/// Share of them seen from one side only, in per cent, from which a point counts as one-way. An
/// asymmetric route hides some conversations' answers; a port that mirrors one direction hides all.
const ONE_WAY_SHARE_MIN: u64 = 80;
/// This many conversations seen from both sides prove that the port sends both directions: anybody
/// can forge any number of one-sided conversations, but no two-sided one.
const TWO_WAY_MAX: u64 = 20;
/// Capture points counted separately; the sessions of others are counted with the last.
const POINTS_MAX: usize = 1_024;
/// Mean frame length above which a TCP side has sent more than bare headers.
const HEADERS_ONLY: u64 = 90;

/// Counts of one capture point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Feed {
    /// Capture point.
    pub point: u16,
    /// TCP sessions with data.
    pub conversations: u64,
    /// Those seen from one side only.
    pub one_way: u64,
}

impl Feed {
    /// The message about a one-way point.
    pub fn sentence(&self) -> String {
        format!(
            "capture point {}: only one direction of {} of {} TCP conversations was seen: the \
             mirror port sends one direction. No legs, and no rule that needs both",
            self.point,
            units::share(self.one_way, self.conversations),
            units::count(self.conversations),
        )
    }

    /// Whether the point sees one direction only.
    pub const fn is_one_way(&self) -> bool {
        let two_way = self.conversations.saturating_sub(self.one_way);
        let share = self.one_way.saturating_mul(100);
        self.conversations >= CONVERSATIONS_MIN
            && two_way < TWO_WAY_MAX
            && share >= self.conversations.saturating_mul(ONE_WAY_SHARE_MIN)
    }
}

/// Counts of every capture point. Each thread may have its own; the order of merging does not
/// matter.
#[derive(Clone, Debug, Default)]
pub struct Feeds(Vec<Feed>);

impl Feeds {
    /// Counts one session, if it is a TCP conversation.
    pub fn observe(&mut self, record: &Record) {
        if record.transport == Transport::TCP && has_data(record) {
            let one_way = u64::from(record.quality.one_way);
            self.add(Feed { point: record.point, conversations: 1, one_way });
        }
    }

    /// Adds the counts of another thread.
    pub fn merge(&mut self, other: &Feeds) {
        other.0.iter().filter(|feed| feed.conversations > 0).for_each(|feed| self.add(*feed));
    }

    fn add(&mut self, feed: Feed) {
        let at = usize::from(feed.point).min(POINTS_MAX - 1);
        if self.0.len() <= at {
            self.0.resize(at + 1, Feed::default());
        }
        if let Some(known) = self.0.get_mut(at) {
            known.point = at as u16;
            known.conversations += feed.conversations;
            known.one_way += feed.one_way;
        }
    }

    /// The one-way points, by number.
    pub fn one_way(&self) -> impl Iterator<Item = Feed> {
        self.0.iter().copied().filter(Feed::is_one_way)
    }
}

/// Whether the session carried data: bare SYNs and ACKs do not count, so that neither a scan nor a
/// flood makes a point look one-way.
fn has_data(record: &Record) -> bool {
    let packets = record.initiator.packets.saturating_add(record.responder.packets);
    let bytes = record.initiator.bytes.saturating_add(record.responder.bytes);
    packets >= 3 && bytes > packets.saturating_mul(HEADERS_ONLY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::SessionState;
    use crate::report::summary::tests::record;

    fn session(point: u16, from: (u64, u64), to: (u64, u64)) -> Record {
        let mut record = record(Transport::TCP, None, 0, None);
        record.point = point;
        (record.initiator.packets, record.initiator.bytes) = from;
        (record.responder.packets, record.responder.bytes) = to;
        record.quality.one_way = from.0 == 0 || to.0 == 0;
        record
    }

    #[test]
    fn a_one_way_feed_is_distinguished_from_a_scan() {
        let mut feeds = Feeds::default();
        for _ in 0..30 {
            feeds.observe(&session(1, (10, 5_000), (0, 0)));
            feeds.observe(&session(2, (10, 5_000), (10, 9_000)));
            feeds.observe(&session(3, (7, 518), (0, 0)));
        }
        feeds.observe(&session(2, (10, 5_000), (0, 0)));
        let one_way: Vec<Feed> = feeds.one_way().collect();
        assert_eq!(one_way, [Feed { point: 1, conversations: 30, one_way: 30 }]);
        let mut other = Feeds::default();
        other.observe(&session(1, (10, 5_000), (10, 9_000)));
        other.merge(&feeds);
        assert_eq!(other.one_way().next(), Some(Feed { point: 1, conversations: 31, one_way: 30 }));
    }

    #[test]
    fn forged_one_way_conversations_do_not_hide_real_ones() {
        let mut feeds = Feeds::default();
        let bare = Record { state: SessionState::Half, ..session(0, (3, 180), (0, 0)) };
        (0..200_000).for_each(|_| feeds.observe(&bare));
        assert_eq!(feeds.one_way().count(), 0, "acknowledgements alone");
        (0..TWO_WAY_MAX).for_each(|_| feeds.observe(&session(0, (10, 5_000), (10, 9_000))));
        let data = Record { state: SessionState::Half, ..session(0, (4, 4_000), (0, 0)) };
        (0..200_000).for_each(|_| feeds.observe(&data));
        assert_eq!(feeds.one_way().count(), 0, "data");
    }

    #[test]
    fn few_sessions_are_no_verdict() {
        let mut feeds = Feeds::default();
        (0..CONVERSATIONS_MIN - 1).for_each(|_| feeds.observe(&session(0, (10, 5_000), (0, 0))));
        assert_eq!(feeds.one_way().count(), 0);
    }
}
