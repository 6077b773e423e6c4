"""The ``interlock`` library as an ``ICircuitBreaker``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from cqrs.adapters.circuit_breaker._base import LibraryBreaker, Permit, require
from cqrs.adapters.circuit_breaker._exclusions import Exclusion
from cqrs.adapters.circuit_breaker._split import SplitCall

if TYPE_CHECKING:
    from interlock import AsyncStorage, Clock, Config, CoreEventListener, Registry


class InterlockAdapter(LibraryBreaker):
    """Guards handlers by the circuits of ``interlock-cb``: each identifier has one of its own.

    A rejected call raises ``interlock.CircuitOpenError``; the call that opens the circuit raises its own
    error. An excluded error is recorded as a success.

    Args:
        config: the library's ``Config`` of every circuit; default: its defaults.
        exclude: exception classes and predicates (error -> bool) that do not count as failures.
        storage: the library's asynchronous storage, to share circuits; default: none, per process.
        listener: the library's listener, told of every circuit's events.
        clock: the library's source of time; default: the system's monotonic clock.

    Raises:
        ImportError: the library is not installed.
        TypeError: ``exclude`` is not what it must be, or ``storage`` is a synchronous one.
    """

    def __init__(
        self,
        config: Config | None = None,
        exclude: Iterable[Exclusion] | None = None,
        *,
        storage: AsyncStorage | None = None,
        listener: CoreEventListener | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(exclude)
        if storage is not None and not inspect.iscoroutinefunction(storage.read):
            raise TypeError(f"storage must be one of the library's asynchronous storages, not {storage!r}")
        library: Any = require("interlock", adapter="InterlockAdapter", extra="interlock")
        self._rejection: type[Exception] = library.CircuitOpenError
        self._registry: Registry = library.Registry(
            config=config, storage=storage, listener=listener, clock=clock
        )

    def is_circuit_breaker_error(self, exc: Exception) -> bool:
        """Tell whether ``exc`` is the library's ``CircuitOpenError``."""
        return isinstance(exc, self._rejection)

    async def aclose(self) -> None:
        """Stop the library's background work, once traffic has stopped; only a ``storage`` has any."""
        await self._registry.aclose_all()

    async def _admit(self, name: str) -> Permit:
        breaker = self._registry.get(name)

        async def through_library(protected: Callable[[], Coroutine[Any, Any, None]]) -> None:
            await breaker.call_async(protected)

        call = SplitCall(through_library)
        await call.enter()
        return call
