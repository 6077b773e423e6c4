"""RabbitMQ: publishing and receiving, over aio-pika.

Needs ``pip install "holdfast[rabbit]"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.message_brokers.amqp.broker import AMQPMessageBroker as AMQPMessageBroker
    from cqrs.message_brokers.amqp.source import AMQPMessageSource as AMQPMessageSource

_EXPORTS = {
    "AMQPMessageBroker": "cqrs.message_brokers.amqp.broker",
    "AMQPMessageSource": "cqrs.message_brokers.amqp.source",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
