"""The broker itself: what was published, who gets it, and what was put aside."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from cqrs.circuit_breaker import validation
from cqrs.exceptions import BrokerUnavailableError, ConfigurationTypeError, MessageRefusedError
from cqrs.message_brokers.encoding import Encoder
from cqrs.message_brokers.memory.queue import GroupQueue
from cqrs.message_brokers.memory.records import DeadLetter, Stored
from cqrs.message_brokers.memory.source import MemorySource
from cqrs.message_brokers.protocol import Message

__all__ = ["MemoryMessageBroker"]


class MemoryMessageBroker:
    """Takes messages, and hands each to every group that reads its topic; nothing survives the process.

    Within a group each message goes to one member at a time, and again if it was not settled; messages with
    the same key one after the other. It is meant for one event loop, and for tests: ``published``,
    ``waiting``, ``in_flight`` and ``dead_letters`` tell what became of messages, ``settled`` waits for it,
    ``go_down`` and ``come_up`` cut and restore all connections.

    Args:
        serializer: makes the body of a payload; JSON by default.
        max_messages: most messages that a group may leave unsettled on a topic, most dead letters, and how
            many of the last messages of a topic are kept for groups that come later; at least 1.
        max_message_size: largest body, in bytes, at least 1; ``None`` (default): any.
        clock: monotonic seconds.
        sleep: waits for so many seconds of that clock.

    Raises:
        ConfigurationError: an argument is of the wrong kind or out of range.
    """

    def __init__(
        self,
        serializer: Callable[[Any], bytes] | None = None,
        *,
        max_messages: int = 10_000,
        max_message_size: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        validation.clock_and_random(clock, clock)
        self._encoder = Encoder(serializer)
        self._max_messages = validation.count("max_messages", max_messages)
        self._max_size = (
            None if max_message_size is None else validation.count("max_message_size", max_message_size)
        )
        self.clock = clock
        self.sleep = sleep
        self._offsets = itertools.count()
        self._logs: dict[str, deque[tuple[Message, Stored]]] = {}
        self._queues: dict[tuple[str, str], GroupQueue] = {}
        self._dead: list[DeadLetter] = []
        self._down: str | None = None
        self.connections = 0
        """Which connections are the present ones: a number that every cut raises."""

    async def send_message(self, message: Message) -> None:
        """Take one message over.

        Raises:
            MessageRefusedError: it cannot be serialised, or is too large.
            BrokerUnavailableError: the broker is down, or a group has too many messages to handle.
        """
        self.check_up(message.topic)
        body, headers = self._encoder.encode(message)
        if self._max_size is not None and len(body) > self._max_size:
            raise MessageRefusedError(
                message.topic, f"{len(body)} bytes are more than the {self._max_size} that are allowed"
            )
        queues = self._chosen(message.topic, None)
        for queue in queues:
            if len(queue) >= self._max_messages:
                raise BrokerUnavailableError(
                    message.topic,
                    f"group {queue.group!r} has {len(queue)} messages to handle, the most allowed",
                )
        stored = Stored(
            message.topic,
            next(self._offsets),
            body,
            headers,
            message.message_name,
            message.message_id,
            message.key,
        )
        self._log(message.topic).append((message, stored))
        for queue in queues:
            queue.put(stored)

    async def send_messages(self, messages: Sequence[Message]) -> list[Exception | None]:
        """Take messages over; return ``None`` or the error of each."""
        results: list[Exception | None] = []
        for message in messages:
            try:
                await self.send_message(message)
            except Exception as error:
                results.append(error)
            else:
                results.append(None)
        return results

    def source(self, *topics: str, group: str = "default", lease: float | None = 30.0) -> MemorySource:
        """Return a member of a group; a new group gets what is kept of the topics, and all that follows.

        Args:
            topics: what to read, at least one.
            group: members of a group share the messages; each group gets all of them.
            lease: seconds after which a message that is neither settled nor extended goes to another member,
                > 0; ``None``: never.
        """
        if not topics or not all(isinstance(topic, str) for topic in topics):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"a source needs the names of one or more topics, not {topics!r}")
        if lease is not None:
            lease = validation.seconds("lease", lease)
        queues = [self._queue(topic, group) for topic in dict.fromkeys(topics)]
        return MemorySource(self, group, queues, lease)

    def published(self, topic: str | None = None) -> list[Message]:
        """Return the last messages that were sent, of one topic or of all, oldest first."""
        logs = [self._log(topic)] if topic is not None else self._logs.values()
        pairs = sorted((pair for log in logs for pair in log), key=lambda pair: pair[1].offset)
        return [message for message, _ in pairs]

    def waiting(self, topic: str | None = None, group: str | None = None) -> int:
        """Return how many messages are neither settled nor in work, of one topic or group or of all."""
        return sum(len(queue) - queue.in_flight for queue in self._chosen(topic, group))

    def in_flight(self, topic: str | None = None, group: str | None = None) -> int:
        """Return how many messages are in work, of one topic or group or of all."""
        return sum(queue.in_flight for queue in self._chosen(topic, group))

    def dead_letters(self, topic: str | None = None, group: str | None = None) -> list[DeadLetter]:
        """Return what was put aside, of one topic or group or of all, oldest first."""
        return [
            letter
            for letter in self._dead
            if topic in (None, letter.message.topic) and group in (None, letter.group)
        ]

    async def settled(self) -> None:
        """Wait until every group has settled all its messages."""
        while busy := next((queue for queue in self._queues.values() if len(queue)), None):
            changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            end = busy.watch(changed)
            try:
                await changed
            finally:
                end()

    def go_down(self, reason: str = "the broker is down") -> None:
        """Cut all connections: what is in work is delivered again, and nothing works until ``come_up``."""
        self._down = reason
        self.connections += 1
        for queue in self._queues.values():
            queue.put_back_all()
            queue.notify()

    def come_up(self) -> None:
        """End what ``go_down`` has begun."""
        self._down = None

    def check_up(self, topic: str) -> None:
        """Raise ``BrokerUnavailableError`` while the broker is down."""
        if self._down is not None:
            raise BrokerUnavailableError(topic, self._down)

    def put_aside(self, letter: DeadLetter) -> None:
        """Keep a dead letter.

        Raises:
            BrokerUnavailableError: there are ``max_messages`` already.
        """
        if len(self._dead) >= self._max_messages:
            raise BrokerUnavailableError(letter.message.topic, f"there are {len(self._dead)} dead letters")
        self._dead.append(letter)

    def _log(self, topic: str) -> deque[tuple[Message, Stored]]:
        return self._logs.setdefault(topic, deque(maxlen=self._max_messages))

    def _queue(self, topic: str, group: str) -> GroupQueue:
        queue = self._queues.get((topic, group))
        if queue is None:
            queue = self._queues[topic, group] = GroupQueue(topic, group)
            for _, stored in self._log(topic):
                queue.put(stored)
        return queue

    def _chosen(self, topic: str | None, group: str | None) -> list[GroupQueue]:
        return [
            queue
            for queue in self._queues.values()
            if topic in (None, queue.topic) and group in (None, queue.group)
        ]
