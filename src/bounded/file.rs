//! Reads whole files that users name: regular files of bounded size only.
//!
//! Owns: the checks and their error texts. In: a path, a cap. Out: bytes or text, or an error.
//! Never: blocks on a pipe, or reads past the cap.
//!
//! A pipe would block the program and a device has no end, and a path can become either between a
//! check and the open. So the file is opened non-blocking, and the open file is checked.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// The bytes of a regular file of at most `most` bytes.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let words = |e: io::Error| e.to_string();
    let opened = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    // A socket cannot be opened, and the system's error text does not say why.
    let file =
        opened.map_err(|e| std::fs::metadata(path).map_or_else(words, |m| refusal(&m, e)))?;
    let meta = file.metadata().map_err(words)?;
    if let Some(kind) = other_kind(&meta) {
        return Err(format!("it is {kind}, not a regular file"));
    }
    let over = |size: u64| Err(format!("{size} bytes are more than {most}"));
    if meta.len() > most {
        return over(meta.len());
    }
    // As much as it holds, so that reading does not double it again and again.
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0).saturating_add(1));
    // The file may have grown since, and files in /proc report a length of 0.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(words)?;
    match bytes.len() as u64 {
        size if size > most => over(size),
        _ => Ok(bytes),
    }
}

/// The same, as UTF-8 text.
pub fn read_text(path: &Path, most: u64) -> Result<String, String> {
    let text = String::from_utf8(read(path, most)?);
    text.map_err(|e| format!("it is not UTF-8 text, from byte {} on", e.utf8_error().valid_up_to()))
}

fn refusal(meta: &Metadata, cause: io::Error) -> String {
    match other_kind(meta) {
        Some(kind) => format!("it is {kind}, not a regular file"),
        None => cause.to_string(),
    }
}

/// The kind of file, if it is not a regular one.
fn other_kind(meta: &Metadata) -> Option<&'static str> {
    let kind = meta.file_type();
    match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("a directory"),
        () if kind.is_fifo() => Some("a pipe (FIFO)"),
        () if kind.is_socket() => Some("a socket"),
        () => Some("a device"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn regular_files_up_to_the_cap_are_read() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_text(&path, 5).unwrap(), "12345");
        assert_eq!(read(&path, 4).unwrap_err(), "5 bytes are more than 4");
        std::fs::write(&path, b"ab\xff").unwrap();
        assert!(read_text(&path, 5).unwrap_err().contains("from byte 2"));
        assert!(read(Path::new("/proc/self/status"), 1 << 20).unwrap().len() > 100);
        assert!(read(Path::new("/proc/self/status"), 10).is_err());
    }

    #[test]
    fn anything_but_a_regular_file_is_refused_at_once() {
        let temp = tempfile::tempdir().unwrap();
        let fifo = temp.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let socket = temp.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let zero = Path::new("/dev/zero");
        for (path, word) in [
            (fifo.as_path(), "a pipe"),
            (socket.as_path(), "a socket"),
            (zero, "a device"),
            (temp.path(), "a directory"),
        ] {
            let error = read(path, 1 << 20).unwrap_err();
            assert!(error.contains(word), "{}: {error}", path.display());
        }
        assert!(read(&temp.path().join("none"), 1).unwrap_err().contains("No such file"));
    }
}
