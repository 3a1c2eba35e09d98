//! The table of a session's fields, in parts.
//!
//! Owns: the order of the parts, which is that of sessions.ndjson. In: a record. Out: every field
//! of a session. Never: a second list of them.

mod context;
mod event;
mod latency;
mod protocols_ecs;
mod protocols_own;
mod remote_control;
mod source_destination;
mod updates;

use std::sync::LazyLock;

use crate::model::Record;
use crate::model::cached_text::CachedText;
use crate::model::field_path::FieldPath;
use crate::model::schema::session::context::Context;
use crate::model::schema::session::event::{Constants, EventFields, Network, Timestamp};
use crate::model::schema::session::latency::Latency;
use crate::model::schema::session::protocols_ecs::EcsProtocols;
use crate::model::schema::session::protocols_own::OwnProtocols;
use crate::model::schema::session::remote_control::Remote;
use crate::model::schema::session::source_destination::{
    Destination, DestinationAs, DestinationGeo,
};
use crate::model::schema::session::source_destination::{Source, SourceAs, SourceGeo};
use crate::model::schema::session::updates::Updates;
use crate::model::schema::table::Table;
use crate::model::schema::{Described, Field, Objects, Row, Visitor, field_of};

/// A row of a table of session fields.
const fn field(row: Row<Record>) -> Field {
    field_of(row)
}

static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let whole = [Timestamp::rows(), Constants::rows(), EventFields::rows()].concat();
    let from = [Source::rows(), SourceGeo::rows(), SourceAs::rows()].concat();
    let to = [Destination::rows(), DestinationGeo::rows(), DestinationAs::rows()].concat();
    let ecs = [&whole, &from, &to, Network::rows(), EcsProtocols::rows()].concat();
    let own = [Latency::rows(), OwnProtocols::rows(), Updates::rows(), Remote::rows()].concat();
    [ecs, own, Context::rows().to_vec()].concat()
});

/// The text of the constant fields.
static CONSTANTS: CachedText = CachedText::new();

impl Described for Record {
    fn fields() -> &'static [Field] {
        &FIELDS
    }

    fn visit<V: Visitor<Record>>(&self, visitor: &mut V) {
        Timestamp::visit(self, visitor);
        visitor.cached(&const { FieldPath::of("ecs") }, &CONSTANTS, |visitor| {
            Constants::visit(self, visitor)
        });
        EventFields::visit(self, visitor);
        Source::visit(self, visitor);
        if let Some(place) = &self.initiator.place {
            let object = &const { FieldPath::of("source.geo") };
            visitor.cached(object, &place.cached, |visitor| SourceGeo::visit(self, visitor));
        }
        if let Some(system) = &self.initiator.asn {
            let object = &const { FieldPath::of("source.as") };
            visitor.cached(object, &system.cached, |visitor| SourceAs::visit(self, visitor));
        }
        Destination::visit(self, visitor);
        if let Some(place) = &self.responder.place {
            let object = &const { FieldPath::of("destination.geo") };
            visitor.cached(object, &place.cached, |visitor| DestinationGeo::visit(self, visitor));
        }
        if let Some(system) = &self.responder.asn {
            let object = &const { FieldPath::of("destination.as") };
            visitor.cached(object, &system.cached, |visitor| DestinationAs::visit(self, visitor));
        }
        Network::visit(self, visitor);
        EcsProtocols::visit(self, visitor);
        Latency::visit(self, visitor);
        OwnProtocols::visit(self, visitor);
        Updates::visit(self, visitor);
        Remote::visit(self, visitor);
        Context::visit(self, visitor);
    }

    fn visit_member<V: Visitor<Record>>(
        &self,
        at: (&'static Objects<Record>, usize),
        visitor: &mut V,
    ) {
        EcsProtocols::visit_member(self, at, visitor);
        Context::visit_member(self, at, visitor);
    }
}
