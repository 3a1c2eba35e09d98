//! Numbers and untrusted text in readable form.
//!
//! Owns: digit groups, units, escaping. In: numbers, untrusted text. Out: short strings.
//! Never: lets a control character reach a terminal.

use crate::model::escape::escaped;
use crate::model::time::Nanos;

/// `1,298,114`
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 alert`, `2 alerts`
pub fn number_of(n: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(n as u64), if n == 1 { "" } else { "s" })
}

/// `1.1 GB`; decimal units, as is usual in networking.
pub fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if value < 999.5 || unit == "TB" {
            return if unit == "B" { format!("{n} B") } else { format!("{} {unit}", short(value)) };
        }
        value /= 1_000.0;
    }
    format!("{n} B")
}

/// `18.5 ms`
pub fn millis(ns: u64) -> String {
    format!("{} ms", short(ns as f64 / 1e6))
}

/// About three digits: `0.19`, `4.2`, `152`.
fn short(value: f64) -> String {
    match value {
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// `42 min`
pub fn span(span: Nanos) -> String {
    let seconds = span.0 as f64 / 1e9;
    match seconds {
        s if s < 1.0 => millis(span.0),
        s if s < 120.0 => format!("{} s", short(s)),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{} h", short(s / 3_600.0)),
        s => format!("{} days", short(s / 86_400.0)),
    }
}

/// `2023-12-26 12:22:57`
pub fn moment(time: Nanos) -> String {
    time.to_string().chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// `66.8 %`
pub fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => String::new(),
        _ => format!("{:.1} %", part as f64 * 100.0 / whole as f64),
    }
}

/// `text` in one line, cut to `width` characters, without characters that move the cursor or
/// reorder the line.
pub fn safe(text: &str, width: usize) -> String {
    let text = escaped(text);
    let mut out: String = text.chars().take(width).collect();
    if text.chars().nth(width).is_some() {
        out.pop();
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([count(0), count(999), count(1_298_114)], ["0", "999", "1,298,114"]);
        assert_eq!([bytes(999), bytes(1_100), bytes(812_000_000)], ["999 B", "1.10 kB", "812 MB"]);
        assert_eq!([millis(190_902), millis(18_491_000)], ["0.19 ms", "18.5 ms"]);
        assert_eq!(span(Nanos::from_secs(2_520)), "42 min");
        assert_eq!(moment(Nanos::from_secs(1_700_000_000)), "2023-11-14 22:13:20");
        assert_eq!(share(2, 3), "66.7 %");
        assert_eq!([number_of(0, "file"), number_of(1, "file")], ["0 files", "1 file"]);
    }

    #[test]
    fn hostile_text_cannot_reach_the_terminal() {
        let safe_text = "a\\u{1b}[31mb\\u{202e}c\\n";
        assert_eq!(safe("a\u{1b}[31mb\u{202e}c\n", 80), safe_text);
        assert_eq!(safe("abcdef", 4), "abc…");
        assert_eq!(safe("abcd", 4), "abcd");
    }
}
