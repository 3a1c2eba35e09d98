//! The types that cross boundaries between stages.
//!
//! Owns: frame, packet, session, leg, record, alert and other shared types, as plain data.
//! In: nothing. Out: values that every stage may read.
//! Never: behaviour beyond conversion and display, state, I/O, or a clock.

pub mod activity;
pub mod addr;
pub mod alert;
pub mod app_facts;
pub mod beats;
pub mod binding;
pub mod cached_text;
pub mod controller_leg;
pub mod counters;
pub mod duplicates;
pub mod endpoint;
pub mod endpoint_facts;
pub mod error;
pub mod escape;
pub mod event;
pub mod event_id;
pub mod facts;
pub mod field_path;
pub mod finding;
pub mod fired;
pub mod flow;
pub mod form;
pub mod frame;
pub mod heap;
pub mod id;
pub mod interaction;
pub mod lag;
pub mod latency;
pub mod likelihood;
pub mod names;
pub mod near_words;
pub mod origin;
mod own_name;
pub mod packet;
pub mod parse_errors;
pub mod people_facts;
pub mod physics;
pub mod protocol;
pub mod protocol_docs;
pub mod record;
mod record_rtt;
pub mod remote_control;
pub mod scan;
pub mod schema;
pub mod segment;
pub mod sink;
pub mod site_values;
pub mod stamp;
pub mod time;
pub mod units;

pub use addr::Addr;
pub use alert::{
    Alert, Change, EvidenceItem, EvidenceValue, Factor, Family, Group, Incident, Level, Member,
    RuleInfo, SourceInfo,
};
pub use binding::{Binding, HolderFacts, Place, Statement};
pub use counters::{Counter, Counters, Meaning};
pub use duplicates::{CopyPoint, CopyReport, Ident};
pub use endpoint::{EndpointKey, EndpointRow};
pub use error::Error;
pub use event::{Event, EventKind, Format, Held};
pub use flow::{FlowKey, Transport};
pub use form::Form;
pub use frame::{Frame, LinkType};
pub use heap::Heap;
pub use likelihood::Likelihood;
pub use packet::{Heading, Packet, PacketFlags, TcpFlags};
pub use record::Record;
pub use segment::{Interest, Peer, Segment};
pub use stamp::{Grain, Stamp, Trust};
pub use time::Nanos;
