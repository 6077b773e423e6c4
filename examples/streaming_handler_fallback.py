"""A stream that breaks in the middle: the fallback starts over, and the failing stream opens the circuit.

Run it: python examples/streaming_handler_fallback.py
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import cqrs
from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers
from cqrs.container import BuiltinContainer
from cqrs.requests.bootstrap import bootstrap_streaming


class Reading(cqrs.Response):
    hour: int
    source: str


class ExportReadings(cqrs.Request[Reading]):
    hours: int


class LiveReadings(cqrs.StreamingRequestHandler[ExportReadings, Reading]):
    calls = 0

    async def handle(self, request: ExportReadings) -> AsyncIterator[Reading]:
        LiveReadings.calls += 1
        for hour in range(request.hours):
            if hour == 2:
                raise ConnectionError("the sensor network went away")
            yield Reading(hour=hour, source="live")


class StoredReadings(cqrs.StreamingRequestHandler[ExportReadings, Reading]):
    async def handle(self, request: ExportReadings) -> AsyncIterator[Reading]:
        for hour in range(request.hours):
            yield Reading(hour=hour, source="stored")


async def main() -> None:
    breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=2, ttl=30.0))
    pair = cqrs.RequestHandlerFallback(
        primary=LiveReadings,
        fallback=StoredReadings,
        failure_exceptions=(ConnectionError,),
        circuit_breaker=breakers,
    )
    mediator = bootstrap_streaming(
        di_container=BuiltinContainer(),
        queries_mapper=lambda mapper: mapper.bind(ExportReadings, pair),
    )
    circuit = breakers[LiveReadings]
    for number in range(1, 6):
        items = [f"{item.source}:{item.hour}" async for item in mediator.stream(ExportReadings(hours=3))]
        print(f"stream {number}: {' '.join(items)}  (circuit {circuit.state})")
    print(f"5 streams, {LiveReadings.calls} calls of the sensor network")


if __name__ == "__main__":
    asyncio.run(main())
