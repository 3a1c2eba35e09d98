//! The page: head, order of parts, size.
//!
//! Owns: the content security policy, the budget of bytes. In: a case. Out: the whole file. Never:
//! more than [`BYTES_MAX`] bytes, whatever the results hold.
//!
//! The page may load nothing and run nothing but its own style sheet and script, which the policy
//! names by their hashes (W3C Content Security Policy Level 3, 6.7). A text that got into the page
//! as markup would run no script and send no request.

use sha2::{Digest, Sha256};

use super::case::Case;
use super::charts::map;
use super::markup::Html;
use super::{appendix, chapter, story};
use crate::model::units;

/// Most bytes of a report: it opens at once, and mail takes it.
pub const BYTES_MAX: usize = 6_000_000;

/// Bytes after which chapters have no pictures. Subjects have chapters while there is room beside
/// the rest of the page.
const PICTURES_BYTES: usize = 1_900_000;
/// More than the rest of the page grows with the number of chapters: a row without a link may make
/// room for another in the table of incidents and in that of alerts, and a row is at most eight
/// texts of 600 characters that are written with ten bytes each.
const SPARE_BYTES: usize = 100_000;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The whole file.
pub fn render(case: &Case) -> String {
    let rest = page(case, &Html::default(), case.dossiers.len()).len();
    let (chapters, shown) = chapters(case, BYTES_MAX.saturating_sub(rest + SPARE_BYTES));
    page(case, &chapters, shown).into_string()
}

/// The page with some chapters.
fn page(case: &Case, chapters: &Html, shown: usize) -> Html {
    let mut page = Html::default();
    page.raw(head());
    page.raw("<body>\n<a class=\"skip\" href=\"#main\">Skip to the report</a>\n");
    page.raw(map::land());
    page.raw("<header><p class=\"brand\">longhaul</p><h1>Report of findings</h1><p>");
    page.text(&subtitle(case)).raw("</p></header>\n").add(&contents(case, shown));
    page.raw("<main id=\"main\">\n").add(&story::faults(case)).add(&story::story(case));
    page.add(&story::incidents(case, shown));
    page.raw("<section aria-labelledby=\"subjects\"><h2 id=\"subjects\">Subjects</h2>\n");
    page.add(chapters);
    let more = (case.dossiers.len() - shown) as u64 + case.subjects_more;
    if more > 0 {
        let text = format!(
            "{} more subjects of lower rank have no chapter; `longhaul explain ID` and `longhaul \
             timeline SUBJECT` tell of them.",
            units::count(more)
        );
        page.raw("<p class=\"note\">").text(&text).raw("</p>\n");
    }
    if case.dossiers.is_empty() {
        page.raw("<p>Nobody: no rule fired.</p>\n");
    }
    page.raw("</section>\n").add(&story::alerts(case, shown)).add(&appendix::html(case));
    page.raw("</main>\n<footer><p>Made by longhaul from its own results; the file holds all it ");
    page.raw("shows and loads nothing. Coast lines: Natural Earth.</p></footer>\n<script>");
    page.raw(SCRIPT).raw("</script>\n</body>\n</html>\n");
    page
}

fn head() -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta \
         http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
         'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'\">\n<meta \
         name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta \
         name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" \
         content=\"no-referrer\">\n<title>longhaul report</title>\n\
         <style>{STYLE}</style>\n</head>\n",
        hash(STYLE),
        hash(SCRIPT),
    )
}

/// The SHA-256 of a text in Base64 (RFC 4648 section 4).
fn hash(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in Sha256::digest(text.as_bytes()).chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4_u32 {
            let letter = LETTERS.get((bits >> (18 - 6 * at)) as usize & 63);
            let is_padding = at as usize > three.len();
            out.push(if is_padding { '=' } else { letter.map_or('=', |byte| char::from(*byte)) });
        }
    }
    out
}

fn subtitle(case: &Case) -> String {
    let name = case.runs.iter().find_map(|run| run.text("sensor.name")).unwrap_or("longhaul");
    let place = case.runs.iter().find_map(|run| run.text("sensor.place.code"));
    let place = place.map_or(String::new(), |code| format!(" at {code}"));
    format!("Sensor {name}{place}, {}", super::words::span(case.first, case.last))
}

/// Chapters in the order of rank, as many as fit.
fn chapters(case: &Case, room: usize) -> (Html, usize) {
    let mut all = Html::default();
    let mut shown = 0;
    for (at, dossier) in case.dossiers.iter().enumerate() {
        let one = chapter::html(case, (at, dossier), all.len() < PICTURES_BYTES);
        if all.len() + one.len() > room {
            break;
        }
        all.add(&one);
        shown += 1;
    }
    (all, shown)
}

fn contents(case: &Case, shown: usize) -> Html {
    const LINKS_MAX: usize = 30;
    let mut html = Html::default();
    html.raw("<nav aria-label=\"Contents\"><ul>");
    for (id, title) in [
        ("story", "The story"),
        ("incidents", "Incidents"),
        ("subjects", "Subjects"),
        ("alerts", "Alerts"),
        ("appendix", "Appendix"),
    ] {
        html.raw(format_args!("<li><a href=\"#{id}\">{title}</a>"));
        if id == "subjects" && shown > 0 {
            html.raw("<ul>");
            for (at, dossier) in case.dossiers.iter().take(shown.min(LINKS_MAX)).enumerate() {
                html.raw(format_args!("<li><a href=\"#s{}\">", at + 1));
                html.text(&dossier.title()).raw("</a></li>");
            }
            html.raw("</ul>");
        }
        html.raw("</li>");
    }
    html.raw("</ul></nav>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_policy() {
        // RFC 6234 section 8.5 has the digest of "abc".
        assert_eq!(hash("abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }
}
