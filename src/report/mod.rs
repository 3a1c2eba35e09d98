//! What a person reads.
//!
//! Owns: the summary on a terminal. In: totals and judgements of a run. Out: text.
//! Never: looks at a terminal or the environment itself; colour and width are given.

pub mod duplicates;
pub mod feed;
pub mod live;
pub mod spans;
pub mod story;
pub mod summary;
pub mod terminal;

mod histogram;
pub mod units;
