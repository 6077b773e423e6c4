"""What the tests of the outbox in a database share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from cqrs.outbox.models import OutboxModel
from cqrs.outbox.relay import OutboxRelay
from cqrs.outbox.sqlalchemy import SqlAlchemyOutboxedEventRepository
from tests.servers.databases import Database


async def create_table(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.run_sync(OutboxModel.metadata.create_all)


@asynccontextmanager
async def repository(database: Database, **options: Any) -> AsyncGenerator[SqlAlchemyOutboxedEventRepository]:
    async with database.session_factory() as session:
        yield SqlAlchemyOutboxedEventRepository(session, **options)


async def add(database: Database, *events: Any, **options: Any) -> None:
    async with repository(database, **options) as outbox:
        for event in events:
            outbox.add(event)
        await outbox.commit()


async def rows(database: Database) -> list[Any]:
    """Return all rows, oldest first."""
    async with database.engine.connect() as connection:
        result = await connection.execute(sa.select(OutboxModel.__table__).order_by(sa.text("id")))
        return list(result.all())


async def statuses(database: Database) -> list[str]:
    return [row.event_status for row in await rows(database)]


async def execute(database: Database, statement: str, **values: Any) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(sa.text(statement), values)


def count_statements(engine: AsyncEngine) -> list[str]:
    """Return a list to which every statement is appended that the engine executes from now on."""
    executed: list[str] = []

    @sa.event.listens_for(engine.sync_engine, "before_cursor_execute")
    def remember(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        executed.append(statement)

    return executed


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until something is the case."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nobody tells when
            await asyncio.sleep(0.002)


async def drain(made: OutboxRelay) -> None:
    """Make turns until nothing is due."""
    while (await made.run_once()).claimed:
        pass


async def set_payload(database: Database, payload: bytes, *numbers: int) -> None:
    table = OutboxModel.__table__
    async with database.engine.begin() as connection:
        await connection.execute(table.update().where(table.c.id.in_(numbers)).values(payload=payload))
