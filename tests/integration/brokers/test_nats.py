"""What JetStream alone does."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator

import nats
import pytest

from cqrs.exceptions import BrokerUnavailableError, MessageRefusedError
from cqrs.message_brokers.errors import MessageTooLargeError
from cqrs.message_brokers.nats import NatsMessageSource
from cqrs.message_brokers.protocol import Message
from tests.integration.brokers.nats_place import NatsPlace
from tests.integration.brokers.places import PATIENCE, reading
from tests.servers.nats import NatsServer


@pytest.fixture
async def place(nats_url: str) -> AsyncIterator[NatsPlace]:
    made = NatsPlace(nats_url)
    await made.prepare()
    yield made
    await made.tidy()


async def test_a_message_that_is_sent_twice_is_stored_once(place: NatsPlace) -> None:
    message = place.message(1)
    async with place.broker() as broker:
        await broker.send_message(message)
        assert await broker.send_messages([message, place.message(2)]) == [None, None]
    async with reading(place.source()) as reader:
        assert [each.body for each in await reader.take(2)] == [b'{"number":1}', b'{"number":2}']


async def test_headers_that_are_no_lines_of_text_travel_too(place: NatsPlace) -> None:
    headers = {"empty": "", "blank": " x ", "lines": "a\r\nb: c", "näme": "wörld", "plain": "1"}
    async with place.broker() as broker:
        await broker.send_message(place.message(1, headers=headers, key="ключ"))
    async with reading(place.source()) as reader:
        message = await reader.next()

    assert {name: message.headers[name] for name in headers} == headers
    assert message.key == "ключ"


async def test_a_stream_that_is_full_is_no_refusal(place: NatsPlace) -> None:
    client = await nats.connect(place.url)
    try:
        context = client.jetstream()
        await context.update_stream(
            name=place.topic, subjects=[place.topic, f"{place.topic}.dead"], max_msgs=1, discard="new"
        )
        async with place.broker() as broker:
            await broker.send_message(place.message(1))
            with pytest.raises(BrokerUnavailableError, match="maximum messages"):
                await broker.send_message(place.message(2))
    finally:
        await client.close()


async def test_a_message_larger_than_the_stream_takes_is_refused(place: NatsPlace) -> None:
    client = await nats.connect(place.url)
    try:
        await client.jetstream().update_stream(name=place.topic, subjects=[place.topic], max_msg_size=1000)
        async with place.broker() as broker:
            with pytest.raises(MessageTooLargeError, match="size"):
                await broker.send_message(place.message(1, key="x" * 2000))
    finally:
        await client.close()


async def test_a_subject_without_a_stream_is_told(place: NatsPlace) -> None:
    source = NatsMessageSource(place.url, "elsewhere", "group")
    with pytest.raises(BrokerUnavailableError, match="elsewhere"):
        await source.start()
    await source.close()


async def test_what_is_extended_does_not_come_again(place: NatsPlace) -> None:
    await place.publish(1)
    async with reading(place.source()) as reader:
        message = await reader.next()
        waiting = asyncio.create_task(reader.next())
        for _ in range(15):  # one and a half times the patience of the server
            await asyncio.sleep(0.1)
            await reader.source.extend(message)
        assert not waiting.done()

        assert (await waiting).attempt == 2


async def test_who_waits_for_an_answer_hears_at_once_that_the_connection_is_lost(place: NatsPlace) -> None:
    with place.through_proxy() as proxy:
        async with place.broker(timeout=PATIENCE) as broker:
            await broker.send_message(place.message(1))
            with proxy.black_hole():
                sending = asyncio.create_task(broker.send_message(place.message(2)))
                await asyncio.sleep(0.1)
                begin = time.monotonic()
                proxy.cut()
                with pytest.raises(BrokerUnavailableError):
                    await sending
            assert time.monotonic() - begin < PATIENCE / 2


async def test_a_server_that_is_restarted_is_found_again(nats_server: NatsServer) -> None:
    place = NatsPlace(nats_server.url)
    await place.prepare()
    async with place.broker() as broker, reading(place.source()) as reader:
        await broker.send_message(place.message(1))
        message = await reader.next()
        nats_server.kill()
        with pytest.raises(BrokerUnavailableError):
            await broker.send_message(place.message(2))
        nats_server.start()
        await reader.source.ack(message)
        await broker.send_message(place.message(3))
        assert (await reader.next()).body == b'{"number":3}'
        assert reader.lost


async def test_what_comes_to_a_reader_that_was_cancelled_is_not_lost_for_long(place: NatsPlace) -> None:
    source = NatsMessageSource(place.url, place.topic, place.group, ack_wait=60.0)
    async with reading(source) as reader:
        for number in range(10):
            with pytest.raises(TimeoutError):
                await reader.next(0.01)
            reader.forget()
            await place.publish(number)
            message = await reader.next()
            assert (message.body, message.attempt) == (b'{"number":%d}' % number, 1)


async def test_headers_count_for_what_is_too_large_and_cost_nobody_the_connection(place: NatsPlace) -> None:
    most = place.too_large - 1
    async with place.broker() as broker:
        await broker.send_message(place.message(1))
        others = [place.message(number) for number in (2, 3)]
        almost = Message("Large", place.topic, b"x" * most)
        headers = place.message(4, headers={"a": "x" * most})
        results = await broker.send_messages([others[0], almost, headers, others[1]])

    refused = MessageTooLargeError
    assert [type(each) for each in results] == [type(None), refused, refused, type(None)]


async def test_what_is_just_not_too_large_is_taken(place: NatsPlace) -> None:
    async with place.broker() as broker:
        with pytest.raises(MessageRefusedError, match="body and headers have") as caught:
            await broker.send_message(Message("Large", place.topic, b"x" * (place.too_large - 1)))
        size, most = (int(number) for number in re.findall(r"(\d+) bytes, of (\d+)", str(caught.value))[0])
        fits = b"x" * (place.too_large - 1 - (size - most))
        await broker.send_message(Message("Large", place.topic, fits, headers={}))
        with pytest.raises(MessageRefusedError):
            await broker.send_message(Message("Large", place.topic, fits + b"x"))


async def test_what_leaves_no_room_for_a_reason_is_put_aside_without_its_body(place: NatsPlace) -> None:
    async with place.broker() as broker:
        with pytest.raises(MessageTooLargeError) as caught:
            await broker.send_message(Message("Large", place.topic, b"x" * (place.too_large - 1)))
        size, most = (int(number) for number in re.findall(r"(\d+) bytes, of (\d+)", str(caught.value))[0])
        fits = place.too_large - 1 - (size - most)
        sent = Message("Large", place.topic, b"x" * fits)
        await broker.send_messages([sent, place.message(2)])
    async with reading(place.source()) as reader:
        large, other = await reader.take(2)
        await reader.source.dead_letter(large, "no JSON", 1)
        await reader.source.ack(other)
    async with reading(place.dead_letters()) as reader:
        dead = await reader.next()

    assert (dead.body, dead.message_id, dead.message_name) == (b"", sent.message_id, "Large")
    assert dead.headers["dead_letter_reason"] == "no JSON"
    assert dead.headers["dead_letter_omitted"] == f"its body of {fits} bytes, at {place.topic}/1"


async def test_what_no_stream_takes_as_a_dead_letter_stays(place: NatsPlace) -> None:
    client = await nats.connect(place.url)
    await client.jetstream().update_stream(name=place.topic, subjects=[place.topic])
    await client.close()
    await place.publish(1)
    async with reading(place.source()) as reader:
        message = await reader.next()
        with pytest.raises(MessageRefusedError, match="no stream"):
            await reader.source.dead_letter(message, "because", 1)
        assert (await reader.next()).body == b'{"number":1}'
