//! A field's name as the members of nested JSON objects: `a.b.c` is member `c` of `b` of `a`.
//!
//! Owns: the text that opens them, made when the program is built. In: a dotted name. Out: bytes.
//! Never: values.

/// Objects around a value at most.
const OBJECTS_MAX: usize = 4;
/// Bytes of a name with its quotes and braces at most.
const TEXT_MAX: usize = 128;
/// Bytes that are appended at once.
const BLOCK: usize = 48;
/// Bytes of its last part with comma, quotes and colon at most.
const MEMBER_MAX: usize = 40;

/// Where a value stands in a line.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// The objects around it.
    pub within: Within,
    /// `{"a":{"b":{"c":`
    text: [u8; TEXT_MAX],
    len: u8,
    /// Where the brace before each name stands.
    braces: [u8; OBJECTS_MAX + 1],
    /// `,"c":`
    member: [u8; MEMBER_MAX],
    member_len: u8,
    /// Tells the name's last part from others in the same object.
    own: u16,
}

/// Which objects are open, outermost first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Within {
    /// 16 bits each: a hash of its name and those around it. A test holds that no two share one.
    objects: u64,
    /// How many.
    pub depth: u8,
}

impl Within {
    /// None.
    pub const NONE: Within = Within { objects: 0, depth: 0 };

    /// How many of them are open in the other as well.
    #[inline]
    pub fn shared(self, other: Within) -> u8 {
        let same = ((self.objects ^ other.objects).trailing_zeros() / 16) as u8;
        same.min(self.depth).min(other.depth)
    }
}

impl Path {
    /// That of a name; refuses what is too long or too deep, for the tables when they are built.
    #[allow(clippy::indexing_slicing, reason = "in a constant: a wrong index does not build")]
    pub const fn of(name: &str) -> Path {
        let name = name.as_bytes();
        let mut path = Path {
            within: Within::NONE,
            text: [0; TEXT_MAX],
            len: 0,
            braces: [0; OBJECTS_MAX + 1],
            member: [0; MEMBER_MAX],
            member_len: 0,
            own: 0,
        };
        // FNV-1a.
        let mut hash = 0x811c_9dc5_u32;
        let (mut from, mut at) = (0, 0);
        while from <= name.len() {
            path.braces[path.within.depth as usize] = at as u8;
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
            path.own = ((hash >> 16) ^ hash) as u16;
            if to < name.len() {
                path.within.objects |= (path.own as u64) << (16 * path.within.depth);
                path.within.depth += 1;
            } else {
                path.member_len = (to - from + 4) as u8;
            }
            from = to + 1;
        }
        path.len = at as u8;
        let mut i = 0;
        while i < path.member_len as usize {
            path.member[i] = path.text[path.braces[path.within.depth as usize] as usize + i];
            i += 1;
        }
        path.member[0] = b',';
        path
    }

    /// The object or list of that name, seen from within.
    pub const fn inside(&self) -> Within {
        let Within { objects, depth } = self.within;
        Within { objects: objects | (self.own as u64) << (16 * depth), depth: depth + 1 }
    }

    /// What names the member where its objects are open: `,"c":`.
    #[inline(always)]
    pub fn member(&self) -> &[u8] {
        self.member.get(..usize::from(self.member_len)).unwrap_or_default()
    }

    /// Appends what opens the objects that are not open yet, and names the member. Its first byte
    /// is a brace, in whose place a comma belongs. A block of known length is a few moves: the
    /// excess is taken back.
    #[inline]
    pub fn put_opening(&self, open: u8, out: &mut Vec<u8>) {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_opens_what_is_not_open() {
        let path = Path::of("tls.client.ja4");
        for (open, want) in
            [(0, r#"{"tls":{"client":{"ja4":"#), (1, r#"{"client":{"ja4":"#), (2, r#"{"ja4":"#)]
        {
            let mut out = b"x".to_vec();
            path.put_opening(open, &mut out);
            assert_eq!(out, format!("x{want}").into_bytes());
        }
        let long = "a".repeat(20);
        let mut out = Vec::new();
        Path::of(&[&*long, &long, &long].join(".")).put_opening(0, &mut out);
        assert_eq!(out, format!("{{\"{long}\":{{\"{long}\":{{\"{long}\":").into_bytes());
        assert_eq!(path.member(), br#","ja4":"#);
        assert_eq!(Path::of("message").member(), br#","message":"#);
    }

    #[test]
    fn paths_share_the_objects_that_begin_both() {
        let shared = |a: &str, b: &str| Path::of(a).within.shared(Path::of(b).within);
        assert_eq!(shared("tls.client.ja4", "tls.client.ja3"), 2);
        assert_eq!(shared("tls.client.ja4", "tls.server.ja3s"), 1);
        assert_eq!(shared("tls.client.ja4", "tls.cipher"), 1);
        assert_eq!(shared("tls.client.ja4", "dns.client.ja4"), 0);
        assert_eq!(shared("message", "tls.cipher"), 0);
        assert_eq!(Path::of("tls.client").inside(), Path::of("tls.client.ja4").within);
    }
}
