"""What a circuit breaker must offer so that handlers can be guarded by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, Protocol, TypeVar, runtime_checkable

from cqrs.circuit_breaker.errors import CircuitOpenError
from cqrs.exceptions import ConfigurationTypeError

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


@runtime_checkable
class ICircuitBreaker(Protocol):
    """A breaker with one isolated circuit per identifier.

    ``identifier`` is the handler class (its circuit is named ``module.QualName``) or a string.
    """

    async def call(
        self, identifier: type[Any] | str, func: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Await ``func(*args, **kwargs)`` through the circuit of ``identifier``.

        Raises:
            Exception: what ``func`` raised, or the breaker's own rejection.
        """
        ...

    def is_circuit_breaker_error(self, exc: Exception) -> bool:
        """Tell whether ``exc`` is the breaker's rejection rather than a failure of the call."""
        ...


@runtime_checkable
class IGuardingCircuitBreaker(ICircuitBreaker, Protocol):
    """The optional form: a breaker that wraps a function once and preserves its kind.

    Dispatchers prefer it: nothing is looked up per call, and async generator functions (streams)
    are guarded from their first item to their last.

    A breaker that never counts a ``ResolutionError``, whatever its settings, may say so by a class attribute
    ``ignores_resolution_errors = True``. From others dispatchers hide that error.
    """

    def guard(self, identifier: type[Any] | str, func: F) -> F:
        """Return ``func`` guarded by the circuit of ``identifier``; same kind, same signature."""
        ...


def circuit_name(identifier: type[Any] | str) -> str:
    """Return the name of the circuit of ``identifier``.

    >>> circuit_name("payments"), circuit_name(dict)
    ('payments', 'builtins.dict')
    """
    if isinstance(identifier, str) and identifier:
        return identifier
    if isinstance(identifier, type):  # pyright: ignore[reportUnnecessaryIsInstance]
        return f"{identifier.__module__}.{identifier.__qualname__}"
    raise ConfigurationTypeError(f"a circuit is identified by a class or a non-empty str, not {identifier!r}")


def is_rejection(error: Exception, circuit_breaker: ICircuitBreaker | None) -> bool:
    """Tell whether ``error`` is a rejection: of ``circuit_breaker``, or of a native one further in."""
    if isinstance(error, CircuitOpenError):
        return True
    return circuit_breaker is not None and circuit_breaker.is_circuit_breaker_error(error)


def should_use_fallback(
    primary_error: Exception,
    circuit_breaker: ICircuitBreaker | None,
    failure_exceptions: tuple[type[Exception], ...],
) -> bool:
    """Decide whether the fallback takes over after the primary raised ``primary_error``.

    A breaker's rejection always does, also that of a native breaker further in, say of a service client;
    otherwise a non-empty ``failure_exceptions`` decides by type, and an
    empty one lets any ``Exception`` through to the fallback.

    >>> should_use_fallback(ValueError(), None, ()), should_use_fallback(ValueError(), None, (OSError,))
    (True, False)
    """
    if is_rejection(primary_error, circuit_breaker):
        return True
    if failure_exceptions:
        return isinstance(primary_error, failure_exceptions)
    return True
