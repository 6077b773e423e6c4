"""The table of the inbox, and in whose metadata it is."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from cqrs._sql.clock import utc_now
from cqrs._sql.library import orm, sa
from cqrs._sql.rebinding import MovableModel
from cqrs._sql.types import BigIntegerKey, ExactText, LargeText, UtcDateTime

__all__ = ["InboxModel", "rebind_inbox_model"]


class InboxModel:
    """A message that a consumer has handled.

    ``InboxModel.metadata`` is what Alembic needs, until ``rebind_inbox_model`` puts the table elsewhere.
    """

    __table__: ClassVar[sa.Table]
    metadata: ClassVar[sa.MetaData]

    if TYPE_CHECKING:
        id: orm.Mapped[int]
        consumer: orm.Mapped[str]
        message_id: orm.Mapped[str]
        event_name: orm.Mapped[str | None]
        status: orm.Mapped[str]
        received_at: orm.Mapped[datetime.datetime]
        handled_at: orm.Mapped[datetime.datetime | None]
        attempts: orm.Mapped[int]
        error: orm.Mapped[str | None]


def build_table(metadata: sa.MetaData, name: str) -> sa.Table:
    """Make the table in ``metadata``."""
    return sa.Table(
        name,
        metadata,
        sa.Column("id", BigIntegerKey(), primary_key=True, autoincrement=True),
        sa.Column("consumer", ExactText(190), nullable=False),
        sa.Column("message_id", ExactText(190), nullable=False),
        sa.Column("event_name", sa.String(255), nullable=True),
        sa.Column("status", sa.String(32), nullable=False, default="received", server_default="received"),
        sa.Column("received_at", UtcDateTime(), nullable=False, default=utc_now()),
        sa.Column("handled_at", UtcDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer, nullable=False, default=1, server_default="1"),
        sa.Column("error", LargeText(), nullable=True),
        sa.UniqueConstraint("consumer", "message_id", name=f"uq_{name}_consumer_message_id"),
        sa.Index(f"ix_{name}_received_at", "received_at"),
    )


_movable = MovableModel(InboxModel, build_table, "inbox")


def rebind_inbox_model(base: Any, table_name: str | None = None) -> None:
    """Put the table of the inbox into the metadata of the application, so that one migration makes them all.

    Call it once, when the program starts, before the inbox is used.

    Args:
        base: a declarative base of SQLAlchemy, or its ``MetaData``.
        table_name: another name for the table; by default it keeps the one it has.

    Raises:
        ConfigurationTypeError: an argument is of another kind.
        ConfigurationError: the metadata has a table of this name.
    """
    _movable.rebind(base, table_name)
