"""Streams left, cancelled and failing at random moments: nothing stays open or keeps running."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator
from typing import Any

import pytest

import cqrs
from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers, CircuitOpenError
from cqrs.container import BuiltinContainer
from cqrs.mediator import StreamingRequestMediator
from cqrs.middlewares import MiddlewareChain
from tests.unit.dispatcher.breakers import CallBreaker


class Ask:
    pass


class Happened:
    pass


class Chance:
    """The dice of one run, and how many handlers are at work."""

    dice = random.Random(0)
    open = 0


async def perhaps_wait() -> None:
    if Chance.dice.random() < 0.4:
        await asyncio.sleep(0)


class Stream(cqrs.StreamingRequestHandler[Ask, int]):
    @property
    def events(self) -> list[object]:
        return [Happened()]

    async def handle(self, request: Ask) -> AsyncGenerator[int, None]:
        Chance.open += 1
        try:
            for number in range(Chance.dice.randrange(5)):
                await perhaps_wait()
                if Chance.dice.random() < 0.15:
                    raise ConnectionError
                yield number
        finally:
            try:
                await perhaps_wait()
            finally:
                Chance.open -= 1


class Spare(Stream): ...


class OnHappened(cqrs.EventHandler[Happened]):
    async def handle(self, event: Happened) -> None:
        await perhaps_wait()
        if Chance.dice.random() < 0.05:
            raise ValueError


async def passing(request: Any, handle: Any) -> Any:
    return await handle(request)


async def consume(streams: StreamingRequestMediator) -> None:
    stream: Any = streams.stream(Ask())
    most = Chance.dice.randrange(1, 6)
    with contextlib.suppress(ConnectionError, ValueError, CircuitOpenError):
        async with contextlib.aclosing(stream):
            async for _ in stream:
                await perhaps_wait()
                most -= 1
                if most == 0:
                    break


async def run(streams: StreamingRequestMediator) -> None:
    tasks = [asyncio.create_task(consume(streams)) for _ in range(20)]
    for _ in range(Chance.dice.randrange(40)):
        await asyncio.sleep(0)
        if Chance.dice.random() < 0.5:
            Chance.dice.choice(tasks).cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert outcome is None or isinstance(outcome, asyncio.CancelledError), repr(outcome)
    assert Chance.open == 0
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("chain", [None, MiddlewareChain([passing])], ids=["bare", "middleware"])
@pytest.mark.parametrize("guard", ["plain", "fallback", "call", "native"])
def test_nothing_stays_open_and_every_permit_is_settled(
    chain: Any, guard: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    native = CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=3, ttl=0.0001))
    breakers: dict[str, Any] = {"call": CallBreaker(threshold=1_000_000), "native": native}
    binding: Any = cqrs.RequestHandlerFallback(Stream, Spare, circuit_breaker=breakers.get(guard))
    streams = StreamingRequestMediator(
        cqrs.RequestMap({Ask: Stream if guard == "plain" else binding}),
        BuiltinContainer(),
        None,
        chain,
        cqrs.EventMap({Happened: [OnHappened]}),
        3,
    )
    for seed in range(25):
        Chance.dice = random.Random(seed)
        asyncio.run(run(streams))
    for name in native:
        assert native[name].snapshot().in_flight == 0
