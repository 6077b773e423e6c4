"""Messages get so much time and no more."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

import cqrs
from cqrs import deadlines
from cqrs.container import BuiltinContainer
from cqrs.deadlines import deadline, remaining
from cqrs.exceptions import PolicyError
from cqrs.mediator import RequestMediator, StreamingRequestMediator
from cqrs.middlewares import MiddlewareChain
from cqrs.middlewares.deadline import DeadlineMiddleware
from cqrs.testing import FakeClock


async def never(request: Any) -> Any:
    await asyncio.Event().wait()


async def ask(request: Any) -> float | None:
    return remaining()


async def test_a_handler_knows_what_is_left(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "now", clock)
    assert await DeadlineMiddleware(5)("request", ask) == 5
    assert remaining() is None


async def test_an_outer_deadline_that_is_nearer_stays(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "now", clock)
    with deadline(2):
        assert await DeadlineMiddleware(5)("request", ask) == 2


async def test_handling_ends_in_time() -> None:
    with pytest.raises(TimeoutError):
        await DeadlineMiddleware(0.01)("request", never)


async def test_nothing_is_handled_when_no_time_is_left() -> None:
    called: list[Any] = []

    async def handle(request: Any) -> None:
        called.append(request)

    with pytest.raises(TimeoutError, match="no time is left for str"):
        await DeadlineMiddleware(0)("request", handle)
    assert not called


async def test_a_cancelled_handling_stays_cancelled() -> None:
    task = asyncio.create_task(DeadlineMiddleware(math.pi * 1000)("request", never))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Items:
    """A stream of what is left at each item, and whether it was closed."""

    def __init__(self, count: int, *, then_hang: bool = False) -> None:
        self.count = count
        self.then_hang = then_hang
        self.closed = False

    async def __call__(self, request: Any) -> AsyncIterator[Any]:
        try:
            for _ in range(self.count):
                yield remaining()
            if self.then_hang:
                await asyncio.Event().wait()
        finally:
            self.closed = True


async def test_a_stream_has_one_deadline_that_its_consumer_does_not_see(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "now", clock)
    monkeypatch.setattr("cqrs.middlewares.deadline.now", clock)
    left: list[Any] = []
    items = Items(3)
    async for item in DeadlineMiddleware(10).stream("request", items):
        left.append(item)
        assert remaining() is None
        clock.advance(2)
    assert left == [10, 8, 6]
    assert items.closed


async def test_a_stream_ends_in_time() -> None:
    items = Items(1, then_hang=True)
    seen: list[Any] = []
    with pytest.raises(TimeoutError):
        async for item in DeadlineMiddleware(0.05).stream("request", items):
            seen.append(item)
    assert len(seen) == 1
    assert items.closed


async def test_a_stream_whose_consumer_was_slow_ends_before_the_next_item(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "now", clock)
    monkeypatch.setattr("cqrs.middlewares.deadline.now", clock)
    items = Items(3)
    with pytest.raises(TimeoutError, match="no time is left"):
        async for _ in DeadlineMiddleware(10).stream("request", items):
            clock.advance(11)
    assert items.closed


async def test_a_stream_that_is_left_is_closed() -> None:
    items = Items(3)
    stream = DeadlineMiddleware(10).stream("request", items)
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]
    assert items.closed


def test_only_a_number_of_seconds_will_do() -> None:
    with pytest.raises(PolicyError, match="seconds"):
        DeadlineMiddleware(-1)


# ---------------------------------------------------------------------- through mediators


class Ask:
    pass


class Answers(cqrs.RequestHandler[Ask, float | None]):
    async def handle(self, request: Ask) -> float | None:
        return remaining()


class Hangs(cqrs.RequestHandler[Ask, float | None]):
    async def handle(self, request: Ask) -> float | None:
        await asyncio.Event().wait()
        return None


class HangsLater(cqrs.StreamingRequestHandler[Ask, float | None]):
    async def handle(self, request: Ask) -> AsyncIterator[float | None]:
        yield remaining()
        await asyncio.Event().wait()


def mediator(kind: Any, handler: Any, seconds: float) -> Any:
    chain = MiddlewareChain([DeadlineMiddleware(seconds)])
    return kind(cqrs.RequestMap({Ask: handler}), BuiltinContainer(), middleware_chain=chain)


async def test_a_request_through_a_mediator_has_a_deadline(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "now", clock)
    assert await mediator(RequestMediator, Answers, 7).send(Ask()) == 7
    assert remaining() is None


async def test_a_request_through_a_mediator_ends_in_time_and_leads_to_no_fallback() -> None:
    guarded = cqrs.RequestHandlerFallback(primary=Hangs, fallback=Answers)
    with pytest.raises(TimeoutError):
        await mediator(RequestMediator, guarded, 0.01).send(Ask())


async def test_a_stream_through_a_mediator_ends_in_time() -> None:
    items: list[Any] = []
    with pytest.raises(TimeoutError):
        async for item in mediator(StreamingRequestMediator, HangsLater, 0.2).stream(Ask()):
            items.append(item)
    (left,) = items
    assert 0 < left <= 0.2
