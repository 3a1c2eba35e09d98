//! The report: one HTML file, for analysts, that needs nothing else.
//!
//! Owns: nothing; its parts are the files here. In: finished results. Out: a page. Never: a request
//! to anybody, or a line of the results that becomes markup or script.

mod appendix;
mod case;
mod chapter;
mod charts;
mod dossier;
mod markup;
mod page;
pub(in crate::report) mod session;
mod story;
mod svg;
mod table;
pub(in crate::report) mod words;

pub use case::Case;
pub use page::{BYTES_MAX, render};
