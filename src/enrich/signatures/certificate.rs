//! Parts of a server's certificate as texts that signatures are compared with.
//!
//! Owns: the syntax of these texts. In: a certificate; a line of a signature file. Out: texts.
//! Never: a pattern that matches more than it says.

use crate::enrich::signatures::file::{Evidence, Field, Refusal, exact};
use crate::model::app_facts::Certificate;

/// Placeholder for a label of random letters and digits.
const RANDOM: &str = "{random}";
/// Lengths of randomly generated labels: Tor's 8 to 20 (its source, tortls.c).
const RANDOM_CHARS: std::ops::RangeInclusive<usize> = 8..=20;
/// Separates a subject and an issuer.
const ISSUED_BY: &str = " issued by ";
/// A shorter value would match too much.
const VALUE_CHARS_MIN: usize = 4;

/// Every text of a certificate that a signature may name: its common name, its organisation, the
/// issuer's common name, and, if both common names look random, the pattern they share.
pub(crate) fn texts(certificate: &Certificate) -> Vec<String> {
    let own = certificate.common_name.as_deref();
    let issuer = certificate.issuer_common_name.as_deref();
    let lower = |head: &str, value: &str| format!("{head}{}", value.to_lowercase());
    let mut texts: Vec<String> = [("cn=", own), ("o=", certificate.organization.as_deref())]
        .into_iter()
        .chain([("issuer cn=", issuer)])
        .filter_map(|(head, value)| Some(lower(head, value?)))
        .collect();
    if let (Some(own), Some(issuer)) = (own.and_then(masked), issuer.and_then(masked)) {
        texts.push(format!("cn={own}{ISSUED_BY}cn={issuer}"));
    }
    texts
}

/// A name of three labels whose middle one looks random (base 32), as [`RANDOM`].
fn masked(name: &str) -> Option<String> {
    let is_drawn = |label: &str| {
        RANDOM_CHARS.contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
    };
    let labels: Vec<&str> = name.split('.').collect();
    let [first, label, last] = labels.as_slice() else { return None };
    is_drawn(label).then(|| format!("{first}.{RANDOM}.{last}"))
}

/// Parses `CN=AnyDesk Client`, `O=PiKVM`, `issuer CN=tinypilot-ca`, or `CN=www.{random}.net issued
/// by CN=www.{random}.com`.
pub(super) fn sign(text: &str) -> Result<Evidence, Refusal> {
    let refuse = |cause: String| {
        (cause, "write CN=..., O=..., issuer CN=..., or CN=... issued by CN=... with {random}")
    };
    let text = text.to_lowercase();
    let value = text.strip_prefix("issuer ").unwrap_or(&text);
    let value = value.strip_prefix("cn=").or_else(|| text.strip_prefix("o="));
    let Some(value) = value else {
        return Err(refuse(format!("`{text}` names no part of a certificate")));
    };
    if value.chars().count() < VALUE_CHARS_MIN {
        return Err(refuse(format!("`{value}` is too short to tell anything")));
    }
    if text.contains(RANDOM) != text.contains(ISSUED_BY) {
        return Err(refuse(format!("`{text}`: drawn names count only in pairs")));
    }
    exact(Field::Certificate, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(own: &str, organization: Option<&str>, issuer: &str) -> Certificate {
        Certificate {
            common_name: Some(own.into()),
            organization: organization.map(Into::into),
            issuer_common_name: Some(issuer.into()),
            ..Certificate::default()
        }
    }

    #[test]
    fn a_certificate_gives_its_names_and_drawn_pairs() {
        let device = certificate("localhost", Some("PiKVM"), "localhost");
        assert_eq!(texts(&device), ["cn=localhost", "o=pikvm", "issuer cn=localhost"]);
        let relay = certificate("www.bpcau5b3haif5els.net", None, "www.gmvuy6mtjbxevwo3w.com");
        let pair = "cn=www.{random}.net issued by cn=www.{random}.com".to_owned();
        assert!(texts(&relay).contains(&pair));
        let site = certificate("www.example.com", None, "Let's Encrypt R3");
        assert_eq!(texts(&site).len(), 2);
    }

    #[test]
    fn a_pattern_that_matches_too_much_is_refused() {
        for good in ["CN=AnyDesk Client", "O=PiKVM", "issuer CN=tinypilot-ca"] {
            assert!(sign(good).is_ok(), "{good}");
        }
        assert!(sign("CN=www.{random}.net issued by CN=www.{random}.com").is_ok());
        for bad in ["CN=abc", "AnyDesk", "CN=www.{random}.net", "issuer O=abcdef", ""] {
            assert!(sign(bad).is_err(), "{bad}");
        }
    }
}
