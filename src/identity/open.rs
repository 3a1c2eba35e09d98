//! Pending questions.
//!
//! Owns: questions, for as long as an answer may take. In: questions, answers. Out: the data stored
//! with a question, once. Policy at the cap: evicts the oldest question; if it could still have
//! been answered, that is counted. Never: gives one question to two answers.

use std::collections::VecDeque;
use std::hash::Hash;

use foldhash::quality::RandomState;
use hashbrown::HashMap;

use crate::model::Nanos;

/// A tap that merges several queues may timestamp an answer this much before its question.
const SLACK: Nanos = Nanos::from_millis(10);

/// Pending questions of one protocol.
#[derive(Debug)]
pub struct PendingQuestions<K, V> {
    /// The data of each; `None` once answered, so that a second answer is recognised.
    waiting: HashMap<K, (Nanos, Option<V>), RandomState>,
    /// In order of arrival; answered ones stay until they expire.
    order: VecDeque<(Nanos, K)>,
    cap: usize,
    patience: Nanos,
    evicted: u64,
}

impl<K: Copy + Eq + Hash, V> PendingQuestions<K, V> {
    /// An empty table for `cap` questions, each of which waits for `patience`.
    pub fn new(cap: usize, patience: Nanos) -> PendingQuestions<K, V> {
        let waiting = HashMap::default();
        let (order, cap) = (VecDeque::new(), cap.max(1));
        PendingQuestions { waiting, order, cap, patience, evicted: 0 }
    }

    /// Adds a question; a repeated one waits from now on.
    pub fn ask(&mut self, key: K, left: V, at: Nanos) {
        // Expired questions are removed first, and are no loss.
        while let Some((asked, _)) = self.order.front()
            && (self.order.len() >= self.cap || at.since(*asked) > self.patience)
        {
            self.drop_oldest(at);
        }
        self.waiting.insert(key, (at, Some(left)));
        self.order.push_back((at, key));
    }

    /// Takes the data of a question, if it was asked and has not expired.
    pub fn answer(&mut self, key: &K, at: Nanos) -> Option<V> {
        if !self.knows(key, at) {
            return None;
        }
        self.waiting.get_mut(key).and_then(|(_, left)| left.take())
    }

    /// The data of a question that waits for its answer.
    pub fn pending(&self, key: &K, at: Nanos) -> Option<&V> {
        let (_, left) = self.waiting.get(key).filter(|_| self.knows(key, at))?;
        left.as_ref()
    }

    /// Whether this answers a question that was asked, possibly a second time.
    pub fn knows(&self, key: &K, at: Nanos) -> bool {
        self.waiting
            .get(key)
            .is_some_and(|(asked, _)| *asked <= at.plus(SLACK) && at.since(*asked) <= self.patience)
    }

    /// Questions evicted at the cap while an answer was still possible, since the last call.
    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    fn drop_oldest(&mut self, at: Nanos) {
        let Some((asked, key)) = self.order.pop_front() else { return };
        // Asked again since: the later entry is further back.
        if self.waiting.get(&key).is_some_and(|(last, _)| *last == asked) {
            let open = self.waiting.remove(&key).is_some_and(|(_, left)| left.is_some());
            self.evicted += u64::from(open && at.since(asked) <= self.patience);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Nanos {
        Nanos::from_secs(seconds)
    }

    #[test]
    fn a_question_is_answered_once_and_in_time() {
        let mut open = PendingQuestions::new(8, s(5));
        open.ask(1u8, 'a', s(10));
        assert_eq!(open.answer(&2, s(11)), None, "nobody asked that");
        assert_eq!(open.answer(&1, s(11)), Some('a'));
        assert_eq!(open.answer(&1, s(11)), None, "answered already");
        open.ask(1, 'b', s(20));
        assert_eq!(open.answer(&1, s(26)), None, "too late");
        open.ask(1, 'c', s(30));
        assert_eq!(open.answer(&1, s(29)), None, "an answer before its question");
    }

    #[test]
    fn an_answer_may_be_stamped_a_little_before_its_question() {
        let mut open = PendingQuestions::new(8, s(5));
        open.ask(1u8, 'a', s(10));
        assert_eq!(open.answer(&1, Nanos::from_millis(9_989)), None, "too early");
        assert_eq!(open.answer(&1, Nanos::from_millis(9_991)), Some('a'));
    }

    #[test]
    fn a_second_answer_is_not_counted_as_unsolicited() {
        let mut open = PendingQuestions::new(2, s(5));
        open.ask(1u8, 'a', s(10));
        assert_eq!(open.answer(&1, s(11)), Some('a'));
        assert!(open.knows(&1, s(11)) && !open.knows(&2, s(11)));
        (2..4).for_each(|n| open.ask(n, 'b', s(12)));
        assert!(!open.knows(&1, s(12)), "its place was needed");
        assert_eq!(open.take_evicted(), 0, "it had its answer");
        assert!(!open.knows(&3, s(18)), "too late");
    }

    #[test]
    fn the_oldest_question_is_evicted_at_the_cap_and_counted_if_open() {
        let mut open = PendingQuestions::new(4, s(5));
        for n in 0..100u8 {
            open.ask(n, n, s(1));
            assert!(open.waiting.len() <= 4 && open.order.len() <= 4);
        }
        assert_eq!(open.take_evicted(), 96);
        assert_eq!((open.answer(&95, s(2)), open.answer(&99, s(2))), (None, Some(99)));
        open.ask(200, 0, s(60));
        assert_eq!(open.take_evicted(), 0, "their time was over");
        assert_eq!((open.waiting.len(), open.order.len()), (1, 1));
    }

    #[test]
    fn a_repeated_question_waits_from_its_last_copy() {
        let mut open = PendingQuestions::new(3, s(5));
        open.ask(1u8, 'a', s(1));
        open.ask(1, 'b', s(4));
        open.ask(2, 'c', s(8));
        assert_eq!(open.answer(&1, s(8)), Some('b'));
        assert_eq!(open.take_evicted(), 0);
    }
}
