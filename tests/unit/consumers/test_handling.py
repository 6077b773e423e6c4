"""One attempt: through the inbox, in time, with the message at hand."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

import cqrs
from cqrs.consumers import Consumer
from cqrs.container import BuiltinContainer
from cqrs.deadlines import remaining
from cqrs.exceptions import BrokerUnavailableError
from cqrs.inbox import InboxModel, InboxProcessor, current_session
from cqrs.message_brokers.memory import MemoryMessageBroker, MemorySource
from cqrs.message_brokers.protocol import Message
from cqrs.message_brokers.receiving import ReceivedMessage
from cqrs.testing import FakeClock
from tests.unit.consumers.support import (
    SECOND,
    Counted,
    Mediator,
    ScriptedSource,
    consumer_of,
    message,
    turns,
)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'inbox.db'}")
    async with engine.begin() as connection:
        await connection.run_sync(InboxModel.metadata.create_all)
        await connection.execute(text("CREATE TABLE balance (amount INTEGER)"))
        await connection.execute(text("INSERT INTO balance VALUES (0)"))
    yield engine
    await engine.dispose()


async def balance(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(text("SELECT amount FROM balance"))).scalar_one())


class Noting:
    """A source, and when it was first told to acknowledge."""

    def __init__(self, acknowledged: asyncio.Event, source: MemorySource) -> None:
        self._acknowledged = acknowledged
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def ack(self, message: ReceivedMessage) -> None:
        self._acknowledged.set()
        await self._source.ack(message)


async def test_with_an_inbox_effects_come_once_whatever_fails(clock: FakeClock, engine: AsyncEngine) -> None:
    """The first attempt fails after its effect, the acknowledgement of the second is lost with the broker."""
    calls: list[int] = []
    failed, acknowledged = asyncio.Event(), asyncio.Event()
    broker = MemoryMessageBroker(clock=clock, sleep=clock.sleep)

    class Pay(cqrs.EventHandler[Counted]):
        async def handle(self, event: Counted) -> None:
            session = current_session()
            assert session is not None
            calls.append(event.number)
            await session.execute(text("UPDATE balance SET amount = amount + 10"))
            if len(calls) == 1:
                raise ConnectionError("after the effect")
            if len(calls) == 2:
                broker.go_down()

    events = cqrs.EventMap()
    events.bind(Counted, Pay)
    source = Noting(acknowledged, broker.source("numbers"))
    consumer = Consumer(
        source,
        cqrs.EventMediator(events, BuiltinContainer()),
        {"Counted": Counted},
        inbox=InboxProcessor(async_sessionmaker(engine), "payments"),
        on_error=lambda *_: failed.set(),
        backoff=SECOND,
        reconnect=SECOND,
        sleep=clock.sleep,
    )
    await broker.send_message(Message("Counted", "numbers", {"number": 7}))
    async with consumer:
        await failed.wait()
        await turns()
        await clock.elapse(1)
        await acknowledged.wait()
        broker.come_up()
        await clock.elapse(1)
        await broker.settled()

    assert calls == [7, 7]
    assert await balance(engine) == 10
    assert consumer.statistics.duplicates == 1
    assert current_session() is None


async def test_what_is_cut_off_leaves_no_effect(clock: FakeClock, engine: AsyncEngine) -> None:
    gate = asyncio.Event()

    async def pay(_: int) -> None:
        session = current_session()
        assert session is not None
        await session.execute(text("UPDATE balance SET amount = amount + 10"))
        gate.set()
        await asyncio.Event().wait()

    source = ScriptedSource(message(1, message_id=uuid.UUID(int=1)))
    inbox = InboxProcessor(async_sessionmaker(engine), "payments")
    consumer = consumer_of(source, Mediator(pay), clock, inbox=inbox)
    await consumer.start()
    await gate.wait()

    await consumer.stop(timeout=0)

    assert source.told_of("release") == ["1"]
    assert await balance(engine) == 0


class NotedInbox:
    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def process(self, message_id: Any, handler: Any, *, event_name: str | None = None) -> object:
        self.asked.append((message_id, event_name))
        return await handler(object())


async def test_an_event_may_lend_its_identity(clock: FakeClock) -> None:
    class Joined(cqrs.NotificationEvent[int], frozen=True):
        number: int = 0

    event, inbox = Joined(event_name="Joined", payload=1), NotedInbox()
    source = ScriptedSource(message(1, name="Joined", body=event.model_dump_json().encode()))

    async with Consumer(source, Mediator(), {"Joined": Joined}, inbox=inbox):
        await source.told("ack", "1")

    assert inbox.asked == [(event.event_id, "Joined")]


async def test_what_has_no_identity_is_put_aside(clock: FakeClock) -> None:
    source, inbox = ScriptedSource(message(1)), NotedInbox()

    async with consumer_of(source, Mediator(), clock, inbox=inbox, max_attempts=1):
        await source.told("dead_letter", "1", 1)

    assert "has no identity" in source.reason
    assert inbox.asked == []


async def test_an_inbox_that_cannot_be_reached_is_a_failure_like_others(clock: FakeClock) -> None:
    class Down(NotedInbox):
        async def process(self, message_id: Any, handler: Any, *, event_name: str | None = None) -> object:
            if not self.asked:
                self.asked.append(message_id)
                raise BrokerUnavailableError("", "the database is down")
            return await super().process(message_id, handler, event_name=event_name)

    source, mediator = ScriptedSource(message(1, message_id=uuid.UUID(int=1))), Mediator()
    async with consumer_of(source, mediator, clock, inbox=Down()) as consumer:
        await source.told("retry", "1", 1.0)
        assert mediator.started == []
        await clock.elapse(1)
        await source.told("ack", "1")

    assert (consumer.statistics.failed, consumer.statistics.handled) == (1, 1)


async def test_handlers_know_how_long_they_may_take(clock: FakeClock) -> None:
    left: list[float | None] = []

    async def note(_: int) -> None:
        left.append(remaining())

    source = ScriptedSource(message(1))
    async with consumer_of(source, Mediator(note), clock, handler_timeout=60):
        await source.told("ack", "1")

    assert left[0] is not None
    assert 0 < left[0] <= 60
