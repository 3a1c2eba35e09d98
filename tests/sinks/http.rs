//! A HTTP server that understands what the sinks send, and fails as it is told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

/// What becomes of a request; after the last one all are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is taken.
    Take,
    /// Refused with this status, and half a second to wait.
    Status(u16),
    /// The connection breaks off within the request.
    Break,
    /// It is taken, but the connection breaks off before the answer.
    Lose,
    /// The answer says that half of the events could not be taken now.
    Busy,
}

#[derive(Default)]
struct State {
    ways: Vec<Way>,
    documents: BTreeMap<String, (String, Value)>,
    repeats: usize,
    headers: String,
    refused: Option<String>,
    requests: u64,
    template: Value,
}

/// The server. It lives as long as the test.
pub struct Server {
    port: u16,
    state: Arc<Mutex<State>>,
}

struct Request {
    path: String,
    headers: String,
    body: String,
}

impl Server {
    pub fn start(ways: &[Way]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ways = ways.iter().rev().copied().collect();
        let state = Arc::new(Mutex::new(State { ways, ..State::default() }));
        let far = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let state = Arc::clone(&far);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Server { port, state }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Refuses requests with this in an event.
    pub fn refuse(&self, text: &str) {
        self.state.lock().unwrap().refused = Some(text.to_owned());
    }

    /// What was taken: id, index and event.
    pub fn documents(&self) -> BTreeMap<String, (String, Value)> {
        self.state.lock().unwrap().documents.clone()
    }

    pub fn ids(&self) -> Vec<String> {
        self.documents().into_keys().collect()
    }

    /// The index template that was installed.
    pub fn template(&self) -> Value {
        self.state.lock().unwrap().template.clone()
    }

    /// Events that came again.
    pub fn repeats(&self) -> usize {
        self.state.lock().unwrap().repeats
    }

    /// The headers of the last request, in lower case names.
    pub fn headers(&self) -> String {
        self.state.lock().unwrap().headers.clone()
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut headers, mut length, mut packed) = (String::new(), 0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        let name = name.to_ascii_lowercase();
        if name == "content-length" {
            length = value.parse().unwrap();
        }
        packed |= name == "content-encoding" && value == "gzip";
        headers.push_str(&format!("{name}: {value}\n"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut text = String::new();
    match packed {
        true => drop(GzDecoder::new(body.as_slice()).read_to_string(&mut text).unwrap()),
        false => text = String::from_utf8(body).unwrap(),
    }
    Some(Request { path, headers, body: text })
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut answers = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = request(&mut reader) {
        let Some((status, body)) = answer(&request, &mut state.lock().unwrap()) else { return };
        let text = format!(
            "HTTP/1.1 {status} x\r\nretry-after: 0\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if answers.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

/// Status and body; none breaks the connection off.
fn answer(request: &Request, state: &mut State) -> Option<(u16, String)> {
    state.headers.clone_from(&request.headers);
    if request.path.starts_with("/services/collector/ack") {
        let asked: Value = serde_json::from_str(&request.body).unwrap();
        let ids = asked["acks"].as_array().unwrap().iter();
        let acks: serde_json::Map<String, Value> =
            ids.map(|id| (id.to_string(), json!(true))).collect();
        return Some((200, json!({ "acks": acks }).to_string()));
    }
    let way = state.ways.pop().unwrap_or(Way::Take);
    match way {
        Way::Break => return None,
        Way::Status(status) => return Some((status, "not now".to_owned())),
        Way::Take | Way::Lose | Way::Busy => {}
    }
    if state.refused.as_ref().is_some_and(|text| request.body.contains(text.as_str())) {
        return Some((400, "malformed".to_owned()));
    }
    let body = match request.path.as_str() {
        "/_bulk" => bulk(&request.body, way == Way::Busy, state),
        "/services/collector/event" => {
            for line in request.body.lines() {
                let envelope: Value = serde_json::from_str(line).unwrap();
                let id = envelope["event"]["event"]["id"].as_str().unwrap().to_owned();
                put(id, "", envelope["event"].clone(), state);
            }
            state.requests += 1;
            json!({ "text": "Success", "code": 0, "ackId": state.requests }).to_string()
        }
        "/_index_template/longhaul" => {
            state.template = serde_json::from_str(&request.body).unwrap();
            String::new()
        }
        _ => {
            for line in request.body.lines() {
                let event: Value = serde_json::from_str(line).unwrap();
                put(event["event"]["id"].as_str().unwrap().to_owned(), "", event, state);
            }
            String::new()
        }
    };
    (way != Way::Lose).then_some((200, body))
}

/// Whether it was new.
fn put(id: String, index: &str, event: Value, state: &mut State) -> bool {
    let new = !state.documents.contains_key(&id);
    if new {
        state.documents.insert(id, (index.to_owned(), event));
    } else {
        state.repeats += 1;
    }
    new
}

fn bulk(body: &str, busy: bool, state: &mut State) -> String {
    let lines: Vec<&str> = body.lines().collect();
    let mut items = Vec::new();
    for (at, pair) in lines.chunks_exact(2).enumerate() {
        if busy && at % 2 == 1 {
            items.push(
                json!({ "create": { "status": 429, "error": { "reason": "queue is full" } } }),
            );
            continue;
        }
        let action: Value = serde_json::from_str(pair[0]).unwrap();
        let (id, index) = (&action["create"]["_id"], &action["create"]["_index"]);
        let event = serde_json::from_str(pair[1]).unwrap();
        let new = put(id.as_str().unwrap().to_owned(), index.as_str().unwrap(), event, state);
        items.push(json!({ "create": { "status": if new { 201 } else { 409 } } }));
    }
    json!({ "errors": busy, "items": items }).to_string()
}
