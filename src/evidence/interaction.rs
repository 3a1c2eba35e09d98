//! The class of a session that lasts: remote control, a screen that is watched, a call ...
//!
//! Owns: the bounds. In: sums of both sides, the protocol. Out: [`Interaction`]. Never: a class of
//! a tunnel, whose packets are those of many programs; an alert.
//!
//! Which side shows the screen is decided by bytes and sizes, never by who opened the session. The
//! bounds were chosen with all of 98 labelled captures in sight, so their figures
//! (docs/remote-control.md) are no check; where a comment names no other source, they are from
//! there.

use crate::model::Peer;
use crate::model::interaction::{Class, Interaction, InteractionSums, SideSums};
use crate::model::protocol::Protocol;

/// Less time, or fewer input messages, decides nothing.
const SPAN_MS: u64 = 20_000;
const INPUTS_MIN: u32 = 30;
/// Control messages are this short (AnyDesk, RDP, VNC measured: 23 to 80 bytes; over TLS and
/// data channels up to 110), and few of their bytes are in messages of more than 250 bytes.
const CONTROL_BYTES: u32 = 130;
const CONTROL_BIG: f64 = 0.35;
/// A person types at 3 to 10 messages a second and moves a mouse at 10 to 60; a viewer that only
/// watches sends one or two.
const CONTROL_PPS: u32 = 5;
const TYPING_PPS: (u32, u32) = (3, 25);
/// Input comes in at least this share of seconds: who browses clicks less often.
const CONTROL_ACTIVE: f64 = 0.3;
/// Kilobits a second of a screen, the share of its bytes in messages of more than 250 bytes, and
/// how often as much it sends as is sent to it.
const SCREEN_KBPS: f64 = 5.0;
const SCREEN_BIG: f64 = 0.4;
const SCREEN_RATIO: f64 = 2.5;
/// The same beside media: a data channel's input comes with reports about the media.
const MEDIA_KBPS: f64 = 20.0;
const MEDIA_RATIO: f64 = 4.0;
/// A watched screen sends so often as much as the side that watches.
const VIEW_RATIO: f64 = 8.0;
/// A screen changes in most seconds; a transfer comes in bursts, or fast.
const VIEW_ACTIVE: f64 = 0.6;
const BULK_KBPS: f64 = 3_000.0;
/// A viewer that requests each update (RFC 6143 section 7.5.3) sends messages of one size, one for
/// each or hardly two in a row, and updates are larger: what is typed is echoed in its own size.
const REQUEST_SIZE: f64 = 0.8;
const REQUEST_EXCESS: f64 = 0.08;
const REQUEST_REPEATS: f64 = 0.35;
const UPDATE_SIZE: f64 = 1.5;
const UPDATE_KBPS: f64 = 2.0;
/// A game's client sends at its own rate: the 90th percentile is hardly above the mean. People
/// pause.
const STEADY: f64 = 1.2;
const GAME_KBPS: f64 = 200.0;
const TYPING_KBPS: f64 = 20.0;
const TYPING_RATIO: f64 = 15.0;
const CALL_PPS: u32 = 15;

/// Finds the class.
pub fn classify(interaction: &mut Interaction, protocol: Option<Protocol>) {
    let sums = interaction.sums;
    if sums.span_ms < SPAN_MS || protocol.is_some_and(is_tunnel) {
        return;
    }
    let view = View::of(&sums, control_side(&sums));
    let (class, confidence) = if sums.real_time { view.beside_media() } else { view.plain() };
    interaction.class = class;
    if class == Class::Unknown {
        return;
    }
    interaction.confidence = confidence;
    if matches!(class, Class::RemoteControl | Class::ViewOnly | Class::Typing | Class::Game) {
        interaction.controlled = Some(view.control.other());
    }
}

/// Protocols that carry those of others.
const fn is_tunnel(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::Wireguard
            | Protocol::Openvpn
            | Protocol::Ike
            | Protocol::Esp
            | Protocol::Ah
            | Protocol::Sstp
            | Protocol::Pptp
            | Protocol::Tailscale
            | Protocol::Zerotier
            | Protocol::L2tp
            | Protocol::Softether
    )
}

/// The side that would control: it sends much less, or its messages are shorter or more alike.
fn control_side(sums: &InteractionSums) -> Peer {
    let (one, two) = (&sums.initiator, &sums.responder);
    let lighter = |first: bool| if first { Peer::Initiator } else { Peer::Responder };
    let ratio = sums.ratio(Peer::Initiator);
    if !(0.5..2.0).contains(&ratio) {
        return lighter(ratio >= 2.0);
    }
    if (big(one) - big(two)).abs() >= 0.1 {
        return lighter(big(one) < big(two));
    }
    if (one.one_size - two.one_size).abs() >= 0.08 {
        return lighter(one.one_size > two.one_size);
    }
    lighter(ratio >= 1.0)
}

/// Share of a side's bytes in big messages.
fn big(side: &SideSums) -> f64 {
    side.big_bytes as f64 / side.input_bytes.max(1) as f64
}

/// A session, seen from one side as the controlling one.
struct View<'a> {
    control: Peer,
    input: &'a SideSums,
    screen: &'a SideSums,
    kbps: f64,
    kbps_back: f64,
    ratio: f64,
    seconds: f64,
}

impl<'a> View<'a> {
    fn of(sums: &'a InteractionSums, control: Peer) -> View<'a> {
        View {
            control,
            input: sums.of(control),
            screen: sums.of(control.other()),
            kbps: sums.kbps(control.other()),
            kbps_back: sums.kbps(control),
            ratio: sums.ratio(control),
            seconds: sums.span_ms as f64 / 1_000.0,
        }
    }

    /// Whether the lighter side's messages are those of a person.
    fn has_input(&self) -> bool {
        let input = self.input;
        input.inputs >= INPUTS_MIN
            && input.median_bytes <= CONTROL_BYTES
            && big(input) <= CONTROL_BIG
            && input.p90_pps >= CONTROL_PPS
            && f64::from(input.active_s) / self.seconds >= CONTROL_ACTIVE
    }

    /// Whether it sends at a rate of its own.
    fn is_steady(&self) -> bool {
        let mean = f64::from(self.input.inputs) / self.seconds;
        f64::from(self.input.p90_pps) <= STEADY * mean
    }

    /// Whether each message of the screen is answered by one of a single size.
    fn is_requested(&self) -> bool {
        let (input, screen) = (self.input, self.screen);
        let (asked, sent) = (f64::from(input.inputs), f64::from(screen.inputs));
        let paired = (asked - sent).abs() <= REQUEST_EXCESS * sent
            || f64::from(input.repeats) <= REQUEST_REPEATS * asked;
        let larger = f64::from(screen.median_bytes) >= UPDATE_SIZE * f64::from(input.median_bytes);
        let many = input.inputs >= INPUTS_MIN && input.median_bytes <= CONTROL_BYTES;
        many && paired && larger && input.one_size >= REQUEST_SIZE && self.kbps >= UPDATE_KBPS
    }

    fn beside_media(&self) -> (Class, f64) {
        if self.has_input() && self.ratio >= MEDIA_RATIO && self.kbps >= MEDIA_KBPS {
            return (Class::RemoteControl, self.control_confidence(MEDIA_KBPS, MEDIA_RATIO));
        }
        let both = self.kbps.min(self.kbps_back);
        if self.ratio < MEDIA_RATIO && both >= MEDIA_KBPS {
            return (Class::Call, self.weighed(margin(both, MEDIA_KBPS)));
        }
        if self.ratio >= VIEW_RATIO && self.kbps >= SCREEN_KBPS {
            return (Class::ViewOnly, self.weighed(margin(self.ratio, VIEW_RATIO)));
        }
        (Class::Unknown, 0.0)
    }

    fn plain(&self) -> (Class, f64) {
        let input = self.input;
        let both = self.kbps.min(self.kbps_back);
        let steady = self.is_steady() && self.kbps < GAME_KBPS;
        if both >= MEDIA_KBPS && self.ratio < MEDIA_RATIO && input.p90_pps >= CALL_PPS {
            let game = steady && input.median_bytes <= CONTROL_BYTES;
            let class = if game { Class::Game } else { Class::Call };
            return (class, self.weighed(margin(both, MEDIA_KBPS)));
        }
        if self.has_input() && steady && input.pauses == 0 {
            return (Class::Game, self.weighed(0.6));
        }
        let screen = self.ratio >= SCREEN_RATIO
            && self.kbps >= SCREEN_KBPS
            && big(self.screen) >= SCREEN_BIG;
        if self.is_requested() {
            return (Class::ViewOnly, self.weighed(0.5));
        }
        if self.has_input() && screen {
            return (Class::RemoteControl, self.control_confidence(SCREEN_KBPS, SCREEN_RATIO));
        }
        if self.is_typing() {
            return (Class::Typing, self.weighed(0.8));
        }
        if self.ratio >= VIEW_RATIO {
            return self.one_way();
        }
        (Class::Unknown, 0.0)
    }

    fn is_typing(&self) -> bool {
        let input = self.input;
        input.inputs >= INPUTS_MIN
            && input.median_bytes <= CONTROL_BYTES
            && big(input) <= 0.2
            && (TYPING_PPS.0..=TYPING_PPS.1).contains(&input.p90_pps)
            && self.kbps < TYPING_KBPS
            && self.ratio < TYPING_RATIO
    }

    /// Hardly anything comes back.
    fn one_way(&self) -> (Class, f64) {
        let active = f64::from(self.screen.active_s) / self.seconds;
        let confidence = self.weighed(margin(self.ratio, VIEW_RATIO));
        if self.screen.inputs < INPUTS_MIN {
            return (Class::Unknown, 0.0);
        }
        if active < VIEW_ACTIVE || self.kbps >= BULK_KBPS {
            return (Class::Bulk, confidence);
        }
        if self.kbps >= SCREEN_KBPS {
            return (Class::ViewOnly, confidence);
        }
        (Class::Unknown, 0.0)
    }

    /// The least of what speaks for control.
    fn control_confidence(&self, kbps: f64, ratio: f64) -> f64 {
        let rate = margin(self.input.p90_pps.into(), CONTROL_PPS.into());
        let screen = margin(self.kbps, kbps).min(margin(self.ratio, ratio));
        self.weighed(rate.min(screen))
    }

    /// Few messages say less.
    fn weighed(&self, margin: f64) -> f64 {
        let seen = f64::from(self.input.messages.max(self.screen.messages));
        margin * seen / (seen + f64::from(INPUTS_MIN))
    }
}

/// 0.5 at a bound, 0.75 at twice, 1 at four times.
fn margin(value: f64, bound: f64) -> f64 {
    (0.5 + 0.25 * (value / bound).log2()).clamp(0.5, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(inputs: u32, size: u32, rate: u32) -> SideSums {
        let bytes = u64::from(inputs) * u64::from(size);
        SideSums {
            bytes,
            input_bytes: bytes,
            big_bytes: if size > 250 { bytes } else { 0 },
            inputs,
            messages: inputs,
            median_bytes: size,
            p90_pps: rate,
            active_s: 45,
            pauses: 12,
            repeats: inputs / 2,
            one_size: 0.6,
        }
    }

    fn of(initiator: SideSums, responder: SideSums, real_time: bool) -> Interaction {
        let sums = InteractionSums { initiator, responder, span_ms: 60_000, real_time };
        let mut interaction = Interaction::new(sums);
        classify(&mut interaction, None);
        interaction
    }

    /// A person's input, and the screen it changes.
    fn controlled() -> (SideSums, SideSums) {
        (side(500, 40, 14), side(700, 1_500, 20))
    }

    #[test]
    fn sides_are_told_by_bytes_not_by_who_opened() {
        let (input, screen) = controlled();
        let seen = of(input, screen, false);
        assert_eq!((seen.class, seen.controlled), (Class::RemoteControl, Some(Peer::Responder)));
        let turned = of(screen, input, false);
        assert_eq!((turned.class, turned.controlled), (seen.class, Some(Peer::Initiator)));
        assert!((seen.confidence - turned.confidence).abs() < 1e-9);
        assert!((0.5..1.0).contains(&seen.confidence), "{}", seen.confidence);
        assert!((seen.screen_kbps().unwrap() - 140.0).abs() < 0.1);
        assert!((seen.ratio().unwrap() - 52.5).abs() < 0.1);
    }

    #[test]
    fn each_bound_of_control_counts() {
        let (input, screen) = controlled();
        let differs = |change: fn(&mut SideSums, &mut SideSums)| {
            let (mut input, mut screen) = (input, screen);
            change(&mut input, &mut screen);
            of(input, screen, false).class != Class::RemoteControl
        };
        assert!(differs(|input, _| input.p90_pps = CONTROL_PPS - 1), "rate");
        assert!(differs(|input, _| input.inputs = INPUTS_MIN - 1), "few");
        assert!(differs(|input, _| input.median_bytes = CONTROL_BYTES + 1), "size");
        assert!(differs(|input, _| input.big_bytes = input.input_bytes / 2), "big ones");
        assert!(differs(|input, _| input.active_s = 10), "seldom");
        assert!(differs(|_, screen| screen.bytes = 30_000), "screen too slow");
        assert!(differs(|_, screen| screen.big_bytes /= 3), "screen of small messages");
        let media = |change: fn(&mut SideSums, &mut SideSums)| {
            let (mut input, mut screen) = (input, screen);
            change(&mut input, &mut screen);
            of(input, screen, true).class
        };
        assert_eq!(media(|_, _| ()), Class::RemoteControl);
        assert_eq!(media(|input, _| input.p90_pps = 1), Class::ViewOnly);
        assert_eq!(media(|input, _| input.bytes = 800_000), Class::Call);
        assert_eq!(media(|_, screen| screen.bytes = 70_000), Class::Unknown);
    }

    #[test]
    fn a_viewer_that_requests_each_update_only_watches() {
        let asks = SideSums { one_size: 0.95, repeats: 60, ..side(400, 42, 13) };
        let seen = of(asks, side(550, 160, 13), false);
        assert_eq!((seen.class, seen.controlled), (Class::ViewOnly, Some(Peer::Responder)));
        let moves = SideSums { one_size: 0.55, ..asks };
        assert_ne!(of(moves, side(550, 160, 13), false).class, Class::ViewOnly);
        // What is typed comes back in its own size.
        let types = SideSums { one_size: 1.0, repeats: 0, ..side(200, 36, 6) };
        let seen = of(types, SideSums { repeats: 20, ..side(220, 40, 6) }, false);
        assert_eq!((seen.class, seen.controlled), (Class::Typing, Some(Peer::Responder)));
    }

    #[test]
    fn games_calls_and_transfers_are_none() {
        let ticks = SideSums { pauses: 0, active_s: 60, ..side(1_800, 80, 31) };
        assert_eq!(of(ticks, side(1_800, 300, 31), false).class, Class::Game);
        let voice = side(3_000, 120, 51);
        assert_eq!(of(SideSums { pauses: 0, ..voice }, voice, true).class, Class::Call);
        let acks = side(20, 60, 3);
        let burst = SideSums { active_s: 12, ..side(900, 9_000, 40) };
        assert_eq!(of(acks, burst, false).class, Class::Bulk);
        assert_eq!(of(acks, side(900, 900, 20), false).class, Class::ViewOnly);
    }

    #[test]
    fn tunnels_and_short_sessions_stay_unknown() {
        let (initiator, responder) = controlled();
        for (span_ms, protocol) in [(SPAN_MS - 1, None), (60_000, Some(Protocol::Wireguard))] {
            let sums = InteractionSums { initiator, responder, span_ms, real_time: false };
            let mut seen = Interaction::new(sums);
            classify(&mut seen, protocol);
            assert_eq!((seen.class, seen.controlled), (Class::Unknown, None));
            assert_eq!((seen.screen_kbps(), seen.ratio(), seen.control()), (None, None, None));
        }
    }
}
