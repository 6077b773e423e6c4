"""What an outbox must offer, and what is read from it."""

from __future__ import annotations

import abc
import dataclasses
import enum
import uuid
from collections.abc import Mapping
from typing import Any

from cqrs.events.event import INotificationEvent
from cqrs.exceptions import MessageRefusedError
from cqrs.message_brokers.protocol import Message

__all__ = ["LEASE_SECONDS", "EventStatus", "OutboxedEvent", "OutboxedEventRepository"]

LEASE_SECONDS = 30.0
"""For how long ``get_many`` of the repositories of this package leases events."""


class EventStatus(enum.StrEnum):
    """How far an outboxed event has come; read in any case, as rows that say ``NEW`` exist.

    >>> EventStatus("NEW"), EventStatus("Not_Produced")
    (<EventStatus.NEW: 'new'>, <EventStatus.NOT_PRODUCED: 'not_produced'>)
    """

    NEW = "new"
    """Nobody has tried to publish it."""
    PRODUCED = "produced"
    """The broker has taken it over."""
    NOT_PRODUCED = "not_produced"
    """The last attempt failed; there will be another one."""
    DEAD_LETTER = "dead_letter"
    """Given up: too many attempts, refused by the broker for good, or not readable. For an operator."""

    @classmethod
    def _missing_(cls, value: object) -> EventStatus | None:
        lowered = value.lower() if isinstance(value, str) else None
        return next((status for status in cls if status.value == lowered), None)


@dataclasses.dataclass(frozen=True, slots=True)
class OutboxedEvent:
    """An event in the outbox.

    Args:
        id: number of the row.
        event: the event.
        topic: where it is published.
        status: how far it has come.
        attempts: failed attempts so far.
        headers: what travels beside the payload, such as the trace context of whoever added it.
        key: what keeps its order has the same key.
        payload: the event as it was stored; ``None``: ``event.to_dict()``.
    """

    id: int
    event: INotificationEvent[Any]
    topic: str
    status: EventStatus
    attempts: int = 0
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    key: str | None = None
    payload: Mapping[str, Any] | None = None

    @property
    def event_id(self) -> uuid.UUID:
        """Identity of the event, and of its message at every attempt."""
        return self.event.event_id

    def to_message(self) -> Message:
        """Return the message to be sent."""
        return Message(
            message_name=self.event.event_name,
            topic=self.topic,
            payload=self.event.to_dict() if self.payload is None else self.payload,
            message_id=self.event.event_id,
            headers=self.headers,
            key=self.key,
        )


class OutboxedEventRepository(abc.ABC):
    """Events that wait in a database until they are published.

    Whoever changes data adds the events about it in the same transaction. Whoever publishes takes events with
    ``get_many``, which leases them so that nobody else gets them, makes that durable with ``commit``, and
    reports what became of each with ``update_status``.
    """

    @abc.abstractmethod
    def add(self, event: INotificationEvent[Any]) -> None:
        """Put an event into the transaction; ``commit`` makes it durable.

        Raises:
            ConfigurationTypeError: its name is not registered in ``OutboxedEventMap``, or for another type.
            OutboxedEventError: it has no stored form, or is too large.
        """

    @abc.abstractmethod
    async def get_many(self, batch_size: int = 100, topic: str | None = None) -> list[OutboxedEvent]:
        """Lease events that are due, oldest first.

        Args:
            batch_size: how many at most, at least 1.
            topic: only those of this topic; ``None``: of all.
        """

    @abc.abstractmethod
    async def update_status(self, outboxed_event_id: int, new_status: EventStatus) -> None:
        """Write what became of an event, and give its lease back.

        ``NOT_PRODUCED`` counts a failed attempt, after which the event waits; the fifth makes it a dead
        letter. ``DEAD_LETTER`` counts one too. With ``NEW`` it is due at once. An event that somebody else
        has leased meanwhile is left alone.
        """

    async def report_failure(self, outboxed_event_id: int, error: Exception) -> None:
        """Write that an event could not be sent, and why: ``update_status`` with what follows from the error.

        Repositories that can do better override it. Those of this package count no attempt when the broker as
        a whole could not be reached: the event is due again after 5 s.
        """
        is_final = isinstance(error, MessageRefusedError)
        status = EventStatus.DEAD_LETTER if is_final else EventStatus.NOT_PRODUCED
        await self.update_status(outboxed_event_id, status)

    @abc.abstractmethod
    async def commit(self) -> None:
        """Make everything since the last commit durable."""

    @abc.abstractmethod
    async def rollback(self) -> None:
        """Undo everything since the last commit."""
