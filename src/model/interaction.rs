//! What the traffic of a session that lasts looks like: who shows a screen, who controls.
//!
//! Owns: sums of both sides, the class, the numbers behind it. In: the session stage fills in the
//! sums, the evidence stage the class. Out: rules and lines read them. Never: grows, or judges.

use crate::model::Peer;
use crate::model::remote_control::Checks;

/// The class of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// One side sends input, the other one a screen.
    RemoteControl,
    /// One side sends a screen, the other one hardly any input.
    ViewOnly,
    /// Audio or video both ways.
    Call,
    /// One side sends much, in bursts; the other one answers.
    Bulk,
    /// Short messages both ways, at the rate of typing.
    Typing,
    /// Input at a steady rate.
    Game,
    /// None of these, or too little to tell.
    #[default]
    Unknown,
}

impl Class {
    /// The word in the output.
    pub const fn name(self) -> &'static str {
        match self {
            Class::RemoteControl => "remote_control",
            Class::ViewOnly => "view_only",
            Class::Call => "call",
            Class::Bulk => "bulk",
            Class::Typing => "typing",
            Class::Game => "game",
            Class::Unknown => "unknown",
        }
    }
}

/// What one side sent. An input message is one that may carry input: any message but media, STUN
/// and, beside those, acknowledgements of SCTP.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SideSums {
    /// Bytes of payload.
    pub bytes: u64,
    /// Bytes of input messages.
    pub input_bytes: u64,
    /// Those of them in messages of more than 250 bytes.
    pub big_bytes: u64,
    /// Input messages.
    pub inputs: u32,
    /// Messages, media included.
    pub messages: u32,
    /// Median size of input messages.
    pub median_bytes: u32,
    /// 90th percentile of input messages in a second that has any.
    pub p90_pps: u32,
    /// Seconds with input messages.
    pub active_s: u32,
    /// Pauses of half a second and more between input messages.
    pub pauses: u32,
    /// Input messages that followed one of the same side, without one of the other side between.
    pub repeats: u32,
    /// How much one size prevails among input messages: at least this share has it.
    pub one_size: f64,
}

/// Sums of both sides of a session, from its tenth second on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct InteractionSums {
    /// What the initiator sent.
    pub initiator: SideSums,
    /// What the responder sent.
    pub responder: SideSums,
    /// From the first message to the last, in milliseconds.
    pub span_ms: u64,
    /// STUN came with it: media and data channels are told apart (RFC 7983).
    pub real_time: bool,
}

/// How long echoes of the initiator's keystrokes took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Echo {
    /// Median of those that came behind a separate acknowledgement, in ns.
    pub median_ns: u64,
    /// How many these are.
    pub samples: u32,
    /// Echoes that carried the acknowledgement themselves.
    pub together: u32,
}

/// How long after messages of our side those of the other end come that answer them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reply {
    /// The lag that prevails, in microseconds.
    pub us: u32,
    /// Messages of the size that shows it, lately.
    pub samples: u32,
    /// The share of them that came so long after one of ours.
    pub share: f64,
}

/// Keystrokes that came at once after a stall, by hours in which somebody typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stalls {
    /// Such hours.
    pub hours: u32,
    /// Bursts in the hour with most of them.
    pub most: u32,
    /// Those in all other hours together.
    pub others: u32,
}

impl Stalls {
    /// How often as many as in other hours, on average; where there were none at all, as if there
    /// had been one. None without two hours to compare with.
    pub fn ratio(&self) -> Option<f64> {
        let others = self.hours.checked_sub(1).filter(|others| *others >= 2)?;
        Some(f64::from(self.most) * f64::from(others) / f64::from(self.others.max(1)))
    }
}

/// Sums, and what they look like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interaction {
    /// The sums.
    pub sums: InteractionSums,
    /// Round trips of STUN.
    pub checks: Checks,
    /// Echoes of the initiator's keystrokes.
    pub echo: Option<Echo>,
    /// The initiator's keystrokes at once after a stall.
    pub stalls: Option<Stalls>,
    /// Replies of the end that is not ours.
    pub reply: Option<Reply>,
    /// The class.
    pub class: Class,
    /// 0 to 1; 0 for [`Class::Unknown`].
    pub confidence: f64,
    /// The side that shows a screen or echoes; absent where neither does.
    pub controlled: Option<Peer>,
}

impl InteractionSums {
    /// One side's.
    pub const fn of(&self, side: Peer) -> &SideSums {
        match side {
            Peer::Initiator => &self.initiator,
            Peer::Responder => &self.responder,
        }
    }

    /// Kilobits a second that a side sent.
    pub fn kbps(&self, side: Peer) -> f64 {
        if self.span_ms == 0 {
            return 0.0;
        }
        self.of(side).bytes as f64 * 8.0 / self.span_ms as f64
    }

    /// How often as much as `side` the other one sent.
    pub fn ratio(&self, side: Peer) -> f64 {
        self.of(side.other()).bytes as f64 / self.of(side).bytes.max(1) as f64
    }
}

impl Interaction {
    /// Sums without a class.
    pub fn new(sums: InteractionSums) -> Interaction {
        Interaction { sums, ..Interaction::default() }
    }

    /// Kilobits a second of the controlled side.
    pub fn screen_kbps(&self) -> Option<f64> {
        Some(self.sums.kbps(self.controlled?))
    }

    /// Bytes of the controlled side over those of the other.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.sums.ratio(self.controlled?.other()))
    }

    /// The controlling side.
    pub fn control(&self) -> Option<&SideSums> {
        Some(self.sums.of(self.controlled?.other()))
    }
}
