"""Liveness and readiness routes that an open circuit does not turn red."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from cqrs.circuit_breaker import CircuitBreakers

Check = Callable[[], Awaitable[object] | object]

_logger = logging.getLogger(__name__)


def health_router(
    checks: Mapping[str, Check] | None = None, *, breakers: CircuitBreakers | None = None
) -> APIRouter:
    """Return a router with ``/healthz`` and ``/readyz``.

    ``/healthz`` answers 200 as long as the process answers at all. ``/readyz`` runs ``checks`` (plain or
    async callables; one that raises has failed) and answers 200, or 503 with the outcome of each.

    ``/readyz`` also lists the circuits of ``breakers`` that are not closed, for people: an open circuit alone
    is not "unready", since taking the instance out of rotation would turn a degraded answer into none.
    """
    router = APIRouter()

    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    async def readyz() -> JSONResponse:
        results = {name: await _outcome(name, check) for name, check in (checks or {}).items()}
        ready = all(result == "ok" for result in results.values())
        body: dict[str, Any] = {"status": "ready" if ready else "unready", "checks": results}
        if breakers is not None:
            body["circuits"] = _not_closed(breakers)
        return JSONResponse(body, status_code=200 if ready else 503)

    router.add_api_route("/healthz", healthz, methods=["GET"], include_in_schema=False)
    router.add_api_route("/readyz", readyz, methods=["GET"], include_in_schema=False)
    return router


def _not_closed(breakers: CircuitBreakers) -> dict[str, str]:
    states: dict[str, str] = {}
    for name in breakers:
        circuit = breakers.get(name)
        if circuit is not None and circuit.state.value != "closed":
            states[name] = circuit.state.value
    return states


async def _outcome(name: str, check: Check) -> str:
    try:
        result = check()
        if inspect.isawaitable(result):
            await result
    except Exception as error:
        # The text of the error may hold an address or a password: it goes to the log, not to the client.
        _logger.warning("readiness check %s failed", name, exc_info=error)
        return f"failed: {type(error).__name__}"
    return "ok"
