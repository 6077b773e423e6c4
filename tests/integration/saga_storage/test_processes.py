"""A SQLite file that several processes use at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid

import pytest

from cqrs.saga.storage import SagaStatus
from cqrs.saga.storage.sqlalchemy import SqlAlchemySagaStorage
from tests.servers.databases import Database

WORK = """
import asyncio, sys, uuid
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from cqrs.exceptions import SagaConcurrencyError
from cqrs.saga.storage import SagaStatus, SagaStepStatus
from cqrs.saga.storage.sqlalchemy import SqlAlchemySagaStorage

async def execute(storage, saga_id):
    async with storage.create_run() as run:
        await run.create_saga(saga_id, "Order", {})
        for position in range(3):
            await run.log_step(saga_id, "Step", "act", SagaStepStatus.STARTED, position=position)
            await run.commit()
            await run.log_step(saga_id, "Step", "act", SagaStepStatus.COMPLETED, position=position)
        await run.update_status(saga_id, SagaStatus.COMPLETED)
        await run.commit()

async def take(storage, saga_id):
    async with storage.create_run() as run:
        try:
            await run.acquire(uuid.UUID(saga_id), recovering=True)
        except SagaConcurrencyError:
            return 0
        await run.log_step(uuid.UUID(saga_id), "Step", "act", SagaStepStatus.COMPLETED, position=0)
        await run.commit()
        return 1

async def main():
    engine = create_async_engine(sys.argv[1])
    storage = SqlAlchemySagaStorage(async_sessionmaker(engine))
    await storage.create_tables()
    await asyncio.gather(*(execute(storage, uuid.uuid4()) for _ in range(15)))
    print(sum([await take(storage, saga_id) for saga_id in sys.argv[2:]]))
    await engine.dispose()

asyncio.run(main())
"""


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("mode", ["delete", "wal"])
async def test_processes_do_not_disturb_each_other(database: Database, mode: str) -> None:
    storage = SqlAlchemySagaStorage(database.session_factory)
    await storage.create_tables()
    async with database.engine.connect() as connection:
        await connection.exec_driver_sql(f"PRAGMA journal_mode={mode}")
    shared = [uuid.uuid4() for _ in range(10)]
    for saga_id in shared:
        await storage.create_saga(saga_id, "Shared", {})
    command = [sys.executable, "-c", WORK, database.url, *map(str, shared)]
    processes = [
        await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    outputs = [await process.communicate() for process in processes]
    assert [error.decode() for _, error in outputs] == ["", "", ""]
    assert sum(int(output) for output, _ in outputs) == 10
    assert await storage.get_unfinished_names() == {"Shared"}
    assert await storage.purge_finished(0) == 45
    for saga_id in shared:
        assert len(await storage.get_step_history(saga_id)) == 1
        assert (await storage.load_saga_state(saga_id))[0] is SagaStatus.PENDING
