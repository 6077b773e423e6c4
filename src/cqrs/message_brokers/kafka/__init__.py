"""Kafka: publishing and receiving, over aiokafka.

Needs ``pip install "holdfast[kafka]"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.message_brokers.kafka.broker import KafkaMessageBroker as KafkaMessageBroker
    from cqrs.message_brokers.kafka.source import KafkaMessageSource as KafkaMessageSource

_EXPORTS = {
    "KafkaMessageBroker": "cqrs.message_brokers.kafka.broker",
    "KafkaMessageSource": "cqrs.message_brokers.kafka.source",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
