"""Consul's and Nomad's API over real sockets, through the transport that discoveries make for themselves."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cqrs.http import (
    AsyncClientFactory,
    AsyncConsulDiscovery,
    AsyncNomadServiceDiscovery,
    HTTPConnectionError,
    PathInfoField,
    Request,
    Response,
    SyncClientFactory,
    SyncConsulDiscovery,
    SyncNomadServiceDiscovery,
)
from cqrs.http import Registry as Clients
from cqrs.http.errors import DiscoveryError
from cqrs.testing import FakeClock
from tests.integration.http.registries import Consul, Entry, Instance, Nomad, Registry


class GetUser(Request):
    username: str = PathInfoField()


class User(Response):
    username: str
    port: int


CLIENTS = Clients()
CLIENTS.register("api", "users", "user", "v1", "/users/{username}", {"GET": (GetUser, User)})


class Bench:
    """A registry, and discoveries and clients of one kind that use it."""

    def __init__(self, kind: str, registry: Registry) -> None:
        self.asynchronous = kind == "async"
        self.registry = registry
        self.clock = FakeClock()
        self.runner = asyncio.Runner()
        self._made: list[Any] = []

    def run(self, made: Any) -> Any:
        async def wait() -> Any:
            return await made

        return self.runner.run(wait()) if self.asynchronous else made

    def discovery(self, **options: Any) -> Any:
        types: Any = {
            (Consul, True): AsyncConsulDiscovery,
            (Consul, False): SyncConsulDiscovery,
            (Nomad, True): AsyncNomadServiceDiscovery,
            (Nomad, False): SyncNomadServiceDiscovery,
        }[type(self.registry), self.asynchronous]
        given = {"clock": self.clock, "random": lambda: 0.0, "timeout": 20.0}
        made = types(self.registry.url, **(given | options))
        self._made.append(made)
        return made

    def client(self, discovery: Any) -> Any:
        factory = (AsyncClientFactory if self.asynchronous else SyncClientFactory)(
            discovery, registry=CLIENTS
        )
        self._made.append(factory)
        return self.run(factory("api"))

    def find(self, discovery: Any, service: str = "user", version: str | None = "v1") -> str:
        url: str = discovery.known(service, version) or self.run(discovery.get_endpoint(service, version))
        return url

    def get(self, client: Any) -> int:
        """Return the port of the instance that answers."""
        port: int = self.run(client.users.get({"username": "naruto"})).unwrap().port
        return port

    def settle(self) -> None:
        async def rest() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            if tasks:
                await asyncio.wait(tasks)

        if self.asynchronous:
            self.runner.run(rest())
        for thread in threading.enumerate():
            if thread.name.startswith("discovery:"):
                thread.join(30)

    def close(self) -> None:
        for each in reversed(self._made):
            if self.asynchronous:
                self.run(each.aclose())
            else:
                each.close()
        self.runner.close()


@pytest.fixture
def benches() -> Iterator[Callable[[str, Registry], Bench]]:
    made: list[Bench] = []

    def make(kind: str, registry: Registry) -> Bench:
        made.append(Bench(kind, registry))
        return made[-1]

    yield make
    for bench in made:
        bench.registry.released.set()
        bench.close()


@pytest.fixture(params=["async-consul", "sync-consul", "async-nomad", "sync-nomad"])
def bench(request: pytest.FixtureRequest, benches: Callable[[str, Registry], Bench]) -> Iterator[Bench]:
    kind, name = request.param.split("-")
    with {"consul": Consul, "nomad": Nomad}[name](Entry("user-v1", 8001)) as registry:
        made = benches(kind, registry)
        yield made
        registry.released.set()
        made.settle()


URL = "http://127.0.0.1:8001/v1"


def test_finds_a_service(bench: Bench) -> None:
    bench.registry.entries.append(Entry("user-data", 8002))
    discovery = bench.discovery()
    assert bench.find(discovery) == URL
    assert bench.find(discovery, "user-data", None) == "http://127.0.0.1:8002"


def test_50_questions_use_one_connection(bench: Bench) -> None:
    discovery = bench.discovery(cache_ttl=1.0)
    for _ in range(50):
        assert bench.find(discovery) == URL
        bench.clock.advance(2.0)
    assert len(bench.registry.asked) == 50
    assert bench.registry.connections == 1


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_consul_gives_the_healthy_ones_to_who_has_the_token(
    kind: str, benches: Callable[[str, Registry], Bench]
) -> None:
    entries = (Entry("user-v1", 8001), Entry("user-v1", 8002, healthy=False), Entry("user-v1", 8003))
    with Consul(*entries, token="hunter2") as consul:
        bench = benches(kind, consul)
        found = bench.discovery(consul_token="hunter2")
        assert [bench.find(found)[-7:] for _ in range(4)] == ["8001/v1", "8003/v1"] * 2
        with pytest.raises(DiscoveryError, match="answered 403 Forbidden about 'user-v1'"):
            bench.find(bench.discovery(consul_token="wrong"))


def test_an_unknown_service(bench: Bench) -> None:
    with pytest.raises(DiscoveryError, match="knows no healthy instance of 'cart-v1'"):
        bench.find(bench.discovery(), "cart")


def test_30_first_calls_at_once(bench: Bench) -> None:
    discovery = bench.discovery()

    async def together() -> list[str]:
        return await asyncio.gather(*(discovery.get_endpoint("user", "v1") for _ in range(30)))

    if bench.asynchronous:
        found = bench.runner.run(together())
    else:
        found = []
        ready = threading.Barrier(30)

        def call() -> None:
            ready.wait(30)
            found.append(discovery.get_endpoint("user", "v1"))

        threads = [threading.Thread(target=call) for _ in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert found == [URL] * 30
    assert len(bench.registry.asked) == 1


OUTAGES = {
    "500": r"answered 500 Internal Server Error about 'user-v1'",
    "html": r"answered about 'user-v1' with something that is not JSON",
    "reset": r"did not answer about 'user-v1': ",
    "hang": r"did not answer about 'user-v1': ",
    "down": r"did not answer about 'user-v1': ",
}


def begin(bench: Bench, outage: str) -> None:
    if outage == "down":
        bench.registry.stop()
    bench.registry.mode = outage


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_without_a_list(bench: Bench, outage: str) -> None:
    begin(bench, outage)
    discovery = bench.discovery(timeout=0.2 if outage == "hang" else 20.0)
    for _ in range(20):
        with pytest.raises(DiscoveryError, match=OUTAGES[outage]) as info:
            bench.find(discovery)
    assert bench.registry.url in str(info.value)
    assert len(bench.registry.asked) <= 1


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_with_a_list(bench: Bench, outage: str, caplog: pytest.LogCaptureFixture) -> None:
    discovery = bench.discovery(timeout=0.5 if outage == "hang" else 20.0, cache_ttl=10.0)
    bench.find(discovery)
    begin(bench, outage)
    for _ in range(3):
        bench.clock.advance(10.0)
        assert bench.find(discovery) == URL
        bench.settle()
        assert bench.find(discovery) == URL
    warnings = [record for record in caplog.records if record.name == "cqrs.http.discovery"]
    assert len(warnings) == 1


def test_back_after_an_outage(bench: Bench) -> None:
    discovery = bench.discovery()
    bench.registry.stop()
    with pytest.raises(DiscoveryError):
        bench.find(discovery)
    bench.registry.start()
    bench.clock.advance(1.0)
    assert bench.find(discovery) == URL


def test_an_instance_that_is_down_is_not_chosen_for_ever(bench: Bench) -> None:
    with Instance() as one, Instance() as two:
        bench.registry.entries[:] = [Entry("user-v1", one.port), Entry("user-v1", two.port)]
        client = bench.client(bench.discovery(cache_ttl=600.0, avoid_for=5.0))
        assert {bench.get(client) for _ in range(4)} == {one.port, two.port}
        one.stop()
        failures = 0
        for _ in range(20):
            try:
                assert bench.get(client) == two.port
            except HTTPConnectionError:
                failures += 1
        assert failures <= 1
        one.start()  # and it has its turn again
        bench.clock.advance(5.0)
        bench.get(client)
        bench.settle()
        assert {bench.get(client) for _ in range(4)} == {one.port, two.port}


def test_an_instance_that_moves_is_found(bench: Bench) -> None:
    with Instance() as old, Instance() as new:
        bench.registry.entries[:] = [Entry("user-v1", old.port)]
        client = bench.client(bench.discovery(cache_ttl=600.0))
        assert bench.get(client) == old.port
        bench.clock.advance(1.0)
        old.stop()
        bench.registry.entries[:] = [Entry("user-v1", new.port)]
        with pytest.raises(HTTPConnectionError):
            bench.get(client)
        assert bench.get(client) == new.port


def test_an_instance_at_an_ipv6_address(bench: Bench) -> None:
    try:
        with Instance(socket.AF_INET6) as instance:
            bench.registry.entries[:] = [Entry("user-v1", instance.port, "::1")]
            client = bench.client(bench.discovery())
            assert bench.get(client) == instance.port
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


def test_a_discovery_serves_several_event_loops(benches: Callable[[str, Registry], Bench]) -> None:
    with Consul(Entry("user-v1", 8001)) as consul:
        discovery = AsyncConsulDiscovery(consul.url, timeout=20.0)
        found: list[str] = []

        async def call() -> None:
            for _ in range(10):
                found.append(await discovery.get_endpoint("user", "v1"))
            await discovery.aclose()

        threads = [threading.Thread(target=asyncio.run, args=(call(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert found == [URL] * 40
