"""Keeping the order of messages with the same topic and key across batches and relays.

A claim takes no row while the oldest one of its key is leased or waits for its next attempt. Two claims at
the same moment do not see each other's leases: so each then looks for older rows of its keys that are not its
own, and gives back what would overtake them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy.dialects import postgresql

from cqrs._sql.clock import epoch_now
from cqrs._sql.library import sa
from cqrs.outbox.models import WAITING_SQL

__all__ = ["is_next_of_its_key", "left_behind", "overtakes"]


def is_next_of_its_key(table: sa.Table) -> sa.ColumnElement[bool]:
    """Return the condition that the oldest waiting row of the same key is neither leased nor waits.

    One look into the index, however many rows the key has; ``left_behind`` finds what that does not see.
    """
    older = table.alias("older")
    now = epoch_now()
    is_not_due: Any = sa.or_(older.c.lease_expires_at > now, older.c.available_at > now)
    # Within the subquery, the plain name in WAITING_SQL is that of the older row.
    blocks = (
        sa.select(sa.case((is_not_due, 1), else_=0))
        .where(older.c.message_key == table.c.message_key, older.c.topic == table.c.topic)
        .where(sa.text(WAITING_SQL))
        .order_by(older.c.message_key, older.c.id)
        .limit(1)
        .correlate(table)
        .scalar_subquery()
    )
    return sa.or_(table.c.message_key.is_(None), blocks == 0)


def left_behind(table: sa.Table, dialect: str) -> sa.Select[Any]:
    """Return the query for the oldest waiting row of each key that ``token`` has not leased.

    Parameters: ``token``; ``keys``; ``below``, the number under which it must be; ``attempts``.
    """
    keys: sa.ColumnElement[bool]
    if dialect == "postgresql":  # one parameter, however many keys
        keys = table.c.message_key == sa.any_(sa.bindparam("keys", type_=postgresql.ARRAY(sa.String())))
    else:
        keys = table.c.message_key.in_(sa.bindparam("keys", expanding=True))
    foreign = sa.or_(table.c.lease_owner.is_(None), table.c.lease_owner != sa.bindparam("token"))
    query: Any = (
        sa.select(table.c.topic, table.c.message_key, sa.func.min(table.c.id))
        .where(sa.text(WAITING_SQL), keys, table.c.id < sa.bindparam("below"), foreign)
        .where(table.c.flush_counter < sa.bindparam("attempts", type_=sa.SmallInteger()))
        .group_by(table.c.topic, table.c.message_key)
    )
    return cast("sa.Select[Any]", query)


def overtakes(rows: Iterable[Any], older: Iterable[Any]) -> list[int]:
    """Return the numbers of those rows that would overtake an older one.

    Args:
        rows: what was claimed.
        older: topic, key and number of what was not.
    """
    first: dict[tuple[str, str], int] = {}
    for topic, key, number in older:
        name = _folded(topic, key)
        first[name] = min(number, first.get(name, number))
    if not first:
        return []
    return [
        row.id
        for row in rows
        if row.message_key is not None and row.id > first.get(_folded(row.topic, row.message_key), row.id)
    ]


def _folded(topic: str, key: str) -> tuple[str, str]:
    # MySQL groups by texts as it compares them. Taking two keys for one costs a wait, not the order.
    return topic.rstrip().casefold(), key.rstrip().casefold()
