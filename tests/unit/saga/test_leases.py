"""Leases: renewed by one timer while there are any."""

from __future__ import annotations

import asyncio
import gc
import logging
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from cqrs.exceptions import SagaConcurrencyError
from cqrs.saga.leases import Lease, Renewer, running_renewer
from cqrs.testing import FakeClock


class Run:
    def __init__(self, answer: bool | Exception = True) -> None:
        self.answer = answer
        self.renewals = 0

    async def renew(self) -> bool:
        self.renewals += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Loop:
    """The part of an event loop that a renewer uses; timers run when a test says so."""

    def __init__(self) -> None:
        self.timers: list[tuple[float, Callable[[], Any]]] = []

    def call_later(self, seconds: float, callback: Callable[[], Any]) -> Any:
        self.timers.append((seconds, callback))
        return self

    def cancel(self) -> None:
        self.timers.pop()

    def create_task(self, coroutine: Any) -> Any:
        return asyncio.get_running_loop().create_task(coroutine)

    async def fire(self) -> float:
        """Run the one timer; return for when it was set."""
        ((seconds, callback),) = self.timers
        self.timers.clear()
        callback()
        for _ in range(6):
            await asyncio.sleep(0)
        return seconds


def make(run: Run, clock: FakeClock, seconds: float = 30.0) -> Lease:
    return Lease(run, uuid.uuid4(), seconds, clock, clock())


async def test_a_lease_is_renewed_when_a_third_of_it_has_passed(clock: FakeClock) -> None:
    loop, run = Loop(), Run()
    renewer = Renewer(loop)  # type: ignore[arg-type]  # all it needs
    lease = make(run, clock)
    renewer.add(lease)
    clock.advance(10)
    assert await loop.fire() == 10
    assert (run.renewals, lease.touched, lease.is_doubtful) == (1, 1010, False)
    renewer.remove(lease)
    await loop.fire()
    assert loop.timers == []
    assert run.renewals == 1


async def test_a_lease_that_a_commit_has_prolonged_is_left_alone(clock: FakeClock) -> None:
    loop, run = Loop(), Run()
    renewer = Renewer(loop)  # type: ignore[arg-type]  # all it needs
    lease = make(run, clock)
    renewer.add(lease)
    clock.advance(8)
    lease.touched = clock()
    clock.advance(2)
    await loop.fire()
    assert run.renewals == 0
    assert loop.timers[0][0] == 8


async def test_a_shorter_lease_is_looked_at_earlier_and_there_is_one_timer(clock: FakeClock) -> None:
    loop = Loop()
    renewer = Renewer(loop)  # type: ignore[arg-type]  # all it needs
    renewer.add(make(Run(), clock))
    renewer.add(make(Run(), clock, 3.0))
    renewer.add(make(Run(), clock, 30.0))
    assert [seconds for seconds, _ in loop.timers] == [1.0]


async def test_a_lost_lease_is_noted_and_renewed_no_more(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    loop, run = Loop(), Run(False)
    renewer = Renewer(loop)  # type: ignore[arg-type]  # all it needs
    lease = make(run, clock)
    renewer.add(lease)
    clock.advance(10)
    await loop.fire()
    clock.advance(10)
    await loop.fire()
    assert (run.renewals, lease.lost) == (1, True)
    assert "was lost" in caplog.text
    with pytest.raises(SagaConcurrencyError):
        await lease.ensure()


async def test_a_renewal_that_fails_is_tried_again_soon(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    loop, run = Loop(), Run(OSError("down"))
    renewer = Renewer(loop)  # type: ignore[arg-type]  # all it needs
    lease = make(run, clock)
    renewer.add(lease)
    clock.advance(10)
    await loop.fire()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    clock.advance(2.5)
    assert await loop.fire() == 2.5
    assert (run.renewals, lease.lost, lease.touched) == (2, False, 1000)


async def test_a_renewal_that_hangs_is_given_up(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    run = Run()

    async def hanging() -> bool:
        await asyncio.Event().wait()
        return True

    run.renew = hanging  # type: ignore[method-assign]  # what is tested
    lease = Lease(run, uuid.uuid4(), 0.001, clock, clock())
    await lease.renew()
    assert "could not be renewed" in caplog.text
    assert not lease.lost


async def test_a_slow_renewal_is_not_begun_twice(clock: FakeClock) -> None:
    loop, run, gate = Loop(), Run(), asyncio.Event()

    async def slow() -> bool:
        run.renewals += 1
        return await gate.wait()

    run.renew = slow  # type: ignore[method-assign]  # what is tested
    renewer = Renewer(loop)  # type: ignore[arg-type]  # all it needs
    lease = make(run, clock)
    renewer.add(lease)
    clock.advance(10)
    await loop.fire()
    clock.advance(5)
    await loop.fire()
    assert run.renewals == 1
    gate.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert lease.touched == 1010  # when the renewal was begun


async def test_few_renewals_are_made_at_once_and_none_of_a_saga_that_has_ended_meanwhile(
    clock: FakeClock,
) -> None:
    loop, gate = Loop(), asyncio.Event()
    renewer = Renewer(loop)  # type: ignore[arg-type]  # all it needs
    leases = {Run(): make(Run(), clock) for _ in range(Renewer.MOST_AT_ONCE + 2)}
    for run, lease in leases.items():

        async def slow(run: Run = run) -> bool:
            run.renewals += 1
            return await gate.wait()

        run.renew, lease.run = slow, run  # type: ignore[method-assign]  # what is tested
        renewer.add(lease)
    clock.advance(10)
    await loop.fire()
    waiting = [run for run in leases if not run.renewals]
    assert len(waiting) == 2
    renewer.remove(leases[waiting[0]])
    gate.set()
    for _ in range(6):
        await asyncio.sleep(0)
    assert [run.renewals for run in waiting] == [0, 1]
    assert sum(run.renewals for run in leases) == Renewer.MOST_AT_ONCE + 1


async def test_a_doubtful_lease_is_made_sure(clock: FakeClock) -> None:
    run = Run()
    lease = make(run, clock)
    clock.advance(20)
    await lease.ensure()
    assert run.renewals == 0
    clock.advance(0.5)
    assert lease.is_doubtful
    await lease.ensure()
    assert (run.renewals, lease.is_doubtful) == (1, False)


def test_each_event_loop_has_a_renewer_of_its_own() -> None:
    async def get() -> Renewer:
        assert running_renewer() is running_renewer()
        return running_renewer()

    assert asyncio.run(get()) is not asyncio.run(get())
    gc.collect()
