#!/usr/bin/env python3
"""Completed sessions into Cassandra by the Python driver: unlogged batches of at most 32 rows of one player, 64 in flight. The
file is sorted by player. Called by bench/rows/cassandra.py.
"""

import csv
import sys
import threading
from datetime import datetime
from itertools import groupby, islice
from uuid import UUID

from cassandra.cluster import Cluster
from cassandra.query import BatchStatement, BatchType

ROWS, IN_FLIGHT = 32, 64


def main():
    path, host, port, keyspace = sys.argv[1:]
    cluster = Cluster([host], port=int(port))
    session = cluster.connect(keyspace)
    insert = session.prepare("INSERT INTO completed (player_id, end_ts, session_id, country, start_ts) VALUES (?, ?, ?, ?, ?)")
    room, failures = threading.Semaphore(IN_FLIGHT), []

    def failed(error):
        failures.append(error)
        room.release()

    with open(path, newline="") as file:
        lines = csv.reader(file)
        next(lines)
        for player, rows in groupby(lines, lambda line: line[0]):
            player = UUID(player)
            while piece := list(islice(rows, ROWS)):
                batch = BatchStatement(BatchType.UNLOGGED)
                for _, end, session_id, country, start, *_ in piece:
                    batch.add(
                        insert, (player, datetime.fromisoformat(end), UUID(session_id), country, datetime.fromisoformat(start))
                    )
                room.acquire()
                session.execute_async(batch).add_callbacks(lambda _: room.release(), failed)
            if failures:
                break
    for _ in range(IN_FLIGHT):
        room.acquire()
    cluster.shutdown()
    if failures:
        sys.exit(f"a batch was not written: {failures[0]}")


if __name__ == "__main__":
    main()
