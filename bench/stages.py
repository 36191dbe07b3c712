#!/usr/bin/env python3
"""Where the time of each stage goes, and how far it is from what the machine's cores allow: the table of docs/performance.md.

    bench/stages.py [--programs FOLDER] [--work FOLDER] [--repeat N]

Each stage runs by itself, as a command, over the inputs of rows A and B of the scorecard (`OULAD_URL` names the archive of row B).
Its processor time, and that which the Cassandra node used meanwhile, on all cores at once would be the *bound*: the stage cannot
be faster than that unless less work is done. What it did is read from the trace that `--profile` writes, with which it was timed
too: of each step the time in which threads were in it and in none of its parts, what they allocated there, and waits. Where `perf`
is on the machine and may record, each stage runs once more under it, and its samples are counted by the library that the code is of.
Beside that the machine's own figures, by Python's standard library (a checksum, inflating, writing to disk) and by pyarrow without
threads (decoding, encoding Parquet).
"""

import argparse
import bz2
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import peers  # noqa: E402
from contest import say  # noqa: E402
from measure import Failed  # noqa: E402
from place import ROOT, Place, circumstances  # noqa: E402
from rows import ingest, sessions  # noqa: E402

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- bench/stages.py -->", "<!-- end -->"
CHAIN = ["url-to-landing", "landing-to-raw", "raw-to-use-case", "raw-to-cassandra", "use-case-to-cassandra"]
TABLE = ["url-to-landing", "landing-to-raw"]
# Of a table's line: so many steps, those that took longest.
STEPS = 4
# Samples a second, and the libraries that are named, those with the most.
SAMPLES = 499
LIBRARIES = 6
# Of seconds; shorter ones explain nothing.
LEAST_WAIT = 0.02
BLOCK = 64 << 20
SECOND = (
    "*Samples* are those of `perf`, by the library whose code ran; what is inlined counts to the one that it was inlined into. *Waits* of"
    " several threads and tables go on at the same time. *Allocated* is what steps asked of the allocator, their parts left out."
)
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
    lines += ["", f"{said} ({began['machine']['processor']}), by `make bench-stages`; medians of {arguments.repeat} runs."]
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
    url = {"SESSION_EVENTS_URL": file.as_uri()}
    runs = [chain(place, sessions.PIPELINE, CHAIN, f"events_{number}", **url) for number in range(repeat + 1)]
    sampled = samples(place, sessions.PIPELINE, CHAIN, "events_sampled", **url)
    return [("session events (A)", stage, [run[stage] for run in runs[1:]], sampled.get(stage)) for stage in CHAIN]


def interactions(place, repeat):
    """The two stages to a raw table, from the file itself and from the archive that it is in."""
    files = ingest.Input(place)
    files.make()
    lines = []
    for name, path in (("interactions, CSV (B)", files.csv), ("interactions, zip (B2)", files.archive)):
        url = {"INTERACTIONS_URL": path.as_uri()}
        runs = [chain(place, ingest.PIPELINE, TABLE, f"table_{number}", **url) for number in range(repeat)]
        sampled = samples(place, ingest.PIPELINE, TABLE, "table_sampled", **url)
        lines += [(name, stage, [run[stage] for run in runs], sampled.get(stage)) for stage in TABLE]
    return lines


def chain(place, pipeline, stages, name, **variables):
    """All stages, one command each: what each took and did."""
    trace = place.work / "trace.json"
    variables = begun(place, pipeline, name, **variables)
    taken = {}
    for stage in stages:
        before = lost()
        measured = place.sluice_run(stage, pipeline, "--profile", trace, **variables)
        idle, stolen = (after - before for before, after in zip(before, lost(), strict=True))
        taken[stage] = (measured, idle, stolen, steps(json.loads(trace.read_text())["traceEvents"]))
        place.quiet_node()
    return taken


def lost():
    """Seconds of each core in which it had nothing to do, and in which the machine below did not run it (proc(5), `/proc/stat`)."""
    ticks = [int(number) for number in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    of_each = os.sysconf("SC_CLK_TCK") * os.cpu_count()
    return (ticks[3] + ticks[4]) / of_each, ticks[7] / of_each


def begun(place, pipeline, name, **variables):
    """An empty lake and empty tables: the variables that name them."""
    variables |= {"LAKE_URI": place.folder(f"lake_{name}"), "CASSANDRA_KEYSPACE": place.keyspace(name)}
    place.sluice_run("create-tables", pipeline, **variables)
    place.quiet_node()
    return variables


def samples(place, pipeline, stages, name, **variables):
    """All stages once more: of each the share of its samples by library, the largest first. Empty where there is no perf."""
    if not shutil.which("perf"):
        return {}
    data, taken = place.work / "perf.data", {}
    record = ["perf", "record", "--freq", str(SAMPLES), "--output", str(data), "--"]
    try:
        called([*record, "true"], place.environment())
    except Failed as reason:
        say(f"no samples: {reason}")
        return {}
    variables = begun(place, pipeline, name, **variables)
    for stage in stages:
        called([*record, str(place.sluice), stage, str(pipeline)], place.environment(**variables))
        report = ["perf", "report", "--input", str(data), "--no-children", "--sort", "symbol", "--stdio", "--percent-limit", "0"]
        by_library = defaultdict(float)
        for line in called(report, place.environment()).splitlines():
            found = re.match(r"\s*([0-9.]+)%\s+\[(.)\] (.+)", line)
            if found:
                by_library[library(found[2], found[3].strip())] += float(found[1])
        taken[stage] = sorted(by_library.items(), key=lambda one: -one[1])
        place.quiet_node()
    return taken


def library(space, symbol):
    """Whose code a symbol is: a crate, or what is not Rust."""
    if space == "k":
        return "kernel"
    if symbol.startswith("_rjem"):
        return "jemalloc"
    if symbol.startswith("0x"):
        return "unknown"
    # `parquet::x::f`, or of an implementation the type and then the trait: `<parquet::x::Y as core::z::Z>::f`, `<T as core::z::Z>::f`.
    for path in re.split(r" as ", symbol, maxsplit=1):
        found = re.match(r"[<&(\[*]*(?:mut |dyn |const )*([a-z_][a-z0-9_]*)(?:\[[0-9a-f]+\])?::", path)
        if found:
            return found[1]
    return "C"


def called(command, environment):
    ended = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise Failed(f"{' '.join(command)[:300]} ended with {ended.returncode}:\n{ended.stderr[-2000:].strip()}")
    return ended.stdout


@dataclass
class Steps:
    """By the step's name, its parts left out: seconds in which threads were in it, and megabytes that they asked of the allocator.
    And the seconds of waits, of which several may go on at the same time."""

    busy: dict = field(default_factory=lambda: defaultdict(float))
    allocated: dict = field(default_factory=lambda: defaultdict(float))
    waits: dict = field(default_factory=lambda: defaultdict(float))

    def add(self, name, seconds, megabytes):
        self.busy[short(name)] += seconds
        self.allocated[short(name)] += megabytes


@dataclass(eq=False)
class Open:
    """A step that has begun: since when, what it is a part of, and what its own parts took."""

    name: str
    began: float
    whole: "Open | None"
    seconds: float = 0.0
    megabytes: float = 0.0


def steps(events):
    """What a trace says. A thread that is in a step is in all that it is a part of, whatever row they are drawn in."""
    told = Steps()
    lanes, open_steps, threads = defaultdict(list), defaultdict(list), defaultdict(list)
    for event in events:
        arguments = event.get("args", {})
        megabytes = arguments.get("allocated_mb", 0.0)
        if event["ph"] == "b":
            lane, around = lanes[event["id2"]["local"]], open_steps[arguments.get("within")]
            step = Open(event["name"], event["ts"], (lane or around or [None])[-1])
            lane.append(step)
            open_steps[step.name].append(step)
        elif event["ph"] == "e":
            step = lanes[event["id2"]["local"]].pop()
            open_steps[step.name].remove(step)
            seconds = arguments.get("busy_ms", 0.0) / 1000
            if is_wait(step.name):
                told.waits[step.name] += (event["ts"] - step.began) / 1e6
                continue
            told.add(step.name, max(0.0, seconds - step.seconds), max(0.0, megabytes - step.megabytes))
            if step.whole:
                step.whole.seconds += seconds
                step.whole.megabytes += megabytes
        elif event["ph"] == "X":
            threads[event["tid"]].append((event["ts"], event["ts"] + event["dur"], event["name"], megabytes))
    for spans in threads.values():
        around = []
        for start, end, name, megabytes in sorted(spans, key=lambda span: (span[0], -span[1])):
            while around and around[-1][0] <= start:
                around.pop()
            seconds = (end - start) / 1e6
            if around:
                told.add(around[-1][1], -seconds, -megabytes)
            if is_wait(name):
                told.waits[name] += seconds
            else:
                told.add(name, seconds, megabytes)
            around.append((end, name))
    return told


def is_wait(name):
    return name.startswith("wait ")


def short(name):
    """The name as the page lists it."""
    names = ("stage", "micro-batch", "run SQL", "read changes", "look ahead", "open the table", "load", "download", "land", "prepare")
    names += ("read the file",)
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
    lines = place.work / "sessions_input" / "events.jsonl"
    csv = place.work / "ingest" / ingest.ENTRY
    command = [peers.tools(), HERE / "pyarrow_limits.py", lines, csv]
    runs = [json.loads(called([str(part) for part in command], place.environment())) for _ in range(3)]
    pyarrow = {what: min(run[what] for run in runs) for what in runs[0]}
    of_csv = csv.stat().st_size
    with csv.open("rb") as file:
        piece = file.read(BLOCK // 2)
    blocks = bz2.compress(piece)
    return [
        ("inflate, one core", entry.file_size / timed(lambda: zlib.decompress(deflated, -15))),
        ("bunzip2, one core", len(piece) / timed(lambda: bz2.decompress(blocks))),
        ("JSON lines into columns (A), one core, pyarrow", lines.stat().st_size / pyarrow["json"]),
        ("CSV into columns (B), one core, pyarrow", of_csv / pyarrow["csv"]),
        ("columns into Parquet (B, by the size of the CSV), one core, pyarrow", of_csv / pyarrow["parquet"]),
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
        "| input | stage | wall, s | CPU, s | node CPU, s | bound, s | wall to bound | idle, s | stolen, s | memory, MB | where the time goes |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, stage, runs, _ in stages:
        measured = [run for run, *_ in runs]
        idle, stolen = (median([run[place] for run in runs]) for place in (1, 2))
        wall, cpu = median([run.seconds for run in measured]), median([run.cpu for run in measured])
        node = median([run.node or 0 for run in measured]) if stage.endswith("to-cassandra") else 0
        peak = median([run.peak for run in measured]) / 1e6
        bound = (cpu + node) / cores
        where = most(usual(runs).busy, "{:.2f} s")
        used = f"{node:.2f}" if node else "-"
        lines.append(
            f"| {name} | `{stage}` | {wall:.2f} | {cpu:.2f} | {used} | {bound:.2f} | {wall / bound:.2f}"
            f" | {idle:.2f} | {stolen:.2f} | {peak:.0f} | {where} |"
        )
    lines += ["", SECOND, "", "| input | stage | samples | waits | allocated |", "|---|---|---|---|---|"]
    for name, stage, runs, sampled in stages:
        shares = ", ".join(f"{library} {share:.0f} %" for library, share in (sampled or [])[:LIBRARIES])
        told = usual(runs)
        waits = most({name: seconds for name, seconds in told.waits.items() if seconds > LEAST_WAIT}, "{:.2f} s")
        lines.append(f"| {name} | `{stage}` | {shares or '-'} | {waits or '-'} | {most(told.allocated, '{:,.0f} MB')} |")
    lines += ["", "What this machine does with the same bytes by other means:", "", "| the machine | MB/s |", "|---|---|"]
    return lines + [f"| {name} | {rate / 1e6:,.0f} |" for name, rate in figures]


def usual(runs):
    """The steps of the run whose time is the median, or next to it."""
    middle = median([run.seconds for run, *_ in runs])
    return min(runs, key=lambda run: abs(run[0].seconds - middle))[-1]


def most(of_steps, form):
    """The steps with the most, as a cell."""
    longest = sorted(of_steps.items(), key=lambda step: -step[1])[:STEPS]
    return ", ".join(f"`{step}` {form.format(figure)}" for step, figure in longest)


if __name__ == "__main__":
    main()
