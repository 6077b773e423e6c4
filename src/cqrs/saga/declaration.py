"""What a saga class must declare: checked when the class is defined."""

from __future__ import annotations

import inspect
from typing import Any, cast

from cqrs.dispatcher.declarations import check_handler_fits, is_plainly_sync, is_subclass, type_name
from cqrs.dispatcher.fallback_pair import declared_attempts
from cqrs.exceptions import HandlerTypeError, SagaDefinitionError
from cqrs.saga.fallback import Fallback
from cqrs.saga.step import SagaStepHandler


def checked_steps(
    saga_name: str, steps: Any, context_type: Any
) -> tuple[type[SagaStepHandler[Any, Any]] | Fallback, ...]:
    """Return the declared steps.

    Args:
        saga_name: name of the saga class.
        steps: what it declares as its steps.
        context_type: the type of context that it declares; ``None`` when it declares none.

    Raises:
        SagaDefinitionError: a step is not what it must be; the message names saga, position and step.
    """
    if not isinstance(steps, list | tuple) or not steps:
        raise SagaDefinitionError(
            f"{saga_name}.steps must be a list of SagaStepHandler classes and Fallbacks, at least one, "
            f"not {steps!r}"
        )
    declared = tuple(cast("list[Any]", steps))
    for position, step in enumerate(declared):
        _check(f"{saga_name}.steps[{position}]", step, context_type)
    return declared


def _check(where: str, declared: Any, context_type: Any) -> None:
    names: set[str] = set()
    for step, _ in declared_attempts(declared):
        if not is_subclass(step, SagaStepHandler):
            subject = (
                "an instance of " + type_name(cast("Any", step).__class__)
                if isinstance(step, SagaStepHandler)
                else step
            )
            raise SagaDefinitionError(
                f"{where} must be a SagaStepHandler class, or a Fallback of such classes, not "
                f"{type_name(subject)}"
            )
        _check_methods(where, step)
        if step.__name__ in names:
            raise SagaDefinitionError(
                f"{where}: two classes are named {step.__name__}, so the log could not tell which of them "
                "acted; rename one"
            )
        names.add(step.__name__)
        if isinstance(context_type, type):
            try:
                check_handler_fits("context type", context_type, step, SagaStepHandler)
            except HandlerTypeError as error:
                raise SagaDefinitionError(f"{where}: {error}") from None


def _check_methods(where: str, step: type[SagaStepHandler[Any, Any]]) -> None:
    missing = sorted(getattr(step, "__abstractmethods__", ()))
    if missing:
        raise SagaDefinitionError(f"{where}: {type_name(step)} has no {' and no '.join(missing)}")
    for name in ("act", "compensate"):
        method = inspect.getattr_static(step, name)
        if is_plainly_sync(method) or inspect.isasyncgenfunction(method):
            raise SagaDefinitionError(f"{where}: {type_name(step)}.{name} must be `async def`, without yield")
    flag = inspect.getattr_static(step, "compensate_on_failure")
    if not isinstance(flag, bool):
        raise SagaDefinitionError(
            f"{where}: {type_name(step)}.compensate_on_failure must be True or False, not {flag!r}"
        )
    if step.handle is not SagaStepHandler.handle:
        raise SagaDefinitionError(
            f"{where}: {type_name(step)} must not define handle, which the framework calls; rename it"
        )
    if inspect.isfunction(inspect.getattr_static(step, "events")):
        raise SagaDefinitionError(
            f"{where}: {type_name(step)}.events must be a property: put @property above it"
        )
