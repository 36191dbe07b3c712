"""The interactions into a Delta table by delta-rs from Python, with pyarrow's CSV reader, partitioned by date.

Called by bench/rows/ingest.py with the file and the folder of the table; prints its seconds as JSON.
"""

import datetime
import json
import sys
import time

import deltalake
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

SCHEMA = pa.schema(
    [("code_module", pa.string()), ("code_presentation", pa.string())]
    + [(name, pa.int32()) for name in ("id_student", "id_site", "date", "sum_click")]
    + [("event_date", pa.date32())]
)


def first_days(codes):
    """The start of each presentation, in days since 1970: there are few, so each is computed once."""
    packed = codes.dictionary_encode()
    days = []
    for code in packed.dictionary.to_pylist():
        start = datetime.date(int(code[:4]), 2 if code[-1] == "B" else 10, 1)
        days.append((start - datetime.date(1970, 1, 1)).days)
    return pc.take(pa.array(days, pa.int32()), packed.indices)


def batches(source):
    options = csv.ConvertOptions(column_types={field.name: field.type for field in SCHEMA}, strings_can_be_null=False)
    for batch in csv.open_csv(source, convert_options=options):
        days = pc.add(first_days(batch.column("code_presentation")), batch.column("date"))
        yield pa.record_batch([*batch.columns, days.cast(pa.date32())], schema=SCHEMA)


def main():
    source, target = sys.argv[1:]
    started = time.monotonic()
    reader = pa.RecordBatchReader.from_batches(SCHEMA, batches(source))
    deltalake.write_deltalake(target, reader, partition_by=["event_date"])
    print(json.dumps({"work": time.monotonic() - started}))


if __name__ == "__main__":
    main()
