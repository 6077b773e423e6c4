"""A storage in an empty database of each kind."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa

from cqrs.saga.storage.sqlalchemy import SqlAlchemySagaStorage
from tests.servers.databases import Database
from tests.unit.saga.storage.contract import LEASE, Subject


@pytest.fixture
async def storage(database: Database) -> SqlAlchemySagaStorage:
    storage = SqlAlchemySagaStorage(database.session_factory, lease_seconds=LEASE)
    await storage.create_tables()
    return storage


@pytest.fixture
def pass_time(database: Database, storage: SqlAlchemySagaStorage) -> Callable[[float], Awaitable[None]]:
    """Make seconds pass for all sagas: the clock of the database stays, what is stored is moved back."""
    table = storage.tables.executions

    async def pass_time(seconds: float) -> None:
        async with database.engine.begin() as connection:
            for saga_id, moment in (
                await connection.execute(sa.select(table.c.id, table.c.updated_at))
            ).all():
                await connection.execute(
                    sa.update(table)
                    .where(table.c.id == saga_id)
                    .values(
                        lease_expires_at=table.c.lease_expires_at - seconds,
                        updated_at=moment - datetime.timedelta(seconds=seconds),
                    )
                )

    return pass_time


@pytest.fixture
def subject(storage: SqlAlchemySagaStorage, pass_time: Callable[[float], Awaitable[None]]) -> Subject:
    return Subject(storage, pass_time)
