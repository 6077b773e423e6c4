"""Positions are committed behind what is settled, also when partitions come and go."""

from __future__ import annotations

import asyncio
from collections import namedtuple
from typing import Any

import pytest

pytest.importorskip("aiokafka")

from aiokafka.errors import CommitFailedError

from cqrs.message_brokers.kafka.positions import Positions
from cqrs.message_brokers.receiving import ReceivedMessage

TopicPartition = namedtuple("TopicPartition", "topic partition")


class Consumer:
    """Remembers what is committed."""

    def __init__(self) -> None:
        self.assigned = {TopicPartition("users", 0), TopicPartition("users", 1)}
        self.committed: list[dict[tuple[str, int], int]] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    def assignment(self) -> set[Any]:
        return self.assigned

    async def commit(self, offsets: dict[Any, int]) -> None:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.committed.append({tuple(each): position for each, position in offsets.items()})


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
def positions(consumer: Consumer) -> Positions:
    made = Positions(0.0, 5.0)
    made.begin(consumer)
    return made


def deliver(positions: Positions, partition: int, offset: int) -> ReceivedMessage:
    message = ReceivedMessage(b"", {}, None, "users")
    positions.deliver(message, ("users", partition), offset)
    return message


async def until_idle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_is_settled_is_committed_without_being_asked(
    positions: Positions, consumer: Consumer
) -> None:
    first, second = deliver(positions, 0, 4), deliver(positions, 1, 9)
    positions.settle(first)
    positions.settle(second)
    await until_idle()

    assert consumer.committed == [{("users", 0): 5, ("users", 1): 10}]
    await positions.end()


async def test_what_is_settled_during_a_commit_is_committed_after_it(
    positions: Positions, consumer: Consumer
) -> None:
    first, second = deliver(positions, 0, 4), deliver(positions, 0, 5)
    consumer.gate.clear()
    positions.settle(first)
    await until_idle()
    positions.settle(second)
    consumer.gate.set()
    await until_idle()

    assert consumer.committed == [{("users", 0): 5}, {("users", 0): 6}]
    await positions.end()


async def test_a_commit_that_failed_is_made_up_for(positions: Positions, consumer: Consumer) -> None:
    consumer.error = CommitFailedError("rebalanced")
    positions.settle(deliver(positions, 0, 4))
    assert not await positions.commit_now()
    consumer.error = None

    assert await positions.commit_now()
    assert consumer.committed == [{("users", 0): 5}]
    await positions.end()


async def test_a_message_of_a_partition_that_was_taken_away_moves_nothing(
    positions: Positions, consumer: Consumer
) -> None:
    old = deliver(positions, 0, 4)
    positions.drop([("users", 0)])
    again, following = deliver(positions, 0, 4), deliver(positions, 0, 5)
    positions.settle(old)
    positions.settle(following)
    await positions.commit_now()
    assert consumer.committed == []

    positions.settle(again)
    await positions.commit_now()
    assert consumer.committed == [{("users", 0): 6}]
    await positions.end()


async def test_a_partition_that_is_gone_does_not_keep_others_from_being_committed(
    positions: Positions, consumer: Consumer
) -> None:
    first, second = deliver(positions, 0, 4), deliver(positions, 1, 9)
    consumer.assigned = {TopicPartition("users", 1)}
    positions.settle(first)
    positions.settle(second)
    await positions.commit_now()

    assert consumer.committed[0] == {("users", 1): 10}
    await positions.end()


async def test_draining_waits_for_what_is_in_work_there(positions: Positions) -> None:
    here, elsewhere = deliver(positions, 0, 4), deliver(positions, 1, 9)
    draining = asyncio.create_task(positions.drained([("users", 0)], 60.0))
    await until_idle()
    positions.settle(elsewhere)
    await until_idle()
    assert not draining.done()
    positions.give_back(here)

    assert await draining
    await positions.end()


async def test_draining_ends_when_it_takes_too_long(positions: Positions) -> None:
    deliver(positions, 0, 4)

    assert not await positions.drained([("users", 0)], 0.01)
    await positions.end()


def test_positions_are_kept_in_one_event_loop_after_the_other() -> None:
    positions = Positions(0.0, 5.0)

    async def commit(offset: int) -> Consumer:
        consumer = Consumer()
        positions.begin(consumer)
        message = deliver(positions, 0, offset)
        waiting = asyncio.create_task(positions.drained([("users", 0)], 5.0))
        await until_idle()
        positions.settle(message)
        assert await waiting
        await asyncio.gather(positions.commit_now(), positions.commit_now())
        await positions.end()
        return consumer

    assert asyncio.run(commit(4)).committed == [{("users", 0): 5}]
    assert asyncio.run(commit(5)).committed == [{("users", 0): 6}]
