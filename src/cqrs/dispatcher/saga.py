"""Dispatching contexts to their sagas."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from cqrs.container.protocol import Resolver
from cqrs.dispatcher.answers import announce, announced
from cqrs.dispatcher.binding_map import BindingMap
from cqrs.dispatcher.collecting import check_chain
from cqrs.dispatcher.driven import close
from cqrs.dispatcher.guarded_stream import StreamRecord
from cqrs.dispatcher.handlers import RunsSagas
from cqrs.dispatcher.models import SagaDispatchResult
from cqrs.dispatcher.request import Deliver, check_map, nothing_bound
from cqrs.dispatcher.scope import check_container
from cqrs.dispatcher.streaming import stream_through_middlewares
from cqrs.exceptions import SagaDoesNotExist
from cqrs.middlewares.base import MiddlewareChain

__all__ = ["SagaDispatcher"]


class SagaDispatcher:
    """Finds the saga of a context and executes it.

    Args:
        saga_map: binds context types to saga classes; bindings may be added later.
        container: builds the steps.
        storage: keeps the sagas.
        middleware_chain: runs once around each saga, in its form for streams.
        compensation_retry_count: how often a compensation is tried in all, at least 1.
        compensation_retry_delay: seconds before its second attempt, at least 0.
        compensation_retry_backoff: factor from one wait to the next, at least 1.
    """

    def __init__(
        self,
        saga_map: BindingMap[Any],
        container: Resolver,
        storage: Any,
        middleware_chain: MiddlewareChain | None = None,
        compensation_retry_count: int = 3,
        compensation_retry_delay: float = 1.0,
        compensation_retry_backoff: float = 2.0,
    ) -> None:
        check_map("saga_map", saga_map)
        check_container(container)
        self._saga_map = saga_map
        self._container = container
        self._storage = storage
        self._chain = check_chain(middleware_chain)
        self._retries = (compensation_retry_count, compensation_retry_delay, compensation_retry_backoff)

    def dispatch(
        self, context: Any, saga_id: uuid.UUID | None = None, deliver: Deliver | None = None
    ) -> AsyncIterator[SagaDispatchResult]:
        """Return the execution of the saga of ``context``: the result of each step, with its events.

        Close it (``contextlib.aclosing``) to leave it early: the saga stays ``running`` and can be resumed.

        Args:
            context: what the saga knows.
            saga_id: identity of the saga; one that the storage has is resumed. Default: a new one.
            deliver: processes the events of a step before its result is yielded; what it raises compensates
                the saga. Without it events are returned, not processed.

        Raises:
            SagaDoesNotExist: nothing is bound to the type of ``context``.
            ConfigurationError: an argument has the wrong type, or is out of range.
            ResolutionError: the container cannot build a step.
        """
        saga = self._bound_to(context.__class__)
        # For what it refuses; a middleware may yet pass another context on.
        self._open(saga, context, saga_id)
        return self._dispatch(saga, context, saga_id, deliver)

    async def _dispatch(
        self, saga: type[RunsSagas], context: Any, saga_id: uuid.UUID | None, deliver: Deliver | None
    ) -> AsyncGenerator[SagaDispatchResult, None]:
        def step(message: Any, _: Any, record: StreamRecord) -> AsyncIterator[Any]:
            return self._execute(saga, message, saga_id, deliver, record)

        record = StreamRecord()
        if self._chain is not None and self._chain.middlewares:
            items = stream_through_middlewares(self._chain, step)(context, None, record)
        else:
            items = step(context, None, record)
        try:
            async for item in items:
                answer = record.fallbacks[-1] if record.fallbacks else None
                if announced() is not answer:
                    announce(answer)
                yield SagaDispatchResult(item, record.take_events(), record.fallbacks)
        finally:
            await close(items)

    async def _execute(
        self,
        saga: type[RunsSagas],
        context: Any,
        saga_id: uuid.UUID | None,
        deliver: Deliver | None,
        record: StreamRecord,
    ) -> AsyncGenerator[Any, None]:
        transaction = self._open(saga, context, saga_id)
        async with transaction:
            async for result in transaction:
                record.events, record.fallbacks = transaction.events, transaction.fallbacks
                if deliver is not None and transaction.events:
                    await deliver(transaction.events, transaction.scope)
                try:
                    yield result
                except GeneratorExit:
                    return  # the same as leaving the body early: the lease may be given back in peace

    def _open(self, saga: type[RunsSagas], context: Any, saga_id: uuid.UUID | None) -> Any:
        return saga().transaction(context, self._container, self._storage, saga_id, *self._retries)

    def _bound_to(self, context_type: type[Any]) -> type[RunsSagas]:
        saga: type[RunsSagas] | None = self._saga_map.get(context_type)
        if saga is None:
            raise SagaDoesNotExist(nothing_bound("saga_map", self._saga_map, context_type, "saga"))
        return saga
