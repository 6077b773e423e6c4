"""What streams alone do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import redis.asyncio

from cqrs.exceptions import BrokerUnavailableError, ConfigurationError, MessageRefusedError
from cqrs.message_brokers.protocol import Message
from cqrs.message_brokers.redis import RedisMessageBroker, RedisMessageSource
from tests.integration.brokers.places import PATIENCE, reading
from tests.integration.brokers.redis_place import RedisPlace
from tests.servers.cluster import RedisCluster
from tests.servers.redis_server import RedisServer


@pytest.fixture
async def place(streams_url: str) -> AsyncIterator[RedisPlace]:
    made = RedisPlace(streams_url)
    yield made
    await made.tidy()


@pytest.fixture
async def client(place: RedisPlace) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(place.url) as made:
        yield made


async def test_a_key_that_is_no_stream_is_refused(place: RedisPlace, client: redis.asyncio.Redis) -> None:
    await client.set(place.topic, "text")
    async with place.broker() as broker:
        with pytest.raises(MessageRefusedError, match="WRONGTYPE"):
            await broker.send_message(place.message(1))
        results = await broker.send_messages(
            [place.message(1), place.message(1, topic=f"{place.topic}.dead")]
        )
    assert [type(result) for result in results] == [MessageRefusedError, type(None)]

    source = place.source()
    with pytest.raises(MessageRefusedError, match="WRONGTYPE"):
        await source.start()
    await source.close()


async def test_a_server_that_takes_no_writes_now_is_no_refusal(
    redis_servers: Callable[..., RedisServer],
) -> None:
    server = redis_servers()
    place = RedisPlace(server.url)
    async with place.broker() as broker:
        with server.out_of_memory(), pytest.raises(BrokerUnavailableError, match="OOM"):
            await broker.send_message(place.message(1))
        with server.read_only():
            assert [type(each) for each in await broker.send_messages([place.message(1)])] == [
                BrokerUnavailableError
            ]
        await broker.send_message(place.message(1))


async def test_a_stream_keeps_about_as_many_as_it_is_told(
    place: RedisPlace, client: redis.asyncio.Redis
) -> None:
    async with RedisMessageBroker(place.url, max_length=100) as broker:
        assert await broker.send_messages([place.message(number) for number in range(1000)]) == [None] * 1000

    assert 100 <= await client.xlen(place.topic) < 300


async def test_settled_messages_are_removed_when_that_is_wanted(
    place: RedisPlace, client: redis.asyncio.Redis
) -> None:
    await place.publish(1, 2)
    async with reading(RedisMessageSource(place.url, [place.topic], "group", delete=True)) as reader:
        await reader.source.ack(await reader.next())
        await reader.next()
        assert await client.xlen(place.topic) == 1


async def test_entries_of_others_are_received_as_well_as_can_be(
    place: RedisPlace, client: redis.asyncio.Redis
) -> None:
    await client.xadd(place.topic, {"user": "7", "body": "text", "headers": "no JSON"})
    async with reading(place.source()) as reader:
        message = await reader.next()

    assert message.body == b"text"
    assert message.headers == {"user": "7", "headers": "no JSON"}
    assert (message.message_id, message.message_name, message.key) == (None, None, None)


async def test_what_is_in_work_is_not_given_to_oneself_again(place: RedisPlace) -> None:
    await place.publish(1)
    async with reading(place.source()) as reader:
        message = await reader.next()
        with pytest.raises(TimeoutError):
            await reader.next(1.5)  # more than twice the time after which it counts as lost
        await reader.source.ack(message)


async def test_what_could_not_be_settled_comes_again(place: RedisPlace) -> None:
    with place.through_proxy() as proxy:
        async with reading(place.source(timeout=1.0)) as reader:
            await place.publish(1)
            message = await reader.next()
            with proxy.refuse():
                proxy.cut()
                with pytest.raises(BrokerUnavailableError):
                    await reader.source.ack(message)

            assert (await reader.next()).attempt == 2


async def test_what_comes_to_a_reader_that_was_cancelled_is_not_lost_for_long(place: RedisPlace) -> None:
    async with reading(RedisMessageSource(place.url, [place.topic], place.group, min_idle=60.0)) as reader:
        for number in range(10):
            with pytest.raises(TimeoutError):
                await reader.next(0.01)
            reader.forget()
            await place.publish(number)
            message = await reader.next()
            assert (message.body, message.attempt) == (b'{"number":%d}' % number, 1)


async def test_what_comes_while_it_is_stopped_goes_to_others_at_once(place: RedisPlace) -> None:
    async with reading(RedisMessageSource(place.url, [place.topic], place.group, min_idle=60.0)) as reader:
        waiting = asyncio.create_task(reader.next())
        await asyncio.sleep(0.05)
        stopping = asyncio.create_task(reader.source.stop())
        await asyncio.sleep(0)
        await place.publish(1)
        await stopping
        with pytest.raises(StopAsyncIteration):
            await waiting

    async with reading(RedisMessageSource(place.url, [place.topic], place.group, min_idle=60.0)) as reader:
        assert (await reader.next()).body == b'{"number":1}'


async def test_what_is_extended_is_not_given_to_another(place: RedisPlace) -> None:
    await place.publish(1)
    async with reading(place.source()) as one, reading(place.source()) as other:
        message = await one.next()
        waiting = asyncio.create_task(other.next())
        for _ in range(12):
            await asyncio.sleep(0.1)
            await one.source.extend(message)
        assert not waiting.done()

        assert (await waiting).attempt == 2


async def test_a_consumer_that_has_nothing_left_takes_its_name_away(
    place: RedisPlace, client: redis.asyncio.Redis
) -> None:
    await place.publish(1, 2)
    async with reading(place.source()) as reader:
        await reader.source.ack((await reader.take(2))[0])
    assert [row["pending"] for row in await client.xinfo_consumers(place.topic, place.group)] == [1]

    async with reading(place.source()) as reader:
        await reader.source.ack(await reader.next())
    assert [row["pending"] for row in await client.xinfo_consumers(place.topic, place.group)] == [0]


async def test_names_of_consumers_that_died_long_ago_are_taken_away(
    place: RedisPlace, client: redis.asyncio.Redis
) -> None:
    async def names() -> set[bytes]:
        return {row["name"] for row in await client.xinfo_consumers(place.topic, place.group)}

    await place.publish(1, 2)
    await client.xgroup_create(place.topic, place.group, id="0")
    await client.xreadgroup(place.group, "holds one", {place.topic: ">"}, count=1)
    await client.xgroup_createconsumer(place.topic, place.group, "has nothing")
    async with reading(RedisMessageSource(place.url, [place.topic], place.group, min_idle=3600.0)):
        assert {b"holds one", b"has nothing"} <= await names()

    async with asyncio.timeout(PATIENCE):
        while b"has nothing" in await names():
            async with reading(RedisMessageSource(place.url, [place.topic], place.group, min_idle=0.01)):
                pass
    assert b"holds one" in await names()


async def test_a_user_who_may_run_no_scripts_reads_nevertheless(
    place: RedisPlace, client: redis.asyncio.Redis
) -> None:
    rights = {"enabled": True, "passwords": ["+secret"], "categories": ["+@all"], "keys": ["*"]}
    await client.acl_setuser("reader", commands=["-eval"], **rights)
    await place.publish(1)
    url = place.url.replace("redis://", "redis://reader:secret@")
    async with reading(RedisMessageSource(url, [place.topic], place.group)) as reader:
        assert (await reader.next()).body == b'{"number":1}'
    await client.acl_deluser("reader")


async def test_a_stream_that_was_removed_is_made_anew(place: RedisPlace, client: redis.asyncio.Redis) -> None:
    async with reading(place.source()) as reader:
        with pytest.raises(TimeoutError):
            await reader.next(0.1)
        reader.forget()
        await client.delete(place.topic)
        await place.publish(1)

        assert (await reader.next()).body == b'{"number":1}'
        assert reader.lost


@pytest.mark.parametrize("library", ["redis", "valkey"])
async def test_a_cluster_has_streams_too(redis_cluster: RedisCluster, library: str) -> None:
    module = pytest.importorskip(f"{library}.asyncio.cluster")
    client = getattr(module, f"{library.capitalize()}Cluster").from_url(redis_cluster.url.removesuffix("/0"))
    url = redis_cluster.url.replace("redis://", "redis+cluster://").removesuffix("/0")
    streams = [f"{library}-{number}" for number in range(5)]
    messages = [Message("Counted", streams[number % 5], number) for number in range(20)]
    async with RedisMessageBroker(client) as broker:
        assert await broker.send_messages(messages) == [None] * 20
        await broker.send_message(Message("Counted", streams[0], 20))
    for number, stream in enumerate(streams):
        async with reading(RedisMessageSource(url, [stream], "group", min_idle=0.6)) as reader:
            received = await reader.take(5 if number == 0 else 4)
            assert await reader.source.retry(received[0], 0.0)
            assert (await reader.next()).attempt == 2
            await reader.source.dead_letter(received[1], "because", 1)


@pytest.mark.parametrize("library", ["redis", "valkey"])
async def test_the_address_of_a_client_of_the_application_is_enough(place: RedisPlace, library: str) -> None:
    module = pytest.importorskip(f"{library}.asyncio")
    async with getattr(module, library.capitalize()).from_url(place.url, decode_responses=True) as client:
        async with RedisMessageBroker(client) as broker:
            await broker.send_message(place.message(1))
        async with reading(RedisMessageSource(client, [place.topic], "group")) as reader:
            assert (await reader.next()).body == b'{"number":1}'


async def test_a_client_that_decodes_is_refused(place: RedisPlace) -> None:
    def make() -> redis.asyncio.Redis:
        return redis.asyncio.Redis.from_url(place.url, decode_responses=True)

    source = RedisMessageSource(make, [place.topic], "group")
    for start in (source.start, RedisMessageBroker(make).start):
        with pytest.raises(ConfigurationError, match="decode_responses"):
            await start()
    with pytest.raises(ConfigurationError, match="decode_responses"):
        await RedisMessageBroker(make).send_message(place.message(1))
