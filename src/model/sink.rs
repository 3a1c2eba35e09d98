//! Where events are sent to, as configured.
//!
//! Owns: what each kind of receiver needs. In: checked values of the configuration. Out: the same.
//! Never: a secret: those are read from their files by whoever sends.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::{EventKind, Form, Level};

/// A sink that is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkPlan {
    /// Its name, for messages.
    pub name: String,
    /// The receiver.
    pub to: Receiver,
    /// The form of the lines.
    pub form: Form,
    /// The kinds of events.
    pub kinds: Vec<EventKind>,
    /// Alerts and incidents of this level or above.
    pub level: Level,
    /// The directory of its spool; without one, events wait in a temporary directory.
    pub spool: Option<PathBuf>,
    /// Bytes of the spool at most.
    pub spool_max: u64,
    /// File and line of the configuration.
    pub place: (PathBuf, u32),
}

/// A receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// A file that may be begun anew.
    File {
        /// Its path.
        path: PathBuf,
        /// When another is begun.
        rotate: Rotate,
        /// Finished files that are kept.
        keep: usize,
        /// Whether finished files are compressed with Zstandard.
        zstd: bool,
        /// When lines are synced to disk.
        sync: Sync,
    },
    /// Standard output.
    Stdout,
    /// RFC 5424.
    Syslog {
        /// How.
        transport: Transport,
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// Facility, 0 to 23 (RFC 5424 section 6.2.1).
        facility: u8,
        /// For TLS.
        tls: TlsFiles,
    },
    /// An HTTP server.
    Http {
        /// What it understands.
        service: Service,
        /// The URL, without the path that the service has.
        url: String,
        /// Who we are.
        login: Login,
        /// For https.
        tls: TlsFiles,
        /// Whether bodies are compressed with gzip.
        gzip: bool,
    },
    /// A stream of NATS JetStream.
    Nats {
        /// `nats://` or `tls://`, host and port.
        url: String,
        /// What subjects begin with; the kind of the event follows.
        subject: String,
        /// Who we are.
        login: Login,
        /// For `tls://`.
        tls: Option<TlsFiles>,
    },
    /// A topic of Kafka.
    Kafka {
        /// Brokers to begin with: host and port.
        brokers: Vec<String>,
        /// The topic, which exists.
        topic: String,
        /// Who we are, and how that is proved.
        login: Option<(Mechanism, String, PathBuf)>,
        /// For connections over TLS.
        tls: Option<TlsFiles>,
    },
}

/// When a file is begun anew: at a size, after a time, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotate {
    /// Bytes.
    pub bytes: Option<u64>,
    /// Age of the file.
    pub age: Option<Duration>,
}

/// When the lines of a file are on disk, and so confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// After each batch.
    Always,
    /// After so long at most.
    Each(Duration),
    /// When the system likes: a power failure loses lines that were confirmed.
    Never,
}

/// How a password is proved to Kafka (SASL).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616: the password itself.
    Plain,
    /// RFC 7677.
    Scram256,
    /// The same with SHA-512.
    Scram512,
}

/// How syslog is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// RFC 5426: nothing says what arrived.
    Udp,
    /// RFC 6587, octet counting.
    Tcp,
    /// RFC 5425.
    Tls,
}

/// What an HTTP server understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// The bulk API of Elasticsearch and OpenSearch, into a data stream or index.
    Bulk {
        /// Its name.
        index: String,
    },
    /// Splunk's HTTP event collector.
    Splunk {
        /// The index, if it is not the token's.
        index: Option<String>,
        /// Waits until the indexer says that events are stored.
        acks: bool,
    },
    /// Lines in the body of a POST.
    Webhook,
}

/// Who we are to an HTTP server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// A file with a token, and the word before it: `ApiKey`, `Bearer`, `Splunk`.
    pub token: Option<(PathBuf, &'static str)>,
    /// A user and the file with the password.
    pub user: Option<(String, PathBuf)>,
}

/// Files for TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates that are trusted instead of the system's: of authorities, or of the server
    /// itself.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}
