"""Whatever the broker: a message is delivered until it is settled, and not after that."""

from __future__ import annotations

import asyncio
import sys
import uuid
from pathlib import Path

import pytest

from cqrs.exceptions import BrokerUnavailableError
from cqrs.message_brokers.protocol import Message
from cqrs.message_brokers.receiving import MessageSource, PostponingSource, ReceivedMessage
from tests.integration.brokers.places import PATIENCE, Place, reading
from tests.servers.base import wait_until

QUIET = 0.7  # seconds in which what comes at all has come


def body(number: int) -> bytes:
    return b'{"number":%d}' % number


async def test_a_source_is_one(place: Place) -> None:
    assert isinstance(place.source(), MessageSource)


async def test_what_is_acknowledged_is_not_delivered_again(place: Place) -> None:
    await place.publish(1, 2, 3)
    async with reading(place.source()) as reader:
        for message in await reader.take(3):
            await reader.source.ack(message)

    await place.publish(4)
    async with reading(place.source()) as reader:
        assert (await reader.next()).body == body(4)


async def test_what_is_not_acknowledged_is_delivered_again(place: Place) -> None:
    async with place.broker() as broker:
        await broker.send_messages([place.message(number, key="same") for number in (1, 2, 3)])
    async with reading(place.source()) as reader:
        first, second, third = await reader.take(3)
        await reader.source.ack(first)
        del second, third

    async with reading(place.source()) as reader:
        assert {message.body for message in await reader.take(2)} == {body(2), body(3)}


async def test_what_is_given_back_is_delivered_again_and_not_as_another_attempt(place: Place) -> None:
    await place.publish(1)
    async with reading(place.source()) as reader:
        message = await reader.next()
        await reader.source.stop()
        await reader.source.release(message)

    async with reading(place.source()) as reader:
        again = await reader.next()

    assert again.body == body(1)
    assert again.message_id == message.message_id
    assert again.attempt <= (2 if place.name == "nats" else 1)


async def test_a_retried_message_comes_later_as_another_attempt(place: Place) -> None:
    await place.publish(1)
    async with reading(place.source()) as reader:
        message = await reader.next()
        answer = await reader.source.retry(message, 0.3)
        assert answer is place.retries
        if answer:
            again = await reader.next()
            assert (again.body, again.attempt) == (body(1), 2)
            assert again.message_id == message.message_id
            assert again.headers["message_name"] == "Counted"
            message = again
        await reader.source.ack(message)

        await place.publish(2)
        assert (await reader.next()).body == body(2)


async def test_a_retried_message_does_not_keep_others_back(place: Place) -> None:
    if not place.retries:
        pytest.skip("this broker delivers in order")
    await place.publish(1, 2)
    async with reading(place.source()) as reader:
        assert await reader.source.retry(await reader.next(), 0.6)
        message = await reader.next()
        assert message.body == body(2)
        await reader.source.ack(message)


async def test_a_postponed_message_comes_later_as_the_same_attempt(place: Place) -> None:
    await place.publish(1)
    async with reading(place.source()) as reader:
        if not isinstance(reader.source, PostponingSource):
            pytest.skip("this broker cannot")
        for _ in range(2):
            message = await reader.next()
            assert await reader.source.postpone(message, 0.1) is place.retries
            if not place.retries:
                return
        again = await reader.next()
        assert (again.body, again.attempt, again.topic) == (body(1), 1, place.topic)
        await reader.source.ack(again)


async def test_attempts_are_counted_up(place: Place) -> None:
    if not place.retries:
        pytest.skip("this broker does not count")
    await place.publish(1)
    attempts = []
    async with reading(place.source()) as reader:
        for _ in range(4):
            message = await reader.next()
            attempts.append(message.attempt)
            await reader.source.retry(message, 0.0)

    assert attempts == [1, 2, 3, 4]


STRANGE = {
    "lines": "a\r\nNats-Msg-Id: forged\r\n\r\nbody\x00",
    "unicode": "\U0001f98a \u202e",
    "näme\nof a header": "x",
    "empty": "",
    "blank": " ",
    "long": "x" * 30_000,
    "content_type": "text/" + "x" * 300,
    "traceparent": "00-zz\n",
    "tracestate": "=,;=" * 50,
    "baggage": "%%%=\x00,;" * 50,
    "delivery_attempt": "9" * 5000,
    "headers_json": "[1",
}


async def test_headers_of_any_kind_travel_as_they_are_also_to_the_dead_letters(place: Place) -> None:
    sent = place.message(1, headers=STRANGE, key="a\nb\u00f6" + "k" * 300)
    async with place.broker() as broker:
        await broker.send_message(sent)
    async with reading(place.source()) as reader:
        message = await reader.next()
        if await reader.source.retry(message, 0.0):
            message = await reader.next()
        await reader.source.dead_letter(message, "line\nline \x00\udcff" + "x" * 10_000, 1)
    async with reading(place.dead_letters()) as reader:
        dead = await reader.next()

    for found in (message, dead):
        assert (found.message_id, found.key, found.body) == (sent.message_id, sent.key, body(1))
        kept = {name: found.headers.get(name) for name in STRANGE if name != "delivery_attempt"}
        assert kept == {name: STRANGE[name] for name in kept}
    assert message.attempt == (2 if place.retries else 1)
    assert dead.attempt == 1
    assert dead.headers["dead_letter_reason"].startswith("line line")


async def test_a_dead_letter_is_kept_with_its_reason_and_never_delivered_again(place: Place) -> None:
    identity = uuid.uuid4()
    payload = b"\x00\xffnot JSON"
    async with place.broker() as broker:
        headers = {"tenant": "north"}
        await broker.send_message(Message("Broken", place.topic, payload, identity, headers, key="k"))
        await broker.send_message(place.message(2, key="k"))
    async with reading(place.source()) as reader:
        await reader.source.dead_letter(await reader.next(), "no JSON:\r\nline 1", 3)
        message = await reader.next()
        assert message.body == body(2)
        await reader.source.ack(message)

    await place.publish(3)
    async with reading(place.source()) as reader:
        assert (await reader.next()).body == body(3)
    async with reading(place.dead_letters()) as reader:
        dead = await reader.next()
        await reader.source.ack(dead)

    assert dead.body == payload
    assert (dead.message_id, dead.message_name, dead.key) == (identity, "Broken", "k")
    assert dead.headers["tenant"] == "north"
    assert dead.headers["dead_letter_reason"] == "no JSON: line 1"
    assert dead.headers["dead_letter_attempts"] == "3"
    assert dead.headers["dead_letter_topic"] == place.topic


async def test_stop_ends_a_source_that_waits_and_what_was_handed_over_can_be_settled(place: Place) -> None:
    await place.publish(1)
    source = place.source()
    async with reading(source) as reader:
        message = await reader.next()
        waiting = asyncio.create_task(reader.next())
        await asyncio.sleep(0.05)
        await source.stop()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(StopAsyncIteration):
                await waiting
        await source.ack(message)

    await place.publish(2)
    async with reading(place.source()) as reader:
        assert (await reader.next()).body == body(2)


async def test_after_stop_nothing_is_handed_over(place: Place) -> None:
    await place.publish(1, 2, 3)
    async with reading(place.source()) as reader:
        first = await reader.next()
        await reader.source.stop()
        await reader.source.ack(first)
        with pytest.raises(StopAsyncIteration):
            await reader.next()

    async with reading(place.source()) as reader:
        rest = {message.body for message in await reader.take(2)}
    assert rest == {body(1), body(2), body(3)} - {first.body}


async def test_a_stopped_source_can_be_started_again(place: Place) -> None:
    await place.publish(1, 2)
    source = place.source()
    async with reading(source) as reader:
        message = await reader.next()
        await source.ack(message)
        await source.stop()
        with pytest.raises(StopAsyncIteration):
            await reader.next()

    async with reading(source) as reader:
        other = await reader.next()
        await source.ack(other)

    assert {message.body, other.body} == {body(1), body(2)}


async def test_messages_of_a_killed_process_are_delivered_to_another(place: Place) -> None:
    async with place.broker() as broker:
        await broker.send_messages([place.message(number, key="same") for number in (1, 2, 3)])
    command = [sys.executable, "-m", "tests.integration.brokers.victim"]
    command += [place.name, place.url, place.topic, place.group]
    root = Path(__file__).parents[3]
    victim = await asyncio.create_subprocess_exec(*command, cwd=root, stdout=asyncio.subprocess.PIPE)
    assert victim.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line = await victim.stdout.readline()
    finally:
        victim.kill()
        await victim.communicate()
    assert line.strip() == body(2)

    async with reading(place.source()) as reader:
        received = []
        while {message.body for message in received} != {body(2), body(3)}:
            received.append(await reader.next())
            await reader.source.ack(received[-1])


async def test_a_cut_connection_loses_nothing(place: Place) -> None:
    with place.through_proxy() as proxy:
        async with reading(place.source()) as reader:
            await place.publish(1)
            unsettled = await reader.next()
            proxy.cut()
            seen: list[ReceivedMessage] = []
            await publish_at_last(place, 2)
            while body(2) not in {message.body for message in seen}:
                seen.append(await reader.next())
            for message in [unsettled, *seen]:  # the first one may be of a connection that is gone
                await reader.source.ack(message)

    await place.publish(3)
    async with reading(place.source()) as reader:
        while (await reader.next()).body != body(3):
            pass


async def test_a_source_whose_server_is_gone_says_so_and_finds_it_again(place: Place) -> None:
    with place.through_proxy() as proxy:
        async with reading(place.source(timeout=2.0)) as reader:
            await place.publish(1)
            await reader.source.ack(await reader.next())
            with proxy.refuse():
                proxy.cut()
                with pytest.raises(TimeoutError):
                    await reader.next(0.5)
            assert bool(reader.lost) is place.tells
            reader.forget()
            await publish_at_last(place, 2)
            while (await reader.next()).body != body(2):
                pass


async def test_a_source_without_a_server_cannot_start(place: Place) -> None:
    before = asyncio.all_tasks()
    with place.through_proxy() as proxy, proxy.refuse():
        source = place.source(timeout=1.5)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(BrokerUnavailableError):
                await source.start()
            await source.close()

    assert asyncio.all_tasks() == before


async def test_a_source_that_hears_nothing_does_not_start_for_ever(place: Place) -> None:
    with place.through_proxy() as proxy, proxy.black_hole():
        source = place.source(timeout=1.0)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(BrokerUnavailableError):
                await source.start()
            await source.close()


async def test_a_source_can_be_stopped_while_its_server_is_gone(place: Place) -> None:
    with place.through_proxy() as proxy:
        await place.publish(1, 2, 3)
        async with reading(place.source(timeout=1.5)) as reader:
            await reader.next()
            with proxy.refuse():
                proxy.cut()
                async with asyncio.timeout(PATIENCE):
                    await reader.source.stop()
                    with pytest.raises(StopAsyncIteration):
                        await reader.next()


async def test_a_source_can_be_closed_while_its_server_is_gone(place: Place) -> None:
    before = asyncio.all_tasks()
    with place.through_proxy() as proxy:
        await place.publish(1)
        async with reading(place.source(timeout=1.5)) as reader:
            await reader.next()
            with proxy.refuse():
                proxy.cut()
                async with asyncio.timeout(PATIENCE):
                    await reader.close()

    assert asyncio.all_tasks() == before


async def test_a_source_can_be_closed_while_its_server_is_silent(place: Place) -> None:
    before = asyncio.all_tasks()
    with place.through_proxy() as proxy:
        await place.publish(1)
        async with reading(place.source(timeout=1.5)) as reader:
            await reader.next()
            with proxy.black_hole():
                async with asyncio.timeout(PATIENCE):
                    await reader.close()

    assert asyncio.all_tasks() == before


async def test_a_closed_source_leaves_nothing_behind(place: Place) -> None:
    before = asyncio.all_tasks()
    with place.through_proxy() as proxy:
        await place.publish(1)
        source = place.source()
        async with reading(source) as reader:
            await source.dead_letter(await reader.next(), "because", 1)
        await source.close()
        await asyncio.to_thread(wait_until, lambda: not proxy.open_connections, "no connection is open")

    assert asyncio.all_tasks() == before


async def test_a_reader_that_is_cancelled_loses_nothing(place: Place) -> None:
    source = place.source()
    async with reading(source) as reader:
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await reader.next(0.02)
            reader.forget()
        await place.publish(1)
        message = await reader.next()
        assert message.body == body(1)
        await source.ack(message)


async def test_extending_harms_nobody(place: Place) -> None:
    await place.publish(1)
    async with reading(place.source()) as reader:
        message = await reader.next()
        await reader.source.extend(message)
        await reader.source.ack(message)
        assert await reader.nothing_comes(QUIET)


async def publish_at_last(place: Place, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await place.publish(number)
            except BrokerUnavailableError:
                await asyncio.sleep(0.05)
