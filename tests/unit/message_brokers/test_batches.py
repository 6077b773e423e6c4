"""A batch ends when the broker is gone, not after the patience of each of its messages."""

from __future__ import annotations

import asyncio

import pytest

from cqrs.exceptions import BrokerUnavailableError, MessageRefusedError
from cqrs.message_brokers.batches import send_each
from cqrs.message_brokers.protocol import Message

MESSAGES = [Message("Counted", "numbers", number) for number in range(7)]


async def test_each_message_has_its_own_result() -> None:
    async def send(message: Message) -> None:
        if message.payload == 2:
            raise MessageRefusedError("numbers", "no")

    results = await send_each(send, MESSAGES, at_once=3)

    assert [type(each) for each in results] == [type(None)] * 2 + [MessageRefusedError] + [type(None)] * 4


async def test_what_was_not_begun_when_the_broker_went_fails_at_once() -> None:
    begun: list[int] = []

    async def send(message: Message) -> None:
        begun.append(message.payload)
        if message.payload == 2:
            raise BrokerUnavailableError("numbers", "down")

    results = await send_each(send, MESSAGES, at_once=3)

    assert begun == [0, 1, 2]
    assert results[:2] == [None, None]
    assert [str(each) for each in results[3:]] == ["topic 'numbers': not sent: down"] * 4


async def test_sending_begins_in_order() -> None:
    begun: list[int] = []

    async def send(message: Message) -> None:
        begun.append(message.payload)
        await asyncio.sleep(0)

    assert await send_each(send, MESSAGES) == [None] * 7
    assert begun == list(range(7))


async def test_a_cancelled_batch_leaves_no_task() -> None:
    before = asyncio.all_tasks()

    async def send(message: Message) -> None:
        await asyncio.Event().wait()

    batch = asyncio.create_task(send_each(send, MESSAGES))
    await asyncio.sleep(0)
    batch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await batch

    assert asyncio.all_tasks() == before
