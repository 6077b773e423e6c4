"""Answers that need not be asked for again."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers, CircuitOpenError
from cqrs.exceptions import ConfigurationError
from cqrs.http.cache_memory import MemoryCache
from cqrs.http.errors import HTTPConnectionError, HTTPError, HTTPRequestError, HTTPTimeoutError
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.metrics import PrometheusMetrics
from cqrs.http.middleware import cache, circuit_breaker
from cqrs.testing import FakeClock
from tests.unit.http.middleware.sides import Server, Side


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_700_000_000)


@pytest.fixture(autouse=True)
def _wall(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ages go by the wall clock, here as in hishel."""
    monkeypatch.setattr(cache, "time", SimpleNamespace(time=clock, monotonic=clock))
    monkeypatch.setattr("hishel._core._spec.time", SimpleNamespace(time=clock))


def made(side: Side, clock: FakeClock, **options: Any) -> Any:
    return side.make(cache, "CacheMiddleware", clock=clock, **options)


def answer(control: str | None = "max-age=60", status: int = 200, body: bytes = b"1", **headers: str) -> Any:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if control is not None:
        given["Cache-Control"] = control
    return HTTPResponse(status, given, content=body)


def date(clock: FakeClock, ago: float = 0) -> str:
    return email.utils.formatdate(clock() - ago, usegmt=True)


def http_error(response: HTTPResponse) -> HTTPError:
    return HTTPError.of(HTTPRequest("GET", "http://user"), response)


def status_of(response: HTTPResponse) -> str | None:
    return response.headers.get("cache-status")


# ---------------------------------------------------------------------- hits


def test_a_fresh_answer_is_not_asked_for_again(side: Side, clock: FakeClock) -> None:
    server = Server(answer(content_type="text/plain", body=b"one"), answer(body=b"two"))
    middleware = made(side, clock)
    first = side.call(server, middleware)
    clock.advance(59)
    second = side.call(server, middleware)
    assert len(server.sent) == 1
    assert (status_of(first), status_of(second)) == (None, "holdfast; hit")
    assert (second.status_code, second.content, second.headers["content-type"]) == (200, b"one", "text/plain")
    assert second.headers["age"] == "59"
    clock.advance(1)
    assert side.call(server, middleware).content == b"two"


@pytest.mark.parametrize("age", ["9" * 5000, "9" * 12, "-1", "\u00b2", "soon"], ids=lambda age: age[:5])
@pytest.mark.parametrize(
    "control",
    [None, "max-age=" + "9" * 5000, "stale-if-error=" + "9" * 5000],
    ids=["heuristic", "max-age", "stale-if-error"],
)
def test_figures_that_are_none_or_too_large_do_no_harm(
    side: Side, clock: FakeClock, age: str, control: str | None
) -> None:
    server = Server(answer(control, age=age, expires="0"), answer(control, 503, age=age))
    middleware = made(side, clock, stale_if_error=5)
    assert side.call(server, middleware).status_code == 200
    clock.advance(1)
    assert side.call(server, middleware).status_code in (200, 503)


def test_a_body_that_was_given_as_json_is_kept(side: Side, clock: FakeClock) -> None:
    server = Server(HTTPResponse(200, {"cache-control": "max-age=60"}, json={"a": [1]}))
    middleware = made(side, clock)
    side.call(server, middleware).json["a"].append(2)
    side.call(server, middleware).json["a"].append(3)
    assert side.call(server, middleware).json == {"a": [1]}


def test_an_answer_without_a_date_grows_old_all_the_same(side: Side, clock: FakeClock) -> None:
    server = Server(answer("max-age=60"))
    middleware = made(side, clock)
    for _ in range(2):
        side.call(server, middleware)
        clock.advance(60)
    assert len(server.sent) == 2


@pytest.mark.parametrize("headers", [{"Age": "50"}, {"Date": "ago"}])
def test_time_spent_on_the_way_counts(side: Side, clock: FakeClock, headers: dict[str, str]) -> None:
    headers = {key: date(clock, 50) if value == "ago" else value for key, value in headers.items()}
    server = Server(answer("max-age=60", **headers))
    middleware = made(side, clock)
    side.call(server, middleware)
    clock.advance(9)
    assert side.call(server, middleware).headers["age"] == "59"
    clock.advance(1)
    side.call(server, middleware)
    assert len(server.sent) == 2


@pytest.mark.parametrize(
    ("control", "shared", "asked"),
    [
        ("max-age=60", True, 1),
        ("public, max-age=60", True, 1),
        ("no-store", True, 2),
        ("no-cache, max-age=60", True, 2),
        ("private, max-age=60", True, 2),
        ("private, max-age=60", False, 1),
        ("max-age=0", True, 2),
        ("s-maxage=60", True, 1),
        ("s-maxage=60, max-age=0", False, 2),
        (None, True, 2),
    ],
)
def test_the_server_decides_what_is_stored(
    side: Side, clock: FakeClock, control: str | None, shared: bool, asked: int
) -> None:
    server = Server(answer(control))
    middleware = made(side, clock, shared=shared)
    for _ in range(2):
        side.call(server, middleware)
    assert len(server.sent) == asked


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache-Control": "no-store"},
        {"Range": "bytes=0-1"},
        {"If-None-Match": '"x"'},
        {"If-Modified-Since": "Wed, 21 Oct 2015 07:28:00 GMT"},
    ],
)
def test_requests_with_a_will_of_their_own_pass_by(
    side: Side, clock: FakeClock, headers: dict[str, str]
) -> None:
    server = Server(answer())
    middleware = made(side, clock)
    for _ in range(2):
        side.call(server, middleware, headers=headers)
    assert len(server.sent) == 2
    assert len(middleware.storage) == 0


@pytest.mark.parametrize("control", ["no-cache", "max-age=0"])
def test_a_request_may_want_to_be_sure(side: Side, clock: FakeClock, control: str) -> None:
    server = Server(answer(etag='"a"'), HTTPResponse(304, {}))
    middleware = made(side, clock)
    side.call(server, middleware)
    response = side.call(server, middleware, headers={"Cache-Control": control})
    assert status_of(response) == "holdfast; hit; detail=revalidated"
    assert server.headers()["if-none-match"] == '"a"'


# ---------------------------------------------------------------------- what is the same request


def test_urls_methods_and_clients_are_kept_apart(side: Side, clock: FakeClock) -> None:
    server = Server(answer())
    middleware = made(side, clock)
    for call in (
        {},
        {"querystring": {"q": "1"}},
        {"querystring": {"q": "2"}},
        {"method": "HEAD"},
        {"client_name": "other"},
        {"path": "/v1/other/{name}"},
    ):
        side.call(server, middleware, **call)  # type: ignore[arg-type]
    assert len(server.sent) == 6


def test_vary_is_respected(side: Side, clock: FakeClock) -> None:
    server = Server(lambda request: answer(vary="Accept, X-Tenant", body=request.headers["Accept"].encode()))
    middleware = made(side, clock)
    for kind in ("a", "b", "a", "b"):
        assert side.call(server, middleware, headers={"Accept": kind, "X": kind}).content == kind.encode()
    assert len(server.sent) == 2
    side.call(server, middleware, headers={"Accept": "a", "X-Tenant": "t"})
    assert len(server.sent) == 3


def test_an_answer_that_varies_by_everything_is_never_used(side: Side, clock: FakeClock) -> None:
    server = Server(answer(vary="*"))
    middleware = made(side, clock)
    for _ in range(2):
        side.call(server, middleware)
    assert len(server.sent) == 2


@pytest.mark.parametrize(
    ("control", "shared", "asked"),
    [("max-age=60", True, 4), ("public, max-age=60", True, 1), ("max-age=60", False, 2)],
)
def test_answers_to_authorised_requests_are_shared_only_if_the_server_says_so(
    side: Side, clock: FakeClock, control: str, shared: bool, asked: int
) -> None:
    server = Server(answer(control))
    middleware = made(side, clock, shared=shared)
    for token in ("t1", "t2", "t1", "t2"):
        side.call(server, middleware, headers={"Authorization": SecretStr(f"Bearer {token}")})
    assert len(server.sent) == asked


def test_no_secrets_are_stored(side: Side, clock: FakeClock) -> None:
    server = Server(answer("public, max-age=60", set_cookie="s3cret", vary="accept"))
    middleware = made(side, clock)
    response = side.call(
        server,
        middleware,
        querystring={"q": SecretStr("s3cret")},
        headers={"Authorization": SecretStr("s3cret"), "X-Key": "s3cret"},
    )
    assert "set-cookie" in response.headers
    assert len(middleware.storage) == 1
    assert "s3cret" not in repr(middleware.storage._by_key)


# ---------------------------------------------------------------------- confirmation


@pytest.mark.parametrize("raised", [False, True])
def test_an_old_answer_is_confirmed(side: Side, clock: FakeClock, raised: bool) -> None:
    confirmed: Any = HTTPResponse(304, {"ETag": '"a"', "Cache-Control": "max-age=30"})
    server = Server(answer(etag='"a"', body=b"one"), http_error(confirmed) if raised else confirmed)
    middleware = made(side, clock)
    side.call(server, middleware)
    clock.advance(60)
    response = side.call(server, middleware)
    assert (response.status_code, response.content) == (200, b"one")
    assert status_of(response) == "holdfast; hit; detail=revalidated"
    assert server.headers()["if-none-match"] == '"a"'
    clock.advance(29)
    assert status_of(side.call(server, middleware)) == "holdfast; hit"
    assert len(server.sent) == 2


def test_an_old_answer_is_replaced(side: Side, clock: FakeClock) -> None:
    server = Server(answer(etag='"a"', body=b"one"), answer(etag='"b"', body=b"two"))
    middleware = made(side, clock)
    side.call(server, middleware)
    clock.advance(60)
    assert side.call(server, middleware).content == b"two"
    assert side.call(server, middleware).content == b"two"
    assert len(middleware.storage) == 1


def test_a_confirmation_of_something_else_leads_to_a_plain_request(side: Side, clock: FakeClock) -> None:
    server = Server(answer(etag='"a"'), HTTPResponse(304, {"ETag": '"z"'}), answer(body=b"two"))
    middleware = made(side, clock)
    side.call(server, middleware)
    clock.advance(60)
    assert side.call(server, middleware).content == b"two"
    assert "if-none-match" not in server.headers()
    assert len(server.sent) == 3


# ---------------------------------------------------------------------- changes


@pytest.mark.parametrize(("status", "asked"), [(204, 2), (400, 1), (500, 1)])
def test_a_change_removes_what_is_stored(side: Side, clock: FakeClock, status: int, asked: int) -> None:
    server = Server(answer(), status, answer())
    middleware = made(side, clock)
    side.call(server, middleware)
    side.call(server, middleware, method="PUT")
    side.call(server, middleware)
    assert len(server.sent) == 1 + asked


async def test_an_answer_that_a_change_has_overtaken_is_not_stored(clock: FakeClock) -> None:
    middleware = cache.AsyncCacheMiddleware(clock=clock)
    slow = Slow(middleware, answer(body=b"old"), answer(body=b"new"))
    change = middleware(Server(204).answer_async)
    reading = slow.call()
    await slow.asked.wait()
    await change(HTTPRequest("DELETE", "http://user:8000"), "user", "/", HTTPTimeout())
    slow.go_on.set()
    assert (await reading).content == b"old"
    assert [(await slow.call()).content for _ in range(2)] == [b"new", b"new"]
    assert slow.count == 2


# ---------------------------------------------------------------------- want of another answer


FAILURES: list[Any] = [503, http_error(HTTPResponse(502, {})), HTTPTimeoutError("late")]
FAILURES += [HTTPConnectionError("refused"), CircuitOpenError("user")]


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
def test_an_old_answer_is_better_than_none_if_the_server_says_so(
    side: Side, clock: FakeClock, failure: Any
) -> None:
    server = Server(answer("max-age=60, stale-if-error=30", body=b"one"), failure)
    middleware = made(side, clock)
    side.call(server, middleware)
    clock.advance(90)
    response = side.call(server, middleware)
    assert (response.status_code, response.content, response.headers["age"]) == (200, b"one", "90")
    assert status_of(response) == "holdfast; hit; detail=stale-if-error"
    clock.advance(1)
    if isinstance(failure, int):
        assert side.call(server, middleware).status_code == 503
    else:
        with pytest.raises(type(failure)) as caught:
            side.call(server, middleware)
        assert caught.value is failure


@pytest.mark.parametrize("control", ["max-age=60", None, "max-age=0"])
def test_or_if_we_say_so(side: Side, clock: FakeClock, control: str | None) -> None:
    server = Server(answer(control), 503)
    middleware = made(side, clock, stale_if_error=3600)
    side.call(server, middleware)
    clock.advance(3600)
    assert status_of(side.call(server, middleware)) == "holdfast; hit; detail=stale-if-error"
    clock.advance(61)
    assert side.call(server, middleware).status_code == 503


@pytest.mark.parametrize(
    "control",
    [
        "max-age=60, must-revalidate",
        "max-age=60, no-cache",
        "max-age=60, proxy-revalidate",
        "s-maxage=60",
        "max-age=60, stale-if-error=0",
    ],
)
def test_but_never_against_the_will_of_the_server(side: Side, clock: FakeClock, control: str) -> None:
    server = Server(answer(control), 503)
    middleware = made(side, clock, stale_if_error=3600)
    side.call(server, middleware)
    clock.advance(61)
    assert side.call(server, middleware).status_code == 503


@pytest.mark.parametrize("result", [404, ZeroDivisionError(), HTTPRequestError("bad")], ids=repr)
def test_an_answer_or_a_mistake_is_no_reason(side: Side, clock: FakeClock, result: Any) -> None:
    server = Server(answer(), result)
    middleware = made(side, clock, stale_if_error=3600)
    side.call(server, middleware)
    clock.advance(61)
    if isinstance(result, int):
        assert side.call(server, middleware).status_code == 404
    else:
        with pytest.raises(type(result)):
            side.call(server, middleware)


def test_a_stale_answer_of_another_variant_is_not_used(side: Side, clock: FakeClock) -> None:
    server = Server(answer(vary="accept"), 503)
    middleware = made(side, clock, stale_if_error=3600)
    side.call(server, middleware, headers={"Accept": "a"})
    clock.advance(61)
    assert side.call(server, middleware, headers={"Accept": "b"}).status_code == 503
    assert side.call(server, middleware, headers={"Accept": "a"}).status_code == 200


def test_a_hit_is_no_call_for_a_circuit_breaker_and_an_open_one_is_answered(
    side: Side, clock: FakeClock
) -> None:
    breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(1, ttl=1000), clock=clock)
    breaker = side.make(circuit_breaker, "CircuitBreakerMiddleware", breakers=breakers)
    server = Server(answer(), 503)
    middleware = made(side, clock, stale_if_error=3600)
    for _ in range(5):
        side.call(server, middleware, breaker)
    assert breakers["user"].snapshot().admitted == 1
    clock.advance(61)
    for _ in range(2):
        assert side.call(server, middleware, breaker).status_code == 200
    snapshot = breakers["user"].snapshot()
    assert (snapshot.failed, snapshot.rejected) == (1, 1)


# ---------------------------------------------------------------------- many at once


class Slow:
    """An asynchronous server that answers when it is told to."""

    def __init__(self, middleware: Any, *answers: Any) -> None:
        self.server = Server(*answers)
        self.count = 0
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()
        self.handle = middleware(self.answer)

    async def answer(self, *arguments: Any) -> HTTPResponse:
        self.count += 1
        self.asked.set()
        await self.go_on.wait()
        return self.server.answer(*arguments)

    def call(self, timeout: float = 30) -> asyncio.Task[HTTPResponse]:
        async def call() -> HTTPResponse:
            limit = HTTPTimeout(timeout, timeout, timeout)
            return await self.handle(HTTPRequest("GET", "http://user:8000"), "user", "/", limit)  # type: ignore[no-any-return]

        return asyncio.create_task(call())


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_calls_for_the_same_url_become_one(clock: FakeClock) -> None:
    slow = Slow(cache.AsyncCacheMiddleware(clock=clock), answer(body=b"one"))
    calls = [slow.call() for _ in range(30)]
    await turns()
    slow.go_on.set()
    assert {response.content for response in await asyncio.gather(*calls)} == {b"one"}
    assert slow.count == 1


async def test_what_cannot_be_shared_is_not_waited_for_twice(clock: FakeClock) -> None:
    slow = Slow(cache.AsyncCacheMiddleware(clock=clock), answer("no-store"))
    calls = [slow.call() for _ in range(5)]
    await turns()
    assert slow.count == 1
    slow.go_on.set()
    await asyncio.gather(*calls)
    assert slow.count == 5
    slow.go_on.clear()
    calls = [slow.call() for _ in range(5)]
    await turns()
    assert slow.count == 10
    slow.go_on.set()
    await asyncio.gather(*calls)


async def test_what_can_be_shared_again_is_waited_for_again(clock: FakeClock) -> None:
    answers = [answer("no-store"), answer(), answer()]
    slow = Slow(cache.AsyncCacheMiddleware(clock=clock), *answers)
    slow.go_on.set()
    for _ in range(2):
        await slow.call()
    clock.advance(60)
    slow.go_on.clear()
    calls = [slow.call() for _ in range(5)]
    await turns()
    slow.go_on.set()
    await asyncio.gather(*calls)
    assert slow.count == 3


def test_the_second_of_two_requests_has_the_time_that_is_left(side: Side, clock: FakeClock) -> None:
    server = Server(answer(etag='"a"'), HTTPResponse(304, {"ETag": '"z"'}), answer())
    middleware = made(side, clock)
    side.call(server, middleware)
    clock.advance(60)
    server.then = lambda _: clock.advance(3)
    side.call(server, middleware, timeout=HTTPTimeout(5, 5))
    assert [timeout.limit for timeout in server.timeouts[1:]] == [10, 7]


async def test_when_the_one_call_fails_the_others_go_by_themselves(clock: FakeClock) -> None:
    slow = Slow(cache.AsyncCacheMiddleware(clock=clock), HTTPTimeoutError("late"), answer())
    calls = [slow.call() for _ in range(3)]
    await turns()
    slow.go_on.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results[0], HTTPTimeoutError)
    assert [getattr(result, "status_code", None) for result in results[1:]] == [200, 200]


async def test_when_the_one_call_is_cancelled_another_takes_its_place(clock: FakeClock) -> None:
    middleware = cache.AsyncCacheMiddleware(clock=clock)
    slow = Slow(middleware, answer())
    calls = [slow.call() for _ in range(10)]
    await turns()
    calls[0].cancel()
    await turns()
    assert slow.count == 2
    slow.go_on.set()
    results = await asyncio.gather(*calls[1:])
    assert {response.status_code for response in results} == {200}
    assert slow.count == 2
    assert len(middleware._flights) == 0
    with contextlib.suppress(asyncio.CancelledError):
        await calls[0]


async def test_nobody_waits_longer_than_the_own_timeout() -> None:
    slow = Slow(cache.AsyncCacheMiddleware(), answer())
    first = slow.call()
    await slow.asked.wait()
    with pytest.raises(HTTPTimeoutError, match="same URL"):
        await slow.call(timeout=0.01)
    slow.go_on.set()
    assert (await first).status_code == 200


def test_threads_share_a_call_too(clock: FakeClock) -> None:
    middleware = cache.SyncCacheMiddleware(clock=clock)
    asked, go_on, server = threading.Event(), threading.Event(), Server(answer())

    def answering(*arguments: Any) -> HTTPResponse:
        asked.set()
        assert go_on.wait(60)
        return server.answer(*arguments)

    handle, results = middleware(answering), []

    def call() -> None:
        results.append(handle(HTTPRequest("GET", "http://user"), "user", "/", HTTPTimeout()))

    threads = [threading.Thread(target=call) for _ in range(10)]
    threads[0].start()
    assert asked.wait(60)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join()
    assert [response.status_code for response in results] == [200] * 10
    assert len(server.sent) == 1


# ---------------------------------------------------------------------- the rest


def test_outcomes_are_counted(side: Side, clock: FakeClock) -> None:
    registry = CollectorRegistry()
    server = Server(answer("max-age=60, stale-if-error=60", etag='"a"'), HTTPResponse(304, {}), 503)
    middleware = made(side, clock, metrics=PrometheusMetrics(registry=registry))
    made(side, clock, metrics=PrometheusMetrics(registry=registry))  # which shares them
    for advance in (0, 0, 0, 60, 61):
        clock.advance(advance)
        side.call(server, middleware)
    counts = {
        outcome: registry.get_sample_value(
            "holdfast_cache_requests_total", {"client_name": "user", "outcome": outcome}
        )
        for outcome in ("miss", "hit", "revalidated", "stale")
    }
    assert counts == {"miss": 1, "hit": 2, "revalidated": 1, "stale": 1}


def test_a_storage_may_be_given(side: Side, clock: FakeClock) -> None:
    storage = MemoryCache(max_entries=1)
    server = Server(answer())
    middleware = made(side, clock, storage=storage)
    for path in ("/a", "/b", "/b", "/a"):
        side.call(server, middleware, path=path)
    assert len(server.sent) == 3
    assert middleware.storage is storage


def test_wrong_arguments_are_refused(side: Side) -> None:
    with pytest.raises(ConfigurationError, match="stale_if_error"):
        side.make(cache, "CacheMiddleware", stale_if_error=-1)
