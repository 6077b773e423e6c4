"""Streams through code that only knows calls."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from cqrs.dispatcher.driven import Pump, driven

Call = Callable[[Pump], Awaitable[Any]]


class Source:
    """A stream that notes how far it got and how it ended."""

    def __init__(self, items: int = 3, error: BaseException | None = None) -> None:
        self.items = items
        self.error = error
        self.made = 0
        self.ended = ""

    async def stream(self, *_: Any) -> AsyncGenerator[int, None]:
        try:
            for number in range(self.items):
                self.made += 1
                yield number
            if self.error is not None:
                raise self.error
            self.ended = "exhausted"
        except BaseException as error:
            self.ended = type(error).__name__
            raise


class Caller:
    """Notes how the call that surrounds the stream ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def __call__(self, pump: Pump) -> None:
        try:
            await pump()
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        self.ended.append("returned")


def tasks() -> int:
    return len(asyncio.all_tasks())


async def test_all_items_arrive_and_the_call_returns() -> None:
    source, caller = Source(), Caller()
    assert [item async for item in driven(caller, source.stream)] == [0, 1, 2]
    assert (source.ended, caller.ended) == ("exhausted", ["returned"])
    assert tasks() == 1


async def test_an_item_is_made_only_when_it_is_asked_for() -> None:
    source = Source(100)
    stream = driven(Caller(), source.stream)
    for asked in range(1, 4):
        await anext(stream)
        for _ in range(20):
            await asyncio.sleep(0)
        assert source.made == asked
    await stream.aclose()
    assert source.made == 3


async def test_an_error_arrives_after_the_items_before_it() -> None:
    error = ConnectionError("lost")
    source, caller = Source(2, error), Caller()
    seen: list[int] = []
    with pytest.raises(ConnectionError) as caught:
        async for item in driven(caller, source.stream):
            seen.append(item)
    assert caught.value is error
    assert seen == [0, 1]
    assert caller.ended == ["ConnectionError"]


async def test_leaving_early_closes_the_stream_and_lets_the_call_succeed() -> None:
    source, caller = Source(), Caller()
    async with contextlib.aclosing(driven(caller, source.stream)) as stream:
        async for _ in stream:
            break
    assert (source.ended, caller.ended) == ("GeneratorExit", ["returned"])
    assert tasks() == 1


async def test_a_stream_that_is_closed_before_it_began_never_begins() -> None:
    source, caller = Source(), Caller()
    await driven(caller, source.stream).aclose()
    assert (source.made, caller.ended) == (0, [])
    assert tasks() == 1


async def test_a_stream_that_is_thrown_away_is_closed_too(caplog: pytest.LogCaptureFixture) -> None:
    source, caller = Source(), Caller()

    async def use() -> None:
        stream = driven(caller, source.stream)
        await anext(stream)
        circle: list[Any] = [stream]
        circle.append(circle)

    await use()
    gc.collect()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (source.ended, caller.ended) == ("GeneratorExit", ["returned"])
    assert caplog.records == [], "no task was destroyed while it was pending"
    assert tasks() == 1


async def test_cancelling_the_consumer_cancels_the_call_and_waits_for_its_end() -> None:
    log: list[str] = []

    async def slow() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            log.append("cleaned up")

    caller = Caller()

    async def consume() -> None:
        async for _ in driven(caller, slow):
            log.append("item")

    task = asyncio.create_task(consume())
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["item", "cleaned up"]
    assert caller.ended == ["CancelledError"]
    assert tasks() == 1


async def test_cancelling_again_during_the_clean_up_cancels_that_too() -> None:
    log: list[str] = []

    async def stubborn() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            try:
                await asyncio.Event().wait()
            finally:
                log.append("gave up")

    async def consume() -> None:
        async for _ in driven(Caller(), stubborn):
            pass

    task = asyncio.create_task(consume())
    for _ in range(10):
        await asyncio.sleep(0)
    for _ in range(2):
        task.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["gave up"]
    assert tasks() == 1


@pytest.mark.parametrize("steps", range(12))
async def test_a_cancellation_at_any_moment_leaves_nothing_behind(steps: int) -> None:
    source, caller = Source(5), Caller()

    async def consume() -> None:
        async with contextlib.aclosing(driven(caller, source.stream)) as stream:
            async for _ in stream:
                await asyncio.sleep(0)

    task = asyncio.create_task(consume())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert tasks() == 1
    assert source.ended in (("",) if source.made == 0 else ("GeneratorExit", "CancelledError", "exhausted"))
    assert len(caller.ended) == (0 if source.made == 0 and not caller.ended else 1)


async def test_a_call_that_never_pumps_is_an_empty_stream() -> None:
    async def nothing(pump: Pump) -> None:
        return None

    assert [item async for item in driven(nothing, Source().stream)] == []


async def test_a_call_that_fails_before_it_pumps_fails_the_stream() -> None:
    async def refuse(pump: Pump) -> None:
        raise PermissionError("no")

    with pytest.raises(PermissionError):
        await anext(driven(refuse, Source().stream))


async def test_a_call_may_time_the_stream_out_while_the_consumer_is_busy() -> None:
    timed_out = asyncio.Event()

    async def limited(pump: Pump) -> None:
        pumping = asyncio.ensure_future(pump())
        await timed_out.wait()
        pumping.cancel()
        await asyncio.wait({pumping})
        raise TimeoutError("too slow")

    source = Source(5)
    stream = driven(limited, source.stream)
    assert await anext(stream) == 0
    timed_out.set()
    for _ in range(10):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await anext(stream)
    assert source.ended == "GeneratorExit"
    assert tasks() == 1


async def test_a_call_that_pumps_again_starts_the_stream_again() -> None:
    sources = [Source(2, ConnectionError("first")), Source(2)]

    async def retry(pump: Pump) -> None:
        try:
            await pump()
        except ConnectionError:
            await pump()

    stream = driven(retry, lambda: sources.pop(0).stream())
    assert [item async for item in stream] == [0, 1, 0, 1]


async def test_an_error_while_closing_reaches_who_closes() -> None:
    async def sore() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise RuntimeError("cannot close")

    stream = driven(Caller(), sore)
    await anext(stream)
    with pytest.raises(RuntimeError, match="cannot close"):
        await stream.aclose()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
async def test_an_interruption_reaches_the_consumer_and_spares_the_event_loop(interruption: Any) -> None:
    with pytest.raises(interruption):
        async for _ in driven(Caller(), Source(1, interruption()).stream):
            pass
    assert tasks() == 1


async def test_the_stream_sees_the_consumers_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def look() -> AsyncIterator[str]:
        yield variable.get()

    variable.set("set by the consumer")
    assert [item async for item in driven(Caller(), look)] == ["set by the consumer"]


async def test_an_iterator_that_cannot_be_closed_is_fine() -> None:
    class Countdown:
        def __init__(self) -> None:
            self.left = 3

        def __aiter__(self) -> Countdown:
            return self

        async def __anext__(self) -> int:
            if self.left == 0:
                raise StopAsyncIteration
            self.left -= 1
            return self.left

    assert [item async for item in driven(Caller(), Countdown)] == [2, 1, 0]


def test_a_loop_that_ends_with_an_open_stream_closes_it() -> None:
    source, caller = Source(), Caller()
    kept: list[Any] = []

    async def leave_open() -> None:
        stream = driven(caller, source.stream)
        kept.append(stream)
        await anext(stream)

    asyncio.run(leave_open())
    assert source.ended in ("CancelledError", "GeneratorExit")
    assert len(caller.ended) == 1
