"""Runs a file of SQL in DuckDB and prints the rows of its queries, tab-separated."""

import sys

import duckdb

with open(sys.argv[1], encoding="utf-8") as file:
    text = file.read()
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
for statement in connection.extract_statements(text):
    result = connection.execute(statement)
    if statement.type == duckdb.StatementType.SELECT:
        for row in result.fetchall():
            print("\t".join(str(value) for value in row))
