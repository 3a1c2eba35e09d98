//! The heap bytes of a value, which are charged to budgets.
//!
//! Owns: the sizes of types that hold untrusted text. In: values. Out: bytes, including the
//! allocator's overhead. Never: follows reference-counted data: its owner counts it.

use std::net::IpAddr;

/// Overhead of an allocation: glibc keeps 8 bytes and rounds up to 16.
pub const ALLOCATION: usize = 16;

/// A value whose heap bytes are counted.
pub trait Heap {
    /// Heap bytes beside the value itself.
    fn heap(&self) -> usize;
}

impl Heap for Box<str> {
    fn heap(&self) -> usize {
        if self.is_empty() { 0 } else { self.len() + ALLOCATION }
    }
}

impl Heap for String {
    fn heap(&self) -> usize {
        if self.capacity() == 0 { 0 } else { self.capacity() + ALLOCATION }
    }
}

impl Heap for Box<[u8]> {
    fn heap(&self) -> usize {
        if self.is_empty() { 0 } else { self.len() + ALLOCATION }
    }
}

/// Values without heap data.
macro_rules! plain {
    ($($kind:ty),+) => { $(impl Heap for $kind { fn heap(&self) -> usize { 0 } })+ };
}

plain!((), u8, u16, u32, u64, (usize, usize), IpAddr);

impl<T: Heap> Heap for Option<T> {
    fn heap(&self) -> usize {
        self.as_ref().map_or(0, Heap::heap)
    }
}

impl<T: Heap> Heap for Box<T> {
    fn heap(&self) -> usize {
        size_of::<T>() + ALLOCATION + T::heap(self)
    }
}

impl<T: Heap> Heap for Vec<T> {
    fn heap(&self) -> usize {
        let own = if self.capacity() == 0 { 0 } else { ALLOCATION };
        own + self.capacity() * size_of::<T>() + self.iter().map(Heap::heap).sum::<usize>()
    }
}

impl<A: Heap, B: Heap> Heap for (A, B) {
    fn heap(&self) -> usize {
        self.0.heap() + self.1.heap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_tables_are_counted_with_allocator_overhead() {
        let text: Box<str> = "four".into();
        assert_eq!(text.heap(), 4 + ALLOCATION);
        assert_eq!(Box::<str>::default().heap() + Vec::<u16>::new().heap(), 0);
        let mut table: Vec<(u16, Box<str>)> = Vec::with_capacity(2);
        table.push((1, text));
        let entry = size_of::<(u16, Box<str>)>();
        assert_eq!(table.heap(), 2 * entry + ALLOCATION + 4 + ALLOCATION);
        assert_eq!(Some(Box::new(7u64)).heap(), 8 + ALLOCATION);
    }
}
