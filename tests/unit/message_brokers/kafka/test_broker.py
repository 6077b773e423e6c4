"""What senders are told when a producer takes its time, fails, or knows a topic that it does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("aiokafka")

from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError, UnknownTopicOrPartitionError

from cqrs.exceptions import BrokerUnavailableError
from cqrs.message_brokers.errors import MessageTooLargeError
from cqrs.message_brokers.kafka import KafkaMessageBroker
from cqrs.message_brokers.protocol import Message


class Producer:
    """Queues at once, and answers when a test says so."""

    def __init__(self) -> None:
        self.queued: list[tuple[str, bytes | None]] = []
        self.answers: list[asyncio.Future[None]] = []
        self.errors: dict[str, Exception] = {}
        self.unknown = asyncio.Event()

    async def send(
        self, topic: str, value: bytes | None = None, key: bytes | None = None, **_: Any
    ) -> asyncio.Future[None]:
        self.queued.append((topic, value))
        if topic == "unknown":
            await self.unknown.wait()
            raise UnknownTopicOrPartitionError
        if topic in self.errors:
            raise self.errors[topic]
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]


def message(number: int, topic: str = "numbers") -> Message:
    return Message("Counted", topic, number)


async def until_idle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_batch_is_queued_in_order_before_any_answer() -> None:
    producer = Producer()
    sending = asyncio.create_task(KafkaMessageBroker(producer).send_messages([message(n) for n in range(5)]))
    await until_idle()
    assert [value for _, value in producer.queued] == [b"0", b"1", b"2", b"3", b"4"]
    for answer in producer.answers:
        answer.set_result(None)

    assert await sending == [None] * 5


async def test_each_answer_is_told_of_its_own_message() -> None:
    producer = Producer()
    sending = asyncio.create_task(KafkaMessageBroker(producer).send_messages([message(n) for n in range(3)]))
    await until_idle()
    producer.answers[2].set_result(None)
    producer.answers[0].set_exception(MessageSizeTooLargeError())
    producer.answers[1].set_exception(KafkaConnectionError())

    results = await sending
    assert [type(each) for each in results] == [MessageTooLargeError, BrokerUnavailableError, type(None)]
    assert isinstance(results[0].__cause__, MessageSizeTooLargeError)  # type: ignore[union-attr]  # just tested


async def test_a_topic_that_nobody_knows_keeps_no_other_back() -> None:
    producer = Producer()
    messages = [message(1, "unknown"), message(2), message(3, "unknown")]
    sending = asyncio.create_task(KafkaMessageBroker(producer).send_messages(messages))
    await until_idle()
    assert ("numbers", b"2") in producer.queued
    producer.answers[0].set_result(None)
    producer.unknown.set()

    results = await sending
    assert [type(each) for each in results] == [BrokerUnavailableError, type(None), BrokerUnavailableError]
    assert len(producer.queued) == 2  # the third would have waited as long


async def test_one_message_that_is_refused_stops_none_of_its_topic() -> None:
    producer = Producer()
    producer.errors["large"] = MessageSizeTooLargeError()
    results = await KafkaMessageBroker(producer).send_messages([message(1, "large"), message(2, "large")])

    assert [type(each) for each in results] == [MessageTooLargeError] * 2
    assert len(producer.queued) == 2


async def test_what_is_not_answered_in_time_may_have_been_published() -> None:
    producer = Producer()
    broker = KafkaMessageBroker(producer, timeout=0.05)
    with pytest.raises(BrokerUnavailableError, match="may have been published"):
        await broker.send_message(message(1))

    sending = asyncio.create_task(broker.send_messages([message(2), message(3)]))
    await until_idle()
    producer.answers[1].set_result(None)
    results = await sending
    assert [type(each) for each in results] == [type(None), BrokerUnavailableError]


async def test_cancelling_leaves_no_answer_that_nobody_reads() -> None:
    producer = Producer()
    sending = asyncio.create_task(KafkaMessageBroker(producer).send_messages([message(1), message(2)]))
    await until_idle()
    producer.answers[1].set_exception(KafkaConnectionError())
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending

    assert producer.answers[0].cancelled()
