"""A connection to RabbitMQ with its channel, and what errors of both mean."""

from __future__ import annotations

import asyncio
import ssl
import struct
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from cqrs.exceptions import (
    BrokerUnavailableError,
    ConfigurationError,
    ConfigurationTypeError,
    MessageBrokerError,
    MessageRefusedError,
)
from cqrs.message_brokers.connecting import (
    bounded,
    cancel_and_wait,
    check_address,
    check_seconds,
    not_cancelled,
)
from cqrs.message_brokers.errors import MessageTooLargeError, reason_of

__all__ = ["AMQPConnection", "Link", "aio_pika", "amqp_error"]

CLOSING = 2.0
"""Seconds that an orderly farewell may take."""

TOO_LARGE = ("frame_too_large", "larger than configured max size")
"""What RabbitMQ says, under codes that mean other things as well."""


@dataclass(frozen=True, slots=True)
class AMQPConnection:
    """Where a RabbitMQ is.

    Args:
        dsn: ``amqp://user:password@host:port/virtual-host``, or ``amqps://``.
        timeout: seconds that connecting, or an answer, may take, more than 0. Default 10.
        heartbeat: seconds between signs of life, more than 0; after about twice that, a silent connection
            counts as lost. Default 30.
        ssl_context: for ``amqps://``. Default: the system's authorities.

    Raises:
        ConfigurationError, ConfigurationTypeError: an argument is not of these.
    """

    dsn: str = field(repr=False)
    timeout: float = 10.0
    heartbeat: float = 30.0
    ssl_context: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.dsn, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"the dsn of RabbitMQ must be text, not {type(self.dsn).__name__}")
        check_address(self.dsn, ("amqp", "amqps"), "amqp://user:password@host:5672/")
        if self.ssl_context is not None and urlsplit(self.dsn).scheme != "amqps":
            raise ConfigurationError("an ssl_context needs amqps://; over amqp:// nothing is encrypted")
        check_seconds("timeout", self.timeout)
        check_seconds("heartbeat", self.heartbeat)

    @property
    def shown(self) -> str:
        """The host and port, for people."""
        parts = urlsplit(self.dsn)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    async def open(self, prefetch: int | None = None) -> Link:
        """Open a connection with a channel that confirms.

        Raises:
            BrokerUnavailableError: it cannot be had in time.
        """
        library = aio_pika()
        connection: Any = None
        try:
            async with asyncio.timeout(self.timeout), not_cancelled():
                connection = await library.connect(
                    self.dsn,
                    ssl_context=self.ssl_context,
                    timeout=self.timeout,
                    heartbeat=max(1, round(self.heartbeat)),
                )
                link = Link(connection)
                await link.begin(prefetch)
                return link
        except BaseException as error:
            if connection is not None:
                await Link(connection).close()
            if isinstance(error, Exception):
                why = f"no connection to RabbitMQ at {self.shown}: {reason_of(error)}"
                raise BrokerUnavailableError("", why) from error
            raise


class Link:
    """A connection and its channel, which share their fate.

    Attributes:
        channel: of aio-pika, with publisher confirms.
        crowded: whether the broker may have closed it because of another message than the one at hand.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.channel: Any = None
        self.crowded = False
        self._transport = connection.transport
        self._in_flight = 0
        self._exchanges: dict[str, Any] = {}

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be said over it any more."""
        return bool(self.connection.is_closed or self.channel is None or self.channel.is_closed)

    async def begin(self, prefetch: int | None) -> None:
        """Open the channel."""
        self.channel = await self.connection.channel(publisher_confirms=True, on_return_raises=True)
        if prefetch is not None:
            await self.channel.set_qos(prefetch_count=prefetch)

    async def publish(self, message: Any, exchange_name: str, routing_key: str) -> None:
        """Publish, and wait for the confirmation; raises errors of the library."""
        exchange = self._exchanges.get(exchange_name)
        if exchange is None:
            found = await self.channel.get_exchange(exchange_name, ensure=False)
            exchange = self._exchanges[exchange_name] = found
        self._in_flight += 1
        self.crowded = self.crowded or self._in_flight > 1
        try:
            async with not_cancelled():
                await exchange.publish(message, routing_key, mandatory=True)
        finally:
            self._in_flight -= 1
            if not self._in_flight and not self.is_lost:
                self.crowded = False

    async def close(self) -> None:
        """Say farewell, for two seconds at most, and disconnect."""
        clean = False
        try:
            clean = await bounded(self.connection.close(), CLOSING, "a connection to RabbitMQ")
        finally:
            if not clean and self._transport is not None:
                under = self._transport.connection
                await cancel_and_wait(under._writer_task, under._reader_task)


def amqp_error(topic: str, error: Exception) -> MessageBrokerError:
    """Return what an error of aio-pika means to whoever sent a message; raise it ``from`` the error."""
    if isinstance(error, MessageBrokerError):
        return error
    errors = aio_pika().exceptions
    under = import_module("aiormq.exceptions")
    reason = reason_of(error)
    if isinstance(error, under.PublishError):
        return MessageRefusedError(topic, f"no queue takes what is published there: {reason}")
    if any(words in reason for words in TOO_LARGE):
        return MessageTooLargeError(topic, f"RabbitMQ refuses the message: {reason}")
    refused = (
        under.ChannelAccessRefused,
        under.ChannelNotFoundEntity,
        under.ChannelPreconditionFailed,
        under.ConnectionFrameError,
        under.ConnectionSyntaxError,
        struct.error,
        OverflowError,
        TypeError,
        ValueError,
    )
    if isinstance(error, refused):
        return MessageRefusedError(topic, f"RabbitMQ refuses the message: {reason}")
    if isinstance(error, errors.DeliveryError):
        return BrokerUnavailableError(topic, f"RabbitMQ does not take the message now: {reason}")
    return BrokerUnavailableError(topic, f"the connection to RabbitMQ is lost: {reason}")


def aio_pika() -> Any:
    """Import aio-pika.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return import_module("aio_pika")
    except ImportError:
        raise ImportError('RabbitMQ needs aio-pika: pip install "holdfast[rabbit]"') from None
