"""The FastAPI example, through a test client and through a real server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import httpx2
import pytest
import uvicorn
from starlette.testclient import TestClient

from examples import fastapi_app


@pytest.fixture
def application() -> Iterator[None]:
    """Put the example back to its start: upstream up, circuits closed."""

    def reset() -> None:
        fastapi_app.upstream.up = True
        for name in fastapi_app.breakers:
            fastapi_app.breakers[name].reset()

    reset()
    yield
    reset()


@pytest.fixture
def client(application: None) -> Iterator[TestClient]:
    with TestClient(fastapi_app.app, raise_server_exceptions=False) as client:
        yield client


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens in the server, where no event tells of it."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[httpx2.AsyncClient]:
    """Serve the example on a free port of the loopback interface."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(fastapi_app.app, log_level="warning", lifespan="on"))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    host, port = listening.getsockname()
    try:
        await until(lambda: server.started or task.done())
        async with httpx2.AsyncClient(base_url=f"http://{host}:{port}", timeout=10.0) as client:
            yield client
    finally:
        server.should_exit = True
        await task
        listening.close()


def test_guarded_query_keeps_answering(client: TestClient) -> None:
    assert client.get("/prices/a-1").json()["source"] == "upstream"
    client.put("/upstream/down")
    answers = [client.get("/prices/a-1") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert {answer.json()["source"] for answer in answers} == {"list"}


def test_open_circuit_without_fallback_is_503_with_retry_after(client: TestClient) -> None:
    assert client.get("/stock/a-1").json() == 12
    client.put("/upstream/down")
    assert [client.get("/stock/a-1").status_code for _ in range(4)] == [500, 500, 500, 503]
    rejected = client.get("/stock/a-1")
    assert 1 <= int(rejected.headers["retry-after"]) <= 10
    assert rejected.json() == {
        "error": "circuit_open",
        "circuit": "stock",
        "state": "open",
        "retry_after": int(rejected.headers["retry-after"]),
    }
    assert "does not answer" not in rejected.text


def test_open_circuit_alone_is_not_unready(client: TestClient) -> None:
    client.put("/upstream/down")
    for _ in range(4):
        client.get("/stock/a-1")
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["circuits"] == {"stock": "open"}
    assert client.get("/healthz").status_code == 200


async def test_server_streams_and_closes_the_stream_when_the_client_leaves(application: None) -> None:
    async with served() as client:
        async with client.stream("GET", "/prices/a-1/live", params={"interval": 0.01}) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            events = [line async for line in _first(response.aiter_lines(), 8) if line.startswith("data: ")]
            assert events[0] == 'data: {"sku":"a-1","cents":1899,"source":"upstream"}'
            assert fastapi_app.upstream.watchers == 1
        await until(lambda: fastapi_app.upstream.watchers == 0)


async def test_server_tells_when_a_stream_breaks(application: None) -> None:
    async with served() as client:
        async with client.stream("GET", "/prices/a-1/live", params={"interval": 0.01}) as response:
            lines = response.aiter_lines()
            await anext(lines)
            await client.put("/upstream/down")
            rest = [line async for line in lines]
        assert rest[-3:-1] == ["event: error", 'data: {"error":"stream_failed"}'] or "event: error" in rest
        assert fastapi_app.upstream.watchers == 0


async def test_server_answers_503_through_real_http(application: None) -> None:
    async with served() as client:
        await client.put("/upstream/down")
        codes = [(await client.get("/stock/a-1")).status_code for _ in range(4)]
        assert codes == [500, 500, 500, 503]


async def _first(lines: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    for _ in range(count):
        yield await anext(lines)
