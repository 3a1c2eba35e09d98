//! Floods of cheap things that are to hide dear ones, against the caps by default.

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
        flood("blinding-endpoints", || attacks::endpoints(&full(1_200_000))),
        flood("blinding-names", || attacks::names(&full(240_000))),
    ]
}
