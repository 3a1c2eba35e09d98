//! The one table of fields, in parts.
//!
//! Owns: the order of the parts. In: nothing. Out: every field of a session. Never: a second list
//! of them.

mod ends;
mod judged;
mod lasting;
mod latency;
mod speech;
mod spoken;
mod whole;

use std::sync::LazyLock;

use crate::model::Record;
use crate::model::memo::Memo;
use crate::model::path::Path;
use crate::model::schema::session::ends::{Destination, DestinationPlace, DestinationSystem};
use crate::model::schema::session::ends::{Source, SourcePlace, SourceSystem};
use crate::model::schema::session::judged::Context;
use crate::model::schema::session::lasting::Lasting;
use crate::model::schema::session::latency::Latency;
use crate::model::schema::session::speech::Speech;
use crate::model::schema::session::spoken::Spoken;
use crate::model::schema::session::whole::{Head, Moment, Network, Whole};
use crate::model::schema::table::Table;
use crate::model::schema::{Described, Field, Objects, Row, Visitor, field_of};

/// A row of a part.
const fn field(row: Row<Record>) -> Field {
    field_of(row)
}

static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let whole = [Moment::rows(), Head::rows(), Whole::rows()].concat();
    let from = [Source::rows(), SourcePlace::rows(), SourceSystem::rows()].concat();
    let to = [Destination::rows(), DestinationPlace::rows(), DestinationSystem::rows()].concat();
    let ecs = [&whole, &from, &to, Network::rows(), Speech::rows()].concat();
    let own = [Latency::rows(), Spoken::rows(), Lasting::rows(), Context::rows()].concat();
    [ecs, own].concat()
});

/// What is the same in every line.
static HEAD: Memo = Memo::new();

impl Described for Record {
    fn fields() -> &'static [Field] {
        &FIELDS
    }

    fn visit<V: Visitor<Record>>(&self, visitor: &mut V) {
        Moment::visit(self, visitor);
        visitor.kept(&const { Path::of("ecs") }, &HEAD, |visitor| Head::visit(self, visitor));
        Whole::visit(self, visitor);
        Source::visit(self, visitor);
        if let Some(place) = &self.initiator.place {
            let object = &const { Path::of("source.geo") };
            visitor.kept(object, &place.memo, |visitor| SourcePlace::visit(self, visitor));
        }
        if let Some(system) = &self.initiator.asn {
            let object = &const { Path::of("source.as") };
            visitor.kept(object, &system.memo, |visitor| SourceSystem::visit(self, visitor));
        }
        Destination::visit(self, visitor);
        if let Some(place) = &self.responder.place {
            let object = &const { Path::of("destination.geo") };
            visitor.kept(object, &place.memo, |visitor| DestinationPlace::visit(self, visitor));
        }
        if let Some(system) = &self.responder.asn {
            let object = &const { Path::of("destination.as") };
            visitor.kept(object, &system.memo, |visitor| DestinationSystem::visit(self, visitor));
        }
        Network::visit(self, visitor);
        Speech::visit(self, visitor);
        Latency::visit(self, visitor);
        Spoken::visit(self, visitor);
        Lasting::visit(self, visitor);
        Context::visit(self, visitor);
    }

    fn visit_member<V: Visitor<Record>>(
        &self,
        at: (&'static Objects<Record>, usize),
        visitor: &mut V,
    ) {
        Speech::visit_member(self, at, visitor);
        Context::visit_member(self, at, visitor);
    }
}
