//! What every line says of the run it belongs to: the sensor, and the names of the inputs.
//!
//! Owns: `observer`, and `file` of an alert's `longhaul.packets`. In: the sensor's name, the paths
//! of the inputs as they were given. Out: JSON made once for the run. Never: a host name.

use std::path::Path;

use crate::emit::json::put_string;

/// What lines of one run have in common.
#[derive(Clone, Debug)]
pub struct Origin {
    observer: Box<str>,
    files: Vec<Box<str>>,
}

impl Origin {
    /// A sensor of this name, and its input files or interfaces by the index that records carry.
    pub fn new<'a>(sensor: &str, inputs: impl IntoIterator<Item = &'a Path>) -> Origin {
        let files = inputs.into_iter().map(|path| json_string(&path.to_string_lossy())).collect();
        let name = json_string(sensor);
        let observer = format!(r#"{{"name":{name},"type":"sensor","vendor":"longhaul"}}"#);
        Origin { observer: observer.into(), files }
    }

    /// The object `observer`, as JSON.
    pub(super) fn observer(&self) -> &str {
        &self.observer
    }

    /// The same, as a value.
    pub(super) fn observer_value(&self) -> serde_json::Value {
        serde_json::from_str(&self.observer).unwrap_or_default()
    }

    /// The name of an input as a JSON string; where no input has the index, that as text.
    pub(super) fn file(&self, index: u16) -> String {
        let name = self.files.get(usize::from(index)).map(|name| name.to_string());
        name.unwrap_or_else(|| format!("\"{index}\""))
    }
}

fn json_string(text: &str) -> Box<str> {
    let mut out = Vec::new();
    put_string(&mut out, text);
    String::from_utf8(out).unwrap_or_default().into()
}
