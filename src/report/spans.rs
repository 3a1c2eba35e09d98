//! The time spans of several files: one, or a few that lie apart.
//!
//! Owns: which files belong together. In: first and last packet time of each file. Out:
//! [`Cluster`]s. Never: presents captures of different years as one long one.

use crate::model::Nanos;
use crate::report::units;

/// A pause longer than this (an hour) starts a new cluster.
const PAUSE: Nanos = Nanos::from_secs(3_600);

/// A file whose own packets span more than this (a year) has a clock that jumped, and would swallow
/// the others.
const ASTRAY: Nanos = Nanos::from_secs(366 * 86_400);

/// Clusters listed individually.
const LISTED_MAX: usize = 4;

/// Files whose times overlap or nearly touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Earliest packet.
    pub first: Nanos,
    /// Latest packet.
    pub last: Nanos,
    /// The number of files.
    pub files: u64,
}

/// The clusters of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clusters {
    /// In order of time.
    pub all: Vec<Cluster>,
    /// Files left out because their own packets span more than a year.
    pub astray: u64,
}

/// Groups files into clusters. If every file spans more than a year, all are used as they are.
pub fn clusters(spans: impl IntoIterator<Item = (Nanos, Nanos)>) -> Clusters {
    let all: Vec<(Nanos, Nanos)> = spans.into_iter().collect();
    let sound = all.iter().copied().filter(|(first, last)| last.since(*first) <= ASTRAY);
    let sound: Vec<(Nanos, Nanos)> = sound.collect();
    if sound.is_empty() {
        return Clusters { all: join(all), astray: 0 };
    }
    let astray = (all.len() - sound.len()) as u64;
    Clusters { all: join(sound), astray }
}

fn join(mut spans: Vec<(Nanos, Nanos)>) -> Vec<Cluster> {
    spans.sort_unstable();
    let mut all: Vec<Cluster> = Vec::new();
    for (first, last) in spans {
        match all.last_mut() {
            // `since` is zero if the file starts before the cluster ends.
            Some(open) if first.since(open.last) <= PAUSE => {
                open.last = open.last.max(last);
                open.files += 1;
            }
            _ => all.push(Cluster { first, last, files: 1 }),
        }
    }
    all
}

/// The clusters as text, one line each, or one line for many.
pub(super) fn lines(clusters: &Clusters) -> Vec<String> {
    let mut lines = in_words(&clusters.all);
    if clusters.astray > 0 {
        let files = units::number_of(clusters.astray as usize, "file");
        lines.push(format!("and {files} with packets more than a year apart"));
    }
    lines
}

fn in_words(clusters: &[Cluster]) -> Vec<String> {
    let span = |one: &Cluster| {
        let (first, last) = (units::moment(one.first), units::moment(one.last));
        format!("{first} to {last} UTC, {}", units::span(one.last.since(one.first)))
    };
    match clusters {
        [one] => vec![span(one)],
        [first, .., last] if clusters.len() > LISTED_MAX => {
            let busy = clusters.iter().map(|one| one.last.since(one.first).0);
            vec![format!(
                "{} separate times between {} and {} UTC, {} together",
                units::count(clusters.len() as u64),
                units::moment(first.first),
                units::moment(last.last),
                units::span(Nanos(busy.fold(0, u64::saturating_add)))
            )]
        }
        several => several
            .iter()
            .map(|one| format!("{}, {}", span(one), units::number_of(one.files as usize, "file")))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(first: u64, last: u64) -> (Nanos, Nanos) {
        (Nanos::from_secs(1_700_000_000 + first), Nanos::from_secs(1_700_000_000 + last))
    }

    #[test]
    fn adjacent_files_are_one_span() {
        let one = clusters([at(600, 1_200), at(0, 600), at(1_200, 1_300), at(100, 200)]);
        let (first, last) = at(0, 1_300);
        assert_eq!(one.all, [Cluster { first, last, files: 4 }]);
        assert_eq!(lines(&one), ["2023-11-14 22:13:20 to 2023-11-14 22:35:00 UTC, 22 min"]);
    }

    #[test]
    fn captures_of_different_times_are_separate_spans() {
        let two = clusters([at(0, 60), at(86_400, 86_460), at(86_400, 86_400)]);
        assert_eq!(
            lines(&two),
            [
                "2023-11-14 22:13:20 to 2023-11-14 22:14:20 UTC, 60.0 s, 1 file",
                "2023-11-15 22:13:20 to 2023-11-15 22:14:20 UTC, 60.0 s, 2 files"
            ]
        );
        // With an hour's pause it is still one capture.
        assert_eq!(clusters([at(0, 60), at(3_660, 3_700)]).all.len(), 1);
        assert_eq!(clusters([at(0, 60), at(3_661, 3_700)]).all.len(), 2);
    }

    #[test]
    fn many_are_summed_up() {
        let many = clusters((0..10).map(|day| at(day * 86_400, day * 86_400 + 60)));
        assert_eq!(
            lines(&many),
            ["10 separate times between 2023-11-14 22:13:20 and 2023-11-23 22:14:20 UTC, 10 min \
              together"]
        );
        assert!(lines(&Clusters::default()).is_empty());
    }

    #[test]
    fn a_file_with_a_wrong_clock_does_not_absorb_others() {
        let jumped = (Nanos::ZERO, Nanos::from_secs(2_900_000_000));
        let two = clusters([jumped, at(0, 60), at(86_400, 86_460)]);
        assert_eq!((two.all.len(), two.astray), (2, 1));
        assert_eq!(lines(&two)[2], "and 1 file with packets more than a year apart");
        let alone = clusters([jumped]);
        assert_eq!((alone.all.len(), alone.astray), (1, 0));
    }
}
