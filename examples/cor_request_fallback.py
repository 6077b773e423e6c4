"""A chain of responsibility in which one link has a fallback behind a circuit breaker.

Run it: python examples/cor_request_fallback.py
"""

from __future__ import annotations

import asyncio

import cqrs
from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers
from cqrs.container import BuiltinContainer
from cqrs.requests.bootstrap import bootstrap

asked: list[str] = []


class Shipping(cqrs.Response):
    days: int
    source: str


class EstimateShipping(cqrs.Request[Shipping]):
    country: str


class DomesticRule(cqrs.CORRequestHandler[EstimateShipping, Shipping]):
    async def handle(self, request: EstimateShipping) -> Shipping | None:
        asked.append("domestic rule")
        if request.country == "IS":
            return Shipping(days=1, source="domestic rule")
        return await self.next(request)


class CarrierService(cqrs.CORRequestHandler[EstimateShipping, Shipping]):
    async def handle(self, request: EstimateShipping) -> Shipping | None:
        asked.append("carrier service")
        raise ConnectionError("the carrier does not answer")


class CarrierTable(cqrs.CORRequestHandler[EstimateShipping, Shipping]):
    """Stands in for the service; knows only some countries and passes the rest on."""

    async def handle(self, request: EstimateShipping) -> Shipping | None:
        asked.append("carrier table")
        if request.country == "NO":
            return Shipping(days=4, source="carrier table")
        return await self.next(request)


class WorstCase(cqrs.CORRequestHandler[EstimateShipping, Shipping]):
    async def handle(self, request: EstimateShipping) -> Shipping | None:
        asked.append("worst case")
        return Shipping(days=21, source="worst case")


async def main() -> None:
    breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=2, ttl=30.0))
    carrier = cqrs.RequestHandlerFallback(CarrierService, CarrierTable, circuit_breaker=breakers)

    def queries(mapper: cqrs.RequestMap) -> None:
        mapper.bind(EstimateShipping, [DomesticRule, carrier, WorstCase])

    mediator = bootstrap(di_container=BuiltinContainer(), queries_mapper=queries)
    for country in ("IS", "NO", "JP", "NO"):
        asked.clear()
        shipping = await mediator.send(EstimateShipping(country=country))
        print(f"{country}: {shipping.days:2} days; asked {', then '.join(asked)}")


if __name__ == "__main__":
    asyncio.run(main())
