"""The ``purgatory`` library as an ``ICircuitBreaker``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cqrs.adapters.circuit_breaker._base import LibraryBreaker, Permit, require
from cqrs.adapters.circuit_breaker._exclusions import Exclusion
from cqrs.circuit_breaker import validation

if TYPE_CHECKING:
    from purgatory import AsyncAbstractUnitOfWork
    from purgatory.service._async.circuitbreaker import AsyncCircuitBreaker


class PurgatoryAdapter(LibraryBreaker):
    """Guards handlers by the circuits of ``purgatory``: each identifier has one of its own.

    An open circuit raises the library's ``OpenedState``; the call that opens it raises its own error. What
    the library does stays as it is: a half-open circuit lets every caller through until the first outcome,
    and an excluded error counts as a success. Put right here: the library counts cancellation as a failure,
    lets a success from before the outage close a half-open circuit, and raises one exception object for
    every rejection, whose traceback grows.

    Args:
        threshold: failures in a row that open a circuit; at least 1, default 5.
        ttl: seconds until an open circuit may be probed; more than 0, default 30.
        exclude: exception classes and predicates (error -> bool) that do not count as failures.
        uow: the library's asynchronous unit of work, which keeps the states; default: in memory, per process.

    Raises:
        ImportError: the library is not installed.
        PolicyError: a number is outside its range.
        TypeError: ``exclude`` is not what it must be.
    """

    def __init__(
        self,
        threshold: int = 5,
        ttl: float = 30.0,
        exclude: Iterable[Exclusion] | None = None,
        uow: AsyncAbstractUnitOfWork | None = None,
    ) -> None:
        super().__init__(exclude)
        validation.count("threshold", threshold)
        ttl = validation.seconds("ttl", ttl)
        library = require("purgatory", adapter="PurgatoryAdapter", extra="purgatory")
        model = require("purgatory.domain.model", adapter="PurgatoryAdapter", extra="purgatory")
        self._rejection: Any = model.OpenedState
        self._factory: Any = library.AsyncCircuitBreakerFactory(threshold, ttl, uow=uow)
        self._initialized = False

    def is_circuit_breaker_error(self, exc: Exception) -> bool:
        """Tell whether ``exc`` is the library's ``OpenedState``."""
        return isinstance(exc, self._rejection)

    async def _admit(self, name: str) -> Permit:
        if not self._initialized:  # Redis units of work need it once; it does no harm twice
            await self._factory.initialize()
            self._initialized = True
        breaker: AsyncCircuitBreaker = await self._factory.get_breaker(name)
        try:
            await breaker.__aenter__()
        except self._rejection as raised:
            raised.__traceback__ = None  # the library keeps this one and raises it again
            rejection = self._rejection(raised.circuit_name)
            rejection.opened_at = raised.opened_at
        else:
            return _PurgatoryPermit(breaker)
        raise rejection


class _PurgatoryPermit:
    """Settles with the circuit unless its state is no longer the one that admitted the call."""

    def __init__(self, breaker: AsyncCircuitBreaker) -> None:
        self._breaker = breaker
        self._admitted_in = self._state()

    def _state(self) -> object:
        # Private, but the only thing that tells one half-open spell from the next: each has its own object.
        return getattr(self._breaker.context, "_state")  # noqa: B009

    async def succeed(self) -> None:
        if self._state() is self._admitted_in:
            await self._breaker.__aexit__(None, None, None)

    async def fail(self, error: Exception) -> None:
        if self._state() is self._admitted_in:
            await self._breaker.__aexit__(type(error), error, error.__traceback__)

    def abandon(self) -> None:
        return  # the library holds nothing for a call in progress
