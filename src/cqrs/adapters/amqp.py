"""A publisher to RabbitMQ over aio-pika, which connects when it is first needed, and again when need be.

Needs ``pip install "holdfast[rabbit]"``.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Self

from cqrs.exceptions import BrokerUnavailableError
from cqrs.message_brokers.amqp.link import AMQPConnection, Link, aio_pika, amqp_error
from cqrs.message_brokers.connecting import Connecting, PerLoop, not_cancelled
from cqrs.message_brokers.errors import translated

__all__ = ["AMQPConnection", "AMQPPublisher"]

SHORT = 255
"""Bytes of a property that is a short string (AMQP 0-9-1, section 4.2.5.3)."""


class AMQPPublisher:
    """Publishes persistent messages and waits until they are confirmed; connects when it is first used.

    Args:
        dsn: as that of ``AMQPConnection``, or one.
        timeout: seconds that a message may take, with connecting, more than 0. Default 10.
        heartbeat, ssl_context: as those of ``AMQPConnection``.

    Raises:
        ConfigurationError, ConfigurationTypeError: an argument is not of these.
        ImportError: aio-pika is not installed.
    """

    def __init__(
        self,
        dsn: str | AMQPConnection,
        *,
        timeout: float = 10.0,
        heartbeat: float = 30.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._library = aio_pika()
        if not isinstance(dsn, AMQPConnection):
            dsn = AMQPConnection(dsn, timeout, heartbeat, ssl_context)
        self.connection = dsn
        self._shared = Connecting(self.connection.open, Link.close, "the publisher to RabbitMQ")
        self._alone = Connecting(self.connection.open, Link.close, "the publisher to RabbitMQ")
        self._suspects = PerLoop(asyncio.Lock)

    async def start(self) -> None:
        """Connect; otherwise the first message does.

        Raises:
            BrokerUnavailableError: RabbitMQ cannot be reached.
        """
        await self._shared.start()

    async def close(self) -> None:
        """Disconnect; messages whose confirmation has not come fail."""
        await self._shared.close()
        await self._alone.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def publish(
        self,
        body: bytes,
        exchange_name: str,
        routing_key: str,
        *,
        headers: Mapping[str, str],
        message_id: str,
        message_name: str,
        content_type: str,
    ) -> None:
        """Publish a message; return when RabbitMQ has confirmed it.

        Raises:
            MessageRefusedError: it is too large or not allowed, or there is no such exchange or no queue for
                the routing key.
            BrokerUnavailableError: RabbitMQ cannot be reached or did not confirm in time; it may have been
                published.
        """
        message = self._library.Message(
            body,
            headers=dict(headers),
            message_id=message_id,
            type=message_name if len(message_name.encode()) <= SHORT else None,
            # It travels as a header as well; that of others may be longer, which must hold up nothing.
            content_type=content_type if len(content_type.encode()) <= SHORT else None,
            delivery_mode=self._library.DeliveryMode.PERSISTENT,
        )
        try:
            async with asyncio.timeout(self.connection.timeout):
                if await self._send(self._shared, message, exchange_name, routing_key):
                    return
                # The broker closes the channel on all for the fault of one: each alone shows whose it was.
                async with self._suspects.get():
                    if not await self._send(self._alone, message, exchange_name, routing_key):
                        raise BrokerUnavailableError(routing_key, "RabbitMQ closes the connection")
        except TimeoutError as error:
            # Who knows what such a connection is still good for; others that wait on it wait in vain, too.
            for connecting in (self._shared, self._alone):
                if (link := connecting.current) is not None:
                    await connecting.drop(link)
            late = f"no answer of RabbitMQ within {self.connection.timeout:g} s; it may have been published"
            raise BrokerUnavailableError(routing_key, late) from error

    async def declare_queue(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Declare a durable queue.

        Raises:
            MessageRefusedError: there is one with other arguments, or it is not allowed.
            BrokerUnavailableError: RabbitMQ cannot be reached or did not answer in time.
        """
        with translated(name, amqp_error):
            async with asyncio.timeout(self.connection.timeout), not_cancelled():
                link = await self._alone.get()
                try:
                    await link.channel.declare_queue(name, durable=True, arguments=dict(arguments))
                except Exception:
                    await self._alone.drop(link)
                    raise

    async def _send(
        self, connecting: Connecting[Link], message: Any, exchange_name: str, routing_key: str
    ) -> bool:
        """Publish; ``False``: the connection is lost, because of this message, another one, or none."""
        link = await connecting.get()
        if link.is_lost:
            await connecting.drop(link)
            link = await connecting.get()
        with translated(routing_key, amqp_error):
            try:
                await link.publish(message, exchange_name, routing_key)
            except Exception:
                if link.is_lost:
                    await connecting.drop(link)
                    if link.crowded:
                        return False
                raise
        return True
