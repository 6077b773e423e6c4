"""Receiving from streams, as a member of a consumer group."""

from __future__ import annotations

import collections
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Self

from cqrs.exceptions import (
    BrokerUnavailableError,
    ConfigurationError,
    ConfigurationTypeError,
    MessageBrokerError,
)
from cqrs.message_brokers.connecting import Halt, Ongoing, check_seconds
from cqrs.message_brokers.dead_letters import put_aside
from cqrs.message_brokers.errors import translated
from cqrs.message_brokers.headers import KEY, MESSAGE_NAME, message_id_of
from cqrs.message_brokers.receiving import ReceivedMessage
from cqrs.message_brokers.redis.pending import Entry, Group
from cqrs.message_brokers.redis.server import StreamServer, fields_of, read_fields

__all__ = ["RedisMessageSource"]

BLOCK = 0.5
"""Seconds for which the server is asked to wait for a new message, at most."""


class RedisMessageSource:
    """A ``MessageSource`` over streams, whose messages are shared by the consumers of a group.

    A message that is neither settled nor extended for ``min_idle`` seconds counts as one of a consumer that
    died, and is delivered to another one. Handled messages stay in the stream: whoever publishes limits it
    (``RedisMessageBroker(max_length=...)``), or ``delete=True`` does.

    Args:
        target: as that of ``RedisMessageBroker``.
        streams: their keys, at least one; in a cluster, all in one slot.
        group: the name of the group; it is made when it is missing.
        prefetch: messages that are asked for at once, at least 1. Default 10.
        min_idle: seconds after which a message of a silent consumer is taken over, more than 0. ``retry``
            answers ``False`` to longer delays. Default 60.
        dead_letter_suffix: the dead letters of a stream are in the stream of that name. Default ``".dead"``.
        delete: whether settled messages are removed from the stream; for one group only. Default ``False``.
        from_beginning: whether a new group begins with the oldest message. Default ``True``.
        timeout: seconds that a command may take, with connecting, more than 0. Default 5.

    Raises:
        ConfigurationError, ConfigurationTypeError: an argument is not of these.
        ImportError: neither redis nor valkey is installed.
    """

    def __init__(
        self,
        target: object,
        streams: Sequence[str],
        group: str,
        *,
        prefetch: int = 10,
        min_idle: float = 60.0,
        dead_letter_suffix: str = ".dead",
        delete: bool = False,
        from_beginning: bool = True,
        timeout: float = 5.0,
    ) -> None:
        if isinstance(streams, str):
            raise ConfigurationTypeError(f"streams must be a list of keys, not the text {streams!r}")
        if not streams or not group or not dead_letter_suffix:
            raise ConfigurationError("RedisMessageSource needs streams, a group and a dead_letter_suffix")
        if prefetch < 1:
            raise ConfigurationError(f"prefetch={prefetch!r} is not allowed: it must be at least 1")
        self._min_idle = check_seconds("min_idle", min_idle)
        self._server = StreamServer(target, timeout, "the source of streams")
        name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._group = Group(self._server, list(streams), group, name, min_idle)
        self._prefetch = prefetch
        self._suffix = dead_letter_suffix
        self._delete = delete
        self._from_beginning = from_beginning
        self._block = min(BLOCK, min_idle / 2, timeout / 2)
        self._halt = Halt()
        self._started = False
        self._buffer: collections.deque[Entry] = collections.deque()
        self._in_work: dict[tuple[str, bytes], ReceivedMessage] = {}
        self._reading = Ongoing("read-streams")
        self._looked_at = -min_idle

    async def start(self) -> None:
        """Connect, and make the group where it is missing.

        Raises:
            BrokerUnavailableError: the server does not answer.
            MessageRefusedError: a key holds something else than a stream, or that is not allowed.
        """
        with translated(self._group.shown, self._server.error):
            await self._server.start()
            await self._group.create(self._from_beginning)
            await self._group.forget_dead()
        self._halt.clear()
        self._started = True

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def messages(self) -> AsyncIterator[ReceivedMessage]:
        """Yield messages until ``stop``.

        Raises:
            BrokerUnavailableError: the server does not answer, or the stream is gone; call it again to go on.
        """
        if not self._started:
            await self.start()
        while not self._halt.wanted:
            if not self._buffer:
                try:
                    await self._fetch()
                except MessageBrokerError as error:
                    self._started = False
                    self._in_work.clear()  # of whoever takes this for the end of a connection
                    raise BrokerUnavailableError(error.topic, error.reason) from error
                continue
            entry = self._buffer.popleft()
            if time.monotonic() - entry.since >= self._min_idle:
                continue  # somebody else may have it by now; if not, it comes again
            message = _received(entry)
            self._in_work[entry.stream, entry.number] = message
            yield message

    async def ack(self, message: ReceivedMessage) -> None:
        """Acknowledge the message."""
        await self._group.acknowledge(self._settled(message), delete=self._delete)

    async def retry(self, message: ReceivedMessage, delay: float) -> bool:
        """Have the message come again, as another attempt, in ``delay`` seconds or somewhat later.

        Returns:
            ``False``: the delay is longer than ``min_idle``
        """
        return await self._deliver_later(message, delay, message.attempt)

    async def postpone(self, message: ReceivedMessage, delay: float) -> bool:
        """Have the message come again, as the same attempt, as ``retry`` does; it may lose its place."""
        return await self._deliver_later(message, delay, message.attempt - 1)

    async def extend(self, message: ReceivedMessage) -> None:
        """Keep the message for another ``min_idle``."""
        entry: Entry = message.raw
        await self._group.set_idle(entry, 0.0, entry.attempt)

    async def dead_letter(self, message: ReceivedMessage, reason: str, attempts: int) -> None:
        """Append the message to the stream of dead letters, with ``reason`` and ``attempts``; then ack it."""
        topic = f"{message.topic}{self._suffix}"

        async def publish(body: bytes, headers: dict[str, str]) -> None:
            fields = fields_of(body, headers)
            await self._server.call(topic, lambda client: client.xadd(topic, fields))

        await put_aside(message, reason, attempts, publish)
        await self.ack(message)

    async def release(self, message: ReceivedMessage) -> None:
        """Leave the message to whoever looks for messages of dead consumers next."""
        await self._give_back(self._settled(message))

    async def stop(self) -> None:
        """Hand over no more messages, and leave those that were fetched to others."""
        self._halt.set()
        self._started = False
        await self._reading.finish()  # within half a second, or the time-out of a command
        try:
            while self._buffer:
                await self._give_back(self._buffer.popleft())
        except MessageBrokerError:
            self._buffer.clear()  # they are delivered again in ``min_idle``

    async def close(self) -> None:
        """Leave what is not settled to others, and disconnect."""
        self._halt.set()
        self._started = False
        await self._reading.finish()  # within half a second, or the time-out of a command
        entries: list[Entry] = [*self._buffer, *(message.raw for message in self._in_work.values())]
        self._buffer.clear()
        self._in_work.clear()
        try:
            # Without an answer, they are delivered again in ``min_idle``.
            for entry in entries:
                await self._give_back(entry)
            await self._group.leave()
        except MessageBrokerError:
            pass
        finally:
            await self._server.close()

    async def _fetch(self) -> None:
        # Often enough for the delays of ``retry``; an entry costs the server a comparison.
        if time.monotonic() - self._looked_at >= self._block:
            self._looked_at = time.monotonic()
            for entry in await self._group.take_over(self._prefetch, self._in_work):
                self._buffer.append(entry)
            if self._buffer:
                return
        # Of a command that is cancelled, the entries would be pending for ``min_idle``.
        await self._reading.wait(self._read, self._halt)

    async def _read(self) -> None:
        self._buffer.extend(await self._group.read(self._prefetch, self._block))

    async def _deliver_later(self, message: ReceivedMessage, delay: float, attempts: int) -> bool:
        if delay > self._min_idle:
            return False
        await self._group.set_idle(self._settled(message), self._min_idle - delay, attempts)
        return True

    async def _give_back(self, entry: Entry) -> None:
        await self._group.set_idle(entry, self._min_idle + 1.0, entry.attempt - 1)

    def _settled(self, message: ReceivedMessage) -> Entry:
        """Forget a message, also if settling it fails: it is delivered again then."""
        entry: Entry = message.raw
        self._in_work.pop((entry.stream, entry.number), None)
        return entry


def _received(entry: Entry) -> ReceivedMessage:
    body, headers = read_fields(entry.fields)
    key = headers.get(KEY)
    return ReceivedMessage(
        body=body,
        headers=headers,
        message_name=headers.get(MESSAGE_NAME),
        topic=entry.stream,
        message_id=message_id_of(headers),
        key=key,
        attempt=entry.attempt,
        position=f"{entry.stream}/{entry.number.decode()}",
        raw=entry,
        ordering=None if key is None else (entry.stream, key),
    )
