"""E: the REST API beside the bare driver and beside FastAPI. bench/serving.py measures all of it; here it becomes a row.

A run of a contestant is a round: each question by one caller at a time, then by many. What `sluice serve` is compared by is
computed within a round.
"""

import json
import shutil

import measure
import peers
from contest import FAILED, MISSING, Contest, Contestant, Goal, Record, Row, say
from place import HERE

SESSIONS, CALLERS, SECONDS, TRIAL_SECONDS = 100_000, 64, 4, 1
DRIVER, PROGRAM, PEER = "bare driver", "sluice serve", "FastAPI"
QUESTIONS = ("one row", "20 rows", "24 hours of a country")
ONE = QUESTIONS[0]
# See bench/serving.py, whose goals these are.
ADDED_MS, PER_CORE, TAIL = 0.1, 10, 2


class Asked(Contestant):
    """Only a name: all of them are measured together."""

    def __init__(self, name):
        self.name = name


class Serving(Contest):
    def __init__(self, place):
        self.place = place
        row = Row(
            key="serving",
            letter="E",
            title="Serving: one row, 20 rows, 24 hours of starts",
            goal="one row at most 0.1 ms later than by the bare driver, 10 times FastAPI's requests per core, at most twice"
            " the bare driver's p99",
            contestants=[Asked(f"{name}, {question}") for question in QUESTIONS for name in (PROGRAM, DRIVER, PEER)],
            ours=PROGRAM,
            goals=[
                Goal(
                    "added",
                    "at_most",
                    ADDED_MS,
                    of=f"{PROGRAM}, {ONE}",
                    text=f"{ONE}, one caller: at most {ADDED_MS} ms more than by the bare driver",
                ),
                *(
                    Goal(
                        "per_core_ratio",
                        "at_least",
                        PER_CORE,
                        of=f"{PROGRAM}, {question}",
                        text=f"{question}: at least {PER_CORE} times FastAPI's requests per core",
                    )
                    for question in QUESTIONS
                ),
                *(
                    Goal(
                        "tail_ratio",
                        "at_most",
                        TAIL,
                        of=f"{PROGRAM}, {question}",
                        text=f"{question}: p99 under load at most {TAIL} times the bare driver's",
                    )
                    for question in QUESTIONS
                ),
            ],
            extras={
                "alone": ("p50 of one caller", "ms"),
                "p50": (f"p50 of {CALLERS} callers", "ms"),
                "p99": (f"p99 of {CALLERS} callers", "ms"),
                "rate": ("requests a second", ""),
                "per_core": ("requests a second and core", ""),
                "cpu_each": ("CPU a request", "us"),
                "added": ("more than the bare driver, one caller", "ms"),
                "per_core_ratio": ("times FastAPI's requests per core", ""),
                "tail_ratio": ("times the bare driver's p99", ""),
            },
            plotted=["alone", "p99", "per_core"],
            compared="the answers to 50 keys of each question, value by value, among all three, before anything is measured.",
            setting=f"Keys at random over all players and countries; by one caller at a time, then by {CALLERS}, by"
            " wrk; the contestants in turn. The program has a key to check, its limit, cursors, tags, metrics and a log of"
            " accesses; the others have none of these. Memory is that of the process of each (of the servers so far).",
        )
        super().__init__([row])

    def run(self, repeat):
        place, (row,) = self.place, self.rows
        try:
            python = peers.tools("serving-tools.txt")
            if not shutil.which("wrk"):
                raise peers.NotAvailable("there is no wrk, which makes the load: scripts/install.sh load")
            place.need_node()
            sessions = place.size(SESSIONS)
            row.input = f"Tables of {sessions:,} sessions of 8 days, filled by the pipeline session_events."
            figures = place.folder("serving") / "figures.json"
            command = [python, HERE / "serving.py", "--sluice", place.sluice, "--profile", place.sluice.parent.name]
            command += ["--generator", place.program("session-events-file"), "--driver", place.program("read-directly")]
            command += ["--work", place.work / "serving_work", "--sessions", sessions, "--rounds", repeat, "--callers", CALLERS]
            command += ["--seconds", TRIAL_SECONDS if place.small else SECONDS, "--json", figures]
            say(f"{row.letter}: bench/serving.py")
            measured = measure.run(command, place.environment(), cwd=HERE.parent, timeout=3600)
            # It ends with 1 where a goal was missed as well; without figures it is something else.
            if not figures.exists():
                measured.checked("serving.py")
            rounds = json.loads(figures.read_text())["rounds"]
        except (peers.NotAvailable, measure.Failed) as error:
            state = MISSING if isinstance(error, peers.NotAvailable) else FAILED
            say(str(error))
            row.records = {each.name: Record(each.name, state=state, reason=str(error)) for each in row.contestants}
            return
        fastapi = peers.pinned(HERE.parent / "scripts" / "serving-tools.txt")["fastapi"]
        row.setting += f" FastAPI {fastapi} has one worker of uvicorn."
        row.records = {each.name: Record(each.name) for each in row.contestants}
        for question in QUESTIONS:
            for name in (PROGRAM, DRIVER, PEER):
                runs = [figures_of(round_, question, name) for round_ in rounds]
                row.records[f"{name}, {question}"].runs = runs
        shutil.rmtree(place.work / "serving")


def figures_of(figures, question, name):
    """A round of one contestant."""

    def of(contestant, kind, metric):
        return figures[f"{question}/{contestant}/{kind}"][metric]

    # Microseconds there.
    run = {
        "alone": of(name, "alone", "p50") / 1000,
        "p50": of(name, "loaded", "p50") / 1000,
        "p99": of(name, "loaded", "p99") / 1000,
    }
    per_core = of(name, "loaded", "per_core")
    run |= {"rate": of(name, "loaded", "rate"), "per_core": per_core, "cpu_each": 1e6 / per_core, "peak": of(name, "loaded", "peak")}
    if name == PROGRAM:
        run["added"] = (of(PROGRAM, "alone", "p50") - of(DRIVER, "alone", "p50")) / 1000
        run["per_core_ratio"] = of(PROGRAM, "loaded", "per_core") / of(PEER, "loaded", "per_core")
        run["tail_ratio"] = of(PROGRAM, "loaded", "p99") / of(DRIVER, "loaded", "p99")
    return run


def contests(place):
    return [Serving(place)]
