"""NATS JetStream: publishing and receiving, over nats-py.

Needs ``pip install "holdfast[nats]"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.message_brokers.nats.broker import NatsMessageBroker as NatsMessageBroker
    from cqrs.message_brokers.nats.connection import NatsConnection as NatsConnection
    from cqrs.message_brokers.nats.source import NatsMessageSource as NatsMessageSource

_EXPORTS = {
    "NatsConnection": "cqrs.message_brokers.nats.connection",
    "NatsMessageBroker": "cqrs.message_brokers.nats.broker",
    "NatsMessageSource": "cqrs.message_brokers.nats.source",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
