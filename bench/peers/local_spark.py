"""A Spark session on this machine's cores that knows Delta, tuned as it should be on so few: see docs/benchmarks.md.

Two snapshot partitions instead of 50 save a job of 50 tasks after each commit; two shuffle partitions fit two cores.
"""

import time

from pyspark.sql import SparkSession


def session(jars):
    """The session, and the seconds that the JVM and it took to start."""
    started = time.monotonic()
    settings = {
        "spark.jars": jars,
        "spark.driver.memory": "4g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.databricks.delta.snapshotPartitions": "2",
    }
    builder = SparkSession.builder.master("local[2]").appName("bench")
    for name, value in settings.items():
        builder = builder.config(name, value)
    found = builder.getOrCreate()
    found.sparkContext.setLogLevel("ERROR")
    return found, time.monotonic() - started
