"""The memory storage keeps the contract, and the promises of its own."""

from __future__ import annotations

import asyncio
import datetime
import threading
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cqrs.exceptions import ConfigurationError, SagaConcurrencyError, SagaNotFoundError
from cqrs.saga.storage import ISagaStorage, MemorySagaStorage, SagaStatus, SagaStepStatus
from cqrs.testing import FakeClock
from tests.unit.saga.storage.contract import SITUATIONS, Subject


@pytest.fixture
def subject(clock: FakeClock) -> Subject:
    async def pass_time(seconds: float) -> None:
        clock.advance(seconds)

    return Subject(MemorySagaStorage(clock=clock), pass_time)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
async def test_situation(situation: Callable[[Subject], Awaitable[None]], subject: Subject) -> None:
    await situation(subject)


def test_it_is_a_storage() -> None:
    assert isinstance(MemorySagaStorage(), ISagaStorage)


async def finish(storage: MemorySagaStorage, status: SagaStatus) -> uuid.UUID:
    saga_id = uuid.uuid4()
    await storage.create_saga(saga_id, "Order", {})
    await storage.update_status(saga_id, status)
    return saga_id


@pytest.mark.parametrize("kept", [0, 2])
async def test_completed_sagas_beyond_the_limit_are_dropped_oldest_first(kept: int) -> None:
    storage = MemorySagaStorage(keep_completed=kept)
    failed = await finish(storage, SagaStatus.FAILED)
    completed = [await finish(storage, SagaStatus.COMPLETED) for _ in range(5)]
    running = await finish(storage, SagaStatus.RUNNING)
    for saga_id in completed[: 5 - kept]:
        with pytest.raises(SagaNotFoundError):
            await storage.load_saga_state(saga_id)
    for saga_id in (failed, running, *completed[5 - kept :]):
        await storage.load_saga_state(saga_id)


async def test_timestamps_are_those_of_the_wall_clock() -> None:
    storage, saga_id = MemorySagaStorage(), uuid.uuid4()
    await storage.create_saga(saga_id, "Order", {})
    await storage.log_step(saga_id, "Charge", "act", SagaStepStatus.COMPLETED)
    (line,) = await storage.get_step_history(saga_id)
    assert abs(line.timestamp - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"lease_seconds": 0},
        {"lease_seconds": "30"},
        {"clock": 5},
        {"keep_completed": -1},
        {"keep_completed": 1.5},
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        MemorySagaStorage(**arguments)


def test_threads_with_event_loops_of_their_own_may_share_it() -> None:
    storage, saga_id = MemorySagaStorage(), uuid.uuid4()
    asyncio.run(storage.create_saga(saga_id, "Order", {}))
    won: list[int] = []
    lost: list[int] = []
    barrier = threading.Barrier(8)

    async def acquire(number: int) -> None:
        async with storage.create_run() as run:
            await run.acquire(saga_id)
            won.append(number)

    def work(number: int) -> None:
        barrier.wait()
        try:
            asyncio.run(acquire(number))
        except SagaConcurrencyError:
            lost.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
