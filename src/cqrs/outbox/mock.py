"""An outbox in memory, for tests."""

from __future__ import annotations

import random as random_module
import time
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from typing import Any

from cqrs.circuit_breaker import validation
from cqrs.circuit_breaker.timing import Backoff
from cqrs.events.event import INotificationEvent
from cqrs.exceptions import ConfigurationTypeError
from cqrs.outbox.attempts import DEFAULT_BACKOFF, DEFAULT_MAX_ATTEMPTS, UNAVAILABLE_DELAY, UNCOUNTED, classify
from cqrs.outbox.codec import decode, decode_headers, encode
from cqrs.outbox.repository import LEASE_SECONDS, EventStatus, OutboxedEvent, OutboxedEventRepository

__all__ = ["MockOutboxedEventRepository"]

Store = MutableMapping[int, OutboxedEvent]

_WAITING = (EventStatus.NEW, EventStatus.NOT_PRODUCED)


class MockOutboxedEventRepository(OutboxedEventRepository):
    """Keeps events in a dictionary; the same checks, order, attempts and waits as in a database.

    Args:
        store: the dictionary, row number -> event, or a function that returns it; repositories that share one
            see what the others have committed. Leases and waits are each repository's own. A new one by
            default.
        clock: monotonic clock in seconds, for leases and waits.
        backoff: the waits between attempts.

    Raises:
        ConfigurationTypeError: ``store`` is neither a dictionary nor gives one.

    >>> MockOutboxedEventRepository().store
    {}
    """

    def __init__(
        self,
        store: Store | Callable[[], Store] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        backoff: Backoff = DEFAULT_BACKOFF,
    ) -> None:
        found: Any = {} if store is None else store
        if not isinstance(found, MutableMapping) and callable(found):
            found = found()
        if not isinstance(found, MutableMapping):
            raise ConfigurationTypeError(
                f"store must be a dictionary, or a function that returns one, not {store!r}"
            )
        self.store: Store = found
        self._clock = clock
        self._backoff = backoff
        self._not_before: dict[int, float] = {}
        # Since the last commit:
        self._added: list[OutboxedEvent] = []
        self._changed: dict[int, OutboxedEvent] = {}
        self._held: dict[int, float] = {}

    def add(self, event: INotificationEvent[Any]) -> None:
        row = encode(event)
        payload, stored = decode(row.event_name, row.payload)
        assert stored is not None  # it was built
        headers = decode_headers(row.headers)
        outboxed = OutboxedEvent(
            0, stored, row.topic, EventStatus.NEW, headers=headers, key=row.message_key, payload=payload
        )
        self._added.append(outboxed)

    async def get_many(self, batch_size: int = 100, topic: str | None = None) -> list[OutboxedEvent]:
        validation.count("batch_size", batch_size)
        now = self._clock()
        not_before = {**self._not_before, **self._held}
        due: list[OutboxedEvent] = []
        blocked: set[tuple[str, str | None]] = set()
        for number, event in sorted(self.store.items()):
            if event.status not in _WAITING or topic not in (None, event.topic):
                continue
            place = event.topic, event.key
            if event.key is not None and not_before.get(number, now) > now:
                blocked.add(place)
            elif place not in blocked and not_before.get(number, now) <= now:
                due.append(event)
        del due[batch_size:]
        self._held.update({event.id: now + LEASE_SECONDS for event in due})
        return due

    async def update_status(self, outboxed_event_id: int, new_status: EventStatus) -> None:
        event = self._current(outboxed_event_id)
        if event is None:
            return
        status, attempts, wait = EventStatus(new_status), event.attempts, 0.0
        if status in (EventStatus.NOT_PRODUCED, EventStatus.DEAD_LETTER):
            attempts += 1
            if attempts >= DEFAULT_MAX_ATTEMPTS:
                status = EventStatus.DEAD_LETTER
            wait = self._backoff.duration(attempts, random_module.random())
        self._changed[event.id] = replace(event, status=status, attempts=attempts)
        self._held[event.id] = self._clock() + wait

    async def report_failure(self, outboxed_event_id: int, error: Exception) -> None:
        event = self._current(outboxed_event_id)
        if event is not None and classify(error) in UNCOUNTED:
            self._held[event.id] = self._clock() + UNAVAILABLE_DELAY
        else:
            await super().report_failure(outboxed_event_id, error)

    async def commit(self) -> None:
        for event in self._added:
            number = max(self.store, default=0) + 1
            self.store[number] = replace(event, id=number)
        self.store.update(self._changed)
        self._not_before.update(self._held)
        await self.rollback()

    async def rollback(self) -> None:
        self._added.clear()
        self._changed.clear()
        self._held.clear()

    def _current(self, number: int) -> OutboxedEvent | None:
        return self._changed.get(number) or self.store.get(number)
