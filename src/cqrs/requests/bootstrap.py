"""Wiring for requests and streams: from mappers, middlewares and a container to a mediator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from cqrs.container.protocol import Resolver
from cqrs.container.wrap import as_container
from cqrs.dispatcher.binding_map import BindingMap, fill
from cqrs.dispatcher.startup import Startup
from cqrs.events.event_emitter import EventEmitter
from cqrs.events.event_processor import EventErrors
from cqrs.events.map import EventMap
from cqrs.mediator.request import RequestMediator
from cqrs.message_brokers.devnull import DevnullMessageBroker
from cqrs.message_brokers.protocol import MessageBroker
from cqrs.middlewares.base import MiddlewareFunction
from cqrs.middlewares.logging import chain_with_logging
from cqrs.requests.map import RequestMap

if TYPE_CHECKING:
    from cqrs.mediator.streaming import StreamingRequestMediator

RequestMapper: TypeAlias = Callable[[RequestMap], Any]
"""Binds requests: ``def commands_mapper(mapper): mapper.bind(...)``."""

EventMapper: TypeAlias = Callable[[EventMap], Any]
"""Binds events: ``def domain_events_mapper(mapper): mapper.bind(...)``."""

Middlewares: TypeAlias = "Iterable[MiddlewareFunction | type[Any]]"
"""Middlewares, outermost first: instances, or classes that need no arguments."""


def setup_event_emitter(
    container: Resolver,
    domain_events_mapper: EventMapper | None = None,
    message_broker: MessageBroker | None = None,
) -> EventEmitter:
    """Return an emitter of the events that ``domain_events_mapper`` binds.

    Args:
        container: builds the handlers.
        domain_events_mapper: binds event types; runs once.
        message_broker: takes notification events; by default they end in ``DevnullMessageBroker``.
    """
    return _emitter(container, _event_map(domain_events_mapper), message_broker)


def setup_mediator(
    event_emitter: EventEmitter,
    container: Resolver,
    middlewares: Middlewares | None = None,
    commands_mapper: RequestMapper | None = None,
    queries_mapper: RequestMapper | None = None,
    event_map: BindingMap[Any] | None = None,
    max_concurrent_event_handlers: int = 1,
    concurrent_event_handle_enable: bool = False,
    *,
    event_errors: EventErrors = "raise",
    max_event_depth: int = 100,
    startup: Startup | None = None,
) -> RequestMediator:
    """Return a mediator for the requests that the mappers bind; see ``bootstrap`` for the arguments."""
    return RequestMediator(
        _request_map(commands_mapper, queries_mapper),
        container,
        event_emitter,
        chain_with_logging(middlewares),
        event_map,
        max_concurrent_event_handlers,
        concurrent_event_handle_enable,
        event_errors=event_errors,
        max_event_depth=max_event_depth,
        startup=startup,
    )


def setup_streaming_mediator(
    event_emitter: EventEmitter,
    container: Resolver,
    middlewares: Middlewares | None = None,
    commands_mapper: RequestMapper | None = None,
    queries_mapper: RequestMapper | None = None,
    event_map: BindingMap[Any] | None = None,
    max_concurrent_event_handlers: int = 10,
    concurrent_event_handle_enable: bool = True,
    *,
    event_errors: EventErrors = "raise",
    max_event_depth: int = 100,
    startup: Startup | None = None,
) -> StreamingRequestMediator:
    """Return a mediator for the streams that the mappers bind; see ``bootstrap`` for the arguments."""
    from cqrs.mediator.streaming import StreamingRequestMediator  # only those who stream load it

    return StreamingRequestMediator(
        _request_map(commands_mapper, queries_mapper),
        container,
        event_emitter,
        chain_with_logging(middlewares),
        event_map,
        max_concurrent_event_handlers,
        concurrent_event_handle_enable,
        event_errors=event_errors,
        max_event_depth=max_event_depth,
        startup=startup,
    )


def bootstrap(
    di_container: Any,
    message_broker: MessageBroker | None = None,
    middlewares: Middlewares | None = None,
    commands_mapper: RequestMapper | None = None,
    domain_events_mapper: EventMapper | None = None,
    queries_mapper: RequestMapper | None = None,
    on_startup: Iterable[Callable[[], Any]] | None = None,
    max_concurrent_event_handlers: int = 1,
    concurrent_event_handle_enable: bool = False,
    *,
    event_errors: EventErrors = "raise",
    max_event_depth: int = 100,
) -> RequestMediator:
    """Return a mediator for commands and queries; each call wires a new, independent one.

    Args:
        di_container: builds the handlers: anything with ``async resolve(type)``, or the container of a known
            library.
        message_broker: takes notification events; by default they end in ``DevnullMessageBroker``.
        middlewares: run around each request, the first outermost; a ``LoggingMiddleware`` is put around them
            unless they hold one.
        commands_mapper: binds commands; runs once.
        domain_events_mapper: binds event types; runs once.
        queries_mapper: binds queries; runs once.
        on_startup: called without arguments: plain callables now, async ones before the first request.
        max_concurrent_event_handlers: how many events of a request are handled at once, at least 1.
        concurrent_event_handle_enable: ``False`` handles them one after the other.
        event_errors: ``"raise"`` the first error of an event handler, ``"collect"`` all, or ``"log"`` them.
        max_event_depth: how deep follow-up events may nest, at least 1.

    Raises:
        ConfigurationError: an argument has the wrong type, or is outside its range.
    """
    container = as_container(di_container)
    event_map = _event_map(domain_events_mapper)
    return setup_mediator(
        _emitter(container, event_map, message_broker),
        container,
        middlewares,
        commands_mapper,
        queries_mapper,
        event_map,
        max_concurrent_event_handlers,
        concurrent_event_handle_enable,
        event_errors=event_errors,
        max_event_depth=max_event_depth,
        startup=Startup(on_startup),
    )


def bootstrap_streaming(
    di_container: Any,
    message_broker: MessageBroker | None = None,
    middlewares: Middlewares | None = None,
    commands_mapper: RequestMapper | None = None,
    domain_events_mapper: EventMapper | None = None,
    queries_mapper: RequestMapper | None = None,
    on_startup: Iterable[Callable[[], Any]] | None = None,
    max_concurrent_event_handlers: int = 10,
    concurrent_event_handle_enable: bool = True,
    *,
    event_errors: EventErrors = "raise",
    max_event_depth: int = 100,
) -> StreamingRequestMediator:
    """Return a mediator for streams; see ``bootstrap`` for the arguments."""
    container = as_container(di_container)
    event_map = _event_map(domain_events_mapper)
    return setup_streaming_mediator(
        _emitter(container, event_map, message_broker),
        container,
        middlewares,
        commands_mapper,
        queries_mapper,
        event_map,
        max_concurrent_event_handlers,
        concurrent_event_handle_enable,
        event_errors=event_errors,
        max_event_depth=max_event_depth,
        startup=Startup(on_startup),
    )


def _emitter(
    container: Resolver, event_map: BindingMap[Any], message_broker: MessageBroker | None
) -> EventEmitter:
    return EventEmitter(
        event_map, container, DevnullMessageBroker() if message_broker is None else message_broker
    )


def _event_map(domain_events_mapper: EventMapper | None) -> EventMap:
    event_map = EventMap()
    fill(event_map, "domain_events_mapper", domain_events_mapper)
    return event_map


def _request_map(commands_mapper: RequestMapper | None, queries_mapper: RequestMapper | None) -> RequestMap:
    request_map = RequestMap()
    fill(request_map, "commands_mapper", commands_mapper)
    fill(request_map, "queries_mapper", queries_mapper)
    return request_map
