"""The outbox in a database, by SQLAlchemy: SQLite, PostgreSQL, MySQL, MariaDB."""

from __future__ import annotations

import itertools
import logging
import random as random_module
import uuid
from typing import TYPE_CHECKING, Any

from cqrs._sql.clock import epoch_now
from cqrs._sql.library import aio, sa
from cqrs.circuit_breaker import validation
from cqrs.circuit_breaker.timing import Backoff
from cqrs.events.event import INotificationEvent
from cqrs.exceptions import ConfigurationTypeError
from cqrs.outbox.attempts import (
    DEFAULT_BACKOFF,
    DEFAULT_MAX_ATTEMPTS,
    UNAVAILABLE_DELAY,
    UNCOUNTED,
    FailureKind,
    Setback,
    classify,
    reason,
)
from cqrs.outbox.codec import (
    MAX_PAYLOAD_BYTES,
    UndecodableEvent,
    check_compressor,
    decode,
    decode_headers,
    encode,
)
from cqrs.outbox.models import OutboxModel, rebind_outbox_model
from cqrs.outbox.preparation import dead_letter
from cqrs.outbox.repository import LEASE_SECONDS, EventStatus, OutboxedEvent, OutboxedEventRepository
from cqrs.outbox.rows import ClaimedRow, Settlement, claim, connect, settle

if TYPE_CHECKING:
    from cqrs.compressors.protocol import Compressor

__all__ = ["OutboxModel", "SqlAlchemyOutboxedEventRepository", "rebind_outbox_model"]

logger = logging.getLogger(__name__)

_REMEMBERED = 10_000


class SqlAlchemyOutboxedEventRepository(OutboxedEventRepository):
    """The outbox as one unit of work sees it: in the transaction of its session.

    Args:
        session: the session whose transaction also holds the changes that the events tell about.
        compressor: makes payloads smaller, such as ``ZlibCompressor()``; readers need the same one.
        max_payload_bytes: what a stored payload may have, at least 1; 16 MiB - 1 by default. MySQL and
            MariaDB are sent twice as much, for which their max_allowed_packet must have room.
        notify: wake relays when the transaction commits, where the database can (PostgreSQL). There all
            commits with notifications wait for each other: ``False`` where thousands a second commit.
        backoff: the waits after failed attempts.

    Raises:
        ConfigurationTypeError: an argument is of the wrong kind.
        PolicyError: ``max_payload_bytes`` is out of range.
    """

    def __init__(
        self,
        session: aio.AsyncSession,
        compressor: Compressor | None = None,
        *,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        notify: bool = True,
        backoff: Backoff = DEFAULT_BACKOFF,
    ) -> None:
        if not isinstance(session, (aio.AsyncSession, aio.async_scoped_session)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(
                f"the outbox needs an AsyncSession of SQLAlchemy, not {session!r}; open one with "
                "async_sessionmaker(engine)()"
            )
        check_compressor(compressor)
        self.session = session
        self._compressor = compressor
        self._max_payload_bytes = validation.count("max_payload_bytes", max_payload_bytes)
        self._notify = notify
        self._backoff = backoff
        self._owner = uuid.uuid4().hex
        self._claims = itertools.count(1)
        self._claimed: dict[int, tuple[str, int]] = {}

    def add(self, event: INotificationEvent[Any]) -> None:
        row = encode(event, self._compressor, self._max_payload_bytes)
        model = OutboxModel(
            event_id=row.event_id,
            event_name=row.event_name,
            topic=row.topic,
            payload=row.payload,
            headers=row.headers,
            message_key=row.message_key,
            notify=self._notify,
        )
        self.session.add(model)

    async def get_many(self, batch_size: int = 100, topic: str | None = None) -> list[OutboxedEvent]:
        """Lease events for 30 s; those that cannot be read become dead letters at once, and are left out.

        Commit before publishing: until then other producers may wait for this transaction, and the leases are
        not durable.

        Raises:
            PolicyError: ``batch_size`` is out of range.
        """
        validation.count("batch_size", batch_size)
        await self.session.flush()
        connection = await connect(self.session)
        while True:
            token = self._token()
            rows = await claim(
                connection,
                token,
                size=batch_size,
                lease_seconds=LEASE_SECONDS,
                max_attempts=DEFAULT_MAX_ATTEMPTS,
                topics=None if topic is None else (topic,),
            )
            events: list[OutboxedEvent] = []
            unreadable = Settlement()
            for row in rows:
                try:
                    events.append(read(row, self._compressor))
                except UndecodableEvent as error:
                    unreadable.setbacks[row.id] = dead_letter(row, str(error))
                    logger.error(
                        "row %s (%s) of the outbox is a dead letter: %s", row.id, row.event_name, error
                    )
            self._remember(token, rows)
            if unreadable:
                await settle(connection, token, unreadable)
            if events or not rows:
                return events

    async def update_status(self, outboxed_event_id: int, new_status: EventStatus) -> None:
        await self._write(outboxed_event_id, EventStatus(new_status), "the program that publishes gave none")

    async def report_failure(self, outboxed_event_id: int, error: Exception) -> None:
        kind = classify(error)
        if kind in UNCOUNTED:
            token, _ = await self._lease_of(outboxed_event_id)
            held = Settlement(held={outboxed_event_id: UNAVAILABLE_DELAY})
            await settle(await connect(self.session), token, held)
        else:
            is_final = kind is FailureKind.REFUSED
            status = EventStatus.DEAD_LETTER if is_final else EventStatus.NOT_PRODUCED
            await self._write(outboxed_event_id, status, reason(error))

    async def _write(self, outboxed_event_id: int, status: EventStatus, why: str) -> None:
        token, attempts = await self._lease_of(outboxed_event_id)
        settlement = Settlement()
        if status is EventStatus.PRODUCED:
            settlement.produced.append(outboxed_event_id)
        elif status is EventStatus.NEW:
            settlement.setbacks[outboxed_event_id] = Setback(status, attempts, 0.0, why)
        else:
            made = attempts + 1
            if made >= DEFAULT_MAX_ATTEMPTS:
                status = EventStatus.DEAD_LETTER
            delay = self._backoff.duration(made, random_module.random())
            settlement.setbacks[outboxed_event_id] = Setback(status, made, delay, why)
        await settle(await connect(self.session), token, settlement)

    async def commit(self) -> None:
        await self.session.commit()

    async def rollback(self) -> None:
        await self.session.rollback()

    def _remember(self, token: str, rows: list[ClaimedRow]) -> None:
        """Keep the tokens of the last rows; a producer lives as long as its process."""
        for row in rows:
            self._claimed.pop(row.id, None)
            self._claimed[row.id] = token, row.flush_counter
        for number in [*itertools.islice(self._claimed, max(len(self._claimed) - _REMEMBERED, 0))]:
            if self._claimed[number][0] != token:
                del self._claimed[number]

    def _token(self) -> str:
        return f"{self._owner}-{next(self._claims)}"

    async def _lease_of(self, number: int) -> tuple[str, int]:
        """Return token and attempts of a row; one that nobody has leased is leased first."""
        known = self._claimed.get(number)
        if known is not None:
            return known
        await self.session.flush()
        table = OutboxModel.__table__
        token = self._token()
        now = epoch_now()
        free = sa.or_(table.c.lease_expires_at.is_(None), table.c.lease_expires_at <= now)
        lease = table.update().where(table.c.id == number, free)
        connection = await connect(self.session)
        await connection.execute(lease.values(lease_owner=token, lease_expires_at=now + LEASE_SECONDS))
        attempts = await connection.scalar(sa.select(table.c.flush_counter).where(table.c.id == number))
        self._claimed[number] = token, attempts or 0
        return self._claimed[number]


def read(row: ClaimedRow, compressor: Compressor | None) -> OutboxedEvent:
    """Return the event of a row.

    Raises:
        UndecodableEvent: it is none.
    """
    payload, event = decode(row.event_name, row.payload, compressor)
    assert event is not None  # it was built
    headers = decode_headers(row.headers)
    status = EventStatus(row.event_status)
    return OutboxedEvent(
        row.id, event, row.topic, status, row.flush_counter, headers, row.message_key, payload
    )
