"""The mediator of sagas."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from cqrs.container.protocol import Resolver
from cqrs.dispatcher.binding_map import BindingMap
from cqrs.dispatcher.driven import close
from cqrs.dispatcher.models import SagaDispatchResult
from cqrs.dispatcher.saga import SagaDispatcher
from cqrs.dispatcher.startup import Startup
from cqrs.events.event_emitter import EventEmitter
from cqrs.events.event_processor import EventErrors
from cqrs.mediator._events import event_processor
from cqrs.middlewares.base import MiddlewareChain
from cqrs.saga.compensation import checked_retries
from cqrs.saga.models import ContextT, SagaStepResult
from cqrs.saga.storage.protocol import ISagaStorage, check_storage

__all__ = ["SagaMediator"]

_logger = logging.getLogger(__name__)


class SagaMediator:
    """Executes sagas; the events of a step are processed before its result is yielded.

    Args:
        saga_map: binds context types to saga classes; bindings may be added later.
        container: builds the steps.
        event_emitter: delivers events; made from ``event_map`` when it is not given.
        middleware_chain: runs once around each saga.
        event_map: binds event types to handlers; without it and an emitter, events are dropped.
        max_concurrent_event_handlers: how many events of a step are handled at once, at least 1.
        concurrent_event_handle_enable: ``False`` is the same as a maximum of 1.
        storage: keeps the sagas; without it they are kept in memory, and lost with the process.
        compensation_retry_count: how often a compensation is tried in all, at least 1.
        compensation_retry_delay: seconds before its second attempt, at least 0.
        compensation_retry_backoff: factor from one wait to the next, at least 1.
        dispatcher_type: makes the dispatcher from map, container, storage, chain and the three numbers.
        event_errors: what an error of an event handler does: ``"raise"`` (the saga is compensated),
            ``"collect"`` (the same, after the other handlers) or ``"log"``.
        max_event_depth: how deep follow-up events may nest, at least 1.
        startup: runs before the first step.

    Raises:
        ConfigurationError: an argument has the wrong type, or is outside its range.
    """

    def __init__(
        self,
        saga_map: BindingMap[Any],
        container: Resolver,
        event_emitter: EventEmitter | None = None,
        middleware_chain: MiddlewareChain | None = None,
        event_map: BindingMap[Any] | None = None,
        max_concurrent_event_handlers: int = 1,
        concurrent_event_handle_enable: bool = True,
        storage: ISagaStorage | None = None,
        compensation_retry_count: int = 3,
        compensation_retry_delay: float = 1.0,
        compensation_retry_backoff: float = 2.0,
        *,
        dispatcher_type: type[SagaDispatcher] = SagaDispatcher,
        event_errors: EventErrors = "raise",
        max_event_depth: int = 100,
        startup: Startup | None = None,
    ) -> None:
        self._processor = event_processor(
            container,
            event_emitter,
            event_map,
            max_concurrent_event_handlers,
            concurrent_event_handle_enable,
            event_errors,
            max_event_depth,
        )
        # What each saga would be refused for is noticed now.
        checked_retries(compensation_retry_count, compensation_retry_delay, compensation_retry_backoff)
        if storage is not None:
            check_storage(storage)
        self._dispatcher = dispatcher_type(
            saga_map,
            container,
            _in_memory() if storage is None else storage,
            middleware_chain,
            compensation_retry_count,
            compensation_retry_delay,
            compensation_retry_backoff,
        )
        self._startup = startup

    def stream(
        self, context: ContextT, saga_id: uuid.UUID | None = None
    ) -> AsyncIterator[SagaStepResult[ContextT, Any]]:
        """Return the execution of the saga of ``context``: the results of its steps, as they act.

        To leave it early, close it (``contextlib.aclosing``): the saga stays ``running`` and can be resumed.
        An error of whoever iterates it is not seen here, and has the same effect; to compensate for it,
        iterate a ``Saga.transaction`` instead.

        Args:
            context: what the saga knows; when a saga is resumed, it gets the stored fields.
            saga_id: identity of the saga; one that the storage has is resumed. Default: a new one.

        Raises:
            SagaDoesNotExist: nothing is bound to the type of ``context``.
            ConfigurationError: an argument has the wrong type.
            ResolutionError: the container cannot build a step.
        """
        items = _step_results(self._dispatcher.dispatch(context, saga_id, self._processor.process))
        if self._startup is not None and not self._startup.is_done:
            return self._startup.before(items)
        return items


def _in_memory() -> ISagaStorage:
    from cqrs.saga.storage.memory import MemorySagaStorage  # only those who have no other storage load it

    _logger.warning("sagas are kept in memory and lost with the process: give SagaMediator a storage")
    return MemorySagaStorage()


async def _step_results(results: AsyncIterator[SagaDispatchResult]) -> AsyncGenerator[Any, None]:
    try:
        async for result in results:
            yield result.step_result
    finally:
        await close(results)
