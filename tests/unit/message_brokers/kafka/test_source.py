"""Partitions come and go while messages are in work."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import namedtuple
from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("aiokafka")

import aiokafka

from cqrs import consumers as cqrs_consumers
from cqrs.message_brokers.kafka import KafkaMessageSource
from cqrs.message_brokers.receiving import ReceivedMessage

Record = namedtuple("Record", "topic partition offset key value headers")
PARTITIONS = [aiokafka.TopicPartition("users", number) for number in (0, 1)]

NAMED = [("message_name", b"Counted")]


@dataclasses.dataclass
class Counted:
    number: int


class Consumer:
    """A member of a group whose partitions and records a test chooses."""

    made: list[Consumer]

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.assigned = set(PARTITIONS)
        self.records: list[Record] = []
        self.committed: dict[Any, int] = {}
        self.arrived = asyncio.Event()
        self.listener: Any = None
        self.stopped = False
        Consumer.made.append(self)

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.listener = listener

    async def start(self) -> None:
        await self.listener.on_partitions_revoked(set())

    async def stop(self) -> None:
        self.stopped = True

    def assignment(self) -> set[Any]:
        return self.assigned

    async def commit(self, offsets: dict[Any, int]) -> None:
        self.committed |= offsets

    def bring(self, partition: int, *offsets: int) -> None:
        self.records += [
            Record("users", partition, offset, None, b'{"number":%d}' % offset, NAMED) for offset in offsets
        ]
        self.arrived.set()

    async def getmany(self, *partitions: Any, timeout_ms: int, max_records: int) -> dict[Any, list[Record]]:
        await self.arrived.wait()
        ready = [each for each in self.records if PARTITIONS[each.partition] in (partitions or PARTITIONS)]
        self.records = [each for each in self.records if each not in ready]
        self.arrived.clear()
        return {each: [one for one in ready if one.partition == each.partition] for each in PARTITIONS}


@pytest.fixture(autouse=True)
def consumers(monkeypatch: pytest.MonkeyPatch) -> None:
    Consumer.made = []
    monkeypatch.setattr(aiokafka, "AIOKafkaConsumer", Consumer)


@pytest.fixture
async def source() -> AsyncIterator[KafkaMessageSource]:
    async with KafkaMessageSource("one:9092", ["users"], "group", commit_interval=0.0) as made:
        yield made


async def take(stream: AsyncIterator[ReceivedMessage], count: int) -> list[ReceivedMessage]:
    return [await anext(stream) for _ in range(count)]


async def until_idle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_partition_waits_for_its_messages_before_it_goes(source: KafkaMessageSource) -> None:
    (consumer,) = Consumer.made
    consumer.bring(0, 4, 5, 6)
    stream = source.messages()
    first, second = await take(stream, 2)
    going = asyncio.create_task(consumer.listener.on_partitions_revoked(set(PARTITIONS)))
    await source.ack(first)
    await until_idle()
    assert not going.done()
    await source.ack(second)
    await going

    assert consumer.committed == {PARTITIONS[0]: 6}  # of the third, nothing was handed over
    consumer.bring(0, 6)  # once more: the one that waited here is forgotten
    assert (await anext(stream)).position == "users/0@6"
    await stream.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_after_a_while_it_goes_without_them_and_they_move_nothing() -> None:
    source = KafkaMessageSource("one:9092", ["users"], "group", commit_interval=0.0, rebalance_timeout=0.01)
    async with source:
        (consumer,) = Consumer.made
        consumer.bring(0, 4)
        stream = source.messages()
        late = await anext(stream)
        await consumer.listener.on_partitions_revoked(set(PARTITIONS))
        consumer.bring(0, 4, 5)
        again, following = await take(stream, 2)
        await source.ack(late)
        await source.ack(following)
        await until_idle()
        assert consumer.committed == {}

        await source.ack(again)
        await until_idle()
        assert consumer.committed == {PARTITIONS[0]: 6}
        await stream.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_what_is_not_settled_is_not_committed_on_leaving(source: KafkaMessageSource) -> None:
    (consumer,) = Consumer.made
    consumer.bring(0, 4, 5)
    stream = source.messages()
    first, _ = await take(stream, 2)
    await source.ack(first)
    await stream.aclose()  # type: ignore[attr-defined]  # an async generator
    await source.close()

    assert consumer.committed == {PARTITIONS[0]: 5}
    assert consumer.stopped


async def test_a_started_source_is_not_started_again_until_it_was_stopped(source: KafkaMessageSource) -> None:
    await source.start()
    assert len(Consumer.made) == 1
    await source.stop()
    await source.start()

    assert len(Consumer.made) == 2
    assert Consumer.made[0].stopped


async def test_a_partition_with_messages_in_work_is_kept_though_nothing_is_asked_for(
    source: KafkaMessageSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    (consumer,) = Consumer.made
    consumer.bring(0, 4)
    stream = source.messages()
    message = await anext(stream)
    consumer.bring(0, 5)
    await source.extend(message)
    assert consumer.records  # asked a moment ago

    monkeypatch.setattr("cqrs.message_brokers.kafka.source.ALIVE", -1.0)
    await source.extend(message)
    assert not consumer.records
    assert (await anext(stream)).position == "users/0@5"
    await stream.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_groups_wait_for_members_that_finish_their_work() -> None:
    async with KafkaMessageSource("one:9092", ["users"], "group", rebalance_timeout=20.0):
        (consumer,) = Consumer.made

    assert 20_000 < consumer.options["rebalance_timeout_ms"] < consumer.options["request_timeout_ms"]


async def positions_of(stream: AsyncIterator[ReceivedMessage], count: int) -> list[str]:
    return [message.position for message in await take(stream, count)]


async def test_a_paused_partition_is_passed_over_and_misses_nothing(source: KafkaMessageSource) -> None:
    (consumer,) = Consumer.made
    consumer.bring(0, 1, 2, 3)
    consumer.bring(1, 1, 2)
    stream = source.messages()
    await anext(stream)
    source.pause(("users", 0))
    source.pause(("users", 0))  # once more is no harm
    assert await positions_of(stream, 2) == ["users/1@1", "users/1@2"]

    consumer.bring(0, 4)
    consumer.bring(1, 3)
    assert (await anext(stream)).position == "users/1@3"
    coming = asyncio.create_task(take(stream, 2))
    await until_idle()
    source.resume(("users", 0))
    assert [message.position for message in await coming] == ["users/0@2", "users/0@3"]
    source.resume(("users", 0))
    consumer.bring(1, 4)
    assert await positions_of(stream, 2) == ["users/0@4", "users/1@4"]
    await stream.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_what_a_paused_partition_held_back_goes_with_it(source: KafkaMessageSource) -> None:
    (consumer,) = Consumer.made
    consumer.bring(0, 1, 2)
    stream = source.messages()
    await source.ack(await anext(stream))
    source.pause(("users", 0))
    await consumer.listener.on_partitions_revoked({PARTITIONS[0]})
    source.resume(("users", 0))
    consumer.bring(0, 2)
    consumer.bring(1, 7)
    assert await positions_of(stream, 2) == ["users/0@2", "users/1@7"]
    await stream.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_a_partition_paused_while_it_goes_is_not_paused_when_it_comes_back(
    source: KafkaMessageSource,
) -> None:
    (consumer,) = Consumer.made
    consumer.bring(0, 1)
    stream = source.messages()
    message = await anext(stream)
    going = asyncio.create_task(consumer.listener.on_partitions_revoked({PARTITIONS[0]}))
    await until_idle()
    source.pause(("users", 0))
    await source.release(message)
    await going
    consumer.bring(0, 1)
    assert (await anext(stream)).position == "users/0@1"
    await stream.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_all_partitions_can_be_paused_and_are_kept(
    source: KafkaMessageSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    (consumer,) = Consumer.made
    consumer.bring(0, 1)
    consumer.bring(1, 1)
    stream = source.messages()
    first, _ = await take(stream, 2)
    source.pause(("users", 0))
    source.pause(("users", 1))
    consumer.bring(0, 2)
    coming = asyncio.create_task(take(stream, 1))
    await until_idle()
    monkeypatch.setattr("cqrs.message_brokers.kafka.source.ALIVE", -1.0)
    await source.extend(first)
    await until_idle()
    assert not coming.done()
    source.resume(("users", 0))
    assert [message.position for message in await coming] == ["users/0@2"]
    await stream.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_a_message_of_a_partition_that_goes_is_not_to_be_begun(source: KafkaMessageSource) -> None:
    (consumer,) = Consumer.made
    consumer.bring(0, 1, 2)
    consumer.bring(1, 1)
    stream = source.messages()
    at_work, waiting, other = await take(stream, 3)
    assert all(source.is_current(each) for each in (at_work, waiting, other))
    going = asyncio.create_task(consumer.listener.on_partitions_revoked({PARTITIONS[0]}))
    await until_idle()
    assert [source.is_current(each) for each in (at_work, waiting, other)] == [False, False, True]
    await source.release(waiting)
    await source.ack(at_work)
    await going
    assert consumer.committed == {PARTITIONS[0]: 2}

    consumer.bring(0, 2)
    assert source.is_current(await anext(stream))
    assert not source.is_current(waiting)
    await stream.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_a_consumer_handles_nothing_more_of_a_partition_that_goes(source: KafkaMessageSource) -> None:
    gates, handled, started = {1: asyncio.Event(), 2: asyncio.Event()}, list[int](), asyncio.Event()

    class Handlers:
        async def send(self, event: Any) -> None:
            started.set()
            if event.number in gates:
                await gates[event.number].wait()
            handled.append(event.number)

    (consumer,) = Consumer.made
    consumer.bring(0, 1, 2, 3)
    async with cqrs_consumers.Consumer(source, Handlers(), {"Counted": Counted}) as running:
        await started.wait()
        going = asyncio.create_task(consumer.listener.on_partitions_revoked(set(PARTITIONS)))
        await until_idle()
        gates[1].set()
        await going
        assert (handled, consumer.committed) == ([1], {PARTITIONS[0]: 2})
        consumer.bring(0, 2, 3)  # it comes back
        gates[2].set()
        while len(handled) < 3:
            await until_idle()

    assert handled == [1, 2, 3]
    assert running.statistics.released == 2
    assert consumer.committed == {PARTITIONS[0]: 4}


@pytest.mark.parametrize("what", ["retry", "postpone"])
async def test_a_partition_that_goes_does_not_wait_for_what_waits(
    source: KafkaMessageSource, what: str
) -> None:
    (consumer,) = Consumer.made
    consumer.bring(0, 1)
    stream = source.messages()
    message = await anext(stream)
    assert await getattr(source, what)(message, 60.0) is False
    assert source.is_current(message)  # its next attempt begins
    going = asyncio.create_task(consumer.listener.on_partitions_revoked(set(PARTITIONS)))
    await until_idle()
    assert not going.done()
    assert await getattr(source, what)(message, 60.0) is False
    await going
    assert not source.is_current(message)
    assert consumer.committed == {}
    await stream.aclose()  # type: ignore[attr-defined]  # an async generator
