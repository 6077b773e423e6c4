"""The client and the upstream's behaviour, over real connections within one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from cqrs.demo.client import UPSTREAM_FAILURES, UpstreamClient, UpstreamError
from cqrs.demo.upstream import HOST, PRODUCTS, Upstream, price_of


class Rig:
    """An upstream, a client, and the server between them."""

    def __init__(self, upstream: Upstream, server: asyncio.Server, client: UpstreamClient) -> None:
        self.upstream = upstream
        self.server = server
        self.client = client
        self.connections = 0


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    upstream = Upstream(slow=(30.0, 30.0), seed=1)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        await upstream.serve(reader, writer)

    server = await asyncio.start_server(serve, HOST, 0)
    client = UpstreamClient(HOST, server.sockets[0].getsockname()[1], timeout=5.0)
    made = Rig(upstream, server, client)
    yield made
    await client.close()
    server.close()
    await server.wait_closed()


async def test_documents_are_asked_for_and_posted(rig: Rig) -> None:
    assert await rig.client.get("/price/sku-02") == {"sku": "sku-02", "cents": price_of("sku-02")}
    assert await rig.client.post("/payment", {"order": "1"}) == {"accepted": True}
    assert len((await rig.client.get("/recommendations/1"))["skus"]) == 3


async def test_a_connection_is_used_again(rig: Rig) -> None:
    for _ in range(5):
        await rig.client.get("/price/sku-01")
    assert [item["sku"] async for item in rig.client.lines("/catalogue")] == list(PRODUCTS)
    await rig.client.get("/price/sku-01")
    assert rig.connections == 1


async def test_calls_at_once_have_a_connection_each(rig: Rig) -> None:
    await asyncio.gather(*(rig.client.get("/price/sku-01") for _ in range(4)))
    assert rig.connections == 4


async def test_a_failing_upstream_answers_503_or_drops_the_connection(rig: Rig) -> None:
    rig.upstream.mode = "failing"
    failures = set[type[Exception]]()
    for _ in range(20):
        with pytest.raises(UPSTREAM_FAILURES) as caught:
            await rig.client.get("/price/sku-01")
        failures.add(caught.type)
    assert UpstreamError in failures
    assert any(issubclass(failure, (ConnectionError, EOFError)) for failure in failures)


async def test_a_failing_upstream_breaks_streams_after_some_items(rig: Rig) -> None:
    rig.upstream.mode = "failing"
    items: list[object] = []
    with pytest.raises(UPSTREAM_FAILURES):
        async for item in rig.client.lines("/catalogue"):
            items.append(item)
    assert 0 < len(items) < len(PRODUCTS)


async def test_a_slow_upstream_meets_the_timeout(rig: Rig) -> None:
    rig.upstream.mode = "slow"
    client = UpstreamClient(HOST, rig.server.sockets[0].getsockname()[1], timeout=0.01)
    with pytest.raises(TimeoutError):
        await client.get("/price/sku-01")
    with pytest.raises(TimeoutError):
        await anext(aiter(client.lines("/catalogue")))


async def test_the_wait_for_a_free_connection_counts_for_the_timeout(rig: Rig) -> None:
    rig.upstream.mode = "slow"
    port = rig.server.sockets[0].getsockname()[1]
    client = UpstreamClient(HOST, port, timeout=0.01, max_connections=1)
    results = await asyncio.gather(*(client.get("/price/sku-01") for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [TimeoutError] * 3


async def test_a_connection_that_the_upstream_closed_costs_no_call(rig: Rig) -> None:
    await rig.client.get("/price/sku-01")
    rig.upstream.mode = "failing"
    while rig.connections == 1:
        with pytest.raises(UPSTREAM_FAILURES):
            await rig.client.get("/price/sku-01")
    rig.upstream.mode = "healthy"
    assert (await rig.client.get("/price/sku-01"))["sku"] == "sku-01"


async def test_nobody_listening_is_a_failure_of_the_upstream() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await UpstreamClient(HOST, port, timeout=5.0).get("/price/sku-01")


async def test_each_call_is_told_when_it_starts(rig: Rig) -> None:
    told: list[str] = []
    port = rig.server.sockets[0].getsockname()[1]
    client = UpstreamClient(HOST, port, timeout=5.0, on_call=told.append)
    rig.upstream.mode = "failing"
    with pytest.raises(UPSTREAM_FAILURES):
        await client.post("/payment", {})
    with pytest.raises(UPSTREAM_FAILURES):
        async for _ in client.lines("/catalogue"):
            pass
    assert told == ["/payment", "/catalogue"]
    await client.close()
