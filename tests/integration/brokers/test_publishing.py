"""Whatever the broker: what was sent has been taken over, or the sender is told why not, in time."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest

from cqrs.exceptions import BrokerUnavailableError, MessageRefusedError
from cqrs.message_brokers.errors import MessageTooLargeError
from cqrs.message_brokers.protocol import BatchMessageBroker, Message, MessageBroker
from tests.integration.brokers.places import PATIENCE, Place, reading
from tests.servers.base import wait_until


async def test_what_is_published_is_received_with_all_that_tells_what_it_is(place: Place) -> None:
    identity = uuid.uuid4()
    headers = {"tenant": "north", "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01", "näme": "wörld"}
    async with place.broker() as broker:
        await broker.send_message(
            Message("UserJoined", place.topic, {"user": "Zoë"}, identity, headers, key="user 7")
        )

    async with reading(place.source()) as reader:
        message = await reader.next()
        await reader.source.ack(message)

    assert message.message_id == identity
    assert message.message_name == "UserJoined"
    assert message.topic == place.topic
    assert message.key == "user 7"
    assert message.attempt == 1
    assert message.body == '{"user":"Zoë"}'.encode()
    assert {name: message.headers[name] for name in headers} == headers
    assert message.headers["content_type"] == "application/json"
    assert message.headers["created_at"]
    assert message.position


async def test_a_payload_of_bytes_travels_as_it_is(place: Place) -> None:
    body = bytes(range(256))
    async with place.broker() as broker:
        await broker.send_message(Message("Raw", place.topic, body, headers={"content_type": "image/png"}))

    async with reading(place.source()) as reader:
        message = await reader.next()

    assert message.body == body
    assert message.headers["content_type"] == "image/png"


async def test_messages_of_a_batch_keep_their_order(place: Place) -> None:
    async with place.broker() as broker:
        assert isinstance(broker, BatchMessageBroker)
        results = await broker.send_messages([place.message(number, key="same") for number in range(100)])
    assert results == [None] * 100

    async with reading(place.source()) as reader:
        received = []
        for _ in range(100):
            received.append(await reader.next())
            await reader.source.ack(received[-1])

    assert [message.body for message in received] == [b'{"number":%d}' % number for number in range(100)]


async def test_one_bad_message_of_a_batch_spoils_no_other(place: Place) -> None:
    large = Message("Large", place.topic, b"x" * place.too_large)
    odd = Message("Odd", place.topic, object())
    async with place.broker() as broker:
        results = await broker.send_messages([place.message(1), large, odd, place.message(2)])

    assert [type(result) for result in results] == [
        type(None),
        MessageTooLargeError,
        MessageRefusedError,
        type(None),
    ]
    async with reading(place.source()) as reader:
        bodies: set[bytes] = set()
        while bodies < {b'{"number":1}', b'{"number":2}'}:  # one may come twice: its connection was closed
            bodies.add((await reader.next()).body)
    assert bodies == {b'{"number":1}', b'{"number":2}'}


async def test_an_empty_batch_is_nothing(place: Place) -> None:
    async with place.broker() as broker:
        assert await broker.send_messages([]) == []


async def test_a_message_that_is_too_large_is_refused_for_good(place: Place) -> None:
    async with place.broker() as broker:
        with pytest.raises(MessageTooLargeError) as caught:
            await broker.send_message(Message("Large", place.topic, b"x" * place.too_large))
        await broker.send_message(place.message(1))  # the connection is still good, or made anew

    assert caught.value.topic == place.topic
    async with reading(place.source()) as reader:
        assert (await reader.next()).body == b'{"number":1}'


async def test_a_message_for_nobody_is_refused_where_the_broker_can_tell(place: Place) -> None:
    if not place.unroutable:
        pytest.skip("this broker creates topics")
    async with place.broker() as broker:
        with pytest.raises(MessageRefusedError, match="elsewhere"):
            await broker.send_message(place.message(1, topic="elsewhere"))
        results = await broker.send_messages([place.message(1, topic="elsewhere"), place.message(2)])

    assert [type(result) for result in results] == [MessageRefusedError, type(None)]


async def test_a_payload_without_a_form_is_refused(place: Place) -> None:
    async with place.broker() as broker:
        with pytest.raises(MessageRefusedError, match="cannot be serialised"):
            await broker.send_message(Message("Odd", place.topic, object()))


async def test_a_broker_that_is_down_is_told_in_time_and_found_again(place: Place) -> None:
    with place.through_proxy() as proxy:
        async with place.broker(timeout=2.0) as broker:
            await broker.send_message(place.message(1))
            with proxy.refuse():
                proxy.cut()
                begin = time.monotonic()
                with pytest.raises(BrokerUnavailableError):
                    await broker.send_message(place.message(2))
                results = await broker.send_messages([place.message(3), place.message(4)])
                assert time.monotonic() - begin < PATIENCE
            assert [type(result) for result in results] == [BrokerUnavailableError] * 2
            await until_sent(broker, place.message(5))

        async with reading(place.source()) as reader:
            bodies: set[bytes] = set()
            while not bodies >= {b'{"number":1}', b'{"number":5}'}:  # and perhaps those without an answer
                bodies.add((await reader.next()).body)


async def test_a_broker_that_was_never_there_is_told(place: Place) -> None:
    with place.through_proxy() as proxy, proxy.refuse():
        broker = place.broker(timeout=2.0)
        with pytest.raises(BrokerUnavailableError):
            await broker.start()
        with pytest.raises(BrokerUnavailableError) as caught:
            await broker.send_message(place.message(1))
        assert caught.value.__cause__ is not None  # what the library said
        await broker.close()


async def test_a_connection_that_is_cut_is_made_anew(place: Place) -> None:
    with place.through_proxy() as proxy:
        async with place.broker() as broker:
            await broker.send_message(place.message(1))
            proxy.cut()
            await until_sent(broker, place.message(2))


async def test_a_network_that_swallows_everything_blocks_nobody_for_ever(place: Place) -> None:
    with place.through_proxy() as proxy:
        async with place.broker(timeout=1.5) as broker:
            await broker.send_message(place.message(1))
            with proxy.black_hole():
                begin = time.monotonic()
                with pytest.raises(BrokerUnavailableError):
                    await broker.send_message(place.message(2))
                assert time.monotonic() - begin < PATIENCE
            await until_sent(broker, place.message(3))


async def test_an_answer_that_is_lost_is_not_taken_for_success(place: Place) -> None:
    with place.through_proxy() as proxy:
        async with place.broker(timeout=1.5) as broker:
            await broker.send_message(place.message(1))
            with proxy.black_hole(direction="down"), pytest.raises(BrokerUnavailableError):
                await broker.send_message(place.message(2))
            await until_sent(broker, place.message(3))


async def test_a_cancelled_sender_leaves_a_broker_that_works(place: Place) -> None:
    with place.through_proxy() as proxy:
        async with place.broker() as broker:
            await broker.send_message(place.message(1))
            with proxy.black_hole():
                one = asyncio.create_task(broker.send_message(place.message(2)))
                many = asyncio.create_task(broker.send_messages([place.message(3), place.message(4)]))
                await asyncio.sleep(0.05)
                for task in (one, many):
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
            await until_sent(broker, place.message(5))


async def test_many_senders_share_one_connection(place: Place) -> None:
    with place.through_proxy() as proxy:
        async with place.broker() as broker:
            await asyncio.gather(*(broker.send_message(place.message(number)) for number in range(50)))
            connections = proxy.connections

    assert connections <= place.connections


async def test_after_close_nothing_is_left(place: Place) -> None:
    before = asyncio.all_tasks()
    with place.through_proxy() as proxy:
        broker = place.broker()
        await broker.send_message(place.message(1))
        await broker.close()
        await broker.close()
        await asyncio.to_thread(wait_until, lambda: not proxy.open_connections, "no connection is open")
        with pytest.raises(BrokerUnavailableError, match="closed"):
            await broker.send_message(place.message(2))

    assert asyncio.all_tasks() == before


async def test_a_broker_can_be_closed_while_its_server_is_gone(place: Place) -> None:
    before = asyncio.all_tasks()
    with place.through_proxy() as proxy:
        broker = place.broker(timeout=1.5)
        await broker.send_message(place.message(1))
        with proxy.refuse():
            proxy.cut()
            async with asyncio.timeout(PATIENCE):
                await broker.close()

    assert asyncio.all_tasks() == before


async def until_sent(broker: MessageBroker, message: Message) -> None:
    """Send a message until it is taken, as whoever sends does; each attempt ends by itself."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await broker.send_message(message)
            except BrokerUnavailableError:
                await asyncio.sleep(0.05)
