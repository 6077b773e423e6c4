"""Which handler takes over an event when the primary one cannot."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from cqrs.dispatcher.fallback_pair import FallbackPair
from cqrs.events.event_handler import EventHandler


@dataclasses.dataclass(frozen=True)
class EventHandlerFallback(FallbackPair):
    """Declares that ``fallback`` handles an event when ``primary`` fails, or when its circuit is open.

    Bind it to the event type in place of a handler class.

    Args:
        primary: the handler class that is asked first.
        fallback: the handler class that takes over, or another ``EventHandlerFallback``.
        failure_exceptions: the ``Exception`` types of the primary that lead to the fallback; empty: all.
        circuit_breaker: guards the primary; its rejections always lead to the fallback.

    Raises:
        TypeError: the handlers do not fit together, or an argument has the wrong type.

    >>> class Send(EventHandler[str]):
    ...     async def handle(self, event: str) -> None: ...
    >>> class Queue(EventHandler[str]):
    ...     async def handle(self, event: str) -> None: ...
    >>> EventHandlerFallback(Send, Queue, (ConnectionError,)).failure_exceptions
    (<class 'ConnectionError'>,)
    """

    handler_bases: ClassVar[tuple[type[Any], ...]] = (EventHandler,)
    declares: ClassVar[tuple[str, ...]] = ("event type",)
    parameter_rule: ClassVar[str] = "must be parameterized with a concrete event type"
