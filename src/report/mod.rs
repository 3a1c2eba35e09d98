//! Output for people: the summary on a terminal, as text; colour and width are given by the caller.

pub mod duplicates;
pub mod feed;
pub mod html;
pub mod live;
pub mod spans;
pub mod story;
pub mod summary;
pub mod terminal;
pub mod timeline;

mod histogram;

pub use crate::model::units;
