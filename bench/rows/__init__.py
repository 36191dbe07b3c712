"""The rows of the scorecard, in its order; each module has `contests(place)`, which lists its contests and costs nothing."""

import importlib

MODULES = ["sessions", "ingest", "merge", "cassandra", "serving", "memory", "program"]


def contests(place):
    """All contests, in order. A module that is not there yet has none."""
    found = []
    for name in MODULES:
        if importlib.util.find_spec(f"rows.{name}"):
            found += importlib.import_module(f"rows.{name}").contests(place)
    return found
