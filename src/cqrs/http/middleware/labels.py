"""One word for how a call ended, for figures, logs and traces."""

from __future__ import annotations

from cqrs.circuit_breaker.errors import CircuitOpenError
from cqrs.http.errors import HTTPError


def ending(error: BaseException) -> int | str:
    """Return the status of an answer that was raised, or a word for what there was instead of one.

    ``"rejected"`` by a circuit breaker, ``"timeout"``, ``"connection_error"``, ``"cancelled"``, else
    ``"error"``.
    """
    if isinstance(error, HTTPError):
        return error.status_code
    if isinstance(error, CircuitOpenError):
        return "rejected"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionError):
        return "connection_error"
    return "error" if isinstance(error, Exception) else "cancelled"
