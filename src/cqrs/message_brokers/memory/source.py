"""A member of a group that reads from the broker in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from cqrs.exceptions import BrokerUnavailableError
from cqrs.message_brokers.memory.queue import Delivery, GroupQueue
from cqrs.message_brokers.memory.records import DeadLetter
from cqrs.message_brokers.receiving import ReceivedMessage

if TYPE_CHECKING:
    from cqrs.message_brokers.memory.broker import MemoryMessageBroker

__all__ = ["MemorySource"]


class MemorySource:
    """Hands over the messages of one or more topics for a group; ``MemoryMessageBroker.source`` makes it."""

    def __init__(
        self, broker: MemoryMessageBroker, group: str, queues: Sequence[GroupQueue], lease: float | None
    ) -> None:
        self._broker = broker
        self._group = group
        self._queues = list(queues)
        self._lease = lease
        self._running = False

    async def start(self) -> None:
        """Connect.

        Raises:
            BrokerUnavailableError: the broker is down.
        """
        self._broker.check_up(self._topics)
        self._running = True

    async def messages(self) -> AsyncIterator[ReceivedMessage]:
        """Yield messages until ``stop``.

        Raises:
            BrokerUnavailableError: the source has not started, or the broker went down.
        """
        if not self._running:
            raise BrokerUnavailableError(self._topics, "the source has not started, or was stopped")
        connection = self._broker.connections
        while self._running:
            self._broker.check_up(self._topics)
            if self._broker.connections != connection:
                raise BrokerUnavailableError(self._topics, "the connection was lost")
            delivery = self._take()
            if delivery is None:
                await self._wait()
            else:
                yield self._received(delivery)

    async def ack(self, message: ReceivedMessage) -> None:
        """Tell that the message is handled."""
        delivery = self._delivery(message)
        delivery.queue.settle(delivery)

    async def retry(self, message: ReceivedMessage, delay: float) -> bool:
        """Have the message delivered again in ``delay`` seconds; always ``True``."""
        delivery = self._delivery(message)
        delivery.queue.put_back(delivery, due=self._broker.clock() + delay)
        return True

    async def postpone(self, message: ReceivedMessage, delay: float) -> bool:
        """Have the message delivered again in ``delay`` seconds, as the same attempt; always ``True``."""
        delivery = self._delivery(message)
        delivery.queue.put_back(delivery, due=self._broker.clock() + delay, counts=False)
        return True

    async def extend(self, message: ReceivedMessage) -> None:
        """Begin the lease of the message anew."""
        delivery = self._delivery(message)
        delivery.queue.extend(delivery, None if self._lease is None else self._broker.clock() + self._lease)

    async def dead_letter(self, message: ReceivedMessage, reason: str, attempts: int) -> None:
        """Put the message aside: ``MemoryMessageBroker.dead_letters`` tells of it."""
        delivery = self._delivery(message)
        if delivery.entry.delivery is delivery:
            self._broker.put_aside(DeadLetter(message, self._group, reason, attempts))
            delivery.queue.settle(delivery)

    def is_current(self, message: ReceivedMessage) -> bool:
        """Tell whether the message was not given to anybody else meanwhile."""
        delivery = message.raw
        return isinstance(delivery, Delivery) and delivery.entry.delivery is delivery

    async def release(self, message: ReceivedMessage) -> None:
        """Give the message back; it is the next one to be delivered, and not as a new attempt."""
        delivery = self._delivery(message)
        delivery.queue.put_back(delivery, counts=False)

    async def stop(self) -> None:
        """Take no new messages."""
        self._running = False
        for queue in self._queues:
            queue.notify()

    async def close(self) -> None:
        """Stop, and give back what was not settled."""
        await self.stop()
        for queue in self._queues:
            queue.put_back_all(self)

    @property
    def _topics(self) -> str:
        return ", ".join(queue.topic for queue in self._queues)

    def _take(self) -> Delivery | None:
        now = self._broker.clock()
        for _ in self._queues:
            # Each topic in turn, so that a busy one does not starve the others.
            queue = self._queues.pop(0)
            self._queues.append(queue)
            delivery = queue.take(self, now, self._lease)
            if delivery is not None:
                return delivery
        return None

    async def _wait(self) -> None:
        """Wait until a queue has changed, or a delay or lease is over."""
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        dues = [due for queue in self._queues if (due := queue.next_due()) is not None]
        with contextlib.ExitStack() as cleanup:
            for queue in self._queues:
                cleanup.callback(queue.watch(changed))
            waiting: set[asyncio.Future[object]] = {changed}  # type: ignore[arg-type]  # invariant
            if dues:
                delay = max(0.0, min(dues) - self._broker.clock())
                alarm = asyncio.ensure_future(self._broker.sleep(delay))
                cleanup.callback(alarm.cancel)
                waiting.add(alarm)
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)

    def _delivery(self, message: ReceivedMessage) -> Delivery:
        delivery = message.raw
        if not isinstance(delivery, Delivery):
            raise BrokerUnavailableError(message.topic, "the message is of another broker")
        self._broker.check_up(message.topic)
        return delivery

    def _received(self, delivery: Delivery) -> ReceivedMessage:
        stored = delivery.entry.stored
        return ReceivedMessage(
            body=stored.body,
            headers=stored.headers,
            message_name=stored.message_name,
            topic=stored.topic,
            message_id=stored.message_id,
            key=stored.key,
            attempt=delivery.attempt,
            position=f"{stored.topic}/{stored.offset}",
            raw=delivery,
            ordering=None if stored.key is None else (stored.topic, stored.key),
        )
