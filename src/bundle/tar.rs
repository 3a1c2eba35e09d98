//! Tar archives in one form: the same members give the same bytes.
//!
//! Owns: the header (POSIX.1-1988 ustar), padding, the end. In: names and sizes; blocks. Out:
//! blocks; members. Never: anything but regular files, a time, an owner, or a file unpacked.

/// Bytes of a block.
pub const BLOCK: usize = 512;

/// Bytes of a name.
pub const NAME_MAX: usize = 100;

/// Where the header has its checksum.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// From this size on octal digits do not do.
const OCTAL_MAX: u64 = 1 << 33;

/// The header of a member: a regular file that everybody may read, of nobody and of 1970.
///
/// Errors: the name does not fit.
pub fn header(name: &str, size: u64) -> Result<[u8; BLOCK], String> {
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(format!("the name `{name}` has more than {NAME_MAX} bytes"));
    }
    let mut block = [0; BLOCK];
    put(&mut block, 0, name.as_bytes());
    put(&mut block, 100, b"0000644\0");
    put(&mut block, 108, b"0000000\0");
    put(&mut block, 116, b"0000000\0");
    if size < OCTAL_MAX {
        put(&mut block, 124, format!("{size:011o}\0").as_bytes());
    } else {
        // As GNU tar writes larger sizes: binary, with the highest bit set.
        put(&mut block, 124, &[0x80, 0, 0, 0]);
        put(&mut block, 128, &size.to_be_bytes());
    }
    put(&mut block, 136, b"00000000000\0");
    put(&mut block, CHECKSUM.start, b"        ");
    put(&mut block, 156, b"0");
    put(&mut block, 257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut block, CHECKSUM.start, format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    if let Some(place) = block.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Name and size of a header; `None` if it is not exactly what [`header`] makes of them.
pub fn member(block: &[u8; BLOCK]) -> Option<(String, u64)> {
    let field = block.get(..NAME_MAX)?;
    let len = field.iter().position(|byte| *byte == 0).unwrap_or(NAME_MAX);
    let name = std::str::from_utf8(field.get(..len)?).ok()?;
    let size = match block.get(124..136)? {
        [0x80, 0, 0, 0, rest @ ..] => u64::from_be_bytes(rest.try_into().ok()?),
        digits => {
            let text = std::str::from_utf8(digits.get(..11)?).ok()?;
            u64::from_str_radix(text, 8).ok()?
        }
    };
    let again = header(name, size).ok()?;
    (again == *block).then(|| (name.to_owned(), size))
}

/// Bytes of padding behind a member.
pub const fn padding(size: u64) -> usize {
    let over = (size % BLOCK as u64) as usize;
    if over == 0 { 0 } else { BLOCK - over }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written_and_no_other() {
        for size in [0, 1, 512, OCTAL_MAX - 1, OCTAL_MAX, u64::MAX] {
            let block = header("results/run.json", size).unwrap();
            assert_eq!(member(&block), Some(("results/run.json".to_owned(), size)));
            for at in 0..BLOCK {
                let mut changed = block;
                changed[at] ^= 1;
                assert_eq!(member(&changed), None, "byte {at}");
            }
        }
        assert!(header(&"x".repeat(101), 0).is_err() && header("", 0).is_err());
        assert_eq!((padding(0), padding(1), padding(512)), (0, 511, 0));
    }
}
