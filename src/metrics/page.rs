//! Metrics as text that Prometheus and others read.
//!
//! Owns: names, escapes, the order of lines. In: families and samples. Out: the text format,
//! version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). Never: a sample without
//! its family.

use std::fmt::{Display, Write};

use crate::metrics::Spread;

/// What a family counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A page under construction.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    name: String,
}

impl Page {
    /// Begins a family; counters end in `_total`.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.head(name, word, help);
    }

    fn head(&mut self, name: &str, word: &str, help: &str) {
        name.clone_into(&mut self.name);
        let help = help.trim().replace('\\', "\\\\").replace('\n', "\\n");
        // Writing into a String cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {word}");
    }

    /// A sample of the family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let name = std::mem::take(&mut self.name);
        self.line(&name, labels, value);
        self.name = name;
    }

    /// A family of one sample.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// A family of times, in seconds, each with one label.
    pub fn spreads<'s>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        of: impl Iterator<Item = (&'s str, &'s Spread)>,
    ) {
        self.head(name, "histogram", help);
        for (value, spread) in of {
            let own = (label, value);
            for (edge, count) in spread.buckets() {
                let edge = edge.map_or_else(|| "+Inf".to_owned(), |edge| edge.to_string());
                self.line(&format!("{name}_bucket"), &[own, ("le", &edge)], count);
            }
            self.line(&format!("{name}_sum"), &[own], spread.seconds());
            self.line(&format!("{name}_count"), &[own], spread.count());
        }
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{before}{label}=\"{value}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {value}");
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_their_family_and_values_cannot_end_a_line() {
        let mut page = Page::default();
        page.single("up", Kind::Gauge, "Whether\nit \\ runs.", 1);
        page.family("hits_total", Kind::Counter, "Hits.");
        page.sample(&[("rule", "D\"1\"\n\\"), ("level", "low")], 7);
        assert_eq!(
            page.finish(),
            "# HELP up Whether\\nit \\\\ runs.\n# TYPE up gauge\nup 1\n\
             # HELP hits_total Hits.\n# TYPE hits_total counter\n\
             hits_total{rule=\"D\\\"1\\\"\\n\\\\\",level=\"low\"} 7\n"
        );
    }

    #[test]
    fn a_histogram_adds_up() {
        let mut spread = Spread::default();
        [500, 3_000, 5_000_000, u64::MAX].into_iter().for_each(|ns| spread.add(ns));
        let mut page = Page::default();
        page.spreads("t_seconds", "Times.", "stage", [("x", &spread)].into_iter());
        let text = page.finish();
        assert!(text.contains("t_seconds_bucket{stage=\"x\",le=\"0.000001024\"} 1\n"), "{text}");
        assert!(text.contains("t_seconds_bucket{stage=\"x\",le=\"0.000004096\"} 2\n"), "{text}");
        assert!(text.contains("t_seconds_bucket{stage=\"x\",le=\"+Inf\"} 4\n"), "{text}");
        assert!(text.contains("t_seconds_count{stage=\"x\"} 4\n"), "{text}");
    }
}
