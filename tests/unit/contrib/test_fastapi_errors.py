"""An open circuit that nobody took becomes a 503."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from cqrs.circuit_breaker import CircuitOpenError
from cqrs.contrib.fastapi import install_exception_handlers


def client_of(error: Exception) -> TestClient:
    app = FastAPI()
    install_exception_handlers(app)

    @app.get("/")
    async def fails() -> None:
        raise error

    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("retry_after", "header"),
    [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.01, "2"), (29.5, "30"), (None, "1")],
)
def test_retry_after_is_in_whole_seconds_rounded_up(retry_after: float | None, header: str) -> None:
    response = client_of(CircuitOpenError("payments", retry_after=retry_after)).get("/")
    assert response.status_code == 503
    assert response.headers["retry-after"] == header
    assert response.json()["retry_after"] == int(header)


def test_body_names_the_circuit_and_keeps_the_failure_to_itself() -> None:
    error = CircuitOpenError(
        "payments", "half_open", "3 of 3 probes", 2.0, last_failure="OSError: postgres://user:secret@db"
    )
    response = client_of(error).get("/")
    assert response.json() == {
        "error": "circuit_open",
        "circuit": "payments",
        "state": "half_open",
        "retry_after": 2,
    }
    assert "secret" not in response.text


def test_other_errors_keep_their_handling() -> None:
    assert client_of(LookupError("no")).get("/").status_code == 500
