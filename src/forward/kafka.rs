//! Kafka: each event is a record of a topic, acknowledged by all replicas that are in sync.
//!
//! Owns: the connections to brokers. In: messages. Out: how many the topic has stored. Never: two
//! events of one subject in different partitions: consumers see them in order. The record's header
//! `event.id` is the same whenever an event is sent.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use rskafka::BackoffConfig;
use rskafka::chrono::DateTime;
use rskafka::client::error::{Error as KafkaError, ProtocolError};
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{ClientBuilder, Credentials, SaslConfig};
use rskafka::record::Record;
use siphasher::sip::SipHasher13;

use crate::forward::asynchronous::Blocking;
use crate::forward::tls::{Tls, secret};
use crate::forward::{Failure, Head, Message, Refused, Target};
use crate::model::Error;
use crate::model::sink::{Mechanism, TlsFiles};

/// The client itself tries again for so long.
const TRIES: Duration = Duration::from_secs(10);

/// Bytes of one request: brokers take a megabyte, unless they are told otherwise.
const REQUEST_BYTES: usize = 512 << 10;

/// A topic.
pub(super) struct KafkaTarget {
    runtime: Blocking,
    brokers: Vec<String>,
    topic: String,
    sasl: Option<SaslConfig>,
    tls: Option<Arc<rustls::ClientConfig>>,
    /// By number; empty before the first connection and after a failure.
    partitions: Vec<PartitionClient>,
    sent: u64,
}

impl KafkaTarget {
    pub(super) fn new(
        (brokers, topic): (&[String], &str),
        login: Option<&(Mechanism, String, std::path::PathBuf)>,
        tls: Option<&TlsFiles>,
    ) -> Result<KafkaTarget, Error> {
        let sasl = login.map(|(mechanism, user, path)| {
            let proof = Credentials::new(user.clone(), secret("password_file", path)?);
            Ok::<_, Error>(match mechanism {
                Mechanism::Plain => SaslConfig::Plain(proof),
                Mechanism::Scram256 => SaslConfig::ScramSha256(proof),
                Mechanism::Scram512 => SaslConfig::ScramSha512(proof),
            })
        });
        Ok(KafkaTarget {
            runtime: Blocking::new()?,
            brokers: brokers.to_vec(),
            topic: topic.to_owned(),
            sasl: sasl.transpose()?,
            tls: tls.map(|files| Tls::read(files)?.client()).transpose()?,
            partitions: Vec::new(),
            sent: 0,
        })
    }

    fn fail(&mut self, failure: Failure) -> Failure {
        self.partitions.clear();
        self.sent = 0;
        let to = self.brokers.join(",");
        Failure { cause: format!("{to}: {}", failure.cause), ..failure }
    }

    /// Connects, and looks up the partitions of the topic.
    fn connect(&mut self) -> Result<(), Failure> {
        if !self.partitions.is_empty() {
            return Ok(());
        }
        let patience = BackoffConfig { deadline: Some(TRIES), ..BackoffConfig::default() };
        let mut builder = ClientBuilder::new(self.brokers.clone())
            .client_id(concat!("longhaul/", env!("CARGO_PKG_VERSION")))
            .backoff_config(patience);
        if let Some(config) = &self.tls {
            builder = builder.tls_config(Arc::clone(config));
        }
        if let Some(sasl) = &self.sasl {
            builder = builder.sasl_config(sasl.clone());
        }
        let name = &self.topic;
        self.partitions = self.runtime.wait("connecting", async move {
            let told = |e: KafkaError| Failure::new(e.to_string());
            let client = builder.build().await.map_err(told)?;
            let topics = client.list_topics().await.map_err(told)?;
            let topic = topics.into_iter().find(|topic| topic.name == *name);
            let numbers = topic.map(|topic| topic.partitions).unwrap_or_default();
            if numbers.is_empty() {
                return Err(Failure::new(format!("there is no topic {name}; create it")));
            }
            let mut all = Vec::new();
            for number in numbers {
                let unknown = UnknownTopicHandling::Error;
                all.push(client.partition_client(name, number, unknown).await.map_err(told)?);
            }
            Ok(all)
        })?;
        Ok(())
    }

    fn send_all(&mut self, messages: &[Message<'_>]) -> Result<Vec<Refused>, Failure> {
        self.connect()?;
        let mut of_partition: BTreeMap<usize, Vec<(usize, Record)>> = BTreeMap::new();
        for (index, message) in messages.iter().enumerate() {
            let record = record(message);
            let partition = partition(record.key.as_deref(), self.partitions.len());
            of_partition.entry(partition).or_default().push((index, record));
        }
        let partitions = &self.partitions;
        self.runtime.wait("producing", async {
            let mut refused = Vec::new();
            for (partition, records) in of_partition {
                let Some(client) = partitions.get(partition) else { continue };
                produce(client, records, &mut refused).await?;
            }
            refused.sort_unstable_by_key(|one: &Refused| one.index);
            Ok(refused)
        })
    }
}

/// Sends records in order. If the broker refuses them for what they are, one by one: a record that
/// it never takes keeps no other from it.
async fn produce(
    client: &PartitionClient,
    records: Vec<(usize, Record)>,
    refused: &mut Vec<Refused>,
) -> Result<(), Failure> {
    let mut rest = records.into_iter().peekable();
    while rest.peek().is_some() {
        let (mut some, mut bytes) = (Vec::new(), 0);
        while let Some((index, record)) = rest
            .next_if(|(_, record)| bytes == 0 || bytes + record.approximate_size() <= REQUEST_BYTES)
        {
            bytes += record.approximate_size();
            some.push((index, record));
        }
        let all: Vec<Record> = some.iter().map(|(_, record)| record.clone()).collect();
        let tried = client.produce(all, Compression::Zstd).await;
        if tried.as_ref().err().and_then(refusal).is_none() {
            tried.map_err(|e| Failure::new(e.to_string()))?;
            continue;
        }
        for (index, record) in some {
            match client.produce(vec![record], Compression::Zstd).await {
                Ok(_) => {}
                Err(e) => match refusal(&e) {
                    Some(cause) => refused.push(Refused { index, cause: cause.to_owned() }),
                    None => return Err(Failure::new(e.to_string())),
                },
            }
        }
    }
    Ok(())
}

/// Why a broker will never take a record, if that is so.
fn refusal(error: &KafkaError) -> Option<&'static str> {
    let KafkaError::ServerError { protocol_error, .. } = error else { return None };
    match protocol_error {
        ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge => {
            Some("it is larger than the topic takes")
        }
        ProtocolError::InvalidTimestamp => Some("the topic takes no such time of a record"),
        ProtocolError::InvalidRecord => Some("the topic takes no such record"),
        _ => None,
    }
}

fn record(message: &Message<'_>) -> Record {
    let head = Head::of(message.event);
    let headers = [
        ("event.id", head.key(message.event, message.kind)),
        ("event.kind", message.kind.word().to_owned()),
    ];
    // Brokers delete records by their time: that of an event of an old capture would be past.
    let millis = i64::try_from(message.at.as_millis()).unwrap_or(i64::MAX);
    Record {
        key: Some(head.subject().as_bytes().to_vec()).filter(|key| !key.is_empty()),
        value: Some(message.text.to_vec()),
        headers: headers.map(|(name, text)| (name.to_owned(), text.into_bytes())).into(),
        timestamp: DateTime::from_timestamp_millis(millis).unwrap_or_default(),
    }
}

/// The partition of a key: the same whenever it is sent, as long as there are as many.
fn partition(key: Option<&[u8]>, partitions: usize) -> usize {
    let mut hash = SipHasher13::new();
    hash.write(key.unwrap_or_default());
    (hash.finish() % partitions.max(1) as u64) as usize
}

impl Target for KafkaTarget {
    fn check(&mut self) -> Result<String, Failure> {
        self.connect().map_err(|failure| self.fail(failure))?;
        let (topic, partitions) = (&self.topic, self.partitions.len());
        Ok(format!("connected, topic {topic} has {partitions} partitions"))
    }

    fn send(&mut self, messages: &[Message<'_>], _now: Duration) -> Result<Vec<Refused>, Failure> {
        let refused = self.send_all(messages).map_err(|failure| self.fail(failure))?;
        self.sent += messages.len() as u64;
        Ok(refused)
    }

    fn confirmed(&mut self, _now: Duration) -> Result<u64, Failure> {
        Ok(self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_stays_in_its_partition_and_subjects_spread() {
        let of = |n: u32| partition(Some(format!("person{n}").as_bytes()), 6);
        let all: Vec<usize> = (0..60).map(of).collect();
        assert_eq!(all, (0..60).map(of).collect::<Vec<_>>());
        assert!((0..6).all(|part| all.contains(&part)), "{all:?}");
        assert_eq!(partition(None, 1), 0);
    }
}
