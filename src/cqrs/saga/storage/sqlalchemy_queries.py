"""What is asked of the tables of sagas outside of runs."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Collection
from typing import Any

from cqrs._sql.clock import utc_now
from cqrs._sql.library import aio, sa
from cqrs._sql.types import PortableUuid
from cqrs.saga.storage.arguments import names_of
from cqrs.saga.storage.sqlalchemy_statements import FAILED, FINAL, UNFINISHED, SagaStatements

__all__ = ["SagaQueries"]


class SagaQueries:
    """Selects ids of sagas, those untouched for longest first, and what else concerns many of them."""

    def __init__(self, statements: SagaStatements) -> None:
        self._executions = statements.executions
        self._logs = statements.tables.logs
        self._columns: Any = statements.executions.c
        self._is_free = statements.is_free
        self._this = self._columns.id == sa.bindparam("own_id", type_=PortableUuid())

    def recoverable(self, attempts: int, stale: float, names: str | Collection[str] | None) -> Any:
        """Sagas that may be recovered, and their names."""
        query = self._unfinished(names).where(self._is_free, self._attempts < attempts)
        query = query.add_columns(self._columns.name)
        return query.where(self._columns.updated_at <= utc_now(stale)) if stale else query

    def exhausted(self, attempts: int, names: str | Collection[str] | None) -> Any:
        """Sagas that were recovered too often in vain."""
        return self._unfinished(names).where(self._is_free, self._attempts >= attempts)

    def with_failed_compensation(self, names: str | Collection[str] | None) -> Any:
        """Failed sagas in which a compensation was given up."""
        query = self._ids(names).where(self._columns.status.in_(FAILED))
        return query.where(self._given_up(self._columns.id))

    def finished(self, age: float, limit: int, *, with_failed_compensation: bool) -> Any:
        """Sagas in a final status for so many seconds; the rows are locked."""
        query = self._ids(None).where(self._columns.status.in_(FINAL), self._is_free)
        if age:
            query = query.where(self._columns.updated_at <= utc_now(age))
        if not with_failed_compensation:
            given_up = sa.and_(self._columns.status.in_(FAILED), self._given_up(self._columns.id))
            query = query.where(sa.not_(given_up))
        return query.limit(limit).with_for_update(of=self._executions)

    @functools.cached_property
    def unfinished_names(self) -> Any:
        """Names of sagas in no final status."""
        return sa.select(self._columns.name).where(self._columns.status.in_(UNFINISHED)).distinct()

    @functools.cached_property
    def log(self) -> Any:
        """The log of a saga, oldest line first."""
        saga_id = sa.bindparam("own_id", type_=PortableUuid())
        return sa.select(self._logs).where(self._logs.c.saga_id == saga_id).order_by(self._logs.c.id)

    @functools.cached_property
    def one_more_attempt(self) -> Any:
        """The number of attempts to recover a saga, plus 1."""
        return self._attempts + 1

    def set_attempts(self, attempts: Any) -> Any:
        """Set the number of attempts to recover a saga, without disturbing who executes it."""
        return sa.update(self._executions).where(self._this).values(recovery_attempts=attempts)

    def touch(self, *, progress: bool) -> Any:
        """Note that a line is written to the log of a saga."""
        values = {"recovery_attempts": 0} if progress else {"recovery_attempts": self._attempts}
        return sa.update(self._executions).where(self._this).values(values)

    def deletes(self, ids: list[uuid.UUID]) -> list[Any]:
        """Delete sagas and their logs."""
        return [
            sa.delete(self._logs).where(self._logs.c.saga_id.in_(ids)),
            sa.delete(self._executions).where(self._columns.id.in_(ids)),
        ]

    async def lock_sqlite(self, connection: aio.AsyncConnection) -> None:
        """Begin as a writer, in a transaction of SQLite that reads first: it knows no locks of rows."""
        if connection.dialect.name == "sqlite":
            await connection.execute(sa.delete(self._logs).where(sa.false()))

    @property
    def _attempts(self) -> Any:
        return sa.func.coalesce(self._columns.recovery_attempts, 0)

    def _ids(self, names: str | Collection[str] | None) -> Any:
        query = sa.select(self._columns.id).order_by(self._columns.updated_at)
        wanted = names_of(names)
        return query if wanted is None else query.where(self._columns.name.in_(wanted))

    def _unfinished(self, names: str | Collection[str] | None) -> Any:
        return self._ids(names).where(self._columns.status.in_(UNFINISHED))

    def _given_up(self, saga_id: Any) -> Any:
        """Whether a compensation has failed and was not completed later."""
        failed, later = self._logs.alias("failed"), self._logs.alias("later")
        same_step = sa.and_(
            later.c.saga_id == failed.c.saga_id,
            later.c.step_name == failed.c.step_name,
            sa.func.coalesce(later.c.position, -1) == sa.func.coalesce(failed.c.position, -1),
        )
        completed = sa.and_(
            later.c.action.in_(("compensate", "COMPENSATE")),
            later.c.status.in_(("completed", "COMPLETED")),
            later.c.id > failed.c.id,
        )
        return sa.exists().where(
            failed.c.saga_id == saga_id,
            failed.c.action.in_(("compensate", "COMPENSATE")),
            failed.c.status.in_(("failed", "FAILED")),
            ~sa.exists().where(same_step, completed).correlate(failed),
        )
