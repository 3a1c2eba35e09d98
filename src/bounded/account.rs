//! Byte accounting against a limit.
//!
//! Owns: a byte count and its limit. In: bytes allocated and freed. Out: whether there is room.
//! Never: memory itself; the caller decides what to evict when the account is full.

/// A count of bytes held, with a limit.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    held: usize,
    limit: usize,
}

impl Account {
    /// An empty account.
    pub const fn new(limit: usize) -> Account {
        Account { held: 0, limit }
    }

    /// Bytes held.
    pub const fn held(&self) -> usize {
        self.held
    }

    /// The limit in bytes.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Whether `bytes` more fit within the limit.
    pub const fn has_room(&self, bytes: usize) -> bool {
        self.held.saturating_add(bytes) <= self.limit
    }

    /// Whether the limit is exceeded.
    pub const fn is_over(&self) -> bool {
        self.held > self.limit
    }

    /// Adds bytes.
    pub const fn take(&mut self, bytes: usize) {
        self.held = self.held.saturating_add(bytes);
    }

    /// Subtracts bytes.
    pub const fn give(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
    }

    /// Replaces an item of `before` bytes by one of `now` bytes.
    pub const fn change(&mut self, before: usize, now: usize) {
        self.give(before);
        self.take(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_charged_are_released() {
        let mut account = Account::new(100);
        account.take(60);
        assert!(account.has_room(40) && !account.has_room(41));
        account.change(60, 101);
        assert!(account.is_over());
        account.give(500);
        assert_eq!((account.held(), account.limit()), (0, 100));
    }
}
