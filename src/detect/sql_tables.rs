//! The tables that a rule's SQL reads: as definitions, and as views of DuckDB over the output.
//!
//! Owns: both forms. In: tables, the files of a result. Out: SQL. Never: a column that the output
//! lacks.

use std::fmt::Write;
use std::path::PathBuf;

use crate::detect::sql::{Column, Holds, Table, name, quoted};

const HEAD: &str = "\
-- Rules as SQL. A row of a table is a line of the file of that name, a column a field of it; lines
-- of sums and of sessions that go on (event.action sessions-summed, session-update) are no rows.
-- Times are in UTC. FIELD.hex is an address as 32 hexadecimal digits in lower case, IPv4 as
-- ::ffff:a.b.c.d, so that prefixes are ranges. Members of lists are rows of the tables of values.
-- REGEXP_LIKE(text, pattern) finds a pattern anywhere in a text.
";

/// The tables as definitions.
pub fn described(tables: &[Table]) -> String {
    let mut out = HEAD.to_owned();
    for table in tables {
        let mut columns = Vec::new();
        for column in &table.columns {
            let named = name(column.name);
            match column.holds {
                Holds::Text => columns.push(format!("{named} VARCHAR(4000)")),
                Holds::Time => columns.push(format!("{named} TIMESTAMP")),
                Holds::Number => columns.push(format!("{named} DOUBLE PRECISION")),
                Holds::Flag => columns.push(format!("{named} BOOLEAN")),
                Holds::Address => {
                    columns.push(format!("{named} VARCHAR(45)"));
                    columns.push(format!("{} CHAR(32)", name(&hex_of(column))));
                }
                Holds::List => {}
            }
        }
        // Writing into a String cannot fail.
        let _ = writeln!(out, "\nCREATE TABLE {} (\n  {}\n);", table.name, columns.join(",\n  "));
        let _ = writeln!(
            out,
            "CREATE TABLE {}_values (\n  \"event.id\" VARCHAR(32),\n  field VARCHAR(200),\n  \
             value VARCHAR(4000),\n  hex CHAR(32)\n);",
            table.name
        );
    }
    out
}

fn hex_of(column: &Column) -> String {
    format!("{}.hex", column.name)
}

/// Functions that DuckDB lacks: the groups of an IPv6 address are filled up to four digits, and
/// the zeros that `::` stands for are put in.
const MACROS: &str = "\
CREATE OR REPLACE MACRO REGEXP_LIKE(text, pattern) AS regexp_matches(text, pattern);
CREATE OR REPLACE MACRO longhaul_groups(part) AS
  CASE WHEN part IS NULL OR part = '' THEN ''
  ELSE array_to_string([lpad(x, 4, '0') for x in string_split(part, ':')], '') END;
CREATE OR REPLACE MACRO longhaul_hex(ip) AS
  CASE WHEN ip IS NULL THEN NULL
  WHEN ip NOT LIKE '%:%' THEN '00000000000000000000ffff'
    || array_to_string([printf('%02x', CAST(x AS INTEGER)) for x in string_split(ip, '.')], '')
  ELSE longhaul_groups(split_part(ip, '::', 1))
    || repeat('0', 32 - length(longhaul_groups(split_part(ip, '::', 1)))
      - length(longhaul_groups(split_part(ip, '::', 2))))
    || longhaul_groups(split_part(ip, '::', 2)) END;
";

/// Views of DuckDB over the files of a result: `files` gives those of a name.
pub fn duckdb(tables: &[Table], files: impl Fn(&str) -> Vec<PathBuf>) -> String {
    let mut out = format!("{HEAD}\n{MACROS}");
    for table in tables {
        let paths = files(&format!("{}.ndjson", table.name));
        let from = match paths.is_empty() {
            // None was written: a table without rows.
            true => "(SELECT CAST(NULL AS JSON) AS json WHERE 1 = 0)".to_owned(),
            false => {
                let paths = paths.iter().map(|path| quoted(&path.to_string_lossy()));
                let paths: Vec<String> = paths.collect();
                format!(
                    "read_ndjson_objects([{}], maximum_object_size = 16777216)",
                    paths.join(", ")
                )
            }
        };
        // A sum stands for many sessions that no rule judges; a session that lasted may have a line
        // for each of its updates before the one of its end.
        let action = path_of("event.action", None);
        let from = format!(
            "{from} WHERE COALESCE(json->>{action}, '') NOT IN ('sessions-summed', \
             'session-update')"
        );
        let columns: Vec<String> = table.columns.iter().flat_map(columns).collect();
        let (of, columns) = (&table.name, columns.join(",\n  "));
        // Writing into a String cannot fail.
        let _ = writeln!(out, "CREATE OR REPLACE VIEW {of} AS SELECT\n  {columns}\nFROM {from};");
        let lists = table.columns.iter().filter(|column| column.holds == Holds::List);
        let id = path_of("event.id", None);
        let lists: Vec<String> = lists
            .map(|column| {
                let members = path_of(column.name, Some(column.of));
                format!(
                    "SELECT json->>{id} AS \"event.id\", {} AS field, \
                     UNNEST(json_extract_string(json, {members})) AS value FROM {from}",
                    quoted(column.name)
                )
            })
            .collect();
        let none = "SELECT '' AS \"event.id\", '' AS field, '' AS value WHERE 1 = 0".to_owned();
        let lists = if lists.is_empty() { vec![none] } else { lists };
        let _ = writeln!(
            out,
            "CREATE OR REPLACE VIEW {of}_values AS SELECT *,\n  CASE WHEN regexp_full_match(value, \
             '[0-9]+([.][0-9]+){{3}}|[0-9a-f:]*:[0-9a-f:]*') THEN longhaul_hex(value) END AS hex\n\
             FROM (\n  {}\n);",
            lists.join("\n  UNION ALL ")
        );
    }
    out
}

/// The path of a field in a line; of a list's members if it is one, which may itself be a member of
/// the objects of a list.
fn path_of(field: &str, list: Option<Option<&str>>) -> String {
    let keys =
        |dotted: &str| -> String { dotted.split('.').map(|key| format!(".\"{key}\"")).collect() };
    let path = match list {
        None => format!("${}", keys(field)),
        Some(None) => format!("${}[*]", keys(field)),
        Some(Some(of)) => {
            let rest = field.strip_prefix(of).unwrap_or(field).trim_start_matches('.');
            format!("${}[*]{}", keys(of), keys(rest))
        }
    };
    quoted(&path)
}

fn columns(column: &Column) -> Vec<String> {
    let (path, named) = (path_of(column.name, None), name(column.name));
    let text = format!("json->>{path}");
    match column.holds {
        Holds::Text => vec![format!("{text} AS {named}")],
        Holds::Time => vec![format!("CAST({text} AS TIMESTAMP) AS {named}")],
        Holds::Number => vec![format!("CAST({text} AS DOUBLE) AS {named}")],
        Holds::Flag => vec![format!("CAST({text} AS BOOLEAN) AS {named}")],
        Holds::Address => vec![
            format!("{text} AS {named}"),
            format!("longhaul_hex({text}) AS {}", name(&hex_of(column))),
        ],
        Holds::List => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_objects_in_a_list_are_found() {
        assert_eq!(path_of("a.b", None), "'$.\"a\".\"b\"'");
        assert_eq!(path_of("a.b", Some(None)), "'$.\"a\".\"b\"[*]'");
        assert_eq!(path_of("a.b.c", Some(Some("a.b"))), "'$.\"a\".\"b\"[*].\"c\"'");
    }

    #[test]
    fn a_file_name_cannot_end_its_quotes() {
        let table = Table { name: "sessions".into(), columns: Vec::new() };
        let sql = duckdb(&[table], |_| vec!["it's'; DROP".into()]);
        assert!(sql.contains("['it''s''; DROP']"), "{sql}");
    }
}
