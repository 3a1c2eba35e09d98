//! The blocks of long sessions of a shard, and those in which replies are measured.
//!
//! Owns: both, within their caps. In: sessions by their block. Out: blocks; what the replies of a
//! session say. Never: more than one block of replies for [`MEASURED`] sessions.
//!
//! Policy at the cap of replies: the session that has one for longest gives it up, and keeps what
//! it said. So nobody can keep others from being measured, only cut short how long they are.

use crate::bounded::Slab;
use crate::model::interaction::Reply;
use crate::session::lasting::replies::Replies;
use crate::session::lasting::{Lasting, Measured};

/// One block of replies for so many long sessions: few show a screen.
const MEASURED: usize = 16;

/// The blocks of a shard.
#[derive(Debug)]
pub(crate) struct Pool {
    sessions: Slab<Lasting>,
    replies: Slab<Replies>,
    /// The block of replies that is given up next, at the cap.
    next: u32,
}

impl Pool {
    /// For at most so many sessions; nothing is allocated yet.
    pub(crate) const fn new(cap: usize) -> Pool {
        let replies = Slab::new(cap.div_ceil(MEASURED));
        Pool { sessions: Slab::new(cap), replies, next: 0 }
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.sessions.is_full()
    }

    pub(crate) const fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Lasting)> {
        self.sessions.iter()
    }

    /// Takes a session, unless it is full.
    pub(crate) fn insert(&mut self, lasting: Lasting) -> Option<u32> {
        self.sessions.insert(lasting).ok()
    }

    #[inline]
    pub(crate) fn get(&self, block: u32) -> Option<&Lasting> {
        self.sessions.get(block)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, block: u32) -> Option<&mut Lasting> {
        self.sessions.get_mut(block)
    }

    /// A session, and all replies.
    #[inline]
    pub(super) fn with_replies(
        &mut self,
        block: u32,
    ) -> Option<(&mut Lasting, &mut Slab<Replies>)> {
        Some((self.sessions.get_mut(block)?, &mut self.replies))
    }

    /// What the replies of a session say so far.
    pub(crate) fn reply(&self, block: u32) -> Option<Reply> {
        match self.sessions.get(block)?.replies {
            Measured::Not => None,
            Measured::In(replies) => self.replies.get(replies)?.result(),
            Measured::Until(reply) => reply,
        }
    }

    /// Removes a session, with its replies.
    pub(crate) fn remove(&mut self, block: u32) -> Option<Lasting> {
        let reply = self.reply(block);
        let mut lasting = self.sessions.remove(block)?;
        if let Measured::In(replies) = lasting.replies {
            self.replies.remove(replies);
        }
        lasting.replies = Measured::Until(reply);
        Some(lasting)
    }

    /// From now on the replies of a session are measured.
    #[cold]
    pub(super) fn begin_replies(&mut self, block: u32) {
        if self.replies.is_full() {
            self.give_up();
        }
        let Ok(replies) = self.replies.insert(Replies::of(block)) else { return };
        if let Some(lasting) = self.sessions.get_mut(block) {
            lasting.replies = Measured::In(replies);
        }
    }

    /// Takes the next block of replies from its session.
    fn give_up(&mut self) {
        let block = self.next;
        self.next = (block + 1) % u32::try_from(self.replies.cap()).unwrap_or(u32::MAX).max(1);
        let Some(replies) = self.replies.remove(block) else { return };
        if let Some(lasting) = self.sessions.get_mut(replies.owner) {
            lasting.replies = Measured::Until(replies.result());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_cap_a_session_gives_up_its_replies_and_keeps_what_they_said() {
        let mut pool = Pool::new(2 * MEASURED);
        let blocks: Vec<u32> = (0..3).map(|n| pool.insert(Lasting::new(0, n)).unwrap()).collect();
        blocks.iter().for_each(|block| pool.begin_replies(*block));
        let state = |pool: &Pool, n: usize| pool.get(blocks[n]).unwrap().replies;
        assert!(matches!(state(&pool, 0), Measured::Until(None)), "the first one");
        assert!(matches!(state(&pool, 1), Measured::In(_)));
        assert!(matches!(state(&pool, 2), Measured::In(_)));
        for block in blocks {
            assert!(matches!(pool.remove(block).unwrap().replies, Measured::Until(None)));
        }
        assert!(pool.replies.is_empty() && pool.len() == 0);
    }
}
