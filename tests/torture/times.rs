//! False times, at every place and in every way.

use crate::Case;
use crate::Kind;
use crate::false_times;

pub fn cases() -> Vec<Case> {
    vec![Case { name: "false times", kind: Kind::Forgery, run: false_times::everywhere }]
}
