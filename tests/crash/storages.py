"""The storage under test, and its tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from cqrs.saga.storage.sqlalchemy import SqlAlchemySagaStorage
from cqrs.saga.storage.sqlalchemy_models import SagaBase
from tests.crash.points import Reach, watch_statements
from tests.servers.databases import create_engine

T = TypeVar("T")

LEASE_SECONDS = 0.2


def storage_of(engine: AsyncEngine, lease_seconds: float = LEASE_SECONDS) -> SqlAlchemySagaStorage:
    return SqlAlchemySagaStorage(
        async_sessionmaker(engine, expire_on_commit=False), lease_seconds=lease_seconds
    )


async def with_storage(
    url: str,
    work: Callable[[SqlAlchemySagaStorage], Awaitable[T]],
    reach: Reach | None = None,
    **options: Any,
) -> T:
    """Call ``work`` with a storage of its own connections, whose statements are crash points."""
    engine = create_engine(url, **options)
    if reach is not None:
        watch_statements(engine, reach)
    try:
        return await work(storage_of(engine))
    finally:
        await engine.dispose()


async def create_tables(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(SagaBase.metadata.create_all)


async def create_tables_at(url: str) -> None:
    engine = create_engine(url)
    try:
        await create_tables(engine)
    finally:
        await engine.dispose()
