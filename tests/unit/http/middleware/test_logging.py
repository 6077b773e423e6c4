"""One record for every call."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from pydantic import SecretStr

from cqrs.circuit_breaker import CircuitOpenError
from cqrs.http.errors import HTTPConnectionError, HTTPError, HTTPTimeoutError
from cqrs.http.messages import HTTPRequest, HTTPResponse
from cqrs.http.middleware import logging as logging_module
from cqrs.testing import FakeClock
from tests.unit.http.middleware.sides import Server, Side

NAME = "cqrs.http.middleware.logging"


def http_error(status: int) -> HTTPError:
    return HTTPError.of(HTTPRequest("GET", "http://user"), HTTPResponse(status, {}))


def one(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    (record,) = (record for record in caplog.records if record.name == NAME)
    return vars(record)


@pytest.mark.parametrize(("status", "level"), [(200, "INFO"), (404, "INFO"), (500, "WARNING")])
def test_answers(
    side: Side, clock: FakeClock, caplog: pytest.LogCaptureFixture, status: int, level: str
) -> None:
    caplog.set_level(logging.INFO, NAME)
    server = Server(status)
    server.then = lambda _: clock.advance(0.25)
    side.call(server, side.make(logging_module, "LoggingMiddleware", clock=clock))
    record = one(caplog)
    assert record["levelname"] == level
    assert record["method"] == "GET"
    assert record["path"] == "/v1/users/{name}"
    assert record["client_name"] == "user"
    assert record["status_code"] == status
    assert record["duration"] == 0.25
    assert caplog.messages == [f"GET /v1/users/{{name}} of user: {status} in 0.250 s"]


@pytest.mark.parametrize(
    ("error", "status", "level"),
    [
        (HTTPTimeoutError("late"), "timeout", "WARNING"),
        (HTTPConnectionError("refused"), "connection_error", "WARNING"),
        (CircuitOpenError("user"), "rejected", "WARNING"),
        (ZeroDivisionError(), "error", "WARNING"),
        (http_error(503), 503, "WARNING"),
        (http_error(404), 404, "INFO"),
        (asyncio.CancelledError(), "cancelled", "INFO"),
    ],
    ids=repr,
)
def test_errors(
    side: Side, caplog: pytest.LogCaptureFixture, error: BaseException, status: object, level: str
) -> None:
    caplog.set_level(logging.INFO, NAME)
    with pytest.raises(type(error)):
        side.call(Server(error), side.make(logging_module, "LoggingMiddleware"))
    record = one(caplog)
    assert record["levelname"] == level
    assert record["status_code"] == status
    assert record["error"] == type(error).__qualname__


def test_levels_and_logger_are_a_choice(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "mine")
    middleware = side.make(
        logging_module, "LoggingMiddleware", logging.getLogger("mine"), logging.DEBUG, logging.ERROR
    )
    side.call(Server(200), middleware)
    side.call(Server(500), middleware)
    assert [record.levelname for record in caplog.records if record.name == "mine"] == ["DEBUG", "ERROR"]


def test_nothing_but_the_template_is_logged(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = Server(HTTPResponse(200, {"set-cookie": "s3cret"}, content=b"s3cret"), HTTPTimeoutError("late"))
    middleware = side.make(logging_module, "LoggingMiddleware")
    for _ in range(2):
        try:
            side.call(
                server,
                middleware,
                querystring={"q": "s3cret"},
                headers={"Authorization": SecretStr("s3cret"), "X": "s3cret"},
                body=b"s3cret",
            )
        except HTTPTimeoutError:
            pass
    records = [record for record in caplog.records if record.name == NAME]
    assert len(records) == 2
    for record in records:
        assert "s3cret" not in str(vars(record))
        assert "alice" not in str(vars(record))


class Broken(logging.Logger):
    def log(self, *arguments: Any, **options: Any) -> None:
        raise RuntimeError("full disk")


def test_a_logger_that_raises_harms_no_call(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    middleware = side.make(logging_module, "LoggingMiddleware", Broken("broken"))
    assert side.call(Server(200), middleware).status_code == 200
    with pytest.raises(HTTPTimeoutError):
        side.call(Server(HTTPTimeoutError("late")), middleware)
    assert [record.levelname for record in caplog.records if record.name == NAME] == ["ERROR", "ERROR"]
