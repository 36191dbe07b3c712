"""Updates into a Delta table by Spark's MERGE, the days of the updates named in its condition; the first MERGE of a JVM.

Called by bench/rows/merge.py with the jars, the folder of the table and the Parquet file of updates; prints its seconds as JSON.
"""

import json
import sys
import time
from pathlib import Path

from local_spark import session


def main():
    jars, table, updates = sys.argv[1:]
    spark, start = session(jars)
    started = time.monotonic()
    spark.read.parquet(str(Path(updates).absolute())).createOrReplaceTempView("s")
    days = ", ".join(f"DATE'{row.day}'" for row in spark.sql("SELECT DISTINCT day FROM s ORDER BY day").collect())
    spark.sql(f"""
        MERGE INTO delta.`{Path(table).absolute()}` AS t USING s
        ON t.id = s.id AND t.day = s.day AND t.day IN ({days})
        WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *""")
    done = time.monotonic()
    spark.stop()
    print(json.dumps({"start": start, "work": done - started}))


if __name__ == "__main__":
    main()
