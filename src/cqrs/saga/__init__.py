"""Sagas: work in steps that span services, resumed after a crash, compensated when it cannot be completed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.saga.circuit_breaker import ISagaStepCircuitBreaker as ISagaStepCircuitBreaker
    from cqrs.saga.errors import SagaCompensatedError as SagaCompensatedError
    from cqrs.saga.fallback import Fallback as Fallback
    from cqrs.saga.models import ContextT as ContextT
    from cqrs.saga.models import FailedCompensation as FailedCompensation
    from cqrs.saga.models import Resp as Resp
    from cqrs.saga.models import SagaContext as SagaContext
    from cqrs.saga.models import SagaStepInfo as SagaStepInfo
    from cqrs.saga.models import SagaStepResult as SagaStepResult
    from cqrs.saga.recovery import recover_saga as recover_saga
    from cqrs.saga.saga import Saga as Saga
    from cqrs.saga.step import SagaStepHandler as SagaStepHandler
    from cqrs.saga.step import current_step as current_step
    from cqrs.saga.transaction import SagaTransaction as SagaTransaction
    from cqrs.saga.worker import RecoveryWorker as RecoveryWorker

_EXPORTS = {
    "ContextT": "cqrs.saga.models",
    "FailedCompensation": "cqrs.saga.models",
    "Fallback": "cqrs.saga.fallback",
    "ISagaStepCircuitBreaker": "cqrs.saga.circuit_breaker",
    "RecoveryWorker": "cqrs.saga.worker",
    "Resp": "cqrs.saga.models",
    "Saga": "cqrs.saga.saga",
    "SagaCompensatedError": "cqrs.saga.errors",
    "SagaContext": "cqrs.saga.models",
    "SagaStepHandler": "cqrs.saga.step",
    "SagaStepInfo": "cqrs.saga.models",
    "SagaStepResult": "cqrs.saga.models",
    "SagaTransaction": "cqrs.saga.transaction",
    "current_step": "cqrs.saga.step",
    "recover_saga": "cqrs.saga.recovery",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
