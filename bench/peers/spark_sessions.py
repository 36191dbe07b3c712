#!/usr/bin/env python3
"""The session events chain as a Spark job would do it: a file of JSON lines into a raw Delta table, from there into one row per
session, from there into two Cassandra tables. Called by bench/rows/sessions.py; prints the seconds of its stages as JSON.

Each stage goes on where it was: an append is a transaction of Delta's own (txnAppId, txnVersion) and names its date in the
commit, a merge names the raw version that it took in, and what Cassandra has is in a file beside the tables. Records are
checked as the pipeline's contract says, but bad ones are left out, not kept; duplicates stay in the raw table and vanish in the
merge. Rows are sorted by Cassandra's partition key before they are sent, so that the connector's batches fill.
"""

import argparse
import hashlib
import json
import time
from datetime import date, timedelta
from pathlib import Path

from delta.tables import DeltaTable
from local_spark import session
from pyspark import StorageLevel
from pyspark.sql import functions as F

UUID = "^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$"
RAW = "event STRING, country STRING, player_id STRING, session_id STRING, ts TIMESTAMP, event_date DATE"
SESSIONS = "session_id STRING, player_id STRING, country STRING, start_ts TIMESTAMP, end_ts TIMESTAMP, session_date DATE"
SESSIONS += ", taken_in BIGINT"


def created(spark, path, columns, partition):
    table = DeltaTable.createIfNotExists(spark).location(path).partitionedBy(partition)
    for column in columns.split(", "):
        table = table.addColumn(*column.split())
    return table.execute()


def load(spark, path, raw):
    """Appends the good records of the file, a commit for each event date. What was appended before is skipped by Delta."""
    lines = spark.read.schema("event STRING, country STRING, player_id STRING, session_id STRING, ts STRING").json(path)
    records = lines.withColumn("ts", F.expr("try_cast(ts AS TIMESTAMP)")).withColumn("event_date", F.to_date("ts"))
    good = records.where(
        F.col("event").isin("start", "end")
        & F.col("player_id").rlike(UUID)
        & F.col("session_id").rlike(UUID)
        & (F.col("ts") <= F.current_timestamp() + F.expr("INTERVAL 1 DAY"))
        & ((F.col("event") != "start") | F.col("country").isNotNull())
    ).persist(StorageLevel.MEMORY_AND_DISK)
    name = hashlib.sha256(path.encode()).hexdigest()
    days = sorted(row.event_date for row in good.select("event_date").distinct().collect())
    for number, day in enumerate(days):
        rows = good.where(F.col("event_date") == F.lit(day)).coalesce(1)
        write = rows.write.format("delta").mode("append").option("txnAppId", name).option("txnVersion", number)
        write.option("userMetadata", day.isoformat()).save(raw)
    good.unpersist()


def versions(spark, path, after):
    """The (version, date) of the appends after a version, oldest first."""
    history = DeltaTable.forPath(spark, path).history().where(F.col("version") > after).where("operation = 'WRITE'")
    return sorted(
        (row.version, date.fromisoformat(row.userMetadata)) for row in history.select("version", "userMetadata").collect()
    )


def merge(spark, raw, sessions):
    """Folds the dates of new raw versions into one row per session; a session is looked for on three dates."""
    table = DeltaTable.forPath(spark, sessions)
    marks = table.history().where("userMetadata IS NOT NULL").select("userMetadata").collect()
    taken_in = max((int(row.userMetadata) for row in marks), default=-1)
    for version, day in versions(spark, raw, taken_in):
        rows = spark.read.format("delta").load(raw).where(F.col("event_date") == F.lit(day))
        is_start, is_end = F.col("event") == "start", F.col("event") == "end"
        folded = rows.groupBy("session_id").agg(
            F.min("player_id").alias("player_id"),
            F.min(F.when(is_start, F.col("country"))).alias("country"),
            F.min(F.when(is_start, F.col("ts"))).alias("start_ts"),
            F.max(F.when(is_end, F.col("ts"))).alias("end_ts"),
        )
        near = ", ".join(f"DATE'{day + timedelta(days=days)}'" for days in (-1, 0, 1))
        on = f"t.session_id = s.session_id AND t.session_date IN ({near})"
        spark.conf.set("spark.databricks.delta.commitInfo.userMetadata", str(version))
        table.alias("t").merge(folded.alias("s"), on).whenMatchedUpdate(
            set={
                "player_id": "least(t.player_id, s.player_id)",
                "country": "coalesce(t.country, s.country)",
                "start_ts": "least(t.start_ts, s.start_ts)",
                "end_ts": "greatest(t.end_ts, s.end_ts)",
                "taken_in": str(version),
            }
        ).whenNotMatchedInsert(
            values={
                **{name: f"s.{name}" for name in ("session_id", "player_id", "country", "start_ts", "end_ts")},
                "session_date": "to_date(coalesce(s.start_ts, s.end_ts))",
                "taken_in": str(version),
            }
        ).execute()
        spark.conf.unset("spark.databricks.delta.commitInfo.userMetadata")


def send(rows, keys, node, keyspace, table):
    host, port = node
    write = rows.repartition(*keys).sortWithinPartitions(*keys).write.format("org.apache.spark.sql.cassandra").mode("append")
    write = write.option("spark.cassandra.connection.host", host).option("spark.cassandra.connection.port", port)
    write.options(keyspace=keyspace, table=table).save()


def with_dashes(column):
    """A UUID as the connector takes it; the file has players without dashes."""
    return F.regexp_replace(column, "^(.{8})-?(.{4})-?(.{4})-?(.{4})-?(.{12})$", "$1-$2-$3-$4-$5").alias(column)


def main():
    parser = argparse.ArgumentParser()
    for name in ("input", "lake", "keyspace", "host", "port", "jars"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    raw, sessions, state = (str(Path(given.lake).absolute() / name) for name in ("raw", "sessions", "sent.json"))
    node = (given.host, given.port)
    spark, start = session(given.jars)
    seconds = {"start": start}

    def timed(name, work, *arguments):
        began = time.monotonic()
        found = work(*arguments)
        seconds[name] = time.monotonic() - began
        return found

    created(spark, raw, RAW, "event_date")
    created(spark, sessions, SESSIONS, "session_date")
    timed("load", load, spark, given.input, raw)
    timed("merge", merge, spark, raw, sessions)
    sent = int(json.loads(Path(state).read_text())["raw_version"]) if Path(state).exists() else -1
    new = versions(spark, raw, sent)
    if new:
        days = sorted({day for _, day in new})
        starts = spark.read.format("delta").load(raw).where(F.col("event_date").isin(days)).where("event = 'start'")
        hour = F.date_trunc("hour", "ts").alias("hour")
        starts = starts.select("country", hour, "ts", with_dashes("session_id"), with_dashes("player_id"))
        timed("started", send, starts, ["country", "hour"], node, given.keyspace, "started")
        near = sorted({day + timedelta(days=off) for day in days for off in (-1, 0, 1)}) if sent >= 0 else None
        complete = spark.read.format("delta").load(sessions).where("start_ts IS NOT NULL AND end_ts IS NOT NULL")
        if near:
            complete = complete.where(F.col("session_date").isin(near)).where(F.col("taken_in") > sent)
        complete = complete.select(with_dashes("player_id"), "end_ts", with_dashes("session_id"), "country", "start_ts")
        timed("completed", send, complete, ["player_id"], node, given.keyspace, "completed")
        Path(state).write_text(json.dumps({"raw_version": max(version for version, _ in new)}))
    spark.stop()
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
