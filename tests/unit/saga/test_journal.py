"""The end of a run, whatever becomes of its coroutine; and the lease meanwhile."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from cqrs.saga import journal
from cqrs.saga.leases import running_renewer
from cqrs.saga.storage.enums import SagaStatus
from cqrs.saga.storage.memory import MemorySagaStorage
from cqrs.testing import FakeClock
from tests.unit.saga.faulty import FaultySagaStorage, StorageDown
from tests.unit.saga.shop import effects, fail, recoverable, run, status_of, transaction, wishes


async def test_a_lease_is_renewed_while_a_step_takes_long(clock: FakeClock, saga_id: uuid.UUID) -> None:
    storage = FaultySagaStorage(clock=clock)

    async def take_long(_: Any) -> None:
        for _ in range(6):
            clock.advance(10)
            running_renewer().tick()
            for _ in range(8):
                await asyncio.sleep(0)
            assert await recoverable(storage) == []

    wishes["act B"] = take_long
    assert await run(storage, saga_id=saga_id, clock=clock) == ["A", "B", "C"]
    assert storage.calls.count("renew") == 6


async def test_a_renewal_under_way_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock, saga_id: uuid.UUID
) -> None:
    storage, begun, gate = FaultySagaStorage(clock=clock), asyncio.Event(), asyncio.Event()
    passed = storage.passed

    async def slow(name: str, call: Any) -> Any:
        if name == "renew":
            begun.set()
            await gate.wait()
        return await passed(name, call)

    monkeypatch.setattr(storage, "passed", slow)

    async def be_renewed(_: Any) -> None:
        clock.advance(10)
        running_renewer().tick()
        await begun.wait()

    wishes["act C"] = be_renewed
    task = asyncio.create_task(run(storage, saga_id=saga_id, clock=clock))
    await begun.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    assert await status_of(storage, saga_id) is SagaStatus.COMPLETED
    assert not task.done()
    assert "exit" not in storage.calls
    gate.set()
    assert await task == ["A", "B", "C"]
    assert storage.calls[-2:] == ["renew", "exit"]


async def test_a_saga_that_is_over_is_renewed_no_more(clock: FakeClock, saga_id: uuid.UUID) -> None:
    storage = FaultySagaStorage(clock=clock)
    await run(storage, saga_id=saga_id, clock=clock)
    async with transaction(storage, clock=clock) as left:
        await anext(left)
    clock.advance(20)
    running_renewer().tick()
    for _ in range(8):
        await asyncio.sleep(0)
    assert "renew" not in storage.calls


async def test_a_release_that_hangs_does_not_hold_anybody_up(
    monkeypatch: pytest.MonkeyPatch, saga_id: uuid.UUID
) -> None:
    monkeypatch.setattr(journal, "RELEASE_SECONDS", 0)
    storage, gate = FaultySagaStorage(), asyncio.Event()
    passed = storage.passed

    async def hang(name: str, call: Any) -> Any:
        if name == "release":
            await gate.wait()
        return await passed(name, call)

    monkeypatch.setattr(storage, "passed", hang)
    async with transaction(storage, saga_id=saga_id) as left:
        await anext(left)
    assert await recoverable(storage) == []
    gate.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert await recoverable(storage) == [saga_id]


async def test_a_release_that_fails_is_logged(caplog: pytest.LogCaptureFixture, saga_id: uuid.UUID) -> None:
    storage = FaultySagaStorage(lambda number, name: name in ("release", "exit"))
    async with transaction(storage, saga_id=saga_id) as left:
        await anext(left)
    assert "could not be given back" in caplog.text
    assert "could not be ended" in caplog.text
    assert await status_of(storage, saga_id) is SagaStatus.RUNNING


async def test_a_run_that_cannot_be_ended_undoes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    storage = FaultySagaStorage(lambda number, name: name == "exit")
    assert await run(storage) == ["A", "B", "C"]
    assert "could not be ended" in caplog.text


async def test_a_run_that_cannot_be_opened() -> None:
    with pytest.raises(StorageDown):
        await run(FaultySagaStorage(lambda number, name: name == "enter"))


def _forever(_: Any) -> Any:
    async def wait() -> None:
        for _ in range(1000):
            await asyncio.sleep(0)

    return wait()


@pytest.mark.parametrize("where", ["act B", "body", "undo A"])
def test_a_coroutine_that_is_closed_after_its_event_loop_and_elsewhere(
    caplog: pytest.LogCaptureFixture, where: str
) -> None:
    storage = MemorySagaStorage()
    if where == "undo A":
        wishes["act B"] = fail()
    wishes[where] = _forever

    async def execute() -> None:
        async with transaction(storage) as saga:
            async for _ in saga:
                if where == "body":
                    await _forever(None)

    async def begin() -> Any:
        coroutine = execute()
        for _ in range(20):
            coroutine.send(None)
        return coroutine

    coroutine = asyncio.run(begin())
    coroutine.close()
    assert "its lease runs out" in caplog.text
    assert (
        effects
        == {"act B": ["act A", "act B"], "body": ["act A"], "undo A": ["act A", "act B", "undo A"]}[where]
    )
    (saga,) = storage._table.unfinished.values()
    assert saga.status is (SagaStatus.COMPENSATING if where == "undo A" else SagaStatus.RUNNING)
