"""F: peak memory for some data and for ten times as much: the chain of row A, and the load of row B.

Each size twice at most, on an empty lake, without a run to warm up: what is compared is memory, which differs little from run to run. `make bench-memory` says which
stage grows where one does.
"""

import json
import shutil

from contest import Contest, Contestant, Goal, Row
from rows import ingest, sessions

TIMES, LIMIT = 10, 1.2
# On top of the events, as in row A4: every part of a load is to have something to hold.
NASTY = ["--duplicates", 1, "--late", 2, "--bad", 1]


class Grown(Contestant):
    """One pipeline over so many times its data. Makes its input, and removes it with the lake."""

    what = ""

    def __init__(self, place, times):
        self.place, self.times = place, times
        self.name = f"{self.what}, {'once' if times == 1 else f'{times} times'}"
        self.folder = place.work / f"memory_{self.what.split()[0]}_{times}"
        self.report = self.expected = None

    def prepare(self):
        self.place.folder(self.folder.name)
        self.make()

    def run(self):
        measured = self.place.sluice_run(
            "run", self.pipeline, "--output", "json", **self.variables(), LAKE_URI=self.folder / "lake", timeout=7200
        )
        self.report = json.loads(measured.output)
        measured.extra["read"] = sum(
            stage["counts"]["read"] for stage in self.report["stages"] if stage["stage"] == "landing-to-raw"
        )
        return measured

    def result(self):
        found = self.found() if self.report["accounting_closes"] else "the accounting does not close"
        shutil.rmtree(self.folder)
        return {"rows": "as made" if found == self.expected else f"{found} instead of {self.expected}"}


class SessionEvents(Grown):
    what = "session events"
    pipeline = sessions.PIPELINE
    # What is compared, and where that is in the lake.
    tables = {"raw events": "raw/bench_sessions/session_events", "sessions": "use_case/bench_sessions/sessions"}

    def make(self):
        file, summary = self.folder / "events.jsonl", self.folder / "summary.json"
        count, days = self.times * self.place.size(sessions.SESSIONS), sessions.SMALL_DAYS if self.place.small else sessions.DAYS
        sessions.generate(self.place, file, "--sessions", count, "--days", days, "--summary", summary, *NASTY)
        truth = json.loads(summary.read_text())["truth"]
        if not self.expected:
            # The generator makes the same file each time.
            in_lake, _ = sessions.truth(self.place, file)
            self.expected = {name: in_lake[name] for name in self.tables} | {"sent": truth["starts"] + truth["complete"]}
        self.place.quiet_node()

    def variables(self):
        return {
            "SESSION_EVENTS_URL": (self.folder / "events.jsonl").as_uri(),
            "CASSANDRA_KEYSPACE": self.place.keyspace(self.folder.name),
        }

    def found(self):
        asked = ({"delta": str(self.folder / "lake" / table), "select": sessions.TRUTH[name][1]} for name, table in self.tables.items())
        in_lake = dict(zip(self.tables, map(sessions.in_words, self.place.look(*asked))))
        sent = sum(stage["written"] for stage in self.report["stages"] if stage["stage"].endswith("-to-cassandra"))
        self.place.drop(self.place.keyspace(self.folder.name))
        return in_lake | {"sent": sent}


class Interactions(Grown):
    what = "interactions"
    pipeline = ingest.PIPELINE

    def __init__(self, place, times, given):
        super().__init__(place, times)
        self.given = given

    def make(self):
        self.given.make()
        file = self.folder / ingest.ENTRY
        # The same again, by other students.
        select = f"SELECT t.* REPLACE (id_student + 10000000 * n AS id_student) FROM t, range({self.times}) r(n) ORDER BY n"
        read = {"t": f"SELECT * FROM {ingest.csv_of(self.given.csv)}"}
        self.place.look({"files": read, "copy": str(file), "select": select})
        self.expected = self.expected or ingest.truth(self.place, file)

    def variables(self):
        return {"INTERACTIONS_URL": (self.folder / ingest.ENTRY).as_uri()}

    def found(self):
        table = str(self.folder / "lake" / "raw" / "interactions" / "interactions")
        (rows,) = self.place.look({"delta": table, "select": ingest.CONTENT, "values": True})
        return ingest.content(rows)


class Memory(Contest):
    def __init__(self, place):
        self.place = place
        given = ingest.Input(place)
        contestants = [
            SessionEvents(place, 1),
            SessionEvents(place, TIMES),
            Interactions(place, 1, given),
            Interactions(place, TIMES, given),
        ]
        row = Row(
            key="memory",
            letter="F",
            title="Memory, for some data and for ten times as much",
            goal=f"at most {LIMIT} times the peak for {TIMES} times the data",
            contestants=contestants,
            goals=[
                Goal("peak", "ratio_at_most", LIMIT, of=large.name, to=small.name)
                for small, large in (contestants[:2], contestants[2:])
            ],
            ours="",
            extras={"read": ("records read", "")},
            plotted=["peak"],
            truth={"rows": "as made"},
            compared="the distinct events of the raw table, the rows of the use-case table, and the interactions, each by count"
            " and by a hash of all values, with what DuckDB makes of the input; the rows sent to Cassandra with what the"
            " generator counted.",
            setting="An empty lake each, warm node. The session events have 1 % duplicates, 2 % late events and 1 % bad lines.",
            input="The session events of row A by the same pipeline, the interactions of row B by theirs; ten times as many"
            " by ten times as many sessions, and by ten times as many students.",
            warm_up=False,
            most_runs=2,
        )
        super().__init__([row])

    def setup(self):
        self.place.need_node()

    def teardown(self):
        for contestant in self.rows[0].contestants:
            shutil.rmtree(contestant.folder, ignore_errors=True)
        shutil.rmtree(self.place.work / "ingest", ignore_errors=True)


def contests(place):
    return [Memory(place)]
