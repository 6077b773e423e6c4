"""The producer and the real outbox together."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs.circuit_breaker.breaker import CircuitBreaker
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.message_brokers.protocol import Message
from cqrs.outbox.producer import EventProducer
from cqrs.outbox.relay import OutboxRelay
from cqrs.testing import FakeClock
from tests.integration.outbox.support import add, create_table, execute, repository, rows, statuses
from tests.servers.databases import Database
from tests.unit.outbox.brokers import BatchBroker, SingleBroker
from tests.unit.outbox.events import joined


@pytest.fixture(autouse=True)
async def table(database: Database) -> None:
    await create_table(database)


async def test_messages_are_sent_outside_of_any_transaction(database: Database) -> None:
    bad = joined("bad")
    await add(database, joined(), bad, joined())
    async with repository(database) as outbox:

        class Watching(SingleBroker):
            async def send_message(self, message: Message) -> None:
                assert not outbox.session.in_transaction()
                await super().send_message(message)

        broker = Watching(lambda message: ValueError("no") if message.message_id == bad.event_id else None)
        producer = EventProducer(broker, outbox)
        batches = producer.event_batch_generator(2)
        for expected in (2, 1):
            batch = await anext(batches)
            assert len(batch) == expected
            for event in batch:
                await producer.send_message(event)
        await batches.aclose()
    assert await statuses(database) == ["produced", "not_produced", "produced"]
    assert (await rows(database))[1].error == "ValueError: no"


async def test_two_producers_take_nothing_twice(database: Database) -> None:
    await add(database, *[joined() for _ in range(6)])
    broker = SingleBroker()
    async with repository(database) as one, repository(database) as other:
        producers = [EventProducer(broker, each) for each in (one, other)]
        batches: list[Any] = [await anext(each.event_batch_generator(3)) for each in producers]
        for producer, batch in zip(producers, batches, strict=True):
            for event in batch:
                await producer.send_message(event)
    assert len({message.message_id for message in broker.sent}) == len(broker.sent) == 6


@pytest.mark.parametrize("broker_class", [SingleBroker, BatchBroker])
async def test_an_open_circuit_burns_no_attempts_and_says_when_to_come_back(
    database: Database, broker_class: type[SingleBroker], clock: FakeClock
) -> None:
    await add(database, *[joined() for _ in range(5)])
    down = [True]
    broker = broker_class(lambda message: ConnectionRefusedError() if down[0] else None)
    breaker = CircuitBreaker("broker", CircuitBreakerPolicy.consecutive(threshold=1), clock=clock)
    made = OutboxRelay(database.session_factory, broker, circuit_breaker=breaker, concurrency=1, clock=clock)
    await made.run_once()
    asked = broker.calls
    for _ in range(6):
        result = await made.run_once()
        assert result.is_outage
        assert result.retry_after is not None
    assert broker.calls == asked
    assert {row.flush_counter for row in await rows(database)} == {0}
    down[0] = False
    await execute(database, "UPDATE outbox SET available_at = NULL")  # what was tried waits for 5 s
    clock.advance(3600)
    for _ in range(50):  # the circuit lets more and more through
        await made.run_once()
        clock.advance(1)
    assert set(await statuses(database)) == {"produced"}
