//! Where events are sent to, as configured.
//!
//! Owns: what each kind of receiver needs. In: checked values of the configuration. Out: the same.
//! Never: a secret: those are read from their files by whoever sends.

use std::path::PathBuf;

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
    /// A file that is begun anew at a size, or an interval.
    File {
        /// Its path.
        path: PathBuf,
        /// Bytes after which another is begun, if any.
        rotate_bytes: Option<u64>,
        /// Finished files that are kept.
        keep: usize,
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
