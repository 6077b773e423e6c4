"""One round of the recovery worker: what it recovers, what it tells, what it refuses; in fake time."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import Any

import pytest

from cqrs.dispatcher.saga_map import SagaMap
from cqrs.exceptions import ConfigurationError, SagaConcurrencyError, SagaNotFoundError
from cqrs.saga.storage.enums import SagaStatus
from cqrs.saga.storage.memory import MemorySagaStorage
from cqrs.saga.worker import RecoveryEvent, RecoveryWorker
from tests.unit.saga.recovering import Blocked, Torn, World
from tests.unit.saga.shop import Order, Shop, Steps, effects, fail, run, status_of, wishes


async def test_what_was_interrupted_goes_forward_to_its_end(world: World) -> None:
    saga_id = await world.crashed("act B")
    result = await world.worker().run_once()
    assert result.completed == [saga_id]
    assert effects == ["act B", "act C"]
    assert await status_of(world.storage, saga_id) is SagaStatus.COMPLETED
    assert world.events == [RecoveryEvent("completed", saga_id, "Shop")]
    again = await world.worker().run_once()
    assert again.completed == []


async def test_a_saga_that_was_created_and_no_more_is_recovered(world: World) -> None:
    saga_id = uuid.uuid4()
    await world.storage.create_saga(saga_id, "Shop", {})
    assert (await world.worker().run_once()).completed == [saga_id]


async def test_what_is_being_compensated_is_compensated_to_its_end(world: World) -> None:
    saga_id = uuid.uuid4()
    wishes["act C"] = fail()
    wishes["undo B"] = fail(asyncio.CancelledError())
    with contextlib.suppress(asyncio.CancelledError):
        await run(world.storage, saga_id=saga_id)
    wishes.clear()
    effects.clear()
    result = await world.worker().run_once()
    assert result.compensated == [saga_id]
    assert effects == ["undo B", "undo A"]
    assert await status_of(world.storage, saga_id) is SagaStatus.FAILED
    assert world.told() == ["compensated"]


async def test_a_step_that_fails_in_recovery_compensates_the_saga_which_is_an_end(world: World) -> None:
    saga_id = await world.crashed("act B")
    wishes["act C"] = fail()
    result = await world.worker().run_once()
    assert (result.compensated, result.failed) == ([saga_id], {})
    assert effects == ["act B", "act C", "undo B", "undo A"]


@pytest.mark.parametrize(
    "error", [SagaConcurrencyError(uuid.uuid4(), "busy"), SagaNotFoundError(uuid.uuid4())]
)
async def test_what_a_step_meets_with_another_saga_fails_the_step(world: World, error: Exception) -> None:
    saga_id = await world.crashed()
    wishes["act B"] = fail(error)
    result = await world.worker().run_once()
    assert (result.busy, result.compensated) == ([], [saga_id])
    assert await status_of(world.storage, saga_id) is SagaStatus.FAILED


async def test_a_leased_saga_is_left_alone(world: World) -> None:
    saga_id = uuid.uuid4()
    blocked = wishes["act B"] = Blocked()
    task = asyncio.create_task(run(world.storage, saga_id=saga_id))
    await blocked.reached.wait()
    result = await world.worker().run_once()
    assert (result.completed, result.busy) == ([], [])
    blocked.open.set()
    await task
    assert effects == ["act A", "act B", "act C"]


async def test_three_workers_act_once(world: World) -> None:
    saga_ids = [await world.crashed() for _ in range(10)]
    results = await asyncio.gather(*(world.worker().run_once() for _ in range(3)))
    assert {saga_id for result in results for saga_id in result.completed} == set(saga_ids)
    assert len(effects) == 10 * 3
    assert all(not result.failed for result in results)
    assert set(world.told()) <= {"completed", "busy"}


@pytest.mark.parametrize("end", ["completed", "compensated"])
async def test_what_another_worker_ends_in_between_has_ended_for_both(world: World, end: str) -> None:
    """Two are told of it, one has done it."""
    if end == "compensated":
        wishes["act C"] = fail()
    saga_id = await world.crashed("act C")
    find, other = world.storage.get_named_sagas_for_recovery, world.worker()

    async def find_late(*args: Any, **kwargs: Any) -> Any:
        world.storage.get_named_sagas_for_recovery = find  # type: ignore[method-assign]
        found = await find(*args, **kwargs)
        await other.run_once()
        return found

    world.storage.get_named_sagas_for_recovery = find_late  # type: ignore[method-assign]
    result = await world.worker().run_once()
    ended = getattr(result, end)
    assert (ended, result.busy, result.failed) == ([saga_id], [], {})
    assert effects == (["act C", "undo B", "undo A"] if end == "compensated" else ["act C"])
    assert world.told() == [end, end]


async def test_what_is_gone_in_between_is_nobodys_business(world: World) -> None:
    saga_id = await world.crashed()
    find = world.storage.get_named_sagas_for_recovery

    async def find_late(*args: Any, **kwargs: Any) -> Any:
        found = await find(*args, **kwargs)
        await run(world.storage, saga_id=saga_id)
        await world.storage.purge_finished(0)
        return found

    world.storage.get_named_sagas_for_recovery = find_late  # type: ignore[method-assign]
    result = await world.worker().run_once()
    assert (result.busy, result.failed, world.told()) == ([saga_id], {}, ["busy"])


async def test_at_most_so_many_are_recovered_at_once(world: World) -> None:
    for _ in range(7):
        await world.crashed()
    running = most = 0

    async def count(_: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1

    wishes["act B"] = count
    result = await world.worker(concurrency=3).run_once()
    assert (len(result.completed), most) == (7, 3)


async def test_one_bad_saga_does_not_disturb_the_others(world: World) -> None:
    bad = await world.crashed()
    await world.storage.update_context(bad, {"done": 5})
    good = [await world.crashed() for _ in range(3)]
    result = await world.worker().run_once()
    assert result.completed == good
    assert list(result.failed) == [bad]


async def test_a_saga_map_is_understood(world: World) -> None:
    sagas = SagaMap()
    sagas.bind(Order, Shop)
    saga_id = await world.crashed()
    assert (await world.worker(sagas).run_once()).completed == [saga_id]


async def test_the_events_of_recovered_steps_are_delivered(world: World) -> None:
    await world.crashed("act B")
    delivered: list[object] = []

    async def deliver(events: Any, scope: Any) -> None:
        delivered.extend(events)

    await world.worker(deliver=deliver).run_once()
    assert delivered == ["B acted", "C acted"]


async def test_an_error_of_the_storage_is_raised_to_who_asked_once(world: World) -> None:
    world.storage.down = True
    with pytest.raises(ConnectionError):
        await world.worker().run_once()


async def test_a_cancelled_round_leaves_no_recovery_behind(world: World) -> None:
    saga_id = await world.crashed()
    blocked = wishes["act B"] = Blocked()
    task = asyncio.create_task(world.worker().run_once())
    await blocked.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await status_of(world.storage, saga_id) is SagaStatus.RUNNING
    del wishes["act B"]
    world.clock.advance(100)
    assert (await world.worker().run_once()).completed == [saga_id]


async def test_a_failed_recovery_waits_longer_each_time(world: World) -> None:
    saga_id = await world.crashed()
    context = (await world.storage.load_saga_state(saga_id))[1]
    await world.storage.update_context(saga_id, {"done": 5})
    worker = world.worker()
    for wait in (10, 20, 40):
        assert list((await worker.run_once()).failed) == [saga_id]
        assert world.events[-1].kind == "failed"
        assert world.events[-1].retry_after == wait
        world.clock.advance(wait - 1)
        assert not (await worker.run_once()).failed
        world.clock.advance(2)
    await world.storage.update_context(saga_id, context)
    assert (await worker.run_once()).completed == [saga_id]


async def test_a_listener_that_raises_disturbs_nobody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    saga_ids = [await world.crashed() for _ in range(2)]

    def listener(event: RecoveryEvent) -> None:
        raise ValueError("not listening")

    assert (await world.worker(on_event=listener).run_once()).completed == saga_ids
    assert "the listener" in caplog.text


@pytest.mark.parametrize("recovery_timeout", [None, 20.0])
async def test_a_step_that_lets_out_a_cancellation_has_failed_and_is_tried_again(
    world: World, recovery_timeout: float | None
) -> None:
    saga_id = await world.crashed()
    wishes["act B"] = fail(asyncio.CancelledError())
    worker = world.worker(recovery_timeout=recovery_timeout)
    result = await worker.run_once()
    assert list(result.failed) == [saga_id]
    assert [(event.kind, event.retry_after) for event in world.events] == [("failed", 10.0)]
    assert isinstance(result.failed[saga_id].__cause__, asyncio.CancelledError)
    assert effects == ["act A", "act B"]
    assert await status_of(world.storage, saga_id) is SagaStatus.RUNNING
    del wishes["act B"]
    assert (await worker.run_once()).completed == []
    world.clock.advance(11)
    assert (await worker.run_once()).completed == [saga_id]


async def test_a_step_that_cancels_its_own_task_is_logged_and_tried_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    saga_id = await world.crashed()

    async def cancel(_: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    wishes["act B"] = cancel
    assert (await world.worker().run_once()).completed == []
    assert f"the recovery of saga {saga_id} was cancelled" in caplog.text
    del wishes["act B"]
    world.clock.advance(100)
    assert (await world.worker().run_once()).completed == [saga_id]


async def test_what_is_no_exception_is_raised_to_who_asked_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    torn = await world.crashed()
    wishes["act B"] = fail(Torn("this test has failed"))
    with pytest.raises(Torn, match="this test has failed"):
        await world.worker().run_once()
    assert await status_of(world.storage, torn) is SagaStatus.RUNNING
    assert f"the recovery of saga {torn} was torn down" in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {"interval": 0},
        {"recovery_timeout": 0},
        {"limit": 0},
        {"concurrency": 0},
        {"max_recovery_attempts": 0},
        {"stale_after_seconds": -1},
        {"retry_backoff": 5},
        {"on_event": 5},
        {"clock": None},
        {"random": 5},
        {"compensation_retry_count": 0},
    ],
    ids=lambda options: next(iter(options)),
)
def test_wrong_options_are_refused(world: World, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        world.worker(**options)


def test_a_storage_and_a_container_are_needed(world: World) -> None:
    with pytest.raises(ConfigurationError, match="storage"):
        RecoveryWorker([Shop], Steps(), MemorySagaStorage)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="container"):
        RecoveryWorker([Shop], object(), world.storage)  # type: ignore[arg-type]


async def test_stale_sagas_alone_are_recovered_when_asked_for(world: World) -> None:
    saga_id = await world.crashed()
    worker = world.worker(stale_after_seconds=60)
    assert (await worker.run_once()).completed == []
    world.clock.advance(61)
    assert (await worker.run_once()).completed == [saga_id]
