"""Wiring for events that come from outside: from a mapper, middlewares and a container to a mediator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from cqrs.container.protocol import Resolver
from cqrs.container.wrap import as_container
from cqrs.dispatcher.binding_map import fill
from cqrs.dispatcher.startup import Startup
from cqrs.events.event_emitter import EventEmitter
from cqrs.events.event_processor import EventErrors
from cqrs.events.map import EventMap
from cqrs.mediator.event import EventMediator
from cqrs.message_brokers.devnull import DevnullMessageBroker
from cqrs.message_brokers.protocol import MessageBroker
from cqrs.middlewares.base import MiddlewareFunction
from cqrs.middlewares.logging import chain_with_logging

EventMapper: TypeAlias = Callable[[EventMap], Any]
"""Binds events: ``def events_mapper(mapper): mapper.bind(...)``."""


def setup_mediator(
    container: Resolver,
    middlewares: Iterable[MiddlewareFunction | type[Any]] | None = None,
    events_mapper: EventMapper | None = None,
    *,
    message_broker: MessageBroker | None = None,
    event_errors: EventErrors = "raise",
    max_event_depth: int = 100,
    startup: Startup | None = None,
) -> EventMediator:
    """Return a mediator for the events that ``events_mapper`` binds; see ``bootstrap`` for the arguments."""
    event_map = EventMap()
    fill(event_map, "events_mapper", events_mapper)
    return EventMediator(
        event_map,
        container,
        chain_with_logging(middlewares),
        event_emitter=EventEmitter(
            event_map, container, DevnullMessageBroker() if message_broker is None else message_broker
        ),
        event_errors=event_errors,
        max_event_depth=max_event_depth,
        startup=startup,
    )


def bootstrap(
    di_container: Any,
    middlewares: Iterable[MiddlewareFunction | type[Any]] | None = None,
    events_mapper: EventMapper | None = None,
    on_startup: Iterable[Callable[[], Any]] | None = None,
    *,
    message_broker: MessageBroker | None = None,
    event_errors: EventErrors = "raise",
    max_event_depth: int = 100,
) -> EventMediator:
    """Return a mediator for events that came from a bus; each call wires a new, independent one.

    Args:
        di_container: builds the handlers: anything with ``async resolve(type)``, or the container of a known
            library.
        middlewares: run around each event, the first outermost; a ``LoggingMiddleware`` is put around them
            unless they hold one.
        events_mapper: binds event types; runs once.
        on_startup: called without arguments: plain callables now, async ones before the first event.
        message_broker: takes follow-ups that are notification events; by default they end in
            ``DevnullMessageBroker``.
        event_errors: what an error of a follow-up's handler does: ``"raise"``, ``"collect"`` or ``"log"``.
        max_event_depth: how deep follow-up events may nest, at least 1.

    Raises:
        ConfigurationError: an argument has the wrong type, or is outside its range.
    """
    return setup_mediator(
        as_container(di_container),
        middlewares,
        events_mapper,
        message_broker=message_broker,
        event_errors=event_errors,
        max_event_depth=max_event_depth,
        startup=Startup(on_startup),
    )
