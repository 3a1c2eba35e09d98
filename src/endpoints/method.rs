//! The word for the kinds of exchange behind an estimate: `tls`, `tls+first_data`.

use crate::model::latency::Exchange;

macro_rules! row {
    ($first:literal [$($second:literal)*]) => { &[$(concat!($first, "+", $second)),*] };
}

macro_rules! table {
    ([$($first:literal)*] $all:tt) => { &[$(row!($first $all)),*] };
}

macro_rules! words {
    ($($word:literal)*) => {
        /// The word of each pair, in the order of [`Exchange`].
        static PAIRS: &[&[&str]] = table!([$($word)*] [$($word)*]);
    };
}

words! {
    "first_data" "tls" "tls_resumed" "tls_certificate" "tls_data" "ssh" "ssh_auth" "dtls"
    "dtls_resumed" "quic" "quic_resumed" "ike" "wireguard" "openvpn" "rdp" "rfb" "dns" "ping"
}

/// The word for the first two kinds.
pub(super) fn method(kinds: &[Exchange]) -> &'static str {
    match kinds {
        [first, second, ..] => {
            let row = PAIRS.get(*first as usize).copied().unwrap_or_default();
            row.get(*second as usize).copied().unwrap_or_default()
        }
        [only] => only.as_str(),
        [] => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_stand_in_the_order_of_the_exchanges() {
        for (at, first) in Exchange::ALL.iter().enumerate() {
            assert_eq!(*first as usize, at);
            for second in Exchange::ALL {
                let want = format!("{}+{}", first.as_str(), second.as_str());
                assert_eq!(method(&[*first, *second]), want);
            }
        }
        assert_eq!(PAIRS.len(), Exchange::ALL.len());
        assert_eq!(method(&[Exchange::Rfb]), "rfb");
    }
}
