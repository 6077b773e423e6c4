from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cqrs.exceptions import ConfigurationTypeError
from cqrs.message_brokers.protocol import Message
from cqrs.outbox.delivery import Delivery, Outgoing, Sender
from cqrs.testing import FakeClock
from tests.unit.outbox.brokers import BatchBroker, HangingBroker, SingleBroker


def sender(broker: Any, clock: FakeClock, **options: Any) -> Sender:
    settings: dict[str, Any] = {"concurrency": 4, "send_timeout": 10.0, "circuit_breaker": None}
    return Sender(broker, clock=clock, **{**settings, **options})


def delivery(*keys: str | None) -> Delivery:
    return Delivery(
        {
            number: Outgoing(number, 0, Message(str(number), "topic", {}, key=key))
            for number, key in enumerate(keys, 1)
        }
    )


@pytest.mark.parametrize("broker_class", [SingleBroker, BatchBroker])
async def test_everything_is_sent(broker_class: type[SingleBroker], clock: FakeClock) -> None:
    broker = broker_class()
    batch = delivery(*[None] * 20)
    await sender(broker, clock).send(batch, clock() + 30)
    assert sorted(batch.sent) == list(range(1, 21))
    assert batch.unsent == []
    assert not batch.stopped
    assert broker.calls == (20 if broker_class is SingleBroker else 1)


async def test_as_many_at_once_as_allowed(clock: FakeClock) -> None:
    broker = SingleBroker()
    await sender(broker, clock).send(delivery(*[None] * 20), clock() + 30)
    assert broker.most_under_way == 4


async def test_messages_of_a_key_follow_each_other(clock: FakeClock) -> None:
    broker = SingleBroker()
    await sender(broker, clock).send(delivery(*["a", "b", None] * 5), clock() + 30)
    for key in ("a", "b"):
        names = [int(message.message_name) for message in broker.sent if message.key == key]
        assert names == sorted(names)
    assert len(broker.sent) == 15


async def test_after_a_failure_the_rest_of_its_key_waits(clock: FakeClock) -> None:
    broker = SingleBroker(lambda message: ValueError() if message.message_name == "2" else None)
    batch = delivery("a", "a", "a", "b", "a", None)
    await sender(broker, clock).send(batch, clock() + 30)
    assert sorted(batch.sent) == [1, 4, 6]
    assert list(batch.failed) == [2]
    assert batch.after == {3: 2, 5: 2}
    assert batch.unsent == []


async def test_one_failure_of_a_batch_is_that_of_its_message(clock: FakeClock) -> None:
    broker = BatchBroker(lambda message: ValueError("no") if message.message_name == "2" else None)
    batch = delivery(None, None, None)
    made = sender(broker, clock)
    await made.send(batch, clock() + 30)
    assert batch.sent == [1, 3]
    assert repr(batch.failed) == "{2: ValueError('no')}"
    assert not made.is_outage(batch)


@pytest.mark.parametrize("results", [[None], [None, 7], None, 7])
async def test_a_broker_that_answers_nonsense_has_sent_nothing_for_sure(
    results: Any, clock: FakeClock
) -> None:
    class Nonsense(SingleBroker):
        async def send_messages(self, messages: Any) -> Any:
            return results

    batch = delivery(None, None)
    await sender(Nonsense(), clock).send(batch, clock() + 30)
    assert all(isinstance(error, ConfigurationTypeError) for error in batch.failed.values())
    assert 2 in batch.failed


async def test_a_broker_that_is_away_is_not_asked_for_every_message(clock: FakeClock) -> None:
    broker = SingleBroker(lambda message: ConnectionRefusedError())
    batch = delivery(*[None] * 100)
    made = sender(broker, clock)
    await made.send(batch, clock() + 30)
    assert made.is_outage(batch)
    assert batch.stopped
    assert broker.calls < 10
    assert len(batch.unsent) == 100 - broker.calls


async def test_other_errors_are_no_outage(clock: FakeClock) -> None:
    made = sender(SingleBroker(lambda message: ValueError()), clock)
    batch = delivery(*[None] * 100)
    await made.send(batch, clock() + 30)
    assert not made.is_outage(batch)
    assert len(batch.failed) == 100


@pytest.mark.parametrize("together", [False, True])
async def test_a_broker_that_hangs_is_given_up(together: bool, clock: FakeClock) -> None:
    broker: Any = HangingBroker()
    if together:
        broker.send_messages = lambda messages: broker.send_message(messages[0])
    made = sender(broker, clock, send_timeout=0.01)
    batch = delivery(None, None)
    await made.send(batch, clock() + 30)
    assert made.is_outage(batch)
    assert {type(error) for error in batch.failed.values()} == {TimeoutError}


async def test_a_message_that_holds_up_its_batch_is_found_out(clock: FakeClock) -> None:
    class HeldUp(HangingBroker):
        async def send_messages(self, messages: Any) -> list[None]:
            for message in messages:
                await self.send_message(message)
            return [None] * len(messages)

    broker = HeldUp(lambda message: message.message_name == "1")
    made = sender(broker, clock, send_timeout=0.01)
    first = delivery(None, None, None)
    await made.send(first, clock() + 30)
    assert made.is_outage(first)
    second = delivery(None, None, None)
    await made.send(second, clock() + 30)
    assert sorted(second.sent) == [2, 3]
    assert list(second.failed) == [1]
    assert not made.is_outage(second)
    third = Delivery({2: second.batch[2], 3: second.batch[3]})
    calls = broker.calls
    await made.send(third, clock() + 30)
    assert third.sent == [2, 3]
    assert broker.calls == calls + 2


@pytest.mark.parametrize("broker_class", [SingleBroker, BatchBroker])
async def test_nothing_is_begun_that_could_outlast_the_lease(
    broker_class: type[SingleBroker], clock: FakeClock
) -> None:
    broker = broker_class()
    batch = delivery(None, None)
    await sender(broker, clock).send(batch, clock() + (9.9 if broker_class is SingleBroker else 0))
    assert broker.calls == 0
    assert batch.unsent == [1, 2]
    assert batch.stopped


async def test_sending_ends_when_the_lease_comes_to_its_end(clock: FakeClock) -> None:
    broker = SingleBroker(lambda message: clock.advance(6))
    batch = delivery(*[None] * 10)
    await sender(broker, clock, concurrency=1).send(batch, clock() + 30)
    assert batch.sent == [1, 2, 3, 4]
    assert batch.unsent == [5, 6, 7, 8, 9, 10]


async def test_a_cancellation_leaves_what_is_known(clock: FakeClock) -> None:
    broker = HangingBroker(lambda message: message.message_name == "2")
    batch = delivery(None, None, None)
    task = asyncio.ensure_future(sender(broker, clock, concurrency=1).send(batch, clock() + 30))
    await broker.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert batch.sent == [1]
    assert batch.unsent == [2, 3]


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("together", [False, True])
async def test_a_broker_that_cancels_itself_was_not_available(
    concurrency: int, together: bool, clock: FakeClock
) -> None:
    """As clients do whose connection is closed; nobody has asked this task to end."""

    class Closed(SingleBroker):
        async def send_message(self, message: Message) -> None:
            raise asyncio.CancelledError

    class ClosedBatch(Closed):
        async def send_messages(self, messages: Any) -> Any:
            raise asyncio.CancelledError

    made = sender(ClosedBatch() if together else Closed(), clock, concurrency=concurrency)
    batch = delivery(None, None)
    await made.send(batch, clock() + 30)
    assert "connection is lost" in str(batch.failed[1])
    assert made.is_outage(batch)
