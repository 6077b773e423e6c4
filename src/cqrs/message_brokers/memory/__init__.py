"""A broker inside the process, for tests: topics, consumer groups, redelivery, dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.message_brokers.memory.broker import MemoryMessageBroker as MemoryMessageBroker
    from cqrs.message_brokers.memory.records import DeadLetter as DeadLetter
    from cqrs.message_brokers.memory.source import MemorySource as MemorySource

_EXPORTS = {
    "DeadLetter": "cqrs.message_brokers.memory.records",
    "MemoryMessageBroker": "cqrs.message_brokers.memory.broker",
    "MemorySource": "cqrs.message_brokers.memory.source",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
