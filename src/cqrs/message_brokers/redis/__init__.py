"""Streams of a server that speaks the Redis protocol: publishing and receiving.

Needs ``pip install "holdfast[redis]"``, or valkey.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.message_brokers.redis.broker import RedisMessageBroker as RedisMessageBroker
    from cqrs.message_brokers.redis.source import RedisMessageSource as RedisMessageSource

_EXPORTS = {
    "RedisMessageBroker": "cqrs.message_brokers.redis.broker",
    "RedisMessageSource": "cqrs.message_brokers.redis.source",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
