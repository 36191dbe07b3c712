"""The interactions into Parquet files by DuckDB, a folder for each day of events: no Delta table, no log.

Called by bench/rows/ingest.py with the CSV file and the folder; prints its seconds as JSON.
"""

import json
import sys
import time

import duckdb


def main():
    source, target = sys.argv[1:]
    integer = "'INTEGER'"
    columns = f"""{{'code_module': 'VARCHAR', 'code_presentation': 'VARCHAR', 'id_student': {integer}, 'id_site': {integer},
        'date': {integer}, 'sum_click': {integer}}}"""
    connection = duckdb.connect()
    connection.execute("SET preserve_insertion_order = false")
    started = time.monotonic()
    connection.execute(f"""
        COPY (
          SELECT *, date + make_date(
            left(code_presentation, 4)::INTEGER, CASE right(code_presentation, 1) WHEN 'B' THEN 2 ELSE 10 END, 1) AS event_date
          FROM read_csv('{source}', header = true, columns = {columns}))
        TO '{target}' (FORMAT parquet, PARTITION_BY (event_date))""").fetchall()
    print(json.dumps({"work": time.monotonic() - started}))


if __name__ == "__main__":
    main()
