//! A small HTTP server: one answer a connection, for clients that nobody trusts.
//!
//! Owns: connections and their bounds. In: a listening socket, a function that answers. Out: the
//! answers. Policy at the cap of connections: the oldest is closed, since an honest client is done
//! in a moment. Never: reads a body, keeps a connection open, or waits for ever for a client.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Connections at once.
const CONNECTIONS_MAX: usize = 32;

/// Bytes of a request's head (RFC 9112 section 3: implementations set a limit).
const HEAD_BYTES_MAX: usize = 8 * 1_024;

/// How long is waited for the next bytes of a request, and how often.
const READ_WAIT: Duration = Duration::from_millis(500);
const READS_MAX: usize = 16;

/// The same for the client to take some of the answer.
const WRITE_WAIT: Duration = Duration::from_secs(1);
const WRITES_MAX: usize = 64;

/// A thread of a connection holds a request and an answer.
const STACK_BYTES: usize = 128 * 1_024;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status: `200 OK`.
    pub status: &'static str,
    /// Its media type.
    pub kind: &'static str,
    /// What follows the head.
    pub body: Arc<str>,
}

impl Answer {
    /// A line of text.
    pub fn text(status: &'static str, text: &str) -> Answer {
        Answer { status, kind: "text/plain; charset=utf-8", body: format!("{text}\n").into() }
    }
}

/// Gives the answer to a path.
pub type Answers = dyn Fn(&str) -> Answer + Send + Sync;

/// The open connections, the oldest first.
type Open = Arc<Mutex<VecDeque<(u64, TcpStream)>>>;

/// Serves for ever.
pub fn serve(listener: &TcpListener, answers: &Arc<Answers>) {
    let open = Open::default();
    for number in 0.. {
        let Ok((stream, _)) = listener.accept() else {
            // Out of descriptors: some are closed soon.
            thread::park_timeout(READ_WAIT);
            continue;
        };
        let (Ok(known), answers) = (stream.try_clone(), Arc::clone(answers)) else { continue };
        {
            let mut all = open.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() >= CONNECTIONS_MAX
                && let Some((_, oldest)) = all.pop_front()
            {
                // Its thread sees the end and is over.
                drop(oldest.shutdown(Shutdown::Both));
            }
            all.push_back((number, known));
        }
        let of_thread = Arc::clone(&open);
        let forget = move |open: &Open| {
            let mut all = open.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|(other, _)| *other != number);
        };
        let started = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            converse(stream, &*answers);
            forget(&of_thread);
        });
        if started.is_err() {
            let mut all = open.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|(other, _)| *other != number);
        }
    }
}

/// One request, one answer. A client that goes away meanwhile is its own loss.
fn converse(mut stream: TcpStream, answers: &Answers) {
    let limits = stream.set_read_timeout(Some(READ_WAIT));
    if limits.and_then(|()| stream.set_write_timeout(Some(WRITE_WAIT))).is_err() {
        return;
    }
    let Some(head) = read_head(&mut stream) else { return };
    let (answer, with_body) = answer_to(&head, answers);
    let Answer { status, kind, body } = answer;
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let mut text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{allow}\
         Connection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    if with_body {
        text.extend_from_slice(body.as_bytes());
    }
    let mut rest = text.as_slice();
    for _ in 0..WRITES_MAX {
        match stream.write(rest) {
            Ok(written @ 1..) if written < rest.len() => {
                rest = rest.get(written..).unwrap_or_default();
            }
            _ => break,
        }
    }
    // What the client still sends is read for a moment: else the system answers with a reset, and
    // the client may lose the answer.
    drop(stream.shutdown(Shutdown::Write));
    let mut more = [0; 4_096];
    for _ in 0..READS_MAX {
        if !matches!(stream.read(&mut more), Ok(1..)) {
            break;
        }
    }
}

/// The head of a request, or as much of it as is allowed; none if the client does not finish it.
fn read_head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let mut part = [0; 1_024];
    for _ in 0..READS_MAX {
        let read = stream.read(&mut part).ok().filter(|read| *read > 0)?;
        head.extend_from_slice(part.get(..read)?);
        // From the start: it is short.
        if head.windows(4).any(|end| end == b"\r\n\r\n") || head.len() > HEAD_BYTES_MAX {
            return Some(head);
        }
    }
    None
}

/// The answer, and whether its body is sent.
fn answer_to(head: &[u8], answers: &Answers) -> (Answer, bool) {
    if head.len() > HEAD_BYTES_MAX {
        return (Answer::text("431 Request Header Fields Too Large", "the head is too long"), true);
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = words.as_slice() else {
        return (Answer::text("400 Bad Request", "no request of HTTP"), true);
    };
    if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return (Answer::text("400 Bad Request", "no request of HTTP/1"), true);
    }
    match *method {
        "GET" | "HEAD" => {
            let path = target.split('?').next().unwrap_or_default();
            (answers(path), *method == "GET")
        }
        _ => (Answer::text("405 Method Not Allowed", "GET and HEAD only"), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(head: &str) -> (&'static str, bool) {
        let answers = |path: &str| match path {
            "/x" => Answer::text("200 OK", "x"),
            _ => Answer::text("404 Not Found", "none"),
        };
        let (answer, body) = answer_to(head.as_bytes(), &answers);
        (answer.status.split(' ').next().unwrap_or_default(), body)
    }

    #[test]
    fn only_get_and_head_of_http_1_are_answered() {
        assert_eq!(asked("GET /x?a=b HTTP/1.1\r\n\r\n"), ("200", true));
        assert_eq!(asked("HEAD /x HTTP/1.0\r\n\r\n"), ("200", false));
        assert_eq!(asked("GET /y HTTP/1.1\r\n\r\n"), ("404", true));
        assert_eq!(asked("POST /x HTTP/1.1\r\n\r\n"), ("405", true));
        for wrong in ["", "GET /x", "GET  /x HTTP/1.1", "GET x HTTP/1.1", "GET /x HTTP/2"] {
            assert_eq!(asked(&format!("{wrong}\r\n\r\n")), ("400", true), "{wrong}");
        }
        assert_eq!(asked(&"x".repeat(HEAD_BYTES_MAX + 1)), ("431", true));
    }
}
