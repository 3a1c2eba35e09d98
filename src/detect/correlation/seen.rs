//! What a worker says of an event that correlations count.

use crate::detect::correlation::definition::Part;
use crate::model::Alert;

/// An event, as far as it is counted.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::detect) struct Event {
    /// Nanoseconds.
    pub(in crate::detect) time: u64,
    pub(in crate::detect) session: [u8; 16],
    /// In the order of chains.
    pub(in crate::detect) parts: Vec<Part>,
}

/// An event for which a rule holds that correlations count.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The alert that the rule raises for it, or would raise.
    pub alert: Alert,
    /// The rule raises that alert itself.
    pub stands: bool,
    pub(in crate::detect) event: Event,
}

impl Seen {
    pub(in crate::detect) const fn new(
        alert: Alert,
        stands: bool,
        session: [u8; 16],
        parts: Vec<Part>,
    ) -> Seen {
        let event = Event { time: alert.time.0, session, parts };
        Seen { alert, stands, event }
    }
}
