#!/usr/bin/env python3
"""Instructions that hot functions take, held against what is recorded in bench/instructions.json.

Called by `make bench-instructions`; needs valgrind, and nothing else but Python's standard library. Callgrind runs the tests in
modules named `instructions` of our crates, and counts within functions whose names begin with `counted_`. A busy machine gives the
same numbers as a quiet one. Ends with 1 where a count is more than ROOM percent above the recorded one.

Code takes other paths on other processors, and other compilers make other code. Callgrind shows one processor to the program
whatever the machine has, as long as that has AVX2; the compiler, the C library and callgrind itself are noted with the counts.
Where one of them is another, the table is printed and nothing fails: such counts cannot be compared to some percent.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

CRATES = ["zones", "cassandra", "api"]
RECORD = Path(__file__).with_name("instructions.json")
# A count is steady to some thousandths: hash tables begin with a number of their own in each process.
ROOM = 3.0
COUNTED = "counted_"
# The allocator gives nothing back and tidies no cache by the clock (which took 3 % of a short count in one run and not in the
# next), and has as many arenas on every machine.
ALLOCATOR = {"_RJEM_MALLOC_CONF": f"dirty_decay_ms:-1,muzzy_decay_ms:-1,narenas:1,tcache_gc_incr_bytes:{1 << 40}"}


def said(command):
    """The first line of what a command says."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def processor():
    """What callgrind's processor is taken for: the highest level that the C library sees there."""
    loader = next(iter(sorted(Path("/lib64").glob("ld-linux-*.so.2"))), None)
    if loader is None:
        return platform.machine()
    command = ["valgrind", "-q", "--tool=none", str(loader), "--help"]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    levels = re.findall(r"^  (\S+) \(supported", output, re.MULTILINE)
    return levels[0] if levels else platform.machine()


def surroundings():
    """What decides how many instructions the same source takes."""
    return {
        "processor": processor(),
        "compiler": said(["rustc", "--version"]),
        "libc": " ".join(platform.libc_ver()),
        "valgrind": said(["valgrind", "--version"]),
    }


def test_programs():
    """The programs of the unit tests, by crate; built where they are not there."""
    command = ["cargo", "test", "--locked", "--workspace", "--lib", "--no-run", "--message-format=json"]
    # Incremental compilation cuts code into other pieces and so inlines less: the counts would be those of the machine's last edits.
    environment = {**os.environ, "CARGO_INCREMENTAL": "0"}
    built = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    programs = {}
    for line in built.splitlines():
        message = json.loads(line)
        if message["reason"] == "compiler-artifact" and message["profile"]["test"] and message["target"]["name"] in CRATES:
            programs[message["target"]["name"]] = message["executable"]
    return programs


def inclusive(profile):
    """Instructions of each counted function with all that it calls, from a profile of callgrind's.

    A line `fn=` begins a function, and each line of two numbers after it is a cost: its own at a line, or that of a call.
    """
    counts = {}
    name = None
    for line in profile.splitlines():
        if line.startswith("fn="):
            found = re.search(COUNTED + r"(\w+?)(?:17h[0-9a-f]{16}E)?(?:$|::|'|\.)", line)
            name = found.group(1) if found else None
        elif name and re.match(r"[0-9+*-]\S* \d+$", line):
            counts[name] = counts.get(name, 0) + int(line.split()[1])
    return counts


def tests_of(crate, program):
    """The names of the tests whose functions are counted."""
    listed = subprocess.run([program, "instructions::", "--list"], capture_output=True, text=True, check=True).stdout
    names = [line.removesuffix(": test") for line in listed.splitlines() if line.endswith(": test")]
    if not names:
        sys.exit(f"error: {crate} has no test in a module named instructions")
    return names


def counted(crate, program):
    """Runs the tests of one crate under callgrind, each in a process of its own: the counts by function."""
    counts = {}
    for test in tests_of(crate, program):
        with tempfile.TemporaryDirectory(prefix="instructions-") as folder:
            out = Path(folder) / "callgrind.out"
            command = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}"]
            command += ["--compress-strings=no", "--compress-pos=no", f"--toggle-collect=*{COUNTED}*"]
            command += [program, "--exact", test, "--test-threads=1"]
            environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
            ended = subprocess.run(command, env={**environment, **ALLOCATOR}, capture_output=True, text=True, check=False)
            if ended.returncode != 0:
                sys.exit(f"error: {test} of {crate} under callgrind ended with {ended.returncode}\n{ended.stdout}{ended.stderr}")
            of_test = inclusive(out.read_text())
        if not of_test:
            sys.exit(f"error: callgrind saw no function {COUNTED}... in {test} of {crate}\nhint: is it inlined, or the program stripped?")
        counts.update({f"{crate} {name}": count for name, count in sorted(of_test.items())})
    return counts


def table(rows):
    """Lines of columns: the first to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [text.ljust(width) if column == 0 else text.rjust(width) for column, (text, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def compared(recorded, counts):
    """The table of all functions, those that grew past the room, and those that fell below it."""
    rows = [("function", "recorded", "now", "change")]
    grown, shrunk = [], []
    for name in sorted(recorded.keys() | counts.keys()):
        before, now = recorded.get(name), counts.get(name)
        if before is None or now is None:
            rows.append((name, str(before or "-"), str(now or "-"), "new" if before is None else "gone"))
            continue
        change = (now / before - 1) * 100
        rows.append((name, f"{before:,}", f"{now:,}", f"{change:+.1f} %"))
        if change > ROOM:
            grown.append(f"{name} {change:+.1f} %")
        elif change < -ROOM:
            shrunk.append(f"{name} {change:+.1f} %")
    return table(rows), grown, shrunk


def main():
    parser = argparse.ArgumentParser(description="Instructions of hot functions, held against the recorded ones.")
    parser.add_argument("--record", action="store_true", help="write the counts as the ones to hold others against")
    arguments = parser.parse_args()
    programs = test_programs()
    around = surroundings()
    counts = {}
    for crate in CRATES:
        counts.update(counted(crate, programs[crate]))
    known = json.loads(RECORD.read_text()) if RECORD.exists() else {"surroundings": around, "counts": {}}
    text, grown, shrunk = compared(known["counts"], counts)
    print(text)
    if arguments.record:
        RECORD.write_text(json.dumps({"surroundings": around, "counts": counts}, indent=2) + "\n")
        print(f"recorded in bench/{RECORD.name}", file=sys.stderr)
        return
    other = [f"{what}: recorded {known['surroundings'][what]}, here {here}" for what, here in around.items()
             if known["surroundings"].get(what) != here]
    if other:
        print("not held against the record, which was made with others:\n  " + "\n  ".join(other), file=sys.stderr)
        return
    if shrunk:
        print(f"fewer than recorded: {', '.join(shrunk)}; to hold them: make bench-instructions ARGS=--record", file=sys.stderr)
    if counts.keys() != known["counts"].keys():
        sys.exit("error: the record has other functions\nhint: make bench-instructions ARGS=--record, and commit bench/instructions.json")
    if grown:
        sys.exit(f"error: more than {ROOM:.0f} % above the record: {', '.join(grown)}\n"
                 "hint: find what made it so, or say in the commit why it is worth it and record: "
                 "make bench-instructions ARGS=--record")


if __name__ == "__main__":
    main()
