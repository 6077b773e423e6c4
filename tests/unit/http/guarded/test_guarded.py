"""The circuit breaker on plain HTTP clients: one table for all libraries."""

from __future__ import annotations

import asyncio
import gc
import pickle
from typing import Any

import aiohttp
import httpx2
import pytest

from cqrs.circuit_breaker import (
    CallFailed,
    CircuitBreakerPolicy,
    CircuitBreakers,
    CircuitOpenError,
    Mode,
    Outcome,
    State,
    Verdict,
)
from cqrs.exceptions import ConfigurationError, PolicyError
from cqrs.http.guarded.aiohttp import CircuitBreakerMiddleware
from cqrs.http.guarded.httpx import AsyncCircuitBreakerTransport, SyncCircuitBreakerTransport
from cqrs.http.guarded.requests import CircuitBreakerAdapter
from tests.unit.http.guarded.rigs import DEFAULT_URL, RIGS, Rig

HOST = "user:8000"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest) -> Rig:
    return RIGS[request.param]()


def figures(guard: Any, name: str = HOST) -> Any:
    return guard.breakers[name].snapshot()


def fail(rig: Rig, times: int, status: int = 503) -> None:
    rig.answers = [status] * times
    for _ in range(times):
        assert rig.call() == status


def test_opens_after_failures_in_a_row_and_recovers(rig: Rig) -> None:
    clock = Clock()
    breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=3, ttl=30), clock=clock)
    guard = rig.make(breakers)
    fail(rig, 3)
    sent = len(rig.sent)
    with pytest.raises(CircuitOpenError):
        rig.call()
    assert len(rig.sent) == sent
    assert guard.breakers[HOST].state is State.OPEN
    clock.now = 31
    assert rig.call() == 200
    assert guard.breakers[HOST].state is State.CLOSED


def test_default_threshold_is_five(rig: Rig) -> None:
    guard = rig.make()
    fail(rig, 4)
    assert guard.breakers[HOST].state is State.CLOSED
    fail(rig, 1)
    assert guard.breakers[HOST].state is State.OPEN


def test_a_rejection_is_an_error_of_the_client_as_well(rig: Rig) -> None:
    rig.make(threshold=1, ttl=30)
    fail(rig, 1)
    caught = []
    for _ in range(2):
        with pytest.raises(rig.never_completed) as raised:
            rig.call()
        caught.append(raised.value)
    first: Any = caught[0]
    assert first is not caught[1]
    assert isinstance(first, CircuitOpenError)
    assert first.name == HOST
    assert first.state == "open"
    assert 0 < (first.retry_after or 0) <= 30
    assert f"circuit {HOST!r} is open" in str(first)
    copy = pickle.loads(pickle.dumps(first))
    assert type(copy) is type(first)
    assert copy.args == first.args
    assert (copy.name, copy.retry_after) == (first.name, first.retry_after)


@pytest.mark.parametrize("status", [302, 404, 408, 429])
def test_neutral_statuses_neither_count_nor_set_the_count_back(rig: Rig, status: int) -> None:
    if status == 302:
        rig.headers = {}  # no Location: clients do not follow
    guard = rig.make()
    fail(rig, 4)
    fail(rig, 1, status)
    assert guard.breakers[HOST].state is State.CLOSED
    fail(rig, 1)
    assert guard.breakers[HOST].state is State.OPEN


def test_excluded_statuses_can_be_successes(rig: Rig) -> None:
    guard = rig.make(excluded_as="success")
    fail(rig, 4)
    fail(rig, 1, 404)
    fail(rig, 4)
    assert guard.breakers[HOST].state is State.CLOSED


def test_a_neutral_status_closes_no_half_open_circuit(rig: Rig) -> None:
    clock = Clock()
    guard = rig.make(CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=1, ttl=10), clock=clock))
    fail(rig, 1)
    clock.now = 11
    fail(rig, 1, 404)
    assert guard.breakers[HOST].state is State.HALF_OPEN
    assert rig.call() == 200
    assert guard.breakers[HOST].state is State.CLOSED


def test_429_can_count_and_its_retry_after_is_kept(rig: Rig) -> None:
    clock = Clock()
    policy = CircuitBreakerPolicy.consecutive(threshold=5, ttl=30)
    guard = rig.make(CircuitBreakers(policy, clock=clock), count={429})
    rig.headers = {"Retry-After": "30"}
    fail(rig, 1, 429)
    assert guard.breakers[HOST].state is State.OPEN


@pytest.mark.parametrize("kind", ["timeout", "connection"])
def test_no_answer_is_a_failure_and_crosses_unchanged(rig: Rig, kind: str) -> None:
    guard = rig.make(threshold=1)
    error = getattr(rig, kind)()
    rig.answers = [error]
    with pytest.raises(type(error)) as caught:
        rig.call()
    assert caught.value is error
    assert guard.breakers[HOST].state is State.OPEN


@pytest.mark.parametrize("error", [TypeError("a bug"), KeyError("a bug"), asyncio.CancelledError()])
def test_bugs_and_cancellation_do_not_count(rig: Rig, error: BaseException) -> None:
    guard = rig.make(threshold=1)
    rig.answers = [error]
    with pytest.raises(type(error)):
        rig.call()
    assert guard.breakers[HOST].state is State.CLOSED
    assert figures(guard).in_flight == 0


@pytest.mark.parametrize("name", [name for name in RIGS if name.startswith("httpx")])
def test_a_pool_of_our_own_that_is_used_up_is_no_failure(name: str) -> None:
    """The other two libraries do not tell it apart."""
    rig: Any = RIGS[name]()
    guard = rig.make(threshold=1)
    rig.answers = [rig.pool()]
    with pytest.raises(Exception, match="used up"):
        rig.call()
    assert guard.breakers[HOST].state is State.CLOSED
    assert figures(guard).in_flight == 0


def test_each_host_and_port_has_a_circuit(rig: Rig) -> None:
    guard = rig.make(threshold=1)
    for url in ("http://a/x", "http://a:80/y", "http://a:81/x", "https://a/x", "http://b/x", "http://a/z"):
        rig.call(url)
    assert sorted(guard.breakers) == ["a", "a:81", "b"]
    rig.answers = [500]
    rig.call("http://b/x")
    assert rig.call("http://a/x") == 200
    with pytest.raises(CircuitOpenError):
        rig.call("http://b/other")


def test_one_circuit_for_the_client(rig: Rig) -> None:
    guard = rig.make(threshold=1, key="client", name="payments")
    rig.answers = [500]
    rig.call("http://a/x")
    with pytest.raises(CircuitOpenError) as caught:
        rig.call("http://b/x")
    assert caught.value.name == "payments"
    assert list(guard.breakers) == ["payments"]


def test_circuits_by_a_function_of_the_request(rig: Rig) -> None:
    guard = rig.make(key=lambda request: str(request.url).rpartition("/")[2])
    rig.call("http://a/one")
    rig.call("http://b/two")
    assert sorted(guard.breakers) == ["one", "two"]


@pytest.mark.parametrize(
    "options",
    [
        {"key": "tenant"},
        {"key": "client"},
        {"name": "x"},
        {"threshold": 0},
        {"count": {200}},
        {"breakers": 5},
    ],
)
def test_wrong_arguments_are_refused(rig: Rig, options: dict[str, Any]) -> None:
    with pytest.raises((ConfigurationError, PolicyError)):
        rig.make(**options)


@pytest.mark.parametrize(
    "kind", [AsyncCircuitBreakerTransport, SyncCircuitBreakerTransport, CircuitBreakerAdapter]
)
def test_what_cannot_send_is_refused(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="needs a"):
        kind(object())


def test_policies_see_the_response(rig: Rig) -> None:
    seen: list[Any] = []

    def classify(outcome: Outcome) -> Verdict | None:
        seen.append(outcome.result)
        return Verdict.FAILURE if len(seen) == 2 else None

    guard = rig.make(CircuitBreakerPolicy.consecutive(1, 30, classify=classify))
    rig.call()
    assert guard.breakers[HOST].state is State.CLOSED
    rig.call()
    assert guard.breakers[HOST].state is State.OPEN
    assert all(hasattr(response, "headers") for response in seen)


# ---------------------------------------------------------------------- bodies that are still to come


def test_a_stream_holds_its_permit_until_its_end(rig: Rig) -> None:
    guard = rig.make()
    response = rig.open()
    assert figures(guard).in_flight == 1
    assert rig.read(response) == b"onetwo"
    assert figures(guard).in_flight == 0
    rig.close(response)
    assert figures(guard).in_flight == 0
    assert figures(guard).succeeded == 1


def test_a_stream_that_breaks_is_a_failure(rig: Rig) -> None:
    guard = rig.make(threshold=1)
    rig.chunks = [b"one", rig.connection()]
    response = rig.open()
    with pytest.raises(type(rig.chunks[1])):  # type: ignore[arg-type]
        rig.read(response)
    assert guard.breakers[HOST].state is State.OPEN


def test_a_stream_closed_early_is_a_success(rig: Rig) -> None:
    guard = rig.make()
    rig.close(rig.open())
    assert figures(guard).in_flight == 0
    assert figures(guard).succeeded == 1


def test_a_forgotten_stream_leaves_no_permit_behind(rig: Rig) -> None:
    guard = rig.make()
    response = rig.open()
    assert figures(guard).in_flight == 1
    del response
    gc.collect()
    assert figures(guard).in_flight == 0


@pytest.mark.parametrize("status", [503, 404])
def test_a_stream_with_an_error_status_settles_at_once(rig: Rig, status: int) -> None:
    guard = rig.make(threshold=1)
    rig.answers = [status]
    response = rig.open()
    assert figures(guard).in_flight == 0
    assert guard.breakers[HOST].state is (State.OPEN if status == 503 else State.CLOSED)
    rig.close(response)


def test_a_probe_that_streams_closes_the_circuit_at_its_end(rig: Rig) -> None:
    clock = Clock()
    guard = rig.make(CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=1, ttl=10), clock=clock))
    fail(rig, 1)
    clock.now = 11
    response = rig.open()
    assert guard.breakers[HOST].state is State.HALF_OPEN
    with pytest.raises(CircuitOpenError):
        rig.call()
    rig.read(response)
    assert guard.breakers[HOST].state is State.CLOSED


@pytest.mark.parametrize("name", [name for name in RIGS if name != "aiohttp"])
def test_a_probe_gets_no_more_time_than_the_policy_grants(name: str) -> None:
    rig = RIGS[name]()
    clock = Clock()
    policy = CircuitBreakerPolicy.consecutive(threshold=1, ttl=10, probe_timeout=2)
    rig.make(CircuitBreakers(policy, clock=clock))
    fail(rig, 1)
    clock.now = 11
    rig.call()
    given = rig.limits[-1]
    assert set(given.values() if isinstance(given, dict) else given) == {2}


async def test_a_probe_of_aiohttp_that_hangs_is_ended() -> None:
    clock = Clock()
    policy = CircuitBreakerPolicy.consecutive(threshold=1, ttl=10, probe_timeout=0.05)
    guard = CircuitBreakerMiddleware(CircuitBreakers(policy, clock=clock), key="client", name="c")
    hanging: Any = lambda request: asyncio.Event().wait()  # noqa: E731
    guard.breakers["c"].acquire().failure()
    clock.now = 11
    with pytest.raises(aiohttp.SocketTimeoutError, match=r"within 0\.05 s"):
        await guard(None, hanging)  # type: ignore[arg-type]
    assert guard.breakers["c"].state is State.OPEN


def test_forced_open_rejects_with_the_reason(rig: Rig) -> None:
    guard = rig.make()
    guard.breakers[HOST].override(Mode.FORCED_OPEN, reason="maintenance")
    with pytest.raises(rig.never_completed, match="maintenance"):
        rig.call()


def test_listeners_learn_the_status_of_a_failure(rig: Rig) -> None:
    told: list[Any] = []
    guard = rig.make(threshold=3)
    guard.breakers.add_listener(told.append, inline=True)
    fail(rig, 1)
    [event] = [each for each in told if isinstance(each, CallFailed)]
    assert "503" in str(event)


def test_the_client_closes_the_inner_transport() -> None:
    closed: list[str] = []

    class Inner(httpx2.BaseTransport):
        def close(self) -> None:
            closed.append("inner")

    with httpx2.Client(transport=SyncCircuitBreakerTransport(Inner())):
        pass
    assert closed == ["inner"]


class Slow(list[Any]):
    """Chunks that take their time."""

    def __init__(self, clock: Clock) -> None:
        super().__init__([b"one"])
        self.clock = clock

    def __iter__(self) -> Any:
        self.clock.now += 100
        return super().__iter__()


@pytest.mark.parametrize("streamed", [True, False])
def test_a_long_body_does_not_make_a_call_slow(rig: Rig, streamed: bool) -> None:
    clock = Clock()
    policy = CircuitBreakerPolicy(slow_call_duration_threshold=1)
    guard = rig.make(CircuitBreakers(policy, clock=clock))
    rig.chunks = Slow(clock)
    if streamed:
        response = rig.open()
        clock.now += 100
        rig.read(response)
    else:
        rig.call()
    figures_ = figures(guard)
    assert (figures_.succeeded, figures_.slow) == (1, 0)


def test_policies_see_a_streamed_response_before_its_body(rig: Rig) -> None:
    def classify(outcome: Outcome) -> Verdict:
        return Verdict.FAILURE

    guard = rig.make(CircuitBreakerPolicy.consecutive(1, 30, classify=classify))
    response = rig.open()
    assert guard.breakers[HOST].state is State.OPEN
    rig.close(response)


def test_a_rejection_knows_its_request_as_other_errors_of_httpx_do() -> None:
    guard = SyncCircuitBreakerTransport(
        httpx2.MockTransport(lambda request: httpx2.Response(503)), threshold=1
    )
    request = httpx2.Request("GET", DEFAULT_URL)
    with httpx2.Client(transport=guard) as client:
        client.send(request)
        with pytest.raises(httpx2.ConnectError) as caught:
            client.send(request)
        assert caught.value.request is request
    with pytest.raises(httpx2.ConnectError) as caught:
        guard.handle_request(request)
    with pytest.raises(RuntimeError):  # as theirs, where no client has told it
        assert caught.value.request
