//! The files of a table: one for each day and sensor.
//!
//! Owns: which file a row goes to, when a row group is written, how many files are open. In: lines
//! as JSON. Out: files under their final names once they are whole. Never: more rows held than
//! `HELD_BYTES`, or a file that looks whole and is not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::TypePtr;
use serde_json::Value;

use crate::emit::SCHEMA_VERSION;
use crate::emit::json_schema::Lines;
use crate::lake::cells::Cells;
use crate::lake::columns::{Column, columns, file_schema};
use crate::model::Error;
use crate::sinks::files::{OutBytes, OutFile, make_dir};

/// Bytes of lines in one row group.
const GROUP_BYTES: usize = 32 << 20;

/// Bytes of lines that wait in all open files.
const HELD_BYTES: usize = 96 << 20;

/// Open files. A day that comes back after its file was closed gets a second one.
const OPEN_MAX: usize = 64;

/// What a file is called after its table and the lines that it was made from.
pub struct Origin<'n> {
    /// Where the tables go.
    pub root: &'n Path,
    /// The table.
    pub table: Lines,
    /// SHA-256 of the file with the lines, in hexadecimal.
    pub sha256: &'n str,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Files.
    pub files: usize,
    /// Values left out: times after 2262 and numbers above 63 bits.
    pub beyond: u64,
}

/// Day and sensor.
type Key = (String, String);

/// Where the metadata of a file have the version of its fields.
pub(super) const VERSION_KEY: &str = "longhaul.schema_version";

/// The open files of a table.
pub struct Files<'n> {
    origin: Origin<'n>,
    columns: Vec<Column>,
    schema: TypePtr,
    properties: WriterPropertiesPtr,
    open: BTreeMap<Key, Open>,
    /// How many files a key has had.
    begun: BTreeMap<Key, u32>,
    held: usize,
    written: Written,
}

/// A file, and the rows that wait for it.
struct Open {
    path: PathBuf,
    cells: Cells,
    /// Bytes of their lines.
    held: usize,
    writer: SerializedFileWriter<OutBytes>,
    /// Number of the last row.
    used: u64,
}

impl<'n> Files<'n> {
    /// No file yet.
    ///
    /// Errors: those of the library, of which none is known.
    pub fn new(origin: Origin<'n>) -> Result<Files<'n>, Error> {
        let columns = columns(origin.table);
        let refuse = |e: ParquetError| Error::new("parquet", e.to_string());
        let schema = file_schema(&columns).map_err(refuse)?;
        let pair = |name: &str, value: &str| KeyValue::new(name.to_owned(), value.to_owned());
        let facts = vec![
            pair(VERSION_KEY, &SCHEMA_VERSION.to_string()),
            pair("longhaul.version", env!("CARGO_PKG_VERSION")),
            pair("longhaul.table", origin.table.name()),
            pair("longhaul.lines_sha256", origin.sha256),
        ];
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(format!("longhaul version {}", env!("CARGO_PKG_VERSION")))
            .set_key_value_metadata(Some(facts))
            .build();
        Ok(Files {
            origin,
            columns,
            schema,
            properties: Arc::new(properties),
            open: BTreeMap::new(),
            begun: BTreeMap::new(),
            held: 0,
            written: Written::default(),
        })
    }

    /// Adds a line.
    ///
    /// Errors: it is not as this version writes lines; a file cannot be written.
    pub fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let value: Value =
            serde_json::from_slice(line).map_err(|e| format!("it is no JSON object: {e}"))?;
        let key = key_of(&value)?;
        if !self.open.contains_key(&key) {
            self.begin(&key).map_err(|error| error.to_string())?;
        }
        let Some(open) = self.open.get_mut(&key) else { return Ok(()) };
        open.cells.row(&value)?;
        // A value takes no more than its text and its name in the line; each column has levels.
        let bytes = line.len() + self.columns.len();
        open.held += bytes;
        self.held += bytes;
        self.written.rows += 1;
        open.used = self.written.rows;
        if open.held >= GROUP_BYTES {
            self.held -= open.flush().map_err(|error| error.to_string())?;
        } else if self.held >= HELD_BYTES
            && let Some(largest) = self.open.values_mut().max_by_key(|open| open.held)
        {
            self.held -= largest.flush().map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Opens the file of a key; if too many are open, the one not used for longest is finished.
    fn begin(&mut self, key: &Key) -> Result<(), Error> {
        if self.open.len() >= OPEN_MAX {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.used);
            let oldest = oldest.map(|(key, _)| key.clone());
            if let Some(open) = oldest.and_then(|oldest| self.open.remove(&oldest)) {
                self.finish_one(open)?;
            }
        }
        let Origin { root, table, sha256 } = self.origin;
        let (day, sensor) = key;
        let name = table.name();
        let dir = root.join(name).join(format!("day={day}")).join(format!("sensor={sensor}"));
        make_dir(&dir)?;
        let count = self.begun.entry(key.clone()).or_default();
        *count += 1;
        let digits = sha256.get(..16).unwrap_or(sha256);
        let path = match *count {
            1 => dir.join(format!("{name}-{digits}.parquet")),
            more => dir.join(format!("{name}-{digits}-{more}.parquet")),
        };
        let to = OutBytes(OutFile::replace(&path)?);
        let (schema, properties) = (Arc::clone(&self.schema), Arc::clone(&self.properties));
        let writer = SerializedFileWriter::new(to, schema, properties);
        let writer = writer.map_err(|e| failed(&path, &e))?;
        let cells = Cells::new(&self.columns);
        self.open.insert(key.clone(), Open { path, cells, held: 0, writer, used: 0 });
        Ok(())
    }

    fn finish_one(&mut self, mut open: Open) -> Result<(), Error> {
        self.held -= open.flush()?;
        self.written.files += 1;
        self.written.beyond += open.cells.beyond();
        let Open { path, writer, .. } = open;
        let OutBytes(file) = writer.into_inner().map_err(|e| failed(&path, &e))?;
        file.finish()
    }

    /// Finishes every file.
    ///
    /// Errors: a file cannot be written.
    pub fn finish(mut self) -> Result<Written, Error> {
        while let Some((_, open)) = self.open.pop_first() {
            self.finish_one(open)?;
        }
        Ok(self.written)
    }
}

impl Open {
    /// Writes the rows that wait as a row group; gives how many bytes of lines they were.
    fn flush(&mut self) -> Result<usize, Error> {
        if self.cells.rows() > 0 {
            let (path, cells, writer) = (&self.path, &mut self.cells, &mut self.writer);
            write_group(cells, writer).map_err(|e| failed(path, &e))?;
        }
        Ok(std::mem::take(&mut self.held))
    }
}

fn write_group(
    cells: &mut Cells,
    writer: &mut SerializedFileWriter<OutBytes>,
) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    cells.write(&mut |leaf| match group.next_column()? {
        Some(mut column) => {
            leaf(&mut column)?;
            column.close()
        }
        None => Err(ParquetError::General("the schema has fewer columns".to_owned())),
    })?;
    group.close()?;
    Ok(())
}

fn failed(path: &Path, cause: &ParquetError) -> Error {
    let what = format!("writing {}", path.display());
    Error::new(what, cause.to_string()).help("choose a directory with room, that can be written to")
}

/// Day and sensor of a line, as they stand in paths.
fn key_of(line: &Value) -> Result<Key, String> {
    let text = |pointer: &str, name: &str| {
        let text = line.pointer(pointer).and_then(Value::as_str);
        text.ok_or_else(|| format!("it has no {name}"))
    };
    let time = text("/@timestamp", "@timestamp")?;
    let day = time.get(..10).filter(|day| {
        day.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
    });
    let day = day.ok_or_else(|| format!("@timestamp: `{time}` is no time"))?;
    let sensor = text("/observer/name", "observer.name")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if sensor.is_empty() || sensor.len() > 64 || !sensor.bytes().all(plain) {
        return Err(format!("observer.name: `{sensor}` is no name of a sensor"));
    }
    Ok((day.to_owned(), sensor.to_owned()))
}
