"""Handlers of events."""

from __future__ import annotations

import abc
from typing import Generic

from cqrs.dispatcher.handlers import HandlesEvents
from cqrs.types import EventT


class EventHandler(HandlesEvents, abc.ABC, Generic[EventT]):
    """Handles an event; the events that it records itself are follow-ups, handled after it.

    >>> class Greet(EventHandler[str]):
    ...     async def handle(self, event: str) -> None:
    ...         print("welcome,", event)
    >>> Greet().events
    ()
    """

    @abc.abstractmethod
    async def handle(self, event: EventT) -> None:
        """Handle ``event``."""
        raise NotImplementedError
