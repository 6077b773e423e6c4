"""All messages in hand: which may begin, which must wait, and how they are given back."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Hashable, Iterable
from typing import cast

from cqrs.consumers.lanes import Lanes
from cqrs.consumers.statistics import ConsumerStatistics
from cqrs.consumers.verdicts import fields
from cqrs.consumers.work import Work, Worker
from cqrs.message_brokers.receiving import MessageSource, PausableSource, ReceivedMessage, offers

__all__ = ["Hand"]

GRACE = 5.0
"""Seconds that handlers get to end after they were cancelled."""

_logger = logging.getLogger(__name__)


class Hand:
    """Messages that were received and not settled: a task for each that may be worked on.

    Args:
        source: where they come from.
        worker: works on them.
        limit: most messages to hold.
        statistics: is counted in.
        on_crash: told of what ends a task and is no error of a handler.
    """

    def __init__(
        self,
        source: MessageSource,
        worker: Worker,
        limit: int,
        statistics: ConsumerStatistics,
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self._source = source
        self._worker = worker
        self._limit = limit
        self._lane_limit = max(1, limit // 4)
        self._statistics = statistics
        self._on_crash = on_crash
        self._all: dict[Work, None] = {}
        self._lanes: Lanes[Work] = Lanes()
        self._pausable = cast("PausableSource", source) if offers(source, PausableSource) else None
        self._paused: set[Hashable] = set()
        self._room = asyncio.Event()

    async def take(self, message: ReceivedMessage) -> None:
        """Take a message in, and return when there is room for another."""
        it = Work(message)
        self._all[it] = None
        self._statistics.received += 1
        self._statistics.in_hand += 1
        if self._lanes.add(it, message.ordering):
            self._begin(it)
        elif self._lanes.waiting(message.ordering) >= self._lane_limit:
            self._pause(message.ordering)
        while len(self._all) >= self._limit:
            self._room.clear()
            await self._room.wait()

    async def extend(self) -> None:
        """Tell the source that everything in hand is still in work."""
        for it in list(self._all):
            if it.is_over or it.is_dropped:
                continue
            try:
                await self._source.extend(it.message)
            except Exception as error:
                _logger.warning(
                    "%s may be delivered to another consumer as well: %s",
                    it.message.position or it.message.topic,
                    error,
                    extra=fields(it.message),
                )

    async def drop_waiting(self) -> None:
        """Give back what is not being handled: the broker delivers it again on a new connection."""
        self._paused.clear()
        waiting = [*self._lanes.clear(), *(it for it in self._all if _may_be_cancelled(it))]
        await self._cancel(waiting)
        await self._release(it for it in waiting if not it.is_over)

    async def wind_down(self, timeout: float, hurry: asyncio.Event) -> None:
        """Give everything back; handlers may end for ``timeout`` seconds, or until ``hurry``, before that."""
        self._worker.is_stopping = True
        self._lanes.clear()
        await self._cancel([it for it in self._all if _may_be_cancelled(it)])
        busy = [it.task for it in self._all if it.task is not None and not it.task.done()]
        if busy and timeout > 0:
            await _wait(busy, timeout, hurry)
        await self._cancel([it for it in self._all if it.task is not None and not it.task.done()])
        await self._release(self._all)

    def _begin(self, it: Work) -> None:
        it.task = asyncio.create_task(
            self._worker.work(it, self._on_pause), name=f"consume {it.message.position}"
        )
        it.task.add_done_callback(functools.partial(self._ended, it))

    def _on_pause(self, it: Work) -> None:
        self._pause(it.message.ordering)

    def _pause(self, ordering: Hashable | None) -> None:
        # Also when it is paused already: a source that lost it for a moment has begun anew with it.
        if ordering is not None and self._pausable is not None:
            self._paused.add(ordering)
            self._pausable.pause(ordering)

    def _ended(self, it: Work, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (crash := task.exception()) is not None:
            self._on_crash(crash)
            return
        if self._worker.is_stopping:
            if it.is_over:
                self._forget(it)
            return
        if not it.is_over and not it.is_dropped:
            # Cancelled, and not by us: what the handler does to its task must not cost the message.
            self._begin(it)
            return
        self._forget(it)
        ordering = it.message.ordering
        following = self._lanes.done(ordering)
        if following is not None:
            self._begin(following)
        if ordering in self._paused and self._lanes.waiting(ordering) <= self._lane_limit // 2:
            self._paused.discard(ordering)
            if self._pausable is not None and ordering is not None:
                self._pausable.resume(ordering)

    def _forget(self, it: Work) -> None:
        if it in self._all:
            del self._all[it]
            self._statistics.in_hand -= 1
            self._room.set()

    async def _cancel(self, works: list[Work]) -> None:
        tasks = [it.task for it in works if it.task is not None and not it.task.done()]
        for it in works:
            it.is_dropped = True
        for task in tasks:
            task.cancel()
        if tasks:
            _, stubborn = await asyncio.wait(tasks, timeout=GRACE)
            for task in stubborn:
                _logger.error("%s does not end though it was cancelled", task.get_name())

    async def _release(self, works: Iterable[Work]) -> None:
        """Give messages back, the last first, so that brokers with a queue have them in their order again."""
        for it in reversed(list(works)):
            self._forget(it)
            if not it.is_over:
                await self._worker.release(it)


def _may_be_cancelled(it: Work) -> bool:
    return it.state == "waiting" and not it.is_over


async def _wait(tasks: list[asyncio.Task[None]], timeout: float, hurry: asyncio.Event) -> None:
    all_ended = asyncio.ensure_future(asyncio.wait(tasks))
    hurried = asyncio.ensure_future(hurry.wait())
    try:
        await asyncio.wait({all_ended, hurried}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        all_ended.cancel()
        hurried.cancel()
