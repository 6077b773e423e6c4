"""A source that breaks: the consumer goes on, and what the broker delivers again is handled again."""

from __future__ import annotations

import asyncio
import logging

import pytest

from cqrs.consumers import Consumer
from cqrs.exceptions import BrokerUnavailableError
from cqrs.message_brokers.memory import MemoryMessageBroker
from cqrs.message_brokers.protocol import Message
from cqrs.testing import FakeClock
from tests.unit.consumers.support import (
    SECOND,
    Counted,
    Mediator,
    ScriptedSource,
    consumer_of,
    failing,
    message,
    turns,
)

LOST = BrokerUnavailableError("numbers", "connection lost")


async def test_a_broker_that_is_not_there_yet_is_waited_for(clock: FakeClock) -> None:
    source = ScriptedSource(message(1))
    source.errors["start"] = [LOST, LOST, OSError("refused")]

    async with consumer_of(source, Mediator(), clock) as consumer:
        await clock.elapse(1 + 2 + 4)
        await source.told("ack", "1")

    assert consumer.statistics.reconnects == 3


async def test_a_lost_connection_is_taken_up_again_after_growing_pauses(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    source = ScriptedSource(message(1))

    async with consumer_of(source, Mediator(), clock):
        await source.told("ack", "1")
        source.feed(LOST, LOST, message(2))
        await clock.elapse(1 + 1.9)
        assert source.told_of("ack") == ["1"]
        await clock.elapse(0.1)
        await source.told("ack", "2")
        source.feed(LOST, message(3))
        await clock.elapse(1)  # a message has come: the pauses begin anew
        await source.told("ack", "3")

    assert ("start",) in source.calls
    records = [record for record in caplog.records if record.name == "cqrs.consumers.intake"]
    assert [record.levelno for record in records] == [logging.WARNING] * 3
    assert all(record.exc_info is None for record in records)


async def test_a_fault_of_the_source_itself_is_told_with_its_traceback(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    source = ScriptedSource(KeyError("a bug"), message(1))

    async with consumer_of(source, Mediator(), clock):
        await clock.elapse(1)
        await source.told("ack", "1")

    assert any(record.exc_info for record in caplog.records)


async def test_after_a_fault_of_the_source_itself_nothing_is_dropped(clock: FakeClock) -> None:
    source, mediator = ScriptedSource(message(1)), Mediator(failing(1))

    async with consumer_of(source, mediator, clock):
        await source.told("retry", "1", 1.0)
        source.feed(KeyError("a bug"))
        await clock.elapse(1)
        await source.told("ack", "1")

    assert source.told_of("release") == []


async def test_what_had_not_begun_is_dropped_and_comes_again(clock: FakeClock) -> None:
    gate = asyncio.Event()

    async def handle(number: int) -> None:
        if number == 1:
            await gate.wait()
        if number == 3 and mediator.started.count(3) == 1:
            raise ValueError

    mediator = Mediator(handle)
    source = ScriptedSource(
        message(1, ordering="a"), message(2, ordering="a"), message(3, ordering="b"), message(4, ordering="b")
    )
    async with consumer_of(source, mediator, clock, concurrency=2) as consumer:
        await source.told("retry", "3", 1.0)
        await turns()
        source.feed(LOST)
        await source.told("release", "3")
        assert set(source.told_of("release")) == {"2", "3", "4"}
        assert consumer.statistics.in_hand == 1
        # The broker delivers all that was not settled again.
        source.feed(*(message(n, ordering="a" if n < 3 else "b", attempt=2) for n in (1, 2, 3, 4)))
        await clock.elapse(1)
        await source.told("ack", "4")
        gate.set()
        await source.told("ack", "2")

    assert mediator.ended.count(1) == 2
    assert [number for number in mediator.ended if number > 2] == [3, 4]
    assert [number for number in mediator.ended if number < 3] == [1, 1, 2]


async def test_an_outage_costs_nothing_but_time(clock: FakeClock) -> None:
    broker = MemoryMessageBroker(clock=clock, sleep=clock.sleep)
    gate = asyncio.Event()
    mediator = Mediator(lambda number: gate.wait() if number == 0 else asyncio.sleep(0))
    for number in range(4):
        await broker.send_message(Message("Counted", "numbers", {"number": number}, key=str(number % 2)))
    consumer = Consumer(
        broker.source("numbers"), mediator, {"Counted": Counted}, reconnect=SECOND, sleep=clock.sleep
    )
    async with consumer:
        await mediator.has_started(0)
        broker.go_down()
        gate.set()
        await turns()
        assert broker.in_flight() == 0
        broker.come_up()
        await clock.elapse(1)
        await broker.settled()

    assert sorted(set(mediator.ended)) == [0, 1, 2, 3]
    assert mediator.ended.count(0) == 2  # it had succeeded, but could not be acknowledged: at least once
    assert consumer.statistics.reconnects == 1


async def test_a_consumer_that_dies_leaves_its_messages_to_another(clock: FakeClock) -> None:
    broker = MemoryMessageBroker(clock=clock, sleep=clock.sleep)
    dead = broker.source("numbers", lease=30.0)
    await broker.send_message(Message("Counted", "numbers", {"number": 1}))
    await dead.start()
    taken = await anext(dead.messages())
    mediator = Mediator()

    async with Consumer(broker.source("numbers"), mediator, {"Counted": Counted}, sleep=clock.sleep):
        await clock.elapse(29)
        assert mediator.started == []
        await clock.elapse(1)
        await broker.settled()

    assert taken.attempt == 1
    assert mediator.ended == [1]


async def test_work_that_lasts_longer_than_the_lease_stays_where_it_is(clock: FakeClock) -> None:
    broker = MemoryMessageBroker(clock=clock, sleep=clock.sleep)
    gate = asyncio.Event()
    slow, other = Mediator(lambda _: gate.wait()), Mediator()
    events = {"Counted": Counted}
    await broker.send_message(Message("Counted", "numbers", {"number": 1}))
    async with Consumer(broker.source("numbers"), slow, events, extend_interval=10, sleep=clock.sleep):
        await slow.has_started(1)
        async with Consumer(broker.source("numbers"), other, events, sleep=clock.sleep):
            await clock.elapse(600)
            gate.set()
            await broker.settled()

    assert (slow.ended, other.started) == ([1], [])


async def test_retries_through_a_broker_with_delays(clock: FakeClock) -> None:
    broker = MemoryMessageBroker(clock=clock, sleep=clock.sleep)
    mediator = Mediator(failing(99))
    await broker.send_message(Message("Counted", "numbers", {"number": 1}, key="a"))
    consumer = Consumer(
        broker.source("numbers"), mediator, {"Counted": Counted}, backoff=SECOND, sleep=clock.sleep
    )

    async with consumer:
        await clock.elapse(1 + 2 + 4 + 8)
        await broker.settled()

    (letter,) = broker.dead_letters()
    assert (letter.attempts, letter.reason, len(mediator.started)) == (5, "ValueError: not now", 5)
