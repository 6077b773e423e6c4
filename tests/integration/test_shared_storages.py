"""Circuits of other libraries that processes share through a real server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cqrs.adapters.circuit_breaker import AioBreakerAdapter, InterlockAdapter, PurgatoryAdapter
from tests.breakers import RedisStorages, aiobreaker_redis_rig
from tests.servers.plugin import private_redis_or_skip


async def fail() -> None:
    raise ConnectionError("refused")


async def succeed() -> str:
    return "ok"


async def fail_times(breaker: Any, times: int) -> None:
    for _ in range(times):
        with pytest.raises(Exception):
            await breaker.call("payments", fail)


async def test_two_processes_share_an_aiobreaker_circuit(redis_client: Any, redis_namespace: str) -> None:
    here = aiobreaker_redis_rig(redis_client, redis_namespace)
    there = aiobreaker_redis_rig(redis_client, redis_namespace)
    await here.trip("payments")
    assert await there.rejects("payments")
    assert not await there.rejects("orders")
    here.pass_open_time()
    assert await there.breaker.call("payments", succeed) == "ok"
    assert not await here.rejects("payments")


async def test_failures_of_two_processes_add_up(redis_client: Any, redis_namespace: str) -> None:
    here = AioBreakerAdapter(4, storage_factory=RedisStorages(redis_client, redis_namespace))
    there = AioBreakerAdapter(4, storage_factory=RedisStorages(redis_client, redis_namespace))
    await fail_times(here, 2)
    await fail_times(there, 2)
    with pytest.raises(Exception) as rejected:
        await here.call("payments", succeed)
    assert here.is_circuit_breaker_error(rejected.value)


async def test_a_starting_process_does_not_reset_an_open_circuit(
    redis_client: Any, redis_namespace: str
) -> None:
    await aiobreaker_redis_rig(redis_client, redis_namespace).trip("payments")
    assert await aiobreaker_redis_rig(redis_client, redis_namespace).rejects("payments")


async def test_concurrent_failures_are_all_counted(redis_client: Any, redis_namespace: str) -> None:
    storages = RedisStorages(redis_client, redis_namespace)
    breaker = AioBreakerAdapter(1000, storage_factory=storages)
    results = await asyncio.gather(
        *(breaker.call("payments", fail) for _ in range(50)), return_exceptions=True
    )
    assert all(isinstance(result, ConnectionError) for result in results)
    assert storages("payments").counter == 50


async def test_streams_share_the_circuit(redis_client: Any, redis_namespace: str) -> None:
    rig = aiobreaker_redis_rig(redis_client, redis_namespace)
    started = 0

    async def stream() -> Any:
        nonlocal started
        started += 1
        yield 1
        raise ConnectionError("refused")

    guarded = rig.breaker.guard("payments", stream)
    for _ in range(10):
        with pytest.raises(Exception):
            async for _ in guarded():
                pass
    assert started == rig.threshold
    assert await aiobreaker_redis_rig(redis_client, redis_namespace).rejects("payments")


async def test_calls_go_on_while_the_server_is_away(caplog: pytest.LogCaptureFixture) -> None:
    import redis

    with private_redis_or_skip() as url:
        client = redis.Redis.from_url(url, socket_timeout=1.0, retry=None)
        breaker = AioBreakerAdapter(2, storage_factory=RedisStorages(client, "gone"))
        assert await breaker.call("payments", succeed) == "ok"
    # The server is stopped: of this circuit the storage still answers, another cannot even be created.
    for name in ("payments", "orders"):
        assert await breaker.call(name, succeed) == "ok"
        with pytest.raises(ConnectionError):
            await breaker.call(name, fail)
    assert "unguarded" in caplog.text
    client.close()


async def test_two_processes_share_a_purgatory_circuit(redis_url: str, redis_namespace: str) -> None:
    from purgatory import AsyncRedisUnitOfWork

    works = [AsyncRedisUnitOfWork(redis_url) for _ in range(2)]
    for work in works:
        work.contexts.prefix = f"{redis_namespace}:"
    here, there = (PurgatoryAdapter(3, 60, uow=work) for work in works)
    try:
        await fail_times(here, 3)
        with pytest.raises(Exception) as rejected:
            await there.call("payments", succeed)
        assert there.is_circuit_breaker_error(rejected.value)
    finally:
        for work in works:
            await work.contexts.redis.aclose()


async def test_two_processes_share_an_interlock_circuit(redis_url: str, redis_namespace: str) -> None:
    import redis.asyncio
    from interlock import Config
    from interlock.integrations.redis import AsyncRedisStorage

    config = Config(minimum_number_of_calls=3, wait_duration_in_open=60.0)
    clients = [redis.asyncio.Redis.from_url(redis_url) for _ in range(2)]
    here, there = (
        InterlockAdapter(
            config, storage=AsyncRedisStorage(client, key_prefix=f"{redis_namespace}:", poll_interval=0.01)
        )
        for client in clients
    )
    try:
        assert await there.call("payments", succeed) == "ok"
        await fail_times(here, 3)
        async with asyncio.timeout(30):
            while True:  # the library polls the server in the background
                try:
                    await there.call("payments", succeed)
                except Exception as error:
                    assert there.is_circuit_breaker_error(error)  # noqa: PT017
                    break
                await asyncio.sleep(0.005)
    finally:
        for adapter, client in zip((here, there), clients, strict=True):
            await adapter.aclose()
            await client.aclose()
