"""What one core decodes and encodes, by pyarrow without threads: seconds as JSON.

Called by bench/stages.py with a file of JSON lines and a CSV file.
"""

import json
import sys
import time

import pyarrow
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

BLOCK = 1 << 20


def main():
    lines, table = sys.argv[1:]
    taken = {}
    started = time.perf_counter()
    pyarrow.json.read_json(lines, read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=BLOCK))
    taken["json"] = time.perf_counter() - started
    started = time.perf_counter()
    rows = pyarrow.csv.read_csv(table, read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK))
    taken["csv"] = time.perf_counter() - started
    started = time.perf_counter()
    # As Sluice writes it: zstd at its lowest level.
    pyarrow.parquet.write_table(rows, pyarrow.BufferOutputStream(), compression="zstd", compression_level=1)
    taken["parquet"] = time.perf_counter() - started
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
