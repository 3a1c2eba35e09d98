//! The macro `table!`. It expands the rows of a table twice: to an array of fields, for rules and
//! documents, and to a function that passes each value to a visitor in order, for lines.
//!
//! Owns: both expansions. In: rows. Out: fields, and calls to a visitor. Never: text of an output.

use crate::model::cached_text::CachedText;
use crate::model::field_path::FieldPath;
use crate::model::schema::{Field, Objects, Shown, Value};

/// Receives the fields of an event one after another, in the order of the output.
pub trait Visitor<S: 'static> {
    /// A field; its value may be absent.
    fn value(&mut self, path: &'static FieldPath, value: Value<'_>);
    /// A field with the same value in every line, as JSON.
    fn fixed(&mut self, path: &'static FieldPath, json: &'static str);
    /// A field that was copied from another event, as JSON.
    fn carried(&mut self, path: &FieldPath, json: &str);
    /// The name of the sensor.
    fn sensor(&mut self, path: &FieldPath);
    /// A list of objects. Called once for each of their fields.
    fn objects(&mut self, list: &'static Objects<S>, event: &S);

    /// Fields inside one object that are the same in all lines of a run: `observer`.
    fn of_run(&mut self, object: &FieldPath, fields: impl FnOnce(&mut Self));

    /// Fields inside one object whose text many lines repeat: taken from the cache, or written by
    /// `fields` and cached.
    fn cached(&mut self, object: &FieldPath, cached: &CachedText, fields: impl FnOnce(&mut Self));
}

/// A table of fields: some or all of those of one kind of event.
pub trait Table<S: 'static> {
    /// Its rows.
    fn rows() -> &'static [Field<S>];

    /// Passes the fields that lines have to a visitor.
    fn visit<V: Visitor<S>>(event: &S, visitor: &mut V);

    /// The same where the event has what they are about.
    fn visit_rows<V: Visitor<S>>(event: &S, visitor: &mut V);

    /// Passes the fields of one object of a list to a visitor.
    fn visit_member<V: Visitor<S>>(event: &S, at: (&'static Objects<S>, usize), visitor: &mut V);
}

/// Reads a field and passes it on. The accessor is known at compile time and is inlined.
#[inline(always)]
pub(super) fn show<'a, S: 'static, V: Visitor<S>>(
    visitor: &mut V,
    path: &'static FieldPath,
    shown: Shown,
    event: &'a S,
    get: impl Fn(&'a S) -> Value<'a>,
) {
    match shown {
        Shown::Rules => {}
        Shown::Sensor => visitor.sensor(path),
        Shown::Fixed(json) => visitor.fixed(path, json),
        Shown::Always | Shown::Sometimes | Shown::Line => visitor.value(path, get(event)),
    }
}

/// Reads a field of one object of a list.
#[inline(always)]
pub(super) fn read_at<'a, S>(
    event: &'a S,
    index: usize,
    get: impl Fn(&'a S, usize) -> Value<'a>,
) -> Value<'a> {
    get(event, index)
}

/// `table! { pub(super) Name of Event [ rows ] }`; `Name of Event where (test) [ rows ]` for rows
/// that are all absent where the test fails: then none of them is looked at. rustfmt leaves the
/// rows alone; it would put each cell on a line of its own.
macro_rules! table {
    ($(#[$meta:meta])* $vis:vis $table:ident of $event:ty [ $($rows:tt)* ]) => {
        $crate::model::schema::table::table! {
            $(#[$meta])* $vis $table of $event where (|_| true) [ $($rows)* ]
        }
    };
    ($(#[$meta:meta])* $vis:vis $table:ident of $event:ty where ($has:expr) [
        $($make:ident(($($cell:tt)*)) $(.$more:ident($($arg:tt)*))*),* $(,)?
    ]) => {
        $(#[$meta])*
        $vis enum $table {}

        impl $crate::model::schema::table::Table<$event> for $table {
            fn rows() -> &'static [$crate::model::schema::Field<$event>] {
                static ROWS: &[$crate::model::schema::Field<$event>] =
                    &[$($make(($($cell)*)) $(.$more($($arg)*))*),*];
                ROWS
            }

            // A call to it costs more than to find that it has nothing to do.
            #[inline(always)]
            fn visit<V: $crate::model::schema::Visitor<$event>>(event: &$event, visitor: &mut V) {
                let has: fn(&$event) -> bool = $has;
                if has(event) {
                    Self::visit_rows(event, visitor);
                }
            }

            #[allow(unused_variables, reason = "a table may have constant fields only")]
            fn visit_rows<V: $crate::model::schema::Visitor<$event>>(
                event: &$event,
                visitor: &mut V,
            ) {
                $($crate::model::schema::table::visit_row! {
                    event visitor $make ($($cell)*) $(.$more($($arg)*))*
                })*
            }

            #[allow(unused_variables, reason = "most tables have no lists of objects")]
            fn visit_member<V: $crate::model::schema::Visitor<$event>>(
                event: &$event,
                at: (&'static $crate::model::schema::Objects<$event>, usize),
                visitor: &mut V,
            ) {
                $($crate::model::schema::table::visit_member! {
                    event at visitor $make ($($cell)*) $(.$more($($arg)*))*
                })*
            }
        }
    };
}

macro_rules! visit_row {
    ($event:ident $visitor:ident fixed
        ($name:literal, $since:literal, $kind:expr, $json:expr, $text:expr)) => {
        $visitor.fixed(const { &$crate::model::field_path::FieldPath::of($name) }, $json);
    };
    ($event:ident $visitor:ident field ($($cell:tt)*)
        .each(&$list:ident, $get:expr) $($more:tt)*) => {
        $visitor.objects(&$list, $event);
    };
    ($event:ident $visitor:ident field ($($cell:tt)*)
        .each_of($kind:expr, &$list:ident, $get:expr) $($more:tt)*) => {
        $visitor.objects(&$list, $event);
    };
    ($event:ident $visitor:ident field
        ($name:literal, $since:literal, $kind:expr, $unit:expr, $shown:expr, $get:expr, $text:expr)
        $($more:tt)*) => {
        $crate::model::schema::table::show(
            $visitor,
            const { &$crate::model::field_path::FieldPath::of($name) },
            $shown,
            $event,
            $get,
        );
    };
}

macro_rules! visit_member {
    ($event:ident $at:ident $visitor:ident field ($name:literal, $($cell:tt)*)
        .each(&$list:ident, $get:expr) $($more:tt)*) => {
        if std::ptr::eq($at.0, &$list) {
            let value = $crate::model::schema::table::read_at($event, $at.1, $get);
            $visitor.value(const { &$crate::model::field_path::FieldPath::of($name) }, value);
        }
    };
    ($event:ident $at:ident $visitor:ident field ($($cell:tt)*)
        .each_of($kind:expr, &$list:ident, $get:expr) $($more:tt)*) => {
        $crate::model::schema::table::visit_member! {
            $event $at $visitor field ($($cell)*) .each(&$list, $get) $($more)*
        }
    };
    ($event:ident $at:ident $visitor:ident $($row:tt)*) => {};
}

pub(super) use {table, visit_member, visit_row};
