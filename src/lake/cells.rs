//! Rows taken apart into columns, until there are enough for a row group.
//!
//! Owns: values and levels of each column. In: lines as JSON. Out: column chunks. Never: a value of
//! another type than its field's, or a field that no column has: such a line is refused.
//!
//! A value has two levels, as the format describes them: how much of its path is there, and at
//! which list a row goes on. A column without a value takes nothing until a later row has one.

use std::collections::BTreeMap;

use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedColumnWriter;
use serde_json::{Map, Value};

use crate::lake::columns::{Column, Shape, Stored};
use crate::model::Nanos;

/// Nanoseconds of a day.
const DAY_NS: u64 = 86_400_000_000_000;

/// From here on times are more nanoseconds than 63 bits count.
const TIMES_END: &str = "2262-04-11T23:47:16.854775808Z";

/// The columns of some rows.
pub struct Cells {
    columns: Vec<(Node, usize)>,
    places: Places,
    rows: usize,
    /// Values that no column can hold: times after 2262, numbers of 64 bits.
    beyond: u64,
}

/// Where a name of an object leads.
#[derive(Default)]
struct Places(BTreeMap<String, Place>);

enum Place {
    Column(usize),
    Inside(Places),
}

impl Places {
    fn of(columns: &[Column]) -> Places {
        let mut all = Places::default();
        for (at, column) in columns.iter().enumerate() {
            all.put(&column.name, at);
        }
        all
    }

    fn put(&mut self, name: &str, at: usize) {
        let Some((first, rest)) = name.split_once('.') else {
            self.0.insert(name.to_owned(), Place::Column(at));
            return;
        };
        let inside = Place::Inside(Places::default());
        if let Place::Inside(inside) = self.0.entry(first.to_owned()).or_insert(inside) {
            inside.put(rest, at);
        }
    }
}

/// A column, or a member of a structure.
enum Node {
    One(Leaf),
    Many(Leaf),
    Objects(Places, Vec<Node>),
}

/// How far a value is along its path, and at which list its row goes on.
#[derive(Clone, Copy)]
struct Level {
    there: u8,
    again: u8,
    /// Lists around it.
    lists: u8,
}

impl Level {
    const ROW: Level = Level { there: 0, again: 0, lists: 0 };

    const fn deeper(self, by: u8) -> Level {
        Level { there: self.there + by, ..self }
    }

    /// Of a member of a list in this place.
    const fn member(self, at: usize) -> Level {
        let lists = self.lists + 1;
        Level { there: self.there + 2, again: if at == 0 { self.again } else { lists }, lists }
    }
}

/// Values of one leaf of the schema, and the levels of all its places.
struct Leaf {
    values: Values,
    there: Vec<u8>,
    again: Option<Vec<u8>>,
}

enum Values {
    Text { bytes: Vec<u8>, ends: Vec<usize> },
    Time(Vec<i64>),
    Date(Vec<i32>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Flag(Vec<bool>),
}

impl Cells {
    /// No rows yet.
    pub fn new(columns: &[Column]) -> Cells {
        let nodes = columns.iter().map(|column| (Node::of(&column.shape, false), 0)).collect();
        Cells { columns: nodes, places: Places::of(columns), rows: 0, beyond: 0 }
    }

    /// Rows that wait.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Values left out because the format cannot hold them.
    pub const fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Adds a row.
    ///
    /// Errors: a field that no column has, or a value that is not of its field's type.
    pub fn row(&mut self, line: &Value) -> Result<(), String> {
        let Value::Object(line) = line else { return Err("it is no JSON object".to_owned()) };
        let Cells { columns, places, rows, beyond } = self;
        let mut put = |at: usize, value: &Value| match columns.get_mut(at) {
            Some((node, filled)) => {
                node.absent(*rows - *filled);
                *filled = *rows + 1;
                node.put(Some(value), Level::ROW, beyond)
            }
            None => Ok(()),
        };
        let added = walk(line, places, &mut put);
        self.rows += 1;
        added
    }

    /// Writes the columns one after another, and is empty again.
    pub fn write(&mut self, each: &mut dyn FnMut(&mut WriteLeaf<'_>) -> Outcome) -> Outcome {
        let rows = self.rows;
        for (node, filled) in &mut self.columns {
            node.absent(rows - *filled);
            *filled = 0;
            node.leaves(&mut |leaf| each(&mut |writer| leaf.write(writer)))?;
        }
        self.rows = 0;
        Ok(())
    }
}

/// Whether writing went well.
pub type Outcome = Result<(), ParquetError>;

/// Writes a leaf to its column.
pub type WriteLeaf<'l> = dyn FnMut(&mut SerializedColumnWriter<'_>) -> Outcome + 'l;

/// Calls `put` with each value that has a column.
fn walk(
    object: &Map<String, Value>,
    places: &Places,
    put: &mut dyn FnMut(usize, &Value) -> Result<(), String>,
) -> Result<(), String> {
    for (name, value) in object {
        let wrong = |cause: &str| format!("{name}: {cause}");
        match (places.0.get(name), value) {
            (Some(Place::Column(_)), Value::Null) => {}
            (Some(Place::Column(at)), value) => put(*at, value).map_err(|c| wrong(&c))?,
            (Some(Place::Inside(inside)), Value::Object(object)) => {
                walk(object, inside, put).map_err(|cause| format!("{name}.{cause}"))?;
            }
            (Some(Place::Inside(_)), _) => return Err(wrong("it is no object")),
            (None, _) => return Err(wrong("this version has no such field")),
        }
    }
    Ok(())
}

impl Node {
    fn of(shape: &Shape, in_list: bool) -> Node {
        match shape {
            Shape::One(stored) => Node::One(Leaf::of(*stored, in_list)),
            Shape::Many(stored) => Node::Many(Leaf::of(*stored, true)),
            Shape::Objects(members) => {
                let nodes = members.iter().map(|member| Node::of(&member.shape, true)).collect();
                Node::Objects(Places::of(members), nodes)
            }
        }
    }

    /// Rows without a value.
    fn absent(&mut self, rows: usize) {
        if rows > 0 {
            // Nothing that cannot be written comes of levels alone.
            let _ = self.leaves(&mut |leaf| {
                leaf.none(Level::ROW, rows);
                Ok(())
            });
        }
    }

    fn put(&mut self, value: Option<&Value>, level: Level, beyond: &mut u64) -> Result<(), String> {
        let members = match (&mut *self, value) {
            (Node::One(leaf), Some(value)) => return leaf.put(value, level, beyond),
            (_, None) => {
                self.none(level);
                return Ok(());
            }
            (_, Some(Value::Array(members))) => members,
            _ => return Err("it is no list".to_owned()),
        };
        if members.is_empty() {
            self.none(level.deeper(1));
        }
        for (at, member) in members.iter().enumerate() {
            self.member(member, level.member(at), beyond)?;
        }
        Ok(())
    }

    fn none(&mut self, level: Level) {
        let _ = self.leaves(&mut |leaf| {
            leaf.none(level, 1);
            Ok(())
        });
    }

    /// A member of the list that it is.
    fn member(&mut self, value: &Value, level: Level, beyond: &mut u64) -> Result<(), String> {
        match self {
            Node::One(leaf) => leaf.put(value, level, beyond),
            // The element itself cannot be absent, which is one level less.
            Node::Many(leaf) => leaf.put(value, Level { there: level.there - 1, ..level }, beyond),
            Node::Objects(places, nodes) => {
                let Value::Object(object) = value else { return Err("it is no object".to_owned()) };
                let mut given: Vec<Option<&Value>> = vec![None; nodes.len()];
                collect(object, places, &mut given)?;
                nodes
                    .iter_mut()
                    .zip(given)
                    .try_for_each(|(node, value)| node.put(value, level, beyond))
            }
        }
    }

    fn leaves(&mut self, each: &mut dyn FnMut(&mut Leaf) -> Outcome) -> Outcome {
        match self {
            Node::One(leaf) | Node::Many(leaf) => each(leaf),
            Node::Objects(_, nodes) => nodes.iter_mut().try_for_each(|node| node.leaves(each)),
        }
    }
}

/// The values of a structure, by the number of their member.
fn collect<'v>(
    object: &'v Map<String, Value>,
    places: &Places,
    given: &mut [Option<&'v Value>],
) -> Result<(), String> {
    for (name, value) in object {
        match (places.0.get(name), value) {
            (Some(Place::Column(at)), value) => {
                if let Some(slot) = given.get_mut(*at) {
                    *slot = Some(value).filter(|value| !value.is_null());
                }
            }
            (Some(Place::Inside(inside)), Value::Object(object)) => {
                collect(object, inside, given)?;
            }
            _ => return Err(format!("{name}: this version has no such field")),
        }
    }
    Ok(())
}

impl Leaf {
    fn of(stored: Stored, in_list: bool) -> Leaf {
        let values = match stored {
            Stored::Text => Values::Text { bytes: Vec::new(), ends: Vec::new() },
            Stored::Time => Values::Time(Vec::new()),
            Stored::Date => Values::Date(Vec::new()),
            Stored::Int => Values::Int(Vec::new()),
            Stored::Float => Values::Float(Vec::new()),
            Stored::Flag => Values::Flag(Vec::new()),
        };
        Leaf { values, there: Vec::new(), again: in_list.then(Vec::new) }
    }

    /// Places without a value.
    fn none(&mut self, level: Level, times: usize) {
        self.there.resize(self.there.len() + times, level.there);
        if let Some(again) = &mut self.again {
            again.resize(again.len() + times, level.again);
        }
    }

    fn put(&mut self, value: &Value, level: Level, beyond: &mut u64) -> Result<(), String> {
        if self.values.push(value)? {
            self.none(level.deeper(1), 1);
        } else {
            *beyond += 1;
            self.none(level, 1);
        }
        Ok(())
    }

    /// Writes it, and is empty again.
    fn write(&mut self, to: &mut SerializedColumnWriter<'_>) -> Outcome {
        let wide = |levels: &mut Vec<u8>| levels.drain(..).map(i16::from).collect::<Vec<i16>>();
        let there = wide(&mut self.there);
        let again = self.again.as_mut().map(wide);
        let levels = (Some(there.as_slice()), again.as_deref());
        match &mut self.values {
            Values::Text { bytes, ends } => {
                let whole = ByteArray::from(std::mem::take(bytes));
                let mut from = 0;
                let texts = ends.drain(..).map(|end| {
                    let text = whole.slice(from, end - from);
                    from = end;
                    text
                });
                let texts: Vec<ByteArray> = texts.collect();
                to.typed::<ByteArrayType>().write_batch(&texts, levels.0, levels.1)?;
            }
            Values::Time(all) | Values::Int(all) => {
                to.typed::<Int64Type>().write_batch(all, levels.0, levels.1)?;
                all.clear();
            }
            Values::Date(all) => {
                to.typed::<Int32Type>().write_batch(all, levels.0, levels.1)?;
                all.clear();
            }
            Values::Float(all) => {
                to.typed::<DoubleType>().write_batch(all, levels.0, levels.1)?;
                all.clear();
            }
            Values::Flag(all) => {
                to.typed::<BoolType>().write_batch(all, levels.0, levels.1)?;
                all.clear();
            }
        }
        Ok(())
    }
}

impl Values {
    /// Adds a value; false if the format cannot hold it.
    fn push(&mut self, value: &Value) -> Result<bool, String> {
        let fits = match (self, value) {
            (Values::Text { bytes, ends }, Value::String(text)) => {
                bytes.extend_from_slice(text.as_bytes());
                ends.push(bytes.len());
                true
            }
            (Values::Time(all), Value::String(text)) => {
                if text.as_str() >= TIMES_END && text.ends_with('Z') {
                    return Ok(false);
                }
                let time = Nanos::parse(text).ok_or_else(|| format!("`{text}` is no time"))?;
                i64::try_from(time.0).is_ok_and(|ns| keep(all, ns))
            }
            (Values::Date(all), Value::String(text)) => {
                let day = Nanos::from_date(text).ok_or_else(|| format!("`{text}` is no day"))?;
                i32::try_from(day.0 / DAY_NS).is_ok_and(|day| keep(all, day))
            }
            (Values::Int(all), Value::Number(number)) if !number.is_f64() => {
                number.as_i64().is_some_and(|number| keep(all, number))
            }
            (Values::Float(all), Value::Number(number)) => {
                number.as_f64().is_some_and(|number| keep(all, number))
            }
            (Values::Flag(all), Value::Bool(flag)) => keep(all, *flag),
            (_, other) => return Err(format!("`{other}` is not of its type")),
        };
        Ok(fits)
    }
}

fn keep<T>(all: &mut Vec<T>, value: T) -> bool {
    all.push(value);
    true
}
