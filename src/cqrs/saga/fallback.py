"""Which step acts when the primary one cannot."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from cqrs.circuit_breaker.protocol import ICircuitBreaker
from cqrs.dispatcher.fallback_pair import FallbackPair
from cqrs.saga.step import SagaStepHandler

__all__ = ["Fallback"]


@dataclasses.dataclass(frozen=True, init=False, repr=False)
class Fallback(FallbackPair):
    """Declares that ``fallback`` acts when ``step`` fails, or when its circuit is open.

    It stands for one step of a saga. Before the fallback acts, the context is set back to what it was before
    ``step`` acted; the step that acted successfully is the one that is compensated.

    Args:
        step: the step class that is asked first.
        fallback: the step class that acts instead, or another ``Fallback``.
        failure_exceptions: the ``Exception`` types of ``step`` that lead to the fallback; empty: all.
        circuit_breaker: guards ``step``; its rejections always lead to the fallback.

    Raises:
        TypeError: the steps do not fit together, or an argument has the wrong type.

    >>> class Card(SagaStepHandler[dict, str]):
    ...     async def act(self, context): ...
    ...     async def compensate(self, context): ...
    >>> class Invoice(SagaStepHandler[dict, str]):
    ...     async def act(self, context): ...
    ...     async def compensate(self, context): ...
    >>> Fallback(step=Card, fallback=Invoice, failure_exceptions=(ConnectionError,)).step.__name__
    'Card'
    """

    handler_bases: ClassVar[tuple[type[Any], ...]] = (SagaStepHandler,)
    declares: ClassVar[tuple[str, ...]] = ("context type", "response type")

    # The same class: ``primary`` for all who handle fallbacks, ``step`` for ``dataclasses.replace``.
    primary: type[SagaStepHandler[Any, Any]] = dataclasses.field(init=False)
    step: type[SagaStepHandler[Any, Any]] = dataclasses.field(kw_only=True, compare=False)

    def __init__(
        self,
        step: type[SagaStepHandler[Any, Any]],
        fallback: type[SagaStepHandler[Any, Any]] | Fallback,
        failure_exceptions: tuple[type[Exception], ...] = (),
        circuit_breaker: ICircuitBreaker | None = None,
    ) -> None:
        super().__init__(step, fallback, failure_exceptions, circuit_breaker)
        object.__setattr__(self, "step", step)

    def __repr__(self) -> str:
        return (
            f"Fallback(step={self.step!r}, fallback={self.fallback!r}, "
            f"failure_exceptions={self.failure_exceptions!r}, circuit_breaker={self.circuit_breaker!r})"
        )
