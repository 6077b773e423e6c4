"""An open circuit is a 503 that says when to come back."""

from __future__ import annotations

import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from cqrs.circuit_breaker.errors import CircuitOpenError


def circuit_open_response(error: CircuitOpenError) -> JSONResponse:
    """Return ``503 Service Unavailable`` with ``Retry-After`` for a rejected call.

    ``Retry-After`` is in whole seconds, rounded up, at least 1 (also when the circuit cannot tell). The body
    names the circuit and its state; the text of the last failure stays inside, since it may hold secrets.

    Source: RFC 9110, sections 10.2.3 and 15.6.4.

    >>> response = circuit_open_response(CircuitOpenError("payments", retry_after=2.1))
    >>> response.status_code, response.headers["retry-after"]
    (503, '3')
    """
    seconds = max(1, math.ceil(error.retry_after or 0.0))
    body: dict[str, Any] = {
        "error": "circuit_open",
        "circuit": error.name,
        "state": str(error.state),
        "retry_after": seconds,
    }
    return JSONResponse(body, status_code=503, headers={"Retry-After": str(seconds)})


async def _on_circuit_open(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, CircuitOpenError)
    return circuit_open_response(error)


def install_exception_handlers(app: FastAPI) -> None:
    """Make ``app`` answer a ``CircuitOpenError`` that no fallback took with 503 and ``Retry-After``.

    Every other exception keeps the handling it had.
    """
    app.add_exception_handler(CircuitOpenError, _on_circuit_open)
