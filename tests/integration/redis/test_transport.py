"""Requests, ticks and the end of a transport, against a real server."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest

from cqrs.circuit_breaker.errors import StoreUnavailableError
from cqrs.circuit_breaker.redis import script
from tests.integration.redis.support import REPORT, RULES
from tests.integration.redis.transports import FakeTicker, Link, link, operation, request


def test_a_request_is_answered(redis_url: str) -> None:
    with link(redis_url) as store:
        reply = store.ask(operation("view"))
        assert reply["live"] == 1
        assert reply["results"][0]["view"]["st"] == "closed"
        assert store.ticker.connections == 1


def test_requests_of_many_threads_are_all_answered(redis_url: str) -> None:
    with link(redis_url, shards=4) as store:
        answers: list[Future[dict[str, Any]]] = []
        lock = threading.Lock()

        def ask(shard: int) -> None:
            for _ in range(25):
                answer = store.submit(request(operation("view")), shard=shard)
                with lock:
                    answers.append(answer)

        threads = [threading.Thread(target=ask, args=(number % 4,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len([answer.result(20)["inc"] for answer in answers]) == 200
        assert len({answer.result()["inc"] for answer in answers}) == 4
        assert store.ticker.connections <= 8


def test_nothing_ticks_before_the_first_wake_and_waking_is_coalesced(redis_url: str) -> None:
    with link(redis_url) as store:
        ticker = store.ticker
        store.ask()
        assert ticker.ticks == 0
        hold = threading.Event()
        ticker.at_tick = lambda: hold.wait(10)
        store.transport.wake()
        ticker.at_tick = hold.wait
        for _ in range(1000):
            store.transport.wake()
        hold.set()
        ticker.wait(lambda: ticker.ticks >= 1)
        store.ask()  # whatever was called before this has run
        assert ticker.ticks <= 2


def test_ticks_come_when_they_are_due(redis_url: str) -> None:
    with link(redis_url) as store:
        store.ticker.pauses = iter([0.01, 0.0, 0.01])
        store.transport.wake()
        store.ticker.wait(lambda: store.ticker.ticks == 4)
        assert store.ticker.threads == {f"holdfast-{store.settings.namespace}"}


def test_a_request_may_be_made_by_a_tick(redis_url: str) -> None:
    with link(redis_url) as store:
        answers: list[Future[dict[str, Any]]] = []
        store.ticker.at_tick = lambda: answers.append(store.submit(request()))
        store.transport.wake()
        store.ticker.wait(lambda: store.ticker.ticks == 1)
        assert answers[0].result(20)["live"] == 1


def test_a_ticker_that_fails_is_called_again(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(FakeTicker):
        def tick(self) -> float:
            super().tick()
            raise RuntimeError("a bug")

    store = Link(redis_url, sync_interval=0.01)
    store.ticker = store.transport._ticker = Failing()  # type: ignore[assignment]
    try:
        store.transport.wake()
        store.ticker.wait(lambda: store.ticker.ticks >= 3)
    finally:
        store.transport.close(10)
    assert "a bug" in caplog.text


def test_waking_and_submitting_from_a_finaliser_and_a_signal_handler(redis_url: str) -> None:
    class Finalised:
        def __init__(self, store: Link, answers: list[Future[dict[str, Any]]]) -> None:
            self.me = self
            self.call = lambda: (store.transport.wake(), answers.append(store.submit(request())))

        def __del__(self) -> None:
            self.call()

    with link(redis_url) as store:
        answers: list[Future[dict[str, Any]]] = []
        for _ in range(50):
            Finalised(store, answers)
        gc.collect()
        before = signal.signal(signal.SIGUSR1, lambda *_: answers.append(store.submit(request())))
        try:
            for _ in range(50):
                signal.raise_signal(signal.SIGUSR1)
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert len([answer.result(20) for answer in answers]) == 100
        store.ticker.wait(lambda: store.ticker.ticks >= 1)


def test_the_script_is_sent_again_after_a_flush(redis_server: Any) -> None:
    with link(redis_server.url) as store:
        store.ask()
        redis_server.admin.script_flush()
        with redis_server.commands() as commands:
            assert store.ask()["seq"] == 0
            assert store.ask()["seq"] == 0
            assert commands.names() == {"evalsha": 2, "eval": 1}
        assert redis_server.admin.script_exists(script.sha1()) == [True]


def test_an_idle_transport_sends_nothing(redis_server: Any) -> None:
    with link(redis_server.url, push=True) as store:
        store.ask()
        assert redis_server.admin.pubsub_numsub() == []
        until_subscribed(redis_server, store)
        with redis_server.commands() as commands:
            store.ask()
            store.ask()
            assert commands.names() == {"evalsha": 2}


def until_subscribed(server: Any, store: Link, count: int = 1) -> None:
    """Wait until the server counts that many subscribers of shard 0."""
    channel = store.settings.channel(0)
    deadline = time.monotonic() + 20
    while dict(server.admin.pubsub_numsub(channel))[channel.encode()] != count:
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


def test_numbers_that_are_none_and_replies_that_are_none_are_errors(redis_server: Any) -> None:
    with link(redis_server.url) as store:
        assert "ValueError" in store.fails(operation("view", rnd=float("nan")))
        redis_server.admin.set(store.settings.prefix(0) + "m", "mine")
        assert "FOREIGN" in store.fails()


def test_what_is_done_with_an_answer_may_fail(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    def done(*_: Any) -> None:
        raise RuntimeError("a bug")

    with link(redis_url) as store:
        store.transport.submit(0, request(), 10.0, done)
        store.ask()
    assert "a bug" in caplog.text


def test_closing_ends_what_is_under_way_and_the_thread(redis_server: Any) -> None:
    store = Link(redis_server.url, push=True)
    store.ask()
    redis_server.freeze()
    waiting = [store.submit(request()) for _ in range(20)]
    store.transport.close(10)
    for answer in waiting:
        with pytest.raises(StoreUnavailableError, match="closed"):
            answer.result(0)
    assert not [each for each in threading.enumerate() if each.name.startswith("holdfast")]
    with pytest.raises(StoreUnavailableError, match="closed"):
        store.submit(request()).result(0)
    store.transport.wake()
    store.transport.close(10)
    assert store.ticker.ticks == 0


def test_closing_while_others_submit(redis_url: str) -> None:
    for _ in range(10):
        store = Link(redis_url)
        answers: list[Future[dict[str, Any]]] = []
        started = threading.Event()

        def ask(
            store: Link = store,
            answers: list[Future[dict[str, Any]]] = answers,
            started: threading.Event = started,
        ) -> None:
            for _ in range(200):
                answers.append(store.submit(request()))
                started.set()

        thread = threading.Thread(target=ask)
        thread.start()
        started.wait(10)
        store.transport.close(10)
        thread.join()
        assert len(answers) == 200
        for answer in answers:
            answer.exception(10)  # all have ended, one way or the other


def test_closing_from_the_thread_itself(redis_url: str) -> None:
    store = Link(redis_url)
    closed = threading.Event()

    def done(*_: Any) -> None:
        store.transport.close(10)
        closed.set()

    store.transport.submit(0, request(), 10.0, done)
    assert closed.wait(20)
    store.transport.close(10)
    assert not [each for each in threading.enumerate() if each.name.startswith("holdfast")]


def test_a_thread_that_does_not_end_in_time_is_left_behind(redis_url: str) -> None:
    store = Link(redis_url)
    hold = threading.Event()
    busy = threading.Event()

    def tick() -> None:
        busy.set()
        hold.wait(20)

    store.ticker.at_tick = tick
    store.transport.wake()
    assert busy.wait(20)
    answer = store.submit(request())
    store.transport.close(0.01)
    with pytest.raises(StoreUnavailableError, match="closed"):
        answer.result(0)
    hold.set()
    store.transport.close(10)


def test_names_are_resolved_beside_the_loop(monkeypatch: pytest.MonkeyPatch, redis_server: Any) -> None:
    hold, looked_up = threading.Event(), threading.Event()
    original = socket.getaddrinfo

    def slow(host: Any, *arguments: Any, **options: Any) -> Any:
        if host == "cache.example":
            looked_up.set()
            hold.wait(20)
            host = "127.0.0.1"
        return original(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with link(f"redis://cache.example:{redis_server.port}", connect_timeout=20.0) as store:
        answer = store.submit(request())
        assert looked_up.wait(20)
        store.transport.wake()
        store.ticker.wait(lambda: store.ticker.ticks == 1)  # the loop is not blocked
        hold.set()
        assert answer.result(20)["live"] == 1


def test_a_grant_counts_when_replicas_have_it(redis_servers: Any) -> None:
    master, replica = redis_servers(), redis_servers()
    with link(master.url, replicas=1) as store:
        assert (
            store.ask(operation("acquire", permit="p0"))["results"][0]["granted"] == 2
        )  # nothing to confirm
        store.ask(operation("report", **TRIP), rules=[HASTY])
        error = store.submit(request(operation("acquire", permit="p1"), rules=[HASTY])).exception(20)
        assert "0 of 1 replicas" in str(error)
        denied = store.ask(operation("acquire", permit="p2"))["results"][0]
        assert denied["granted"] == 0
        view = denied["view"]
        assert view["lives"] == 1
        replica.replicate(master)
        settled = {"permit": "p1", "verdict": "cancelled", "slow": 0, "trip": 0, "trip_us": -1}
        store.ask(operation("settle", seen=[view["inc"], view["ep"]], **settled))
        master.disconnect_clients()  # as a server does with idle ones
        assert store.ask(operation("acquire", permit="p3"))["results"][0]["granted"] == 1
        assert replica.admin.zscore(store.settings.prefix(0) + "p:pay", "p3") is not None


HASTY = RULES | {
    "min": 1,
    "row": 1,
    "quorum": 0.0,
    "base_us": 1,
    "max_us": 1,
    "jit": 0.0,
    "lease_us": 60_000_000,
}
TRIP = REPORT | {"t": 1, "f": 1, "o": 1}


def test_a_request_that_fails_after_it_was_given_up_is_not_complained_about(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As it is cancelled, a client may find that its connection was lost."""

    async def lost(*_: Any) -> Any:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ConnectionError("Connection closed by server.") from None

    with link(redis_url) as store:
        monkeypatch.setattr(store.transport._commands, "exchange", lost)
        assert store.fails(timeout=0.01) == "the store: timed out after 0.01 s"
        monkeypatch.undo()
        store.ask()
        gc.collect()
    assert caplog.text == ""
