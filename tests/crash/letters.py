"""What the processes of the outbox crash test do: write, relay, consume; each may die anywhere."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

import cqrs
from cqrs.inbox.models import InboxModel
from cqrs.inbox.processor import InboxProcessor
from cqrs.message_brokers.protocol import Message
from cqrs.outbox.map import OutboxedEventMap
from cqrs.outbox.models import OutboxModel
from cqrs.outbox.relay import OutboxRelay
from cqrs.outbox.sqlalchemy import SqlAlchemyOutboxedEventRepository
from tests.crash.effects import append
from tests.crash.points import CrashPoints, Reach, watch_statements
from tests.servers.databases import create_engine

EVENT_NAME = "letter_written"
POLL_SECONDS = 0.05

domain = sa.MetaData()
written = sa.Table("letters_written", domain, sa.Column("number", sa.Integer, primary_key=True))
handled = sa.Table(
    "letters_handled",
    domain,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("number", sa.Integer, nullable=False),
)


@dataclasses.dataclass(frozen=True)
class Letter:
    """The payload: a number, which is in ``letters_written`` when the event was committed."""

    number: int


OutboxedEventMap.register(EVENT_NAME, cqrs.DCNotificationEvent[Letter])


class Collector:
    """A broker that appends what it is sent to a file; dying is possible before and after each message."""

    def __init__(self, path: Path, reach: Reach) -> None:
        self._path = path
        self._reach = reach

    async def send_message(self, message: Message) -> None:
        self._reach("before sending")
        append(self._path, [str(message.message_id), message.payload["payload"]["number"], os.getpid()])
        self._reach("after sending")

    async def send_messages(self, messages: Sequence[Message]) -> list[Exception | None]:
        for message in messages:
            await self.send_message(message)
        return [None] * len(messages)


async def create_letter_tables(url: str) -> None:
    engine = create_engine(url)
    async with engine.begin() as connection:
        for metadata in (domain, OutboxModel.metadata, InboxModel.metadata):
            await connection.run_sync(metadata.create_all)
    await engine.dispose()


def _sessions(engine: AsyncEngine) -> Any:
    return async_sessionmaker(engine, expire_on_commit=False)


def write(url: str, points: CrashPoints, numbers: Sequence[int], seed: int) -> None:
    """Write letters in transactions of 1 to 10, one in ten of which is rolled back; may die in the middle."""
    chosen = random.Random(seed)

    async def work() -> None:
        engine = create_engine(url)
        watch_statements(engine, points.reach)
        left = list(numbers)
        while left:
            batch = [left.pop() for _ in range(min(chosen.randint(1, 10), len(left)))]
            async with _sessions(engine)() as session:
                outbox = SqlAlchemyOutboxedEventRepository(session)
                await session.execute(written.insert(), [{"number": number} for number in batch])
                for number in batch:
                    outbox.add(cqrs.DCNotificationEvent(EVENT_NAME, Letter(number), topic="letters"))
                await (outbox.rollback() if chosen.random() < 0.1 else outbox.commit())
        await engine.dispose()

    asyncio.run(work())


def relay(url: str, collected: Path, points: CrashPoints, lease_seconds: float) -> None:
    """Publish what is in the outbox until SIGTERM, or until this process dies."""

    async def work() -> None:
        engine = create_engine(url)
        watch_statements(engine, points.reach)
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        service = OutboxRelay(
            _sessions(engine),
            Collector(collected, points.reach),
            batch_size=100,
            poll_interval=POLL_SECONDS,
            max_poll_interval=4 * POLL_SECONDS,
            lease_seconds=lease_seconds,
        )
        async with service:
            await told.wait()
        await engine.dispose()

    asyncio.run(work())


def wait_until_published(url: str) -> None:
    """Return when every row of the outbox was published."""
    table = OutboxModel.__table__

    async def work() -> None:
        engine = create_engine(url)
        waiting = sa.select(sa.func.count()).where(table.c.event_status != "produced")
        while True:
            async with engine.connect() as connection:
                if not await connection.scalar(waiting):
                    break
            await asyncio.sleep(POLL_SECONDS)
        await engine.dispose()

    asyncio.run(work())


def consume(url: str, points: CrashPoints, messages: Sequence[tuple[str, int]]) -> None:
    """Handle messages through an inbox, in the order given; may die in the middle."""

    async def work() -> None:
        engine = create_engine(url)
        watch_statements(engine, points.reach)
        processor = InboxProcessor(_sessions(engine), "letters")
        for message_id, number in messages:

            async def handle(session: Any, number: int = number) -> None:
                await session.execute(handled.insert().values(number=number))

            await processor.process(message_id, handle)
        await engine.dispose()

    asyncio.run(work())
