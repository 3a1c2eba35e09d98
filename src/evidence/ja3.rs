//! JA3 and JA3S: MD5 of what a hello offers, in the order offered (published by Salesforce,
//! <https://github.com/salesforce/ja3>).
//!
//! Owns: the text that is hashed. In: a hello. Out: 16 bytes. Never: keeps the text.

use md5::Md5;

use crate::evidence::hashed::Hashed;
use crate::wire::tls::{ClientHello, ServerHello, is_grease};

/// JA3 of a ClientHello: version, ciphers, extensions, groups, point formats; GREASE left out.
pub fn ja3(hello: &ClientHello<'_>) -> [u8; 16] {
    let mut text = Text::new(hello.legacy_version);
    text.field(hello.cipher_suites().filter(|v| !is_grease(*v)));
    text.field(hello.extensions.map(|e| e.number).filter(|v| !is_grease(*v)));
    text.field(hello.supported_groups().filter(|v| !is_grease(*v)));
    text.field(hello.point_formats().iter().map(|v| u16::from(*v)));
    text.0.finish().into()
}

/// JA3S of a ServerHello: version, cipher, extensions.
pub fn ja3s(hello: &ServerHello<'_>) -> [u8; 16] {
    let mut text = Text::new(hello.legacy_version);
    text.field([hello.cipher_suite].into_iter());
    text.field(hello.extensions.map(|e| e.number));
    text.0.finish().into()
}

/// The text, hashed as it is written.
struct Text(Hashed<Md5>);

impl Text {
    fn new(version: u16) -> Text {
        let mut text = Text(Hashed::new());
        text.number(version);
        text
    }

    /// A comma, then the values separated by hyphens.
    fn field(&mut self, values: impl Iterator<Item = u16>) {
        self.0.put(*b",");
        for (n, value) in values.enumerate() {
            if n > 0 {
                self.0.put(*b"-");
            }
            self.number(value);
        }
    }

    fn number(&mut self, value: u16) {
        let digit = |unit: u16| b'0' + (value / unit % 10) as u8;
        match value {
            0..10 => self.0.put([digit(1)]),
            10..100 => self.0.put([digit(10), digit(1)]),
            100..1000 => self.0.put([digit(100), digit(10), digit(1)]),
            1000..10_000 => self.0.put([digit(1000), digit(100), digit(10), digit(1)]),
            _ => self.0.put([digit(10_000), digit(1000), digit(100), digit(10), digit(1)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use md5::Digest;

    #[test]
    fn the_text_is_decimal_with_hyphens_and_commas() {
        let mut text = Text::new(769);
        text.field([0u16, 47, 65_535, 1000].into_iter());
        text.field([].into_iter());
        text.field([7u16].into_iter());
        assert_eq!(text.0.finish(), Md5::digest(b"769,0-47-65535-1000,,7"));
    }
}
