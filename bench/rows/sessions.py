"""A, A2, A3, A4: the whole chain of session events, from a file of JSON lines to two Cassandra tables, beside Spark.

Both begin with an empty lake and with empty Cassandra tables of the same design (both pairs made by `sluice create-tables`),
and read the same plain file. A2 and A3 go on with the lake that A left: the same file again, then one more day. What is in the
lake and in Cassandra is compared with what DuckDB makes of the good events, which Python's own JSON found (sessions_truth.py).
"""

import json
import shutil
import sys

import measure
import peers
from contest import Contest, Contestant, Goal, Row
from place import HERE

PIPELINE = HERE / "pipelines" / "sessions"
SESSIONS, DAYS, LATE_SESSIONS = 500_587, 30, 16_900
NASTY_SESSIONS, DUPLICATES, BAD = 10_000, 2, 1
# A trial has fewer dates too: Spark takes seconds for each.
SMALL_DAYS = 3
FIRST_DAY, LATE_DAY = "2016-11-01", "2016-12-01"
STAGES = {
    "load": ("to raw", "s"),
    "merge": ("to use case", "s"),
    "cassandra": ("to Cassandra", "s"),
}
COMPARED = (
    "the distinct events of the raw table, the rows of the use-case table and the rows of both Cassandra tables, each by count"
    " and by a hash of all values, with what DuckDB makes of the good events of the input"
)
ID = "replace({0}::VARCHAR, '-', '') AS {0}"
PLAYER, SESSION = ID.format("player_id"), ID.format("session_id")
# The values that are compared; Cassandra keeps milliseconds, and what is below is cut off.
EVENTS = f"SELECT DISTINCT event, country, {PLAYER}, {SESSION}, epoch_us(ts) AS ts FROM t"
FOLDED = f"SELECT {SESSION}, {PLAYER}, country, epoch_us(start_ts) AS start_ts, epoch_us(end_ts) AS end_ts FROM t"
STARTED = f"SELECT country, epoch_us(hour) // 1000 AS hour, epoch_us(ts) // 1000 AS ts, {SESSION}, {PLAYER} FROM t"
COMPLETED = (
    f"SELECT {PLAYER}, epoch_us(end_ts) // 1000 AS end_ts, {SESSION}, country, epoch_us(start_ts) // 1000 AS start_ts FROM t"
)
TRUTH = {
    "raw events": ("SELECT * FROM events", EVENTS),
    "sessions": ("SELECT * FROM sessions", FOLDED),
    "started": ("SELECT *, date_trunc('hour', ts) AS hour FROM events WHERE event = 'start'", STARTED),
    "completed": ("SELECT * FROM sessions WHERE start_ts IS NOT NULL AND end_ts IS NOT NULL", COMPLETED),
}


class Chain:
    """A lake and a pair of Cassandra tables that one program fills, through all rows of a turn."""

    def __init__(self, place, name):
        self.place, self.name = place, name
        self.turn = 0
        self.file = self.late = None
        # Below the lake: the raw table and the use-case table.
        self.tables = ()

    @property
    def folder(self):
        return self.place.work / f"{self.name}_lake"

    @property
    def keyspace(self):
        return self.place.keyspace(f"{self.name}_{self.turn}")

    def begin(self):
        """An empty lake and empty Cassandra tables."""
        if self.turn:
            self.place.drop(self.keyspace)
        self.turn += 1
        shutil.rmtree(self.folder, ignore_errors=True)
        # By a lake that is not used for anything else.
        variables = {"SESSION_EVENTS_URL": self.file.as_uri(), "CASSANDRA_KEYSPACE": self.keyspace}
        self.place.sluice_run("create-tables", PIPELINE, **variables, LAKE_URI=self.place.folder(f"{self.name}_design"))
        self.place.quiet_node()

    def commits(self):
        return self.place.look(*({"commits": str(self.folder / table)} for table in self.tables))

    def content(self):
        raw, folded = (str(self.folder / table) for table in self.tables)
        found = self.place.look(
            {"delta": raw, "select": EVENTS},
            {"delta": folded, "select": FOLDED},
            {
                "cassandra": f"{self.keyspace}.started",
                "columns": ["country", "hour", "ts", "session_id", "player_id"],
                "select": STARTED,
            },
            {
                "cassandra": f"{self.keyspace}.completed",
                "columns": ["player_id", "end_ts", "session_id", "country", "start_ts"],
                "select": COMPLETED,
            },
        )
        return dict(zip(TRUTH, map(in_words, found)))


class SluiceChain(Chain):
    def __init__(self, place, name):
        super().__init__(place, f"sluice_{name}")
        self.tables = ("raw/bench_sessions/session_events", "use_case/bench_sessions/sessions")

    def available(self):
        pass

    def run(self, file):
        variables = {"SESSION_EVENTS_URL": file.as_uri(), "CASSANDRA_KEYSPACE": self.keyspace, "LAKE_URI": self.folder}
        measured = self.place.sluice_run("run", PIPELINE, "--output", "json", **variables)
        report = json.loads(measured.output)
        if not report["accounting_closes"]:
            raise measure.Failed("the accounting does not close")
        stages = {"load": "landing-to-raw", "merge": "raw-to-use-case"}
        for name, stage in stages.items():
            measured.extra[name] = seconds_of(report, stage)
        # Both run beside the rest of the chain: the later end is not known to the report, so this is a sum.
        measured.extra["cassandra"] = seconds_of(report, "raw-to-cassandra") + seconds_of(report, "use-case-to-cassandra")
        return measured


class SparkChain(Chain):
    def __init__(self, place, name):
        super().__init__(place, f"spark_{name}")
        self.tables = ("raw", "sessions")
        self.spark = None

    def available(self):
        self.spark = peers.spark()

    def run(self, file):
        host, port = self.place.node
        self.folder.mkdir(exist_ok=True)
        command = [self.spark["python"], HERE / "peers" / "spark_sessions.py", "--input", file, "--lake", self.folder]
        command += ["--keyspace", self.keyspace, "--host", host, "--port", port, "--jars", self.spark["jars"]]
        measured = measure.run(command, self.spark["env"], timeout=3600, beside=self.place.node_pid).checked("spark_sessions.py")
        seconds = json.loads(measured.output.splitlines()[-1])
        measured.extra = {"load": seconds["load"], "merge": seconds["merge"]}
        measured.extra["cassandra"] = seconds.get("started", 0) + seconds.get("completed", 0)
        return measured


class Cold(Contestant):
    """The whole file into an empty lake."""

    def __init__(self, chain, name, note="", version=""):
        self.chain, self.name, self.note, self.version = chain, name, note, version

    def available(self):
        self.chain.available()

    def prepare(self):
        self.chain.begin()

    def run(self):
        return self.chain.run(self.chain.file)

    def result(self):
        return self.chain.content()


class Again(Cold):
    """The same file once more."""

    def prepare(self):
        self.chain.place.quiet_node()
        self.before = self.chain.commits()

    def result(self):
        return {"new commits": self.chain.commits() != self.before, **self.chain.content()}


class Late(Cold):
    """One more day."""

    def prepare(self):
        self.chain.place.quiet_node()

    def run(self):
        return self.chain.run(self.chain.late)


class Sessions(Contest):
    """A file, the same file again, one more day."""

    def __init__(self, place):
        self.place = place
        self.chains = [SluiceChain(place, "sessions"), SparkChain(place, "sessions")]
        super().__init__(
            [
                self.row(
                    "sessions",
                    "A",
                    "Session events, the whole chain",
                    "at most 1/20 of the time and 1/10 of the memory",
                    Cold,
                    20,
                    10,
                ),
                self.row(
                    "sessions_again", "A2", "The same file again", "at most 1/25 of the time, without reading the file", Again, 25
                ),
                self.row("sessions_late", "A3", "One late day", "at most 1/20 of the time", Late, 20),
            ]
        )

    def row(self, key, letter, title, goal, phase, time, memory=None):
        return chain_row(self.chains, phase, key, letter, title, goal, time, memory)

    def setup(self):
        place = self.place
        place.need_node()
        folder = place.folder("sessions_input")
        file, late = folder / "events.jsonl", folder / "late.jsonl"
        days = SMALL_DAYS if place.small else DAYS
        generate(place, file, "--sessions", place.size(SESSIONS), "--days", days)
        lines = one_day(place, late, place.size(LATE_SESSIONS))
        for chain in self.chains:
            chain.file, chain.late = file, late
        rows = {row.key: row for row in self.rows}
        rows["sessions"].truth, events = truth(place, file)
        size = file.stat().st_size / 1e6
        text = f"{events:,} events of {place.size(SESSIONS):,} sessions on {days + 1} dates, {size:,.1f} MB of JSON lines"
        rows["sessions"].input = f"{text}."
        if "sessions_again" in rows:
            rows["sessions_again"].truth = {"new commits": False, **rows["sessions"].truth}
            rows["sessions_again"].input = f"The file of row A: {text}."
        if "sessions_late" in rows:
            rows["sessions_late"].truth, _ = truth(place, file, late)
            rows["sessions_late"].input = f"{lines:,} events of {LATE_DAY}, after those of row A."

    def teardown(self):
        clear(self.place, self.chains, "sessions_input")


class Nasty(Contest):
    """A small file that has everything: many dates, shuffled, duplicates, bad lines."""

    def __init__(self, place):
        self.place = place
        self.chains = [SluiceChain(place, "nasty"), SparkChain(place, "nasty")]
        title, goal = "Small batches: few events on many dates", "at most 1/40 of the time, and right"
        row = chain_row(self.chains, Cold, "sessions_nasty", "A4", title, goal, 40)
        # The duplicates and some of the bad lines stay in what Spark makes.
        words = "wall time at most 1/40 of that of Spark, also where that ends with a wrong result"
        row.goals = [Goal("seconds", "ratio_at_most", 1 / 40, text=words, of_wrong=True)]
        super().__init__([row])

    def setup(self):
        place, (row,) = self.place, self.rows
        place.need_node()
        file = place.folder("nasty_input") / "events.jsonl"
        days, sessions = SMALL_DAYS if place.small else DAYS, place.size(NASTY_SESSIONS)
        generate(place, file, "--sessions", sessions, "--days", days, "--shuffle", "--duplicates", DUPLICATES, "--bad", BAD)
        for chain in self.chains:
            chain.file = file
        row.truth, events = truth(place, file)
        row.input = (
            f"{events:,} good events on {days + 1} dates in random order, {DUPLICATES} % of them twice, and {BAD} % bad lines, of"
            " all kinds that session-events-file makes."
        )

    def teardown(self):
        clear(self.place, self.chains, "nasty_input")


def chain_row(chains, phase, key, letter, title, goal, time, memory=None):
    ours, theirs = chains
    spark = peers.versions("spark")
    note = (
        f"local[2] with 4 GB, 2 snapshot partitions and 2 shuffle partitions; delta-spark {spark['delta-spark']}, connector"
        " 3.5.1, rows sorted by Cassandra's partition key; bad records are left out without a trace, duplicates"
        " stay in the raw table"
    )
    return Row(
        key=key,
        letter=letter,
        title=title,
        goal=goal,
        contestants=[phase(ours, "Sluice"), phase(theirs, "Spark", note, spark["pyspark"])],
        baseline="Spark",
        goals=[Goal("seconds", "ratio_at_most", 1 / time)] + ([Goal("peak", "ratio_at_most", 1 / memory)] if memory else []),
        extras=STAGES,
        compared=f"that neither table has a new commit; {COMPARED}." if phase is Again else f"{COMPARED}.",
        setting={
            Cold: "Empty lake, empty Cassandra tables (made before), warm node.",
            Again: "Goes on with the lake of the row before: there is nothing new.",
            Late: "Goes on with the lake of the rows before.",
        }[phase]
        + " Stages of Sluice overlap, so their times are no parts of the whole.",
    )


def generate(place, file, *options):
    measure.run([place.program("session-events-file"), "--out", file, *options]).checked("session-events-file")


def one_day(place, file, sessions):
    """Events of the day after the last one, of sessions that nobody has seen before: returns how many."""
    other = file.with_name("other.jsonl")
    generate(place, other, "--sessions", sessions, "--days", 1, "--seed", 2017)
    lines = 0
    with other.open() as source, file.open("w") as target:
        for line in source:
            if f'"{FIRST_DAY}' in line:
                target.write(line.replace(FIRST_DAY, LATE_DAY))
                lines += 1
    other.unlink()
    return lines


def truth(place, *files):
    """What every contestant's result has to be, and how many good events there are."""
    events = files[0].with_name("good.csv")
    measure.run([sys.executable, HERE / "sessions_truth.py", events, *files]).checked("sessions_truth.py")
    types = "{'event': 'VARCHAR', 'country': 'VARCHAR', 'player_id': 'VARCHAR', 'session_id': 'VARCHAR', 'ts': 'TIMESTAMP'}"
    folded = """
        SELECT session_id, min(player_id) AS player_id, min(country) FILTER (WHERE event = 'start') AS country,
          min(ts) FILTER (WHERE event = 'start') AS start_ts, max(ts) FILTER (WHERE event = 'end') AS end_ts
        FROM events GROUP BY session_id"""
    views = {"events": f"SELECT * FROM read_csv('{events}', header = true, columns = {types}, nullstr = '')", "sessions": folded}
    found = place.look(*({"files": {**views, "t": source}, "select": select} for source, select in TRUTH.values()))
    events.unlink()
    return dict(zip(TRUTH, map(in_words, found))), found[0]["rows"]


def in_words(found):
    return f"{found['rows']:,} rows, hash {found['hash']}"


def seconds_of(report, stage):
    return sum(one["seconds"] for one in report["stages"] if one["stage"] == stage)


def clear(place, chains, folder):
    for chain in chains:
        shutil.rmtree(chain.folder, ignore_errors=True)
        if chain.turn:
            place.drop(chain.keyspace)
    shutil.rmtree(place.work / folder, ignore_errors=True)


def contests(place):
    return [Sessions(place), Nasty(place)]
