//! One table of fields, written once and built twice: as rows, for what looks a field up, and as
//! straight code that shows each value of an event in order, for lines.
//!
//! Owns: both forms. In: rows. Out: fields, and calls to a visitor. Never: text of an output.

use crate::model::memo::Memo;
use crate::model::path::Path;
use crate::model::schema::Field;
use crate::model::schema::Objects;
use crate::model::schema::Shown;
use crate::model::schema::Value;

/// What is shown the fields of an event, one after another in the order of lines.
pub trait Visitor<S: 'static> {
    /// A field, which may be absent.
    fn value(&mut self, path: &'static Path, value: Value<'_>);
    /// A field that is the same in every line, as JSON.
    fn fixed(&mut self, path: &'static Path, json: &'static str);
    /// A field of another event, as JSON.
    fn carried(&mut self, path: &Path, json: &str);
    /// The name of the sensor.
    fn sensor(&mut self, path: &Path);
    /// A list of objects, once for each field of these.
    fn objects(&mut self, list: &'static Objects<S>, event: &S);

    /// Fields that many events share, from an object on.
    fn kept(&mut self, object: &Path, memo: &Memo, fields: impl FnOnce(&mut Self));
}

/// A part of the fields of one kind of event.
pub trait Table<S: 'static> {
    /// Its rows.
    fn rows() -> &'static [Field<S>];

    /// Shows those that lines have.
    fn visit<V: Visitor<S>>(event: &S, visitor: &mut V);

    /// Shows the fields of one object of a list.
    fn visit_member<V: Visitor<S>>(event: &S, at: (&'static Objects<S>, usize), visitor: &mut V);
}

/// Reads a field: with its accessor known, no call is left of it.
#[inline(always)]
pub(super) fn show<'a, S: 'static, V: Visitor<S>>(
    visitor: &mut V,
    path: &'static Path,
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

/// `table! { pub(super) Name of Event [ rows ] }`. Rows are not formatted: rustfmt would give each
/// cell a line.
macro_rules! table {
    ($(#[$meta:meta])* $vis:vis $table:ident of $event:ty [
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

            #[allow(unused_variables, reason = "a table may be the same in every line")]
            fn visit<V: $crate::model::schema::Visitor<$event>>(event: &$event, visitor: &mut V) {
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
        $visitor.fixed(const { &$crate::model::path::Path::of($name) }, $json);
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
            const { &$crate::model::path::Path::of($name) },
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
            $visitor.value(const { &$crate::model::path::Path::of($name) }, value);
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
