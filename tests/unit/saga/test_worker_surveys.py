"""What nobody recovers is found and told once, and the questions keep nobody from being recovered."""

from __future__ import annotations

import logging
import uuid
from typing import Any

import pytest

from cqrs.saga.storage.enums import SagaStatus, SagaStepStatus
from cqrs.saga.storage.memory import MemorySagaStorage
from cqrs.saga.storage.protocol import ISagaStorage
from cqrs.saga.worker import RecoveryWorker
from tests.unit.saga.recovering import World
from tests.unit.saga.shop import Shop, Steps, effects, fail, status_of, wishes


async def test_a_saga_that_fails_too_often_is_left_alone_and_told_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    saga_id = await world.crashed()
    context = (await world.storage.load_saga_state(saga_id))[1]
    await world.storage.update_context(saga_id, {"done": 5})
    worker = world.worker(max_recovery_attempts=2)
    results = []
    for _ in range(5):
        results.append(await worker.run_once())
        world.clock.advance(1000)
    assert [list(result.failed) for result in results] == [[saga_id], [saga_id], [], [], []]
    assert [result.exhausted for result in results] == [[], [], [saga_id], [], []]
    assert world.told().count("exhausted") == 1
    (record,) = [record for record in caplog.records if "left alone" in record.message]
    assert record.levelno == logging.ERROR
    assert "set_recovery_attempts(saga_id, 0)" in record.message
    await world.storage.update_context(saga_id, context)
    await world.storage.set_recovery_attempts(saga_id, 0)
    assert (await worker.run_once()).completed == [saga_id]


async def test_a_compensation_that_was_given_up_is_told_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    saga_id = await world.crashed("act C")
    wishes["act C"] = fail()
    wishes["undo A"] = fail()
    worker = world.worker(compensation_retry_delay=0.0)
    results = [await worker.run_once() for _ in range(3)]
    assert [result.compensated for result in results] == [[saga_id], [], []]
    assert [result.failed_compensations for result in results] == [[saga_id], [], []]
    assert world.told() == ["compensated", "failed_compensation"]
    assert any("could not be compensated: get_step_history" in record.message for record in caplog.records)


async def test_names_that_nobody_knows_are_told_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("Refund", "Refund", "Gift"):
        await world.storage.create_saga(uuid.uuid4(), name, {})
    worker = world.worker()
    assert (await worker.run_once()).unknown_names == ["Gift", "Refund"]
    assert (await worker.run_once()).unknown_names == []
    assert [event.saga_name for event in world.events] == ["Gift", "Refund"]
    assert caplog.text.count("this worker does not know") == 2


async def test_a_saga_whose_recovery_does_not_even_begin_is_exhausted_in_the_end(world: World) -> None:
    saga_id = await world.crashed()
    worker = world.worker()

    def broken() -> Any:
        raise ConnectionError("no runs today")

    world.storage.create_run = broken  # type: ignore[method-assign]
    results = [await worker.run_once() for _ in range(12)]
    assert [list(result.failed) for result in results] == [[saga_id], []] * 5 + [[], []]
    assert world.told() == ["failed"] * 5 + ["exhausted"]
    assert await world.storage.get_exhausted_sagas(10) == [saga_id]


async def test_an_idle_worker_asks_at_most_once_per_interval(world: World) -> None:
    async with world.worker(interval=5.0):
        await world.clock.elapse(5.0 * 100 - 1)
        asked = list(world.storage.questions)
    assert len(asked) == 100
    assert asked[:7] == ["sagas", "names", "sagas", "exhausted", "sagas", "compensations", "sagas"]
    assert asked.count("sagas") > 85
    assert all(asked.count(survey) >= 2 for survey in ("names", "exhausted", "compensations"))


async def test_a_survey_that_always_fails_keeps_nobody_from_being_recovered(world: World) -> None:
    async def broken() -> set[str]:
        raise ConnectionError("no names today")

    world.storage.get_unfinished_names = broken  # type: ignore[method-assign]
    async with world.worker():
        await world.clock.elapse(20)
        saga_id = await world.crashed()
        await world.clock.elapse(20, turns=50)
        assert await status_of(world.storage, saga_id) is SagaStatus.COMPLETED
    assert world.told().count("storage_error") == 1


async def test_a_storage_that_cannot_tell_of_compensations_will_do(world: World) -> None:
    class Plain(MemorySagaStorage):
        get_sagas_with_failed_compensation = ISagaStorage.get_sagas_with_failed_compensation

    storage = Plain()
    saga_id = uuid.uuid4()
    await storage.create_saga(saga_id, "Shop", {})
    await storage.log_step(saga_id, "A", "act", SagaStepStatus.COMPLETED, position=0)
    assert (await RecoveryWorker([Shop], Steps(), storage).run_once()).completed == [saga_id]
    assert effects == ["act B", "act C"]
