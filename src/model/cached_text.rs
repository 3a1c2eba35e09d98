//! JSON text of a value that many lines repeat, cached in the value itself.
//!
//! Owns: the text, and the objects that were open before and after it. In: bytes. Out: the same.
//! Never: part of the value: two values that differ in their cached text only are equal.

use std::sync::OnceLock;

use crate::model::field_path::ObjectStack;

/// The objects open before the text, those open after it, and the text.
#[derive(Debug, Default)]
pub struct CachedText(OnceLock<(ObjectStack, ObjectStack, Box<[u8]>)>);

impl CachedText {
    /// Empty.
    pub const fn new() -> CachedText {
        CachedText(OnceLock::new())
    }

    /// The text and the objects open after it, if it was made where the same objects were open.
    pub fn get(&self, before: ObjectStack) -> Option<(&[u8], ObjectStack)> {
        let (made_for, after, text) = self.0.get()?;
        (*made_for == before).then_some((text, *after))
    }

    /// Caches a text, unless there is one already.
    pub fn set(&self, (before, after): (ObjectStack, ObjectStack), text: &[u8]) {
        // Another thread may have set it first.
        drop(self.0.set((before, after, text.into())));
    }
}

impl Clone for CachedText {
    /// Empty: the fields of a copy may be changed, and then the text would be wrong.
    fn clone(&self) -> CachedText {
        CachedText::default()
    }
}

impl PartialEq for CachedText {
    fn eq(&self, _: &CachedText) -> bool {
        true
    }
}

impl Eq for CachedText {}
