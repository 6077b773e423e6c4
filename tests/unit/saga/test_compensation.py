"""Compensations: how often they are tried, what is told of those that fail, and who may still write."""

from __future__ import annotations

import logging
import uuid
from typing import Any

import pytest

from cqrs.saga.models import FailedCompensation
from cqrs.saga.storage.enums import SagaStatus
from cqrs.saga.storage.memory import MemorySagaStorage
from tests.unit.saga.faulty import FaultySagaStorage, StorageDown
from tests.unit.saga.shop import (
    A,
    B,
    Boom,
    Naps,
    current,
    effects,
    fail,
    lines_of,
    recoverable,
    run,
    status_of,
    transaction,
    wishes,
)


async def test_a_compensation_is_tried_again_with_growing_waits(storage: MemorySagaStorage) -> None:
    naps, attempts = Naps(), []

    def fourth_time(_: Any) -> None:
        attempts.append(current().attempt)
        if len(attempts) < 4:
            raise Boom

    wishes.update({"act B": fail(), "undo A": fourth_time})
    with pytest.raises(Boom):
        await run(
            storage,
            compensation_retry_count=4,
            compensation_retry_delay=0.5,
            compensation_retry_backoff=3.0,
            sleep=naps,
        )
    assert attempts == [1, 2, 3, 4]
    assert naps.seconds == [0.5, 1.5, 4.5]
    assert effects.count("undo A") == 4


async def test_the_documented_defaults(storage: MemorySagaStorage) -> None:
    naps = Naps()
    wishes.update({"act B": fail(), "undo A": fail()})
    with pytest.raises(Boom):
        await run(storage, sleep=naps)
    assert naps.seconds == [1.0, 2.0]
    assert effects.count("undo A") == 3


async def test_any_number_of_attempts_is_made(storage: MemorySagaStorage) -> None:
    naps = Naps()
    wishes.update({"act B": fail(), "undo A": fail()})
    with pytest.raises(Boom):
        await run(storage, compensation_retry_count=1100, compensation_retry_delay=0, sleep=naps)
    assert effects.count("undo A") == 1100
    assert set(naps.seconds) == {0}


async def test_one_that_is_given_up_is_told_and_the_next_goes_on(
    storage: MemorySagaStorage, saga_id: uuid.UUID, caplog: pytest.LogCaptureFixture
) -> None:
    error, failure = Boom("act"), Boom("undo")
    wishes.update({"act C": fail(error), "undo B": fail(failure)})
    with pytest.raises(Boom) as caught:
        async with transaction(storage, saga_id=saga_id, compensation_retry_count=1) as saga:
            async for _ in saga:
                pass
    assert caught.value is error
    assert any(
        "the compensation of B (position 1) was given up: Boom: undo" in note for note in error.__notes__
    )
    assert saga.failed_compensations == (FailedCompensation(1, B, failure),)
    assert effects[-2:] == ["undo B", "undo A"]
    assert await status_of(storage, saga_id) is SagaStatus.FAILED
    assert "1 B compensate failed" in await lines_of(storage, saga_id)
    log = await storage.get_step_history(saga_id)
    assert [line.details for line in log if line.action == "compensate" and line.details] == ["Boom: undo"]
    assert await storage.get_sagas_with_failed_compensation(10) == [saga_id]
    records = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(records) == 1
    assert "the compensation of B (position 1) was given up" in records[0].getMessage()


async def test_the_start_of_a_compensation_shares_a_commit_with_the_end_of_the_one_before() -> None:
    storage = FaultySagaStorage()
    wishes["act C"] = fail()
    with pytest.raises(Boom):
        await run(storage)
    assert storage.calls.count("commit") == 3 + 3  # A, B, C started; C failed and B started, A started, end


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit()])
async def test_an_interrupted_compensation_is_left_to_a_recovery(
    storage: MemorySagaStorage, saga_id: uuid.UUID, error: BaseException
) -> None:
    wishes.update({"act C": fail(), "undo B": fail(error)})
    with pytest.raises(type(error)):
        await run(storage, saga_id=saga_id)
    for _ in range(3):
        await Naps()(0)
    assert await status_of(storage, saga_id) is SagaStatus.COMPENSATING
    assert await recoverable(storage) == [saga_id]
    assert "undo A" not in effects


async def test_a_storage_that_fails_while_it_is_compensated(saga_id: uuid.UUID) -> None:
    storage = FaultySagaStorage()
    act_error = Boom("act")

    def break_storage(_: Any) -> None:
        storage.fails = lambda number, name: name == "commit"

    wishes.update({"act C": fail(act_error), "undo B": break_storage})
    with pytest.raises(StorageDown) as caught:
        await run(storage, saga_id=saga_id)
    assert caught.value.__context__ is not None
    assert effects[-1] == "undo B"
    assert await status_of(storage, saga_id) is SagaStatus.COMPENSATING
    assert await recoverable(storage) == [saga_id]


async def test_without_a_durable_failure_nothing_is_compensated(saga_id: uuid.UUID) -> None:
    storage = FaultySagaStorage()

    def break_storage(_: Any) -> None:
        storage.fails = lambda number, name: name == "commit"
        raise Boom

    wishes["act B"] = break_storage
    with pytest.raises(StorageDown):
        await run(storage, saga_id=saga_id)
    assert effects == ["act A", "act B"]
    assert await status_of(storage, saga_id) is SagaStatus.RUNNING
    assert await recoverable(storage) == [saga_id]


async def test_compensations_of_both_classes_of_one_name_apart(storage: MemorySagaStorage) -> None:
    wishes["act C"] = fail()
    with pytest.raises(Boom):
        async with transaction(storage) as saga:
            async for _ in saga:
                pass
    assert saga.completed_steps == (A, B)
