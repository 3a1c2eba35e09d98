//! False times, at every place and in every way.

use crate::Case;
use crate::Kind;
use crate::false_times;

pub fn cases() -> Vec<Case> {
    let forgery = |name, run| Case { name, kind: Kind::Forgery, run };
    vec![
        forgery("false times", false_times::everywhere),
        forgery("many false times", false_times::many),
    ]
}
