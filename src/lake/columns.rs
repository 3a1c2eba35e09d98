//! The columns of a table: one for each field that its lines can have, in their order.
//!
//! Owns: names, types and nesting of columns, and their form in Parquet. In: the tables of fields.
//! Out: columns. Never: a list of fields beside those tables.
//!
//! A column has the name of its field, with its dots, so that every tool finds what the
//! documentation of fields describes. A list of objects is one column of structures, whose members
//! have the rest of their names. Every column may be absent, as lines may lack any field.

use std::collections::HashSet;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::errors::ParquetError;
use parquet::schema::types::{Type, TypePtr};

use crate::emit::json_schema::Lines;
use crate::model::Record;
use crate::model::endpoint::EndpointRow;
use crate::model::finding::Finding;
use crate::model::scan::Scan;
use crate::model::schema::{Described, Field, Kind, find, find_in};

/// How one value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// UTF-8; addresses and words, too.
    Text,
    /// Nanoseconds since 1970, UTC.
    Time,
    /// Days since 1970.
    Date,
    /// 64 bits, with a sign.
    Int,
    /// IEEE 754, 64 bits.
    Float,
    /// True or false.
    Flag,
}

/// What a column holds in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A value.
    One(Stored),
    /// A list of values.
    Many(Stored),
    /// A list of structures.
    Objects(Vec<Column>),
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name: that of the field; of a member the part behind that of its list.
    pub name: String,
    /// What it holds.
    pub shape: Shape,
}

/// The columns of a table.
pub fn columns(table: Lines) -> Vec<Column> {
    let mut all = Collected::default();
    match table {
        Lines::Sessions => {
            all.of::<Record>(None);
            all.of::<Scan>(None);
        }
        Lines::Endpoints => all.of::<EndpointRow>(None),
        Lines::Alerts => {
            all.of::<Finding>(Some("alerts"));
            all.carried::<Finding>();
        }
        Lines::Incidents => all.of::<Finding>(Some("incidents")),
    }
    all.columns
}

#[derive(Default)]
struct Collected {
    columns: Vec<Column>,
    known: HashSet<&'static str>,
}

impl Collected {
    /// Every field of an event that lines of this file can have.
    fn of<S: Described>(&mut self, file: Option<&str>) {
        let here = |field: &&Field<S>| {
            field.in_lines() && field.only.is_none_or(|only| file.is_none_or(|file| file == only))
        };
        S::fields().iter().filter(here).for_each(|field| self.field(field));
    }

    /// The fields that alerts repeat of their session or endpoint.
    fn carried<S: Described>(&mut self) {
        for name in S::carries().concat() {
            match (find(name), find_in::<EndpointRow>(name)) {
                (Some(field), _) => self.field(field),
                (None, Some(field)) => self.field(field),
                (None, None) => {}
            }
        }
    }

    fn field<S: 'static>(&mut self, field: &Field<S>) {
        if !self.known.insert(field.name) {
            return;
        }
        let Some((list, _, own)) = field.each else {
            let shape = shape(field.kind);
            return self.columns.push(Column { name: field.name.to_owned(), shape });
        };
        let member = Column {
            name: field.name.get(list.name.len() + 1..).unwrap_or_default().to_owned(),
            shape: shape(own.unwrap_or(field.kind)),
        };
        match self.columns.iter_mut().find(|column| column.name == list.name) {
            Some(Column { shape: Shape::Objects(members), .. }) => members.push(member),
            _ => {
                let shape = Shape::Objects(vec![member]);
                self.columns.push(Column { name: list.name.to_owned(), shape });
            }
        }
    }
}

const fn shape(kind: Kind) -> Shape {
    match kind {
        Kind::Text | Kind::Word(_) | Kind::Ip => Shape::One(Stored::Text),
        Kind::Time => Shape::One(Stored::Time),
        Kind::Date => Shape::One(Stored::Date),
        Kind::Int | Kind::Signed => Shape::One(Stored::Int),
        Kind::Float => Shape::One(Stored::Float),
        Kind::Bool => Shape::One(Stored::Flag),
        Kind::Texts | Kind::Ips => Shape::Many(Stored::Text),
    }
}

/// The schema of a file with these columns.
///
/// Errors: those of the library, of which none is known.
pub fn file_schema(columns: &[Column]) -> Result<TypePtr, ParquetError> {
    let fields = columns.iter().map(column_type).collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(Type::group_type_builder("schema").with_fields(fields).build()?))
}

fn column_type(column: &Column) -> Result<TypePtr, ParquetError> {
    let built = match &column.shape {
        Shape::One(stored) => leaf(&column.name, *stored, Repetition::OPTIONAL)?,
        Shape::Many(stored) => {
            list(&column.name, Arc::new(leaf("element", *stored, Repetition::REQUIRED)?))?
        }
        Shape::Objects(members) => {
            let fields = members.iter().map(column_type).collect::<Result<Vec<_>, _>>()?;
            let element = Type::group_type_builder("element")
                .with_repetition(Repetition::REQUIRED)
                .with_fields(fields)
                .build()?;
            list(&column.name, Arc::new(element))?
        }
    };
    Ok(Arc::new(built))
}

/// A list as the format describes it: a group around a repeated group around the element.
fn list(name: &str, element: TypePtr) -> Result<Type, ParquetError> {
    let repeated = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![element])
        .build()?;
    Type::group_type_builder(name)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(repeated)])
        .build()
}

fn leaf(name: &str, stored: Stored, repetition: Repetition) -> Result<Type, ParquetError> {
    let (physical, logical) = match stored {
        Stored::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Stored::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::NANOS))),
        Stored::Date => (Physical::INT32, Some(LogicalType::Date)),
        Stored::Int => (Physical::INT64, None),
        Stored::Float => (Physical::DOUBLE, None),
        Stored::Flag => (Physical::BOOLEAN, None),
    };
    Type::primitive_type_builder(name, physical)
        .with_repetition(repetition)
        .with_logical_type(logical)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_the_fields_of_the_lines() {
        for table in Lines::ALL {
            let columns = columns(table);
            let names: HashSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            assert_eq!(names.len(), columns.len(), "{}", table.name());
            assert!(names.contains("@timestamp") && names.contains("observer.name"));
            file_schema(&columns).unwrap();
        }
        let of = |table: Lines, name: &str| {
            columns(table).into_iter().find(|column| column.name == name).map(|c| c.shape)
        };
        assert_eq!(of(Lines::Sessions, "source.port"), Some(Shape::One(Stored::Int)));
        assert_eq!(of(Lines::Sessions, "longhaul.summary.sessions"), Some(Shape::One(Stored::Int)));
        assert_eq!(of(Lines::Alerts, "tls.client.ja4"), Some(Shape::One(Stored::Text)));
        assert_eq!(of(Lines::Incidents, "tls.client.ja4"), None);
        assert_eq!(of(Lines::Incidents, "longhaul.score"), Some(Shape::One(Stored::Float)));
        let Some(Shape::Objects(members)) = of(Lines::Sessions, "dns.answers") else {
            panic!("dns.answers is no list of objects");
        };
        let data = Column { name: "data".to_owned(), shape: Shape::One(Stored::Text) };
        assert!(members.contains(&data), "{members:?}");
    }
}
