//! How much of a share of the memory is taken.
//!
//! Owns: a number of bytes and its limit. In: what is taken and given back. Out: whether there is
//! room. Never: memory itself; the owner of the account decides who goes when it is full.

/// Bytes held, of at most so many.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    held: usize,
    limit: usize,
}

impl Account {
    /// Nothing held yet.
    pub const fn new(limit: usize) -> Account {
        Account { held: 0, limit }
    }

    /// Bytes held.
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Bytes that may be held.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Whether so many more fit.
    pub const fn has_room(&self, bytes: usize) -> bool {
        self.held.saturating_add(bytes) <= self.limit
    }

    /// Whether more is held than may be.
    pub const fn is_over(&self) -> bool {
        self.held > self.limit
    }

    /// Takes bytes.
    pub const fn take(&mut self, bytes: usize) {
        self.held = self.held.saturating_add(bytes);
    }

    /// Gives bytes back.
    pub const fn give(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
    }

    /// What held `before` bytes holds `now` so many.
    pub const fn change(&mut self, before: usize, now: usize) {
        self.give(before);
        self.take(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back() {
        let mut account = Account::new(100);
        account.take(60);
        assert!(account.has_room(40) && !account.has_room(41));
        account.change(60, 101);
        assert!(account.is_over());
        account.give(500);
        assert_eq!((account.held(), account.limit()), (0, 100));
    }
}
