"""C, C+, C2: updates merged into a table of 365 dates of 100,000 rows, which has a change feed.

C merges 1,000,000 rows into 5 dates, half of them new, with the date in the business key; C+ the same with keys that may be in
any date; C2 30,000 rows of one date into histories of 30 and of 365 dates. For Sluice the history and the updates are loaded into
a raw table and the history is merged beforehand; timed is `sluice raw-to-use-case` alone, as a process. Others merge a Parquet
file of the same updates into a table that delta-rs wrote. Before each run every table is put back: its files are linked, since
nobody writes into a file that a Delta table has. Compared are the whole table, as a hash of all rows, and what the change feed
has of the merge, with what DuckDB computes from the Parquet files.
"""

import json
import os
import shutil
from dataclasses import replace

import measure
import peers
from contest import Contest, Contestant, Goal, Row
from place import HERE

PIPELINES = {"day": HERE / "pipelines" / "large", "anywhere": HERE / "pipelines" / "large_anywhere"}
ROWS_PER_DATE, FILE_DATES = 100_000, 30
SHORT, LONG = 30, 365
# Dates that both histories have, or that lie all over the long one.
UPDATES = {"many": (1_000_000, [37, 110, 183, 256, 329]), "few": (30_000, [14])}
# What the longest history takes on disk: as it is made, landed, spilled, raw, merged twice and in the table of the others.
NEEDED_BYTES = 16e9
# Files that are written once and never changed: what else there is, is copied.
LINKED = (".parquet", ".run")
VALUES = """id::BIGINT, day::DATE, epoch_us(updated_at), player::INTEGER, country::VARCHAR, amount::BIGINT, score::DOUBLE,
    note::VARCHAR"""
# The dates of the short history by themselves, so that both histories are held against the same figures; then all others.
CONTENT = """
    SELECT count(*) FILTER (early), sum(hash({0})::HUGEINT) FILTER (early)::VARCHAR,
      count(*) FILTER (NOT early), sum(hash({0})::HUGEINT) FILTER (NOT early)::VARCHAR
    FROM (SELECT *, day < DATE '2016-01-01' + {1} AS early FROM t)"""
COMPARED = (
    "Number of rows and a hash of all rows in all columns, with what DuckDB computes from history and updates; and how many rows"
    " the change feed has as inserted and as updated."
)
SECONDS = {"work": ("work without start and imports", "s")}
LITERALS = "the dates of the updates named as literals in the condition"


class Tables:
    """Histories, updates and tables to merge into; each made when it is first asked for, shared by all contests."""

    def __init__(self, place):
        self.place = place
        self.folder = place.work / "merge"
        self.made = {}
        self.rows = place.size(ROWS_PER_DATE)

    def once(self, name, make):
        """The folder of this name, filled by `make(folder)` the first time."""
        if not self.made:
            self.place.folder(self.folder.name)
            free, needed = shutil.disk_usage(self.folder).free, self.rows / ROWS_PER_DATE * NEEDED_BYTES
            if free < needed:
                missing = f"{self.folder} has {free / 1e9:.1f} GB left, and {needed / 1e9:.1f} are needed"
                raise measure.Failed(f"{missing}: make room, or give another folder by --work")
        if name not in self.made:
            folder = self.folder / name
            make(folder)
            self.made[name] = folder
        return self.made[name]

    def generate(self, *arguments):
        command = [peers.python("lake"), HERE / "large_table.py", *arguments]
        return measure.run(command, self.place.variables).checked("large_table.py")

    def history(self, dates):
        """The folder with this many dates of the history, a file for each 30 of them."""

        def make(folder):
            folder.mkdir()
            for first in range(0, dates, FILE_DATES):
                self.generate("history", folder, first, min(FILE_DATES, dates - first), self.rows)

        return self.once(f"history_{dates}", make)

    def updates(self, name):
        rows, dates = UPDATES[name]

        def make(folder):
            folder.mkdir()
            part = list(UPDATES).index(name)
            self.generate("updates", folder / "updates.parquet", self.rows, self.place.size(rows), part, *dates)

        return self.once(f"updates_{name}", make) / "updates.parquet"

    def sluice(self, stage, key, lake, files):
        url = f"{files.as_uri()}/*.parquet"
        return self.place.sluice_run(stage, PIPELINES[key], "--output", "json", LAKE_URI=lake, LARGE_URL=url)

    def loaded(self, dates):
        """A lake with the history in its raw table."""

        def make(folder):
            for stage in ("create-tables", "url-to-landing", "landing-to-raw"):
                self.sluice(stage, "day", folder, self.history(dates))
            # Each definition makes its own.
            shutil.rmtree(folder / "use_case")
            shutil.rmtree(folder / "_sluice" / "large" / "keys", ignore_errors=True)

        return self.once(f"loaded_{dates}", make)

    def merged(self, key, dates):
        """A lake with the history merged."""

        def make(folder):
            copied(self.loaded(dates), folder)
            for stage in ("create-tables", "raw-to-use-case"):
                self.sluice(stage, key, folder, self.history(dates))

        return self.once(f"merged_{key}_{dates}", make)

    def waiting(self, key, dates, updates):
        """A lake with the history merged and the updates loaded."""

        def make(folder):
            copied(self.merged(key, dates), folder)
            for stage in ("url-to-landing", "landing-to-raw"):
                self.sluice(stage, key, folder, self.updates(updates).parent)

        return self.once(f"waiting_{key}_{dates}_{updates}", make)

    def delta(self, dates):
        """The history as a Delta table of delta-rs."""
        return self.once(f"delta_{dates}", lambda folder: self.generate("delta", folder, *sorted(self.history(dates).iterdir())))

    def truth(self, dates, updates):
        """What the table holds after the merge, and how many rows it inserted and updated."""
        history = f"read_parquet('{self.history(dates)}/*.parquet')"
        views = {"u": f"SELECT * FROM read_parquet('{self.updates(updates)}')"}
        views["t"] = f"SELECT * FROM {history} WHERE id NOT IN (SELECT id FROM u) UNION ALL SELECT * FROM u"
        known = f"SELECT count(*) FROM u WHERE id IN (SELECT id FROM {history})"
        selects = [content_sql(), known, "SELECT count(*) FROM u"]
        answers = self.place.look(*({"files": views, "values": True, "select": select} for select in selects))
        found, ((known,),), ((all_of_them,),) = answers
        return {**content(found), "inserted": all_of_them - known, "updated": known}


def content_sql():
    return CONTENT.format(VALUES, SHORT)


def content(found):
    rows, total, more, more_total = found[0]
    return {"rows": rows + more, "hash": hexadecimal(total), "hash of later dates": hexadecimal(more_total)}


def hexadecimal(total):
    return f"{int(total or 0) % 2**64:016x}"


def copied(source, target):
    """A folder that may be written to while the other one stays as it is."""

    def copy(path, to):
        return os.link(path, to) if path.endswith(LINKED) else shutil.copy2(path, to)

    shutil.copytree(source, target, copy_function=copy)


class Merging(Contestant):
    """One merge of some updates into a table that is put back before."""

    def __init__(self, tables, name, dates, updates, note=""):
        self.tables, self.name, self.dates, self.updates, self.note = tables, name, dates, updates, note
        self.target = tables.folder / "target"
        self.since = 0

    def ready(self):
        """The folder that a run begins with; made in the contest's setup."""
        return self.tables.delta(self.dates)

    def table(self):
        return self.target

    def prepare(self):
        shutil.rmtree(self.target, ignore_errors=True)
        copied(self.ready(), self.target)
        ((commits),) = self.tables.place.look({"commits": str(self.table())})
        self.since = commits["version"] + 1

    def result(self):
        (found,) = self.tables.place.look({"delta": str(self.table()), "select": content_sql(), "values": True})
        changes = json.loads(self.tables.generate("changes", self.table(), self.since).output)
        before, after = changes.get("update_preimage", 0), changes.get("update_postimage", 0)
        shutil.rmtree(self.target)
        updated = after if after == before else f"{before} to {after}"
        return {**content(found), "inserted": changes.get("insert", 0), "updated": updated}


class Sluice(Merging):
    def __init__(self, tables, name, key, dates, updates, note=""):
        super().__init__(tables, name, dates, updates, note)
        self.key = key

    def ready(self):
        return self.tables.waiting(self.key, self.dates, self.updates)

    def table(self):
        return self.target / "use_case" / "large" / "current"

    def run(self):
        measured = self.tables.sluice("raw-to-use-case", self.key, self.target, self.tables.updates(self.updates).parent)
        (stage,) = json.loads(measured.output)["stages"]
        return replace(measured, extra={"work": stage["seconds"]})


class DeltaRs(Merging):
    def __init__(self, tables, name, by, dates, updates, note=""):
        super().__init__(tables, name, dates, updates, note)
        self.by = by

    def available(self):
        self.python = peers.python("lake")
        self.version = peers.versions("lake")["deltalake"]

    def run(self):
        command = [self.python, HERE / "peers" / "deltars_merge.py", self.target, self.tables.updates(self.updates), self.by]
        measured = measure.run(command, self.tables.place.variables, timeout=1800).checked("deltars_merge.py")
        return replace(measured, extra=json.loads(measured.output.splitlines()[-1]))


class Spark(Merging):
    def available(self):
        self.spark = peers.spark()
        self.version = peers.versions("spark")["pyspark"]

    def run(self):
        command = [self.spark["python"], HERE / "peers" / "spark_merge.py", self.spark["jars"]]
        command += [self.target, self.tables.updates(self.updates)]
        measured = measure.run(command, self.spark["env"], cwd=self.tables.folder, timeout=1800).checked("spark_merge.py")
        return replace(measured, extra=json.loads(measured.output.splitlines()[-1]))


class Merge(Contest):
    """One row, whose contestants all begin with tables that are made before the first of them runs."""

    def __init__(self, tables, updates, history, **more):
        self.tables, self.updates = tables, updates
        self.history = history
        self.row = Row(
            **more,
            extras=SECONDS,
            compared=COMPARED,
            setting="Tables as they were before each run, their files in the page cache; a change feed on all of them. Sluice"
            " begins with the updates in its raw table, others with a Parquet file of them.",
        )
        super().__init__([self.row])

    def setup(self):
        rows, dates = UPDATES[self.updates]
        self.row.truth = self.tables.truth(LONG, self.updates)
        updated, size = self.row.truth["updated"], self.tables.place.size(rows)
        where = "one date" if len(dates) == 1 else f"{len(dates)} dates"
        self.row.input = (
            f"{size:,} updates of {where}, {updated:,} of them of rows that are there, into {self.history} of"
            f" {self.tables.rows:,} rows."
        )
        for contestant in self.row.contestants:
            contestant.ready()


class Growing(Merge):
    """Histories of two lengths: what the short one has is the same in both; the rest has to be as before."""

    def setup(self):
        super().setup()
        # The updates are of early dates, so the long table's later dates are those of the history.
        self.later = {"rows": self.tables.rows * (LONG - SHORT), "hash of later dates": self.row.truth["hash of later dates"]}
        for contestant in self.row.contestants:
            contestant.result = self.of_early_dates(contestant, contestant.result)

    def of_early_dates(self, contestant, result):
        """The result of a short history as if the later dates were there, which it cannot have."""

        def found():
            said = result()
            if contestant.dates == SHORT and said["hash of later dates"] == hexadecimal(0):
                return {**said, **self.later, "rows": said["rows"] + self.later["rows"]}
            return said

        return found


def contests(place):
    tables = Tables(place)
    return [
        Merge(
            tables,
            "many",
            f"{LONG} dates",
            key="merge",
            letter="C",
            title="MERGE of many rows into a few dates",
            goal="no slower than delta-rs with literals (1.1 times its time), at half its memory",
            contestants=[
                Sluice(tables, "Sluice", "day", LONG, "many", "the date is in the business key"),
                DeltaRs(tables, "delta-rs", "literals", LONG, "many", LITERALS),
                DeltaRs(tables, "delta-rs without literals", "day", LONG, "many", "id and date equal, no more in the condition"),
                Spark(tables, "Spark", LONG, "many", f"{LITERALS}; the first MERGE of a JVM, whose start counts"),
            ],
            baseline="delta-rs",
            goals=[
                Goal("seconds", "ratio_at_most", 1.1),
                Goal("work", "ratio_at_most", 1.1),
                Goal("peak", "ratio_at_most", 0.5),
            ],
        ),
        Merge(
            tables,
            "many",
            f"{LONG} dates",
            key="merge-anywhere",
            letter="C+",
            title="The same, each key looked up over all dates",
            goal="at most 1.5 times C",
            contestants=[
                Sluice(tables, "Sluice", "anywhere", LONG, "many", "the date is not in the business key"),
                Sluice(tables, "Sluice, as in C", "day", LONG, "many", "the date is in the business key"),
                DeltaRs(tables, "delta-rs by id alone", "id", LONG, "many", "reads the whole table"),
            ],
            baseline="Sluice, as in C",
            goals=[Goal("seconds", "ratio_at_most", 1.5), Goal("work", "ratio_at_most", 1.5)],
        ),
        Growing(
            tables,
            "few",
            f"{SHORT} and {LONG} dates",
            key="merge-small",
            letter="C2",
            title="MERGE of few rows while history grows",
            goal="at most twice the time of delta-rs with literals; at most 1.3 times as long with 365 dates as with 30",
            contestants=[
                Sluice(tables, "Sluice", "anywhere", LONG, "few", "keys from anywhere, 365 dates"),
                Sluice(tables, "Sluice, 30 dates", "anywhere", SHORT, "few", "keys from anywhere"),
                DeltaRs(tables, "delta-rs", "literals", LONG, "few", f"365 dates; {LITERALS}"),
                DeltaRs(tables, "delta-rs, 30 dates", "literals", SHORT, "few", LITERALS),
                DeltaRs(tables, "delta-rs by id alone", "id", LONG, "few", "keys from anywhere: reads the whole table"),
            ],
            baseline="delta-rs",
            goals=[
                Goal("seconds", "ratio_at_most", 2.0),
                Goal("work", "ratio_at_most", 2.0),
                Goal("seconds", "ratio_at_most", 1.3, to="Sluice, 30 dates"),
            ],
        ),
    ]
