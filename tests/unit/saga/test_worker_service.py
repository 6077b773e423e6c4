"""The recovery worker as a service: how it lives, waits and ends; in fake time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cqrs.saga.storage.enums import SagaStatus
from tests.unit.saga.recovering import Blocked, Torn, World, settle, until_completed
from tests.unit.saga.shop import fail, status_of, wishes


async def test_it_polls_and_recovers_until_it_is_stopped(world: World) -> None:
    async with world.worker() as worker:
        assert worker.is_running
        await settle()
        saga_id = await world.crashed()
        await world.clock.elapse(15, turns=50)
        assert await status_of(world.storage, saga_id) is SagaStatus.COMPLETED
    assert not worker.is_running
    questions = len(world.storage.questions)
    await world.clock.elapse(100)
    assert len(world.storage.questions) == questions
    assert world.clock.sleepers == 0


async def test_the_interval_is_stretched_at_random(world: World) -> None:
    numbers = iter([0.0, 0.5, 1.0] + [0.0] * 100)
    async with world.worker(interval=10.0, random=lambda: next(numbers)):
        times = []
        for _ in range(350):
            await world.clock.elapse(0.1)
            if len(world.storage.questions) > len(times):
                times.append(world.clock() - 1000)
    assert times == pytest.approx([0.1, 10.1, 21.1, 33.1], abs=0.15)


async def test_a_backlog_is_worked_off_without_waiting(world: World) -> None:
    saga_ids = [await world.crashed() for _ in range(20)]
    async with world.worker(limit=5, concurrency=2):
        await asyncio.wait_for(until_completed(world.storage, saga_ids), 10)
        assert world.clock() == 1000


async def test_a_saga_that_hangs_holds_up_nobody(world: World) -> None:
    stuck = await world.crashed()
    blocked = wishes["act B"] = Blocked()
    async with world.worker(concurrency=2):
        await blocked.reached.wait()
        del wishes["act B"]
        later = await world.crashed()
        await world.clock.elapse(15, turns=50)
        assert await status_of(world.storage, later) is SagaStatus.COMPLETED
        assert await status_of(world.storage, stuck) is SagaStatus.RUNNING
        blocked.open.set()
    assert await status_of(world.storage, stuck) is SagaStatus.COMPLETED


async def test_a_recovery_that_takes_too_long_makes_room_and_is_tried_again(world: World) -> None:
    stuck = await world.crashed()
    blocked = wishes["act B"] = Blocked()
    async with world.worker(concurrency=1, recovery_timeout=20):
        await blocked.reached.wait()
        del wishes["act B"]
        later = await world.crashed()
        await world.clock.elapse(19, turns=50)
        assert await status_of(world.storage, later) is SagaStatus.RUNNING
        await world.clock.elapse(10, turns=50)
        assert await status_of(world.storage, later) is SagaStatus.COMPLETED
        [event] = [event for event in world.events if event.kind == "failed"]
        assert (event.saga_id, event.retry_after) == (stuck, 10.0)
        assert isinstance(event.error, TimeoutError)
        assert str(event.error) == "it took longer than 20 s, and was cancelled"
        await world.clock.elapse(20, turns=50)
        assert await status_of(world.storage, stuck) is SagaStatus.COMPLETED
    assert len(asyncio.all_tasks()) == 1


async def test_errors_of_the_storage_are_waited_out(world: World, caplog: pytest.LogCaptureFixture) -> None:
    saga_id = await world.crashed()
    world.storage.down = True
    async with world.worker():
        await world.clock.elapse(20)
        asked = len(world.storage.questions)
        assert 3 <= asked <= 6  # after 0, 1, 3, 7, 15 s
        assert set(world.told()) == {"storage_error"}
        waits = [event.retry_after for event in world.events]
        assert waits == sorted(waits, key=lambda wait: wait or 0)
        world.storage.down = False
        await world.clock.elapse(60, turns=50)
    assert await status_of(world.storage, saga_id) is SagaStatus.COMPLETED
    assert sum(record.exc_info is not None for record in caplog.records) == 1


async def test_a_driver_that_lets_out_a_cancellation_does_not_end_the_worker(world: World) -> None:
    saga_id = await world.crashed()
    find = world.storage.get_named_sagas_for_recovery
    raised = [asyncio.CancelledError(), asyncio.CancelledError()]

    async def cancelled(*args: Any, **kwargs: Any) -> Any:
        if raised:
            raise raised.pop()
        return await find(*args, **kwargs)

    world.storage.get_named_sagas_for_recovery = cancelled  # type: ignore[method-assign]
    async with world.worker() as worker:
        await world.clock.elapse(60, turns=50)
        assert worker.is_running
        assert await status_of(world.storage, saga_id) is SagaStatus.COMPLETED
    assert [type(event.error) for event in world.events[:2]] == [RuntimeError, RuntimeError]


async def test_a_worker_task_that_is_cancelled_ends(world: World) -> None:
    before = asyncio.all_tasks()
    worker = world.worker()
    worker.start()
    await settle()
    (task,) = [task for task in asyncio.all_tasks() - before if task.get_name() == "saga-recovery-worker"]
    task.cancel()
    await settle()
    assert not worker.is_running
    await worker.stop()


async def test_what_is_no_exception_does_not_end_the_service(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    torn = await world.crashed()
    wishes["act B"] = fail(Torn("no exception"))
    async with world.worker() as worker:
        await settle()
        assert f"the recovery of saga {torn} was torn down" in caplog.text
        del wishes["act B"]
        await world.clock.elapse(30, turns=50)
        assert worker.is_running
        assert await status_of(world.storage, torn) is SagaStatus.COMPLETED


async def test_stopping_waits_for_what_runs(world: World) -> None:
    saga_id = await world.crashed()
    blocked = wishes["act B"] = Blocked()
    worker = world.worker()
    worker.start()
    await blocked.reached.wait()
    stopping = asyncio.create_task(worker.stop(timeout=10.0))
    await settle()
    assert not stopping.done()
    blocked.open.set()
    await stopping
    assert await status_of(world.storage, saga_id) is SagaStatus.COMPLETED


async def test_stopping_cancels_what_does_not_end_in_time(world: World) -> None:
    saga_id = await world.crashed()
    blocked = wishes["act B"] = Blocked()
    worker = world.worker()
    worker.start()
    await blocked.reached.wait()
    stopping = asyncio.create_task(worker.stop(timeout=10.0))
    await world.clock.elapse(9)
    assert not stopping.done()
    await world.clock.elapse(2, turns=100)
    await stopping
    assert await status_of(world.storage, saga_id) is SagaStatus.RUNNING
    assert world.told() == []
    del wishes["act B"]
    world.clock.advance(100)
    assert (await world.worker().run_once()).completed == [saga_id]
    assert len(asyncio.all_tasks()) == 1


async def test_stopping_ends_the_wait_for_room(world: World) -> None:
    for _ in range(5):
        await world.crashed()
    blocked = wishes["act B"] = Blocked()
    worker = world.worker(concurrency=1)
    worker.start()
    await blocked.reached.wait()
    await settle()
    stopping = asyncio.create_task(worker.stop(timeout=10.0))
    await settle()
    blocked.open.set()
    await stopping
    assert world.told() == ["completed"]


async def test_a_cancelled_stop_still_ends_everything(world: World) -> None:
    await world.crashed()
    blocked = wishes["act B"] = Blocked()
    worker = world.worker()
    worker.start()
    await blocked.reached.wait()
    stopping = asyncio.create_task(worker.stop())
    await settle()
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert len(asyncio.all_tasks()) == 1


async def test_it_can_be_started_again_but_not_twice(world: World) -> None:
    worker = world.worker()
    await worker.stop()
    worker.start()
    with pytest.raises(RuntimeError, match="started already"):
        worker.start()
    await worker.stop()
    await worker.stop()
    saga_id = await world.crashed()
    async with worker:
        await until_completed(world.storage, [saga_id])


async def test_an_error_in_the_block_stops_it_and_crosses(world: World) -> None:
    worker = world.worker()
    with pytest.raises(ValueError, match="mine"):
        async with worker:
            raise ValueError("mine")
    assert not worker.is_running
