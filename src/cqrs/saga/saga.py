"""Sagas: a list of steps, executed to its end or undone."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from typing import Any, ClassVar, Generic

from cqrs.circuit_breaker import validation
from cqrs.container.protocol import Resolver
from cqrs.dispatcher.declarations import check_handler_fits
from cqrs.dispatcher.handlers import RunsSagas
from cqrs.exceptions import ConfigurationTypeError, SagaDefinitionError
from cqrs.generic_utils import get_generic_args_for_origin
from cqrs.saga.compensation import checked_retries
from cqrs.saga.context import ContextCodec, ContextReader, codec_of
from cqrs.saga.declaration import checked_steps
from cqrs.saga.fallback import Fallback
from cqrs.saga.journal import Journal, Sleep
from cqrs.saga.leases import Clock
from cqrs.saga.models import ContextT
from cqrs.saga.plan import SagaPlans
from cqrs.saga.step import SagaStepHandler
from cqrs.saga.storage.protocol import ISagaStorage, check_storage
from cqrs.saga.transaction import SagaTransaction

__all__ = ["Saga"]


_LONGEST_NAME = 255


class Saga(RunsSagas, Generic[ContextT]):
    """Declares the steps of a saga; checked when the class is defined.

    The steps act in order. When one fails, those that have acted are compensated in reverse order.

    >>> class Reserve(SagaStepHandler[dict, str]):
    ...     async def act(self, context): ...
    ...     async def compensate(self, context): ...
    >>> class OrderSaga(Saga[dict]):
    ...     steps = [Reserve]
    >>> OrderSaga.saga_name
    'OrderSaga'
    """

    steps: ClassVar[list[type[SagaStepHandler[Any, Any]] | Fallback]] = []
    """Step classes, or ``Fallback`` declarations, in the order in which they act."""
    saga_name: ClassVar[str] = "Saga"
    """Name of the saga in the storage: the class's name, unless the class sets another one."""
    _plans: ClassVar[SagaPlans | None] = None
    _codecs: ClassVar[dict[type[Any], ContextCodec]] = {}

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        own = vars(cls)
        if "saga_name" not in own:
            cls.saga_name = cls.__name__
        name: Any = cls.saga_name
        if not isinstance(name, str) or not name:
            raise SagaDefinitionError(
                f"{cls.__name__}.saga_name must be a text that is not empty, not {name!r}"
            )
        if len(name) > _LONGEST_NAME:
            raise SagaDefinitionError(
                f"{cls.__name__}.saga_name has {len(name)} characters; a storage takes {_LONGEST_NAME}"
            )
        if "steps" in own or cls.steps:
            declared = get_generic_args_for_origin(cls, (Saga,))
            steps = checked_steps(cls.__name__, cls.steps, None if declared is None else declared[0])
            cls._plans = SagaPlans(steps)
            cls._codecs = {}

    @classmethod
    def check_context_type(cls, context_type: type[Any]) -> None:
        """Refuse a type of context that the saga is not declared for.

        Raises:
            HandlerTypeError: the declared type does not cover ``context_type``; both are named.
            SagaDefinitionError: the saga declares no steps.
        """
        cls._declared_plans()
        check_handler_fits("context type", context_type, cls, Saga)

    def transaction(
        self,
        context: ContextT,
        container: Resolver,
        storage: ISagaStorage,
        saga_id: uuid.UUID | None = None,
        compensation_retry_count: int = 3,
        compensation_retry_delay: float = 1.0,
        compensation_retry_backoff: float = 2.0,
        *,
        sleep: Sleep = asyncio.sleep,
        clock: Clock = time.monotonic,
    ) -> SagaTransaction[ContextT]:
        """Return the execution of one saga: ``async with`` it, and iterate it for the results of the steps.

        Args:
            context: what the saga knows. When a saga is resumed, it gets the stored fields.
            container: builds the steps.
            storage: keeps the saga.
            saga_id: identity of the saga; one that the storage has is resumed. Default: a new one.
            compensation_retry_count: how often a compensation is tried in all, at least 1.
            compensation_retry_delay: seconds before its second attempt, at least 0.
            compensation_retry_backoff: factor from one wait to the next, at least 1.
            sleep: waits.
            clock: monotonic seconds, by which the lease of the saga is renewed.

        Raises:
            ConfigurationError: an argument has the wrong type, or is out of range.
            ResolutionError: the container cannot build a step.
            SagaDefinitionError: the saga declares no steps.
        """
        _check(storage, saga_id)
        retries = checked_retries(
            compensation_retry_count, compensation_retry_delay, compensation_retry_backoff
        )
        plan = self._declared_plans().of(container)
        kind: Any = context.__class__
        codec = self._codecs.get(kind)
        if codec is None:
            self.check_context_type(kind)
            codec = self._codecs[kind] = codec_of(kind)
        resumes = saga_id is not None
        journal = Journal(storage, _new_id() if saga_id is None else saga_id, sleep, clock, 0.0)
        return SagaTransaction(
            self.saga_name, plan, journal, context, retries, sleep, resumes=resumes, codec=codec
        )

    def recovery(
        self,
        saga_id: uuid.UUID,
        reader: ContextReader,
        container: Resolver,
        storage: ISagaStorage,
        compensation_retry_count: int,
        compensation_retry_delay: float,
        compensation_retry_backoff: float,
        *,
        not_before: float,
        sleep: Sleep,
        clock: Clock,
    ) -> SagaTransaction[ContextT]:
        """Return the execution of what is left of a saga; see ``recover_saga``, which runs it."""
        _check(storage, saga_id)
        retries = checked_retries(
            compensation_retry_count, compensation_retry_delay, compensation_retry_backoff
        )
        plan = self._declared_plans().of(container)
        wait = validation.seconds("not_before", not_before, strict=False)
        journal = Journal(storage, saga_id, sleep, clock, wait)
        return SagaTransaction(
            self.saga_name, plan, journal, None, retries, sleep, resumes=True, reader=reader
        )

    @classmethod
    def _declared_plans(cls) -> SagaPlans:
        if cls._plans is None:
            raise SagaDefinitionError(f"{cls.__name__} declares no steps: give it `steps = [...]`")
        return cls._plans


def _new_id() -> uuid.UUID:
    """Return what ``uuid.uuid4`` returns, but sooner: the constructor takes longer to put the version in."""
    number = int.from_bytes(os.urandom(16)) & ~(0xF << 76 | 0x3 << 62)
    return uuid.UUID(int=number | 0x4 << 76 | 0x2 << 62)


def _check(storage: Any, saga_id: Any) -> None:
    check_storage(storage)
    if saga_id is not None and not isinstance(saga_id, uuid.UUID):
        raise ConfigurationTypeError(f"saga_id must be a uuid.UUID, not {saga_id!r}")
