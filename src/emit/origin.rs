//! The run in each line: the sensor's name, and the names of the inputs.
//!
//! Owns: `observer`, and `longhaul.packets.file`. In: the sensor's name, the paths of the inputs as
//! given. Out: JSON made once per run. Never: a host name.

use std::path::Path;
use std::sync::Arc;

use crate::emit::json::put_string;
use crate::emit::plan::Plan;
use crate::model::Record;
use crate::model::endpoint::EndpointRow;
use crate::model::finding::Finding;
use crate::model::scan::Scan;

/// The parts that all lines of a run share.
#[derive(Clone, Debug)]
pub struct Origin {
    observer: Box<str>,
    files: Vec<Box<str>>,
    plans: Arc<Plans>,
}

/// How each kind of line is written.
#[derive(Debug)]
pub(super) struct Plans {
    pub(super) sessions: Plan<Record>,
    pub(super) sums: Plan<Scan>,
    pub(super) endpoints: Plan<EndpointRow>,
    pub(super) findings: Plan<Finding>,
}

impl Origin {
    /// A sensor of this name; its input files or interfaces, by the index that records carry.
    pub fn new<'a>(sensor: &str, inputs: impl IntoIterator<Item = &'a Path>) -> Origin {
        let files = inputs.into_iter().map(|path| json_string(&path.to_string_lossy())).collect();
        let name = json_string(sensor);
        let observer = format!(r#"{{"name":{name},"type":"sensor","vendor":"longhaul"}}"#);
        let plans = Plans {
            sessions: Plan::new(&name),
            sums: Plan::new(&name),
            endpoints: Plan::new(&name),
            findings: Plan::new(&name),
        };
        Origin { observer: observer.into(), files, plans: Arc::new(plans) }
    }

    /// How each kind of line is written.
    pub(super) fn plans(&self) -> &Plans {
        &self.plans
    }

    /// The object `observer`.
    pub(super) fn observer_value(&self) -> serde_json::Value {
        serde_json::from_str(&self.observer).unwrap_or_default()
    }

    /// The name of an input as a JSON string; the index as text if no input has it.
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
