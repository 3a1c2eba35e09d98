//! How much of an alert's evidence is left, given the lists behind it.
//!
//! Owns: the share that is left. In: lists, the time of the packet. Out: a lowered ratio, and why.
//! Never: the date of today, so that an old capture is judged by how old its lists were then.
//!
//! A list that says its own weight loses it by its half-life; one that says none counts half once
//! it is older than a rule allows.

use crate::model::{Nanos, SourceInfo};

/// The share that is left of a list without a weight once it is too old.
const OLD: f64 = 0.5;

const DAY_NS: u64 = 86_400_000_000_000;

/// A list that alerts may rest on.
#[derive(Clone, Debug)]
pub struct ListSource {
    /// As alerts name it.
    pub info: SourceInfo,
    /// `# weight:` of the list, 0 to 1.
    pub weight: Option<f64>,
    /// `# half_life_days:` in which the weight halves.
    pub half_life_days: Option<f64>,
}

impl From<SourceInfo> for ListSource {
    fn from(info: SourceInfo) -> ListSource {
        ListSource { info, weight: None, half_life_days: None }
    }
}

/// The share of an alert's evidence that is left: an exponent of its ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ListWeight {
    left: f64,
    /// What took the rest.
    by_age: bool,
}

impl ListWeight {
    /// No list is behind the alert.
    pub(super) const WHOLE: ListWeight = ListWeight { left: 1.0, by_age: false };

    /// Of lists behind an alert the one that is worth most.
    pub(super) fn of<'l>(
        lists: impl Iterator<Item = Option<&'l ListSource>>,
        now: Nanos,
        days_max: u32,
    ) -> ListWeight {
        let each =
            lists.map(|list| list.map_or(ListWeight::WHOLE, |list| one(list, now, days_max)));
        let best = each.reduce(|best, one| if one.left > best.left { one } else { best });
        best.unwrap_or(ListWeight::WHOLE)
    }

    /// The ratio that is left, and in words what lowered it. Evidence that speaks against a case is
    /// left as it is.
    pub(super) fn lower(self, ratio: f64) -> Option<(f64, String)> {
        if self.left >= 1.0 || ratio <= 1.0 {
            return None;
        }
        let less = ratio.powf(self.left);
        let why = match self.by_age {
            true => "old lists".to_owned(),
            false => format!("weight of the lists {:.2}", self.left),
        };
        Some((less, format!("{why}: ratio {} for {}", shown(less), shown(ratio))))
    }
}

/// A ratio in two digits: it is no better known.
pub(super) fn shown(ratio: f64) -> String {
    if ratio >= 10.0 { format!("{ratio:.0}") } else { format!("{ratio:.1}") }
}

fn one(list: &ListSource, now: Nanos, days_max: u32) -> ListWeight {
    let age = list.info.built_at.map_or(Nanos::ZERO, |built| now.since(built));
    // A list that says how fast it ages has all of its weight at first.
    if let Some(weight) = list.weight.or(list.half_life_days.and(Some(1.0))) {
        let days = (age.0 / DAY_NS) as f64;
        let halves = list.half_life_days.map_or(0.0, |half_life| days / half_life);
        return ListWeight { left: weight * (-halves).exp2(), by_age: false };
    }
    let old = age > Nanos(u64::from(days_max).saturating_mul(DAY_NS));
    ListWeight { left: if old { OLD } else { 1.0 }, by_age: old }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(weight: Option<f64>, half_life_days: Option<f64>) -> ListSource {
        let info = SourceInfo {
            kind: "list",
            name: "l".into(),
            version: "".into(),
            built_at: Some(Nanos::from_secs(86_400)),
        };
        ListSource { info, weight, half_life_days }
    }

    fn left(lists: &[ListSource], days: u64) -> f64 {
        let now = Nanos::from_secs((1 + days) * 86_400 + 1);
        ListWeight::of(lists.iter().map(Some), now, 30).left
    }

    #[test]
    fn a_weight_halves_by_its_half_life_and_stands_for_the_age() {
        let half = list(Some(0.8), Some(10.0));
        assert_eq!(left(std::slice::from_ref(&half), 0), 0.8);
        assert_eq!(left(std::slice::from_ref(&half), 10), 0.4);
        assert_eq!(left(&[list(Some(0.6), None)], 400), 0.6);
        assert_eq!(left(&[list(None, Some(10.0))], 20), 0.25);
        assert_eq!(left(&[list(None, None)], 29), 1.0);
        assert_eq!(left(&[list(None, None)], 31), OLD);
        assert_eq!(left(&[half, list(None, None)], 10), 1.0, "the best counts");
        assert_eq!(left(&[], 400), 1.0, "no list, no loss");
    }

    #[test]
    fn what_is_left_is_an_exponent() {
        let quarter = ListWeight { left: 0.25, by_age: false };
        let (ratio, why) = quarter.lower(16.0).unwrap();
        assert_eq!((ratio, why.as_str()), (2.0, "weight of the lists 0.25: ratio 2.0 for 16"));
        assert_eq!(quarter.lower(0.5), None, "what speaks against a case stays");
        assert_eq!(ListWeight { left: 0.0, by_age: false }.lower(9.0).unwrap().0, 1.0);
        assert_eq!(ListWeight::WHOLE.lower(16.0), None);
    }
}
