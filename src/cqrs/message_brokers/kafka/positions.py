"""The positions of all partitions of a member, and committing them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, TypeAlias

from cqrs.adapters.kafka import aiokafka
from cqrs.message_brokers.connecting import cancel_and_wait
from cqrs.message_brokers.errors import reason_of
from cqrs.message_brokers.kafka.progress import Progress
from cqrs.message_brokers.receiving import ReceivedMessage

__all__ = ["Partition", "Positions"]

Partition: TypeAlias = tuple[str, int]
"""Topic and number."""

PAUSE = 0.5  # seconds, after a commit that failed

_logger = logging.getLogger(__name__)


class Positions:
    """What is in work of each partition, and a task that commits what is settled.

    Args:
        interval: seconds between two commits.
        timeout: seconds after which a commit is given up; aiokafka would try for ever.
    """

    def __init__(self, interval: float, timeout: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._consumer: Any = None
        self._progress: dict[Partition, Progress] = {}
        self._messages: dict[ReceivedMessage, tuple[Progress, int]] = {}
        self._changed = asyncio.Event()
        self._lock = asyncio.Lock()
        self._committer: asyncio.Task[None] | None = None

    def begin(self, consumer: Any) -> None:
        """Begin anew, with another member, perhaps in another event loop."""
        self._consumer = consumer
        self._changed = asyncio.Event()
        self._lock = asyncio.Lock()

    async def end(self) -> None:
        """Forget all partitions; messages of theirs that are settled later are delivered again."""
        self._consumer = None
        self._progress.clear()
        self._messages.clear()
        self._changed.set()
        if self._committer is not None:
            await cancel_and_wait(self._committer)
            self._committer = None

    def deliver(self, message: ReceivedMessage, partition: Partition, offset: int) -> None:
        """Note that a message is handed over."""
        progress = self._progress.setdefault(partition, Progress())
        progress.deliver(offset)
        self._messages[message] = (progress, offset)

    def settle(self, message: ReceivedMessage) -> None:
        """Note that a message is done with, and have its position committed soon."""
        progress, offset = self._messages.pop(message, (None, 0))
        if progress is None:
            return  # its partition was taken away
        progress.settle(offset)
        self._changed.set()
        busy = self._committer is not None and not self._committer.done()
        if progress.due is not None and self._consumer is not None and not busy:
            self._committer = asyncio.create_task(self._commit_while_due(), name="kafka-commits")

    def give_back(self, message: ReceivedMessage) -> None:
        """Note that a message will not be handled here."""
        progress, offset = self._messages.pop(message, (None, 0))
        if progress is not None:
            progress.give_back(offset)
            self._changed.set()

    def is_current(self, message: ReceivedMessage) -> bool:
        """Tell whether a message may begin: it is not done with, and its partition stays."""
        progress, offset = self._messages.get(message, (None, 0))
        if progress is None or progress.is_going:
            return False
        progress.rest(offset, False)
        return True

    def rest(self, message: ReceivedMessage) -> None:
        """Note that a message waits: its partition need not wait for it before it goes."""
        progress, offset = self._messages.get(message, (None, 0))
        if progress is not None:
            progress.rest(offset, True)
            self._changed.set()

    async def drained(self, partitions: Iterable[Partition], timeout: float) -> bool:
        """Wait until nothing of some partitions is in work; ``False``: it took longer than ``timeout``."""
        watched = [self._progress[each] for each in partitions if each in self._progress]
        for progress in watched:
            progress.is_going = True
        try:
            async with asyncio.timeout(timeout):
                while any(progress.in_work for progress in watched):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Forget partitions that were taken away."""
        gone = {self._progress.pop(each) for each in partitions if each in self._progress}
        self._messages = {message: entry for message, entry in self._messages.items() if entry[0] not in gone}

    async def commit_now(self) -> bool:
        """Commit all positions that are due; ``False``: that failed, and is told in the log."""
        async with self._lock:
            if self._consumer is None:
                return True
            due: dict[Any, int] = {}
            for each in self._consumer.assignment():
                progress = self._progress.get((each.topic, each.partition))
                if progress is not None and progress.due is not None:
                    due[each] = progress.due
            if not due:
                return True
            try:
                async with asyncio.timeout(self._timeout):
                    await self._consumer.commit(due)
            except (aiokafka().errors.KafkaError, OSError) as error:
                # Nothing is lost: these messages are delivered again, unless a later commit succeeds.
                _logger.warning("positions are not committed: %s", reason_of(error))
                return False
            for each, position in due.items():
                if (each.topic, each.partition) in self._progress:
                    self._progress[each.topic, each.partition].committed(position)
            return True

    async def _commit_while_due(self) -> None:
        while any(progress.due is not None for progress in self._progress.values()):
            done = await self.commit_now()
            await asyncio.sleep(self._interval if done else max(self._interval, PAUSE))
