#!/usr/bin/env python3
"""Compares what the oulad pipeline made of an archive with an independent computation over its CSV files, row by row.

DuckDB reads the CSV files by itself and computes every table of the definition in its own SQL, from the raw rows only (the
pipeline computes some of them from others). Delta tables are read by the Python package deltalake, Cassandra's by its Python
driver. Of each pair of tables all rows are compared in both directions, repeated ones as often as they are there. Prints a line
a table; exit code 1 if any differs. Called by `make oulad`; needs the packages of scripts/data-tools.txt.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

PRESENTATION = {"code_module": "VARCHAR", "code_presentation": "VARCHAR"}

# Raw table: its file, and the file's columns with their types.
FILES = {
    "interactions": (
        "studentVle.csv",
        {**PRESENTATION, "id_student": "INTEGER", "id_site": "INTEGER", "date": "INTEGER", "sum_click": "INTEGER"},
    ),
    "student_info": (
        "studentInfo.csv",
        {
            **PRESENTATION,
            "id_student": "INTEGER",
            "gender": "VARCHAR",
            "region": "VARCHAR",
            "highest_education": "VARCHAR",
            "imd_band": "VARCHAR",
            "age_band": "VARCHAR",
            "num_of_prev_attempts": "INTEGER",
            "studied_credits": "INTEGER",
            "disability": "VARCHAR",
            "final_result": "VARCHAR",
        },
    ),
    "student_registration": (
        "studentRegistration.csv",
        {**PRESENTATION, "id_student": "INTEGER", "date_registration": "INTEGER", "date_unregistration": "INTEGER"},
    ),
    "student_assessment": (
        "studentAssessment.csv",
        {"id_assessment": "INTEGER", "id_student": "INTEGER", "date_submitted": "INTEGER", "is_banked": "INTEGER", "score": "INTEGER"},
    ),
    "assessments": (
        "assessments.csv",
        {**PRESENTATION, "id_assessment": "INTEGER", "assessment_type": "VARCHAR", "date": "INTEGER", "weight": "DECIMAL(4, 1)"},
    ),
    "courses": ("courses.csv", {**PRESENTATION, "module_presentation_length": "INTEGER"}),
    "vle": (
        "vle.csv",
        {"id_site": "INTEGER", **PRESENTATION, "activity_type": "VARCHAR", "week_from": "INTEGER", "week_to": "INTEGER"},
    ),
}

# Where a raw table has other columns than its file.
RAW = {
    "interactions": """
        SELECT code_module, code_presentation, id_student, id_site, date AS day, sum_click AS clicks,
          start_of(code_presentation) + date AS event_date
        FROM csv_interactions""",
    "student_registration": """
        SELECT *, start_of(code_presentation) + date_registration AS registered_on,
          start_of(code_presentation) + date_unregistration AS unregistered_on
        FROM csv_student_registration""",
}

USE_CASE = {
    "student_days": """
        SELECT code_module, code_presentation, id_student, event_date, sum(clicks) AS clicks, count(*) AS interactions
        FROM raw_interactions GROUP BY ALL""",
    "registrations": """
        SELECT code_module, code_presentation, id_student, registered_on, unregistered_on,
          date_unregistration IS NULL AS is_registered
        FROM raw_student_registration""",
    "submissions": """
        SELECT id_assessment, id_student, date_submitted AS submitted_day, score, is_banked = 1 AS is_banked
        FROM raw_student_assessment""",
    "course_days": """
        SELECT code_module, code_presentation, event_date, count(DISTINCT id_student) AS active_students,
          count(DISTINCT id_site) AS sites, sum(clicks) AS clicks
        FROM raw_interactions GROUP BY ALL""",
    "item_popularity": """
        SELECT i.code_module, i.code_presentation, i.id_site,
          (SELECT v.activity_type FROM raw_vle v
           WHERE v.code_module = i.code_module AND v.code_presentation = i.code_presentation AND v.id_site = i.id_site
          ) AS activity_type,
          sum(i.clicks) AS clicks, count(*) AS interactions, count(DISTINCT i.id_student) AS students
        FROM raw_interactions i GROUP BY i.code_module, i.code_presentation, i.id_site""",
    "student_overview": """
        WITH days AS (
          SELECT id_student, count(DISTINCT event_date) AS active_days, sum(clicks) AS clicks, min(event_date) AS first_activity,
            max(event_date) AS last_activity
          FROM raw_interactions GROUP BY id_student),
        scores AS (
          SELECT id_student, count(*) AS submissions, sum(score) / count(score)::DOUBLE AS mean_score
          FROM raw_student_assessment GROUP BY id_student)
        SELECT id_student, count(*) AS presentations, coalesce(any_value(active_days), 0) AS active_days,
          coalesce(any_value(clicks), 0) AS clicks, coalesce(any_value(submissions), 0) AS submissions,
          CASE WHEN any_value(mean_score) IS NOT NULL THEN any_value(mean_score) END AS mean_score,
          any_value(first_activity) AS first_activity, any_value(last_activity) AS last_activity
        FROM raw_student_registration LEFT JOIN days USING (id_student) LEFT JOIN scores USING (id_student)
        GROUP BY id_student""",
    "presentation_students": """
        SELECT code_module, code_presentation, id_student, date_unregistration IS NULL AS is_registered, registered_on,
          unregistered_on, final_result, region, age_band, imd_band
        FROM raw_student_registration LEFT JOIN raw_student_info USING (code_module, code_presentation, id_student)""",
}

# Table of Cassandra: the use-case table of which it holds all rows.
CASSANDRA = {
    "student_days_by_student": "student_days",
    "course_days": "course_days",
    "items_by_use": "item_popularity",
    "student_overview": "student_overview",
    "students_by_presentation": "presentation_students",
}


def fetched(url, folder):
    """The archive as a local file."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "file":
        return Path(urllib.parse.unquote(parts.path))
    # Kept between runs by its address; removed by `make clean` with the rest of the folder.
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.zip"
    if not path.exists():
        part = path.with_suffix(".part")
        with urllib.request.urlopen(url) as answer, part.open("wb") as out:
            shutil.copyfileobj(answer, out)
        part.rename(path)
    return path


def database(folder, memory):
    connection = duckdb.connect(str(folder / "truth.db"))
    connection.execute(f"SET memory_limit = '{memory}'")
    connection.execute(f"SET temp_directory = '{folder / 'spill'}'")
    connection.execute("SET preserve_insertion_order = false")
    return connection


def read_archive(connection, archive, folder):
    """The seven files as tables raw_NAME, in the columns of the raw tables."""
    connection.execute(
        "CREATE MACRO start_of(code) AS make_date(left(code, 4)::INTEGER, CASE right(code, 1) WHEN 'B' THEN 2 ELSE 10 END, 1)"
    )
    with zipfile.ZipFile(archive) as packed:
        for name, (file, columns) in FILES.items():
            path = packed.extract(file, folder)
            csv = connection.read_csv(path, header=True, columns=columns, null_padding=False, na_values="")
            csv.create(f"csv_{name}")
            connection.execute(f"CREATE TABLE raw_{name} AS {RAW.get(name, f'SELECT * FROM csv_{name}')}")
            connection.execute(f"DROP TABLE csv_{name}")
            Path(path).unlink()


def compute(connection):
    """The use-case tables as use_case_NAME."""
    for name, sql in USE_CASE.items():
        connection.execute(f"CREATE TABLE use_case_{name} AS {sql}")


def value(connection, sql):
    # To its end: a connection with a result that is not read to its end does nothing else.
    return connection.execute(sql).fetchall()[0][0]


def differing(connection, columns, ours, theirs):
    """Rows that are not equally often in both, and some of them."""
    listed = ", ".join(columns)
    sql = f"""
        SELECT {listed}, sum(side) AS surplus FROM (
          SELECT {listed}, 1 AS side FROM {ours} UNION ALL SELECT {listed}, -1 AS side FROM {theirs})
        GROUP BY {listed} HAVING sum(side) <> 0"""
    number = value(connection, f"SELECT coalesce(sum(abs(surplus)), 0)::BIGINT FROM ({sql})")
    some = connection.execute(f"{sql} LIMIT 3").fetchall() if number else []
    return number, some


class Comparison:
    def __init__(self, connection):
        self.connection = connection
        self.lines = []
        self.failed = False

    def compare(self, label, ours, theirs):
        columns = [row[0] for row in self.connection.execute(f"DESCRIBE {theirs}").fetchall()]
        number, some = differing(self.connection, columns, ours, theirs)
        self.add(label, *(value(self.connection, f"SELECT count(*) FROM {table}") for table in (ours, theirs)), number, some)

    def add(self, label, ours, theirs, number, some=()):
        self.failed |= number != 0 or ours != theirs
        self.lines.append((label, f"{ours:,}", f"{theirs:,}", "yes" if not number and ours == theirs else f"no: {number:,} rows differ"))
        for row in some:
            side = "only ours" if row[-1] > 0 else "only theirs"
            print(f"{label}: {side}: {row[:-1]}", file=sys.stderr)

    def print(self):
        rows = [("table", "rows", "independent", "equal"), *self.lines]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        for name, ours, theirs, equal in rows:
            print(f"{name:{widths[0]}}  {ours:>{widths[1]}}  {theirs:>{widths[2]}}  {equal}")


def compare_lake(comparison, lake, pipeline):
    connection = comparison.connection
    for zone, names in (("raw", FILES), ("use_case", USE_CASE)):
        for name in names:
            path = lake / zone / pipeline / name
            if not (path / "_delta_log").is_dir():
                print(f"there is no table {path}", file=sys.stderr)
                comparison.add(f"{zone}.{name}", 0, value(connection, f"SELECT count(*) FROM {zone}_{name}"), 1)
                continue
            connection.register("ours", DeltaTable(path).to_pyarrow_dataset())
            comparison.compare(f"{zone}.{name}", "ours", f"{zone}_{name}")
            connection.unregister("ours")


def cassandra_rows(session, keyspace, table, columns, schema):
    """All rows of a table of Cassandra, page by page, as Arrow batches."""
    statement = session.prepare(f"SELECT {', '.join(columns)} FROM {keyspace}.{table}")
    statement.fetch_size = 10_000
    answer = session.execute(statement, timeout=120)
    while True:
        page = list(answer.current_rows)
        if page:
            arrays = []
            for field, values in zip(schema, zip(*page)):
                if pa.types.is_date32(field.type):
                    # The driver's own type of date; its days are counted as Arrow counts them.
                    values = [None if value is None else value.days_from_epoch for value in values]
                    arrays.append(pa.array(values, pa.int32()).cast(pa.date32()))
                else:
                    arrays.append(pa.array(values, field.type))
            yield pa.record_batch(arrays, schema=schema)
        if not answer.has_more_pages:
            return
        answer.fetch_next_page()


def compare_cassandra(comparison, host, port, keyspace):
    from cassandra import InvalidRequest
    from cassandra.cluster import Cluster

    cluster = Cluster([host], port=port, connect_timeout=30)
    session = cluster.connect()
    connection = comparison.connection
    for table, source in CASSANDRA.items():
        schema = connection.sql(f"SELECT * FROM use_case_{source} LIMIT 0").to_arrow_table().schema
        # DuckDB's sums are of 128 bits.
        fields = [pa.field(field.name, pa.int64() if pa.types.is_decimal(field.type) else field.type) for field in schema]
        schema = pa.schema(fields)
        columns = [field.name for field in schema]
        connection.execute(f"CREATE TABLE served AS SELECT * FROM use_case_{source} LIMIT 0")
        try:
            for batch in cassandra_rows(session, keyspace, table, columns, schema):
                connection.register("page", pa.Table.from_batches([batch]))
                connection.execute("INSERT INTO served SELECT * FROM page")
                connection.unregister("page")
        except InvalidRequest as refused:
            print(f"cassandra.{table}: {refused}", file=sys.stderr)
        comparison.compare(f"cassandra.{table}", "served", f"use_case_{source}")
        connection.execute("DROP TABLE served")
    cluster.shutdown()


def main():
    parser = argparse.ArgumentParser(description="Compares the tables of the oulad pipeline with an independent computation.")
    parser.add_argument("--url", required=True, help="the archive, as in OULAD_URL")
    parser.add_argument("--lake", required=True, type=Path, help="folder of the lake")
    parser.add_argument("--pipeline", default="oulad", help="name of the pipeline")
    parser.add_argument("--cassandra", metavar="HOST:PORT", help="compare the tables in Cassandra too")
    parser.add_argument("--keyspace", default="oulad")
    parser.add_argument("--work", type=Path, default=Path(".sluice/oulad"), help="folder for a downloaded archive")
    parser.add_argument("--memory", default="3GB", help="memory that DuckDB may use; what is more is on disk")
    arguments = parser.parse_args()

    archive = fetched(arguments.url, arguments.work)
    with tempfile.TemporaryDirectory(prefix="oulad-truth-") as folder:
        folder = Path(folder)
        connection = database(folder, arguments.memory)
        read_archive(connection, archive, folder)
        compute(connection)
        comparison = Comparison(connection)
        compare_lake(comparison, arguments.lake, arguments.pipeline)
        if arguments.cassandra:
            host, _, port = arguments.cassandra.rpartition(":")
            compare_cassandra(comparison, host, int(port), arguments.keyspace)
        connection.close()
    comparison.print()
    sys.exit(1 if comparison.failed else 0)


if __name__ == "__main__":
    main()
