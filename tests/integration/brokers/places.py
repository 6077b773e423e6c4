"""A broker as the table of situations sees it: how to publish, receive, and break it."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

from cqrs.exceptions import BrokerUnavailableError
from cqrs.message_brokers.protocol import BatchMessageBroker, Message
from cqrs.message_brokers.receiving import MessageSource, ReceivedMessage
from cqrs.testing import ChaosProxy

PATIENCE = 20.0  # seconds after which a test gives up waiting


class Place:
    """One broker, and a topic of this test's own on it.

    Attributes:
        name: of the broker.
        retries: whether it delivers again after a delay.
        too_large: bytes of a payload that it does not take.
        unroutable: whether it refuses a message for which there is nobody.
        tells: whether it tells its clients that a connection is lost (else the library finds it again).
    """

    name: str
    retries: bool
    too_large: int
    unroutable: bool
    tells = True
    connections = 3  # that its broker makes, at most; Kafka's asks for the cluster's map on one of its own

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url if "://" in url else f"//{url.split(',')[0]}")
        self.address = (str(parts.hostname), parts.port or 0)
        self.topic = f"holdfast-{uuid.uuid4().hex}"
        self.group = f"group-{uuid.uuid4().hex}"

    async def prepare(self) -> None:
        """Make what operators make before an application is deployed."""

    async def tidy(self) -> None:
        """Remove what `prepare` made."""

    def broker(self, *, timeout: float = 5.0) -> Any:
        """Return a broker that gives up after some seconds."""
        raise NotImplementedError

    def source(self, *, timeout: float = 5.0) -> Any:
        """Return a source of the topic, for the group."""
        raise NotImplementedError

    def dead_letters(self) -> Any:
        """Return a source of the topic's dead letters."""
        raise NotImplementedError

    @contextlib.contextmanager
    def through_proxy(self) -> Iterator[ChaosProxy]:
        """Send what brokers and sources made from now on say over a proxy."""
        before = self.address
        with ChaosProxy(*before) as proxy:
            self.address = proxy.address
            try:
                yield proxy
            finally:
                self.address = before

    def message(self, number: int = 1, **fields: Any) -> Message:
        """Return a message to the topic."""
        return Message("Counted", fields.pop("topic", self.topic), {"number": number}, **fields)

    async def publish(self, *numbers: int) -> None:
        """Publish such messages."""
        async with self.broker() as broker:
            for number in numbers:
                await broker.send_message(self.message(number))


class Reader:
    """Takes messages one by one, going on when the source says that it lost its broker."""

    def __init__(self, source: MessageSource) -> None:
        self.source = source
        self.lost = 0
        self._stream: AsyncIterator[ReceivedMessage] | None = None

    async def next(self, patience: float = PATIENCE) -> ReceivedMessage:
        async with asyncio.timeout(patience):
            while True:
                if self._stream is None:
                    self._stream = self.source.messages()
                try:
                    return await anext(self._stream)
                except BrokerUnavailableError:
                    self.lost += 1
                    self._stream = None
                    await asyncio.sleep(0.02)

    def forget(self) -> None:
        """Begin anew after `next` was given up, which has ended the iteration."""
        self._stream = None

    async def take(self, count: int) -> list[ReceivedMessage]:
        return [await self.next() for _ in range(count)]

    async def nothing_comes(self, patience: float) -> bool:
        """Tell whether no message comes for a while; the source is of no more use after it."""
        try:
            await self.next(patience)
        except TimeoutError:
            return True
        return False

    async def close(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()  # type: ignore[attr-defined]  # an async generator
        await self.source.close()


@contextlib.asynccontextmanager
async def reading(source: MessageSource) -> AsyncIterator[Reader]:
    reader = Reader(source)
    try:
        await source.start()
        yield reader
    finally:
        await reader.close()


def is_batch(broker: object) -> bool:
    return isinstance(broker, BatchMessageBroker)
