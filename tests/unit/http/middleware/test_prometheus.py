"""Latencies by client, method, path and status."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from cqrs.circuit_breaker import CircuitOpenError
from cqrs.http.errors import HTTPConnectionError, HTTPError, HTTPResponseError, HTTPTimeoutError
from cqrs.http.messages import HTTPRequest, HTTPResponse
from cqrs.http.metrics import PrometheusMetrics
from cqrs.http.middleware import prometheus
from cqrs.testing import FakeClock
from tests.unit.http.middleware.sides import Server, Side

LABELS = {"client_name": "user", "method": "GET", "path": "/v1/users/{name}"}


def figure(registry: CollectorRegistry, status: str, what: str = "count") -> float | None:
    return registry.get_sample_value(
        f"holdfast_request_latency_seconds_{what}", {**LABELS, "status_code": status}
    )


@pytest.mark.parametrize("status", [200, 404, 503])
def test_answers_are_observed_by_their_status(side: Side, clock: FakeClock, status: int) -> None:
    registry = CollectorRegistry()
    middleware = side.make(
        prometheus, "PrometheusMiddleware", PrometheusMetrics(registry=registry), clock=clock
    )
    server = Server(status)
    server.then = lambda _: clock.advance(0.25)
    for _ in range(2):
        assert side.call(server, middleware).status_code == status
    assert figure(registry, str(status)) == 2
    assert figure(registry, str(status), "sum") == 0.5


def http_error() -> HTTPError:
    return HTTPError.of(HTTPRequest("GET", "http://user"), HTTPResponse(502, {}))


@pytest.mark.parametrize(
    ("error", "label"),
    [
        (HTTPTimeoutError("late"), "timeout"),
        (TimeoutError(), "timeout"),
        (HTTPConnectionError("refused"), "connection_error"),
        (ConnectionResetError(), "connection_error"),
        (CircuitOpenError("user"), "rejected"),
        (HTTPResponseError("cut"), "error"),
        (ZeroDivisionError(), "error"),
        (http_error(), "502"),
        (asyncio.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
    ],
    ids=repr,
)
def test_calls_without_an_answer_are_observed(
    side: Side, clock: FakeClock, error: BaseException, label: str
) -> None:
    registry = CollectorRegistry()
    middleware = side.make(
        prometheus, "PrometheusMiddleware", PrometheusMetrics(registry=registry), clock=clock
    )
    server = Server(error)
    server.then = lambda _: clock.advance(3)
    with pytest.raises(type(error)):
        side.call(server, middleware)
    assert figure(registry, label, "sum") == 3
    assert figure(registry, label) == 1


def test_the_call_is_passed_on_as_it_is(side: Side) -> None:
    middleware = side.make(
        prometheus, "PrometheusMiddleware", PrometheusMetrics(registry=CollectorRegistry())
    )
    answer = HTTPResponse(200, {"x": "1"})
    server = Server(answer)
    assert side.call(server, middleware) is answer
    assert str(server.sent[0]) == "GET http://user:8000/v1/users/{name}"
