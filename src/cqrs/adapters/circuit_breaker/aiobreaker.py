"""The ``aiobreaker`` library as an ``ICircuitBreaker``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from cqrs.adapters.circuit_breaker._base import LibraryBreaker, Permit, require
from cqrs.adapters.circuit_breaker._exclusions import Exclusion
from cqrs.adapters.circuit_breaker._split import SplitCall, ThreadedSplitCall
from cqrs.circuit_breaker import validation


class AioBreakerAdapter(LibraryBreaker):
    """Guards handlers by the circuits of ``aiobreaker``: each identifier has one of its own.

    A faithful wrapper; what the library does stays as it is:

    - The call that reaches ``fail_max`` raises ``aiobreaker.CircuitBreakerError``, and so does a failed
      probe; the function's own error is its ``__cause__``. A fallback therefore runs for that call also when
      the error is outside ``failure_exceptions``.
    - A half-open circuit lets every caller through until the first outcome.
    - An excluded error counts as a success: it sets the count back and closes a half-open circuit.
    - Redis storage keeps the time of opening in whole seconds: the circuit may be probed up to 1 s early.

    Cancellation and abandoned streams are not counted. The library's storages block: one that comes from
    ``storage_factory`` is used from worker threads, so that the event loop goes on; give its client short
    timeouts. When the storage cannot be created, calls run unguarded and the error is logged.

    Args:
        fail_max: failures in a row that open a circuit; at least 1, default 5.
        timeout_duration: seconds (or a ``timedelta``) until an open circuit may be probed; more than 0,
            default 60.
        exclude: exception classes, also with a metaclass of their own, and predicates (error -> bool) that do
            not count as failures.
        storage_factory: called with the circuit's name, returns the ``aiobreaker`` storage of that circuit;
            default: in memory, per process. Use the name as the storage's namespace, else circuits share
            their state.

    Raises:
        ImportError: the library is not installed.
        PolicyError: a number is outside its range.
        TypeError: ``exclude`` or ``storage_factory`` is not what it must be.

    Example:
        >>> import asyncio
        >>> breaker = AioBreakerAdapter(fail_max=1)
        >>> async def charge():
        ...     raise ConnectionError("refused")
        >>> try:
        ...     asyncio.run(breaker.call("payments", charge))
        ... except Exception as error:
        ...     print(breaker.is_circuit_breaker_error(error), repr(error.__cause__))
        True ConnectionError('refused')
    """

    def __init__(
        self,
        fail_max: int = 5,
        timeout_duration: float | timedelta = 60,
        exclude: Iterable[Exclusion] | None = None,
        storage_factory: Callable[[str], Any] | None = None,
    ) -> None:
        super().__init__(exclude)
        self._fail_max = validation.count("fail_max", fail_max)
        self._timeout = timedelta(seconds=validation.seconds("timeout_duration", timeout_duration))
        if storage_factory is not None and not callable(storage_factory):
            raise TypeError(
                f"storage_factory must be callable with the circuit's name, not {storage_factory!r}"
            )
        self._storage_factory = storage_factory
        self._library: Any = require(
            "cqrs.adapters.circuit_breaker._aiobreaker_circuit",
            adapter="AioBreakerAdapter",
            extra="aiobreaker",
        )
        self._circuits: dict[str, Any] = {}

    def is_circuit_breaker_error(self, exc: Exception) -> bool:
        """Tell whether ``exc`` is the library's ``CircuitBreakerError``."""
        return isinstance(exc, self._library.CircuitBreakerError)

    async def _admit(self, name: str) -> Permit:
        split = SplitCall if self._storage_factory is None else ThreadedSplitCall
        call = split(lambda protected: self._circuit(name).call_async(protected))
        await call.enter()
        return call

    def _circuit(self, name: str) -> Any:
        circuit = self._circuits.get(name)
        if circuit is None:
            storage = self._storage_factory(name) if self._storage_factory is not None else None
            created = self._library.Circuit(self._fail_max, self._timeout, state_storage=storage, name=name)
            circuit = self._circuits.setdefault(name, created)  # of two threads, the first one's stays
        return circuit
