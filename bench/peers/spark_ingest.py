"""The interactions into a Delta table by Spark, partitioned by the day of the event.

Called by bench/rows/ingest.py with the jars, the CSV file and the folder of the table; prints its seconds as JSON.
"""

import json
import sys
import time
from pathlib import Path

from local_spark import session

COLUMNS = "code_module STRING, code_presentation STRING, id_student INT, id_site INT, date INT, sum_click INT"


def main():
    jars, source, target = sys.argv[1:]
    spark, start = session(jars)
    started = time.monotonic()
    rows = spark.read.csv(str(Path(source).absolute()), header=True, schema=COLUMNS, mode="FAILFAST")
    month = "CASE right(code_presentation, 1) WHEN 'B' THEN 2 ELSE 10 END"
    rows = rows.selectExpr("*", f"date_add(make_date(cast(left(code_presentation, 4) AS INT), {month}, 1), date) AS event_date")
    rows.write.format("delta").partitionBy("event_date").save(str(Path(target).absolute()))
    done = time.monotonic()
    spark.stop()
    print(json.dumps({"start": start, "work": done - started}))


if __name__ == "__main__":
    main()
