//! "Did you mean", for errors in rules.

pub(super) use crate::model::near_words::{did_you_mean, nearest};
