"""The calls of a broker, guarded by a circuit: which calls, and what counts as a failure of it."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from cqrs.circuit_breaker.breaker import CircuitBreaker
from cqrs.circuit_breaker.protocol import ICircuitBreaker
from cqrs.exceptions import ConfigurationTypeError
from cqrs.message_brokers.protocol import Message
from cqrs.outbox.attempts import UNCOUNTED, classify

__all__ = ["AllUnavailable", "guarded", "whole"]

CIRCUIT = "cqrs.outbox"
"""Name of the circuit, where the breaker has many."""


class AllUnavailable(Exception):
    """Tells a circuit breaker that a whole batch has failed."""

    def __init__(self, results: list[Exception | None]) -> None:
        super().__init__(str(results[0]))
        self.results = results


def guarded(
    circuit_breaker: CircuitBreaker | ICircuitBreaker | None, function: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    """Return ``function`` guarded by a circuit, a registry of circuits, or nothing.

    Raises:
        ConfigurationTypeError: it is no circuit breaker.
    """
    if circuit_breaker is None:
        return function
    if isinstance(circuit_breaker, CircuitBreaker):

        async def through_circuit(*arguments: Any) -> Any:
            async with circuit_breaker.permit():
                return await function(*arguments)

        return through_circuit
    methods = (getattr(circuit_breaker, name, None) for name in ("call", "is_circuit_breaker_error"))
    if isinstance(circuit_breaker, type) or not all(callable(method) for method in methods):
        raise ConfigurationTypeError(
            f"circuit_breaker must be a CircuitBreaker or an ICircuitBreaker, not {circuit_breaker!r}"
        )
    return functools.partial(circuit_breaker.call, CIRCUIT, function)


def whole(
    send_messages: Callable[[Sequence[Message]], Awaitable[list[Exception | None]]],
    rejects: ICircuitBreaker | None,
) -> Callable[[Sequence[Message]], Awaitable[list[Exception | None]]]:
    """Return ``send_messages`` raising when not one message was sent, for want of a broker."""

    async def send(messages: Sequence[Message]) -> list[Exception | None]:
        results = await send_messages(messages)
        if isinstance(results, list) and results and all(_is_unavailable(each, rejects) for each in results):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise AllUnavailable(results)
        return results

    return send


def _is_unavailable(result: Any, rejects: ICircuitBreaker | None) -> bool:
    return isinstance(result, Exception) and classify(result, rejects) in UNCOUNTED
