"""The store's own clients: from URLs, from what the application has, and from factories."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
import valkey
import valkey.asyncio

from cqrs.circuit_breaker.redis import RedisStore, clients
from cqrs.exceptions import ConfigurationError
from tests.integration.redis.transports import link, operation


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    from tests.servers.plugin import skip_without_server
    from tests.servers.redis_server import RedisServer

    skip_without_server()
    with RedisServer(unix=True, password="s3cret") as made:
        yield made


def client_classes() -> list[Any]:
    return [redis.Redis, redis.asyncio.Redis, valkey.Valkey, valkey.asyncio.Valkey]


@pytest.mark.parametrize("made_by", client_classes(), ids=lambda each: f"{each.__module__}")
@pytest.mark.parametrize("where", ["tcp", "unix", "url", "unix_url"])
def test_a_client_of_the_application_is_only_looked_at(server: Any, made_by: Any, where: str) -> None:
    client = {
        "tcp": lambda: made_by(
            host=server.host, port=server.port, password="s3cret", db=3, decode_responses=True
        ),
        "unix": lambda: made_by(unix_socket_path=str(server.socket), password="s3cret", db=3),
        "url": lambda: made_by.from_url(server.url.replace("/0", "/3"), encoding="latin-1"),
        "unix_url": lambda: made_by.from_url(f"{server.unix_url}?db=3", health_check_interval=7),
    }[where]()
    before = vars(client.connection_pool).copy()
    with link(client) as store:
        assert store.ask(operation("view"))["live"] == 1
        library = made_by.__module__.partition(".")[0]
        assert type(store.transport._commands._client).__module__ == f"{library}.asyncio.client"
        assert server.admin.connection_pool is not client.connection_pool
        with server.client(password="s3cret", db=3) as third:
            assert third.exists(store.settings.prefix(0) + "m")
    after = vars(client.connection_pool)
    assert {key for key in before if before[key] is not after[key]} == set()
    assert not client.connection_pool._available_connections  # nothing was connected
    assert "s3cret" not in store.source.shown + repr(store.source)


@pytest.mark.parametrize("made_by", client_classes(), ids=lambda each: f"{each.__module__}")
def test_the_arguments_of_a_tls_connection_are_kept(made_by: Any) -> None:
    client = made_by(host="cache", ssl=True, ssl_ca_certs="/ca.pem", ssl_check_hostname=False)
    made = clients.source(client, 1.0).make()
    kwargs = made.connection_pool.connection_kwargs
    assert made.connection_pool.connection_class.__name__ == "SSLConnection"
    assert (kwargs["host"], kwargs["ssl_ca_certs"], kwargs["ssl_check_hostname"]) == (
        "cache",
        "/ca.pem",
        False,
    )


@pytest.mark.parametrize("target", ["redis://cache", redis.Redis(), valkey.asyncio.Valkey()])
def test_no_client_retries_and_all_have_timeouts(target: Any) -> None:
    kwargs = clients.source(target, 0.7).make().connection_pool.connection_kwargs
    assert (kwargs["socket_timeout"], kwargs["socket_connect_timeout"]) == (0.7, 0.7)
    assert kwargs["retry"]._retries == 0
    assert not kwargs.get("retry_on_error")
    assert not kwargs.get("retry_on_timeout")


def test_a_credential_provider_is_kept(server: Any) -> None:
    class Provider(redis.CredentialProvider):
        def get_credentials(self) -> tuple[str, str]:
            return "default", "s3cret"

    client = redis.Redis(host=server.host, port=server.port, credential_provider=Provider())
    with link(client) as store:
        assert store.ask()["live"] == 1


def test_a_factory(server: Any) -> None:
    made: list[Any] = []

    def factory() -> Any:
        made.append(redis.asyncio.Redis.from_url(server.url, decode_responses=True, protocol=3))
        return made[-1]

    with link(factory, push=True) as store:
        store.ask()
        while not store.ticker.messages:
            store.ask(operation("override", mode="disabled", ttl_us=-1, by="", why=""))
        assert store.ticker.connections == 1
        assert store.source.shown == "what test_a_factory.<locals>.factory returns"
    assert len(made) == 2  # one for commands, one for messages


def test_a_custom_asyncio_connection_class_is_kept(server: Any) -> None:
    class Marked(redis.asyncio.Connection):
        made = 0

        def __init__(self, *, mark: str, **options: Any) -> None:
            type(self).made += mark == "x"
            super().__init__(**options)

    pool: Any = redis.asyncio.ConnectionPool(
        connection_class=Marked, mark="x", host=server.host, port=server.port, password="s3cret"
    )
    with link(redis.asyncio.Redis(connection_pool=pool)) as store:
        store.ask()
    assert Marked.made == 0  # ours is derived from it
    assert issubclass(pool.connection_class, Marked)


def test_a_custom_sync_connection_class_needs_a_factory() -> None:
    class Mine(redis.Connection):
        pass

    client = redis.Redis(connection_pool=redis.ConnectionPool(connection_class=Mine))
    with pytest.raises(ConfigurationError, match="Mine"):
        RedisStore(client, namespace="test")


def test_sentinels_of_the_application(server: Any) -> None:
    for module in ("redis.sentinel", "redis.asyncio.sentinel", "valkey.sentinel", "valkey.asyncio.sentinel"):
        manager = importlib.import_module(module).Sentinel(
            [("one", 1), ("two", 2)], sentinel_kwargs={"password": "s3cret-s"}, min_other_sentinels=1
        )
        source = clients.source(manager.master_for("main", password="s3cret", db=2, ssl=True), 0.7)
        assert source.shown == "main by the sentinels one:1, two:2"
        made = source.make().connection_pool
        assert made.connection_class.__name__ == "SentinelManagedSSLConnection"
        assert (made.connection_kwargs["password"], made.connection_kwargs["db"]) == ("s3cret", 2)
        own = made.sentinel_manager.sentinels[1].connection_pool.connection_kwargs
        assert (own["port"], own["password"], own["socket_timeout"]) == (2, "s3cret-s", 0.7)
        assert own["retry"]._retries == 0
        assert made.sentinel_manager.min_other_sentinels == 1
        assert source.secrets == ("s3cret", "s3cret-s")


class Thing:
    pass


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (None, "NoneType"),
        (b"redis://cache", "bytes"),
        (6379, "int"),
        (Thing(), "Thing"),
        (redis, "module"),
        (lambda url: url, "no arguments"),
        (redis.Redis.from_url, "no arguments"),
    ],
)
def test_what_is_no_way_to_a_server(target: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        RedisStore(target, namespace="test")


def test_an_async_factory_is_refused() -> None:
    async def factory() -> Any:
        return None

    with pytest.raises(ConfigurationError, match="not an async one"):
        RedisStore(factory, namespace="test")


@pytest.mark.parametrize("returned", [None, 3, redis.Redis()])
def test_a_factory_that_returns_no_asyncio_client_fails_with_each_request(returned: Any) -> None:
    with link(lambda: returned, push=True) as store:
        assert "not an asyncio client" in store.fails()
        assert type(returned).__name__ in store.fails()


def test_a_factory_that_raises_fails_with_each_request() -> None:
    def factory() -> Any:
        raise ValueError("no address yet")

    with link(factory) as store:
        assert "no address yet" in store.fails()


def test_other_objects_with_a_pool_are_refused() -> None:
    thing = Thing()
    thing.connection_pool = Thing()  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="Thing is not a client"):
        RedisStore(thing, namespace="test")


def test_without_a_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("redis", "valkey"):
        monkeypatch.setitem(sys.modules, f"{name}.asyncio", None)
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'pip install "holdfast\[redis\]"'):
        RedisStore("redis://cache", namespace="test")


def test_valkey_alone_will_do(monkeypatch: pytest.MonkeyPatch, server: Any) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with link(server.url) as store:
        assert store.source.library == "valkey"
        assert store.ask()["live"] == 1


def test_replicas_of_a_cluster_cannot_be_waited_for() -> None:
    with pytest.raises(ConfigurationError, match="replicas=1"):
        RedisStore("redis+cluster://cache", namespace="test", replicas=1)


def test_a_broken_library_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'hidden'", name="hidden")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ModuleNotFoundError, match="hidden"):
        clients.source("redis://cache", 1.0)
