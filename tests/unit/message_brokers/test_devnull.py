"""The broker that goes nowhere keeps the last messages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cqrs.message_brokers.devnull import MESSAGE_BUS, DevnullMessageBroker
from cqrs.message_brokers.protocol import Message, MessageBroker


@pytest.fixture(autouse=True)
def empty_bus() -> Iterator[None]:
    MESSAGE_BUS.clear()
    yield
    MESSAGE_BUS.clear()


async def test_messages_are_kept_in_order() -> None:
    broker = DevnullMessageBroker()
    first, second = Message("UserJoined", "users", {"id": 1}), Message("UserLeft", "users", {"id": 1})

    await broker.send_message(first)
    await broker.send_message(second)

    assert list(MESSAGE_BUS) == [first, second]


async def test_the_oldest_messages_are_dropped_beyond_a_thousand() -> None:
    broker = DevnullMessageBroker()
    for number in range(1_001):
        await broker.send_message(Message("Counted", "numbers", number))

    assert len(MESSAGE_BUS) == 1_000
    assert MESSAGE_BUS[0].payload == 1
    assert MESSAGE_BUS[-1].payload == 1_000


def test_it_satisfies_the_protocol() -> None:
    assert isinstance(DevnullMessageBroker(), MessageBroker)
