//! A view of results in a terminal: rates, losses, findings, subjects, sessions, explanations.
//! Lines of results and keys in, cells of a screen out; whoever calls it reads and waits.

pub mod board;
mod counts;
mod draw;
mod history;
mod keys;
mod lists;
pub mod page;
mod paint;
mod rows;
pub mod screen;
pub mod view;

#[cfg(test)]
mod tests;
