"""Receiving from a queue of RabbitMQ."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

from cqrs.adapters.amqp import AMQPPublisher
from cqrs.exceptions import BrokerUnavailableError, ConfigurationError
from cqrs.message_brokers.amqp.link import AMQPConnection, Link, aio_pika, amqp_error
from cqrs.message_brokers.connecting import Arrivals, Halt, not_cancelled
from cqrs.message_brokers.dead_letters import put_aside
from cqrs.message_brokers.headers import (
    CONTENT_TYPE,
    FIRST_TOPIC,
    KEY,
    MESSAGE_NAME,
    attempt_of,
    decode,
    message_id_of,
    retry_headers,
)
from cqrs.message_brokers.receiving import ReceivedMessage

__all__ = ["AMQPMessageSource", "delay_queue"]

KEPT = 300_000
"""Milliseconds for which a queue for delayed messages outlives the last of them."""

# Delays are rounded up to these, times a power of ten: each has a queue of its own, as RabbitMQ looks at the
# first message of a queue only when it ends their time.
STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)


class AMQPMessageSource:
    """A ``MessageSource`` over a queue.

    A message that is to be tried again waits in a queue ``<queue>.retry.<milliseconds>``, which RabbitMQ
    removes when it is not used any more; the delay is rounded up, by half at most. Both that and dead letters
    are published with confirms before the message is acknowledged: after a crash in between, it is there
    twice, never not at all.

    Args:
        connection: the ``dsn`` of RabbitMQ, or an ``AMQPConnection``.
        queue: the name of the queue.
        prefetch: messages that may be in work at once, 1-65535. Default 10.
        bindings: pairs of exchange and routing key that the queue is bound to when it is declared.
        dead_letter_queue: where dead letters go. Default: ``"<queue>.dead"``.
        declare: whether to declare the queues, durable; otherwise they must exist. Default ``True``.
        arguments: of the queue, such as ``{"x-queue-type": "quorum"}``, when it is declared.

    Raises:
        ConfigurationError, ConfigurationTypeError: an argument is not of these.
        ImportError: aio-pika is not installed.
    """

    def __init__(
        self,
        connection: str | AMQPConnection,
        queue: str,
        *,
        prefetch: int = 10,
        bindings: Sequence[tuple[str, str]] = (),
        dead_letter_queue: str | None = None,
        declare: bool = True,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        if not queue:
            raise ConfigurationError("AMQPMessageSource needs the name of a queue")
        if not 1 <= prefetch <= 65535:
            raise ConfigurationError(f"prefetch={prefetch!r} is not allowed: it must be 1-65535")
        if not isinstance(connection, AMQPConnection):
            connection = AMQPConnection(connection)
        self._connection = connection
        self._publisher = AMQPPublisher(self._connection)
        self._library = aio_pika()
        self._queue = queue
        self._dead = dead_letter_queue or f"{queue}.dead"
        self._prefetch = prefetch
        self._bindings = list(bindings)
        self._declare = declare
        self._arguments = arguments
        self._halt = Halt()
        self._link: Link | None = None
        self._subscription: tuple[Any, str] | None = None
        self._arrived: Arrivals[Any] = Arrivals()

    async def start(self) -> None:
        """Connect, declare the queues and subscribe.

        Raises:
            BrokerUnavailableError: RabbitMQ cannot be reached, or there is no such queue.
        """
        if self._link is not None and not self._halt.wanted and not self._link.is_lost:
            return
        await self._leave()
        link = await self._connection.open(self._prefetch)
        try:
            async with asyncio.timeout(self._connection.timeout), not_cancelled():
                await self._subscribe(link)
        except BaseException as error:
            await link.close()
            if isinstance(error, Exception):
                raise self._lost(error) from error
            raise
        self._halt.clear()
        self._link = link

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def messages(self) -> AsyncIterator[ReceivedMessage]:
        """Yield messages until ``stop``.

        Raises:
            BrokerUnavailableError: the connection is lost; call it again to go on.
        """
        while not self._halt.wanted:
            if self._link is None or (self._link.is_lost and not self._arrived):
                await self.start()
            await self._halt.unless(self._arrived.wait())
            if not self._arrived or self._halt.wanted:
                continue
            arrived = self._arrived.take()
            if isinstance(arrived, Lost):
                await self._leave()
                raise self._lost(arrived.error) from arrived.error
            yield _received(arrived)

    async def ack(self, message: ReceivedMessage) -> None:
        """Acknowledge the message, unless it is of a connection that is gone: then it comes again."""
        await self._settle(message.raw.ack())

    async def retry(self, message: ReceivedMessage, delay: float) -> bool:
        """Have the message come again, as another attempt, in ``delay`` seconds or up to half as much more.

        Raises:
            MessageRefusedError, BrokerUnavailableError: it could not be published; it is not settled.
        """
        await self._deliver_later(message, delay, message.attempt + 1)
        return True

    async def postpone(self, message: ReceivedMessage, delay: float) -> bool:
        """Have the message come again, as the same attempt, as ``retry`` does; it may lose its place."""
        await self._deliver_later(message, delay, message.attempt)
        return True

    async def extend(self, message: ReceivedMessage) -> None:
        """Do nothing: a message is in work as long as the connection lives."""

    async def dead_letter(self, message: ReceivedMessage, reason: str, attempts: int) -> None:
        """Publish the message to the dead letter queue, with ``reason`` and ``attempts``; then ack it.

        Raises:
            MessageRefusedError, BrokerUnavailableError: it could not be published; it is not settled.
        """

        async def publish(body: bytes, headers: dict[str, str]) -> None:
            await self._publish(message, body, self._dead, headers)

        await put_aside(message, reason, attempts, publish)
        await self.ack(message)

    def is_current(self, message: ReceivedMessage) -> bool:
        """Tell whether the message is of a connection that lives."""
        try:
            return not message.raw.channel.is_closed
        except self._library.exceptions.ChannelInvalidStateError:
            return False

    async def release(self, message: ReceivedMessage) -> None:
        """Put the message back into the queue, in front if possible."""
        await self._settle(message.raw.nack(requeue=True))

    async def stop(self) -> None:
        """Take no more messages, and put back those that were not handed over."""
        self._halt.set()
        subscription, self._subscription = self._subscription, None
        if subscription is not None and self._link is not None and not self._link.is_lost:
            queue, tag = subscription
            await self._settle(queue.cancel(tag))
        while self._arrived:
            arrived = self._arrived.take()
            if not isinstance(arrived, Lost):
                await self._settle(arrived.nack(requeue=True))

    async def close(self) -> None:
        """Disconnect; what was not settled goes back into the queue."""
        self._halt.set()
        await self._leave()
        await self._publisher.close()

    async def _subscribe(self, link: Link) -> None:
        arrived: Arrivals[Any] = Arrivals()
        if self._declare:
            queue = await link.channel.declare_queue(self._queue, durable=True, arguments=self._arguments)
            for exchange, routing_key in self._bindings:
                await queue.bind(exchange, routing_key)
            await link.channel.declare_queue(self._dead, durable=True)
        else:
            queue = await link.channel.get_queue(self._queue, ensure=True)

        async def arrive(message: Any) -> None:
            arrived.put(message)

        tag = await queue.consume(arrive)

        def lost(_: object, error: object = None) -> None:
            arrived.put(Lost(error if isinstance(error, BaseException) else None))

        link.channel.close_callbacks.add(lost)
        under = await link.channel.get_underlay_channel()
        under.on_consumer_cancel_callbacks.add(lost)  # the queue was deleted
        self._arrived, self._subscription = arrived, (queue, tag)

    async def _deliver_later(self, message: ReceivedMessage, delay: float, attempt: int) -> None:
        name, milliseconds = delay_queue(self._queue, delay)
        # Each time: it is removed some minutes after it was last declared.
        await self._publisher.declare_queue(name, self._delaying(milliseconds))
        await self._publish(message, message.body, name, retry_headers(message, attempt))
        await self.ack(message)

    def _delaying(self, milliseconds: int) -> dict[str, Any]:
        return {
            "x-message-ttl": milliseconds,
            "x-expires": milliseconds + KEPT,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": self._queue,
        }

    async def _publish(
        self, message: ReceivedMessage, body: bytes, queue: str, headers: dict[str, str]
    ) -> None:
        await self._publisher.publish(
            body,
            "",
            queue,
            headers=headers,
            message_id=message.raw.message_id or "",
            message_name=message.message_name or "",
            content_type=headers.get(CONTENT_TYPE, ""),
        )

    async def _settle(self, settling: Any) -> None:
        try:
            async with asyncio.timeout(self._connection.timeout), not_cancelled():
                await settling
        except Exception as error:
            # On a connection that is gone, RabbitMQ has put the message back already.
            if not isinstance(amqp_error(self._queue, error), BrokerUnavailableError):
                raise

    async def _leave(self) -> None:
        link, self._link = self._link, None
        self._subscription = None
        self._arrived = Arrivals()
        if link is not None:
            await link.close()

    def _lost(self, error: BaseException | None) -> BrokerUnavailableError:
        why = str(error or "") or (type(error).__name__ if error else "the queue was deleted")
        where = self._connection.shown
        return BrokerUnavailableError(self._queue, f"nothing comes from RabbitMQ at {where}: {why}")


class Lost:
    """Follows the last message of a connection."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def delay_queue(queue: str, delay: float) -> tuple[str, int]:
    """Return the name of the queue for a delay in seconds, and its milliseconds.

    >>> delay_queue("users", 5.0)
    ('users.retry.6000', 6000)
    """
    wanted = max(1.0, delay * 1000)
    power = 10.0 ** math.floor(math.log10(wanted))
    milliseconds = math.ceil(next(step for step in STEPS if step * power >= wanted * (1 - 1e-9)) * power)
    return f"{queue}.retry.{milliseconds}", milliseconds


def _received(message: Any) -> ReceivedMessage:
    # What RabbitMQ itself adds (x-death and the like) are lists and tables.
    headers = decode((name, value) for name, value in message.headers.items() if _is_plain(value))
    if message.content_type:
        headers.setdefault(CONTENT_TYPE, message.content_type)
    key = headers.get(KEY)
    return ReceivedMessage(
        body=message.body,
        headers=headers,
        message_name=headers.get(MESSAGE_NAME) or message.type or None,
        topic=headers.get(FIRST_TOPIC) or message.routing_key or "",
        message_id=message_id_of(headers, message.message_id),
        key=key,
        attempt=attempt_of(headers),
        position=f"delivery {message.delivery_tag}",
        raw=message,
        ordering=key,
    )


def _is_plain(value: object) -> bool:
    return isinstance(value, str | bytes | int | float | bool)
