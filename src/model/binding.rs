//! What a packet said of who is behind an address.
//!
//! Owns: the forms of such a statement. In: what was read from packets. Out: the same to the table
//! of names and holders. Never: bytes of a packet.

use std::sync::Arc;

use crate::model::Addr;
use crate::model::Nanos;

/// An address of a capture point: two points may use one range for different things.
pub type Place = (u16, Addr);

/// What was heard of the holder of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Its link-layer address, where that is known.
    pub mac: Option<[u8; 6]>,
    /// Its name.
    pub host: Option<Arc<str>>,
    /// Who uses it.
    pub user: Option<Arc<str>>,
    /// Who says so: a word of [`Holder::SOURCES`](crate::model::record::Holder::SOURCES).
    pub by: &'static str,
    /// How long that holds.
    pub lasts: Option<Nanos>,
}

/// One statement, and when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The packet's time.
    pub at: Nanos,
    /// What it says.
    pub what: Statement,
    /// Nobody bears that time out: it says nothing of sessions whose time is believed.
    pub doubtful: bool,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `asker` was told that `name` is at `server`.
    Name {
        /// Who had asked.
        asker: Addr,
        /// The name it asked for.
        name: Arc<str>,
        /// The address it was told.
        server: Place,
    },
    /// A device says its name, whatever its address is.
    Called {
        /// The device.
        mac: [u8; 6],
        /// Its name.
        host: Arc<str>,
        /// The protocol in which it says so.
        by: &'static str,
    },
    /// A server gives an address to a device: whoever else had it has it no more.
    Leased(Place, Heard),
    /// Whoever has an address says something of itself.
    Holds(Place, Heard),
    /// An address is given back.
    Released(Place),
}
