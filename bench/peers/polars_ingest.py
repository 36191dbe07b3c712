"""The interactions into a Delta table by Polars: a CSV file, scanned and written as a stream, partitioned by date.

Called by bench/rows/ingest.py with the file and the folder of the table; prints its seconds as JSON.
"""

import json
import sys
import time

import polars as pl


def main():
    source, target = sys.argv[1:]
    integer = pl.Int32
    schema = {
        "code_module": pl.String,
        "code_presentation": pl.String,
        "id_student": integer,
        "id_site": integer,
        "date": integer,
        "sum_click": integer,
    }
    code = pl.col("code_presentation")
    month = pl.when(code.str.tail(1) == "B").then(2).otherwise(10)
    start = pl.date(code.str.head(4).cast(pl.Int32), month, 1)
    event_date = (start + pl.duration(days=pl.col("date"))).alias("event_date")
    started = time.monotonic()
    rows = pl.scan_csv(source, schema=schema).with_columns(event_date)
    rows.sink_delta(target, delta_write_options={"partition_by": ["event_date"]})
    print(json.dumps({"work": time.monotonic() - started}))


if __name__ == "__main__":
    main()
