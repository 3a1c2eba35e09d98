//! Messages that are right, damaged or hostile.

use super::*;
use crate::wire::dns_data::rtype;
use proptest::prelude::*;

/// A response for `F.ISI.ARPA` with one CNAME that points into the question and one A.
fn response() -> Vec<u8> {
    let mut m = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0];
    m.extend(b"\x01F\x03ISI\x04ARPA\0\0\x01\0\x01");
    m.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x06\x03foo\xc0\x0e");
    m.extend(b"\x03foo\xc0\x0e\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x34");
    m
}

#[test]
fn reads_questions_and_compressed_answers() {
    let bytes = response();
    let message = DnsMessage::parse(&bytes).unwrap();
    assert_eq!((message.id, message.is_response(), message.rcode()), (0x1234, true, 0));
    let mut walk = message.walk();
    let question = walk.question().unwrap();
    assert_eq!((question.name.to_string(), question.qtype), ("F.ISI.ARPA".into(), rtype::A));
    let alias = walk.record().unwrap();
    assert_eq!((alias.rtype, alias.data.to_string()), (rtype::CNAME, "foo.ISI.ARPA".into()));
    let address = walk.record().unwrap();
    assert_eq!(address.name.to_string(), "foo.ISI.ARPA");
    assert_eq!(address.data.to_string(), "10.0.0.52");
    assert!(walk.at_end());
}

#[test]
fn a_pointer_that_does_not_point_backwards_is_malformed() {
    for target in [12u8, 14, 200] {
        let bytes = [&[0u8; 12][..], &[1, b'a', 0xc0, target, 0, 1, 0, 1]].concat();
        let question = DnsMessage::parse(&bytes).unwrap().walk().question();
        assert_eq!(
            question.unwrap_err(),
            WireError::Malformed(Fault::Depth, "name pointer"),
            "{target}"
        );
    }
}

/// A name that begins with so many pointers, each to the one before.
fn behind_pointers(count: u16) -> Result<String, WireError> {
    let mut bytes = [&[0u8; 12][..], b"\x01a\0"].concat();
    for n in 0..count {
        let to = if n == 0 { 12 } else { 15 + 2 * (n - 1) };
        bytes.extend((0xc000 | to).to_be_bytes());
    }
    let at = bytes.len() - 2;
    let mut names = Names::of(bytes.len());
    Name::read(&bytes, at, &mut names).map(|(name, _)| name.to_string())
}

#[test]
fn a_name_has_at_most_sixteen_pointers() {
    assert_eq!(behind_pointers(16).unwrap(), "a");
    let refused = behind_pointers(17).unwrap_err();
    assert_eq!(refused, WireError::Malformed(Fault::Depth, "name pointer"));
}

#[test]
fn a_name_longer_than_255_octets_is_refused() {
    let mut bytes = vec![0u8; 12];
    for _ in 0..4 {
        bytes.push(63);
        bytes.extend([b'x'; 63]);
    }
    bytes.extend([0, 0, 1, 0, 1]);
    let question = DnsMessage::parse(&bytes).unwrap().walk().question();
    assert_eq!(question.unwrap_err(), WireError::Malformed(Fault::Length, "name length"));
}

#[test]
fn non_printable_octets_are_escaped() {
    let bytes = [&[0u8; 12][..], b"\x06a.b\\ \x01\0\0\x10\0\x01"].concat();
    let question = DnsMessage::parse(&bytes).unwrap().walk().question().unwrap();
    assert_eq!(question.name.to_string(), "a\\.b\\\\ \\001");
    assert_eq!(question.qtype, 16);
}

#[test]
fn a_netbios_name_is_decoded() {
    // RFC 1001 section 14.1, its example "The NetBIOS name": the 16th octet is the suffix.
    let label = b"\x20FEGIGFCAEOGFHEECEJEPFDCAGOGBGNGF\0";
    let (name, behind) = Name::read(label, 0, &mut Names::of(label.len())).unwrap();
    assert_eq!((name.netbios(), behind), (Some((*b"The NetBIOS nam", b'e')), 34));
}

#[test]
fn a_name_behind_a_chain_is_walked_once() {
    let mut bytes = [&[0u8; 12][..], b"\x01a\x02bc\0"].concat();
    for n in 0..16u16 {
        let to = if n == 0 { 12 } else { 18 + 2 * (n - 1) };
        bytes.extend((0xc000 | to).to_be_bytes());
    }
    let last = bytes.len() - 2;
    let mut names = Names::of(bytes.len());
    let steps = |names: &Names| names.steps;
    let begun = steps(&names);
    let (first, behind) = Name::read(&bytes, last, &mut names).unwrap();
    assert_eq!((first.to_string(), behind), ("a.bc".into(), bytes.len()));
    assert_eq!(begun - steps(&names), 16 + 3);
    assert_eq!((first.start(), first.steps()), (12, 3), "none of them is walked again");
    let begun = steps(&names);
    for at in (18..bytes.len()).step_by(2).rev() {
        let (again, behind) = Name::read(&bytes, at, &mut names).unwrap();
        assert_eq!((again.to_string(), behind), ("a.bc".into(), at + 2));
    }
    assert_eq!(begun - steps(&names), 1 + 3, "of the first pointer, whose name was evicted");
    // What is known is refused where one pointer more is too many.
    bytes.extend((0xc000 | last as u16).to_be_bytes());
    let refused = Name::read(&bytes, last + 2, &mut names).unwrap_err();
    assert_eq!(refused, WireError::Malformed(Fault::Depth, "name pointer"));
}

#[test]
fn pointers_to_the_question_do_not_evict_it() {
    let mut bytes = [&[0u8; 12][..], &b"\x01x".repeat(100), &[0]].concat();
    let first = bytes.len();
    bytes.extend([0xc0, 12].repeat(100));
    let mut names = Names::of(bytes.len());
    Name::read(&bytes, 12, &mut names).unwrap();
    let begun = names.steps;
    // Some lie at the question's place of the table, whatever the distance of two.
    for at in (first..bytes.len()).step_by(2) {
        assert_eq!(Name::read(&bytes, at, &mut names).unwrap().0.start(), 12);
    }
    assert_eq!(begun - names.steps, 100);
}

/// A name in a message: labels of one letter, then the end or a pointer.
fn any_name() -> impl Strategy<Value = (Vec<u8>, Option<u8>)> {
    (proptest::collection::vec(b'a'..=b'z', 0..4), proptest::option::of(any::<u8>()))
}

proptest! {
    /// What is remembered changes no answer, whatever the order in which names are read.
    #[test]
    fn names_are_the_same_read_together_or_alone(
        written in proptest::collection::vec(any_name(), 1..40),
        order in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..4), 1..60),
    ) {
        let mut bytes = vec![0u8; 12];
        for (labels, pointer) in &written {
            labels.iter().for_each(|letter| bytes.extend([1, *letter]));
            match pointer {
                Some(to) => bytes.extend([0xc0, *to]),
                None => bytes.push(0),
            }
        }
        let mut together = Names::of(1 << 20);
        for (at, cut) in order {
            let message = &bytes[..bytes.len() - cut];
            let at = at.index(bytes.len());
            let told = |read: Result<(Name<'_>, usize), WireError>| {
                read.map(|(name, behind)| (name.to_string(), name.is_root(), behind))
            };
            let alone = told(Name::read(message, at, &mut Names::of(1 << 20)));
            prop_assert_eq!(told(Name::read(message, at, &mut together)), alone);
        }
    }
}

proptest! {
    #[test]
    fn never_panics(tail in proptest::collection::vec(any::<u8>(), 0..160), q in 0u16..4) {
        let bytes = [&[0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0][..], &tail].concat();
        let mut walk = DnsMessage::parse(&bytes).unwrap().walk();
        for _ in 0..q {
            if let Ok(question) = walk.question() {
                prop_assert!(question.name.to_string().len() <= 4 * NAME_BYTES_MAX);
                let _ = question.name.netbios();
            }
        }
        while let Ok(record) = walk.record() {
            let _ = record.data.to_string();
        }
        let _ = DnsMessage::parse(&tail);
    }
}
