"""Mediators of an application, and routes that ask for them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import cqrs
from cqrs.container import BuiltinContainer, Lifetime
from cqrs.contrib.fastapi import Mediator, StreamingMediator, mediator_lifespan
from cqrs.exceptions import ConfigurationError
from cqrs.requests.bootstrap import bootstrap, bootstrap_streaming


class Double(cqrs.Request[int]):
    number: int


class DoubleHandler(cqrs.RequestHandler[Double, int]):
    async def handle(self, request: Double) -> int:
        return 2 * request.number


class Count(cqrs.Request[int]):
    number: int


class CountHandler(cqrs.StreamingRequestHandler[Count, int]):
    async def handle(self, request: Count) -> AsyncIterator[int]:
        for number in range(request.number):
            yield number


class Pool:
    opened = 0
    closed = 0


def open_pool() -> Iterator[Pool]:
    Pool.opened += 1
    yield Pool()
    Pool.closed += 1


class DoubleWithPool(cqrs.RequestHandler[Double, int]):
    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def handle(self, request: Double) -> int:
        return 2 * request.number


def requests() -> cqrs.RequestMediator:
    return bootstrap(
        di_container=BuiltinContainer(), queries_mapper=lambda mapper: mapper.bind(Double, DoubleHandler)
    )


async def streams() -> cqrs.StreamingRequestMediator:
    return bootstrap_streaming(
        di_container=BuiltinContainer(), queries_mapper=lambda mapper: mapper.bind(Count, CountHandler)
    )


def application(**lifespan: Any) -> FastAPI:
    app = FastAPI(lifespan=mediator_lifespan(**lifespan))

    @app.get("/double/{number}")
    async def double(number: int, mediator: Mediator) -> int:
        return await mediator.send(Double(number=number))

    @app.get("/count/{number}")
    async def count(number: int, mediator: StreamingMediator) -> list[int]:
        return [item async for item in mediator.stream(Count(number=number))]

    return app


def test_routes_reach_both_mediators() -> None:
    with TestClient(application(requests=requests, streams=streams)) as client:
        assert client.get("/double/21").json() == 42
        assert client.get("/count/3").json() == [0, 1, 2]


def test_mediator_is_made_once_per_application() -> None:
    made: list[cqrs.RequestMediator] = []

    def make() -> cqrs.RequestMediator:
        made.append(requests())
        return made[-1]

    with TestClient(application(requests=make)) as client:
        assert made
        for _ in range(3):
            client.get("/double/1")
    assert len(made) == 1


def test_enclosing_lifespan_is_entered_first_and_left_last() -> None:
    happened: list[str] = []

    @asynccontextmanager
    async def pool(_app: FastAPI) -> AsyncIterator[None]:
        happened.append("pool opened")
        yield
        happened.append("pool closed")

    def make() -> cqrs.RequestMediator:
        happened.append("mediator made")
        return requests()

    with TestClient(application(requests=make, around=pool)) as client:
        client.get("/double/1")
    assert happened == ["pool opened", "mediator made", "pool closed"]


def test_container_closes_its_singletons_when_the_application_stops() -> None:
    container = BuiltinContainer().register(Pool, open_pool, lifetime=Lifetime.SINGLETON)
    mediator = bootstrap(
        di_container=container, queries_mapper=lambda mapper: mapper.bind(Double, DoubleWithPool)
    )
    with TestClient(application(requests=lambda: mediator, around=lambda _app: container)) as client:
        assert [client.get("/double/1").json() for _ in range(2)] == [2, 2]
        assert (Pool.opened, Pool.closed) == (1, 0)
    assert (Pool.opened, Pool.closed) == (1, 1)


def test_missing_mediator_says_how_to_make_one() -> None:
    client = TestClient(application(requests=requests))
    with client, pytest.raises(ConfigurationError, match=r"mediator_lifespan\(streams="):
        client.get("/count/3")


def test_lifespan_without_any_mediator_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="nothing would be made"):
        mediator_lifespan()


def test_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['fastapi'] = None\nimport cqrs.contrib.fastapi"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert "pip install 'holdfast[fastapi]'" in done.stderr
