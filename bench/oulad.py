#!/usr/bin/env python3
"""Times the oulad pipeline over the archive of OULAD_URL, beside DuckDB reading the same archive, in turn and in the same run.

Sluice runs the whole chain, archive to Cassandra, on a fresh lake and keyspace with the node warm, then once more with nothing to
do. Of the chain, the load of the interactions (out of the zip, decoded, checked, committed by date as Delta) is what DuckDB is
compared with: it cannot read a zip's entry, so it unpacks studentVle.csv to disk first (Python's zipfile) and then copies it into
Parquet, a folder a date; both are counted. It checks nothing and makes no commits: it is the measure of what reading and writing
costs, not of the same work. Called by `make bench-oulad`; needs the packages of scripts/data-tools.txt.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from oulad_truth import fetched
from sessions import measured, megabytes, print_place, spread, stage_seconds

STAGES = ["url-to-landing", "landing-to-raw", "raw-to-use-case", "raw-to-cassandra", "use-case-to-cassandra"]
INTERACTIONS = "studentVle.csv"


def duckdb_load(archive, folder):
    """What DuckDB does, in a process of its own: prints its seconds as JSON."""
    import duckdb

    started = time.monotonic()
    with zipfile.ZipFile(archive) as packed:
        path = packed.extract(INTERACTIONS, folder)
    unpacked = time.monotonic()
    columns = "code_module VARCHAR, code_presentation VARCHAR, id_student INTEGER, id_site INTEGER, date INTEGER, sum_click INTEGER"
    columns = ", ".join("'{}': '{}'".format(*column.split()) for column in columns.split(", "))
    connection = duckdb.connect()
    rows = connection.execute(f"""
        COPY (
          SELECT *, make_date(left(code_presentation, 4)::INTEGER,
            CASE right(code_presentation, 1) WHEN 'B' THEN 2 ELSE 10 END, 1) + date AS event_date
          FROM read_csv('{path}', header = true, columns = {{{columns}}}))
        TO '{folder}/interactions' (FORMAT parquet, PARTITION_BY (event_date))""").fetchall()[0][0]
    done = time.monotonic()
    print(json.dumps({"rows": rows, "unpack": unpacked - started, "read_and_write": done - unpacked}))


def duckdb_run(archive, work):
    folder = work / "duckdb"
    folder.mkdir()
    report, _, peak = measured([sys.executable, __file__, "--duckdb", str(archive), str(folder)], dict(os.environ))
    shutil.rmtree(folder)
    return {**report, "seconds": report["unpack"] + report["read_and_write"], "peak": peak}


def sluice_run(sluice, work, name, environment):
    lake = work / f"lake_{name}"
    environment = {**environment, "LAKE_URI": str(lake), "CASSANDRA_KEYSPACE": f"bench_oulad_{name}"}
    command = [sluice, "run", "oulad", "--output", "json"]
    report, seconds, peak = measured(command, environment)
    idle, idle_seconds, _ = measured(command, environment)
    shutil.rmtree(lake)
    busy = [stage["target"] for stage in idle["stages"] if stage["outcome"] != "up_to_date"]
    if busy or not report["accounting_closes"]:
        sys.exit(f"the accounting does not close, or the second run found something to do: {', '.join(busy)}")
    load = next(s for s in report["stages"] if s["stage"] == "landing-to-raw" and s["target"] == "interactions")
    return {"report": report, "seconds": seconds, "peak": peak, "idle_seconds": idle_seconds, "load": load}


def print_figures(runs):
    rows = [("", "min", "median", "max")]

    def row(label, value, form="{:.2f}".format):
        rows.append((label, *spread([value(run) for run in runs], form)))

    row("Sluice: whole chain, s", lambda run: run["sluice"]["seconds"])
    for name in STAGES:
        row(f"  {name}, s (sum)", lambda run: stage_seconds(run["sluice"], name))
    row("  load of interactions, s", lambda run: run["sluice"]["load"]["seconds"])
    row("  peak memory, MB", lambda run: run["sluice"]["peak"], megabytes)
    row("  nothing to do, s", lambda run: run["sluice"]["idle_seconds"])
    row("DuckDB: unzip and copy, s", lambda run: run["duckdb"]["seconds"])
    row("  unzip, s", lambda run: run["duckdb"]["unpack"])
    row("  CSV to Parquet by date, s", lambda run: run["duckdb"]["read_and_write"])
    row("  peak memory, MB", lambda run: run["duckdb"]["peak"], megabytes)
    row("load / DuckDB", lambda run: run["sluice"]["load"]["seconds"] / run["duckdb"]["seconds"])
    for name, *values in rows:
        print(f"{name:32}" + "".join(f"{value:>10}" for value in values))


def main():
    if sys.argv[1:2] == ["--duckdb"]:
        duckdb_load(*map(Path, sys.argv[2:]))
        return
    parser = argparse.ArgumentParser(description="Times the oulad pipeline beside DuckDB.")
    parser.add_argument("--sluice", required=True, help="the program")
    parser.add_argument("--work", required=True, type=Path, help="folder for lakes and node; removed at the end")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write all reports here as well")
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error("one run at least")

    work = arguments.work.absolute()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    environment = {key: value for key, value in os.environ.items() if key != "ETL_DEBUG"}
    archive = fetched(environment["OULAD_URL"], work).absolute()
    own_node = not environment.get("CASSANDRA_HOST")
    if own_node:
        environment.pop("CASSANDRA_PORT", None)
        environment["SLUICE_DIR"] = str(work / "node")
    print_place()
    sys.stdout.flush()
    runs = []
    try:
        if own_node:
            subprocess.run([arguments.sluice, "node", "up"], env=environment, stdout=subprocess.DEVNULL, check=True)
        for number in range(1, arguments.runs + 1):
            run = {"duckdb": duckdb_run(archive, work), "sluice": sluice_run(arguments.sluice, work, f"run_{number}", environment)}
            load = run["sluice"]["load"]
            if load["counts"]["accepted"] != run["duckdb"]["rows"]:
                sys.exit(f"Sluice loaded {load['counts']['accepted']:,} interactions, DuckDB {run['duckdb']['rows']:,}")
            figures = f"{run['sluice']['seconds']:.1f} s, interactions {load['seconds']:.1f} s, DuckDB {run['duckdb']['seconds']:.1f} s"
            print(f"run {number}: {figures}", file=sys.stderr)
            runs.append(run)
    finally:
        if own_node:
            subprocess.run([arguments.sluice, "node", "down"], env=environment, stdout=subprocess.DEVNULL, check=False)
        shutil.rmtree(work, ignore_errors=True)
    load = runs[0]["sluice"]["load"]
    rate = statistics.median(run["sluice"]["load"]["counts"]["read"] / run["sluice"]["load"]["seconds"] for run in runs)
    print(f"{load['counts']['read']:,} interactions, {load['commits']} commits, {rate:,.0f} a second")
    print_figures(runs)
    if arguments.json:
        arguments.json.write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
