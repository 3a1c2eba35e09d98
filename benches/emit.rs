//! How many lines a second become those of another form, on one core.
//!
//! `cargo bench --bench emit` prints lines a second of each form. As a test it writes each once.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench measures time"
)]

use std::hint::black_box;
use std::time::Instant;

use longhaul::formats::render;
use longhaul::model::{EventKind, Form, Level};

/// A session of TLS, of 3 kB; and one of 1.5 kB whose texts are full of escapes.
const LINES: [(&str, &str); 2] = [
    ("tls", include_str!("../src/emit/golden/session_tls.json")),
    ("escapes", include_str!("../src/emit/golden/session_nasty.json")),
];

fn main() {
    let rounds = if std::env::args().any(|word| word == "--bench") { 200_000 } else { 1 };
    for form in Form::ALL {
        for (name, line) in LINES {
            let event = (EventKind::SessionEnd, Level::High);
            let (begun, mut bytes, mut out) = (Instant::now(), 0, Vec::new());
            for _ in 0..rounds {
                out.clear();
                render(form, event, black_box(line.as_bytes()), &mut out).unwrap();
                bytes += black_box(&out).len();
            }
            let rate = f64::from(rounds) / begun.elapsed().as_secs_f64();
            println!("{:<5} {name:<8} {rate:>12.0} lines/s, {bytes} bytes", form.name());
        }
    }
}
