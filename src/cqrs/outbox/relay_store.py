"""The database as a relay sees it: each call is a transaction of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from cqrs._sql.library import aio, sa
from cqrs._sql.sessions import SessionFactory
from cqrs._sql.transactions import check_transactional
from cqrs.outbox.models import OutboxModel
from cqrs.outbox.rows import ClaimedRow, Settlement, claim, connect, forget, number_of_statements, settle
from cqrs.outbox.settings import RelaySettings
from cqrs.outbox.statistics import RelayStatistics

__all__ = ["RelayStore"]

_MYSQL = ("mysql", "mariadb")


class RelayStore:
    """Leases rows and writes what became of them.

    Args:
        session_factory: opens sessions.
        settings: of the relay.
        statistics: where statements are counted.
    """

    def __init__(
        self, session_factory: SessionFactory, settings: RelaySettings, statistics: RelayStatistics
    ) -> None:
        self._session_factory = session_factory
        self._settings = settings
        self._statistics = statistics
        self._is_backlog = False

    async def claim(self, token: str, avoid: tuple[str, ...] = ()) -> list[ClaimedRow]:
        """Lease a batch, durably; without rows of the topics to ``avoid``."""
        settings = self._settings
        async with self._transaction(claiming=True) as connection:
            self._statistics.queries += 1
            if self._is_backlog and connection.dialect.name == "postgresql":
                # Statistics of a queue are always wrong: PostgreSQL would read and sort all of a long one.
                self._statistics.queries += 1
                await connection.execute(sa.text("SET LOCAL enable_sort = off"))
            rows = await claim(
                connection,
                token,
                size=settings.batch_size,
                lease_seconds=settings.lease_seconds,
                max_attempts=settings.max_attempts,
                topics=settings.topics,
                avoid=avoid,
            )
        self._is_backlog = len(rows) >= settings.batch_size
        return rows

    async def settle(self, token: str, settlement: Settlement) -> int:
        """Write what became of a batch; return how many published rows were not leased any more."""
        async with self._transaction() as connection:
            self._statistics.queries += number_of_statements(settlement)
            return await settle(connection, token, settlement)

    async def forget(self, token: str) -> None:
        """End all leases of a token."""
        async with self._transaction() as connection:
            self._statistics.queries += 1
            await forget(connection, token)

    def engine(self) -> aio.AsyncEngine | None:
        """Return the engine on which the outbox is; ``None`` when sessions are bound to one connection."""
        bind = self._session_factory().get_bind(mapper=OutboxModel)
        return None if hasattr(bind, "engine") and bind.engine is not bind else aio.AsyncEngine(bind)  # type: ignore[arg-type]

    @asynccontextmanager
    async def _transaction(self, *, claiming: bool = False) -> AsyncGenerator[aio.AsyncConnection]:
        # A server that does not answer must not hold a relay up for ever.
        async with asyncio.timeout(self._settings.lease_seconds), self._session_factory() as session:
            options = {}
            bind = session.get_bind(mapper=OutboxModel)
            check_transactional(bind)  # before another isolation level hides what it was made with
            if claiming and bind.dialect.name in _MYSQL:
                # By default they would lock the gaps between rows too, where other transactions insert.
                options = {"isolation_level": "READ COMMITTED"}
            yield await connect(session, **options)
            await session.commit()
