"""What is particular to the ``interlock`` library."""

from __future__ import annotations

import asyncio

import pytest
from interlock import CircuitOpenError, Config

from cqrs.adapters.circuit_breaker import InterlockAdapter
from tests.breakers import interlock_rig


async def fail() -> None:
    raise ConnectionError("refused")


async def test_rejections_are_the_librarys_and_name_the_circuit() -> None:
    rig = interlock_rig()
    await rig.trip("x")
    with pytest.raises(CircuitOpenError) as rejected:
        await rig.breaker.call("x", fail)
    assert rejected.value.breaker_name == "x"
    assert rejected.value.retry_after == 60.0


async def test_a_second_probe_is_rejected_while_one_runs() -> None:
    rig = interlock_rig()
    await rig.trip("x")
    rig.pass_open_time()
    probing = asyncio.Event()

    async def probe() -> None:
        probing.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(rig.breaker.call("x", probe))
    await probing.wait()
    assert await rig.rejects("x")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not await rig.rejects("x")


async def test_a_storage_is_awaited_around_the_call() -> None:
    read = asyncio.Event()

    class Storage:
        """Shares nothing, but takes a turn of the event loop for every answer."""

        async def read(self, name: str) -> None:
            await asyncio.sleep(0)
            read.set()

        async def trip_open(self, **_: object) -> None:
            await asyncio.sleep(0)

    breaker = InterlockAdapter(Config(minimum_number_of_calls=1), storage=Storage())  # type: ignore[arg-type]
    try:
        with pytest.raises(ConnectionError):
            await breaker.call("x", fail)
        async with asyncio.timeout(30):
            await read.wait()
    finally:
        await breaker.aclose()


def test_a_synchronous_storage_is_refused() -> None:
    class Storage:
        def read(self, name: str) -> None: ...

    with pytest.raises(TypeError, match="asynchronous"):
        InterlockAdapter(storage=Storage())  # type: ignore[arg-type]
