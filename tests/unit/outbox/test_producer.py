from __future__ import annotations

import asyncio
from typing import Any

import pytest

import cqrs.producer
from cqrs.exceptions import BrokerUnavailableError, ConfigurationTypeError, MessageRefusedError, PolicyError
from cqrs.message_brokers.protocol import Message
from cqrs.outbox.mock import MockOutboxedEventRepository
from cqrs.outbox.producer import EventProducer
from cqrs.outbox.repository import EventStatus, OutboxedEvent
from cqrs.testing import FakeClock
from tests.unit.outbox.events import joined, keyed


class Broker:
    """Keeps messages, or raises the next of its errors."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.sent: list[Message] = []

    async def send_message(self, message: Message) -> None:
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append(message)


class Synchronous:
    def send_message(self, message: Message) -> None: ...


async def filled(*events: Any, clock: FakeClock | None = None) -> MockOutboxedEventRepository:
    repository = MockOutboxedEventRepository(clock=clock or FakeClock())
    for event in events:
        repository.add(event)
    await repository.commit()
    return repository


async def test_all_events_are_sent_once_with_their_ids() -> None:
    events = [joined("ada"), keyed("bob", headers={"tenant": "t"})]
    broker = Broker()
    producer = EventProducer(broker, await filled(*events))
    async for batch in producer.event_batch_generator():
        for outboxed in batch:
            await producer.send_message(outboxed)
        break
    assert [message.message_id for message in broker.sent] == [event.event_id for event in events]
    second = broker.sent[1]
    assert (second.message_name, second.topic, second.key) == ("keyed", "output_topic", "bob")
    assert second.headers == {"tenant": "t"}
    assert second.payload["payload"] == {"name": "bob", "age": 0}
    assert {row.status for row in producer.repository.store.values()} == {EventStatus.PRODUCED}  # type: ignore[attr-defined]


async def test_nothing_due_is_waited_for_without_a_busy_loop(clock: FakeClock) -> None:
    repository = await filled(clock=clock)
    asked = 0
    get_many = repository.get_many

    async def counted(*arguments: Any) -> list[OutboxedEvent]:
        nonlocal asked
        asked += 1
        return await get_many(*arguments)

    repository.get_many = counted  # type: ignore[method-assign]
    producer = EventProducer(Broker(), repository, sleep=clock.sleep)
    batches = producer.event_batch_generator(wait_ms=500)
    waiting = asyncio.ensure_future(anext(batches))
    await clock.elapse(9.9)
    assert asked == 20
    repository.add(joined())
    await repository.commit()
    await clock.elapse(0.5)
    assert len(await waiting) == 1
    await batches.aclose()


@pytest.mark.parametrize(
    ("error", "status", "attempts"),
    [
        (ValueError("no"), EventStatus.NOT_PRODUCED, 1),
        (MessageRefusedError("topic", "too large"), EventStatus.DEAD_LETTER, 1),
        (BrokerUnavailableError("topic", "down"), EventStatus.NEW, 0),
        (TimeoutError(), EventStatus.NEW, 0),
    ],
)
async def test_a_failure_is_written_and_logged(
    error: Exception, status: EventStatus, attempts: int, caplog: pytest.LogCaptureFixture
) -> None:
    repository = await filled(joined())
    (outboxed,) = await repository.get_many()
    await EventProducer(Broker(error), repository).send_message(outboxed)
    row = repository.store[1]
    assert (row.status, row.attempts) == (status, attempts)
    assert "was not sent to output_topic" in caplog.text
    assert await repository.get_many() == []  # not at once


async def test_a_repository_with_the_documented_methods_alone_will_do() -> None:
    updates: list[tuple[int, EventStatus]] = []

    class Plain:
        async def get_many(self, batch_size: int = 100, topic: str | None = None) -> list[OutboxedEvent]:
            return []

        async def update_status(self, number: int, status: EventStatus) -> None:
            updates.append((number, status))

        async def commit(self) -> None: ...

        async def rollback(self) -> None: ...

    event = OutboxedEvent(3, joined(), "topic", EventStatus.NEW)
    producer = EventProducer(Broker(ValueError()), Plain())  # type: ignore[arg-type]
    await producer.send_message(event)
    await producer.send_message(event)
    assert updates == [(3, EventStatus.NOT_PRODUCED), (3, EventStatus.PRODUCED)]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
async def test_an_interruption_counts_nothing(error: BaseException) -> None:
    repository = await filled(joined())
    (outboxed,) = await repository.get_many()
    with pytest.raises(type(error)):
        await EventProducer(Broker(error), repository).send_message(outboxed)
    assert repository.store[1].attempts == 0


async def test_an_error_of_the_database_is_raised_after_a_rollback() -> None:
    repository = await filled(joined())

    async def broken() -> None:
        raise OSError("gone")

    repository.commit = broken  # type: ignore[method-assign]
    with pytest.raises(OSError, match="gone"):
        await anext(EventProducer(Broker(), repository).event_batch_generator())


async def test_wrong_arguments_are_refused() -> None:
    repository = MockOutboxedEventRepository()
    with pytest.raises(ConfigurationTypeError, match="send_message"):
        EventProducer(Broker, repository)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationTypeError, match="send_message"):
        EventProducer(Synchronous(), repository)
    with pytest.raises(ConfigurationTypeError, match="OutboxedEventRepository"):
        EventProducer(Broker(), object())  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match="wait_ms"):
        await anext(EventProducer(Broker(), repository).event_batch_generator(wait_ms=0))


def test_the_documented_import_path() -> None:
    assert cqrs.producer.EventProducer is EventProducer


@pytest.mark.parametrize("error", [OSError("gone"), asyncio.CancelledError()])
async def test_a_result_that_cannot_be_written_is_rolled_back_and_raised(error: BaseException) -> None:
    repository = await filled(joined())
    (outboxed,) = await repository.get_many()
    rollback, rollbacks = repository.rollback, 0

    async def broken() -> None:
        raise error

    async def counted() -> None:
        nonlocal rollbacks
        rollbacks += 1
        await rollback()

    broker = Broker()
    repository.commit, repository.rollback = broken, counted  # type: ignore[method-assign]
    with pytest.raises(type(error)) as caught:
        await EventProducer(broker, repository).send_message(outboxed)
    assert caught.value is error
    assert (len(broker.sent), rollbacks) == (1, 1)
    assert repository.store[1].status is EventStatus.NEW
