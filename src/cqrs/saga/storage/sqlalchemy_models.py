"""The tables of sagas: ``saga_executions`` and ``saga_logs``."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from typing import TYPE_CHECKING, Any, Self, cast

from cqrs._sql.clock import utc_now
from cqrs._sql.library import orm, sa
from cqrs._sql.metadata import metadata_of
from cqrs._sql.types import BigIntegerKey, JsonText, LargeText, PortableUuid, UtcDateTime
from cqrs.exceptions import ConfigurationError

__all__ = ["SagaBase", "SagaExecutionModel", "SagaLogModel", "SagaTables"]


class SagaBase(orm.DeclarativeBase):
    """Holds the tables of sagas; ``SagaBase.metadata`` is what Alembic and ``create_all`` need."""


@dataclasses.dataclass(frozen=True, slots=True)
class SagaTables:
    """The two tables of a ``SqlAlchemySagaStorage``.

    Attributes:
        executions: one row per saga.
        logs: one row per line of a log.
    """

    executions: sa.Table
    logs: sa.Table

    @classmethod
    def in_metadata(
        cls,
        base: Any,
        *,
        executions: str = "saga_executions",
        logs: str = "saga_logs",
        schema: str | None = None,
    ) -> Self:
        """Put the tables into the metadata of an application, so that its migrations make them too.

        Args:
            base: a declarative base of SQLAlchemy, or a ``MetaData``.
            executions: name of the first table.
            logs: name of the second one.
            schema: the schema of both; ``None``: that of the metadata.

        Raises:
            ConfigurationTypeError: ``base`` is neither.
            ConfigurationError: it has tables of these names already.

        >>> metadata = sa.MetaData()
        >>> tables = SagaTables.in_metadata(metadata, schema="sagas")
        >>> sorted(metadata.tables)
        ['sagas.saga_executions', 'sagas.saga_logs']
        """
        metadata = metadata_of(base)
        prefix = schema if schema is not None else metadata.schema
        for name in (executions, logs):
            if (f"{prefix}.{name}" if prefix else name) in metadata.tables:
                raise ConfigurationError(f"there is a table {name!r} in this metadata already")
        return cls(
            _executions(metadata, executions, schema),
            _logs(metadata, logs, schema),
        )


def _executions(metadata: sa.MetaData, name: str, schema: str | None) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        sa.Column("id", PortableUuid(), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("context", JsonText(), nullable=False),
        sa.Column("version", sa.Integer, nullable=False, server_default="1"),
        sa.Column("recovery_attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("created_at", UtcDateTime(), nullable=False, default=utc_now()),
        sa.Column("updated_at", UtcDateTime(), nullable=False, default=utc_now()),
        # Nullable, so that they can be added to tables that were made without them.
        sa.Column("lease_owner", sa.String(255)),
        sa.Column("lease_expires_at", sa.Double),
        # Few of all sagas are unfinished.
        sa.Index(f"ix_{name}_status_updated_at", "status", "updated_at"),
        schema=schema,
    )


def _logs(metadata: sa.MetaData, name: str, schema: str | None) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        sa.Column("id", BigIntegerKey(), primary_key=True, autoincrement=True),
        sa.Column("saga_id", PortableUuid(), nullable=False),
        sa.Column("step_name", sa.String(255), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("details", LargeText()),
        sa.Column("created_at", UtcDateTime(), nullable=False, default=utc_now()),
        sa.Column("position", sa.Integer),
        sa.Index(f"ix_{name}_saga_id", "saga_id"),
        schema=schema,
    )


DEFAULT_TABLES = SagaTables.in_metadata(SagaBase.metadata)


class SagaExecutionModel(SagaBase):
    """A row of ``saga_executions``, for queries; only a storage writes."""

    __table__ = cast("sa.FromClause", DEFAULT_TABLES.executions)

    if TYPE_CHECKING:
        id: orm.Mapped[uuid.UUID]
        name: orm.Mapped[str]
        status: orm.Mapped[str]
        context: orm.Mapped[dict[str, Any]]
        version: orm.Mapped[int]
        recovery_attempts: orm.Mapped[int]
        created_at: orm.Mapped[datetime.datetime]
        updated_at: orm.Mapped[datetime.datetime]
        lease_owner: orm.Mapped[str | None]
        lease_expires_at: orm.Mapped[float | None]


class SagaLogModel(SagaBase):
    """A row of ``saga_logs``, for queries."""

    __table__ = cast("sa.FromClause", DEFAULT_TABLES.logs)

    if TYPE_CHECKING:
        id: orm.Mapped[int]
        saga_id: orm.Mapped[uuid.UUID]
        step_name: orm.Mapped[str]
        action: orm.Mapped[str]
        status: orm.Mapped[str]
        details: orm.Mapped[str | None]
        created_at: orm.Mapped[datetime.datetime]
        position: orm.Mapped[int | None]
