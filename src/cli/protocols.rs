//! `longhaul protocols`: lists what is recognised, by what evidence, and its source.
//!
//! Owns: the answer's layout. In: a directory of signatures, or none for the embedded table.
//! Out: one line per protocol and application, or JSON. Never: a name without evidence.

use std::fmt::Write;
use std::path::PathBuf;

use crate::cli::{self, CommandResult, RAN};
use crate::model::Error;
use crate::model::escape::escaped_json;
use crate::pipeline::queries::{self, Application, ProtocolRow};

/// Arguments of `protocols`.
#[derive(Debug, clap::Args)]
pub(super) struct ProtocolsArgs {
    /// Use the signatures of this directory instead of the embedded ones
    #[arg(long, value_name = "DIR")]
    signatures: Option<PathBuf>,
    /// Write JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Maximum characters of evidence in a line of the table.
const EVIDENCE_MAX: usize = 60;

/// Runs the command.
pub(super) fn run(args: &ProtocolsArgs) -> CommandResult {
    let known = queries::recognised(args.signatures.as_deref())?;
    if args.json {
        let text = serde_json::to_string_pretty(&known)
            .map_err(|e| vec![Error::new("protocols as JSON", e.to_string())])?;
        cli::print_as_is(&(escaped_json(&text).into_owned() + "\n"))?;
        return Ok(RAN);
    }
    let mut text = String::from("Protocols, identified from payload (network.protocol):\n");
    for protocol in &known.protocols {
        // Writing into a String cannot fail.
        let ProtocolRow { name, evidence, source } = protocol;
        let _ = writeln!(text, "  {name:<24} {evidence}\n  {:<24} {source}", "");
    }
    text.push_str("\nApplications, identified by signatures (network.application):\n");
    for application in &known.applications {
        let Application { name, category, source, date, .. } = application;
        let evidence = evidence_summary(&application.evidence);
        let _ = writeln!(text, "  {name:<24} {category:<12} {evidence}");
        let _ = writeln!(text, "  {:<37} {source}, {date}", "");
    }
    cli::print(&text)?;
    Ok(RAN)
}

/// Evidence by kind, naming the first of each: `name anydesk.com (+1), port 7070/tcp`.
fn evidence_summary(evidence: &[(&'static str, String)]) -> String {
    let mut kinds: Vec<(&str, &str, usize)> = Vec::new();
    for (kind, text) in evidence {
        match kinds.iter_mut().find(|(have, ..)| have == kind) {
            Some((.., more)) => *more += 1,
            None => kinds.push((kind, text, 0)),
        }
    }
    let word = |(kind, text, more): &(&str, &str, usize)| {
        let cut: String = text.chars().take(EVIDENCE_MAX).collect();
        let dots = if cut.len() < text.len() { "..." } else { "" };
        let more = if *more > 0 { format!(" (+{more})") } else { String::new() };
        format!("{kind} {cut}{dots}{more}")
    };
    kinds.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_evidence_is_named_once() {
        let name = |text: &str| ("name", text.to_owned());
        let evidence = [name("a.b"), ("port", "1/tcp".to_owned()), name("c.d")];
        assert_eq!(evidence_summary(&evidence), "name a.b (+1), port 1/tcp");
        assert!(evidence_summary(&[name(&"x".repeat(70))]).ends_with("x..."));
    }
}
