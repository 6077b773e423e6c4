"""Which handlers handle which event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias, TypeVar, cast

from cqrs.dispatcher.binding_map import BindingMap
from cqrs.dispatcher.declarations import (
    check_handler_fits,
    check_handler_methods,
    check_message_type,
    is_subclass,
    type_name,
)
from cqrs.dispatcher.fallback_pair import declared_attempts
from cqrs.events.event_handler import EventHandler
from cqrs.events.fallback import EventHandlerFallback
from cqrs.exceptions import HandlerTypeError

EventBinding: TypeAlias = type[EventHandler[Any]] | EventHandlerFallback
"""A handler class or a declared fallback."""

HandlerT = TypeVar("HandlerT", bound=type[Any])


class EventMap(BindingMap[list[EventBinding]]):
    """Binds each event type to any number of handlers, which run in the order in which they were bound.

    >>> class Greet(EventHandler[str]):
    ...     async def handle(self, event: str) -> None: ...
    >>> events = EventMap()
    >>> events.bind(str, Greet)
    >>> events[str] == [Greet]
    True
    """

    binds: ClassVar[str] = "event"

    def bind(self, event_type: type[Any], handler: EventBinding) -> None:
        """Add a handler class or an ``EventHandlerFallback`` to those of ``event_type``.

        Raises:
            KeyError: the same item is bound to the event type already.
            TypeError: ``handler`` is not an event handler, or is declared for another event type.
        """
        check_message_type("event type", event_type)
        for candidate, _ in declared_attempts(handler):
            if not is_subclass(candidate, EventHandler):
                subject = type_name(candidate) if isinstance(candidate, type) else repr(candidate)
                raise HandlerTypeError(
                    f"{subject} cannot be bound to {type_name(event_type)}: it must be a subclass of "
                    "EventHandler, or an EventHandlerFallback of such classes"
                )
            check_handler_fits("event type", event_type, candidate, EventHandler)
            check_handler_methods(candidate, streams=False)
        bound = self.get(event_type, [])
        if handler in bound:
            raise KeyError(f"{handler} already bound to {event_type}")
        self._set(event_type, [*bound, handler])

    def __setitem__(self, event_type: type[Any], handlers: Any) -> None:
        """Bind the handlers of a list in turn, or a single one; none is replaced."""
        items = cast("Sequence[Any]", handlers) if isinstance(handlers, list | tuple) else [handlers]
        for handler in items:
            self.bind(event_type, handler)

    def handles(self, event_type: type[Any]) -> Callable[[HandlerT], HandlerT]:
        """Return a class decorator that binds the handler class to ``event_type``.

        >>> events = EventMap()
        >>> @events.handles(str)
        ... class Greet(EventHandler[str]):
        ...     async def handle(self, event: str) -> None: ...
        >>> events[str] == [Greet]
        True
        """

        def decorate(handler: HandlerT) -> HandlerT:
            self.bind(event_type, handler)
            return handler

        return decorate
