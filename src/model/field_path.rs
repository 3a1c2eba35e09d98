//! A field's name as the members of nested JSON objects: `a.b.c` is member `c` of `b` of `a`.
//!
//! Owns: the text that opens these objects, built at compile time. In: a dotted name. Out: bytes.
//! Never: values.

/// Most objects around a value.
const OBJECTS_MAX: usize = 4;
/// Most bytes of a name with its quotes and braces.
const TEXT_MAX: usize = 128;
/// Bytes appended in one copy of constant length.
const BLOCK: usize = 48;
/// Most bytes of the last part of a name with comma, quotes and colon.
const MEMBER_MAX: usize = 40;

/// The name of a field, prepared for writing it as nested JSON.
#[derive(Clone, Copy, Debug)]
pub struct FieldPath {
    /// The objects around the value.
    pub parents: ObjectStack,
    /// `{"a":{"b":{"c":`
    text: [u8; TEXT_MAX],
    len: u8,
    /// Index in `text` of the brace before each part of the name.
    braces: [u8; OBJECTS_MAX + 1],
    /// `,"c":`
    member: [u8; MEMBER_MAX],
    member_len: u8,
    /// `,"b":{"c":`, for when all objects but the innermost are open; its length is 0 if there is
    /// none, or if it does not fit.
    nested: [u8; BLOCK],
    nested_len: u8,
    /// Hash of the whole name: its bits in the stack when it is an object itself.
    name_hash: u16,
}

/// The JSON objects that are open, outermost first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectStack {
    /// 16 bits each: a hash of the object's dotted name. A test checks that no two objects of a
    /// table have the same.
    objects: u64,
    /// Number of open objects.
    pub depth: u8,
}

impl ObjectStack {
    /// No object is open.
    pub const EMPTY: ObjectStack = ObjectStack { objects: 0, depth: 0 };

    /// How many objects, counted from the outermost, both have open.
    #[inline]
    pub fn common_depth(self, other: ObjectStack) -> u8 {
        let same = ((self.objects ^ other.objects).trailing_zeros() / 16) as u8;
        same.min(self.depth).min(other.depth)
    }
}

impl FieldPath {
    /// The path of a name. A name in a table that is too long or too deep does not compile.
    #[allow(clippy::indexing_slicing, reason = "in a constant: a wrong index does not build")]
    pub const fn of(name: &str) -> FieldPath {
        let name = name.as_bytes();
        let mut path = FieldPath {
            parents: ObjectStack::EMPTY,
            text: [0; TEXT_MAX],
            len: 0,
            braces: [0; OBJECTS_MAX + 1],
            member: [0; MEMBER_MAX],
            member_len: 0,
            nested: [0; BLOCK],
            nested_len: 0,
            name_hash: 0,
        };
        // FNV-1a.
        let mut hash = 0x811c_9dc5_u32;
        let (mut from, mut at) = (0, 0);
        while from <= name.len() {
            path.braces[path.parents.depth as usize] = at as u8;
            let mut to = from;
            path.text[at] = b'{';
            path.text[at + 1] = b'"';
            while to < name.len() && name[to] != b'.' {
                path.text[at + 2 + to - from] = name[to];
                hash = (hash ^ name[to] as u32).wrapping_mul(0x0100_0193);
                to += 1;
            }
            at += to - from + 4;
            path.text[at - 2] = b'"';
            path.text[at - 1] = b':';
            hash = (hash ^ b'.' as u32).wrapping_mul(0x0100_0193);
            // Folded: the upper half is the better one.
            path.name_hash = ((hash >> 16) ^ hash) as u16;
            if to < name.len() {
                path.parents.objects |= (path.name_hash as u64) << (16 * path.parents.depth);
                path.parents.depth += 1;
            } else {
                path.member_len = (to - from + 4) as u8;
            }
            from = to + 1;
        }
        path.len = at as u8;
        let mut i = 0;
        while i < path.member_len as usize {
            path.member[i] = path.text[path.braces[path.parents.depth as usize] as usize + i];
            i += 1;
        }
        path.member[0] = b',';
        if path.parents.depth > 0 {
            let from = path.braces[path.parents.depth as usize - 1] as usize;
            if at - from <= BLOCK {
                path.nested_len = (at - from) as u8;
            }
            let mut i = 0;
            while i < path.nested_len as usize {
                path.nested[i] = path.text[from + i];
                i += 1;
            }
            path.nested[0] = b',';
        }
        path
    }

    /// The stack while the object or list of that name is open.
    pub const fn stack(&self) -> ObjectStack {
        let ObjectStack { objects, depth } = self.parents;
        ObjectStack { objects: objects | (self.name_hash as u64) << (16 * depth), depth: depth + 1 }
    }

    /// The member's name, for when its objects are open already: `,"c":`. The path is a constant
    /// where this is inlined, and so is the length.
    #[inline(always)]
    pub fn member(&self) -> &[u8] {
        self.member.get(..usize::from(self.member_len)).unwrap_or_default()
    }

    /// Appends the text that opens the objects beyond the first `open`, and the member's name,
    /// behind a comma. Copying a block of constant length and truncating costs less than copying a
    /// variable length.
    #[inline]
    pub fn put_opening(&self, open: u8, out: &mut Vec<u8>) {
        if open + 1 == self.parents.depth && self.nested_len > 0 {
            let end = out.len() + usize::from(self.nested_len);
            out.extend_from_slice(&self.nested);
            out.truncate(end);
            return;
        }
        let start = out.len();
        let from = usize::from(self.braces.get(usize::from(open)).copied().unwrap_or_default());
        let (text, len) = (self.text.get(from..).unwrap_or_default(), usize::from(self.len) - from);
        match text.first_chunk::<BLOCK>() {
            Some(block) if len <= BLOCK => {
                let end = out.len() + len;
                out.extend_from_slice(block);
                out.truncate(end);
            }
            _ => out.extend_from_slice(text.get(..len).unwrap_or_default()),
        }
        if let Some(brace) = out.get_mut(start) {
            *brace = b',';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_opens_the_objects_that_are_not_open() {
        let path = FieldPath::of("tls.client.ja4");
        for (open, want) in
            [(0, r#","tls":{"client":{"ja4":"#), (1, r#","client":{"ja4":"#), (2, r#","ja4":"#)]
        {
            let mut out = b"x".to_vec();
            path.put_opening(open, &mut out);
            assert_eq!(out, format!("x{want}").into_bytes());
        }
        let long = "a".repeat(20);
        let path3 = FieldPath::of(&[&*long, &long, &long].join("."));
        let mut out = Vec::new();
        path3.put_opening(0, &mut out);
        assert_eq!(out, format!(",\"{long}\":{{\"{long}\":{{\"{long}\":").into_bytes());
        let mut out = Vec::new();
        path3.put_opening(1, &mut out);
        assert_eq!(out, format!(",\"{long}\":{{\"{long}\":").into_bytes());
        assert_eq!(path.member(), br#","ja4":"#);
        assert_eq!(FieldPath::of("message").member(), br#","message":"#);
    }

    #[test]
    fn the_common_depth_counts_the_outermost_equal_objects() {
        let shared =
            |a: &str, b: &str| FieldPath::of(a).parents.common_depth(FieldPath::of(b).parents);
        assert_eq!(shared("tls.client.ja4", "tls.client.ja3"), 2);
        assert_eq!(shared("tls.client.ja4", "tls.server.ja3s"), 1);
        assert_eq!(shared("tls.client.ja4", "tls.cipher"), 1);
        assert_eq!(shared("tls.client.ja4", "dns.client.ja4"), 0);
        assert_eq!(shared("message", "tls.cipher"), 0);
        assert_eq!(FieldPath::of("tls.client").stack(), FieldPath::of("tls.client.ja4").parents);
    }
}
