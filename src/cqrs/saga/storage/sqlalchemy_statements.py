"""The statements of a ``SqlAlchemySagaStorage`` that write; each is built once.

A lease is free when it has no end or the end is past. ``lease_owner`` says who may write: it stays after a
final status, so that a commit which is tried again recognises itself.
"""

from __future__ import annotations

import functools
from typing import Any, TypeAlias

from cqrs._sql.clock import epoch_now, utc_now
from cqrs._sql.library import sa
from cqrs._sql.types import JsonText, PortableUuid
from cqrs.saga.storage.enums import SagaStatus
from cqrs.saga.storage.sqlalchemy_models import SagaTables

__all__ = ["DIRECT_WRITE", "Line", "SagaStatements", "spellings"]

Line: TypeAlias = tuple[str, str, str, str | None, int | None]
"""Step name, action, status, details and position."""

DIRECT_WRITE = "a direct write"
"""Owner of a lease whose holder must not write any more, as somebody has changed the saga meanwhile."""

_DOUBLE: sa.types.TypeEngine[float] = sa.Double()
_COLUMNS = ("step_name", "action", "status", "details", "position")


def spellings(*statuses: SagaStatus) -> list[str]:
    """Return how statuses may be written in rows: as values, and as names of enumeration members."""
    return [text for status in statuses for text in (status.value, status.name)]


COMPLETED = spellings(SagaStatus.COMPLETED)
FINAL = spellings(SagaStatus.COMPLETED, SagaStatus.FAILED)
FAILED = spellings(SagaStatus.FAILED)
UNFINISHED = spellings(SagaStatus.PENDING, SagaStatus.RUNNING, SagaStatus.COMPENSATING)


class SagaStatements:
    """Statements for two tables.

    Args:
        tables: the tables.
        lease_seconds: length of a lease.
    """

    def __init__(self, tables: SagaTables, lease_seconds: float) -> None:
        self.tables = tables
        self.executions = tables.executions
        self.columns: Any = tables.executions.c
        self._until = epoch_now() + sa.literal(lease_seconds, _DOUBLE)
        self.commit = functools.cache(self._commit)
        self.acquire = functools.cache(self._acquire)
        self.insert_lines = functools.cache(self._insert_lines)
        own: Any = sa.bindparam("own_id", type_=PortableUuid())
        self._this = self.columns.id == own
        self._mine = self.columns.lease_owner == sa.bindparam("owner", type_=sa.String())

    @functools.cached_property
    def is_free(self) -> Any:
        """Whether nobody holds the lease."""
        end = self.columns.lease_expires_at
        return sa.or_(end.is_(None), end <= epoch_now())

    @functools.cached_property
    def insert(self) -> Any:
        """Insert a saga with a lease."""
        return sa.insert(self.executions).values(
            created_at=utc_now(), updated_at=utc_now(), lease_expires_at=self._until
        )

    @functools.cached_property
    def insert_unleased(self) -> Any:
        """Insert a saga."""
        return sa.insert(self.executions).values(created_at=utc_now(), updated_at=utc_now())

    def _commit(self, *, context: bool, status: bool, ends: bool, progress: bool) -> Any:
        """Write what a run has collected, unless the saga has been taken over."""
        known = sa.bindparam("known", type_=sa.Integer())
        target = sa.bindparam("target", type_=sa.Integer())
        version = self.columns.version
        values: dict[str, Any] = {
            "version": target,
            "updated_at": utc_now(),
            "lease_expires_at": None if ends else self._until,
        }
        if context:
            values["context"] = sa.bindparam("new_context", type_=JsonText())
        if status:
            values["status"] = sa.bindparam("new_status", type_=sa.String())
        if progress:
            values["recovery_attempts"] = 0
        where = (self._this, self._mine, version >= known, version < target)
        return sa.update(self.executions).where(*where).values(values)

    def _acquire(self, *, recovering: bool) -> Any:
        """Take the lease of a saga if it is free."""
        columns = self.columns
        allowed = [self._mine, self.is_free]
        if not recovering:
            # What ``release`` has put off is the recovery.
            allowed.append(columns.lease_owner.is_(None))
        return (
            sa.update(self.executions)
            .where(self._this, columns.status.not_in(COMPLETED if recovering else FINAL), sa.or_(*allowed))
            .values(
                lease_owner=sa.bindparam("owner", type_=sa.String()),
                lease_expires_at=self._until,
                version=columns.version + 1,
                updated_at=utc_now(),
                recovery_attempts=sa.func.coalesce(columns.recovery_attempts, 0) + (1 if recovering else 0),
            )
        )

    @functools.cached_property
    def renew(self) -> Any:
        """Prolong a lease."""
        return sa.update(self.executions).where(self._this, self._mine).values(lease_expires_at=self._until)

    @functools.cached_property
    def release(self) -> Any:
        """Give a lease back, for others to take after some seconds."""
        wait: Any = sa.bindparam("wait", type_=_DOUBLE)
        end = sa.case((wait > 0, epoch_now() + wait), else_=None)
        values = {"lease_owner": None, "lease_expires_at": end}
        return sa.update(self.executions).where(self._this, self._mine).values(values)

    @functools.cached_property
    def state(self) -> Any:
        """Select status, context, version, owner, seconds left of the lease."""
        columns = self.columns
        left = columns.lease_expires_at - epoch_now()
        return sa.select(
            columns.status, columns.context, columns.version, columns.lease_owner, left.label("left")
        ).where(self._this)

    @functools.cached_property
    def holder(self) -> Any:
        """Select version and owner."""
        return sa.select(self.columns.version, self.columns.lease_owner).where(self._this)

    def change(self, *conditions: Any, **values: Any) -> Any:
        """Update a saga outside of a run: whoever executes it cannot write any more."""
        columns = self.columns
        owner = sa.case((columns.lease_owner.is_(None), None), else_=DIRECT_WRITE)
        given = {"lease_owner": owner, "version": columns.version + 1, "updated_at": utc_now()}
        return sa.update(self.executions).where(self._this, *conditions).values(given | values)

    def _insert_lines(self, count: int, dialect: sa.Dialect) -> Any:
        """Insert so many lines of a log in one statement.

        As text: SQLAlchemy compiles an insert of several rows anew each time, and aiomysql sends one row at a
        time where a value is an expression.
        """
        logs = self.tables.logs
        now = utc_now().compile(dialect=dialect)
        prepare = dialect.identifier_preparer
        names = ", ".join(prepare.quote(name) for name in ("saga_id", *_COLUMNS, "created_at"))
        rows = (
            ", ".join((":own_id", *(f":{name}_{number}" for name in _COLUMNS), str(now)))
            for number in range(count)
        )
        values = ", ".join(f"({row})" for row in rows)
        types = [sa.bindparam("own_id", type_=PortableUuid())]
        types += [
            sa.bindparam(f"{name}_{number}", type_=logs.c[name].type)
            for number in range(count)
            for name in _COLUMNS
        ]
        text = f"INSERT INTO {prepare.format_table(logs)} ({names}) VALUES {values}"
        return sa.text(text).bindparams(*types)

    @staticmethod
    def line_parameters(lines: list[Line]) -> dict[str, Any]:
        """Return the parameters of ``insert_lines``, save for ``own_id``."""
        return {
            f"{name}_{number}": value
            for number, line in enumerate(lines)
            for name, value in zip(_COLUMNS, line, strict=True)
        }
