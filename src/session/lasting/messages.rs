//! Small messages of a session, as its home ends see them.
//!
//! Owns: which ends are home, and bytes since the last message. In: packets of a session that
//! lasts. Out: a [`Sighting`] for small messages, and once a second for the bytes of others.
//! Never: more than [`PER_SECOND`] messages of a side and second, or a byte of payload kept.

use crate::model::beats::{Beat, BeatKind};
use crate::model::{Addr, Peer, Transport};
use crate::session::lasting::Passed;
use crate::session::lasting::bulk::Bulk;
use crate::wire::multiplexed::{Content, Multiplexed};

/// Messages of one side in a second: people and pictures send fewer.
const PER_SECOND: u8 = 64;

/// The largest message that may be input: a burst of pointer positions in one TLS record.
pub(super) const INPUT_MAX: u32 = 400;

/// The largest message that may be a keystroke: WebSocket or HTTP/2 with TLS around one; a DTLS
/// record with nothing but an SCTP acknowledgement is smaller than [`RECORD_MIN`].
const KEY_MAX: u32 = 260;

/// A DTLS record up to this size carries nothing but SCTP's acknowledgement (RFC 9260 section
/// 3.3.4).
const RECORD_MIN: u32 = 60;

/// Something to report of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// Sender of the message.
    from: Peer,
    /// Size of the message, if it is small enough to be input or a keystroke.
    small: Option<(bool, bool)>,
    size: u16,
    /// Bytes since the last one, by sender.
    bytes: [u32; 2],
}

/// The state of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageObserver {
    /// Whether initiator and responder are home hosts.
    home: [bool; 2],
    /// Whether its packets cannot be forged: over TCP they have to fit the stream.
    ordered: bool,
    /// The second in progress, and the messages in it, by sender.
    second: u32,
    counts: [u8; 2],
    bytes: [u32; 2],
}

const fn place(of: Peer) -> usize {
    match of {
        Peer::Initiator => 0,
        Peer::Responder => 1,
    }
}

impl MessageObserver {
    pub(super) const NONE: MessageObserver = MessageObserver {
        home: [false; 2],
        ordered: false,
        second: 0,
        counts: [0; 2],
        bytes: [0; 2],
    };

    /// An observer of a session between these ends.
    pub(crate) const fn between(home: [bool; 2], transport: Transport) -> MessageObserver {
        let ordered = transport.0 == Transport::TCP.0;
        MessageObserver { home, ordered, ..MessageObserver::NONE }
    }

    /// The other end, over TCP, where exactly one of them is a home host.
    pub(super) const fn remote(&self) -> Option<Peer> {
        match self.home {
            [true, false] if self.ordered => Some(Peer::Responder),
            [false, true] if self.ordered => Some(Peer::Initiator),
            _ => None,
        }
    }

    /// Takes a packet in a second of the run's clock.
    pub(crate) fn see(
        &mut self,
        passed: &Passed<'_>,
        content: &Content<'_>,
        second: u32,
    ) -> Option<Sighting> {
        if self.home == [false; 2] {
            return None;
        }
        let at = place(passed.from);
        let bytes = self.bytes.get_mut(at)?;
        *bytes = bytes.saturating_add(passed.payload);
        // Without a time it can be compared with nothing; its bytes count with the next.
        passed.time?;
        let is_new = self.second != second;
        if is_new {
            (self.second, self.counts) = (second, [0; 2]);
        }
        let (small, size) =
            if passed.payload <= INPUT_MAX { self.small(content) } else { ((false, false), 0) };
        let count = self.counts.get_mut(at)?;
        let small = Some(small).filter(|may| (may.0 || may.1) && *count < PER_SECOND);
        if small.is_some() {
            *count += 1;
        } else if !is_new {
            return None;
        }
        let bytes = std::mem::take(&mut self.bytes);
        Some(Sighting { from: passed.from, small, size, bytes })
    }

    /// Takes segments that were added up: their bytes count with the next message.
    pub(super) fn add(&mut self, bulk: &Bulk) {
        if self.home != [false; 2]
            && let Some(bytes) = self.bytes.get_mut(place(bulk.from))
        {
            *bytes = bytes.saturating_add(u32::try_from(bulk.bytes).unwrap_or(u32::MAX));
        }
    }

    /// Whether a small packet may be input, and a keystroke; and its size. Checks of the path,
    /// handshakes, media and acknowledgements of SCTP are neither. Over TCP there is media only in
    /// the channels of a relay: ciphertext, as of SSH, begins with any byte. Anybody inside can
    /// send datagrams in the name of a host: only what fits a TCP stream is taken for its
    /// keystroke.
    const fn small(&self, content: &Content<'_>) -> ((bool, bool), u16) {
        let Content { kind, size, in_channel, .. } = *content;
        let may = match kind {
            Multiplexed::Stun | Multiplexed::Handshake => (false, false),
            Multiplexed::Media if in_channel || !self.ordered => (false, false),
            Multiplexed::Data if !self.ordered => (size > RECORD_MIN, false),
            _ => (true, self.ordered && size <= KEY_MAX),
        };
        (may, size as u16)
    }

    /// Initiator and responder were confused and are swapped now.
    pub(crate) fn turn(&mut self) {
        self.home.swap(0, 1);
        self.bytes.swap(0, 1);
        self.counts.swap(0, 1);
    }

    /// What the home ends of the session see of a message; `confirmed` if its initiator is where
    /// its packets say. `port` is the responder's.
    pub(crate) fn beats(
        &self,
        seen: Sighting,
        (ends, port, confirmed): ([Addr; 2], u16, bool),
        (second, passed): (u32, &Passed<'_>),
    ) -> impl Iterator<Item = Beat> {
        let ([initiator, responder], [up, down]) = (ends, seen.bytes);
        let ((input, key), stream) = (seen.small.unwrap_or_default(), self.ordered);
        let beat = move |side: Peer, host, peer, sent, received| {
            let kind = match seen.from == side {
                true if key => BeatKind::Key,
                false if input && confirmed => BeatKind::Input,
                false if input => BeatKind::Claimed,
                _ => BeatKind::Volume,
            };
            let (time, size) = (passed.time.unwrap_or_default(), seen.size);
            let service = if side == Peer::Responder && stream { port } else { 0 };
            Beat { second, host, time, peer, kind, size, service, sent, received, shard: 0 }
        };
        let [own, other] = self.home;
        let first = own.then(|| beat(Peer::Initiator, initiator, responder, up, down));
        let second = other.then(|| beat(Peer::Responder, responder, initiator, down, up));
        first.into_iter().chain(second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Nanos, TcpFlags};

    const ENDS: [Addr; 2] = [Addr::v4([10, 0, 0, 1]), Addr::v4([203, 0, 113, 5])];

    fn passed(from: Peer, bytes: &[u8], payload: u32) -> Passed<'_> {
        let flags = TcpFlags(0);
        let (time, tcp) = (Some(Nanos(7)), true);
        Passed { from, time, tcp, payload, bytes, flags, answers: 0 }
    }

    fn see(seen: &mut MessageObserver, packet: &Passed<'_>, second: u32) -> Option<Sighting> {
        seen.see(packet, &Content::of(packet.bytes, packet.payload), second)
    }

    fn seen(observer: &mut MessageObserver, packet: &Passed<'_>, second: u32) -> Vec<Beat> {
        let Some(sighting) = see(observer, packet, second) else { return Vec::new() };
        observer.beats(sighting, (ENDS, 443, packet.tcp), (second, packet)).collect()
    }

    #[test]
    fn small_messages_are_reported_by_what_the_home_end_does() {
        let mut tcp = MessageObserver::between([true, false], Transport::TCP);
        let key = seen(&mut tcp, &passed(Peer::Initiator, b"x", 36), 5);
        assert_eq!((key[0].kind, key[0].size, key[0].sent), (BeatKind::Key, 36, 36));
        assert_eq!((key.len(), key[0].host, key[0].peer), (1, ENDS[0], ENDS[1]));
        assert!(seen(&mut tcp, &passed(Peer::Initiator, b"x", 1_400), 5).is_empty());
        let input = seen(&mut tcp, &passed(Peer::Responder, b"x", 44), 5);
        let volumes = (input[0].sent, input[0].received);
        assert_eq!((input[0].kind, volumes), (BeatKind::Input, (1_400, 44)));
        let large = seen(&mut tcp, &passed(Peer::Initiator, b"x", 1_400), 6);
        assert_eq!(large[0].kind, BeatKind::Volume, "once a second");
    }

    #[test]
    fn between_two_home_hosts_one_types_and_the_other_is_typed_at() {
        let mut both = MessageObserver::between([true, true], Transport::TCP);
        let beats = seen(&mut both, &passed(Peer::Responder, b"x", 36), 5);
        assert_eq!(beats.len(), 2);
        assert_eq!((beats[0].host, beats[0].kind), (ENDS[0], BeatKind::Input));
        assert_eq!((beats[1].host, beats[1].kind), (ENDS[1], BeatKind::Key));
        assert_eq!((beats[0].service, beats[1].service), (0, 443), "the responder serves");
        let mut neither = MessageObserver::between([false, false], Transport::TCP);
        assert!(seen(&mut neither, &passed(Peer::Initiator, b"x", 36), 5).is_empty());
    }

    #[test]
    fn what_webrtc_sends_by_itself_is_no_input() {
        let mut stun = [0u8; 60];
        stun[1] = 1;
        stun[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        let mut channel = vec![0x40, 1, 0, 60];
        channel.extend_from_slice(&stun);
        let (sack, media) = ([0x2f; 49], [0x90; 90]);
        for bytes in [&stun[..], &channel, &sack, &media] {
            let mut udp = MessageObserver::between([true, false], Transport::UDP);
            let _ = seen(&mut udp, &passed(Peer::Responder, &media, 500), 5);
            let beats = seen(&mut udp, &passed(Peer::Responder, bytes, bytes.len() as u32), 5);
            assert!(beats.is_empty(), "{bytes:?}");
        }
        let mut udp = MessageObserver::between([true, false], Transport::UDP);
        let packet = Passed { tcp: false, ..passed(Peer::Responder, &[0x2f; 81], 81) };
        let input = seen(&mut udp, &packet, 5);
        assert_eq!(input[0].kind, BeatKind::Claimed, "DTLS 1.3");
        let sighting = see(&mut udp, &packet, 6).unwrap();
        let confirmed = udp.beats(sighting, (ENDS, 443, true), (6, &packet)).next().unwrap();
        assert_eq!(confirmed.kind, BeatKind::Input);
        let served = MessageObserver::between([false, true], Transport::UDP);
        let beat = served.beats(sighting, (ENDS, 443, true), (6, &packet)).next().unwrap();
        assert_eq!(beat.service, 0, "who sent a datagram to a service is not known for sure");
    }

    #[test]
    fn ciphertext_over_tcp_may_begin_like_media() {
        for first in 0x80..=0xbf {
            let mut tcp = MessageObserver::between([true, false], Transport::TCP);
            let key = seen(&mut tcp, &passed(Peer::Initiator, &[first; 36], 36), 5);
            assert_eq!(key[0].kind, BeatKind::Key, "{first:#x}");
            let input = seen(&mut tcp, &passed(Peer::Responder, &[first; 36], 36), 5);
            assert_eq!(input[0].kind, BeatKind::Input, "{first:#x}");
        }
        let mut channel = vec![0x40, 1, 0, 36];
        channel.extend([0x90; 36]);
        let mut tcp = MessageObserver::between([true, false], Transport::TCP);
        let media = seen(&mut tcp, &passed(Peer::Responder, &channel, 40), 5);
        assert_eq!(media[0].kind, BeatKind::Volume, "in the channel of a relay");
    }

    #[test]
    fn a_datagram_is_nobodys_keystroke() {
        let mut udp = MessageObserver::between([true, false], Transport::UDP);
        let own = seen(&mut udp, &passed(Peer::Initiator, &[5; 40], 40), 5);
        assert_eq!(own[0].kind, BeatKind::Volume, "anybody can send it");
    }

    #[test]
    fn messages_of_a_second_are_capped() {
        let mut tcp = MessageObserver::between([true, false], Transport::TCP);
        let packet = passed(Peer::Responder, b"x", 40);
        let all: usize = (0..1_000).map(|_| seen(&mut tcp, &packet, 5).len()).sum();
        assert_eq!(all, usize::from(PER_SECOND));
        let next = seen(&mut tcp, &packet, 6);
        assert_eq!(next[0].received, 40 * (1_000 - u32::from(PER_SECOND) + 1), "no byte is lost");
    }

    #[test]
    fn what_has_no_time_is_no_message() {
        let mut tcp = MessageObserver::between([true, false], Transport::TCP);
        let packet = passed(Peer::Responder, b"x", 40);
        assert_eq!(see(&mut tcp, &Passed { time: None, ..packet }, 5), None);
        tcp.turn();
        let beats = seen(&mut tcp, &packet, 5);
        assert_eq!((beats[0].host, beats[0].sent, beats[0].received), (ENDS[1], 40, 40));
    }
}
