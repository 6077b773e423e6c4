"""What RabbitMQ alone does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from cqrs.adapters.amqp import AMQPConnection, AMQPPublisher
from cqrs.exceptions import BrokerUnavailableError, MessageRefusedError
from cqrs.message_brokers.amqp import AMQPMessageBroker, AMQPMessageSource
from cqrs.message_brokers.errors import MessageTooLargeError
from cqrs.message_brokers.protocol import Message
from tests.integration.brokers.places import PATIENCE, reading
from tests.integration.brokers.rabbit_place import RabbitPlace


@pytest.fixture
async def place(amqp_url: str) -> AsyncIterator[RabbitPlace]:
    made = RabbitPlace(amqp_url)
    await made.prepare()
    yield made
    await made.tidy()


async def test_an_exchange_that_does_not_exist_is_told(place: RabbitPlace) -> None:
    async with AMQPMessageBroker(AMQPPublisher(place.url), "no-such-exchange") as broker:
        with pytest.raises(MessageRefusedError, match="no-such-exchange"):
            await broker.send_message(place.message(1))


async def test_a_topic_exchange_takes_messages_to_bound_queues(place: RabbitPlace) -> None:
    async with AMQPMessageSource(place.url, place.topic, bindings=[("amq.topic", "users.*")]) as source:
        async with AMQPMessageBroker(AMQPPublisher(place.url), "amq.topic") as broker:
            await broker.send_message(Message("UserJoined", "users.north", {}))
            with pytest.raises(MessageRefusedError, match="NO_ROUTE"):
                await broker.send_message(Message("UserJoined", "users", {}))
        stream = source.messages()
        message = await anext(stream)
        assert message.topic == "users.north"
        assert await source.retry(message, 0.0)
        again = await anext(stream)
        assert (again.topic, again.attempt) == ("users.north", 2)
        await source.dead_letter(again, "because", 2)
        await stream.aclose()

    async with reading(place.dead_letters()) as reader:
        dead = await reader.next()
        await reader.source.ack(dead)
    assert dead.headers["dead_letter_topic"] == "users.north"
    assert dead.attempt == 1


async def test_messages_behind_one_that_closes_the_channel_are_all_taken(place: RabbitPlace) -> None:
    large = Message("Large", place.topic, b"x" * place.too_large)
    messages = [place.message(number) for number in range(30)]
    async with place.broker() as broker:
        results = await broker.send_messages([*messages[:15], large, *messages[15:]])

    assert [type(each) for each in results] == [type(None)] * 15 + [MessageTooLargeError] + [type(None)] * 15


async def test_a_queue_that_is_deleted_is_told(place: RabbitPlace) -> None:
    async with reading(place.source()) as reader:
        stream = reader.source.messages()
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        link = await AMQPConnection(place.url).open()
        await link.channel.queue_delete(place.topic)
        await link.close()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(BrokerUnavailableError, match="deleted"):
                await waiting


async def test_a_queue_that_is_not_there_is_told(place: RabbitPlace) -> None:
    source = AMQPMessageSource(place.url, f"{place.topic}.missing", declare=False)
    with pytest.raises(BrokerUnavailableError, match="missing"):
        await source.start()
    await source.close()


async def test_a_quorum_queue_does_as_well(place: RabbitPlace) -> None:
    name = f"{place.topic}.quorum"
    async with AMQPMessageSource(place.url, name, arguments={"x-queue-type": "quorum"}) as source:
        async with place.broker() as broker:
            await broker.send_message(place.message(1, topic=name))
        stream = source.messages()
        assert await source.retry(await anext(stream), 0.0)
        again = await anext(stream)
        assert again.attempt == 2
        await source.ack(again)
        await stream.aclose()
    link = await AMQPConnection(place.url).open()
    for queue in (name, f"{name}.dead"):
        await link.channel.queue_delete(queue)
    await link.close()


async def test_no_more_than_the_prefetch_is_in_work(place: RabbitPlace) -> None:
    await place.publish(1, 2, 3)
    source = AMQPMessageSource(place.url, place.topic, prefetch=2)
    async with reading(source) as reader:
        first, _ = await reader.take(2)
        with pytest.raises(TimeoutError):
            await reader.next(0.2)
        reader.forget()
        await source.ack(first)
        assert (await reader.next()).body == b'{"number":3}'


async def test_a_queue_that_is_full_is_no_refusal(place: RabbitPlace) -> None:
    name = f"{place.topic}.full"
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    link = await AMQPConnection(place.url).open()
    queue = await link.channel.declare_queue(name, durable=True, arguments=full)
    async with place.broker() as broker:
        results = await broker.send_messages([place.message(number, topic=name) for number in range(3)])
        assert results[0] is None
        with pytest.raises(BrokerUnavailableError, match="does not take the message now"):
            await broker.send_message(place.message(4, topic=name))
        await queue.purge()
        await broker.send_message(place.message(5, topic=name))
    await link.channel.queue_delete(name)
    await link.close()


async def test_a_delayed_message_outlives_the_source(place: RabbitPlace) -> None:
    await place.publish(1)
    async with reading(place.source()) as reader:
        assert await reader.source.retry(await reader.next(), 0.3)

    async with reading(place.source()) as reader:
        again = await reader.next()
    assert (again.body, again.attempt) == (b'{"number":1}', 2)


async def test_what_the_broker_took_back_is_not_to_be_begun(place: RabbitPlace) -> None:
    await place.publish(1)
    with place.through_proxy() as proxy:
        async with reading(place.source()) as reader:
            message = await reader.next()
            assert reader.source.is_current(message)
            proxy.cut()
            again = await reader.next()
            assert reader.lost == 1
            assert not reader.source.is_current(message)
            assert reader.source.is_current(again)
            await reader.source.ack(message)  # of a connection that is gone: no harm
            await reader.source.ack(again)


async def test_what_leaves_no_room_for_a_reason_is_put_aside_without_its_headers(place: RabbitPlace) -> None:
    async with place.broker() as broker:
        sent = place.message(1, headers={"a": "x" * 130_600})  # of a frame of 131,072 bytes
        await broker.send_message(sent)
    async with reading(place.source()) as reader:
        await reader.source.dead_letter(await reader.next(), "y" * 2000, 1)
    async with reading(place.dead_letters()) as reader:
        dead = await reader.next()
        await reader.source.ack(dead)

    assert (dead.body, dead.message_id, dead.message_name) == (b'{"number":1}', sent.message_id, "Counted")
    assert dead.headers["dead_letter_omitted"].startswith("its headers, at ")
    assert "a" not in dead.headers


async def test_a_dead_letter_that_no_queue_takes_stays(place: RabbitPlace) -> None:
    await place.publish(1)
    async with reading(place.source()) as reader:
        message = await reader.next()
        link = await AMQPConnection(place.url).open()
        await link.channel.queue_delete(f"{place.topic}.dead")
        await link.close()
        with pytest.raises(MessageRefusedError, match="no queue takes"):
            await reader.source.dead_letter(message, "because", 1)
    async with reading(place.source()) as reader:
        assert (await reader.next()).body == b'{"number":1}'
