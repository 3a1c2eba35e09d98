//! Hashes text while it is written, for fingerprints.
//!
//! Owns: a small buffer on the stack, so that the hash gets a few long pieces and not hundreds of
//! short ones. In: bytes. Out: the hash. Never: keeps the text.

use md5::Digest;
use md5::digest::Output;

/// Bytes buffered before they are hashed: four blocks of MD5 or SHA-256, a typical text.
const GATHERED: usize = 256;

/// A text being hashed.
pub struct Hashed<D> {
    hash: D,
    gathered: [u8; GATHERED],
    used: usize,
}

impl<D: Digest> Hashed<D> {
    /// The empty text.
    pub fn new() -> Hashed<D> {
        Hashed { hash: D::new(), gathered: [0; GATHERED], used: 0 }
    }

    /// Appends bytes.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        let end = self.used + bytes.len();
        if let Some(room) = self.gathered.get_mut(self.used..end) {
            room.copy_from_slice(bytes);
            self.used = end;
        } else {
            self.flush();
            self.hash.update(bytes);
        }
    }

    /// Appends a few bytes, as many as the compiler knows.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        let room = self.gathered.get_mut(self.used..).and_then(|room| room.first_chunk_mut());
        match room {
            Some(room) => {
                *room = bytes;
                self.used += N;
            }
            None => self.push(&bytes),
        }
    }

    #[inline(never)]
    fn flush(&mut self) {
        self.hash.update(self.gathered.get(..self.used).unwrap_or_default());
        self.used = 0;
    }

    /// The hash of everything appended.
    pub fn finish(mut self) -> Output<D> {
        self.flush();
        self.hash.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_hash_like_the_whole(
            pieces in vec(vec(any::<u8>(), 0..300), 0..9),
        ) {
            let mut text = Hashed::<md5::Md5>::new();
            pieces.iter().for_each(|piece| text.push(piece));
            prop_assert_eq!(text.finish(), md5::Md5::digest(pieces.concat()));
            let mut text = Hashed::<md5::Md5>::new();
            for piece in &pieces {
                let (fives, rest) = piece.as_chunks::<5>();
                fives.iter().for_each(|five| text.put(*five));
                text.push(rest);
            }
            prop_assert_eq!(text.finish(), md5::Md5::digest(pieces.concat()));
        }
    }
}
