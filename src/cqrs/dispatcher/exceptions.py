"""The errors of dispatching, under the import path that applications use."""

from __future__ import annotations

from cqrs.exceptions import (
    CqrsError,
    EventCycleError,
    EventHandlingErrors,
    HandlerTypeError,
    RequestHandlerDoesNotExist,
    RequestHandlerTypeError,
    ResolutionError,
    SagaConcurrencyError,
    SagaContextError,
    SagaDefinitionError,
    SagaDoesNotExist,
    SagaNotFoundError,
)

__all__ = [
    "CqrsError",
    "EventCycleError",
    "EventHandlingErrors",
    "HandlerTypeError",
    "RequestHandlerDoesNotExist",
    "RequestHandlerTypeError",
    "ResolutionError",
    "SagaConcurrencyError",
    "SagaContextError",
    "SagaDefinitionError",
    "SagaDoesNotExist",
    "SagaNotFoundError",
]
