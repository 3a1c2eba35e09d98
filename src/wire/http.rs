//! HTTP/1.x heads: request line, status line, the few header fields that are kept (RFC 9112).
//!
//! Owns: where a head begins and ends. In: one direction's bytes, or one datagram (SSDP).
//! Out: views that borrow from them. Never: bodies, HTTP/2, or a head beyond 8 KiB.

use crate::wire::{Fault, WireError};

/// How far a head is read: what common servers accept as the default limit of a head or one of its
/// lines.
pub const HEAD_MAX: usize = 8 * 1024;
/// Longest method: the longest registered one has 17 characters (UPDATEREDIRECTREF, RFC 4437).
pub const METHOD_MAX: usize = 20;

/// Whether more bytes of the same head can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A TCP stream: a head without its blank line is incomplete.
    Stream,
    /// A datagram: no more bytes follow.
    Datagram,
}

/// A request's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request<'a> {
    /// Method token.
    pub method: &'a [u8],
    /// Target in any of its four forms (RFC 9112 section 3.2).
    pub target: &'a [u8],
    /// `Host` field.
    pub host: Option<&'a [u8]>,
    /// `User-Agent` field.
    pub user_agent: Option<&'a [u8]>,
    /// `Content-Length` field, where it is a number.
    pub content_length: Option<u64>,
    /// `Transfer-Encoding` is present: the body has no length.
    pub transfer_encoding: bool,
    /// Fields of [`FORWARDED`], in its order.
    pub forwarded: [Option<&'a [u8]>; FORWARDED.len()],
    /// Bytes of the head.
    pub used: usize,
    /// The blank line was seen within [`HEAD_MAX`].
    pub whole: bool,
}

/// Fields with which a proxy shows that it forwarded a request, and for whom (RFC 7239; RFC 9110
/// section 7.6.3; the others are conventions).
pub const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// A response's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Response<'a> {
    /// Status code.
    pub status: u16,
    /// `Server` field.
    pub server: Option<&'a [u8]>,
    /// `WWW-Authenticate` field.
    pub authenticate: Option<&'a [u8]>,
    /// `Content-Type` field.
    pub content_type: Option<&'a [u8]>,
    /// `Content-Encoding` is present: the body is not plain.
    pub encoded: bool,
    /// `Upgrade` field.
    pub upgrade: Option<&'a [u8]>,
    /// `Sec-WebSocket-Protocol` field.
    pub subprotocol: Option<&'a [u8]>,
    /// Bytes of the head.
    pub used: usize,
    /// The blank line was seen within [`HEAD_MAX`].
    pub whole: bool,
}

/// Whether `bytes` begin like a request: a method of capitals and a space.
/// `None` while there are too few to say.
pub fn looks_like_request(bytes: &[u8]) -> Option<bool> {
    for (i, b) in bytes.iter().enumerate() {
        match b {
            b'A'..=b'Z' | b'-' | b'_' if i < METHOD_MAX => {}
            b' ' => return Some(i >= 3),
            _ => return Some(false),
        }
    }
    None
}

/// Reads a request's head at the start of `bytes`.
pub fn request(bytes: &[u8], source: Source) -> Result<Request<'_>, WireError> {
    if looks_like_request(bytes) == Some(false) {
        return Err(WireError::NotThis);
    }
    let head = Head::cut(bytes, source)?;
    let mut lines = head.lines();
    let (method, target) = request_line(lines.next().unwrap_or_default())?;
    let mut request =
        Request { method, target, used: head.bytes.len(), whole: head.whole, ..Request::default() };
    for (name, value) in lines.filter_map(field) {
        // The first of each counts: RFC 9112 section 3.2 allows one Host only.
        if name.eq_ignore_ascii_case(b"host") {
            request.host = request.host.or(Some(value));
        } else if name.eq_ignore_ascii_case(b"user-agent") {
            request.user_agent = request.user_agent.or(Some(value));
        } else if name.eq_ignore_ascii_case(b"content-length") {
            request.content_length = request.content_length.or(number(value));
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            request.transfer_encoding = true;
        } else {
            let known = FORWARDED.iter().position(|f| f.as_bytes().eq_ignore_ascii_case(name));
            if let Some(slot) = known.and_then(|at| request.forwarded.get_mut(at)) {
                *slot = slot.or(Some(value));
            }
        }
    }
    Ok(request)
}

/// Reads a response's head at the start of `bytes`.
pub fn response(bytes: &[u8], source: Source) -> Result<Response<'_>, WireError> {
    let magic = b"HTTP/1.";
    if !magic.starts_with(bytes.get(..magic.len()).unwrap_or(bytes)) {
        return Err(WireError::NotThis);
    }
    let head = Head::cut(bytes, source)?;
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ').filter(|word| !word.is_empty());
    if !words.next().is_some_and(is_version_1) {
        return Err(WireError::NotThis);
    }
    match words.next().filter(|word| word.len() == 3).and_then(number) {
        Some(status) => {
            let status = u16::try_from(status).unwrap_or_default();
            let (used, whole) = (head.bytes.len(), head.whole);
            let mut response = Response { status, used, whole, ..Response::default() };
            lines.filter_map(field).for_each(|(name, value)| response.note(name, value));
            Ok(response)
        }
        None => Err(WireError::Malformed(Fault::Value, "status code")),
    }
}

impl<'a> Response<'a> {
    /// Keeps a field, the first of each name.
    fn note(&mut self, name: &[u8], value: &'a [u8]) {
        let slots: [(&[u8], &mut Option<&'a [u8]>); 5] = [
            (b"server", &mut self.server),
            (b"www-authenticate", &mut self.authenticate),
            (b"content-type", &mut self.content_type),
            (b"upgrade", &mut self.upgrade),
            (b"sec-websocket-protocol", &mut self.subprotocol),
        ];
        if name.eq_ignore_ascii_case(b"content-encoding") {
            self.encoded = true;
        }
        for (known, slot) in slots {
            if name.eq_ignore_ascii_case(known) {
                slot.get_or_insert(value);
            }
        }
    }

    /// The realm of the first challenge (RFC 9110 section 11.5), without its quotes.
    pub fn realm(&self) -> Option<&'a [u8]> {
        const NAME: &[u8] = b"realm=";
        let value = self.authenticate?;
        let at = value.windows(NAME.len()).position(|w| w.eq_ignore_ascii_case(NAME))?;
        let rest = value.get(at + NAME.len()..)?;
        match rest.strip_prefix(b"\"") {
            Some(quoted) => quoted.split(|b| *b == b'"').next(),
            None => rest.split(|b| matches!(b, b',' | b' ')).next(),
        }
    }

    /// Whether WebSocket frames follow (RFC 6455 section 4.2.2).
    pub fn upgrades_to_websocket(&self) -> bool {
        let word = b"websocket";
        self.status == 101 && self.upgrade.is_some_and(|value| value.eq_ignore_ascii_case(word))
    }

    /// Whether an uncompressed HTML page follows.
    pub fn is_page(&self) -> bool {
        let html = b"text/html";
        let kind = self.content_type.and_then(|kind| kind.get(..html.len()));
        !self.encoded && self.whole && kind.is_some_and(|kind| kind.eq_ignore_ascii_case(html))
    }
}

/// The authority of an absolute-form target (RFC 9112 section 3.2.2), without user information:
/// `http://example.org:8080/x` gives `example.org:8080`. `None` for the other forms.
pub fn authority(target: &[u8]) -> Option<&[u8]> {
    let colon = target.iter().position(|b| *b == b':')?;
    let (scheme, rest) = (target.get(..colon)?, target.get(colon..)?.strip_prefix(b"://")?);
    // RFC 3986 section 3.1.
    let (first, more) = scheme.split_first()?;
    let is_scheme = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    if !first.is_ascii_alphabetic() || !more.iter().all(is_scheme) {
        return None;
    }
    let whole = rest.split(|b| matches!(b, b'/' | b'?' | b'#')).next()?;
    let host = whole.rsplit(|b| *b == b'@').next()?;
    Some(host).filter(|host| !host.is_empty())
}

/// The bytes of a head, its blank line included.
struct Head<'a> {
    bytes: &'a [u8],
    whole: bool,
}

impl<'a> Head<'a> {
    /// Cuts the head off; refuses as soon as the first line is whole and carries no HTTP/1 version.
    fn cut(bytes: &'a [u8], source: Source) -> Result<Head<'a>, WireError> {
        let window = bytes.get(..HEAD_MAX).unwrap_or(bytes);
        #[cfg(test)]
        crate::wire::reader::visited::note(window.len());
        let mut length = 0;
        for (i, line) in window.split_inclusive(|b| *b == b'\n').enumerate() {
            length += line.len();
            let Some(text) = line.strip_suffix(b"\n") else { break };
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if i == 0 && !has_version(text) {
                return Err(WireError::NotThis);
            }
            if text.is_empty() {
                return Ok(Head { bytes: window.get(..length).unwrap_or(window), whole: true });
            }
        }
        if source == Source::Stream && bytes.len() < HEAD_MAX {
            return Err(WireError::NeedMore(1));
        }
        Ok(Head { bytes: window, whole: false })
    }

    /// Its lines without their ends.
    fn lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        #[cfg(test)]
        crate::wire::reader::visited::note(self.bytes.len());
        let lines = self.bytes.split(|b| *b == b'\n');
        lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// A first line of either kind names its version at one end.
fn has_version(line: &[u8]) -> bool {
    line.starts_with(b"HTTP/1.") || line.rsplit(|b| *b == b' ').next().is_some_and(is_version_1)
}

fn is_version_1(word: &[u8]) -> bool {
    word.strip_prefix(b"HTTP/1.").is_some_and(|minor| minor.len() == 1 && number(minor).is_some())
}

fn request_line(line: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let parts = || {
        let first = line.iter().position(|b| *b == b' ')?;
        let last = line.iter().rposition(|b| *b == b' ')?;
        let (method, target) = (line.get(..first)?, line.get(first + 1..last)?);
        (is_version_1(line.get(last + 1..)?) && !target.is_empty()).then_some((method, target))
    };
    parts().ok_or(WireError::NotThis)
}

/// `Name: value` with the optional white space around the value left out.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|b| *b == b':')?;
    Some((line.get(..colon)?.trim_ascii(), line.get(colon + 1..)?.trim_ascii()))
}

fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GET: &[u8] = b"GET /a b HTTP/1.1\r\nHOST:  x.example \r\nuser-agent: U/1\r\n\r\nrest";

    #[test]
    fn a_request_head_gives_its_fields() {
        let r = request(GET, Source::Stream).unwrap();
        assert_eq!((r.method, r.target), (&b"GET"[..], &b"/a b"[..]));
        assert_eq!((r.host, r.user_agent), (Some(&b"x.example"[..]), Some(&b"U/1"[..])));
        assert_eq!((r.used, r.whole), (GET.len() - 4, true));
    }

    #[test]
    fn a_head_without_its_blank_line_is_not_whole_in_a_stream() {
        let cut = &GET[..40];
        assert_eq!(request(cut, Source::Stream), Err(WireError::NeedMore(1)));
        let r = request(cut, Source::Datagram).unwrap();
        assert_eq!((r.host, r.whole), (Some(&b"x.example"[..]), false));
    }

    #[test]
    fn other_text_protocols_are_refused_at_their_first_line() {
        for line in
            [&b"EHLO mail.example\r\n"[..], b"PRI * HTTP/2.0\r\n", b"INVITE sip:a SIP/2.0\n"]
        {
            assert_eq!(request(line, Source::Stream), Err(WireError::NotThis));
        }
        assert_eq!(request(b"get / HTTP/1.1\r\n\r\n", Source::Stream), Err(WireError::NotThis));
    }

    #[test]
    fn targets_of_all_forms() {
        let r = request(b"CONNECT h.example:443 HTTP/1.1\r\n\r\n", Source::Stream).unwrap();
        assert_eq!(r.target, b"h.example:443");
        assert_eq!(authority(b"http://h.example:8080/p?q"), Some(&b"h.example:8080"[..]));
        assert_eq!(authority(b"http://u:p@h.example?q"), Some(&b"h.example"[..]));
        for other in
            [&b"/p?u=1"[..], b"/r?to=http://h.example/", b"*", b"h.example:443", b"http:///x"]
        {
            assert_eq!(authority(other), None);
        }
        let r = request(b"OPTIONS * HTTP/1.0\n\n", Source::Stream).unwrap();
        assert_eq!((r.target, r.used), (&b"*"[..], 20));
    }

    #[test]
    fn a_response_gives_its_status() {
        let bytes = b"HTTP/1.0 200 Connection established\r\n\r\n\x16\x03";
        let r = response(bytes, Source::Stream).unwrap();
        assert_eq!((r.status, r.used, r.whole), (200, bytes.len() - 2, true));
        let odd = response(b"HTTP/1.1 2xx\r\n\r\n", Source::Stream);
        assert_eq!(odd, Err(WireError::Malformed(Fault::Value, "status code")));
        assert_eq!(response(b"HTTP/2 200\r\n\r\n", Source::Stream), Err(WireError::NotThis));
    }

    #[test]
    fn a_head_is_read_no_further_than_its_cap() {
        let mut long = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
        long.resize(HEAD_MAX - 1, b'x');
        assert_eq!(request(&long, Source::Stream), Err(WireError::NeedMore(1)));
        long.push(b'x');
        let r = request(&long, Source::Stream).unwrap();
        assert_eq!((r.host, r.whole, r.used), (Some(&b"a"[..]), false, HEAD_MAX));
    }

    #[test]
    fn a_response_has_server_and_realm() {
        let bytes = b"HTTP/1.1 401 X\r\nserver: S/1\r\nWWW-Authenticate: Basic realm=\"a b\"\r\n\
            Content-Type: text/HTML; charset=x\r\n\r\n";
        let r = response(bytes, Source::Stream).unwrap();
        assert_eq!((r.server, r.realm()), (Some(&b"S/1"[..]), Some(&b"a b"[..])));
        assert!(r.is_page() && !r.upgrades_to_websocket());
        let bytes = b"HTTP/1.1 101 X\r\nUpgrade: WebSocket\r\nSec-WebSocket-Protocol: v1\r\n\r\n";
        let r = response(bytes, Source::Stream).unwrap();
        assert!(r.upgrades_to_websocket() && !r.is_page());
        assert_eq!(r.subprotocol, Some(&b"v1"[..]));
        let bytes = b"GET / HTTP/1.1\r\nVia: 1.1 a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
        let r = request(bytes, Source::Stream).unwrap();
        assert_eq!(r.forwarded, [None, Some(&b"192.0.2.1"[..]), None, Some(&b"1.1 a"[..])]);
    }

    proptest! {
        #[test]
        fn never_panics(
            lead in prop::sample::select(vec!["", "GET ", "HTTP/1.1 ", "POST / HTTP/1.1\r\n"]),
            tail in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [lead.as_bytes(), &tail].concat();
            for source in [Source::Stream, Source::Datagram] {
                if let Ok(r) = request(&bytes, source) {
                    prop_assert!(r.used <= bytes.len());
                }
                if let Ok(r) = response(&bytes, source) {
                    prop_assert!(r.used <= bytes.len());
                }
            }
            let _ = authority(&tail);
        }
    }
}
