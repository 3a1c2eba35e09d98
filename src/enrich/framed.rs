//! A MaxMind DB packed in small Zstandard frames, which are unpacked on demand.
//!
//! Owns: the frame index, the unpacked frames, the search tree, the decoding of a record.
//! In: the embedded bytes, addresses. Out: record offsets with prefix lengths, and flat records.
//! Never: user files (those use the general reader), nested records.
//!
//! The tree of the default databases is in depth-first order, so that one address touches about a
//! dozen frames, and most children follow their parent: `geo/pack.py` writes nodes relative to
//! where they are named, which halves the files. Source: MaxMind DB File Format Specification,
//! version 2.0.

use std::iter::repeat_with;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use zstd::bulk::Decompressor;

use crate::model::Addr;

/// How the packed form begins.
const MARK: &[u8] = b"LHGEO1";

/// Set in a record that names no node.
const NO_NODE: u32 = 1 << 23;

/// Unpacked bytes of each frame but the last: 128 nodes of six bytes. Smaller frames would compress
/// badly, larger ones make a run unpack more that it never reads.
const FRAME_BYTES: usize = 128 * NODE_BYTES;

/// Record size 24: two records of three bytes.
const NODE_BYTES: usize = 6;

/// Bytes between search tree and data section.
const SEPARATOR_BYTES: usize = 16;

/// Frames at the end that are searched for the metadata, which has about 300 bytes here.
const METADATA_FRAMES: usize = 2;

const METADATA_MARK: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// The length of IPv4 prefixes whose nodes are remembered, as a length of [`Addr`]: half of the way
/// to an answer. A flood from many addresses costs one line of the cache for it, not one a bit.
const SHORT: u8 = 96 + 16;

/// How many there are.
const SHORTS: usize = 1 << 16;

/// Maximum pairs in a record; the embedded ones have five.
const FIELDS_MAX: usize = 32;

/// A value of a flat record.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// UTF-8 text.
    Text(String),
    /// Float or double.
    Real(f64),
    /// Unsigned integer of up to 64 bits.
    Whole(u64),
    /// A type that this reader does not use; it was skipped.
    Other,
}

/// Why a framed database cannot be read.
pub type Broken = &'static str;

/// The location of a record, and its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Offset of the record in the data section; `None` if the database has none.
    pub offset: Option<usize>,
    /// Length of the prefix that the answer is valid for, on the 128-bit form of [`Addr`].
    pub prefix_len: u8,
}

/// The database.
pub struct Framed {
    packed: &'static [u8],
    /// Where each frame begins in `packed`; behind them, where the last ends.
    starts: Vec<u32>,
    /// The frames that were needed so far.
    plain: Vec<OnceLock<Box<[u8]>>>,
    unpacker: Mutex<Decompressor<'static>>,
    nodes: u32,
    /// The node of `::/96`, where IPv4 starts.
    v4_start: u32,
    /// The nodes of prefixes of [`SHORT`] bits that were passed; 0 if it was none.
    shorts: Box<[AtomicU32]>,
    build_epoch: u64,
    database_type: String,
}

impl Framed {
    /// Indexes the frames and reads the metadata; unpacks only the first frame and the last ones.
    pub fn open(packed: &'static [u8]) -> Result<Framed, Broken> {
        let (nodes, starts, packed) = index(packed).ok_or("it is not packed for this reader")?;
        if starts.last().is_none_or(|end| *end as usize != packed.len()) {
            return Err("a frame is cut short");
        }
        let unpacker = Decompressor::new().map_err(|_| "no memory to unpack")?;
        let mut db = Framed {
            packed,
            plain: repeat_with(OnceLock::new).take(starts.len() - 1).collect(),
            starts,
            unpacker: Mutex::new(unpacker),
            nodes,
            v4_start: 0,
            shorts: repeat_with(AtomicU32::default).take(SHORTS).collect(),
            build_epoch: 0,
            database_type: String::new(),
        };
        db.read_metadata()?;
        let (mut node, mut held) = (0, None);
        for _ in 0..96 {
            node = if node < db.nodes { db.child(node, 0, &mut held)? } else { node };
        }
        db.v4_start = node;
        Ok(db)
    }

    /// Build time in seconds since 1970.
    pub fn build_epoch(&self) -> u64 {
        self.build_epoch
    }

    /// `database_type` of the metadata.
    pub fn database_type(&self) -> &str {
        &self.database_type
    }

    /// Frames unpacked so far, and all frames.
    pub fn frames_unpacked(&self) -> (usize, usize) {
        (self.plain.iter().filter(|plain| plain.get().is_some()).count(), self.plain.len())
    }

    /// The file that was packed.
    #[cfg(test)]
    pub(super) fn whole(&self) -> Option<Vec<u8>> {
        let mut whole = Vec::new();
        for index in 0..self.plain.len() {
            whole.extend_from_slice(self.frame(index)?);
        }
        let tree = whole.get_mut(..self.nodes as usize * NODE_BYTES)?;
        for (record, at) in tree.as_chunks_mut::<3>().0.iter_mut().zip(0..) {
            let [_, value @ ..] = self.absolute(*record, at / 2).to_be_bytes();
            *record = value;
        }
        Some(whole)
    }

    /// Walks the search tree.
    pub fn find(&self, addr: Addr) -> Result<Found, Broken> {
        let bits = addr.to_bits();
        let short = addr.to_v4().and_then(|_| self.shorts.get(usize::from((bits >> 16) as u16)));
        let (mut node, mut depth) = match short.map(|node| node.load(Ordering::Relaxed)) {
            None => (0, 0u8),
            Some(0) => (self.v4_start, 96),
            Some(node) => (node, SHORT),
        };
        let mut held = None;
        while node < self.nodes && depth < 128 {
            let bit = (bits >> (127 - depth)) & 1;
            node = self.child(node, bit as usize, &mut held)?;
            depth += 1;
            if let (SHORT, Some(short)) = (depth, short)
                && node < self.nodes
            {
                short.store(node, Ordering::Relaxed);
            }
        }
        // Spec, "Search Tree Lookup": equal is "no data", greater points into the data section.
        let offset = match node.checked_sub(self.nodes) {
            None | Some(0) => None,
            Some(pointer) => {
                let offset = (pointer as usize).checked_sub(SEPARATOR_BYTES);
                Some(offset.ok_or("a tree record points into the separator")?)
            }
        };
        Ok(Found { offset, prefix_len: depth })
    }

    /// Decodes the flat record at an offset of the data section: names and values in its order.
    pub fn record(&self, offset: usize) -> Result<Vec<(String, Value)>, Broken> {
        let base = self.nodes as usize * NODE_BYTES + SEPARATOR_BYTES;
        let mut cursor = Cursor { db: self, base, at: base + offset };
        cursor.map()
    }

    fn read_metadata(&mut self) -> Result<(), Broken> {
        let first = self.plain.len().saturating_sub(METADATA_FRAMES);
        let mut tail = Vec::new();
        for index in first..self.plain.len() {
            tail.extend_from_slice(self.frame(index).ok_or("a frame cannot be unpacked")?);
        }
        let mark = tail
            .windows(METADATA_MARK.len())
            .rposition(|window| window == METADATA_MARK)
            .ok_or("it has no metadata")?;
        let base = first * FRAME_BYTES + mark + METADATA_MARK.len();
        let fields = Cursor { db: self, base, at: base }.map()?;
        let whole = |name: &str| {
            fields.iter().find_map(|(field, value)| match value {
                Value::Whole(n) if field == name => Some(*n),
                _ => None,
            })
        };
        let fits =
            (whole("record_size"), whole("ip_version"), whole("binary_format_major_version"))
                == (Some(24), Some(6), Some(2));
        if !fits {
            return Err("it is not an IPv6 database with record size 24");
        }
        if whole("node_count") != Some(self.nodes.into()) {
            return Err("its node count is another");
        }
        self.build_epoch = whole("build_epoch").ok_or("it has no build date")?;
        for (field, value) in fields {
            if let (true, Value::Text(text)) = (field == "database_type", value) {
                self.database_type = text;
            }
        }
        Ok(())
    }

    /// The next node. Most are in the frame of the one before, which is `held`.
    fn child<'f>(
        &'f self,
        node: u32,
        bit: usize,
        held: &mut Option<(usize, &'f [u8])>,
    ) -> Result<u32, Broken> {
        let at = node as usize * NODE_BYTES + bit * 3;
        // A node never straddles frames: FRAME_BYTES is a multiple of NODE_BYTES.
        let index = at / FRAME_BYTES;
        let frame = match *held {
            Some((same, frame)) if same == index => frame,
            _ => self.frame(index).ok_or("the tree is cut short")?,
        };
        *held = Some((index, frame));
        let record = frame.get(at % FRAME_BYTES..).and_then(|rest| rest.first_chunk::<3>());
        Ok(self.absolute(*record.ok_or("the tree is cut short")?, node))
    }

    /// What a record of a node says, as MMDB has it.
    fn absolute(&self, [a, b, c]: [u8; 3], node: u32) -> u32 {
        match u32::from_be_bytes([0, a, b, c]) {
            value if value & NO_NODE != 0 => self.nodes.saturating_add(value ^ NO_NODE),
            value => value.wrapping_add(node).wrapping_add(1) % NO_NODE,
        }
    }

    fn frame(&self, index: usize) -> Option<&[u8]> {
        let plain = self.plain.get(index)?.get_or_init(|| {
            let at = |index: usize| self.starts.get(index).map_or(0, |start| *start as usize);
            let packed = self.packed.get(at(index)..at(index + 1)).unwrap_or_default();
            // A panic cannot leave the context in a bad state: each frame resets it.
            let mut unpacker = self.unpacker.lock().unwrap_or_else(PoisonError::into_inner);
            unpacker.decompress(packed, FRAME_BYTES).unwrap_or_default().into_boxed_slice()
        });
        (!plain.is_empty()).then_some(plain)
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.frame(at / FRAME_BYTES)?.get(at % FRAME_BYTES).copied()
    }
}

/// The number of nodes, where each frame begins and where the last ends, and the frames.
fn index(packed: &[u8]) -> Option<(u32, Vec<u32>, &[u8])> {
    let (nodes, rest) = packed.strip_prefix(MARK)?.split_first_chunk::<4>()?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let count = u32::from_be_bytes(*count) as usize;
    let (lengths, frames) = rest.split_at_checked(count.checked_mul(2)?)?;
    let mut starts = Vec::with_capacity(count + 1);
    let mut end = 0u32;
    starts.push(end);
    for length in lengths.as_chunks::<2>().0 {
        end = end.checked_add(u16::from_be_bytes(*length).into())?;
        starts.push(end);
    }
    Some((u32::from_be_bytes(*nodes), starts, frames))
}

/// Reads data fields; pointers count from `base`.
struct Cursor<'a> {
    db: &'a Framed,
    base: usize,
    at: usize,
}

const CUT: Broken = "a record is cut short";

impl Cursor<'_> {
    fn u8(&mut self) -> Result<u8, Broken> {
        let byte = self.db.byte(self.at).ok_or(CUT)?;
        self.at += 1;
        Ok(byte)
    }

    fn uint(&mut self, len: usize) -> Result<u64, Broken> {
        (0..len).try_fold(0u64, |n, _| Ok(n << 8 | u64::from(self.u8()?)))
    }

    /// Type and payload size of the next field (spec, "Data Field Format").
    fn control(&mut self) -> Result<(u8, usize), Broken> {
        let control = self.u8()?;
        let kind = match control >> 5 {
            0 => self.u8()?.saturating_add(7),
            kind => kind,
        };
        if kind == 1 {
            return Ok((1, usize::from(control & 0x1f)));
        }
        let size = match control & 0x1f {
            29 => 29 + self.uint(1)?,
            30 => 285 + self.uint(2)?,
            31 => 65_821 + self.uint(3)?,
            size => u64::from(size),
        };
        Ok((kind, size as usize))
    }

    /// Follows a pointer field whose control bits are given: a cursor at its target.
    fn target(&mut self, bits: usize) -> Result<Self, Broken> {
        let high = (bits & 7) as u64;
        let pointer = match bits >> 3 {
            0 => high << 8 | self.uint(1)?,
            1 => (high << 16 | self.uint(2)?) + 2_048,
            2 => (high << 24 | self.uint(3)?) + 526_336,
            _ => self.uint(4)?,
        };
        Ok(Cursor { db: self.db, base: self.base, at: self.base + pointer as usize })
    }

    fn map(&mut self) -> Result<Vec<(String, Value)>, Broken> {
        let (kind, size) = self.control()?;
        if kind != 7 || size > FIELDS_MAX {
            return Err("a record is not a small map");
        }
        let mut fields = Vec::with_capacity(size);
        for _ in 0..size {
            let Value::Text(name) = self.value(true)? else {
                return Err("a record's key is not text");
            };
            fields.push((name, self.value(true)?));
        }
        Ok(fields)
    }

    fn value(&mut self, pointer_ok: bool) -> Result<Value, Broken> {
        let (kind, size) = self.control()?;
        match kind {
            // Spec, "pointer": a pointer never points to a pointer.
            1 if pointer_ok => self.target(size)?.value(false),
            2 => self.text(size),
            3 if size == 8 => Ok(Value::Real(f64::from_bits(self.uint(8)?))),
            15 if size == 4 => Ok(Value::Real(f64::from(f32::from_bits(self.uint(4)? as u32)))),
            5 | 6 | 9 if size <= 8 => Ok(Value::Whole(self.uint(size)?)),
            // A boolean has no payload.
            14 => Ok(Value::Other),
            // Only the metadata has these types: descriptions and language names.
            7 | 11 if size <= FIELDS_MAX => {
                for _ in 0..if kind == 7 { size * 2 } else { size } {
                    self.scalar()?;
                }
                Ok(Value::Other)
            }
            _ => Err("a record holds a type this reader does not know"),
        }
    }

    /// A value inside a skipped map or array: no further nesting.
    fn scalar(&mut self) -> Result<(), Broken> {
        match self.control()? {
            (1, bits) => self.target(bits).map(|_| ()),
            (7 | 11, _) => Err("a record is nested"),
            (_, size) => {
                self.at += size;
                Ok(())
            }
        }
    }

    fn text(&mut self, size: usize) -> Result<Value, Broken> {
        if size > FRAME_BYTES {
            return Err(CUT);
        }
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() < size {
            let frame = self.db.frame(self.at / FRAME_BYTES).ok_or(CUT)?;
            let rest = frame.get(self.at % FRAME_BYTES..).unwrap_or_default();
            let part = rest.get(..size - bytes.len()).unwrap_or(rest);
            if part.is_empty() {
                return Err(CUT);
            }
            bytes.extend_from_slice(part);
            self.at += part.len();
        }
        String::from_utf8(bytes)
            .map(Value::Text)
            .map_err(|_| "a record holds text that is not UTF-8")
    }
}
