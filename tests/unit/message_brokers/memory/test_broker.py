"""The broker in memory: who is given what, when again, and what it tells."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cqrs.exceptions import (
    BrokerUnavailableError,
    ConfigurationError,
    MessageRefusedError,
    PolicyError,
)
from cqrs.message_brokers.memory import MemoryMessageBroker, MemorySource
from cqrs.message_brokers.protocol import BatchMessageBroker, Message, MessageBroker
from cqrs.message_brokers.receiving import MessageSource, ReceivedMessage
from cqrs.testing import FakeClock


@pytest.fixture
def broker(clock: FakeClock) -> MemoryMessageBroker:
    return MemoryMessageBroker(clock=clock, sleep=clock.sleep)


class Member:
    """A source whose messages are taken one by one."""

    def __init__(self, source: MemorySource) -> None:
        self.source = source
        self._iterator: AsyncIterator[ReceivedMessage] | None = None

    async def next(self) -> ReceivedMessage:
        if self._iterator is None:
            await self.source.start()
            self._iterator = self.source.messages()
        return await anext(self._iterator)

    def asking(self) -> asyncio.Task[ReceivedMessage]:
        return asyncio.ensure_future(self.next())


def numbered(number: int, topic: str = "users", key: str | None = None) -> Message:
    return Message("Counted", topic, number, headers={"n": str(number)}, key=key)


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_it_satisfies_the_protocols(broker: MemoryMessageBroker) -> None:
    assert isinstance(broker, MessageBroker)
    assert isinstance(broker, BatchMessageBroker)
    assert isinstance(broker.source("users"), MessageSource)


async def test_what_is_published_is_received(broker: MemoryMessageBroker) -> None:
    member = Member(broker.source("users"))
    sent = Message("UserJoined", "users", {"id": 7}, uuid.UUID(int=7), {"a": "b"}, "7")

    await broker.send_message(sent)
    received = await member.next()

    assert received.body == b'{"id":7}'
    assert received.message_name == "UserJoined"
    assert received.message_id == sent.message_id
    assert received.topic == "users"
    assert received.key == "7"
    assert received.headers["a"] == "b"
    assert received.attempt == 1
    assert broker.published() == [sent]
    assert broker.in_flight() == 1
    assert broker.waiting() == 0


async def test_each_group_gets_everything_and_members_share(broker: MemoryMessageBroker) -> None:
    first, second = Member(broker.source("users", group="mail")), Member(broker.source("users", group="mail"))
    other = Member(broker.source("users", group="audit"))
    for number in (1, 2):
        await broker.send_message(numbered(number))

    shared = [(await first.next()).body, (await second.next()).body]
    alone = [(await other.next()).body, (await other.next()).body]

    assert shared == alone == [b"1", b"2"]


async def test_a_group_that_comes_later_gets_what_is_kept(clock: FakeClock) -> None:
    broker = MemoryMessageBroker(max_messages=2, clock=clock)
    for number in (1, 2, 3):
        await broker.send_message(numbered(number))
    member = Member(broker.source("users"))

    assert [(await member.next()).body, (await member.next()).body] == [b"2", b"3"]
    assert [message.payload for message in broker.published("users")] == [2, 3]


async def test_who_waits_is_woken_by_a_message(broker: MemoryMessageBroker) -> None:
    member = Member(broker.source("users", "orders"))
    asking = member.asking()
    await turns()
    assert not asking.done()

    await broker.send_message(numbered(1, "orders"))

    assert (await asking).topic == "orders"


async def test_a_busy_topic_does_not_starve_another(broker: MemoryMessageBroker) -> None:
    member = Member(broker.source("busy", "quiet"))
    for number in range(3):
        await broker.send_message(numbered(number, "busy"))
    await broker.send_message(numbered(9, "quiet"))

    topics = [(await member.next()).topic for _ in range(2)]

    assert set(topics) == {"busy", "quiet"}


async def test_a_retried_message_comes_again_after_the_delay(
    broker: MemoryMessageBroker, clock: FakeClock
) -> None:
    member = Member(broker.source("users"))
    await broker.send_message(numbered(1))
    assert await member.source.retry(await member.next(), 5.0)
    await broker.send_message(numbered(2))
    assert (await member.next()).body == b"2"

    asking = member.asking()
    await clock.elapse(4.9)
    assert not asking.done()
    await clock.elapse(0.1)
    again = await asking

    assert (again.body, again.attempt) == (b"1", 2)


async def test_a_released_message_is_the_next_one_and_no_new_attempt(broker: MemoryMessageBroker) -> None:
    member, other = Member(broker.source("users")), Member(broker.source("users"))
    for number in (1, 2):
        await broker.send_message(numbered(number))

    await member.source.release(await member.next())
    again = await other.next()

    assert (again.body, again.attempt) == (b"1", 1)


async def test_messages_of_a_key_are_handed_over_one_after_the_other(
    broker: MemoryMessageBroker, clock: FakeClock
) -> None:
    member, other = Member(broker.source("users")), Member(broker.source("users"))
    for number, key in ((1, "a"), (2, "a"), (3, "b")):
        await broker.send_message(numbered(number, key=key))

    first = await member.next()
    assert first.ordering == ("users", "a")
    assert (await other.next()).body == b"3"
    asking = other.asking()
    await turns()
    assert not asking.done()

    await member.source.retry(first, 5.0)
    await clock.elapse(5.0)
    again = await asking
    assert again.body == b"1"
    await other.source.ack(again)
    assert (await member.next()).body == b"2"


async def test_an_unsettled_message_goes_to_another_when_its_lease_is_over(
    broker: MemoryMessageBroker, clock: FakeClock
) -> None:
    slow, other = Member(broker.source("users", lease=10.0)), Member(broker.source("users"))
    await broker.send_message(numbered(1))
    first = await slow.next()
    asking = other.asking()
    await clock.elapse(9.0)
    await slow.source.extend(first)
    await clock.elapse(9.0)
    assert not asking.done()
    await clock.elapse(1.0)
    second = await asking
    assert second.attempt == 2

    await slow.source.ack(first)  # too late: it is the other's now
    assert broker.in_flight() == 1
    await slow.source.dead_letter(first, "too late", 1)
    await slow.source.release(first)
    await slow.source.extend(first)
    assert broker.dead_letters() == []
    await other.source.ack(second)

    assert broker.in_flight() == broker.waiting() == 0


async def test_a_postponed_message_comes_later_and_as_no_new_attempt(
    broker: MemoryMessageBroker, clock: FakeClock
) -> None:
    member = Member(broker.source("users"))
    await broker.send_message(numbered(1))
    assert await member.source.postpone(await member.next(), 10.0)
    asking = member.asking()
    await clock.elapse(9.0)
    assert not asking.done()
    await clock.elapse(1.0)
    assert (await asking).attempt == 1


async def test_what_another_member_has_now_is_not_to_be_begun(
    broker: MemoryMessageBroker, clock: FakeClock
) -> None:
    slow, other = Member(broker.source("users", lease=10.0)), Member(broker.source("users"))
    await slow.source.start()
    await broker.send_message(numbered(1))
    message = await slow.next()
    assert slow.source.is_current(message)
    await clock.elapse(10)
    again = await other.next()
    assert not slow.source.is_current(message)
    assert other.source.is_current(again)
    await other.source.ack(again)
    assert not other.source.is_current(again)


async def test_without_a_lease_a_message_stays_where_it_is(
    broker: MemoryMessageBroker, clock: FakeClock
) -> None:
    slow, other = Member(broker.source("users", lease=None)), Member(broker.source("users"))
    await broker.send_message(numbered(1))
    await slow.source.extend(await slow.next())

    asking = other.asking()
    await clock.elapse(1e6)

    assert not asking.done()
    asking.cancel()


async def test_closing_gives_back_what_was_not_settled(broker: MemoryMessageBroker) -> None:
    member, other = Member(broker.source("users")), Member(broker.source("users"))
    for number in (1, 2, 3):
        await broker.send_message(numbered(number))
    for _ in range(2):
        await member.next()

    await member.source.close()
    await member.source.close()
    again = [await other.next() for _ in range(3)]

    assert [(message.body, message.attempt) for message in again] == [(b"1", 2), (b"2", 2), (b"3", 1)]


async def test_stop_ends_the_iteration_and_leaves_settling_possible(broker: MemoryMessageBroker) -> None:
    member = Member(broker.source("users"))
    await broker.send_message(numbered(1))
    message = await member.next()
    asking = member.asking()
    await turns()

    await member.source.stop()
    with pytest.raises(StopAsyncIteration):
        await asking
    await member.source.ack(message)

    assert broker.in_flight() == 0
    await member.source.start()
    await broker.send_message(numbered(2))
    assert (await anext(member.source.messages())).body == b"2"


async def test_dead_letters_are_kept_with_reason_and_attempts(broker: MemoryMessageBroker) -> None:
    member = Member(broker.source("users", group="mail"))
    await broker.send_message(numbered(1))

    await member.source.dead_letter(await member.next(), "nobody can", 3)

    (letter,) = broker.dead_letters("users", "mail")
    assert (letter.message.body, letter.reason, letter.attempts) == (b"1", "nobody can", 3)
    assert broker.dead_letters("orders") == broker.dead_letters(group="audit") == []
    assert broker.waiting() == broker.in_flight() == 0


async def test_settled_waits_for_all_groups(broker: MemoryMessageBroker) -> None:
    await broker.settled()
    mail, audit = Member(broker.source("users", group="mail")), Member(broker.source("users", group="audit"))
    await broker.send_message(numbered(1))
    settled = asyncio.ensure_future(broker.settled())

    await mail.source.ack(await mail.next())
    await turns()
    assert not settled.done()
    await audit.source.ack(await audit.next())

    await settled


async def test_a_full_group_refuses_and_nobody_gets_the_message(clock: FakeClock) -> None:
    broker = MemoryMessageBroker(max_messages=1, clock=clock)
    slow = Member(broker.source("users", group="slow"))
    fast = Member(broker.source("users", group="fast"))
    await broker.send_message(numbered(1))
    await fast.source.ack(await fast.next())

    with pytest.raises(BrokerUnavailableError, match="'slow' has 1 messages"):
        await broker.send_message(numbered(2))
    assert broker.waiting(group="fast") == 0
    await slow.source.ack(await slow.next())
    await broker.send_message(numbered(3))

    assert (await fast.next()).body == b"3"


async def test_dead_letters_are_bounded_too(clock: FakeClock) -> None:
    broker = MemoryMessageBroker(max_messages=1, clock=clock)
    member = Member(broker.source("users"))
    await broker.send_message(numbered(1))
    await member.source.dead_letter(await member.next(), "no", 1)
    await broker.send_message(numbered(2))
    message = await member.next()

    with pytest.raises(BrokerUnavailableError, match="1 dead letters"):
        await member.source.dead_letter(message, "no", 1)
    assert broker.in_flight() == 1


async def test_what_cannot_be_sent_is_refused(clock: FakeClock) -> None:
    broker = MemoryMessageBroker(max_message_size=3, clock=clock)

    with pytest.raises(MessageRefusedError, match="4 bytes are more than the 3") as caught:
        await broker.send_message(numbered(1234))
    assert caught.value.topic == "users"
    with pytest.raises(MessageRefusedError, match="serialised"):
        await broker.send_message(Message("Odd", "users", object()))
    results = await broker.send_messages([numbered(1), numbered(1234), numbered(2)])

    assert [type(result) for result in results] == [type(None), MessageRefusedError, type(None)]
    assert [message.payload for message in broker.published()] == [1, 2]


async def test_going_down_cuts_everybody(broker: MemoryMessageBroker) -> None:
    member = Member(broker.source("users"))
    await broker.send_message(numbered(1))
    message = await member.next()
    asking = member.asking()
    await turns()

    broker.go_down("power failure")

    with pytest.raises(BrokerUnavailableError, match="power failure"):
        await asking
    with pytest.raises(BrokerUnavailableError, match="power failure"):
        await broker.send_message(numbered(2))
    for settling in (
        member.source.ack(message),
        member.source.retry(message, 1.0),
        member.source.extend(message),
        member.source.release(message),
        member.source.dead_letter(message, "", 1),
        member.source.start(),
    ):
        with pytest.raises(BrokerUnavailableError):
            await settling
    broker.come_up()
    again = await anext(member.source.messages())

    assert (again.body, again.attempt) == (b"1", 2)


async def test_a_short_cut_is_noticed_too(broker: MemoryMessageBroker) -> None:
    member = Member(broker.source("users"))
    asking = member.asking()
    await turns()

    broker.go_down()
    broker.come_up()

    with pytest.raises(BrokerUnavailableError, match="connection was lost"):
        await asking


async def test_a_source_that_has_not_started_has_no_messages(broker: MemoryMessageBroker) -> None:
    with pytest.raises(BrokerUnavailableError, match="not started"):
        await anext(broker.source("users").messages())


async def test_a_cancelled_member_loses_nothing(broker: MemoryMessageBroker) -> None:
    member = Member(broker.source("users"))
    asking = member.asking()
    await turns()
    asking.cancel()
    await turns()

    await broker.send_message(numbered(1))

    assert (await anext(member.source.messages())).body == b"1"


async def test_a_message_of_another_broker_is_refused(broker: MemoryMessageBroker) -> None:
    with pytest.raises(BrokerUnavailableError, match="another broker"):
        await broker.source("users").ack(ReceivedMessage(b"", {}, None, "users"))


@pytest.mark.parametrize("topics", [(), (1,)])
def test_a_source_needs_topics(broker: MemoryMessageBroker, topics: Any) -> None:
    with pytest.raises(ConfigurationError, match="topics"):
        broker.source(*topics)


@pytest.mark.parametrize(
    "arguments", [{"max_messages": 0}, {"max_message_size": 0}, {"clock": 7}], ids=lambda it: next(iter(it))
)
def test_bad_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        MemoryMessageBroker(**arguments)


def test_a_lease_must_be_positive(broker: MemoryMessageBroker) -> None:
    with pytest.raises(PolicyError, match="lease"):
        broker.source("users", lease=0)
