#!/usr/bin/env python3
"""Times `sluice serve` beside the bare driver and beside the same endpoints in FastAPI with the Python driver, over one Cassandra.

The tables are filled by the program from a file of the generator. The load is wrk's, keys at random over all players and countries;
the bare driver asks itself (read-directly). Of each question every contestant is asked by one caller at a time, then by many, in
turn, several rounds; figures are medians over rounds, differences and ratios those within a round. Answers are compared before.
Processor time is what the kernel counted for the contestant's process. The program has everything on: a key, its limit, cursors,
tags, metrics, a line of access log for each request into a file. Called by `make bench-serving`; needs wrk, and the packages of
scripts/serving-tools.txt. Ends with 1 where a goal was missed.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cassandra.cluster import Cluster

from sessions import measured, print_place

HERE = Path(__file__).parent
DRIVER, PROGRAM, PEER = "bare driver", "sluice serve", "FastAPI"
# What is asked: table, which keys, rows, path.
QUESTIONS = {
    "one row": ("completed-sessions", "players", 1, "/v1/players/{}/completed-sessions?limit=1"),
    "20 rows": ("completed-sessions", "players", 20, "/v1/players/{}/completed-sessions?limit=20"),
    "24 hours of a country": ("started-sessions", "countries", 1000, "/v1/countries/{}/started-sessions?hours=24&limit=1000"),
}
COMPARED = 50
# The goals: milliseconds that one row takes longer than by the bare driver; requests per second and core over FastAPI's; the 99th
# percentile under load over the bare driver's.
ADDED_MS, PER_CORE, TAIL = 0.1, 10, 2


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_resident(pid):
    """The most bytes that a process had in memory so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def until(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    sys.exit(f"{what} within {seconds} s")


def fetched(url, key=None):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return json.load(answer)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status == 200
    except OSError:
        return False


class Bench:
    """The node, the tables, the contestants."""

    def __init__(self, arguments, environment):
        self.arguments, self.environment = arguments, environment
        self.work = arguments.work
        self.keyspace = f"bench_serving_{os.getpid()}"
        self.processes = []

    def fill(self):
        source = self.work / "events.jsonl.zst"
        sizes = ["--sessions", str(self.arguments.sessions), "--days", str(self.arguments.days)]
        subprocess.run([self.arguments.generator, "--out", str(source), *sizes], stdout=subprocess.DEVNULL, check=True)
        self.environment |= {
            "SESSION_EVENTS_URL": source.as_uri(),
            "LAKE_URI": str(self.work / "lake"),
            "CASSANDRA_KEYSPACE": self.keyspace,
        }
        report, seconds, _ = measured([self.arguments.sluice, "run", "session_events", "--output", "json"], self.environment)
        if not report["accounting_closes"]:
            sys.exit("the accounting does not close")
        print(f"{self.arguments.sessions:,} sessions loaded in {seconds:.0f} s", file=sys.stderr)

    def look(self):
        """Keys, and the clock of the pipeline."""
        session = self.cluster.connect(self.keyspace)
        players = sorted({str(row.player_id) for row in session.execute("SELECT DISTINCT player_id FROM completed_sessions")})
        countries = sorted({row.country for row in session.execute("SELECT DISTINCT country, day FROM started_sessions")})
        newest = session.execute("SELECT newest_event FROM sluice_checkpoints WHERE table_name = 'started_sessions'").one()
        self.now = newest.newest_event.replace(tzinfo=timezone.utc)
        self.keys = {"players": players, "countries": countries}
        for name, (_, of, _, path) in QUESTIONS.items():
            self.file(name, "keys").write_text("".join(f"{key}\n" for key in self.keys[of]))
            self.file(name, "paths").write_text("".join(f"{path.format(key)}\n" for key in self.keys[of]))
        print(f"{len(players):,} players, {len(countries)} countries", file=sys.stderr)

    def file(self, question, kind):
        return self.work / f"{question.replace(' ', '_')}.{kind}"

    def start(self, name, command, environment, url):
        log = (self.work / f"{name.replace(' ', '_')}.log").open("wb")
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self.processes.append(process)
        ready = lambda: process.poll() is not None or answers(url)  # noqa: E731
        until(ready, f"{name} did not answer; its log is {log.name}")
        if process.poll() is not None:
            sys.exit(f"{name} ended:\n{Path(log.name).read_text()[-2000:]}")
        return process.pid

    def serve(self):
        keys = self.work / "keys.json"
        make = [self.arguments.sluice, "keys", "make", "--name", "bench", "--rate", "1000000 per second", "--keys", str(keys)]
        made = subprocess.run(make, env=self.environment, capture_output=True, text=True, check=True)
        self.key = made.stdout.strip()
        ports = free_ports(2)
        self.urls = {PROGRAM: f"http://127.0.0.1:{ports[0]}", PEER: f"http://127.0.0.1:{ports[1]}"}
        command = [self.arguments.sluice, "serve", "session_events", "--keys", str(keys), "--listen", f"127.0.0.1:{ports[0]}"]
        self.pids = {
            PROGRAM: self.start(
                PROGRAM, [*command, "--metrics-listen", "none"], self.environment, f"{self.urls[PROGRAM]}/readyz"
            )
        }
        host, port = self.node
        variables = {"HOST": host, "PORT": str(port), "KEYSPACE": self.keyspace, "NOW": self.now.isoformat()}
        uvicorn = ["-m", "uvicorn", "serving_peer:app", "--app-dir", str(HERE), "--port", str(ports[1]), "--no-access-log"]
        command = [sys.executable, *uvicorn, "--loop", "uvloop", "--http", "httptools", "--log-level", "warning"]
        self.pids[PEER] = self.start(PEER, command, {**self.environment, **variables}, f"{self.urls[PEER]}/openapi.json")

    def direct(self, question, *more):
        table, _, limit, _ = QUESTIONS[question]
        # To the instant after now, and from 24 hours before it, as the program resolves it.
        millis = lambda time: str(round(time.timestamp() * 1000))  # noqa: E731
        bounds = ["--from", millis(self.now - timedelta(hours=24)), "--to", millis(self.now + timedelta(milliseconds=1))]
        command = [self.arguments.driver, "--table", table, "--keys", str(self.file(question, "keys")), "--limit", str(limit)]
        return measured([*command, *bounds, *more], self.environment)[0]

    def compare(self):
        """Each contestant's rows of the first keys, value by value."""
        for question, (_, of, _, path) in QUESTIONS.items():
            direct = self.direct(question, "--show", str(COMPARED))
            for key, rows in zip(self.keys[of], direct):
                for name in (PROGRAM, PEER):
                    found = fetched(self.urls[name] + path.format(key), self.key if name == PROGRAM else None)["items"]
                    if [plain(row) for row in found] != [plain(row) for row in rows]:
                        sys.exit(f"{name} answers {question} of {key} differently:\n{found}\n{rows}")
        print(f"the answers to {COMPARED} keys of each question are the same rows", file=sys.stderr)

    def load(self, question, name, callers, seconds):
        if name == DRIVER:
            found = self.direct(question, "--readers", str(callers), "--seconds", str(seconds))
        else:
            wrk = ["wrk", "-t1", f"-c{callers}", f"-d{seconds}s", "-s", str(HERE / "serving_load.lua"), self.urls[name], "--"]
            wrk += [str(self.file(question, "paths"))] + ([self.key] if name == PROGRAM else [])
            before = processor_seconds(self.pids[name])
            said = subprocess.run(wrk, capture_output=True, text=True, check=True).stdout
            found = json.loads(said.splitlines()[-1])
            found["cpu_seconds"] = processor_seconds(self.pids[name]) - before
            found["peak"] = peak_resident(self.pids[name])
            if found["refused"] or found["errors"]:
                sys.exit(f"{name} answered {question} with errors: {found}")
        found["rate"] = found["requests"] / found["seconds"]
        found["per_core"] = found["requests"] / found["cpu_seconds"]
        return found

    def round(self, number):
        figures = {}
        contestants = [DRIVER, PROGRAM, PEER]
        for question in QUESTIONS:
            for kind, callers in (("alone", 1), ("loaded", self.arguments.callers)):
                # Another one begins in each round.
                for name in contestants[number % 3 :] + contestants[: number % 3]:
                    figures[f"{question}/{name}/{kind}"] = self.load(question, name, callers, self.arguments.seconds)
        return figures

    def end(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        if cluster := getattr(self, "cluster", None):
            cluster.connect().execute(f"DROP KEYSPACE IF EXISTS {self.keyspace}", timeout=60)
            cluster.shutdown()


def plain(row):
    """A row with its times as instants: each contestant writes them as its language does."""

    def value(text):
        try:
            return datetime.fromisoformat(text) if isinstance(text, str) and "T" in text else text
        except ValueError:
            return text

    return {name: value(text) for name, text in row.items()}


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [open_socket.getsockname()[1] for open_socket in sockets]
    for open_socket in sockets:
        open_socket.close()
    return ports


def print_figures(rounds, callers):
    def median(question, name, kind, of):
        return statistics.median(figures[f"{question}/{name}/{kind}"][of] for figures in rounds)

    print(f"\n{'':36}{'alone':>10}{f'{callers} callers':>46}")
    columns = ("p50, ms", "p50, ms", "p99, ms", "per s", "per s, core")
    print(f"{'':36}" + "".join(f"{column:>{width}}" for column, width in zip(columns, (10, 10, 10, 12, 14))))
    for question in QUESTIONS:
        for name in (DRIVER, PROGRAM, PEER):
            times = [median(question, name, kind, of) / 1000 for kind, of in (("alone", "p50"), ("loaded", "p50"), ("loaded", "p99"))]
            rates = median(question, name, "loaded", "rate"), median(question, name, "loaded", "per_core")
            print(f"{f'{question}, {name}':36}" + "".join(f"{t:>10.3f}" for t in times) + f"{rates[0]:>12,.0f}{rates[1]:>14,.0f}")


def goals(rounds):
    """What was to be reached, what was, and whether it is."""

    def within(combine, question, other, kind, of):
        pairs = [(figures[f"{question}/{PROGRAM}/{kind}"][of], figures[f"{question}/{other}/{kind}"][of]) for figures in rounds]
        return statistics.median(combine(*pair) for pair in pairs)

    added = within(lambda ours, theirs: (ours - theirs) / 1000, "one row", DRIVER, "alone", "p50")
    yield f"one row, one caller: {added:.3f} ms more than the bare driver at the median", f"at most {ADDED_MS}", added <= ADDED_MS
    for question in QUESTIONS:
        ratio = within(lambda ours, theirs: ours / theirs, question, PEER, "loaded", "per_core")
        yield f"{question}: {ratio:.1f} times FastAPI's requests per second and core", f"at least {PER_CORE}", ratio >= PER_CORE
    for question in QUESTIONS:
        ratio = within(lambda ours, theirs: ours / theirs, question, DRIVER, "loaded", "p99")
        yield f"{question}: under load {ratio:.2f} times the bare driver's p99", f"at most {TAIL}", ratio <= TAIL


def main():
    parser = argparse.ArgumentParser(description="Times sluice serve beside the bare driver and FastAPI.")
    parser.add_argument("--sluice", required=True, help="the program")
    parser.add_argument("--profile", required=True, help="how it was built, for the record")
    parser.add_argument("--generator", required=True, help="session-events-file")
    parser.add_argument("--driver", required=True, help="read-directly")
    parser.add_argument("--work", required=True, type=Path, help="folder for file, lake and node; removed at the end")
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=8, help="over which the sessions are spread")
    parser.add_argument("--rounds", type=int, default=3, help="besides one that warms everything up")
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--callers", type=int, default=64, help="at a time, under load")
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
    print(f"the program and the bare driver: profile {arguments.profile}; {arguments.callers} callers under load")
    sys.stdout.flush()
    bench = Bench(arguments, environment)
    rounds = []
    try:
        if own_node:
            subprocess.run([arguments.sluice, "node", "up"], env=environment, stdout=subprocess.DEVNULL, check=True)
        bench.node = place_of_node(arguments.sluice, environment)
        bench.cluster = Cluster([bench.node[0]], port=bench.node[1])
        bench.fill()
        bench.look()
        bench.serve()
        bench.compare()
        for number in range(arguments.rounds + 1):
            print(f"round {number} of {arguments.rounds}" if number else "warming up", file=sys.stderr)
            rounds.append(bench.round(number))
    finally:
        bench.end()
        if own_node:
            subprocess.run([arguments.sluice, "node", "down"], env=environment, stdout=subprocess.DEVNULL, check=False)
        shutil.rmtree(arguments.work, ignore_errors=True)
    rounds = rounds[1:]
    print_figures(rounds, arguments.callers)
    print()
    missed = 0
    for reached, goal, is_reached in goals(rounds):
        missed += not is_reached
        print(f"{'ok' if is_reached else 'MISSED':8}{reached} (goal: {goal})")
    if arguments.json:
        arguments.json.write_text(json.dumps({"profile": arguments.profile, "rounds": rounds}, indent=1))
    sys.exit(1 if missed else 0)


def place_of_node(sluice, environment):
    host = environment.get("CASSANDRA_HOST")
    if host:
        return host, int(environment.get("CASSANDRA_PORT", "9042"))
    said = json.loads((Path(environment["SLUICE_DIR"]) / "node.json").read_text())
    return said["host"], said["port"]


if __name__ == "__main__":
    main()
