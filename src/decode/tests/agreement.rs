//! The fast path and the general path agree on every frame that the fast path accepts.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{captures, decoder, ethernet, ipv4, ipv6, tcp, udp};
use crate::decode::{Decoded, Decoder, Path, TunnelKind};
use crate::model::{Frame, LinkType, Nanos, Packet, PacketFlags, TcpFlags};

/// Everything in a packet, in a comparable form.
fn facts(p: &Packet) -> String {
    format!("{p:?}")
}

/// What another frame left in the place that is used for every frame: nothing of it may stay.
fn used() -> Decoded {
    let packet = Packet {
        time: Nanos(9),
        clock: 9,
        wire_len: 9,
        hash: 9,
        frame_at: 9,
        number: 9,
        payload_len: 9,
        payload_missing: 9,
        seq: 9,
        ack: 9,
        l4_at: 9,
        l4_len: 9,
        tcp_flags: TcpFlags(u8::MAX),
        ttl: 9,
        flags: PacketFlags(u8::MAX),
        shard: 9,
        ..Packet::default()
    };
    let path = Path {
        vlan: Some(9),
        tunnel: Some(TunnelKind::Gre),
        tunnel_id: 9,
        inner_vlan: Some(9),
        mpls_label: Some(9),
        outer_ttl: 9,
        ..Path::default()
    };
    Decoded { packet, path }
}

/// Compares both paths; returns whether the fast path accepted the frame.
fn agree(decoder: &mut Decoder, frame: &Frame<'_>) -> bool {
    let mut fast = used();
    let is_plain = decoder.decode_plain_into(frame, 3, &mut fast);
    let general = decoder.decode_general(frame, 3);
    if !is_plain {
        return false;
    }
    let general = general.expect("the general path takes what the fast path takes");
    // The reader sets these.
    let Packet { frame_at, number, wire_len, clock, stamp, .. } = used().packet;
    let read = Packet { frame_at, number, wire_len, clock, stamp, ..general.packet };
    assert_eq!(facts(&fast.packet), facts(&read));
    assert!(!general.path.fast_path);
    assert_eq!(fast.path, Path { fast_path: true, ..general.path });
    assert_eq!(fast.path.tunnel, None);
    true
}

/// One change to a well-formed frame.
#[derive(Clone, Debug)]
struct Damage {
    at: usize,
    byte: u8,
    apply: bool,
}

fn damage() -> impl Strategy<Value = Damage> {
    (0_usize..90, any::<u8>(), any::<bool>()).prop_map(|(at, byte, apply)| Damage {
        at,
        byte,
        apply,
    })
}

fn built() -> impl Strategy<Value = Vec<u8>> {
    let ports = prop_oneof![any::<u16>(), Just(443), Just(4789), Just(2152), Just(1701)];
    let shape = (any::<bool>(), any::<bool>(), proptest::option::of(any::<u16>()));
    (shape, ports.clone(), ports, any::<u8>(), vec(any::<u8>(), 0..70), 0_usize..20).prop_map(
        |((six, is_tcp, tag), src, dst, flags, payload, padding)| {
            let segment =
                if is_tcp { tcp(src, dst, flags, &payload) } else { udp(src, dst, &payload) };
            let protocol = if is_tcp { 6 } else { 17 };
            let packet = if six { ipv6(protocol, &segment) } else { ipv4(protocol, 0, &segment) };
            let ether_type: u16 = if six { 0x86dd } else { 0x0800 };
            let mut frame = match tag {
                None => ethernet(ether_type, &packet),
                Some(tci) => {
                    let mut tagged = tci.to_be_bytes().to_vec();
                    tagged.extend_from_slice(&ether_type.to_be_bytes());
                    tagged.extend_from_slice(&packet);
                    ethernet(0x8100, &tagged)
                }
            };
            frame.resize(frame.len() + padding, 0xaa);
            frame
        },
    )
}

/// The link types decode knows.
const LINKS: &[u16] = &[0, 1, 9, 12, 14, 101, 104, 105, 108, 113, 119, 127, 228, 229, 239, 276];

/// IPv4 and the ports of a UDP header: VXLAN.
const UDP_VXLAN: [u8; 24] =
    [0x45, 0, 0, 120, 0, 0, 0, 0, 64, 17, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 18, 181, 18, 181];

/// The same for GTP-U.
const UDP_GTP: [u8; 24] =
    [0x45, 0, 0, 120, 0, 0, 0, 0, 64, 17, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 104, 8, 104];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn on_built_frames(bytes in built(), damage in damage(), cut in 0_usize..200) {
        let mut bytes = bytes;
        if damage.apply && damage.at < bytes.len() {
            bytes[damage.at] = damage.byte;
        }
        let wire_len = bytes.len() as u32;
        bytes.truncate(cut.max(20));
        let frame = Frame { time: Nanos(5), link: LinkType::ETHERNET, wire_len, bytes: &bytes };
        agree(&mut decoder(), &frame);
    }

    #[test]
    fn no_bytes_break_the_general_path(
        bytes in vec(any::<u8>(), 0..160),
        start in 0_usize..8,
        link in prop_oneof![select(LINKS), any::<u16>()],
    ) {
        // A plausible start lets the random rest reach the inner layers.
        let begin: &[u8] = match start {
            0 => &[0x45, 0, 0, 120, 0, 0, 0, 0, 64, 47],
            1 => &UDP_VXLAN,
            2 => &UDP_GTP,
            3 => &[0x60, 0, 0, 0, 0, 80, 0, 64],
            4 => &[0x60, 0, 0, 0, 0, 80, 44, 64],
            _ => &[],
        };
        let bytes = [begin, &bytes].concat();
        let frame = Frame { time: Nanos(5), link: LinkType(link), wire_len: 160, bytes: &bytes };
        if let Ok(decoded) = decoder().decode_frame(&frame, 0) {
            let p = decoded.packet;
            let end = usize::from(p.l4_at) + usize::from(p.l4_len) + p.payload_len as usize;
            prop_assert!(end <= bytes.len());
            prop_assert!(p.key.version == 4 || p.key.version == 6);
        }
    }
}

#[test]
fn on_every_recorded_capture() {
    let (mut fast, mut all) = (0, 0);
    let mut decoder = decoder();
    let shared = captures::find_shared().map(|folder| captures::files(&folder));
    // The demonstration alone has some 3,000.
    let least = if shared.is_some() { 10_000 } else { 2_000 };
    for path in std::iter::once(captures::demo()).chain(shared.unwrap_or_default()) {
        for owned in captures::read(&path) {
            all += 1;
            fast += usize::from(agree(&mut decoder, &owned.frame()));
        }
    }
    assert!(fast > least, "only {fast} of {all} frames took the fast path");
}
