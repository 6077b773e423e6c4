"""Going on with sagas that nobody executes any more."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from cqrs.container.protocol import Resolver
from cqrs.dispatcher.request import Deliver
from cqrs.exceptions import ConfigurationTypeError
from cqrs.saga.context import context_reader
from cqrs.saga.errors import SagaCompensatedError
from cqrs.saga.journal import Sleep
from cqrs.saga.leases import Clock
from cqrs.saga.saga import Saga
from cqrs.saga.storage.protocol import ISagaStorage

__all__ = ["SagaCompensatedError", "recover_saga"]


async def recover_saga(
    saga: Saga[Any] | type[Saga[Any]],
    saga_id: uuid.UUID,
    context_builder: type[Any] | Callable[[Mapping[str, Any]], Any],
    container: Resolver,
    storage: ISagaStorage,
    compensation_retry_count: int = 3,
    compensation_retry_delay: float = 1.0,
    compensation_retry_backoff: float = 2.0,
    *,
    deliver: Deliver | None = None,
    not_before: float = 0.0,
    sleep: Sleep = asyncio.sleep,
    clock: Clock = time.monotonic,
) -> None:
    """Execute what is left of a saga: forward when it is running, backward when it is being compensated.

    A saga that is ``completed`` needs nothing. In a saga that is ``failed``, compensations that were given up
    are tried again.

    Args:
        saga: the saga, or its class.
        saga_id: which one.
        context_builder: class of its context, or a function that makes it from what is stored.
        container: builds the steps.
        storage: where the saga is kept.
        compensation_retry_count: how often a compensation is tried in all, at least 1.
        compensation_retry_delay: seconds before its second attempt.
        compensation_retry_backoff: factor from one wait to the next, at least 1.
        deliver: takes the events of each step, for example ``EventProcessor.process``; without it they are
            dropped. An error of it compensates the saga.
        not_before: seconds for which nobody should recover the saga again if this fails.
        sleep: waits.
        clock: monotonic seconds, by which the lease is renewed.

    Raises:
        SagaCompensatedError: a ``RuntimeError``: the saga was ``compensating`` or ``failed``; what could be
            compensated is.
        ConfigurationTypeError: ``saga`` is no saga.
        SagaConcurrencyError: somebody else executes the saga.
        SagaNotFoundError: the storage has no such saga.
        SagaDefinitionError: its log does not fit the steps.
        SagaContextError: its context cannot be read.
        Exception: what a step raised, whereupon the saga was compensated, or the storage.
    """
    given: Any = saga
    if not issubclass(given if isinstance(given, type) else type(given), Saga):
        raise ConfigurationTypeError(f"saga must be a Saga or a class of one, not {given!r}")
    transaction = (saga() if isinstance(saga, type) else saga).recovery(
        saga_id,
        context_reader(context_builder),
        container,
        storage,
        compensation_retry_count,
        compensation_retry_delay,
        compensation_retry_backoff,
        not_before=not_before,
        sleep=sleep,
        clock=clock,
    )
    async with transaction:
        async for _ in transaction:
            if deliver is not None and transaction.events:
                await deliver(transaction.events, transaction.scope)
