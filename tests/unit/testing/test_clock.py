"""FakeClock: time moves only when told to."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from cqrs.testing import FakeClock


def test_time_stands_still() -> None:
    clock = FakeClock()
    assert [clock() for _ in range(3)] == [1000.0] * 3


def test_the_start_can_be_chosen() -> None:
    assert FakeClock(5)() == 5.0
    assert FakeClock(start=-2.5)() == -2.5


@pytest.mark.parametrize(
    ("step", "expected"), [(2.5, 1002.5), (3, 1003.0), (0, 1000.0), (timedelta(minutes=1), 1060.0)]
)
def test_advance_moves_time_forward(step: float | timedelta, expected: float) -> None:
    clock = FakeClock()
    clock.advance(step)
    assert clock() == expected


def test_step_back_moves_time_backwards() -> None:
    clock = FakeClock()
    clock.step_back(2.5)
    assert clock() == 997.5


@pytest.mark.parametrize("method", ["advance", "step_back"])
@pytest.mark.parametrize("step", [-1.0, timedelta(seconds=-1), float("nan"), float("inf"), -float("inf")])
def test_senseless_steps_are_refused(method: str, step: object) -> None:
    clock = FakeClock()
    with pytest.raises(ValueError, match="seconds must be"):
        getattr(clock, method)(step)
    assert clock() == 1000.0


@pytest.mark.parametrize("step", ["1", None, True, [1]])
def test_steps_of_another_kind_are_refused(step: object) -> None:
    clock = FakeClock()
    with pytest.raises(TypeError, match="seconds must be a number"):
        clock.advance(step)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="start must be a number"):
        FakeClock(step)  # type: ignore[arg-type]


async def sleep_and_tell(clock: FakeClock, seconds: float, woken: list[tuple[float, float]]) -> None:
    await clock.sleep(seconds)
    woken.append((seconds, clock()))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_sleepers_wake_when_their_time_has_come() -> None:
    clock, woken = FakeClock(), list[tuple[float, float]]()
    async with asyncio.TaskGroup() as tasks:
        for seconds in (3.0, 1.0, 2.0):
            tasks.create_task(sleep_and_tell(clock, seconds, woken))
        await settle()
        assert clock.sleepers == 3
        clock.advance(0.875)
        await settle()
        assert woken == []
        clock.advance(0.125)
        await settle()
        assert woken == [(1.0, 1001.0)]
        clock.advance(5)
    assert [seconds for seconds, _ in woken] == [1.0, 2.0, 3.0]
    assert clock.sleepers == 0


async def test_sleepers_of_one_deadline_wake_in_the_order_in_which_they_went_to_sleep() -> None:
    clock, woken = FakeClock(), list[int]()

    async def sleeper(number: int) -> None:
        await clock.sleep(1)
        woken.append(number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(10):
            tasks.create_task(sleeper(number))
        await settle()
        clock.advance(1)
    assert woken == list(range(10))


async def test_sleeping_for_no_time_lets_others_run() -> None:
    clock, ran = FakeClock(), list[str]()
    task = asyncio.ensure_future(asyncio.sleep(0))
    task.add_done_callback(lambda _: ran.append("other"))
    await clock.sleep(0)
    await settle()
    assert ran == ["other"]


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = FakeClock()
    task = asyncio.ensure_future(clock.sleep(10))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.sleepers == 0
    clock.advance(20)
    await settle()


async def test_elapse_wakes_a_repeating_sleeper_at_each_of_its_deadlines() -> None:
    clock, ticks = FakeClock(), list[float]()

    async def ticker() -> None:
        while True:
            await clock.sleep(1)
            ticks.append(clock())

    task = asyncio.ensure_future(ticker())
    await clock.elapse(3.5)
    assert ticks == [1001.0, 1002.0, 1003.0]
    assert clock() == 1003.5
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_elapse_refuses_no_turns() -> None:
    with pytest.raises(ValueError, match="turns"):
        await FakeClock().elapse(1, turns=0)


async def test_another_thread_may_advance_the_clock() -> None:
    clock, woken = FakeClock(), list[tuple[float, float]]()
    task = asyncio.ensure_future(sleep_and_tell(clock, 2.0, woken))
    await settle()
    thread = threading.Thread(target=clock.advance, args=(2.0,))
    thread.start()
    await asyncio.wait_for(task, 30)
    thread.join(30)
    assert woken == [(2.0, 1002.0)]


def test_no_advance_of_many_threads_is_lost() -> None:
    clock = FakeClock()

    def advance() -> None:
        for _ in range(500):
            clock.advance(0.125)

    threads = [threading.Thread(target=advance) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert clock() == 1000.0 + 8 * 500 * 0.125


def test_a_sleeper_of_a_loop_that_is_gone_disturbs_nobody() -> None:
    clock = FakeClock()

    async def abandon() -> None:
        task = asyncio.ensure_future(clock.sleep(5))
        await settle()
        task.cancel()

    asyncio.run(abandon())
    clock.advance(10)
    assert clock() == 1010.0
