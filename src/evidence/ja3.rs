//! JA3 and JA3S: MD5 of what a hello offers, in the order offered (published by Salesforce,
//! <https://github.com/salesforce/ja3>).
//!
//! Owns: the text that is hashed. In: a hello. Out: 16 bytes. Never: keeps the text.

use md5::Digest;
use md5::Md5;

use crate::wire::tls::ClientHello;
use crate::wire::tls::ServerHello;
use crate::wire::tls::is_grease;

/// JA3 of a ClientHello: version, ciphers, extensions, groups, point formats; GREASE left out.
pub fn ja3(hello: &ClientHello<'_>) -> [u8; 16] {
    let mut text = Text::new(hello.legacy_version);
    text.field(hello.cipher_suites().filter(|v| !is_grease(*v)));
    text.field(hello.extensions.map(|e| e.number).filter(|v| !is_grease(*v)));
    text.field(hello.supported_groups().filter(|v| !is_grease(*v)));
    text.field(hello.point_formats().iter().map(|v| u16::from(*v)));
    text.0.finalize().into()
}

/// JA3S of a ServerHello: version, cipher, extensions.
pub fn ja3s(hello: &ServerHello<'_>) -> [u8; 16] {
    let mut text = Text::new(hello.legacy_version);
    text.field([hello.cipher_suite].into_iter());
    text.field(hello.extensions.map(|e| e.number));
    text.0.finalize().into()
}

/// The text, hashed as it is written.
struct Text(Md5);

impl Text {
    fn new(version: u16) -> Text {
        let mut text = Text(Md5::new());
        text.number(version);
        text
    }

    /// A comma, then the values with hyphens between them.
    fn field(&mut self, values: impl Iterator<Item = u16>) {
        self.0.update(b",");
        for (n, value) in values.enumerate() {
            if n > 0 {
                self.0.update(b"-");
            }
            self.number(value);
        }
    }

    fn number(&mut self, value: u16) {
        let digits = [10_000, 1000, 100, 10, 1].map(|unit| b'0' + (value / unit % 10) as u8);
        let zeros = digits.iter().take(4).take_while(|d| **d == b'0').count();
        self.0.update(digits.get(zeros..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_decimal_with_hyphens_and_commas() {
        let mut text = Text::new(769);
        text.field([0u16, 47, 65_535, 1000].into_iter());
        text.field([].into_iter());
        text.field([7u16].into_iter());
        assert_eq!(text.0.finalize(), Md5::digest(b"769,0-47-65535-1000,,7"));
    }
}
