"""A web service whose upstream can be switched off; needs the extra ``fastapi`` and a server.

Run it: uvicorn examples.fastapi_app:app
Then:   curl -X PUT localhost:8000/upstream/down
        curl localhost:8000/prices/a-1        (fallback: 200, "source":"list")
        curl -i localhost:8000/stock/a-1      (no fallback: an error, soon 503 with Retry-After)
        curl -N localhost:8000/prices/a-1/live
        curl localhost:8000/readyz            (an open circuit alone is not "unready")
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

from fastapi import FastAPI

import cqrs
from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers
from cqrs.container import BuiltinContainer
from cqrs.contrib.fastapi import (
    Mediator,
    ServerSentEvents,
    StreamingMediator,
    health_router,
    install_exception_handlers,
    mediator_lifespan,
)
from cqrs.requests.bootstrap import bootstrap, bootstrap_streaming


class Price(cqrs.Response):
    sku: str
    cents: int
    source: str


class GetPrice(cqrs.Request[Price]):
    sku: str


class WatchPrice(cqrs.Request[Price]):
    sku: str
    interval: float = 1.0


class GetStock(cqrs.Request[int]):
    sku: str


class Upstream:
    """Stands for the other service."""

    def __init__(self) -> None:
        self.up = True
        self.watchers = 0

    async def ask(self, answer: int) -> int:
        if not self.up:
            raise ConnectionError("the upstream does not answer")
        return answer


class PriceFromUpstream(cqrs.RequestHandler[GetPrice, Price]):
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def handle(self, request: GetPrice) -> Price:
        return Price(sku=request.sku, cents=await self._upstream.ask(1899), source="upstream")


class ListPrice(cqrs.RequestHandler[GetPrice, Price]):
    async def handle(self, request: GetPrice) -> Price:
        return Price(sku=request.sku, cents=1999, source="list")


class PriceTicks(cqrs.StreamingRequestHandler[WatchPrice, Price]):
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def handle(self, request: WatchPrice) -> AsyncIterator[Price]:
        self._upstream.watchers += 1
        try:
            while True:
                yield Price(sku=request.sku, cents=await self._upstream.ask(1899), source="upstream")
                await asyncio.sleep(request.interval)
        finally:
            self._upstream.watchers -= 1


class StockFromUpstream(cqrs.RequestHandler[GetStock, int]):
    """Guarded, but without a fallback: a guessed stock would be worse than an error."""

    def __init__(self, upstream: Upstream, breakers: CircuitBreakers) -> None:
        self._upstream = upstream
        self._circuit = breakers["stock"]

    async def handle(self, request: GetStock) -> int:
        return await self._circuit.call(self._upstream.ask, 12)


breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=3, ttl=10.0))
upstream = Upstream()
container = BuiltinContainer()
container.register_instance(Upstream, upstream)
container.register_instance(CircuitBreakers, breakers)


def queries(mapper: cqrs.RequestMap) -> None:
    mapper.bind(GetPrice, cqrs.RequestHandlerFallback(PriceFromUpstream, ListPrice, circuit_breaker=breakers))
    mapper.bind(GetStock, StockFromUpstream)


def streams(mapper: cqrs.RequestMap) -> None:
    mapper.bind(WatchPrice, PriceTicks)


app = FastAPI(
    title="Prices",
    lifespan=mediator_lifespan(
        requests=lambda: bootstrap(di_container=container, queries_mapper=queries),
        streams=lambda: bootstrap_streaming(di_container=container, queries_mapper=streams),
    ),
)
install_exception_handlers(app)
app.include_router(health_router(breakers=breakers))


@app.get("/prices/{sku}")
async def price(sku: str, mediator: Mediator) -> Price:
    return await mediator.send(GetPrice(sku=sku))


@app.get("/prices/{sku}/live")
async def live_price(sku: str, mediator: StreamingMediator, interval: float = 1.0) -> ServerSentEvents:
    return ServerSentEvents(mediator.stream(WatchPrice(sku=sku, interval=interval)), event="price")


@app.get("/stock/{sku}")
async def stock(sku: str, mediator: Mediator) -> int:
    return await mediator.send(GetStock(sku=sku))


@app.put("/upstream/{state}")
async def switch(state: Literal["up", "down"]) -> str:
    upstream.up = state == "up"
    return f"the upstream is {state}"
