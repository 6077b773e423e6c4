"""Health routes."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from cqrs.circuit_breaker import CircuitBreakers, Mode
from cqrs.contrib.fastapi import health_router


def client_of(*args: Any, **kwargs: Any) -> TestClient:
    app = FastAPI()
    app.include_router(health_router(*args, **kwargs))
    return TestClient(app)


async def works() -> None:
    return None


def fails() -> None:
    raise ConnectionError("redis://user:secret@cache")


async def fails_later() -> None:
    raise TimeoutError


def test_liveness_asks_no_dependency() -> None:
    response = client_of({"cache": fails}).get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready_without_checks() -> None:
    assert client_of().get("/readyz").json() == {"status": "ready", "checks": {}}


def test_failed_check_is_503_with_every_outcome_and_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    checks = {"database": works, "cache": fails, "search": fails_later, "disk": lambda: True}
    with caplog.at_level(logging.WARNING, "cqrs.contrib.fastapi.health"):
        response = client_of(checks).get("/readyz")
    assert response.status_code == 503
    assert response.json() == {
        "status": "unready",
        "checks": {
            "database": "ok",
            "cache": "failed: ConnectionError",
            "search": "failed: TimeoutError",
            "disk": "ok",
        },
    }
    assert "secret" not in response.text
    assert [record.getMessage() for record in caplog.records] == [
        "readiness check cache failed",
        "readiness check search failed",
    ]


def test_open_circuit_is_listed_and_alone_does_not_make_it_unready() -> None:
    breakers = CircuitBreakers()
    assert breakers["mail"].state == "closed"
    breakers["payments"].override(Mode.FORCED_OPEN)
    response = client_of(breakers=breakers).get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ready", "checks": {}, "circuits": {"payments": "forced_open"}}
