//! A MaxMind DB whose search tree is packed in small frames, which are unpacked on demand.
//!
//! Owns: the walk through the tree, the decoding of a record.
//! In: the embedded bytes, addresses. Out: record offsets with prefix lengths, and flat records.
//! Never: user files (those use the general reader), nested records.
//!
//! Source: MaxMind DB File Format Specification, version 2.0.

use std::iter::repeat_with;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::enrich::packed_tree::{Held, PackedTree};
use crate::model::Addr;

/// Bytes between search tree and data section.
const SEPARATOR_BYTES: usize = 16;

/// Bytes at the end that are searched for the metadata, which has about 300 here.
const METADATA_BYTES: usize = 4_096;

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
    tree: PackedTree,
    /// The file behind the tree.
    behind: &'static [u8],
    /// The node of `::/96`, where IPv4 starts.
    v4_start: u32,
    /// The nodes of prefixes of [`SHORT`] bits that were passed; 0 if it was none.
    shorts: Box<[AtomicU32]>,
    build_epoch: u64,
    database_type: String,
}

impl Framed {
    /// Indexes the frames and reads the metadata; unpacks the frames on the way to IPv4.
    pub fn open(packed: &'static [u8]) -> Result<Framed, Broken> {
        let opened = PackedTree::open(packed);
        let (tree, behind) = opened.ok_or("it is not packed for this reader, or cut short")?;
        let mut db = Framed {
            tree,
            behind,
            v4_start: 0,
            shorts: repeat_with(AtomicU32::default).take(SHORTS).collect(),
            build_epoch: 0,
            database_type: String::new(),
        };
        db.read_metadata()?;
        let (mut node, mut held) = (0, None);
        for _ in 0..96 {
            node = if node < db.tree.nodes() { db.child(node, 0, &mut held)? } else { node };
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
        self.tree.frames_unpacked()
    }

    /// The file that was packed.
    #[cfg(test)]
    pub(super) fn whole(&self) -> Option<Vec<u8>> {
        let (mut whole, mut held) = (Vec::new(), None);
        for node in 0..self.tree.nodes() {
            for bit in 0..2 {
                let [_, record @ ..] = self.tree.record(node, bit, &mut held)?.to_be_bytes();
                whole.extend_from_slice(&record);
            }
        }
        whole.extend_from_slice(self.behind);
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
        while node < self.tree.nodes() && depth < 128 {
            let bit = (bits >> (127 - depth)) & 1;
            node = self.child(node, bit as usize, &mut held)?;
            depth += 1;
            if let (SHORT, Some(short)) = (depth, short)
                && node < self.tree.nodes()
            {
                short.store(node, Ordering::Relaxed);
            }
        }
        // Spec, "Search Tree Lookup": equal is "no data", greater points into the data section.
        let offset = match node.checked_sub(self.tree.nodes()) {
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
        let data = self.behind.get(SEPARATOR_BYTES..).ok_or(CUT)?;
        Cursor { data, at: offset }.map()
    }

    fn read_metadata(&mut self) -> Result<(), Broken> {
        let first = self.behind.len().saturating_sub(METADATA_BYTES);
        let tail = self.behind.get(first..).unwrap_or_default();
        let mark = tail
            .windows(METADATA_MARK.len())
            .rposition(|window| window == METADATA_MARK)
            .ok_or("it has no metadata")?;
        let data = tail.get(mark + METADATA_MARK.len()..).unwrap_or_default();
        let fields = Cursor { data, at: 0 }.map()?;
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
        if whole("node_count") != Some(self.tree.nodes().into()) {
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

    fn child<'f>(&'f self, node: u32, bit: usize, held: &mut Held<'f>) -> Result<u32, Broken> {
        self.tree.record(node, bit, held).ok_or("the tree is cut short")
    }
}

/// Reads data fields; pointers count from the beginning.
struct Cursor {
    data: &'static [u8],
    at: usize,
}

const CUT: Broken = "a record is cut short";

impl Cursor {
    fn u8(&mut self) -> Result<u8, Broken> {
        let byte = self.data.get(self.at).copied().ok_or(CUT)?;
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
        Ok(Cursor { data: self.data, at: pointer as usize })
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
        let bytes = self.data.get(self.at..).and_then(|rest| rest.get(..size)).ok_or(CUT)?;
        self.at += size;
        String::from_utf8(bytes.to_vec())
            .map(Value::Text)
            .map_err(|_| "a record holds text that is not UTF-8")
    }
}
