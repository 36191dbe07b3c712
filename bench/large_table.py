#!/usr/bin/env python3
"""Makes the large table of rows C, C+ and C2 as Parquet files, and updates of it. Needs the packages of bench/peers/lake.txt.

    large_table.py history FOLDER FIRST DATES ROWS          dates FIRST to FIRST + DATES - 1, so many rows each, in one file
    large_table.py updates FILE TABLE_ROWS ROWS PART DATE...   so many updates of some dates
    large_table.py delta FOLDER FILE...                     files as a Delta table with a change feed, written by delta-rs
    large_table.py changes FOLDER VERSION                   what the change feed says since a version: rows by kind, as JSON

The n-th row of all has the n-th id of a sequence that visits 63 bits in no visible order, and values that follow from n alone:
the same arguments give the same rows everywhere. Of the updates of a date the first half are of rows that it has (`TABLE_ROWS` a
date, beginning with the first), as they would come a day later; the others are new. They are in random order. PART keeps the new
rows of several files apart.
"""

import json
import sys
from pathlib import Path

import duckdb

# Odd, so that multiplying by it modulo a power of two repeats no number; the fractional part of the golden ratio, as is usual.
SPREAD = 11400714819323198485
FIRST_DATE = "2016-01-01"
# Far beyond the rows of any history.
NEW_ROWS = 10**10
COLUMNS = f"""
    (n::HUGEINT * {SPREAD} % 9223372036854775808)::BIGINT AS id,
    DATE '{FIRST_DATE}' + date_number AS day,
    day::TIMESTAMP + to_microseconds((hash(n, version) % 86400000000)::BIGINT) + to_days(version) AS updated_at,
    (hash(n, 'player') % 1000000)::INTEGER AS player,
    chr(65 + (hash(n, 'first') % 12)::INTEGER) || chr(65 + (hash(n, 'second') % 12)::INTEGER) AS country,
    (hash(n, 'amount', version) % 1000000)::BIGINT AS amount,
    (hash(n, 'score', version) % 1000000007) / 1000000007 AS score,
    printf('%016x', hash(n, 'note', version)) AS note"""


def history(connection, folder, first, dates, rows):
    first, dates, rows = int(first), int(dates), int(rows)
    path = Path(folder) / f"history-{first:03}.parquet"
    number = f"range AS n, (range // {rows})::INTEGER AS date_number, 0 AS version"
    numbers = f"SELECT {number} FROM range({first * rows}, {(first + dates) * rows})"
    write(connection, f"SELECT {COLUMNS} FROM ({numbers})", path)


def updates(connection, path, table_rows, rows, part, *dates):
    table_rows, share, part = int(table_rows), int(rows) // len(dates), int(part)
    known, new = share // 2, share - share // 2
    if known > table_rows:
        sys.exit(f"{known} updates of a date that has {table_rows} rows")
    numbers = " UNION ALL ".join(
        f"SELECT {int(date) * table_rows} + range AS n, {int(date)} AS date_number, 1 AS version FROM range({known}) UNION ALL "
        f"SELECT {NEW_ROWS * (part + 1) + place * new} + range, {int(date)}, 0 FROM range({new})"
        for place, date in enumerate(dates)
    )
    write(connection, f"SELECT {COLUMNS} FROM ({numbers}) ORDER BY hash(n, 'order')", path)


def write(connection, sql, path):
    connection.execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")


def delta(connection, folder, *files):
    import deltalake

    for file in files:
        in_utc = "updated_at AT TIME ZONE 'UTC' AS updated_at"
        reader = connection.sql(f"SELECT * REPLACE ({in_utc}) FROM read_parquet('{file}')").to_arrow_reader()
        deltalake.write_deltalake(
            folder, reader, mode="append", partition_by=["day"], configuration={"delta.enableChangeDataFeed": "true"}
        )


def changes(connection, folder, version):
    import deltalake
    import pyarrow

    stream = deltalake.DeltaTable(folder).load_cdf(starting_version=int(version), columns=["_change_type"])
    feed = pyarrow.RecordBatchReader.from_stream(stream)  # noqa: F841 (DuckDB finds it by its name)
    print(json.dumps(dict(connection.sql("SELECT _change_type, count(*) FROM feed GROUP BY ALL").fetchall())))


def main():
    what, *arguments = sys.argv[1:]
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    {"history": history, "updates": updates, "delta": delta, "changes": changes}[what](connection, *arguments)


if __name__ == "__main__":
    main()
