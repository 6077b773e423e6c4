"""Waking the relay when rows are committed: NOTIFY of PostgreSQL, sent within the transaction of the rows."""

from __future__ import annotations

import weakref
from typing import Any

from cqrs._sql.library import sa

__all__ = ["channel_of", "notify_after_insert"]

_NOTIFIED = "cqrs.outbox.notified"


def channel_of(table: sa.Table) -> str:
    """Return the channel for a table; names of PostgreSQL have 63 bytes at most.

    >>> channel_of(sa.Table("outbox", sa.MetaData()))
    'holdfast_outbox'
    """
    return f"holdfast_{table.fullname}".encode()[:63].decode(errors="ignore")


def notify_after_insert(_mapper: Any, connection: sa.Connection, row: Any) -> None:
    """Send the topic, once per transaction or savepoint; it goes out when the transaction commits."""
    if connection.dialect.name != "postgresql" or not getattr(row, "notify", True):
        return
    # A savepoint takes its notifications with it when it is rolled back.
    transaction = connection.get_nested_transaction() or connection.get_transaction()
    if transaction is None or isinstance(transaction, sa.TwoPhaseTransaction):
        return  # PREPARE TRANSACTION refuses to work after NOTIFY; polling finds the rows
    notified: tuple[weakref.ref[Any], set[str]] | None = connection.info.get(_NOTIFIED)
    if notified is None or notified[0]() is not transaction:
        notified = connection.info[_NOTIFIED] = weakref.ref(transaction), set[str]()
    if row.topic not in notified[1]:
        notified[1].add(row.topic)
        connection.execute(sa.select(sa.func.pg_notify(channel_of(row.__table__), row.topic)))
