"""The circuit breaker as a middleware, in front of a scripted server."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from cqrs.circuit_breaker import (
    Backoff,
    CircuitBreakerPolicy,
    CircuitBreakers,
    CircuitOpenError,
    Outcome,
    State,
    Verdict,
)
from cqrs.exceptions import ConfigurationError
from cqrs.http import (
    AsyncCircuitBreakerMiddleware,
    HTTPConnectionError,
    HTTPError,
    HTTPRequest,
    HTTPResponse,
    HTTPResponseError,
    HTTPTimeoutError,
    OpenedState,
    SyncCircuitBreakerMiddleware,
)
from cqrs.testing import FakeClock, MemoryServer, MemoryStore
from tests.unit.http.support import Kit, Script, users

BOB = {"username": "bob"}


def outcomes(kit: Kit, client: Any, count: int) -> list[Any]:
    """Make calls; returns what became of each: a status, or the name of what was raised."""
    found: list[Any] = []
    for _ in range(count):
        try:
            result = kit.run(client.users.get(BOB))
        except Exception as error:
            found.append(type(error).__name__)
        else:
            found.append(result.response.status_code)
    return found


def timed(kit: Kit, *arguments: Any, **options: Any) -> tuple[FakeClock, Any]:
    """Return a clock and a middleware that goes by it."""
    clock = FakeClock()
    policy = options.pop("policy", None) or CircuitBreakerPolicy.consecutive(*arguments)
    return clock, kit.breaker(breakers=CircuitBreakers(policy, clock=clock), **options)


# ---------------------------------------------------------------------- what counts

COUNTS: list[Any] = [500, 502, 503, 599, HTTPTimeoutError("late"), HTTPConnectionError("refused")]
COUNTS += [TimeoutError("of a transport of one's own"), ConnectionResetError("likewise")]
NEUTRAL: list[Any] = [301, 304, 400, 401, 404, 408, 422, 429]
NEUTRAL += [HTTPResponseError("cut"), ZeroDivisionError("a bug of an inner middleware"), KeyError("another")]


@pytest.mark.parametrize("answer", COUNTS, ids=repr)
def test_failures_in_a_row_open_the_circuit(kit: Kit, answer: Any) -> None:
    script = Script(answer)
    breaker = kit.breaker(3)
    client = kit.client(script, breaker)
    assert outcomes(kit, client, 5)[3:] == ["CircuitOpenError"] * 2
    assert len(script.sent) == 3


@pytest.mark.parametrize("answer", NEUTRAL, ids=repr)
def test_what_says_nothing_of_the_server_is_neutral(kit: Kit, answer: Any) -> None:
    script = Script(503, 503, answer, 503, answer)
    breaker = kit.breaker(3)
    outcomes(kit, kit.client(script, breaker), 5)
    assert breaker.breakers["api"].state is State.OPEN, "it neither counts nor sets the count back"
    snapshot = breaker.breakers["api"].snapshot()
    assert (snapshot.failed, snapshot.ignored, snapshot.in_flight) == (3, 1, 0)
    assert len(script.sent) == 4


def test_errors_between_do_not_keep_a_circuit_closed(kit: Kit) -> None:
    script = Script(*[503, 503, 503, 503, 404] * 2)
    assert outcomes(kit, kit.client(script, kit.breaker(5)), 8)[-1] == "CircuitOpenError"


def test_a_success_sets_the_count_back(kit: Kit) -> None:
    script = Script(503, 503, 200, 503, 503, 204, 503, 503)
    assert "CircuitOpenError" not in outcomes(kit, kit.client(script, kit.breaker(3)), 8)


def test_excluded_answers_may_be_taken_for_successes(kit: Kit) -> None:
    script = Script(503, 503, 404, 503, 503, 301, 503, 503)
    assert "CircuitOpenError" not in outcomes(
        kit, kit.client(script, kit.breaker(3, excluded_as="success")), 8
    )
    script = Script(503, 503, 429, 503)
    breaker = kit.breaker(3, excluded_as="success")
    outcomes(kit, kit.client(script, breaker), 4)
    assert breaker.breakers["api"].state is State.OPEN, "429 is neutral all the same"


def test_other_statuses_can_be_made_to_count(kit: Kit) -> None:
    breaker = kit.breaker(2, count={408, 429})
    outcomes(kit, kit.client(Script(429, 408), breaker), 2)
    assert breaker.breakers["api"].state is State.OPEN


def test_retry_after_of_a_status_that_was_named_opens_at_once_for_that_long(kit: Kit) -> None:
    policy = CircuitBreakerPolicy.consecutive(5, wait_duration_in_open=Backoff(1, 2, 60, 0))
    clock, breaker = timed(kit, policy=policy, count=(429,))
    script = Script(HTTPResponse(429, {"Retry-After": "20"}), 200)
    client = kit.client(script, breaker)
    assert outcomes(kit, client, 2) == [429, "CircuitOpenError"]
    clock.advance(19.9)
    assert outcomes(kit, client, 1) == ["CircuitOpenError"]
    clock.advance(0.2)
    assert outcomes(kit, client, 1) == [200]


@pytest.mark.parametrize("said", ["0", "Mon, 01 Jan 2024 00:00:00 GMT"])
def test_a_retry_after_of_now_does_not_open_at_once(kit: Kit, said: str) -> None:
    breaker = kit.breaker(3, count={429})
    client = kit.client(Script(HTTPResponse(429, {"Retry-After": said})), breaker)
    assert outcomes(kit, client, 4) == [429, 429, 429, "CircuitOpenError"]


@pytest.mark.parametrize(
    "said",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2020 00:00:00 +99999999999999999999",
        "Mon, 01 Jan 2020 99:99:99 GMT",
        "-5",
        "9" * 5000,
        "",
    ],
    ids=lambda said: said[:30],
)
def test_a_retry_after_that_cannot_be_read_is_none(kit: Kit, said: str) -> None:
    clock, breaker = timed(kit, 1, 30.0, count={503})
    script = Script(HTTPResponse(503, {"Retry-After": said}))
    client = kit.client(script, breaker)
    assert outcomes(kit, client, 2) == [503, "CircuitOpenError"]
    clock.advance(31)
    assert outcomes(kit, client, 1) == [503], "a probe"
    assert breaker.breakers["api"].state is State.OPEN
    clock.advance(31)
    script.answers = [200]
    assert outcomes(kit, client, 2) == [200, 200]


def test_a_probe_that_brings_no_answer_gives_its_permit_back(kit: Kit) -> None:
    clock, breaker = timed(kit, 1, 30.0)
    script = Script(503, lambda request: object(), 200)
    client = kit.client(script, breaker)
    assert outcomes(kit, client, 1) == [503]
    clock.advance(31)
    assert outcomes(kit, client, 2) == ["AttributeError", 200]
    assert breaker.breakers["api"].state is State.CLOSED


def test_retry_after_alone_opens_nothing(kit: Kit) -> None:
    busy = HTTPResponse(503, {"Retry-After": "20"})
    assert outcomes(kit, kit.client(Script(busy, busy, 200), kit.breaker(3)), 3) == [503, 503, 200]


def test_errors_of_http_that_a_middleware_raises_count_by_their_status(kit: Kit) -> None:
    def raising(status: int) -> Any:
        return lambda request: HTTPError("no", request, HTTPResponse(status))

    breaker = kit.breaker(2)
    outcomes(kit, kit.client(Script(raising(404), raising(500), raising(404), raising(500)), breaker), 4)
    assert breaker.breakers["api"].state is State.OPEN
    snapshot = breaker.breakers["api"].snapshot()
    assert (snapshot.failed, snapshot.ignored) == (2, 2)


def test_a_call_that_is_cancelled_is_neutral() -> None:
    async def hang(request: HTTPRequest, *rest: Any) -> HTTPResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async def cancelled() -> None:
        breaker = AsyncCircuitBreakerMiddleware(1)
        handle = breaker(hang)
        for _ in range(5):
            task = asyncio.create_task(handle(HTTPRequest("GET", "http://a"), "api", "/", None))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        snapshot = breaker.breakers["api"].snapshot()
        assert (snapshot.state, snapshot.cancelled, snapshot.in_flight) == (State.CLOSED, 5, 0)

    asyncio.run(cancelled())


# ---------------------------------------------------------------------- open and half-open


def test_an_open_circuit_answers_for_the_server(kit: Kit) -> None:
    clock, breaker = timed(kit, 2, 30.0)
    script = Script(503)
    client = kit.client(script, breaker)
    outcomes(kit, client, 2)
    errors: list[CircuitOpenError] = []
    for _ in range(2):
        with pytest.raises(OpenedState) as raised:
            kit.run(client.users.get(BOB))
        errors.append(raised.value)
    clock.advance(10)
    with pytest.raises(CircuitOpenError) as raised:
        kit.run(client.users.get(BOB))
    assert errors[0] is not errors[1]
    assert [errors[0].retry_after, raised.value.retry_after] == pytest.approx([30.0, 20.0])
    assert errors[0].name == "api"
    assert errors[0].last_failure == "HTTPStatus: 503"
    assert len(script.sent) == 2


@pytest.mark.parametrize(
    ("answer", "state"), [(200, State.CLOSED), (503, State.OPEN), (404, State.HALF_OPEN)]
)
def test_one_probe_decides_unless_it_says_nothing(kit: Kit, answer: int, state: State) -> None:
    clock, breaker = timed(kit, 1, 30.0)
    client = kit.client(Script(503, answer), breaker)
    outcomes(kit, client, 1)
    clock.advance(30.1)
    outcomes(kit, client, 1)
    assert breaker.breakers["api"].state is state
    assert breaker.breakers["api"].snapshot().in_flight == 0


def test_exactly_one_probe_of_many_callers() -> None:
    clock = FakeClock()
    breaker = AsyncCircuitBreakerMiddleware(
        breakers=CircuitBreakers(CircuitBreakerPolicy.consecutive(1, 30.0), clock=clock)
    )

    async def many() -> list[Any]:
        answer, reached = asyncio.Event(), 0

        async def transport(request: HTTPRequest, *rest: Any) -> HTTPResponse:
            nonlocal reached
            reached += 1
            if reached == 1:
                return HTTPResponse(503)
            await answer.wait()
            return HTTPResponse(200)

        handle = breaker(transport)
        request: tuple[Any, ...] = (HTTPRequest("GET", "http://a"), "api", "/", None)
        await handle(*request)
        clock.advance(31)
        calls = [asyncio.ensure_future(handle(*request)) for _ in range(100)]
        for _ in range(3):  # all have been rejected by then, but one
            await asyncio.sleep(0)
        answer.set()
        found = await asyncio.gather(*calls, return_exceptions=True)
        return [reached, sum(isinstance(each, CircuitOpenError) for each in found)]

    assert asyncio.run(many()) == [2, 99]
    assert breaker.breakers["api"].state is State.CLOSED


def test_a_probe_has_no_more_time_than_the_policy_grants(kit: Kit) -> None:
    clock, breaker = timed(kit, policy=CircuitBreakerPolicy.consecutive(1, 30.0, probe_timeout=0.5))
    script = Script(503, 200)
    client = kit.client(script, breaker)
    outcomes(kit, client, 1)
    clock.advance(31)
    outcomes(kit, client, 1)
    assert [timeout.limit for timeout in script.timeouts] == [45.0, 0.5]


# ---------------------------------------------------------------------- keys, policies, registries


def test_each_client_has_a_circuit_of_its_own(kit: Kit) -> None:
    breaker = kit.breaker(1)
    script = Script(503, 200)
    first = kit.client(script, breaker)
    second = kit.client(script, breaker, name="other", registry=users("other"))
    outcomes(kit, first, 1)
    assert outcomes(kit, second, 1) == [200]
    assert {name: breaker.breakers[name].state for name in breaker.breakers} == {
        "api": State.OPEN,
        "other": State.CLOSED,
    }


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("endpoint", "api http://user:8000/v1"),
        ("route", "api GET /users/{username}"),
        (lambda request, client, path: f"{client} of {request.path['username']}", "api of bob"),
    ],
)
def test_circuits_by_another_key(kit: Kit, key: Any, name: str) -> None:
    breaker = kit.breaker(1, key=key)
    client = kit.client(Script(503, 200), breaker)
    assert outcomes(kit, client, 2) == [503, "CircuitOpenError"]
    assert list(breaker.breakers) == [name]


def test_the_rules_of_a_policy_come_first(kit: Kit) -> None:
    seen: list[Outcome] = []

    def classify(outcome: Outcome) -> Verdict | None:
        seen.append(outcome)
        if outcome.exception is not None or outcome.result.status_code == 500:
            return Verdict.IGNORED
        return Verdict.FAILURE if outcome.result.status_code == 404 else None

    breaker = kit.breaker(policy=CircuitBreakerPolicy.consecutive(2, classify=classify))
    script = Script(500, HTTPTimeoutError("late"), 404, 503, 200)
    assert outcomes(kit, kit.client(script, breaker), 5) == [
        500,
        "HTTPTimeoutError",
        404,
        503,
        "CircuitOpenError",
    ]
    assert [each.result.status_code if each.result else None for each in seen] == [500, None, 404, 503]


def test_exceptions_that_a_policy_records_or_ignores(kit: Kit) -> None:
    breaker = kit.breaker(policy=CircuitBreakerPolicy.consecutive(1, ignore=HTTPTimeoutError))
    assert (
        outcomes(kit, kit.client(Script(HTTPTimeoutError("late"), 503, 200), breaker), 3)[2]
        == "CircuitOpenError"
    )
    breaker = kit.breaker(policy=CircuitBreakerPolicy.consecutive(1, record=ZeroDivisionError))
    script = Script(HTTPTimeoutError("late"), ZeroDivisionError("x"), 200)
    assert outcomes(kit, kit.client(script, breaker), 3)[2] == "CircuitOpenError"


def test_a_window_policy_works_as_well(kit: Kit) -> None:
    policy = CircuitBreakerPolicy(minimum_number_of_calls=4, slow_call_duration_threshold=5.0)
    clock, breaker = timed(kit, policy=policy)

    def answer(request: HTTPRequest) -> HTTPResponse:
        clock.advance(6)
        return HTTPResponse(200, {}, json=BOB)

    assert outcomes(kit, kit.client(Script(answer), breaker), 5) == [200] * 4 + ["CircuitOpenError"]


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 0},
        {"ttl": 0},
        {"key": "tenant"},
        {"key": 3},
        {"count": {200}},
        {"count": {"429"}},
        {"excluded_as": "failure"},
        {"breakers": CircuitBreakers(), "policy": CircuitBreakerPolicy()},
        {"breakers": "all"},
        {"listeners": ["print"]},
        {"listeners": print},
        {"listeners": [asyncio.sleep]},
        {"metrics": 5},
        {"count": 429},
        {"uow": "redis://localhost"},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(kit: Kit, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        kit.breaker(**options)


# ---------------------------------------------------------------------- listeners and stores


def test_listeners_are_told_and_cannot_harm(kit: Kit) -> None:
    told: list[tuple[str, str]] = []

    def listen(name: str, what: str, event: Any) -> None:
        assert event.name == name
        told.append((name, what))

    def broken(name: str, what: str, event: Any) -> None:
        raise RuntimeError("a bug")

    clock = FakeClock()
    breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(2, 30.0), clock=clock)
    breaker = kit.breaker(listeners=[broken, listen], breakers=breakers)
    client = kit.client(Script(503, 503, 200), breaker)
    assert told == [("api", "circuit_breaker_created")], "from the moment the client exists"
    assert outcomes(kit, client, 3) == [503, 503, "CircuitOpenError"]
    clock.advance(31)
    assert outcomes(kit, client, 1) == [200]
    assert breakers.flush_listeners()
    assert [what for _, what in told] == [
        "circuit_breaker_created",
        "failed",
        "state_changed",
        "failed",
        "rejected",
        "state_changed",
        "state_changed",
        "recovered",
    ]


def test_a_circuit_that_was_dropped_is_told_of_again_when_it_is_made_anew(kit: Kit) -> None:
    told: list[str] = []

    def listen(name: str, what: str, event: Any) -> None:
        if what == "circuit_breaker_created":
            told.append(name)

    clock = FakeClock()
    breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(2, 30.0), clock=clock, idle_ttl=60)
    breaker = kit.breaker(
        listeners=[listen], breakers=breakers, key=lambda request, *_: request.path["username"]
    )
    client = kit.client(Script(200), breaker)
    for name in ("a", "b", "a"):
        kit.run(client.users.get({"username": name}))
    assert told == ["a", "b"]
    for _ in range(3):
        clock.advance(61)
        breakers.sweep()
    assert list(breakers) == []
    kit.run(client.users.get({"username": "a"}))
    assert told == ["a", "b", "a"]


def test_asynchronous_and_synchronous_clients_share_a_circuit() -> None:
    server = MemoryServer()
    kits = [Kit("async"), Kit("sync")]
    breakers = [kit.breaker(1, uow=MemoryStore(server)) for kit in kits]
    clients = [kit.client(Script(503), breaker) for kit, breaker in zip(kits, breakers, strict=True)]
    try:
        for kit, breaker in zip(kits, breakers, strict=True):
            kit.run(breaker.initialize())
        assert outcomes(kits[0], clients[0], 1) == [503]
        opened = threading.Event()
        breakers[1].breakers.add_listener(lambda _: opened.set())
        if breakers[1].breakers["api"].state is not State.OPEN:
            assert opened.wait(20)
        with pytest.raises(CircuitOpenError) as raised:
            kits[1].run(clients[1].users.get(BOB))
        assert raised.value.source == "fleet"
    finally:
        for breaker in breakers:
            breaker.breakers.close()


def test_both_are_documented() -> None:
    assert "threshold" in str(AsyncCircuitBreakerMiddleware.__doc__)
    assert AsyncCircuitBreakerMiddleware.__doc__ == SyncCircuitBreakerMiddleware.__doc__
