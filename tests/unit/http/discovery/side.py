"""Discoveries of both kinds, over a server in memory, asked in one way."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

from cqrs.http.discovery.consul import AsyncConsulDiscovery, SyncConsulDiscovery
from cqrs.http.discovery.nomad_service import AsyncNomadServiceDiscovery, SyncNomadServiceDiscovery
from cqrs.http.errors import HTTPConnectionError, HTTPTimeoutError
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.testing import FakeClock

Answer = HTTPResponse | BaseException | Callable[[HTTPRequest], HTTPResponse]


def refused() -> HTTPConnectionError:
    return HTTPConnectionError("no connection: refused")


def hanging() -> HTTPTimeoutError:
    return HTTPTimeoutError("no answer within 2 s")


def consul_entry(address: str, port: Any = 8000, node: str = "10.9.9.9") -> dict[str, Any]:
    return {"Node": {"Address": node}, "Service": {"Address": address, "Port": port}, "Checks": []}


def nomad_entry(address: str, port: Any = 8000) -> dict[str, Any]:
    return {"Address": address, "Port": port, "Tags": []}


def body(value: Any, status: int = 200) -> HTTPResponse:
    return HTTPResponse(status, {"content-type": "application/json"}, content=json.dumps(value).encode())


class Server:
    """Answers what it is told to, until it is told otherwise.

    Attributes:
        asked: requests in order; ``timeouts``: theirs.
        gate: set: answers at once; cleared: questions wait until it is set.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[HTTPRequest] = []
        self.timeouts: list[HTTPTimeout] = []
        self.arguments: list[tuple[str, str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def _enter(self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> None:
        self.asked.append(request)
        self.timeouts.append(timeout)
        self.arguments.append((client_name, path))
        self.entered.set()

    def _say(self, request: HTTPRequest) -> HTTPResponse:
        answer = self.answer
        if isinstance(answer, BaseException):
            raise answer.with_traceback(None)
        return answer if isinstance(answer, HTTPResponse) else answer(request)

    def plain(self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> HTTPResponse:
        self._enter(request, client_name, path, timeout)
        assert self.gate.wait(30)
        return self._say(request)

    async def twin(
        self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout
    ) -> HTTPResponse:
        self._enter(request, client_name, path, timeout)
        while not self.gate.is_set():  # noqa: ASYNC110  (a thread sets it)
            await asyncio.sleep(0)
        return self._say(request)


class Side:
    """A discovery of one kind (``"async"`` or ``"sync"``) for one kind of server.

    Calls are made as clients make them: ``known`` first, and ``get_endpoint`` where that has no answer.
    """

    def __init__(self, kind: str, server: str) -> None:
        self.asynchronous = kind == "async"
        self.kind = server
        self.clock = FakeClock()
        self.runner = asyncio.Runner()
        self.server = Server(self.listing("10.0.0.1"))
        self.made: list[Any] = []

    def entry(self, address: str, port: Any = 8000) -> dict[str, Any]:
        return (consul_entry if self.kind == "consul" else nomad_entry)(address, port)

    def listing(self, *addresses: str) -> HTTPResponse:
        return body([self.entry(address) for address in addresses])

    def make(self, *arguments: Any, **options: Any) -> Any:
        types: Any = {
            ("consul", True): AsyncConsulDiscovery,
            ("consul", False): SyncConsulDiscovery,
            ("nomad", True): AsyncNomadServiceDiscovery,
            ("nomad", False): SyncNomadServiceDiscovery,
        }[self.kind, self.asynchronous]
        given = {
            "transport": self.server.twin if self.asynchronous else self.server.plain,
            "clock": self.clock,
            "random": lambda: 0.0,
        }
        made = types(*arguments, **(given | options))
        self.made.append(made)
        return made

    def find(self, discovery: Any, service: str = "user", version: str | None = "v1") -> str:
        async def call() -> str:
            url: str = discovery.known(service, version) or await discovery.get_endpoint(service, version)
            return url

        if self.asynchronous:
            return self.runner.run(call())
        url: str = discovery.known(service, version) or discovery.get_endpoint(service, version)
        return url

    def settle(self) -> None:
        """Wait for the end of what goes on in the background."""

        async def rest() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            if tasks:
                await asyncio.wait(tasks)

        if self.asynchronous:
            self.runner.run(rest())
        for thread in threading.enumerate():
            if thread.name.startswith("discovery:"):
                thread.join(30)

    def fresh(self, discovery: Any, service: str = "user", version: str | None = "v1") -> str:
        """Call, let what it began come to its end, and call again."""
        self.find(discovery, service, version)
        self.settle()
        return self.find(discovery, service, version)

    def at_once(self, discovery: Any, number: int) -> list[str]:
        """Make calls of which none can end before the gate opens."""
        self.server.gate.clear()

        async def together() -> list[str]:
            tasks = [asyncio.ensure_future(discovery.get_endpoint("user", "v1")) for _ in range(number)]
            while not self.server.entered.is_set():  # noqa: ASYNC110  (as above)
                await asyncio.sleep(0)
            for _ in range(5):
                await asyncio.sleep(0)
            self.server.gate.set()
            return await asyncio.gather(*tasks)

        if self.asynchronous:
            return self.runner.run(together())
        found: list[str] = []
        ready = threading.Barrier(number + 1)

        def call() -> None:
            ready.wait(30)
            found.append(discovery.get_endpoint("user", "v1"))

        threads = [threading.Thread(target=call) for _ in range(number)]
        for thread in threads:
            thread.start()
        ready.wait(30)
        assert self.server.entered.wait(30)
        self.server.gate.set()
        for thread in threads:
            thread.join(30)
        return found

    def close(self) -> None:
        self.server.gate.set()
        for discovery in self.made:
            if self.asynchronous:
                self.runner.run(discovery.aclose())
            else:
                discovery.close()
        self.runner.close()
