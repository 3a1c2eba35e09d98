//! The forms in which events leave.
//!
//! Owns: their names, the kinds that each of them has lines for. In: a word. Out: a form. Never: a
//! line.

use crate::model::EventKind;

/// A form of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Elastic Common Schema, as in the files.
    #[default]
    Ecs,
    /// Open Cybersecurity Schema Framework.
    Ocsf,
    /// Common Event Format of ArcSight.
    Cef,
    /// Log Event Extended Format of QRadar.
    Leef,
    /// Lines of Suricata's EVE log.
    Eve,
}

impl Form {
    /// Every form.
    pub const ALL: [Form; 5] = [Form::Ecs, Form::Ocsf, Form::Cef, Form::Leef, Form::Eve];

    /// Its word in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Form::Ecs => "ecs",
            Form::Ocsf => "ocsf",
            Form::Cef => "cef",
            Form::Leef => "leef",
            Form::Eve => "eve",
        }
    }

    /// The form of that name.
    pub fn of(name: &str) -> Option<Form> {
        Form::ALL.into_iter().find(|form| form.name() == name)
    }

    /// Whether it has a line for a kind of event. Only ECS has one for the state of an address, and
    /// of a sensor.
    pub fn has(self, kind: EventKind) -> bool {
        self == Form::Ecs || !matches!(kind, EventKind::Endpoint | EventKind::Health)
    }

    /// Whether its lines are JSON objects.
    pub const fn is_json(self) -> bool {
        matches!(self, Form::Ecs | Form::Ocsf | Form::Eve)
    }
}
