"""Holds every value of Parquet tables against the lines that they were made from.

Arguments: a directory with tables, then directories of results. Reads the tables with DuckDB and
with pyarrow and pandas. Prints the number of rows and of values that were compared, by table.
"""

import glob
import json
import os
import sys
from collections import Counter
from datetime import date, datetime, timedelta, timezone

import duckdb
import pandas
import pyarrow as pa
import pyarrow.parquet as pq

EPOCH = pandas.Timestamp("1970-01-01T00:00:00Z")


def nanoseconds(text):
    """A time of a line; pandas reads all nine digits."""
    return (pandas.Timestamp(text) - EPOCH).value


def at(value, name):
    """The value under a dotted name, or None."""
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def wanted(value, kind):
    """A value of a line, as its column's type says it."""
    if value is None:
        return None
    if pa.types.is_list(kind):
        return [wanted(one, kind.value_type) for one in value]
    if pa.types.is_struct(kind):
        return {field.name: wanted(at(value, field.name), field.type) for field in kind}
    if pa.types.is_timestamp(kind):
        assert kind.unit == "ns" and kind.tz == "UTC", kind
        return nanoseconds(value)
    if pa.types.is_date(kind):
        return date.fromisoformat(value)
    if pa.types.is_floating(kind):
        return float(value)
    return value


def in_microseconds(value, kind, inside=False):
    """The value as Python has it of DuckDB: times inside lists lose their last three digits."""
    if isinstance(value, datetime):
        return (value - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1) * 1000
    if value is None:
        return None
    if pa.types.is_list(kind):
        return [in_microseconds(one, kind.value_type, True) for one in value]
    if pa.types.is_struct(kind):
        return {field.name: in_microseconds(value[field.name], field.type, True) for field in kind}
    return value // 1000 * 1000 if inside and pa.types.is_timestamp(kind) else value


def leaves(value):
    """How many values there are inside."""
    if isinstance(value, dict):
        return sum(leaves(one) for one in value.values())
    if isinstance(value, list):
        return sum(leaves(one) for one in value)
    return 0 if value is None else 1


def without_times(kind):
    """The type with times as numbers, so that no digit is lost."""
    if pa.types.is_timestamp(kind):
        return pa.int64()
    if pa.types.is_list(kind):
        return pa.list_(without_times(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, without_times(field.type)) for field in kind])
    return kind


def key(row):
    return json.dumps(row, sort_keys=True, default=str)


def expected(lines, schema):
    """The rows that lines must be."""
    return [{field.name: wanted(at(line, field.name), field.type) for field in schema} for line in lines]


def counted(rows, schema=None):
    """How often each row is there; for DuckDB with a schema."""
    if schema is not None:
        rows = [
            {field.name: in_microseconds(row[field.name], field.type) for field in schema}
            for row in rows
        ]
    return Counter(map(key, rows))


def with_pyarrow(files):
    tables = [pq.ParquetFile(file).read() for file in files]
    whole = pa.concat_tables(tables)
    cast = pa.schema([(field.name, without_times(field.type)) for field in whole.schema])
    return whole, whole.cast(cast).to_pylist()


def with_duckdb(pattern, names):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet('{pattern}')").fetchall()
    times = {row[0] for row in described if row[1].startswith("TIMESTAMP")}
    columns = [
        f'epoch_ns("{name}")' if name in times else f'"{name}"' for name in names
    ]
    query = f"SELECT {', '.join(columns)} FROM read_parquet('{pattern}')"
    return [dict(zip(names, row)) for row in connection.execute(query).fetchall()], times


def main():
    lake, runs = sys.argv[1], sys.argv[2:]
    for table in ["sessions", "endpoints", "alerts", "incidents"]:
        lines = []
        for run in runs:
            with open(os.path.join(run, f"{table}.ndjson"), encoding="utf-8") as file:
                lines += [json.loads(line) for line in file]
        pattern = os.path.join(lake, table, "*", "*", "*.parquet")
        files = sorted(glob.glob(pattern))
        if not lines:
            assert not files, files
            print(table, 0, 0, sep="\t")
            continue
        whole, rows = with_pyarrow(files)
        want = expected(lines, whole.schema)
        values = sum(map(leaves, want))
        assert values == sum(map(leaves, lines)), f"{table}: a field has no column"
        assert counted(rows) == counted(want), f"{table}: pyarrow reads other rows"
        names = whole.schema.names
        rows, times = with_duckdb(pattern, names)
        plain = {f.name for f in whole.schema if pa.types.is_timestamp(f.type)}
        assert times == plain, (times, plain)
        same = counted(rows, whole.schema) == counted(want, whole.schema)
        assert same, f"{table}: DuckDB reads other rows"
        frame = pandas.read_parquet(os.path.join(lake, table))
        assert len(frame) == len(lines), f"{table}: pandas reads other rows"
        assert set(frame.columns) == set(names) | {"day", "sensor"}, set(frame.columns) ^ set(names)
        days = Counter(line["@timestamp"][:10] for line in lines)
        assert Counter(str(day)[:10] for day in frame["day"]) == days, f"{table}: other days"
        for file in files:
            facts = pq.ParquetFile(file).metadata.metadata
            assert facts[b"longhaul.table"].decode() == table, facts
            assert int(facts[b"longhaul.schema_version"]) >= 3, facts
        print(table, len(lines), values, sep="\t")


main()
