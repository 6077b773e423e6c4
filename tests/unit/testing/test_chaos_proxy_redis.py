"""The proxy in front of a real server, with the blocking and the asyncio client that people use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from cqrs.testing import ChaosProxy

# How long a client waits for a reply that does not come, in seconds; each test waits for that once or twice.
PATIENCE = 0.2


@pytest.fixture
def proxy(redis_url: str) -> Iterator[ChaosProxy]:
    url = urlsplit(redis_url)
    if url.scheme == "unix":
        running = ChaosProxy(unix_path=url.path)
    else:
        running = ChaosProxy(url.hostname, url.port or 6379)
    with running:
        yield running


def options() -> dict[str, Any]:
    return {"socket_timeout": PATIENCE, "socket_connect_timeout": 5.0, "retry": None}


@pytest.fixture
def client(proxy: ChaosProxy) -> Iterator[Any]:
    import redis

    connected = redis.Redis.from_url(proxy.url("redis"), **options())
    connected.ping()
    yield connected
    connected.close()


def test_a_write_whose_reply_is_lost_has_happened(
    proxy: ChaosProxy, client: Any, redis_client: Any, redis_namespace: str
) -> None:
    import redis

    key = f"{redis_namespace}:n"
    with proxy.drop_replies(count=1), pytest.raises(redis.TimeoutError):
        client.incr(key)
    assert redis_client.get(key) == b"1"
    assert client.incr(key) == 2


def test_a_write_into_a_black_hole_has_not_happened(
    proxy: ChaosProxy, client: Any, redis_client: Any, redis_namespace: str
) -> None:
    import redis

    key = f"{redis_namespace}:n"
    with proxy.black_hole(), pytest.raises(redis.TimeoutError):
        client.incr(key)
    assert redis_client.get(key) is None
    assert client.incr(key) == 1


def test_a_restart_of_the_server_looks_like_one(proxy: ChaosProxy, client: Any) -> None:
    import redis

    with proxy.refuse():
        proxy.cut()
        for _ in range(2):
            with pytest.raises(redis.ConnectionError):
                client.ping()
    assert client.ping()


def test_a_reply_in_tiny_pieces_is_understood(proxy: ChaosProxy, client: Any, redis_namespace: str) -> None:
    with proxy.slice(1, pause=0.0):
        client.set(f"{redis_namespace}:long", "x" * 100)
        assert client.get(f"{redis_namespace}:long") == b"x" * 100


async def test_an_asyncio_client_meets_the_same_faults(proxy: ChaosProxy, redis_namespace: str) -> None:
    import redis
    import redis.asyncio

    client = redis.asyncio.Redis.from_url(proxy.url("redis"), **options())
    async with client:
        assert await client.incr(f"{redis_namespace}:n") == 1
        with proxy.drop_replies(count=1), pytest.raises(redis.TimeoutError):
            await client.incr(f"{redis_namespace}:n")
        assert await client.incr(f"{redis_namespace}:n") == 3
        with proxy.cut(after_bytes=2, direction="down"), pytest.raises(redis.ConnectionError):
            await client.incr(f"{redis_namespace}:n")
        with proxy.refuse(), pytest.raises(redis.ConnectionError):
            await client.ping()
