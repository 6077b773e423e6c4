"""The table of the outbox, and in whose metadata it is."""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import event

from cqrs._sql.library import orm, sa
from cqrs._sql.rebinding import MovableModel
from cqrs._sql.types import BigIntegerKey, LargeBytes, LargeText, PortableUuid, UtcDateTime
from cqrs.exceptions import ConfigurationTypeError
from cqrs.outbox.notifications import notify_after_insert

__all__ = ["OutboxModel", "rebind_outbox_model"]

# Literals, not parameters: a partial index serves a query only if its condition is found in it word by word.
# The capitals are names of enum members, which other programs have written.
WAITING_SQL = "event_status IN ('new', 'not_produced', 'NEW', 'NOT_PRODUCED')"

KEYED_SQL = f"{WAITING_SQL} AND message_key IS NOT NULL"

DEAD_SQL = "event_status = 'dead_letter'"


class OutboxModel:
    """A row of the outbox. Programs add rows by the repository; this is for migrations and queries.

    ``OutboxModel.metadata`` is what Alembic needs, until ``rebind_outbox_model`` puts the table elsewhere.
    """

    __table__: ClassVar[sa.Table]
    metadata: ClassVar[sa.MetaData]

    if TYPE_CHECKING:
        id: orm.Mapped[int]
        event_id: orm.Mapped[uuid.UUID]
        event_status: orm.Mapped[str]
        flush_counter: orm.Mapped[int]
        event_name: orm.Mapped[str]
        topic: orm.Mapped[str]
        payload: orm.Mapped[bytes]
        created_at: orm.Mapped[datetime.datetime]
        headers: orm.Mapped[str | None]
        message_key: orm.Mapped[str | None]
        lease_owner: orm.Mapped[str | None]
        lease_expires_at: orm.Mapped[float | None]
        available_at: orm.Mapped[float | None]
        error: orm.Mapped[str | None]

    def __init__(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self, name, value)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def build_table(metadata: sa.MetaData, name: str) -> sa.Table:
    """Make the table in ``metadata``."""
    table = sa.Table(
        name,
        metadata,
        sa.Column("id", BigIntegerKey(), primary_key=True, autoincrement=True),
        sa.Column("event_id", PortableUuid(), nullable=False),
        sa.Column("event_status", sa.String(32), nullable=False, default="new", server_default="new"),
        sa.Column("flush_counter", sa.SmallInteger, nullable=False, default=0, server_default="0"),
        sa.Column("event_name", sa.String(255), nullable=False),
        sa.Column("topic", sa.String(255), nullable=False),
        sa.Column("payload", LargeBytes(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False, default=_now),
        # Not in tables that other programs have made: nullable, so that they can be added.
        sa.Column("headers", LargeText(), nullable=True),
        sa.Column("message_key", sa.String(255), nullable=True),
        sa.Column("lease_owner", sa.String(64), nullable=True),
        sa.Column("lease_expires_at", sa.Double, nullable=True),
        sa.Column("available_at", sa.Double, nullable=True),
        sa.Column("error", LargeText(), nullable=True),
        sa.UniqueConstraint("event_id", "event_name", name=f"uq_{name}_event_id_event_name"),
        # What waits, by age: of the size of the backlog where the database knows partial indexes.
        sa.Index(
            f"ix_{name}_waiting",
            "id",
            postgresql_where=sa.text(WAITING_SQL),
            sqlite_where=sa.text(WAITING_SQL),
        ),
        # The same where it does not; elsewhere only the dead letters, for operators.
        sa.Index(
            f"ix_{name}_event_status",
            "event_status",
            "id",
            postgresql_where=sa.text(DEAD_SQL),
            sqlite_where=sa.text(DEAD_SQL),
        ),
        # Who is the next of its key. By number before status: what blocks a key is its oldest row, and the
        # first that is found; else a long queue behind it would take time that grows with its square.
        sa.Index(
            f"ix_{name}_message_key",
            "message_key",
            "id",
            "event_status",
            postgresql_where=sa.text(KEYED_SQL),
            sqlite_where=sa.text(KEYED_SQL),
        ),
    )
    # Room for the leased version of a row beside the new one: then no index changes, and leasing is a third
    # faster. A table that a migration makes does without, unless the migration says so.
    ddl: Any = sa.DDL
    roomy = ddl("ALTER TABLE %(fullname)s SET (fillfactor = 50)").execute_if(dialect="postgresql")
    event.listen(table, "after_create", roomy)
    return table


def _listen() -> None:
    event.listen(OutboxModel, "after_insert", notify_after_insert)


_movable = MovableModel(OutboxModel, build_table, "outbox", _listen)


def rebind_outbox_model(model_class: type[Any], base: Any, table_name: str | None = None) -> None:
    """Put the table of the outbox into the metadata of the application, so that one migration makes them all.

    Call it once, when the program starts, before the outbox is used.

    Args:
        model_class: ``OutboxModel``.
        base: a declarative base of SQLAlchemy, or its ``MetaData``.
        table_name: another name for the table; by default it keeps the one it has.

    Raises:
        ConfigurationTypeError: an argument is of another kind.
        ConfigurationError: the metadata has a table of this name.
    """
    if model_class is not OutboxModel:
        raise ConfigurationTypeError(f"model_class must be OutboxModel, not {model_class!r}")
    _movable.rebind(base, table_name)
