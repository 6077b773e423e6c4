"""What operators do with an outbox: look at dead letters, send them again, remove what was published."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from cqrs._sql.clock import utc_now
from cqrs._sql.library import aio, sa
from cqrs._sql.sessions import SessionFactory, check_session_factory
from cqrs.circuit_breaker import validation
from cqrs.exceptions import ConfigurationError
from cqrs.outbox.attempts import DEFAULT_MAX_ATTEMPTS
from cqrs.outbox.models import DEAD_SQL, WAITING_SQL, OutboxModel
from cqrs.outbox.rows import connect

__all__ = ["DeadLetter", "dead_letters", "purge_produced", "requeue_dead_letters"]

_PRODUCED = ("produced", "PRODUCED")


@dataclasses.dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that was given up.

    Attributes:
        id: number of the row.
        event_id: identity of the event.
        event_name: its name.
        topic: where it should have gone.
        attempts: failed attempts.
        error: why it was given up, or failed last.
        created_at: when it was added.
        payload: what is stored, compressed if it was written so.
    """

    id: int
    event_id: uuid.UUID
    event_name: str
    topic: str
    attempts: int
    error: str | None
    created_at: datetime.datetime
    payload: bytes = dataclasses.field(repr=False)


async def dead_letters(
    session_factory: SessionFactory,
    limit: int = 100,
    *,
    event_name: str | None = None,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
) -> list[DeadLetter]:
    """Return events that were given up, oldest first.

    Rows with ``max_attempts`` failures that another program has left in ``not_produced`` are among them: no
    relay takes them any more.

    Args:
        session_factory: opens sessions.
        limit: how many at most, at least 1.
        event_name: only those of this name.
        max_attempts: of the relays.

    Raises:
        PolicyError: a number is out of range.
    """
    validation.count("limit", limit)
    columns = OutboxModel.__table__.c
    query = (
        sa.select(
            columns.id,
            columns.event_id,
            columns.event_name,
            columns.topic,
            columns.flush_counter,
            columns.error,
            columns.created_at,
            columns.payload,
        )
        .where(_is_dead(event_name, max_attempts))
        .order_by(columns.id)
        .limit(limit)
    )
    async with _checked(session_factory, "dead_letters")() as session:
        found = await (await connect(session)).execute(query)
        return [DeadLetter(*row) for row in found.all()]


async def requeue_dead_letters(
    session_factory: SessionFactory,
    ids: Iterable[int] | None = None,
    *,
    event_name: str | None = None,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
) -> int:
    """Let relays try given-up events again, with no attempts counted; return how many.

    Args:
        session_factory: opens sessions.
        ids: numbers of rows; those that are no dead letters stay as they are.
        event_name: instead of, or besides, ``ids``: those of this name.
        max_attempts: of the relays.

    Raises:
        ConfigurationError: neither ``ids`` nor ``event_name`` is given.
        PolicyError: a number is out of range, or none.
    """
    if ids is None and event_name is None:
        raise ConfigurationError("say which dead letters: give their ids, or an event_name")
    table = OutboxModel.__table__
    chosen = _is_dead(event_name, max_attempts)
    if ids is not None:
        numbers = [validation.count("ids", number, low=0) for number in ids]
        chosen = sa.and_(chosen, table.c.id.in_(numbers))
    again = table.update().where(chosen)
    again = again.values(
        event_status="new",
        flush_counter=0,
        available_at=sa.null(),
        lease_owner=sa.null(),
        lease_expires_at=sa.null(),
    )
    async with _checked(session_factory, "requeue_dead_letters")() as session:
        result = await (await connect(session)).execute(again)
        await session.commit()
        return max(result.rowcount, 0)


async def purge_produced(
    session_factory: SessionFactory, older_than: float | timedelta, *, chunk: int = 1000
) -> int:
    """Delete published events that were added long ago; return how many.

    Args:
        session_factory: opens sessions.
        older_than: seconds, or ``timedelta``; at least 0.
        chunk: rows deleted in one transaction, at least 1.

    Raises:
        PolicyError: an argument is out of range.
    """
    seconds = validation.seconds("older_than", older_than, strict=False)
    size = validation.count("chunk", chunk)
    table = OutboxModel.__table__
    old = (
        sa.select(table.c.id)
        .where(table.c.event_status.in_(_PRODUCED), table.c.created_at < utc_now(seconds))
        .order_by(table.c.id)
        .limit(size)
    )
    factory = _checked(session_factory, "purge_produced")
    total = 0
    while True:
        async with factory() as session:
            connection = await connect(session)
            ids = list((await connection.execute(old)).scalars())
            if ids:
                await connection.execute(table.delete().where(table.c.id.in_(ids)))
            await session.commit()
        total += len(ids)
        if len(ids) < size:
            return total


def _is_dead(event_name: str | None, max_attempts: int) -> sa.ColumnElement[bool]:
    columns = OutboxModel.__table__.c
    validation.count("max_attempts", max_attempts)
    exhausted: Any = sa.and_(sa.text(WAITING_SQL), columns.flush_counter >= max_attempts)
    is_dead: Any = sa.or_(sa.text(DEAD_SQL), exhausted)
    return is_dead if event_name is None else sa.and_(is_dead, columns.event_name == event_name)


def _checked(session_factory: SessionFactory, owner: str) -> Callable[[], aio.AsyncSession]:
    return check_session_factory(session_factory, owner)
