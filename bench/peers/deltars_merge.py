"""Updates into a Delta table by the MERGE of delta-rs, called from Python.

Called by bench/rows/merge.py with the folder of the table, the Parquet file of updates, and how rows are told from one another:

    literals    by id and day, the days of the updates named in the condition: files of other days are not looked at
    day         by id and day, and no more
    id          by id alone, wherever it is

Prints its seconds as JSON.
"""

import json
import sys
import time

import deltalake
import pyarrow.compute as pc
import pyarrow.parquet as pq

CONDITIONS = {
    "literals": "t.id = s.id AND t.day = s.day AND t.day IN ({})",
    "day": "t.id = s.id AND t.day = s.day",
    "id": "t.id = s.id",
}


def main():
    table, updates, by = sys.argv[1:]
    started = time.monotonic()
    source = pq.read_table(updates)
    days = sorted(pc.unique(source["day"]).to_pylist())
    condition = CONDITIONS[by].format(", ".join(f"CAST('{day}' AS DATE)" for day in days))
    merge = deltalake.DeltaTable(table).merge(source, condition, source_alias="s", target_alias="t")
    merge.when_matched_update_all().when_not_matched_insert_all().execute()
    print(json.dumps({"work": time.monotonic() - started}))


if __name__ == "__main__":
    main()
