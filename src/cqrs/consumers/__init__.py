"""Consumers: events that come from a broker, handled by the handlers of an event mediator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.consumers.consumer import Consumer as Consumer
    from cqrs.consumers.current import current_message as current_message
    from cqrs.consumers.handling import Inbox as Inbox
    from cqrs.consumers.statistics import ConsumerStatistics as ConsumerStatistics
    from cqrs.consumers.verdicts import ErrorAction as ErrorAction
    from cqrs.consumers.verdicts import OnError as OnError

_EXPORTS = {
    "Consumer": "cqrs.consumers.consumer",
    "ConsumerStatistics": "cqrs.consumers.statistics",
    "ErrorAction": "cqrs.consumers.verdicts",
    "Inbox": "cqrs.consumers.handling",
    "OnError": "cqrs.consumers.verdicts",
    "current_message": "cqrs.consumers.current",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
