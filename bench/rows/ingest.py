"""B and B2: the interactions of the Open University data set, 10.7 million rows of CSV, into a table partitioned by date.

All read the same file (OULAD_URL names the archive that it is in; see `make oulad`) and write the same seven typed columns, of
which one is computed: the day, from the start of the presentation and an offset. Without OULAD_URL the archive is one that the
program oulad-file makes, and the row says so. What each made is read back and compared row for row, as a hash, with what DuckDB
computes from the CSV file by itself.

A second contest begins with the archive: Sluice reads the file out of it, others unpack it first.
"""

import json
import os
import shutil
import sys
import urllib.parse
import urllib.request
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import measure
import peers
from contest import FASTEST, Contest, Contestant, Goal, Row, median

PIPELINE = Path(__file__).resolve().parent.parent / "pipelines" / "interactions"
SCRIPTS = Path(__file__).resolve().parent.parent / "peers"
ENTRY = "studentVle.csv"
TEXTS = ("code_module", "code_presentation")
NUMBERS = ("id_student", "id_site", "date", "sum_click")
# What is compared, each column in the type that it was to have.
CONTENT = f"""
    SELECT count(*), count(DISTINCT event_date), sum(sum_click)::BIGINT, sum(hash(
      {", ".join(f"{name}::VARCHAR" for name in TEXTS)}, {", ".join(f"{name}::INTEGER" for name in NUMBERS)}, event_date::DATE
    )::HUGEINT)::VARCHAR
    FROM t"""
COMPARED = (
    "Number of rows, of dates, sum of clicks, and a hash of all rows in all columns, with what DuckDB computes from the CSV file;"
    " Delta tables are read as the Python package deltalake lists their files."
)
SECONDS = {"work": ("work without start and imports", "s")}


class Input:
    """The archive and the CSV file out of it; made when a contest begins, shared by both contests."""

    def __init__(self, place):
        self.place = place
        self.folder = place.work / "ingest"
        self.archive = self.folder / "oulad.zip"
        self.csv = self.folder / ENTRY
        self.truth = None
        self.text = ""

    def make(self):
        if self.truth:
            return
        self.place.folder("ingest")
        url = os.environ.get("OULAD_URL")
        if url:
            fetched(url, self.archive)
        else:
            program = [self.place.program("oulad-file"), "--out", self.archive]
            more = [] if self.place.small else ["--students", "4000", "--presentations", "22", "--days", "295"]
            measure.run(program + more, self.place.variables).checked("oulad-file")
        with zipfile.ZipFile(self.archive) as packed:
            packed.extract(ENTRY, self.folder)
        if url and self.place.small:
            self.shorten()
        self.truth = truth(self.place, self.csv)
        source = "of the Open University data set" if url else "made by oulad-file, since OULAD_URL was not set"
        size = self.csv.stat().st_size / 1e6
        self.text = f"{ENTRY} {source}: {self.truth['rows']:,} rows on {self.truth['dates']} dates, {size:,.1f} MB"
        self.text += f" ({self.archive.stat().st_size / 1e6:,.1f} MB as a zip)."

    def shorten(self):
        """Every hundredth row, so that the dates stay, as file and as archive."""
        whole = self.csv.rename(self.folder / "whole.csv")
        with whole.open() as lines, self.csv.open("w") as out:
            out.writelines(line for number, line in enumerate(lines) if number == 0 or number % 100 == 1)
        whole.unlink()
        with zipfile.ZipFile(self.archive, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.write(self.csv, ENTRY)


def truth(place, csv):
    """What DuckDB computes from a CSV file."""
    days = f"""
        SELECT *, date + make_date(
          left(code_presentation, 4)::INTEGER, CASE right(code_presentation, 1) WHEN 'B' THEN 2 ELSE 10 END, 1) AS event_date
        FROM {csv_of(csv)}"""
    (rows,) = place.look({"files": {"t": days}, "select": CONTENT, "values": True})
    return content(rows)


def fetched(url, path):
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "file":
        shutil.copyfile(urllib.parse.unquote(parts.path), path)
        return
    with urllib.request.urlopen(url) as answer, path.open("wb") as out:
        shutil.copyfileobj(answer, out)


def csv_of(path):
    columns = [f"'{name}': 'VARCHAR'" for name in TEXTS] + [f"'{name}': 'INTEGER'" for name in NUMBERS]
    return f"read_csv('{path}', header = true, columns = {{{', '.join(columns)}}})"


def content(rows):
    count, dates, clicks, total = rows[0]
    return {"rows": count, "dates": dates, "clicks": clicks, "hash": f"{int(total or 0) % 2**64:016x}"}


class IntoTable(Contestant):
    """One that writes a folder from the CSV file."""

    def __init__(self, place, given, name):
        self.place = place
        self.given = given
        self.name = name
        self.target = place.work / f"ingest_{name.lower().replace(' ', '_').replace(',', '')}"
        self.source = given.csv

    def prepare(self):
        shutil.rmtree(self.target, ignore_errors=True)

    def table(self):
        return {"delta": str(self.target)}

    def result(self):
        (rows,) = self.place.look({**self.table(), "select": CONTENT, "values": True})
        shutil.rmtree(self.target)
        return content(rows)


class Sluice(IntoTable):
    """`sluice run` of bench/pipelines/interactions on a lake that is not there yet: no Cassandra, no use case."""

    def __init__(self, place, given, name="Sluice", source=None):
        super().__init__(place, given, name)
        self.source = source or self.source

    def run(self):
        measured = self.place.sluice_run(
            "run", PIPELINE, "--output", "json", LAKE_URI=self.target, INTERACTIONS_URL=self.source.as_uri()
        )
        report = json.loads(measured.output)
        if not report["accounting_closes"]:
            raise measure.Failed("the accounting of the load does not close")
        work = sum(stage["seconds"] for stage in report["stages"])
        return replace(measured, extra={"work": work})

    def table(self):
        return {"delta": str(self.target / "raw" / "interactions" / "interactions")}


class Peer(IntoTable):
    """A script in bench/peers that is given the file and the folder of the table, and says its seconds without its imports."""

    def __init__(self, place, given, name, script, package, note="", source=None):
        super().__init__(place, given, name)
        self.script = SCRIPTS / f"{script}_ingest.py"
        self.package = package
        self.note = note
        self.source = source or self.source

    def available(self):
        self.python = peers.python("lake")
        self.version = peers.versions("lake")[self.package]

    def run(self):
        measured = measure.run([self.python, self.script, self.source, self.target], self.place.variables, timeout=1800)
        return replace(measured.checked(self.script.name), extra=seconds(measured))


class DuckDb(Peer):
    def table(self):
        files = f"SELECT * FROM read_parquet('{self.target}/**/*.parquet', hive_partitioning = true)"
        return {"files": {"t": files}}


class Spark(IntoTable):
    def __init__(self, place, given):
        super().__init__(place, given, "Spark")
        self.note = "tuned: two shuffle and two snapshot partitions; the start of the JVM counts"

    def available(self):
        self.spark = peers.spark()
        self.version = peers.versions("spark")["pyspark"]

    def run(self):
        command = [self.spark["python"], SCRIPTS / "spark_ingest.py", self.spark["jars"], self.source, self.target]
        measured = measure.run(command, self.spark["env"], cwd=self.place.folder("ingest_spark_here"), timeout=1800)
        return replace(measured.checked("spark_ingest.py"), extra=seconds(measured))


class UnpackFirst(Contestant):
    """Another contestant, preceded by unpacking the archive to disk."""

    def __init__(self, place, given, after):
        self.place = place
        self.given = given
        self.after = after
        self.name = after.name
        self.note = after.note

    def available(self):
        self.after.available()
        self.version = self.after.version

    def prepare(self):
        self.after.prepare()
        shutil.rmtree(self.after.source.parent, ignore_errors=True)

    def run(self):
        unpack = [sys.executable, "-m", "zipfile", "--extract", self.given.archive, self.after.source.parent]
        first = measure.run(unpack, self.place.variables).checked("unpacking")
        then = self.after.run()
        extra = {**then.extra, "unpack": first.seconds}
        peak = max(first.peak, then.peak)
        return replace(then, seconds=first.seconds + then.seconds, cpu=first.cpu + then.cpu, peak=peak, extra=extra)

    def result(self):
        shutil.rmtree(self.after.source.parent)
        return self.after.result()


def seconds(measured):
    """What a peer's script says of itself, on its last line."""
    return json.loads(measured.output.splitlines()[-1])


class FromCsv(Contest):
    def __init__(self, place, given):
        self.given = given
        self.row = Row(
            key="ingest",
            letter="B",
            title="A CSV file into a typed Delta table, partitioned by date",
            goal="at most 1.5 times the wall time of the fastest rival, and at most half its memory",
            contestants=[
                Sluice(place, given),
                Peer(place, given, "Polars", "polars", "polars", "`scan_csv().sink_delta()`, streaming"),
                Peer(place, given, "delta-rs", "deltars", "deltalake", "from Python, with pyarrow's CSV reader"),
                DuckDb(place, given, "DuckDB", "duckdb", "duckdb", "Parquet files in folders by date: no Delta table"),
                Spark(place, given),
            ],
            baseline=FASTEST,
            goals=[Goal("seconds", "ratio_at_most", 1.5, to=FASTEST), Goal("peak", "ratio_at_most", 0.5, to=FASTEST)],
            extras=SECONDS,
            compared=COMPARED,
            setting="Input in the page cache, no table yet. Sluice also keeps the file as it was received, checks and accounts,"
            " and records where each row came from.",
        )
        super().__init__([self.row])

    def setup(self):
        self.given.make()
        self.row.truth, self.row.input = self.given.truth, self.given.text

    def run(self, repeat):
        super().run(repeat)
        # Its memory is that of the rival which is the fastest, not the least that any of them takes.
        rivals = {name: asdict(record) for name, record in self.row.records.items() if name != self.row.ours}
        times = {name: value for name, record in rivals.items() if (value := median(record, "seconds")) is not None}
        if times:
            self.row.goals[1].to = min(times, key=times.get)


class FromZip(Contest):
    def __init__(self, place, given):
        self.given = given
        unpacked = place.work / "ingest_unpacked" / ENTRY

        def first(contestant):
            return UnpackFirst(place, given, contestant)

        self.row = Row(
            key="ingest-zip",
            letter="B2",
            title="The same, out of the zip",
            goal="inflating overlaps with the rest: less than unpacking first and loading then",
            contestants=[
                Sluice(place, given, "Sluice", given.archive),
                first(Sluice(place, given, "unpack, then Sluice", unpacked)),
                first(Peer(place, given, "unpack, then Polars", "polars", "polars", source=unpacked)),
            ],
            baseline="unpack, then Sluice",
            goals=[Goal("seconds", "ratio_at_most", 1.0, to="unpack, then Sluice")],
            extras={**SECONDS, "unpack": ("of that unpacking, by Python's zipfile", "s")},
            compared=COMPARED,
            setting="Archive in the page cache, no table yet.",
        )
        super().__init__([self.row])

    def setup(self):
        self.given.make()
        self.row.truth, self.row.input = self.given.truth, self.given.text


def contests(place):
    given = Input(place)
    return [FromCsv(place, given), FromZip(place, given)]
