"""Sagas in a database, by SQLAlchemy: SQLite, PostgreSQL, MySQL, MariaDB."""

from __future__ import annotations

import asyncio
import datetime
import functools
import uuid
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from cqrs._sql.library import aio, exc
from cqrs._sql.schema import create_tables
from cqrs._sql.sessions import SessionFactory, check_session_factory
from cqrs._sql.transactions import Transactions
from cqrs.circuit_breaker import validation
from cqrs.exceptions import ConfigurationTypeError, SagaConcurrencyError, SagaNotFoundError
from cqrs.saga.storage.arguments import already_exists, checked_limit, checked_seconds, stored_details
from cqrs.saga.storage.contexts import encode_context
from cqrs.saga.storage.enums import SagaAction, SagaStatus, SagaStepStatus
from cqrs.saga.storage.models import SagaLogEntry
from cqrs.saga.storage.protocol import DEFAULT_LEASE_SECONDS, ISagaStorage, SagaState
from cqrs.saga.storage.sqlalchemy_models import (
    DEFAULT_TABLES,
    SagaBase,
    SagaExecutionModel,
    SagaLogModel,
    SagaTables,
)
from cqrs.saga.storage.sqlalchemy_queries import SagaQueries
from cqrs.saga.storage.sqlalchemy_rows import entry_of, state_of
from cqrs.saga.storage.sqlalchemy_run import SqlAlchemySagaRun
from cqrs.saga.storage.sqlalchemy_statements import SagaStatements

__all__ = ["SagaBase", "SagaExecutionModel", "SagaLogModel", "SagaTables", "SqlAlchemySagaStorage"]

PURGED_AT_ONCE = 500


class SqlAlchemySagaStorage(ISagaStorage):
    """Keeps sagas in two tables of a database; may be shared by tasks, and the tables by processes.

    Each commit is a short transaction of two statements, and no connection is held in between: a saga of n
    steps costs n + 1 commits. Leases are compared with the clock of the database. Deadlocks, conflicts of
    transactions and a locked SQLite file are tried again, up to 6 times within about 1 s. SQLite must be a
    file: all users of ``:memory:`` share one connection, and so each other's transactions.

    Args:
        session_factory: opens a session of its own per transaction: ``async_sessionmaker(engine)``; not in
            AUTOCOMMIT mode.
        lease_seconds: how long a run may be silent before another one may take its saga over; > 0.
        tables: the tables, when they are in metadata of your own (``SagaTables.in_metadata``); default: those
            of ``SagaBase.metadata``.
        sleep: waits before a transaction is tried again.

    Raises:
        ConfigurationTypeError: ``session_factory`` cannot open asynchronous sessions, or ``tables`` is none.
        PolicyError: ``lease_seconds`` is out of range.
        ImportError: SQLAlchemy is not installed.

    >>> from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
    >>> async def example() -> tuple[SagaStatus, dict[str, Any], int]:
    ...     engine = create_async_engine("sqlite+aiosqlite://")
    ...     storage = SqlAlchemySagaStorage(async_sessionmaker(engine))
    ...     await storage.create_tables()
    ...     await storage.create_saga(uuid.UUID(int=1), "Order", {"orderId": 7})
    ...     state = await storage.load_saga_state(uuid.UUID(int=1))
    ...     await engine.dispose()
    ...     return state
    >>> asyncio.run(example())
    (<SagaStatus.PENDING: 'pending'>, {'orderId': 7}, 1)
    """

    def __init__(
        self,
        session_factory: SessionFactory,
        *,
        lease_seconds: float = DEFAULT_LEASE_SECONDS,
        tables: SagaTables | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        factory = check_session_factory(session_factory, "SqlAlchemySagaStorage")
        if not isinstance(tables, SagaTables | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"tables must come from SagaTables.in_metadata, not {tables!r}")
        self.lease_seconds = validation.seconds("lease_seconds", lease_seconds)
        self.tables = tables or DEFAULT_TABLES
        self._transactions = Transactions(factory, self.tables.executions, sleep)
        self._statements = SagaStatements(self.tables, self.lease_seconds)
        self._queries = SagaQueries(self._statements)

    async def create_tables(self) -> list[str]:
        """Create the tables, or add to those of an earlier version what they lack; return what was added.

        For programs without migrations of their own; several processes may call it at once.
        """
        wanted = [self.tables.executions, self.tables.logs]
        return await self._transactions.run(lambda connection: connection.run_sync(create_tables, wanted))

    def create_run(self) -> SqlAlchemySagaRun:
        return SqlAlchemySagaRun(self, self._transactions, self._statements)

    # ------------------------------------------------------------------ writing

    async def create_saga(self, saga_id: uuid.UUID, name: str, context: dict[str, Any]) -> None:
        values = {
            "id": saga_id,
            "name": name,
            "status": SagaStatus.PENDING.value,
            "context": encode_context(saga_id, context),
            "version": 1,
            "recovery_attempts": 0,
        }
        try:
            await self._execute(self._statements.insert_unleased, values)
        except exc.IntegrityError as error:
            if await self._exists(saga_id):
                raise already_exists(saga_id) from error
            raise

    async def update_context(
        self, saga_id: uuid.UUID, context: dict[str, Any], current_version: int | None = None
    ) -> None:
        columns = self._statements.columns
        expected = () if current_version is None else (columns.version == current_version,)
        change = self._statements.change(*expected, context=encode_context(saga_id, context))
        if await self._execute(change, {"own_id": saga_id}):
            return
        _, _, version = await self.load_saga_state(saga_id)
        raise SagaConcurrencyError(saga_id, f"its version is {version}, not {current_version}")

    async def update_status(self, saga_id: uuid.UUID, status: SagaStatus) -> None:
        await self._change(saga_id, self._statements.change(**_values_of(status)))

    async def log_step(
        self,
        saga_id: uuid.UUID,
        step_name: str,
        action: SagaAction,
        status: SagaStepStatus,
        details: str | None = None,
        *,
        position: int | None = None,
    ) -> None:
        state = SagaStepStatus(status).value
        line = (step_name, action, state, stored_details(details), position)
        statements = self._statements
        touch = self._queries.touch(progress=action == "act" and state == "completed")

        async def write(connection: aio.AsyncConnection) -> None:
            if not (await connection.execute(touch, {"own_id": saga_id})).rowcount:
                raise SagaNotFoundError(saga_id)
            insert = statements.insert_lines(1, connection.dialect)
            await connection.execute(insert, {"own_id": saga_id, **statements.line_parameters([line])})

        await self._transactions.run(write, repeatable=False)

    async def increment_recovery_attempts(
        self, saga_id: uuid.UUID, new_status: SagaStatus | None = None
    ) -> None:
        more = self._queries.one_more_attempt
        if new_status is None:
            statement = self._queries.set_attempts(more)
        else:
            statement = self._statements.change(recovery_attempts=more, **_values_of(new_status))
        await self._change(saga_id, statement)

    async def set_recovery_attempts(self, saga_id: uuid.UUID, attempts: int) -> None:
        number = validation.count("attempts", attempts, low=0)
        await self._change(saga_id, self._queries.set_attempts(number), repeatable=True)

    async def purge_finished(
        self,
        older_than: float | datetime.timedelta,
        *,
        limit: int | None = None,
        with_failed_compensation: bool = False,
    ) -> int:
        age = checked_seconds("older_than", older_than)
        most = None if limit is None else checked_limit(limit)
        removed = 0
        while most is None or removed < most:
            wanted = PURGED_AT_ONCE if most is None else min(PURGED_AT_ONCE, most - removed)
            query = self._queries.finished(age, wanted, with_failed_compensation=with_failed_compensation)
            count = await self._transactions.run(functools.partial(self._purge, query))
            removed += count
            if count < wanted:
                break
        return removed

    # ------------------------------------------------------------------ reading

    async def load_saga_state(self, saga_id: uuid.UUID, *, read_for_update: bool = False) -> SagaState:
        statement = self._statements.state.with_for_update() if read_for_update else self._statements.state

        async def read(connection: aio.AsyncConnection) -> Any:
            if read_for_update:
                await self._queries.lock_sqlite(connection)
            return (await connection.execute(statement, {"own_id": saga_id})).one_or_none()

        row = await self._transactions.run(read)
        if row is None:
            raise SagaNotFoundError(saga_id)
        return state_of(saga_id, row)

    async def get_step_history(self, saga_id: uuid.UUID) -> list[SagaLogEntry]:
        return [entry_of(row) for row in await self._rows(self._queries.log, {"own_id": saga_id})]

    async def get_sagas_for_recovery(
        self,
        limit: int,
        max_recovery_attempts: int = 5,
        stale_after_seconds: float | None = None,
        saga_name: str | Collection[str] | None = None,
    ) -> list[uuid.UUID]:
        found = await self.get_named_sagas_for_recovery(
            limit, max_recovery_attempts, stale_after_seconds, saga_name
        )
        return [saga_id for saga_id, _ in found]

    async def get_named_sagas_for_recovery(
        self,
        limit: int,
        max_recovery_attempts: int = 5,
        stale_after_seconds: float | None = None,
        saga_name: str | Collection[str] | None = None,
    ) -> list[tuple[uuid.UUID, str]]:
        attempts = validation.count("max_recovery_attempts", max_recovery_attempts)
        stale = 0.0
        if stale_after_seconds is not None:
            stale = checked_seconds("stale_after_seconds", stale_after_seconds)
        query = self._queries.recoverable(attempts, stale, saga_name).limit(checked_limit(limit))
        return [(row[0], str(row[1])) for row in await self._rows(query)]

    async def get_exhausted_sagas(
        self, limit: int, max_recovery_attempts: int = 5, saga_name: str | Collection[str] | None = None
    ) -> list[uuid.UUID]:
        attempts = validation.count("max_recovery_attempts", max_recovery_attempts)
        return await self._ids(self._queries.exhausted(attempts, saga_name), limit)

    async def get_unfinished_names(self) -> set[str]:
        return {str(row[0]) for row in await self._rows(self._queries.unfinished_names)}

    async def get_sagas_with_failed_compensation(
        self, limit: int, saga_name: str | Collection[str] | None = None
    ) -> list[uuid.UUID]:
        return await self._ids(self._queries.with_failed_compensation(saga_name), limit)

    # ------------------------------------------------------------------ transactions

    async def _ids(self, query: Any, limit: int) -> list[uuid.UUID]:
        return [row[0] for row in await self._rows(query.limit(checked_limit(limit)))]

    async def _rows(self, query: Any, values: dict[str, Any] | None = None) -> list[Any]:
        async def read(connection: aio.AsyncConnection) -> list[Any]:
            return list((await connection.execute(query, values)).all())

        return await self._transactions.run(read)

    async def _execute(self, statement: Any, values: dict[str, Any], *, repeatable: bool = False) -> int:
        async def write(connection: aio.AsyncConnection) -> int:
            return (await connection.execute(statement, values)).rowcount

        return await self._transactions.run(write, repeatable=repeatable)

    async def _change(self, saga_id: uuid.UUID, statement: Any, *, repeatable: bool = False) -> None:
        if not await self._execute(statement, {"own_id": saga_id}, repeatable=repeatable):
            raise SagaNotFoundError(saga_id)

    async def _exists(self, saga_id: uuid.UUID) -> bool:
        return bool(await self._rows(self._statements.holder, {"own_id": saga_id}))

    async def _purge(self, query: Any, connection: aio.AsyncConnection) -> int:
        await self._queries.lock_sqlite(connection)
        ids = [row[0] for row in (await connection.execute(query)).all()]
        if ids:
            for statement in self._queries.deletes(ids):
                await connection.execute(statement)
        return len(ids)


def _values_of(status: SagaStatus) -> dict[str, Any]:
    """Return what a row has with a status; a final one ends the lease."""
    status = SagaStatus(status)
    return {
        "status": status.value,
        **({"lease_owner": None, "lease_expires_at": None} if status.is_final else {}),
    }
