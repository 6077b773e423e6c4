"""What is particular to the ``purgatory`` library."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from purgatory import AsyncInMemoryUnitOfWork
from purgatory.domain.model import OpenedState

from cqrs.adapters.circuit_breaker import PurgatoryAdapter
from cqrs.exceptions import PolicyError
from tests.breakers import purgatory_rig


async def fail() -> None:
    raise ConnectionError("refused")


async def succeed() -> str:
    return "ok"


async def test_the_defaults_are_five_failures_and_the_librarys_rejection() -> None:
    breaker = PurgatoryAdapter()
    for _ in range(5):
        with pytest.raises(ConnectionError):
            await breaker.call("x", fail)
    with pytest.raises(OpenedState) as rejected:
        await breaker.call("x", succeed)
    assert rejected.value.circuit_name == "x"
    assert rejected.value.opened_at > 0


@pytest.mark.parametrize("outcome", [succeed, fail], ids=["success", "failure"])
async def test_an_outcome_from_before_the_outage_changes_nothing_in_half_open(outcome: Any) -> None:
    rig = purgatory_rig()
    admitted, release = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        admitted.set()
        await release.wait()
        return str(await outcome())

    before = asyncio.create_task(rig.breaker.call("x", slow))
    await admitted.wait()
    await rig.trip("x")
    rig.pass_open_time()
    probing, finish = asyncio.Event(), asyncio.Event()

    async def probe() -> None:
        probing.set()
        await finish.wait()
        raise ConnectionError("still down")

    probe_task = asyncio.create_task(rig.breaker.call("x", probe))
    await probing.wait()
    release.set()
    await asyncio.gather(before, return_exceptions=True)
    assert not await rig.rejects("x"), "still half-open"
    finish.set()
    with pytest.raises(ConnectionError):
        await probe_task
    assert await rig.rejects("x"), "the late outcome had closed the circuit"


async def test_what_the_library_keeps_of_rejections_does_not_grow() -> None:
    work = AsyncInMemoryUnitOfWork()
    breaker = PurgatoryAdapter(1, uow=work)
    with pytest.raises(ConnectionError):
        await breaker.call("x", fail)
    for _ in range(3):
        with pytest.raises(OpenedState):
            await breaker.call("x", succeed)
    contexts: Any = work.contexts
    assert contexts.breakers["x"]._state.__traceback__ is None


async def test_the_unit_of_work_is_initialized_before_its_first_use() -> None:
    class Work(AsyncInMemoryUnitOfWork):
        initialized = 0

        async def initialize(self) -> None:
            self.initialized += 1

    work = Work()
    breaker = PurgatoryAdapter(uow=work)
    for _ in range(3):
        await breaker.call("x", succeed)
    assert work.initialized == 1


@pytest.mark.parametrize("arguments", [{"threshold": 0}, {"threshold": True}, {"ttl": 0}, {"ttl": -1}])
def test_bad_numbers_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        PurgatoryAdapter(**arguments)
