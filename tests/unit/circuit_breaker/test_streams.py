"""L13: generators and asynchronous generators are guarded from their first item to their last."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest

from cqrs.circuit_breaker import CircuitBreaker, CircuitOpenError, State
from cqrs.testing import FakeClock, Script

from .support import Boom, boom, breaker, count_policy, do_nothing, half_open, trip

SLOW = {"slow_call_duration_threshold": 2.0, "slow_call_rate_threshold": 0.5}


class Stream:
    """One guarded stream of either kind, driven through the same verbs."""

    def __init__(self, circuit: CircuitBreaker, outcome: list[Any], kind: str) -> None:
        self.script = Script([outcome])
        self.asynchronous = kind == "async"
        self.source: Any
        guarded = circuit(self.script.astream if self.asynchronous else self.script.stream)
        self.source = guarded()

    async def next(self) -> Any:
        return await anext(self.source) if self.asynchronous else next(self.source)

    async def rest(self) -> list[Any]:
        if self.asynchronous:
            return [item async for item in self.source]
        return list(self.source)

    async def close(self) -> None:
        await self.source.aclose() if self.asynchronous else self.source.close()


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_l13_admission_happens_at_the_first_item_not_at_the_call(clock: FakeClock, kind: str) -> None:
    circuit = breaker(count_policy(1), clock)
    stream = Stream(circuit, [1, 2], kind)
    assert circuit.snapshot().admitted == 0
    trip(circuit)
    with pytest.raises(CircuitOpenError):
        await stream.next()
    assert stream.script.calls == []


async def test_l13_a_stream_that_is_never_started_needs_no_permit(kind: str) -> None:
    circuit = breaker()
    stream = Stream(circuit, [1], kind)
    await stream.close()
    seen = circuit.snapshot()
    assert (seen.admitted, seen.in_flight, seen.cancelled) == (0, 0, 0)


async def test_l13_the_permit_is_held_to_the_end(kind: str) -> None:
    circuit = breaker()
    stream = Stream(circuit, [1, 2], kind)
    for item in [1, 2]:
        assert await stream.next() == item
        assert circuit.snapshot().in_flight == 1
    assert await stream.rest() == []
    seen = circuit.snapshot()
    assert (seen.admitted, seen.succeeded, seen.in_flight) == (1, 1, 0)


async def test_l13_an_empty_stream_is_a_success(kind: str) -> None:
    circuit = breaker()
    assert await Stream(circuit, [], kind).rest() == []
    assert circuit.snapshot().succeeded == 1


@pytest.mark.parametrize("before", [[], [1, 2]])
async def test_l13_a_failing_stream_counts_as_a_failure(kind: str, before: list[int]) -> None:
    circuit, error = breaker(count_policy(1)), Boom("mid-stream")
    stream = Stream(circuit, [*before, error], kind)
    for item in before:
        assert await stream.next() == item
    with pytest.raises(Boom) as caught:
        await stream.next()
    assert caught.value is error
    assert circuit.state is State.OPEN
    assert circuit.snapshot().in_flight == 0


async def test_l13_ten_failing_streams_reach_the_dependency_twice(kind: str) -> None:
    circuit = breaker(count_policy(2))
    reached = rejected = 0
    for _ in range(10):
        stream = Stream(circuit, [Boom()], kind)
        try:
            await stream.rest()
        except Boom:
            reached += 1
        except CircuitOpenError:
            rejected += 1
    assert (reached, rejected) == (2, 8)


async def test_l13_closed_by_the_consumer_after_an_item_is_a_success(kind: str) -> None:
    circuit = breaker()
    stream = Stream(circuit, [1, 2], kind)
    await stream.next()
    await stream.close()
    seen = circuit.snapshot()
    assert (seen.succeeded, seen.cancelled, seen.in_flight) == (1, 0, 0)


async def test_l13_closed_as_a_probe_after_an_item_closes_the_circuit(clock: FakeClock, kind: str) -> None:
    circuit = breaker(count_policy(1), clock)
    half_open(circuit, clock)
    stream = Stream(circuit, [1, 2], kind)
    await stream.next()
    await stream.close()
    assert circuit.state is State.CLOSED


async def test_l13_slow_is_the_time_to_the_first_item_not_the_whole(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, **SLOW), clock)

    @circuit
    def stream(first: float, later: float) -> Iterator[int]:
        clock.advance(first)
        yield 1
        clock.advance(later)
        yield 2

    for _ in range(4):
        assert list(stream(0.5, 3600.0)) == [1, 2]
    assert (circuit.state, circuit.snapshot().slow) == (State.CLOSED, 0)
    assert list(stream(2.5, 0.0)) == [1, 2]
    assert circuit.snapshot().slow == 1


async def test_l13_async_slow_is_the_time_to_the_first_item(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, **SLOW), clock)

    @circuit
    async def stream(first: float, later: float) -> AsyncIterator[int]:
        clock.advance(first)
        yield 1
        clock.advance(later)
        yield 2

    for _ in range(4):
        assert [item async for item in stream(0.5, 3600.0)] == [1, 2]
    assert (circuit.state, circuit.snapshot().slow) == (State.CLOSED, 0)
    assert [item async for item in stream(2.5, 0.0)] == [1, 2]
    assert circuit.snapshot().slow == 1


async def test_l13_a_stream_that_delivers_is_not_overdue(clock: FakeClock, kind: str) -> None:
    circuit = breaker(count_policy(4, **SLOW), clock)
    streams = [Stream(circuit, [1, 2], kind) for _ in range(8)]
    for stream in streams:
        assert await stream.next() == 1
    clock.advance(3600)
    circuit.call(do_nothing)
    assert circuit.state is State.CLOSED
    for stream in streams:
        assert await stream.rest() == [2]


async def test_l13_a_stream_that_delivers_nothing_becomes_overdue(clock: FakeClock) -> None:
    circuit = breaker(count_policy(4, **SLOW), clock)
    hang = asyncio.Event()

    @circuit
    async def stream() -> AsyncIterator[int]:
        await hang.wait()
        yield 1

    waiting = [asyncio.ensure_future(anext(stream())) for _ in range(8)]
    await asyncio.sleep(0)
    clock.advance(2.5)
    with pytest.raises(CircuitOpenError):
        circuit.call(do_nothing)
    hang.set()
    assert await asyncio.gather(*waiting) == [1] * 8


async def test_l13_an_abandoned_stream_returns_its_permit(kind: str) -> None:
    circuit = breaker()
    stream = Stream(circuit, [1, 2], kind)
    await stream.next()
    del stream
    gc.collect()
    for _ in range(3):
        await asyncio.sleep(0)
    assert circuit.snapshot().in_flight == 0
    assert circuit.snapshot().failed == 0


async def test_l13_closing_closes_the_inner_stream_at_once(kind: str) -> None:
    circuit, closed = breaker(), list[str]()

    @circuit
    def sync_stream() -> Iterator[int]:
        try:
            yield 1
        finally:
            closed.append("sync")

    @circuit
    async def async_stream() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.append("async")

    if kind == "sync":
        stream = sync_stream()
        next(stream)
        stream.close()  # type: ignore[attr-defined]
    else:
        astream = async_stream()
        await anext(astream)
        await astream.aclose()  # type: ignore[attr-defined]
    assert closed == [kind]
    assert circuit.snapshot().in_flight == 0


def test_l13_send_throw_and_the_return_value_reach_the_generator() -> None:
    circuit = breaker()

    @circuit
    def echo() -> Generator[str, str, str]:
        received = yield "ready"
        try:
            while received != "stop":
                received = yield received
        except KeyError:
            yield "caught"
        return "done"

    talk = echo()
    assert next(talk) == "ready"
    assert talk.send("hello") == "hello"
    assert talk.throw(KeyError()) == "caught"
    with pytest.raises(StopIteration) as stopped:
        next(talk)
    assert stopped.value.value == "done"
    assert circuit.snapshot().succeeded == 1


async def test_l13_asend_and_athrow_reach_the_async_generator() -> None:
    circuit = breaker()

    @circuit
    async def echo() -> Any:
        received = yield "ready"
        try:
            while True:
                received = yield received
        except KeyError:
            yield "caught"

    talk: Any = echo()
    assert await anext(talk) == "ready"
    assert await talk.asend("hello") == "hello"
    assert await talk.athrow(KeyError()) == "caught"
    with pytest.raises(StopAsyncIteration):
        await anext(talk)
    assert circuit.snapshot().succeeded == 1


def test_l13_yield_from_a_guarded_generator_delegates() -> None:
    circuit = breaker()

    @circuit
    def inner() -> Generator[int, None, str]:
        yield 1
        return "inner result"

    def outer() -> Generator[int, None, None]:
        results.append((yield from inner()))

    results: list[str] = []
    assert list(outer()) == [1]
    assert results == ["inner result"]


def test_l13_the_call_form_preserves_the_kind_of_a_generator() -> None:
    circuit = breaker()

    def numbers(count: int) -> Iterator[int]:
        yield from range(count)

    assert list(circuit.call(numbers, 3)) == [0, 1, 2]
    assert circuit.snapshot().succeeded == 1


async def test_l13_the_call_form_preserves_the_kind_of_an_async_generator() -> None:
    circuit = breaker()

    async def numbers(count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number

    assert [number async for number in circuit.call(numbers, 3)] == [0, 1, 2]
    assert circuit.snapshot().succeeded == 1


def test_l13_decorated_functions_keep_their_kind() -> None:
    circuit = breaker()

    @circuit
    def function() -> None: ...

    @circuit
    async def coroutine() -> None: ...

    @circuit
    def generator() -> Iterator[int]:
        yield 1

    @circuit
    async def async_generator() -> AsyncIterator[int]:
        yield 1

    assert not inspect.isgeneratorfunction(function)
    assert not inspect.iscoroutinefunction(function)
    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(async_generator)


async def test_l13_streams_work_as_methods() -> None:
    circuit = breaker()

    class Repository:
        @circuit
        def rows(self) -> Iterator[int]:
            yield 1

        @circuit
        async def arows(self) -> AsyncIterator[int]:
            yield 2

    assert list(Repository().rows()) == [1]
    assert [row async for row in Repository().arows()] == [2]
    assert circuit.snapshot().succeeded == 2


def test_l13_results_inside_a_stream_are_not_judged() -> None:
    circuit = breaker(count_policy(1, record_result=lambda result: result == "bad"))

    @circuit
    def items() -> Iterator[str]:
        yield "bad"

    assert list(items()) == ["bad"]
    assert circuit.call(lambda: "fine") == "fine"
    assert circuit.state is State.CLOSED


def test_l13_a_stream_admitted_before_the_outage_does_not_settle_after_it() -> None:
    circuit = breaker(count_policy(2))

    @circuit
    def items() -> Iterator[int]:
        yield 1

    stream = items()
    next(stream)
    for _ in range(2):
        with pytest.raises(Boom):
            circuit.call(boom)
    assert list(stream) == []
    assert (circuit.state, circuit.snapshot().late) == (State.OPEN, 1)
