"""deltalake for Python on the tables of the shop (tests/it/faults/python_writer.rs): another writer, another cleaner, other readers.

    other_writer.py beside LAKE STOP   until the file STOP is there: appends to raw, compacts, vacuums, sets a property, writes
                                       checkpoints; then prints what it did
    other_writer.py vacuum LAKE        without retention, all tables
    other_writer.py read LAKE          what deltalake and DuckDB read, and the changes of the newest version

One line of JSON on stdout.
"""

import datetime
import json
import pathlib
import sys
import urllib.parse

import duckdb
import pyarrow
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError

RAW, MERGED, REJECTS = "raw/shop/orders", "use_case/shop/customers", "quarantine/shop"
FIRST_ID = 1_000_000


def open_table(lake, name):
    try:
        return DeltaTable(f"{lake}/{name}")
    except TableNotFoundError:
        return None


def order(number):
    """A row of raw, as this writer would have it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "id": FIRST_ID + number,
        "customer": "python",
        "ts": datetime.datetime(2024, 1, 1 + number % 4, 9, tzinfo=datetime.timezone.utc),
        "amount": number,
        "note": "appended",
        "day": datetime.date(2024, 1, 1 + number % 4),
        "_receipt": 0,
        "_entry": "python",
        "_position": number,
        "_loaded_at": now,
    }


def append(table, number):
    schema = pyarrow.schema(table.schema().to_arrow())
    write_deltalake(table, pyarrow.Table.from_pylist([order(number)], schema=schema), mode="append")


def compact(table):
    removed = table.optimize.compact()["numFilesRemoved"]
    table.vacuum(dry_run=False)
    return removed


def beside(lake, stop):
    done = {"appended": 0, "compacted": 0, "properties": 0, "checkpoints": 0, "lost": 0}
    number = 0
    while not pathlib.Path(stop).exists():
        raw, merged = open_table(lake, RAW), open_table(lake, MERGED)
        if raw is None or merged is None:
            continue
        number += 1
        # As any writer does, it loses now and then, and then has written nothing.
        for what, act in [
            ("appended", lambda: append(raw, done["appended"]) or 1),
            ("compacted", lambda: compact(DeltaTable(raw.table_uri))),
            ("compacted", lambda: compact(merged)),
            ("properties", lambda: raw.alter.set_table_properties({"other.writer": str(number)}, raise_if_not_exists=False) or 1),
            ("checkpoints", lambda: merged.create_checkpoint() or 1),
        ]:
            try:
                done[what] += act()
            except CommitFailedError:
                done["lost"] += 1
    return done


def vacuum(lake):
    tables = [DeltaTable(f"{lake}/{name}") for name in (RAW, MERGED, REJECTS)]
    return [
        len(table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)) for table in tables
    ]


def read(lake):
    raw, merged, rejects = (DeltaTable(f"{lake}/{name}") for name in (RAW, MERGED, REJECTS))
    database = duckdb.connect()
    database.sql("SET TimeZone = 'UTC'")
    database.register("merged", merged.to_pyarrow_dataset())
    database.register("orders", raw.to_pyarrow_table())
    database.register("changes", merged.load_cdf(starting_version=merged.version()).read_all())
    files = [urllib.parse.unquote(uri.removeprefix("file://")) for uri in raw.file_uris()]

    def rows(query):
        return [" | ".join(map(str, row)) for row in database.sql(query).fetchall()]

    sums = "SELECT customer, orders, amount FROM {} ORDER BY customer"
    by_raw = "SELECT customer, count(*), sum(amount), min(day), max(ts)::VARCHAR FROM {} GROUP BY customer ORDER BY customer"
    return {
        "merged": rows(sums.format("merged")),
        "raw": rows(by_raw.format("orders")),
        # The same without deltalake's reader: the partition's value is in the folder's name only.
        "raw_files": rows(by_raw.format(f"read_parquet({files!r}, hive_partitioning = true)")),
        "rejects": rejects.to_pyarrow_dataset().count_rows(),
        "changed": rows(sums.format("changes WHERE _change_type IN ('insert', 'update_postimage')")),
    }


def main():
    act, *arguments = sys.argv[1:]
    print(json.dumps({"beside": beside, "vacuum": vacuum, "read": read}[act](*arguments)))


if __name__ == "__main__":
    main()
