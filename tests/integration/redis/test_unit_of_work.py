"""The store under the names of service clients: the same circuits, from sync and async code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cqrs.circuit_breaker import (
    AsyncRedisUnitOfWork,
    CircuitBreakerPolicy,
    CircuitBreakers,
    CircuitOpenError,
    RedisStore,
    State,
    StoreUnavailableError,
    SyncRedisUnitOfWork,
)
from cqrs.circuit_breaker.redis.unit_of_work import NAMESPACE

POLICY = CircuitBreakerPolicy.consecutive(threshold=2, ttl=60.0)


@pytest.fixture
def namespace(redis_client: Any, redis_namespace: str) -> Iterator[str]:
    """A namespace whose keys are removed after the test."""
    yield redis_namespace
    keys = list(redis_client.scan_iter(match=f"holdfast:*{redis_namespace}*"))
    if keys:
        redis_client.delete(*keys)


async def test_an_async_and_a_sync_client_share_one_circuit(redis_url: str, namespace: str) -> None:
    asynchronous = AsyncRedisUnitOfWork(redis_url, namespace=namespace, command_timeout=5.0)
    synchronous = SyncRedisUnitOfWork(redis_url, namespace=namespace, command_timeout=5.0)
    try:
        assert await asynchronous.initialize()
        ours = CircuitBreakers(POLICY, store=asynchronous)

        async def down() -> None:
            raise ConnectionError

        for _ in range(2):
            with pytest.raises(ConnectionError):
                await ours["notif"].call(down)
        while (await _view(asynchronous)).state is State.CLOSED:
            pass

        assert synchronous.initialize()
        theirs = CircuitBreakers(POLICY, store=synchronous)
        with pytest.raises(CircuitOpenError) as rejected:
            theirs["notif"].call(int)  # its first call: a process that starts is not blind
        assert rejected.value.source == "fleet"
    finally:
        await asynchronous.aclose()
        synchronous.close()


async def _view(store: RedisStore) -> Any:
    import asyncio

    return await asyncio.to_thread(store.view, "notif", POLICY)


@pytest.mark.parametrize("kind", [AsyncRedisUnitOfWork, SyncRedisUnitOfWork])
def test_a_url_is_enough(kind: type[RedisStore]) -> None:
    assert kind("redis://127.0.0.1:1/0").settings.namespace == NAMESPACE


@pytest.mark.parametrize("kind", [AsyncRedisUnitOfWork, SyncRedisUnitOfWork])
def test_it_takes_what_a_redis_store_takes(kind: type[RedisStore]) -> None:
    store = kind("redis://127.0.0.1:1/0", namespace="shop", quorum=0.0, startup="fail")
    assert (store.settings.namespace, store.settings.quorum) == ("shop", 0.0)


def test_initialize_fails_only_if_told_to() -> None:
    gone = SyncRedisUnitOfWork("redis://127.0.0.1:1/0", namespace="shop", connect_timeout=0.1)
    strict = SyncRedisUnitOfWork(
        "redis://127.0.0.1:1/0", namespace="shop", connect_timeout=0.1, startup="fail"
    )
    try:
        assert gone.initialize() is False
        with pytest.raises(StoreUnavailableError, match="refused"):
            strict.initialize()
    finally:
        gone.close()
        strict.close()
