"""Fault and Latency: make any kind of function misbehave, repeatably."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from cqrs.testing import FakeClock, Fault, Latency, Strategy


class Down(Exception):
    pass


def hits(strategy: Strategy, calls: int) -> list[bool]:
    def dependency() -> bool:
        return False

    guarded, seen = strategy(dependency), list[bool]()
    for _ in range(calls):
        try:
            seen.append(guarded())
        except Down:
            seen.append(True)
    return seen


def test_a_fault_hits_every_call_by_default() -> None:
    assert hits(Fault(Down), 3) == [True] * 3


def test_a_schedule_says_which_calls_are_hit_and_ends() -> None:
    assert hits(Fault(Down, schedule=[1, 0, True]), 5) == [True, False, True, False, False]


def test_a_rate_is_seeded() -> None:
    first = hits(Fault(Down, rate=0.3, seed=7), 1000)
    assert first == hits(Fault(Down, rate=0.3, seed=7), 1000)
    assert first != hits(Fault(Down, rate=0.3, seed=8), 1000)
    assert 200 < sum(first) < 400


def test_rates_of_none_and_all() -> None:
    assert hits(Fault(Down, rate=0.0), 100) == [False] * 100
    assert hits(Fault(Down, rate=1.0), 100) == [True] * 100


def test_rate_and_switch_may_change_at_any_time() -> None:
    rate, enabled = 0.0, True
    fault = Fault(Down, rate=lambda: rate, enabled=lambda: enabled)
    assert hits(fault, 2) == [False, False]
    rate = 1.0
    assert hits(fault, 2) == [True, True]
    enabled = False
    assert hits(fault, 2) == [False, False]


def test_a_switched_off_fault_keeps_its_schedule() -> None:
    enabled = False
    fault = Fault(Down, schedule=[True], enabled=lambda: enabled)
    assert hits(fault, 3) == [False] * 3
    enabled = True
    assert hits(fault, 2) == [True, False]


def test_errors_are_raised_in_turn() -> None:
    instance = KeyError("mine")

    @Fault(Down, instance)
    def dependency() -> None: ...

    seen: list[BaseException] = []
    for _ in range(4):
        with pytest.raises((Down, KeyError)) as caught:
            dependency()
        seen.append(caught.value)
    assert [type(error) for error in seen] == [Down, KeyError, Down, KeyError]
    assert seen[1] is instance
    assert seen[0] is not seen[2]


@pytest.mark.parametrize("errors", [(), ("down",), (int,), (Down, 5)])
def test_what_cannot_be_raised_is_refused(errors: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="Fault"):
        Fault(*errors)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_beyond_all_or_nothing_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        Fault(Down, rate=rate)
    with pytest.raises(ValueError, match="rate"):
        Latency(1.0, rate=rate)


def test_rate_and_schedule_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="either"):
        Fault(Down, rate=0.5, schedule=[True])


async def test_every_kind_of_function_can_be_hit() -> None:
    reached: list[str] = []

    @Fault(Down)
    def function() -> None:
        reached.append("function")

    @Fault(Down)
    async def coroutine() -> None:
        reached.append("coroutine")

    @Fault(Down)
    def generator() -> Iterator[int]:
        reached.append("generator")
        yield 1

    @Fault(Down)
    async def async_generator() -> AsyncIterator[int]:
        reached.append("async generator")
        yield 1

    with pytest.raises(Down):
        function()
    with pytest.raises(Down):
        await coroutine()
    items = generator()
    with pytest.raises(Down):
        next(items)
    aitems = async_generator()
    with pytest.raises(Down):
        await anext(aitems)
    assert reached == []


async def test_every_kind_of_function_keeps_its_kind_and_its_results() -> None:
    fault = Fault(Down, rate=0.0)

    @fault
    def function(value: int) -> int:
        return value

    @fault
    async def coroutine(value: int) -> int:
        return value

    @fault
    def generator(value: int) -> Iterator[int]:
        yield value

    @fault
    async def async_generator(value: int) -> AsyncIterator[int]:
        yield value

    assert function(1) == 1
    assert inspect.iscoroutinefunction(coroutine)
    assert await coroutine(2) == 2
    assert inspect.isgeneratorfunction(generator)
    assert list(generator(3)) == [3]
    assert inspect.isasyncgenfunction(async_generator)
    assert [item async for item in async_generator(4)] == [4]
    assert function.__name__ == "function"


async def test_closing_a_stream_behind_a_fault_closes_its_source() -> None:
    closed: list[bool] = []

    @Fault(Down, rate=0.0)
    async def stream() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            closed.append(True)

    items: Any = stream()
    assert await anext(items) == 1
    await items.aclose()
    assert closed == [True]


async def test_latency_advances_the_fake_clock() -> None:
    clock = FakeClock()

    @Latency(2.5, clock=clock)
    def function() -> float:
        return clock()

    @Latency(lambda: 0.5, clock=clock)
    async def coroutine() -> float:
        return clock()

    assert function() == 1002.5
    assert await coroutine() == 1003.0


async def test_latency_without_a_fake_clock_takes_real_time() -> None:
    @Latency(0.002)
    def function() -> None: ...

    @Latency(0.002)
    async def coroutine() -> None: ...

    start = time.monotonic()
    function()
    await coroutine()
    assert time.monotonic() - start >= 0.004


def test_latency_may_hit_some_calls_only() -> None:
    clock, enabled = FakeClock(), False

    @Latency(1.0, clock=clock, enabled=lambda: enabled)
    def function() -> float:
        return clock()

    assert function() == 1000.0
    enabled = True
    assert function() == 1001.0


def test_negative_latency_is_refused() -> None:
    with pytest.raises(ValueError, match="seconds"):
        Latency(-1.0)
