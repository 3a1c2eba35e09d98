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
use crate::model::record::Quality;
use crate::model::schema::session::context::{
    Application, Device, Distance, Packets, QualityFields, Tags, Who,
};
use crate::model::schema::session::event::{
    Constants, EventFields, Network, Observer, Related, Timestamp,
};
use crate::model::schema::session::latency::{
    Gaps, GapsOverUdp, Legs, OtherGaps, RemoteLeg, ServerGaps, Syn, TurnLags,
};
use crate::model::schema::session::protocols_ecs::{EcsDns, EcsHttp, EcsTls};
use crate::model::schema::session::protocols_own::{
    AppProtocols, Encapsulation, OwnDns, OwnHttp, OwnSocks, OwnTls, Ssh, Stun,
};
use crate::model::schema::session::remote_control::Remote;
use crate::model::schema::session::source_destination::{
    Destination, DestinationAs, DestinationGeo, Source, SourceAs, SourceGeo,
};
use crate::model::schema::session::updates::{Lasting, Looks, Updates};
use crate::model::schema::table::Table;
use crate::model::schema::{Described, Field, Objects, Row, Visitor, field_of};

/// A row of a table of session fields.
const fn field(row: Row<Record>) -> Field {
    field_of(row)
}

/// The tables between those of the ends and `longhaul.quality`, in order.
macro_rules! middle {
    ($each:ident) => {
        $each! {
            Network EcsTls EcsDns EcsHttp
            Legs Gaps GapsOverUdp OtherGaps ServerGaps TurnLags RemoteLeg Syn
            Encapsulation OwnTls OwnDns Ssh Stun OwnHttp OwnSocks AppProtocols
            Updates Lasting Looks Remote
            Who Device Distance Tags Application
        }
    };
}

static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let event = [Timestamp::rows(), Constants::rows(), EventFields::rows()].concat();
    let run = [Observer::rows(), Related::rows()].concat();
    let from = [Source::rows(), SourceGeo::rows(), SourceAs::rows()].concat();
    let to = [Destination::rows(), DestinationGeo::rows(), DestinationAs::rows()].concat();
    macro_rules! rows {
        ($($table:ident)*) => { [$($table::rows()),*].concat() };
    }
    let rest = [QualityFields::rows(), Packets::rows()].concat();
    [event, run, from, to, middle!(rows), rest].concat()
});

/// The text of the constant fields.
static CONSTANTS: CachedText = CachedText::new();

/// The texts of `longhaul.quality` without retransmissions and the like, by its other flags.
static FLAWLESS: [CachedText; 8] = [const { CachedText::new() }; 8];

/// The text of sessions of that quality, if nothing is counted in it: most have one of these.
fn flawless(quality: &Quality) -> Option<&'static CachedText> {
    let Quality { one_way, truncated, unconfirmed, .. } = *quality;
    let flags = Quality { one_way, truncated, unconfirmed, ..Quality::default() };
    let at = usize::from(one_way) | usize::from(truncated) << 1 | usize::from(unconfirmed) << 2;
    FLAWLESS.get(at).filter(|_| *quality == flags)
}

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
        visitor
            .of_run(&const { FieldPath::of("observer") }, |visitor| Observer::visit(self, visitor));
        Related::visit(self, visitor);
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
        macro_rules! visit {
            ($($table:ident)*) => { $($table::visit(self, visitor);)* };
        }
        middle!(visit);
        match flawless(&self.quality) {
            Some(cached) => {
                visitor.cached(&const { FieldPath::of("longhaul.quality") }, cached, |visitor| {
                    QualityFields::visit(self, visitor)
                })
            }
            None => QualityFields::visit(self, visitor),
        }
        Packets::visit(self, visitor);
    }

    fn visit_member<V: Visitor<Record>>(
        &self,
        at: (&'static Objects<Record>, usize),
        visitor: &mut V,
    ) {
        EcsDns::visit_member(self, at, visitor);
        Packets::visit_member(self, at, visitor);
    }
}
