"""Factories: what they make once, and what they open and close."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest

from cqrs.exceptions import ConfigurationError
from cqrs.http import (
    AsyncStaticDiscovery,
    HTTPConnectionError,
    HTTPRequest,
    SyncClientFactory,
    SyncStaticDiscovery,
)
from cqrs.http.flow import AsyncFlow, FlowMiddleware, SyncFlow
from tests.unit.http.support import ENDPOINTS, Kit, Script, users


class Part:
    """A middleware, discovery or transport that notes what is done to it, of either kind."""

    def __init__(self, kit: Kit, name: str, told: list[str], fails: str = "") -> None:
        self.name = name
        self.told = told
        self.fails = fails
        if kit.asynchronous:
            self.initialize: Any = self.later("initialize")
            self.aclose = self.later("close")
        else:
            self.initialize = lambda: self.note("initialize")
            self.close = lambda: self.note("close")

    def __call__(self, call_next: Any) -> Any:
        return call_next

    def note(self, what: str) -> None:
        self.told.append(f"{what} {self.name}")
        if what == self.fails:
            raise RuntimeError(f"{what} {self.name}")

    def later(self, what: str) -> Any:
        async def noted() -> None:
            self.note(what)

        return noted


def entered(kit: Kit, factory: Any) -> None:
    """Enter and leave a factory."""
    if not kit.asynchronous:
        with factory:
            return

    async def enter() -> None:
        async with factory:
            pass

    kit.run(enter())


def test_everything_is_opened_from_the_inside_and_closed_from_the_outside(kit: Kit) -> None:
    told: list[str] = []
    factory = kit.factory(Script()).add_middleware(Part(kit, "a", told)).add_middleware(Part(kit, "b", told))
    for _ in range(2):
        entered(kit, factory)
    assert told == ["initialize b", "initialize a", "close a", "close b"] * 2


def test_everything_is_closed_though_a_part_cannot_be(kit: Kit) -> None:
    told: list[str] = []
    factory = kit.factory(Script())
    for name, fails in (("a", "close"), ("b", ""), ("c", "")):
        factory.add_middleware(Part(kit, name, told, fails))
    with pytest.raises(RuntimeError, match="close a"):
        entered(kit, factory)
    assert told[3:] == ["close a", "close b", "close c"]


def test_everything_is_closed_when_a_part_cannot_be_opened(kit: Kit) -> None:
    told: list[str] = []
    factory = kit.factory(Script())
    factory.add_middleware(Part(kit, "a", told, "initialize")).add_middleware(Part(kit, "b", told))
    with pytest.raises(RuntimeError, match="initialize a"):
        entered(kit, factory)
    assert told == ["initialize b", "initialize a", "close a", "close b"]


def test_what_is_for_the_other_kind_of_clients_is_refused(kit: Kit) -> None:
    other = Kit("sync" if kit.asynchronous else "async")
    breaker = other.breaker()
    with pytest.raises(ConfigurationError, match=rf"{type(breaker).__name__} is for .* give it what begins"):
        kit.factory(Script()).add_middleware(breaker)
    sds = (AsyncStaticDiscovery(ENDPOINTS), SyncStaticDiscovery(ENDPOINTS))
    with pytest.raises(ConfigurationError, match="StaticDiscovery is for "):
        kit.factory(Script(), sd=sds[kit.asynchronous])

    class Own(AsyncFlow if other.asynchronous else SyncFlow, FlowMiddleware):  # type: ignore[misc]
        pass

    with pytest.raises(ConfigurationError, match="Own is for "):
        kit.factory(Script()).add_middleware(Own())


def test_threads_that_ask_at_once_get_one_client_over_one_transport() -> None:
    begun = threading.Barrier(8)
    waits = threading.Event()
    made: list[Any] = []

    class Slow(SyncClientFactory[Any]):
        def _make_transport(self) -> Any:
            made.append(self)
            waits.wait(0.05)  # for the others to come as far
            return Script().answer

    factory = Slow(SyncStaticDiscovery(ENDPOINTS), registry=users())
    clients: list[Any] = []

    def ask() -> None:
        begun.wait()
        clients.append(factory("api"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(set(map(id, clients))) == 1
    factory.close()


async def asked(client: Any) -> Any:
    # In here: in Python 3.12 asyncio.run keeps its finished task, and so the result, in a cycle of its own.
    return weakref.ref((await client.users.get({"username": "bob"})).unwrap_err())()


@pytest.mark.parametrize("threshold", [1, 2], ids=["a rejection", "a refused connection"])
def test_an_error_that_is_a_result_is_gone_with_it(kit: Kit, threshold: int) -> None:
    def refuse(request: HTTPRequest) -> Any:
        raise HTTPConnectionError("refused", request)

    client = kit.client(Script(refuse), kit.breaker(threshold), errors_as_results=True)
    assert kit.run(client.users.get({"username": "bob"})).is_err()
    gc.collect()
    gc.disable()
    try:
        if kit.asynchronous:
            kept = asyncio.run(asked(client))
        else:
            kept = weakref.ref(client.users.get({"username": "bob"}).unwrap_err())()
        assert kept is None, "no cycle of frames"
    finally:
        gc.enable()
