//! Messages about inputs that were not read in full.
//!
//! Owns: which of them share a line. In: one report per input. Out: a line each, or one for many.
//! Never: a line for each of thousands; run.json has them all.

use crate::capture::{FileReport, Verdict};
use crate::model::Error;

/// More inputs with the same verdict share a line.
const APART: usize = 9;

/// One input, or many with the same verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its name, or how many.
    pub what: String,
    /// Verdict and reason.
    pub cause: String,
    verdict: Verdict,
}

/// Inputs whose verdict is not "ok", in the order of the first of each line.
pub fn problems(files: &[FileReport]) -> Vec<Problem> {
    let mut groups: Vec<(Verdict, Vec<&FileReport>)> = Vec::new();
    for file in files.iter().filter(|file| file.verdict != Verdict::Ok) {
        match groups.iter_mut().find(|(verdict, _)| *verdict == file.verdict) {
            Some((_, of_verdict)) => of_verdict.push(file),
            None => groups.push((file.verdict, vec![file])),
        }
    }
    groups.into_iter().flat_map(|(verdict, files)| lines(verdict, &files)).collect()
}

fn lines(verdict: Verdict, files: &[&FileReport]) -> Vec<Problem> {
    let cause = |file: &FileReport| match &file.reason {
        Some(why) => format!("{verdict}: {why}"),
        None => verdict.to_string(),
    };
    let name = |file: &FileReport| file.path.display().to_string();
    match files {
        [first, ..] if files.len() > APART => {
            let what = format!("{} files", files.len());
            let cause = format!("{} (so the first, {})", cause(first), name(first));
            vec![Problem { what, cause, verdict }]
        }
        _ => {
            let each = |file: &&FileReport| (name(file), cause(file));
            let apart = files.iter().map(each);
            apart.map(|(what, cause)| Problem { what, cause, verdict }).collect()
        }
    }
}

/// Why there is no result: no input could be read.
pub(super) fn nothing_readable(files: &[FileReport]) -> Vec<Error> {
    if files.is_empty() {
        let help = "name a capture file, a directory that holds some, or - for standard input";
        return vec![Error::new("inputs", "there is no file to read").help(help)];
    }
    if files.iter().all(|file| file.verdict == Verdict::Ok) {
        // Cannot happen: a valid file without a packet is empty.
        return vec![Error::new("inputs", "there is no packet in any of them")];
    }
    let error = |problem: Problem| {
        let help = match problem.verdict {
            Verdict::Unreadable => "check the path and that this user may read it",
            Verdict::Empty => {
                "check the capture: no packet reached it, or its filter let none pass"
            }
            Verdict::Refused => "where the file is sound, allow more with --max-ratio N",
            Verdict::Interrupted => "no packet had come by then",
            _ => "longhaul reads pcap and pcapng, plain or as gzip, zstd, xz or bzip2",
        };
        Error::new(problem.what, problem.cause).help(help)
    };
    problems(files).into_iter().map(error).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn reports(count: usize) -> Vec<FileReport> {
        let report = |n| FileReport::unreadable(Path::new(&format!("f{n}")), "no".to_owned());
        (0..count).map(report).collect()
    }

    #[test]
    fn thousands_of_files_are_one_line_with_a_count() {
        let few = problems(&reports(APART));
        assert_eq!((few.len(), few[0].what.as_str()), (APART, "f0"));
        let many = problems(&reports(2_000));
        assert_eq!((many.len(), many[0].what.as_str()), (1, "2000 files"));
        assert!(many[0].cause.contains("unreadable: no") && many[0].cause.contains("f0"));
        let errors = nothing_readable(&reports(2_000));
        assert!(errors.len() == 1 && errors[0].help.is_some());
    }

    #[test]
    fn each_verdict_has_its_line() {
        let mut files = reports(20);
        files[3].verdict = Verdict::Truncated;
        files[4].verdict = Verdict::Ok;
        let what: Vec<String> = problems(&files).into_iter().map(|p| p.what).collect();
        assert_eq!(what, ["18 files", "f3"]);
    }
}
