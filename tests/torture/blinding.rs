//! Floods of cheap things that are to hide dear ones, larger than the caps.

use crate::Case;
use crate::Kind;
use crate::attacks;
use crate::attacks::Size;

const fn full(flood: u32) -> Size<'static> {
    Size { flood, caps: "", workers: &["2"] }
}

pub fn cases() -> Vec<Case> {
    let flood = |name, run| Case { name, kind: Kind::Flood, run };
    vec![
        flood("blinding-subjects", || attacks::subjects(&full(50_000))),
        flood("blinding-alerts", || attacks::alerts(&full(120_000))),
        // A million rows are more than a test can hold: fewer endpoints, and as many times more.
        flood("blinding-endpoints", || {
            attacks::endpoints(&Size { caps: "endpoints = 65536", ..full(300_000) })
        }),
        flood("blinding-names", || attacks::names(&full(240_000))),
    ]
}
