"""Sagas of three steps that PostgreSQL keeps: commits, statements and throughput."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from harness.environments import CQRS_5_SQL, DURABLE
from harness.model import Case, Prepared, Target, Unavailable

from .memory import PEER

AT_ONCE = 16
"""Sagas under way at once, in one process; the pool has as many connections."""

SERVER = (
    "PostgreSQL 15 or newer on this machine, private to the run and reached over loopback, asyncpg, "
    "SQLAlchemy 2.0.46. The server does not wait for its disk (`fsync=off`), as no two machines have the "
    "same one: where a commit waits for a disk, what counts is how many commits there are."
)
COMMITS = Case(
    key="saga-postgres-commits",
    title="saga of 3 steps, PostgreSQL: commits",
    what=(
        "Transactions that were committed during one saga of three steps, from its creation to `completed`, "
        "as SQLAlchemy's engine counts them. " + SERVER
    ),
    unit="commits",
    targets=(Target("Holdfast", "worst", 5.0),),
    rounds=5,
    group="durable",
)
STATEMENTS = Case(
    key="saga-postgres-statements",
    title="saga of 3 steps, PostgreSQL: statements",
    what="Statements that were sent during one saga of three steps, without BEGIN and COMMIT. " + SERVER,
    unit="statements",
    rounds=5,
    group="durable",
)
THROUGHPUT = Case(
    key="saga-postgres",
    title="saga of 3 steps, PostgreSQL",
    what=(
        f"Time per saga while {AT_ONCE} run at once in one process: the inverse of the throughput. Both "
        "libraries use the storage runs that they recommend. " + SERVER
    ),
    targets=(Target("Holdfast", "growth", 1.0, against=PEER),),
    rounds=10,
    pinned=False,
    group="durable",
)
CASES = (THROUGHPUT, COMMITS, STATEMENTS)


@dataclass(slots=True)
class Stage:
    """A server with the tables of the library that is measured."""

    server: Any
    engine: Any
    storage: Any
    counted: Counter[str]

    async def close(self) -> None:
        """End the server."""
        await self.engine.dispose()
        self.server.close()

    async def run(self, count: int) -> None:
        """Run some sagas, ``AT_ONCE`` at a time."""
        from .app import OneMethodContainer, OrderSaga, run_order

        saga, container, left = OrderSaga(), OneMethodContainer(), count

        async def work() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await run_order(saga, container, self.storage)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(count, AT_ONCE)):
                group.create_task(work())


async def stage() -> Stage:
    """Start a server and make the tables."""
    from sqlalchemy import event
    from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

    from cqrs.saga.storage.sqlalchemy import SagaExecutionModel, SqlAlchemySagaStorage
    from tests.servers.binaries import ServerMissing
    from tests.servers.postgres import PostgresServer

    try:
        server = PostgresServer().start()
    except ServerMissing as missing:
        raise Unavailable(str(missing)) from missing
    counted: Counter[str] = Counter()
    engine = create_async_engine(server.url, pool_size=AT_ONCE, max_overflow=0)

    def count(what: str) -> Any:
        return lambda *_: counted.update((what,))

    event.listen(engine.sync_engine, "commit", count("commits"))
    event.listen(engine.sync_engine, "before_cursor_execute", count("statements"))
    async with engine.begin() as connection:
        await connection.run_sync(SagaExecutionModel.metadata.create_all)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    return Stage(server, engine, SqlAlchemySagaStorage(sessions), counted)


@THROUGHPUT.subject("Holdfast", DURABLE)
@THROUGHPUT.subject(PEER, CQRS_5_SQL)
async def _throughput() -> Prepared:
    made = await stage()
    await made.run(AT_ONCE)  # connections are made, statements prepared
    seconds = 1.0

    async def measure() -> float:
        from harness.model import settings

        count = max(AT_ONCE, int(seconds * 400 * settings.seconds / 0.02))
        begun = time.perf_counter()
        await made.run(count)
        return (time.perf_counter() - begun) / count * 1e6

    return Prepared(measure=measure, close=made.close)


async def _counting(what: str) -> Prepared:
    made = await stage()
    await made.run(1)

    async def measure() -> float:
        made.counted.clear()
        await made.run(1)
        return float(made.counted[what])

    return Prepared(measure=measure, close=made.close)


@COMMITS.subject("Holdfast", DURABLE)
@COMMITS.subject(PEER, CQRS_5_SQL)
async def _commits() -> Prepared:
    return await _counting("commits")


@STATEMENTS.subject("Holdfast", DURABLE)
@STATEMENTS.subject(PEER, CQRS_5_SQL)
async def _statements() -> Prepared:
    return await _counting("statements")
