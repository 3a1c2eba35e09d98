//! Results under kills.

use crate::Case;
use crate::Kind;
use crate::kill;

pub fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "kill -9 over an earlier result",
            kind: Kind::Kill,
            run: || kill::at_moments(200),
        },
        Case {
            name: "disk full over an earlier result",
            kind: Kind::Fault,
            run: kill::on_a_full_disk,
        },
    ]
}
