"""Publishing what waits in an outbox, step by step, in a loop of the application."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

from cqrs.circuit_breaker import validation
from cqrs.dispatcher.declarations import is_plainly_sync
from cqrs.exceptions import ConfigurationTypeError
from cqrs.message_brokers.protocol import MessageBroker
from cqrs.outbox.repository import EventStatus, OutboxedEvent, OutboxedEventRepository

__all__ = ["EventProducer"]

logger = logging.getLogger(__name__)


class EventProducer:
    """Takes events from an outbox and sends them; ``OutboxRelay`` does all of this in the background, faster.

    Args:
        message_broker: takes the messages.
        repository: the outbox; its transactions are committed here.
        sleep: waits for a number of seconds.

    Raises:
        ConfigurationTypeError: an argument is of the wrong kind.

    ::

        async for events in producer.event_batch_generator():
            for event in events:
                await producer.send_message(event)
    """

    def __init__(
        self,
        message_broker: MessageBroker,
        repository: OutboxedEventRepository,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        check_message_broker(message_broker)
        if not callable(getattr(repository, "get_many", None)):
            raise ConfigurationTypeError(f"repository must be an OutboxedEventRepository, not {repository!r}")
        self.message_broker = message_broker
        self.repository = repository
        self._sleep = sleep

    async def event_batch_generator(
        self, batch_size: int = 100, wait_ms: int = 500
    ) -> AsyncGenerator[list[OutboxedEvent], None]:
        """Yield batches of events, for ever; leased durably, so that no other producer gets them for 30 s.

        Args:
            batch_size: how many at most, at least 1.
            wait_ms: milliseconds to wait when nothing is due, at least 1.

        Raises:
            PolicyError: an argument is outside its range.
            Exception: an error of the database; the transaction was rolled back.
        """
        validation.count("batch_size", batch_size)
        validation.count("wait_ms", wait_ms)
        while True:
            try:
                events = await self.repository.get_many(batch_size)
                await self.repository.commit()
            except BaseException:
                await self.repository.rollback()
                raise
            if events:
                yield events
            else:
                await self._sleep(wait_ms / 1000)

    async def send_message(self, outboxed_event: OutboxedEvent) -> None:
        """Send an event and write at once what became of it; a failure is logged, not raised.

        A failed attempt is counted and followed by a wait, unless the broker as a whole could not be reached:
        see ``OutboxedEventRepository.report_failure``.

        Raises:
            Exception: an error of the database. The event may have been sent, and may be sent again.
        """
        number = outboxed_event.id
        failure: Exception | None = None
        try:
            await self.message_broker.send_message(outboxed_event.to_message())
        except Exception as error:
            failure = error
            logger.warning(
                "event %s (%s) of the outbox was not sent to %s: %r",
                number,
                outboxed_event.event.event_name,
                outboxed_event.topic,
                error,
                extra={"outbox_id": number, "topic": outboxed_event.topic},
            )
        try:
            if failure is None:
                await self.repository.update_status(number, EventStatus.PRODUCED)
            else:
                await _report(self.repository)(number, failure)
            await self.repository.commit()
        except BaseException:
            await self.repository.rollback()
            raise


def _report(repository: OutboxedEventRepository) -> Callable[[int, Exception], Awaitable[None]]:
    """Return ``report_failure``, also of a repository that has only the documented methods."""
    own = getattr(repository, "report_failure", None)
    return own or functools.partial(OutboxedEventRepository.report_failure, repository)


def check_message_broker(message_broker: object) -> None:
    """Check that a broker can send.

    Raises:
        ConfigurationTypeError: it has no ``async send_message(message)``.
    """
    send = getattr(message_broker, "send_message", None)
    if isinstance(message_broker, type) or not callable(send) or is_plainly_sync(send):
        raise ConfigurationTypeError(
            f"a message broker must have `async send_message(message)`, unlike {message_broker!r}"
        )
