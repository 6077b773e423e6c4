"""Calls get no more time than the deadline leaves."""

from __future__ import annotations

import pytest

from cqrs import deadlines
from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers
from cqrs.deadlines import deadline as deadline_of
from cqrs.exceptions import ConfigurationError
from cqrs.http.errors import HTTPDeadlineError, HTTPTimeoutError
from cqrs.http.messages import HTTPTimeout
from cqrs.http.middleware import circuit_breaker, deadline
from cqrs.testing import FakeClock
from tests.unit.http.middleware.sides import Server, Side


@pytest.fixture(autouse=True)
def _time(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "now", clock)


def test_without_a_deadline_nothing_changes(side: Side) -> None:
    server, timeout = Server(), HTTPTimeout(30)
    side.call(server, side.make(deadline, "DeadlineMiddleware", "X-Left"), timeout=timeout)
    assert server.timeouts == [timeout]
    assert server.headers() == {}


def test_a_timeout_is_shortened(side: Side, clock: FakeClock) -> None:
    server = Server()
    with deadline_of(5):
        clock.advance(1)
        side.call(server, side.make(deadline, "DeadlineMiddleware"), timeout=HTTPTimeout(30, 2))
    assert server.timeouts == [HTTPTimeout(4, 2, 4)]
    assert server.headers() == {}


def test_a_shorter_timeout_stays(side: Side) -> None:
    server, timeout = Server(), HTTPTimeout(1, 1)
    with deadline_of(5):
        side.call(server, side.make(deadline, "DeadlineMiddleware"), timeout=timeout)
    assert server.timeouts == [timeout]


@pytest.mark.parametrize(("left", "sent"), [(2.5, "2500"), (60, "10000"), (0.0001, "1")])
def test_the_server_is_told_what_is_left(side: Side, left: float, sent: str) -> None:
    server = Server()
    with deadline_of(left):
        middleware = side.make(deadline, "DeadlineMiddleware", "X-Request-Timeout-Ms")
        side.call(server, middleware, timeout=HTTPTimeout(8, 2))
    assert server.headers() == {"x-request-timeout-ms": sent}


def test_when_nothing_is_left_nothing_is_sent_and_no_circuit_learns_of_it(
    side: Side, clock: FakeClock
) -> None:
    server, breakers = Server(), CircuitBreakers()
    breaker = side.make(circuit_breaker, "CircuitBreakerMiddleware", breakers=breakers)
    with deadline_of(5):
        clock.advance(5)
        with pytest.raises(HTTPTimeoutError, match="nothing was sent") as caught:
            side.call(server, side.make(deadline, "DeadlineMiddleware"), breaker)
    assert not server.sent
    assert breakers["user"].snapshot().admitted == 0
    assert caught.value.request is not None


def test_nor_does_a_circuit_further_out(side: Side) -> None:
    server, breakers = Server(), CircuitBreakers(CircuitBreakerPolicy.consecutive(1, 30.0))
    breaker = side.make(circuit_breaker, "CircuitBreakerMiddleware", breakers=breakers)
    with deadline_of(0), pytest.raises(HTTPDeadlineError):
        side.call(server, breaker, side.make(deadline, "DeadlineMiddleware"))
    assert breakers["user"].snapshot().failed == 0
    side.call(server, breaker)
    assert len(server.sent) == 1


def test_a_header_needs_a_name(side: Side) -> None:
    with pytest.raises(ConfigurationError, match="no header name"):
        side.make(deadline, "DeadlineMiddleware", "X Left")


def test_a_reserve_is_kept_back_for_whoever_answers_instead(side: Side, clock: FakeClock) -> None:
    server = Server()
    middleware = side.make(deadline, "DeadlineMiddleware", "X-Left", reserve=0.5)
    with deadline_of(3):
        side.call(server, middleware, timeout=HTTPTimeout(30))
        clock.advance(2.5)
        with pytest.raises(HTTPDeadlineError, match="leaves no more than the reserve"):
            side.call(server, middleware, timeout=HTTPTimeout(30))
    assert server.timeouts == [HTTPTimeout(2.5, 2.5, 2.5)]
    assert server.headers() == {"x-left": "2500"}


@pytest.mark.parametrize("reserve", [-1, float("nan"), "1", None])
def test_a_reserve_that_is_no_time_is_refused(side: Side, reserve: object) -> None:
    with pytest.raises(ConfigurationError, match="reserve"):
        side.make(deadline, "DeadlineMiddleware", reserve=reserve)
