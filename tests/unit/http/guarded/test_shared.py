"""Guards of plain clients whose circuits a fleet shares."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitOpenError
from cqrs.http.guarded.httpx import AsyncCircuitBreakerTransport, SyncCircuitBreakerTransport
from cqrs.testing import Fleet, FleetNode

URL = "http://user.internal/"
POLICY = CircuitBreakerPolicy.consecutive(2, 10)


class Server:
    def __init__(self) -> None:
        self.status = 503
        self.requests = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests += 1
        return httpx2.Response(self.status)


def client(node: FleetNode, server: Server) -> httpx2.Client:
    guard = SyncCircuitBreakerTransport(httpx2.MockTransport(server), node.breakers)
    return httpx2.Client(transport=guard)


def async_client(node: FleetNode, server: Server) -> httpx2.AsyncClient:
    guard = AsyncCircuitBreakerTransport(httpx2.MockTransport(server), node.breakers)
    return httpx2.AsyncClient(transport=guard)


async def test_synchronous_and_asynchronous_clients_of_a_fleet_share_a_circuit() -> None:
    fleet, server = Fleet(2, POLICY, quorum=0), Server()
    with client(fleet.nodes[0], server) as first:
        async with async_client(fleet.nodes[1], server) as second:
            assert (await second.get(URL)).status_code == 503
            assert first.get(URL).status_code == 503, "the second in a row, of whichever process"
            fleet.advance(2)
            with pytest.raises(httpx2.ConnectError) as raised:
                await second.get(URL)
            error: Any = raised.value
            assert isinstance(error, CircuitOpenError)
            assert (error.name, error.source, server.requests) == ("user.internal", "fleet", 2)


@pytest.mark.parametrize("status", [200, 503])
async def test_a_probe_is_asked_for_and_its_outcome_told(status: int) -> None:
    fleet, server = Fleet(2, POLICY, quorum=0), Server()
    with client(fleet.nodes[0], server) as first:
        async with async_client(fleet.nodes[1], server) as second:
            for _ in range(2):
                first.get(URL)
            fleet.advance(10.5)
            server.status, server.requests = status, 0
            assert (await second.get(URL)).status_code == status, "its permit came from the store"
            fleet.advance(1)
            if status == 200:
                assert first.get(URL).status_code == 200
            else:
                with pytest.raises(httpx2.ConnectError):
                    first.get(URL)
            states = fleet.states("user.internal")
            assert states == ["closed"] * 2 if status == 200 else states == ["open"] * 2


def test_a_body_that_is_still_to_come_keeps_the_fleets_permit() -> None:
    fleet = Fleet(2, POLICY, quorum=0)
    parts = iter([b"a", b"b"])

    class Slow(httpx2.SyncByteStream):
        def __iter__(self) -> Any:
            return parts

    server = Server()
    slow = SyncCircuitBreakerTransport(
        httpx2.MockTransport(lambda request: httpx2.Response(200, stream=Slow())), fleet.nodes[1].breakers
    )
    with client(fleet.nodes[0], server) as first, httpx2.Client(transport=slow) as second:
        for _ in range(2):
            first.get(URL)
        fleet.advance(10.5)
        server.status = 200
        with second.stream("GET", URL) as response:
            fleet.advance(1)
            with pytest.raises(httpx2.ConnectError):
                first.get(URL)
            assert b"".join(response.iter_raw()) == b"ab"
        fleet.advance(1)
        assert fleet.states("user.internal") == ["closed"] * 2
