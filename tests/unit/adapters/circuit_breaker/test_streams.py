"""Streams through the adapters' ``guard``."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest

from tests.breakers import ExcludedByType, Rig


class Stream:
    """Yields ``items`` numbers, then raises ``error`` if there is one; tells when it started and closed."""

    def __init__(self, items: int = 3, error: BaseException | None = None) -> None:
        self.items = items
        self.error = error
        self.started = 0
        self.closed = 0

    async def handle(self, first: int = 0) -> AsyncIterator[int]:
        self.started += 1
        try:
            for number in range(first, first + self.items):
                yield number
            if self.error is not None:
                raise self.error
        finally:
            self.closed += 1


async def drain(stream: AsyncIterator[int]) -> list[int]:
    return [item async for item in stream]


def test_the_kind_and_the_signature_are_preserved(rig: Rig) -> None:
    async def one(a: int) -> int:
        """Document."""
        return a

    async def many(a: int) -> AsyncIterator[int]:
        yield a

    guarded_one, guarded_many = rig.breaker.guard("x", one), rig.breaker.guard("x", many)
    assert inspect.iscoroutinefunction(guarded_one)
    assert inspect.isasyncgenfunction(guarded_many)
    assert guarded_one.__doc__ == "Document."
    assert inspect.signature(guarded_many) == inspect.signature(many)


def test_a_function_of_another_kind_is_refused(rig: Rig) -> None:
    with pytest.raises(TypeError, match="async"):
        rig.breaker.guard("x", lambda: None)


async def test_a_guarded_function_is_one_call(rig: Rig) -> None:
    async def fail() -> None:
        raise ConnectionError

    guarded = rig.breaker.guard("x", fail)
    for _ in range(rig.threshold):
        with pytest.raises(Exception):
            await guarded()
    assert await rig.rejects("x")


async def test_items_arrive_and_a_completed_stream_is_a_success(rig: Rig) -> None:
    await rig.trip("x")
    rig.pass_open_time()
    assert await drain(rig.breaker.guard("x", Stream(3).handle)(first=7)) == [7, 8, 9]
    with pytest.raises(ConnectionError):  # closed by now: one failure does not open it
        await drain(rig.breaker.guard("x", Stream(0, ConnectionError()).handle)())
    assert not await rig.rejects("x")


@pytest.mark.parametrize("items", [0, 2], ids=["before items", "after items"])
async def test_failing_streams_open_the_circuit_and_an_open_one_starts_none(rig: Rig, items: int) -> None:
    stream = Stream(items, ConnectionError("refused"))
    guarded = rig.breaker.guard("x", stream.handle)
    for _ in range(10):
        with pytest.raises(Exception):
            await drain(guarded())
    assert stream.started == rig.threshold
    assert stream.closed == rig.threshold


async def test_an_excluded_error_in_a_stream_does_not_count(rig: Rig) -> None:
    guarded = rig.breaker.guard("x", Stream(1, ExcludedByType()).handle)
    for _ in range(rig.threshold * 2):
        with pytest.raises(ExcludedByType):
            await drain(guarded())
    assert not await rig.rejects("x")


async def test_leaving_a_stream_early_closes_it_at_once_and_counts_as_nothing(rig: Rig) -> None:
    await rig.trip("x")
    rig.pass_open_time()
    stream = Stream()
    for _ in range(rig.threshold * 2):
        async with aclosing(rig.breaker.guard("x", stream.handle)()) as items:
            async for _ in items:
                break
        assert stream.closed == stream.started
    failing = rig.breaker.guard("x", Stream(0, ConnectionError()).handle)
    with pytest.raises(Exception):  # still half-open: one failure reopens
        await drain(failing())
    assert await rig.rejects("x")


async def test_a_stream_that_fails_while_it_is_left_counts_as_nothing(rig: Rig) -> None:
    async def untidy() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise ConnectionError("while closing")

    for _ in range(rig.threshold * 2):
        items = rig.breaker.guard("x", untidy)()
        await anext(items)
        with pytest.raises(ConnectionError):
            await items.aclose()
    assert not await rig.rejects("x")


async def test_a_cancelled_consumer_counts_as_nothing_and_the_stream_is_closed(rig: Rig) -> None:
    stopped = asyncio.Event()

    async def hang() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            stopped.set()

    guarded = rig.breaker.guard("x", hang)
    for _ in range(rig.threshold * 2):
        stopped.clear()
        first = asyncio.Event()

        async def consume(first: asyncio.Event = first) -> None:
            async for _ in guarded():
                first.set()

        task = asyncio.create_task(consume())
        await first.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stopped.is_set()
    assert not await rig.rejects("x")


async def test_what_the_consumer_sends_and_throws_reaches_the_stream(rig: Rig) -> None:
    async def echo() -> AsyncGenerator[str, str]:
        got = ""
        while True:
            try:
                got = yield got
            except KeyError as error:
                got = f"caught {error}"

    items = rig.breaker.guard("x", echo)()
    assert await anext(items) == ""
    assert await items.asend("a") == "a"
    assert await items.athrow(KeyError("b")) == "caught 'b'"
    assert await items.asend("c") == "c"
    await items.aclose()


async def test_an_error_of_the_consumer_counts_as_nothing(rig: Rig) -> None:
    for _ in range(rig.threshold * 2):
        items = rig.breaker.guard("x", Stream().handle)()
        await anext(items)
        with pytest.raises(ValueError):
            await items.athrow(ValueError("consumer's"))
    assert not await rig.rejects("x")


async def test_a_stream_called_with_wrong_arguments_gives_its_permit_back(rig: Rig) -> None:
    await rig.trip("x")
    rig.pass_open_time()
    with pytest.raises(Exception):
        await drain(rig.breaker.guard("x", Stream().handle)(1, 2, 3))
    rig.pass_open_time()
    assert await drain(rig.breaker.guard("x", Stream(1).handle)()) == [0]


async def test_a_stream_may_be_closed_from_another_task(rig: Rig) -> None:
    stream = Stream()
    items = rig.breaker.guard("x", stream.handle)()
    await asyncio.create_task(anext(items))
    await asyncio.create_task(items.aclose())
    assert stream.closed == 1
    assert not await rig.rejects("x")
