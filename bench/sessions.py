#!/usr/bin/env python3
"""Times the session events chain, URL to Cassandra: each run on a fresh lake and a fresh keyspace, the node warm, then a run with
nothing to do. Called by `make bench-sessions`; needs nothing but Python's standard library.

The node is one of its own (unless CASSANDRA_HOST names one), with data in a folder that goes when the benchmark ends. The first
run warms the node's JVM and is not counted. Wall time is measured around the process, peak memory is what the kernel counted
for it (ru_maxrss); everything else is from the program's own report.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STAGES = ["create-tables", "url-to-landing", "landing-to-raw", "raw-to-use-case", "raw-to-cassandra", "use-case-to-cassandra"]


def measured(command, environment):
    """Runs a command to its end: its report, wall seconds and peak resident bytes."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as talk:
        started = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=talk)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        # The process was waited for behind the back of Popen.
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            talk.seek(0)
            sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{talk.read().decode(errors='replace')[-2000:]}")
        output.seek(0)
        return json.load(output), seconds, usage.ru_maxrss * 1024


def one_run(sluice, work, name, environment):
    """The chain on a fresh lake and keyspace, then again with nothing to do."""
    lake = work / f"lake_{name}"
    environment = {**environment, "LAKE_URI": str(lake), "CASSANDRA_KEYSPACE": f"bench_{name}"}
    command = [sluice, "run", "session_events", "--output", "json"]
    report, seconds, peak = measured(command, environment)
    idle_report, idle_seconds, idle_peak = measured(command, environment)
    shutil.rmtree(lake)
    if not (report["accounting_closes"] and idle_report["accounting_closes"]):
        sys.exit("the accounting does not close")
    busy = [stage["stage"] for stage in idle_report["stages"] if stage["outcome"] != "up_to_date"]
    if busy:
        sys.exit(f"the second run found something to do: {', '.join(busy)}")
    return {"report": report, "seconds": seconds, "peak": peak, "idle_seconds": idle_seconds, "idle_peak": idle_peak}


def stage_seconds(run, name):
    return sum(stage["seconds"] for stage in run["report"]["stages"] if stage["stage"] == name)


def spread(values, form):
    values = sorted(values)
    return [form(values[0]), form(statistics.median(values)), form(values[-1])]


def megabytes(value):
    return f"{value / 1e6:.0f}"


def print_figures(runs):
    rows = [("", "min", "median", "max")]
    rows.append(("whole chain, s", *spread([run["seconds"] for run in runs], "{:.2f}".format)))
    for name in STAGES:
        rows.append((f"  {name}, s", *spread([stage_seconds(run, name) for run in runs], "{:.2f}".format)))
    rows.append(("peak memory, MB", *spread([run["peak"] for run in runs], megabytes)))
    rows.append(("nothing to do, s", *spread([run["idle_seconds"] for run in runs], "{:.2f}".format)))
    rows.append(("  peak memory, MB", *spread([run["idle_peak"] for run in runs], megabytes)))
    for name, *values in rows:
        print(f"{name:28}" + "".join(f"{value:>10}" for value in values))


def print_counts(run):
    for stage in run["report"]["stages"]:
        counts = stage["counts"]
        print(f"{stage['stage']} {stage['target']}: read {counts['read']:,}, written {stage['written']:,}")


def print_place():
    def first(command):
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        return found.stdout.strip().splitlines()[0] if found.returncode == 0 and found.stdout.strip() else "unknown"

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    print(f"{len(os.sched_getaffinity(0))} cores ({model}), {memory:.0f} GiB, load {os.getloadavg()[0]:.1f} before")
    print(f"{first(['rustc', '--version'])}, profile dev, commit {first(['git', 'describe', '--always', '--dirty'])}")


def main():
    parser = argparse.ArgumentParser(description="Times the session events chain.")
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
    environment = {key: value for key, value in os.environ.items() if key not in ("ETL_DEBUG", "CASSANDRA_PORT")}
    own_node = not environment.get("CASSANDRA_HOST")
    if own_node:
        environment["SLUICE_DIR"] = str(work / "node")
    elif "CASSANDRA_PORT" in os.environ:
        environment["CASSANDRA_PORT"] = os.environ["CASSANDRA_PORT"]
    print_place()
    sys.stdout.flush()
    try:
        if own_node:
            subprocess.run([arguments.sluice, "node", "up"], env=environment, stdout=subprocess.DEVNULL, check=True)
        print("warming up", file=sys.stderr)
        one_run(arguments.sluice, work, "warm_up", environment)
        runs = []
        for number in range(1, arguments.runs + 1):
            run = one_run(arguments.sluice, work, f"run_{number}", environment)
            print(f"run {number}: {run['seconds']:.2f} s, nothing to do: {run['idle_seconds']:.2f} s", file=sys.stderr)
            runs.append(run)
    finally:
        if own_node:
            subprocess.run([arguments.sluice, "node", "down"], env=environment, stdout=subprocess.DEVNULL, check=False)
        else:
            print("the keyspaces bench_warm_up and bench_run_1... stay: DROP KEYSPACE bench_warm_up", file=sys.stderr)
        shutil.rmtree(work, ignore_errors=True)
    print_counts(runs[0])
    print_figures(runs)
    if arguments.json:
        arguments.json.write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
