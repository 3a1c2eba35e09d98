//! Sends events to receivers: syslog, HTTP services, files.
//!
//! Owns: the connections, and what each receiver says of what it got. In: messages in order. Out:
//! how many of them the receiver certainly has. Never: decides when to try again, or keeps a
//! message: whoever calls has them until they are confirmed.

#[cfg(any(feature = "kafka", feature = "nats"))]
mod asynchronous;
mod file;
mod head;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
mod rfc5424;
mod syslog;
mod tls;

pub use head::Head;

use std::time::Duration;

use crate::model::sink::Receiver;
use crate::model::{Error, EventKind, Level};

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What it is about.
    pub kind: EventKind,
    /// Its level.
    pub level: Level,
    /// When it is sent, since 1970.
    pub at: Duration,
    /// The event as ECS JSON.
    pub event: &'a [u8],
    /// The same in the form that the receiver gets. No line end.
    pub text: &'a [u8],
}

/// Nothing was confirmed since the last confirmation: send again what was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub cause: String,
    /// The receiver asks to wait as long.
    pub after: Option<Duration>,
}

impl Failure {
    fn new(cause: impl Into<String>) -> Failure {
        Failure { cause: cause.into(), after: None }
    }
}

/// A message that the receiver will never take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its place among those that were sent together.
    pub index: usize,
    /// Why.
    pub cause: String,
}

/// A receiver. Times are those since any moment that stays the same.
pub trait Target: Send {
    /// Connects, if that is not the case, and says what to.
    fn check(&mut self) -> Result<String, Failure>;

    /// Sends messages; those that are refused count as confirmed, like those before them.
    fn send(&mut self, messages: &[Message<'_>], now: Duration) -> Result<Vec<Refused>, Failure>;

    /// How many messages it certainly has, of those sent since it was opened or a failure.
    fn confirmed(&mut self, now: Duration) -> Result<u64, Failure>;

    /// What went wrong since the last call and keeps no message from the receiver.
    fn remark(&mut self) -> Option<String> {
        None
    }

    /// Nothing more is sent: what can be waited for is confirmed by now.
    fn finish(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// Makes the target of a receiver; `sensor` is our name. Certificates and secrets are read now,
/// connections are made by the first use.
///
/// Errors: a file that cannot be read or understood.
pub fn open(to: &Receiver, sensor: &str) -> Result<Box<dyn Target>, Error> {
    Ok(match to {
        Receiver::File { path, rotate, keep, zstd, sync } => {
            Box::new(file::FileTarget::new(path, (*rotate, *keep, *zstd), *sync))
        }
        Receiver::Stdout => Box::new(file::StdoutTarget::default()),
        Receiver::Syslog { transport, host, port, facility, tls } => {
            let head = rfc5424::Header::new(*facility, sensor);
            Box::new(syslog::SyslogTarget::new(*transport, (host, *port), head, tls)?)
        }
        Receiver::Http { service, url, login, tls, gzip } => {
            Box::new(http::HttpTarget::new((service, url), login, tls, *gzip)?)
        }
        #[cfg(feature = "nats")]
        Receiver::Nats { url, subject, login, tls } => {
            Box::new(nats::NatsTarget::new((url, subject), login, tls.as_ref())?)
        }
        #[cfg(feature = "kafka")]
        Receiver::Kafka { brokers, topic, login, tls } => {
            Box::new(kafka::KafkaTarget::new((brokers, topic), login.as_ref(), tls.as_ref())?)
        }
        #[cfg(not(feature = "nats"))]
        Receiver::Nats { .. } => return Err(left_out("nats")),
        #[cfg(not(feature = "kafka"))]
        Receiver::Kafka { .. } => return Err(left_out("kafka")),
    })
}

/// Receivers that few need are in builds that ask for them.
#[cfg(any(test, not(all(feature = "kafka", feature = "nats"))))]
fn left_out(feature: &str) -> Error {
    Error::new("type", format!("this program was built without {feature}"))
        .help(format!("build it with `cargo build --release --features {feature}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_a_receiver_says_how_to_get_it() {
        let manifest: toml::Table = toml::from_str(include_str!("../../Cargo.toml")).unwrap();
        for feature in ["kafka", "nats"] {
            let help = left_out(feature).help.unwrap();
            assert!(help.contains(&format!("--features {feature}`")), "{help}");
            assert!(manifest["features"].get(feature).is_some(), "{feature}");
        }
    }
}
