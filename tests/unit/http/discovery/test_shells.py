"""How discoveries that ask a server wait: cancelled callers, several loops, interrupted threads, closing."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from cqrs.http.discovery.consul import AsyncConsulDiscovery, SyncConsulDiscovery
from cqrs.http.errors import DiscoveryError
from cqrs.http.messages import HTTPResponse
from cqrs.testing import FakeClock
from tests.unit.http.discovery.side import Server, body, consul_entry, refused

ONE = "http://10.0.0.1:8000/v1"
LISTING = body([consul_entry("10.0.0.1")])


async def until(event: threading.Event) -> None:
    while not event.is_set():  # noqa: ASYNC110  (a thread sets it)
        await asyncio.sleep(0)


class TestTasks:
    async def test_a_cancelled_caller_does_not_interrupt_others(self) -> None:
        server = Server(LISTING)
        server.gate.clear()
        discovery = AsyncConsulDiscovery(transport=server.twin)
        first = asyncio.ensure_future(discovery.get_endpoint("user", "v1"))
        await until(server.entered)
        second = asyncio.ensure_future(discovery.get_endpoint("user", "v1"))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        server.gate.set()
        assert await second == ONE
        assert len(server.asked) == 1

    async def test_closing_ends_questions_and_leaves_the_given_transport(self) -> None:
        class Transport(Server):
            closed = False

            async def __call__(self, *arguments: Any) -> HTTPResponse:
                return await self.twin(*arguments)

            async def aclose(self) -> None:
                self.closed = True

        transport, clock = Transport(LISTING), FakeClock()
        discovery = AsyncConsulDiscovery(transport=transport, clock=clock, cache_ttl=10.0)
        await discovery.get_endpoint("user", "v1")
        clock.advance(10.0)
        transport.gate.clear()
        assert await discovery.get_endpoint("user", "v1") == ONE
        await until(transport.entered)
        await discovery.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not transport.closed
        transport.gate.set()
        assert await discovery.get_endpoint("user", "v1") == ONE  # it may go on

    async def test_a_question_that_never_began_is_asked_again(self) -> None:
        server = Server(LISTING)
        discovery = AsyncConsulDiscovery(transport=server.twin)
        caller = asyncio.ensure_future(discovery.get_endpoint("user", "v1"))
        await asyncio.sleep(0)
        (task,) = asyncio.all_tasks() - {asyncio.current_task(), caller}
        task.cancel()  # before its first step
        assert await caller == ONE
        assert len(server.asked) == 1
        assert discovery.breaker.snapshot().state.value == "closed"

    async def test_cancelling_says_nothing_about_the_server(self) -> None:
        server = Server(LISTING)
        server.gate.clear()
        discovery = AsyncConsulDiscovery(transport=server.twin)
        caller = asyncio.ensure_future(discovery.get_endpoint("user", "v1"))
        await until(server.entered)
        caller.cancel()
        await asyncio.wait([caller])
        await discovery.aclose()
        server.gate.set()
        assert await discovery.get_endpoint("user", "v1") == ONE

    async def test_the_question_is_not_in_the_context_of_a_caller(self) -> None:
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody's")
        seen: list[str] = []

        async def transport(*_: Any) -> HTTPResponse:
            seen.append(variable.get())
            return LISTING

        variable.set("the caller's")
        await AsyncConsulDiscovery(transport=transport).get_endpoint("user", "v1")
        assert seen == ["nobody's"]

    def test_callers_of_several_event_loops(self) -> None:
        server = Server(LISTING)
        server.gate.clear()
        discovery = AsyncConsulDiscovery(transport=server.twin)
        found: list[str] = []
        ready = threading.Barrier(5)

        async def calls() -> None:
            tasks = [asyncio.ensure_future(discovery.get_endpoint("user", "v1")) for _ in range(5)]
            await asyncio.sleep(0)
            ready.wait(30)
            found.extend(await asyncio.gather(*tasks))

        threads = [threading.Thread(target=asyncio.run, args=(calls(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        ready.wait(30)
        server.gate.set()
        for thread in threads:
            thread.join(30)
        assert found == [ONE] * 20
        assert len(server.asked) == 1

    def test_a_loop_that_ends_while_it_asks_does_not_leave_others_waiting(self) -> None:
        server = Server(LISTING)
        server.gate.clear()
        discovery = AsyncConsulDiscovery(transport=server.twin)
        asks = threading.Event()
        ended = threading.Event()

        async def goes_away() -> None:
            caller = asyncio.ensure_future(discovery.get_endpoint("user", "v1"))
            await until(server.entered)
            asks.set()
            await until(ended)
            caller.cancel()
            await asyncio.wait([caller])  # its loop ends now, and with it the task that asks

        async def stays() -> str:
            caller = asyncio.ensure_future(discovery.get_endpoint("user", "v1"))
            for _ in range(5):
                await asyncio.sleep(0)
            ended.set()
            thread.join(30)
            server.gate.set()
            return await caller

        thread = threading.Thread(target=asyncio.run, args=(goes_away(),))
        thread.start()
        assert asks.wait(30)
        assert asyncio.run(stays()) == ONE
        assert len(server.asked) == 2


class TestThreads:
    def test_an_interrupted_caller_leaves_the_question_to_the_next(self) -> None:
        server = Server(KeyboardInterrupt())
        discovery = SyncConsulDiscovery(transport=server.plain)
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                discovery.get_endpoint("user", "v1")
        server.answer = LISTING
        assert discovery.get_endpoint("user", "v1") == ONE

    def test_an_interrupted_probe_leaves_it_to_the_next(self) -> None:
        server, clock = Server(refused()), FakeClock()
        discovery = SyncConsulDiscovery(transport=server.plain, clock=clock, random=lambda: 0.0)
        with pytest.raises(DiscoveryError):
            discovery.get_endpoint("user", "v1")
        clock.advance(1.0)
        server.answer = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            discovery.get_endpoint("user", "v1")
        server.answer = LISTING
        assert discovery.get_endpoint("user", "v1") == ONE

    def test_closing_waits_for_questions(self) -> None:
        server, clock = Server(LISTING), FakeClock()
        discovery = SyncConsulDiscovery(transport=server.plain, clock=clock, cache_ttl=10.0)
        discovery.get_endpoint("user", "v1")
        clock.advance(10.0)
        server.gate.clear()
        assert discovery.get_endpoint("user", "v1") == ONE
        server.gate.set()
        discovery.close()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("discovery:")]
        assert len(server.asked) == 2

    def test_no_more_threads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def start(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        server, clock = Server(LISTING), FakeClock()
        discovery = SyncConsulDiscovery(transport=server.plain, clock=clock, cache_ttl=10.0)
        discovery.get_endpoint("user", "v1")
        clock.advance(10.0)
        monkeypatch.setattr(threading.Thread, "start", start)
        assert discovery.get_endpoint("user", "v1") == ONE
        assert len(server.asked) == 2

    def test_one_that_asks_for_too_long_is_not_waited_for_for_ever(self) -> None:
        server = Server(LISTING)
        server.gate.clear()
        discovery = SyncConsulDiscovery(transport=server.plain, timeout=0.01)  # which its transport ignores
        first = threading.Thread(target=discovery.get_endpoint, args=("user", "v1"))
        first.start()
        assert server.entered.wait(30)
        with pytest.raises(DiscoveryError, match="was asked and did not answer"):
            discovery.get_endpoint("user", "v1")
        server.gate.set()
        first.join(30)
        assert discovery.get_endpoint("user", "v1") == ONE
