"""Sagas: a list of steps, executed to its end or undone."""

from __future__ import annotations

from typing import Any, ClassVar, Generic

from cqrs.dispatcher.declarations import check_handler_fits
from cqrs.dispatcher.handlers import RunsSagas
from cqrs.exceptions import SagaDefinitionError
from cqrs.generic_utils import get_generic_args_for_origin
from cqrs.saga.declaration import checked_steps
from cqrs.saga.fallback import Fallback
from cqrs.saga.models import ContextT
from cqrs.saga.plan import SagaPlans
from cqrs.saga.step import SagaStepHandler

__all__ = ["Saga"]


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
        if "steps" in own or cls.steps:
            declared = get_generic_args_for_origin(cls, (Saga,))
            steps = checked_steps(cls.__name__, cls.steps, None if declared is None else declared[0])
            cls._plans = SagaPlans(steps)

    @classmethod
    def check_context_type(cls, context_type: type[Any]) -> None:
        """Refuse a type of context that the saga is not declared for.

        Raises:
            HandlerTypeError: the declared type does not cover ``context_type``; both are named.
            SagaDefinitionError: the saga declares no steps.
        """
        cls._declared_plans()
        check_handler_fits("context type", context_type, cls, Saga)

    @classmethod
    def _declared_plans(cls) -> SagaPlans:
        if cls._plans is None:
            raise SagaDefinitionError(f"{cls.__name__} declares no steps: give it `steps = [...]`")
        return cls._plans
