"""D: a million rows into one Cassandra table, from a file in random order and from one that is sorted by the table's partition.

Every run begins with an empty table that `sluice create-tables` made. Sluice sends them by its stage raw-to-cassandra as a
process of its own, from a raw table that holds them in the order of the file: the load before it is not timed, as reading CSV
is with DSBulk and the Python driver. The bare driver is a limit, not a rival: a loop over rows that lie in memory, timed by
itself.
"""

import json
import shutil

import measure
import peers
from contest import Contest, Contestant, Goal, Row
from place import HERE

PIPELINE = HERE / "pipelines" / "completed"
ROWS, PLAYERS = 1_000_000, 39_000
TIMES, OF_DRIVER, CPU_OF_ROW = 5, 0.9, 1.0
UNSORTED, SORTED = "unsorted", "sorted"
COLUMNS = ["player_id", "end_ts", "session_id", "country", "start_ts"]
CONTENT = """
    SELECT player_id::VARCHAR AS player_id, epoch_us(end_ts::TIMESTAMP) AS end_ts, session_id::VARCHAR AS session_id, country,
      epoch_us(start_ts::TIMESTAMP) AS start_ts FROM t"""
# Values that look as random as they are the same in every run. A player has some 25 sessions, in a month of milliseconds.
MADE = """
    SELECT md5('player' || (hash(i) % {players})::VARCHAR)::UUID AS player_id,
      strftime(end_ts, '%Y-%m-%dT%H:%M:%S.%gZ') AS end_ts, md5('session' || i::VARCHAR)::UUID AS session_id,
      chr((65 + hash(i, 'a') % 26)::INTEGER) || chr((65 + hash(i, 'b') % 26)::INTEGER) AS country,
      strftime(end_ts - to_milliseconds((hash(i, 'length') % 7200000)::BIGINT), '%Y-%m-%dT%H:%M:%S.%gZ') AS start_ts,
      '2016-12-01T00:00:00Z' AS exported_at
    FROM (
      SELECT i, TIMESTAMP '2016-11-01' + to_milliseconds((hash(i, 'end') % 2592000000)::BIGINT) AS end_ts
      FROM range({rows}) n(i))"""


class Writer(Contestant):
    """A program that writes the file of one order into a keyspace of its own."""

    def __init__(self, contest, program, order, note="", version=""):
        self.contest, self.place, self.order = contest, contest.place, order
        self.name, self.note, self.version = f"{program}, {order}", note, version
        self.keyspace_name = f"{program}_{order}".lower().replace(" ", "_")

    @property
    def keyspace(self):
        return self.place.keyspace(self.keyspace_name)

    @property
    def file(self):
        return self.contest.files[self.order]

    def prepare(self):
        self.place.drop(self.keyspace)
        self.place.sluice_run("create-tables", PIPELINE, **self.variables())
        self.place.quiet_node()

    def variables(self):
        return {
            "COMPLETED_URL": self.file.as_uri(),
            "LAKE_URI": self.contest.lake(self.order),
            "CASSANDRA_KEYSPACE": self.keyspace,
        }

    def figures(self, measured):
        """With what a row costs beside it."""
        rows = self.contest.count
        measured.extra["rate"] = rows / measured.seconds
        measured.extra["cpu_row"] = measured.cpu / rows * 1e6
        if measured.node is not None:
            measured.extra["node_row"] = measured.node / rows * 1e6
        return measured

    def result(self):
        (found,) = self.place.look({"cassandra": f"{self.keyspace}.completed", "columns": COLUMNS, "select": CONTENT})
        return {"rows": found["rows"], "hash": found["hash"]}


class Sluice(Writer):
    def run(self):
        measured = self.place.sluice_run("raw-to-cassandra", PIPELINE, "--output", "json", **self.variables())
        written = sum(stage["written"] for stage in json.loads(measured.output)["stages"])
        if written != self.contest.count:
            raise measure.Failed(f"raw-to-cassandra wrote {written} rows of {self.contest.count}")
        return self.figures(measured)


class DSBulk(Writer):
    def available(self):
        self.command = peers.dsbulk()

    def run(self):
        host, port = self.place.node
        logs = self.place.folder("dsbulk")
        command = [
            *self.command,
            "load",
            "-url",
            self.file,
            "-h",
            f'["{host}"]',
            "-port",
            port,
            "-k",
            self.keyspace,
            "-t",
            "completed",
        ]
        # The file's last column is not the table's.
        command += ["-m", ",".join(f"{name}={name}" for name in COLUMNS), "-logDir", logs]
        measured = measure.run(command, self.place.variables, timeout=3600, beside=self.place.node_pid).checked("DSBulk")
        shutil.rmtree(logs)
        return self.figures(measured)


class Driver(Writer):
    """The driver that an application in Python would use."""

    def available(self):
        self.python = peers.tools()

    def run(self):
        host, port = self.place.node
        command = [self.python, HERE / "peers" / "driver_cassandra.py", self.file, host, port, self.keyspace]
        return self.figures(measure.run(command, timeout=3600, beside=self.place.node_pid).checked(command[1].name))


class BareLoop(Writer):
    """The driver that Sluice uses, and nothing else. Its time is that of the loop: reading the file is no part of it."""

    def available(self):
        try:
            self.program = self.place.program("write-directly")
        except measure.Failed as error:
            raise peers.NotAvailable(str(error)) from error

    def run(self):
        environment = self.place.environment(CASSANDRA_KEYSPACE=self.keyspace)
        measured = measure.run([self.program, "--rows", self.file], environment, timeout=3600, beside=self.place.node_pid)
        said = json.loads(measured.checked("write-directly").output)
        measured.seconds, measured.cpu = said["seconds"], said["cpu_seconds"]
        return self.figures(measured)


class IntoCassandra(Contest):
    def __init__(self, place):
        self.place = place
        self.files, self.count = {}, 0
        dsbulk = "default settings, heap of 1 GB"
        driver = "unlogged batches of at most 32 rows of one player, 64 in flight"
        loop = "the loop alone, over rows in memory: batches of 32 rows of one player, 32 in flight"
        row = Row(
            key="cassandra",
            letter="D",
            title="A million rows into Cassandra",
            goal="5 times DSBulk's better figure from either input, 90 % of a bare loop over sorted rows,"
            " under 1 us of client CPU a row",
            contestants=[
                Sluice(self, "Sluice", UNSORTED),
                Sluice(self, "Sluice", SORTED),
                DSBulk(self, "DSBulk", UNSORTED, dsbulk, "1.10.0"),
                DSBulk(self, "DSBulk", SORTED, dsbulk, "1.10.0"),
                Driver(self, "Python driver", SORTED, driver, "3.30.1"),
                BareLoop(self, "bare driver", SORTED, loop, "scylla 1.9"),
            ],
            ours=f"Sluice, {UNSORTED}",
            goals=[
                *(Goal("rate", "ratio_at_least", TIMES, of=f"Sluice, {order}", to="DSBulk*") for order in (UNSORTED, SORTED)),
                Goal("rate", "ratio_at_least", OF_DRIVER, of=f"Sluice, {SORTED}", to=f"bare driver, {SORTED}"),
                *(Goal("cpu_row", "at_most", CPU_OF_ROW, of=f"Sluice, {order}") for order in (UNSORTED, SORTED)),
            ],
            extras={
                "rate": ("rows a second", ""),
                "cpu_row": ("client CPU a row", "us"),
                "node_row": ("node CPU a row", "us"),
            },
            plotted=["rate", "cpu_row", "peak"],
            compared="the number of rows in the table and a hash of all their values, with those of the file, read by DuckDB.",
            setting="Empty table, warm node that is at rest; client and node share the cores. Sluice reads a raw table of one"
            " date that was loaded before, the others read the CSV file. Whole processes, but for the bare driver.",
        )
        super().__init__([row])

    def lake(self, order):
        return self.place.work / "cassandra" / f"lake_{order}"

    def setup(self):
        place, row = self.place, self.rows[0]
        place.need_node()
        folder = place.folder("cassandra")
        self.count, players = place.size(ROWS), place.size(PLAYERS)
        self.files = {order: folder / f"{order}.csv" for order in (UNSORTED, SORTED)}
        made = MADE.format(rows=self.count, players=players)
        read = f"SELECT * FROM read_csv('{self.files[UNSORTED]}', header = true)"
        _, _, truth = place.look(
            {
                "files": {"made": made},
                "copy": str(self.files[UNSORTED]),
                "select": "SELECT * FROM made ORDER BY hash(session_id)",
            },
            {
                "files": {"t": read},
                "copy": str(self.files[SORTED]),
                "select": f"SELECT * FROM ({made}) ORDER BY player_id, end_ts DESC",
            },
            {"files": {"t": read}, "select": CONTENT},
        )
        row.truth = {"rows": truth["rows"], "hash": truth["hash"]}
        size = self.files[SORTED].stat().st_size / 1e6
        row.input = (
            f"{self.count:,} completed sessions of {players:,} players, {size:,.1f} MB of CSV, once in random order and once"
        )
        row.input += " sorted by player."
        for order, file in self.files.items():
            variables = {
                "COMPLETED_URL": file.as_uri(),
                "LAKE_URI": self.lake(order),
                "CASSANDRA_KEYSPACE": place.keyspace("load"),
            }
            for stage in ("create-tables", "url-to-landing", "landing-to-raw"):
                place.sluice_run(stage, PIPELINE, **variables)

    def teardown(self):
        shutil.rmtree(self.place.work / "cassandra", ignore_errors=True)


def contests(place):
    return [IntoCassandra(place)]
