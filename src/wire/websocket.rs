//! WebSocket frames (RFC 6455 section 5.2).
//!
//! Owns: one frame. In: the start of a stream's bytes. Out: opcode, size and masked payload. Never:
//! extensions, or messages of several frames.

use crate::wire::{Reader, WireError};

/// Opcode of text.
pub const TEXT: u8 = 1;
/// Opcode of bytes.
pub const BINARY: u8 = 2;

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Opcode.
    pub opcode: u8,
    /// The key that its payload is masked with: a client's always is (section 5.1).
    pub mask: Option<[u8; 4]>,
    /// The masked payload so far.
    pub payload: &'a [u8],
    /// Size of the frame, which may be incomplete.
    pub size: usize,
}

impl Frame<'_> {
    /// The payload without its mask, at most `bytes_max` of it.
    pub fn unmasked(&self, bytes_max: usize) -> Vec<u8> {
        let key = self.mask.unwrap_or_default().into_iter().cycle();
        self.payload.iter().zip(key).take(bytes_max).map(|(byte, key)| byte ^ key).collect()
    }

    /// Whether the frame is complete.
    pub const fn is_whole(&self, here: usize) -> bool {
        self.size <= here
    }
}

/// Reads a frame that is a message of its own, or a control frame.
///
/// # Errors `NotThis` for reserved bits, an unknown opcode or an overlong length, `NeedMore` while
/// the header is incomplete.
pub fn frame(bytes: &[u8]) -> Result<Frame<'_>, WireError> {
    let mut r = Reader::new(bytes);
    let first = r.u8()?;
    let opcode = first & 0x0f;
    // Bit 6 means compressed (RFC 7692 section 6): the payload is not plain text.
    if first & 0xb0 != 0x80 || !matches!(opcode, 1 | 2 | 8..=10) {
        return Err(WireError::NotThis);
    }
    let second = r.u8()?;
    let length = match second & 0x7f {
        126 => u64::from(r.u16()?),
        127 => r.u64()?,
        short => u64::from(short),
    };
    let overlong = match second & 0x7f {
        126 => length < 126,
        127 => length <= u64::from(u16::MAX),
        _ => false,
    };
    let Ok(length) = u32::try_from(length) else { return Err(WireError::NotThis) };
    if overlong || opcode >= 8 && length > 125 {
        return Err(WireError::NotThis);
    }
    let mask = if second & 0x80 != 0 { Some(r.array()?) } else { None };
    let size = bytes.len() - r.left() + length as usize;
    let payload = r.take((length as usize).min(r.left()))?;
    Ok(Frame { opcode, mask, payload, size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_of_the_specification_are_read() {
        // RFC 6455 section 5.7.
        let plain = [0x81, 5, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        assert_eq!(frame(&plain).unwrap().unmasked(99), b"Hello");
        let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let read = frame(&masked).unwrap();
        assert_eq!((read.unmasked(99), read.size), (b"Hello".to_vec(), 11));
        assert!(read.is_whole(11) && !read.is_whole(10));
        let long = frame(&[0x82, 126, 1, 0, 9]).unwrap();
        assert_eq!((long.size, long.payload), (4 + 256, &[9][..]));
    }

    #[test]
    fn invalid_headers_are_rejected() {
        for bytes in
            [&[0x01, 1][..], &[0x91, 1], &[0x83, 1], &[0x89, 126, 0, 200], &[0x81, 126, 0, 9]]
        {
            assert_eq!(frame(bytes), Err(WireError::NotThis), "{bytes:?}");
        }
        assert_eq!(frame(&[0x81, 126, 1]), Err(WireError::NeedMore(1)));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(read) = frame(&bytes) {
                prop_assert!(read.payload.len() <= bytes.len() && read.size >= read.payload.len());
            }
        }
    }
}
