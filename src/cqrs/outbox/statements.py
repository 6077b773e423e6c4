"""The SQL of the outbox: leasing rows, and writing what became of them.

A lease is a token in ``lease_owner``, unique per claim, and its end by the clock of the database. Whatever is
written about a leased row is written ``WHERE lease_owner = token``: who was too slow changes nothing.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from sqlalchemy.dialects import postgresql

from cqrs._sql.clock import epoch_now
from cqrs._sql.library import sa
from cqrs.outbox.key_order import is_next_of_its_key, left_behind
from cqrs.outbox.models import WAITING_SQL

__all__ = ["Statements", "statements_for"]


_DOUBLE: sa.types.TypeEngine[float] = sa.Double()


@dataclasses.dataclass(frozen=True, slots=True)
class Statements:
    """The statements for one table and one kind of database.

    Parameters: ``token``; ``size``, ``lease``, ``attempts`` (a claim); ``ids``; ``row``, ``delay`` in seconds
    and the new values (one row).

    Attributes:
        claim: leases and returns rows, where one statement can.
        lock: where it takes several: each locks and returns rows of one status, oldest first.
        lease: then leases the oldest of them, ``ids``.
        produced: marks the rows ``ids`` as published.
        setback: writes a failed attempt.
        give_back: ends the leases of the rows ``ids``.
        hold: ends the lease of a row that is not due before ``delay``.
        forget: ends all leases of a token.
        left_behind: finds older rows of claimed keys.
    """

    claim: sa.Update | None
    lock: tuple[sa.Select[Any], ...]
    lease: sa.Update
    produced: sa.Update
    setback: sa.Update
    give_back: sa.Update
    hold: sa.Update
    forget: sa.Update
    left_behind: sa.Select[Any]


@functools.lru_cache(maxsize=64)
def statements_for(
    table: sa.Table, dialect: str, topics: tuple[str, ...] | None = None, avoid: tuple[str, ...] = ()
) -> Statements:
    """Return the statements for a table.

    Args:
        table: the table of the outbox.
        dialect: name of SQLAlchemy's dialect.
        topics: claim only rows of these topics; ``None``: of all.
        avoid: claim no rows of these topics.
    """
    columns = _claimed_columns(table)
    mine = table.c.lease_owner == sa.bindparam("token")
    leased: dict[str, Any] = {
        "lease_owner": sa.bindparam("token"),
        "lease_expires_at": epoch_now() + sa.bindparam("lease", type_=_DOUBLE),
    }
    free = {"lease_owner": sa.null(), "lease_expires_at": sa.null()}
    these = _in(table.c.id, dialect)
    later = epoch_now() + sa.bindparam("delay", type_=_DOUBLE)
    this = sa.and_(table.c.id == sa.bindparam("row"), mine)
    ended = table.update().where(mine)
    claim: sa.Update | None = None
    lock: tuple[sa.Select[Any], ...] = ()
    waiting = sa.text(WAITING_SQL)
    if dialect == "postgresql":
        # A common table expression is evaluated once; a subquery may be evaluated again, and lock more rows.
        due = _due(table, waiting, topics, avoid).with_for_update(skip_locked=True).cte("due")
        claim = table.update().where(table.c.id == due.c.id).values(leased).returning(*columns)
    elif dialect in ("mysql", "mariadb"):
        # Status by status, as the index gives each in the order of ids.
        lock = tuple(
            _due(table, table.c.event_status == sa.literal(status, literal_execute=True), topics, avoid)
            .with_only_columns(*columns)
            .with_for_update(skip_locked=True)
            for status in ("not_produced", "new")
        )
    else:
        due_ids = _due(table, waiting, topics, avoid).scalar_subquery()
        claim = table.update().where(table.c.id.in_(due_ids)).values(leased).returning(*columns)
    return Statements(
        claim=claim,
        lock=lock,
        lease=table.update().where(these).values(leased),
        produced=ended.where(these).values(event_status="produced", error=sa.null(), **free),
        setback=table.update()
        .where(this)
        .values(
            event_status=sa.bindparam("status"),
            flush_counter=sa.bindparam("made"),
            error=sa.bindparam("reason"),
            available_at=later,
            **free,
        ),
        give_back=ended.where(these).values(free),
        hold=table.update().where(this).values(available_at=later, **free),
        forget=ended.where(waiting).values(free),
        left_behind=left_behind(table, dialect),
    )


def _claimed_columns(table: sa.Table) -> tuple[sa.Column[Any], ...]:
    names = ("id", "event_id", "event_name", "topic", "payload", "headers", "message_key", "flush_counter")
    return tuple(table.c[name] for name in (*names, "event_status"))


def _due(
    table: sa.Table,
    waiting: sa.ColumnElement[bool] | sa.TextClause,
    topics: tuple[str, ...] | None,
    avoid: tuple[str, ...],
) -> sa.Select[Any]:
    now = epoch_now()
    query = sa.select(table.c.id) if not avoid else sa.select(table.c.id).where(table.c.topic.not_in(avoid))
    query = (
        query.where(waiting)
        .where(table.c.flush_counter < sa.bindparam("attempts", type_=sa.SmallInteger()))
        .where(sa.or_(table.c.available_at.is_(None), table.c.available_at <= now))
        .where(sa.or_(table.c.lease_expires_at.is_(None), table.c.lease_expires_at <= now))
        .where(is_next_of_its_key(table))
        .order_by(table.c.id)
        .limit(sa.bindparam("size", type_=sa.Integer()))
    )
    return query if topics is None else query.where(table.c.topic.in_(topics))


def _in(column: sa.Column[Any], dialect: str) -> sa.ColumnElement[bool]:
    if dialect == "postgresql":  # one parameter and one plan, however many rows
        ids = sa.bindparam("ids", type_=postgresql.ARRAY(sa.BigInteger()))
        return column == sa.any_(ids)
    return column.in_(sa.bindparam("ids", expanding=True))
