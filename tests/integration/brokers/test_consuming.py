"""Whatever the broker: a consumer handles every message, or puts it aside, and blocks nothing behind it."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from cqrs.circuit_breaker import Backoff
from cqrs.consumers import Consumer, current_message
from cqrs.message_brokers.protocol import Message
from tests.integration.brokers.places import PATIENCE, Place, reading

SOON = Backoff(initial=0.05, multiplier=1.0, max=0.05)


@dataclasses.dataclass
class Counted:
    number: int


class Handlers:
    """Notes what was handled; fails as often as it is told to."""

    def __init__(self, failures: dict[int, int] | None = None) -> None:
        self._failures = failures or {}
        self._change = asyncio.Event()
        self.gate: asyncio.Event | None = None
        self.started: list[int] = []
        self.handled: list[int] = []
        self.messages: list[Any] = []

    async def send(self, event: Any) -> None:
        self.started.append(event.number)
        self.messages.append(current_message())
        self._change.set()
        if self._failures.get(event.number, 0) > 0:
            self._failures[event.number] -= 1
            raise ValueError("not now")
        if self.gate is not None:
            await self.gate.wait()
        self.handled.append(event.number)
        self._change.set()

    async def reach(self, *numbers: int, of: str = "handled") -> None:
        async with asyncio.timeout(PATIENCE):
            while not set(numbers) <= set(getattr(self, of)):
                self._change.clear()
                await self._change.wait()


def consumer_of(place: Place, handlers: Handlers, **arguments: Any) -> Consumer:
    source = place.source()
    return Consumer(source, handlers, {"Counted": Counted}, backoff=SOON, reconnect=SOON, **arguments)


async def dead_letter_of(place: Place) -> Any:
    async with reading(place.dead_letters()) as reader:
        return await reader.next()


async def test_events_are_handled_with_name_headers_and_key(place: Place) -> None:
    handlers, sent = Handlers(), place.message(7, headers={"tenant": "a"}, key="k")
    async with place.broker() as broker:
        await broker.send_message(sent)

    async with consumer_of(place, handlers):
        await handlers.reach(7)

    (received,) = handlers.messages
    assert (received.message_id, received.message_name, received.key) == (sent.message_id, "Counted", "k")
    assert received.headers["tenant"] == "a"


async def test_a_failure_that_passes_is_tried_again(place: Place) -> None:
    await place.publish(1, 2)
    handlers = Handlers({1: 2})

    async with consumer_of(place, handlers, concurrency=2):
        await handlers.reach(1, 2)

    assert handlers.started.count(1) == 3
    assert handlers.started.count(2) == 1


async def test_what_always_fails_is_put_aside_and_blocks_nothing(place: Place) -> None:
    await place.publish(1, 2, 3)
    handlers = Handlers({1: 99})

    async with consumer_of(place, handlers, max_attempts=3) as consumer:
        await handlers.reach(2, 3)
        letter = await dead_letter_of(place)

    assert letter.body == b'{"number":1}'
    assert letter.headers["dead_letter_reason"] == "ValueError: not now"
    assert letter.headers["dead_letter_attempts"] == "3"
    assert letter.headers["dead_letter_topic"] == place.topic
    assert handlers.started.count(1) == 3
    assert consumer.statistics.dead_lettered == 1


@pytest.mark.parametrize(
    ("name", "payload", "reason"),
    [("Lost", {"number": 1}, "'Lost'"), ("Counted", b"{", "cannot be read as Counted")],
    ids=["unknown", "undecodable"],
)
async def test_what_cannot_be_read_is_put_aside_at_once(
    place: Place, name: str, payload: Any, reason: str
) -> None:
    handlers = Handlers()
    async with place.broker() as broker:
        await broker.send_messages([Message(name, place.topic, payload), place.message(2)])

    async with consumer_of(place, handlers):
        await handlers.reach(2)
        letter = await dead_letter_of(place)

    assert reason in letter.headers["dead_letter_reason"]
    assert handlers.started == [2]


async def test_what_was_in_work_at_a_stop_is_handled_by_the_next(place: Place) -> None:
    async with place.broker() as broker:
        await broker.send_messages([place.message(number, key="same") for number in (1, 2, 3)])
    first, second = Handlers(), Handlers()
    first.gate = asyncio.Event()
    consumer = consumer_of(place, first)
    await consumer.start()
    await first.reach(1, of="started")

    await consumer.stop(timeout=0)
    async with consumer_of(place, second):
        await second.reach(1, 2, 3)

    assert first.handled == []
    assert sorted(second.handled) == [1, 2, 3]


async def test_what_was_handled_at_a_stop_does_not_come_again(place: Place) -> None:
    await place.publish(1, 2)
    first, second = Handlers(), Handlers()
    async with consumer_of(place, first):
        await first.reach(1, 2)

    await place.publish(3)
    async with consumer_of(place, second):
        await second.reach(3)

    assert second.started == [3]


async def test_it_goes_on_when_connections_were_cut(place: Place) -> None:
    handlers = Handlers()
    with place.through_proxy() as proxy:
        await place.publish(1)
        async with consumer_of(place, handlers):
            await handlers.reach(1)
            proxy.cut()
            await place.publish(2)
            await handlers.reach(1, 2)
