"""Publishing to JetStream."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from cqrs.message_brokers.batches import send_each
from cqrs.message_brokers.encoding import Encoder
from cqrs.message_brokers.nats.connection import JetStream, NatsConnection
from cqrs.message_brokers.protocol import Message

if TYPE_CHECKING:
    from cqrs.serializers.protocol import Serializer

__all__ = ["NatsMessageBroker"]

_logger = logging.getLogger(__name__)


class NatsMessageBroker:
    """Publishes messages to the subjects that they name, of which a stream must be in charge.

    The identity of a message is its ``Nats-Msg-Id``: sent again within the stream's duplicate window (two
    minutes by default), it is stored once.

    Args:
        connection: URLs of servers, or a ``NatsConnection``.
        serializer: makes the body of a payload; payloads of ``bytes`` travel as they are. Default: JSON.

    Raises:
        ConfigurationError, ConfigurationTypeError: an argument is not of these.
        ImportError: nats-py is not installed.
    """

    def __init__(
        self,
        connection: str | NatsConnection,
        *,
        serializer: Serializer | Callable[[Any], bytes] | None = None,
    ) -> None:
        self._jetstream = JetStream(connection, "the broker over NATS")
        self._encoder = Encoder(serializer)

    async def start(self) -> None:
        """Connect; otherwise the first message does.

        Raises:
            BrokerUnavailableError: no server can be reached.
        """
        await self._jetstream.start()

    async def close(self) -> None:
        """Disconnect."""
        await self._jetstream.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send_message(self, message: Message) -> None:
        """Publish one message; return when a stream has it.

        Raises:
            MessageRefusedError: it cannot be serialised or is too large, or no stream takes its subject.
            BrokerUnavailableError: NATS cannot be reached, did not answer in time, or is full; it may have
                been published.
        """
        body, headers = self._encoder.encode(message)
        await self._jetstream.publish(message.topic, body, headers, str(message.message_id))
        fields = {"message_id": str(message.message_id), "topic": message.topic}
        _logger.debug("sent %s to NATS", message.message_name, extra=fields)

    async def send_messages(self, messages: Sequence[Message]) -> list[Exception | None]:
        """Publish all messages; return what became of each, in their order: ``None`` or the error."""
        return await send_each(self.send_message, messages)
