#!/usr/bin/env python3
"""The good events of files of JSON lines, each once: the truth of the session events rows, by nothing but Python's own JSON.

sessions_truth.py OUT FILE... writes OUT as CSV with the columns event, country, player_id, session_id, ts; ids without dashes.
What makes an event good is what the pipeline's contract says.
"""

import csv
import json
import sys
from datetime import datetime, timedelta
from uuid import UUID


def good(line):
    """The event of a line as a row, or None."""
    try:
        record = json.loads(line.decode())
        values = [record["event"], record.get("country"), record["player_id"], record["session_id"], record["ts"]]
        if not all(isinstance(value, str) or (at == 1 and value is None) for at, value in enumerate(values)):
            return None
        ts = datetime.fromisoformat(values[4])
        ids = [UUID(value).hex for value in values[2:4]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    is_start = values[0] == "start"
    if values[0] not in ("start", "end") or (is_start and values[1] is None) or ts > datetime.now() + timedelta(days=1):
        return None
    return (values[0], values[1] or "", *ids, ts.isoformat(sep=" "))


def main():
    out, *files = sys.argv[1:]
    seen = set()
    with open(out, "w", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(["event", "country", "player_id", "session_id", "ts"])
        for path in files:
            with open(path, "rb") as lines:
                for row in map(good, lines):
                    if row and (key := (row[3], row[0])) not in seen:
                        seen.add(key)
                        writer.writerow(row)


if __name__ == "__main__":
    main()
