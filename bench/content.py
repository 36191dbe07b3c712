#!/usr/bin/env python3
"""What is in a table, as a count of rows and a hash of their content that no order changes: of Delta tables, of Cassandra tables,
and of what DuckDB computes from files, so that a contestant's result can be held against the truth.

The hash is the sum of the first eight bytes of the md5 of each row's values, written as text and joined by `|`. The caller writes
the SELECT and so decides how values are written; the same SELECT, or one that gives the same values by other means, is the truth.
Python starts this module in a process of its own (`ask`), with the packages of scripts/data-tools.txt: requests come as JSON on
stdin, answers leave as JSON on stdout. Nothing here knows a contestant.
"""

import json
import subprocess
import sys
from pathlib import Path


def ask(python, requests, node=None):
    """The answers to some requests, each one of

    {"delta": PATH, "select": SQL}           SQL over the table, called `t`
    {"files": {NAME: SQL}, "select": SQL}    SQL over views of DuckDB, such as read_json(...) or read_parquet(...)
    {"files": {NAME: SQL}, "copy": PATH, "select": SQL}   writes the rows as CSV, in the SELECT's order; answered by their number
    {"cassandra": "KEYSPACE.TABLE", "columns": [...], "select": SQL}   SQL over the rows, called `t`
    {"cql": [STATEMENT, ...]}                statements for the node, answered by the rows of the last one
    {"commits": PATH}                        how many versions and files a Delta table has

    A SELECT is answered by {"rows": N, "hash": H}, or, with "values": true in the request, by its rows as lists.
    """
    command = [str(python), str(Path(__file__).resolve())]
    said = subprocess.run(
        command, input=json.dumps({"node": node, "requests": requests}), capture_output=True, text=True, check=False
    )
    if said.returncode:
        raise RuntimeError(f"looking at a result failed:\n{said.stderr[-2000:]}")
    return json.loads(said.stdout)


def answers(given):
    cluster = session = None
    if given["node"]:
        from cassandra.cluster import Cluster

        cluster = Cluster([given["node"][0]], port=given["node"][1], connect_timeout=30)
        session = cluster.connect()
        session.default_timeout = 120
    try:
        return [answer(request, session) for request in given["requests"]]
    finally:
        if cluster:
            cluster.shutdown()


def answer(request, session):
    import duckdb

    if "cql" in request:
        rows = []
        for statement in request["cql"]:
            rows = [[str(value) for value in row] for row in session.execute(statement)]
        return rows
    if "commits" in request:
        from deltalake import DeltaTable

        table = DeltaTable(request["commits"])
        return {"version": table.version(), "files": len(table.file_uris())}
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    if "delta" in request:
        from deltalake import DeltaTable

        connection.register("t", DeltaTable(request["delta"]).to_pyarrow_dataset())
    elif "cassandra" in request:
        connection.register("t", of_cassandra(session, request["cassandra"], request["columns"]))
    else:
        for name, sql in request["files"].items():
            connection.execute(f"CREATE VIEW {name} AS {sql}")
    if "copy" in request:
        return connection.execute(f"COPY ({request['select']}) TO '{request['copy']}' (FORMAT csv, HEADER)").fetchall()[0][0]
    if request.get("values"):
        return [[plain(value) for value in row] for row in connection.execute(request["select"]).fetchall()]
    connection.execute(f"CREATE TEMP TABLE content AS {request['select']}")
    columns = [row[0] for row in connection.execute("DESCRIBE content").fetchall()]
    text = ", ".join(f"coalesce({column}::VARCHAR, '-')" for column in columns)
    # Of HUGEINT, so that the sum of as many rows as there are cannot overflow; written in hexadecimal.
    sql = f"SELECT count(*), coalesce(sum(md5_number_lower(concat_ws('|', {text}))::HUGEINT), 0) FROM content"
    rows, total = connection.execute(sql).fetchone()
    return {"rows": rows, "hash": f"{int(total) % 2**64:016x}"}


def of_cassandra(session, table, columns):
    """The rows of a table as an Arrow table: times in UTC, ids and dates as text."""
    import pyarrow
    from cassandra.query import SimpleStatement, tuple_factory

    session.row_factory = tuple_factory
    batches = []
    found = session.execute(SimpleStatement(f"SELECT {', '.join(columns)} FROM {table}", fetch_size=5000))
    while True:
        rows = found.current_rows
        if rows:
            values = {name: [cell(row[at]) for row in rows] for at, name in enumerate(columns)}
            batches.append(pyarrow.table(values, schema=batches[0].schema if batches else None))
        if not found.has_more_pages:
            break
        found.fetch_next_page()
    return (
        pyarrow.concat_tables(batches)
        if batches
        else pyarrow.table({name: pyarrow.array([], pyarrow.string()) for name in columns})
    )


def plain(value):
    from datetime import date, datetime
    from decimal import Decimal
    from uuid import UUID

    if isinstance(value, (UUID, Decimal)):
        return str(value)
    if isinstance(value, (datetime, date)):
        return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    return str(value) if type(value).__module__.startswith("cassandra") else value


def cell(value):
    """What Arrow takes: times stay times."""
    from datetime import datetime

    return value if isinstance(value, datetime) else plain(value)


if __name__ == "__main__":
    json.dump(answers(json.load(sys.stdin)), sys.stdout)
