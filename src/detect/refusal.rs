//! Why a line of a selection cannot be compiled.

/// Cause and remedy.
pub(super) struct Refusal {
    pub(super) cause: String,
    pub(super) help: String,
    /// The faulty value, if it is one of several.
    pub(super) value: Option<String>,
}

/// Refuses the whole line.
pub(super) fn refuse<T>(cause: impl Into<String>, help: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { cause: cause.into(), help: help.into(), value: None })
}
