#!/usr/bin/env python3
"""Where the time of each stage goes, and how far it is from what the machine's cores allow: the table of docs/performance.md.

    bench/stages.py [--programs FOLDER] [--work FOLDER] [--repeat N]

Each stage runs by itself, as a command, over the inputs of rows A and B of the scorecard (`OULAD_URL` names the archive of row B).
Its processor time, and that which the Cassandra node used meanwhile, on all cores at once would be the *bound*: the stage cannot
be faster than that unless less work is done. What it did is read from the trace that `--profile` writes: of each step the time in
which a thread was in it and in none of its parts, the waits left out. Beside that the machine's own figures, by Python's standard
library: a checksum, inflating, writing to disk.
"""

import argparse
import hashlib
import json
import os
import sys
import time
import zipfile
import zlib
from collections import defaultdict
from pathlib import Path
from statistics import median

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from contest import say  # noqa: E402
from place import ROOT, Place, circumstances  # noqa: E402
from rows import ingest, sessions  # noqa: E402

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- bench/stages.py -->", "<!-- end -->"
CHAIN = ["url-to-landing", "landing-to-raw", "raw-to-use-case", "raw-to-cassandra", "use-case-to-cassandra"]
TABLE = ["url-to-landing", "landing-to-raw"]
# Of a table's line: so many steps, those that took longest.
STEPS = 4
BLOCK = 64 << 20
# In the header of a zip's entry: the lengths of its name and of what follows that (APPNOTE.TXT 4.3.7).
LENGTHS_AT = 26


def main():
    arguments = arguments_of()
    place = Place(arguments.programs / "sluice", arguments.programs, arguments.work.absolute() / "stages", False)
    began = circumstances(place)
    try:
        place.need_node()
        lines = [*session_events(place, arguments.repeat), *interactions(place, arguments.repeat)]
        lines = table(lines, *machine(place))
    finally:
        place.leave()
    said = f"Measured on {began['date']} at commit {began['commit']}, profile {began['profile']}, on {began['machine']['cores']} cores"
    lines += ["", f"{said} ({began['machine']['processor']}), by `bench/stages.py`; medians of {arguments.repeat} runs."]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text("\n".join([before + BEGIN, *lines, END + rest.partition(END)[2]]))
    say(f"written into {PAGE}")


def arguments_of():
    parser = argparse.ArgumentParser(description="Where the time of each stage goes: writes a table into docs/performance.md.")
    parser.add_argument("--programs", type=Path, default=ROOT / "target" / "debug", help="where sluice and its test programs are")
    parser.add_argument("--work", type=Path, default=ROOT / ".sluice" / "bench", help="for inputs and lakes; removed")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each stage")
    return parser.parse_args()


def session_events(place, repeat):
    """The stages of the whole chain."""
    file = place.folder("sessions_input") / "events.jsonl"
    sessions.generate(place, file, "--sessions", sessions.SESSIONS, "--days", sessions.DAYS)
    # Once for the node, which compiles what it runs often.
    runs = [chain(place, sessions.PIPELINE, CHAIN, f"events_{number}", SESSION_EVENTS_URL=file.as_uri()) for number in range(repeat + 1)]
    return [("session events (A)", stage, [run[stage] for run in runs[1:]]) for stage in CHAIN]


def interactions(place, repeat):
    """The two stages to a raw table, from the file itself and from the archive that it is in."""
    files = ingest.Input(place)
    files.make()
    lines = []
    for name, path in (("interactions, CSV (B)", files.csv), ("interactions, zip (B2)", files.archive)):
        runs = [chain(place, ingest.PIPELINE, TABLE, f"table_{number}", INTERACTIONS_URL=path.as_uri()) for number in range(repeat)]
        lines += [(name, stage, [run[stage] for run in runs]) for stage in TABLE]
    return lines


def chain(place, pipeline, stages, name, **variables):
    """All stages, one command each: what each took and did."""
    trace = place.work / "trace.json"
    variables |= {"LAKE_URI": place.folder(f"lake_{name}"), "CASSANDRA_KEYSPACE": place.keyspace(name)}
    place.sluice_run("create-tables", pipeline, **variables)
    place.quiet_node()
    taken = {}
    for stage in stages:
        measured = place.sluice_run(stage, pipeline, "--profile", trace, **variables)
        taken[stage] = (measured, steps(json.loads(trace.read_text())["traceEvents"]))
        place.quiet_node()
    return taken


def steps(events):
    """Seconds in which a thread was in a step and in none of its parts, by the step's name without what it worked on."""
    own = defaultdict(float)
    lanes, threads = defaultdict(list), defaultdict(list)
    for event in events:
        if event["ph"] == "b":
            lanes[event["id2"]["local"]].append([event["name"], 0.0])
        elif event["ph"] == "e":
            name, within = lanes[event["id2"]["local"]].pop()
            busy = event["args"].get("busy_ms", 0.0)
            own[short(name)] += max(0.0, busy - within) / 1000
            if lanes[event["id2"]["local"]]:
                lanes[event["id2"]["local"]][-1][1] += busy
        elif event["ph"] == "X":
            threads[event["tid"]].append((event["ts"], event["ts"] + event["dur"], event["name"]))
    for spans in threads.values():
        open_spans = []
        for start, end, name in sorted(spans, key=lambda span: (span[0], -span[1])):
            while open_spans and open_spans[-1][0] <= start:
                open_spans.pop()
            own[short(name)] += (end - start) / 1e6
            if open_spans:
                own[open_spans[-1][1]] -= (end - start) / 1e6
            open_spans.append((end, short(name)))
    return {name: seconds for name, seconds in own.items() if not name.startswith("wait for")}


def short(name):
    """The name as the page lists it."""
    names = ("stage", "micro-batch", "run SQL", "read changes", "open the table", "load", "download", "land", "read the file")
    return next((known for known in names if name.startswith(f"{known} ")), name)


def machine(place):
    """Bytes a second of a core, or of the disk."""
    archive = place.work / "ingest" / "oulad.zip"
    with zipfile.ZipFile(archive) as packed:
        entry = packed.getinfo(ingest.ENTRY)
        with archive.open("rb") as file:
            file.seek(entry.header_offset + LENGTHS_AT)
            name, extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
            file.seek(name + extra, os.SEEK_CUR)
            deflated = file.read(entry.compress_size)
    return [
        ("inflate, one core", entry.file_size / timed(lambda: zlib.decompress(deflated, -15))),
        ("SHA-256, one core", BLOCK / timed(lambda: hashlib.sha256(b"\0" * BLOCK).digest())),
        ("write and sync, disk", 8 * BLOCK / timed(lambda: written(place.work / "disk"))),
    ]


def timed(work):
    """The best of three."""
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def written(path):
    block = os.urandom(BLOCK)
    with path.open("wb") as file:
        for _ in range(8):
            file.write(block)
        os.fsync(file.fileno())


def table(stages, *figures):
    cores = len(os.sched_getaffinity(0))
    lines = [
        "",
        "| input | stage | wall, s | CPU, s | node CPU, s | bound, s | wall to bound | memory, MB | where the time goes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, stage, runs in stages:
        measured = [run for run, _ in runs]
        wall, cpu = median([run.seconds for run in measured]), median([run.cpu for run in measured])
        node = median([run.node or 0 for run in measured]) if stage.endswith("to-cassandra") else 0
        peak = median([run.peak for run in measured]) / 1e6
        bound = (cpu + node) / cores
        _, did = min(runs, key=lambda run: abs(run[0].seconds - wall))
        longest = sorted(did.items(), key=lambda step: -step[1])[:STEPS]
        where = ", ".join(f"`{step}` {seconds:.2f} s" for step, seconds in longest)
        used = f"{node:.2f}" if node else "-"
        lines.append(
            f"| {name} | `{stage}` | {wall:.2f} | {cpu:.2f} | {used} | {bound:.2f} | {wall / bound:.2f} | {peak:.0f} | {where} |"
        )
    lines += ["", "| the machine | MB/s |", "|---|---|"]
    return lines + [f"| {name} | {rate / 1e6:,.0f} |" for name, rate in figures]


if __name__ == "__main__":
    main()
