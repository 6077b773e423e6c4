"""Publishing to RabbitMQ."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from cqrs.exceptions import ConfigurationTypeError
from cqrs.message_brokers.batches import send_each
from cqrs.message_brokers.encoding import Encoder
from cqrs.message_brokers.headers import CONTENT_TYPE
from cqrs.message_brokers.protocol import Message

if TYPE_CHECKING:
    from cqrs.adapters.protocol import AMQPPublisher
    from cqrs.serializers.protocol import Serializer

__all__ = ["AMQPMessageBroker"]

_logger = logging.getLogger(__name__)


class AMQPMessageBroker:
    """Publishes messages to an exchange, persistent, with confirms; nobody to take one is an error.

    Args:
        publisher: a ``cqrs.adapters.amqp.AMQPPublisher``, which is started and closed with the broker.
        exchange_name: an exchange that exists; ``""`` is the default one, where a topic is a queue's name.
        routing_key: of a message. Default: its topic; the key travels as header ``message_key``.
        serializer: makes the body of a payload; payloads of ``bytes`` travel as they are. Default: JSON.

    Raises:
        ConfigurationTypeError: an argument is not of these.
    """

    def __init__(
        self,
        publisher: AMQPPublisher,
        exchange_name: str,
        *,
        routing_key: Callable[[Message], str] | None = None,
        serializer: Serializer | Callable[[Any], bytes] | None = None,
    ) -> None:
        if not callable(getattr(publisher, "publish", None)):
            raise ConfigurationTypeError(f"AMQPMessageBroker needs an AMQPPublisher, not {publisher!r}")
        if not isinstance(exchange_name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"exchange_name must be text, not {exchange_name!r}")
        self._publisher = publisher
        self._exchange_name = exchange_name
        self._routing_key = routing_key or _topic
        self._encoder = Encoder(serializer)

    async def start(self) -> None:
        """Connect; otherwise the first message does.

        Raises:
            BrokerUnavailableError: RabbitMQ cannot be reached.
        """
        await self._call("start")

    async def close(self) -> None:
        """Disconnect."""
        await self._call("close")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send_message(self, message: Message) -> None:
        """Publish one message; return when RabbitMQ has confirmed it.

        Raises:
            MessageRefusedError: it cannot be serialised, is too large or not allowed, or there is nobody to
                take it.
            BrokerUnavailableError: RabbitMQ cannot be reached or did not confirm in time; it may have been
                published.
        """
        body, headers = self._encoder.encode(message)
        await self._publisher.publish(
            body,
            self._exchange_name,
            self._routing_key(message),
            headers=headers,
            message_id=str(message.message_id),
            message_name=message.message_name,
            content_type=headers[CONTENT_TYPE],
        )
        fields = {"message_id": str(message.message_id), "topic": message.topic}
        _logger.debug("sent %s to RabbitMQ", message.message_name, extra=fields)

    async def send_messages(self, messages: Sequence[Message]) -> list[Exception | None]:
        """Publish all messages; return what became of each, in their order: ``None`` or the error.

        They are published in their order; a queue keeps it, save where one fails and a later one does not.
        """
        return await send_each(self.send_message, messages)

    async def _call(self, name: str) -> None:
        function = getattr(self._publisher, name, None)
        if function is not None:
            await function()


def _topic(message: Message) -> str:
    return message.topic
