//! NATS JetStream: each event is published with its id, and acknowledged by the server.
//!
//! Owns: the connection. In: messages. Out: how many the stream has stored. Never: a message that
//! counts before the server's acknowledgement. The id is the header `Nats-Msg-Id`: what is sent
//! again within the stream's window of duplicates is stored once.

use std::error::Error as _;
use std::time::Duration;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{ConnectOptions, jetstream};

use crate::forward::asynchronous::Blocking;
use crate::forward::tls::{Tls, secret};
use crate::forward::{Failure, Head, Message, Refused, Target};
use crate::model::Error;
use crate::model::sink::{Login, TlsFiles};

const CONNECT: Duration = Duration::from_secs(5);

/// How long the server may take to acknowledge a message.
const ACK: Duration = Duration::from_secs(10);

/// Who we are to the server.
#[derive(Clone)]
enum Proof {
    Nobody,
    Token(String),
    User(String, String),
}

/// A server, or several that form a cluster.
pub(super) struct NatsTarget {
    runtime: Blocking,
    url: String,
    subject: String,
    proof: Proof,
    tls: Option<rustls::ClientConfig>,
    stream: Option<Context>,
    sent: u64,
}

impl NatsTarget {
    pub(super) fn new(
        (url, subject): (&str, &str),
        login: &Login,
        tls: Option<&TlsFiles>,
    ) -> Result<NatsTarget, Error> {
        let proof = match (&login.token, &login.user) {
            (Some((path, _)), _) => Proof::Token(secret("token_file", path)?),
            (None, Some((user, path))) => Proof::User(user.clone(), secret("password_file", path)?),
            (None, None) => Proof::Nobody,
        };
        let tls = tls.map(|files| Tls::read(files)?.client()).transpose()?;
        Ok(NatsTarget {
            runtime: Blocking::new()?,
            url: url.to_owned(),
            subject: subject.to_owned(),
            proof,
            tls: tls.map(|config| rustls::ClientConfig::clone(&config)),
            stream: None,
            sent: 0,
        })
    }

    fn fail(&mut self, failure: Failure) -> Failure {
        (self.stream, self.sent) = (None, 0);
        Failure { cause: format!("{}: {}", self.url, failure.cause), ..failure }
    }

    /// The connection; a new one after a failure.
    fn stream(&mut self) -> Result<Context, Failure> {
        if let Some(stream) = &self.stream {
            return Ok(stream.clone());
        }
        let options = ConnectOptions::new()
            .name(concat!("longhaul/", env!("CARGO_PKG_VERSION")))
            .connection_timeout(CONNECT)
            .require_tls(self.tls.is_some());
        let options = match self.proof.clone() {
            Proof::Nobody => options,
            Proof::Token(token) => options.token(token),
            Proof::User(user, password) => options.user_and_password(user, password),
        };
        let options = match &self.tls {
            Some(config) => options.tls_client_config(config.clone()),
            // Other servers of a cluster would get the token, too, in the clear.
            None => options.ignore_discovered_servers(),
        };
        let url = self.url.clone();
        let connected = self.runtime.wait("connecting", async move {
            let client = options.connect(url).await.map_err(|e| Failure::new(text(&e)))?;
            Ok(jetstream::ContextBuilder::new().ack_timeout(ACK).build(client))
        })?;
        Ok(self.stream.insert(connected).clone())
    }

    fn publish(&mut self, messages: &[Message<'_>]) -> Result<Vec<Refused>, Failure> {
        let stream = self.stream()?;
        let prefix = self.subject.clone();
        self.runtime.wait("publishing", async {
            let (mut refused, mut acks) = (Vec::new(), Vec::with_capacity(messages.len()));
            for (index, message) in messages.iter().enumerate() {
                let id = Head::of(message.event).key(message.event, message.kind);
                let subject = format!("{prefix}.{}", message.kind.word());
                let publish = PublishMessage::build().message_id(id);
                let publish = publish.payload(message.text.to_vec().into());
                match stream.send_publish(subject, publish).await {
                    Ok(ack) => acks.push((index, ack)),
                    Err(e) if e.kind() == PublishErrorKind::MaxPayloadExceeded => {
                        refused.push(Refused { index, cause: e.to_string() });
                    }
                    Err(e) => return Err(failure(&e, &prefix)),
                }
            }
            for (index, ack) in acks {
                match ack.await {
                    Err(e) if is_too_large(&e) => {
                        let cause = "it is larger than the stream takes".to_owned();
                        refused.push(Refused { index, cause });
                    }
                    acked => drop(acked.map_err(|e| failure(&e, &prefix))?),
                }
            }
            Ok(refused)
        })
    }
}

/// Whether the stream has a limit that the message exceeds.
fn is_too_large(error: &PublishError) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<jetstream::Error>());
    cause.is_some_and(|e| e.error_code() == ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)
}

fn failure(error: &PublishError, prefix: &str) -> Failure {
    match error.kind() {
        PublishErrorKind::StreamNotFound => Failure::new(format!(
            "no stream takes the subjects {prefix}.>; create one: nats stream add --subjects \
             \"{prefix}.>\""
        )),
        _ => Failure::new(text(error)),
    }
}

/// An error with its causes.
fn text(error: &dyn std::error::Error) -> String {
    let mut all = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !all.contains(&inner_text) {
            all.push_str(": ");
            all.push_str(&inner_text);
        }
        cause = inner.source();
    }
    all
}

impl Target for NatsTarget {
    fn check(&mut self) -> Result<String, Failure> {
        self.stream().map_err(|failure| self.fail(failure))?;
        let (url, subject) = (&self.url, &self.subject);
        Ok(format!("connected to {url}, publishes to {subject}.KIND"))
    }

    fn send(&mut self, messages: &[Message<'_>], _now: Duration) -> Result<Vec<Refused>, Failure> {
        let refused = self.publish(messages).map_err(|failure| self.fail(failure))?;
        self.sent += messages.len() as u64;
        Ok(refused)
    }

    fn confirmed(&mut self, _now: Duration) -> Result<u64, Failure> {
        Ok(self.sent)
    }
}
