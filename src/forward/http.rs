//! HTTP: the bulk API of Elasticsearch and OpenSearch, Splunk's event collector, webhooks.
//!
//! Owns: the requests of each service, and what its answers mean. In: messages. Out: how many the
//! server has taken. Never: a message lost because of another that it refuses, or a secret in an
//! error.

use std::collections::VecDeque;
use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{HeaderMap, StatusCode};

use crate::forward::tls::{Tls, secret};
use crate::forward::{Failure, Head, Message, Refused, Target};
use crate::model::Error;
use crate::model::sink::{Login, Service, TlsFiles};

const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(60);

/// Bytes of an answer that are read.
const ANSWER_MAX: u64 = 16 << 20;

/// The longest wait that a server may ask for.
const AFTER_MAX: Duration = Duration::from_secs(300);

/// Characters of an answer in messages.
const SHOWN: usize = 200;

/// A HTTP service.
pub(super) struct HttpTarget {
    agent: Agent,
    service: Service,
    url: String,
    authorization: Option<String>,
    /// Splunk: the channel of our acknowledgements.
    channel: String,
    gzip: bool,
    sent: u64,
    confirmed: u64,
    /// Splunk: acknowledgements asked for, and messages sent by then.
    asked: VecDeque<(u64, u64)>,
}

/// An answer.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl HttpTarget {
    pub(super) fn new(
        (service, url): (&Service, &str),
        login: &Login,
        tls: &TlsFiles,
        gzip: bool,
    ) -> Result<HttpTarget, Error> {
        let mut config = Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(WHOLE))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("longhaul/", env!("CARGO_PKG_VERSION")));
        if url.starts_with("https://") {
            config = config.tls_config(Tls::read(tls)?.http()?);
        }
        let mut channel = [0; 16];
        let random = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut channel);
        random.map_err(|_| Error::new("random numbers", "the system gives none"))?;
        Ok(HttpTarget {
            agent: config.build().into(),
            service: service.clone(),
            url: url.trim_end_matches('/').to_owned(),
            authorization: authorization(login)?,
            channel: guid(channel),
            gzip,
            sent: 0,
            confirmed: 0,
            asked: VecDeque::new(),
        })
    }

    fn fail(&mut self, cause: &str, after: Option<Duration>) -> Failure {
        (self.sent, self.confirmed) = (0, 0);
        self.asked.clear();
        Failure { cause: format!("{}: {cause}", self.url), after }
    }

    /// The path of events, and what their bodies are.
    fn path(&self) -> (&'static str, &'static str) {
        match self.service {
            Service::Bulk { .. } => ("/_bulk", "application/x-ndjson"),
            Service::Splunk { .. } => ("/services/collector/event", "application/json"),
            Service::Webhook => ("", "application/x-ndjson"),
        }
    }

    fn post(&self, path: &str, content: &str, body: &[u8]) -> Result<Answer, String> {
        let url = format!("{}{path}", self.url);
        let mut request = self.agent.post(&url).header("content-type", content);
        if let Some(value) = &self.authorization {
            request = request.header("authorization", value);
        }
        if let Service::Splunk { acks: true, .. } = self.service {
            request = request.header("x-splunk-request-channel", &self.channel);
        }
        let packed = if self.gzip { Some(gzip(body).map_err(|e| e.to_string())?) } else { None };
        if packed.is_some() {
            request = request.header("content-encoding", "gzip");
        }
        let sent = request.send(packed.as_deref().unwrap_or(body));
        let mut answer = sent.map_err(|e| e.to_string())?;
        let text = answer.body_mut().with_config().limit(ANSWER_MAX).read_to_string();
        // A body that ends early is no reason to doubt the status.
        let (status, headers) = (answer.status(), answer.headers().clone());
        Ok(Answer { status, headers, body: text.unwrap_or_default() })
    }

    /// Sends messages in one request, or, if the server cannot take all of them, in halves: one
    /// message that it refuses keeps no other from it.
    fn send_all(
        &mut self,
        messages: &[Message<'_>],
        first: usize,
        refused: &mut Vec<Refused>,
    ) -> Result<(), Failure> {
        if messages.is_empty() {
            return Ok(());
        }
        let (path, content) = self.path();
        let body = self.body(messages);
        let answer = self.post(path, content, &body).map_err(|cause| self.fail(&cause, None))?;
        match answer.status.as_u16() {
            200..=299 => {
                let took = self.took(messages.len(), first, &answer, refused);
                took.map_err(|cause| self.fail(&cause, after(&answer.headers)))
            }
            400 | 413 | 422 if messages.len() > 1 => {
                let (one, other) = messages.split_at(messages.len() / 2);
                self.send_all(one, first, refused)?;
                self.send_all(other, first + one.len(), refused)
            }
            400 | 413 | 422 => {
                refused.push(Refused { index: first, cause: describe(&answer) });
                self.sent += 1;
                if self.asked.is_empty() {
                    self.confirmed = self.sent;
                }
                Ok(())
            }
            _ => Err(self.fail(&describe(&answer), after(&answer.headers))),
        }
    }

    fn body(&self, messages: &[Message<'_>]) -> Vec<u8> {
        let mut body = Vec::new();
        for message in messages {
            match &self.service {
                Service::Bulk { index } => {
                    let key = Head::of(message.event).key(message.event, message.kind);
                    let action = json!({ "create": { "_index": index, "_id": key } });
                    body.extend_from_slice(action.to_string().as_bytes());
                    body.push(b'\n');
                    body.extend_from_slice(message.text);
                }
                Service::Splunk { index, .. } => put_splunk(message, index.as_deref(), &mut body),
                Service::Webhook => body.extend_from_slice(message.text),
            }
            body.push(b'\n');
        }
        body
    }

    /// What an answer says of the messages that were sent.
    fn took(
        &mut self,
        count: usize,
        first: usize,
        answer: &Answer,
        refused: &mut Vec<Refused>,
    ) -> Result<(), String> {
        let said = || serde_json::from_str::<Value>(&answer.body).unwrap_or_default();
        match self.service {
            Service::Bulk { .. } => refused.extend(refused_of_bulk(&said(), first)?),
            Service::Splunk { acks: true, .. } => {
                let said = said();
                let Some(ack) = said.get("ackId").and_then(Value::as_u64) else {
                    return Err("it gives no ackId: acknowledgements are off for this token".into());
                };
                self.sent += count as u64;
                self.asked.push_back((ack, self.sent));
                return Ok(());
            }
            Service::Splunk { .. } | Service::Webhook => {}
        }
        self.sent += count as u64;
        self.confirmed = self.sent;
        Ok(())
    }

    /// Asks Splunk which requests are stored.
    fn ask(&mut self) -> Result<(), Failure> {
        let ids: Vec<u64> = self.asked.iter().map(|(id, _)| *id).collect();
        let path = format!("/services/collector/ack?channel={}", self.channel);
        let body = json!({ "acks": ids }).to_string();
        let answer = self.post(&path, "application/json", body.as_bytes());
        let answer = answer.map_err(|cause| self.fail(&cause, None))?;
        if !answer.status.is_success() {
            return Err(self.fail(&describe(&answer), after(&answer.headers)));
        }
        let said: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let acks = said.get("acks");
        let stored =
            |id: u64| acks.and_then(|acks| acks.get(id.to_string())?.as_bool()) == Some(true);
        while let Some((_, sent)) = self.asked.pop_front_if(|(id, _)| stored(*id)) {
            self.confirmed = sent;
        }
        Ok(())
    }
}

impl Target for HttpTarget {
    fn check(&mut self) -> Result<String, Failure> {
        // A request without events: what it answers says whether we may.
        let (path, content) = self.path();
        let answer = self.post(path, content, b"\n").map_err(|cause| self.fail(&cause, None))?;
        match answer.status.as_u16() {
            401 | 403 | 404 | 405 | 500..=599 => Err(self.fail(&describe(&answer), None)),
            _ => Ok(format!("{}{path} answers", self.url)),
        }
    }

    fn send(&mut self, messages: &[Message<'_>], _now: Duration) -> Result<Vec<Refused>, Failure> {
        let mut refused = Vec::new();
        self.send_all(messages, 0, &mut refused)?;
        Ok(refused)
    }

    fn confirmed(&mut self, _now: Duration) -> Result<u64, Failure> {
        if !self.asked.is_empty() {
            self.ask()?;
        }
        Ok(self.confirmed)
    }
}

fn authorization(login: &Login) -> Result<Option<String>, Error> {
    if let Some((path, word)) = &login.token {
        return secret("token_file", path).map(|token| Some(format!("{word} {token}")));
    }
    let Some((user, path)) = &login.user else { return Ok(None) };
    let password = secret("password_file", path)?;
    Ok(Some(format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))))
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = 0;
        for at in 0..3 {
            bits = bits << 8 | u32::from(group.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * at) & 63) as usize).copied();
            text.push(if at <= group.len() { digit.map_or('=', char::from) } else { '=' });
        }
    }
    text
}

/// 16 bytes as Splunk wants a channel.
fn guid(bytes: [u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

fn put_splunk(message: &Message<'_>, index: Option<&str>, body: &mut Vec<u8>) {
    let head = Head::of(message.event);
    let mut envelope = json!({ "source": "longhaul", "sourcetype": "longhaul:json" });
    if let Some(object) = envelope.as_object_mut() {
        object.extend(head.epoch_seconds().map(|time| ("time".to_owned(), json!(time))));
        object.extend(index.map(|index| ("index".to_owned(), json!(index))));
    }
    // The event is JSON as it is: only the brace that ends the envelope moves.
    let text = envelope.to_string();
    body.extend_from_slice(text.strip_suffix('}').unwrap_or(&text).as_bytes());
    body.extend_from_slice(b",\"event\":");
    body.extend_from_slice(message.text);
    body.push(b'}');
}

/// The items of a bulk answer that the server will never take. 409 is an event that it has already.
///
/// Errors: some of them it cannot take now.
fn refused_of_bulk(said: &Value, first: usize) -> Result<Vec<Refused>, String> {
    let Some(items) = said.get("items").and_then(Value::as_array) else {
        return Err("the answer is none of the bulk API".to_owned());
    };
    let mut refused = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let result = item.get("create").unwrap_or(&Value::Null);
        let cause = || {
            let reason = result.get("error").and_then(|error| error.get("reason")?.as_str());
            shorten(reason.unwrap_or("no reason given"))
        };
        match result.get("status").and_then(Value::as_u64) {
            Some(200..=299 | 409) => {}
            Some(status @ (429 | 500..=599)) => return Err(format!("{status}: {}", cause())),
            Some(_) => refused.push(Refused { index: first + at, cause: cause() }),
            None => return Err("the answer is none of the bulk API".to_owned()),
        }
    }
    Ok(refused)
}

/// How long the server asks to wait, in seconds (RFC 9110 section 10.2.3); dates are not read.
fn after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(AFTER_MAX))
}

fn describe(answer: &Answer) -> String {
    let reason = match answer.status.as_u16() {
        401 | 403 => "the login is refused",
        _ => answer.status.canonical_reason().unwrap_or("no reason given"),
    };
    let text = shorten(answer.body.trim());
    format!("{} {reason} {text}", answer.status.as_u16()).trim_end().to_owned()
}

fn shorten(text: &str) -> String {
    text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_rfc() {
        let vectors = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let want = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        assert_eq!(vectors.map(|text| base64(text.as_bytes())), want);
    }

    #[test]
    fn an_item_that_exists_was_taken_and_one_that_is_full_waits() {
        let item =
            |status: u32| json!({ "create": { "status": status, "error": { "reason": "r" } } });
        let of = |items: &[u32]| {
            refused_of_bulk(
                &json!({ "items": items.iter().map(|n| item(*n)).collect::<Vec<_>>() }),
                4,
            )
        };
        assert_eq!(of(&[201, 409]), Ok(Vec::new()));
        assert_eq!(of(&[201, 400]), Ok(vec![Refused { index: 5, cause: "r".to_owned() }]));
        assert_eq!(of(&[429, 201]), Err("429: r".to_owned()));
        assert!(refused_of_bulk(&json!({}), 0).is_err());
    }
}
