//! Parses payload signatures: hexadecimal patterns of first bytes.
//!
//! Owns: their syntax. In: a map of the table. Out: a [`Shape`]. Never: a pattern of fewer than two
//! fixed bytes.

use std::sync::Arc;

use crate::enrich::signatures::file::{Refusal, number, transport_of, word};
use crate::enrich::signatures::text::{YamlNode, YamlValue};
use crate::model::Transport;
use crate::wire::payload::{PATTERN_BYTES_MAX, Pattern, Shape};

/// Fewest bytes that the patterns of a shape must fix in total.
const FIXED_MIN: usize = 4;
/// Fewest bytes that each pattern must fix.
const FIXED_EACH_MIN: usize = 2;

const HELP: &str = "write {transport: tcp, initiator: \"17 24 .. ..\", responder: \"11 30\"}; \
                    offset, min and port may be added";

/// `{transport: tcp, initiator: "17 24", responder: "11 30", offset: 0, min: 8, port: 5938}`.
pub(super) fn shape(node: &YamlNode, application: &Arc<str>) -> Result<Shape, Refusal> {
    let YamlValue::Map(pairs) = &node.value else {
        return Err(("a payload signature is a map".to_owned(), HELP));
    };
    let (mut transport, mut port) = (None, None);
    let (mut initiator, mut responder): (Option<&str>, Option<&str>) = (None, None);
    let (mut offset, mut min) = (0, 0);
    for (key, node) in pairs {
        let text = word(node)?;
        match key.as_str() {
            "transport" => transport = Some(transport_word(text)?),
            "port" => port = Some(number(text)?),
            "initiator" => initiator = Some(text),
            "responder" => responder = Some(text),
            "offset" => offset = usize::from(number(text)?),
            "min" => min = usize::from(number(text)?),
            _ => return Err((format!("`{key}` is no key of a payload signature"), HELP)),
        }
    }
    let transport = transport.ok_or_else(|| ("it has no `transport`".to_owned(), HELP))?;
    let pattern = |text: Option<&str>| text.map(|text| hex(text, offset, min)).transpose();
    let (initiator, responder) = (pattern(initiator)?, pattern(responder)?);
    let fixed: usize = [&initiator, &responder].into_iter().flatten().map(Pattern::fixed).sum();
    if fixed < FIXED_MIN {
        let cause =
            format!("{fixed} fixed bytes are fewer than {FIXED_MIN}: it would fit by chance");
        return Err((cause, "fix more bytes, or bytes of both directions"));
    }
    let application = Arc::clone(application);
    Ok(Shape { application, transport, port, initiator, responder })
}

fn transport_word(text: &str) -> Result<Transport, Refusal> {
    transport_of(text).ok_or_else(|| (format!("`{text}` is neither tcp nor udp"), HELP))
}

/// `17 24 .. ..`: two hexadecimal digits per byte, `..` for any.
fn hex(text: &str, offset: usize, min: usize) -> Result<Pattern, Refusal> {
    let mut bytes = vec![None; offset.min(PATTERN_BYTES_MAX)];
    for word in text.split_ascii_whitespace() {
        let byte = match word {
            ".." => None,
            word if word.len() == 2 && word.bytes().all(|b| b.is_ascii_hexdigit()) => {
                u8::from_str_radix(word, 16).ok()
            }
            _ => return Err((format!("`{word}` is no byte"), "write 17, a0, or .. for any byte")),
        };
        bytes.push(byte);
    }
    let pattern = Pattern { bytes, min };
    if pattern.bytes.len() > PATTERN_BYTES_MAX {
        let cause = format!("the pattern ends behind byte {PATTERN_BYTES_MAX}");
        return Err((cause, "look at the first bytes only"));
    }
    if pattern.fixed() < FIXED_EACH_MIN {
        let cause = format!("`{text}` fixes fewer than {FIXED_EACH_MIN} bytes");
        return Err((cause, "fix more bytes: it would fit by chance"));
    }
    Ok(pattern)
}
