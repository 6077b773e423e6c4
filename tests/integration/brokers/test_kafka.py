"""What Kafka alone does."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from cqrs.adapters.kafka import KafkaConnection, kafka_producer_factory
from cqrs.circuit_breaker import Backoff
from cqrs.consumers import Consumer, current_message
from cqrs.exceptions import BrokerUnavailableError, MessageRefusedError
from cqrs.message_brokers.kafka import KafkaMessageBroker
from cqrs.message_brokers.protocol import Message
from tests.integration.brokers.kafka_place import KafkaPlace
from tests.integration.brokers.places import PATIENCE, reading
from tests.servers import kafka_mock as mock
from tests.servers.kafka_mock import KafkaMock


@pytest.fixture
def place(kafka_mock: KafkaMock) -> KafkaPlace:
    return KafkaPlace(kafka_mock.bootstrap)


@pytest.mark.parametrize("error", [mock.MESSAGE_TOO_LARGE, mock.TOPIC_AUTHORIZATION_FAILED])
async def test_what_the_broker_refuses_is_refused(
    place: KafkaPlace, kafka_mock: KafkaMock, error: int
) -> None:
    async with place.broker() as broker:
        kafka_mock.fail(mock.PRODUCE, error)
        with pytest.raises(MessageRefusedError):
            await broker.send_message(place.message(1))
        await broker.send_message(place.message(2))


async def test_what_passes_is_waited_for(place: KafkaPlace, kafka_mock: KafkaMock) -> None:
    async with place.broker() as broker:
        kafka_mock.fail(mock.PRODUCE, mock.NOT_ENOUGH_REPLICAS, times=3)
        await broker.send_message(place.message(1))
    async with reading(place.source()) as reader:
        assert (await reader.next()).body == b'{"number":1}'


async def test_the_same_key_goes_to_the_same_partition(place: KafkaPlace) -> None:
    messages = [place.message(number, key=f"key {number % 7}") for number in range(70)]
    async with place.broker() as broker:
        assert await broker.send_messages(messages) == [None] * 70
    async with reading(place.source()) as reader:
        received = await reader.take(70)

    used = {(message.key, message.ordering) for message in received}
    assert len(used) == 7
    for key in {message.key for message in received}:
        numbers = [message.raw.offset for message in received if message.key == key]
        assert numbers == sorted(numbers)


async def test_positions_do_not_pass_a_message_in_work(place: KafkaPlace, kafka_mock: KafkaMock) -> None:
    kafka_mock.create_topic(place.topic, 1)
    await place.publish(1, 2, 3)
    async with reading(place.source()) as reader:
        first, second, third = await reader.take(3)
        await reader.source.ack(first)
        await reader.source.ack(third)
        del second

    async with reading(place.source()) as reader:
        assert [message.body for message in await reader.take(2)] == [b'{"number":2}', b'{"number":3}']


async def test_a_refused_commit_is_made_up_for(place: KafkaPlace, kafka_mock: KafkaMock) -> None:
    await place.publish(1)
    async with reading(place.source()) as reader:
        message = await reader.next()
        kafka_mock.fail(mock.OFFSET_COMMIT, mock.MESSAGE_TOO_LARGE, times=1)
        await reader.source.ack(message)
    await place.publish(2)
    async with reading(place.source()) as reader:
        assert (await reader.next()).body == b'{"number":2}'


async def test_an_idempotent_producer_gives_up_and_ends_in_time(
    place: KafkaPlace, kafka_mock: KafkaMock
) -> None:
    before = asyncio.all_tasks()
    connection = KafkaConnection(kafka_mock.bootstrap, timeout=0.5, options={"retry_backoff_ms": 50})
    broker = KafkaMessageBroker(kafka_producer_factory(connection, idempotent=True), timeout=1.0)
    await broker.send_message(place.message(1))
    with kafka_mock.down():
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(BrokerUnavailableError, match="may have been published"):
                await broker.send_message(place.message(2))
            await broker.close()

    assert asyncio.all_tasks() == before


async def test_an_idempotent_producer_that_lost_its_numbers_is_replaced(
    place: KafkaPlace, kafka_mock: KafkaMock
) -> None:
    async with KafkaMessageBroker(kafka_producer_factory(kafka_mock.bootstrap, idempotent=True)) as broker:
        await broker.send_message(place.message(1))
        kafka_mock.fail(mock.PRODUCE, 45)  # out of order sequence number
        with pytest.raises(BrokerUnavailableError):
            await broker.send_message(place.message(2))
        assert await broker.send_messages([place.message(3), place.message(4)]) == [None, None]


@pytest.mark.parametrize("compression", [None, "gzip"])
async def test_compressed_batches_are_received(place: KafkaPlace, compression: str | None) -> None:
    producer = kafka_producer_factory(place.url, [place.topic], compression=compression)  # type: ignore[arg-type]
    async with KafkaMessageBroker(producer) as broker:
        assert await broker.send_messages([place.message(number) for number in range(20)]) == [None] * 20
    async with reading(place.source()) as reader:
        received = Counter(message.body for message in await reader.take(20))
    assert received == Counter(b'{"number":%d}' % number for number in range(20))


async def test_a_producer_of_the_application_is_left_alone(place: KafkaPlace) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=place.url, acks="all")
    await producer.start()
    try:
        async with KafkaMessageBroker(producer) as broker:
            await broker.send_message(place.message(1))
        await producer.send_and_wait(place.topic, b"still open")
    finally:
        await producer.stop()
    async with reading(place.source()) as reader:
        assert {message.body for message in await reader.take(2)} == {b'{"number":1}', b"still open"}


async def test_a_record_of_somebody_else_is_received_as_well_as_can_be(place: KafkaPlace) -> None:
    async with AIOKafkaProducer(bootstrap_servers=place.url) as producer:
        await producer.send_and_wait(place.topic, b"text", key=b"k\xff", headers=[("a", b"\xff")])
    async with reading(place.source()) as reader:
        message = await reader.next()

    assert (message.message_id, message.message_name, message.body) == (None, None, b"text")
    assert (message.key, message.headers) == ("k\ufffd", {"a": "\ufffd"})


async def test_a_broker_that_comes_back_is_found_by_the_library(
    place: KafkaPlace, kafka_mock: KafkaMock
) -> None:
    async with reading(place.source()) as reader, place.broker() as broker:
        await broker.send_message(Message("Counted", place.topic, b"1"))
        await reader.source.ack(await reader.next())
        with kafka_mock.down(), pytest.raises(TimeoutError):
            await reader.next(0.3)
        reader.forget()
        await broker.send_message(Message("Counted", place.topic, b"2"))
        while (await reader.next()).body != b"2":
            pass


@dataclasses.dataclass
class Numbered:
    number: int


class Poisoned:
    """Handles everything, save the first message of partition 0 until it is cured."""

    def __init__(self) -> None:
        self.handled: dict[int, list[int]] = {0: [], 1: []}
        self.cured = False
        self._changed = asyncio.Event()

    async def send(self, event: Any) -> None:
        message = current_message()
        assert message is not None
        if message.raw.partition == 0 and event.number == 0 and not self.cured:
            raise ValueError("not now")
        self.handled[message.raw.partition].append(event.number)
        self._changed.set()

    async def reach(self, partition: int, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.handled[partition]) < count:
                self._changed.clear()
                await self._changed.wait()


async def test_a_partition_that_cannot_go_on_holds_up_no_other(
    place: KafkaPlace, kafka_mock: KafkaMock
) -> None:
    kafka_mock.create_topic(place.topic, 2)
    headers = [("message_name", b"Numbered")]
    handlers = Poisoned()
    async with AIOKafkaProducer(bootstrap_servers=place.url) as producer:

        async def publish(partition: int, *numbers: int) -> None:
            for number in numbers:
                body = b'{"number":%d}' % number
                await producer.send(place.topic, body, partition=partition, headers=headers)
            await producer.flush()

        await publish(0, *range(150))
        soon = Backoff(initial=0.05, multiplier=1.0, max=0.05)
        consumer = Consumer(
            place.source(), handlers, {"Numbered": Numbered}, max_pending=8, max_attempts=10_000, backoff=soon
        )
        async with consumer:
            await publish(1, *range(50))
            await handlers.reach(1, 50)
            assert handlers.handled[0] == []
            handlers.cured = True
            await handlers.reach(0, 150)
            await publish(0, 150)
            await handlers.reach(0, 151)

    assert handlers.handled == {0: [*range(151)], 1: [*range(50)]}


async def test_what_others_may_publish_can_be_put_aside(place: KafkaPlace) -> None:
    large = b"x" * 1_500_000
    async with AIOKafkaProducer(bootstrap_servers=place.url, max_request_size=10_000_000) as producer:
        await producer.send_and_wait(place.topic, large)
    async with reading(place.source()) as reader:
        await reader.source.dead_letter(await reader.next(), "too large for us", 1)
    async with reading(place.dead_letters()) as reader:
        assert (await reader.next()).body == large


async def test_what_is_too_large_for_the_dead_letters_is_put_aside_as_far_as_they_take_it(
    place: KafkaPlace, kafka_mock: KafkaMock
) -> None:
    async with place.broker() as broker:
        sent = place.message(1, headers={"tenant": "north"})
        await broker.send_message(sent)
    async with reading(place.source()) as reader:
        message = await reader.next()
        kafka_mock.fail(mock.PRODUCE, mock.MESSAGE_TOO_LARGE, times=3)
        await reader.source.dead_letter(message, "because", 1)
    async with reading(place.dead_letters()) as reader:
        dead = await reader.next()

    assert (dead.body, dead.message_id, dead.headers["tenant"]) == (b"", sent.message_id, "north")
    assert dead.headers["dead_letter_omitted"] == f"its body of 12 bytes, at {message.position}"
