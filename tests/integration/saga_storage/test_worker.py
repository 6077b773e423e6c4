"""The recovery worker on databases."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from cqrs.saga import RecoveryWorker
from cqrs.saga.storage import SagaStatus
from cqrs.saga.storage.sqlalchemy import SqlAlchemySagaStorage
from cqrs.testing import FakeClock
from tests.servers.databases import Database
from tests.unit.saga.recovering import crashed
from tests.unit.saga.shop import Shop, Steps, effects, fail, status_of, wishes


@pytest.fixture(autouse=True)
def _clean_shop() -> None:
    effects.clear()
    wishes.clear()


async def test_workers_of_several_processes_act_once(
    database: Database, storage: SqlAlchemySagaStorage
) -> None:
    saga_ids = [await crashed(storage, "act B") for _ in range(6)]
    effects.clear()
    storages = [SqlAlchemySagaStorage(database.session_factory) for _ in range(3)]
    workers = [RecoveryWorker([Shop], Steps(), each) for each in storages]
    results = await asyncio.gather(*(worker.run_once() for worker in workers))
    # One that has found a saga which another one has completed meanwhile sees it completed.
    assert {saga_id for result in results for saga_id in result.completed} == set(saga_ids)
    assert not any(result.failed for result in results)
    assert sorted(effects) == ["act B"] * 6 + ["act C"] * 6
    for saga_id in saga_ids:
        assert await status_of(storage, saga_id) is SagaStatus.COMPLETED


async def test_a_failed_recovery_is_put_off_by_the_clock_of_the_database(
    storage: SqlAlchemySagaStorage, pass_time: Any
) -> None:
    saga_id = await crashed(storage, "act B")
    await storage.update_context(saga_id, {"done": 5})
    worker = RecoveryWorker([Shop], Steps(), storage)
    assert list((await worker.run_once()).failed) == [saga_id]
    assert not (await worker.run_once()).failed
    assert await storage.get_sagas_for_recovery(10) == []
    await pass_time(6)
    assert await storage.get_sagas_for_recovery(10) == [saga_id]


async def test_what_failed_is_told_from_the_database(storage: SqlAlchemySagaStorage) -> None:
    saga_id = await crashed(storage, "act C")
    wishes["act C"] = wishes["undo A"] = fail()
    await storage.create_saga(uuid.uuid4(), "Refund", {})
    worker = RecoveryWorker([Shop], Steps(), storage, compensation_retry_delay=0.0)
    result = await worker.run_once()
    assert (result.compensated, result.failed_compensations) == ([saga_id], [saga_id])
    assert result.unknown_names == ["Refund"]


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
async def test_an_idle_worker_sends_one_statement_per_interval(
    database: Database, storage: SqlAlchemySagaStorage
) -> None:
    clock = FakeClock()
    statements: list[str] = []
    sent = asyncio.Semaphore(0)

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)
        sent.release()

    sa.event.listen(database.engine.sync_engine, "after_cursor_execute", note)
    async with RecoveryWorker([Shop], Steps(), storage, interval=5.0, clock=clock, sleep=clock.sleep):
        for number in range(1, 21):
            await sent.acquire()
            while not clock.sleepers:  # noqa: ASYNC110  (until the answer has come)
                await asyncio.sleep(0)
            assert len(statements) == number
            clock.advance(6.0)
    assert len(statements) <= 21
