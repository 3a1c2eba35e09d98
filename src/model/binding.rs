//! What a packet reveals about who is behind an address.
//!
//! Owns: the forms of such a statement. In: parsed packets. Out: statements for the table of names
//! and holders. Never: bytes of a packet.

use std::sync::Arc;

use crate::model::{Addr, Nanos};

/// An address at a capture point: two points may use the same range for different hosts.
pub type Place = (u16, Addr);

/// Facts about the holder of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HolderFacts {
    /// Its link-layer address, if known.
    pub mac: Option<[u8; 6]>,
    /// Its name.
    pub host: Option<Arc<str>>,
    /// Its user.
    pub user: Option<Arc<str>>,
    /// The public address that the user connects from.
    pub from: Option<Addr>,
    /// The source: a word of [`Holder::SOURCES`](crate::model::record::Holder::SOURCES).
    pub by: &'static str,
    /// How long this is valid.
    pub lasts: Option<Nanos>,
}

/// One statement, and when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The packet's time.
    pub at: Nanos,
    /// The statement.
    pub what: Statement,
    /// Nothing confirms that time, so the statement is not used for sessions whose time is
    /// believed.
    pub doubtful: bool,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// A DNS answer to `asker` gave `server` as an address of `name`.
    Name {
        /// The host that asked.
        asker: Addr,
        /// The name in its question.
        name: Arc<str>,
        /// The address in the answer.
        server: Place,
    },
    /// A device announces its name, whatever its address is.
    Called {
        /// The device.
        mac: [u8; 6],
        /// Its name.
        host: Arc<str>,
        /// The protocol of the announcement.
        by: &'static str,
        /// It gave the name in two messages.
        twice: bool,
    },
    /// A device gave other devices' hardware addresses as its own in ARP probes.
    ArpSenders {
        /// The device.
        mac: [u8; 6],
        /// The address that it uses, if it said so.
        own: Option<Place>,
        /// How many different ones.
        count: u8,
    },
    /// A server assigns an address to a device: any other holder loses it.
    Leased(Place, HolderFacts),
    /// The holder of an address says something about itself.
    Holds(Place, HolderFacts),
    /// An address is released: by the device itself or, without one, by the server that knows who
    /// holds it.
    Released(Place, Option<[u8; 6]>),
}
