//! TCP options.
//!
//! Owns: the options session and evidence use, and their order. In: a TCP header
//! (`Packet::l4_header`). Out: [`TcpOptions`]. Never: sequence numbers, state, or an error: a
//! truncated or malformed option ends the list.

use crate::wire::{Fault, Reader, WireError};

/// Longest order kept: forty bytes hold more options only if most are padding.
const ORDER_MAX: usize = 20;

/// End of option list (RFC 9293 section 3.2).
const END: u8 = 0;
/// No operation, for padding (RFC 9293 section 3.2).
const NOP: u8 = 1;
/// Maximum segment size (RFC 9293 section 3.7.1).
const MSS: u8 = 2;
/// Window scale (RFC 7323 section 2.2).
const WINDOW_SCALE: u8 = 3;
/// Selective acknowledgement permitted (RFC 2018 section 2).
const SACK_PERMITTED: u8 = 4;
/// Timestamps (RFC 7323 section 3.2).
const TIMESTAMPS: u8 = 8;
/// Fast Open cookie (RFC 7413 section 4.1.1).
const FAST_OPEN: u8 = 34;
/// Shared experimental option (RFC 6994 section 3).
const EXPERIMENT: u8 = 254;
/// Experiment id of Fast Open before it had a kind (RFC 7413 section 4.1.1).
const FAST_OPEN_EXPERIMENT: u16 = 0xf989;

/// Option kinds in the order of the header: characteristic of a network stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OptionOrder {
    kinds: [u8; ORDER_MAX],
    len: u8,
}

impl OptionOrder {
    /// The kinds, first to last: at most twenty, an end-of-list option included.
    pub fn as_slice(&self) -> &[u8] {
        self.kinds.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Adds a kind, unless the list is full.
    fn push(&mut self, kind: u8) {
        if let Some(slot) = self.kinds.get_mut(usize::from(self.len)) {
            *slot = kind;
            self.len += 1;
        }
    }
}

/// The options of one TCP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Maximum segment size in bytes.
    pub mss: Option<u16>,
    /// Window scale: the shift as sent (RFC 7323 section 2.3 limits its use to 14).
    pub window_scale: Option<u8>,
    /// Timestamp value and echo reply, in the sender's ticks.
    pub timestamps: Option<(u32, u32)>,
    /// Selective acknowledgements may be used.
    pub sack_permitted: bool,
    /// A Fast Open cookie, or the request for one.
    pub fast_open: bool,
    /// The order of the options.
    pub order: OptionOrder,
}

impl TcpOptions {
    /// Reads the options of a complete TCP header.
    pub fn parse(header: &[u8]) -> TcpOptions {
        let mut options = TcpOptions::default();
        let length = header.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4);
        let whole = header.get(..length).unwrap_or(header);
        let mut reader = Reader::new(whole.get(20..).unwrap_or_default());
        while let Ok(kind) = reader.u8() {
            options.order.push(kind);
            match kind {
                END => break,
                NOP => {}
                _ => match options.read(kind, &mut reader) {
                    Ok(()) => {}
                    Err(_) => break,
                },
            }
        }
        options
    }

    /// Reads one option with a length. A value of the wrong size is skipped.
    fn read(&mut self, kind: u8, reader: &mut Reader<'_>) -> Result<(), WireError> {
        let Some(length) = usize::from(reader.u8()?).checked_sub(2) else {
            return Err(WireError::Malformed(Fault::Length, "TCP option length below 2"));
        };
        let mut value = reader.sub(length)?;
        match (kind, length) {
            (MSS, 2) => self.mss = Some(value.u16()?),
            (WINDOW_SCALE, 1) => self.window_scale = Some(value.u8()?),
            (SACK_PERMITTED, 0) => self.sack_permitted = true,
            (TIMESTAMPS, 8) => self.timestamps = Some((value.u32()?, value.u32()?)),
            (FAST_OPEN, _) => self.fast_open = true,
            (EXPERIMENT, 2..) if value.u16()? == FAST_OPEN_EXPERIMENT => self.fast_open = true,
            _ => {}
        }
        Ok(())
    }
}

/// Timestamp value and echo reply of a complete TCP header, in the sender's ticks. Nearly every
/// header with timestamps has the layout of RFC 7323 appendix A, which has a fast path.
pub fn timestamps(header: &[u8]) -> Option<(u32, u32)> {
    let options = header.get(20..).filter(|options| !options.is_empty())?;
    if let Some([NOP, NOP, TIMESTAMPS, 10, v0, v1, v2, v3, e0, e1, e2, e3]) = options.first_chunk()
    {
        let value = u32::from_be_bytes([*v0, *v1, *v2, *v3]);
        return Some((value, u32::from_be_bytes([*e0, *e1, *e2, *e3])));
    }
    TcpOptions::parse(header).timestamps
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with the given options, padded to a multiple of four.
    fn header(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        bytes.extend_from_slice(options);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes[12] = ((bytes.len() / 4) << 4) as u8;
        bytes
    }

    #[test]
    fn a_linux_syn() {
        let options = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 1, 2, 3, 0, 0, 0, 9, 1, 3, 3, 7];
        let parsed = TcpOptions::parse(&header(&options));
        assert_eq!(parsed.mss, Some(1460));
        assert_eq!(parsed.window_scale, Some(7));
        assert_eq!(parsed.timestamps, Some((0x0001_0203, 9)));
        assert!(parsed.sack_permitted && !parsed.fast_open);
        assert_eq!(parsed.order.as_slice(), &[2, 4, 8, 1, 3]);
    }

    #[test]
    fn both_forms_of_fast_open() {
        assert!(TcpOptions::parse(&header(&[34, 2])).fast_open);
        assert!(TcpOptions::parse(&header(&[34, 10, 1, 2, 3, 4, 5, 6, 7, 8])).fast_open);
        assert!(TcpOptions::parse(&header(&[254, 4, 0xf9, 0x89])).fast_open);
        assert!(!TcpOptions::parse(&header(&[254, 4, 0xe2, 0xd4])).fast_open);
    }

    #[test]
    fn a_bad_length_ends_the_list_and_keeps_earlier_options() {
        let parsed = TcpOptions::parse(&header(&[2, 4, 5, 0xb4, 3, 0, 1, 1]));
        assert_eq!((parsed.mss, parsed.window_scale), (Some(1460), None));
        assert_eq!(parsed.order.as_slice(), &[2, 3]);
        let long = TcpOptions::parse(&header(&[2, 4, 5, 0xb4, 8, 200, 1, 1]));
        assert_eq!((long.mss, long.timestamps), (Some(1460), None));
    }

    #[test]
    fn a_header_cut_by_the_capture_gives_the_options_that_are_there() {
        let whole = header(&[2, 4, 5, 0xb4, 8, 10, 0, 1, 2, 3, 0, 0, 0, 9]);
        let parsed = TcpOptions::parse(&whole[..28]);
        assert_eq!((parsed.mss, parsed.timestamps), (Some(1460), None));
    }

    #[test]
    fn forty_paddings_fit() {
        assert_eq!(TcpOptions::parse(&header(&[1; 40])).order.as_slice().len(), 20);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_parse(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            let parsed = TcpOptions::parse(&bytes);
            proptest::prop_assert!(parsed.order.as_slice().len() <= 20);
        }
    }
}
