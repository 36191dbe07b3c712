"""Two endpoints of the session events pipeline with FastAPI and the Python driver: what `make bench-serving` compares with.

Written for speed: prepared statements, the driver's own event loop (libev) with its answers handed to uvloop, dictionaries straight
from the driver into orjson, no models in between, and none of what the program has besides (keys, limits, cursors, tags, metrics,
an access log). Settings are variables: HOST, PORT, KEYSPACE, and NOW, the clock of the pipeline.
"""

import asyncio
import os
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from typing import Annotated
from uuid import UUID

import orjson
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import RoundRobinPolicy, TokenAwarePolicy
from cassandra.query import dict_factory
from fastapi import FastAPI, Query, Response

NOW = datetime.fromisoformat(os.environ["NOW"]).astimezone(timezone.utc).replace(tzinfo=None)
WRITE = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


class Store:
    """The session with Cassandra, and what is asked of it."""

    def __init__(self):
        profile = ExecutionProfile(
            load_balancing_policy=TokenAwarePolicy(RoundRobinPolicy()), row_factory=dict_factory, request_timeout=5
        )
        self.cluster = Cluster(
            [os.environ["HOST"]], port=int(os.environ["PORT"]), execution_profiles={EXEC_PROFILE_DEFAULT: profile}
        )
        self.session = self.cluster.connect(os.environ["KEYSPACE"])
        self.completed = self.session.prepare(
            "SELECT player_id, end_ts, session_id, country, start_ts FROM completed_sessions WHERE player_id = ? LIMIT ?"
        )
        self.started = self.session.prepare(
            "SELECT country, day, ts, session_id, player_id FROM started_sessions"
            " WHERE country = ? AND day = ? AND ts >= ? AND ts < ? LIMIT ?"
        )

    def ask(self, statement, values):
        """The rows, as a future of the loop that asks."""
        loop = asyncio.get_running_loop()
        rows = loop.create_future()

        def settle(set_it, value):
            if not rows.done():
                set_it(value)

        self.session.execute_async(statement, values).add_callbacks(
            lambda found: loop.call_soon_threadsafe(settle, rows.set_result, found),
            lambda error: loop.call_soon_threadsafe(settle, rows.set_exception, error),
        )
        return rows


@asynccontextmanager
async def lifespan(app):
    app.state.store = Store()
    yield
    app.state.store.cluster.shutdown()


app = FastAPI(lifespan=lifespan)


def default(value):
    return str(value)  # the driver's own type of a date


def answer(rows):
    return Response(orjson.dumps({"items": rows, "count": len(rows)}, default, WRITE), media_type="application/json")


@app.get("/v1/players/{player_id}/completed-sessions")
async def completed_sessions(player_id: UUID, limit: Annotated[int, Query(ge=1, le=1000)] = 20):
    store = app.state.store
    return answer(await store.ask(store.completed, (player_id, limit)))


@app.get("/v1/countries/{country}/started-sessions")
async def started_sessions(
    country: str, hours: Annotated[int, Query(ge=1, le=8784)] = 24, limit: Annotated[int, Query(ge=1, le=1000)] = 20
):
    store = app.state.store
    since, until = NOW - timedelta(hours=hours), NOW + timedelta(milliseconds=1)
    days = [until.date() - timedelta(days=back) for back in range((until.date() - since.date()).days + 1)]
    found = await asyncio.gather(*(store.ask(store.started, (country, day, since, until, limit)) for day in days))
    return answer([row for rows in found for row in rows][:limit])
