//! Lines that hold a text, found in large blocks: most lines are never looked at one by one.
//!
//! Owns: the blocks, where lines begin and end in them. In: a file, texts. Out: whole lines, in
//! order. Never: a line longer than a cap, or more than one such line and a block in memory.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

use crate::model::Error;
use crate::results::{LINE_BYTES_MAX, open, refused};

/// Bytes read at once: they stay in the cache until they are searched.
const BLOCK: usize = 1 << 20;

/// What a line is to hold, and where it was last found in the block.
struct Needle<'n> {
    finder: Finder<'n>,
    at: Option<usize>,
}

/// Calls `each` with every line of a file that holds one of the texts, until that gives false.
///
/// Errors: those of reading, of a line that is too long, and of `each`, with file and line.
pub fn each_line_with(
    path: &Path,
    texts: &[&[u8]],
    each: &mut dyn FnMut(&[u8]) -> Result<bool, String>,
) -> Result<(), Error> {
    let mut file = open(path)?;
    let mut needles: Vec<Needle<'_>> =
        texts.iter().map(|text| Needle { finder: Finder::new(text), at: None }).collect();
    let mut block = vec![0; BLOCK];
    // Bytes of the block that are filled, and of the file before it.
    let (mut filled, mut before) = (0, 0u64);
    loop {
        let space = block.get_mut(filled..).unwrap_or_default();
        let got = file.read(space).map_err(|e| refused(path, 0, e.to_string()))?;
        filled += got;
        let held = block.get(..filled).unwrap_or_default();
        // Up to the last line that is whole; at the end the rest is one.
        let whole = match got {
            0 => filled,
            _ => memrchr(b'\n', held).map_or(0, |at| at + 1),
        };
        let lines = held.get(..whole).unwrap_or_default();
        let refuse = |(at, cause)| refused(path, line_number(path, before + at as u64), cause);
        if !search(lines, &mut needles, each).map_err(refuse)? || got == 0 {
            return Ok(());
        }
        if whole == 0 && filled as u64 >= LINE_BYTES_MAX {
            let cause = format!("the line has more than {LINE_BYTES_MAX} bytes");
            return Err(refused(path, line_number(path, before), cause));
        }
        block.copy_within(whole..filled, 0);
        (filled, before) = (filled - whole, before + whole as u64);
        if filled == block.len() {
            block.resize(2 * filled, 0);
        }
    }
}

/// Calls `each` with the lines that hold a needle, until it gives false.
fn search(
    lines: &[u8],
    needles: &mut [Needle<'_>],
    each: &mut dyn FnMut(&[u8]) -> Result<bool, String>,
) -> Result<bool, (usize, String)> {
    for needle in needles.iter_mut() {
        needle.at = needle.finder.find(lines);
    }
    while let Some(at) = needles.iter().filter_map(|needle| needle.at).min() {
        let (head, tail) = lines.split_at(at);
        let begin = memrchr(b'\n', head).map_or(0, |end| end + 1);
        let end = memchr(b'\n', tail).map_or(lines.len(), |end| at + end + 1);
        if !each(lines.get(begin..end).unwrap_or_default()).map_err(|cause| (begin, cause))? {
            return Ok(false);
        }
        let rest = lines.get(end..).unwrap_or_default();
        for needle in needles.iter_mut().filter(|needle| needle.at.is_some_and(|at| at < end)) {
            needle.at = needle.finder.find(rest).map(|at| end + at);
        }
    }
    Ok(true)
}

/// The number of the line that begins at a byte; 0 if the file cannot be read again.
fn line_number(path: &Path, byte: u64) -> u32 {
    let Ok(file) = File::open(path) else { return 0 };
    let (mut file, mut block, mut lines) = (file.take(byte), vec![0; BLOCK], 0);
    while let Ok(got) = file.read(&mut block)
        && got > 0
    {
        lines += memchr::memchr_iter(b'\n', block.get(..got).unwrap_or_default()).count();
    }
    u32::try_from(lines + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, texts: &[&str], most: usize) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        std::fs::write(&path, text).unwrap();
        let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        let mut lines = Vec::new();
        each_line_with(&path, &texts, &mut |line| {
            lines.push(String::from_utf8_lossy(line).trim_end().to_owned());
            Ok(lines.len() < most)
        })
        .unwrap();
        lines
    }

    #[test]
    fn each_line_that_holds_a_text_comes_once_and_in_order() {
        let text = "a x\nb\nc y x y\n\nd y\nx";
        assert_eq!(found(text, &["x"], 9), ["a x", "c y x y", "x"]);
        assert_eq!(found(text, &["x", "y"], 9), ["a x", "c y x y", "d y", "x"]);
        assert_eq!(found(text, &["x", "y"], 2), ["a x", "c y x y"]);
        assert_eq!(found(text, &["z"], 9), Vec::<String>::new());
        assert_eq!(found("", &["z"], 9), Vec::<String>::new());
    }

    #[test]
    fn lines_across_blocks_and_longer_than_one_are_whole() {
        let long = format!("{}needle{}", "a".repeat(BLOCK - 3), "b".repeat(2 * BLOCK));
        let text = format!("first needle\n{long}\n{}\nlast needle\n", "c".repeat(BLOCK));
        assert_eq!(found(&text, &["needle"], 9), ["first needle", &*long, "last needle"]);
    }

    #[test]
    fn a_refusal_names_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        let refuse = &mut |_: &[u8]| Err("no".to_owned());
        let error = each_line_with(&path, &[b"three"], refuse).unwrap_err();
        assert!(error.to_string().contains("lines:3: "), "{error}");
        assert!(each_line_with(folder.path(), &[b"x"], refuse).is_err(), "a directory");
    }
}
