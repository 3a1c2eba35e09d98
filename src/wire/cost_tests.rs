//! What hostile messages may cost the parsers that read each message once.
//!
//! Owns: the worst that each can be given. In: bytes made here. Out: bytes looked at for each that
//! was sent. Never: a clock.

use crate::wire::der::Der;
use crate::wire::dhcp::DhcpMessage;
use crate::wire::dhcp6::Dhcp6Message;
use crate::wire::kerberos::KerberosMessage;
use crate::wire::nbns::NbnsMessage;
use crate::wire::ntlm::NtlmMessage;
use crate::wire::quic::{CryptoFrames, LongPacket};
use crate::wire::reader::visited;
use crate::wire::tls::ClientHello;
use crate::wire::{eap, http, radius, smb, x509};

/// Bytes looked at for each of these; at least one must be.
fn cost(bytes: &[u8], read: impl FnOnce(&[u8])) -> f64 {
    visited::take();
    read(bytes);
    let seen = visited::take();
    assert!(seen > 0, "nothing was read");
    seen as f64 / bytes.len() as f64
}

fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    [&[tag, 0x82][..], &(contents.len() as u16).to_be_bytes(), contents].concat()
}

#[test]
fn options_of_dhcp() {
    let mut message = vec![0; 240];
    (message[0], message[1], message[2]) = (1, 1, 6);
    message[236..240].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    message.extend([53, 1, 3]);
    for option in [&[0][..], &[12, 0], &[12, 1, b'x'], &[81, 3, 4, 0, 0]] {
        let all = [&message[..], &option.repeat(1_200 / option.len())].concat();
        let cost = cost(&all, |bytes| {
            DhcpMessage::parse(bytes).unwrap();
        });
        assert!(cost < 3.0, "{cost} a byte of {option:?}");
    }
}

#[test]
fn options_and_relays_of_dhcp6() {
    let duid = [0, 1, 0, 4, 0, 3, 0, 1];
    for option in [&[0, 99, 0, 0][..], &duid, &[0, 3, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]] {
        let message = [&[1, 0, 0, 1][..], &duid, &option.repeat(1_100 / option.len())].concat();
        let cost = cost(&message, |bytes| {
            if let Ok(message) = Dhcp6Message::parse(bytes) {
                message.leases().for_each(drop);
            }
        });
        assert!(cost < 8.0, "{cost} a byte of {option:?}");
    }
    // Relays within relays: each would read all that it wraps.
    let mut message = [&[1, 0, 0, 1][..], &duid].concat();
    while message.len() < 1_300 {
        let size = (message.len() as u16).to_be_bytes();
        message = [&[12, 0][..], &[0; 32], &[0, 9], &size, &message].concat();
    }
    let cost = cost(&message, |bytes| {
        let _ = Dhcp6Message::parse(bytes);
    });
    assert!(cost < 8.0, "{cost} a byte of relays");
}

#[test]
fn attributes_of_radius() {
    for attribute in [&[1, 2][..], &[4, 6, 1, 2, 3, 4], &[97, 4, 0, 0], &[40, 6, 0, 0, 0, 1]] {
        let attributes = attribute.repeat(4_000 / attribute.len());
        let length = (20 + attributes.len() as u16).to_be_bytes();
        let packet = [&[4, 9][..], &length, &[7; 16], &attributes].concat();
        let cost = cost(&packet, |bytes| {
            radius::Packet::parse(bytes).unwrap();
        });
        assert!(cost < 4.0, "{cost} a byte of {attribute:?}");
    }
}

#[test]
fn names_and_addresses_of_netbios() {
    let name = [&[32][..], &b"CA".repeat(16), &[0]].concat();
    let message = |rtype: u8, data: &[u8]| {
        let head = [&[0, 1, 0x85, 0x80, 0, 0, 0, 1, 0, 0, 0, 0][..], &name].concat();
        let size = (data.len() as u16).to_be_bytes();
        [&head[..], &[0, rtype, 0, 1, 0, 0, 0, 9], &size, data].concat()
    };
    let addresses = message(0x20, &[0x60, 0, 192, 0, 2, 7].repeat(200));
    let nodes = message(0x21, &[&[70][..], &[b'a'; 18 * 70], &[0; 6]].concat());
    for message in [addresses, nodes] {
        let cost = cost(&message, |bytes| {
            let message = NbnsMessage::parse(bytes).unwrap();
            message.addresses().for_each(drop);
            message.node_names().for_each(drop);
            let _ = (message.node_mac(), message.is_group());
        });
        assert!(cost < 8.0, "{cost} a byte");
    }
}

#[test]
fn addresses_and_parts_of_kerberos() {
    let explicit = |number: u8, inner: &[u8]| der(0xa0 | number, inner);
    let address = |kind: u8, text: &[u8]| {
        der(0x30, &[explicit(0, &[2, 1, kind]), explicit(1, &der(4, text))].concat())
    };
    let parts = der(0x1b, b"x").repeat(200);
    let name = der(0x30, &[explicit(0, &[2, 1, 1]), explicit(1, &der(0x30, &parts))].concat());
    let hosts = [address(20, b"LAPTOP-7        "), address(2, &[192, 0, 2, 7])].concat().repeat(9);
    let body = [
        explicit(0, &[3, 5, 0, 0x40, 0, 0, 0]),
        explicit(1, &name),
        explicit(2, &der(0x1b, b"EXAMPLE.COM")),
        explicit(3, &name),
        explicit(5, &der(0x18, b"20370913024805Z")),
        explicit(7, &[2, 1, 9]),
        explicit(8, &der(0x30, &[2, 1, 18].repeat(100))),
        explicit(9, &der(0x30, &hosts)),
    ];
    let fields = [
        explicit(1, &[2, 1, 5]),
        explicit(2, &[2, 1, 10]),
        explicit(4, &der(0x30, &body.concat())),
    ];
    let message = der(0x6a, &der(0x30, &fields.concat()));
    let cost = cost(&message, |bytes| {
        let message = KerberosMessage::parse(bytes).unwrap();
        message.addresses().for_each(drop);
        message.client.iter().for_each(|name| name.parts().for_each(drop));
        message.service.iter().for_each(|name| name.parts().for_each(drop));
    });
    assert!(cost < 24.0, "{cost} a byte");
}

#[test]
fn nested_der_is_not_read() {
    let mut element = vec![5, 0];
    while element.len() < 4_000 {
        element = der(0x30, &element);
    }
    let cost = cost(&element, |bytes| while Der::new(bytes).element().is_err() {});
    assert!(cost < 2.0, "{cost} a byte");
    let cost = self::cost(&element, |bytes| {
        let _ = x509::Certificate::parse(bytes);
    });
    assert!(cost < 8.0, "{cost} a byte of no certificate");
}

#[test]
fn names_of_a_certificate() {
    let dns = x509::tests::element(0x82, &[b"a.example"]);
    let other = x509::tests::element(0xa0, &[b"x"]);
    for name in [&dns, &other] {
        let names = vec![&name[..]; 2_000];
        let bytes = x509::tests::certificate(&names);
        let cost = cost(&bytes, |bytes| {
            crate::wire::x509::Certificate::parse(bytes).unwrap().alternatives().for_each(drop);
        });
        assert!(cost < 12.0, "{cost} a byte");
    }
}

#[test]
fn names_and_marks_of_ntlm_and_smb() {
    // Each name is all of the message.
    let size = 4_000u16;
    let field = [&size.to_le_bytes()[..], &size.to_le_bytes(), &0u32.to_le_bytes()].concat();
    let head = [b"NTLMSSP\0", &3u32.to_le_bytes()[..], &field.repeat(6), &[1, 0, 0, 0]].concat();
    let message = [&head[..], &vec![b'x'; usize::from(size) - head.len()]].concat();
    let cost = cost(&message, |bytes| {
        let NtlmMessage::Authenticate { domain, user, workstation } =
            NtlmMessage::parse(bytes).unwrap()
        else {
            panic!("type 3")
        };
        assert!([domain, user, workstation].iter().all(|text| !text.is_empty()));
    });
    assert!(cost < 8.0, "{cost} a byte");
    let marks = b"NTLMSSP".repeat(500);
    let cost = self::cost(&marks, |bytes| assert!(NtlmMessage::locate(bytes).is_none()));
    assert!(cost < 2.0, "{cost} a byte of marks");
    let smb = [&[0, 0, 0x0f, 0xa0, 0xfe, b'S', b'M', b'B'][..], &[0; 4_000]].concat();
    let cost = self::cost(&smb, |bytes| {
        let _ = smb::token(bytes);
        let _ = NtlmMessage::locate(bytes);
    });
    assert!(cost < 2.0, "{cost} a byte of SMB");
}

#[test]
fn an_identity_of_eap() {
    let identity = [&[2, 1, 5, 0xdc, 1][..], &[b'x'; 1_495]].concat();
    let cost = cost(&identity, |bytes| {
        assert!(eap::Packet::parse(bytes).unwrap().identity().is_some());
    });
    assert!(cost < 4.0, "{cost} a byte");
}

#[test]
fn fields_of_a_head() {
    for field in [&b"a:\n"[..], b"\r\r\n", b"Host: a\r\n", b"X-Forwarded-For: a, b\r\n"] {
        let fields = field.repeat(7_000 / field.len());
        let head = [&b"GET / HTTP/1.1\r\n"[..], &fields, b"\r\n"].concat();
        let cost = cost(&head, |bytes| {
            let _ = http::request(bytes, http::Source::Stream).unwrap().used;
        });
        assert!(cost < 4.0, "{cost} a byte of {field:?}");
    }
}

#[test]
fn extensions_of_a_hello() {
    for extension in [&[0x12, 0x34, 0, 0][..], &[0, 0, 0, 0], &[0, 16, 0, 0], &[0, 43, 0, 1, 0]] {
        let extensions = extension.repeat(12_000 / extension.len());
        let size = (extensions.len() as u16).to_be_bytes();
        let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &size, &extensions].concat();
        let cost = cost(&body, |bytes| {
            let hello = ClientHello::parse(bytes).unwrap();
            let _ = (hello.server_name(), hello.version_highest(), hello.offers_ech());
            hello.alpn().for_each(drop);
            hello.cipher_suites().for_each(drop);
        });
        assert!(cost < 8.0, "{cost} a byte of {extension:?}");
    }
}

#[test]
fn packets_and_frames_of_quic() {
    // Many packets in one datagram, each as short as can be.
    let packet = [0xe0, 0, 0, 0, 1, 0, 0, 0x14].into_iter().chain([9; 20]).collect::<Vec<u8>>();
    let datagram = packet.repeat(40);
    let cost = cost(&datagram, |bytes| {
        let mut rest = bytes;
        let mut count = 0;
        while let Ok((_, behind)) = LongPacket::parse(rest) {
            (rest, count) = (behind, count + 1);
        }
        assert_eq!(count, 40);
    });
    assert!(cost < 4.0, "{cost} a byte");
    for frame in [&[0][..], &[1], &[6, 0, 1, 9], &[2, 9, 0, 40, 0]] {
        let frames = frame.repeat(1_200 / frame.len());
        let cost = self::cost(&frames, |bytes| {
            CryptoFrames::new(bytes).for_each(drop);
        });
        assert!(cost < 4.0, "{cost} a byte of {frame:?}");
    }
}
