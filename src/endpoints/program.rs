//! The operating system that a program reports.
//!
//! Owns: small tables of words in SSH banners and user agents, and of TLS clients that are part of
//! a system. In: a session's facts. Out: an operating system to compare with the SYN's, or nothing.
//! Never: guesses: most JA4s identify a program's library, not its system.

use crate::model::record::Facts;

/// Words in a client's SSH identification string (RFC 4253 section 4.2): OpenSSH's port says
/// `for_Windows`, PuTTY is a program for Windows; Debian, Ubuntu and FreeBSD name themselves in the
/// comment.
const BANNERS: &[(&str, &str)] = &[
    ("OpenSSH_for_Windows", "windows"),
    // It runs elsewhere too, and is seldom installed there.
    ("PuTTY", "windows"),
    ("Ubuntu", "linux"),
    ("Debian", "linux"),
    ("Raspbian", "linux"),
    ("FreeBSD", "bsd"),
];

/// Words in `User-Agent` (RFC 9110 section 10.1.5), most specific first: a phone's browser also
/// names Linux or Mac OS X.
const AGENTS: &[(&str, &str)] = &[
    ("Windows NT", "windows"),
    ("Android", "linux"),
    ("iPhone", "apple"),
    ("iPad", "apple"),
    ("Macintosh", "apple"),
    ("CrOS", "linux"),
    ("X11; Linux", "linux"),
];

/// The middle part of a JA4, a hash of the cipher suites alone, of TLS clients that come with a
/// system and run on no other: Apple's Secure Transport and Network.framework, Windows' Schannel.
/// Sources: ja4plus-mapping.csv of FoxIO (Safari, WinINET); SYNs of public captures, none of which
/// came from another system.
const SUITES: &[(&str, &str)] = &[
    ("07a749158664", "apple"),
    ("0d4ca5d4ec72", "apple"),
    ("2802a3db6c62", "apple"),
    ("2a284e3b0c56", "apple"),
    ("a09f3c656075", "apple"),
    ("d83cc789557e", "windows"),
];

/// The client's operating system, if one of its programs reports it.
pub(super) fn family(facts: &Facts) -> Option<&'static str> {
    let banner = facts.ssh.as_deref().and_then(|ssh| ssh.client.as_deref());
    let agent = facts.http.as_deref().and_then(|http| http.user_agent.as_deref());
    let ja4 = facts.tls.as_deref().and_then(|tls| tls.ja4.as_deref());
    by_word(BANNERS, banner)
        .or_else(|| by_word(AGENTS, agent))
        .or_else(|| by_word(SUITES, ja4.and_then(|ja4| ja4.split('_').nth(1))))
}

fn by_word(table: &[(&str, &'static str)], text: Option<&str>) -> Option<&'static str> {
    let text = text?;
    table.iter().find(|(word, _)| text.contains(word)).map(|(_, family)| *family)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::{HttpFacts, SshFacts, TlsFacts};

    fn ssh(client: &str) -> Option<&'static str> {
        let ssh = SshFacts { client: Some(client.into()), ..SshFacts::default() };
        family(&Facts { ssh: Some(Box::new(ssh)), ..Facts::default() })
    }

    fn agent(agent: &str) -> Option<&'static str> {
        let http = HttpFacts { user_agent: Some(agent.into()), ..HttpFacts::default() };
        family(&Facts { http: Some(Box::new(http)), ..Facts::default() })
    }

    #[test]
    fn a_system_has_a_tls_client_of_its_own() {
        let told = |ja4: &str| {
            let tls = TlsFacts { ja4: Some(ja4.into()), ..TlsFacts::default() };
            family(&Facts { tls: Some(Box::new(tls)), ..Facts::default() })
        };
        assert_eq!(told("t13d2014h2_a09f3c656075_14788d8d241b"), Some("apple"));
        assert_eq!(told("t12d190800_d83cc789557e_7af1ed941c26"), Some("windows"));
        assert_eq!(told("t13d1516h2_8daaf6152771_a09f3c656075"), None);
    }

    #[test]
    fn banners_and_agents_name_a_family_or_none() {
        assert_eq!(ssh("SSH-2.0-OpenSSH_for_Windows_9.5"), Some("windows"));
        assert_eq!(ssh("SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13"), Some("linux"));
        assert_eq!(ssh("SSH-2.0-OpenSSH_9.9"), None);
        assert_eq!(ssh("SSH-2.0-PuTTY_Release_0.81"), Some("windows"));
        assert_eq!(agent("Mozilla/5.0 (Windows NT 10.0; Win64; x64)"), Some("windows"));
        assert_eq!(agent("Mozilla/5.0 (Linux; Android 14; Pixel 8)"), Some("linux"));
        assert_eq!(agent("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)"), Some("apple"));
        assert_eq!(agent("curl/8.5.0"), None);
    }
}
