//! Text that was made of something once, kept with it.
//!
//! Owns: the text, and for which place in a line it was made. In: bytes. Out: the same. Never: part
//! of what the thing is: it makes no difference when two are compared.

use std::sync::OnceLock;

use crate::model::path::Within;

/// Made where it was open before, open afterwards, and the bytes between.
#[derive(Debug, Default)]
pub struct Memo(OnceLock<(Within, Within, Box<[u8]>)>);

impl Memo {
    /// None yet.
    pub const fn new() -> Memo {
        Memo(OnceLock::new())
    }

    /// The text and what it leaves open, if it was made for that place.
    pub fn get(&self, before: Within) -> Option<(&[u8], Within)> {
        let (made_for, after, text) = self.0.get()?;
        (*made_for == before).then_some((text, *after))
    }

    /// Keeps a text; the first one stays.
    pub fn set(&self, (before, after): (Within, Within), text: &[u8]) {
        // Another thread may have been first.
        drop(self.0.set((before, after, text.into())));
    }
}

impl Clone for Memo {
    /// None: a copy is made to be changed.
    fn clone(&self) -> Memo {
        Memo::default()
    }
}

impl PartialEq for Memo {
    fn eq(&self, _: &Memo) -> bool {
        true
    }
}

impl Eq for Memo {}
