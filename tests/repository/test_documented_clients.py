"""Service clients as the page that the project was created from shows them; only the import line is ours."""

from __future__ import annotations

import threading
from typing import Any

import prometheus_client
import pytest

from cqrs.http import (
    AsyncCircuitBreakerMiddleware,
    AsyncClientFactory,
    AsyncConsulDiscovery,
    AsyncPrometheusMiddleware,
    AsyncRedisUnitOfWork,
    HTTPResponse,
    OpenedState,
    PathInfoField,
    PrometheusMetrics,
    Registry,
    Request,
    Response,
    SyncCircuitBreakerMiddleware,
    SyncClientFactory,
    SyncConsulDiscovery,
    SyncRedisUnitOfWork,
    SyncStaticDiscovery,
)
from cqrs.http.discovery.static import AsyncStaticDiscovery

ENDPOINTS: dict[tuple[str, str | None], str] = {("user", "v1"): "http://user/v1"}


class User(Response):
    username: str


class GetUser(Request):
    username: str = PathInfoField()


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.register("api_user", "users", "user", "v1", "/users/{username}", {"GET": (GetUser, User)})
    return registry


def answer(request: Any, client_name: str, path: str, timeout: Any) -> HTTPResponse:
    if request.path["username"] == "naruto":
        return HTTPResponse(500)
    return HTTPResponse(200, {}, json={"username": request.path["username"]})


async def answer_async(*arguments: Any) -> HTTPResponse:
    return answer(*arguments)


def test_factories_as_they_are_written_there() -> None:
    sd = AsyncConsulDiscovery()
    cli = AsyncClientFactory(sd).add_middleware(AsyncCircuitBreakerMiddleware(threshold=5, ttl=30))
    assert isinstance(cli, AsyncClientFactory)
    sync_sd = SyncConsulDiscovery()
    sync_cli = SyncClientFactory(sync_sd).add_middleware(SyncCircuitBreakerMiddleware(threshold=5, ttl=30))
    assert isinstance(sync_cli, SyncClientFactory)


async def test_one_circuit_per_client_rejects_with_opened_state(registry: Registry) -> None:
    metrics = PrometheusMetrics(registry=prometheus_client.CollectorRegistry())
    cli = (
        AsyncClientFactory(AsyncStaticDiscovery(ENDPOINTS), answer_async, registry)
        .add_middleware(AsyncPrometheusMiddleware(metrics))
        .add_middleware(AsyncCircuitBreakerMiddleware(3, 30, metrics=metrics))
    )
    await cli.initialize()
    api_user = await cli("api_user")
    for _ in range(3):
        assert (await api_user.users.get({"username": "naruto"})).is_err()
    with pytest.raises(OpenedState):
        await api_user.users.get(GetUser(username="hinata"))
    await cli.aclose()


async def test_asynchronous_and_synchronous_clients_share_their_state_through_redis(
    registry: Registry, redis_url: str
) -> None:
    namespace = "documented clients"
    sync_breaker = SyncCircuitBreakerMiddleware(
        2, 30, uow=SyncRedisUnitOfWork(redis_url, namespace=namespace)
    )
    sync_cli = SyncClientFactory(SyncStaticDiscovery(ENDPOINTS), answer, registry).add_middleware(
        sync_breaker
    )
    breaker = AsyncCircuitBreakerMiddleware(2, 30, uow=AsyncRedisUnitOfWork(redis_url, namespace=namespace))
    cli = AsyncClientFactory(AsyncStaticDiscovery(ENDPOINTS), answer_async, registry).add_middleware(breaker)
    try:
        await cli.initialize()
        sync_cli.initialize()
        client = sync_cli("api_user")
        opened = threading.Event()
        sync_breaker.breakers.add_listener(lambda _: opened.set())
        for _ in range(2):
            assert (await (await cli("api_user")).users.get({"username": "naruto"})).is_err()
        with pytest.raises(OpenedState):
            await (await cli("api_user")).users.get({"username": "hinata"})
        assert opened.wait(20), "the other one is told"
        with pytest.raises(OpenedState) as raised:
            client.users.get({"username": "hinata"})
        assert raised.value.source == "fleet"
    finally:
        for each in (breaker, sync_breaker):
            each.breakers.close()
            store = each.breakers.store
            assert store is not None
            store.close()
