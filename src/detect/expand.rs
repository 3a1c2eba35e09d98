//! Placeholders in the values of rules.
//!
//! Owns: `%name%`, and what a site has put there. In: the values of an item. Out: values without
//! placeholders. Never: a placeholder that stands for nothing.

use rsigma_parser::{SigmaString, SigmaValue};

use crate::detect::did_you_mean::{did_you_mean, nearest};
use crate::detect::refusal::Refusal;
use crate::model::site_values::{SiteValue, SiteValues};

/// Most values that one item may unfold to: several placeholders in one text multiply.
const VALUES_MAX: usize = 10_000;

/// Puts the site's values in place of placeholders; each combination is a value.
///
/// Errors: a placeholder without a value, none at all, or too many combinations.
pub(super) fn expand(values: &[SigmaValue], site: &SiteValues) -> Result<Vec<SigmaValue>, Refusal> {
    let mut all = Vec::new();
    for value in values {
        let SigmaValue::String(text) = value else {
            let cause = format!("`{value}` holds no placeholder");
            return refuse(value, cause, "write `%name%`, or leave `expand` out");
        };
        let pieces = pieces(&text.original);
        if let [Piece::Name(name)] = pieces.as_slice() {
            // Alone it may be a number.
            all.extend(of_site(name, value, site)?.iter().map(sigma_value));
        } else {
            let texts = combinations(&pieces, value, site)?;
            all.extend(texts.iter().map(|text| SigmaValue::String(SigmaString::new(text))));
        }
        if all.len() > VALUES_MAX {
            let cause = format!("more than {VALUES_MAX} values");
            return refuse(value, cause, "shorten the lists under [placeholders]");
        }
    }
    Ok(all)
}

enum Piece<'t> {
    Text(&'t str),
    Name(&'t str),
}

/// Text and names between two `%`.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut all = Vec::new();
    let mut rest = text;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    while let Some((before, after)) = rest.split_once('%') {
        let name = after.split_once('%').filter(|(name, _)| {
            !name.is_empty() && name.chars().all(plain) && !before.ends_with('\\')
        });
        let Some((name, after)) = name else {
            let (text, after) = rest.split_at(before.len() + 1);
            all.push(Piece::Text(text));
            rest = after;
            continue;
        };
        if !before.is_empty() {
            all.push(Piece::Text(before));
        }
        all.push(Piece::Name(name));
        rest = after;
    }
    if !rest.is_empty() {
        all.push(Piece::Text(rest));
    }
    all
}

fn combinations(
    pieces: &[Piece<'_>],
    value: &SigmaValue,
    site: &SiteValues,
) -> Result<Vec<String>, Refusal> {
    if !pieces.iter().any(|piece| matches!(piece, Piece::Name(_))) {
        let cause = format!("`{value}` holds no placeholder");
        return refuse(value, cause, "write `%name%`, or leave `expand` out");
    }
    let mut all = vec![String::new()];
    for piece in pieces {
        match piece {
            Piece::Text(text) => all.iter_mut().for_each(|one| one.push_str(text)),
            Piece::Name(name) => {
                let values = of_site(name, value, site)?;
                if all.len().saturating_mul(values.len()) > VALUES_MAX {
                    let cause = format!("`{value}` stands for more than {VALUES_MAX} values");
                    return refuse(value, cause, "shorten the lists under [placeholders]");
                }
                let with = |one: &String| {
                    let one = one.clone();
                    values.iter().map(move |value| format!("{one}{}", text_of(value)))
                };
                all = all.iter().flat_map(with).collect();
            }
        }
    }
    Ok(all)
}

fn of_site<'s>(
    name: &str,
    value: &SigmaValue,
    site: &'s SiteValues,
) -> Result<&'s [SiteValue], Refusal> {
    if let Some(values) = site.placeholders.get(name) {
        return Ok(values);
    }
    let near = nearest(name, site.placeholders.keys().map(String::as_str));
    let otherwise =
        format!("give it values in the configuration: `[placeholders]`, `{name} = [\"...\"]`");
    let cause = format!("placeholder `%{name}%` has no values");
    refuse(value, cause, &did_you_mean(near, &otherwise))
}

fn sigma_value(value: &SiteValue) -> SigmaValue {
    match value {
        SiteValue::Text(text) => SigmaValue::String(SigmaString::new(text)),
        SiteValue::Number(n) => SigmaValue::Integer(*n),
    }
}

fn text_of(value: &SiteValue) -> String {
    match value {
        SiteValue::Text(text) => text.clone(),
        SiteValue::Number(n) => n.to_string(),
    }
}

fn refuse<T>(value: &SigmaValue, cause: String, help: &str) -> Result<T, Refusal> {
    Err(Refusal { cause, help: help.to_owned(), value: Some(value.to_string()) })
}
