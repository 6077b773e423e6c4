"""The relay of the outbox: from PostgreSQL to Kafka, and when there is nothing to do."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from harness.environments import DURABLE
from harness.model import Case, Prepared, Target, Unavailable, settings

ROWS = 10_000
BATCH = 500
IDLE_SECONDS = 10.0

TO_KAFKA = Case(
    key="relay-kafka",
    title="outbox relay, PostgreSQL to Kafka",
    what=(
        f"Rows per second that one `OutboxRelay` with its default settings publishes: {ROWS} rows of about "
        "150 bytes, written through the repository beforehand, then leased, read, checked against the "
        "registered event, sent to Kafka with `acks=all`, and marked as published. PostgreSQL is private to "
        "the run, over asyncpg, with `fsync=off`; Kafka is librdkafka's mock cluster, in a process of its "
        "own, over TCP. Relay and servers share the cores of the machine. The floor is the same messages "
        f"sent from memory, {BATCH} at a time, by the same producer."
    ),
    unit="rows/s",
    targets=(Target("Holdfast", "least", 5000.0),),
    rounds=5,
    pinned=False,
    group="durable",
)
IDLE = Case(
    key="relay-idle",
    title="outbox relay, idle",
    what=(
        "Statements per second that an `OutboxRelay` with its default settings sends to PostgreSQL while "
        f"its outbox is empty, in the first {IDLE_SECONDS:g} seconds, with and without LISTEN."
    ),
    unit="statements/s",
    targets=(
        Target("Holdfast", "worst", 2.0),
        Target("Holdfast, without LISTEN", "worst", 2.0),
    ),
    rounds=1,
    pinned=False,
    group="durable",
)
CASES = (TO_KAFKA, IDLE)


@dataclass(slots=True)
class Stage:
    """An outbox in a private PostgreSQL."""

    stack: AsyncExitStack
    sessions: Any
    statements: Counter[str]

    async def fill(self, rows: int) -> None:
        """Write events as an application does, many in a transaction."""
        from cqrs.outbox.sqlalchemy import SqlAlchemyOutboxedEventRepository

        for start in range(0, rows, 1000):
            async with self.sessions() as session:
                repository = SqlAlchemyOutboxedEventRepository(session, notify=False)
                for number in range(start, min(start + 1000, rows)):
                    repository.add(_event(number))
                await repository.commit()


def _event(number: int) -> Any:
    from cqrs import NotificationEvent

    payload = {"order": number, "customer": "a customer", "amount": "42.00"}
    return NotificationEvent[dict[str, Any]](event_name="OrderPlaced", topic="orders", payload=payload)


async def stage() -> Stage:
    """Start PostgreSQL and make the outbox."""
    from sqlalchemy import event
    from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

    from cqrs import NotificationEvent
    from cqrs.outbox.map import OutboxedEventMap
    from cqrs.outbox.models import OutboxModel
    from tests.servers.binaries import ServerMissing
    from tests.servers.postgres import PostgresServer

    if OutboxedEventMap.get("OrderPlaced") is None:
        OutboxedEventMap.register("OrderPlaced", NotificationEvent[dict[str, Any]])
    stack = AsyncExitStack()
    try:
        server = stack.enter_context(PostgresServer())
    except ServerMissing as missing:
        raise Unavailable(str(missing)) from missing
    engine = create_async_engine(server.url)
    stack.push_async_callback(engine.dispose)
    statements: Counter[str] = Counter()
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *_: statements.update(("sent",)))
    async with engine.begin() as connection:
        await connection.run_sync(OutboxModel.metadata.create_all)
    return Stage(stack, async_sessionmaker(engine, expire_on_commit=False), statements)


async def _kafka(stack: AsyncExitStack) -> Any:
    from cqrs.adapters.kafka import kafka_producer_factory
    from cqrs.message_brokers.kafka import KafkaMessageBroker
    from tests.servers.binaries import ServerMissing
    from tests.servers.kafka_mock import KafkaMock

    try:
        mock = stack.enter_context(KafkaMock())
    except ServerMissing as missing:
        raise Unavailable(str(missing)) from missing
    return await stack.enter_async_context(KafkaMessageBroker(kafka_producer_factory(mock.bootstrap)))


def _rows() -> int:
    return ROWS if settings.seconds >= 0.02 else 200


@TO_KAFKA.subject("Holdfast", DURABLE)
async def _relay() -> Prepared:
    from cqrs.outbox.relay import OutboxRelay

    made = await stage()
    broker = await _kafka(made.stack)

    async def measure() -> float:
        rows = _rows()
        await made.fill(rows)
        relay = OutboxRelay(made.sessions, broker)
        begun = time.perf_counter()
        async with relay:
            while relay.statistics.published < rows:  # noqa: ASYNC110 - it tells nobody when it is done
                await asyncio.sleep(0.005)
            seconds = time.perf_counter() - begun
        assert relay.statistics.failed == relay.statistics.dead == 0, relay.statistics
        return rows / seconds

    return Prepared(measure=measure, close=made.stack.aclose)


@TO_KAFKA.subject("floor: send_messages from memory", DURABLE, floor=True)
async def _from_memory() -> Prepared:
    from cqrs import Message

    stack = AsyncExitStack()
    broker = await _kafka(stack)
    payload = _event(1).to_dict()

    async def measure() -> float:
        rows = _rows()
        begun = time.perf_counter()
        for start in range(0, rows, BATCH):
            batch = [
                Message("OrderPlaced", "orders", payload, uuid.uuid4())
                for _ in range(min(BATCH, rows - start))
            ]
            outcomes = await broker.send_messages(batch)
            assert outcomes == [None] * len(batch)
        return rows / (time.perf_counter() - begun)

    return Prepared(measure=measure, close=stack.aclose)


async def _idling(**options: Any) -> Prepared:
    from cqrs.message_brokers.devnull import DevnullMessageBroker
    from cqrs.outbox.relay import OutboxRelay

    made = await stage()

    async def measure() -> float:
        made.statements.clear()
        begun = time.perf_counter()
        async with OutboxRelay(made.sessions, DevnullMessageBroker(), **options):
            await asyncio.sleep(IDLE_SECONDS if settings.seconds >= 0.02 else 0.2)
            sent, seconds = made.statements["sent"], time.perf_counter() - begun
        return sent / seconds

    return Prepared(measure=measure, samples=1, close=made.stack.aclose)


@IDLE.subject("Holdfast", DURABLE)
async def _listening() -> Prepared:
    return await _idling()


@IDLE.subject("Holdfast, without LISTEN", DURABLE)
async def _polling() -> Prepared:
    return await _idling(listen=False)
