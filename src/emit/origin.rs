//! The run in each line: the sensor's name, and the names of the inputs.
//!
//! Owns: `observer`, and `longhaul.packets.file`. In: the sensor's name, the paths of the inputs as
//! given. Out: JSON made once per input. Never: a host name.

use std::path::Path;
use std::sync::{PoisonError, RwLock};

use crate::emit::json::put_string;
use crate::model::cached_text::CachedText;

/// The parts that all lines of a run share.
#[derive(Debug)]
pub struct Origin {
    sensor: Box<str>,
    /// The text of `observer`.
    observer: CachedText,
    /// Grows while a directory is followed: a name is there before the first packet of its file.
    files: RwLock<Vec<Box<str>>>,
}

impl Origin {
    /// A sensor of this name; its input files or interfaces, by the index that records carry.
    pub fn new<'a>(sensor: &str, inputs: impl IntoIterator<Item = &'a Path>) -> Origin {
        let files = inputs.into_iter().map(|path| json_string(&path.to_string_lossy())).collect();
        let (sensor, observer) = (json_string(sensor), CachedText::new());
        Origin { sensor, observer, files: RwLock::new(files) }
    }

    /// Adds the next input.
    pub fn add(&self, input: &Path) {
        let name = json_string(&input.to_string_lossy());
        self.files.write().unwrap_or_else(PoisonError::into_inner).push(name);
    }

    /// The sensor's name as a JSON string.
    pub(super) fn sensor(&self) -> &str {
        &self.sensor
    }

    /// The text of `observer` in lines.
    pub(super) fn observer(&self) -> &CachedText {
        &self.observer
    }

    /// The object `observer`.
    pub(super) fn observer_value(&self) -> serde_json::Value {
        let name: serde_json::Value = serde_json::from_str(&self.sensor).unwrap_or_default();
        serde_json::json!({ "name": name, "type": "sensor", "vendor": "longhaul" })
    }

    /// The name of an input as a JSON string; the index as text if no input has it.
    pub(super) fn file(&self, index: u16) -> String {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        let name = files.get(usize::from(index)).map(|name| name.to_string());
        name.unwrap_or_else(|| format!("\"{index}\""))
    }
}

fn json_string(text: &str) -> Box<str> {
    let mut out = Vec::new();
    put_string(&mut out, text);
    String::from_utf8(out).unwrap_or_default().into()
}
