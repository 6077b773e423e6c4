"""Another try, as long as time and budget allow."""

from __future__ import annotations

import asyncio
import contextlib
import io
from typing import Any

import pytest

from cqrs import deadlines
from cqrs.circuit_breaker import Backoff, CircuitBreakerPolicy, CircuitBreakers, CircuitOpenError
from cqrs.deadlines import deadline
from cqrs.exceptions import ConfigurationError
from cqrs.http.errors import (
    DiscoveryError,
    HTTPClosedError,
    HTTPConnectionError,
    HTTPDeadlineError,
    HTTPError,
    HTTPPoolTimeoutError,
    HTTPResponseError,
    HTTPTimeoutError,
)
from cqrs.http.flow import Sleep
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.middleware import circuit_breaker, retry
from cqrs.http.retry_budget import RetryBudget
from cqrs.testing import FakeClock
from tests.unit.http.middleware.sides import Server, Side


class Waits:
    """Takes the place of sleeping: the clock moves on, and each wait is noted."""

    def __init__(self, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds: list[float] = []
        self.then: Any = None

        def wait(sleep: Sleep) -> None:
            self.seconds.append(sleep.seconds)
            if self.then is not None:
                raise self.then
            clock.advance(sleep.seconds)

        async def wait_async(sleep: Sleep) -> None:
            wait(sleep)

        monkeypatch.setattr(Sleep, "wait", wait)
        monkeypatch.setattr(Sleep, "wait_async", wait_async)
        monkeypatch.setattr(deadlines, "now", clock)


@pytest.fixture
def waits(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Waits:
    return Waits(clock, monkeypatch)


def made(side: Side, clock: FakeClock, *arguments: Any, **options: Any) -> Any:
    options = {"budget": RetryBudget(floor=100), "clock": clock, "random": lambda: 0.0, **options}
    return side.make(retry, "RetryMiddleware", *arguments, **options)


def http_error(status: int) -> HTTPError:
    return HTTPError.of(HTTPRequest("GET", "http://user"), HTTPResponse(status, {}))


PASSING = [502, 503, 504, HTTPTimeoutError("late"), HTTPConnectionError("reset"), http_error(503)]
PASSING += [TimeoutError(), ConnectionResetError()]


@pytest.mark.parametrize("failure", PASSING, ids=repr)
def test_what_may_pass_is_tried_again(side: Side, clock: FakeClock, waits: Waits, failure: Any) -> None:
    server = Server(failure, failure, 200)
    assert side.call(server, made(side, clock)).status_code == 200
    assert len(server.sent) == 3
    assert waits.seconds == [0.05, 0.1]


LASTING = [200, 301, 404, 429, 500, HTTPResponseError("cut"), ZeroDivisionError(), http_error(500)]
LASTING += [asyncio.CancelledError(), KeyboardInterrupt()]
LASTING += [HTTPClosedError("by a shutdown: another try would connect anew"), HTTPDeadlineError("too late")]


@pytest.mark.parametrize("result", LASTING, ids=repr)
def test_what_would_be_the_same_is_not(side: Side, clock: FakeClock, waits: Waits, result: Any) -> None:
    server = Server(result)
    if isinstance(result, int):
        assert side.call(server, made(side, clock)).status_code == result
    else:
        with pytest.raises(type(result)) as caught:
            side.call(server, made(side, clock))
        assert caught.value is result
    assert len(server.sent) == 1
    assert not waits.seconds


def test_the_last_failure_is_the_result(side: Side, clock: FakeClock, waits: Waits) -> None:
    errors = [HTTPTimeoutError(f"late {number}") for number in range(3)]
    server = Server(*errors)
    with pytest.raises(HTTPTimeoutError) as caught:
        side.call(server, made(side, clock, 3))
    assert caught.value is errors[2]
    assert side.call(Server(503, 502, 504), made(side, clock, 2)).status_code == 502


def test_one_attempt_is_no_retry(side: Side, clock: FakeClock, waits: Waits) -> None:
    server = Server(503)
    side.call(server, made(side, clock, 1))
    assert len(server.sent) == 1


def test_waits_grow_to_a_limit_and_are_spread(side: Side, clock: FakeClock, waits: Waits) -> None:
    server = Server(503)
    backoff = Backoff(initial=1, multiplier=2, max=3, jitter=0.5)
    side.call(server, made(side, clock, 5, backoff))
    assert waits.seconds == [1, 2, 3, 3]
    waits.seconds.clear()
    side.call(server, made(side, clock, 5, backoff, random=lambda: 0.5))
    assert waits.seconds == [0.75, 1.5, 2.25, 2.25]


# ---------------------------------------------------------------------- what may arrive twice


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("failure", [503, HTTPTimeoutError("late"), HTTPConnectionError("reset")], ids=repr)
def test_methods_that_would_do_it_twice_are_tried_once(
    side: Side, clock: FakeClock, waits: Waits, method: str, failure: Any
) -> None:
    server = Server(failure, 200)
    with contextlib.suppress(HTTPTimeoutError, HTTPConnectionError):
        side.call(server, made(side, clock), method=method)
    assert len(server.sent) == 1


class ConnectError(Exception):
    """As HTTP libraries name it."""


def refused() -> HTTPConnectionError:
    error = HTTPConnectionError("refused")
    error.__cause__ = ConnectError()
    error.__cause__.__cause__ = OSError()
    return error


UNSENT = [refused(), DiscoveryError("nobody knows"), HTTPPoolTimeoutError("busy"), ConnectionRefusedError()]


@pytest.mark.parametrize("failure", UNSENT, ids=repr)
def test_what_was_never_sent_is_tried_again_whatever_the_method(
    side: Side, clock: FakeClock, waits: Waits, failure: Any
) -> None:
    server = Server(failure, 200)
    assert side.call(server, made(side, clock), method="POST").status_code == 200


def test_methods_and_statuses_are_a_choice(side: Side, clock: FakeClock, waits: Waits) -> None:
    middleware = made(side, clock, methods={"post"}, statuses={429})
    assert side.call(Server(429, 200), middleware, method="POST").status_code == 200
    assert side.call(Server(429, 200), middleware, method="GET").status_code == 429
    assert side.call(Server(503, 200), middleware, method="POST").status_code == 503


def test_a_file_is_not_sent_twice(side: Side, clock: FakeClock, waits: Waits) -> None:
    server = Server(503, 200)
    call = {"method": "PUT", "attachments": {"f": ("a.txt", io.BytesIO(b"x"), "text/plain")}}
    assert side.call(server, made(side, clock), **call).status_code == 503
    call["attachments"] = {"f": ("a.txt", b"x", "text/plain"), "g": "text"}
    assert side.call(Server(503, 200), made(side, clock), **call).status_code == 200


# ---------------------------------------------------------------------- time


def test_a_server_may_ask_for_a_longer_wait(side: Side, clock: FakeClock, waits: Waits) -> None:
    server = Server(HTTPResponse(503, {"Retry-After": "2"}), 200)
    assert side.call(server, made(side, clock)).status_code == 200
    assert waits.seconds == [2]


def test_but_not_for_any_wait(side: Side, clock: FakeClock, waits: Waits) -> None:
    server = Server(HTTPResponse(503, {"Retry-After": "6"}), 200)
    assert side.call(server, made(side, clock)).status_code == 503
    assert not waits.seconds


def test_all_tries_take_no_longer_than_the_timeout(side: Side, clock: FakeClock, waits: Waits) -> None:
    server = Server(503)
    server.then = lambda _: clock.advance(1)
    side.call(server, made(side, clock, 10), timeout=HTTPTimeout(30, 1, total=2.2))
    assert [round(timeout.limit, 6) for timeout in server.timeouts] == [2.2, 1.15, 0.05]


def test_a_wait_that_does_not_fit_is_not_begun(side: Side, clock: FakeClock, waits: Waits) -> None:
    server = Server(HTTPResponse(503, {"Retry-After": "4"}), 200)
    assert side.call(server, made(side, clock), timeout=HTTPTimeout(1, 3)).status_code == 503
    assert not waits.seconds


def test_a_deadline_bounds_it_too(side: Side, clock: FakeClock, waits: Waits) -> None:
    server = Server(HTTPResponse(503, {"Retry-After": "2"}), 200)
    with deadline(2):
        assert side.call(server, made(side, clock)).status_code == 503
    server = Server(HTTPResponse(503, {"Retry-After": "2"}), 200)
    with deadline(3):
        assert side.call(server, made(side, clock)).status_code == 200
    assert server.timeouts[1].limit == 1


def test_one_try_may_get_less(side: Side, clock: FakeClock, waits: Waits) -> None:
    server = Server(HTTPTimeoutError("late"), 200)
    side.call(server, made(side, clock, attempt_timeout=1.5))
    assert [timeout.limit for timeout in server.timeouts] == [1.5, 1.5]


# ---------------------------------------------------------------------- budget


def test_retries_need_a_budget(side: Side, clock: FakeClock, waits: Waits) -> None:
    budget = RetryBudget(per_success=1, cap=10, floor=0)
    middleware = made(side, clock, budget=budget)
    assert side.call(Server(503, 200), middleware).status_code == 503
    side.call(Server(200), middleware)
    side.call(Server(404), middleware)
    with pytest.raises(HTTPError):
        side.call(Server(http_error(404)), middleware)
    assert budget.tokens == 3
    assert side.call(Server(503, 503, 200), middleware).status_code == 200
    assert (budget.tokens, budget.running) == (2, 0)


@pytest.mark.parametrize("result", [500, 503, HTTPTimeoutError("late"), CircuitOpenError("user")], ids=repr)
def test_failures_earn_nothing(side: Side, clock: FakeClock, waits: Waits, result: Any) -> None:
    budget = RetryBudget(per_success=1, floor=0)
    with contextlib.suppress(HTTPTimeoutError, CircuitOpenError):
        side.call(Server(result), made(side, clock, budget=budget))
    assert budget.tokens == 0


def test_each_client_has_its_own_budget_unless_one_is_given(side: Side) -> None:
    middleware = side.make(retry, "RetryMiddleware")
    assert middleware.budget_of("a") is middleware.budget_of("a")
    assert middleware.budget_of("a") is not middleware.budget_of("b")
    budget = RetryBudget()
    assert side.make(retry, "RetryMiddleware", budget=budget).budget_of("a") is budget


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()], ids=repr)
def test_a_retry_that_is_interrupted_is_no_longer_under_way(
    side: Side, clock: FakeClock, waits: Waits, error: BaseException
) -> None:
    budget = RetryBudget()
    with pytest.raises(type(error)):
        side.call(Server(503, error), made(side, clock, budget=budget))
    assert budget.running == 0
    waits.then = error
    with pytest.raises(type(error)):
        side.call(Server(503), made(side, clock, budget=budget))
    assert budget.running == 0


# ---------------------------------------------------------------------- circuit breakers


def test_each_try_is_a_call_for_a_circuit_breaker_further_in(
    side: Side, clock: FakeClock, waits: Waits
) -> None:
    breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(5), clock=clock)
    breaker = side.make(circuit_breaker, "CircuitBreakerMiddleware", breakers=breakers)
    side.call(Server(503, 503, 200), made(side, clock), breaker)
    snapshot = breakers["user"].snapshot()
    assert (snapshot.failed, snapshot.succeeded) == (2, 1)


def test_an_open_circuit_is_waited_for_if_that_is_not_long(
    side: Side, clock: FakeClock, waits: Waits
) -> None:
    breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(1, ttl=4), clock=clock)
    breaker = side.make(circuit_breaker, "CircuitBreakerMiddleware", breakers=breakers)
    server = Server(500, 200)
    side.call(server, breaker)
    with pytest.raises(CircuitOpenError):
        side.call(server, made(side, clock, max_wait=3), breaker)
    with pytest.raises(CircuitOpenError):
        side.call(server, made(side, clock), breaker, timeout=HTTPTimeout(2, 2))
    assert not waits.seconds
    assert side.call(server, made(side, clock), breaker, method="POST").status_code == 200
    assert waits.seconds == [4]


def test_a_circuit_that_stays_open_for_good_is_not_waited_for(
    side: Side, clock: FakeClock, waits: Waits
) -> None:
    with pytest.raises(CircuitOpenError):
        side.call(Server(CircuitOpenError("user", retry_after=None)), made(side, clock))
    assert not waits.seconds


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"max_wait": 0},
        {"attempt_timeout": 0},
        {"statuses": {200}},
        {"methods": "GET"},
    ],
)
def test_wrong_arguments_are_refused(side: Side, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        side.make(retry, "RetryMiddleware", **options)
