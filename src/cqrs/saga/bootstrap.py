"""Wiring for sagas: from mappers, middlewares, a container and a storage to a mediator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from cqrs.container.protocol import Resolver
from cqrs.container.wrap import as_container
from cqrs.dispatcher.binding_map import BindingMap, fill
from cqrs.dispatcher.saga_map import SagaMap
from cqrs.dispatcher.startup import Startup
from cqrs.events.event_emitter import EventEmitter
from cqrs.events.event_processor import EventErrors
from cqrs.mediator.saga import SagaMediator
from cqrs.message_brokers.protocol import MessageBroker
from cqrs.middlewares.logging import chain_with_logging
from cqrs.requests.bootstrap import EventMapper, Middlewares, setup_event_emitter
from cqrs.saga.storage.protocol import ISagaStorage

SagaMapper: TypeAlias = Callable[[SagaMap], Any]
"""Binds sagas: ``def sagas_mapper(mapper): mapper.bind(OrderContext, OrderSaga)``."""


def setup_saga_mediator(
    event_emitter: EventEmitter,
    container: Resolver,
    middlewares: Middlewares | None = None,
    sagas_mapper: SagaMapper | None = None,
    event_map: BindingMap[Any] | None = None,
    max_concurrent_event_handlers: int = 1,
    concurrent_event_handle_enable: bool = False,
    saga_storage: ISagaStorage | None = None,
    compensation_retry_count: int = 3,
    compensation_retry_delay: float = 1.0,
    compensation_retry_backoff: float = 2.0,
    *,
    event_errors: EventErrors = "raise",
    max_event_depth: int = 100,
    startup: Startup | None = None,
) -> SagaMediator:
    """Return a mediator for the sagas that ``sagas_mapper`` binds; see ``bootstrap`` for the arguments."""
    saga_map = SagaMap()
    fill(saga_map, "sagas_mapper", sagas_mapper)
    return SagaMediator(
        saga_map,
        container,
        event_emitter,
        chain_with_logging(middlewares),
        event_map,
        max_concurrent_event_handlers,
        concurrent_event_handle_enable,
        saga_storage,
        compensation_retry_count,
        compensation_retry_delay,
        compensation_retry_backoff,
        event_errors=event_errors,
        max_event_depth=max_event_depth,
        startup=startup,
    )


def bootstrap(
    di_container: Any,
    message_broker: MessageBroker | None = None,
    middlewares: Middlewares | None = None,
    sagas_mapper: SagaMapper | None = None,
    domain_events_mapper: EventMapper | None = None,
    on_startup: Iterable[Callable[[], Any]] | None = None,
    max_concurrent_event_handlers: int = 1,
    concurrent_event_handle_enable: bool = False,
    saga_storage: ISagaStorage | None = None,
    compensation_retry_count: int = 3,
    compensation_retry_delay: float = 1.0,
    compensation_retry_backoff: float = 2.0,
    *,
    event_errors: EventErrors = "raise",
    max_event_depth: int = 100,
) -> SagaMediator:
    """Return a mediator for sagas; each call wires a new, independent one.

    Args:
        di_container: builds the steps: anything with ``async resolve(type)``, or the container of a known
            library.
        message_broker: takes notification events; by default they end in ``DevnullMessageBroker``.
        middlewares: run around each saga, the first outermost; a ``LoggingMiddleware`` is put around them
            unless they hold one.
        sagas_mapper: binds sagas; runs once.
        domain_events_mapper: binds event types; runs once.
        on_startup: called without arguments: plain callables now, async ones before the first saga.
        max_concurrent_event_handlers: how many events of a step are handled at once, at least 1.
        concurrent_event_handle_enable: ``False`` handles them one after the other.
        saga_storage: keeps the sagas; by default they are kept in memory, and lost with the process.
        compensation_retry_count: how often a compensation is tried in all, at least 1.
        compensation_retry_delay: seconds before its second attempt, at least 0.
        compensation_retry_backoff: factor from one wait to the next, at least 1.
        event_errors: ``"raise"`` the first error of an event handler, which compensates the saga,
            ``"collect"`` all, or ``"log"`` them.
        max_event_depth: how deep follow-up events may nest, at least 1.

    Raises:
        ConfigurationError: an argument has the wrong type, or is outside its range.
    """
    container = as_container(di_container)
    return setup_saga_mediator(
        setup_event_emitter(container, domain_events_mapper, message_broker),
        container,
        middlewares,
        sagas_mapper,
        None,
        max_concurrent_event_handlers,
        concurrent_event_handle_enable,
        saga_storage,
        compensation_retry_count,
        compensation_retry_delay,
        compensation_retry_backoff,
        event_errors=event_errors,
        max_event_depth=max_event_depth,
        startup=Startup(on_startup),
    )
