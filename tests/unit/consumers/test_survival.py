"""Consumers that die, brokers that go down, handlers that fail: no message is lost, and order holds."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cqrs.circuit_breaker import Backoff, CircuitOpenError
from cqrs.consumers import Consumer
from cqrs.message_brokers.memory import MemoryMessageBroker
from cqrs.message_brokers.protocol import Message
from cqrs.testing import FakeClock
from tests.unit.consumers.support import Counted, Mediator, turns

SHORT = Backoff(initial=0.1, multiplier=1.0, max=0.1, jitter=0.0)

LIVES = st.lists(
    st.tuples(st.sampled_from(["stop", "cancel", "outage", "wait"]), st.integers(0, 40)), max_size=5
)


@given(
    keys=st.lists(st.sampled_from([None, "a", "b"]), min_size=1, max_size=10),
    lives=LIVES,
    concurrency=st.integers(1, 3),
    seed=st.integers(0, 2**16),
    poison=st.integers(0, 20),
)
def test_every_message_is_handled_or_put_aside(
    keys: list[str | None], lives: list[tuple[str, int]], concurrency: int, seed: int, poison: int
) -> None:
    clock, chance = FakeClock(), random.Random(seed)
    broker = MemoryMessageBroker(clock=clock, sleep=clock.sleep)

    async def handle(number: int) -> None:
        await turns(chance.randrange(4))
        if number == poison:
            raise ValueError("poison")
        what = chance.random()
        if what < 0.1:
            raise CircuitOpenError("shop", retry_after=0.2)
        if what < 0.2:
            raise ConnectionError
        await turns(chance.randrange(3))

    mediator = Mediator(handle)

    def consumer() -> Consumer:
        arguments: dict[str, Any] = {"concurrency": concurrency, "max_pending": concurrency + 2}
        arguments |= {"max_attempts": 60, "stop_timeout": 0, "backoff": SHORT, "reconnect": SHORT}
        source = broker.source("numbers", lease=5.0)
        return Consumer(source, mediator, {"Counted": Counted}, sleep=clock.sleep, **arguments)

    async def live(end: str, after: int) -> None:
        running = consumer()
        task = asyncio.ensure_future(running.run())
        await turns(after)
        if end == "outage":
            broker.go_down()
            await turns(5)
            broker.come_up()
        elif end == "wait":
            await clock.elapse(1)
        elif end == "stop":
            await running.stop()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def main() -> None:
        for number, key in enumerate(keys):
            await broker.send_message(Message("Counted", "numbers", {"number": number}, key=key))
        for end, after in lives:
            await live(end, after)
        async with consumer() as last:
            while broker.waiting() or broker.in_flight():
                await clock.elapse(0.5)
        assert last.statistics.in_hand == last.statistics.handling == 0

    asyncio.run(main())

    dead = [int(letter.message.body[10:-1]) for letter in broker.dead_letters()]
    assert dead == [poison] * (poison < len(keys))
    assert set(mediator.ended) == set(range(len(keys))) - {poison}
    assert mediator.most <= concurrency
    for key in "ab":
        firsts = list(dict.fromkeys(number for number in mediator.ended if keys[number] == key))
        assert firsts == sorted(firsts)
