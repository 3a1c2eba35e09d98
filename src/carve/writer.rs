//! A pcapng file of carved packets.
//!
//! Owns: one section, an interface for each link type, capture point and clock, packets with
//! comments. In: frames. Out: bytes. Never: a block longer than a reader takes, or a time that the
//! original did not have.
//!
//! Source: draft-ietf-opsawg-pcapng, section numbers below are of revision 02.

use crate::capture::FrameMeta;
use crate::model::{Error, Grain, LinkType, Nanos};
use crate::sinks::files::OutFile;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

const OPTION_COMMENT: u16 = 1;
const OPTION_IF_NAME: u16 = 2;
const OPTION_APPLICATION: u16 = 4;
const OPTION_TSRESOL: u16 = 9;

/// Bytes of an option that are kept (its length has 16 bits).
const OPTION_BYTES: usize = 16_384;

/// Comments on one packet.
const COMMENTS_MAX: usize = 64;

/// What gives a packet an interface of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interface {
    link: LinkType,
    point: u16,
    grain: Grain,
    /// Digits of its fraction of a second.
    digits: u8,
}

/// Writes a slice.
pub struct Writer {
    out: OutFile,
    interfaces: Vec<Interface>,
    block: Vec<u8>,
    packets: u64,
}

impl Writer {
    /// Begins the file.
    ///
    /// Errors: writing.
    pub fn new(out: OutFile, title: &str) -> Result<Writer, Error> {
        let mut writer = Writer { out, interfaces: Vec::new(), block: Vec::new(), packets: 0 };
        writer.begin(SECTION);
        writer.word(BYTE_ORDER_MAGIC);
        // Version 1.0; the length of the section is not known: section 4.1.
        writer.word(1);
        writer.block.extend([0xff; 8]);
        writer.option(OPTION_COMMENT, title.as_bytes());
        let program = concat!("longhaul ", env!("CARGO_PKG_VERSION"));
        writer.option(OPTION_APPLICATION, program.as_bytes());
        writer.end_of_options();
        writer.write()?;
        Ok(writer)
    }

    /// Packets so far.
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Gives the file its name.
    ///
    /// Errors: writing.
    pub fn finish(self) -> Result<(), Error> {
        self.out.finish()
    }

    /// Writes a frame with its comments.
    ///
    /// Errors: writing.
    pub fn packet(
        &mut self,
        (point, meta): (u16, &FrameMeta),
        bytes: &[u8],
        comments: &[impl AsRef<[u8]>],
    ) -> Result<(), Error> {
        let (interface, unit) = self.interface(point, meta)?;
        let time = meta.time.0 / unit;
        let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.begin(PACKET);
        self.word(interface);
        self.word((time >> 32) as u32);
        self.word(time as u32);
        self.word(captured);
        self.word(meta.wire_len.max(captured));
        self.padded(bytes);
        for comment in comments.iter().take(COMMENTS_MAX) {
            self.option(OPTION_COMMENT, comment.as_ref());
        }
        if !comments.is_empty() {
            self.end_of_options();
        }
        self.packets += 1;
        self.write()
    }

    /// The interface of a frame, and its clock's unit in ns.
    fn interface(&mut self, point: u16, meta: &FrameMeta) -> Result<(u32, u64), Error> {
        let digits = digits(meta.grain, meta.time);
        let own = Interface { link: meta.link, point, grain: meta.grain, digits };
        let unit = unit(digits);
        if let Some(at) = self.interfaces.iter().position(|known| *known == own) {
            return Ok((at as u32, unit));
        }
        self.interfaces.push(own);
        self.begin(INTERFACE);
        self.word(u32::from(meta.link.0));
        // No limit of captured bytes is known: section 4.2.
        self.word(0);
        self.option(OPTION_IF_NAME, format!("point{point}").as_bytes());
        self.option(OPTION_TSRESOL, &[digits]);
        self.end_of_options();
        self.write()?;
        Ok((self.interfaces.len() as u32 - 1, unit))
    }

    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.word(kind);
        // The length, known at the end.
        self.word(0);
    }

    fn word(&mut self, word: u32) {
        self.block.extend(word.to_le_bytes());
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.block.extend_from_slice(bytes);
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        let value = value.get(..OPTION_BYTES).unwrap_or(value);
        self.block.extend(code.to_le_bytes());
        self.block.extend((value.len() as u16).to_le_bytes());
        self.padded(value);
    }

    fn end_of_options(&mut self) {
        self.word(0);
    }

    /// Writes the block.
    fn write(&mut self) -> Result<(), Error> {
        let len = (self.block.len() as u32 + 4).to_le_bytes();
        if let Some(place) = self.block.get_mut(4..8) {
            place.copy_from_slice(&len);
        }
        self.block.extend(len);
        self.out.write(&self.block)
    }
}

/// Digits of the fraction of a second: nine, or as few as the original's clock if it was so coarse
/// that it matters, so that who reads the slice measures no finer.
fn digits(grain: Grain, time: Nanos) -> u8 {
    if grain.as_nanos() == 0 || grain == Grain::USELESS {
        return 9;
    }
    let fits = |digits: &u8| {
        let unit = unit(*digits);
        Grain::of(unit) == grain && time.0.is_multiple_of(unit)
    };
    (0..9).find(fits).unwrap_or(9)
}

const fn unit(digits: u8) -> u64 {
    10u64.pow(9 - digits as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coarse_clock_stays_coarse() {
        let second = Nanos::from_secs(1_700_000_000);
        assert_eq!(digits(Grain::default(), second), 9);
        assert_eq!(digits(Grain::of(1_000_000), second.plus(Nanos(3_000_000))), 3);
        // A clock whose ticks are no power of ten: the file does not say, the readings do.
        assert_eq!(digits(Grain::of(15_625_000), second.plus(Nanos(15_625_000))), 9);
        assert_eq!(digits(Grain::USELESS, second), 9);
    }
}
