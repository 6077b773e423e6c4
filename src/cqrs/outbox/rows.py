"""Leasing rows and writing what became of them, within a transaction of whoever calls."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy.exc import DBAPIError

from cqrs._sql.errors import what_is_missing
from cqrs._sql.library import aio
from cqrs.outbox.attempts import Setback
from cqrs.outbox.key_order import overtakes
from cqrs.outbox.models import OutboxModel
from cqrs.outbox.statements import Statements, statements_for

__all__ = ["ClaimedRow", "Settlement", "claim", "connect", "forget", "settle"]


_ADVICE = {
    "column": "the table of the outbox is that of an earlier version, or of another program: "
    "`await connection.run_sync(cqrs.outbox.upgrade_outbox)` adds what it lacks",
    "table": "create the table of the outbox first, by a migration or "
    "`await connection.run_sync(OutboxModel.metadata.create_all)`",
}


@dataclasses.dataclass(frozen=True, slots=True)
class ClaimedRow:
    """A leased row; the fields are its columns."""

    id: int
    event_id: uuid.UUID
    event_name: str
    topic: str
    payload: bytes
    headers: str | None
    message_key: str | None
    flush_counter: int
    event_status: str


@dataclasses.dataclass(slots=True)
class Settlement:
    """What became of the rows of a claim, by their ids.

    Attributes:
        produced: published.
        setbacks: failed attempts.
        given_back: not tried; due at once.
        held: not tried; due after so many seconds.
    """

    produced: list[int] = dataclasses.field(default_factory=list[int])
    setbacks: dict[int, Setback] = dataclasses.field(default_factory=dict[int, Setback])
    given_back: list[int] = dataclasses.field(default_factory=list[int])
    held: dict[int, float] = dataclasses.field(default_factory=dict[int, float])

    def __bool__(self) -> bool:
        return bool(self.produced or self.setbacks or self.given_back or self.held)


async def connect(session: aio.AsyncSession, **execution_options: Any) -> aio.AsyncConnection:
    """Return the connection of a session on which its outbox is, and begin a transaction."""
    arguments = {"mapper": OutboxModel}
    if not execution_options:
        return await session.connection(bind_arguments=arguments)
    return await session.connection(bind_arguments=arguments, execution_options=execution_options)


async def claim(
    connection: aio.AsyncConnection,
    token: str,
    *,
    size: int,
    lease_seconds: float,
    max_attempts: int,
    topics: tuple[str, ...] | None = None,
    avoid: tuple[str, ...] = (),
) -> list[ClaimedRow]:
    """Lease up to ``size`` rows that are due, and return them, oldest first."""
    statements = _statements(connection, topics, avoid)
    try:
        rows = await _claim(connection, statements, token, size, lease_seconds, max_attempts)
    except DBAPIError as error:
        missing = what_is_missing(error)
        if missing is not None:
            error.add_note(_ADVICE[missing])
        raise
    return await _in_order(connection, statements, rows, token, max_attempts)


async def _claim(
    connection: aio.AsyncConnection,
    statements: Statements,
    token: str,
    size: int,
    lease_seconds: float,
    max_attempts: int,
) -> list[ClaimedRow]:
    values: dict[str, Any] = {"token": token, "lease": lease_seconds, "attempts": max_attempts}
    if statements.claim is not None:
        result = await connection.execute(statements.claim, {**values, "size": size})
        found: list[Any] = list(result.all())
    else:
        found = []
        for lock in statements.lock:
            result = await connection.execute(lock, {"attempts": max_attempts, "size": size})
            found.extend(result.all())
        found = sorted(found, key=lambda row: row.id)[:size]
        if found:
            ids = [row.id for row in found]
            lease = {"token": token, "lease": lease_seconds, "ids": ids}
            await connection.execute(statements.lease, lease)
    rows = [ClaimedRow(*row) for row in found]
    rows.sort(key=lambda row: row.id)
    return rows


async def _in_order(
    connection: aio.AsyncConnection,
    statements: Statements,
    rows: list[ClaimedRow],
    token: str,
    max_attempts: int,
) -> list[ClaimedRow]:
    """Give back the rows that would overtake older ones of their key, and return the others."""
    keyed = [row for row in rows if row.message_key is not None]
    if not keyed:
        return rows
    keys = sorted({row.message_key for row in keyed if row.message_key is not None})
    values = {"token": token, "keys": keys, "below": keyed[-1].id, "attempts": max_attempts}
    too_early = overtakes(keyed, (await connection.execute(statements.left_behind, values)).all())
    if not too_early:
        return rows
    await connection.execute(statements.give_back, {"token": token, "ids": too_early})
    given_back = set(too_early)
    return [row for row in rows if row.id not in given_back]


async def settle(connection: aio.AsyncConnection, token: str, settlement: Settlement) -> int:
    """Write what became of rows, as far as they are still leased by ``token``.

    Returns:
        How many of the published ones were not: their lease had ended and somebody else has taken them.
    """
    statements = _statements(connection)
    missing = 0
    if settlement.produced:
        values = {"token": token, "ids": sorted(settlement.produced)}
        result = await connection.execute(statements.produced, values)
        missing = len(settlement.produced) - max(result.rowcount, 0)
    if settlement.setbacks:
        await connection.execute(statements.setback, list(_setbacks(token, settlement.setbacks.items())))
    if settlement.given_back:
        values = {"token": token, "ids": sorted(settlement.given_back)}
        await connection.execute(statements.give_back, values)
    if settlement.held:
        held = [{"token": token, "row": number, "delay": delay} for number, delay in settlement.held.items()]
        await connection.execute(statements.hold, held)
    return missing


async def forget(connection: aio.AsyncConnection, token: str) -> None:
    """End all leases of a token."""
    await connection.execute(_statements(connection).forget, {"token": token})


def _statements(
    connection: aio.AsyncConnection, topics: tuple[str, ...] | None = None, avoid: tuple[str, ...] = ()
) -> Statements:
    return statements_for(OutboxModel.__table__, connection.dialect.name, topics, avoid)


def _setbacks(token: str, setbacks: Iterable[tuple[int, Setback]]) -> Iterable[dict[str, Any]]:
    for number, setback in setbacks:
        yield {
            "token": token,
            "row": number,
            "status": setback.status.value,
            "made": setback.attempts,
            "reason": setback.reason,
            "delay": setback.delay,
        }


def number_of_statements(settlement: Settlement) -> int:
    """Return how many statements ``settle`` executes."""
    parts: Sequence[object] = (
        settlement.produced,
        settlement.setbacks,
        settlement.given_back,
        settlement.held,
    )
    return sum(bool(part) for part in parts)
