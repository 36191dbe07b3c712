#!/usr/bin/env python3
"""Peak memory of the session events chain, URL to Cassandra, for some data and for ten times as much.

Called by `make bench-memory`; needs nothing but Python's standard library. Each size runs on a fresh lake and a fresh keyspace,
its file made here from a seed: duplicates, late events and bad lines among it, so that every part of a load has something to
hold. Peak memory is what the kernel counted for the process (ru_maxrss). Ends with 1 where the larger file took more than LIMIT
times the memory of the smaller one. With --by-stage each stage runs in a process of its own, which shows what grows.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from sessions import measured, print_place

STAGES = ["create-tables", "url-to-landing", "landing-to-raw", "raw-to-use-case", "raw-to-cassandra", "use-case-to-cassandra"]


def one_size(arguments, sessions, environment):
    """The file of so many sessions through the chain: what was measured of it."""
    name = f"{sessions}_sessions"
    source = arguments.work / f"{name}.jsonl.zst"
    make = [arguments.generator, "--out", str(source), "--sessions", str(sessions), "--days", str(arguments.days)]
    subprocess.run(make + ["--duplicates", "1", "--late", "2", "--bad", "1"], stdout=subprocess.DEVNULL, check=True)
    lake = arguments.work / f"lake_{name}"
    environment = {
        **environment,
        "SESSION_EVENTS_URL": source.as_uri(),
        "LAKE_URI": str(lake),
        "CASSANDRA_KEYSPACE": f"{arguments.keyspace}_{name}",
    }
    peaks = {}
    if arguments.by_stage:
        for stage in STAGES:
            _, seconds, peak = measured([arguments.sluice, stage, "session_events", "--output", "json"], environment)
            peaks[stage] = (peak, seconds)
            print(f"{sessions} sessions, {stage}: {peak / 1e6:.0f} MB, {seconds:.1f} s", file=sys.stderr)
    else:
        report, seconds, peak = measured([arguments.sluice, "run", "session_events", "--output", "json"], environment)
        if not report["accounting_closes"]:
            sys.exit("the accounting does not close")
        peaks["whole chain"] = (peak, seconds)
        read = sum(stage["counts"]["read"] for stage in report["stages"] if stage["stage"] == "landing-to-raw")
        print(f"{sessions} sessions, {read} records: {peak / 1e6:.0f} MB, {seconds:.1f} s", file=sys.stderr)
    shutil.rmtree(lake)
    source.unlink()
    return peaks


def main():
    parser = argparse.ArgumentParser(description="Peak memory for some data and for ten times as much.")
    parser.add_argument("--sluice", required=True, help="the program")
    parser.add_argument("--generator", required=True, help="session-events-file")
    parser.add_argument("--work", required=True, type=Path, help="folder for files, lakes and node; removed at the end")
    parser.add_argument("--sessions", type=int, default=150_000, help="of the smaller file; a session has two events")
    parser.add_argument("--times", type=int, default=10, help="how much larger the other file is")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--limit", type=float, default=1.2, help="the most that the peak may grow by")
    parser.add_argument("--keyspace", default=f"bench_memory_{os.getpid()}", help="the beginning of the keyspaces' names")
    parser.add_argument("--by-stage", action="store_true", help="each stage in a process of its own")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = parser.parse_args()
    arguments.work = arguments.work.absolute()
    shutil.rmtree(arguments.work, ignore_errors=True)
    arguments.work.mkdir(parents=True)
    environment = {key: value for key, value in os.environ.items() if key != "ETL_DEBUG"}
    own_node = not environment.get("CASSANDRA_HOST")
    if own_node:
        environment.pop("CASSANDRA_PORT", None)
        environment["SLUICE_DIR"] = str(arguments.work / "node")
    print_place()
    sys.stdout.flush()
    try:
        if own_node:
            subprocess.run([arguments.sluice, "node", "up"], env=environment, stdout=subprocess.DEVNULL, check=True)
        small = one_size(arguments, arguments.sessions, environment)
        large = one_size(arguments, arguments.sessions * arguments.times, environment)
    finally:
        if own_node:
            subprocess.run([arguments.sluice, "node", "down"], env=environment, stdout=subprocess.DEVNULL, check=False)
        else:
            print(f"the keyspaces {arguments.keyspace}_... stay: DROP KEYSPACE", file=sys.stderr)
        shutil.rmtree(arguments.work, ignore_errors=True)
    factors = {name: large[name][0] / small[name][0] for name in small}
    print(f"{'peak memory':28}{arguments.sessions * 2:>12,}{arguments.sessions * 2 * arguments.times:>12,} events{'factor':>10}")
    for name, factor in factors.items():
        print(f"{name:28}{small[name][0] / 1e6:>9.0f} MB{large[name][0] / 1e6:>9.0f} MB{factor:>17.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"small": small, "large": large, "factors": factors}, indent=1))
    # A stage by itself starts from a smaller base, and is not what the limit is about.
    if not arguments.by_stage and factors["whole chain"] > arguments.limit:
        sys.exit(f"{arguments.times} times the data took {factors['whole chain']:.2f} times the memory: more than {arguments.limit}")


if __name__ == "__main__":
    main()
