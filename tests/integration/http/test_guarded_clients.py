"""Circuit breakers on plain clients over real sockets: what a body does to its circuit."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests

from cqrs.circuit_breaker import CircuitBreakers, CircuitOpenError, State
from cqrs.http.guarded.aiohttp import CircuitBreakerMiddleware
from cqrs.http.guarded.httpx import AsyncCircuitBreakerTransport, SyncCircuitBreakerTransport
from cqrs.http.guarded.requests import CircuitBreakerAdapter
from tests.integration.http.peer import OK, Exchange, Peer

pytestmark = pytest.mark.timeout(60)

HEAD = b"HTTP/1.1 200 OK\r\n"


def answer(exchange: Exchange) -> None:
    exchange.send(OK)


def refuse(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")


def cut(exchange: Exchange) -> bool:
    exchange.send(HEAD + b"Content-Length: 100\r\n\r\nabc")
    return True


def stall(exchange: Exchange) -> bool:
    exchange.send(HEAD + b"Content-Length: 100\r\n\r\nabc")
    return exchange.hang()


def garbage(exchange: Exchange) -> bool:
    exchange.send(b"SSH-2.0\r\n\r\n")
    return True


class Client:
    """A guarded client: ``get`` reads the whole body, ``peek`` gives it up after the headers."""

    lost: tuple[type[Exception], ...]
    guard: Any

    @property
    def breakers(self) -> CircuitBreakers:
        found: CircuitBreakers = self.guard.breakers
        return found

    def get(self, url: str, timeout: float = 20) -> int:
        raise NotImplementedError

    def peek(self, url: str, then: Callable[[Any], None]) -> None:
        """Call ``then`` with the response while its body is still to come; then close it."""
        raise NotImplementedError


class SyncHttpx(Client):
    def __init__(self, library: Any) -> None:
        self.lost = (library.TransportError,)
        self.guard = SyncCircuitBreakerTransport(library.HTTPTransport(), threshold=2)
        self.library = library

    def get(self, url: str, timeout: float = 20) -> int:
        with self.library.Client(transport=self.guard, timeout=timeout) as client:
            return int(client.get(url).status_code)

    def peek(self, url: str, then: Callable[[Any], None]) -> None:
        with self.library.Client(transport=self.guard) as client, client.stream("GET", url) as response:
            then(response)


class AsyncHttpx(Client):
    def __init__(self, library: Any) -> None:
        self.lost = (library.TransportError,)
        self.guard = AsyncCircuitBreakerTransport(library.AsyncHTTPTransport(), threshold=2)
        self.library = library

    def get(self, url: str, timeout: float = 20) -> int:
        async def run() -> int:
            async with self.library.AsyncClient(transport=self.guard, timeout=timeout) as client:
                return int((await client.get(url)).status_code)

        return asyncio.run(run())

    def peek(self, url: str, then: Callable[[Any], None]) -> None:
        async def run() -> None:
            client = self.library.AsyncClient(transport=self.guard)
            async with client, client.stream("GET", url) as response:
                then(response)

        asyncio.run(run())


class Aiohttp(Client):
    lost = (aiohttp.ClientError, TimeoutError)
    total = False

    def __init__(self) -> None:
        self.guard = CircuitBreakerMiddleware(threshold=2)

    def get(self, url: str, timeout: float = 20) -> int:
        limit = aiohttp.ClientTimeout(**{"total" if self.total else "sock_read": timeout})

        async def run() -> int:
            async with (
                aiohttp.ClientSession(middlewares=(self.guard,), timeout=limit) as session,
                session.get(url) as response,
            ):
                await response.read()
                return response.status

        return asyncio.run(run())

    def peek(self, url: str, then: Callable[[Any], None]) -> None:
        async def run() -> None:
            async with (
                aiohttp.ClientSession(middlewares=(self.guard,)) as session,
                session.get(url) as response,
            ):
                then(response)

        asyncio.run(run())


class AiohttpTotal(Aiohttp):
    total = True


class Requests(Client):
    lost = (requests.exceptions.RequestException,)

    def __init__(self) -> None:
        self.guard = CircuitBreakerAdapter(threshold=2)
        self.streamed = False

    def get(self, url: str, timeout: float = 20) -> int:
        with requests.Session() as session:
            session.mount("http://", self.guard)
            response = session.get(url, timeout=timeout, stream=self.streamed)
            assert response.content is not None
            return response.status_code

    def peek(self, url: str, then: Callable[[Any], None]) -> None:
        with requests.Session() as session:
            session.mount("http://", self.guard)
            with session.get(url, stream=True) as response:
                then(response)


class RequestsStreamed(Requests):
    def __init__(self) -> None:
        super().__init__()
        self.streamed = True


CLIENTS: dict[str, Callable[[], Client]] = {
    "httpx2-sync": lambda: SyncHttpx(httpx2),
    "httpx2-async": lambda: AsyncHttpx(httpx2),
    "httpx-sync": lambda: SyncHttpx(httpx),
    "httpx-async": lambda: AsyncHttpx(httpx),
    "aiohttp": Aiohttp,
    "aiohttp-total-timeout": AiohttpTotal,
    "requests": Requests,
    "requests-streamed": RequestsStreamed,
}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Client:
    return CLIENTS[request.param]()


def only(client: Client) -> Any:
    [name] = client.breakers
    return client.breakers[name]


def test_good_answers(client: Client) -> None:
    with Peer(answer) as peer:
        for _ in range(3):
            assert client.get(peer.url) == 200
        figures = only(client).snapshot()
        assert (figures.succeeded, figures.in_flight) == (3, 0)
        assert only(client).name == f"127.0.0.1:{peer.port}"


def test_errors_of_the_server_open_the_circuit(client: Client) -> None:
    with Peer(refuse) as peer:
        for _ in range(2):
            assert client.get(peer.url) == 503
        for _ in range(3):
            with pytest.raises(client.lost) as caught:
                client.get(peer.url)
            assert isinstance(caught.value, CircuitOpenError)
        assert peer.requests == 2


@pytest.mark.parametrize("script", [cut, garbage])
def test_a_broken_answer_counts(client: Client, script: Callable[[Exchange], bool]) -> None:
    with Peer(script) as peer:
        for _ in range(2):
            with pytest.raises(client.lost):
                client.get(peer.url)
        assert only(client).state is State.OPEN


def test_a_body_that_stalls_counts(client: Client) -> None:
    with Peer(stall) as peer:
        for _ in range(2):
            with pytest.raises(client.lost):
                client.get(peer.url, timeout=0.2)
        assert only(client).state is State.OPEN


def test_a_refused_connection_counts(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for _ in range(2):
        with pytest.raises(client.lost):
            client.get(f"http://127.0.0.1:{port}")
    assert only(client).state is State.OPEN


def test_a_body_given_up_is_a_success(client: Client) -> None:
    with Peer(stall) as peer:

        def look(response: Any) -> None:
            assert only(client).snapshot().in_flight == 1

        for _ in range(3):
            client.peek(peer.url, look)
        gc.collect()
        figures = only(client).snapshot()
        assert (figures.succeeded, figures.in_flight, figures.failed) == (3, 0, 0)


async def test_cancelling_while_the_body_comes_counts_neither_way_against_the_host() -> None:
    guard = CircuitBreakerMiddleware(threshold=1)
    transport = AsyncCircuitBreakerTransport(httpx2.AsyncHTTPTransport(), guard.breakers)
    with Peer(stall) as peer:
        async with (
            aiohttp.ClientSession(middlewares=(guard,)) as session,
            httpx2.AsyncClient(transport=transport) as client,
        ):

            async def read() -> None:
                async with session.get(peer.url) as response:
                    began.set()
                    await response.read()

            async def read_httpx() -> None:
                async with client.stream("GET", peer.url) as response:
                    began.set()
                    await response.aread()

            for count, job in enumerate((read, read_httpx), 1):
                began = asyncio.Event()
                task = asyncio.create_task(job())
                await began.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                [name] = guard.breakers
                figures = guard.breakers[name].snapshot()
                assert (figures.failed, figures.in_flight) == (0, 0)
                assert (figures.cancelled, figures.succeeded) == (count, 0)
                assert guard.breakers[name].state is State.CLOSED
