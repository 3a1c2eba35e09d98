//! Rows of tables as the lines that they were made from.
//!
//! Owns: which files a table has, the way from a row to a line. In: a directory with tables. Out:
//! lines as JSON. Never: a file whose columns are not those of the fields.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::file::metadata::KeyValue;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::{Map, Number, Value};

use crate::emit::SCHEMA_VERSION;
use crate::emit::json_schema::Lines;
use crate::lake::columns::{Column, Shape, Stored, columns, file_schema};
use crate::lake::files::VERSION_KEY;
use crate::lake::guard::guarded;
use crate::model::{Error, Nanos};
use crate::sinks::tables;

/// The files of a table, by day and sensor.
///
/// Errors: it cannot be known whether these are all.
pub fn files(lake: &Path, table: Lines) -> Result<Vec<PathBuf>, Error> {
    tables::files(lake, table.name())
}

/// Calls `each` with the rows of a file of a table, in their order. True if its fields are of an
/// earlier schema version.
///
/// Errors: the file is no table of this version or an earlier one; `each`.
pub fn each_row(
    path: &Path,
    table: Lines,
    each: &mut dyn FnMut(Value) -> Result<(), String>,
) -> Result<bool, Error> {
    let refuse = |cause: String| {
        Error::new("table", cause)
            .at(path, 0)
            .help("convert the results again with this version: longhaul convert RUN -o LAKE")
    };
    let file = File::open(path).map_err(|e| refuse(e.to_string()))?;
    let reader = guarded(|| SerializedFileReader::new(file)).map_err(refuse)?;
    let columns = columns(table);
    let facts = reader.metadata().file_metadata();
    let is_earlier = is_earlier(facts.key_value_metadata()).map_err(refuse)?;
    check(facts.schema(), &columns).map_err(refuse)?;
    let mut rows = guarded(|| reader.get_row_iter(None)).map_err(refuse)?;
    for number in 1u32.. {
        let row = guarded(|| rows.next().transpose()).map_err(refuse)?;
        let Some(row) = row else { break };
        let line = line_of(row, &columns);
        each(line).map_err(|cause| refuse(format!("row {number}: {cause}")))?;
    }
    Ok(is_earlier)
}

/// Whether the metadata of a file name an earlier schema version; none or a later one is refused.
fn is_earlier(facts: Option<&Vec<KeyValue>>) -> Result<bool, String> {
    let version = facts.into_iter().flatten().find(|fact| fact.key == VERSION_KEY);
    let version = version.and_then(|fact| fact.value.as_ref()?.parse::<u32>().ok());
    match version {
        Some(version) if version <= SCHEMA_VERSION => Ok(version < SCHEMA_VERSION),
        Some(version) => Err(format!(
            "the table has schema version {version}, this program reads version {SCHEMA_VERSION}: \
             fields may be missing or mean something else"
        )),
        None => Err(format!("the table does not say its schema version ({VERSION_KEY})")),
    }
}

/// A file may lack columns that later versions have, and has no others.
fn check(schema: &Type, columns: &[Column]) -> Result<(), String> {
    let ours = file_schema(columns).map_err(|e| e.to_string())?;
    for field in schema.get_fields() {
        let own = ours.get_fields().iter().find(|own| own.name() == field.name());
        match own {
            Some(own) if own == field => {}
            Some(_) => return Err(format!("column {} is of another type", field.name())),
            None => return Err(format!("this version has no field {}", field.name())),
        }
    }
    Ok(())
}

fn line_of(row: Row, columns: &[Column]) -> Value {
    let mut line = Map::new();
    for (name, field) in row.into_columns() {
        let column = columns.iter().find(|column| column.name == name);
        if let Some(value) = column.and_then(|column| value_of(field, &column.shape)) {
            put(&mut line, &name, value);
        }
    }
    Value::Object(line)
}

/// Puts a value under its dotted name.
fn put(object: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            object.insert(name.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = object.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

fn value_of(field: Field, shape: &Shape) -> Option<Value> {
    match (shape, field) {
        (_, Field::Null) => None,
        (Shape::One(stored), field) => one(field, *stored),
        (Shape::Many(stored), Field::ListInternal(list)) => {
            let members = list.elements().iter().cloned().filter_map(|one_of| one(one_of, *stored));
            Some(Value::Array(members.collect()))
        }
        (Shape::Objects(members), Field::ListInternal(list)) => {
            let objects = list.elements().iter().cloned().filter_map(|element| match element {
                Field::Group(row) => Some(line_of(row, members)),
                _ => None,
            });
            Some(Value::Array(objects.collect()))
        }
        _ => None,
    }
}

fn one(field: Field, stored: Stored) -> Option<Value> {
    Some(match (stored, field) {
        (Stored::Text, Field::Str(text)) => Value::String(text),
        (Stored::Time, Field::Long(ns)) => {
            Value::String(Nanos(u64::try_from(ns).ok()?).to_string())
        }
        (Stored::Date, Field::Date(days)) => {
            Value::String(Nanos::from_secs(u64::try_from(days).ok()? * 86_400).date())
        }
        (Stored::Int, Field::Long(number)) => Value::from(number),
        (Stored::Float, Field::Double(number)) => Value::Number(Number::from_f64(number)?),
        (Stored::Flag, Field::Bool(flag)) => Value::Bool(flag),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_a_later_or_of_no_version_are_refused() {
        let of = |version: &str| {
            let fact = KeyValue::new(VERSION_KEY.to_owned(), version.to_owned());
            is_earlier(Some(&vec![KeyValue::new("other".to_owned(), None), fact]))
        };
        assert_eq!(of(&SCHEMA_VERSION.to_string()), Ok(false));
        assert_eq!(of(&(SCHEMA_VERSION - 1).to_string()), Ok(true));
        let later = of(&(SCHEMA_VERSION + 1).to_string()).unwrap_err();
        assert!(later.contains("fields may be missing or mean something else"), "{later}");
        for refused in [of("new"), is_earlier(None)] {
            assert!(refused.unwrap_err().contains(VERSION_KEY));
        }
    }
}
